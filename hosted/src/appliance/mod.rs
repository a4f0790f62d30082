//! The reference appliance on the hosted kernel: from what was prepared to running components, to the end.
//!
//! [`start`] makes the kernel's objects and starts a process for each protection domain;
//! [`Running::run`] is the kernel's loop. It prints nothing: who calls it does.

mod control;
mod running;
mod serial;

pub use control::{ControlError, capscan_of, scan_of};
pub use running::{Ended, Paused, Running, Until};
pub use serial::Console;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use portcullis_appliance::{Appliance, FileDisk, Plan, StateError};
use portcullis_policy::model::MANAGER;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::component::{Access, Isolation, SetupError, Use};
use crate::construct::{ConstructError, Constructed};
use crate::host::Timer;
use crate::machine::{Event, Limits, Machine, Spawner, Start};
use crate::memory::Memory;
use crate::pd::{self, device, parameter};

/// Bytes of a page: what regions consist of (aarch64, riscv64 and x86-64 alike).
const PAGE: u64 = 4096;
/// Largest file, in bytes, that becomes sealed memory, which nobody can change: any policy (65,536
/// grants take some 2 MiB), any key. A bundle of documents may take all the memory that there is.
const COPIED: u64 = 16 << 20;
/// The component whose alarm is the host's timer.
const CLOCK: &str = "clock";
/// The components that say how far they came.
const TELLING: [&str; 2] = ["edge", "ingest"];

/// Why an appliance does not start.
#[derive(Debug)]
pub enum StartError {
    /// A region could not be made.
    Region(String, io::Error),
    /// The kernel refuses a capability of the distribution.
    Construct(ConstructError),
    /// A component's process did not start.
    Component(String, SetupError),
    /// The state directory cannot be used.
    State(StateError),
    /// Something of the host is in the way.
    Host(&'static str, io::Error),
}

/// Starts the kernel, and a process for each protection domain. `console` is what the console
/// is connected to; `report` is told what people should know.
pub fn start(
    appliance: Appliance,
    spawner: &Spawner,
    console: Console,
    report: Box<dyn FnMut(Event)>,
) -> Result<Running, StartError> {
    let (plan, state) = (appliance.plan(), appliance.state());
    let mut constructed = Constructed::new(&plan.distribution).map_err(StartError::Construct)?;
    let kernel = std::mem::take(&mut constructed.kernel);
    let mut machine = Machine::new(kernel, Limits::default(), report);
    let regions = regions(&appliance)?;
    let outcomes = outcomes()?;
    let disk = state.open_disk().map_err(StartError::State)?;
    let blocks = FileDisk::blocks_of(&disk).map_err(|error| StartError::Host("disk", error))?;
    let random =
        File::open("/dev/urandom").map_err(|error| StartError::Host("randomness", error))?;
    let timer = Timer::new().map_err(|error| StartError::Host("timer", error.into()))?;
    let common = Common {
        blocks,
        image: words(&executable().map_err(|error| StartError::Host("executable", error))?),
    };
    for pd in plan.protection_domains() {
        let start = Start {
            name: pd.to_owned(),
            program: pd.to_owned(),
            regions: mapped(plan, pd, &regions, &outcomes),
            devices: devices(pd, &disk, &random, &timer, &console),
            parameters: parameters(plan, pd, &common, &console),
        };
        let thread = constructed
            .thread(pd)
            .expect("made from the same distribution");
        let handler = constructed.fault_handler(pd);
        machine
            .start(spawner, &start, thread, handler)
            .map_err(|error| StartError::Component(pd.to_owned(), error))?;
    }
    Running::new(appliance, machine, constructed, (console, timer), outcomes)
}

/// Makes every region of the description that is not a device's.
fn regions(appliance: &Appliance) -> Result<BTreeMap<String, Memory>, StartError> {
    let memory = appliance.plan().distribution.regions.iter();
    let memory = memory.filter(|region| region.phys_addr.is_none());
    let made = memory.map(|region| {
        let writable = region.mappings.iter().any(|mapping| mapping.write);
        let memory = match &region.prefill {
            Some(file) => filled(
                &region.name,
                &appliance.state().file(file),
                region.size,
                writable,
            ),
            None => Memory::zeroed(&region.name, in_pages(region.size.unwrap_or(PAGE))),
        };
        memory
            .map(|memory| (region.name.clone(), memory))
            .map_err(|error| StartError::Region(region.name.clone(), error))
    });
    made.collect()
}

fn mapped<'m>(
    plan: &Plan,
    pd: &str,
    regions: &'m BTreeMap<String, Memory>,
    outcomes: &'m BTreeMap<String, Memory>,
) -> Vec<(String, &'m Memory, Access)> {
    let described = plan.mapped(pd);
    let mut mapped: Vec<_> = described
        .map(|(name, mapping)| {
            let access = if mapping.write {
                Access::ReadWrite
            } else {
                Access::Read
            };
            (name.to_owned(), &regions[name], access)
        })
        .collect();
    if let Some(outcome) = outcomes.get(pd) {
        mapped.push((pd::OUTCOME.to_owned(), outcome, Access::ReadWrite));
    }
    mapped
}

