//! The protection domains of the reference appliance: what ties each component to its process.
//!
//! The hosted counterpart of the `main.rs` files in `images/`: it names regions, devices and
//! parameters, and decides nothing.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::os::fd::OwnedFd;

use portcullis_appliance::FileDisk;
use portcullis_blk::{Blk, Disk};
use portcullis_clock::{Clock, Counter as _, deadline, offset};
use portcullis_console::report::Worded;
use portcullis_console::{Channels, Console, Serial};
use portcullis_edge::Edge;
use portcullis_entropy::Entropy;
use portcullis_entropy::seed::{self, NoSeed};
use portcullis_ingest::Ingest;
use portcullis_kernel::{
    Caller, Component, Current, Fault, Message, Method, RegionMut as _, Signal, Signals, Syscalls,
    serve,
};
use portcullis_ledger::Ledger;
use portcullis_log::Time;
use portcullis_log::ring::Writer;
use portcullis_manager::{
    Config, Identity, MAX_TABLE, Manager, Platform, Report, Table, trusted_keys,
};
use portcullis_policy_format::Policy;
use portcullis_publish::Publish;
use portcullis_vault::Vault;

use crate::component::{Client, Environment, FromEnvironment, Mapped, MappedMut, Program};
use crate::host::{Clocks, Timer, Urandom};

/// Names of the parameters that components are told.
pub mod parameter {
    /// The component's id of its channel to the manager.
    pub const CHANNEL: &str = "channel";
    /// The component's id of its device's interrupt.
    pub const IRQ: &str = "irq";
    /// Blocks of the disk.
    pub const BLOCKS: &str = "blocks";
    /// Whether a person is at the terminal.
    pub const IS_TERMINAL: &str = "is_terminal";
    /// The four words of the SHA-256 of the executable.
    pub const IMAGE: [&str; 4] = ["image_0", "image_1", "image_2", "image_3"];
}

/// Names of the devices that components are given.
pub mod device {
    /// The disk's file: the driver's.
    pub const DISK: &str = "disk";
    /// What is typed: the console's.
    pub const INPUT: &str = "input";
    /// Where lines are shown: the console's, and the manager's.
    pub const OUTPUT: &str = "output";
    /// The host's source of randomness: the entropy component's.
    pub const RANDOM: &str = "random";
    /// The host's timer: the clock's alarm.
    pub const TIMER: &str = "timer";
}

/// Name of the region, of the hosted kernel alone, in which a component says how far it came: word 0
/// is 1 when it is through, word 1 counts what failed.
pub const OUTCOME: &str = "outcome";

/// The `Regions` of a component: each field is the region of its name in system.xml, and its type says
/// how the component maps it.
macro_rules! regions {
    ($environment:ident, $component:ident::Regions { $($region:ident),+ }) => {
        $component::Regions::<Client> {
            $($region: FromEnvironment::take(&mut $environment, stringify!($region)),)+
        }
    };
}

/// The programs of the reference appliance, by the names of their protection domains.
pub fn program(name: &str) -> Option<Program> {
    Some(match name {
        "blk" => |environment| blk(environment, |disk| disk),
        "clock" => clock,
        "console" => console,
        "edge" => edge,
        "entropy" => entropy,
        "ingest" => ingest,
        "ledger" => ledger,
        "manager" => manager,
        "publish" => publish,
        "vault" => vault,
        _ => return None,
    })
}

/// The component's id of its channel to the manager.
fn channel(environment: &Environment) -> u8 {
    number(environment, parameter::CHANNEL) as u8
}

fn number(environment: &Environment, name: &str) -> u64 {
    let number = environment.parameter(name);
    number.unwrap_or_else(|| panic!("the hosted kernel passes no {name:?} here"))
}

