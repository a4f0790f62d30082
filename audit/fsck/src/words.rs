//! Every kind of finding, in words.

use std::fmt;

use crate::finding::Hex;
use crate::what::What;

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADisk => f.write_str("this is not a Portcullis disk"),
            Self::Unreadable(error) => write!(f, "the block cannot be read: {error}"),
            Self::ShortDisk { blocks } => {
                write!(
                    f,
                    "the disk is {blocks} blocks shorter than its header says"
                )
            }
            Self::LongDisk { bytes } => {
                write!(f, "{bytes} bytes follow the end that the header says")
            }
            Self::NotZero => f.write_str("bytes that nobody writes are not zero"),
            Self::Header(fault) => write!(f, "a copy of the header: {fault}"),
            Self::HeadersDiffer => f.write_str("the copies of the header say different things"),
            Self::Marks(fault) => write!(f, "the marks: {fault}"),
            Self::MarksApart { first, second } => {
                write!(f, "marks {first} and {second} do not follow one another")
            }
            Self::FlushedGone { flushed, end } => {
                write!(
                    f,
                    "{flushed} blocks were flushed, and the log ends at {end}"
                )
            }
            Self::BehindMark { mark, end } => {
                write!(
                    f,
                    "the marks count {mark} blocks, and the last ends at {end}"
                )
            }
            Self::BeyondMark { mark, end } => {
                write!(
                    f,
                    "the marks count {mark} blocks, and there are some up to {end}"
                )
            }
            Self::Block(fault) => fault.fmt(f),
            Self::Foreign => f.write_str("the block belongs to another log"),
            Self::Misplaced { number } => write!(f, "the block belongs at block {number}"),
            Self::Orphan => f.write_str("the block continues a commit whose beginning is missing"),
            Self::Unfinished { blocks } => {
                write!(f, "the commit ends after {blocks} blocks without its end")
            }
            Self::Chain => f.write_str("the commit goes on from records that are not there"),
            Self::Torn => f.write_str("the commit is torn: not all of it was written"),
            Self::Root => f.write_str("the commit's root is not that of the records"),
            Self::Signature => f.write_str("the commit's signature is wrong"),
            Self::RetiredKey { key, newer } => {
                write!(
                    f,
                    "{key} signed the commit after {newer} had taken its place"
                )
            }
            Self::Unread { blocks } => {
                write!(
                    f,
                    "{blocks} blocks from here on cannot be held against anything"
                )
            }
            Self::Superseded { size } => {
                write!(
                    f,
                    "the commit up to {size} records was written again, with more"
                )
            }
            Self::Fork { size } => {
                write!(
                    f,
                    "the commit up to {size} records gave way to one with others"
                )
            }
            Self::WentBack { size, found } => {
                write!(
                    f,
                    "the commit up to {size} records gave way to one that ends after {found} of them"
                )
            }
            Self::NearlyFull { used, blocks } => {
                write!(f, "{used} of {blocks} blocks are in use")
            }
            Self::NoKey => f.write_str("no key is at hand: its signatures were not checked"),
            Self::NoCheckpoint => f.write_str(
                "no checkpoint is kept here: nobody can tell whether the log was cut back to an earlier commit",
            ),
            Self::Unvouched => f.write_str("the log is empty, and nobody vouches for that"),
            Self::Checkpoint { checkpoint, why } => write!(f, "{checkpoint}: {why}"),
            Self::Truncated {
                checkpoint,
                expected,
                found,
            } => {
                write!(
                    f,
                    "the log has {found} records, and {checkpoint} was signed for {expected}"
                )
            }
            Self::Rewritten { checkpoint, size } => {
                write!(f, "the first {size} records are not those of {checkpoint}")
            }
            Self::NotARecord => f.write_str("the bytes are no record"),
            Self::UnknownRecord => f.write_str(
                "the record is of a kind that this version does not know, and the grants of the rest of \
                 its boot are not checked",
            ),
            Self::UnknownEntry { version, kind } => write!(
                f,
                "the entry has version {version} and kind {kind}, of which this build knows nothing"
            ),
            Self::EntryLength { length } => write!(f, "no entry has {length} bytes"),
            Self::NoBoot => f.write_str("the boot does not begin with record 0, a boot's"),
            Self::BootAgain => f.write_str("the boot was over, or had begun already"),
            Self::Sequence { expected, found } => {
                write!(f, "the record has number {found}, not {expected}")
            }
            Self::Time {
                clock,
                before,
                found,
            } => write!(f, "the time, {clock}, is {found} ns, after one of {before} ns"),
            Self::Grant(text) | Self::Policy(text) => f.write_str(text),
            Self::LeftBehind { origin, size, root } => write!(
                f,
                "a history of {size} records of {origin}, root {}, was left behind here on purpose",
                Hex(&root[..8])
            ),
            Self::PolicyMissing { sha256 } => write!(
                f,
                "policy {} not found: its grants were not checked",
                Hex(&sha256[..8])
            ),
            Self::Superblock(fault) => write!(f, "a copy of the superblock: {fault}"),
            Self::SuperblocksDiffer => {
                f.write_str("the copies of the superblock say different things")
            }
            Self::NoSuperblock => f.write_str("there is an index, and no superblock"),
            Self::OneSuperblock => f.write_str("the second superblock was not written yet"),
            Self::Entry => f.write_str("the index entry does not open: its object is lost"),
            Self::EntryField(field) => write!(f, "the index entry's {field} cannot be"),
            Self::Nonce => f.write_str("the nonce is not that of the content"),
            Self::SameNumber { other } => write!(f, "slot {other} has the same number"),
            Self::SameObject { other } => write!(f, "slot {other} has the same object"),
            Self::Shared { other } => write!(f, "blocks of it are those of slot {other}, too"),
            Self::Outside => f.write_str("blocks of it do not lie in the vault"),
            Self::IndexChanged => {
                f.write_str("the index is not as the vault left it: entries are gone, or old")
            }
            Self::ChangedBefore { times } => {
                write!(
                    f,
                    "{times} times before, the index was not as the vault left it"
                )
            }
            Self::LedgerOlder { seen, found } => {
                write!(
                    f,
                    "the vault has seen {seen} entries of the ledger, which has {found}"
                )
            }
            Self::References { expected, found } => {
                write!(f, "{found} references, and the ledger says {expected}")
            }
            Self::OtherThanLedger(field) => write!(f, "its {field} is not what the ledger says"),
            Self::Missing { entry } => {
                write!(
                    f,
                    "entry {entry} of the ledger names it, and it is not there"
                )
            }
            Self::NotFollowed { entry } => {
                write!(
                    f,
                    "the vault has not followed entry {entry} of the ledger yet"
                )
            }
            Self::NotRemoved { expected, found } => {
                write!(
                    f,
                    "{found} references, and with its removals the ledger says {expected}"
                )
            }
            Self::NotRecorded => f.write_str("no entry of the ledger names it"),
            Self::Seals => f.write_str("the seals of its chunks are not what was written"),
            Self::Chunk => f.write_str("the chunk is not what was written"),
            Self::Padding => f.write_str("what fills its last block is not zero"),
            Self::Digest { found } => {
                write!(
                    f,
                    "its content is {}, not what its name says",
                    Hex(&found[..8])
                )
            }
        }
    }
}
