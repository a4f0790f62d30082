//! Verifies a log: fsck reads it, and for the grant log its records are replayed.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use portcullis_fsck::{Entries, Finding, Findings, LogSummary, Records, Sink, Verdict};
use portcullis_log::block::{Footer, LogId, LogKind};
use portcullis_log::checkpoint::{origin, text};
use portcullis_log::note;
use serde::Serialize;

use crate::policies::Policies;
use crate::replay::{Boot, Replay};

/// What was found out about a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The log's origin.
    pub origin: String,
    /// Which log.
    pub log: &'static str,
    /// Whether all of it was checked, and holds.
    pub holds: bool,
    /// What was found out, in a word.
    pub verdict: Verdict,
    /// What there is, and who vouched for it.
    #[serde(flatten)]
    pub summary: LogSummary,
    /// Boots; none for the ledger.
    pub boots: Vec<Boot>,
    /// Grants in force at the end.
    pub grants_in_force: usize,
    /// Checkpoints from elsewhere that it agrees with.
    pub checkpoints: usize,
    /// What is wrong or worth knowing.
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    pub more_findings: u64,
}

/// Commits that are read ahead of the replay; each has at most 256 KiB.
const AHEAD: usize = 16;

/// Hands the records to another thread, in memory that it gives back.
struct Forward {
    records: SyncSender<(u64, Vec<u8>)>,
    spare: Receiver<Vec<u8>>,
}

impl Sink for Forward {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        let mut bytes = self.spare.try_recv().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(records.bytes());
        // The other end goes away only when its thread panics, which joining it reports.
        let _ = self.records.send((records.first(), bytes));
    }
}

/// Verifies the log that `read` reads. Hashing and the replay of records run side by side.
pub fn verify(
    (kind, log): (LogKind, LogId),
    policies: &Policies,
    read: impl FnOnce(&mut dyn Sink) -> (LogSummary, Findings),
) -> Report {
    let mut replay = Replay::new(policies);
    let (summary, mut findings) = match kind {
        LogKind::Worm => read(&mut Entries),
        LogKind::Grants => thread::scope(|scope| {
            let (records, receiver) = sync_channel::<(u64, Vec<u8>)>(AHEAD);
            let (done, spare): (Sender<Vec<u8>>, _) = channel();
            let replay = &mut replay;
            scope.spawn(move || {
                for (first, bytes) in receiver {
                    replay.records(Records::new(first, &bytes));
                    // Nobody takes it any more once all is read.
                    let _ = done.send(bytes);
                }
            });
            read(&mut Forward { records, spare })
        }),
    };
    let (boots, grants_in_force) = (replay.boots().to_vec(), replay.grants().len());
    findings.extend(replay.into_findings());
    let verdict = findings.verdict();
    Report {
        origin: origin(kind, log).as_str().to_owned(),
        log: kind.name(),
        holds: verdict == Verdict::Holds,
        verdict,
        checkpoints: summary.held_against.len(),
        summary,
        boots,
        grants_in_force,
        findings: findings.list,
        more_findings: findings.more,
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
