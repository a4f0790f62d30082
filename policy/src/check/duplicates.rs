//! What is said twice: grants, flows, static rules, `never` rules.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use miette::Diagnostic;
use portcullis_kernel::Mode;
use thiserror::Error;

use super::Check;
use crate::model::{Authority, ComponentId, DomainId, Holder, InterfaceId, Place, Policy, When};
use crate::problem::Problem;
use crate::text::authority;

/// Something that the policy says twice.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum DuplicateFault {
    /// Two grants from one component to another share methods.
    #[error(
        "`{subject}` is granted `{methods}` of `{interface}` on `{object}` by {mode} twice: \
         the first is on line {line}"
    )]
    #[diagnostic(
        code(policy::duplicate_grant),
        help(
            "remove one of the rules, or the methods that both have: two grants of one method \
             cannot be told apart, nor revoked apart"
        )
    )]
    Grant {
        /// Who holds it.
        subject: String,
        /// Who serves it.
        object: String,
        /// The interface.
        interface: String,
        /// The methods that both have.
        methods: String,
        /// The mode.
        mode: &'static str,
        /// Line of the first.
        line: u32,
    },
    /// Two boot grants differ in their methods only.
    #[error(
        "`{subject}` has two boot grants of `{interface}` on `{object}` by {mode}: the first is on \
         line {line}"
    )]
    #[diagnostic(
        code(policy::split_grant),
        help(
            "list all methods in one rule: a component finds its grant by object, interface and \
             mode, so these must name one"
        )
    )]
    Split {
        /// Who holds them.
        subject: String,
        /// Who serves them.
        object: String,
        /// The interface.
        interface: String,
        /// The mode.
        mode: &'static str,
        /// Line of the first.
        line: u32,
    },
    /// Two flows between the same domains.
    #[error("there is a flow from `{from}` to `{to}` already, on line {line}")]
    #[diagnostic(
        code(policy::duplicate_flow),
        help("list all modes in one rule, so that one line says what may cross")
    )]
    Flow {
        /// The domain it starts in.
        from: String,
        /// The domain it ends in.
        to: String,
        /// Line of the first.
        line: u32,
    },
    /// Two static rules give one thing to one holder.
    #[error("{holder} is given {authority} already, on line {line}")]
    #[diagnostic(
        code(policy::duplicate_static),
        help("keep one rule, with the permissions that it needs")
    )]
    Static {
        /// The holder.
        holder: String,
        /// What it is given.
        authority: String,
        /// Line of the first.
        line: u32,
    },
    /// One region has the registers of two devices.
    #[error("region `{region}` has the registers of device `{device}` already, on line {line}")]
    #[diagnostic(
        code(policy::duplicate_registers),
        help("name each region for one device: whoever maps it drives that one")
    )]
    Registers {
        /// The region.
        region: String,
        /// The device.
        device: String,
        /// Line of the first.
        line: u32,
    },
    /// Two `never` rules say the same.
    #[error("nothing may flow from `{from}` to `{to}` already, by line {line}")]
    #[diagnostic(code(policy::duplicate_never), help("remove one of the rules"))]
    Never {
        /// The domain it starts in.
        from: String,
        /// The domain that it must not reach.
        to: String,
        /// Line of the first.
        line: u32,
    },
}

pub(super) fn check(check: &mut Check<'_>) {
    grants(check);
    flows(check);
    statics(check);
    registers(check);
    nevers(check);
}

type GrantKey = (ComponentId, ComponentId, InterfaceId, Mode);

fn grants(check: &mut Check<'_>) {
    let policy = check.policy;
    // Grants of one key whose methods do not overlap: at most 32, one a method.
    let mut seen: HashMap<GrantKey, Vec<usize>> = HashMap::new();
    for (number, grant) in policy.grants.iter().enumerate() {
        let key = (grant.subject, grant.object, grant.interface, grant.mode);
        let earlier = seen.entry(key).or_default();
        let clash = earlier
            .iter()
            .copied()
            .find_map(|other| clash(policy, other, number).map(|fault| (other, fault)));
        match clash {
            None => earlier.push(number),
            Some((other, fault)) => {
                let first = &policy.grants[other].places.methods;
                let problem =
                    Problem::broken(&policy.source, &grant.places.methods, "again here", fault)
                        .also(first, "the first grant");
                check.problems.push(problem);
            }
        }
    }
}

