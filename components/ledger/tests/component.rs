//! The ledger and the disk driver on the model kernel, over their grants and their regions.

use std::{cell::RefCell, rc::Rc};

use ed25519_dalek::SigningKey;
use portcullis_blk::{
    Blk, Header, initialise,
    testing::{FaultyDisk, Finder, Transcript},
};
use portcullis_kernel::{
    CallGrant, Caller, Component, Generation, GrantBadge, Message, Method, MethodSet, NotifyGrant,
    Refusal, Region, label,
};
use portcullis_ledger::{
    ENTRY_MAX, Ledger, Regions,
    api::{self, Client},
};
use portcullis_log::{
    BootId, Cause, Operation, Outcome, Record, Time,
    block::{LogId, LogKind},
    merkle::{Frontier, leaf_hash, proof::verify_inclusion},
    ring::{ACKNOWLEDGED, Writer},
};
use portcullis_manager_api::{DURABLE, NOT_PERMITTED, SIGNAL};
use portcullis_model::testing::{Direct, Machine, ReadOnlyRegion, SharedRegion};

const SEED: [u8; 32] = [0x44; 32];
const ID: [u8; 16] = *b"a disk for tests";

type Disk = Rc<RefCell<FaultyDisk>>;

/// One boot: manager's stand-in, console, driver, ledger, and a client with every method.
struct Boot {
    machine: Machine,
    client: Direct,
    grant: CallGrant,
    doorbell: NotifyGrant,
    ring: Writer<SharedRegion, ReadOnlyRegion>,
    acknowledgement: SharedRegion,
    console: Transcript,
    console_calls: Calls,
    manager_calls: Calls,
}

fn new_disk(blocks: u64) -> Disk {
    let mut disk = FaultyDisk::new(blocks);
    initialise(&mut disk, &Header::new(blocks, ID).unwrap()).unwrap();
    Rc::new(RefCell::new(disk))
}

fn grant(index: u16) -> GrantBadge {
    GrantBadge::new(index, Generation::default(), MethodSet(0xff)).unwrap()
}

/// Passes calls on, and notes each, with how many records are acknowledged at that moment.
struct Watched<C> {
    inner: C,
    acknowledgement: SharedRegion,
    calls: Calls,
}

type Calls = Rc<RefCell<Vec<(Method, u64)>>>;

impl<C: Component<Direct>> Component<Direct> for Watched<C> {
    fn init(&mut self, _: &mut Direct) {}

    fn call(&mut self, kernel: &mut Direct, from: Caller, method: Method, message: &mut Message) {
        let acknowledged = self.acknowledgement.load(ACKNOWLEDGED).unwrap();
        self.calls.borrow_mut().push((method, acknowledged));
        self.inner.call(kernel, from, method, message);
    }
}

/// A manager that knows no signal.
struct WithoutSignals(Finder);

impl Component<Direct> for WithoutSignals {
    fn init(&mut self, _: &mut Direct) {}

    fn call(&mut self, kernel: &mut Direct, from: Caller, method: Method, message: &mut Message) {
        if method == SIGNAL {
            return message.refuse(NOT_PERMITTED);
        }
        self.0.call(kernel, from, method, message);
    }
}

fn boot(disk: &Disk) -> Boot {
    boot_after(disk, 0)
}

/// A boot where the manager pushed so many records before the ledger ran.
fn boot_after(disk: &Disk, records: u64) -> Boot {
    boot_with(disk, records, |finder| finder)
}

