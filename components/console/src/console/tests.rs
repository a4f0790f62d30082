//! The console before a manager and a serial device that the tests play.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use ed25519_dalek::SigningKey;
use portcullis_kernel::{
    Badge, CPtr, CallGrant, Generation, Grant, MethodSet, Mode, Principal, ReplyObject, SendGrant,
    cspace,
};
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record, Time};
use portcullis_manager_api::{
    BootIdOrigin, Buffer, COMPONENT, ComponentView, FIND, Find, Found, GRANTS, GrantView, NO_MORE,
    NOT_PERMITTED, REASON, RECORD, Refused, STATUS, Status, UNAVAILABLE, WHY, Why,
};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{
    AllowedGrant, Domain, Interface, InterfaceMethod, Never, OnFault, Policy, PolicyError, When,
};
use proptest::prelude::*;

use super::*;
use crate::Terminal;

const CHANNELS: Channels = Channels { manager: 0, irq: 1 };
/// The signal of the serial device's interrupt.
const INPUT: Signals = Signals::new(1 << CHANNELS.irq);
const COMPONENTS: [(&str, &str); 4] = [
    ("manager", "manager"),
    ("console", "console"),
    ("ingest", "vault"),
    ("edge", "edge"),
];

const CONSOLE: u16 = 1;
const INGEST: u16 = 2;
const EDGE: u16 = 3;

/// The policy that the console maps: more than is in force.
fn policy() -> Draft<'static> {
    let methods = |interface, names: &[&'static str]| -> Vec<_> {
        let method = |(number, name): (u8, &&'static str)| InterfaceMethod {
            interface,
            method: Method::new(number).unwrap(),
            name,
        };
        (0..).zip(names).map(method).collect()
    };
    let inspect = methods(0, &["grants", "component", "record", "why", "status"]);
    let terminal = methods(1, &["write", "progress"]);
    let grant = |(subject, slot, object, interface), methods, line| AllowedGrant {
        grant: Grant {
            subject,
            slot,
            object,
            interface,
            methods: MethodSet(methods),
            mode: if interface == 0 {
                Mode::Call
            } else {
                Mode::Send
            },
        },
        notification: None,
        when: When::Boot,
        lease_ms: None,
        line,
    };
    Draft {
        name: "test",
        version: 7,
        domains: ["manager", "console", "vault", "edge"]
            .map(|name| Domain { name })
            .into(),
        interfaces: ["inspect", "terminal"]
            .map(|name| Interface { name })
            .into(),
        methods: [inspect, terminal].concat(),
        components: (0..)
            .zip(COMPONENTS)
            .map(|(domain, (name, _))| portcullis_policy_format::Component {
                name,
                domain,
                channel: None,
                on_fault: OnFault::Stop,
            })
            .collect(),
        nevers: [Never {
            from: EDGE,
            to: INGEST,
            line: 400,
        }]
        .into(),
        grants: [
            grant((CONSOLE, 1, 0, 0), 0b1_1111, 240),
            grant((INGEST, 2, CONSOLE, 1), 0b11, 249),
            grant((INGEST, 3, 0, 0), 0b1_0000, 180),
            grant((EDGE, 4, CONSOLE, 1), 0b1, 291),
        ]
        .into(),
        ..Draft::default()
    }
}

fn bytes() -> Vec<u8> {
    policy().sign(&SigningKey::from_bytes(&[7; 32]))
}

fn sha256() -> [u8; 32] {
    *Policy::inspect(&bytes()).unwrap().sha256()
}

/// Plays the manager, and keeps what was sent.
struct Kernel {
    grants: Vec<GrantView>,
    records: Vec<Record>,
    without_inspect: bool,
    refused: Option<Refused>,
    /// The policy in force is another than the console has.
    strange: bool,
    unsealed: bool,
    boot_id: BootIdOrigin,
    calls: usize,
    sent: Vec<Message>,
}

