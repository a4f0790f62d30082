//! Single steps in which somebody learns something of somebody else, and the ways that they make.
//!
//! Every step is one thing that an attacker at its start does, and that an attacker at its end sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use crate::case::{MANAGER, Mode, Policy, Who};
use crate::honest;
use crate::world::{Object, Source, World, overlap};

/// One step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Step {
    /// Who does something.
    pub from: Who,
    /// Who sees it.
    pub to: Who,
    /// How.
    pub how: How,
}

/// How a step is made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum How {
    /// Sends a message, sets a bit.
    Message(Source, Mode),
    /// Replies to a call.
    Reply(Source),
    /// Hands a grant on: it comes and goes in the other's CSpace.
    Delegates(usize),
    /// Writes a byte that the other reads, in a region.
    Memory(String),
    /// Controls the other, or is controlled: registers, time, faults.
    Controls {
        /// Whether it is the end of the step that controls.
        back: bool,
        /// By what.
        by: Object,
    },
    /// Writes code that the other executes, in a region.
    Code(String),
    /// Asks the manager in vain, or faults; the other asks the manager what happened.
    Inspects,
    /// The same, and the other reads the manager's ring.
    Records(String),
    /// The same, and the log's keeper passes the record on to the other.
    Copies {
        /// Whether the other is honest, and keeps it for itself.
        kept: bool,
    },
    /// Writes what the manager reads, in a region, which the other reads in a record or an answer.
    Quoted(String),
    /// Sends something to a component, or faults to it, and the other receives it first.
    Taken(String),
    /// Replies, in a component's place, to what was sent to it.
    InPlace(String),
    /// Raises an interrupt.
    Interrupts,
    /// Writes a port that the other reads, among those from this one on.
    Ports(u64),
    /// Leaves something with the firmware, which the other asks for.
    Firmware,
}

/// Every step that anybody can make.
pub fn steps(world: &World, policy: &Policy) -> Vec<Step> {
    let mut all = direct(world, policy);
    let copies = copies(&all, policy);
    told_by_the_manager(world, policy, &copies, &mut adder(&mut all));
    all.sort();
    all.dedup();
    all
}

/// Those in which the manager says nothing.
fn direct(world: &World, policy: &Policy) -> Vec<Step> {
    let mut all = Vec::new();
    let mut add = adder(&mut all);
    for cap in &world.caps {
        match &cap.on {
            Object::Endpoint(owner) if cap.write => {
                let owner = Who::pd(owner);
                let mode = if cap.reply { Mode::Call } else { Mode::Send };
                add(&cap.holder, &owner, How::Message(cap.by, mode));
                if cap.reply {
                    add(&owner, &cap.holder, How::Reply(cap.by));
                }
            }
            Object::Notification(owner) if cap.write => {
                let mode = match cap.by {
                    Source::Grant(rule) | Source::Delegated(rule) => policy.grants[rule].mode,
                    Source::Image | Source::Line => Mode::Notify,
                };
                add(&cap.holder, &Who::pd(owner), How::Message(cap.by, mode));
            }
            Object::Kernel(_, of) | Object::Child(of) => {
                controls(&cap.holder, &Who::pd(of), &cap.on, &mut add);
            }
            Object::Vm(of) => controls(&cap.holder, &Who::Guest(of.clone()), &cap.on, &mut add),
            _ => {}
        }
        if let Source::Delegated(rule) = cap.by {
            add(
                &Who::pd(&policy.grants[rule].subject),
                &cap.holder,
                How::Delegates(rule),
            );
        }
    }
    taken(world, &mut add);
    memory(world, &mut add);
    registers(world, policy, &mut add);
    ports(world, &mut add);
    firmware(world, &mut add);
    for (device, pd) in &world.raised {
        add(&Who::Device(device.clone()), &Who::pd(pd), How::Interrupts);
    }
    drop(add);
    all
}

fn adder(all: &mut Vec<Step>) -> impl FnMut(&Who, &Who, How) {
    |from, to, how| {
        if from != to {
            let (from, to) = (from.clone(), to.clone());
            all.push(Step { from, to, how });
        }
    }
}

/// To whom the log's keeper passes on what it keeps, where it is taken to act on no record: to all to whom it
/// tells something by itself, and not by replying.
pub fn copies(steps: &[Step], policy: &Policy) -> BTreeSet<Who> {
    let keeper = policy.keeper().filter(|_| policy.is_opaque).map(Who::pd);
    let own = steps
        .iter()
        .filter(|step| Some(&step.from) == keeper.as_ref());
    let own = own.filter(|step| !step.to.is_manager());
    let told = own.filter(|step| {
        !matches!(
            step.how,
            How::Reply(_)
                | How::InPlace(_)
                | How::Inspects
                | How::Records(_)
                | How::Copies { .. }
                | How::Quoted(_)
        )
    });
    told.map(|step| step.to.clone()).collect()
}