/// A boot with this manager.
fn boot_with<M: Component<Direct> + 'static>(
    disk: &Disk,
    records: u64,
    manager_of: impl FnOnce(Finder) -> M,
) -> Boot {
    let machine = Machine::new();
    let [manager, blk, ledger, console, client] =
        [200, 160, 150, 130, 100].map(|priority| machine.protection_domain(priority));
    let grants = vec![(1, "console", 1), (2, "blk", 1), (2, "console", 2)];
    machine.channel(&blk, 0, &manager, 1);
    machine.channel(&ledger, 0, &manager, 2);
    machine.send_grant(&blk, 1, &console, grant(1));
    machine.call_grant(&ledger, 1, &blk, grant(2));
    machine.send_grant(&ledger, 2, &console, grant(3));
    let grant_to_client = machine.call_grant(&client, 1, &ledger, grant(4));
    let doorbell = machine.notify_grant(&client, 2, &ledger, Finder::SIGNAL);
    let region = |size| SharedRegion::new(size);
    let (ring, acknowledgement, buffer) = (region(0x20000), region(0x1000), region(0x40000));
    let (console_calls, manager_calls) = (Calls::default(), Calls::default());
    let acknowledged = acknowledgement.clone();
    let said = Transcript::default();
    let asked = Watched {
        inner: manager_of(Finder { grants }),
        acknowledgement: acknowledged.clone(),
        calls: manager_calls.clone(),
    };
    machine.start(manager.thread, asked);
    let screen = Watched {
        inner: said.clone(),
        acknowledgement: acknowledged,
        calls: console_calls.clone(),
    };
    machine.start(console.thread, screen);
    let memory = Box::leak(Box::default());
    let regions = portcullis_blk::Regions::<Direct> {
        vault_disk: region(0x1000),
        ledger_disk: buffer.clone(),
    };
    machine.start(blk.thread, Blk::new(0, disk.clone(), regions, memory));
    let memory = Box::leak(Box::default());
    let regions = Regions::<Direct> {
        grant_log: ring.read_only(),
        grant_log_ack: acknowledgement.clone(),
        ledger_key: SharedRegion::with(&SEED).read_only(),
        ledger_disk: buffer,
    };
    let component = Ledger::new(0, regions, memory);
    let mut ring = Writer::new(ring, acknowledgement.read_only()).unwrap();
    for sequence in 0..records {
        ring.push(&record(sequence)).unwrap();
    }
    machine.start(ledger.thread, component);
    Boot {
        client: machine.direct(client.thread),
        machine,
        grant: grant_to_client,
        doorbell,
        ring,
        acknowledgement,
        console: said,
        console_calls,
        manager_calls,
    }
}

impl Boot {
    fn worm(&self) -> Client {
        Client(self.grant)
    }

    /// Pushes records; how many the ring took.
    fn push(&mut self, count: u64) -> u64 {
        let first = self.ring.head();
        (first..first + count)
            .take_while(|n| self.ring.push(&record(*n)).is_ok())
            .count() as u64
    }

    fn ring_bell(&mut self) {
        self.doorbell.signal(&mut self.client);
        self.machine.run();
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledgement.load(ACKNOWLEDGED).unwrap()
    }
}

fn record(sequence: u64) -> Record {
    Record {
        sequence,
        boot: BootId([1; 16]),
        time: Time::since_start(5),
        policy: 1,
        operation: if sequence == 0 {
            Operation::Boot
        } else {
            Operation::Seal
        },
        grant: None,
        cause: Cause::Complete { grants: 9 },
        outcome: Outcome::Done,
    }
}

#[test]
fn a_refused_signal_is_said() {
    let boot = boot_with(&new_disk(1024), 0, WithoutSignals);
    let line = "no signal from manager: not permitted: no policy line allows it";
    assert!(boot.console.says(line), "{:?}", boot.console.lines());
}

#[test]
fn what_the_manager_pushed_is_durable_before_anything_is_said() {
    let disk = new_disk(512);
    let boot = boot_after(&disk, 3);
    let said = boot.console_calls.borrow();
    assert!(boot.console.says("grant log: 0 records"), "as it was found");
    assert!(said.iter().all(|(_, acknowledged)| *acknowledged == 3));
    let told = boot.manager_calls.borrow();
    assert_eq!(told.iter().filter(|it| it.0 == DURABLE).count(), 1);
    assert!(told.contains(&(DURABLE, 3)));
}

