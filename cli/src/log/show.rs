//! `portcullis log show`: the records of the grant log.

use std::collections::{BTreeSet, VecDeque};

use clap::Args;
use portcullis_audit::Hex;
use portcullis_audit::policies::{Policies, PolicyTable};
use portcullis_audit::replay::Replay;
use portcullis_audit::state::State;
use portcullis_fsck::record::{BY_INDEX, read_known};
use portcullis_fsck::{Findings, Records, Sink};
use portcullis_log::block::LogKind;
use portcullis_log::{Cause, Record};
use serde::Serialize;

use super::names;
use super::open::{Place, read, verdict};
use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::output::{Output, table};

const EXAMPLE: &str = "\
Names come from the policy that the boot names by its hash; where that is not \
at hand, numbers stand with a #. A component that --component names, by name or number, holds, \
serves or asks for what is shown.

Examples:
  portcullis log show --last 20
  portcullis log show --component ingest --boot 3f2a
  portcullis log show --disk disk.img --policies policies/ --json";

/// List the records of the grant log, with names from the policy that was in force
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Show {
    #[command(flatten)]
    place: Place,
    /// Only the last N records that match
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Only the boot whose id starts with this
    #[arg(long, value_name = "ID", value_parser = boot_id)]
    boot: Option<String>,
    /// Only this component
    #[arg(long, value_name = "NAME")]
    component: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Row {
    index: u64,
    boot: String,
    sequence: u64,
    time_ns: u64,
    time: String,
    operation: &'static str,
    grant: Option<GrantRow>,
    cause: String,
    outcome: String,
}

#[derive(Serialize)]
pub(super) struct GrantRow {
    pub(super) index: u16,
    pub(super) generation: u16,
    pub(super) subject: String,
    pub(super) slot: u16,
    pub(super) object: String,
    pub(super) interface: String,
    pub(super) methods: String,
    pub(super) mode: &'static str,
    pub(super) id: Option<u64>,
    pub(super) parent: Option<u64>,
    pub(super) lease_ms: Option<u32>,
}

impl GrantRow {
    pub(super) fn new(policy: Option<&PolicyTable>, logged: &portcullis_log::GrantFields) -> Self {
        let grant = &logged.grant;
        Self {
            index: logged.index,
            generation: logged.generation.number(),
            subject: names::component(policy, grant.subject),
            slot: grant.slot,
            object: names::component(policy, grant.object),
            interface: names::interface(policy, grant.interface),
            methods: names::methods(policy, grant.interface, grant.methods),
            mode: grant.mode.name(),
            id: Some(logged.id).filter(|id| *id != 0 && id & BY_INDEX == 0),
            parent: logged.parent.map(|id| id & !BY_INDEX),
            lease_ms: logged.lease_ms,
        }
    }
}

/// Keeps the records that match, while the replay keeps the policy in force.
struct Shown<'s> {
    show: &'s Show,
    replay: Replay<'s>,
    rows: VecDeque<Row>,
}

impl Sink for Shown<'_> {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        for (index, bytes) in records {
            let Some(record) = read_known(bytes) else {
                continue;
            };
            self.replay.take(index, &record);
            let policy = self.replay.policy();
            let row = row(policy, index, &record);
            if !self.show.matches(&row, policy, &record) {
                continue;
            }
            self.rows.push_back(row);
            if self.show.last.is_some_and(|last| self.rows.len() > last) {
                self.rows.pop_front();
            }
        }
    }
}

/// The beginning of a boot's id, as it is shown.
pub(super) fn boot_id(text: &str) -> Result<String, String> {
    let id = text.to_lowercase();
    match id.chars().find(|c| !c.is_ascii_hexdigit()) {
        None => Ok(id),
        Some(_) => Err("a boot's id is hexadecimal: `portcullis log show` lists them".to_owned()),
    }
}

pub(super) fn row(policy: Option<&PolicyTable>, index: u64, record: &Record) -> Row {
    Row {
        index,
        boot: Hex(&record.boot.0).to_string(),
        sequence: record.sequence,
        time_ns: record.time.best(),
        time: names::time(record.time.best()),
        operation: record.operation.name(),
        grant: record.grant.map(|grant| GrantRow::new(policy, &grant)),
        cause: names::cause(policy, record.policy, record.cause),
        outcome: names::outcome(record.outcome),
    }
}

impl Show {
    fn matches(&self, row: &Row, policy: Option<&PolicyTable>, record: &Record) -> bool {
        let boot = self.boot.as_ref();
        let boot = boot.is_none_or(|id| row.boot.starts_with(id));
        let component = self.component.as_ref().is_none_or(|wanted| {
            let from = match record.cause {
                Cause::Request { by, .. } => Some(by.component),
                Cause::Fault { component, .. } => Some(component),
                _ => None,
            };
            let parts = record
                .grant
                .iter()
                .flat_map(|it| [it.grant.subject, it.grant.object]);
            parts.chain(from).any(|number| {
                names::component(policy, number) == *wanted || number.to_string() == *wanted
            })
        });
        boot && component
    }

    /// Whether there is such a component, in any policy at hand; where there is none, nobody knows.
    fn is_known(&self, policies: &Policies) -> Result<(), Failure> {
        let known: BTreeSet<&str> = policies.iter().flat_map(PolicyTable::components).collect();
        let number = |wanted: &str| wanted.parse::<u16>().is_ok();
        match self.component.as_deref() {
            Some(wanted) if !known.is_empty() && !known.contains(wanted) && !number(wanted) => {
                let known = Vec::from_iter(known).join(", ");
                Err(Failure::bad_input(format_args!(
                    "no policy at hand has a component `{wanted}`; there are {known}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn rows(&self, state: &State) -> Result<(Vec<Row>, Verdict), Failure> {
        let replay = Replay::new(state.policies());
        let mut shown = Shown {
            show: self,
            replay,
            rows: VecDeque::new(),
        };
        let read = read(state, LogKind::Grants, &mut shown)?;
        Ok((shown.rows.into(), verdict(LogKind::Grants, &read)))
    }
}

impl Run for Show {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let state = self.place.open()?;
        let (rows, verdict) = self.rows(&state)?;
        if rows.is_empty() {
            self.is_known(state.policies())?;
        }
        output.print(&rows, |rows| human(rows))?;
        Ok(verdict)
    }
}

fn human(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no records".into();
    }
    table(
        &[
            ">RECORD",
            "BOOT",
            ">SEQ",
            "TIME",
            "OPERATION",
            "GRANT",
            "CAUSE",
            "OUTCOME",
        ],
        rows.iter().map(|row| {
            vec![
                row.index.to_string(),
                row.boot.get(..8).unwrap_or(&row.boot).into(),
                row.sequence.to_string(),
                row.time.clone(),
                row.operation.into(),
                row.grant.as_ref().map_or_else(|| "-".into(), grant),
                row.cause.clone(),
                row.outcome.clone(),
            ]
        }),
    )
}

/// What a record says, in a line.
pub(super) fn line(row: &Row) -> String {
    let Row {
        sequence,
        operation,
        cause,
        outcome,
        ..
    } = row;
    let boot = row.boot.get(..8).unwrap_or(&row.boot);
    let grant = row.grant.iter().map(|it| format!(" of {}", grant(it)));
    let grant = String::from_iter(grant);
    format!("boot {boot}, record {sequence}: {operation}{grant}, {cause}, {outcome}")
}

fn grant(grant: &GrantRow) -> String {
    let GrantRow {
        subject,
        object,
        interface,
        methods,
        mode,
        ..
    } = grant;
    format!("{subject} -> {object} {mode} {interface}: {methods}")
}
