//! Whether one component may use a method of another, and which line of the policy says so.
//!
//! The words are those of the grant log and of the manager's `inspect`. The policy alone cannot
//! know what is in force: a boot grant and a static channel count as in force, any other grant as not
//! yet.

use portcullis_policy_format::When;
use thiserror::Error;

use crate::ceiling::{Ceiling, Held};
use crate::model::{Authority, ComponentId, Holder, Policy};
use crate::text::suggestion;

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// This grant allows it, from boot on.
    Allowed(Held),
    /// The static rule at this position allows it: a channel, which carries any method.
    Channel {
        /// Position in [`Policy::statics`].
        rule: usize,
    },
    /// This grant allows it, once it is issued: on request, or by delegation.
    Unavailable(Held),
    /// The `never` rule at this position forbids it.
    Forbidden {
        /// Position in [`Policy::nevers`].
        rule: usize,
    },
    /// No line allows it.
    NotPermitted,
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
/// `interface.method` where two interfaces have one of that name.
pub fn why(
    policy: &Policy,
    subject: &str,
    object: &str,
    method: &str,
) -> Result<Verdict, WhyError> {
    let subject = component(policy, subject)?;
    let object = component(policy, object)?;
    let (interface, name) = match method.split_once('.') {
        Some((interface, name)) => (Some(interface), name),
        None => (None, method),
    };
    let channel = channel(policy, subject, object);
    // What a channel carries need be no method of an interface.
    if channel.is_none() {
        check_method(policy, object, interface, name)?;
    }
    let ceiling = Ceiling::of(policy);
    let allows = |held: &&Held| {
        let declared = policy.interface(held.interface);
        held.object == object
            && interface.is_none_or(|interface| declared.name == interface)
            && declared
                .methods
                .iter()
                .any(|known| known.name == name && held.methods.contains(known.method))
    };
    // Boot grants come first in the ceiling, so that what is in force is what is found.
    match ceiling.holdings(subject).grants.iter().find(allows) {
        Some(held) if held.when == When::Boot => Ok(Verdict::Allowed(*held)),
        held => Ok(match (channel, held) {
            (Some(rule), _) => Verdict::Channel { rule },
            (None, Some(held)) => Verdict::Unavailable(*held),
            (None, None) => denied(policy, subject, object),
        }),
    }
}

/// The rule of a static channel on which `subject` can call `object`.
fn channel(policy: &Policy, subject: ComponentId, object: ComponentId) -> Option<usize> {
    policy.statics.iter().position(|rule| {
        let calls = Authority::Channel {
            peer: object,
            calls: true,
        };
        rule.holder == Holder::Component(subject) && rule.authority == calls
    })
}

fn denied(policy: &Policy, subject: ComponentId, object: ComponentId) -> Verdict {
    let (from, to) = (policy.domain_of(subject), policy.domain_of(object));
    let forbids = |never: &crate::model::Never| never.from == from && never.to == to;
    match policy.nevers.iter().position(forbids) {
        Some(rule) => Verdict::Forbidden { rule },
        None => Verdict::NotPermitted,
    }
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

fn check_method(
    policy: &Policy,
    object: ComponentId,
    interface: Option<&str>,
    name: &str,
) -> Result<(), WhyError> {
    let object = policy.component(object);
    let offered = object.offers.iter().map(|id| policy.interface(*id));
    let asked = offered.filter(|it| interface.is_none_or(|name| it.name == name));
    let names: Vec<&str> = asked
        .flat_map(|it| it.methods.iter().map(|method| method.name.as_str()))
        .collect();
    if names.contains(&name) {
        return Ok(());
    }
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

impl Verdict {
    /// The word of the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed(_) | Self::Channel { .. } => "allowed",
            Self::Unavailable(_) => "unavailable",
            Self::Forbidden { .. } => "forbidden",
            Self::NotPermitted => "not permitted",
        }
    }

    /// The policy line that decides; `None`: none does.
    pub fn line(self, policy: &Policy) -> Option<u32> {
        match self {
            Self::Allowed(held) | Self::Unavailable(held) => Some(policy.grants[held.rule].line()),
            Self::Channel { rule } => Some(policy.statics[rule].place.line),
            Self::Forbidden { rule } => Some(policy.nevers[rule].place.line),
            Self::NotPermitted => None,
        }
    }

    /// The reason that the line gives.
    pub fn reason(self, policy: &Policy) -> Option<&str> {
        match self {
            Self::Allowed(held) | Self::Unavailable(held) => {
                policy.grants[held.rule].reason.as_deref()
            }
            Self::Channel { rule } => policy.statics[rule].reason.as_deref(),
            Self::Forbidden { rule } => policy.nevers[rule].reason.as_deref(),
            Self::NotPermitted => None,
        }
    }
}
