//! The rules of the disk, without system calls.

use core::fmt;

use crate::{
    BLOCK, Block, Disk, DiskError, Extent, Header, HeaderError, Mark, Marks,
    api::{self, Area, Info, RUN_MAX},
    disk::check,
    layout::Span,
    marks::Found,
    wire::SECTOR,
};

/// Blocks that a client appends to a region at most between two flushes: a cut may leave any of
/// them, and none of those before it.
pub const UNDER_WAY_MAX: u64 = RUN_MAX;

/// The append regions.
const LOGS: [Area; 2] = [Area::Grants, Area::Worm];

/// A disk under the driver's rules.
#[derive(Debug)]
pub struct Driver<D> {
    disk: D,
    open: Option<Open>,
    /// An append, a write of the marks or a flush failed: nothing is written any more.
    stopped: bool,
}

#[derive(Debug)]
struct Open {
    header: Header,
    marks: Marks,
    /// The marks as they were last written.
    stored: Marks,
    /// The marks as they were when the disk was opened: our flushes say nothing of what is below.
    found: Marks,
    /// The last block of each append region, where we wrote it.
    tails: [Option<Block>; 2],
}

/// What opening the disk found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The disk's header.
    pub header: Header,
    /// How far the append regions are written: grant log, ledger.
    pub extents: [Extent; 2],
    /// The first header could not be used; its copy was.
    pub header_from_copy: bool,
    /// Mark blocks that could be used, of two. With none, the append regions count as full.
    pub mark_blocks: u8,
}

/// Why the disk cannot be served at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// There is no device, or one without a block.
    NoDisk,
    /// There is no header that can be used.
    Header(HeaderError),
    /// A block that had to be looked at could not be read.
    Disk(DiskError),
}

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The disk is not open.
    NoDisk,
    /// The blocks do not all lie in the region.
    OutOfRange {
        /// The region.
        area: Area,
        /// First block asked for.
        first: u64,
        /// How many.
        count: u64,
        /// Blocks of the region.
        length: u64,
    },
    /// An append that does not begin at the mark, nor goes on in the block before it.
    NotAtMark {
        /// The region.
        area: Area,
        /// First block asked for.
        first: u64,
        /// The mark.
        mark: Mark,
    },
    /// An append that does not fit.
    Full {
        /// The region.
        area: Area,
        /// How many blocks were to be appended.
        count: u64,
        /// How many are left.
        left: u64,
    },
    /// An append of a block that is all zero: it could not be told from one never written.
    VoidBlock {
        /// The region.
        area: Area,
    },
    /// The blocks do not lie in the shared buffer, or are none, or too many for one request.
    Buffer {
        /// Where in the buffer, in blocks.
        at: u64,
        /// How many.
        count: u64,
        /// Blocks of the buffer.
        size: u64,
    },
    /// The device failed.
    Device(DiskError),
    /// An append or a flush failed earlier.
    Stopped,
}

impl<D: Disk> Driver<D> {
    /// A driver that has not looked at its disk yet.
    pub const fn new(disk: D) -> Self {
        Self {
            disk,
            open: None,
            stopped: false,
        }
    }

    /// The disk itself: past the rules, so for who owns the driver only.
    pub const fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Reads header and marks. `scratch` holds the blocks it looks at.
    pub fn open(&mut self, scratch: &mut Block) -> Result<Opened, OpenError> {
        if self.disk.blocks() == 0 {
            return Err(OpenError::NoDisk);
        }
        let (header, header_from_copy) =
            Header::load(&mut self.disk, scratch).map_err(OpenError::Header)?;
        let (marks, mark_blocks) = match Marks::load(&mut self.disk, &header, scratch) {
            Found::Both(marks) => (self.settle(&header, marks, scratch)?, 2),
            Found::One(marks) => (self.settle(&header, marks, scratch)?, 1),
            Found::None => (Marks::full(&header), 0),
        };
        self.open = Some(Open {
            header,
            marks,
            stored: marks,
            found: marks,
            tails: [None; 2],
        });
        Ok(Opened {
            header,
            extents: LOGS.map(|area| marks.of(area).unwrap_or_default()),
            header_from_copy,
            mark_blocks,
        })
    }

