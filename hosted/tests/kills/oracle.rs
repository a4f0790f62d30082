//! What the appliance said that it did, held against what its disk says after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::Path;

use portcullis_audit::capscan::{Place, Scan, compare_with_log};
use portcullis_audit::state::{KEYS, LOGS, State};
use portcullis_audit::verify::verify;
use portcullis_blk::api::Area;
use portcullis_blk::testing::FaultyDisk;
use portcullis_blk::{BLOCK, Header};
use portcullis_fsck::{Keys, Which, read_log};
use portcullis_log::block::LogKind;
use portcullis_log::merkle::Hash;
use portcullis_model::testing::SharedRegion;
use portcullis_policy::keys::hexadecimal;
use portcullis_vault::{Act, DocumentEntry, Memory, ObjectDigest, Store};
use sha2::{Digest as _, Sha256};

use crate::disk::Disk;

/// Digits of a digest that the console shows.
const SHOWN: usize = 8;

/// What is known from outside.
#[derive(Clone, Default)]
pub(crate) struct Oracle {
    /// Every document that there ever was, by its digest.
    documents: BTreeMap<ObjectDigest, Vec<u8>>,
    /// What lies there now, and what lay there before, by path: the last digest is the present one's.
    paths: BTreeMap<String, Vec<ObjectDigest>>,
    /// The entries of the ledger that were acknowledged: documents by index.
    entries: BTreeMap<u64, (String, ObjectDigest)>,
    /// Documents of which it was said that they are kept.
    kept: BTreeSet<ObjectDigest>,
    /// Sizes and roots of both logs, at each look at a durable disk.
    heads: [Vec<(u64, Hash)>; 2],
    /// Boots in the grant log then.
    boots: usize,
}

/// When a scan was taken: it says what log and slots may differ in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// Everything was settled: the slots hold what the log says.
    Settled,
    /// Everything was settled, and then a component was killed: the log may lack revocations that are
    /// in force, and never a grant.
    Degraded,
    /// At any moment, perhaps of the boot: the log may tell of grants that were about to be made. All
    /// that is in force it tells of, but for what it needs itself.
    AtAnyMoment,
}

/// The components whose grants do not wait for the log, since it waits for them.
const LOG_PATH: [&str; 4] = ["manager", "ledger", "blk", "console"];

/// What was looked at.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    pub(crate) acknowledged: usize,
    pub(crate) served: usize,
    pub(crate) checkpoints: usize,
    pub(crate) scans: usize,
    /// Grants that were in force at a moment at random, those of the log itself aside.
    pub(crate) in_force: usize,
}

impl Oracle {
    /// A document lies there from now on.
    pub(crate) fn add(&mut self, path: &str, content: Vec<u8>) {
        let digest = Sha256::digest(&content).into();
        self.documents.insert(digest, content);
        self.paths.entry(path.to_owned()).or_default().push(digest);
    }

    /// Documents that lie there now.
    pub(crate) fn count(&self) -> usize {
        self.paths.len()
    }

    /// Takes in what the appliance showed: each line is an acknowledgement, or shows what is served.
    pub(crate) fn observe(&mut self, shown: &[String], tally: &mut Tally) {
        for line in shown {
            assert!(!is_alarm(line), "{line}");
            let Some((who, text)) = line.split_once(": ") else {
                continue;
            };
            let mut words = text.split_whitespace();
            let path = words.next().unwrap_or_default().to_owned();
            let Some(digest) = words.skip_while(|word| *word != "sha256").nth(1) else {
                continue;
            };
            match who {
                "ingest" => self.acknowledged(line, path, digest, tally),
                "edge" => {
                    self.named(line, &path, digest);
                    assert!(is_public(&path) && text.ends_with("verified"), "{line}");
                    tally.served += 1;
                }
                _ => {}
            }
        }
    }

    fn acknowledged(&mut self, line: &str, path: String, digest: &str, tally: &mut Tally) {
        let digest = self.named(line, &path, digest);
        tally.acknowledged += 1;
        self.kept.insert(digest);
        if let Some((_, index)) = line.rsplit_once("ledger entry ") {
            let index = index.parse().unwrap();
            let before = self.entries.insert(index, (path, digest));
            assert_eq!(before, None, "an entry is given twice: {line}");
        } else {
            assert!(line.ends_with("unchanged"), "{line}");
        }
    }

