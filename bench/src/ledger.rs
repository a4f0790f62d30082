//! The ledger on the hosted platform: recovery, proofs, memory; [`appends`] beside it.
//!
//! Two sandboxed components: the disk driver as it is, over a file, and a program that has the
//! ledger's log over it, through the driver's interface and the shared buffer. Beside them, for
//! recovery, what a component in the ledger's place does that reads the same blocks from the same
//! driver, and gives them to SHA-256.

pub(crate) mod appends;

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use portcullis_appliance::FileDisk;
use portcullis_blk::api::{Area, Client, Info, RUN_MAX};
use portcullis_blk::{BLOCK, Blk, DiskError, Header, Remote, SharedBuffer, initialise};
use portcullis_hosted::component::{Access, Use};
use portcullis_hosted::machine::{Limits, Machine, Spawner, Start, Stop, WhenIdle};
use portcullis_hosted::memory::Memory;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{
    Badge, CPtr, CallGrant, Generation, GrantBadge, Message, MethodSet, RegionMut, ReplyObject,
    Rights, Syscalls, cspace, serve,
};
use portcullis_ledger::{Index, Log, LogMemory, Scratch};
use portcullis_log::block::{LogId, LogKind};
use portcullis_model::{Capability, Kernel, ObjectId, ThreadId};
use sha2::{Digest, Sha256};

use crate::Line;
use crate::boot::word;

/// Bytes of a record.
pub(crate) const RECORD: usize = 256;
/// Records of the ledger that is recovered.
const RECORDS: u64 = 1_000_000;
/// Records of the small one, whose memory is compared.
const FEW: u64 = 1_000;
/// Records of a commit that is as large as can be: 64 blocks of 15.
const LARGEST: u64 = 960;
/// Groups of records whose times a run tells.
const SAMPLES: u64 = 1_000;
/// Where a component tells how many there are: behind them.
const COUNT: usize = 16 * SAMPLES as usize;
/// Rounds.
const ROUNDS: usize = 9;
/// Proofs that are timed.
const PROOFS: u64 = 2_000;
/// Blocks of the disk: an eighth of them is the ledger's.
const BLOCKS: u64 = 600_000;

/// Where the ledger's grant is.
const DRIVER: CPtr = CPtr(20);
/// Bits of a component's only CNode.
const RADIX: u8 = 9;

/// What the ledger's program does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Appends groups, each durable before the next.
    Append = 0,
    /// Opens the log, and no more.
    Open = 1,
    /// Makes proofs.
    Prove = 2,
    /// Reads all blocks, and hashes them.
    Hash = 3,
}

/// What a program says in its region: nanoseconds, records.
const TIME: usize = 0;
const FOUND: usize = 8;

pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "bench-blk" => blk,
        "bench-ledger" => ledger,
        _ => return None,
    })
}

/// Record `number`: no two are the same.
pub(crate) fn record(number: u64) -> [u8; RECORD] {
    let mut record = [0xa5; RECORD];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record
}

