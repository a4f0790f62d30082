//! What the tests share: a small disk that driver, ledger and vault really wrote, boot after boot.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::Cursor;
use std::sync::OnceLock;

use ed25519_dalek::SigningKey;
use portcullis_audit::testing::{boot, encoded};
use portcullis_blk::api::Area;
use portcullis_blk::testing::FaultyDisk;
use portcullis_blk::{BLOCK, Disk, DiskError, Driver, Header, Refused, initialise};
use portcullis_fsck::{Finding, Keys, Report, check};
use portcullis_ledger::{Log, LogMemory, Scratch};
use portcullis_log::block::{LogId, LogKind};
use portcullis_model::testing::SharedRegion;
use portcullis_vault::{Act, CHUNK, DocumentEntry, Memory, ObjectDigest, Store, StoreError, Walk};
use sha2::{Digest, Sha256};

pub(crate) const ID: [u8; 16] = *b"a disk for tests";
pub(crate) const VAULT_KEY: [u8; 32] = [0x5a; 32];
/// Room for three chunks and a few boots.
pub(crate) const BLOCKS: u64 = 160;
const OWNER: u64 = 1 << 63 | 1 << 16;

pub(crate) fn ledger_key() -> SigningKey {
    SigningKey::from_bytes(&[0x33; 32])
}

pub(crate) fn keys() -> Keys {
    Keys::new(ledger_key().verifying_key(), VAULT_KEY)
}

pub(crate) fn fsck(disk: &[u8]) -> Report {
    check(&mut Cursor::new(disk), &keys())
}

/// Each finding as a line: severity, rule, place.
pub(crate) fn lines(report: &Report) -> Vec<String> {
    let line = |finding: &Finding| {
        let severity = if finding.is_violation() {
            "VIOLATION"
        } else {
            "note"
        };
        format!("{severity} {}: {}", finding.what.rule(), finding.place)
    };
    report.findings.iter().map(line).collect()
}

pub(crate) fn header() -> Header {
    Header::new(BLOCKS, ID).unwrap()
}

/// Where a region's block begins on the disk, in bytes.
pub(crate) fn at(area: Area, block: u64) -> usize {
    (header().start(area) + block) as usize * BLOCK
}

pub(crate) fn digest(content: &[u8]) -> ObjectDigest {
    Sha256::digest(content).into()
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn content(seed: u8, length: usize) -> Vec<u8> {
    let byte = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15 + u64::from(seed));
    (0..length).map(|at| (byte(at) >> 40) as u8).collect()
}

/// A region of the driver's disk.
pub(crate) struct Region<'d> {
    driver: &'d mut Driver<FaultyDisk>,
    area: Area,
}

fn device(refused: Refused) -> DiskError {
    match refused {
        Refused::Device(error) => error,
        Refused::Stopped => DiskError::Stopped,
        other => panic!("a component asks for what is refused: {other}"),
    }
}

impl Disk for Region<'_> {
    fn blocks(&self) -> u64 {
        self.driver.info().unwrap().lengths[self.area as usize]
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        self.driver.read(self.area, first, data).map_err(device)
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.driver.write(self.area, first, data).map_err(device)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.driver.flush().map_err(device)
    }
}

/// The entries of the ledger, as they were appended.
#[derive(Clone, Default)]
pub(crate) struct Entries(pub(crate) Vec<Vec<u8>>);

/// An appliance that is on: its driver, both logs, its vault.
pub(crate) struct On<'m> {
    driver: Driver<FaultyDisk>,
    grants: Log<'m, ()>,
    worm: Log<'m, ()>,
    store: Store<'m>,
    entries: Entries,
}

/// Its memory: larger than a test thread's stack.
#[derive(Default)]
struct Memories {
    grants: LogMemory,
    worm: LogMemory,
    vault: Memory,
    scratch: Scratch,
}

