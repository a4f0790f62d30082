//! The disk as a whole: its blocks, its header, its marks.

use std::io::{self, Read, Seek, SeekFrom};

use portcullis_blk::wire::{
    self, BACK, DISK_MAGIC, DISK_VERSION, FRONT, HASHED, MARK_BLOCKS, MARKS_MAGIC, MARKS_VERSION,
    SECTOR,
};
use portcullis_blk::{BLOCK, Block};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::fault::{HeaderFault, MarkFault};
use crate::finding::{Findings, Place, Region};
use crate::what::What;

/// Blocks that are read at once, at most.
pub(crate) const AT_ONCE: usize = 64;

/// How often what is being written is read, at most.
const ATTEMPTS: usize = 8;

/// Bytes that can be read, by blocks.
pub(crate) struct Image<'d, D> {
    disk: &'d mut D,
    /// Whole blocks that it has.
    pub(crate) blocks: u64,
    /// Bytes after the last of them.
    rest: u64,
}

/// Blocks of the disk that make up a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// What the header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) blocks: u64,
    pub(crate) id: [u8; 16],
    pub(crate) vault: Span,
    pub(crate) grants: Span,
    pub(crate) worm: Span,
}

/// How far a log's region is written, as the marks say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) mark: u64,
    pub(crate) flushed: u64,
}

/// Whether all of it is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Compared as a whole, which is several times quicker than byte by byte.
    const ZEROS: Block = [0; BLOCK];
    bytes
        .chunks(BLOCK)
        .all(|part| ZEROS.get(..part.len()) == Some(part))
}

impl<'d, D: Read + Seek> Image<'d, D> {
    pub(crate) fn new(disk: &'d mut D) -> io::Result<Self> {
        let bytes = disk.seek(SeekFrom::End(0))?;
        Ok(Self {
            disk,
            blocks: bytes / BLOCK as u64,
            rest: bytes % BLOCK as u64,
        })
    }

    fn try_read(&mut self, first: u64, data: &mut [u8]) -> io::Result<()> {
        self.disk.seek(SeekFrom::Start(first * BLOCK as u64))?;
        self.disk.read_exact(data)
    }

    /// Reads whole blocks of a region that lies at `start`. One that cannot be read is a finding, and
    /// filled with what is nothing.
    pub(crate) fn read(
        &mut self,
        (region, start): (Region, u64),
        first: u64,
        data: &mut [u8],
        findings: &mut Findings,
    ) {
        if self.try_read(start + first, data).is_ok() {
            return;
        }
        for (number, block) in (first..).zip(data.chunks_mut(BLOCK)) {
            if let Err(error) = self.try_read(start + number, block) {
                block.fill(0xff);
                let what = What::Unreadable(error.to_string());
                findings.violation(Place::block(region, number), what);
            }
        }
    }

    /// Reads a block that something may be writing until it is the same twice.
    pub(crate) fn settle(
        &mut self,
        place: (Region, u64),
        number: u64,
        block: &mut [u8],
        findings: &mut Findings,
    ) {
        for _ in 0..ATTEMPTS {
            let before = block.to_vec();
            self.read(place, number, block, findings);
            if *block == before[..] {
                return;
            }
        }
    }

    fn block(&mut self, number: u64, findings: &mut Findings) -> Block {
        let mut block = [0; BLOCK];
        self.read((Region::Disk, 0), number, &mut block, findings);
        block
    }

    /// Whether the disk has as many blocks as its header says, and no more.
    fn hold_against_length(&self, blocks: u64, findings: &mut Findings) {
        if blocks > self.blocks {
            let blocks = blocks - self.blocks;
            findings.violation(Place::DISK, What::ShortDisk { blocks });
        } else if (blocks, 0) != (self.blocks, self.rest) {
            let bytes = (self.blocks - blocks) * BLOCK as u64 + self.rest;
            findings.note(Place::DISK, What::LongDisk { bytes });
        }
    }

    /// What of a region is there.
    pub(crate) fn there(&self, span: Span) -> Span {
        let left = self.blocks.saturating_sub(span.start);
        Span {
            length: span.length.min(left),
            ..span
        }
    }
}

/// The id of a disk, which its logs and their keys are named after; `None` where it has no header.
pub fn disk_id(disk: &mut (impl Read + Seek)) -> io::Result<Option<[u8; 16]>> {
    let mut image = Image::new(disk)?;
    let header = header(&mut image, &mut Findings::default());
    Ok(header.map(|header| header.id))
}

/// Reads the header, in both copies.
pub(crate) fn header<D: Read + Seek>(
    image: &mut Image<'_, D>,
    findings: &mut Findings,
) -> Option<Header> {
    let Some(last) = image.blocks.checked_sub(BACK) else {
        findings.violation(Place::DISK, What::NotADisk);
        return None;
    };
    let block = image.block(0, findings);
    let first = judge(&block);
    let copy_at = match &first {
        Ok(header) if header.blocks <= image.blocks => header.blocks - BACK,
        _ => last,
    };
    let copy_block = image.block(copy_at, findings);
    let copy = judge(&copy_block);
    if let (Err(HeaderFault::NoMagic), Err(HeaderFault::NoMagic)) = (&first, &copy) {
        findings.violation(Place::DISK, What::NotADisk);
        return None;
    }
    let is_cut = matches!(first, Ok(header) if header.blocks > image.blocks);
    let both = [(0, &block, first), (copy_at, &copy_block, copy)];
    for (number, block, header) in both {
        let place = Place::block(Region::Disk, number);
        match header {
            Ok(_) if !is_zero(&block[SECTOR..]) => findings.violation(place, What::NotZero),
            // What lies at the end of a disk that was cut is something else.
            Err(_) if is_cut && number > 0 => {}
            Err(fault) => findings.violation(place, What::Header(fault)),
            Ok(_) => {}
        }
    }
    if let (Ok(first), Ok(copy)) = (first, copy)
        && first != copy
    {
        let place = Place::block(Region::Disk, copy_at);
        findings.violation(place, What::HeadersDiffer);
    }
    let header = first.or(copy).ok()?;
    image.hold_against_length(header.blocks, findings);
    Some(header)
}