#[test]
fn entries_are_appended_read_and_proved_over_the_interface() {
    let disk = new_disk(512);
    let mut boot = boot(&disk);
    let worm = boot.worm();
    let kernel = &mut boot.client;
    let mut tree = Frontier::new();
    for index in 0..40_u64 {
        let entry = vec![index as u8 + 1; 1 + index as usize * 22];
        assert_eq!(worm.append(kernel, &entry), Ok(index));
        tree.append(&entry);
    }
    let mut buffer = [0; _];
    let entry = worm.read(kernel, 13, &mut buffer).unwrap().to_vec();
    assert_eq!(entry, vec![14; 287]);
    let page = worm.prove(kernel, 13, 0, 0).unwrap();
    assert_eq!((page.total, page.count), (6, 6));
    assert_eq!(page.head.root, tree.root());
    verify_inclusion(&leaf_hash(&entry), 13, 40, page.hashes(), &page.head.root).unwrap();
    let key = SigningKey::from_bytes(&SEED).verifying_key();
    assert!(page.head.is_signed(LogKind::Worm, LogId(ID), &key));
    // The rest of the proof from hash 4 on.
    let rest = worm.prove(kernel, 13, 40, 4).unwrap();
    assert_eq!((rest.total, rest.hashes()), (6, &page.hashes()[4..]));
}

#[test]
fn what_is_not_of_the_interface_is_refused() {
    let disk = new_disk(512);
    let mut boot = boot(&disk);
    let (worm, grant) = (boot.worm(), boot.grant);
    let kernel = &mut boot.client;
    let refused = |code| Err(Refusal::Object(code));
    assert_eq!(worm.append(kernel, &[]), refused(api::TOO_LONG));
    assert_eq!(
        worm.append(kernel, &[1; ENTRY_MAX + 1]),
        refused(api::TOO_LONG)
    );
    assert_eq!(worm.append(kernel, &[1; ENTRY_MAX]), Ok(0));
    let mut buffer = [0; _];
    assert_eq!(worm.read(kernel, 0, &mut buffer), Ok(&[1; ENTRY_MAX][..]));
    assert_eq!(
        worm.read(kernel, 1, &mut [0; _]),
        Err(Refusal::Object(api::NO_RECORD))
    );
    let bad = |kernel: &mut Direct, method, words: &[u64]| {
        let method = Method::new(method).unwrap();
        let mut message = Message::request(method, words);
        grant.call(kernel, method, &mut message).unwrap_err()
    };
    // Update, delete, anything else: there is no such method.
    for method in 3..32 {
        assert_eq!(
            bad(kernel, method, &[0]),
            Refusal::Object(label::BAD_METHOD)
        );
    }
    let bad_request = Refusal::Object(label::BAD_REQUEST);
    assert_eq!(bad(kernel, 0, &[900, 1]), bad_request);
    // A group whose lengths do not add up, and one with an entry that is empty or too long.
    for (entries, refusal) in [
        (&[3, 0, 1, 2][..], bad_request),
        (&[1, 0, 7, 0], bad_request),
        (&[0, 0], Refusal::Object(api::TOO_LONG)),
        (&[1, 0, 7, 0, 0], Refusal::Object(api::TOO_LONG)),
    ] {
        let mut message = Message::default();
        let more = false;
        message.encode(0, &api::Append { more, entries }).unwrap();
        let refused = grant.call(kernel, api::APPEND, &mut message).unwrap_err();
        assert_eq!(refused, refusal);
    }
    assert_eq!(bad(kernel, 1, &[]), bad_request);
    assert_eq!(bad(kernel, 2, &[0, 0]), bad_request);
    let huge = worm.prove(kernel, 0, u64::MAX, 0);
    assert_eq!(huge, Err(Refusal::Object(api::NO_CHECKPOINT)));
}

#[test]
fn a_group_of_entries_becomes_durable_at_once() {
    let disk = new_disk(4_096);
    let mut boot = boot(&disk);
    let worm = boot.worm();
    let entries: Vec<Vec<u8>> = (0..900_u32)
        .map(|n| n.to_le_bytes().repeat(1 + n as usize % 64))
        .collect();
    let before = disk.borrow().operations();
    let mut indices = Vec::new();
    worm.append_all(
        &mut boot.client,
        entries.iter().map(|entry| &entry[..]),
        |index| indices.push(index),
    )
    .unwrap();
    assert_eq!(indices, (0..900).collect::<Vec<_>>());
    // One append of all blocks, the marks, one flush.
    assert_eq!(disk.borrow().operations() - before, 3);
    for (index, entry) in (0..).zip(&entries).step_by(13) {
        let mut buffer = [0; _];
        let read = worm.read(&mut boot.client, index, &mut buffer);
        assert_eq!(read, Ok(&entry[..]));
    }
    let disk = Rc::new(RefCell::new(disk.borrow().cut(|_| false)));
    let console = self::boot(&disk).console;
    assert!(
        console.says("ledger: 900 records in 1 commits"),
        "{console:?}"
    );
}

