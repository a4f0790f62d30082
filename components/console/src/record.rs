//! A record of the grant log as one line, with the names of its components.

use core::fmt;

use portcullis_kernel::{KernelError, Refusal, Syscalls};
use portcullis_log::{Cause, Operation, Outcome, Record};

use crate::api::Cut;
use crate::inspect::Inspect;
use crate::senders::NAME_MAX;
use crate::table::Padded;

/// Columns of a component's name.
const NAME: usize = 12;

/// Titles over the lines of records.
pub(crate) const TITLES: &str =
    "record  operation    grant  subject       mode    object        outcome, cause";

/// A name, or a number where the manager knows no name.
type Name = Cut<NAME_MAX>;

/// A record, and what its numbers are called.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    record: &'a Record,
    subject: Name,
    object: Name,
    /// The component that asked, or that faulted.
    by: Name,
}

impl<'a> Line<'a> {
    /// Asks the manager for the names.
    pub(crate) fn new(
        kernel: &mut impl Syscalls,
        inspect: Inspect,
        record: &'a Record,
    ) -> Result<Self, Refusal> {
        let mut name = |number: Option<u16>| match number {
            Some(number) => name(kernel, inspect, number),
            None => Ok(Name::new()),
        };
        let by = match record.cause {
            Cause::Request { component, .. } | Cause::Fault { component, .. } => Some(component),
            Cause::Policy { .. }
            | Cause::Load { .. }
            | Cause::Complete { .. }
            | Cause::Leaves { .. } => None,
        };
        Ok(Self {
            record,
            subject: name(record.grant.map(|grant| grant.subject))?,
            object: name(record.grant.map(|grant| grant.object))?,
            by: name(by)?,
        })
    }
}

fn name(kernel: &mut impl Syscalls, inspect: Inspect, number: u16) -> Result<Name, Refusal> {
    let mut buffer = [0; _];
    let mut name = Name::new();
    match inspect.component(kernel, number, &mut buffer)? {
        Some(component) => name.push(format_args!("{}", component.name)),
        None => name.push(format_args!("#{number}")),
    }
    Ok(name)
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut id = Cut::<12>::new();
        if let Some(grant) = self.record.grant {
            id.push(format_args!(
                "{}.{}",
                grant.index,
                grant.generation.number()
            ));
        }
        write!(
            f,
            "{:>6}  {:<9}  {:>7}  {}  {:<6}  {}  ",
            self.record.sequence,
            operation(self.record.operation),
            id.as_str(),
            Padded(self.subject.as_str(), NAME),
            self.record.grant.map_or("", |grant| grant.mode.name()),
            Padded(self.object.as_str(), NAME),
        )?;
        self.fmt_outcome(f)?;
        f.write_str(", ")?;
        self.fmt_cause(f)
    }
}

impl Line<'_> {
    fn fmt_outcome(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record.outcome {
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
        let by = self.by.as_str();
        match self.record.cause {
            Cause::Policy { line } => write!(f, "line {line}"),
            Cause::Request {
                line: Some(line), ..
            } => write!(f, "asked by {by}, line {line}"),
            Cause::Request { line: None, .. } => write!(f, "asked by {by}"),
            Cause::Load { version, .. } => write!(f, "version {version}"),
            Cause::Complete { grants } => write!(f, "{grants} grants"),
            Cause::Fault { fault, .. } => write!(f, "{by} faulted: {fault}"),
            Cause::Leaves { log, size, .. } => write!(f, "leaves {size} records of {}", log.name()),
        }
    }
}

const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Boot => "boot",
        Operation::Mint => "mint",
        Operation::Copy => "copy",
        Operation::Attenuate => "attenuate",
        Operation::Revoke => "revoke",
        Operation::Expire => "expire",
        Operation::Deny => "deny",
        Operation::Fault => "fault",
        Operation::Update => "update",
        Operation::Seal => "seal",
        Operation::History => "history",
    }
}
