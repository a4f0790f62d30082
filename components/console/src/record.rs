//! A record of the grant log as one line, with the names of its components.

use core::fmt;

use portcullis_kernel::{KernelError, Principal};
use portcullis_log::{Cause, Outcome, Record};
use portcullis_policy_format::{MAX_NAME, Policy};

use crate::api::Cut;
use crate::table::Padded;

/// Columns of a component's name.
const NAME: usize = 12;

/// Titles over the lines of records.
pub(crate) const TITLES: &str =
    "record  operation    grant  subject       mode    object        outcome, cause";

/// The name of a component; its number where the policy has no such component.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'p> {
    Known(&'p str),
    Unknown(u16),
}

impl<'p> Name<'p> {
    pub(crate) fn of(policy: Option<&Policy<'p>>, number: u16) -> Self {
        let component = policy.and_then(|it| it.component_at(number));
        component.map_or(Self::Unknown(number), |it| Self::Known(it.name))
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(name) => f.write_str(name),
            Self::Unknown(number) => write!(f, "#{number}"),
        }
    }
}

/// A record, with the names of the policy in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a>(pub(crate) &'a Record, pub(crate) &'a Policy<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record, _) = self;
        let mut id = Cut::<12>::new();
        let [mut subject, mut object] = [const { Cut::<MAX_NAME>::new() }; 2];
        if let Some(logged) = record.grant {
            id.push(format_args!(
                "{}.{}",
                logged.index,
                logged.generation.number()
            ));
            subject.push(format_args!("{}", self.name(logged.grant.subject)));
            object.push(format_args!("{}", self.name(logged.grant.object)));
        }
        write!(
            f,
            "{:>6}  {:<9}  {:>7}  {}  {:<6}  {}  ",
            record.sequence,
            record.operation.name(),
            id.as_str(),
            Padded(subject.as_str(), NAME),
            record.grant.map_or("", |logged| logged.grant.mode.name()),
            Padded(object.as_str(), NAME),
        )?;
        self.fmt_outcome(f)?;
        f.write_str(", ")?;
        self.fmt_cause(f)
    }
}

impl Line<'_> {
    fn name(&self, number: u16) -> Name<'_> {
        Name::of(Some(self.1), number)
    }

    fn fmt_outcome(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.outcome {
            Outcome::Done => f.write_str("done"),
            Outcome::Forbidden => f.write_str("forbidden"),
            Outcome::NotPermitted => f.write_str("not permitted"),
            Outcome::Unavailable => f.write_str("unavailable"),
            Outcome::Error(code) => match KernelError::from_code(code.into()) {
                Some(error) => write!(f, "error ({error})"),
                None => write!(f, "error {code}"),
            },
        }
    }

    fn fmt_cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = |by: Principal| self.name(by.component);
        match self.0.cause {
            Cause::Policy { line } => write!(f, "line {line}"),
            Cause::Request {
                by,
                line: Some(line),
            } => write!(f, "asked by {}, line {line}", asked(by)),
            Cause::Request { by, line: None } => write!(f, "asked by {}", asked(by)),
            Cause::Load { .. } => write!(f, "version {}", self.0.policy),
            Cause::Complete { grants } => write!(f, "{grants} grants"),
            Cause::Fault { component, fault } => {
                write!(f, "{} faulted: {fault}", self.name(component))
            }
            Cause::Leaves { log, size, .. } => write!(f, "leaves {size} records of {}", log.name()),
        }
    }
}
