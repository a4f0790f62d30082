//! Checks a whole disk with the appliance off, apart from everything that writes it.
//!
//! Shares with driver, ledger and vault the wire types (layouts, constants, the encodings of records
//! and of documents' entries) and nothing else: no parser, no tree, no cipher set-up of theirs, nor of
//! the audit's. What they do wrong together is found here, or nowhere.
//!
//! | part | what is checked |
//! |---|---|
//! | disk | header and copy, regions, marks, and the marks against what the logs hold |
//! | both logs | each block's format; the tree, from its leaves; that each commit goes on from the last; each signature; checkpoints kept elsewhere; what lies behind the end |
//! | grant log | that records are such, in boots, numbered without gaps, in the order of time |
//! | vault | superblocks; that entries open, fit together, and vouch for each other; that each block is of one object at most; references, names and releases against the ledger; that each chunk opens and the content has the name's digest |
//!
//! [`read_log`] is all that reads a log on a host: `portcullis log` replays what it hands on.
//!
//! What it does not judge: whether the policy allowed each grant (`portcullis log verify` does).
//!
//! ```no_run
//! use portcullis_fsck::{Keys, check};
//! # fn main() -> std::io::Result<()> {
//! # let (ledger, vault) = (ed25519_dalek::SigningKey::from_bytes(&[1; 32]), [2; 32]);
//! let mut disk = std::fs::File::open("disk.img")?;
//! let report = check(&mut disk, &Keys::new(ledger.verifying_key(), vault));
//! assert!(report.holds(), "{:#?}", report.findings);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod block;
mod boots;
mod content;
mod disk;
mod fault;
mod finding;
mod index;
mod keys;
mod ledger;
mod log;
pub mod record;
mod tree;
mod what;
mod words;

use std::io::{Read, Seek};

use portcullis_log::block::LogKind;
use serde::Serialize;

use crate::content::Contents;
use crate::disk::{Extent, Header, Image};
use crate::index::{Division, Index};
use crate::keys::VaultKeys;
use crate::ledger::Documents;

pub use boots::Boots;
pub use disk::disk_id;
pub use fault::{BlockFault, HeaderFault, MarkFault, SuperblockFault};
pub use finding::{At, FINDINGS_MAX, Finding, Findings, Hex, Place, Region, Severity, Verdict};
pub use keys::{Checkpoint, Keys, LogKey};
pub use ledger::Entries;
pub use log::{HeldAgainst, LogSummary, Records, SignedBy, Sink, Which, read_blocks, read_log};
pub use what::What;

/// What was found out about a disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    holds: bool,
    verdict: Verdict,
    /// What there is.
    pub summary: Summary,
    /// What is wrong or worth knowing: disk, vault, grant log, ledger.
    pub findings: Vec<Finding>,
    /// Findings beyond the [`FINDINGS_MAX`] that are listed.
    pub more_findings: u64,
    #[serde(skip)]
    gravest: [Option<Severity>; Region::ALL.len()],
}

/// What there is on a disk, as far as it could be read.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Summary {
    /// The disk's id, in hexadecimal; `None`: it has no header, and nothing else was read.
    pub id: Option<String>,
    /// Blocks of the disk.
    pub blocks: u64,
    /// The grant log.
    pub grants: LogSummary,
    /// Boots in it.
    pub boots: u64,
    /// The ledger.
    pub worm: LogSummary,
    /// Entries of the ledger that are of documents.
    pub documents: u64,
    /// The vault.
    pub vault: VaultSummary,
    /// What was not checked, and why.
    pub unchecked: Vec<Unchecked>,
}

/// Something that was not checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Unchecked {
    /// Of which part of the disk.
    pub region: Region,
    /// What.
    pub what: &'static str,
    /// Why not.
    pub why: &'static str,
}

/// What was read of the vault.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct VaultSummary {
    /// Objects; 0 where there is no key.
    pub objects: u64,
    /// Index entries, those included that only say what was removed.
    pub entries: u64,
    /// Blocks for content.
    pub blocks: u64,
    /// Of these, in use; 0 where there is no key.
    pub used: u64,
    /// Chunks that were opened.
    pub chunks: u64,
    /// Bytes of all objects.
    pub bytes: u64,
}

/// How far a check came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The part that is being read.
    pub region: Region,
    /// Blocks of it that were read.
    pub done: u64,
    /// Blocks of it that are to be read.
    pub total: u64,
}

impl Report {
    /// Whether the disk holds: no finding is a violation.
    pub const fn holds(&self) -> bool {
        self.holds
    }

    /// As `holds`, but `HoldsInPart` if a log was not checked for want of its key, or of a checkpoint. A
    /// missing vault key does not count: it is a secret that not every auditor has.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What the gravest finding of a part of the disk weighs, listed or not.
    pub const fn gravest_of(&self, region: Region) -> Option<Severity> {
        self.gravest[region as usize]
    }
}

/// Checks a disk. What cannot be read is a finding too.
pub fn check(disk: &mut (impl Read + Seek), keys: &Keys) -> Report {
    check_with(disk, keys, |_| ())
}