impl Kernel {
    fn new() -> Self {
        let in_force = [(0, CONSOLE, 1), (1, INGEST, 2), (3, EDGE, 4)];
        let grants = in_force.map(|(index, subject, slot)| {
            let mut allowed = policy().grants.into_iter().map(|it| (it.grant, it.line));
            let place = (subject, slot);
            let (grant, line) = allowed
                .find(|(it, _)| (it.subject, it.slot) == place)
                .unwrap();
            GrantView {
                index,
                generation: Generation::default(),
                grant,
                lease_ms: None,
                line,
            }
        });
        Self {
            grants: grants.into(),
            records: std::vec![
                record(
                    0,
                    Operation::Boot,
                    None,
                    Cause::Load {
                        policy: [1; 32],
                        system: [2; 32],
                        image: [3; 32],
                    }
                ),
                record(1, Operation::Mint, Some(1), Cause::Policy { line: 249 }),
                record(
                    2,
                    Operation::Deny,
                    Some(3),
                    Cause::Request {
                        by: Principal::component(EDGE),
                        line: Some(330)
                    },
                ),
                record(3, Operation::Seal, None, Cause::Complete { grants: 3 }),
            ],
            without_inspect: false,
            refused: None,
            strange: false,
            unsealed: false,
            boot_id: BootIdOrigin::Random,
            calls: 0,
            sent: Vec::new(),
        }
    }

    fn answer(&self, method: Method, message: &mut Message) -> Result<(), u64> {
        let mut buffer: Buffer = [0; _];
        let bad = label::BAD_REQUEST;
        match method {
            GRANTS => {
                let from: u16 = message.decode(&mut buffer).ok_or(bad)?;
                let grant = self.grants.iter().find(|grant| grant.index >= from);
                message.encode(label::OK, grant.ok_or(NO_MORE)?)
            }
            COMPONENT => {
                let number: u16 = message.decode(&mut buffer).ok_or(bad)?;
                COMPONENTS.get(usize::from(number)).ok_or(NO_MORE)?;
                let grants = self.grants.iter().map(|it| it.grant);
                let holds = |it: &Grant| it.subject == number;
                let serves = |it: &Grant| it.object == number;
                let view = ComponentView {
                    holds: grants.clone().filter(holds).count() as u32,
                    serves: grants.filter(serves).count() as u32,
                };
                message.encode(label::OK, &view)
            }
            RECORD => {
                let sequence: u64 = message.decode(&mut buffer).ok_or(bad)?;
                let record = self.records.get(sequence as usize);
                message.encode(label::OK, &record.ok_or(NO_MORE)?.encode().record())
            }
            WHY => {
                let Why { subject, slot } = message.decode(&mut buffer).ok_or(bad)?;
                let place = (subject, slot);
                let mut grants = self.grants.iter().map(|it| it.grant);
                let is_usable = grants.any(|it| (it.subject, it.slot) == place);
                message.encode(label::OK, &is_usable)
            }
            STATUS => {
                message.decode::<()>(&mut buffer).ok_or(bad)?;
                let status = Status {
                    version: 7,
                    sha256: if self.strange { [1; 32] } else { sha256() },
                    grants: self.grants.len() as u32,
                    components: COMPONENTS.len() as u16,
                    records: 1_234,
                    durable: 1_200,
                    sealed: !self.unsealed,
                    boot_id: self.boot_id,
                };
                message.encode(label::OK, &status)
            }
            _ => return Err(label::BAD_METHOD),
        }
        .map_err(|_| bad)
    }

    fn reason(&self, message: &mut Message) -> Result<(), u64> {
        let reason = self.refused.ok_or(label::BAD_METHOD)?;
        message
            .encode(label::OK, &reason)
            .map_err(|_| label::BAD_REQUEST)
    }

    fn find(&self, message: &mut Message) -> Result<(), u64> {
        if self.refused.is_some() {
            return Err(UNAVAILABLE);
        }
        let mut buffer: Buffer = [0; _];
        let find: Find<'_> = message.decode(&mut buffer).ok_or(label::BAD_REQUEST)?;
        let inspect = Find {
            object: "manager",
            interface: "inspect",
            mode: Mode::Call,
        };
        if self.without_inspect || find != inspect {
            return Err(NOT_PERMITTED);
        }
        let found = Found {
            slot: 1,
            methods: MethodSet(0x1f),
        };
        message
            .encode(label::OK, &found)
            .map_err(|_| label::BAD_REQUEST)
    }
}

