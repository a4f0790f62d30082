//! The hosted appliance, killed at random moments again and again, loses nothing that it acknowledged.
//!
//! A *life* is a state directory and what becomes of it: the appliance is started on it, given
//! documents, killed, looked at, and started again. What dies is a single component and then the
//! rest, the kernel's process and with it all others, or each process in a random order; at a moment
//! in time, or with a write or a flush of the disk driver. Then the power is cut as well, or not. What
//! was not flushed when it is cut is dropped, kept, or torn, sector by sector, whichever run wrote it.
//!
//! Before a kill it is looked what is in force: the disk that is left tells of all of it.
//!
//! After each kill, what was shown until then is held against the disk, with the code that audits
//! disks; and a copy of it all is started, to come to its end: every document is through, everything
//! public is served, and the grants in the slots are those of the log.
//!
//! `PORTCULLIS_KILLS` says how many kills there are (24 without it), `PORTCULLIS_SEED` which ones: all
//! but the very microsecond follows from it.

mod disk;
#[path = "../../testbed/journal.rs"]
#[allow(dead_code, reason = "what writes it is the testbed's")]
mod journal;
mod oracle;
mod process;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_audit::capscan::Scan;
use portcullis_hosted::appliance::scan_of;
use portcullis_vault::Memory;
use rustix::process::Signal;

use disk::Disk;
use oracle::{Oracle, Taken, Tally};
use process::Running;