fn manager(mut environment: Environment) -> Infallible {
    let policy = environment.region("policy");
    let policy = policy.constant().expect("nobody writes the policy");
    let keys = environment.region("policy_keys");
    let keys = keys.constant().expect("nobody writes the keys");
    let keys = trusted_keys(keys);
    let mut image = [0; 32];
    let words = parameter::IMAGE.map(|name| number(&environment, name).to_le_bytes());
    image.copy_from_slice(words.as_flattened());
    let page = environment.region_if_mapped("boot_seed");
    let seed = page.as_ref().map_or(Err(NoSeed::Unwritten), seed::read);
    let identity = Identity::new(seed.map_err(NoSeed::into), Clocks.monotonic(), policy);
    let config = Config {
        policy,
        keys: keys.as_deref().map_err(|error| *error),
        in_force: 0,
        boot: identity,
        image,
    };
    let host = Host {
        output: environment.device(device::OUTPUT),
        utc_offset: environment.region_if_mapped("utc_offset"),
        lease_deadline: environment.region_mut_if_mapped("lease_deadline"),
    };
    let log = environment.region_mut("grant_log");
    let ring = Writer::new(log, environment.region("grant_log_ack"))
        .expect("system.xml gives the ring more than a page");
    let mut table = Table::<MAX_TABLE>::new();
    let mut manager = Manager::new(config, host, ring, &mut table);
    serve(&mut environment.kernel, &mut manager)
}

/// What the host gives the manager.
struct Host {
    output: OwnedFd,
    utc_offset: Option<Mapped>,
    lease_deadline: Option<MappedMut>,
}

impl Platform for Host {
    fn now(&mut self) -> Time {
        let monotonic = Clocks.monotonic();
        Time {
            monotonic,
            // Read for every record: the clock may come to write it after the manager's start.
            utc: offset::utc(self.utc_offset.as_ref().and_then(offset::read), monotonic),
        }
    }

    fn set_deadline(&mut self, at: Option<u64>) {
        if let Some(page) = &mut self.lease_deadline {
            deadline::write(page, at).expect("the region has a page");
        }
    }

    fn report(&mut self, report: Report, policy: Option<&Policy<'_>>) {
        let mut text = Line::default();
        // What does not fit is cut; an error says no more than that.
        let _ = writeln!(text, "manager: {}", Worded(report, policy));
        write_all(&self.output, &text.0);
    }
}

/// Text in a buffer of its own: the sandbox leaves no way to get more memory.
#[derive(Default)]
struct Line(heapless::Vec<u8, 512>);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.len().min(self.0.capacity() - self.0.len());
        self.0
            .extend_from_slice(&text.as_bytes()[..fits])
            .map_err(|_| fmt::Error)
    }
}

/// The disk driver, on the disk that `wrap` makes of the file: itself, or one that a test listens to.
pub fn blk<D: Disk>(mut environment: Environment, wrap: fn(FileDisk) -> D) -> Infallible {
    let disk = wrap(FileDisk::new(
        environment.device(device::DISK),
        number(&environment, parameter::BLOCKS),
    ));
    let mut memory = portcullis_blk::Memory::new();
    let regions = regions!(
        environment,
        portcullis_blk::Regions {
            vault_disk,
            ledger_disk
        }
    );
    let mut blk = Blk::new(channel(&environment), disk, regions, &mut memory);
    serve(&mut environment.kernel, &mut blk)
}

fn ledger(mut environment: Environment) -> Infallible {
    let mut memory = portcullis_ledger::Memory::new();
    let regions = regions!(
        environment,
        portcullis_ledger::Regions {
            grant_log,
            grant_log_ack,
            ledger_key,
            ledger_disk
        }
    );
    let mut ledger = Ledger::new(channel(&environment), regions, &mut memory);
    serve(&mut environment.kernel, &mut ledger)
}

fn vault(mut environment: Environment) -> Infallible {
    let mut memory = portcullis_vault::Memory::new();
    let regions = regions!(
        environment,
        portcullis_vault::Regions {
            vault_key,
            ingest_vault,
            vault_publish,
            vault_disk
        }
    );
    let mut vault = Vault::new(channel(&environment), regions, &mut memory);
    serve(&mut environment.kernel, &mut vault)
}

fn console(mut environment: Environment) -> Infallible {
    let serial = Terminal {
        input: environment.device(device::INPUT),
        output: environment.device(device::OUTPUT),
        is_terminal: number(&environment, parameter::IS_TERMINAL) != 0,
    };
    let channels = Channels {
        manager: channel(&environment),
        irq: number(&environment, parameter::IRQ) as u8,
    };
    let policy = environment.region("policy");
    let policy = policy.constant().expect("nobody writes the policy");
    let mut console = Console::new(channels, policy, serial);
    serve(&mut environment.kernel, &mut console)
}

