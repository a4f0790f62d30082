//! The one-way stream: frames in a ring that is overwritten without back-pressure.
//!
//! The region's first page holds the *position*: how many bytes were ever written. The ring is what
//! follows; byte n of the stream lies at n modulo its size. The writer maps the region read-write,
//! the reader read-only, so the writer never learns how far the reader is. Pacing comes from
//! priority: the reader is above the writer and drains the ring at each signal, before the writer
//! goes on; the writer signals after at most half a ring.
//!
//! A frame names its own position and carries a check over header and payload, so what was
//! overwritten while it was read, or what an earlier lap left, is no frame. The reader trusts
//! nothing: it copies, checks the copy, and where it finds no frame it skips to the position, which
//! costs at most what was written since the last signal. The writer signals at the end of each
//! object, so one that is damaged takes no other with it. Each poll is bounded by the ring's size.
//!
//! The check finds damage. That an object is what the vault released is for its SHA-256 to show.

use core::fmt;

use crc::{CRC_32_ISCSI, Crc};
use portcullis_kernel::{OutOfRange, Region, RegionMut};
use serde::{Deserialize, Serialize};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::DocumentPath;

/// Offset of the position in the region.
pub const POSITION: usize = 0;
/// Offset of the ring: the position has a page of its own.
pub const RING_OFFSET: usize = 4096;
/// Size of a frame's header, in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();
/// Most payload of one frame, in bytes: a page, so that a buffer for it is small and the header is
/// less than one part in a hundred.
pub const PAYLOAD_MAX: usize = 4096;
/// Frames start at multiples of this many bytes.
pub const ALIGNMENT: usize = 8;
/// Smallest ring, in bytes: half of it holds the largest frame.
pub const RING_MIN: usize = 2 * (HEADER_SIZE + PAYLOAD_MAX);

/// CRC-32C (RFC 3720): finds every change of up to four bytes in a row.
const CHECK: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone)]
#[repr(C)]
struct Header {
    position: U64,
    length: U32,
    kind: U32,
    reserved: U32,
    check: U32,
}

/// A frame.
#[expect(
    clippy::large_enum_variant,
    reason = "one lives at a time, and there is no allocator to box the path with"
)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame<'b> {
    /// An object begins.
    Begin(Begin),
    /// The next bytes of the object.
    Data(&'b [u8]),
    /// The object is complete.
    End,
    /// Everything that was released is published.
    Round(Round),
}

/// What the stream says of an object before its bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begin {
    /// Its position among the objects of the stream, from 0, without gaps.
    pub number: u64,
    /// Its path.
    pub path: DocumentPath,
    /// Its size, in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// The end of a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Round {
    /// Objects that the stream has carried: the number of the next.
    pub objects: u64,
}

/// [`Begin`] as it is encoded.
#[derive(Serialize, Deserialize)]
struct EncodedBegin<'a> {
    number: u64,
    path: &'a str,
    size: u64,
    sha256: [u8; 32],
}

mod kind {
    pub(super) const BEGIN: u32 = 1;
    pub(super) const DATA: u32 = 2;
    pub(super) const END: u32 = 3;
    pub(super) const ROUND: u32 = 4;
}

/// What the reader had to skip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lost {
    /// The writer was more than a ring ahead.
    Overrun {
        /// Bytes that were skipped.
        bytes: u64,
    },
    /// The position went back, or is not where a frame can start.
    Position {
        /// Position that the reader was at.
        from: u64,
        /// Position that the region holds.
        to: u64,
    },
    /// What is at this position is no frame, or one that was damaged.
    Damaged {
        /// Position of the frame.
        position: u64,
        /// Bytes that were skipped.
        bytes: u64,
    },
}

/// The writer's end.
#[derive(Debug)]
pub struct Writer<R> {
    region: R,
    ring: u64,
    position: u64,
    signalled: u64,
    frame: [u8; PAYLOAD_MAX],
}

impl<R: RegionMut> Writer<R> {
    /// The writing end of the stream in `region`. It goes on where an earlier writer stopped, so
    /// that a restarted component does not repeat positions.
    pub fn new(region: R) -> Result<Self, OutOfRange> {
        let ring = ring_size(&region)?;
        let position = aligned(region.load(POSITION)?);
        Ok(Self {
            region,
            ring,
            position,
            signalled: position,
            frame: [0; PAYLOAD_MAX],
        })
    }

    /// Whether the reader must be signalled before the next frame: with it, more than half a ring
    /// might be unread.
    pub fn is_due(&self) -> bool {
        self.position - self.signalled + (HEADER_SIZE + PAYLOAD_MAX) as u64 > self.ring / 2
    }

