//! 62 boot grants, from the manager's start to sealed and logged, beside the same kernel operations.
//!
//! The manager runs once to have its system calls written down; then two components alternate: the
//! manager from the start of `init` to its seal, and one that makes exactly those system calls and
//! nothing else, with the same capabilities in the same kernel. Between the two lie the policy's
//! signature and checks, the table of grants, and a record of each in the ring, which this component
//! itself takes out and acknowledges in the ledger's place.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use ed25519_dalek::SigningKey;
use portcullis_hosted::component::{Access, Client, Mapped, MappedMut};
use portcullis_hosted::construct::Constructed;
use portcullis_hosted::machine::{Limits, Machine, Spawner, Start, Stop, WhenIdle};
use portcullis_hosted::memory::Memory;
use portcullis_hosted::wire::{Asked, Packet, decode};
use portcullis_hosted::{Environment, Program};
use portcullis_kernel::{
    Badge, CNodes, CPtr, Component, Invocation, KernelError, Message, Region, RegionMut,
    ReplyObject, Signals, Syscall, Syscalls, cspace,
};
use portcullis_log::ring::{Reader, Writer};
use portcullis_log::{RECORD_MAX, Time};
use portcullis_manager::{Config, Identity, Manager, Platform, Report, Table, trusted_keys};
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy::{Checked, Source};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, Target};

use crate::Line;

/// Grants issued at boot.
const GRANTS: usize = 62;
/// Components that hold a grant each; the manager's stream to the ledger is one more grant, and one
/// component holds two.
const HOLDERS: usize = GRANTS - 2;
/// Rounds of each kind; the quickest of each counts, since noise only ever adds.
const ROUNDS: usize = 15;
/// Bytes of the region that system calls are written down in: a length and a packet each.
const TRACE: usize = 256 * 1024;
/// Offset of the first packet: behind the count, the time and whether the manager is sealed.
const PACKETS: usize = 64;
/// Words at the start of the trace.
const COUNT: usize = 0;
const TIME: usize = 8;
const SEALED: usize = 16;

/// The components of this measurement.
pub(crate) fn program(name: &str) -> Option<Program> {
    Some(match name {
        "bench-manager" => manager,
        "bench-raw" => raw,
        _ => return None,
    })
}

pub(crate) fn measure() -> Vec<Line> {
    let bench = Bench::new();
    let trace = Memory::zeroed("trace", TRACE).expect("memory");
    bench.run("bench-manager", true, &trace);
    let operations = word(&trace, COUNT);
    let mut quickest = [f64::INFINITY; 2];
    for _ in 0..ROUNDS {
        for (best, program) in quickest.iter_mut().zip(["bench-manager", "bench-raw"]) {
            bench.run(program, false, &trace);
            *best = best.min(word(&trace, TIME) as f64 / 1e9);
        }
    }
    let [managed, raw] = quickest;
    eprintln!(
        "{GRANTS} boot grants: manager {:.0} us; its {operations} system calls raw {:.0} us",
        managed * 1e6,
        raw * 1e6
    );
    let value = managed / raw;
    vec![Line {
        name: "62 boot grants, sealed and logged / raw kernel operations",
        value,
        unit: "times",
        bar: "<= 3",
        holds: value <= 3.0,
    }]
}

/// A system of 62 components and its signed policy.
struct Bench {
    distribution: Distribution,
    policy: Memory,
    keys: Memory,
}

impl Bench {
    fn new() -> Self {
        let source = Arc::new(Source::new("bench.toml", policy()));
        let description = Arc::new(Source::new("bench.xml", system()));
        let system = portcullis_sdf::parse(description.text(), &Target::ANY)
            .unwrap_or_else(|errors| panic!("the generated system does not hold: {errors}"));
        let checked = Checked::new(source, system.clone(), description)
            .unwrap_or_else(|problems| panic!("the generated policy does not hold: {problems}"));
        let compiled = portcullis_policy::compile(&checked);
        let key = SigningKey::from_bytes(&[7; 32]);
        let compiled = portcullis_policy::sign(&compiled, &key).expect("it was just compiled");
        let policy = Policy::inspect(&compiled).expect("it was just signed");
        assert_eq!(policy.counts().grants as usize, GRANTS);
        let configuration = Configuration {
            architecture: Architecture::Aarch64,
            benchmark: false,
        };
        let distribution = Distribution::new(&policy, &system, &configuration)
            .expect("the policy was compiled for this system");
        let keys = key.verifying_key();
        Self {
            distribution,
            policy: Memory::filled("policy", &compiled, 0x10000, false).expect("memory"),
            keys: Memory::filled("keys", keys.as_bytes(), 4096, false).expect("memory"),
        }
    }