    /// The document that a line names, which lies or lay under this path.
    fn named(&self, line: &str, path: &str, digest: &str) -> ObjectDigest {
        let mut versions = self.paths.get(path).into_iter().flatten();
        let named = versions.find(|version| hexadecimal(*version)[..SHOWN] == *digest);
        *named.unwrap_or_else(|| panic!("nobody gave it: {line}"))
    }

    /// Holds a state directory at rest, and the disk in it, against everything that was said; how many
    /// objects are released.
    pub(crate) fn check(
        &mut self,
        disk: &mut Disk,
        memory: &mut Memory,
        tally: &mut Tally,
    ) -> usize {
        let state = &disk.state().to_owned();
        if !state.join(KEYS).exists() {
            // Killed before it had its keys.
            assert!(self.kept.is_empty() && self.boots == 0);
            return 0;
        }
        let audited = State::open(state).unwrap();
        for kind in LOGS {
            self.check_log(&audited, kind, disk.is_durable(), tally);
        }
        let entries = entries(&audited);
        for (index, (path, digest)) in &self.entries {
            let entry = entries.get(*index as usize);
            let entry = entry.unwrap_or_else(|| panic!("entry {index}, {path}, is lost"));
            let entry = DocumentEntry::decode(entry).unwrap();
            assert_eq!((entry.path, &entry.digest), (&**path, digest));
        }
        let mut objects = BTreeSet::new();
        for entry in &entries {
            let entry = DocumentEntry::decode(entry).unwrap();
            let content = &self.documents[&entry.digest];
            let released = is_public(entry.path);
            assert_eq!(entry.size, content.len() as u64, "{}", entry.path);
            assert_eq!(entry.act == Act::Released, released, "{}", entry.path);
            objects.extend(released.then_some(entry.digest));
        }
        self.check_vault(state, disk.bytes(), &entries, memory);
        self.check_disk(&audited, state, disk.bytes());
        objects.len()
    }

    /// The whole disk holds for who shares no code with what writes it.
    fn check_disk(&self, audited: &State, state: &Path, disk: &[u8]) {
        let mut keys = self.keys(audited);
        keys.vault = Some(vault_key(state).into());
        let report = portcullis_fsck::check(&mut Cursor::new(disk), &keys);
        assert!(report.holds(), "{:#?}", report.findings);
        assert!(report.summary.unchecked.is_empty());
    }

    /// What both logs are held against: every state of them that was ever seen.
    fn keys(&self, state: &State) -> Keys {
        let mut keys = state.trust().unwrap();
        for (kind, heads) in LOGS.into_iter().zip(&self.heads) {
            let heads = heads.iter().map(|(size, root)| (kind, *size, *root));
            keys.checkpoints.extend(heads.map(Into::into));
        }
        keys
    }

    /// The log holds, and goes on from every durable state of it that was ever seen. A commit that was
    /// not flushed when everything was killed was never acknowledged, and may go with the power.
    fn check_log(&mut self, state: &State, kind: LogKind, is_durable: bool, tally: &mut Tally) {
        let keys = self.keys(state);
        let report = verify((kind, state.log()), state.policies(), |sink| {
            let which = Which {
                kind,
                keys: &keys,
                in_use: false,
            };
            let mut disk = fs::File::open(state.path()).unwrap();
            read_log(&mut disk, which, sink, |_| ())
        });
        let heads = &mut self.heads[usize::from(kind == LogKind::Worm)];
        assert!(report.holds, "{kind:?}: {:#?}", report.findings);
        tally.checkpoints += heads.len();
        let grants = kind == LogKind::Grants;
        assert!(!grants || report.boots.len() >= self.boots);
        if is_durable {
            let head = report.summary.head;
            heads.extend(head.map(|head| (head.tree_size.get(), head.root)));
            self.boots = if grants {
                report.boots.len()
            } else {
                self.boots
            };
        }
    }

