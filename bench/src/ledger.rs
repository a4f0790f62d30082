//! The ledger on the hosted platform: appends, recovery, proofs, memory.
//!
//! Two sandboxed components: the disk driver as it is, over a file, and a program that has the
//! ledger's log over it, through the driver's interface and the shared buffer. Beside them, for
//! appends, what a program does that has a file to itself: `pwrite` and `fdatasync`; for recovery,
//! what a component in the ledger's place does that reads the same blocks from the same driver, and
//! gives them to SHA-256.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use portcullis_blk::api::{Area, Client, Info, RUN_MAX};
use portcullis_blk::{BLOCK, Blk, Header, Remote, SharedBuffer, initialise};
use portcullis_hosted::component::{Access, Use};
use portcullis_hosted::disk::FileDisk;
use portcullis_hosted::machine::{Limits, Machine, Spawner, Start, Stop, WhenIdle};
use portcullis_hosted::memory::Memory;
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{
    Badge, CPtr, CallGrant, Generation, GrantBadge, Message, MethodSet, RegionMut, Rights,
    Syscalls, cspace, serve,
};
use portcullis_ledger::{Index, Log, LogMemory, Scratch};
use portcullis_log::block::{LogId, LogKind};
use portcullis_model::{Capability, Kernel, ObjectId, ThreadId};
use sha2::{Digest, Sha256};

use crate::Line;

/// Bytes of a record.
pub(crate) const RECORD: usize = 256;
/// Records of the ledger that is recovered.
const RECORDS: u64 = 1_000_000;
/// Records of the small one, whose memory is compared.
const FEW: u64 = 1_000;
/// Records of a commit that is as large as can be: 64 blocks of 15.
const LARGEST: u64 = 960;
/// Records of a group.
const GROUPS: [u64; 3] = [16, 64, 256];
/// Groups of a round.
const IN_A_ROUND: u64 = 60;
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

/// What a program says in its region: nanoseconds (of a group, where it appends groups), records.
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

/// Group commit beside `pwrite` and `fdatasync` of the same records. What a flush takes differs from
/// one to the next many times over, so the two alternate and the middle group of each counts.
pub(crate) fn measure_appends() -> Vec<Line> {
    GROUPS.map(measure_groups).into()
}

fn measure_groups(records: u64) -> Line {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let directory = directory();
        bare.push(bare_appends(directory.path(), records));
        let disk = Disk::new(directory.path());
        let ran = disk.run(Task::Append, records, IN_A_ROUND);
        assert_eq!(ran.records, records * IN_A_ROUND);
        ours.push(ran.seconds);
    }
    let [bare, ours] = [bare, ours].map(median);
    let [bare_rate, rate] = [bare, ours].map(|seconds| records as f64 / seconds);
    eprintln!("appends in groups of {records}: {rate:.0} records/s, bare {bare_rate:.0} records/s");
    let value = bare / ours;
    Line {
        name: match records {
            16 => "hosted appends, groups of 16, against pwrite + fdatasync",
            64 => "hosted appends, groups of 64, against pwrite + fdatasync",
            _ => "hosted appends, groups of 256, against pwrite + fdatasync",
        },
        value,
        unit: "ratio",
        bar: ">= 0.7",
        holds: value >= 0.7,
    }
}