fn record(sequence: u64, operation: Operation, grant: Option<u16>, cause: Cause) -> Record {
    let denied = operation == Operation::Deny;
    Record {
        sequence,
        boot: BootId([2; 16]),
        time: Time::default(),
        policy: 7,
        operation,
        grant: grant.map(|index| GrantFields {
            id: 1,
            index,
            generation: Generation::default(),
            grant: Grant {
                subject: if denied { EDGE } else { INGEST },
                slot: 1,
                object: if denied { 9 } else { CONSOLE },
                interface: 0,
                methods: MethodSet(1),
                mode: Mode::Send,
            },
            parent: None,
            lease_ms: None,
        }),
        cause,
        outcome: if denied {
            Outcome::Forbidden
        } else {
            Outcome::Done
        },
    }
}

impl Syscalls for Kernel {
    fn call(&mut self, to: CPtr, message: &mut Message) {
        self.calls += 1;
        let method = message.method().unwrap();
        let answer = if to == cspace::channel_endpoint(CHANNELS.manager) {
            match method {
                FIND => self.find(message),
                REASON => self.reason(message),
                _ => unreachable!("the console asks nothing else there"),
            }
        } else {
            assert_eq!(CallGrant(to), CallGrant(cspace::grant(1)));
            self.answer(method, message)
        };
        if let Err(code) = answer {
            message.refuse(code);
        }
    }

    fn send(&mut self, _to: CPtr, message: &Message) {
        self.sent.push(message.clone());
    }

    fn nb_send(&mut self, _to: CPtr, _message: &Message) {
        unreachable!("the console sends nothing");
    }

    fn signal(&mut self, _to: CPtr) {
        unreachable!("the console signals nobody");
    }

    fn recv(&mut self, _from: CPtr, _: ReplyObject, _message: &mut Message) -> Badge {
        unreachable!("the tests are the receive loop");
    }

    fn nb_recv(&mut self, _from: CPtr, _: ReplyObject, _message: &mut Message) -> Option<Badge> {
        unreachable!("the tests are the receive loop");
    }

    fn reply_recv(&mut self, _from: CPtr, _: ReplyObject, _message: &mut Message) -> Badge {
        unreachable!("the tests are the receive loop");
    }

    fn yield_now(&mut self) {}
}

#[derive(Default, Debug)]
struct Device {
    output: Vec<u8>,
    input: VecDeque<u8>,
    terminal: bool,
    acknowledged: usize,
}

#[derive(Clone, Default, Debug)]
struct Line(Rc<RefCell<Device>>);

impl Serial for Line {
    fn write(&mut self, text: &[u8]) {
        self.0.borrow_mut().output.extend_from_slice(text);
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut device = self.0.borrow_mut();
        let count = buffer.len().min(device.input.len());
        for (to, from) in buffer.iter_mut().zip(device.input.drain(..count)) {
            *to = from;
        }
        count
    }

    fn is_terminal(&self) -> bool {
        self.0.borrow().terminal
    }

    fn acknowledge(&mut self) {
        self.0.borrow_mut().acknowledged += 1;
    }
}

/// A console that has started, its kernel, and the other end of its line.
struct Bench {
    console: Console<'static, Line>,
    kernel: Kernel,
    line: Line,
}

impl Bench {
    fn new(kernel: Kernel, terminal: bool) -> Self {
        let line = Line::default();
        line.0.borrow_mut().terminal = terminal;
        let mut bench = Self {
            console: Console::new(CHANNELS, bytes().leak(), line.clone()),
            kernel,
            line,
        };
        bench.console.init(&mut bench.kernel);
        bench
    }

    fn started(terminal: bool) -> Self {
        let mut bench = Self::new(Kernel::new(), terminal);
        bench.output();
        bench
    }

    /// What was written since the last time.
    fn output(&mut self) -> String {
        String::from_utf8(core::mem::take(&mut self.line.0.borrow_mut().output)).unwrap()
    }

