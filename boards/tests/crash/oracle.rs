//! What a disk holds once it was recovered, and what it must.
//!
//! Recovery is the one of the protection domains: the driver's, the ledger's and the vault's portable
//! code. Beside it stands the audit, which shares nothing with them but the formats, and reads the disk
//! as the crash left it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor};
use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_audit::policies::Policies;
use portcullis_audit::replay::{Boot, Replay};
use portcullis_audit::walk::{Blocks, Sink, Trust, walk};
use portcullis_blk::api::{Area, Info};
use portcullis_blk::{BLOCK, Disk, DiskError, Driver, Refused};
use portcullis_ledger::{Index, Log, LogMemory, Recovered, Scratch};
use portcullis_log::Record;
use portcullis_log::block::{LogId, LogKind, Records};
use portcullis_log::merkle::Hash;
use portcullis_log::scanner::Watch;
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{DocumentEntry, ObjectDigest, Stat, Store};
use sha2::{Digest as _, Sha256};

use crate::rebuilt::Rebuilt;

/// Longest entry of a log, in bytes.
const ENTRY_MAX: usize = 1024;
/// Bytes of an object that are read at a time.
const PIECE: usize = 1 << 16;

/// The tree head of a log: its size, and the root.
type Head = (u64, Hash);

/// The keys of an appliance, and working memory for its recovery.
pub(crate) struct Oracle {
    key: SigningKey,
    vault_key: [u8; 32],
    policies: Policies,
    memory: Box<Memory>,
}

#[derive(Default)]
struct Memory {
    grants: LogMemory,
    worm: LogMemory,
    index: Index,
    scratch: Scratch,
    vault: portcullis_vault::Memory,
}

/// What a recovered disk holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    /// The records of the grant log.
    pub(crate) grants: Vec<Vec<u8>>,
    /// The entries of the ledger.
    pub(crate) worm: Vec<Vec<u8>>,
    /// The tree heads of the two.
    heads: [Option<Head>; 2],
    /// The boots in the grant log.
    boots: Vec<Boot>,
    objects: BTreeMap<ObjectDigest, Stat>,
}

/// What a disk must hold.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// What was acknowledged: this, and maybe more.
    pub(crate) acknowledged: Held,
    /// What the disk held when the boot began in which the crash is.
    pub(crate) before: Held,
    /// The tree heads so far of the grant log and of the ledger.
    pub(crate) checkpoints: [BTreeMap<u64, Hash>; 2],
}

impl Expected {
    /// Nothing was acknowledged yet that `held` does not have.
    pub(crate) fn new(held: Held) -> Self {
        Self {
            before: held.clone(),
            acknowledged: held,
            checkpoints: Default::default(),
        }
    }

    /// All that a disk holds is acknowledged now.
    pub(crate) fn acknowledge(&mut self, held: Held) {
        for (checkpoints, head) in self.checkpoints.iter_mut().zip(held.heads) {
            checkpoints.extend(head);
        }
        self.acknowledged = held;
    }
}

impl Held {
    /// The documents of the ledger: path, and index of the entry.
    pub(crate) fn documents(&self) -> impl Iterator<Item = (&str, usize)> {
        let entries = self.worm.iter().enumerate();
        entries.filter_map(|(index, entry)| Some((DocumentEntry::decode(entry)?.path, index)))
    }

    /// Whether the grants of the boot that began with `before` are in the log, and that they are all.
    pub(crate) fn is_sealed_since(&self, before: &Held) -> bool {
        let is_new = self.boots.len() > before.boots.len();
        is_new && self.boots.last().is_some_and(|boot| boot.sealed)
    }