    /// Says that the reader was signalled.
    pub const fn signalled(&mut self) {
        self.signalled = self.position;
    }

    /// Writes the beginning of an object.
    pub fn begin(&mut self, object: &Begin) -> Result<(), OutOfRange> {
        let encoded = EncodedBegin {
            number: object.number,
            path: object.path.as_str(),
            size: object.size,
            sha256: object.sha256,
        };
        self.encode(kind::BEGIN, &encoded)
    }

    /// Writes the next bytes of the object: of the `length` bytes of `source` from `offset` on, at
    /// most [`PAYLOAD_MAX`]. The result says how many were written.
    pub fn data(
        &mut self,
        source: &impl Region,
        offset: usize,
        length: usize,
    ) -> Result<usize, OutOfRange> {
        let length = length.min(PAYLOAD_MAX);
        source.read(offset, &mut self.frame[..length])?;
        self.write(kind::DATA, length)?;
        Ok(length)
    }

    /// Writes that the object is complete.
    pub fn end(&mut self) -> Result<(), OutOfRange> {
        self.write(kind::END, 0)
    }

    /// Writes the end of a round.
    pub fn round(&mut self, round: Round) -> Result<(), OutOfRange> {
        self.encode(kind::ROUND, &round)
    }

    fn encode(&mut self, kind: u32, value: &impl Serialize) -> Result<(), OutOfRange> {
        let length = postcard::to_slice(value, &mut self.frame)
            .expect("a page holds the longest path and its fields; tested")
            .len();
        self.write(kind, length)
    }

    /// Writes the first `length` bytes of the frame buffer as a frame, then moves the position.
    fn write(&mut self, kind: u32, length: usize) -> Result<(), OutOfRange> {
        let padded = length.next_multiple_of(ALIGNMENT);
        self.frame[length..padded].fill(0);
        let mut header = Header {
            position: U64::new(self.position),
            length: U32::new(length as u32),
            kind: U32::new(kind),
            reserved: U32::ZERO,
            check: U32::ZERO,
        };
        header.check = U32::new(header.computed_check(&self.frame[..padded]));
        let payload_at = self.position + HEADER_SIZE as u64;
        write_at(
            &mut self.region,
            self.ring,
            self.position,
            header.as_bytes(),
        )?;
        write_at(
            &mut self.region,
            self.ring,
            payload_at,
            &self.frame[..padded],
        )?;
        self.position = payload_at + padded as u64;
        self.region.store(POSITION, self.position)
    }
}

/// The reader's end.
#[derive(Debug)]
pub struct Reader<R> {
    region: R,
    ring: u64,
    /// Position of the next frame.
    next: u64,
    /// The position that the writer had reached at the last poll.
    limit: u64,
}

impl<R: Region> Reader<R> {
    /// The reading end of the stream in `region`. Where the beginning of the stream is no longer in
    /// the ring, it starts with what comes next.
    pub fn new(region: R) -> Result<Self, OutOfRange> {
        let ring = ring_size(&region)?;
        let position = region.load(POSITION)?;
        let next = if position <= ring {
            0
        } else {
            aligned(position)
        };
        Ok(Self {
            region,
            ring,
            next,
            limit: next,
        })
    }

    /// Whether the reader started at the beginning of the stream.
    pub const fn is_at_start(&self) -> bool {
        self.next == 0
    }

    /// Looks how far the writer is. Then [`next`](Self::next) gives the frames up to there.
    pub fn poll(&mut self) -> Result<(), Lost> {
        let from = self.next;
        // The load cannot fail: the region held the first page when the reader was made.
        let to = self.region.load(POSITION).unwrap_or(from);
        if to < from || aligned(to) != to {
            self.skip_to(aligned(to));
            return Err(Lost::Position { from, to });
        }
        if to - from > self.ring {
            self.skip_to(to);
            return Err(Lost::Overrun { bytes: to - from });
        }
        self.limit = to;
        Ok(())
    }