/// Recovery of a million records beside reading and hashing them; memory; proofs.
pub(crate) fn measure_recovery() -> Vec<Line> {
    let directory = directory();
    let disk = Disk::new(directory.path());
    disk.run(Task::Append, FEW, 1);
    let few = disk.run(Task::Open, 0, 0);
    assert_eq!(few.records, FEW);
    let groups = (RECORDS - FEW) / LARGEST;
    disk.run(Task::Append, LARGEST, groups / 2);
    disk.run(Task::Append, LARGEST, groups - groups / 2);
    disk.run(Task::Append, RECORDS - FEW - groups * LARGEST, 1);
    // What the last flush left in doubt is settled by the first start, and not measured.
    disk.run(Task::Open, 0, 0);
    let blocks = RECORDS.div_ceil(LARGEST / 64);
    let (mut reading, mut seconds) = (f64::INFINITY, f64::INFINITY);
    let mut kibibytes = 0;
    for _ in 0..ROUNDS {
        reading = reading.min(disk.run(Task::Hash, blocks, 0).seconds);
        let many = disk.run(Task::Open, 0, 0);
        assert_eq!(many.records, RECORDS);
        seconds = seconds.min(many.seconds);
        kibibytes = many.kibibytes;
    }
    let proving = disk.run(Task::Prove, PROOFS, 0);
    eprintln!(
        "recovery of {RECORDS} records: {seconds:.3} s, reading and hashing {reading:.3} s; memory \
         {} KiB with {FEW} records, {} KiB with {RECORDS}; all of it static: {} KiB",
        few.kibibytes,
        kibibytes,
        size_of::<portcullis_ledger::Memory>() / 1024
    );
    let value = reading / seconds;
    let memory = kibibytes as f64 / few.kibibytes as f64;
    vec![
        Line {
            name: "recovery of 1,000,000 records, against reading and SHA-256",
            value,
            unit: "ratio",
            bar: ">= 0.5",
            holds: value >= 0.5,
        },
        Line {
            name: "ledger's memory with 1,000,000 records / with 1,000",
            value: memory,
            unit: "times",
            bar: "<= 1.01",
            holds: memory <= 1.01,
        },
        Line {
            name: "ledger's proof among 1,000,000 records, read from the disk",
            value: proving.seconds / PROOFS as f64 * 1e6,
            unit: "us",
            bar: "",
            holds: true,
        },
    ]
}

/// A folder on the disk that this program is on: one in memory would make every flush free.
fn directory() -> tempfile::TempDir {
    let executable = std::env::current_exe().expect("this program is a file");
    let folder = executable.parent().expect("a file lies in a folder");
    tempfile::tempdir_in(folder).expect("a folder that can be written")
}

/// A Portcullis disk in a file.
struct Disk(File);

/// What a run of the ledger's program came to.
struct Ran {
    seconds: f64,
    records: u64,
    /// Memory of the process at its peak, without the files that are mapped.
    kibibytes: u64,
    /// Of each group, nanoseconds that the ledger took to add and to commit it.
    ledger: Vec<[u64; 2]>,
    /// Of each flush, nanoseconds that the driver's disk took to write before it, and for it.
    driver: Vec<[u64; 2]>,
}

/// Where a component tells what its groups took.
struct Samples<R> {
    region: R,
    count: u64,
}

impl<R: RegionMut> Samples<R> {
    const fn new(region: R) -> Self {
        Self { region, count: 0 }
    }

    fn push(&mut self, times: [u64; 2]) {
        let at = 16 * (self.count % SAMPLES) as usize;
        self.count += 1;
        for (at, word) in [(at, times[0]), (at + 8, times[1]), (COUNT, self.count)] {
            self.region.store(at, word).expect("there is room");
        }
    }
}

/// The samples in a region, if none was overwritten.
fn samples(region: &Memory) -> Vec<[u64; 2]> {
    let count = word(region, COUNT).min(SAMPLES) as usize;
    let at = |number| [word(region, 16 * number), word(region, 16 * number + 8)];
    (0..count).map(at).collect()
}

impl Disk {
    fn new(directory: &Path) -> Self {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let file = options.open(directory.join("disk")).expect("a file");
        file.set_len(BLOCKS * BLOCK as u64).expect("a sparse file");
        let header = Header::new(BLOCKS, [7; 16]).expect("it is large enough");
        let copy = file.try_clone().expect("a descriptor");
        initialise(&mut FileDisk::new(copy.into(), BLOCKS), &header).expect("a disk");
        Self(file)
    }