fn median<T: PartialOrd + Copy>(mut times: impl AsMut<[T]>) -> T {
    let times = times.as_mut();
    times.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    times[times.len() / 2]
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
    let mut many = few;
    for _ in 0..ROUNDS {
        reading = reading.min(disk.run(Task::Hash, blocks, 0).seconds);
        many = disk.run(Task::Open, 0, 0);
        assert_eq!(many.records, RECORDS);
        seconds = seconds.min(many.seconds);
    }
    let proving = disk.run(Task::Prove, PROOFS, 0);
    eprintln!(
        "recovery of {RECORDS} records: {seconds:.3} s, reading and hashing {reading:.3} s; memory \
         {} KiB with {FEW} records, {} KiB with {RECORDS}; all of it static: {} KiB",
        few.kibibytes,
        many.kibibytes,
        size_of::<portcullis_ledger::Memory>() / 1024
    );
    let value = reading / seconds;
    let memory = many.kibibytes as f64 / few.kibibytes as f64;
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

/// Seconds that it takes to append a group of records to a file and to make it durable.
fn bare_appends(directory: &Path, records: u64) -> f64 {
    let file = File::create(directory.join("bare")).expect("a file");
    file.set_len(BLOCKS * BLOCK as u64).expect("a sparse file");
    file.sync_all().expect("a disk");
    let mut buffer = Vec::new();
    let mut offset = 0;
    let times: Vec<u64> = (0..IN_A_ROUND)
        .map(|_| {
            time(|| {
                buffer.clear();
                (0..records).for_each(|number| buffer.extend_from_slice(&record(number)));
                file.write_all_at(&buffer, offset).expect("a disk");
                file.sync_data().expect("a disk");
                offset += buffer.len() as u64;
            })
        })
        .collect();
    median(times) as f64 / 1e9
}

/// A Portcullis disk in a file.
struct Disk(File);

/// What a run of the ledger's program came to.
#[derive(Clone, Copy)]
struct Ran {
    seconds: f64,
    records: u64,
    /// Memory of the process at its peak, without the files that are mapped.
    kibibytes: u64,
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
            ],
            vec![("disk".into(), self.0.as_fd(), Use::Disk)],
            &[],
        );
        let ledger_start = start(
            "bench-ledger",
            vec![shared, ("result".into(), &result, Access::ReadWrite)],
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
        let stop = machine.run(&[], WhenIdle::Return).expect("the kernel runs");
        assert_eq!(stop, Stop::Idle);
        let process = machine.process_id(ledger).expect("it is there");
        let word = |offset| {
            let mut bytes = [0; 8];
            result.read(offset, &mut bytes).expect("it has a page");
            u64::from_le_bytes(bytes)
        };
        Ran {
            seconds: word(TIME as u64) as f64 / 1e9,
            records: word(FOUND as u64),
            kibibytes: own_memory(process),
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

/// The driver, as in the appliance.
fn blk(mut environment: Environment) -> Infallible {
    let disk = FileDisk::new(environment.device("disk"), BLOCKS);
    let mut memory = portcullis_blk::Memory::new();
    let vault = environment.region_mut("vault_disk");
    let ledger = environment.region_mut("ledger_disk");
    let mut blk = Blk::new(0, disk, vault, ledger, &mut memory);
    serve(&mut environment.kernel, &mut blk)
}

/// The ledger's log over the driver.
fn ledger(mut environment: Environment) -> Infallible {
    let mut result = environment.region_mut("result");
    let mut buffer = SharedBuffer::new(environment.region_mut("ledger_disk"));
    let parameter = |name| environment.parameter(name).expect("the bench says it");
    let (task, records, groups) = (parameter("task"), parameter("records"), parameter("groups"));
    let kernel = &mut environment.kernel;
    let client = Client(CallGrant(DRIVER));
    let info = client.info(kernel).expect("the driver answers");
    let remote = Remote::new(client, Area::Worm, &info);
    let disk = &mut remote.attach(kernel, &mut buffer);
    let (time, found) = if task == Task::Hash as u64 {
        (time(|| read_and_hash(disk, records)), 0)
    } else {
        with_log(disk, &info, task, records, groups)
    };
    for (offset, word) in [(TIME, time), (FOUND, found)] {
        result.store(offset, word).expect("it has a page");
    }
    let mut message = Message::default();
    loop {
        environment.kernel.recv(cspace::INPUT, &mut message);
    }
}

/// Nanoseconds.
fn time(run: impl FnOnce()) -> u64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as u64
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

/// Nanoseconds that a task takes (the middle one of its groups), and the log's size after it.
fn with_log(
    disk: &mut impl portcullis_blk::Disk,
    info: &Info,
    task: u64,
    records: u64,
    groups: u64,
) -> (u64, u64) {
    let (mut memory, mut index, mut scratch) = (LogMemory::new(), Index::new(), Scratch::new());
    let mut log = Log::new(LogKind::Worm, &mut memory, &mut index);
    let (key, id) = (SigningKey::from_bytes(&[5; 32]), LogId(info.id));
    let extent = info.extent(Area::Worm);
    let opening = time(|| {
        log.open(disk, &mut scratch, id, extent, &key)
            .expect("the log opens");
    });
    let elapsed = if task == Task::Append as u64 {
        // No memory can be had in here.
        let mut times = [0; 1_024];
        let times = times.get_mut(..groups as usize);
        let times = times.expect("there are not so many groups");
        for elapsed in times.iter_mut() {
            *elapsed = time(|| {
                for number in 0..records {
                    log.add(disk, &record(number), &key).expect("there is room");
                }
                log.commit(disk, &key).expect("the disk works");
            });
        }
        median(times)
    } else if task == Task::Prove as u64 {
        let size = log.size();
        time(|| {
            for index in (0..records).map(|number| number * 7_919 % size) {
                let proved = log.prove(disk, &mut scratch, index, size);
                proved.expect("a record of the log");
            }
        })
    } else {
        opening
    };
    (elapsed, log.size())
}
