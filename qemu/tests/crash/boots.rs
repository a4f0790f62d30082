//! The appliance on a small disk of which every write is kept, booted and killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use portcullis_appliance::State;
use portcullis_blk::api::RUN_MAX;
use portcullis_blk::testing::{FaultyDisk, SECTOR};
use portcullis_blk::{BLOCK, Header, initialise};
use portcullis_qemu::{Board, Error, Image, Machine, watch};
use tempfile::TempDir;

use crate::common;
use crate::moments::Moment;
use crate::oracle::Held;
use crate::rebuilt::Random;
use crate::writes::{Operation, parse};

/// Blocks of the disk: 4 MiB, so that a thousand copies of it cost little.
const BLOCKS: u64 = 1_024;
/// Longer than the boards need for one document, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at the slots of a board that says nothing yet.
const PAUSE: Duration = Duration::from_millis(10);
/// Lines from one look at the slots to the next.
const LINES: usize = 8;

/// Documents, by size: around the sizes of a block and of a chunk, with chunks and without any.
const SIZES: [usize; 14] = [
    0, 1, 700, 4_096, 5_000, 65_535, 65_536, 70_000, 150_000, 300, 301, 302, 12_000, 200_000,
];

/// An image of the appliance, and a state directory with a small disk.
pub(crate) struct Appliance {
    pub(crate) image: Image,
    state: TempDir,
    /// The disk before the first boot.
    pub(crate) fresh: Vec<u8>,
    seed: u64,
}

/// What there is of a boot.
pub(crate) struct Boot {
    /// What the guest did to the disk.
    pub(crate) operations: Vec<Operation>,
    /// What the console said.
    pub(crate) said: Vec<String>,
    /// What the slots held while it went on.
    pub(crate) moments: Vec<Moment>,
}

/// How a boot ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It comes to rest.
    Rest,
    /// It is killed this long after so many lines.
    Killed(usize, Duration),
}

impl Appliance {
    /// `seed` is said where a test fails.
    pub(crate) fn new(board: Board, seed: u64) -> Self {
        let [documents, state] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for folder in ["kept", "public"] {
            fs::create_dir(documents.path().join(folder)).unwrap();
        }
        for (number, size) in SIZES.into_iter().enumerate() {
            let folder = ["kept", "public"][number % 2];
            let path = documents.path().join(folder).join(format!("{number:02}"));
            let content: Vec<u8> = format!("{number} ").into_bytes();
            fs::write(
                path,
                content.into_iter().cycle().take(size).collect::<Vec<_>>(),
            )
            .unwrap();
        }
        // The same content under another name, and released only under that.
        let [kept, public] = ["kept/12", "public/again"].map(|it| documents.path().join(it));
        fs::copy(kept, public).unwrap();

        let id = State::open(state.path()).unwrap().id;
        let mut disk = FaultyDisk::new(BLOCKS);
        let header = Header::new(BLOCKS, id.0).unwrap();
        initialise(&mut disk, &header).unwrap();
        let fresh = disk.bytes_mut().to_vec();
        fs::write(state.path().join("disk.img"), &fresh).unwrap();
        let system = common::appliance("crash");
        let image = common::build(
            board,
            &system,
            &common::policy(),
            documents.path(),
            state.path(),
        );
        Self {
            image,
            state,
            fresh,
            seed,
        }
    }

    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.state().join("disk.img")
    }

    /// How many documents there are.
    pub(crate) fn documents(&self) -> usize {
        SIZES.len() + 1
    }

    fn start(&self, disk: &str, note: &str) -> Machine {
        let mut machine = Machine::boot(&self.image, Some(disk), &[]).unwrap();
        machine.note(format!("CRASH_SEED={}, {note}", self.seed));
        machine
    }

    /// Boots with every write and flush kept. `faults` are options that make the device err: of QEMU's
    /// `blkdebug` (`file.`), before requests are kept, or of `blklogwrites` (`file.image.`). QEMU flushes
    /// nothing to this host's disk: it is this host's memory that the disk is rebuilt from.
    pub(crate) fn record(&self, faults: &str, end: End) -> Boot {
        let writes = self.state().join("writes");
        fs::write(&writes, []).unwrap();
        let (disk, log) = (self.disk(), writes.display());
        let disk = format!(
            "driver=raw,file.driver=blkdebug,{faults}file.image.driver=blklogwrites,\
             file.image.file.driver=file,file.image.file.filename={},\
             file.image.file.cache.no-flush=on,file.image.log.driver=file,\
             file.image.log.filename={log},file.image.log.cache.no-flush=on,werror=report",
            disk.display()
        );
        let before = fs::read(self.disk()).unwrap();
        let kept = || parse(&fs::read(&writes).unwrap()).unwrap();
        let mut machine = self.start(&disk, &format!("until {end:?}, with {faults:?}"));
        let mut boot = Boot {
            operations: Vec::new(),
            said: Vec::new(),
            moments: Vec::new(),
        };
        match end {
            End::Rest => {
                watch(&mut machine, |line| boot.said.push(line.to_owned())).unwrap();
                boot.look(&mut machine, self.state(), kept);
            }
            End::Killed(lines, time) => {
                boot.follow(&mut machine, self.state(), lines, kept);
                thread::sleep(time);
                boot.look(&mut machine, self.state(), kept);
            }
        }
        // Killed, with SIGKILL.
        drop(machine);
        boot.operations = kept();
        let in_flight = in_flight(before, &boot.operations, &fs::read(self.disk()).unwrap());
        assert!(
            in_flight.is_empty() || matches!(end, End::Killed(..)),
            "a write was not kept"
        );
        boot.operations.extend(in_flight);
        boot
    }

    /// Boots from these bytes until the board comes to rest.
    pub(crate) fn boot(&self, disk: &[u8]) -> (Machine, Vec<String>) {
        fs::write(self.disk(), disk).unwrap();
        let disk = portcullis_qemu::raw_disk(&self.disk()) + ",cache=unsafe";
        let mut machine = self.start(&disk, "from a disk that was rebuilt");
        let mut said = Vec::new();
        let through = watch(&mut machine, |line| said.push(line.to_owned())).unwrap();
        assert_eq!(through.failure(0), None, "{said:#?}");
        (machine, said)
    }
}

