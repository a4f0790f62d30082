//! Every kind of finding: its rule, and what to do.

use crate::fault::{BlockFault, HeaderFault, MarkFault, SuperblockFault};

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// No header at either end: another disk, or none.
    NotADisk,
    /// A block cannot be read: what the device said.
    Unreadable(String),
    /// The disk ends before its header says.
    ShortDisk {
        /// Blocks that are missing.
        blocks: u64,
    },
    /// The disk goes on after its header says that it ends.
    LongDisk {
        /// Bytes that are not checked.
        bytes: u64,
    },
    /// Bytes that nobody writes are not zero.
    NotZero,
    /// A copy of the header cannot be used.
    Header(HeaderFault),
    /// The copies of the header say different things.
    HeadersDiffer,
    /// A block of marks cannot be used.
    Marks(MarkFault),
    /// The two blocks of marks do not follow one another: one in between went elsewhere.
    MarksApart {
        /// Sequence number of those in block 1.
        first: u64,
        /// Sequence number of those in block 2.
        second: u64,
    },
    /// The last block that was surely flushed is of no commit.
    FlushedGone {
        /// Blocks that were flushed.
        flushed: u64,
        /// Where the last block ends that is of one.
        end: u64,
    },
    /// The marks count blocks at the end that hold nothing.
    BehindMark {
        /// Where the next block goes, as the marks say.
        mark: u64,
        /// Where the last block ends that holds something.
        end: u64,
    },
    /// Blocks that the marks do not count hold something.
    BeyondMark {
        /// Where the next block goes, as the marks say.
        mark: u64,
        /// Where the last block ends that holds something.
        end: u64,
    },
    /// Four fifths of a log's region are in use, or more.
    NearlyFull {
        /// Blocks in use.
        used: u64,
        /// Blocks of the region.
        blocks: u64,
    },

    /// Not a block of a log.
    Block(BlockFault),
    /// A block of another log.
    Foreign,
    /// A block that belongs elsewhere in the log.
    Misplaced {
        /// Where it says that it belongs.
        number: u64,
    },
    /// A block that continues a commit of which the blocks before are missing.
    Orphan,
    /// A commit without its end.
    Unfinished {
        /// Blocks that are there.
        blocks: u64,
    },
    /// A commit goes on from what is not there.
    Chain,
    /// A commit of which a part was never written.
    Torn,
    /// A commit's root is not that of the records.
    Root,
    /// A commit's signature is wrong.
    Signature,
    /// A key signed a commit after another had taken its place.
    RetiredKey {
        /// The key.
        key: String,
        /// The one that had taken its place.
        newer: String,
    },
    /// Blocks after damage.
    Unread {
        /// How many hold something.
        blocks: u64,
    },
    /// A commit was written again, with more records.
    Superseded {
        /// Records up to the end of the first.
        size: u64,
    },
    /// A commit took the place of one with other records.
    Fork {
        /// Records up to the end of the one that was replaced.
        size: u64,
    },
    /// A commit took the place of one with the same records and more.
    WentBack {
        /// Records up to the end of the one that was replaced.
        size: u64,
        /// Records up to the end of the one that took its place.
        found: u64,
    },
    /// A checkpoint beside the log vouches for nothing.
    Checkpoint {
        /// Which.
        checkpoint: String,
        /// Why not.
        why: String,
    },
    /// No key is at hand: no signature was checked.
    NoKey,
    /// No checkpoint is at hand: nobody can tell whether the end is gone.
    NoCheckpoint,
    /// The log is empty, and nobody vouches for that.
    Unvouched,
    /// The log is shorter than a checkpoint that it signed.
    Truncated {
        /// Which checkpoint.
        checkpoint: String,
        /// Records of the checkpoint.
        expected: u64,
        /// Records of the log.
        found: u64,
    },
    /// The log is another than the one that a checkpoint was signed for.
    Rewritten {
        /// Which checkpoint.
        checkpoint: String,
        /// Records of the checkpoint.
        size: u64,
    },

    /// Bytes that are no record of the grant log.
    NotARecord,
    /// A record of a kind, or of a version, that came later than this code.
    UnknownRecord,
    /// An entry of the ledger is empty, or longer than any.
    EntryLength {
        /// Its bytes.
        length: usize,
    },
    /// An entry of a kind, or of a version, that came later than this code.
    UnknownEntry {
        /// Its version.
        version: u8,
        /// Number of its kind.
        kind: u8,
    },
    /// A boot that does not begin with record 0, of what was loaded.
    NoBoot,
    /// A boot that was over, or had begun already.
    BootAgain,
    /// A record's number is not the one after the last.
    Sequence {
        /// The one it should have.
        expected: u64,
        /// The one it has.
        found: u64,
    },
    /// A record's time is before that of the records before it.
    Time {
        /// By which clock.
        clock: &'static str,
        /// Nanoseconds of the records before.
        before: u64,
        /// Nanoseconds of this one; 0: it has no time of this clock.
        found: u64,
    },

    /// The record contradicts the grants in force.
    Grant(String),
    /// The record is not what the policy allows.
    Policy(String),
    /// The policy of a boot was not found: its grants are not held against it.
    PolicyMissing {
        /// SHA-256 of its body.
        sha256: [u8; 32],
    },
    /// An earlier history of a log was left behind here, on purpose.
    LeftBehind {
        /// The log's origin.
        origin: String,
        /// Records that its last checkpoint vouches for.
        size: u64,
        /// Their root.
        root: [u8; 32],
    },

    /// A copy of the superblock cannot be used.
    Superblock(SuperblockFault),
    /// The copies of the superblock say different things.
    SuperblocksDiffer,
    /// There is no superblock, and there is something behind its place.
    NoSuperblock,
    /// The second superblock was not written yet.
    OneSuperblock,
    /// An index entry does not open: what it named is lost.
    Entry,
    /// An index entry opens, and has a field that the vault never writes.
    EntryField(&'static str),
    /// A nonce is not the one that the content gives.
    Nonce,
    /// Two entries, or two objects, have the same number.
    SameNumber {
        /// Slot of the other.
        other: u16,
    },
    /// Two entries are of the same object.
    SameObject {
        /// Slot of the other.
        other: u16,
    },
    /// Some blocks of an object are another's too.
    Shared {
        /// Slot of the other.
        other: u16,
    },
    /// Some blocks of an object do not lie in the vault.
    Outside,
    /// Entries are gone, or older than they should be.
    IndexChanged,
    /// The same was found before.
    ChangedBefore {
        /// How often.
        times: u32,
    },
    /// The vault has seen more of the ledger than there is.
    LedgerOlder {
        /// Entries that it has seen.
        seen: u64,
        /// Entries that there are.
        found: u64,
    },
    /// An object has fewer references than the ledger says.
    References {
        /// How many the ledger says.
        expected: u32,
        /// How many it has.
        found: u32,
    },
    /// What the vault says of an object is not what the ledger says.
    OtherThanLedger(&'static str),
    /// The ledger names an object, and the vault has none.
    Missing {
        /// The ledger's entry.
        entry: u64,
    },
    /// The ledger says more of an object than the vault has followed.
    NotFollowed {
        /// The ledger's first entry that it has not.
        entry: u64,
    },
    /// The ledger removes an object, and the vault has it.
    NotRemoved {
        /// References that the ledger leaves it.
        expected: u32,
        /// How many it has.
        found: u32,
    },
    /// The vault has an object that the ledger does not name.
    NotRecorded,
    /// The seals of an object's chunks are not what was written.
    Seals,
    /// A chunk is not what was written.
    Chunk,
    /// What fills the last block of an object is not zero.
    Padding,
    /// The content is not that of the name.
    Digest {
        /// SHA-256 of the content.
        found: [u8; 32],
    },
}

const RESTORE: &str = "restore the disk from a copy; what comes before can still be read";
const OLDER: &str = "the end of the log is gone: restore a copy of the disk that has it; what an appliance signs \
     after this one is a second history, and only `portcullis run --new-history` says so";
const WRITER: &str = "no cut leaves this: find out who wrote to the disk, and restore it";
const PASSED_OVER: &str = "nothing: a cut leaves this, and the appliance passes over it";
const START: &str = "start the appliance: it puts this right by itself";
const PUT: &str = "put the document in again: the vault then writes it anew";
const BUG: &str = "report it: the disk is what its writer wrote, and its writer was wrong";

impl What {
    /// A stable name for the kind of finding, for programs.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NotADisk => "not-a-disk",
            Self::Unreadable(_) => "unreadable",
            Self::ShortDisk { .. } => "short-disk",
            Self::LongDisk { .. } => "long-disk",
            Self::NotZero => "not-zero",
            Self::Header(_) => "header",
            Self::HeadersDiffer => "headers-differ",
            Self::Marks(_) => "marks",
            Self::MarksApart { .. } => "marks-apart",
            Self::FlushedGone { .. } => "flushed-gone",
            Self::BehindMark { .. } => "behind-mark",
            Self::BeyondMark { .. } => "beyond-mark",
            Self::NearlyFull { .. } => "nearly-full",
            Self::Block(_) => "block",
            Self::Foreign => "foreign",
            Self::Misplaced { .. } => "misplaced",
            Self::Orphan => "orphan",
            Self::Unfinished { .. } => "unfinished",
            Self::Chain => "chain",
            Self::Torn => "torn",
            Self::Root => "root",
            Self::Signature => "signature",
            Self::RetiredKey { .. } => "retired-key",
            Self::Unread { .. } => "unread",
            Self::Superseded { .. } => "superseded",
            Self::Fork { .. } => "fork",
            Self::WentBack { .. } => "went-back",
            Self::Checkpoint { .. } => "checkpoint",
            Self::NoKey => "no-key",
            Self::NoCheckpoint => "no-checkpoint",
            Self::Unvouched => "unvouched",
            Self::Truncated { .. } => "truncated",
            Self::Rewritten { .. } => "rewritten",
            Self::NotARecord => "not-a-record",
            Self::UnknownRecord => "unknown-record",
            Self::EntryLength { .. } => "entry-length",
            Self::UnknownEntry { .. } => "unknown-entry",
            Self::NoBoot => "no-boot",
            Self::BootAgain => "boot-again",
            Self::Sequence { .. } => "sequence",
            Self::Time { .. } => "time",
            Self::Grant(_) => "grant",
            Self::Policy(_) => "policy",
            Self::PolicyMissing { .. } => "policy-missing",
            Self::LeftBehind { .. } => "left-behind",
            Self::Superblock(_) => "superblock",
            Self::SuperblocksDiffer => "superblocks-differ",
            Self::NoSuperblock => "no-superblock",
            Self::OneSuperblock => "one-superblock",
            Self::Entry => "entry",
            Self::EntryField(_) => "entry-field",
            Self::Nonce => "nonce",
            Self::SameNumber { .. } => "same-number",
            Self::SameObject { .. } => "same-object",
            Self::Shared { .. } => "shared",
            Self::Outside => "outside",
            Self::IndexChanged => "index-changed",
            Self::ChangedBefore { .. } => "changed-before",
            Self::LedgerOlder { .. } => "ledger-older",
            Self::References { .. } => "references",
            Self::OtherThanLedger(_) => "other-than-ledger",
            Self::Missing { .. } => "missing",
            Self::NotFollowed { .. } => "not-followed",
            Self::NotRemoved { .. } => "not-removed",
            Self::NotRecorded => "not-recorded",
            Self::Seals => "seals",
            Self::Chunk => "chunk",
            Self::Padding => "padding",
            Self::Digest { .. } => "digest",
        }
    }

    /// What to do.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::NotADisk => "name the image of an appliance's disk",
            Self::Unreadable(_) => "copy what can be read to another disk, and check that",
            Self::ShortDisk { .. } => "get the whole image: it was cut off",
            Self::LongDisk { .. } => {
                "nothing, if you made the file larger; else cut it to its size"
            }
            Self::Header(HeaderFault::Version(_))
            | Self::Marks(MarkFault::Version(_))
            | Self::Block(BlockFault::Format(_))
            | Self::Superblock(SuperblockFault::Version(_)) => {
                "use the release of Portcullis that wrote this disk"
            }
            Self::Header(_) => "copy the block from the other copy of the header, byte by byte",
            Self::Marks(_) | Self::MarksApart { .. } => {
                "start the appliance: it finds the ends of the logs by reading, and writes marks anew"
            }
            Self::Superblock(SuperblockFault::Key) => "name the key that this vault was made with",
            Self::BehindMark { .. } | Self::BeyondMark { .. } | Self::NotFollowed { .. } => START,
            Self::Superblock(_) | Self::OneSuperblock => START,
            Self::NearlyFull { .. } => {
                "go on with a new disk before it is full, and keep this one: then no grant is issued, or no entry taken"
            }
            Self::Foreign | Self::Misplaced { .. } | Self::Orphan => PASSED_OVER,
            Self::Unfinished { .. } | Self::Torn | Self::Superseded { .. } => PASSED_OVER,
            Self::Block(_) | Self::Chain | Self::Root | Self::Unread { .. } => RESTORE,
            Self::FlushedGone { .. } => RESTORE,
            Self::Truncated { .. } | Self::LedgerOlder { .. } => OLDER,
            Self::NotZero | Self::HeadersDiffer | Self::Rewritten { .. } => WRITER,
            Self::NoSuperblock | Self::SuperblocksDiffer => WRITER,
            Self::Signature => {
                "check that the key is this disk's; if it is, somebody forged the log"
            }
            Self::Checkpoint { .. } => {
                "put back the copy that was signed; where another key signed it, name that with --key"
            }
            Self::RetiredKey { .. } => {
                "name the log's keys oldest first; if they are, find out who has the older one"
            }
            Self::NoKey => "name a file of the log's keys with --key",
            Self::NoCheckpoint => {
                "name one that was kept elsewhere, with --checkpoint; a run that was cut short keeps none, and \
                 `portcullis log verify --keep` does"
            }
            Self::Unvouched => {
                "name a checkpoint of the log; only a log that never had a record needs none"
            }
            Self::Policy(_) => "find out what the manager was given: it issued what it may not",
            Self::PolicyMissing { .. } => {
                "name the compiled policy, or a folder of them, with --policies"
            }
            Self::LeftBehind { .. } => {
                "ask who ran it why; what was left behind is in left/ of the state directory"
            }
            Self::UnknownRecord | Self::UnknownEntry { .. } => {
                "check the log with a later version of portcullis"
            }
            Self::Fork { .. } => "ask who holds the ledger's key: it signed two histories",
            Self::WentBack { .. } => {
                "find out who wrote to the disk: no ledger takes records back that it signed; restore a copy \
                 of the disk that has them"
            }
            Self::NotARecord
            | Self::EntryLength { .. }
            | Self::NoBoot
            | Self::BootAgain
            | Self::Sequence { .. }
            | Self::Time { .. }
            | Self::Grant(_)
            | Self::EntryField(_)
            | Self::Nonce
            | Self::SameNumber { .. }
            | Self::SameObject { .. }
            | Self::Shared { .. }
            | Self::Outside
            | Self::Padding
            | Self::References { .. }
            | Self::OtherThanLedger(_)
            | Self::Digest { .. } => BUG,
            Self::Entry | Self::IndexChanged => {
                "start the appliance: it names the objects that are missing; put those in again"
            }
            Self::ChangedBefore { .. } => {
                "see the console's log of that start for what was missing"
            }
            Self::Missing { .. } | Self::Seals | Self::Chunk => PUT,
            Self::NotRemoved { .. } => "ask whoever may remove to do it again: a cut came between",
            Self::NotRecorded => {
                "put the document in again, so that the ledger names it: a cut came between"
            }
        }
    }
}