fn parameters(plan: &Plan, pd: &str, common: &Common, console: &Console) -> Vec<(String, u64)> {
    let mut parameters = Vec::new();
    let mut add = |name: &str, value: u64| parameters.push((name.to_owned(), value));
    if let Some(channel) = plan.channel(pd) {
        add(parameter::CHANNEL, channel.into());
    }
    if let Some((_, id)) = plan.interrupt(pd) {
        add(parameter::IRQ, id.into());
    }
    match pd {
        MANAGER => {
            let image = parameter::IMAGE.iter().zip(&common.image);
            image.for_each(|(name, word)| add(name, *word));
        }
        "blk" => add(parameter::BLOCKS, common.blocks),
        "console" => add(parameter::IS_TERMINAL, console.is_terminal().into()),
        _ => {}
    }
    parameters
}

/// What is the same for all components of a run.
struct Common {
    blocks: u64,
    /// SHA-256 of the executable.
    image: [u64; 4],
}

/// The devices of a protection domain: its own, and nothing else.
fn devices<'a>(
    pd: &str,
    disk: &'a File,
    random: &'a File,
    timer: &'a Timer,
    console: &'a Console,
) -> Vec<(String, std::os::fd::BorrowedFd<'a>, Use)> {
    let output = || (device::OUTPUT.to_owned(), console.output(), Use::Output);
    match pd {
        "blk" => vec![(device::DISK.to_owned(), disk.as_fd(), Use::Disk)],
        "entropy" => vec![(device::RANDOM.to_owned(), random.as_fd(), Use::Input)],
        CLOCK => vec![(device::TIMER.to_owned(), timer.0.as_fd(), Use::Alarm)],
        "console" => {
            vec![
                (device::INPUT.to_owned(), console.input(), Use::Input),
                output(),
            ]
        }
        // So that the operator is told where the console cannot tell: no grant was issued.
        MANAGER => vec![output()],
        _ => Vec::new(),
    }
}

fn outcomes() -> Result<BTreeMap<String, Memory>, StartError> {
    let page = in_pages(PAGE);
    let made = TELLING.map(|pd| {
        Memory::zeroed(pd::OUTCOME, page)
            .map(|memory| (pd.to_owned(), memory))
            .map_err(|error| StartError::Region(pd::OUTCOME.to_owned(), error))
    });
    made.into_iter().collect()
}

/// A region that starts with the content of a file, and is as large as that where `size` is not
/// given. A large file is mapped and not copied.
fn filled(name: &str, path: &Path, size: Option<u64>, writable: bool) -> io::Result<Memory> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if size.is_none() && !writable && length > COPIED {
        return Memory::file(file);
    }
    let size = size.unwrap_or(length.max(1));
    // It may be a key.
    let mut content = Zeroizing::new(vec![0; usize::try_from(length).map_err(io::Error::other)?]);
    file.read_exact(&mut content)?;
    Memory::filled(name, &content, in_pages(size), writable)
}

fn in_pages(size: u64) -> usize {
    size.next_multiple_of(PAGE) as usize
}

fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    std::array::from_fn(|word| u64::from_le_bytes(std::array::from_fn(|i| bytes[8 * word + i])))
}

/// SHA-256 of this executable, which is what the hosted kernel runs as an image.
fn executable() -> io::Result<[u8; 32]> {
    let mut file = File::open("/proc/self/exe")?;
    let (mut digest, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok(digest.finalize().into()),
            length => digest.update(&part[..length]),
        }
    }
}

/// A spawner of this executable's components, with these walls.
pub fn spawner(isolation: Isolation) -> Spawner {
    Spawner {
        isolation,
        ..Spawner::this_executable()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name, error) => write!(f, "region {name:?} cannot be made: {error}"),
            Self::Construct(error) => error.fmt(f),
            Self::Component(pd, error) => write!(f, "{pd} does not start: {error}"),
            Self::State(error) => error.fmt(f),
            Self::Host(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
