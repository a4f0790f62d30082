//! The component: what it does with messages and with input.

use core::fmt;

use portcullis_kernel::{
    Caller, Component, GrantBadge, Message, Method, Refusal, Signal, Signals, Syscalls, label,
};
use portcullis_manager_api::reason;

use crate::Serial;
use crate::api::{self, Progress, TEXT_MAX};
use crate::command::Command;
use crate::editor::{Edit, Editor, interrupts};
use crate::inspect::{Inspect, Source};
use crate::output::Output;
use crate::senders::Senders;
use crate::show::{self, Show};
use crate::text::{Denied, Plain};

/// Most lines that one message is shown as; a message of nothing but line feeds would be 900.
const LINES_MAX: usize = 16;
/// Most bytes of input that are taken at one interrupt: the device interrupts again, and meanwhile
/// other components are served.
const INPUT_MAX: usize = 256;
/// Bytes of input that are kept while a command is at work; what is typed beyond is lost.
const TYPED_MAX: usize = 128;
/// What is said where the names are not those of the manager's numbers.
const STRANGE: &str = "the policy at hand is not the one in force; names and grants are not shown";
/// What stands before what is being typed.
const PROMPT: &str = "> ";

/// The console's channels, by their ids in the system description.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// On which it asks the manager.
    pub manager: u8,
    /// The serial device's interrupt.
    pub irq: u8,
}

/// The console.
#[derive(Debug)]
pub struct Console<'p, S> {
    channels: Channels,
    /// The compiled policy: the whole memory region.
    region: &'p [u8],
    source: Option<Source<'p>>,
    start: Start,
    senders: Senders<'p>,
    repeats: Repeats<'p>,
    editor: Editor,
    pub(crate) screen: Screen<S>,
}

/// How far the system has come, as far as it was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    /// Nothing was said.
    Silent,
    /// That the grants wait for the log.
    Waiting,
    /// Which grants are in force, or why there is none.
    Shown,
}

/// What commands write to: lines out, and the key that stops them in.
#[derive(Debug)]
pub(crate) struct Screen<S> {
    output: Output<S>,
    typed: heapless::Deque<u8, TYPED_MAX>,
}

/// The last text, so that a component that says the same for ever does not bury what others say.
#[derive(Debug)]
struct Repeats<'p> {
    sender: Option<GrantBadge>,
    text: heapless::String<TEXT_MAX>,
    name: &'p str,
    /// How often it came again.
    count: u64,
}

impl<'p, S: Serial> Console<'p, S> {
    /// The console on `serial`. `region` is the compiled policy, which has the names.
    pub const fn new(channels: Channels, region: &'p [u8], serial: S) -> Self {
        Self {
            channels,
            region,
            source: None,
            start: Start::Silent,
            senders: Senders::new(),
            repeats: Repeats::new(),
            editor: Editor::new(),
            screen: Screen {
                output: Output::new(serial),
                typed: heapless::Deque::new(),
            },
        }
    }

    /// Says how far the system has come, where that was not yet said: that boot grants wait for the log,
    /// which grants are in force, or why none is.
    fn look(&mut self, kernel: &mut impl Syscalls) {
        if self.start == Start::Shown {
            return;
        }
        if let Err(refusal) = self.begin(kernel) {
            self.start = Start::Shown;
            match reason(kernel, self.channels.manager) {
                Ok(reason) => self.screen.line(format_args!(
                    "Portcullis: the policy was refused, and nothing is granted in this boot: {reason}"
                )),
                Err(_) => self.screen.line(format_args!(
                    "console: cannot ask the manager: {}; names and grants are not shown",
                    Denied(refusal)
                )),
            }
        }
        // What was typed meanwhile was looked through for ^C; no interrupt announces it again.
        self.input(kernel);
    }

