//! Whether policy and system description speak of the same things.

use std::collections::BTreeSet;

use miette::Diagnostic;
use portcullis_kernel::Mode;
use portcullis_manager_api::CHANNEL;
use portcullis_sdf::{End, System};
use thiserror::Error;

use super::{Check, Described};
use crate::model::{Authority, ComponentId, MANAGER, Place, Policy};
use crate::notification::{free_bit, used_bits};
use crate::problem::Problem;
use crate::source::Source;
use crate::text::suggestion;

/// Something of which policy and system description disagree.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum SystemFault {
    /// A component without a protection domain.
    #[error("component `{component}` is no protection domain of `{file}`")]
    #[diagnostic(code(policy::no_protection_domain), help("{help}"))]
    NoProtectionDomain {
        /// The component.
        component: String,
        /// Name of the system description.
        file: String,
        /// The protection domain that was meant, or what to do.
        help: String,
    },
    /// A protection domain that the policy does not know.
    #[error("protection domain `{name}` is no component of the policy")]
    #[diagnostic(
        code(policy::unknown_protection_domain),
        help("add `[components.{name}]` with its domain to the policy, or remove it here")
    )]
    UnknownProtectionDomain {
        /// The protection domain.
        name: String,
    },
    /// Nothing is the manager.
    #[error(
        "the policy allows grants, and `{file}` has no protection domain `{MANAGER}` to issue them"
    )]
    #[diagnostic(
        code(policy::no_manager),
        help(
            "add the protection domain `{MANAGER}`, and declare it under `[components.{MANAGER}]`"
        )
    )]
    NoManager {
        /// Name of the system description.
        file: String,
    },
    /// A component that cannot ask the manager.
    #[error("`{component}` has no channel to `{MANAGER}` in `{file}`")]
    #[diagnostic(code(policy::no_manager_channel), help("{help}"))]
    NoManagerChannel {
        /// The component.
        component: String,
        /// Name of the system description.
        file: String,
        /// The channel to add, or that no channel id is left for it.
        help: String,
    },
    /// A component that asks the manager on another channel than its program does.
    #[error("`{component}` may call `{MANAGER}` on channel {id}, and asks it on channel {CHANNEL}")]
    #[diagnostic(
        code(policy::manager_channel_id),
        help(
            "give this end id=\"{CHANNEL}\": the programs of components, which are built without the system \
             description, ask the manager on that channel"
        )
    )]
    OtherManagerChannel {
        /// The component.
        component: String,
        /// Its id of the channel.
        id: u8,
    },
    /// A component that could ask the manager on two channels.
    #[error(
        "`{component}` may call `{MANAGER}` on channel {id} too, and on channel {first} already"
    )]
    #[diagnostic(
        code(policy::second_manager_channel),
        help(
            "remove one of the two: the policy names one channel of each component, and the manager \
             refuses what is asked on another"
        )
    )]
    SecondManagerChannel {
        /// The component.
        component: String,
        /// Its id of the first of them.
        first: u8,
        /// Its id of this one.
        id: u8,
    },
    /// The manager has no time of its own.
    #[error("`{MANAGER}` is passive in `{file}`")]
    #[diagnostic(
        code(policy::manager_passive),
        help(
            "remove passive=\"true\": the manager issues the boot grants, ends leases and is told of \
             faults on its own time, and nobody lends it any for that"
        )
    )]
    ManagerPassive {
        /// Name of the system description.
        file: String,
    },
    /// A name that the system description does not declare.
    #[error("there is no {kind} `{name}` in `{file}`")]
    #[diagnostic(code(policy::not_in_system), help("{help}"))]
    NotInSystem {
        /// What it should name.
        kind: &'static str,
        /// The name.
        name: String,
        /// Name of the system description.
        file: String,
        /// The name that was meant, or what to do.
        help: String,
    },
    /// A passive component is sent messages.
    #[error("`{object}` is passive, and `{subject}` may send to it")]
    #[diagnostic(
        code(policy::send_to_passive),
        help(
            "a send lends its receiver no time, so that a passive one never runs: remove \
             passive=\"true\" from `{object}` in `{file}`, or grant mode \"call\""
        )
    )]
    SendToPassive {
        /// Who may send.
        subject: String,
        /// Who is passive.
        object: String,
        /// Name of the system description.
        file: String,
    },
}

pub(super) fn check(check: &mut Check<'_>, described: Described<'_>) {
    components(check, described);
    protection_domains(check, described);
    manager_channels(check, described);
    names(check, described);
    passive(check, described);
}

