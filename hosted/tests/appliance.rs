//! The reference appliance, from documents to the log, in processes of its own.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use portcullis_appliance::Appliance;
use portcullis_appliance::FileDisk;
use portcullis_audit::capscan::{Held, Place, Scan, Scanned, To, compare};
use portcullis_audit::state::State;
use portcullis_blk::{BLOCK, Header, initialise};
use portcullis_hosted::appliance::{Console, Paused, Running, Until, capscan_of, start};
use portcullis_hosted::component::Isolation;
use portcullis_hosted::machine::{Event, Spawner};
use portcullis_kernel::Fault;
use portcullis_log::block::LogKind;
use portcullis_log::{Cause, Operation, Outcome, Record};
use portcullis_policy_format::Policy;

/// Where an appliance keeps its state, what it is given, and what it showed.
struct Case {
    scratch: tempfile::TempDir,
    policy: PathBuf,
    system: PathBuf,
    output: File,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Case {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("documents/public")).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Self {
            scratch,
            policy: root.join("policy/appliance.toml"),
            system: root.join("system.xml"),
            output: tempfile::tempfile().unwrap(),
            events: Rc::default(),
        }
    }

    fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// Gives it a disk of this many blocks, an eighth of them for each log.
    fn disk(&self, blocks: u64) {
        let state = portcullis_appliance::State::open(&self.state()).unwrap();
        let mut options = File::options();
        let options = options.read(true).write(true);
        let file = options.open(state.file("disk.img")).unwrap();
        file.set_len(0).unwrap();
        file.set_len(blocks * BLOCK as u64).unwrap();
        let header = Header::new(blocks, state.id.0).unwrap();
        initialise(&mut FileDisk::new(file.into(), blocks), &header).unwrap();
    }

    /// Changes a file that it starts from; gives where the changed one lies.
    fn change(&self, file: &Path, change: impl Fn(&str) -> String) -> PathBuf {
        let changed = self.scratch.path().join(file.file_name().unwrap());
        fs::write(&changed, change(&fs::read_to_string(file).unwrap())).unwrap();
        changed
    }

    fn document(&self, path: &str, content: &[u8]) {
        fs::write(self.scratch.path().join("documents").join(path), content).unwrap();
    }

    /// Boots, and lets it take the documents in.
    fn boot(&mut self) -> Running {
        self.boot_after(|_| ())
    }

    /// Boots after somebody had a hand in what was prepared.
    fn boot_after(&mut self, meddle: impl FnOnce(&Path)) -> Running {
        let mut running = self.start_after(meddle);
        assert_eq!(running.run(Until::Settled).unwrap(), Paused::Idle);
        running
    }

    /// The same, when no component has run yet.
    fn start_after(&mut self, meddle: impl FnOnce(&Path)) -> Running {
        self.output = tempfile::tempfile().unwrap();
        let mut appliance = Appliance::prepare(&self.policy, &self.system, &self.state()).unwrap();
        let documents = self.scratch.path().join("documents");
        appliance.pack(&documents, &mut |_, _| ()).unwrap();
        meddle(&self.state());
        let spawner = Spawner {
            executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-testbed")),
            isolation: Isolation::FULL,
        };
        let console = Console::with_output(self.output.try_clone().unwrap().into()).unwrap();
        let events = Rc::clone(&self.events);
        let report = Box::new(move |event| events.borrow_mut().push(event));
        start(appliance, &spawner, console, report).unwrap()
    }

    /// What the console showed in the last boot.
    fn shown(&self) -> String {
        use std::io::Seek as _;
        let mut text = String::new();
        (&self.output).rewind().unwrap();
        (&self.output).read_to_string(&mut text).unwrap();
        text
    }

    fn assert_shown(&self, wanted: &str) {
        let shown = self.shown();
        assert!(shown.contains(wanted), "{wanted:?} is not in:\n{shown}");
    }
}