fn judge(block: &Block) -> Result<Header, HeaderFault> {
    let (raw, _) = wire::Header::read_from_prefix(block).expect("a block is larger than a header");
    if raw.magic != DISK_MAGIC {
        return Err(HeaderFault::NoMagic);
    }
    if !is_hashed(raw.as_bytes()) {
        return Err(HeaderFault::Hash);
    }
    if raw.version.get() != DISK_VERSION {
        return Err(HeaderFault::Version(raw.version.get()));
    }
    if raw.block_size.get() != BLOCK as u32 {
        return Err(HeaderFault::BlockSize(raw.block_size.get()));
    }
    if !is_zero(&raw.reserved) {
        return Err(HeaderFault::Reserved);
    }
    let [vault, grants, worm] = raw.areas.map(|span| Span {
        start: span.start.get(),
        length: span.length.get(),
    });
    let header = Header {
        blocks: raw.blocks.get(),
        id: raw.id,
        vault,
        grants,
        worm,
    };
    in_order(&header)
        .then_some(header)
        .ok_or(HeaderFault::Regions)
}

/// Whether the regions lie between marks and copy, one behind the other.
fn in_order(header: &Header) -> bool {
    let Header {
        vault,
        grants,
        worm,
        ..
    } = header;
    let regions = [*vault, *grants, *worm];
    let end = regions.iter().try_fold(FRONT, |free_from, region| {
        let starts_behind = region.start >= free_from;
        starts_behind.then(|| region.start.checked_add(region.length))?
    });
    end.and_then(|end| end.checked_add(BACK))
        .is_some_and(|end| end <= header.blocks)
}

/// Whether a sector ends with the hash of what comes before.
fn is_hashed(sector: &[u8]) -> bool {
    let (content, hash) = sector.split_at(HASHED);
    Sha256::digest(content)[..] == *hash
}

/// Reads the marks; the extents of grant log and ledger, as the newer ones say.
pub(crate) fn marks<D: Read + Seek>(
    image: &mut Image<'_, D>,
    header: &Header,
    findings: &mut Findings,
) -> Option<[Extent; 2]> {
    let mut sound = Vec::new();
    for number in 1..=MARK_BLOCKS {
        let place = Place::block(Region::Disk, number);
        let block = image.block(number, findings);
        match judge_marks(&block, number, header) {
            Ok(marks) => {
                sound.push(marks);
                if !is_zero(&block[SECTOR..]) {
                    findings.violation(place, What::NotZero);
                }
            }
            Err(fault) => findings.violation(place, What::Marks(fault)),
        }
    }
    if let [(first, _), (second, _)] = sound[..]
        && first.abs_diff(second) != 1
    {
        let place = Place::block(Region::Disk, 1);
        findings.note(place, What::MarksApart { first, second });
    }
    let newest = sound.into_iter().max_by_key(|(sequence, _)| *sequence);
    newest.map(|(_, extents)| extents)
}

/// The same of a disk that something writes: what was read in the middle of a write is read again.
pub(crate) fn marks_in_use<D: Read + Seek>(
    image: &mut Image<'_, D>,
    header: &Header,
    findings: &mut Findings,
) -> Option<[Extent; 2]> {
    let mut attempts = (0..ATTEMPTS).map(|_| {
        let mut found = Findings::default();
        (marks(image, header, &mut found), found)
    });
    let read = attempts.find(|(_, found)| found.list.is_empty());
    if let Some((extents, _)) = read {
        return extents;
    }
    marks(image, header, findings)
}

/// Marks, as read from block `number` of the disk: their sequence number, and what they say.
fn judge_marks(
    block: &Block,
    number: u64,
    header: &Header,
) -> Result<(u64, [Extent; 2]), MarkFault> {
    let (raw, _) = wire::Marks::read_from_prefix(block).expect("a block is larger than marks");
    if raw.magic != MARKS_MAGIC || !is_hashed(raw.as_bytes()) {
        return Err(MarkFault::Damaged);
    }
    if raw.version.get() != MARKS_VERSION {
        return Err(MarkFault::Version(raw.version.get()));
    }
    if raw.unused.get() != 0 || !is_zero(&raw.reserved) {
        return Err(MarkFault::Reserved);
    }
    let sequence = raw.sequence.get();
    if sequence == u64::MAX || 1 + sequence % MARK_BLOCKS != number {
        return Err(MarkFault::Sequence(sequence));
    }
    let extents = [raw.grants, raw.worm].map(|extent| Extent {
        mark: extent.mark.get(),
        flushed: extent.flushed.get(),
    });
    let within = |(extent, region): (&Extent, Span)| {
        extent.flushed <= extent.mark && extent.mark <= region.length
    };
    let regions = [header.grants, header.worm];
    if extents.iter().zip(regions).all(within) {
        Ok((sequence, extents))
    } else {
        Err(MarkFault::Bounds)
    }
}