    /// Runs driver and ledger until the ledger is through.
    fn run(&self, task: Task, records: u64, groups: u64) -> Ran {
        let mut kernel = Kernel::new();
        let (driver, _, endpoint) = component(&mut kernel, 101);
        let (ledger, cnode, _) = component(&mut kernel, 100);
        let badge = GrantBadge::new(0, Generation::default(), MethodSet(u32::MAX));
        let grant = Capability::Endpoint {
            object: endpoint,
            badge: badge.expect("there are methods").badge(),
            rights: Rights::CALL,
        };
        kernel
            .insert(cnode, DRIVER.bits(), grant)
            .expect("an empty slot");
        let report = Box::new(|event| eprintln!("the bench is spoilt: {event}"));
        let mut machine = Machine::new(kernel, Limits::default(), report);
        let region = |name, blocks: usize| Memory::zeroed(name, blocks * BLOCK).expect("memory");
        let (buffer, unused, result) =
            (region("buffer", 64), region("unused", 1), region("out", 1));
        let times = ["ledger", "driver"].map(|name| region(name, COUNT / BLOCK + 1));
        let [of_ledger, of_driver] =
            [0, 1].map(|which| ("times".into(), &times[which], Access::ReadWrite));
        let start = |name: &str, regions, devices, parameters: &[(&str, u64)]| Start {
            name: name.into(),
            program: name.into(),
            regions,
            devices,
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).into(), *value))
                .collect(),
        };
        let shared = ("ledger_disk".into(), &buffer, Access::ReadWrite);
        let driver_start = start(
            "bench-blk",
            vec![
                shared.clone(),
                ("vault_disk".into(), &unused, Access::ReadWrite),
                of_driver,
            ],
            vec![("disk".into(), self.0.as_fd(), Use::Disk)],
            &[],
        );
        let ledger_start = start(
            "bench-ledger",
            vec![
                shared,
                ("result".into(), &result, Access::ReadWrite),
                of_ledger,
            ],
            Vec::new(),
            &[
                ("task", task as u64),
                ("records", records),
                ("groups", groups),
            ],
        );
        let spawner = Spawner::this_executable();
        for (start, thread) in [(driver_start, driver), (ledger_start, ledger)] {
            machine
                .start(&spawner, &start, thread, None)
                .expect("the component starts");
        }
        let stop = machine
            .run(&[], WhenIdle::Return, None)
            .expect("the kernel runs");
        assert_eq!(stop, Stop::Idle);
        let process = machine.process_id(ledger).expect("it is there");
        Ran {
            seconds: word(&result, TIME) as f64 / 1e9,
            records: word(&result, FOUND),
            kibibytes: own_memory(process),
            ledger: samples(&times[0]),
            driver: samples(&times[1]),
        }
    }
}

/// A thread with an input and a reply object; its CNode, and its endpoint.
fn component(kernel: &mut Kernel, priority: u8) -> (ThreadId, ObjectId, ObjectId) {
    let thread = kernel.create_thread(priority);
    let cnode = kernel.create_cnode(RADIX);
    let endpoint = kernel.create_endpoint();
    let reply = kernel.create_reply();
    let input = Capability::Endpoint {
        object: endpoint,
        badge: Badge(0),
        rights: Rights::READ,
    };
    let root = Capability::cnode(cnode, 64 - RADIX);
    kernel.set_cspace(thread, root).expect("a CNode");
    let capabilities = [
        (cspace::INPUT, input),
        (
            cspace::REPLY,
            Capability::Reply {
                object: reply,
                grant: true,
            },
        ),
    ];
    for (slot, capability) in capabilities {
        kernel
            .insert(cnode, slot.bits(), capability)
            .expect("an empty slot");
    }
    (thread, cnode, endpoint)
}

/// Memory of a process that is its own, in KiB: its stack and heap, and nothing that is mapped.
fn own_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .expect("a line of proc(5)")
        .parse()
        .expect("a number")
}

/// A disk, and what it takes to write and to flush it.
struct Timed<R> {
    disk: FileDisk,
    samples: Samples<R>,
    /// Nanoseconds of writing since the last flush.
    writing: u64,
}

impl<R: RegionMut> portcullis_blk::Disk for Timed<R> {
    fn blocks(&self) -> u64 {
        self.disk.blocks()
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        self.disk.read(first, data)
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.write_behind(first, 0, data)
    }

    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        let (elapsed, written) = time(|| self.disk.write_behind(first, kept, data));
        self.writing += elapsed;
        written
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let (elapsed, flushed) = time(|| self.disk.flush());
        self.samples.push([self.writing, elapsed]);
        self.writing = 0;
        flushed
    }
}

