//! Whether the policy lets a component call a method of another: the answer that `portcullis why`
//! gives offline, with what is in force now.

use core::fmt;

use portcullis_kernel::{Refusal, Syscalls};
use portcullis_manager_api::Why;
use portcullis_policy_format::{AllowedGrant, Policy};

use crate::command::Question;
use crate::inspect::Source;

/// The words of the log, each with its policy line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// A grant of this line allows it, and is in force.
    Allowed(u32),
    /// A grant of this line allows it, but is not in force.
    Unavailable(u32),
    /// The `never` rule of this line forbids it.
    Forbidden(u32),
    /// No line allows it.
    NotPermitted,
}

impl Verdict {
    /// Looks the question up in the policy; the manager is asked what is in force.
    pub(crate) fn of(
        kernel: &mut impl Syscalls,
        source: &Source<'_>,
        question: &Question<'_>,
    ) -> Result<Self, Refusal> {
        let policy = &source.policy;
        let ends = (
            policy.component(question.subject),
            policy.component(question.object),
        );
        let (Some((subject, from)), Some((object, to))) = ends else {
            return Ok(Self::NotPermitted);
        };
        let mut closed = None;
        for allowed in policy.grants() {
            let AllowedGrant { grant, line, .. } = allowed;
            let ends = (grant.subject, grant.object);
            if ends != (subject, object) || !includes(policy, &allowed, question.method) {
                continue;
            }
            let slot = grant.slot;
            if source.inspect.is_usable(kernel, Why { subject, slot })? {
                return Ok(Self::Allowed(line));
            }
            closed.get_or_insert(line);
        }
        let forbidden = || policy.forbids(from.domain, to.domain, None);
        Ok(match closed {
            Some(line) => Self::Unavailable(line),
            None => forbidden().map_or(Self::NotPermitted, Self::Forbidden),
        })
    }
}

/// Whether a grant includes a method: by its name, or as `interface.method`.
fn includes(policy: &Policy<'_>, allowed: &AllowedGrant, name: &str) -> bool {
    let (interface, name) = match name.split_once('.') {
        Some((interface, name)) => (Some(interface), name),
        None => (None, name),
    };
    let sought = interface.map(|name| policy.interface(name).map(|(number, _)| number));
    let grant = &allowed.grant;
    if sought.is_some_and(|sought| sought != Some(grant.interface)) {
        return false;
    }
    policy.methods().any(|method| {
        method.interface == grant.interface
            && method.name == name
            && grant.methods.contains(method.method)
    })
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(line) => write!(f, "allowed: policy line {line}; the grant is in force"),
            Self::Unavailable(line) => write!(
                f,
                "unavailable: policy line {line} allows it, but the grant is not in force"
            ),
            Self::Forbidden(line) => {
                write!(f, "forbidden: the rule at policy line {line} says never")
            }
            Self::NotPermitted => f.write_str("not permitted: no policy line allows it"),
        }
    }
}