    fn begin(&mut self, kernel: &mut impl Syscalls) -> Result<(), Refusal> {
        let inspect = match self.source {
            Some(source) => source.inspect,
            None => Inspect::find(kernel, self.channels.manager)?,
        };
        let status = inspect.status(kernel)?;
        // The policy is hashed once, however often the console has to wait.
        let known = self.source.filter(|it| it.is_in_force(&status));
        self.source = known.or_else(|| Source::new(inspect, self.region, &status));
        let Some(source) = &self.source else {
            self.start = Start::Shown;
            self.screen.line(format_args!("console: {STRANGE}"));
            return Ok(());
        };
        if status.sealed {
            self.start = Start::Shown;
            let screen = &mut self.screen;
            return Show {
                kernel,
                source,
                screen,
            }
            .banner();
        }
        if self.start == Start::Silent {
            self.start = Start::Waiting;
            show::waiting(&source.policy, &mut self.screen);
        }
        Ok(())
    }

    /// Shows the text of a message, a line at a time, each with its sender's name.
    fn write(&mut self, kernel: &mut impl Syscalls, from: GrantBadge, text: &str) {
        let Self {
            senders,
            repeats,
            screen,
            ..
        } = self;
        if repeats.again(from, text) {
            if repeats.is_power_of_ten() {
                repeats.show(screen);
            }
            return;
        }
        repeats.end(screen);
        let name = senders.sender(kernel, self.source.as_ref(), from).name;
        repeats.start(from, text, name);
        let mut lines = text.lines();
        for line in lines.by_ref().take(LINES_MAX) {
            screen.line(format_args!("{name}: {}", Plain(line)));
        }
        match lines.count() {
            0 => {}
            more => screen.line(format_args!("{name}: ({more} more lines left out)")),
        }
        self.show_input();
    }

    fn progress(&mut self, kernel: &mut impl Syscalls, from: GrantBadge, progress: Progress<'_>) {
        let sender = self.senders.sender(kernel, self.source.as_ref(), from);
        let done = progress.done.min(progress.total);
        // In 128 bits the product cannot overflow; nothing to do is all done.
        let percent = (u128::from(done) * 100)
            .checked_div(progress.total.into())
            .unwrap_or(100) as u64;
        let what = Plain(progress.what);
        if !self.screen.output.is_terminal() {
            let quarter = Some(percent / 25);
            if quarter != sender.quarter {
                sender.quarter = quarter;
                let name = sender.name;
                self.screen.line(format_args!("{name}: {what} {percent} %"));
            }
        } else if self.editor.line().is_empty() {
            let (name, bar) = (sender.name, Bar(percent));
            self.screen
                .output
                .bottom(format_args!("{name}: {bar} {percent:>3} % {what}"));
        }
    }

    /// Takes input until there is none, or enough.
    fn input(&mut self, kernel: &mut impl Syscalls) {
        for _ in 0..INPUT_MAX {
            let Some(byte) = self.screen.key() else { break };
            match self.editor.take(byte) {
                Edit::None => {}
                Edit::Changed => self.show_input(),
                Edit::Cancelled => {
                    self.screen.output.bottom(format_args!("{PROMPT}^C"));
                    self.screen.output.keep_bottom();
                }
                Edit::Complete => self.enter(kernel),
            }
        }
    }

    /// Redraws what is being typed, at the bottom of a terminal.
    fn show_input(&mut self) {
        match self.editor.line() {
            "" => self.screen.output.clear_bottom(),
            line => self.screen.output.bottom(format_args!("{PROMPT}{line}")),
        }
    }

    /// Obeys the line that was typed.
    fn enter(&mut self, kernel: &mut impl Syscalls) {
        let Self {
            editor,
            repeats,
            screen,
            ..
        } = self;
        repeats.end(screen);
        screen.line(format_args!("{PROMPT}{}", editor.line()));
        match Command::parse(editor.line()) {
            Ok(None) => {}
            Ok(Some(command)) => {
                if let Err(refusal) = obey(kernel, self.source.as_ref(), command, screen) {
                    screen.line(format_args!("{}", Denied(refusal)));
                }
            }
            Err(error) => screen.line(format_args!("{error}")),
        }
        self.editor.clear();
    }
}

