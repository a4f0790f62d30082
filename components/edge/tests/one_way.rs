//! From the vault's released objects to the edge's list, on the model kernel.

use std::cell::RefCell;
use std::rc::Rc;

use ed25519_dalek::SigningKey;
use portcullis_console::{Channels, Console, Serial};
use portcullis_edge::{Edge, LISTED_MAX, Regions};
use portcullis_kernel::{
    Caller, Component, Generation, Grant, GrantBadge, Message, Method, MethodSet, Mode, Region,
    RegionMut, Syscalls, label,
};
use portcullis_manager_api::{
    BootIdOrigin, Buffer, FIND, Find, Found, GRANTS, GrantView, NOT_PERMITTED, SIGNAL, STATUS,
    Status,
};
use portcullis_model::ObjectId;
use portcullis_model::testing::{Direct, Machine, ProtectionDomain, SharedRegion};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{Domain, OnFault, Policy};
use portcullis_publish::Publish;
use portcullis_publish::stream::{POSITION, RING_MIN, RING_OFFSET};
use portcullis_vault::api::{self as vault, ObjectView, digest_from_words};
use sha2::{Digest, Sha256};

/// Plays the manager: says where grants lie, and whose they are.
struct Manager {
    /// Channel of who holds it, object, interface, mode, slot.
    grants: Vec<(u8, &'static str, &'static str, Mode, u16)>,
    /// Whether it says which signals they set.
    has_signals: bool,
}

/// A policy that names the holders of grants of the console: by their numbers, which are the indices.
fn policy() -> Vec<u8> {
    let component = |name| portcullis_policy_format::Component {
        name,
        domain: 0,
        channel: None,
        on_fault: OnFault::Stop,
    };
    let draft = Draft {
        name: "holders",
        version: 1,
        domains: [Domain { name: "all" }].into(),
        components: ["publish", "edge"].map(component).into(),
        ..Draft::default()
    };
    draft.sign(&SigningKey::from_bytes(&[1; 32]))
}

impl<K: Syscalls> Component<K> for Manager {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, caller: Caller, method: Method, message: &mut Message) {
        let mut buffer: Buffer = [0; _];
        let code = match (caller, method) {
            (Caller::Channel(channel), FIND) => {
                let wanted: Find<'_> = message.decode(&mut buffer).unwrap();
                let found = self
                    .grants
                    .iter()
                    .find(|(holder, object, interface, mode, _)| {
                        (*holder, *object, *interface, *mode)
                            == (channel, wanted.object, wanted.interface, wanted.mode)
                    });
                let methods = MethodSet(u32::MAX);
                match found.map(|(.., slot)| Found {
                    slot: *slot,
                    methods,
                }) {
                    Some(found) => return message.encode(label::OK, &found).unwrap(),
                    None => NOT_PERMITTED,
                }
            }
            // Every grant here sets bit 0.
            (Caller::Channel(_), SIGNAL) if self.has_signals => {
                return message.encode(label::OK, &0_u8).unwrap();
            }
            (Caller::Channel(_), SIGNAL) => NOT_PERMITTED,
            (Caller::Grant(_), GRANTS) => {
                let index: u16 = message.decode(&mut buffer).unwrap();
                let view = GrantView {
                    index,
                    generation: Generation::default(),
                    grant: Grant {
                        subject: index,
                        slot: 1,
                        object: 1,
                        interface: 0,
                        methods: MethodSet(1),
                        mode: Mode::Send,
                    },
                    lease_ms: None,
                    line: 1,
                };
                return message.encode(label::OK, &view).unwrap();
            }
            (Caller::Grant(_), STATUS) => {
                let status = Status {
                    version: 1,
                    sha256: *Policy::inspect(&policy()).unwrap().sha256(),
                    grants: 2,
                    components: 2,
                    records: 0,
                    durable: 0,
                    sealed: false,
                    boot_id: BootIdOrigin::Random,
                };
                return message.encode(label::OK, &status).unwrap();
            }
            _ => label::BAD_METHOD,
        };
        message.refuse(code);
    }
}

/// Released objects: name and content.
type Objects = Rc<RefCell<Vec<(String, Vec<u8>)>>>;

/// Plays the vault: gives out objects that are released.
struct Vault {
    objects: Objects,
    buffer: SharedRegion,
    /// Objects whose bytes end here are damaged.
    damaged_at: Option<u64>,
}

