//! What a disk holds once it was recovered, and what it must.
//!
//! Recovery is the one of the protection domains: the driver's, the ledger's and the vault's portable
//! code. Beside it stands the audit, which shares nothing with them but the formats, and reads the disk
//! as the crash left it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_audit::policies::Policies;
use portcullis_audit::replay::{Boot, Replay};
use portcullis_blk::api::{Area, Info};
use portcullis_blk::{BLOCK, Disk, DiskError, Driver};
use portcullis_fsck::{Keys, Report, Which, read_log};
use portcullis_ledger::{Index, Log, LogError, LogMemory, Recovered, Scratch};
use portcullis_log::Record;
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::merkle::Hash;
use portcullis_log::scanner::Watch;
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{DocumentEntry, ObjectDigest, Stat, Store, StoreError};
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
#[derive(Clone, PartialEq, Eq, Default, Debug)]
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

/// What a start on a disk comes to.
#[derive(Default)]
pub(crate) struct Served {
    /// What it serves.
    pub(crate) held: Held,
    /// What it finds wrong.
    faults: Vec<String>,
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

    /// How many records of the grant log the boot has that began with `before`.
    pub(crate) fn grants_since(&self, before: &Self) -> usize {
        let is_new = self.boots.len() > before.boots.len();
        let records = self.boots.last().map(|boot| boot.records as usize);
        records.filter(|_| is_new).unwrap_or(0)
    }

    /// Whether the grants of the boot that began with `before` are in the log, and that they are all.
    pub(crate) fn is_sealed_since(&self, before: &Held) -> bool {
        let is_new = self.boots.len() > before.boots.len();
        is_new && self.boots.last().is_some_and(|boot| boot.sealed)
    }

    /// This without the objects that the ledger does not name: nobody was told that they are kept.
    pub(crate) fn promised(&self) -> Self {
        let entries = self.worm.iter();
        let named: BTreeSet<_> = entries
            .filter_map(|entry| Some(DocumentEntry::decode(entry)?.digest))
            .collect();
        let mut promised = self.clone();
        promised.objects.retain(|digest, _| named.contains(digest));
        promised
    }