#[test]
fn what_is_added_to_a_group_is_not_in_the_log_before_the_group_ends() {
    let disk = new_disk(512);
    let mut boot = boot(&disk);
    let (worm, grant) = (boot.worm(), boot.grant);
    let add = |kernel: &mut Direct, entries: &[u8], more| {
        let mut message = Message::default();
        message.encode(0, &api::Append { more, entries }).unwrap();
        let words = grant.call(kernel, api::APPEND, &mut message);
        words.map(|words| words.to_vec())
    };
    let kernel = &mut boot.client;
    let operations = disk.borrow().operations();
    assert_eq!(add(kernel, &[1, 0, 7, 1, 0, 8], true), Ok(vec![0, 0]));
    assert_eq!(disk.borrow().operations(), operations);
    let no_record = Err(Refusal::Object(api::NO_RECORD));
    assert_eq!(worm.read(kernel, 0, &mut [0; _]), no_record);
    // Nothing more, but the end of the group.
    assert_eq!(add(kernel, &[], false), Ok(vec![2, 2]));
    assert_eq!(worm.read(kernel, 1, &mut [0; _]), Ok(&[8][..]));
}

#[test]
fn a_group_that_does_not_fit_keeps_what_fitted() {
    let disk = new_disk(64);
    let mut boot = boot(&disk);
    let worm = boot.worm();
    let entries = [[5; 800]; 40];
    let mut appended = 0;
    let refused = worm.append_all(
        &mut boot.client,
        entries.iter().map(|entry| &entry[..]),
        |_| appended += 1,
    );
    assert_eq!(refused, Err(Refusal::Object(api::FULL)));
    // Six blocks of four, and the one that stays free.
    assert_eq!(appended, 24);
    let kernel = &mut boot.client;
    let last = worm.read(kernel, 23, &mut [0; _]).map(<[u8]>::to_vec);
    assert_eq!(last, Ok(vec![5; 800]));
    assert_eq!(
        worm.prove(kernel, 23, 0, 0).unwrap().head.tree_size.get(),
        24
    );
    // It is said once, however often it is tried.
    assert_eq!(
        worm.append(kernel, &[1; 800]),
        Err(Refusal::Object(api::FULL))
    );
    let lines = boot.console.lines();
    let said = lines.iter().filter(|line| line.contains("region is full"));
    assert_eq!(said.count(), 1, "{lines:?}");
}

#[test]
fn the_ring_is_drained_in_one_commit_and_acknowledged_when_it_is_durable() {
    let disk = new_disk(2048);
    {
        let mut boot = boot(&disk);
        assert_eq!(boot.push(300), 300);
        let before = disk.borrow().operations();
        boot.ring_bell();
        assert_eq!(boot.acknowledged(), 300);
        // One append of all blocks, the marks, one flush.
        let operations = disk.borrow().operations() - before;
        assert!(operations <= 3, "{operations} operations");
        boot.push(2);
        boot.ring_bell();
        assert_eq!(boot.acknowledged(), 302);
    }
    let boot = boot(&disk);
    assert!(
        boot.console.says("grant log: 302 records in 2 commits"),
        "{:?}",
        boot.console
    );
    assert!(boot.console.says("1 boots before"), "{:?}", boot.console);
}

#[test]
fn records_pushed_before_the_ledger_runs_are_not_missed() {
    let disk = new_disk(512);
    let mut boot = boot(&disk);
    boot.push(496);
    assert_eq!(boot.push(1), 0, "full until it is acknowledged");
    boot.ring_bell();
    assert_eq!(boot.acknowledged(), 496);
    assert_eq!(boot.push(1), 1);
}