    /// Runs one component as the manager of a new kernel; what it found out is in `trace`.
    fn run(&self, program: &str, writes_down: bool, trace: &Memory) {
        let mut constructed =
            Constructed::new(&self.distribution).expect("the distribution is sound");
        let thread = constructed.thread("manager").expect("there is a manager");
        let kernel = std::mem::take(&mut constructed.kernel);
        let report = Box::new(|event| panic!("the bench is spoilt: {event}"));
        let mut machine = Machine::new(kernel, Limits::default(), report);
        let ring = Memory::zeroed("ring", 0x20000).expect("memory");
        let acknowledged = Memory::zeroed("acknowledged", 4096).expect("memory");
        let start = Start {
            name: program.into(),
            program: program.into(),
            regions: vec![
                ("policy".into(), &self.policy, Access::Read),
                ("keys".into(), &self.keys, Access::Read),
                ("ring".into(), &ring, Access::ReadWrite),
                ("acknowledged".into(), &acknowledged, Access::Read),
                ("ledger".into(), &ring, Access::Read),
                (
                    "ledger_acknowledged".into(),
                    &acknowledged,
                    Access::ReadWrite,
                ),
                ("trace".into(), trace, Access::ReadWrite),
            ],
            devices: Vec::new(),
            parameters: vec![("writes_down".into(), writes_down.into())],
        };
        machine
            .start(&Spawner::this_executable(), &start, thread, None)
            .expect("the component starts");
        let stop = machine
            .run(&[], WhenIdle::Return, None)
            .expect("the kernel runs");
        assert_eq!(stop, Stop::Idle);
        assert_eq!(word(trace, SEALED), 1, "{program} came to its end");
    }
}

/// The word at an offset of a region that a component wrote.
pub(crate) fn word(memory: &Memory, offset: usize) -> u64 {
    let mut bytes = [0; 8];
    memory
        .read(offset as u64, &mut bytes)
        .expect("it lies in the region");
    u64::from_le_bytes(bytes)
}

fn policy() -> String {
    let mut text = String::from(
        "name = \"bench\"\nversion = 1\n[domains]\nall = {}\n\
         [interfaces.worm]\nappend = 0\n[interfaces.state]\nask = 1\n\
         [components.manager]\ndomain = \"all\"\n\
         [components.ledger]\ndomain = \"all\"\noffers = [\"worm\", \"state\"]\n",
    );
    for n in 0..HOLDERS {
        text += &format!("[components.c{n}]\ndomain = \"all\"\n");
    }
    let mut grant = |subject: &str, interface: &str, method: &str, mode: &str| {
        text += &format!(
            "[[grants]]\nsubject = \"{subject}\"\nobject = \"ledger\"\ninterface = \"{interface}\"\n\
             methods = [\"{method}\"]\nmode = \"{mode}\"\nwhen = \"boot\"\nreason = \"bench\"\n"
        );
    };
    for n in 0..HOLDERS {
        grant(&format!("c{n}"), "worm", "append", "call");
    }
    grant("c0", "state", "ask", "call");
    grant(
        "manager",
        "worm",
        "append",
        "stream\"\nregion = \"grant_log",
    );
    for (component, region, perms) in [
        ("ledger", "grant_log_ack", "rw"),
        ("manager", "grant_log_ack", "r"),
        ("manager", "policy", "r"),
        ("manager", "policy_keys", "r"),
    ] {
        text += &format!(
            "[[static]]\ncomponent = \"{component}\"\nregion = \"{region}\"\n\
             perms = \"{perms}\"\nreason = \"bench\"\n"
        );
    }
    text
}

