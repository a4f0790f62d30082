//! What a check finds: where, what, and what to do.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::what::What;

/// Most findings that are kept: one cause can have many.
pub const FINDINGS_MAX: usize = 1000;

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
    /// How much it weighs.
    pub severity: Severity,
}

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing: what a cut or a failed write leaves, and the appliance passes over.
    Note,
    /// It could not be checked: what was, holds.
    Unchecked,
    /// The disk does not hold.
    Violation,
}

/// Whether something holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Verdict {
    /// It was checked, and holds.
    #[serde(rename = "holds")]
    Holds,
    /// What was checked holds, and something was not.
    #[serde(rename = "holds in part")]
    HoldsInPart,
    /// It does not hold.
    #[serde(rename = "does not hold")]
    DoesNotHold,
}

/// A part of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// The disk as a whole: its header, its marks.
    Disk,
    /// The grant log.
    Grants,
    /// The write-once ledger.
    Worm,
    /// The vault.
    Vault,
}

/// Where something was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// In which part of the disk.
    pub region: Region,
    /// Where in it.
    pub at: At,
}

/// A place in a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// All of it.
    Whole,
    /// A block, from the region's first.
    Block(u64),
    /// A record: its position in the log.
    Record(u64),
    /// A slot of the vault's index.
    Slot(u16),
    /// An object of the vault.
    Object {
        /// Its slot; `None` where it has none.
        slot: Option<u16>,
        /// Its name.
        digest: [u8; 32],
    },
    /// A chunk of an object.
    Chunk {
        /// The object's name.
        digest: [u8; 32],
        /// Which, from 0.
        chunk: u32,
        /// Its first block, from the region's first.
        block: u64,
    },
}

impl Place {
    pub(crate) const DISK: Self = Self::new(Region::Disk, At::Whole);
    pub(crate) const VAULT: Self = Self::new(Region::Vault, At::Whole);

    /// A place in a region.
    pub const fn new(region: Region, at: At) -> Self {
        Self { region, at }
    }

    pub(crate) const fn block(region: Region, number: u64) -> Self {
        Self::new(region, At::Block(number))
    }

    pub(crate) const fn slot(slot: u16) -> Self {
        Self::new(Region::Vault, At::Slot(slot))
    }
}

impl Region {
    /// All parts, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Disk, Self::Grants, Self::Worm, Self::Vault];

    /// Its name, as in `system.xml` and in the policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Grants => "grants",
            Self::Worm => "worm",
            Self::Vault => "vault",
        }
    }
}

impl Finding {
    /// Whether the disk does not hold because of it.
    pub fn is_violation(&self) -> bool {
        self.severity == Severity::Violation
    }
}

/// What was found so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Findings {
    /// Those that are kept: the gravest [`FINDINGS_MAX`], and of equals the first.
    pub list: Vec<Finding>,
    /// How many were not kept.
    pub more: u64,
    /// What the gravest of them all weighs, kept or not, in each part of the disk.
    gravest: BTreeMap<Region, Severity>,
    /// Where the list is full: nothing in it weighs less.
    lightest: Option<Severity>,
}

impl Findings {
    /// Adds what does not hold.
    pub fn violation(&mut self, place: Place, what: What) {
        self.keep(place, what, Severity::Violation);
    }

    /// Adds what is worth knowing.
    pub fn note(&mut self, place: Place, what: What) {
        self.keep(place, what, Severity::Note);
    }

    /// Adds what could not be checked.
    pub fn unchecked(&mut self, place: Place, what: What) {
        self.keep(place, what, Severity::Unchecked);
    }

    /// Adds those of another part.
    pub fn extend(&mut self, other: Self) {
        for finding in other.list {
            self.keep(finding.place, finding.what, finding.severity);
        }
        self.more += other.more;
        for (region, severity) in other.gravest {
            self.weigh(region, severity);
        }
    }

    /// What the gravest of a part of the disk weighs, kept or not.
    pub fn gravest_of(&self, region: Region) -> Option<Severity> {
        self.gravest.get(&region).copied()
    }

    /// What follows from all of them.
    pub fn verdict(&self) -> Verdict {
        match self.gravest.values().max() {
            Some(Severity::Violation) => Verdict::DoesNotHold,
            Some(Severity::Unchecked) => Verdict::HoldsInPart,
            Some(Severity::Note) | None => Verdict::Holds,
        }
    }