#[test]
fn a_full_disk_stops_the_acknowledgement_and_goes_on_serving() {
    let disk = new_disk(64);
    let mut boot = boot(&disk);
    let worm = boot.worm();
    worm.append(&mut boot.client, b"kept").unwrap();
    let mut refused = 0;
    for _ in 0..40 {
        boot.push(200);
        boot.ring_bell();
        refused += u64::from(boot.ring.free() < 200);
    }
    assert!(refused > 0);
    assert_eq!(boot.ring.free(), 0, "closed: the manager issues no more");
    let lines = boot.console.lines();
    let warnings = lines.iter().filter(|line| line.contains("are in use"));
    let warnings: Vec<_> = warnings.collect();
    assert!(
        warnings[0].contains("grant log: 6 of 7 blocks"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 1, "it is said once, and not of the ledger");
    assert!(
        boot.console.says("the region is full"),
        "{:?}",
        boot.console
    );
    let acknowledged = boot.acknowledged();
    assert!(acknowledged > 0 && acknowledged < boot.ring.head());
    let mut buffer = [0; _];
    assert_eq!(
        worm.read(&mut boot.client, 0, &mut buffer),
        Ok(&b"kept"[..])
    );
    // All that was acknowledged is there.
    let console = self::boot(&disk).console;
    let found = format!("grant log: {acknowledged} records");
    assert!(console.says(&found), "{console:?}");
    // And no block was left unused but the one for the last commit to be written again.
    assert!(console.says("and 6 of 7 blocks"), "{console:?}");
}

#[test]
fn after_a_failed_flush_nothing_is_acknowledged_any_more() {
    let disk = new_disk(512);
    let mut boot = boot(&disk);
    boot.push(3);
    boot.ring_bell();
    assert_eq!(boot.acknowledged(), 3);
    {
        let mut disk = disk.borrow_mut();
        // The block that was begun, the flush.
        disk.plan.fail = Some(disk.operations() + 1);
    }
    boot.push(3);
    boot.ring_bell();
    boot.push(3);
    boot.ring_bell();
    assert_eq!(boot.acknowledged(), 3);
    assert!(boot.console.says("no record is taken any more"));
    let worm = boot.worm();
    let refused = worm.append(&mut boot.client, b"x").unwrap_err();
    assert_eq!(refused, Refusal::Object(api::DISK_FAILED));
}

#[test]
fn without_a_disk_the_ledger_says_so_and_refuses() {
    let disk = Rc::new(RefCell::new(FaultyDisk::new(64)));
    let mut boot = boot(&disk);
    assert!(
        boot.console.says("not a Portcullis disk"),
        "{:?}",
        boot.console
    );
    assert!(boot.console.says("no ledger"), "{:?}", boot.console);
    boot.push(1);
    boot.ring_bell();
    assert_eq!(boot.acknowledged(), 0);
    let worm = boot.worm();
    let refused = worm.append(&mut boot.client, b"x").unwrap_err();
    assert_eq!(refused, Refusal::Object(api::CLOSED));
}

#[test]
fn a_drain_of_the_ring_in_the_middle_of_a_group_leaves_the_group_as_it_is() {
    let disk = new_disk(512);
    let mut boot = boot(&disk);
    let (worm, grant) = (boot.worm(), boot.grant);
    // Nine entries of 900 bytes take three blocks, two of which are finished before the group ends.
    let entries: Vec<[u8; ENTRY_MAX]> = (1..10).map(|byte| [byte; ENTRY_MAX]).collect();
    for (number, entry) in entries.iter().enumerate() {
        let mut group = (ENTRY_MAX as u16).to_le_bytes().to_vec();
        group.extend_from_slice(entry);
        let more = number + 1 < entries.len();
        let (mut message, entries) = (Message::default(), &group);
        message.encode(0, &api::Append { more, entries }).unwrap();
        grant
            .call(&mut boot.client, api::APPEND, &mut message)
            .unwrap();
        boot.push(1);
        boot.ring_bell();
        assert_eq!(boot.acknowledged(), number as u64 + 1);
    }
    for (index, entry) in (0..).zip(&entries) {
        let read = worm
            .read(&mut boot.client, index, &mut [0; _])
            .map(<[u8]>::to_vec);
        assert_eq!(read, Ok(entry.to_vec()), "entry {index}");
    }
    let disk = Rc::new(RefCell::new(disk.borrow().cut(|_| false)));
    let boot = self::boot(&disk);
    boot.machine.run();
    let console = boot.console;
    assert!(
        console.says("ledger: 9 records in 1 commits"),
        "{console:?}"
    );
}