/// Kills a component's process, as a crash would, and waits for all that follows.
fn kill_and_settle(case: &Case, running: &mut Running, component: &str) {
    kill_process(running.process_id(component).unwrap());
    while case.events.borrow().is_empty() {
        running.run(Until::Settled).unwrap();
    }
    running.run(Until::Settled).unwrap();
}

fn kill_process(process: u32) {
    let process = rustix::process::Pid::from_raw(process as i32).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
}

/// The records of the grant log on the disk.
fn records(state: &Path) -> Vec<Record> {
    let state = State::open(state).unwrap();
    let mut records = Vec::new();
    let read = state.read(LogKind::Grants, &mut records, |_| ());
    read.unwrap();
    records
}

/// Grants in the slots, and whether they are those of the log.
fn grants(running: &Running) -> usize {
    let compared = running.capscan().unwrap();
    assert!(compared.is_equal(), "{:?}", compared.differences);
    compared.scanned
}

#[test]
fn documents_are_through_and_a_second_run_goes_on() {
    let mut case = Case::new();
    case.document("secret.txt", b"in the vault only");
    case.document("public/notice.txt", b"for everybody");
    let running = case.boot();
    let ended = running.outcome().unwrap();
    assert_eq!(*case.events.borrow(), []);
    assert!(
        ended.is_through() && ended.failures.is_empty(),
        "{ended:?}\n{}",
        case.shown()
    );
    assert_eq!(grants(&running), 16);
    case.assert_shown("ingest: 2 documents: 2 stored, 0 unchanged, 0 refused");
    case.assert_shown("edge: 1 object listed, 0 damaged, 0 lost");
    drop(running);

    case.document("more.txt", b"new");
    let running = case.boot();
    case.assert_shown("ingest: 3 documents: 1 stored, 2 unchanged, 0 refused");
    assert_eq!(grants(&running), 16);
    assert_eq!(*case.events.borrow(), []);
}

#[test]
fn every_boot_has_an_id_of_its_own_and_its_records_have_utc() {
    let mut case = Case::new();
    let utc = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let before = utc();
    for _ in 0..2 {
        drop(case.boot());
        let shown = case.shown();
        assert!(!shown.contains("the id of this boot"), "{shown}");
    }
    let during = before..utc();
    let records = records(&case.state());
    let begins = |it: &&Record| it.operation == Operation::Boot;
    let boots: Vec<_> = records.iter().filter(begins).map(|it| it.boot).collect();
    let [first, second] = boots[..] else {
        panic!("two boots: {boots:?}")
    };
    assert_ne!(first, second);
    for record in &records {
        let utc = record.time.utc.unwrap();
        assert!(during.contains(&utc), "{utc} is not within {during:?}");
    }
}

#[test]
fn what_cannot_be_a_document_loses_nothing_else() {
    let mut case = Case::new();
    case.document("empty", b"");
    case.document("public/fine", b"fine");
    let documents = case.scratch.path().join("documents");
    let large = File::create(documents.join("largest")).unwrap();
    large.set_len(64 << 20).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"not-\xff-utf8");
    fs::write(documents.join(name), b"x").unwrap();
    std::os::unix::fs::symlink("loop", documents.join("loop")).unwrap();
    let running = case.boot();
    case.assert_shown("ingest: 5 documents: 3 stored, 0 unchanged, 2 refused");
    case.assert_shown("edge: 1 object listed");
    let ended = running.outcome().unwrap();
    assert_eq!(
        ended.failures, [""; 0],
        "what was left out was reported when it was packed"
    );
}

#[test]
fn a_dead_component_loses_its_grants_and_nobody_else_anything() {
    let mut case = Case::new();
    case.document("public/notice.txt", b"for everybody");
    let mut running = case.boot();
    // It holds 3 of 16 and serves 1; the policy says that it stays stopped.
    kill_and_settle(&case, &mut running, "publish");
    assert_eq!(grants(&running), 12);
    let ended = running.outcome().unwrap();
    assert_eq!(ended.failures, ["publish faulted"]);
    let scan = running.scan();
    let of_publish = scan
        .slots
        .iter()
        .filter(|it| it.place.to_string().ends_with("of publish"));
    assert_eq!(of_publish.count(), 0);
}

