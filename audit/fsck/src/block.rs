//! A log's block, read by the book: `docs/formats.md`, "Log block".

use portcullis_log::block::{
    BLOCK_SIZE, COMMIT_PARTS, ENTRY_MAX, FLAG_COMMIT, FORMAT, Footer, Header, LogKind, MAGIC,
    SECTOR, WHOLE_BLOCKS,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::disk::is_zero;
use crate::fault::BlockFault;

/// Bytes of a part before its records, and of the tree head at its end.
const HEAD: usize = size_of::<Header>();
const TAIL: usize = size_of::<Footer>();

/// What the rest of a block begins with.
pub(crate) enum Read<'a> {
    /// Zeros, to its end.
    Void,
    /// A part, as the format wants it.
    Sound(Sound<'a>),
    /// No part, and a sector that should hold some of one is zero: what a cut leaves.
    Torn(BlockFault),
    /// No part, and no cut leaves such.
    Changed(BlockFault),
}

/// A part in which every field, on its own, has a value that the format allows.
#[derive(Clone, Copy)]
pub(crate) struct Sound<'a> {
    header: &'a Header,
    payload: &'a [u8],
    footer: Option<&'a Footer>,
    /// Bytes that it takes.
    pub(crate) length: usize,
    /// A sector that should hold some of it is zero, and nothing lies behind it in its block.
    pub(crate) torn: bool,
}

/// Reads what `rest`, a block from some sector on, begins with.
pub(crate) fn read(rest: &[u8]) -> Read<'_> {
    if is_zero(rest) {
        return Read::Void;
    }
    let (header, _) = Header::ref_from_prefix(rest).expect("a sector is larger than a header");
    if is_zero(&rest[..SECTOR]) {
        return Read::Torn(BlockFault::NotABlock);
    }
    let length = match length(header, rest.len()) {
        Ok(length) => length,
        Err(fault) => return Read::Changed(fault),
    };
    let (part, behind) = rest.split_at(length);
    let used = HEAD + usize::from(header.payload.get());
    let torn = has_void_sector(part, used, ends_commit(header)) && is_zero(behind);
    let tail = if ends_commit(header) { TAIL } else { 0 };
    let (payload, end) = (&part[HEAD..used], length - tail);
    let fault = if is_zero(&part[used..end]) {
        records_fault(header, payload)
    } else {
        Some(BlockFault::Field("space behind its records"))
    };
    match fault {
        Some(fault) if torn => Read::Torn(fault),
        Some(fault) => Read::Changed(fault),
        None => {
            let footer = Footer::ref_from_suffix(part).ok();
            Read::Sound(Sound {
                header,
                payload,
                footer: footer.map(|(_, it)| it).filter(|_| ends_commit(header)),
                length,
                torn,
            })
        }
    }
}

fn ends_commit(header: &Header) -> bool {
    header.flags == FLAG_COMMIT
}

fn has_void_sector(part: &[u8], used: usize, commit: bool) -> bool {
    let mut sectors = part.chunks(SECTOR).enumerate();
    sectors.any(|(number, sector)| {
        let at = number * SECTOR;
        let holds_something = at < used || commit && at + SECTOR == part.len();
        holds_something && is_zero(sector)
    })
}

/// How many bytes of `room`, the rest of a block, a part with this header takes.
fn length(header: &Header, room: usize) -> Result<usize, BlockFault> {
    if header.magic != MAGIC {
        return Err(BlockFault::NotABlock);
    }
    let commit = ends_commit(header);
    let needs = HEAD + TAIL + usize::from(header.payload.get());
    // The sector that it begins with, and what it takes.
    let (sector, length) = match header.format.get() {
        WHOLE_BLOCKS if room == BLOCK_SIZE => (0, room),
        WHOLE_BLOCKS => return Err(BlockFault::Field("place in its block")),
        FORMAT if commit => (
            1 + (BLOCK_SIZE - room) / SECTOR,
            needs.next_multiple_of(SECTOR),
        ),
        FORMAT => (1 + (BLOCK_SIZE - room) / SECTOR, room),
        version => return Err(BlockFault::Format(version)),
    };
    let part = usize::from(header.part.get());
    let field = if LogKind::from_code(header.kind).is_none() {
        "log"
    } else if header.flags != 0 && !commit {
        "flags"
    } else if header.records.get() == 0 {
        "number of records"
    } else if part >= COMMIT_PARTS || part as u64 > header.block.get() {
        "position in its commit"
    } else if usize::from(header.sector) != sector || part > 0 && room < BLOCK_SIZE {
        "place in its block"
    } else if header.reserved.as_bytes() != [0; 5] {
        "reserved field"
    } else if needs > length || length > room {
        "payload's length"
    } else {
        return Ok(length);
    };
    Err(BlockFault::Field(field))
}

fn records_fault(header: &Header, payload: &[u8]) -> Option<BlockFault> {
    let (mut rest, mut count) = (payload, 0);
    while let Some((record, behind)) = first_record(rest) {
        if record.len() > ENTRY_MAX {
            return Some(BlockFault::Records);
        }
        (rest, count) = (behind, count + 1);
    }
    let whole = rest.is_empty() && count == usize::from(header.records.get());
    (!whole).then_some(BlockFault::Records)
}

/// The first of the records that lie in `payload`, and what lies behind it.
pub(crate) fn first_record(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first_chunk()?;
    rest.split_at_checked(u16::from_le_bytes(*length).into())
}

impl<'a> Sound<'a> {
    pub(crate) const fn header(&self) -> &'a Header {
        self.header
    }

    /// The records as they lie, each behind its length.
    pub(crate) const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The tree head, where it ends a commit.
    pub(crate) const fn footer(&self) -> Option<&'a Footer> {
        self.footer
    }
}