/// Boots the appliance on a disk, lets it do something, and turns it off; the disk and its ledger.
pub(crate) fn run(
    disk: FaultyDisk,
    entries: Entries,
    number: u8,
    act: impl FnOnce(&mut On<'_>) -> Result<(), StoreError> + Send + 'static,
) -> (FaultyDisk, Entries) {
    let body = move || {
        let mut memories = Box::<Memories>::default();
        let mut on = On::open(disk, entries, number, &mut memories).unwrap();
        act(&mut on).unwrap();
        let On {
            mut driver,
            entries,
            ..
        } = on;
        let disk = std::mem::replace(driver.disk_mut(), FaultyDisk::new(1));
        (disk, entries)
    };
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    thread.spawn(body).unwrap().join().unwrap()
}

/// An empty Portcullis disk.
pub(crate) fn new_disk() -> FaultyDisk {
    let mut disk = FaultyDisk::new(BLOCKS);
    initialise(&mut disk, &header()).unwrap();
    disk
}

impl<'m> On<'m> {
    fn open(
        disk: FaultyDisk,
        entries: Entries,
        number: u8,
        memories: &'m mut Memories,
    ) -> Result<Self, StoreError> {
        let Memories {
            grants,
            worm,
            vault,
            scratch,
        } = memories;
        let mut driver = Driver::new(disk);
        driver.open(&mut [0; BLOCK]).unwrap();
        let info = driver.info().unwrap();
        let mut on = Self {
            driver,
            grants: Log::new(LogKind::Grants, grants, ()),
            worm: Log::new(LogKind::Worm, worm, ()),
            store: Store::new(vault),
            entries,
        };
        for (log, area) in [(&mut on.grants, Area::Grants), (&mut on.worm, Area::Worm)] {
            let driver = &mut on.driver;
            let region = &mut Region { driver, area };
            let extent = info.extent(area);
            let opened = log.open(region, scratch, LogId(ID), extent, &ledger_key());
            assert_eq!(opened.unwrap().damage, None);
        }
        on.with_store(|store, disk, _| store.open(disk, &VAULT_KEY, &ID).map(drop))?;
        on.with_store(|store, disk, entries| entries.catch_up(store, disk).map(drop))?;
        let records = encoded(&boot(number));
        records
            .chunks(4)
            .for_each(|some| on.append(Area::Grants, some));
        Ok(on)
    }

    /// Has the vault do something.
    fn with_store<T>(
        &mut self,
        act: impl FnOnce(&mut Store<'m>, &mut Region<'_>, &Entries) -> T,
    ) -> T {
        let driver = &mut self.driver;
        let area = Area::Vault;
        act(&mut self.store, &mut Region { driver, area }, &self.entries)
    }

    /// Appends records to a log, durably, as one commit.
    pub(crate) fn append(&mut self, area: Area, records: &[Vec<u8>]) {
        let log = match area {
            Area::Grants => &mut self.grants,
            _ => &mut self.worm,
        };
        let driver = &mut self.driver;
        let region = &mut Region { driver, area };
        for record in records {
            log.add(region, record, &ledger_key()).unwrap();
        }
        log.commit(region, &ledger_key()).unwrap();
    }

    /// Puts an object.
    pub(crate) fn put(&mut self, content: &[u8]) -> Result<(), StoreError> {
        self.with_store(|store, disk, _| {
            store.create(OWNER, content.len() as u64)?;
            let length = content.len() as u64;
            store.write(disk, OWNER, length, &SharedRegion::with(content))?;
            store.commit(disk, OWNER, &digest(content)).map(drop)
        })
    }

    /// Appends a document's entry to the ledger; its index.
    pub(crate) fn say(&mut self, content: &[u8], path: &str, act: Act) -> u64 {
        let entry = DocumentEntry {
            digest: digest(content),
            size: content.len() as u64,
            path,
            act,
        };
        self.enter(entry.encode(&mut [0; _]).unwrap())
    }

    /// Appends an entry to the ledger; its index.
    pub(crate) fn enter(&mut self, entry: &[u8]) -> u64 {
        self.append(Area::Worm, &[entry.to_vec()]);
        self.entries.0.push(entry.to_vec());
        self.entries.0.len() as u64 - 1
    }

    /// The same, and the vault follows it.
    pub(crate) fn record(
        &mut self,
        content: &[u8],
        path: &str,
        act: Act,
    ) -> Result<(), StoreError> {
        let last = self.say(content, path, act);
        self.with_store(|store, disk, entries| {
            let mut following = store.follow(disk, &digest(content), last)?;
            while let Some(next) = following.next() {
                following.entry(DocumentEntry::decode(&entries.0[next as usize]).as_ref());
            }
            store.keep(disk, following).map(drop)
        })
    }

    /// Puts an object, and records it.
    pub(crate) fn take_in(
        &mut self,
        content: &[u8],
        path: &str,
        act: Act,
    ) -> Result<(), StoreError> {
        self.put(content)?;
        self.record(content, path, act)
    }
}

impl Entries {
    fn catch_up(&self, store: &mut Store<'_>, disk: &mut Region<'_>) -> Result<Walk, StoreError> {
        let mut walk = store.walk();
        while let Some(entry) = self.0.get(walk.next() as usize) {
            walk.look(store, disk, entry)?;
        }
        walk.end(store);
        Ok(walk)
    }
}

/// Contents of the sample: one in chunks, one short, an empty one, one released, one removed.
pub(crate) fn contents() -> [Vec<u8>; 5] {
    let lengths = [2 * CHUNK + 9, 300, 0, 5_000, 70];
    let mut seed = 0;
    lengths.map(|length| {
        seed += 1;
        content(seed, length)
    })
}

/// Three boots: objects put, recorded, released, named twice, removed.
fn write_sample() -> (Vec<u8>, Entries) {
    let [long, short, empty, released, removed] = contents();
    let (l, s) = (long, short.clone());
    let (disk, entries) = run(new_disk(), Entries::default(), 1, move |on| {
        on.enter(b"not a document");
        on.take_in(&l, "long", Act::Kept)?;
        on.take_in(&s, "short", Act::Kept)
    });
    let gone = removed.clone();
    let (disk, entries) = run(disk, entries, 2, move |on| {
        on.take_in(&empty, "empty", Act::Kept)?;
        on.take_in(&released, "public", Act::Released)?;
        on.take_in(&gone, "gone", Act::Kept)?;
        on.record(&short, "short again", Act::Kept)
    });
    let (mut disk, entries) = run(disk, entries, 3, move |on| {
        on.record(&removed, "gone", Act::Removed)?;
        on.take_in(&content(9, 4_096), "last", Act::Kept)
    });
    (disk.bytes_mut().to_vec(), entries)
}

/// A disk of several boots; every test of a process has the same.
pub(crate) fn sample() -> Vec<u8> {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| write_sample().0).clone()
}