    fn receive(&mut self, badge: GrantBadge, message: &Message) -> String {
        let mut message = message.clone();
        let method = message.method().unwrap();
        self.console
            .call(&mut self.kernel, Caller::Grant(badge), method, &mut message);
        self.output()
    }

    /// Sends as a component does, through its client.
    fn send(&mut self, index: u16, send: impl FnOnce(&Terminal, &mut Kernel)) -> String {
        send(
            &Terminal::new(SendGrant(cspace::grant(2))),
            &mut self.kernel,
        );
        let message = self.kernel.sent.pop().unwrap();
        self.receive(badge(index, 0), &message)
    }

    fn say(&mut self, index: u16, text: &str) -> String {
        self.send(index, |terminal, kernel| {
            terminal.line(kernel, format_args!("{text}"));
        })
    }

    fn progress(&mut self, index: u16, what: &str, done: u64, total: u64) -> String {
        self.send(index, |terminal, kernel| {
            terminal.progress(kernel, what, done, total);
        })
    }

    fn key_in(&mut self, keys: &str) -> String {
        self.line.0.borrow_mut().input.extend(keys.bytes());
        while !self.line.0.borrow().input.is_empty() {
            self.console.notified(&mut self.kernel, INPUT);
        }
        self.output()
    }
}

fn badge(index: u16, generation: u16) -> GrantBadge {
    GrantBadge::new(index, Generation::new(generation).unwrap(), MethodSet(3)).unwrap()
}

#[test]
fn the_banner_shows_every_grant_in_an_aligned_table() {
    assert_eq!(
        Bench::new(Kernel::new(), false).output(),
        "\
Portcullis: policy test, version 7: 3 grants in force between 4 components

#  subject  mode  object   interface  methods                                 slot  line
0  console  call  manager  inspect    grants, component, record, why, status     1   240
1  ingest   send  console  terminal   write, progress                            2   249
3  edge     send  console  terminal   write                                      4   291

"
    );
}

#[test]
fn why_a_policy_was_refused_is_shown_and_once() {
    let kernel = Kernel {
        refused: Some(Refused::Policy(PolicyError::Signature)),
        ..Kernel::new()
    };
    let mut bench = Bench::new(kernel, false);
    assert_eq!(
        bench.output(),
        "Portcullis: the policy was refused, and nothing is granted in this boot: the policy's \
         signature does not verify\n"
    );
    assert_eq!(
        bench.key_in("status\n"),
        "> status\nthe console has no grant to ask the manager\n"
    );
}

#[test]
fn the_names_of_another_policy_are_not_believed() {
    let kernel = Kernel {
        strange: true,
        ..Kernel::new()
    };
    let mut bench = Bench::new(kernel, false);
    assert_eq!(
        bench.output(),
        "console: the policy at hand is not the one in force; names and grants are not shown\n"
    );
    assert_eq!(bench.say(1, "hello"), "unknown: hello\n");
    assert_eq!(
        bench.key_in("grants\n"),
        "> grants\nthe console has no grant to ask the manager\n"
    );
}

#[test]
fn what_waits_for_the_log_is_said_before_it_and_once() {
    let kernel = Kernel {
        unsealed: true,
        ..Kernel::new()
    };
    let mut bench = Bench::new(kernel, false);
    let waits = "Portcullis: policy test, version 7, is accepted; nothing else starts until the \
                 grant log is on the disk\n";
    assert_eq!(bench.output(), waits);
    assert_eq!(bench.say(1, "no disk"), "ingest: no disk\n");
    bench.kernel.unsealed = false;
    // Typed while the grants are shown: the interrupt is taken with the message.
    bench.line.0.borrow_mut().input.extend(b"help me\n");
    let then = bench.say(1, "a disk");
    assert!(then.starts_with("Portcullis: policy test, version 7: 3 grants in force"));
    let (_, then) = then.split_once("\n\n> help me\n").expect("it is obeyed");
    assert!(then.ends_with("\ningest: a disk\n"), "{then}");
    assert_eq!(bench.say(1, "on"), "ingest: on\n");
}

