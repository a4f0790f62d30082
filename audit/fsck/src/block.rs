//! A log's block, read by the book: `docs/formats.md`, "Log block".

use portcullis_log::block::{
    BLOCK_SIZE, COMMIT_BLOCKS, ENTRY_MAX, FLAG_COMMIT, FORMAT, Footer, Header, Layout, LogKind,
    MAGIC, PAYLOAD, SECTOR,
};

use crate::disk::is_zero;
use crate::fault::BlockFault;

/// What 4,096 bytes of a log's region are.
pub(crate) enum Read<'a> {
    /// Zeros.
    Void,
    /// A block, as the format wants it.
    Sound(Sound<'a>),
    /// No block, and a sector that should hold some of one is zero: what a cut leaves.
    Torn(BlockFault),
    /// No block, and no cut leaves such.
    Changed(BlockFault),
}

/// A block in which every field, on its own, has a value that the format allows.
#[derive(Clone, Copy)]
pub(crate) struct Sound<'a> {
    layout: &'a Layout,
    /// A sector that should hold some of it is zero.
    pub(crate) torn: bool,
}

/// Reads a block.
pub(crate) fn read(bytes: &[u8; BLOCK_SIZE]) -> Read<'_> {
    if is_zero(bytes) {
        return Read::Void;
    }
    let layout: &Layout = zerocopy::transmute_ref!(bytes);
    let torn = has_void_sector(bytes, &layout.header);
    match fault(layout) {
        None => Read::Sound(Sound { layout, torn }),
        Some(fault @ BlockFault::Format(_)) => Read::Changed(fault),
        Some(fault) if torn => Read::Torn(fault),
        Some(fault) => Read::Changed(fault),
    }
}

fn has_void_sector(bytes: &[u8; BLOCK_SIZE], header: &Header) -> bool {
    let payload = usize::from(header.payload.get());
    let used = size_of::<Header>() + if payload <= PAYLOAD { payload } else { 0 };
    let commit = header.flags & FLAG_COMMIT != 0;
    let sectors = bytes.chunks(SECTOR).enumerate();
    sectors.into_iter().any(|(number, sector)| {
        let at = number * SECTOR;
        let holds_something = at < used || commit && at + SECTOR == BLOCK_SIZE;
        holds_something && is_zero(sector)
    })
}

fn fault(layout: &Layout) -> Option<BlockFault> {
    let Layout {
        header,
        payload,
        footer,
    } = layout;
    if header.magic != MAGIC {
        return Some(BlockFault::NotABlock);
    }
    if header.format.get() != FORMAT {
        return Some(BlockFault::Format(header.format.get()));
    }
    let used = usize::from(header.payload.get());
    let commit = header.flags == FLAG_COMMIT;
    let footer = zerocopy::IntoBytes::as_bytes(footer);
    let field = if LogKind::from_code(header.kind).is_none() {
        "log"
    } else if header.flags != 0 && !commit {
        "flags"
    } else if header.records.get() == 0 {
        "number of records"
    } else if usize::from(header.part.get()) >= COMMIT_BLOCKS
        || u64::from(header.part.get()) > header.block.get()
    {
        "position in its commit"
    } else if header.reserved != [0; 6] {
        "reserved field"
    } else if used > PAYLOAD {
        "payload's length"
    } else if !is_zero(&payload[used..]) {
        "space behind its records"
    } else if !commit && !is_zero(footer) {
        "space for a tree head"
    } else {
        return records_fault(header, &payload[..used]);
    };
    Some(BlockFault::Field(field))
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
        &self.layout.header
    }

    /// The records as they lie, each behind its length.
    pub(crate) fn payload(&self) -> &'a [u8] {
        &self.layout.payload[..usize::from(self.header().payload.get())]
    }

    /// The tree head, where it ends a commit.
    pub(crate) fn footer(&self) -> Option<&'a Footer> {
        (self.header().flags == FLAG_COMMIT).then_some(&self.layout.footer)
    }
}