#[test]
fn a_fault_and_what_it_led_to_stand_in_the_log() {
    let mut case = Case::new();
    case.document("public/notice.txt", b"for everybody");
    let mut running = case.boot();
    kill_and_settle(&case, &mut running, "publish");
    let policy = Policy::inspect(&running.appliance().plan().compiled).unwrap();
    let (publish, _) = policy.component("publish").unwrap();
    let cause = Cause::Fault {
        component: publish,
        // Linux killed it (2), with this signal.
        fault: Fault::UserException {
            ip: 0,
            number: 2,
            code: 9,
        },
    };
    let records = records(&case.state());
    let sealed = records
        .iter()
        .position(|record| record.operation == Operation::Seal);
    let after = &records[sealed.unwrap() + 1..];
    let (fault, revoked) = after.split_first().unwrap();
    assert_eq!((fault.operation, fault.grant), (Operation::Fault, None));
    // What it held, in the order of its slots, then what others held to it.
    let subjects = revoked.iter().map(|record| {
        assert_eq!(record.operation, Operation::Revoke);
        record.grant.unwrap().grant.subject == publish
    });
    assert_eq!(subjects.collect::<Vec<_>>(), [true, true, true, false]);
    for record in after {
        assert_eq!((record.cause, record.outcome), (cause, Outcome::Done));
    }
    case.assert_shown("manager: 'publish' faulted: user exception 0x2, code 0x9, ip 0x0");
}

#[test]
fn whom_a_server_serves_is_told_when_it_dies() {
    use std::os::unix::fs::MetadataExt as _;
    let mut case = Case::new();
    case.document("large.bin", &vec![7; 32 << 20]);
    let mut running = case.start_after(|_| ());
    let vault = running.process_id("vault").unwrap();
    let disk = File::open(case.state().join("disk.img")).unwrap();
    let written = move || disk.metadata().unwrap().blocks() * 512;
    let before = written();
    // Only the vault, serving ingest, writes as much.
    let killer = std::thread::spawn(move || {
        while written() < before + (1 << 20) {
            std::thread::yield_now();
        }
        kill_process(vault);
    });
    while case.events.borrow().is_empty() {
        running.run(Until::Settled).unwrap();
    }
    killer.join().unwrap();
    assert_eq!(running.run(Until::Settled).unwrap(), Paused::Idle);
    case.assert_shown("ingest: 1 document: 0 stored, 0 unchanged, 1 refused");
    assert!(running.capscan().unwrap().is_equal());
}

#[test]
fn nobody_waits_for_a_dead_console() {
    let mut case = Case::new();
    case.document("public/notice.txt", b"for everybody");
    // It dies before it took a line: everybody's first line would wait for it for ever.
    let mut running = case.start_after(|_| ());
    kill_and_settle(&case, &mut running, "console");
    let ended = running.outcome().unwrap();
    assert!(ended.is_through());
    assert_eq!(ended.failures, ["console faulted"]);
    // It holds 1 of 16 and serves 6.
    assert_eq!(grants(&running), 9);
}