/// What is sent to a component is received by whoever receives at its endpoint first.
fn taken(world: &World, add: &mut impl FnMut(&Who, &Who, How)) {
    for (taker, of) in &world.receivers {
        let owner = Who::pd(of);
        let callers = world.caps.iter().filter_map(|cap| match &cap.on {
            Object::Endpoint(to) if to == of && cap.write => Some(cap.holder.clone()),
            Object::Child(child) if cap.holder == owner => Some(Who::pd(child)),
            Object::Vm(guest) if cap.holder == owner => Some(Who::Guest(guest.clone())),
            _ => None,
        });
        for sender in callers {
            add(&sender, taker, How::Taken(of.clone()));
            add(taker, &sender, How::InPlace(of.clone()));
        }
    }
}

fn controls(holder: &Who, target: &Who, by: &Object, add: &mut impl FnMut(&Who, &Who, How)) {
    for back in [false, true] {
        let (from, to) = if back {
            (target, holder)
        } else {
            (holder, target)
        };
        let by = by.clone();
        add(from, to, How::Controls { back, by });
    }
}

fn memory(world: &World, add: &mut impl FnMut(&Who, &Who, How)) {
    for writer in world.mappings.iter().filter(|it| it.perms.write) {
        for reader in world.mappings.iter().filter(|it| {
            // No mapping of a processor is writable and not readable.
            let reads_back = it.perms.write && !matches!(it.who, Who::Device(_));
            it.perms.read || it.perms.execute || reads_back
        }) {
            if !overlap(writer.bytes, reader.bytes) {
                continue;
            }
            for memory in world
                .regions_of(writer)
                .filter(|it| overlap(it.bytes, reader.bytes))
            {
                let region = memory.region.clone();
                add(&writer.who, &reader.who, How::Memory(region.clone()));
                if reader.perms.execute {
                    add(&writer.who, &reader.who, How::Code(region));
                }
            }
        }
    }
}

/// Whoever reaches a device's registers has the device read and write what is mapped for it.
fn registers(world: &World, policy: &Policy, add: &mut impl FnMut(&Who, &Who, How)) {
    for (device, region) in policy.driven() {
        let by = Object::Registers(device.to_owned());
        let device = Who::Device(device.to_owned());
        for memory in world.memory.iter().filter(|it| it.region == region) {
            let all = world.mappings.iter();
            for mapping in all.filter(|it| overlap(it.bytes, memory.bytes)) {
                controls(&mapping.who, &device, &by, add);
            }
        }
    }
}

/// What one writes to a port, another reads from it.
fn ports(world: &World, add: &mut impl FnMut(&Who, &Who, How)) {
    let drivers = || {
        world.caps.iter().filter_map(|cap| match cap.on {
            Object::Ports(base, size) => Some((&cap.holder, (base, base + size))),
            _ => None,
        })
    };
    for (one, own) in drivers() {
        for (other, _) in drivers().filter(|(_, range)| overlap(own, *range)) {
            add(one, other, How::Ports(own.0));
        }
    }
}

fn firmware(world: &World, add: &mut impl FnMut(&Who, &Who, How)) {
    let callers = || world.caps.iter().filter(|cap| cap.on == Object::Smc);
    for (one, other) in callers().flat_map(|one| callers().map(move |other| (one, other))) {
        add(&one.holder, &other.holder, How::Firmware);
    }
}