fn entropy(mut environment: Environment) -> Infallible {
    let source = Urandom(environment.device(device::RANDOM));
    let regions = regions!(environment, portcullis_entropy::Regions { boot_seed });
    let mut entropy = Entropy::new(source, regions);
    serve(&mut environment.kernel, &mut entropy)
}

fn clock(mut environment: Environment) -> Infallible {
    let timer = Timer(environment.device(device::TIMER));
    let channel = channel(&environment);
    let regions = regions!(
        environment,
        portcullis_clock::Regions {
            utc_offset,
            lease_deadline
        }
    );
    let mut clock = Clock::new(Clocks, Clocks, timer, channel, regions);
    serve(&mut environment.kernel, &mut clock)
}

fn edge(mut environment: Environment) -> Infallible {
    let regions = regions!(environment, portcullis_edge::Regions { publish_edge });
    let edge = Edge::new(channel(&environment), regions);
    let mut told = Told {
        outcome: environment.region_mut(OUTCOME),
        of: |edge: &Edge<Client>| [1, edge.failures()],
        component: edge,
    };
    serve(&mut environment.kernel, &mut told)
}

fn publish(mut environment: Environment) -> Infallible {
    let regions = regions!(
        environment,
        portcullis_publish::Regions {
            vault_publish,
            publish_edge
        }
    );
    let mut publish = Publish::new(channel(&environment), regions);
    serve(&mut environment.kernel, &mut publish)
}

fn ingest(mut environment: Environment) -> Infallible {
    let regions = regions!(
        environment,
        portcullis_ingest::Regions {
            inbox,
            ingest_vault
        }
    );
    let mut told = Told {
        outcome: environment.region_mut(OUTCOME),
        of: |ingest: &Ingest<Client>| {
            let refused = ingest.refused();
            [u64::from(refused.is_some()), refused.unwrap_or(0)]
        },
        component: Ingest::new(channel(&environment), regions),
    };
    serve(&mut environment.kernel, &mut told)
}

/// A component that tells the hosted kernel, in a region of its own, how far it came.
struct Told<C, F> {
    component: C,
    outcome: MappedMut,
    of: F,
}

impl<C, F: Fn(&C) -> [u64; 2]> Told<C, F> {
    fn tell(&mut self) {
        for (word, value) in (self.of)(&self.component).into_iter().enumerate() {
            self.outcome
                .store(word * 8, value)
                .expect("the region has a page");
        }
    }
}

impl<K: Syscalls, C: Component<K>, F: Fn(&C) -> [u64; 2]> Component<K> for Told<C, F> {
    fn init(&mut self, kernel: &mut K) {
        self.component.init(kernel);
        self.tell();
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        self.component.call(kernel, caller, method, message);
        self.tell();
    }

    fn refused(&mut self, kernel: &mut K, caller: Caller) {
        self.component.refused(kernel, caller);
    }

    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        self.component.notified(kernel, signals);
        self.tell();
    }

    fn timer(&self) -> Option<Signal> {
        self.component.timer()
    }

    fn deadline_passed(&mut self, kernel: &mut K) {
        self.component.deadline_passed(kernel);
        self.tell();
    }

    fn reply_object(&self) -> Current {
        self.component.reply_object()
    }

    fn faulted(&mut self, kernel: &mut K, number: u8, fault: Fault) {
        self.component.faulted(kernel, number, fault);
        self.tell();
    }
}

/// The terminal as a serial device: a pipe of what is typed, and the terminal itself to write to.
struct Terminal {
    /// Never waits: the pipe is non-blocking.
    input: OwnedFd,
    output: OwnedFd,
    is_terminal: bool,
}

impl Serial for Terminal {
    fn write(&mut self, text: &[u8]) {
        write_all(&self.output, text);
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        rustix::io::retry_on_intr(|| rustix::io::read(&self.input, &mut *buffer)).unwrap_or(0)
    }

    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

/// Writes text; where nobody reads it any more, it is lost, and that is no fault.
fn write_all(file: &OwnedFd, mut text: &[u8]) {
    while !text.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(file, text)) {
            Ok(0) | Err(_) => return,
            Ok(written) => text = &text[written..],
        }
    }
}