    /// What the disk is like.
    pub fn info(&self) -> Result<Info, Refused> {
        let Open { header, marks, .. } = self.open.as_ref().ok_or(Refused::NoDisk)?;
        let [grants, worm] = LOGS.map(|area| marks.of(area).unwrap_or_default());
        Ok(Info {
            id: *header.id(),
            lengths: Area::ALL.map(|area| header.length(area)),
            grants,
            worm,
        })
    }

    /// Whether `count` blocks of a region from `first` on may be read.
    pub fn may_read(&self, area: Area, first: u64, count: u64) -> Result<(), Refused> {
        let header = &self.open.as_ref().ok_or(Refused::NoDisk)?.header;
        let length = header.length(area);
        match first.checked_add(count) {
            Some(end) if end <= length => Ok(()),
            _ => Err(Refused::OutOfRange {
                area,
                first,
                count,
                length,
            }),
        }
    }

    /// Whether `count` blocks from `first` on may be written: anywhere in the vault's region; in an append
    /// region at the mark, or from the block before it on, if the content only adds to that.
    pub fn may_write(&self, area: Area, first: u64, count: u64) -> Result<(), Refused> {
        let open = self.open.as_ref().ok_or(Refused::NoDisk)?;
        if self.stopped {
            return Err(Refused::Stopped);
        }
        let Some(Extent { mark, .. }) = open.marks.of(area) else {
            return self.may_read(area, first, count);
        };
        let goes_on = open.tail(area).is_some() && Some(first) == mark.checked_sub(1);
        if first != mark && !goes_on {
            return Err(Refused::NotAtMark { area, first, mark });
        }
        let left = open.header.length(area) - first;
        if count > left {
            return Err(Refused::Full { area, count, left });
        }
        Ok(())
    }

    /// Reads blocks of a region.
    pub fn read(&mut self, area: Area, first: u64, data: &mut [u8]) -> Result<(), Refused> {
        let count = whole(data)?;
        self.may_read(area, first, count)?;
        let start = self.start(area)?;
        self.disk.read(start + first, data).map_err(Refused::Device)
    }

    /// Sectors that the first of these blocks has already: none of them may change.
    fn kept(&self, area: Area, first: u64, data: &[u8]) -> Result<usize, Refused> {
        let open = self.open.as_ref().ok_or(Refused::NoDisk)?;
        let mark = open.marks.of(area).map(|extent| extent.mark);
        let Some((mark, tail)) = mark.filter(|mark| first < *mark).zip(open.tail(area)) else {
            return Ok(0);
        };
        let used = tail.chunks(SECTOR).rposition(|sector| !is_void(sector));
        let kept = used.map_or(0, |last| (last + 1) * SECTOR);
        if kept < BLOCK && data.get(..kept) == tail.get(..kept) {
            Ok(kept / SECTOR)
        } else {
            Err(Refused::NotAtMark { area, first, mark })
        }
    }

