//! Memory and power that no line of a policy can allow.
//!
//! Nobody writes and executes the same memory, or executes what another writes; nobody holds its own
//! TCB. A guest's memory is its own matter: what it executes there is confined by its virtual machine.
//! No two regions have the same content, and where memory lies is said.

use std::collections::HashMap;

use miette::Diagnostic;
use portcullis_sdf::{FileId, Prefill};
use thiserror::Error;

use super::{Check, Described, Relations};
use crate::model::{CapKind, Subject};
use crate::problem::Problem;
use crate::relation::{Fact, Object, Power, Relation, Rights, may_be_registers};

/// Something that no line can allow.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum MemoryFault {
    /// Memory that one can write and execute.
    #[error("{holder} would both write and execute region `{region}`")]
    #[diagnostic(
        code(policy::write_and_execute),
        help("map data with perms=\"rw\" and code with perms=\"rx\", in regions of their own")
    )]
    WriteAndExecute {
        /// Who.
        holder: String,
        /// The region.
        region: String,
    },
    /// Memory that one executes and another writes.
    #[error("{holder} would execute region `{region}`, which {writer} writes")]
    #[diagnostic(
        code(policy::executes_anothers),
        help("map it without \"x\": whoever writes what it executes controls it")
    )]
    ExecutesAnothers {
        /// Who executes.
        holder: String,
        /// The region.
        region: String,
        /// Who writes.
        writer: String,
    },
    /// A component that holds its own TCB.
    #[error("{holder} would hold its own TCB")]
    #[diagnostic(
        code(policy::own_tcb),
        help("remove it: with its own TCB it changes its priority and where its faults go")
    )]
    OwnTcb {
        /// Who.
        holder: String,
    },
    /// Two regions of one content.
    #[error("regions `{first}` and `{second}` are both filled from `{path}`")]
    #[diagnostic(
        code(policy::filled_twice),
        help(
            "map one region in both: two regions with the same content hide from the policy who reads it"
        )
    )]
    FilledTwice {
        /// The first region.
        first: String,
        /// The other.
        second: String,
        /// The file.
        path: String,
    },
    /// A region at a fixed address that ends nobody knows where.
    #[error("region `{region}` lies at {address:#x}, and its size is that of a file")]
    #[diagnostic(
        code(policy::fixed_without_size),
        help(
            "write its size: what it lies over is not known without, and could be another region"
        )
    )]
    FixedWithoutSize {
        /// The region.
        region: String,
        /// Where it starts.
        address: u64,
    },
    /// Registers that are written before anybody runs.
    #[error(
        "region `{region}` lies at {address:#x}, which may be a device's registers, and is filled at boot"
    )]
    #[diagnostic(
        code(policy::filled_registers),
        help(
            "remove phys_addr, or what fills it: the boot would write the device, whoever maps it; memory \
             of the board is known as such with --sdk and --board"
        )
    )]
    FilledRegisters {
        /// The region.
        region: String,
        /// Where it starts.
        address: u64,
    },
}

/// Facts that no line can allow, each with what is wrong.
pub(super) fn refused<'a>(relation: &Relation<'a>) -> Vec<(Fact<'a>, MemoryFault)> {
    let regions = relation.regions();
    let executed = regions.iter().filter(|((_, subject), (rights, _))| {
        matches!(subject, Subject::Component(_)) && rights.has(Rights::EXECUTE)
    });
    let mut refused = Vec::new();
    for (&(name, subject), &(rights, fact)) in executed {
        let (holder, region) = (subject.to_string(), name.to_owned());
        if rights.has(Rights::WRITE) {
            let fault = MemoryFault::WriteAndExecute { holder, region };
            refused.push((*fact, fault));
            continue;
        }
        let sharing = regions.range((name, Subject::Component(""))..);
        let mut sharing = sharing.take_while(|((other, _), _)| *other == name);
        let writer = sharing
            .find(|((_, other), (rights, _))| *other != subject && rights.has(Rights::WRITE));
        if let Some(((_, writer), _)) = writer {
            let fault = MemoryFault::ExecutesAnothers {
                holder,
                region,
                writer: writer.to_string(),
            };
            refused.push((*fact, fault));
        }
    }
    let own = relation
        .facts()
        .iter()
        .filter(|fact| fact.object == Object::Power(Power::Capability(CapKind::Tcb), fact.subject));
    refused.extend(own.map(|fact| {
        let holder = fact.subject.to_string();
        (*fact, MemoryFault::OwnTcb { holder })
    }));
    refused
}

/// Reports what the policy, or the system description, gives and no line can allow.
pub(super) fn check(check: &mut Check<'_>, relations: &Relations<'_>) {
    for (fact, fault) in &relations.refused {
        check.at(&fact.cause, "here", fault.clone());
    }
}

/// Checks what fills the regions.
pub(super) fn check_regions(check: &mut Check<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    let mut filled: HashMap<Content, &str> = HashMap::new();
    let mut report = |span: &portcullis_sdf::Span, label: &str, fault| {
        let place = source.place(span.clone());
        check
            .problems
            .push(Problem::broken(source, &place, label, fault));
    };
    for region in &system.memory_regions {
        let name = region.name.value.as_str();
        if let (None, Some(address)) = (&region.size, &region.phys_addr) {
            let fault = MemoryFault::FixedWithoutSize {
                region: name.to_owned(),
                address: address.value,
            };
            report(&address.span, "up to where?", fault);
        }
        if let (Some(_), Some(address)) = (&region.prefill, &region.phys_addr)
            && may_be_registers(region)
        {
            let fault = MemoryFault::FilledRegisters {
                region: name.to_owned(),
                address: address.value,
            };
            report(&address.span, "written at boot", fault);
        }
        let Some(Prefill::Path(path)) = &region.prefill else {
            continue;
        };
        let content = match region.file {
            Some(file) => Content::File(file),
            None => Content::Path(normal(&path.value)),
        };
        if let Some(first) = filled.insert(content, name) {
            let fault = MemoryFault::FilledTwice {
                first: first.to_owned(),
                second: name.to_owned(),
                path: path.value.clone(),
            };
            report(&path.span, "the same content", fault);
        }
    }
}

/// What fills a region: the file, or its path where no file is looked at.
#[derive(PartialEq, Eq, Hash)]
enum Content {
    File(FileId),
    Path(String),
}

/// A path without `.` and, where it can be told, without `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            (".", _) | ("", Some(_)) => {}
            // The root is above itself.
            ("..", Some(&"")) if parts.len() == 1 => {}
            ("..", Some(last)) if !matches!(*last, ".." | "") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