impl<K: Syscalls> Component<K> for Vault {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, method: Method, message: &mut Message) {
        let objects = self.objects.borrow();
        match method {
            vault::RELEASED => {
                let cursor: u64 = message.decode(&mut [0; _]).unwrap();
                let Some((name, content)) = objects.get(cursor as usize) else {
                    return message.refuse(vault::NO_MORE);
                };
                let view = ObjectView {
                    next: cursor + 1,
                    digest: Sha256::digest(content).into(),
                    size: content.len() as u64,
                    references: 1,
                    name,
                };
                message.encode(label::OK, &view).unwrap();
            }
            vault::READ => {
                let &[a, b, c, d, offset, length] = message.words() else {
                    return message.refuse(label::BAD_REQUEST);
                };
                if self.damaged_at.is_some_and(|at| offset + length > at) {
                    return message.refuse(vault::DAMAGED);
                }
                let digest = digest_from_words(&[a, b, c, d]);
                let is_it = |content: &[u8]| <[u8; 32]>::from(Sha256::digest(content)) == digest;
                let (_, content) = objects.iter().find(|(_, content)| is_it(content)).unwrap();
                let bytes = &content[offset as usize..][..length as usize];
                self.buffer.write(0, bytes).unwrap();
                message.reply(&[length]);
            }
            _ => message.refuse(label::BAD_METHOD),
        }
    }
}

#[derive(Clone, Default)]
struct Screen(Rc<RefCell<Vec<u8>>>);

impl Serial for Screen {
    fn write(&mut self, text: &[u8]) {
        self.0.borrow_mut().extend_from_slice(text);
    }

    fn read(&mut self, _: &mut [u8]) -> usize {
        0
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

/// The reference appliance between vault and edge, with the priorities of `system.xml`.
struct Appliance {
    machine: Machine,
    objects: Objects,
    screen: Screen,
    stream: SharedRegion,
    publish: ProtectionDomain,
    /// The notification that publish signals.
    feed: ObjectId,
    edge: Rc<RefCell<Edge<Direct>>>,
}

/// What a test changes of the appliance.
struct Setup {
    ring: usize,
    damaged_at: Option<u64>,
    without: Option<&'static str>,
    /// Whether the edge is below publish, so that nothing paces the stream.
    edge_below: bool,
    /// Whether the manager says which signals its grants set.
    has_signals: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            ring: RING_MIN + 8,
            damaged_at: None,
            without: None,
            edge_below: false,
            has_signals: true,
        }
    }
}

impl Appliance {
    fn start(objects: &[(&str, Vec<u8>)], setup: &Setup) -> Self {
        let machine = Machine::new();
        let edge_priority = if setup.edge_below { 90 } else { 120 };
        let [manager, vault, console, edge, publish] =
            [200, 140, 130, edge_priority, 110].map(|priority| machine.protection_domain(priority));
        for (client, id) in [(&console, 4), (&edge, 5), (&publish, 6)] {
            machine.channel(client, 0, &manager, id);
        }
        let badge =
            |index| GrantBadge::new(index, Generation::default(), MethodSet(u32::MAX)).unwrap();
        machine.call_grant(&console, 1, &manager, badge(9));
        machine.call_grant(&publish, 1, &vault, badge(8));
        machine.send_grant(&publish, 2, &console, badge(0));
        machine.notify_grant(&publish, 3, &edge, 0);
        machine.send_grant(&edge, 1, &console, badge(1));

        let mut grants = vec![
            (4, "manager", "inspect", Mode::Call, 1),
            (6, "vault", "objects", Mode::Call, 1),
            (6, "console", "terminal", Mode::Send, 2),
            (6, "edge", "feed", Mode::Stream, 3),
            (5, "console", "terminal", Mode::Send, 1),
        ];
        grants.retain(|grant| Some(grant.1) != setup.without);
        let has_signals = setup.has_signals;
        machine.start(
            manager.thread,
            Manager {
                grants,
                has_signals,
            },
        );

        let screen = Screen::default();
        let channels = Channels { manager: 0, irq: 1 };
        machine.start(
            console.thread,
            Console::new(channels, policy().leak(), screen.clone()),
        );
        screen.0.borrow_mut().clear();
        let objects = objects
            .iter()
            .map(|(name, content)| (String::from(*name), content.clone()))
            .collect();
        let objects = Rc::new(RefCell::new(objects));
        let buffer = SharedRegion::new(5_000);
        let stream = SharedRegion::new(RING_OFFSET + setup.ring);
        machine.start(
            vault.thread,
            Vault {
                objects: objects.clone(),
                buffer: buffer.clone(),
                damaged_at: setup.damaged_at,
            },
        );
        let feed = edge.notification;
        let regions = Regions::<Direct> {
            publish_edge: stream.read_only(),
        };
        let edge = machine.start(edge.thread, Edge::new(0, regions));
        let regions = portcullis_publish::Regions::<Direct> {
            vault_publish: buffer.read_only(),
            publish_edge: stream.clone(),
        };
        machine.start(publish.thread, Publish::new(0, regions));
        machine.run();
        Self {
            machine,
            objects,
            screen,
            stream,
            publish,
            feed,
            edge,
        }
    }

