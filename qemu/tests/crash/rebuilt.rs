//! Disks that a crash leaves: what was durable, and of the writes since then any part, in any order.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read, Seek, SeekFrom};

use portcullis_blk::testing::SECTOR;
use portcullis_blk::{BLOCK, Block, Disk, DiskError};

use crate::writes::Operation;

/// A disk in memory. What differs from `durable` is kept block by block, so that thousands are made of
/// one; what is written to it is written down.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt<'a> {
    durable: &'a [u8],
    changed: BTreeMap<u64, Box<Block>>,
    /// Blocks that were read since it was rebuilt.
    read: BTreeSet<u64>,
    /// What was done to it since it was rebuilt.
    pub(crate) operations: Vec<Operation>,
}

impl<'a> Rebuilt<'a> {
    /// A disk with what was durable, and nothing else.
    pub(crate) fn new(durable: &'a [u8]) -> Self {
        Self {
            durable,
            changed: BTreeMap::new(),
            read: BTreeSet::new(),
            operations: Vec::new(),
        }
    }

    /// Puts whole sectors on the disk.
    pub(crate) fn put(&mut self, at: usize, data: &[u8]) {
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            let at = at + number * SECTOR;
            let block = self.block((at / BLOCK) as u64);
            block[at % BLOCK..][..SECTOR].copy_from_slice(sector);
        }
    }

    fn block(&mut self, number: u64) -> &mut Block {
        let durable = self.durable;
        self.changed.entry(number).or_insert_with(|| {
            let at = number as usize * BLOCK;
            Box::new(*durable[at..].first_chunk().expect("it lies on the disk"))
        })
    }

    /// Makes these bits of a byte others.
    pub(crate) fn flip(&mut self, byte: usize, bits: u8) {
        self.block((byte / BLOCK) as u64)[byte % BLOCK] ^= bits;
    }

    pub(crate) fn block_at(&self, number: u64) -> &Block {
        let durable = || self.durable[number as usize * BLOCK..].first_chunk();
        let block = self.changed.get(&number).map(|block| &**block);
        block.or_else(durable).expect("it lies on the disk")
    }

    /// The blocks in which it differs from another over the same durable bytes.
    pub(crate) fn differing(&self, other: &Rebuilt<'_>) -> BTreeSet<u64> {
        let numbers = self.changed.keys().chain(other.changed.keys());
        let differs = |number: &&u64| self.block_at(**number) != other.block_at(**number);
        numbers.filter(differs).copied().collect()
    }

    /// Whether a block was read since the disk was rebuilt.
    pub(crate) fn was_read(&self, block: u64) -> bool {
        self.read.contains(&block)
    }

    /// Reads it from its start, past all rules.
    pub(crate) fn reader(&mut self) -> Reader<'_, 'a> {
        Reader { disk: self, at: 0 }
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.durable.to_vec();
        for (number, block) in &self.changed {
            bytes[*number as usize * BLOCK..][..BLOCK].copy_from_slice(&**block);
        }
        bytes
    }

    /// Tells it from others over the same durable bytes.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (number, block) in &self.changed {
            if self.durable[*number as usize * BLOCK..][..BLOCK] != **block {
                (number, block).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

impl Disk for &mut Rebuilt<'_> {
    fn blocks(&self) -> u64 {
        (self.durable.len() / BLOCK) as u64
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        for (number, into) in (first..).zip(data.chunks_mut(BLOCK)) {
            into.copy_from_slice(self.block_at(number));
            self.read.insert(number);
        }
        Ok(())
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        self.write_behind(first, 0, data)
    }

    fn write_behind(&mut self, first: u64, kept: usize, data: &[u8]) -> Result<(), DiskError> {
        let at = first as usize * BLOCK + kept * SECTOR;
        let data = data[kept * SECTOR..].to_vec();
        self.put(at, &data);
        self.operations.push(Operation::Write { at, data });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.operations.push(Operation::Flush);
        Ok(())
    }
}

/// The bytes of a disk, past all rules.
pub(crate) struct Reader<'a, 'd> {
    disk: &'a mut Rebuilt<'d>,
    at: u64,
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (number, from) = (self.at / BLOCK as u64, self.at as usize % BLOCK);
        if self.at >= self.disk.durable.len() as u64 {
            return Ok(0);
        }
        self.disk.read.insert(number);
        let read = (&self.disk.block_at(number)[from..]).read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reader<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.disk.durable.len() as u64;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Numbers that look random and are the same for the same seed: SplitMix64 (Steele and others, OOPSLA
/// 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Puts items into any order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// What a crash does to writes that were not flushed. A sector is written as a whole or not at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Loss {
    /// The writes up to one are there, and of that one the sectors before or after some point.
    Torn,
    /// Some writes are there, and others are not.
    Dropped,
    /// The writes happen in another order, and come as far as the middle of one.
    Reordered,
    /// The sectors of all writes happen in any order, and come to some point.
    Scattered,
}

impl Loss {
    pub(crate) const ALL: [Self; 4] = [Self::Torn, Self::Dropped, Self::Reordered, Self::Scattered];