    /// Copies the next frame into `buffer`; `None` where the last poll found no more. After an
    /// error, too, there are no more until the next poll.
    pub fn next<'b>(
        &mut self,
        buffer: &'b mut [u8; PAYLOAD_MAX],
    ) -> Result<Option<Frame<'b>>, Lost> {
        let position = self.next;
        if position == self.limit {
            return Ok(None);
        }
        match self.frame(buffer) {
            Some(frame) => Ok(Some(frame)),
            None => Err(self.damaged(position)),
        }
    }

    /// Reads the frame at the next position and moves on; `None` where there is none.
    fn frame<'b>(&mut self, buffer: &'b mut [u8; PAYLOAD_MAX]) -> Option<Frame<'b>> {
        let left = usize::try_from(self.limit - self.next).ok()?;
        let mut header = Header::new_zeroed();
        if left < HEADER_SIZE {
            return None;
        }
        read_at(&self.region, self.ring, self.next, header.as_mut_bytes()).ok()?;
        let length = usize::try_from(header.length.get()).ok()?;
        if length > PAYLOAD_MAX || left - HEADER_SIZE < length.next_multiple_of(ALIGNMENT) {
            return None;
        }
        let padded = &mut buffer[..length.next_multiple_of(ALIGNMENT)];
        read_at(
            &self.region,
            self.ring,
            self.next + HEADER_SIZE as u64,
            padded,
        )
        .ok()?;
        if header.position.get() != self.next || header.check.get() != header.computed_check(padded)
        {
            return None;
        }
        let size = HEADER_SIZE + padded.len();
        let frame = Frame::decode(&header, &buffer[..length])?;
        self.next += size as u64;
        Some(frame)
    }

    fn damaged(&mut self, position: u64) -> Lost {
        let ahead = self.region.load(POSITION).unwrap_or(self.limit);
        let bytes = self.limit - position;
        self.skip_to(self.limit);
        if ahead.wrapping_sub(position) > self.ring {
            return Lost::Overrun { bytes };
        }
        Lost::Damaged { position, bytes }
    }

    const fn skip_to(&mut self, position: u64) {
        self.next = position;
        self.limit = position;
    }
}

impl Header {
    /// The check over the header, its own field as zero, and the padded payload.
    fn computed_check(&self, padded: &[u8]) -> u32 {
        let unchecked = Self {
            check: U32::ZERO,
            ..self.clone()
        };
        let mut check = CHECK.digest();
        check.update(unchecked.as_bytes());
        check.update(padded);
        check.finalize()
    }
}

impl<'b> Frame<'b> {
    fn decode(header: &Header, payload: &'b [u8]) -> Option<Self> {
        if header.reserved.get() != 0 {
            return None;
        }
        match (header.kind.get(), payload) {
            (kind::BEGIN, _) => {
                let encoded: EncodedBegin<'_> = exactly(payload)?;
                Some(Self::Begin(Begin {
                    number: encoded.number,
                    path: DocumentPath::new(encoded.path).ok()?,
                    size: encoded.size,
                    sha256: encoded.sha256,
                }))
            }
            (kind::DATA, _) => Some(Self::Data(payload)),
            (kind::END, []) => Some(Self::End),
            (kind::ROUND, _) => exactly(payload).map(Self::Round),
            _ => None,
        }
    }
}

/// Decodes a value that takes all of `bytes`.
fn exactly<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

const fn aligned(position: u64) -> u64 {
    position - position % ALIGNMENT as u64
}

fn ring_size(region: &impl Region) -> Result<u64, OutOfRange> {
    let size = region.size();
    let ring = size.saturating_sub(RING_OFFSET);
    if ring < RING_MIN {
        return Err(OutOfRange {
            offset: RING_OFFSET,
            length: RING_MIN,
            size,
        });
    }
    Ok(aligned(ring as u64))
}

/// Where the stream's byte at `position` lies, and how many bytes there are before the ring's end.
fn place(ring: u64, position: u64) -> (usize, usize) {
    let at = position % ring;
    (RING_OFFSET + at as usize, (ring - at) as usize)
}

fn read_at(
    region: &impl Region,
    ring: u64,
    position: u64,
    buffer: &mut [u8],
) -> Result<(), OutOfRange> {
    let (offset, room) = place(ring, position);
    let (head, tail) = buffer.split_at_mut(room.min(buffer.len()));
    region.read(offset, head)?;
    region.read(RING_OFFSET, tail)
}

fn write_at(
    region: &mut impl RegionMut,
    ring: u64,
    position: u64,
    bytes: &[u8],
) -> Result<(), OutOfRange> {
    let (offset, room) = place(ring, position);
    let (head, tail) = bytes.split_at(room.min(bytes.len()));
    region.write(offset, head)?;
    region.write(RING_OFFSET, tail)
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overrun { bytes } => {
                write!(f, "{bytes} bytes were overwritten before they were read")
            }
            Self::Position { from, to } => write!(f, "the stream jumped from byte {from} to {to}"),
            Self::Damaged { position, bytes } => {
                write!(
                    f,
                    "no valid frame at byte {position}; {bytes} bytes skipped"
                )
            }
        }
    }
}

impl core::error::Error for Lost {}

#[cfg(test)]
mod tests;