#[test]
fn a_boot_whose_id_is_not_random_is_said_to_be() {
    let kernel = Kernel {
        boot_id: BootIdOrigin::NoSource,
        ..Kernel::new()
    };
    let mut bench = Bench::new(kernel, false);
    let said = "Portcullis: policy test, version 7: 3 grants in force between 4 components\n\
                Portcullis: the id of this boot is not random: no source of randomness answers\n\n";
    assert!(bench.output().starts_with(said), "{}", bench.output());
    let status = bench.key_in("status\n");
    assert!(status.contains("\nboot id     not random: no source of randomness answers\n"));
}

#[test]
fn without_its_grant_the_console_says_so_and_shows_text() {
    let kernel = Kernel {
        without_inspect: true,
        ..Kernel::new()
    };
    let mut bench = Bench::new(kernel, false);
    assert_eq!(
        bench.output(),
        "console: cannot ask the manager: not permitted: no policy line allows it; names and grants \
         are not shown\n"
    );
    assert_eq!(bench.say(1, "hello"), "unknown: hello\n");
    assert_eq!(
        bench.key_in("status\n"),
        "> status\nthe console has no grant to ask the manager\n"
    );
}

#[test]
fn each_line_has_its_senders_name_from_the_badge() {
    let mut bench = Bench::started(false);
    assert_eq!(bench.say(1, "one\ntwo"), "ingest: one\ningest: two\n");
    assert_eq!(bench.say(3, "ingest: not true"), "edge: ingest: not true\n");
    let calls = bench.kernel.calls;
    bench.say(1, "three");
    assert_eq!(bench.kernel.calls, calls, "a name is asked for once");
    assert_eq!(bench.say(2, "who am I"), "unknown: who am I\n");
}

#[test]
fn a_name_belongs_to_one_generation() {
    let mut bench = Bench::started(false);
    bench.say(1, "before");
    bench.kernel.grants[1].generation = Generation::new(1).unwrap();
    bench.kernel.grants[1].grant.subject = EDGE;
    let message = {
        Terminal::new(SendGrant(cspace::grant(2))).line(&mut bench.kernel, format_args!("after"));
        bench.kernel.sent.pop().unwrap()
    };
    assert_eq!(bench.receive(badge(1, 1), &message), "edge: after\n");
}

#[test]
fn more_senders_than_names_are_kept() {
    let mut bench = Bench::started(false);
    for index in 100..300 {
        assert_eq!(
            bench.say(index, &index.to_string()),
            std::format!("unknown: {index}\n")
        );
    }
    assert_eq!(bench.say(1, "still"), "ingest: still\n");
}

#[test]
fn escape_sequences_do_not_reach_the_terminal() {
    let mut bench = Bench::started(true);
    assert_eq!(
        bench.say(3, "\u{1b}[2J\u{1b}[1;1H\rmanager: all is well"),
        "edge: \\x1b[2J\\x1b[1;1H\\x0dmanager: all is well\n"
    );
    assert_eq!(
        bench.progress(1, "\u{1b}[31mred", 1, 2),
        "\r\u{1b}[Kingest: [##########..........]  50 % \\x1b[31mred"
    );
}

#[test]
fn a_message_is_a_bounded_number_of_lines() {
    let mut bench = Bench::started(false);
    let shown = bench.say(1, &"\n".repeat(900));
    assert_eq!(shown.lines().count(), LINES_MAX + 1);
    assert!(
        shown.ends_with("ingest: (884 more lines left out)\n"),
        "{shown}"
    );
}

#[test]
fn text_that_repeats_is_counted() {
    let mut bench = Bench::started(false);
    let mut shown = String::new();
    for _ in 0..1 + 1_003 {
        shown += &bench.say(3, "spam");
    }
    assert_eq!(
        shown,
        "edge: spam\nedge: (the same 10 more times)\nedge: (the same 100 more times)\n\
         edge: (the same 1000 more times)\n"
    );
    assert_eq!(
        bench.say(1, "spam"),
        "edge: (the same 1003 more times)\ningest: spam\n"
    );
    assert_eq!(bench.say(1, "spam"), "");
    assert_eq!(
        bench.say(1, "else"),
        "ingest: (the same 1 more time)\ningest: else\n"
    );
}