/// The components that ask the manager: where their grants lie, and which bits of their notifications
/// are set.
fn asking(check: &Check<'_>) -> BTreeSet<ComponentId> {
    let grants = check.ceiling.grants();
    let asking = grants.flat_map(|held| {
        let signalled = matches!(held.mode, Mode::Notify | Mode::Stream);
        [Some(held.subject), signalled.then_some(held.object)]
    });
    asking.flatten().collect()
}

/// Every component that has something to ask the manager can ask it.
fn manager_channels(check: &mut Check<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    let Some(manager) = system
        .pd_named(MANAGER)
        .filter(|_| check.ceiling.count() > 0)
    else {
        return;
    };
    let mut taken = used_bits(system, manager);
    let policy = check.policy;
    let asking = asking(check);
    for (id, component) in policy.component_ids().zip(&policy.components) {
        let Some(pd) = system.pd_named(&component.name).filter(|pd| *pd != manager) else {
            continue;
        };
        let asks: Vec<&End> = system
            .ends()
            .filter(|(end, other)| end.pd.value == pd && end.pp.value && other.pd.value == manager)
            .map(|(end, _)| end)
            .collect();
        if let [first, others @ ..] = asks.as_slice() {
            for second in others {
                let fault = SystemFault::SecondManagerChannel {
                    component: component.name.clone(),
                    first: first.id.value,
                    id: second.id.value,
                };
                let place = source.place(second.span.clone());
                let problem = Problem::broken(source, &place, "asks too", fault);
                check.problems.push(problem);
            }
            let asks_own = asks.iter().any(|end| end.id.value == CHANNEL);
            if asking.contains(&id) && !asks_own {
                let fault = SystemFault::OtherManagerChannel {
                    component: component.name.clone(),
                    id: first.id.value,
                };
                let place = source.place(first.span.clone());
                let problem = Problem::broken(source, &place, "asks elsewhere", fault);
                check.problems.push(problem);
            }
            continue;
        }
        if !asking.contains(&id) {
            continue;
        }
        let fault = SystemFault::NoManagerChannel {
            component: component.name.clone(),
            file: source.name().to_owned(),
            help: channel(&component.name, used_bits(system, pd), &mut taken),
        };
        let place = source.place(system.pd(pd).name.span.clone());
        let problem = Problem::broken(source, &place, "cannot ask", fault);
        check.problems.push(problem);
    }
}

/// The channel to the manager to add for a component that uses `own` ids, at an id that the manager has left,
/// which is taken then.
fn channel(component: &str, own: u64, managers: &mut u64) -> String {
    let (Some(_), Some(of_manager)) = (free_bit(own), free_bit(*managers)) else {
        let full = if free_bit(own).is_none() {
            component
        } else {
            MANAGER
        };
        return format!(
            "no channel id is left in `{full}`, which has 62: remove a channel or an interrupt of it, or \
             this component"
        );
    };
    *managers |= 1 << of_manager;
    let moved = match own & 1 << CHANNEL {
        0 => String::new(),
        _ => format!("give what has id {CHANNEL} in `{component}` another id, and "),
    };
    format!(
        "{moved}add <channel><end pd=\"{component}\" id=\"{CHANNEL}\" pp=\"true\" notify=\"false\" /><end \
         pd=\"{MANAGER}\" id=\"{of_manager}\" notify=\"false\" /></channel>"
    )
}

fn components(check: &mut Check<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    let names = system.protection_domains.iter().map(|pd| &*pd.name.value);
    for component in &check.policy.components {
        if system.pd_named(&component.name).is_some() {
            continue;
        }
        let otherwise = || String::from("add it there, or remove it here");
        let fault = SystemFault::NoProtectionDomain {
            component: component.name.clone(),
            file: source.name().to_owned(),
            help: suggestion(&component.name, names.clone(), otherwise),
        };
        check.broken(&component.place, "no protection domain", fault);
    }
    if check.ceiling.count() > 0
        && let None = system.pd_named(MANAGER)
    {
        let file = source.name().to_owned();
        let first = &check.policy.grants[0].places.rule;
        check.broken(first, "nobody issues it", SystemFault::NoManager { file });
    }
}

fn protection_domains(check: &mut Check<'_>, described: Described<'_>) {
    for pd in &described.system.protection_domains {
        let name = &pd.name.value;
        if check.policy.component_named(name).is_none() {
            let place = described.source.place(pd.name.span.clone());
            let name = name.clone();
            let fault = SystemFault::UnknownProtectionDomain { name };
            let label = "not in the policy";
            let problem = Problem::broken(described.source, &place, label, fault);
            check.problems.push(problem);
        }
    }
}