    /// What is missing, or is otherwise than it should be.
    pub(crate) fn holds(&self, expected: &Expected) -> Result<(), String> {
        let Expected {
            acknowledged,
            before,
            ..
        } = expected;
        for (name, found, wanted) in [
            ("grant log", &self.grants, &acknowledged.grants),
            ("ledger", &self.worm, &acknowledged.worm),
        ] {
            if !found.starts_with(wanted) {
                let (found, wanted) = (found.len(), wanted.len());
                return Err(format!(
                    "{name}: {found} records, and {wanted} were acknowledged"
                ));
            }
        }
        for (digest, wanted) in &acknowledged.objects {
            let found = self.objects.get(digest);
            let keeps = |found: &Stat| {
                found.size == wanted.size
                    && found.released >= wanted.released
                    && found.references >= wanted.references
                    && (wanted.recorded.is_none() || found.recorded == wanted.recorded)
            };
            if !found.is_some_and(keeps) {
                return Err(format!(
                    "an object is {found:?}, and {wanted:?} was acknowledged"
                ));
            }
        }
        let used = self.worm.len() > before.worm.len() || self.objects.len() > before.objects.len();
        if used && !self.is_sealed_since(before) {
            return Err("a grant was used that is not in the log".to_owned());
        }
        Ok(())
    }
}

impl Oracle {
    /// An oracle for the disk of a state directory.
    pub(crate) fn new(state: &Path) -> Self {
        let secret = |name: &str| {
            let bytes = fs::read(state.join(name)).unwrap();
            <[u8; 32]>::try_from(bytes).unwrap()
        };
        let mut policies = Policies::default();
        policies.load(&state.join("policies")).unwrap();
        Self {
            key: SigningKey::from_bytes(&secret("ledger.key")),
            vault_key: secret("vault.key"),
            policies,
            memory: Box::default(),
        }
    }

    /// The policies that the grant log may name.
    pub(crate) const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Audits a disk as it is, recovers it twice, and holds what was found against what is expected.
    pub(crate) fn check(
        &mut self,
        disk: &mut Rebuilt<'_>,
        expected: Option<&Expected>,
    ) -> Result<Held, String> {
        self.fsck(disk, expected)?;
        let audited = [LogKind::Grants, LogKind::Worm].map(|kind| self.audit(disk, kind, expected));
        let first = self.recover(disk)?;
        let [grants, worm] = audited;
        if (&grants?, &worm?) != (&first.grants, &first.worm) {
            return Err("the audit reads other records than recovery".to_owned());
        }
        let second = self.recover(disk)?;
        if second != first {
            return Err("a second start finds something else".to_owned());
        }
        expected.map_or(Ok(()), |expected| first.holds(expected))?;
        Ok(first)
    }

    /// Checks the disk with all keys at hand.
    fn fsck(&self, disk: &Rebuilt<'_>, expected: Option<&Expected>) -> Result<(), String> {
        let mut keys = portcullis_fsck::Keys::new(self.key.verifying_key(), self.vault_key);
        for (kind, which) in [(LogKind::Grants, 0), (LogKind::Worm, 1)] {
            let checkpoints = expected.iter().flat_map(|it| &it.checkpoints[which]);
            keys.checkpoints
                .extend(checkpoints.map(|(size, root)| (kind, *size, *root)));
        }
        let report = portcullis_fsck::check(&mut Cursor::new(disk.bytes()), &keys);
        match report
            .findings
            .iter()
            .find(|finding| finding.is_violation())
        {
            Some(finding) => Err(format!("fsck: {finding:?}")),
            None => Ok(()),
        }
    }

    /// The records of a log, for whoever has the disk and the public key only.
    fn audit(
        &self,
        disk: &mut Rebuilt<'_>,
        kind: LogKind,
        expected: Option<&Expected>,
    ) -> Result<Vec<Vec<u8>>, String> {
        let header = Driver::new(&mut *disk).open(&mut [0; BLOCK]);
        let header = header.map_err(|error| error.to_string())?.header;
        let (area, which) = match kind {
            LogKind::Grants => (Area::Grants, 0),
            LogKind::Worm => (Area::Worm, 1),
        };
        let checkpoints = expected.iter().flat_map(|it| &it.checkpoints[which]);
        let checkpoints: Vec<_> = checkpoints.map(|(size, root)| (*size, *root)).collect();
        let trust = Trust {
            kind,
            log: LogId(*header.id()),
            key: Some(&self.key.verifying_key()),
            checkpoints: &checkpoints,
        };
        let start = header.start(area);
        let mut extent = Extent {
            disk,
            next: start,
            end: start + header.length(area),
        };
        let mut records = Collected::default();
        let walked = walk(&mut extent, &trust, &mut records, |_| ());
        let walked = walked.map_err(|error| error.to_string())?;
        match walked
            .findings
            .iter()
            .find(|finding| finding.is_violation())
        {
            Some(finding) => Err(format!("{}: {finding:?}", kind.name())),
            None => Ok(records.0),
        }
    }