#[test]
fn what_does_not_decode_is_said_and_not_shown() {
    let mut bench = Bench::started(false);
    let garbage = Message::request(api::WRITE, &[u64::MAX; 120]);
    assert_eq!(
        bench.receive(badge(1, 0), &garbage),
        "ingest: (a text that cannot be read)\n"
    );
    let garbage = Message::request(api::PROGRESS, &[3, 1]);
    assert_eq!(
        bench.receive(badge(1, 0), &garbage),
        "ingest: (a progress that cannot be read)\n"
    );
}

#[test]
fn a_static_channel_is_no_way_to_write() {
    let mut bench = Bench::started(false);
    let mut message = Message::request(api::WRITE, &[]);
    bench.console.call(
        &mut bench.kernel,
        Caller::Channel(3),
        api::WRITE,
        &mut message,
    );
    assert_eq!(message.outcome(), Err(Refusal::Object(label::BAD_METHOD)));
    assert_eq!(bench.output(), "");
}

#[test]
fn progress_is_quarters_where_there_is_no_terminal() {
    let mut bench = Bench::started(false);
    let mut shown = String::new();
    for done in 0..=64 {
        shown += &bench.progress(1, "film.mkv", done, 64);
    }
    assert_eq!(
        shown,
        "ingest: film.mkv 0 %\ningest: film.mkv 25 %\ningest: film.mkv 50 %\n\
         ingest: film.mkv 75 %\ningest: film.mkv 100 %\n"
    );
    assert_eq!(bench.progress(1, "next", 0, 9), "ingest: next 0 %\n");
    assert_eq!(bench.progress(1, "none", 0, 0), "ingest: none 100 %\n");
    assert_eq!(
        bench.progress(3, "more than all", u64::MAX, 1),
        "edge: more than all 100 %\n"
    );
    assert_eq!(
        bench.progress(3, "half", u64::MAX / 2 + 1, u64::MAX),
        "edge: half 50 %\n"
    );
}

#[test]
fn progress_is_redrawn_on_a_terminal_and_lines_go_above() {
    let mut bench = Bench::started(true);
    assert_eq!(
        bench.progress(1, "film.mkv", 1, 3),
        "\r\u{1b}[Kingest: [######..............]  33 % film.mkv"
    );
    assert_eq!(bench.say(3, "hello"), "\r\u{1b}[Kedge: hello\n");
    assert_eq!(bench.say(3, "again"), "edge: again\n");
}

#[test]
fn typing_is_echoed_below_what_others_say() {
    let mut bench = Bench::started(true);
    assert_eq!(bench.key_in("st"), "\r\u{1b}[K> s\r\u{1b}[K> st");
    assert_eq!(
        bench.say(1, "hello"),
        "\r\u{1b}[Kingest: hello\n\r\u{1b}[K> st"
    );
    assert_eq!(bench.progress(1, "film", 1, 2), "", "what is typed stays");
    assert_eq!(bench.key_in("\u{7f}\u{15}"), "\r\u{1b}[K> s\r\u{1b}[K");
    assert_eq!(bench.key_in("x\u{3}"), "\r\u{1b}[K> x\r\u{1b}[K> ^C\n");
    assert!(bench.key_in("help\r").contains("\r\u{1b}[K> help\nhelp  "));
}