/// Every name that is to be declared in the system description, with what it should name there.
fn names(check: &mut Check<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    let policy = check.policy;
    let regions = system.memory_regions.iter().map(|it| &*it.name.value);
    let regions = Declared::new("memory region", source, regions);
    let pds = system.protection_domains.iter();
    let machines = pds.filter_map(|pd| Some(&*pd.virtual_machine.as_ref()?.name.value));
    let machines = Declared::new("virtual machine", source, machines);
    let spaces = system.io_address_spaces.iter();
    let spaces = spaces.map(|it| &*it.name.value);
    let spaces = Declared::new("I/O address space", source, spaces);
    for guest in &policy.guests {
        machines.holds(check, &guest.name, &guest.place);
    }
    for device in &policy.devices {
        spaces.holds(check, &device.name, &device.place);
    }
    let registers = policy.devices.iter().flat_map(|it| &it.registers);
    let streams = policy.grants.iter().filter_map(|it| it.region.as_ref());
    for region in registers.chain(streams) {
        regions.holds(check, &region.name, &region.place);
    }
    for rule in &policy.statics {
        match &rule.authority {
            Authority::Region { region, .. } => regions.holds(check, region, &rule.object),
            Authority::VirtualMachine(name) => machines.holds(check, name, &rule.object),
            _ => {}
        }
    }
}

/// The names of one kind that a system description declares.
struct Declared<'s> {
    kind: &'static str,
    file: &'s str,
    names: BTreeSet<&'s str>,
}

impl<'s> Declared<'s> {
    fn new(kind: &'static str, file: &'s Source, names: impl Iterator<Item = &'s str>) -> Self {
        Self {
            kind,
            file: file.name(),
            names: names.collect(),
        }
    }

    /// Reports that `name` is not declared, if it is not.
    fn holds(&self, check: &mut Check<'_>, name: &str, place: &Place) {
        if self.names.contains(name) {
            return;
        }
        if check.problems.is_full() {
            return check.problems.count_more(1);
        }
        let otherwise = || String::from("declare it there, or remove the rule");
        let fault = SystemFault::NotInSystem {
            kind: self.kind,
            name: name.to_owned(),
            file: self.file.to_owned(),
            help: suggestion(name, self.names.iter().copied(), otherwise),
        };
        check.broken(place, format!("no such {}", self.kind), fault);
    }
}

fn passive(check: &mut Check<'_>, described: Described<'_>) {
    let policy = check.policy;
    let manager = described.system.pd_named(MANAGER);
    let manager = manager.map(|manager| &described.system.pd(manager).passive);
    if let Some(passive) = manager.filter(|it| it.value && check.ceiling.count() > 0) {
        let source = described.source;
        let file = source.name().to_owned();
        let (fault, place) = (
            SystemFault::ManagerPassive { file },
            source.place(passive.span.clone()),
        );
        let problem = Problem::broken(source, &place, "passive", fault);
        check.problems.push(problem);
    }
    let passive: Vec<bool> = policy
        .components
        .iter()
        .map(|component| is_passive(described.system, &component.name))
        .collect();
    for grant in &policy.grants {
        if grant.mode == Mode::Send && passive[grant.object.index()] {
            let name = |id| -> String { Policy::component(policy, id).name.clone() };
            let fault = SystemFault::SendToPassive {
                subject: name(grant.subject),
                object: name(grant.object),
                file: described.source.name().to_owned(),
            };
            check.broken(&grant.places.object, "passive", fault);
        }
    }
}

fn is_passive(system: &System, name: &str) -> bool {
    system
        .pd_named(name)
        .is_some_and(|pd| system.pd(pd).passive.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last ids, 60 and 61, and then none: at either end.
    #[test]
    fn no_channel_is_proposed_where_no_id_is_left() {
        let mut managers = (1 << 60) - 1;
        assert!(channel("a", 0, &mut managers).contains("pd=\"manager\" id=\"60\""));
        let taken = channel("b", 1, &mut managers);
        assert!(taken.contains("pd=\"manager\" id=\"61\""), "{taken}");
        assert!(taken.starts_with("give what has id 0 in `b` another id, and add"));
        let full = channel("c", 0, &mut managers);
        assert!(
            full.contains("no channel id is left in `manager`"),
            "{full}"
        );
        let full = channel("d", u64::MAX >> 2, &mut 0);
        assert!(full.contains("no channel id is left in `d`"), "{full}");
    }
}
