//! Verifies a log: the walk over its blocks, and for the grant log the replay of its records.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::{io, thread};

use portcullis_log::block::{Footer, LogId, LogKind};
use portcullis_log::checkpoint::{origin, text};
use portcullis_log::note;
use serde::Serialize;

use crate::Hex;
use crate::finding::{Finding, Place, What};
use crate::policies::Policies;
use crate::replay::{Boot, Replay};
use crate::walk::{Blocks, Sink, Trust, Walked, walk};

/// What was found out about a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The log's origin.
    pub origin: String,
    /// Which log.
    pub log: &'static str,
    /// Whether it holds: no finding is a violation.
    pub holds: bool,
    /// Records.
    pub records: u64,
    /// Blocks in use.
    pub blocks: u64,
    /// Commits.
    pub commits: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// Root of the last commit, in hexadecimal.
    pub root: Option<String>,
    /// Boots; none for the ledger.
    pub boots: Vec<Boot>,
    /// Grants in force at the end.
    pub grants_in_force: usize,
    /// Checkpoints from elsewhere that it was held against.
    pub checkpoints: usize,
    /// What is wrong or worth knowing.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub more_findings: u64,
}

/// Commits that are read ahead of the replay; each has at most 256 KiB.
const AHEAD: usize = 16;

/// Takes no record in.
struct Opaque;

impl Sink for Opaque {
    fn commit(&mut self, _: u64, _: &[u8]) {}
}

/// Hands the records to another thread.
struct Forward(SyncSender<(u64, Vec<u8>)>);

impl Sink for Forward {
    fn commit(&mut self, first: u64, payload: &[u8]) {
        // The other end goes away only when its thread panics, which joining it reports.
        let _ = self.0.send((first, payload.to_vec()));
    }
}

/// Verifies a log. Hashing and the replay of records run side by side.
pub fn verify(
    blocks: &mut impl Blocks,
    trust: &Trust<'_>,
    policies: &Policies,
    progress: impl FnMut(u64),
) -> io::Result<(Report, Option<Footer>)> {
    let mut replay = Replay::new(policies);
    let walked = match trust.kind {
        LogKind::Worm => walk(blocks, trust, &mut Opaque, progress)?,
        LogKind::Grants => thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<(u64, Vec<u8>)>(AHEAD);
            let replay = &mut replay;
            scope.spawn(move || {
                receiver
                    .iter()
                    .for_each(|(first, payload)| replay.commit(first, &payload));
            });
            walk(blocks, trust, &mut Forward(sender), progress)
        })?,
    };
    let head = walked.head;
    Ok((report(trust, walked, &replay), head))
}

fn report(trust: &Trust<'_>, walked: Walked, replay: &Replay<'_>) -> Report {
    let (replayed, more_findings) = replay.findings();
    let mut findings = walked.findings;
    findings.extend_from_slice(replayed);
    Report {
        origin: origin(trust.kind, trust.log).as_str().to_owned(),
        log: trust.kind.name(),
        holds: more_findings == 0 && !findings.iter().any(Finding::is_violation),
        records: walked.records,
        blocks: walked.blocks,
        commits: walked.commits,
        bytes: walked.bytes,
        root: walked.head.map(|head| Hex(&head.root).to_string()),
        boots: replay.boots().to_vec(),
        grants_in_force: replay.grants().len(),
        checkpoints: trust.checkpoints.len(),
        findings,
        more_findings,
    }
}

impl Report {
    /// Adds that the disk is shorter than its header says.
    pub fn short_disk(&mut self, blocks: u64) {
        if blocks > 0 {
            self.holds = false;
            self.findings
                .push(Finding::violation(Place::Log, What::ShortDisk { blocks }));
        }
    }
}

/// The checkpoint of a tree head as a signed note.
pub fn checkpoint_note(
    kind: LogKind,
    log: LogId,
    head: &Footer,
    key: &ed25519_dalek::VerifyingKey,
) -> String {
    let text = text(kind, log, head.tree_size.get(), &head.root);
    let mut note = format!("{text}\n");
    note::write_signature(&mut note, &origin(kind, log), key, &head.signature)
        .expect("a String takes any text");
    note
}