/// The manager writes a record of what it is asked in vain, and of every fault that comes to it.
fn told_by_the_manager(
    world: &World,
    policy: &Policy,
    copies: &BTreeSet<Who>,
    add: &mut impl FnMut(&Who, &Who, How),
) {
    let manager = Who::pd(MANAGER);
    if !world.everybody.contains(&manager) {
        return;
    }
    let asks = |who: &Who| {
        let endpoint = Object::Endpoint(MANAGER.to_owned());
        let mut all = world.caps.iter();
        let faults = world.faults.get(who.name()).and_then(Option::as_deref);
        world.is_widest && matches!(who, Who::Pd(_))
            || all.any(|cap| cap.holder == *who && cap.on == endpoint && cap.write)
            || matches!(who, Who::Pd(_)) && faults == Some(MANAGER)
    };
    let honest = honest(policy);
    let mut readers = Vec::new();
    for cap in &world.caps {
        let (Source::Grant(rule) | Source::Delegated(rule)) = cap.by else {
            continue;
        };
        let grant = &policy.grants[rule];
        let is_answered = grant.mode == Mode::Call || world.is_widest;
        if grant.object == MANAGER && grant.interface == "inspect" && is_answered {
            readers.push((cap.holder.clone(), How::Inspects));
        }
    }
    let ring = policy.log().and_then(|it| it.region.as_ref());
    for memory in world.memory.iter().filter(|it| Some(&it.region) == ring) {
        for other in world
            .mappings
            .iter()
            .filter(|it| overlap(it.bytes, memory.bytes))
        {
            readers.push((other.who.clone(), How::Records(memory.region.clone())));
        }
    }
    // Of whom the log's keeper must learn nothing, the manager writes neither denials nor faults; one
    // that is taken to act on no record learns nothing of anybody.
    let keeper = policy.keeper();
    let is_redacted = |who: &Who, reader: &Who, how: &How| {
        let domains = (policy.domain_of(who), policy.domain_of(reader));
        let mut nevers = policy.nevers.iter();
        matches!(how, How::Records(_))
            && keeper.is_some_and(|keeper| *reader == Who::pd(keeper))
            && (policy.is_opaque || nevers.any(|(from, to)| domains == (Some(from), Some(to))))
    };
    for who in world
        .everybody
        .iter()
        .filter(|who| !who.is_manager() && asks(who))
    {
        for (reader, how) in readers.iter().filter(|(reader, _)| !reader.is_manager()) {
            if !is_redacted(who, reader, how) {
                add(who, reader, how.clone());
            }
        }
        for reader in copies {
            let kept = honest.contains(reader);
            add(who, reader, How::Copies { kept });
        }
    }
    // The boot's id and the time stand in every record and every status.
    for own in world.mappings.iter().filter(|it| it.who == manager) {
        let all = world.mappings.iter().filter(|it| it.perms.write);
        for writer in all.filter(|it| it.who != manager && overlap(it.bytes, own.bytes)) {
            for memory in world
                .regions_of(writer)
                .filter(|it| overlap(it.bytes, own.bytes))
            {
                for (reader, _) in readers.iter().filter(|(reader, _)| !reader.is_manager()) {
                    add(&writer.who, reader, How::Quoted(memory.region.clone()));
                }
            }
        }
    }
}

/// The shortest way from one of `starts` to one that `is_end` accepts. The manager passes nothing on: what it
/// lets others know are steps of their own.
pub fn shortest<'s>(
    steps: &'s [Step],
    starts: &[Who],
    is_end: impl Fn(&Who) -> bool,
) -> Option<Vec<&'s Step>> {
    let mut arrived: BTreeMap<&Who, Option<&Step>> = BTreeMap::new();
    let mut queue = VecDeque::new();
    for start in starts {
        arrived.insert(start, None);
        queue.push_back(start);
    }
    while let Some(at) = queue.pop_front() {
        for step in steps.iter().filter(|step| step.from == *at) {
            if arrived.contains_key(&step.to) {
                continue;
            }
            if is_end(&step.to) {
                let mut way = vec![step];
                let mut here = at;
                while let Some(step) = arrived[here] {
                    way.push(step);
                    here = &step.from;
                }
                way.reverse();
                return Some(way);
            }
            if !step.to.is_manager() && step.how != (How::Copies { kept: true }) {
                arrived.insert(&step.to, Some(step));
                queue.push_back(&step.to);
            }
        }
    }
    None
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, how } = self;
        match how {
            How::Message(_, mode) => write!(f, "{from} tells {to} by {mode}"),
            How::Reply(_) => write!(f, "{from} replies to {to}"),
            How::Delegates(_) => write!(f, "{from} hands {to} a grant"),
            How::Memory(region) => write!(f, "{from} writes `{region}`, and {to} reads it"),
            How::Controls { back: false, .. } => write!(f, "{from} controls {to}"),
            How::Controls { back: true, .. } => write!(f, "{from} is watched by {to}, its master"),
            How::Code(region) => write!(f, "{from} writes `{region}`, and {to} executes it"),
            How::Ports(base) => {
                write!(f, "{from} writes ports from {base:#x}, and {to} reads them")
            }
            How::Taken(of) => write!(f, "{from} calls `{of}`, and {to} receives it"),
            How::InPlace(of) => write!(f, "{from} replies to {to} in the place of `{of}`"),
            How::Interrupts => write!(f, "{from} interrupts {to}"),
            How::Firmware => write!(f, "{from} leaves a word with the firmware for {to}"),
            How::Copies { .. } => write!(
                f,
                "{from} is denied something, and the log's keeper passes the record on to {to}"
            ),
            How::Quoted(region) => write!(
                f,
                "{from} writes `{region}`, and the manager tells {to} what stands there"
            ),
            How::Inspects => write!(
                f,
                "{from} is denied something, and {to} inspects the denials"
            ),
            How::Records(region) => {
                write!(
                    f,
                    "{from} is denied something, and {to} reads the record in `{region}`"
                )
            }
        }
    }
}
