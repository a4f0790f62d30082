//! Whether the policy lets a component call a method of another: the answer that `portcullis why`
//! gives offline, with what is in force now.

use core::fmt;

use portcullis_kernel::{Refusal, Syscalls};
use portcullis_manager_api::Why;
use portcullis_policy_format::{AllowedGrant, Policy};

use crate::command::Question;
use crate::inspect::Source;
use crate::text::closest;

/// A component's number, and that of its domain.
type Numbered = (u16, u16);

/// The words of the log, each with its policy line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict<'a> {
    /// A grant of this line allows it, and is in force.
    Allowed(u32),
    /// A grant of this line allows it, but is not in force.
    Unavailable(u32),
    /// The `never` rule of this line forbids it.
    Forbidden(u32),
    /// No line allows it.
    NotPermitted,
    /// The policy has no such name.
    Unknown(Unknown<'a>),
}

/// A name that the policy does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unknown<'a> {
    /// What it should name.
    kind: &'static str,
    name: &'a str,
    /// The name that was probably meant.
    meant: Option<&'a str>,
}

impl<'a> Unknown<'a> {
    /// The component of this name.
    pub(crate) fn component(policy: &Policy<'a>, name: &'a str) -> Result<(u16, u16), Self> {
        let found = policy.component(name);
        let names = policy.components().map(|it| it.name);
        let found = found.map(|(number, component)| (number, component.domain));
        found.ok_or_else(|| Self::new("component", name, names))
    }

    /// A method, or `interface.method`. Which component offers it the compiled policy does not say.
    fn method(policy: &Policy<'a>, name: &'a str) -> Result<(), Self> {
        let interfaces = || policy.interfaces().map(|it| it.name);
        let (interface, method) = parts(name);
        let interface = match interface.map(|name| policy.interface(name).ok_or(name)) {
            Some(Err(name)) => return Err(Self::new("interface", name, interfaces())),
            Some(Ok((number, _))) => Some(number),
            None => None,
        };
        let methods = policy.methods();
        let methods = methods.filter(|it| interface.is_none_or(|of| it.interface == of));
        let names = methods.map(|it| it.name);
        match names.clone().any(|it| it == method) {
            true => Ok(()),
            false => Err(Self::new("method", method, names)),
        }
    }

    fn new(kind: &'static str, name: &'a str, names: impl Iterator<Item = &'a str>) -> Self {
        let meant = closest(name, names);
        Self { kind, name, meant }
    }
}

/// The interface, where one is named, and the method.
fn parts(name: &str) -> (Option<&str>, &str) {
    match name.split_once('.') {
        Some((interface, name)) => (Some(interface), name),
        None => (None, name),
    }
}

impl<'a> Verdict<'a> {
    /// Looks the question up in the policy; the manager is asked what is in force.
    pub(crate) fn of(
        kernel: &mut impl Syscalls,
        source: &Source<'a>,
        question: &Question<'a>,
    ) -> Result<Self, Refusal> {
        match Self::ends(&source.policy, question) {
            Ok((from, to)) => Self::between(kernel, source, (from, to), question.method),
            Err(unknown) => Ok(Self::Unknown(unknown)),
        }
    }

    /// Number and domain of both components.
    fn ends(
        policy: &Policy<'a>,
        question: &Question<'a>,
    ) -> Result<(Numbered, Numbered), Unknown<'a>> {
        let subject = Unknown::component(policy, question.subject)?;
        let object = Unknown::component(policy, question.object)?;
        Unknown::method(policy, question.method)?;
        Ok((subject, object))
    }

    fn between(
        kernel: &mut impl Syscalls,
        source: &Source<'a>,
        ((subject, from), (object, to)): (Numbered, Numbered),
        method: &str,
    ) -> Result<Self, Refusal> {
        let policy = &source.policy;
        let mut closed = None;
        for allowed in policy.grants() {
            let AllowedGrant { grant, line, .. } = allowed;
            let ends = (grant.subject, grant.object);
            if ends != (subject, object) || !includes(policy, &allowed, method) {
                continue;
            }
            let slot = grant.slot;
            if source.inspect.is_usable(kernel, Why { subject, slot })? {
                return Ok(Self::Allowed(line));
            }
            closed.get_or_insert(line);
        }
        let forbidden = || policy.forbids(from, to, None);
        Ok(match closed {
            Some(line) => Self::Unavailable(line),
            None => forbidden().map_or(Self::NotPermitted, Self::Forbidden),
        })
    }
}

/// Whether a grant includes a method: by its name, or as `interface.method`.
fn includes(policy: &Policy<'_>, allowed: &AllowedGrant, name: &str) -> bool {
    let (interface, name) = parts(name);
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

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, meant } = self;
        write!(f, "the policy has no {kind} '{name}'; ")?;
        match meant {
            Some(name) => write!(f, "did you mean '{name}'?"),
            None if *kind == "component" => f.write_str("`components` lists them"),
            None => f.write_str("`portcullis ceiling` lists them"),
        }
    }
}

impl fmt::Display for Verdict<'_> {
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
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::NotPermitted => f.write_str("not permitted: no policy line allows it"),
        }
    }
}
