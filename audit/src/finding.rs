//! What an audit finds, and where.

use std::fmt;

use portcullis_log::BootId;
use portcullis_log::block::BlockFault;
use serde::{Serialize, Serializer};

/// One thing that an audit found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
    /// Whether it can be the trace of a power cut, which is no violation.
    pub severity: Severity,
}

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing: what a cut or a failed write leaves, or what could not be checked.
    Note,
    /// The log does not hold.
    Violation,
}

/// Where something was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The log as a whole.
    Log,
    /// A block of the log's region.
    Block(u64),
    /// A record: its position in the log (leaf index).
    Record(u64),
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A block is torn, changed or was never a block.
    Unsound(BlockFault),
    /// A block of another log.
    Foreign,
    /// A block that belongs elsewhere in the log.
    Misplaced {
        /// Where it says it belongs.
        number: u64,
    },
    /// A block that continues a commit of which the blocks before it are missing.
    Orphan,
    /// Blocks of a commit that has no end.
    Unfinished {
        /// How many.
        blocks: u64,
    },
    /// A commit chains to a block that is missing or changed: records are gone or not as they were.
    Chain,
    /// A commit is torn: a part of it was never written.
    Torn,
    /// The root of a commit is not that of its records, and no cut leaves it so.
    Root,
    /// The signature of a commit's checkpoint does not verify.
    Signature,
    /// Blocks that follow damage: not read.
    Unread {
        /// How many hold something.
        blocks: u64,
    },
    /// A commit that failed was written again, with more records.
    Superseded {
        /// Records in the log with the failed commit.
        size: u64,
    },
    /// A commit took the place of another that held different records.
    Fork {
        /// Records in the log with the commit that was replaced.
        size: u64,
    },
    /// The log has fewer records than a checkpoint that it signed.
    Truncated {
        /// Records in the checkpoint.
        expected: u64,
        /// Records in the log.
        found: u64,
    },
    /// A checkpoint has another root for as many records: history was changed.
    Rewritten {
        /// Records in the checkpoint.
        size: u64,
    },
    /// The disk is shorter than its header says.
    ShortDisk {
        /// Blocks that are missing.
        blocks: u64,
    },
    /// The bytes are not a record.
    NotARecord,
    /// The first record of a boot is not `boot`, or has not sequence number 0.
    NoBoot {
        /// The boot.
        boot: BootId,
    },
    /// A boot that ended goes on, or a boot starts twice.
    BootAgain {
        /// The boot.
        boot: BootId,
    },
    /// A record's sequence number is not the one after the last.
    Sequence {
        /// The number it should have.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// A record's time is before that of the record before it.
    Time {
        /// Nanoseconds of the record before.
        before: u64,
        /// Nanoseconds of this one.
        found: u64,
    },
    /// The record contradicts the grants in force.
    Replay(String),
    /// The record is not what the policy allows.
    Policy(String),
    /// The policy of a boot is not at hand: its grants are not held against it.
    PolicyUnknown {
        /// SHA-256 of its body.
        sha256: [u8; 32],
    },
}

impl Finding {
    pub(crate) const fn violation(place: Place, what: What) -> Self {
        Self {
            place,
            what,
            severity: Severity::Violation,
        }
    }

    pub(crate) const fn note(place: Place, what: What) -> Self {
        Self {
            place,
            what,
            severity: Severity::Note,
        }
    }

    /// Whether the log does not hold because of it.
    pub fn is_violation(&self) -> bool {
        self.severity == Severity::Violation
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("log"),
            Self::Block(number) => write!(f, "block {number}"),
            Self::Record(index) => write!(f, "record {index}"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsound(fault) => fault.fmt(f),
            Self::Foreign => f.write_str("the block belongs to another log"),
            Self::Misplaced { number } => write!(f, "the block belongs at block {number}"),
            Self::Orphan => f.write_str("the block continues a commit whose beginning is missing"),
            Self::Unfinished { blocks } => {
                write!(f, "a commit of {blocks} blocks or more was never finished")
            }
            Self::Chain => f.write_str(
                "the commit chains to a block that is missing or changed: records are gone or not \
                 as they were",
            ),
            Self::Torn => {
                f.write_str("the commit is torn: its records are not those that its root is of")
            }
            Self::Root => f.write_str("the commit's signed root is not that of its records"),
            Self::Signature => f.write_str("the signature of the commit's checkpoint is wrong"),
            Self::Unread { blocks } => {
                write!(
                    f,
                    "{blocks} blocks from here on cannot be held against what comes before"
                )
            }
            Self::Superseded { size } => write!(
                f,
                "a commit up to {size} records failed and was written again with the same records"
            ),
            Self::Fork { size } => write!(
                f,
                "a commit up to {size} records was replaced by one that holds other records"
            ),
            Self::Truncated { expected, found } => write!(
                f,
                "the log has {found} records, and a checkpoint that it signed has {expected}"
            ),
            Self::Rewritten { size } => write!(
                f,
                "the first {size} records are not those of a checkpoint that the log signed"
            ),
            Self::ShortDisk { blocks } => {
                write!(
                    f,
                    "the disk is {blocks} blocks shorter than its header says"
                )
            }
            Self::NotARecord => f.write_str("the bytes are not a record"),
            Self::NoBoot { boot } => {
                write!(
                    f,
                    "boot {} does not start with a boot record, number 0",
                    Id(boot)
                )
            }
            Self::BootAgain { boot } => {
                write!(f, "boot {} was over, or had started already", Id(boot))
            }
            Self::Sequence { expected, found } => {
                write!(f, "the sequence number is {found} and should be {expected}")
            }
            Self::Time { before, found } => {
                write!(
                    f,
                    "the time is {found} ns, and the record before has {before} ns"
                )
            }
            Self::Replay(text) | Self::Policy(text) => f.write_str(text),
            Self::PolicyUnknown { sha256 } => write!(
                f,
                "the policy {} is not at hand: its grants are not held against it",
                Hex(&sha256[..8])
            ),
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut finding = serializer.serialize_struct("Finding", 3)?;
        finding.serialize_field("severity", &self.severity)?;
        finding.serialize_field("place", &self.place)?;
        finding.serialize_field("what", &self.what.to_string())?;
        finding.end()
    }
}

/// Shows a boot id as people write it: its first eight hexadecimal digits tell boots apart.
struct Id<'a>(&'a BootId);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0.0[..4]).fmt(f)
    }
}

/// Shows bytes in hexadecimal.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
