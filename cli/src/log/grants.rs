//! `portcullis log grants`: what was in force, at the end or at any point.

use clap::Args;
use portcullis_audit::Hex;
use portcullis_audit::replay::{Boot, InForce, Replay};
use portcullis_fsck::record::read_known;
use portcullis_fsck::{Findings, Records, Sink};
use portcullis_log::Record;
use portcullis_log::block::LogKind;
use serde::Serialize;

use super::names;
use super::open::{Place, read, verdict};
use super::show::{GrantRow, boot_id};
use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Sequence numbers count the records of a boot, from 0: see `portcullis log show`. \
Without --boot, the last.

Examples:
  portcullis log grants
  portcullis log grants --at 40
  portcullis log grants --disk disk.img --policies policies/ --boot 3f2a \\
      --at 40 --json";

/// List the grants in force after the last record, or after an earlier one
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Grants {
    #[command(flatten)]
    place: Place,
    /// After the record with this sequence number
    #[arg(long, value_name = "SEQUENCE")]
    at: Option<u64>,
    /// Only the boot whose id starts with this
    #[arg(long, value_name = "ID", value_parser = boot_id)]
    boot: Option<String>,
}

#[derive(Serialize)]
struct Set {
    boot: String,
    at: u64,
    policy_sha256: Option<String>,
    grants: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    grant: GrantRow,
    since: String,
    record: u64,
    cause: String,
}

/// Replays, and keeps what was in force at the point that is asked for.
struct At<'s> {
    arguments: &'s Grants,
    replay: Replay<'s>,
    found: Option<Set>,
}

impl Sink for At<'_> {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        for (index, bytes) in records {
            let Some(record) = read_known(bytes) else {
                continue;
            };
            let boot = Hex(&record.boot.0).to_string();
            let wanted = self.arguments.boot.as_ref();
            let of_boot = wanted.is_none_or(|id| boot.starts_with(id));
            if self.ends_before(&record) {
                self.keep();
            }
            self.replay.take(index, &record);
            if of_boot && self.arguments.at == Some(record.sequence) {
                self.keep();
            }
        }
    }
}

impl At<'_> {
    /// Whether this record starts another boot, and the end of the one before is asked for.
    fn ends_before(&self, record: &Record) -> bool {
        self.arguments.at.is_none()
            && self
                .replay
                .boots()
                .last()
                .is_some_and(|boot| boot.id != record.boot)
    }

    /// Keeps the set in force, if its boot is the one asked for.
    fn keep(&mut self) {
        let Some(boot) = self.replay.boots().last() else {
            return;
        };
        let id = Hex(&boot.id.0).to_string();
        let wanted = self.arguments.boot.as_ref();
        if wanted.is_some_and(|wanted| !id.starts_with(wanted)) {
            return;
        }
        let policy = self.replay.policy();
        let grants = self.replay.grants();
        let row = |it: &InForce| Row {
            grant: GrantRow::new(policy, &it.grant),
            since: names::time(it.time),
            record: it.record,
            cause: names::cause(policy, it.policy, it.cause),
        };
        self.found = Some(Set {
            boot: id,
            at: boot.records.saturating_sub(1),
            policy_sha256: self
                .replay
                .policy_sha256()
                .map(|sha256| Hex(&sha256).to_string()),
            grants: grants.iter().map(row).collect(),
        });
    }
}

impl Run for Grants {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let state = self.place.open()?;
        let replay = Replay::new(state.policies());
        let mut at = At {
            arguments: &self,
            replay,
            found: None,
        };
        let read = read(&state, LogKind::Grants, &mut at)?;
        if self.at.is_none() {
            at.keep();
        }
        let Some(set) = at.found else {
            return Err(Failure::bad_input(self.missing(at.replay.boots())));
        };
        output.print(&set, human)?;
        Ok(verdict(LogKind::Grants, &read))
    }
}

impl Grants {
    /// What is not there of what was asked for.
    fn missing(&self, boots: &[Boot]) -> String {
        let wanted = self.boot.as_deref().unwrap_or_default();
        let ids = boots.iter().map(|boot| Hex(&boot.id.0).to_string());
        let of_it = boots.iter().zip(ids);
        let of_it = of_it.filter(|(_, id)| id.starts_with(wanted));
        let longest = of_it.max_by_key(|(boot, _)| boot.records);
        match (longest, self.at) {
            _ if boots.is_empty() => "the grant log has no record".to_owned(),
            (Some((boot, id)), Some(at)) => format!(
                "there is no record {at}: those of boot {} are numbered from 0 to {}",
                id.get(..8).unwrap_or(&id),
                boot.records.saturating_sub(1)
            ),
            _ => format!(
                "no boot's id begins with {wanted}: `portcullis log verify` lists all {}",
                boots.len()
            ),
        }
    }
}

fn human(set: &Set) -> String {
    let place = format!(
        "boot {}, after record {}",
        set.boot.get(..8).unwrap_or(""),
        set.at
    );
    if set.grants.is_empty() {
        return format!("{place}: no grant in force");
    }
    let grants = table(
        &[
            "SUBJECT",
            ">SLOT",
            "OBJECT",
            "MODE",
            "INTERFACE",
            "METHODS",
            "LEASE",
            "CAUSE",
            "SINCE",
        ],
        set.grants.iter().map(|row| {
            let grant = &row.grant;
            vec![
                grant.subject.clone(),
                grant.slot.to_string(),
                grant.object.clone(),
                grant.mode.into(),
                grant.interface.clone(),
                grant.methods.clone(),
                grant
                    .lease_ms
                    .map_or_else(|| "-".into(), |lease| format!("{lease} ms")),
                row.cause.clone(),
                row.since.clone(),
            ]
        }),
    );
    format!("{place}: {} grants in force\n\n{grants}", set.grants.len())
}