/// Kills in a life: as many as fit on its disk.
const KILLS: u64 = 12;
/// Documents that lie there at first.
const DOCUMENTS: u64 = 6;
/// Longest pause before a kill that follows something seen, in microseconds: several commits.
const PAUSE: u64 = 3_000;
/// Writes and flushes among which are those that make the boot grants durable.
const BOOT: u64 = 8;
/// Components that are killed alone.
const VICTIMS: [&str; 6] = ["blk", "ledger", "vault", "ingest", "manager", "console"];
/// A vault's memory is larger than a test thread's stack.
const STACK: usize = 64 << 20;

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed() {
    let kills = number("PORTCULLIS_KILLS").unwrap_or(2 * KILLS);
    let seed = number("PORTCULLIS_SEED").unwrap_or_else(|| {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        since.as_micros() as u64
    });
    println!("PORTCULLIS_KILLS={kills} PORTCULLIS_SEED={seed}");
    let body = move || {
        let (start, mut tally) = (Instant::now(), Counts::default());
        let mut random = Random(seed);
        for first in (0..kills).step_by(KILLS as usize) {
            let mut life = Life::new(Random(random.next()));
            life.live(KILLS.min(kills - first), &mut tally);
        }
        println!("{tally:#?} in {:?}", start.elapsed());
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(body);
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let parsed = text.parse();
    Some(parsed.unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")))
}

/// What was done.
#[derive(Default, Debug)]
struct Counts {
    booting: u64,
    ingesting: u64,
    settled: u64,
    writing: u64,
    components: u64,
    each_in_turn: u64,
    power_cuts: u64,
    sectors_in_doubt: usize,
    looked_at: Tally,
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True one time in `count`.
    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Where a run is when the kill comes.
enum Moment {
    /// A fraction of the time, in thousandths, before the first document is through.
    Booting(u64),
    /// This many documents are through.
    Ingesting(u64),
    /// There is nothing left to do.
    Settled,
    /// The disk driver has done this many writes and flushes, and dies before it can say so.
    Writing(u64),
}

/// A state directory, the documents for it, and what is known of both.
struct Life {
    random: Random,
    scratch: tempfile::TempDir,
    disk: Disk,
    oracle: Oracle,
    memory: Box<Memory>,
    /// Documents so far.
    documents: u64,
    /// How long it takes until the first document is through.
    boot: Duration,
    /// Most writes and flushes of a run so far.
    operations: u64,
}

/// Waits until there is nothing left to do; whether that came before the end.
fn settles(running: &mut Running) -> bool {
    running.wait_for(|line| line == "settled")
}

impl Life {
    fn new(random: Random) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir_all(scratch.path().join("documents/public")).unwrap();
        let disk = Disk::new(&scratch.path().join("state"));
        let mut life = Self {
            random,
            scratch,
            disk,
            oracle: Oracle::default(),
            memory: Box::new(Memory::new()),
            documents: 0,
            boot: Duration::from_millis(50),
            operations: 10,
        };
        (0..DOCUMENTS).for_each(|_| life.add_document());
        life
    }

    fn live(&mut self, kills: u64, counts: &mut Counts) {
        for _ in 0..kills {
            if self.random.one_in(2) {
                (0..=self.random.below(3)).for_each(|_| self.add_document());
            }
            self.run_and_kill(counts);
            self.start_a_copy(&mut counts.looked_at);
        }
    }

    /// Adds a document, now and then in the place of another.
    fn add_document(&mut self) {
        let random = &mut self.random;
        let number = if self.documents > DOCUMENTS && random.one_in(4) {
            random.below(self.documents)
        } else {
            self.documents += 1;
            self.documents - 1
        };
        let folder = if number.is_multiple_of(3) {
            "public/"
        } else {
            ""
        };
        let path = format!("{folder}document-{number}");
        let size = match random.below(3) {
            0 => random.below(200),
            1 => random.below(5_000),
            _ => random.below(90_000),
        };
        let seed = random.next();
        let mut bytes = Random(seed);
        let mut content = format!("{path} {seed}").into_bytes();
        content.extend((0..size).map(|_| bytes.next() as u8));
        fs::write(self.scratch.path().join("documents").join(&path), &content).unwrap();
        self.oracle.add(&path, content);
    }

    fn start(&self, disk: &Disk, dies_after: Option<u64>) -> Running {
        disk.begin(dies_after);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-testbed"));
        command.args([root.join("policy/appliance.toml"), root.join("system.xml")]);
        command.args([disk.state(), &self.scratch.path().join("documents")]);
        Running::start(command)
    }

    fn run_and_kill(&mut self, counts: &mut Counts) {
        let moment = match self.random.below(4) {
            0 => Moment::Booting(self.random.below(1_000)),
            1 => Moment::Ingesting(1 + self.random.below(self.oracle.count() as u64)),
            2 => Moment::Settled,
            _ if self.random.one_in(3) => Moment::Writing(self.random.below(BOOT)),
            _ => Moment::Writing(self.random.below(self.operations)),
        };
        let dies_after = match moment {
            Moment::Writing(operations) => Some(operations),
            _ => None,
        };
        let mut running = self.start(&self.disk, dies_after);
        let is_settled = self.wait(&mut running, &moment, counts);
        let victim = dies_after.is_none() && self.random.one_in(3);
        let scan = if victim {
            counts.components += 1;
            self.pause();
            let scan = self.kill_component(&mut running, is_settled);
            scan.map(|scan| (scan, Taken::Degraded))
        } else if is_settled {
            Some((scan_of(self.disk.state()).unwrap(), Taken::Settled))
        } else if dies_after.is_some() || self.random.one_in(2) {
            // Before it listens, nothing is granted.
            let scan = scan_of(self.disk.state()).ok();
            scan.map(|scan| (scan, Taken::AtAnyMoment))
        } else {
            None
        };
        if !victim {
            self.pause();
        }

        let each = self.random.one_in(2);
        // While one dies after the other, the log may still be told of grants that die with them.
        let scan = scan.filter(|_| !each);
        let random = &mut self.random;
        let shown = if each {
            counts.each_in_turn += 1;
            running.kill_each(|all| all.sort_by_cached_key(|_| random.next()))
        } else {
            running.end(Signal::KILL).1
        };
        self.operations = self.operations.max(self.disk.end());
        if dies_after.is_some() || self.random.one_in(2) {
            self.cut(counts);
        }
        let tally = &mut counts.looked_at;
        self.oracle.observe(&shown, tally);
        self.oracle.check(&mut self.disk, &mut self.memory, tally);
        if let Some((scan, taken)) = scan {
            let state = self.disk.state();
            self.oracle.check_grants(scan, state, taken, tally);
        }
    }

    fn pause(&mut self) {
        let pause = self.random.below(PAUSE);
        std::thread::sleep(Duration::from_micros(pause));
    }

    /// Kills a component alone, and lets the others come to their end. What the slots hold then, where
    /// the log must have it: it has what was settled before. (Before that, records may be in the ring
    /// alone, and stay there if it was one of those that was killed who write them to the disk.)
    fn kill_component(&mut self, running: &mut Running, is_settled: bool) -> Option<Scan> {
        let number = self.random.below(VICTIMS.len() as u64) as usize;
        let victim = VICTIMS[number];
        running.kill_component(victim);
        // Of a component that dies before it has its regions, the kernel's process says that it does
        // not start, and ends.
        if !(is_settled || settles(running)) {
            return None;
        }
        running.signal(Signal::HUP);
        assert!(settles(running));
        is_settled.then(|| scan_of(self.disk.state()).unwrap())
    }

    /// Waits for the moment; whether everything is settled then.
    fn wait(&mut self, running: &mut Running, moment: &Moment, counts: &mut Counts) -> bool {
        let start = Instant::now();
        match moment {
            Moment::Booting(thousandths) => {
                counts.booting += 1;
                std::thread::sleep(self.boot * *thousandths as u32 / 1_000);
                false
            }
            Moment::Ingesting(wanted) => {
                counts.ingesting += 1;
                for number in 0..*wanted {
                    running.wait_for(|line| line.starts_with("ingest: "));
                    if number == 0 {
                        self.boot = start.elapsed();
                    }
                }
                false
            }
            Moment::Settled => {
                counts.settled += 1;
                assert!(settles(running));
                true
            }
            Moment::Writing(_) => {
                counts.writing += 1;
                // Without a disk nothing more can be promised, to the end.
                settles(running);
                false
            }
        }
    }

    /// The power goes: of what was not flushed, all, nothing, or any of it is left.
    fn cut(&mut self, counts: &mut Counts) {
        counts.power_cuts += 1;
        let (kind, seed) = (self.random.below(4), self.random.next());
        counts.sectors_in_doubt += self.disk.cut(|sector| match kind {
            0 => false,
            1 => true,
            _ => Random(seed ^ sector as u64).one_in(2),
        });
    }

    /// What the next start makes of it, on a copy: it comes to its end, as if nothing had been.
    fn start_a_copy(&mut self, tally: &mut Tally) {
        let mut disk = self.disk.copy(self.scratch.path().join("copy"));
        let mut oracle = self.oracle.clone();
        let mut running = self.start(&disk, None);
        assert!(settles(&mut running));
        let scan = scan_of(disk.state()).unwrap();
        let (_, shown) = running.end(Signal::KILL);
        disk.end();
        oracle.observe(&shown, tally);
        let released = oracle.check(&mut disk, &mut self.memory, tally);
        oracle.check_grants(scan, disk.state(), Taken::Settled, tally);
        let told = |start: String, end: &str| {
            let told = shown.iter().filter(|line| line.starts_with(&start));
            told.filter(|line| line.ends_with(end)).count()
        };
        let documents = format!("ingest: {} documents: ", oracle.count());
        assert_eq!(told(documents, ", 0 refused"), 1, "{shown:#?}");
        // Each object is listed once a start.
        assert_eq!(told("edge: ".into(), "  verified"), released, "{shown:#?}");
    }
}