    /// Holds the slots, as they were before the kill, against the log of a disk that may have lost its
    /// power since.
    pub(crate) fn check_grants(
        &self,
        mut scan: Scan,
        state: &Path,
        taken: Taken,
        tally: &mut Tally,
    ) {
        if taken == Taken::AtAnyMoment {
            let waits = |place: &Place| matches!(place, Place::Grants { component, .. } if !LOG_PATH.contains(&component.as_str()));
            scan.slots.retain(|slot| waits(&slot.place));
            tally.in_force += scan.slots.len();
        }
        let compared = compare_with_log(&scan, state).unwrap();
        let mut differences = compared.differences.iter();
        if taken == Taken::Settled {
            assert_eq!(differences.next(), None);
            assert!(compared.scanned > 0, "nothing is in force");
        } else {
            let differ = differences.find(|text| !text.contains(" is empty, and holds "));
            assert_eq!(differ, None, "a grant is in force that is not in the log");
        }
        tally.scans += 1;
    }

    /// Every document that was said to be kept is in the vault, as is every one that the ledger names,
    /// byte for byte, and nothing else.
    fn check_vault(&self, state: &Path, disk: &[u8], entries: &[Vec<u8>], memory: &mut Memory) {
        let (mut store, mut region) = self.open(state, disk, memory);
        let mut walk = store.walk();
        while let Some(entry) = entries.get(walk.next() as usize) {
            walk.look(&mut store, &mut region, entry).unwrap();
        }
        walk.end(&mut store);
        assert_eq!(walk.missing(), []);
        let mut cursor = 0;
        while let Ok(listed) = store.list(&mut region, cursor) {
            cursor = listed.next;
            let content = self.documents.get(&listed.digest);
            let content = content.expect("the vault has what nobody gave it");
            let read = read(
                &mut store,
                &mut region,
                &listed.digest,
                entries.len() as u64,
            );
            assert!(read == *content, "{} is another", listed.name);
        }
        for digest in &self.kept {
            let stat = store.stat(&mut region, digest);
            assert!(stat.unwrap().recorded.is_some());
        }
    }

    fn open<'m>(
        &self,
        state: &Path,
        disk: &[u8],
        memory: &'m mut Memory,
    ) -> (Store<'m>, FaultyDisk) {
        let (block, _) = disk.split_first_chunk::<BLOCK>().unwrap();
        let header = Header::decode(block).unwrap();
        let start = header.start(Area::Vault) as usize * BLOCK;
        let length = header.length(Area::Vault) as usize * BLOCK;
        let mut region = FaultyDisk::from_bytes(disk[start..][..length].to_vec());
        let mut store = Store::new(memory);
        let opened = store.open(&mut region, &vault_key(state), header.id());
        let opened = opened.unwrap();
        assert_eq!((opened.void, opened.changed, opened.changes), (0, false, 0));
        (store, region)
    }
}

fn vault_key(state: &Path) -> [u8; 32] {
    fs::read(state.join("vault.key"))
        .unwrap()
        .try_into()
        .unwrap()
}

/// The entries of the ledger.
fn entries(state: &State) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    state.read(LogKind::Worm, &mut entries, |_| ()).unwrap();
    entries
}

/// Reads a whole object of a vault that is a copy: so it may be released.
fn read(store: &mut Store<'_>, disk: &mut FaultyDisk, digest: &ObjectDigest, end: u64) -> Vec<u8> {
    let released = DocumentEntry {
        digest: *digest,
        size: 0,
        path: "",
        act: Act::Released,
    };
    let mut following = store.follow(disk, digest, end).unwrap();
    while following.next().is_some() {
        following.entry(Some(&released));
    }
    store.keep(disk, following).unwrap();
    let mut content = Vec::new();
    let mut out = SharedRegion::new(1 << 16);
    loop {
        let offset = content.len() as u64;
        let count = store.read(disk, digest, offset, 1 << 16, &mut out).unwrap();
        if count == 0 {
            return content;
        }
        content.extend_from_slice(&out.bytes()[..count as usize]);
    }
}

/// A line that no cut may bring about.
fn is_alarm(line: &str) -> bool {
    let alarms = [
        "MISSING",
        "DAMAGED",
        "NOT AS THE VAULT LEFT IT",
        "do not authenticate",
        "was damaged in the vault",
        "older than the vault",
    ];
    alarms.iter().any(|alarm| line.contains(alarm))
}

fn is_public(path: &str) -> bool {
    path.starts_with("public/")
}