fn clash(policy: &Policy, first: usize, second: usize) -> Option<DuplicateFault> {
    let [first, second] = [first, second].map(|number| &policy.grants[number]);
    let shared = portcullis_kernel::MethodSet(first.methods.0 & second.methods.0);
    let subject = policy.component(second.subject).name.clone();
    let object = policy.component(second.object).name.clone();
    let interface = policy.interface(second.interface);
    let (mode, line) = (second.mode.name(), first.line());
    if !shared.is_empty() {
        return Some(DuplicateFault::Grant {
            subject,
            object,
            methods: interface.names(shared),
            interface: interface.name.clone(),
            mode,
            line,
        });
    }
    let both_boot = first.when == When::Boot && second.when == When::Boot;
    both_boot.then(|| DuplicateFault::Split {
        subject,
        object,
        interface: interface.name.clone(),
        mode,
        line,
    })
}

fn flows(check: &mut Check<'_>) {
    let policy = check.policy;
    let rules = policy.flows.iter();
    let fault = |from, to, line| DuplicateFault::Flow { from, to, line };
    domain_pairs(check, rules.map(|it| (it.from, it.to, &it.place)), fault);
}

fn nevers(check: &mut Check<'_>) {
    let policy = check.policy;
    let rules = policy.nevers.iter();
    let fault = |from, to, line| DuplicateFault::Never { from, to, line };
    domain_pairs(check, rules.map(|it| (it.from, it.to, &it.place)), fault);
}

fn domain_pairs<'p>(
    check: &mut Check<'p>,
    rules: impl Iterator<Item = (DomainId, DomainId, &'p Place)>,
    fault: impl Fn(String, String, u32) -> DuplicateFault,
) {
    let policy = check.policy;
    let mut seen: HashMap<(DomainId, DomainId), &Place> = HashMap::new();
    for (from, to, place) in rules {
        match seen.entry((from, to)) {
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                let [from, to] = [from, to].map(|id| policy.domain(id).name.clone());
                let fault = fault(from, to, first.line);
                let problem = Problem::broken(&policy.source, place, "again here", fault)
                    .also(first, "the first rule");
                check.problems.push(problem);
            }
        }
    }
}

fn registers(check: &mut Check<'_>) {
    let policy = check.policy;
    let mut seen: HashMap<&str, (&str, &Place)> = HashMap::new();
    for device in &policy.devices {
        for region in &device.registers {
            match seen.entry(&region.name) {
                Entry::Vacant(entry) => {
                    entry.insert((&device.name, &region.place));
                }
                Entry::Occupied(entry) => {
                    let (first, place) = *entry.get();
                    let fault = DuplicateFault::Registers {
                        region: region.name.clone(),
                        device: first.to_owned(),
                        line: place.line,
                    };
                    let problem =
                        Problem::broken(&policy.source, &region.place, "again here", fault)
                            .also(place, "the first device");
                    check.problems.push(problem);
                }
            }
        }
    }
}

fn statics(check: &mut Check<'_>) {
    let policy = check.policy;
    let mut seen: HashMap<(Holder, String), &Place> = HashMap::new();
    for rule in &policy.statics {
        let mut authority = authority(policy, &rule.authority);
        // A line for calls covers notifying, and one for notifying beside it takes nothing away: helps
        // name the two apart.
        if let Authority::Channel { calls: false, .. } = rule.authority {
            authority += ", to notify it";
        }
        match seen.entry((rule.holder, authority)) {
            Entry::Vacant(entry) => {
                entry.insert(&rule.object);
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                let fault = DuplicateFault::Static {
                    holder: policy.subject(rule.holder).to_string(),
                    authority: entry.key().1.clone(),
                    line: first.line,
                };
                let problem = Problem::broken(&policy.source, &rule.object, "again here", fault)
                    .also(first, "the first rule");
                check.problems.push(problem);
            }
        }
    }
}