#[test]
fn capscan_finds_every_way_in_which_a_slot_can_differ() {
    let mut case = Case::new();
    let running = case.boot();
    let (scan, log) = (running.scan(), running.logged().unwrap());
    let policy = Policy::inspect(&running.appliance().plan().compiled).unwrap();
    let differences = |slots: Vec<Scanned>| compare(&Scan { slots }, &log, &policy).differences;
    assert_eq!(differences(scan.slots.clone()), [""; 0]);
    for index in 0..scan.slots.len() {
        let mut less = scan.slots.clone();
        let gone = less.remove(index);
        let found = differences(less);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(&format!("{} is empty", gone.place)),
            "{found:?}"
        );

        let meddle: [fn(&mut To); 3] = [
            |to| to.badge ^= 1 << 16,
            |to| to.rights ^= 0b0010,
            |to| to.component = "edge-of-another-system".into(),
        ];
        for change in meddle {
            let mut other = scan.slots.clone();
            match &mut other[index].held {
                Held::Endpoint(to) | Held::Notification(to) => change(to),
                Held::Other(what) => panic!("{what}"),
            }
            let found = differences(other);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&gone.place.to_string()), "{found:?}");
        }
    }
    let mut more = scan.slots.clone();
    more.push(Scanned {
        place: Place::Grants {
            component: "edge".into(),
            slot: 9,
        },
        held: more[0].held.clone(),
    });
    let found = differences(more);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("slot 9 of edge"), "{found:?}");
}

#[test]
fn the_control_socket_answers_while_it_runs_and_only_then() {
    let mut case = Case::new();
    let mut running = case.boot();
    let state = case.state();
    let asking = std::thread::spawn(move || capscan_of(&state).map(|it| it.is_equal()));
    // The socket listens from the start, so who asks is answered at one of the next looks.
    while !asking.is_finished() {
        running.run(Until::Settled).unwrap();
    }
    assert!(asking.join().unwrap().unwrap());
    drop(running);
    assert!(capscan_of(&case.state()).is_err());
}

/// How many grants a component holds.
fn grants_of(running: &Running, component: &str) -> usize {
    let held =
        |it: &&Scanned| matches!(&it.place, Place::Grants { component: of, .. } if of == component);
    running.scan().slots.iter().filter(held).count()
}

/// An appliance whose grant log became full when a grant was to be issued anew, after so many boots in which
/// none was; `None`: it became full in a boot.
fn full_at_a_restart(quiet: usize) -> Option<Case> {
    let mut case = Case::new();
    case.document("public/notice.txt", b"for everybody");
    let edge = "[components.edge]\ndomain = \"edge\"\noffers = [\"feed\"]\non_fault = ";
    let [stop, restart] = ["stop", "restart"].map(|it| format!("{edge}\"{it}\""));
    case.policy = case.change(&case.policy, |text| text.replace(&stop, &restart));
    case.disk(1 << 8);
    (0..quiet).for_each(|_| drop(case.boot()));
    // As long as there is room, a grant is taken back and issued anew.
    for boots in 0..100 {
        case.events.borrow_mut().clear();
        let mut running = case.boot();
        if grants_of(&running, "edge") == 0 {
            return None;
        }
        // What was published is served: reading needs no room.
        case.assert_shown("edge: 1 object listed, 0 damaged, 0 lost");
        kill_and_settle(&case, &mut running, "edge");
        if grants_of(&running, "edge") == 0 {
            assert!(boots > 0, "there is room for some");
            drop(running);
            return Some(case);
        }
    }
    panic!("a log of 16 blocks becomes full");
}

#[test]
fn when_the_grant_log_becomes_full_no_grant_is_issued_and_revocations_go_on() {
    // Each boot without a restart shifts what room is left at the end, so that for some number of them it
    // is too small for a restart, and not for a boot.
    let case = (1..20).find_map(full_at_a_restart);
    let mut case = case.expect("the room for a boot is not a multiple of that for a restart");
    case.assert_shown("grant log: the region is full");
    case.assert_shown("no record is taken any more");

    // The next boot cannot log its grants: none is in force but those of the log itself.
    let logged = records(&case.state());
    let running = case.boot();
    case.assert_shown("no record is taken any more");
    for (component, held) in [("blk", 1), ("ledger", 2), ("console", 1)] {
        assert_eq!(grants_of(&running, component), held, "{component}");
    }
    for component in ["vault", "ingest", "publish", "edge"] {
        assert_eq!(grants_of(&running, component), 0, "{component}");
    }
    assert!(records(&case.state()) == logged);
}