/// The same, and says now and then how far it came.
pub fn check_with(
    disk: &mut (impl Read + Seek),
    keys: &Keys,
    progress: impl FnMut(Progress),
) -> Report {
    let mut check = Check {
        keys,
        summary: Summary::default(),
        findings: Findings::default(),
        progress,
    };
    match Image::new(disk) {
        Ok(mut image) => check.disk(&mut image),
        Err(error) => {
            let what = What::Unreadable(error.to_string());
            check.findings.violation(Place::DISK, what);
        }
    }
    let mut verdict = check.findings.verdict();
    let gravest = Region::ALL.map(|region| check.findings.gravest_of(region));
    let mut unchecked = check.summary.unchecked.iter();
    if unchecked.any(|it| it.region != Region::Vault) {
        verdict = verdict.max(Verdict::HoldsInPart);
    }
    Report {
        holds: verdict != Verdict::DoesNotHold,
        verdict,
        summary: check.summary,
        findings: check.findings.list,
        more_findings: check.findings.more,
        gravest,
    }
}

/// A check that is under way.
struct Check<'k, P> {
    keys: &'k Keys,
    summary: Summary,
    findings: Findings,
    progress: P,
}

/// A vault whose index was read with its key.
struct Opened {
    keys: VaultKeys,
    division: Division,
    index: Index,
}

const NO_KEY: &str = "no key";

impl<P: FnMut(Progress)> Check<'_, P> {
    fn unchecked(&mut self, region: Region, what: &'static str, why: &'static str) {
        let unchecked = Unchecked { region, what, why };
        self.summary.unchecked.push(unchecked);
    }

    fn disk<D: Read + Seek>(&mut self, image: &mut Image<'_, D>) {
        self.summary.blocks = image.blocks;
        let Some(header) = disk::header(image, &mut self.findings) else {
            return;
        };
        self.summary.id = Some(Hex(&header.id).to_string());
        let extents = disk::marks(image, &header, &mut self.findings);
        let vault = self.vault(image, &header);
        self.grants(image, &header, extents);
        self.worm(image, &header, extents, vault.as_ref());
        if let Some(vault) = &vault {
            self.contents(image, &header, vault);
        }
    }

    /// Superblocks and index; `None` where there is no more to be known of the vault.
    fn vault<D: Read + Seek>(
        &mut self,
        image: &mut Image<'_, D>,
        header: &Header,
    ) -> Option<Opened> {
        let key = self.keys.vault.as_ref();
        let keys = key.map(|key| VaultKeys::new(key, &header.id));
        if keys.is_none() {
            self.unchecked(Region::Vault, "index, references, contents", NO_KEY);
        }
        let findings = &mut self.findings;
        let division = index::superblocks(image, header.vault, keys.as_ref(), findings)?;
        let index = index::read(image, header.vault, &division, keys.as_ref(), findings);
        let objects = &index.objects;
        self.summary.vault = VaultSummary {
            objects: objects.len() as u64,
            entries: index.entries,
            blocks: division.data_blocks,
            used: objects.iter().map(|object| object.blocks()).sum(),
            chunks: 0,
            bytes: objects.iter().map(|object| object.size).sum(),
        };
        Some(Opened {
            keys: keys?,
            division,
            index,
        })
    }

    fn grants<D: Read + Seek>(
        &mut self,
        image: &mut Image<'_, D>,
        header: &Header,
        extents: Option<[Extent; 2]>,
    ) {
        let mut boots = Boots::default();
        let kind = LogKind::Grants;
        self.summary.grants = self.log(image, header, kind, extents, &mut boots);
        self.summary.boots = boots.count();
    }

    fn worm<D: Read + Seek>(
        &mut self,
        image: &mut Image<'_, D>,
        header: &Header,
        extents: Option<[Extent; 2]>,
        vault: Option<&Opened>,
    ) {
        let objects = vault.map_or(&[][..], |vault| &vault.index.objects);
        let mut documents = Documents::new(objects);
        let kind = LogKind::Worm;
        self.summary.worm = self.log(image, header, kind, extents, &mut documents);
        self.summary.documents = documents.documents;
        match vault {
            Some(vault) if self.summary.worm.whole => {
                documents.end(vault.index.through, &mut self.findings);
            }
            Some(_) => {
                self.unchecked(Region::Vault, "references", "the ledger is damaged");
            }
            None => {}
        }
    }

    fn log<D: Read + Seek>(
        &mut self,
        image: &mut Image<'_, D>,
        header: &Header,
        kind: LogKind,
        extents: Option<[Extent; 2]>,
        sink: &mut impl Sink,
    ) -> LogSummary {
        let region = log::region(kind);
        if self.keys.of(kind).is_empty() {
            self.unchecked(region, "signatures", NO_KEY);
        }
        let which = Which {
            kind,
            keys: self.keys,
            in_use: false,
        };
        let progress = &mut self.progress;
        let log = log::Located::new(kind, header, extents);
        let total = log.span.length;
        log::check(image, log, which, sink, &mut self.findings, |done| {
            progress(Progress {
                region,
                done,
                total,
            });
        })
    }

    fn contents<D: Read + Seek>(
        &mut self,
        image: &mut Image<'_, D>,
        header: &Header,
        vault: &Opened,
    ) {
        let Opened {
            keys,
            division,
            index,
        } = vault;
        let findings = &mut self.findings;
        let mut contents = Contents::new(image, header.vault, division, keys, findings);
        let total = self.summary.vault.used;
        let mut done = 0;
        for object in &index.objects {
            contents.object(object);
            done += object.blocks();
            (self.progress)(Progress {
                region: Region::Vault,
                done,
                total,
            });
        }
        self.summary.vault.chunks = contents.chunks;
    }
}
