//! Whether one component may use a method of another, and which line of the policy says so.
//!
//! The words are those of the grant log and of the manager's `inspect`. The policy cannot know what is in
//! force: a boot grant and a static channel count as in force, any other grant as not
//! yet. What no line allows is forbidden where no line could: where the method, granted so that nothing
//! flows back, would break a `never` rule, between whatever domains.

use portcullis_kernel::{MethodSet, Mode};
use portcullis_policy_format::When;
use portcullis_sdf::System;
use thiserror::Error;

use crate::ceiling::{Ceiling, Held};
use crate::model::{
    self, ComponentId, Grant, GrantPlaces, InterfaceId, Never, Policy, Static, Subject,
};
use crate::relation::{Cause, Kind, Object, Relation, Rights};
use crate::text::suggestion;

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<'p> {
    /// This grant allows it, from boot on.
    Allowed(Held),
    /// This static rule allows it: a channel, which carries any method.
    Channel(&'p Static),
    /// This grant allows it, once it is issued: on request, or by delegation.
    Unavailable(Held),
    /// This `never` rule forbids it.
    Forbidden {
        /// The rule.
        rule: &'p Never,
        /// The subjects that something would pass, from one domain of the rule to the other.
        path: Vec<String>,
    },
    /// No line allows it.
    NotPermitted {
        /// A channel on which the subject can notify the object. It carries no method.
        notifies: Option<&'p Static>,
        /// The `never` rule that forbids a call, whose reply flows back, and nothing that is one way.
        no_call: Option<&'p Never>,
    },
}

/// Why a question has no answer.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WhyError {
    /// No such component.
    #[error("the policy has no component `{name}`; {help}")]
    NoComponent {
        /// The name.
        name: String,
        /// The name that was meant, or what there is.
        help: String,
    },
    /// The object offers no such method.
    #[error("`{object}` offers no method `{method}`; {help}")]
    NoMethod {
        /// The object.
        object: String,
        /// The method.
        method: String,
        /// The name that was meant, or what there is.
        help: String,
    },
}

/// Whether `subject` may use `method` of `object`: by the method's name, or as
/// `interface.method` where two interfaces have one of that name. `system`: what the policy holds against;
/// what it gives by itself, such as a device's interrupts, counts in paths.
pub fn why<'p>(
    policy: &'p Policy,
    system: Option<&System>,
    subject: &str,
    object: &str,
    method: &str,
) -> Result<Verdict<'p>, WhyError> {
    let subject = component(policy, subject)?;
    let object = component(policy, object)?;
    let (interface, name) = match method.split_once('.') {
        Some((interface, name)) => (Some(interface), name),
        None => (None, method),
    };
    let channel = channel(policy, subject, object);
    let offered = offered(policy, object, interface, name);
    let allows = |held: &&Held| {
        let declared = policy.interface(held.interface);
        held.object == object
            && interface.is_none_or(|interface| declared.name == interface)
            && declared
                .methods
                .iter()
                .any(|known| known.name == name && held.methods.contains(known.method))
    };
    let ceiling = Ceiling::of(policy);
    let mut allowing = ceiling.holdings(subject).grants.iter().filter(allows);
    let is_issued = |held: &&Held| held.when == When::Boot;
    let held = allowing.clone().find(is_issued).or_else(|| allowing.next());
    Ok(match (held, channel, offered) {
        (Some(held), _, _) if is_issued(&held) => Verdict::Allowed(*held),
        (_, Some((rule, rights)), _) if rights.has(Rights::CALL) => Verdict::Channel(rule),
        (Some(held), _, _) => Verdict::Unavailable(*held),
        (None, channel, Ok(interface)) => {
            let notifies = channel.map(|(rule, _)| rule);
            denied(policy, system, (subject, object), interface, notifies)
        }
        // What a channel carries need be no method of an interface.
        (None, Some((rule, _)), Err(_)) => Verdict::NotPermitted {
            notifies: Some(rule),
            no_call: None,
        },
        (None, None, Err(error)) => return Err(error),
    })
}

/// The rule of a static channel from `subject` to `object`, and the rights on it.
fn channel(
    policy: &Policy,
    subject: ComponentId,
    object: ComponentId,
) -> Option<(&Static, Rights)> {
    let name = |id| policy.component(id).name.as_str();
    let ends = (
        Subject::Component(name(subject)),
        Object::Component(name(object)),
    );
    let relation = Relation::declared(policy);
    let facts = relation.facts().iter();
    let channels = facts.filter_map(|fact| match fact.cause {
        Cause::Static(rule)
            if fact.kind == Kind::Channel && (fact.subject, fact.object) == ends =>
        {
            Some((rule, fact.rights))
        }
        _ => None,
    });
    // Calls and notifications may have a line each.
    channels.max_by_key(|(_, rights)| rights.has(Rights::CALL))
}