#[test]
fn when_the_ledger_is_full_no_document_is_taken_in_and_all_others_are_served() {
    let mut case = Case::new();
    case.document("public/notice.txt", b"for everybody");
    case.disk(1 << 9);
    let mut documents = 1;
    let running = loop {
        // Long names of one content, so that the vault has room when the ledger has none.
        for _ in 0..100 {
            documents += 1;
            case.document(&format!("document-{documents:0200}"), b"the same");
        }
        let running = case.boot();
        if case.shown().contains("the region is full") {
            break running;
        }
        assert_eq!(running.outcome().unwrap().failures, [""; 0]);
        assert!(documents < 1_000);
    };
    case.assert_shown("ledger: the region is full");
    case.assert_shown("edge: 1 object listed, 0 damaged, 0 lost");
    let ended = running.outcome().unwrap();
    assert_eq!(ended.failures.len(), 1, "{ended:?}");
    assert!(ended.failures[0].starts_with("ingest: "), "{ended:?}");
    // Grants go on: the other log has room.
    assert_eq!(grants(&running), 16);
}

/// Whether a process has the disk of a state directory open; `None` where this user may not know, since
/// components are not dumpable.
fn has_disk_open(process: u32, state: &Path) -> Option<bool> {
    let disk = state.join("disk.img").canonicalize().unwrap();
    let mut files = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    Some(files.any(|file| fs::read_link(file.unwrap().path()).is_ok_and(|file| file == disk)))
}

#[test]
fn the_disk_is_open_in_its_driver_alone() {
    let mut case = Case::new();
    let running = case.boot();
    assert_eq!(
        has_disk_open(std::process::id(), &case.state()),
        Some(false)
    );
    let mut components = 0;
    let policy = Policy::inspect(&running.appliance().plan().compiled).unwrap();
    for component in policy.components() {
        components += 1;
        let process = running.process_id(component.name).unwrap();
        if let Some(open) = has_disk_open(process, &case.state()) {
            assert_eq!(open, component.name == "blk", "{}", component.name);
        }
    }
    assert_eq!(components, 10);
}

#[test]
fn a_tampered_policy_gives_no_grant() {
    let mut case = Case::new();
    case.document("public/notice.txt", b"for everybody");
    let running = case.boot_after(|state| {
        let path = state.join("appliance.policy");
        let mut compiled = fs::read(&path).unwrap();
        *compiled.last_mut().unwrap() ^= 1;
        fs::write(&path, compiled).unwrap();
    });
    let reason = "manager: no grant is issued: the policy is damaged";
    case.assert_shown(reason);
    case.assert_shown("nothing is granted in this boot: the policy is damaged");
    assert_eq!(running.scan().slots, []);
    let ended = running.outcome().unwrap();
    assert!(!ended.is_through(), "{ended:?}");
}

#[test]
fn whatever_keeps_it_from_serving_is_said() {
    type Meddle<'m> = &'m dyn Fn(&Path);
    let other_key = |state: &Path| fs::write(state.join("policy.pub"), [2; 32]).unwrap();
    let no_key = |state: &Path| fs::write(state.join("ledger.key"), [0; 32]).unwrap();
    let foreign = |state: &Path| fs::write(state.join("disk.img"), vec![7; 1 << 20]).unwrap();
    let refused =
        "nothing is granted in this boot: the keys that may sign the policy: trusted key 1";
    let waits = "nothing else starts until the grant log is on the disk";
    let cases: [(Meddle<'_>, [&str; 2]); 3] = [
        (&other_key, [refused, "`portcullis keygen` makes one"]),
        (
            &no_key,
            [
                waits,
                "no ledger: its key is not in the image: build it with",
            ],
        ),
        (
            &foreign,
            [waits, "this is not a Portcullis disk: attach the one"],
        ),
    ];
    for (meddle, wanted) in cases {
        let mut case = Case::new();
        let running = case.boot_after(meddle);
        for line in wanted {
            case.assert_shown(line);
        }
        drop(running);
    }
}