    /// Has the disk say that a block is in doubt before more is put into it: who sees that sees this.
    fn in_doubt_again(&mut self, area: Area, first: u64) -> Result<(), DiskError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let stored = open.stored.of(area);
        if stored.is_none_or(|stored| stored.flushed <= first) {
            return Ok(());
        }
        let mark = open.marks.of(area).map_or(first, |extent| extent.mark);
        open.marks.written(area, first, mark);
        open.marks.store(&mut self.disk)?;
        open.stored = open.marks;
        Ok(())
    }

    /// Writes blocks of the vault's region, or appends blocks to one of the others.
    pub fn write(&mut self, area: Area, first: u64, data: &[u8]) -> Result<(), Refused> {
        let count = whole(data)?;
        self.may_write(area, first, count)?;
        let kept = self.kept(area, first, data)?;
        if area != Area::Vault && data.chunks(BLOCK).any(is_void) {
            return Err(Refused::VoidBlock { area });
        }
        let start = self.start(area)?;
        let in_doubt = self.in_doubt_again(area, first);
        let written = in_doubt.and_then(|()| self.disk.write_behind(start + first, kept, data));
        if let Err(error) = written {
            // Of a log nobody knows what it holds now, and so nothing counts that would follow it.
            self.stopped |= area != Area::Vault;
            return Err(Refused::Device(error));
        }
        if let Some(open) = &mut self.open {
            open.marks.written(area, first, first + count);
            if let Some(tail) = LOGS.iter().position(|log| *log == area) {
                open.tails[tail] = data.last_chunk().copied();
            }
        }
        Ok(())
    }

    /// Makes everything written before durable, marks included.
    pub fn flush(&mut self) -> Result<(), Refused> {
        let open = self.open.as_mut().ok_or(Refused::NoDisk)?;
        if self.stopped {
            return Err(Refused::Stopped);
        }
        let marks = if open.marks == open.stored {
            Ok(())
        } else {
            open.marks.store(&mut self.disk)
        };
        match marks.and_then(|()| self.disk.flush()) {
            Ok(()) => {
                open.stored = open.marks;
                open.marks.flushed(&open.found);
                Ok(())
            }
            Err(error) => {
                self.stopped = true;
                Err(Refused::Device(error))
            }
        }
    }

    fn start(&self, area: Area) -> Result<u64, Refused> {
        let open = self.open.as_ref().ok_or(Refused::NoDisk)?;
        Ok(open.header.start(area))
    }

    /// Puts each mark right behind the last block that holds anything: see [`crate::marks`].
    fn settle(
        &mut self,
        header: &Header,
        mut marks: Marks,
        scratch: &mut Block,
    ) -> Result<Marks, OpenError> {
        for area in LOGS {
            let Span { start, length } = header.span(area);
            let Extent { mut mark, flushed } = marks.of(area).unwrap_or_default();
            let mut is_void = |block| {
                self.disk
                    .read(start + block, scratch)
                    .map_err(OpenError::Disk)?;
                Ok(is_void(scratch))
            };
            while mark > flushed && is_void(mark - 1)? {
                mark -= 1;
            }
            let mut next = mark;
            // What was not flushed may be there with gaps: see `UNDER_WAY_MAX`.
            while next < length.min(mark.saturating_add(UNDER_WAY_MAX)) {
                next += 1;
                if !is_void(next - 1)? {
                    mark = next;
                }
            }
            marks.set(area, mark);
        }
        Ok(marks)
    }
}

impl Open {
    /// The last block of an append region, if we wrote it.
    fn tail(&self, area: Area) -> Option<&Block> {
        let log = LOGS.iter().position(|log| *log == area)?;
        self.tails[log].as_ref()
    }
}

fn is_void(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

fn whole(data: &[u8]) -> Result<u64, Refused> {
    check(0, data.len(), u64::MAX).map_err(Refused::Device)
}

impl Refused {
    /// The code that goes back to the client.
    pub const fn code(self) -> u64 {
        match self {
            Self::NoDisk => api::NO_DISK,
            Self::OutOfRange { .. } => api::OUT_OF_RANGE,
            Self::NotAtMark { .. } => api::NOT_AT_MARK,
            Self::Full { .. } => api::FULL,
            Self::VoidBlock { .. } => api::VOID_BLOCK,
            Self::Buffer { .. } => api::BUFFER,
            Self::Stopped => api::STOPPED,
            Self::Device(DiskError::Read { .. }) => api::READ_FAILED,
            Self::Device(DiskError::Flush) => api::FLUSH_FAILED,
            Self::Device(_) => api::WRITE_FAILED,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDisk => f.write_str("the disk is not open"),
            Self::OutOfRange {
                area,
                first,
                count,
                length,
            } => write!(
                f,
                "{count} blocks from {first} on do not lie in region {} of {length} blocks",
                area.name()
            ),
            Self::NotAtMark { area, first, mark } => write!(
                f,
                "region {} is append-only: the next block is {mark}, not {first}",
                area.name()
            ),
            Self::Full { area, count, left } => write!(
                f,
                "region {} is full: {count} blocks to append, {left} left; keep this disk, and go on \
                 with a new one",
                area.name()
            ),
            Self::VoidBlock { area } => write!(
                f,
                "a block of zeros cannot be appended to region {}: it reads as never written",
                area.name()
            ),
            Self::Buffer { at, count, size } => write!(
                f,
                "{count} blocks at {at} are not 1 to {} in the shared buffer of {size} blocks",
                api::RUN_MAX
            ),
            Self::Device(error) => write!(f, "the device failed: {error}"),
            Self::Stopped => DiskError::Stopped.fmt(f),
        }
    }
}

impl core::error::Error for Refused {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDisk => f.write_str(
                "there is none at the registers that system.xml gives: attach it there and boot again",
            ),
            Self::Header(error) => error.fmt(f),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}