    /// Whether there is nothing else here than was `written`.
    pub(crate) fn was_written(&self, written: &Self) -> Result<(), String> {
        let is_object = |(digest, stat): (&ObjectDigest, &Stat)| {
            let object = written.objects.get(digest);
            object.is_some_and(|object| object.size == stat.size)
        };
        let is_it = written.grants.starts_with(&self.grants)
            && written.worm.starts_with(&self.worm)
            && self.objects.iter().all(is_object);
        is_it
            .then_some(())
            .ok_or_else(|| "something is served that was not written".to_owned())
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
        let report = self.fsck(disk, expected);
        if let Some(finding) = report.findings.iter().find(|it| it.is_violation()) {
            return Err(format!("fsck: {finding:?}"));
        }
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
    pub(crate) fn fsck(&self, disk: &Rebuilt<'_>, expected: Option<&Expected>) -> Report {
        portcullis_fsck::check(&mut Cursor::new(disk.bytes()), &self.keys(expected))
    }

    fn keys(&self, expected: Option<&Expected>) -> Keys {
        let mut keys = Keys::new(self.key.verifying_key(), self.vault_key);
        for (kind, which) in [(LogKind::Grants, 0), (LogKind::Worm, 1)] {
            let checkpoints = expected.iter().flat_map(|it| &it.checkpoints[which]);
            let checkpoints = checkpoints.map(|(size, root)| (kind, *size, *root).into());
            keys.checkpoints.extend(checkpoints);
        }
        keys
    }

    /// The records of a log, for whoever has the disk and the public key only.
    pub(crate) fn audit(
        &self,
        disk: &mut Rebuilt<'_>,
        kind: LogKind,
        expected: Option<&Expected>,
    ) -> Result<Vec<Vec<u8>>, String> {
        let keys = self.keys(expected);
        let which = Which {
            kind,
            keys: &keys,
            in_use: false,
        };
        let mut records = Vec::new();
        let (_, findings) = read_log(&mut disk.reader(), which, &mut records, |_| ());
        match findings.list.iter().find(|finding| finding.is_violation()) {
            Some(finding) => Err(format!("{}: {finding:?}", kind.name())),
            None => Ok(records),
        }
    }

    /// Starts on a disk that a crash left, on which nothing may be wrong.
    pub(crate) fn recover(&mut self, disk: &mut Rebuilt<'_>) -> Result<Held, String> {
        let Served { held, faults } = self.serve(disk)?;
        faults.into_iter().next().map_or(Ok(held), Err)
    }

    /// Starts on the disk as the protection domains do, and reads all that they serve. Fails when an
    /// object is served wrong.
    pub(crate) fn serve(&mut self, disk: &mut Rebuilt<'_>) -> Result<Served, String> {
        let mut driver = Driver::new(disk);
        let mut served = Served::default();
        let opened = match driver.open(&mut [0; BLOCK]) {
            Ok(opened) => opened,
            Err(error) => {
                served.faults.push(error.to_string());
                return Ok(served);
            }
        };
        let Served { held, faults } = &mut served;
        if opened.header_from_copy || opened.mark_blocks == 0 {
            faults.push(format!("{opened:?}"));
        }
        let info = driver.info().map_err(|error| error.to_string())?;
        (held.grants, held.heads[0]) = self.grants(&mut driver, &info, faults);
        (held.worm, held.heads[1]) = self.worm(&mut driver, &info, faults);
        let mut replay = Replay::new(&self.policies);
        for (index, bytes) in (0..).zip(&held.grants) {
            replay.take(index, &Record::decode(bytes).ok_or("not a record")?);
        }
        let findings = replay.findings().list.iter();
        let violations = findings.filter(|it| it.is_violation());
        faults.extend(violations.map(|finding| format!("grant log: {finding:?}")));
        held.boots = replay.boots().to_vec();
        held.objects = self.objects(&mut driver, &info, &held.worm, faults)?;
        Ok(served)
    }

    fn grants(
        &mut self,
        driver: &mut Driver<&mut Rebuilt<'_>>,
        info: &Info,
        faults: &mut Vec<String>,
    ) -> (Vec<Vec<u8>>, Option<Head>) {
        let Memory {
            grants, scratch, ..
        } = &mut *self.memory;
        let area = Area::Grants;
        let mut records = Collected::default();
        let mut log = Log::new(LogKind::Grants, grants, &mut records);
        let (id, extent) = (LogId(info.id), info.extent(area));
        let found = log.open(&mut Region { driver, area }, scratch, id, extent, &self.key);
        faults.extend(unsound("grant log", found));
        let (size, head) = (log.size(), head(&log));
        // What was shown last may be of no commit.
        records.0.truncate(size as usize);
        (records.0, head)
    }

    fn worm(
        &mut self,
        driver: &mut Driver<&mut Rebuilt<'_>>,
        info: &Info,
        faults: &mut Vec<String>,
    ) -> (Vec<Vec<u8>>, Option<Head>) {
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
        faults.extend(unsound("ledger", found));
        let mut buffer = [0; ENTRY_MAX];
        let mut entries = Vec::new();
        for entry in 0..log.size() {
            match log.read(disk, scratch, entry, &mut buffer) {
                Ok(length) => entries.push(buffer[..length].to_vec()),
                Err(error) => {
                    faults.push(format!("ledger entry {entry}: {error}"));
                    break;
                }
            }
        }
        (entries, head(&log))
    }

    /// Opens the vault, has it follow the ledger, and reads every object.
    fn objects(
        &mut self,
        driver: &mut Driver<&mut Rebuilt<'_>>,
        info: &Info,
        worm: &[Vec<u8>],
        faults: &mut Vec<String>,
    ) -> Result<BTreeMap<ObjectDigest, Stat>, String> {
        let area = Area::Vault;
        let disk = &mut Region { driver, area };
        let mut store = Store::new(&mut self.memory.vault);
        let mut objects = BTreeMap::new();
        let opened = match store.open(disk, &self.vault_key, &info.id) {
            Ok(opened) => opened,
            Err(error) => {
                faults.push(format!("vault: {error}"));
                return Ok(objects);
            }
        };
        if opened.void > 0 || opened.changes > 0 {
            faults.push(format!("vault: {opened:?}"));
        }
        let mut walk = store.walk();
        while let Some(entry) = worm.get(walk.next() as usize) {
            if let Err(error) = walk.look(&mut store, disk, entry) {
                faults.push(format!("vault: {error}"));
                break;
            }
        }
        walk.end(&mut store);
        if !walk.missing().is_empty() || walk.waiting() > 0 {
            faults.push(format!("vault: {walk:?}"));
        }
        let mut cursor = 0;
        while let Ok(object) = store.list(disk, cursor) {
            cursor = object.next;
            match is_served_right(&mut store, disk, &object.digest, &object.stat) {
                Ok(true) => drop(objects.insert(object.digest, object.stat)),
                Ok(false) => return Err("an object is served wrong".to_owned()),
                Err(error) => faults.push(format!("vault: {error}")),
            }
        }
        if objects.len() != opened.objects {
            let (listed, opened) = (objects.len(), opened.objects);
            faults.push(format!("vault: {listed} objects listed, of {opened}"));
        }
        Ok(objects)
    }
}

/// Reads an object, if only by checking it where it may not leave the vault.
fn is_served_right(
    store: &mut Store<'_>,
    disk: &mut impl Disk,
    digest: &ObjectDigest,
    stat: &Stat,
) -> Result<bool, StoreError> {
    let mut checked = 0;
    while {
        checked = store.check(disk, digest, checked)?;
        checked < stat.size
    } {}
    if !stat.released {
        return Ok(true);
    }
    let mut hash = Sha256::new();
    let mut done = 0;
    let mut out = SharedRegion::new(PIECE);
    while done < stat.size {
        let count = store.read(disk, digest, done, PIECE as u64, &mut out)?;
        hash.update(&out.bytes()[..count as usize]);
        done += count;
    }
    Ok(<[u8; 32]>::from(hash.finalize()) == *digest)
}

/// What is wrong with a log; one that a crash cut off is not damaged.
fn unsound(name: &str, found: Result<Recovered, LogError>) -> Option<String> {
    match found {
        Err(error) => Some(format!("{name}: {error}")),
        Ok(found) => {
            let is_sound = found.damage.is_none() && !found.other_key;
            let is_sound = is_sound && found.not_rewritten.is_none();
            (!is_sound).then(|| format!("{name}: {found:?}"))
        }
    }
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
        let read = self.driver.read(self.area, first, data);
        read.map_err(|_| DiskError::Read { first })
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        let written = self.driver.write(self.area, first, data);
        written.map_err(|_| DiskError::Write { first })
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.driver.flush().map_err(|_| DiskError::Flush)
    }
}