fn system() -> String {
    let mut text = String::from(
        "<system>\
         <memory_region name=\"grant_log\" size=\"0x20000\" />\
         <memory_region name=\"grant_log_ack\" size=\"0x1000\" />\
         <memory_region name=\"policy\" size=\"0x10000\" prefill_path=\"policy\" />\
         <memory_region name=\"policy_keys\" size=\"0x1000\" prefill_path=\"keys\" />",
    );
    let map = |region: &str, vaddr: &str, perms: &str| {
        format!(
            "<map mr=\"{region}\" vaddr=\"{vaddr}\" perms=\"{perms}\" setvar_vaddr=\"{region}\" \
             setvar_size=\"{region}_size\" />"
        )
    };
    let mut channels = String::new();
    let names = ["manager".to_owned(), "ledger".to_owned()];
    let names = names
        .into_iter()
        .chain((0..HOLDERS).map(|n| format!("c{n}")));
    for (id, name) in names.enumerate() {
        let (priority, log, acknowledged) = match name.as_str() {
            "manager" => (200, "rw", "r"),
            "ledger" => (150, "r", "rw"),
            _ => (100, "", ""),
        };
        text += &format!(
            "<protection_domain name=\"{name}\" priority=\"{priority}\">\
             <program_image path=\"{name}.elf\" />"
        );
        if !log.is_empty() {
            text += &map("grant_log", "0x10000000", log);
            text += &map("grant_log_ack", "0x10100000", acknowledged);
        }
        if name == "manager" {
            text += &map("policy", "0x10200000", "r");
            text += &map("policy_keys", "0x10300000", "r");
        }
        text += "</protection_domain>";
        if name != "manager" {
            channels += &format!(
                "<channel><end pd=\"{name}\" id=\"0\" pp=\"true\" notify=\"false\" />\
                 <end pd=\"manager\" id=\"{id}\" notify=\"false\" /></channel>"
            );
        }
    }
    text + &channels + "</system>"
}

struct Quiet;

impl Platform for Quiet {
    fn now(&mut self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        Time {
            monotonic: 0,
            utc: since.ok().map(|time| time.as_nanos() as u64),
        }
    }

    fn report(&mut self, _: Report, _: Option<&Policy<'_>>) {}
}

fn manager(mut environment: Environment) -> Infallible {
    let policy = environment
        .region("policy")
        .constant()
        .expect("nobody writes the policy");
    let keys = environment
        .region("keys")
        .constant()
        .expect("nobody writes the keys");
    let keys = trusted_keys(keys).expect("it is a key");
    let writes_down = environment.parameter("writes_down") == Some(1);
    let config = Config {
        policy,
        keys: Ok(&keys),
        in_force: 0,
        boot: Identity::random([1; 16]),
        image: [0; 32],
    };
    let ring = Writer::new(
        environment.region_mut("ring"),
        environment.region("acknowledged"),
    )
    .expect("the ring has more than a page");
    let mut table = Table::<1024>::new();
    let mut manager = Manager::new(config, Quiet, ring, &mut table);
    let mut trace = environment.region_mut("trace");
    let ring = environment.region("ledger");
    let mut ledger = Reader::new(ring, environment.region_mut("ledger_acknowledged"));
    let nanoseconds = if writes_down {
        let mut writing = Writing::new(&mut environment.kernel, &mut trace);
        boot(&mut writing, &mut manager, &mut ledger)
    } else {
        boot(&mut environment.kernel, &mut manager, &mut ledger)
    };
    finish(environment.kernel, trace, nanoseconds, manager.is_sealed())
}

/// Boots until the boot grants are in force, and the seal says so; gives the nanoseconds that the
/// manager took.
fn boot<K: CNodes>(
    kernel: &mut K,
    manager: &mut Manager<'_, Quiet, MappedMut, Mapped>,
    ledger: &mut Reader<Mapped, MappedMut>,
) -> u64 {
    let start = Instant::now();
    manager.init(kernel);
    let logged = start.elapsed();
    let mut buffer = [0; RECORD_MAX];
    while let Some(_record) = ledger.pop(&mut buffer).expect("the manager fills the ring") {}
    ledger.acknowledge().expect("the page is there");
    let start = Instant::now();
    manager.notified(kernel, Signals::default());
    (logged + start.elapsed()).as_nanos() as u64
}

/// Makes the system calls that were written down, and nothing else.
fn raw(mut environment: Environment) -> Infallible {
    let trace = environment.region_mut("trace");
    let kernel = &mut environment.kernel;
    let mut calls: [Option<Syscall>; MOST_CALLS] = [const { None }; MOST_CALLS];
    let count = trace.load(COUNT).expect("it lies in the region") as usize;
    let mut at = PACKETS;
    for call in &mut calls[..count] {
        let length = trace.load(at).expect("it lies in the region") as usize;
        let mut packet = [0; 1024];
        trace
            .read(at + 8, &mut packet[..length])
            .expect("it lies in the region");
        at += 8 + length.next_multiple_of(8);
        if let Ok(Asked::Syscall(syscall)) = decode(&packet[..length]) {
            *call = Some(syscall);
        }
    }
    let start = Instant::now();
    for call in calls[..count].iter().flatten() {
        match call {
            Syscall::Invoke(invocation) => kernel.invoke(invocation).unwrap_or(()),
            Syscall::Send(to, message) => kernel.send(*to, message),
            other => panic!("the manager makes no such system call at boot: {other:?}"),
        }
    }
    let nanoseconds = start.elapsed().as_nanos() as u64;
    finish(environment.kernel, trace, nanoseconds, true)
}

/// Most system calls that are written down; at 1 KiB each they lie on the stack.
const MOST_CALLS: usize = 1024;

fn finish(mut kernel: Client, mut trace: MappedMut, nanoseconds: u64, sealed: bool) -> Infallible {
    trace
        .store(TIME, nanoseconds)
        .expect("it lies in the region");
    trace
        .store(SEALED, sealed.into())
        .expect("it lies in the region");
    loop {
        kernel.recv(cspace::INPUT, ReplyObject::OWN, &mut Message::default());
    }
}

/// A kernel that writes down what it is asked.
struct Writing<'a> {
    kernel: &'a mut Client,
    trace: &'a mut MappedMut,
    at: usize,
    count: u64,
}