    /// Puts on the disk what is left of `writes`: for each its place, and its data.
    pub(crate) fn apply(
        self,
        disk: &mut Rebuilt<'_>,
        writes: &[(usize, &[u8])],
        random: &mut Random,
    ) {
        let sectors = |number: usize| {
            let (at, data) = writes[number];
            let sectors = data.chunks(SECTOR).enumerate();
            sectors.map(move |(number, sector)| (at + number * SECTOR, sector))
        };
        let mut order: Vec<usize> = (0..writes.len()).collect();
        let mut kept = Vec::new();
        match self {
            Self::Torn | Self::Reordered => {
                if self == Self::Reordered {
                    random.shuffle(&mut order);
                }
                let torn = random.below(order.len());
                kept.extend(order[..torn].iter().flat_map(|number| sectors(*number)));
                let last: Vec<_> = sectors(order[torn]).collect();
                let point = random.below(last.len() + 1);
                let (front, back) = last.split_at(point);
                kept.extend(if random.below(2) == 0 { front } else { back });
            }
            Self::Dropped => {
                order.retain(|_| random.below(2) == 0);
                kept.extend(order.into_iter().flat_map(sectors));
            }
            Self::Scattered => {
                kept.extend(order.into_iter().flat_map(sectors));
                random.shuffle(&mut kept);
                kept.truncate(random.below(kept.len() + 1));
            }
        }
        for (at, sector) in kept {
            disk.put(at, sector);
        }
    }
}

/// Different disks that a crash could leave of `writes`, about as many as are `wanted`: fewer where
/// there are no more, or none was found in four attempts for each.
pub(crate) fn crashed<'a>(
    durable: &'a [u8],
    writes: &[(usize, &[u8])],
    wanted: usize,
    random: &mut Random,
) -> Vec<(Loss, Rebuilt<'a>)> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for loss in Loss::ALL.into_iter().cycle().take(4 * wanted) {
        if found.len() == wanted || writes.is_empty() {
            break;
        }
        let mut disk = Rebuilt::new(durable);
        loss.apply(&mut disk, writes, random);
        if known.insert(disk.digest()) {
            found.push((loss, disk));
        }
    }
    found
}

#[test]
fn every_part_of_the_writes_is_left_in_every_order() {
    let durable = [0; 2 * BLOCK];
    // Both write sector 1.
    let writes: [(usize, &[u8]); 2] = [(0, &[1; 2 * SECTOR]), (SECTOR, &[2; 2 * SECTOR])];
    let left = crashed(&durable, &writes, 64, &mut Random(1));
    let contents: HashSet<[u8; 3]> = left
        .iter()
        .map(|(_, disk)| {
            let bytes = disk.bytes();
            assert!(bytes[3 * SECTOR..].iter().all(|byte| *byte == 0));
            [0, 1, 2].map(|number| bytes[number * SECTOR])
        })
        .collect();
    let all = [0, 1].iter().flat_map(|first| {
        let rest = [0, 1, 2]
            .iter()
            .flat_map(|second| [0, 2].map(|third| (*second, third)));
        rest.map(|(second, third)| [*first, second, third])
    });
    assert_eq!(contents, all.collect());
    assert_eq!(contents.len(), left.len(), "none comes twice");
}

#[test]
fn what_is_written_to_a_rebuilt_disk_is_there_and_written_down() {
    let durable = [5; 3 * BLOCK];
    let disk = &mut Rebuilt::new(&durable);
    let mut disk: &mut Rebuilt<'_> = disk;
    disk.write(1, &[6; BLOCK]).unwrap();
    disk.flush().unwrap();
    let mut read = [0; 3 * BLOCK];
    disk.read(0, &mut read).unwrap();
    let expected = [[5; BLOCK], [6; BLOCK], [5; BLOCK]];
    assert_eq!(read, *expected.as_flattened());
    assert_eq!(disk.bytes(), read);
    let write = Operation::Write {
        at: BLOCK,
        data: vec![6; BLOCK],
    };
    assert_eq!(disk.operations, [write, Operation::Flush]);
    assert_eq!(durable, [5; 3 * BLOCK]);
}