fn denied<'p>(
    policy: &'p Policy,
    system: Option<&System>,
    (subject, object): (ComponentId, ComponentId),
    interface: InterfaceId,
    notifies: Option<&'p Static>,
) -> Verdict<'p> {
    let given = system.map(Relation::given).unwrap_or_default();
    let breaks = |mode| {
        let mut wider = policy.clone();
        wider.grants.push(Grant {
            is_opaque: false,
            subject,
            object,
            interface,
            methods: MethodSet(0),
            mode,
            when: model::When::Request,
            region: None,
            lease_ms: None,
            delegate: Vec::new(),
            reason: None,
            places: GrantPlaces::default(),
        });
        broken(policy, &wider, &given, (subject, object))
    };
    if let Some((rule, path)) = breaks(Mode::Send) {
        return Verdict::Forbidden { rule, path };
    }
    let no_call = breaks(Mode::Call).map(|(rule, _)| rule);
    Verdict::NotPermitted { notifies, no_call }
}

/// The `never` rule of `policy` that is broken by `wider`, a policy with more grants, and the subjects on
/// the path: first a rule between the domains of `ends`, which is the one that the manager names.
fn broken<'p>(
    policy: &'p Policy,
    wider: &Policy,
    given: &Relation<'_>,
    ends: (ComponentId, ComponentId),
) -> Option<(&'p Never, Vec<String>)> {
    let relation = Relation::declared(wider).with_fixed(given);
    let flows = relation.flows();
    let domains = (policy.domain_of(ends.0), policy.domain_of(ends.1));
    let (direct, others): (Vec<&Never>, Vec<&Never>) = policy
        .nevers
        .iter()
        .partition(|never| (never.from, never.to) == domains);
    direct.into_iter().chain(others).find_map(|never| {
        let path = relation.broken(never, &flows)?;
        let start = path.first().map(|hop| hop.from);
        let passed = start.into_iter().chain(path.iter().map(|hop| hop.to));
        Some((never, passed.map(|it| it.to_string()).collect()))
    })
}

fn component(policy: &Policy, name: &str) -> Result<ComponentId, WhyError> {
    policy.component_named(name).ok_or_else(|| {
        let names = policy.components.iter().map(|it| it.name.as_str());
        let all = || String::from("`portcullis ceiling` lists them");
        WhyError::NoComponent {
            name: name.to_owned(),
            help: suggestion(name, names, all),
        }
    })
}

/// The interface of `object` that has the method.
fn offered(
    policy: &Policy,
    object: ComponentId,
    interface: Option<&str>,
    name: &str,
) -> Result<InterfaceId, WhyError> {
    let object = policy.component(object);
    let methods = object.offers.iter().flat_map(|id| {
        let offered = policy.interface(*id);
        let asked = interface.is_none_or(|name| offered.name == name);
        let methods = offered.methods.iter().filter(move |_| asked);
        methods.map(|method| (method.name.as_str(), *id))
    });
    let methods: Vec<(&str, InterfaceId)> = methods.collect();
    if let Some((_, id)) = methods.iter().find(|(method, _)| *method == name) {
        return Ok(*id);
    }
    let names: Vec<&str> = methods.iter().map(|(method, _)| *method).collect();
    let all = || match names.as_slice() {
        [] => String::from("it offers none there"),
        names => format!("it offers {}", names.join(", ")),
    };
    Err(WhyError::NoMethod {
        object: object.name.clone(),
        method: name.to_owned(),
        help: suggestion(name, names.iter().copied(), all),
    })
}

impl Verdict<'_> {
    /// The word of the log.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Allowed(_) | Self::Channel(_) => "allowed",
            Self::Unavailable(_) => "unavailable",
            Self::Forbidden { .. } => "forbidden",
            Self::NotPermitted { .. } => "not permitted",
        }
    }

    /// The policy line that decides; `None`: none does.
    pub fn line(&self, policy: &Policy) -> Option<u32> {
        match self {
            Self::Allowed(held) | Self::Unavailable(held) => Some(policy.grants[held.rule].line()),
            Self::Channel(rule) => Some(rule.place.line),
            Self::Forbidden { rule, .. } => Some(rule.place.line),
            Self::NotPermitted { .. } => None,
        }
    }

    /// The reason that the line gives.
    pub fn reason<'r>(&'r self, policy: &'r Policy) -> Option<&'r str> {
        let reason = match self {
            Self::Allowed(held) | Self::Unavailable(held) => &policy.grants[held.rule].reason,
            Self::Channel(rule) => &rule.reason,
            Self::Forbidden { rule, .. } => &rule.reason,
            Self::NotPermitted { .. } => return None,
        };
        reason.as_deref()
    }
}
