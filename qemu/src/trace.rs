//! What a board did, for whoever asks why a test of it failed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::panic;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::root;

/// Lines that are kept, of both directions: more than any test's last answer has.
const KEPT: usize = 200;
/// What QEMU is asked: whether it runs, and what it runs.
const QUESTIONS: [&str; 2] = ["info status", "info registers"];
/// The monitor's socket.
const MONITOR: &str = "monitor";
/// Longer than a QEMU that lives takes to answer, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// What the last board did that ended in this thread: the test may yet fail on it.
    static ENDED: RefCell<Option<Account>> = const { RefCell::new(None) };
}

/// QEMU's command, what its test says of itself, and the last lines to it and from it.
#[derive(Debug)]
pub(crate) struct Account {
    name: String,
    text: String,
}

/// What there is to say of a board, and the monitor of its QEMU.
#[derive(Debug)]
pub(crate) struct Trace {
    name: String,
    /// A folder of this user alone, with the monitor's socket: who reaches it is as powerful as QEMU.
    folder: TempDir,
    command: String,
    note: String,
    lines: VecDeque<String>,
}

impl Trace {
    /// The trace of QEMU, which is given a monitor to ask.
    pub(crate) fn new(command: &mut Command) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("portcullis-{}-{count}", process::id());
        let folder = TempDir::new()?;
        let socket = folder.path().join(MONITOR);
        let monitor = format!(
            "socket,id=trace,path={},server=on,wait=off",
            socket.display()
        );
        command.args(["-chardev", &monitor, "-mon", "chardev=trace,mode=control"]);
        Ok(Self {
            command: format!("{command:?}"),
            name,
            folder,
            note: String::new(),
            lines: VecDeque::new(),
        })
    }

    /// Says what the test is about to do, in place of what was said before.
    pub(crate) fn note(&mut self, note: String) {
        self.note = note;
    }

    /// Takes a line down; `from` is `<` for one of QEMU's, `>` for one to it.
    pub(crate) fn line(&mut self, from: char, line: &str) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{from} {line}"));
    }

    /// What there is to say so far.
    pub(crate) fn account(&self) -> Account {
        let Self {
            name,
            command,
            note,
            lines,
            ..
        } = self;
        let mut text = format!("{note}\n\n{command}\n\n");
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        let name = name.clone();
        Account { name, text }
    }

    /// How QEMU stands.
    pub(crate) fn state(&self) -> String {
        self.ask()
            .unwrap_or_else(|error| format!("QEMU does not say how it stands: {error}"))
    }

    /// What QEMU's monitor says.
    fn ask(&self) -> io::Result<String> {
        let mut stream = UnixStream::connect(self.folder.path().join(MONITOR))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut answers = BufReader::new(stream.try_clone()?).lines();
        let mut text = String::new();
        writeln!(stream, r#"{{"execute": "qmp_capabilities"}}"#)?;
        for question in QUESTIONS {
            let arguments = format!(r#"{{"command-line": "{question}"}}"#);
            writeln!(
                stream,
                r#"{{"execute": "human-monitor-command", "arguments": {arguments}}}"#
            )?;
            let _ = writeln!(text, "{question}");
            // Before it come the greeting, the answer to the first command, and events.
            let answer = loop {
                let line = answers.next().ok_or(io::ErrorKind::UnexpectedEof)??;
                let value: serde_json::Value = serde_json::from_str(&line)?;
                if let Some(answer) = value["return"].as_str() {
                    break answer.replace('\r', "");
                }
            };
            text += &answer;
        }
        Ok(text)
    }
}

impl Account {
    /// Writes it to a file, which is named, with why and how QEMU stands.
    pub(crate) fn leave(&self, why: &str, state: &str) -> String {
        match self.write(why, state) {
            Ok(path) => format!("what the board did is in {}", path.display()),
            Err(error) => format!("what the board did cannot be written down: {error}"),
        }
    }

    fn write(&self, why: &str, state: &str) -> io::Result<PathBuf> {
        let path = self.path()?;
        fs::write(&path, format!("{why}\n\n{}\n{state}\n", self.text))?;
        Ok(path)
    }

    pub(crate) fn path(&self) -> io::Result<PathBuf> {
        let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let folder = root().join(target).join("qemu");
        fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{}.txt", self.name)))
    }

    /// Keeps it for [`leave_ended`].
    pub(crate) fn keep(self) {
        ENDED.set(Some(self));
    }
}

/// Leaves what the last board did that ended in this thread, in a file, which is named. `None`: there is
/// none, or that was done.
pub fn leave_ended(why: &str) -> Option<String> {
    let account = ENDED.take()?;
    Some(account.leave(why, "QEMU had ended before"))
}

/// From now on a thread that panics leaves that too.
pub(crate) fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            report(panic);
            if let Some(left) = leave_ended(&panic.to_string()) {
                eprintln!("{left}");
            }
        }));
    });
}