/// The driver, as in the appliance.
fn blk(mut environment: Environment) -> Infallible {
    let disk = Timed {
        disk: FileDisk::new(environment.device("disk"), BLOCKS),
        samples: Samples::new(environment.region_mut("times")),
        writing: 0,
    };
    let mut memory = portcullis_blk::Memory::new();
    let regions = portcullis_blk::Regions::<portcullis_hosted::component::Client> {
        vault_disk: environment.region_mut("vault_disk"),
        ledger_disk: environment.region_mut("ledger_disk"),
    };
    let mut blk = Blk::new(0, disk, regions, &mut memory);
    serve(&mut environment.kernel, &mut blk)
}

/// The ledger's log over the driver.
fn ledger(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    let samples = Samples::new(environment.region_mut("times"));
    let mut buffer = SharedBuffer::new(environment.region_mut("ledger_disk"));
    let parameter = |name| environment.parameter(name).expect("the bench says it");
    let (task, records, groups) = (parameter("task"), parameter("records"), parameter("groups"));
    let kernel = &mut environment.kernel;
    let client = Client(CallGrant(DRIVER));
    let info = client.info(kernel).expect("the driver answers");
    let remote = Remote::new(client, Area::Worm, &info);
    let disk = &mut remote.attach(kernel, &mut buffer);
    let (time, found) = if task == Task::Hash as u64 {
        (time(|| read_and_hash(disk, records)).0, 0)
    } else {
        with_log(disk, &info, task, [records, groups], samples)
    };
    for (offset, word) in [(TIME, time), (FOUND, found)] {
        result.store(offset, word).expect("it has a page");
    }
    let mut message = Message::default();
    loop {
        environment
            .kernel
            .recv(cspace::INPUT, ReplyObject::OWN, &mut message);
    }
}

/// Nanoseconds, and what came of it.
fn time<T>(run: impl FnOnce() -> T) -> (u64, T) {
    let start = Instant::now();
    let result = run();
    (start.elapsed().as_nanos() as u64, result)
}

/// Reads blocks one after the other, as many at a time as the driver takes, and hashes them.
fn read_and_hash(disk: &mut impl portcullis_blk::Disk, blocks: u64) {
    let mut buffer = [0; RUN_MAX as usize * BLOCK];
    let mut hasher = Sha256::new();
    for first in (0..blocks).step_by(RUN_MAX as usize) {
        let count = RUN_MAX.min(blocks - first) as usize;
        let part = &mut buffer[..count * BLOCK];
        disk.read(first, part).expect("the disk works");
        hasher.update(part);
    }
    std::hint::black_box(hasher.finalize());
}

/// Nanoseconds that a task takes, and the log's size after it.
fn with_log(
    disk: &mut impl portcullis_blk::Disk,
    info: &Info,
    task: u64,
    [records, groups]: [u64; 2],
    mut samples: Samples<impl RegionMut>,
) -> (u64, u64) {
    let (mut memory, mut index, mut scratch) = (LogMemory::new(), Index::new(), Scratch::new());
    let mut log = Log::new(LogKind::Worm, &mut memory, &mut index);
    let (key, id) = (SigningKey::from_bytes(&[5; 32]), LogId(info.id));
    let extent = info.extent(Area::Worm);
    let (opening, ()) = time(|| {
        log.open(disk, &mut scratch, id, extent, &key)
            .expect("the log opens");
    });
    let (elapsed, ()) = if task == Task::Append as u64 {
        time(|| {
            for _ in 0..groups {
                let (adding, ()) = time(|| {
                    for number in 0..records {
                        log.add(disk, &record(number), &key).expect("there is room");
                    }
                });
                let (committing, done) = time(|| log.commit(disk, &key));
                done.expect("the disk works");
                samples.push([adding, committing]);
            }
        })
    } else if task == Task::Prove as u64 {
        let size = log.size();
        time(|| {
            for index in (0..records).map(|number| number * 7_919 % size) {
                let proved = log.prove(disk, &mut scratch, index, size);
                proved.expect("a record of the log");
            }
        })
    } else {
        (opening, ())
    };
    (elapsed, log.size())
}