#[test]
fn each_command_answers() {
    let mut bench = Bench::started(false);
    for (command, answer) in [
        (
            "components",
            "\u{20}#  component         domain            holds  serves
 0  manager           manager               0       1
 1  console           console               1       2
 2  ingest            vault                 1       0
 3  edge              edge                  1       0
",
        ),
        (
            "grants edge",
            "\
#  subject  mode  object   interface  methods  slot  line
3  edge     send  console  terminal   write       4   291
",
        ),
        (
            "grants nobody",
            "the policy has no component 'nobody'; `components` lists them\n",
        ),
        (
            "why ingest console write",
            "allowed: policy line 249; the grant is in force\n",
        ),
        (
            "why ingest console terminal.progress",
            "allowed: policy line 249; the grant is in force\n",
        ),
        (
            "why ingest manager status",
            "unavailable: policy line 180 allows it, but the grant is not in force\n",
        ),
        (
            "why edge ingest write",
            "forbidden: the rule at policy line 400 says never\n",
        ),
        (
            "why a b c",
            "the policy has no component 'a'; `components` lists them\n",
        ),
        (
            "why ingest consol write",
            "the policy has no component 'consol'; did you mean 'console'?\n",
        ),
        (
            "why ingest console wrote",
            "the policy has no method 'wrote'; did you mean 'write'?\n",
        ),
        (
            "why ingest console inspct.write",
            "the policy has no interface 'inspct'; did you mean 'inspect'?\n",
        ),
        (
            "why console manager terminal.write",
            "not permitted: no policy line allows it\n",
        ),
        (
            "why ingest console inspect.write",
            "the policy has no method 'write'; `portcullis ceiling` lists them\n",
        ),
        (
            "status",
            "\
policy      test, version 7
components  4
grants      3 in force
grant log   1,234 records since boot, 1,200 durable
boot id     random
",
        ),
        ("log x", "usage: log [N]\n"),
        ("", ""),
    ] {
        let shown = bench.key_in(&std::format!("{command}\n"));
        assert_eq!(shown, std::format!("> {command}\n{answer}"));
    }
    assert!(
        bench
            .key_in("reboot\n")
            .contains("there is no command 'reboot'. There are: help,")
    );
}

#[test]
fn the_log_is_shown_with_names() {
    let mut bench = Bench::started(false);
    let shown = bench.key_in("log 1234\u{3}\n");
    assert_eq!(shown, "> \n", "^C gives the line up");
    let shown = bench.key_in("log 1234\n");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[1..7],
        [
            "record  operation    grant  subject       mode    object        outcome, cause",
            "     0  boot                                                    done, version 7",
            "     1  mint           1.0  ingest        send    console       done, line 249",
            "     2  deny           3.0  edge          send    #9            forbidden, asked by edge, line 330",
            "     3  seal                                                    done, 3 grants",
            "     4  no longer in the manager's memory: see portcullis log show",
        ]
    );
    assert_eq!(lines.len(), 2 + 1_234);
}

#[test]
fn a_long_answer_is_stopped_and_what_was_typed_meanwhile_is_kept() {
    let mut bench = Bench::started(false);
    // The keys after the line feed are there when the command looks whether it is to stop.
    assert!(
        bench
            .key_in("log 1000\nhelp me\n")
            .ends_with("> help me\nusage: help\n")
    );
    let shown = bench.key_in("log 1000\n\u{3}");
    assert_eq!(shown.lines().last(), Some("stopped"));
    assert_eq!(shown.lines().count(), 3);
}

#[test]
fn input_is_taken_in_bounded_amounts() {
    let mut bench = Bench::started(false);
    bench
        .line
        .0
        .borrow_mut()
        .input
        .extend([b'x'; INPUT_MAX + 1]);
    bench.console.notified(&mut bench.kernel, INPUT);
    assert_eq!(bench.line.0.borrow().input.len(), 1);
    assert_eq!(bench.line.0.borrow().acknowledged, 1);
    bench
        .console
        .notified(&mut bench.kernel, Signals::new(!(1 << CHANNELS.irq)));
    assert_eq!(
        bench.line.0.borrow().input.len(),
        1,
        "another bit is not the device's"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever components send and people type, what reaches a log is printable lines.
    #[test]
    fn any_message_and_any_input_give_plain_lines(
        words in prop::collection::vec(any::<u64>(), 0..=120),
        text in any::<String>(),
        method in 0u8..4,
        keys in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut bench = Bench::started(false);
        let mut shown = bench.receive(badge(1, 0), &Message::request(Method::new(method).unwrap(), &words));
        shown += &bench.say(3, &text);
        bench.line.0.borrow_mut().input.extend(keys);
        bench.console.notified(&mut bench.kernel, INPUT);
        shown += &bench.output();
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}
