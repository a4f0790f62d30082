//! What the tests of the ledger share: a log over the driver's rules over a faulty disk.

#![allow(dead_code, reason = "not every test needs all of it")]

use ed25519_dalek::SigningKey;
use portcullis_blk::{
    BLOCK, Disk, DiskError, Driver, Extent, Header, Refused, api::Area, initialise,
    testing::FaultyDisk,
};
use portcullis_ledger::{Index, Log, LogError, LogMemory, Proved, Recovered, Scratch};
use portcullis_log::{
    block::{LogId, LogKind},
    merkle::{Frontier, Hash, leaf_hash, proof::verify_inclusion},
};

pub(crate) const ID: [u8; 16] = *b"a disk for tests";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[0x33; 32])
}

/// An empty Portcullis disk.
pub(crate) fn new_disk(blocks: u64) -> FaultyDisk {
    let mut disk = FaultyDisk::new(blocks);
    initialise(&mut disk, &Header::new(blocks, ID).unwrap()).unwrap();
    disk
}

/// The driver's region as a disk.
pub(crate) struct Region {
    pub(crate) driver: Driver<FaultyDisk>,
    pub(crate) area: Area,
}

impl Region {
    /// Opens the region; `None` where the disk does not let itself be read.
    pub(crate) fn open(disk: FaultyDisk, area: Area) -> Option<Self> {
        let mut driver = Driver::new(disk);
        driver.open(&mut [0; BLOCK]).ok()?;
        Some(Self { driver, area })
    }

    pub(crate) fn extent(&self) -> Extent {
        self.driver.info().unwrap().extent(self.area)
    }

    pub(crate) fn disk(&mut self) -> &mut FaultyDisk {
        self.driver.disk_mut()
    }
}

fn error(refused: Refused) -> DiskError {
    match refused {
        Refused::Device(error) => error,
        Refused::Stopped => DiskError::Stopped,
        other => panic!("a log asks for what is refused: {other}"),
    }
}

impl Disk for Region {
    fn blocks(&self) -> u64 {
        self.driver.info().unwrap().length(self.area)
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        self.driver.read(self.area, first, data).map_err(error)
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.driver.write(self.area, first, data).map_err(error)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.driver.flush().map_err(error)
    }
}

/// Working memory of a log.
#[derive(Default)]
pub(crate) struct Memory {
    log: LogMemory,
    index: Index,
    scratch: Scratch,
}

/// A log that was opened, with what reading takes.
pub(crate) struct Opened<'m> {
    pub(crate) log: Log<'m, &'m mut Index>,
    scratch: &'m mut Scratch,
}

impl<'m> Opened<'m> {
    /// A log of a region's kind that is not open yet.
    pub(crate) fn closed(area: Area, memory: &'m mut Memory) -> Self {
        let kind = match area {
            Area::Grants => LogKind::Grants,
            _ => LogKind::Worm,
        };
        Self {
            log: Log::new(kind, &mut memory.log, &mut memory.index),
            scratch: &mut memory.scratch,
        }
    }

    pub(crate) fn open(
        &mut self,
        region: &mut Region,
        key: &SigningKey,
    ) -> Result<Recovered, LogError> {
        let extent = region.extent();
        self.log.open(region, self.scratch, LogId(ID), extent, key)
    }

    pub(crate) fn read(
        &mut self,
        region: &mut Region,
        index: u64,
        buffer: &mut [u8],
    ) -> Result<usize, LogError> {
        self.log.read(region, self.scratch, index, buffer)
    }

    pub(crate) fn prove(
        &mut self,
        region: &mut Region,
        index: u64,
        size: u64,
    ) -> Result<Proved, LogError> {
        self.log.prove(region, self.scratch, index, size)
    }
}

/// Opens the log of a region.
pub(crate) fn open<'m>(
    region: &mut Region,
    memory: &'m mut Memory,
) -> (Opened<'m>, Result<Recovered, LogError>) {
    let mut opened = Opened::closed(region.area, memory);
    let found = opened.open(region, &key());
    (opened, found)
}

/// Appends records as one group.
pub(crate) fn append(
    opened: &mut Opened<'_>,
    region: &mut Region,
    records: &[Vec<u8>],
) -> Result<(), LogError> {
    for record in records {
        opened.log.add(region, record, &key())?;
    }
    opened.log.commit(region, &key())
}

/// Checks everything that can be checked of a log: it holds exactly these records, its head is
/// signed and is theirs, and what is asked for is proved.
pub(crate) fn check_all(opened: &mut Opened<'_>, region: &mut Region, records: &[Vec<u8>]) {
    assert_eq!(opened.log.size(), records.len() as u64);
    let (kind, id) = opened.log.id();
    let mut tree = Frontier::new();
    let mut buffer = [0; 1_024];
    for (index, record) in (0..).zip(records) {
        tree.append(record);
        let length = opened.read(region, index, &mut buffer).unwrap();
        assert!(buffer[..length] == record[..], "record {index}");
    }
    let size = opened.log.size();
    let end = opened.read(region, size, &mut buffer);
    assert_eq!(end, Err(LogError::NoRecord { index: size, size }));
    let Some(head) = opened.log.head().copied() else {
        return;
    };
    assert!(head.is_signed(kind, id, &key().verifying_key()));
    assert_eq!(head.root, tree.root());
    for index in [0, size / 3, size / 2, size - 1] {
        check_proof(opened, region, records, index, size, &tree.root());
    }
}

pub(crate) fn check_proof(
    opened: &mut Opened<'_>,
    region: &mut Region,
    records: &[Vec<u8>],
    index: u64,
    size: u64,
    root: &Hash,
) {
    let proved = opened.prove(region, index, size).unwrap();
    let (kind, id) = opened.log.id();
    assert!(proved.head.is_signed(kind, id, &key().verifying_key()));
    assert_eq!(
        (proved.head.tree_size.get(), proved.head.root),
        (size, *root)
    );
    let leaf = leaf_hash(&records[index as usize]);
    verify_inclusion(&leaf, index, size, proved.proof.hashes(), root).unwrap();
}

/// Records that differ from each other.
pub(crate) fn records(first: u64, lengths: &[usize]) -> Vec<Vec<u8>> {
    let record = |(number, length): (u64, &usize)| {
        let seed = number.to_le_bytes();
        seed.iter().cycle().take(*length).copied().collect()
    };
    (first + 1..).zip(lengths).map(record).collect()
}