impl<'a> Writing<'a> {
    fn new(kernel: &'a mut Client, trace: &'a mut MappedMut) -> Self {
        Self {
            kernel,
            trace,
            at: PACKETS,
            count: 0,
        }
    }

    fn write(&mut self, packet: &Packet) {
        let bytes = packet.bytes();
        self.trace
            .store(self.at, bytes.len() as u64)
            .expect("the trace has room");
        self.trace
            .write(self.at + 8, bytes)
            .expect("the trace has room");
        self.at += 8 + bytes.len().next_multiple_of(8);
        self.count += 1;
        self.trace
            .store(COUNT, self.count)
            .expect("the trace has room");
    }
}

impl CNodes for Writing<'_> {
    fn invoke(&mut self, invocation: &Invocation) -> Result<(), KernelError> {
        let mut packet = Packet::new();
        packet.invoke(invocation);
        self.write(&packet);
        self.kernel.invoke(invocation)
    }
}

impl Syscalls for Writing<'_> {
    fn signal(&mut self, to: CPtr) {
        use portcullis_hosted::wire::Carrying;
        let mut packet = Packet::new();
        packet.message(Carrying::Send, to, CPtr(0), &Message::default());
        self.write(&packet);
        self.kernel.signal(to);
    }

    fn call(&mut self, _: CPtr, _: &mut Message) {
        unreachable!("the manager calls nobody");
    }

    fn send(&mut self, _: CPtr, _: &Message) {
        unreachable!("the manager sends nothing");
    }

    fn nb_send(&mut self, _: CPtr, _: &Message) {
        unreachable!("the manager sends nothing");
    }

    fn recv(&mut self, _: CPtr, _: ReplyObject, _: &mut Message) -> Badge {
        unreachable!("the manager does not receive while it starts");
    }

    fn nb_recv(&mut self, _: CPtr, _: ReplyObject, _: &mut Message) -> Option<Badge> {
        unreachable!("the manager does not receive while it starts");
    }

    fn reply_recv(&mut self, _: CPtr, _: ReplyObject, _: &mut Message) -> Badge {
        unreachable!("the manager does not receive while it starts");
    }

    fn yield_now(&mut self) {
        unreachable!("the manager does not yield");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule of the checker that came later is met before somebody measures.
    #[test]
    fn the_generated_system_holds() {
        Bench::new();
    }
}