/// Shows what `command` asks for.
fn obey<S: Serial>(
    kernel: &mut impl Syscalls,
    source: Option<&Source<'_>>,
    command: Command<'_>,
    screen: &mut Screen<S>,
) -> Result<(), Refusal> {
    if command == Command::Help {
        show::help(screen);
        return Ok(());
    }
    let Some(source) = source else {
        screen.line(format_args!("the console has no grant to ask the manager"));
        return Ok(());
    };
    let mut show = Show {
        kernel,
        source,
        screen,
    };
    match command {
        Command::Help => Ok(()),
        Command::Components => show.components(),
        Command::Grants(of) => show.grants(of),
        Command::Log(count) => show.log(count),
        Command::Why(question) => show.why(&question),
        Command::Status => show.status(),
    }
}

impl<K: Syscalls, S: Serial> Component<K> for Console<'_, S> {
    fn init(&mut self, kernel: &mut K) {
        self.look(kernel);
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let Caller::Grant(from) = caller else {
            message.refuse(label::BAD_METHOD);
            return;
        };
        self.look(kernel);
        let mut buffer = [0; _];
        match method {
            api::WRITE => {
                let text = api::read_write(message, &mut buffer);
                self.write(kernel, from, text.unwrap_or("(a text that cannot be read)"));
            }
            api::PROGRESS => match api::read_progress(message, &mut buffer) {
                Some(progress) => self.progress(kernel, from, progress),
                None => self.write(kernel, from, "(a progress that cannot be read)"),
            },
            _ => {
                message.refuse(label::BAD_METHOD);
                return;
            }
        }
        message.reply(&[]);
    }

    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        if signals.contains(Signal::channel(self.channels.irq)) {
            self.look(kernel);
            self.input(kernel);
            self.screen.output.serial().acknowledge();
        }
    }
}

impl<S: Serial> Screen<S> {
    /// Writes a line.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) {
        self.output.line(text);
    }

    /// Whether ^C was typed since the command began. Other keys are kept for later.
    pub(crate) fn interrupted(&mut self) -> bool {
        let mut bytes = [0; 16];
        let read = self.output.serial().read(&mut bytes).min(bytes.len());
        for byte in &bytes[..read] {
            if interrupts(*byte) {
                self.typed.clear();
                return true;
            }
            // Typed too far ahead: the key is lost, as on any serial line.
            let _ = self.typed.push_back(*byte);
        }
        false
    }

    /// The next byte of input.
    fn key(&mut self) -> Option<u8> {
        self.typed.pop_front().or_else(|| {
            let mut byte = [0];
            (self.output.serial().read(&mut byte) == 1).then_some(byte[0])
        })
    }
}

impl<'p> Repeats<'p> {
    const fn new() -> Self {
        Self {
            sender: None,
            text: heapless::String::new(),
            name: "",
            count: 0,
        }
    }

    /// Whether the text came before, just now, from the same sender; counts it if so.
    fn again(&mut self, sender: GrantBadge, text: &str) -> bool {
        let again = self.sender == Some(sender) && self.text == text;
        self.count += u64::from(again);
        again
    }

    fn is_power_of_ten(&self) -> bool {
        self.count >= 10 && 10u64.pow(self.count.ilog10()) == self.count
    }

    fn show<S: Serial>(&self, screen: &mut Screen<S>) {
        let (name, count) = (self.name, self.count);
        let times = if count == 1 { "time" } else { "times" };
        screen.line(format_args!("{name}: (the same {count} more {times})"));
    }

    /// Says how often the last text came again, where that was not said.
    fn end<S: Serial>(&mut self, screen: &mut Screen<S>) {
        if self.count > 0 && !self.is_power_of_ten() {
            self.show(screen);
        }
        self.sender = None;
        self.count = 0;
    }

    fn start(&mut self, sender: GrantBadge, text: &str, name: &'p str) {
        self.text.clear();
        self.name = name;
        // A text longer than the interface allows is not compared: it never comes again.
        self.sender = self.text.push_str(text).is_ok().then_some(sender);
    }
}

/// A bar of twenty characters.
#[derive(Clone, Copy, Debug)]
struct Bar(u64);

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = (self.0 / 5) as usize;
        write!(f, "[{:#<done$}{:.<rest$}]", "", "", rest = 20 - done)
    }
}

#[cfg(test)]
mod tests;