impl Boot {
    /// Reads so many lines, and looks at the slots in between; `kept` reads what was kept of the disk.
    fn follow(
        &mut self,
        machine: &mut Machine,
        state: &Path,
        lines: usize,
        kept: impl Fn() -> Vec<Operation>,
    ) {
        let end = machine.waited() + PATIENCE;
        while self.said.len() < lines {
            match machine.line(PAUSE, "a line") {
                // What comes before is the firmware's.
                Ok(line) if self.said.is_empty() && !line.starts_with("Portcullis: ") => {}
                Ok(line) => self.said.push(line),
                Err(Error::Silent { .. }) if machine.waited() < end => {}
                Err(error) => panic!("{error}"),
            }
            if self.said.len().is_multiple_of(LINES) {
                self.look(machine, state, &kept);
            }
        }
    }

    /// Looks at the slots.
    fn look(&mut self, machine: &mut Machine, state: &Path, kept: impl Fn() -> Vec<Operation>) {
        let (memory, operations) = machine.memory_and(kept).unwrap();
        let moment = Moment::of(machine.image(), state, &memory, &operations);
        self.moments.extend(moment);
    }

    /// Whether all is durable that the appliance acknowledged by the end of this boot: `durable` is what
    /// was flushed by then.
    pub(crate) fn is_kept(&self, durable: &Held) -> Result<(), String> {
        let held: Vec<_> = durable.documents().collect();
        let mut lost = self.documents().filter(|it| !held.contains(it));
        match lost.next() {
            Some(lost) => Err(format!("{lost:?} was said, and {held:?} is durable")),
            None => Ok(()),
        }
    }

    /// The documents that the console said to be in the ledger: path, and index of the entry.
    fn documents(&self) -> impl Iterator<Item = (&str, usize)> {
        self.said.iter().filter_map(|line| {
            let line = line.strip_prefix("ingest: ")?;
            let (path, _) = line.split_once(' ')?;
            let (_, index) = line.split_once("ledger entry ")?;
            Some((path, index.replace(',', "").parse().ok()?))
        })
    }
}

/// What was under way when QEMU was killed: the last request may be on the disk and not among what was
/// kept, or the other way round.
fn in_flight(before: Vec<u8>, operations: &[Operation], after: &[u8]) -> Vec<Operation> {
    let mut disk = before;
    for (at, data) in operations.iter().filter_map(Operation::write) {
        disk[at..][..data.len()].copy_from_slice(data);
    }
    let sectors = (0..)
        .step_by(SECTOR)
        .zip(disk.chunks(SECTOR).zip(after.chunks(SECTOR)));
    let differing: Vec<_> = sectors.filter(|(_, (kept, there))| kept != there).collect();
    let (first, last) = (differing.first(), differing.last());
    let length = first
        .zip(last)
        .map_or(0, |((first, _), (last, _))| last - first);
    assert!(
        length < RUN_MAX as usize * BLOCK,
        "more than one request was not kept"
    );
    let writes = differing.into_iter().map(|(at, (_, there))| {
        let data = there.to_vec();
        Operation::Write { at, data }
    });
    writes.collect()
}

/// Some moment of a boot that says this many lines.
pub(crate) fn some_moment(random: &mut Random, lines: usize) -> End {
    let lines = random.below(lines + 1);
    // Before the first it starts, and recovers.
    let longest = if lines == 0 { 2_000_000 } else { 20_000 };
    End::Killed(lines, Duration::from_micros(random.below(longest) as u64))
}