    /// Starts on the disk as the protection domains do.
    pub(crate) fn recover(&mut self, disk: &mut Rebuilt<'_>) -> Result<Held, String> {
        let mut driver = Driver::new(disk);
        let opened = driver
            .open(&mut [0; BLOCK])
            .map_err(|error| error.to_string())?;
        if opened.header_from_copy || opened.mark_blocks == 0 {
            return Err(format!("{opened:?}"));
        }
        let info = driver.info().map_err(|error| error.to_string())?;
        let (grants, grants_head) = self.grants(&mut driver, &info)?;
        let (worm, worm_head) = self.worm(&mut driver, &info)?;
        let mut replay = Replay::new(&self.policies);
        for (index, bytes) in (0..).zip(&grants) {
            replay.take(index, &Record::decode(bytes).ok_or("not a record")?);
        }
        if let Some(finding) = replay.findings().0.iter().find(|it| it.is_violation()) {
            return Err(format!("grant log: {finding:?}"));
        }
        Ok(Held {
            boots: replay.boots().to_vec(),
            objects: self.objects(&mut driver, &info, &worm)?,
            grants,
            worm,
            heads: [grants_head, worm_head],
        })
    }

    fn grants(
        &mut self,
        driver: &mut Driver<&mut Rebuilt<'_>>,
        info: &Info,
    ) -> Result<(Vec<Vec<u8>>, Option<Head>), String> {
        let Memory {
            grants, scratch, ..
        } = &mut *self.memory;
        let area = Area::Grants;
        let mut records = Collected::default();
        let mut log = Log::new(LogKind::Grants, grants, &mut records);
        let (id, extent) = (LogId(info.id), info.extent(area));
        let found = log.open(&mut Region { driver, area }, scratch, id, extent, &self.key);
        sound(found.map_err(|error| error.to_string())?)?;
        let (size, head) = (log.size(), head(&log));
        // What was shown last may be of no commit.
        records.0.truncate(size as usize);
        Ok((records.0, head))
    }

    fn worm(
        &mut self,
        driver: &mut Driver<&mut Rebuilt<'_>>,
        info: &Info,
    ) -> Result<(Vec<Vec<u8>>, Option<Head>), String> {
        let Memory {
            worm,
            index,
            scratch,
            ..
        } = &mut *self.memory;
        // At a start it is new; all else is made anew when it is opened.
        *index = Index::new();
        let area = Area::Worm;
        let disk = &mut Region { driver, area };
        let mut log = Log::new(LogKind::Worm, worm, index);
        let found = log.open(disk, scratch, LogId(info.id), info.extent(area), &self.key);
        sound(found.map_err(|error| error.to_string())?)?;
        let mut buffer = [0; ENTRY_MAX];
        let mut entries = Vec::new();
        for entry in 0..log.size() {
            let length = log.read(disk, scratch, entry, &mut buffer);
            let length = length.map_err(|error| format!("ledger entry {entry}: {error}"))?;
            entries.push(buffer[..length].to_vec());
        }
        Ok((entries, head(&log)))
    }

