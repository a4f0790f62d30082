//! Recovery: reads the whole log, as any reader does, and finds where it goes on.

use ed25519_dalek::VerifyingKey;
use portcullis_blk::{BLOCK, Disk, DiskError};
use portcullis_log::record::OPERATION;
use portcullis_log::{
    BootId, Operation, Record,
    block::{LogId, LogKind},
    scanner::{Commit, Damage, Scanner, Skipped, Step, Watch},
};

use crate::LogError;

/// Blocks that are read at a time, as many as the driver takes: 256 KiB, so that a request to the driver costs little beside the
/// hashing of what it brings, and a range of a log of a million records takes one.
const AT_A_TIME: u64 = 64;

/// What reading a log takes: too large for a protection domain's stack, and used by one log at a time.
#[derive(Debug)]
pub struct Scratch {
    pub(crate) scanner: Option<Scanner>,
    pub(crate) blocks: [u8; AT_A_TIME as usize * BLOCK],
}

impl Scratch {
    /// Memory that is not in use yet: 262 KiB.
    pub const fn new() -> Self {
        Self {
            scanner: None,
            blocks: [0; _],
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// What recovery found in a log, and did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Recovered {
    /// Records.
    pub records: u64,
    /// Commits.
    pub commits: u64,
    /// Of the grant log: boots.
    pub boots: u64,
    /// Blocks read.
    pub blocks: u64,
    /// Blocks that hold nothing of a commit: of writes that were never acknowledged.
    pub void: u64,
    /// Parts of blocks that are torn or not of this log.
    pub torn: u64,
    /// Records at the end that were written again, since their flush may have failed.
    pub rewritten: u64,
    /// Why they could not be, if they could not.
    pub not_rewritten: Option<LogError>,
    /// Where the log is damaged, if it is; what comes before is served.
    pub damage: Option<Damage>,
    /// The last tree head was not signed with the ledger's key.
    pub other_key: bool,
}

/// Reads blocks to the scanner in `scratch` until `until` says so; `false` where block `end` is reached,
/// or there is damage, before.
pub(crate) fn scan(
    disk: &mut impl Disk,
    scratch: &mut Scratch,
    end: u64,
    watch: &mut impl Watch,
    mut until: impl FnMut(&Scanner, Step) -> bool,
) -> Result<bool, DiskError> {
    let Scratch {
        scanner: Some(scanner),
        blocks,
    } = scratch
    else {
        return Ok(false);
    };
    while scanner.block() < end {
        let count = (end - scanner.block()).min(AT_A_TIME) as usize;
        let part = &mut blocks[..count * BLOCK];
        disk.read(scanner.block(), part)?;
        for block in part.as_chunks::<BLOCK>().0 {
            if scanner.feed(block, watch, &mut until) {
                return Ok(true);
            }
            if scanner.damage().is_some() {
                return Ok(false);
            }
        }
    }
    Ok(false)
}

/// Reads blocks 0 to `mark` of a log, and verifies the last signature. The scanner then has the
/// trees, and the result the last commit.
pub(crate) fn recover(
    disk: &mut impl Disk,
    scratch: &mut Scratch,
    (kind, log): (LogKind, LogId),
    mark: u64,
    key: &VerifyingKey,
    watch: &mut impl Watch,
) -> Result<(Recovered, Option<Commit>), DiskError> {
    scratch.scanner = Some(Scanner::new(kind, log));
    let mut found = Recovered::default();
    let mut last = None;
    // Blocks that hold something of a commit, and behind the last of them.
    let (mut in_commits, mut counted) = (0, 0);
    let mut boots = Boots::default();
    let both = &mut (&mut boots, &mut *watch);
    scan(disk, scratch, mark, both, |scanner, step| {
        found.blocks = scanner.block();
        match step {
            Step::Committed(commit) => {
                in_commits += commit.last_block + 1 - commit.first_block.max(counted);
                counted = commit.last_block + 1;
                found.commits += u64::from(!commit.supersedes);
                last = Some(commit);
            }
            Step::Skipped(Skipped::Orphan) | Step::Void | Step::Pending => {}
            Step::Skipped(_) => found.torn += 1,
            Step::Damaged(damage) => found.damage = Some(damage),
        }
        false
    })?;
    if let Some(commit) = last {
        show_again(disk, scratch, (kind, log), &commit, watch)?;
    }
    found.void = found.blocks - in_commits;
    found.records = last.map_or(0, |commit| commit.footer.tree_size.get());
    if kind == LogKind::Grants {
        found.boots = boots.before(found.records);
    }
    found.other_key = last.is_some_and(|commit| !commit.footer.is_signed(kind, log, key));
    Ok((found, last))
}

/// Shows the last commit once more where anything lies behind it: that may have been a copy of it, which
/// was shown too and does not count.
fn show_again(
    disk: &mut impl Disk,
    scratch: &mut Scratch,
    (kind, log): (LogKind, LogId),
    commit: &Commit,
    watch: &mut impl Watch,
) -> Result<(), DiskError> {
    let end = commit.last_block + 1;
    let Some(scanner) = scratch.scanner.take_if(|it| it.end() > end) else {
        return Ok(());
    };
    let base = scanner.base().clone();
    scratch.scanner = Some(Scanner::resume(kind, log, commit.first_block, base));
    scan(disk, scratch, end, watch, |_, _| false)?;
    scratch.scanner = Some(scanner);
    Ok(())
}

/// Counts the boots of a grant log on the way.
#[derive(Default)]
struct Boots {
    counted: u64,
    /// First record of the latest. What is shown at its place later is a boot's first record, too.
    latest: Option<u64>,
}

impl Boots {
    /// Boots that begin before a record.
    fn before(&self, record: u64) -> u64 {
        let is_there = self.latest.is_none_or(|latest| latest < record);
        self.counted - u64::from(!is_there)
    }
}

impl Watch for Boots {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        if self.latest.is_none_or(|latest| latest < index) && is_boot(bytes) {
            self.latest = Some(index);
            self.counted += 1;
        }
    }
}

/// Whether a record starts a boot. Few others need decoding to know.
fn is_boot(bytes: &[u8]) -> bool {
    const BOOT: u8 = Operation::Boot as u8;
    match bytes {
        // Version 1: number 0 in its boot, the boot's id, the time as a varint, the operation.
        [0, rest @ ..] => {
            let mut rest = rest.iter().skip(size_of::<BootId>());
            rest.find(|byte| **byte < 0x80).is_some() && rest.next() == Some(&BOOT)
        }
        _ if bytes.get(OPERATION) == Some(&BOOT) => {
            Record::decode(bytes).is_some_and(|record| record.operation == Operation::Boot)
        }
        _ => false,
    }
}
