//! What QEMU's `blklogwrites` keeps: every write and flush of the guest, in order.
//!
//! The format is that of Linux's dm-log-writes (`drivers/md/dm-log-writes.c`), little-endian, in
//! sectors of 512 bytes: the superblock; then of each operation a sector that describes it, and the
//! data of a write. The superblock counts the operations up to the last flush. More may follow where
//! QEMU was killed; the first sector of zeros is the end.

use portcullis_blk::testing::SECTOR;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// A flush, in the flags of an operation. The others are FUA (2), discard (4) and mark (8).
const FLUSH: u64 = 1;

/// What the guest did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Wrote whole sectors.
    Write {
        /// The first byte of the disk.
        at: usize,
        /// What it wrote.
        data: Vec<u8>,
    },
    /// Waited until all that was written before is durable.
    Flush,
}

impl Operation {
    /// Place and data, if it is a write.
    pub(crate) fn write(&self) -> Option<(usize, &[u8])> {
        match self {
            Self::Write { at, data } => Some((*at, data)),
            Self::Flush => None,
        }
    }
}

/// Reads a log.
pub(crate) fn parse(log: &[u8]) -> Result<Vec<Operation>, String> {
    let (sectors, _) = log.as_chunks::<SECTOR>();
    let word = |sector: usize, number: usize| {
        let bytes = sectors.get(sector)?.get(number * 8..)?;
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    };
    let [magic, version, counted] = [0, 1, 2].map(|number| word(0, number).unwrap_or(0));
    if (magic, version) != (0, 0) && (magic, version) != (MAGIC, VERSION) {
        return Err(format!(
            "not a log of writes: {magic:#x}, version {version}"
        ));
    }
    let mut operations = Vec::new();
    let mut at = 1;
    loop {
        let [start, count, flags] = [0, 1, 2].map(|number| word(at, number).unwrap_or(0));
        let end = at + 1 + count as usize;
        operations.push(match (count, flags) {
            (0, 0) => break,
            (0, FLUSH) => Operation::Flush,
            // QEMU was killed before it had written all of it down, and so before it answered.
            (1.., 0) if end > sectors.len() => break,
            (1.., 0) => Operation::Write {
                at: start as usize * SECTOR,
                data: sectors[at + 1..end].as_flattened().to_vec(),
            },
            other => {
                return Err(format!(
                    "sector {at}: the driver asks for no such thing: {other:?}"
                ));
            }
        });
        at = end;
    }
    if (operations.len() as u64) < counted {
        let found = operations.len();
        return Err(format!(
            "{found} operations, and the superblock counts {counted}"
        ));
    }
    Ok(operations)
}

#[test]
fn a_log_is_read_as_far_as_it_goes() {
    let sector = |words: &[u64]| {
        let mut sector = [0; SECTOR];
        for (place, word) in sector.chunks_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        sector
    };
    let log = [
        sector(&[MAGIC, VERSION, 2, SECTOR as u64]),
        sector(&[3, 2, 0, 0]),
        [7; SECTOR],
        [8; SECTOR],
        sector(&[0, 0, FLUSH, 0]),
        sector(&[5, 1, 0, 0]),
        [9; SECTOR],
    ];
    let write = |at: usize, bytes: &[u8]| Operation::Write {
        at: at * SECTOR,
        data: bytes.iter().flat_map(|byte| [*byte; SECTOR]).collect(),
    };
    let all = [write(3, &[7, 8]), Operation::Flush, write(5, &[9])];
    assert_eq!(parse(log.as_flattened()).as_deref(), Ok(&all[..]));
    assert_eq!(
        parse(log[..6].as_flattened()).as_deref(),
        Ok(&all[..2]),
        "no data"
    );
    assert_eq!(parse(&[]), Ok(Vec::new()), "nothing was written");
    parse(log[..4].as_flattened()).expect_err("fewer than were counted");
    for (place, wrong) in [(0, [1, 1, 0, 0]), (0, [MAGIC, 2, 0, 0]), (1, [0, 1, 2, 0])] {
        let mut log = log;
        log[place] = sector(&wrong);
        parse(log.as_flattened()).expect_err("another magic, another version, another operation");
    }
}