    /// Opens the vault, has it follow the ledger, and reads every object.
    fn objects(
        &mut self,
        driver: &mut Driver<&mut Rebuilt<'_>>,
        info: &Info,
        worm: &[Vec<u8>],
    ) -> Result<BTreeMap<ObjectDigest, Stat>, String> {
        let failed = |error: portcullis_vault::StoreError| format!("vault: {error}");
        let area = Area::Vault;
        let disk = &mut Region { driver, area };
        let mut store = Store::new(&mut self.memory.vault);
        let opened = store
            .open(disk, &self.vault_key, &info.id)
            .map_err(failed)?;
        if opened.void > 0 || opened.changes > 0 {
            return Err(format!("vault: {opened:?}"));
        }
        let mut walk = store.walk();
        while let Some(entry) = worm.get(walk.next() as usize) {
            walk.look(&mut store, disk, entry).map_err(failed)?;
        }
        walk.end(&mut store);
        if !walk.missing().is_empty() || walk.waiting() > 0 {
            return Err(format!("vault: {walk:?}"));
        }
        let mut objects = BTreeMap::new();
        let mut cursor = 0;
        while let Ok(object) = store.list(disk, cursor) {
            cursor = object.next;
            read(&mut store, disk, &object.digest, &object.stat)?;
            objects.insert(object.digest, object.stat);
        }
        if objects.len() == opened.objects {
            Ok(objects)
        } else {
            Err(format!(
                "vault: {} objects listed, of {}",
                objects.len(),
                opened.objects
            ))
        }
    }
}

/// Reads an object, if only by checking it where it may not leave the vault.
fn read(
    store: &mut Store<'_>,
    disk: &mut impl Disk,
    digest: &ObjectDigest,
    stat: &Stat,
) -> Result<(), String> {
    let failed = |error: portcullis_vault::StoreError| format!("vault: {error}");
    let mut checked = 0;
    while {
        checked = store.check(disk, digest, checked).map_err(failed)?;
        checked < stat.size
    } {}
    if !stat.released {
        return Ok(());
    }
    let mut hash = Sha256::new();
    let mut done = 0;
    let mut out = SharedRegion::new(PIECE);
    while done < stat.size {
        let count = store
            .read(disk, digest, done, PIECE as u64, &mut out)
            .map_err(failed)?;
        hash.update(&out.bytes()[..count as usize]);
        done += count;
    }
    let is_it = <[u8; 32]>::from(hash.finalize()) == *digest;
    is_it
        .then_some(())
        .ok_or_else(|| "an object is served wrong".to_owned())
}

/// A log that a crash cut off is not damaged.
fn sound(found: Recovered) -> Result<(), String> {
    let is_sound = found.damage.is_none() && !found.other_key && found.not_rewritten.is_none();
    is_sound.then_some(()).ok_or_else(|| format!("{found:?}"))
}

fn head<W: Watch>(log: &Log<'_, W>) -> Option<Head> {
    log.head().map(|head| (head.tree_size.get(), head.root))
}

/// The records of a log.
#[derive(Default)]
struct Collected(Vec<Vec<u8>>);

impl Watch for Collected {
    fn record(&mut self, index: u64, bytes: &[u8]) {
        self.0.truncate(index as usize);
        self.0.push(bytes.to_vec());
    }
}

impl Sink for Collected {
    fn commit(&mut self, first: u64, payload: &[u8]) {
        assert_eq!(first, self.0.len() as u64);
        self.0.extend(Records::over(payload).map(<[u8]>::to_vec));
    }
}

/// A region of a disk, under the driver's rules.
struct Region<'a, 'd, 'b> {
    driver: &'a mut Driver<&'d mut Rebuilt<'b>>,
    area: Area,
}

impl Disk for Region<'_, '_, '_> {
    fn blocks(&self) -> u64 {
        self.driver.info().map_or(0, |info| info.length(self.area))
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        self.driver.read(self.area, first, data).map_err(refused)
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.driver.write(self.area, first, data).map_err(refused)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.driver.flush().map_err(refused)
    }
}

fn refused(refused: Refused) -> DiskError {
    panic!("recovery asks for what is refused: {refused}")
}

/// The blocks of a region, past all rules.
struct Extent<'a, 'd> {
    disk: &'a mut Rebuilt<'d>,
    next: u64,
    end: u64,
}

impl Blocks for Extent<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let blocks = (self.end - self.next).min((buffer.len() / BLOCK) as u64);
        let length = blocks as usize * BLOCK;
        let mut disk = &mut *self.disk;
        Disk::read(&mut disk, self.next, &mut buffer[..length]).map_err(io::Error::other)?;
        self.next += blocks;
        Ok(length)
    }
}