    /// What looked like the trace of a cut, in the findings from number `first` on, is the cause of
    /// something that no cut leaves.
    pub(crate) fn convict(&mut self, first: usize) {
        for finding in self.list.iter_mut().skip(first) {
            finding.severity = Severity::Violation;
            self.gravest
                .insert(finding.place.region, Severity::Violation);
        }
    }

    fn weigh(&mut self, region: Region, severity: Severity) {
        let gravest = self.gravest.entry(region).or_insert(severity);
        *gravest = severity.max(*gravest);
    }

    fn keep(&mut self, place: Place, what: What, severity: Severity) {
        self.weigh(place.region, severity);
        let finding = Finding {
            place,
            what,
            severity,
        };
        if self.list.len() < FINDINGS_MAX {
            return self.list.push(finding);
        }
        self.more += 1;
        if self.lightest >= Some(severity) {
            return;
        }
        // Nothing that is kept gets lighter, so that this is looked for seldom.
        self.lightest = self.list.iter().map(|it| it.severity).min();
        let lightest = self.lightest.filter(|lightest| *lightest < severity);
        let kept = lightest.and_then(|it| self.list.iter_mut().rfind(|kept| kept.severity == it));
        if let Some(kept) = kept {
            *kept = finding;
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.region.name())?;
        match &self.at {
            At::Whole => Ok(()),
            At::Block(number) => write!(f, ", block {number}"),
            At::Record(index) => write!(f, ", record {index}"),
            At::Slot(slot) => write!(f, ", slot {slot}"),
            At::Object { digest, .. } => write!(f, ", object {}", Short(digest)),
            At::Chunk { digest, chunk, .. } => {
                write!(f, ", object {}, chunk {chunk}", Short(digest))
            }
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Finding", 5)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("rule", self.what.rule())?;
        out.serialize_field("place", &self.place)?;
        out.serialize_field("what", &self.what.to_string())?;
        out.serialize_field("help", self.what.help())?;
        out.end()
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("region", &self.region)?;
        match &self.at {
            At::Whole => {}
            At::Block(number) => out.serialize_entry("block", number)?,
            At::Record(index) => out.serialize_entry("record", index)?,
            At::Slot(slot) => out.serialize_entry("slot", slot)?,
            At::Object { slot, digest } => {
                out.serialize_entry("slot", slot)?;
                out.serialize_entry("object", &Hex(digest).to_string())?;
            }
            At::Chunk {
                digest,
                chunk,
                block,
            } => {
                out.serialize_entry("object", &Hex(digest).to_string())?;
                out.serialize_entry("chunk", chunk)?;
                out.serialize_entry("block", block)?;
            }
        }
        out.end()
    }
}

/// Shows bytes in hexadecimal.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Shows the first bytes of a digest: enough to tell objects apart.
struct Short<'a>(&'a [u8; 32]);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0[..8]).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What decides is what was found, not what is listed.
    #[test]
    fn a_graver_finding_takes_the_place_of_a_lighter_one() {
        let mut findings = Findings::default();
        let note = |findings: &mut Findings| {
            findings.note(Place::block(Region::Grants, 0), What::Orphan);
        };
        for _ in 0..=FINDINGS_MAX {
            note(&mut findings);
        }
        assert_eq!((findings.list.len(), findings.more), (FINDINGS_MAX, 1));
        assert_eq!(findings.verdict(), Verdict::Holds);
        findings.unchecked(Place::new(Region::Worm, At::Whole), What::NoKey);
        assert_eq!(findings.verdict(), Verdict::HoldsInPart);
        let mut others = Findings::default();
        (0..=FINDINGS_MAX).for_each(|_| note(&mut others));
        others.violation(Place::VAULT, What::Seals);
        findings.extend(others);
        assert_eq!(findings.verdict(), Verdict::DoesNotHold);
        let kept = |rule| findings.list.iter().any(|it| it.what.rule() == rule);
        assert!(kept("no-key") && kept("seals"));
        let count = findings.list.len() as u64 + findings.more;
        assert_eq!(count, 2 * (FINDINGS_MAX as u64 + 1) + 2);
        let of = |region| findings.gravest_of(region);
        assert_eq!(of(Region::Grants), Some(Severity::Note));
        assert_eq!(of(Region::Vault), Some(Severity::Violation));
        assert_eq!(of(Region::Disk), None);
    }
}
