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
use portcullis_ledger::{Index, Log, LogMemory, Scratch};
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

trait Regions {
    fn region(&mut self, area: Area) -> Region<'_>;
}

impl Regions for Driver<FaultyDisk> {
    fn region(&mut self, area: Area) -> Region<'_> {
        Region { driver: self, area }
    }
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

/// Anything that goes wrong.
pub(crate) type Failed = Box<dyn std::error::Error>;

/// An appliance that is on: its driver, both logs, its vault.
pub(crate) struct On<'m> {
    driver: &'m mut Driver<FaultyDisk>,
    grants: Log<'m, ()>,
    worm: Log<'m, &'m mut Index>,
    store: Store<'m>,
    /// The ledger's entries.
    entries: Vec<Vec<u8>>,
}

/// Its memory: larger than a test thread's stack.
#[derive(Default)]
pub(crate) struct Memories {
    grants: LogMemory,
    worm: LogMemory,
    index: Index,
    scratch: Scratch,
    vault: Memory,
}

/// Does something with an appliance's memory.
pub(crate) fn with_memories<T: Send + 'static>(
    body: impl FnOnce(&mut Memories) -> T + Send + 'static,
) -> T {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    let body = move || body(&mut Box::<Memories>::default());
    match thread.spawn(body).unwrap().join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Boots the appliance on a disk, lets it do something, and turns it off; the disk, and how it went.
pub(crate) fn run(
    disk: FaultyDisk,
    number: u8,
    memories: &mut Memories,
    act: impl FnOnce(&mut On<'_>) -> Result<(), Failed>,
) -> (FaultyDisk, Result<(), Failed>) {
    let mut driver = Driver::new(disk);
    let on = On::open(&mut driver, number, memories);
    let done = on.and_then(|mut on| act(&mut on));
    let disk = std::mem::replace(driver.disk_mut(), FaultyDisk::new(1));
    (disk, done)
}

/// An empty Portcullis disk.
pub(crate) fn new_disk() -> FaultyDisk {
    let mut disk = FaultyDisk::new(BLOCKS);
    initialise(&mut disk, &header()).unwrap();
    disk
}

impl<'m> On<'m> {
    fn open(
        driver: &'m mut Driver<FaultyDisk>,
        number: u8,
        memories: &'m mut Memories,
    ) -> Result<Self, Failed> {
        let Memories {
            grants,
            worm,
            index,
            scratch,
            vault,
        } = memories;
        driver.open(&mut [0; BLOCK])?;
        let info = driver.info()?;
        let mut on = Self {
            driver,
            grants: Log::new(LogKind::Grants, grants, ()),
            worm: Log::new(LogKind::Worm, worm, index),
            store: Store::new(vault),
            entries: Vec::new(),
        };
        let key = &ledger_key();
        let region = &mut on.driver.region(Area::Grants);
        let extent = info.extent(Area::Grants);
        on.grants.open(region, scratch, LogId(ID), extent, key)?;
        let region = &mut on.driver.region(Area::Worm);
        let extent = info.extent(Area::Worm);
        on.worm.open(region, scratch, LogId(ID), extent, key)?;
        for index in 0..on.worm.size() {
            let mut entry = [0; 1_024];
            let length = on.worm.read(region, scratch, index, &mut entry)?;
            on.entries.push(entry[..length].to_vec());
        }
        let region = &mut on.driver.region(Area::Vault);
        on.store.open(region, &VAULT_KEY, &ID)?;
        catch_up(&mut on.store, region, &on.entries)?;
        for some in encoded(&boot(number)).chunks(4) {
            on.append(Area::Grants, some)?;
        }
        Ok(on)
    }

    /// Appends records to a log, durably, as one commit.
    pub(crate) fn append(&mut self, area: Area, records: &[Vec<u8>]) -> Result<(), Failed> {
        let region = &mut self.driver.region(area);
        for record in records {
            match area {
                Area::Grants => self.grants.add(region, record, &ledger_key())?,
                _ => self.worm.add(region, record, &ledger_key())?,
            };
        }
        match area {
            Area::Grants => self.grants.commit(region, &ledger_key())?,
            _ => self.worm.commit(region, &ledger_key())?,
        }
        Ok(())
    }

    /// Puts an object.
    pub(crate) fn put(&mut self, content: &[u8]) -> Result<(), Failed> {
        let region = &mut self.driver.region(Area::Vault);
        let (store, length) = (&mut self.store, content.len() as u64);
        store.create(OWNER, length)?;
        store.write(region, OWNER, length, &SharedRegion::with(content))?;
        store.commit(region, OWNER, &digest(content))?;
        Ok(())
    }

    /// Appends a document's entry to the ledger; its index.
    pub(crate) fn say(&mut self, content: &[u8], path: &str, act: Act) -> Result<u64, Failed> {
        let entry = DocumentEntry {
            digest: digest(content),
            size: content.len() as u64,
            path,
            act,
        };
        self.enter(entry.encode(&mut [0; _]).ok_or("the path is too long")?)
    }

    /// Appends an entry to the ledger; its index.
    pub(crate) fn enter(&mut self, entry: &[u8]) -> Result<u64, Failed> {
        self.append(Area::Worm, &[entry.to_vec()])?;
        self.entries.push(entry.to_vec());
        Ok(self.entries.len() as u64 - 1)
    }

    /// Has the vault follow an entry of the ledger.
    pub(crate) fn follow(&mut self, content: &[u8], last: u64) -> Result<(), Failed> {
        let region = &mut self.driver.region(Area::Vault);
        let mut following = self.store.follow(region, &digest(content), last)?;
        while let Some(next) = following.next() {
            let entry = DocumentEntry::decode(&self.entries[next as usize]);
            following.entry(entry.as_ref());
        }
        self.store.keep(region, following)?;
        Ok(())
    }

    /// Appends a document's entry, and the vault follows it.
    pub(crate) fn record(&mut self, content: &[u8], path: &str, act: Act) -> Result<(), Failed> {
        let last = self.say(content, path, act)?;
        self.follow(content, last)
    }

    /// Puts an object, and records it.
    pub(crate) fn take_in(&mut self, content: &[u8], path: &str, act: Act) -> Result<(), Failed> {
        self.put(content)?;
        self.record(content, path, act)
    }
}

/// What the vault does after it was opened.
fn catch_up(
    store: &mut Store<'_>,
    region: &mut Region<'_>,
    entries: &[Vec<u8>],
) -> Result<Walk, StoreError> {
    let mut walk = store.walk();
    while let Some(entry) = entries.get(walk.next() as usize) {
        walk.look(store, region, entry)?;
    }
    walk.end(store);
    Ok(walk)
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

/// What the appliance does in its n-th boot: puts, records, releases, names twice, removes.
pub(crate) fn act(on: &mut On<'_>, number: u8) -> Result<(), Failed> {
    let [long, short, empty, released, removed] = &contents();
    match number {
        1 => {
            on.enter(b"not a document")?;
            on.take_in(long, "long", Act::Kept)?;
            on.take_in(short, "short", Act::Kept)
        }
        2 => {
            on.take_in(empty, "empty", Act::Kept)?;
            on.take_in(released, "public", Act::Released)?;
            on.take_in(removed, "gone", Act::Kept)?;
            on.record(short, "short again", Act::Kept)
        }
        _ => {
            on.record(removed, "gone", Act::Removed)?;
            on.take_in(&content(9, 4_096), "last", Act::Kept)
        }
    }
}

/// A disk after so many boots.
pub(crate) fn after(boots: u8) -> FaultyDisk {
    with_memories(move |memories| {
        (1..=boots).fold(new_disk(), |disk, number| {
            let (disk, done) = run(disk, number, memories, |on| act(on, number));
            done.unwrap();
            disk
        })
    })
}

/// A disk of several boots; every test of a process has the same.
pub(crate) fn sample() -> Vec<u8> {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| after(3).bytes_mut().to_vec()).clone()
}

/// What the appliance says when it is started on a disk, and reads everything: damage, and what it
/// passes over.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) damage: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Starts the appliance on a disk that may be damaged, and reads all of it.
pub(crate) fn open(disk: FaultyDisk, memories: &mut Memories) -> Opened {
    let mut opened = Opened::default();
    let mut driver = Driver::new(disk);
    let found = match driver.open(&mut [0; BLOCK]) {
        Ok(found) => found,
        Err(error) => {
            opened.damage.push(format!("disk: {error}"));
            return opened;
        }
    };
    if found.header_from_copy || found.mark_blocks == 0 {
        opened.damage.push(format!("disk: {found:?}"));
    } else if found.mark_blocks == 1 {
        opened.notes.push(format!("disk: {found:?}"));
    }
    let id = *found.header.id();
    let mut entries = Vec::new();
    for (kind, area) in [(LogKind::Grants, Area::Grants), (LogKind::Worm, Area::Worm)] {
        let region = &mut driver.region(area);
        open_log(region, kind, id, memories, &mut opened, &mut entries);
    }
    open_vault(
        &mut driver.region(Area::Vault),
        id,
        memories,
        &mut opened,
        &entries,
    );
    opened
}

fn open_log(
    region: &mut Region<'_>,
    kind: LogKind,
    id: [u8; 16],
    memories: &mut Memories,
    opened: &mut Opened,
    entries: &mut Vec<Vec<u8>>,
) {
    let Memories {
        worm,
        index,
        scratch,
        ..
    } = memories;
    let mut log = Log::new(kind, worm, index);
    let extent = region.driver.info().unwrap().extent(region.area);
    match log.open(region, scratch, LogId(id), extent, &ledger_key()) {
        Err(error) => opened.damage.push(format!("{kind:?}: {error}")),
        Ok(found) => {
            if found.damage.is_some() || found.other_key {
                opened.damage.push(format!("{kind:?}: {found:?}"));
            } else if found.void > 0 {
                opened.notes.push(format!("{kind:?}: {found:?}"));
            }
        }
    }
    let mut buffer = [0; 1_024];
    for index in (0..log.size()).filter(|_| kind == LogKind::Worm) {
        match log.read(region, scratch, index, &mut buffer) {
            Ok(length) => entries.push(buffer[..length].to_vec()),
            Err(error) => opened.damage.push(format!("entry {index}: {error}")),
        }
    }
}

fn open_vault(
    region: &mut Region<'_>,
    id: [u8; 16],
    memories: &mut Memories,
    opened: &mut Opened,
    entries: &[Vec<u8>],
) {
    let mut store = Store::new(&mut memories.vault);
    let found = match store.open(region, &VAULT_KEY, &id) {
        Ok(found) => found,
        Err(error) => return opened.damage.push(format!("vault: {error}")),
    };
    if found.void > 0 || found.superblock_damaged || found.changed {
        opened.damage.push(format!("vault: {found:?}"));
    }
    match catch_up(&mut store, region, entries) {
        Ok(walk) if !walk.missing().is_empty() => {
            opened.damage.push(format!("missing: {:?}", walk.missing()));
        }
        Ok(walk) if walk.waiting() > 0 => opened.notes.push(format!("{walk:?}")),
        Ok(_) => {}
        Err(error) => opened.damage.push(format!("vault: {error}")),
    }
    let mut cursor = 0;
    loop {
        let (next, found) = match store.list(region, cursor) {
            Ok(listed) => (
                listed.next,
                check_object(&mut store, region, &listed.digest),
            ),
            Err((StoreError::NoMore, _)) => return,
            Err((error, next)) => (next, Err(error)),
        };
        if let Err(error) = found {
            opened.damage.push(format!("vault: {error}"));
        }
        cursor = next;
    }
}

fn check_object(
    store: &mut Store<'_>,
    region: &mut Region<'_>,
    digest: &ObjectDigest,
) -> Result<(), StoreError> {
    let (size, mut offset) = (store.stat(region, digest)?.size, 0);
    loop {
        offset = store.check(region, digest, offset)?;
        if offset == size {
            return Ok(());
        }
    }
}