    /// What was shown since the last time.
    fn shown(&self) -> String {
        self.machine.run();
        String::from_utf8(self.screen.0.take()).unwrap()
    }

    fn release(&self, name: &str, content: &[u8]) {
        let object = (String::from(name), content.to_vec());
        self.objects.borrow_mut().push(object);
        self.machine.interrupt(self.publish.notification, 1);
    }

    fn listed(&self) -> Vec<(String, u64)> {
        let edge = self.edge.borrow();
        let listed = edge.listed().iter();
        listed
            .map(|object| (object.path.to_string(), object.size))
            .collect()
    }
}

fn noise(size: usize) -> Vec<u8> {
    (0..size as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn names(listed: &[(String, u64)]) -> Vec<&str> {
    listed.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn released_objects_of_any_size_arrive_whole() {
    let sizes = [
        0,
        1,
        4_095,
        4_096,
        4_097,
        4_999,
        5_000,
        5_001,
        RING_MIN,
        10 * RING_MIN + 3,
    ];
    let objects: Vec<(String, Vec<u8>)> = sizes
        .iter()
        .map(|size| (format!("public/{size}"), noise(*size)))
        .collect();
    let borrowed: Vec<(&str, Vec<u8>)> = objects
        .iter()
        .map(|(name, content)| (name.as_str(), content.clone()))
        .collect();
    let appliance = Appliance::start(&borrowed, &Setup::default());
    let expected: Vec<(String, u64)> = objects
        .iter()
        .map(|(name, content)| (name.clone(), content.len() as u64))
        .collect();
    assert_eq!(appliance.listed(), expected);
    let shown = appliance.shown();
    assert!(
        shown.contains("edge: 10 objects listed, 0 damaged, 0 lost\n"),
        "{shown}"
    );
    assert!(
        shown.contains("publish: 10 objects published, 117,932 B"),
        "{shown}"
    );
}

#[test]
fn each_object_is_said_in_an_aligned_line() {
    let objects = [
        ("public/report.pdf", noise(1_234)),
        ("public/empty", vec![]),
        ("public/a name of more than thirty-six characters", noise(7)),
    ];
    let appliance = Appliance::start(&objects, &Setup::default());
    let digest = |content: &[u8]| -> String {
        let digest = Sha256::digest(content);
        digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let [a, b, c] = objects.map(|(_, content)| digest(&content));
    assert_eq!(b, "e3b0c442");
    assert_eq!(
        appliance.shown(),
        format!(
            "\
edge: public/report.pdf                            1,234 B  sha256 {a}  verified
edge: public/empty                                     0 B  sha256 e3b0c442  verified
edge: public/a name of more than thirty-six characters             7 B  sha256 {c}  verified
edge: 3 objects listed, 0 damaged, 0 lost
publish: 3 objects published, 1,241 B
"
        )
    );
}

#[test]
fn each_object_is_published_once_a_boot() {
    let appliance = Appliance::start(&[("public/a", noise(3))], &Setup::default());
    appliance.shown();
    appliance.release("public/b", &noise(4));
    let shown = appliance.shown();
    assert!(!shown.contains("public/a"), "{shown}");
    assert!(
        shown.contains("edge: 1 object listed, 0 damaged, 0 lost\n"),
        "{shown}"
    );
    appliance
        .machine
        .interrupt(appliance.publish.notification, 1);
    assert_eq!(appliance.shown(), "", "a round of nothing says nothing");
    assert_eq!(names(&appliance.listed()), ["public/a", "public/b"]);
}

#[test]
fn an_object_that_the_vault_cannot_read_takes_no_other_with_it() {
    let setup = Setup {
        damaged_at: Some(6_000),
        ..Setup::default()
    };
    let objects = [("public/large", noise(9_000)), ("public/small", noise(10))];
    let appliance = Appliance::start(&objects, &setup);
    let shown = appliance.shown();
    for line in [
        "publish: public/large: not published: it is damaged in the vault, whose own line says where",
        "edge: public/large: damaged, not listed: cut off after 5,000 of 9,000 B",
        "edge: 1 object listed, 1 damaged, 0 lost",
        "publish: 1 object published, 10 B; 1 not",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert_eq!(names(&appliance.listed()), ["public/small"]);
}

#[test]
fn a_name_that_cannot_go_out_is_passed_over() {
    let objects = [("public/../etc", noise(3)), ("public/b", noise(4))];
    let appliance = Appliance::start(&objects, &Setup::default());
    let shown = appliance.shown();
    assert!(
        shown.contains(
            "publish: a released object is passed over: the name has '.' or '..' at byte 7"
        ),
        "{shown}"
    );
    assert_eq!(names(&appliance.listed()), ["public/b"]);
}

#[test]
fn without_pacing_objects_are_lost_and_said_to_be() {
    let setup = Setup {
        edge_below: true,
        ..Setup::default()
    };
    let objects = [
        ("public/a", noise(3)),
        ("public/b", noise(20_000)),
        ("public/c", noise(4)),
    ];
    let appliance = Appliance::start(&objects, &setup);
    let shown = appliance.shown();
    assert!(
        shown.contains("edge: part of the stream is lost: "),
        "{shown}"
    );
    assert_eq!(names(&appliance.listed()), Vec::<&str>::new());
    // The next round says how much was lost with that part, and is whole itself.
    appliance.release("public/d", &noise(5));
    let shown = appliance.shown();
    assert!(
        shown.contains("edge: 1 object listed, 0 damaged, 3 lost\n"),
        "{shown}"
    );
    assert_eq!(names(&appliance.listed()), ["public/d"]);
}

#[test]
fn a_hostile_writer_makes_the_edge_say_so_and_nothing_else() {
    let setup = Setup {
        ring: 10 * RING_MIN,
        ..Setup::default()
    };
    let appliance = Appliance::start(&[("public/a", noise(300))], &setup);
    appliance.shown();
    let before = appliance.listed();
    let end = appliance.stream.load(POSITION).unwrap();
    let mut stream = appliance.stream.clone();
    for position in [end + 64, 0, u64::MAX, end] {
        stream
            .write(RING_OFFSET + end as usize, &noise(64))
            .unwrap();
        stream.store(POSITION, position).unwrap();
        appliance.machine.interrupt(appliance.feed, 1);
        let shown = appliance.shown();
        assert_eq!(shown.lines().count(), 1, "{position}: {shown}");
        assert!(
            shown.starts_with("edge: part of the stream is lost: "),
            "{shown}"
        );
    }
    assert_eq!(appliance.listed(), before);
}

#[test]
fn a_missing_grant_is_one_clear_line() {
    for (without, line) in [
        (
            "vault",
            "publish: nothing is published: no grant to vault: not permitted: no policy line allows it\n",
        ),
        (
            "edge",
            "publish: nothing is published: no grant to edge: not permitted: no policy line allows it\n",
        ),
        ("console", ""),
    ] {
        let setup = Setup {
            without: Some(without),
            ..Setup::default()
        };
        let appliance = Appliance::start(&[("public/a", noise(3))], &setup);
        assert_eq!(appliance.shown(), line);
        let expected: &[&str] = if without == "console" {
            &["public/a"]
        } else {
            &[]
        };
        assert_eq!(names(&appliance.listed()), expected);
    }
}

/// What waits for a signal waits for ever: that is not to be found out by waiting.
#[test]
fn a_refused_signal_is_one_clear_line() {
    let setup = Setup {
        has_signals: false,
        ..Setup::default()
    };
    let appliance = Appliance::start(&[], &setup);
    let why = "not permitted: no policy line allows it";
    let lines = [
        format!("edge: no signal from publish: {why}\n"),
        format!("publish: no signal from ingest: {why}\n"),
    ];
    assert_eq!(appliance.shown(), lines.concat());
}

#[test]
fn a_region_too_small_for_a_stream_is_said() {
    let setup = Setup {
        ring: RING_MIN - 1,
        ..Setup::default()
    };
    let appliance = Appliance::start(&[("public/a", noise(3))], &setup);
    let shown = appliance.shown();
    assert!(
        shown.contains("edge: nothing is listed: no stream to read: "),
        "{shown}"
    );
    assert!(
        shown.contains("publish: nothing is published: no stream to edge: "),
        "{shown}"
    );
}

#[test]
fn the_list_is_bounded_and_says_so() {
    let objects: Vec<(String, Vec<u8>)> = (0..LISTED_MAX + 2)
        .map(|index| (format!("public/{index}"), vec![]))
        .collect();
    let borrowed: Vec<(&str, Vec<u8>)> = objects
        .iter()
        .map(|(name, content)| (name.as_str(), content.clone()))
        .collect();
    let appliance = Appliance::start(&borrowed, &Setup::default());
    let shown = appliance.shown();
    assert!(
        shown.contains("edge: public/256: not listed: the list has room for 256 objects\n"),
        "{shown}"
    );
    assert!(
        shown.contains("edge: 256 objects listed, 0 damaged, 0 lost\n"),
        "{shown}"
    );
    assert_eq!(appliance.listed().len(), LISTED_MAX);
}
