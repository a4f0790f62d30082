//! The interface `disk`: blocks of a region, by number.
//!
//! A request names the first block, counted from the start of the method's region, how many, and
//! where they lie in the buffer that client and driver share, in blocks too: a request cannot be
//! unaligned, and a region cannot be named, only granted. A write may ask for a flush after it, with a
//! fourth word that is 1. The vault's methods use the region `vault_disk` as buffer, all others
//! `ledger_disk`.

use portcullis_kernel::{CallGrant, Message, Method, Refusal, Syscalls};
use portcullis_manager_api::find_call;

use crate::{Block, DiskError, DiskId, Extent};

/// Name of the component that serves the interface, in the reference policy.
pub const OBJECT: &str = "blk";
/// Name of the interface.
pub const INTERFACE: &str = "disk";

/// What the disk is like. Reply: an [`Info`].
pub const INFO: Method = method(0);
/// Reads blocks of the vault's region.
pub const VAULT_READ: Method = method(1);
/// Writes blocks of the vault's region, which may be rewritten.
pub const VAULT_WRITE: Method = method(2);
/// Reads blocks of the grant log.
pub const GRANTS_READ: Method = method(3);
/// Appends blocks to the grant log.
pub const GRANTS_APPEND: Method = method(4);
/// Reads blocks of the ledger.
pub const WORM_READ: Method = method(5);
/// Appends blocks to the ledger.
pub const WORM_APPEND: Method = method(6);
/// Answers when everything written before is durable.
pub const FLUSH: Method = method(7);

/// Refusal: the run of blocks does not lie in the method's region: it would touch a foreign one.
pub const OUT_OF_RANGE: u64 = 1;
/// Refusal: an append that does not begin at the region's mark.
pub const NOT_AT_MARK: u64 = 2;
/// Refusal: the append does not fit; nothing of it was written.
pub const FULL: u64 = 3;
/// Refusal: the blocks do not lie in the shared buffer, or are none, or more than [`RUN_MAX`].
pub const BUFFER: u64 = 4;
/// Refusal: the device could not read.
pub const READ_FAILED: u64 = 5;
/// Refusal: the device could not write; the blocks may hold old content, new, or parts of both.
pub const WRITE_FAILED: u64 = 6;
/// Refusal: the device could not flush; what was written since the last flush may be lost.
pub const FLUSH_FAILED: u64 = 7;
/// Refusal: an append or a flush failed earlier; nothing is written any more.
pub const STOPPED: u64 = 8;
/// Refusal: the disk could not be opened; the console says why.
pub const NO_DISK: u64 = 9;
/// Refusal: an append of a block of zeros, which could not be told from one never written.
pub const VOID_BLOCK: u64 = 10;

/// Most blocks of a request, 256 KiB: what the shared buffers of `system.xml` hold. The driver takes a
/// request out of the buffer as a whole before it looks at it, so that it is done or refused as a
/// whole, whatever its client does to the buffer meanwhile.
pub const RUN_MAX: u64 = 64;
/// Bytes of the largest request.
pub(crate) const RUN_BYTES: usize = RUN_MAX as usize * size_of::<Block>();

const fn method(number: u8) -> Method {
    match Method::new(number) {
        Some(method) => method,
        None => panic!("method numbers are below 32"),
    }
}

/// A region of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Area {
    /// Documents; may be rewritten.
    Vault = 0,
    /// The grant log; append-only.
    Grants = 1,
    /// The ledger; append-only.
    Worm = 2,
}

impl Area {
    /// All of them, in the order in which they lie on the disk.
    pub const ALL: [Area; 3] = [Area::Vault, Area::Grants, Area::Worm];

    /// The method that reads it.
    pub const fn read_method(self) -> Method {
        match self {
            Self::Vault => VAULT_READ,
            Self::Grants => GRANTS_READ,
            Self::Worm => WORM_READ,
        }
    }

    /// The method that writes it, or appends to it.
    pub const fn write_method(self) -> Method {
        match self {
            Self::Vault => VAULT_WRITE,
            Self::Grants => GRANTS_APPEND,
            Self::Worm => WORM_APPEND,
        }
    }

    /// Its name, as the policy's methods and the console say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Grants => "grants",
            Self::Worm => "worm",
        }
    }
}

/// A run of blocks, in a region and in the shared buffer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Run {
    /// First block, from the start of the region.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Where they lie in the buffer, in blocks.
    pub at: u64,
}

impl Run {
    /// The words of the request.
    pub const fn words(self) -> [u64; 3] {
        [self.first, self.count, self.at]
    }

    /// Reads a request, and whether a flush is to follow; `None` where it is of another shape.
    pub const fn from_words(words: &[u64]) -> Option<(Self, bool)> {
        match *words {
            [first, count, at] => Some((Self { first, count, at }, false)),
            [first, count, at, 1] => Some((Self { first, count, at }, true)),
            _ => None,
        }
    }
}

/// What the disk is like: sizes in blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Info {
    /// The disk's id.
    pub id: DiskId,
    /// Blocks of the regions, in the order of [`Area::ALL`].
    pub lengths: [u64; 3],
    /// How far the grant log is written.
    pub grants: Extent,
    /// How far the ledger is written.
    pub worm: Extent,
}

impl Info {
    /// Blocks of a region.
    pub const fn length(&self, area: Area) -> u64 {
        self.lengths[area as usize]
    }

    /// How far an append region is written. The vault's counts as written to its end.
    pub const fn extent(&self, area: Area) -> Extent {
        match area {
            Area::Vault => Extent {
                mark: self.lengths[0],
                flushed: self.lengths[0],
            },
            Area::Grants => self.grants,
            Area::Worm => self.worm,
        }
    }

    /// The words of the reply.
    pub fn words(&self) -> [u64; 9] {
        let id = u128::from_le_bytes(self.id);
        let [vault, grants, worm] = self.lengths;
        [
            id as u64,
            (id >> 64) as u64,
            vault,
            grants,
            worm,
            self.grants.mark,
            self.grants.flushed,
            self.worm.mark,
            self.worm.flushed,
        ]
    }

    /// Reads a reply.
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let &[low, high, vault, grants, worm, ref extents @ ..] = words else {
            return None;
        };
        let &[g_mark, g_flushed, w_mark, w_flushed] = extents else {
            return None;
        };
        let extent = |mark, flushed| Extent { mark, flushed };
        Some(Self {
            id: (u128::from(high) << 64 | u128::from(low)).to_le_bytes(),
            lengths: [vault, grants, worm],
            grants: extent(g_mark, g_flushed),
            worm: extent(w_mark, w_flushed),
        })
    }
}

/// A client's end of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client(pub CallGrant);

impl Client {
    /// Asks the manager, on the caller's static channel with this id, for the caller's grant.
    pub fn find(kernel: &mut impl Syscalls, channel: u8) -> Result<Self, Refusal> {
        find_call(kernel, channel, OBJECT, INTERFACE).map(Self)
    }

    /// What the disk is like.
    pub fn info(self, kernel: &mut impl Syscalls) -> Result<Info, Refusal> {
        let mut message = Message::default();
        let words = self.0.call(kernel, INFO, &mut message)?;
        Info::from_words(words).ok_or(Refusal::Garbled)
    }

    /// Reads blocks into the shared buffer.
    pub fn read(self, kernel: &mut impl Syscalls, area: Area, run: Run) -> Result<(), Refusal> {
        self.request(kernel, area.read_method(), &run.words())
    }

    /// Writes blocks from the shared buffer, or appends them.
    pub fn write(self, kernel: &mut impl Syscalls, area: Area, run: Run) -> Result<(), Refusal> {
        self.request(kernel, area.write_method(), &run.words())
    }

    /// Writes or appends blocks, and waits until they and everything written before are durable.
    pub fn write_and_flush(
        self,
        kernel: &mut impl Syscalls,
        area: Area,
        run: Run,
    ) -> Result<(), Refusal> {
        let [first, count, at] = run.words();
        self.request(kernel, area.write_method(), &[first, count, at, 1])
    }

    /// Waits until everything written before is durable.
    pub fn flush(self, kernel: &mut impl Syscalls) -> Result<(), Refusal> {
        self.request(kernel, FLUSH, &[])
    }

    fn request(
        self,
        kernel: &mut impl Syscalls,
        method: Method,
        words: &[u64],
    ) -> Result<(), Refusal> {
        let mut message = Message::request(method, words);
        self.0.call(kernel, method, &mut message).map(drop)
    }
}

/// What a refusal means for a run of blocks.
pub(crate) fn disk_error(refusal: Refusal, run: Run, blocks: u64) -> DiskError {
    let Run { first, count, .. } = run;
    match refusal {
        Refusal::Object(OUT_OF_RANGE | FULL | BUFFER) => DiskError::OutOfRange {
            first,
            count,
            blocks,
        },
        Refusal::Object(NOT_AT_MARK) => DiskError::NotAtMark { first },
        Refusal::Object(READ_FAILED) => DiskError::Read { first },
        Refusal::Object(WRITE_FAILED) => DiskError::Write { first },
        Refusal::Object(FLUSH_FAILED) => DiskError::Flush,
        Refusal::Object(STOPPED) => DiskError::Stopped,
        Refusal::Object(_) | Refusal::Kernel(_) | Refusal::Garbled => DiskError::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_survives_the_wire() {
        let info = Info {
            id: *b"0123456789abcdef",
            lengths: [100, 20, 30],
            grants: Extent {
                mark: 7,
                flushed: 5,
            },
            worm: Extent {
                mark: 30,
                flushed: 30,
            },
        };
        assert_eq!(Info::from_words(&info.words()), Some(info));
        assert_eq!(Info::from_words(&info.words()[1..]), None);
        assert_eq!(info.extent(Area::Worm).mark, 30);
    }

    #[test]
    fn a_run_of_another_shape_is_refused() {
        assert_eq!(Run::from_words(&[1, 2]), None);
        assert_eq!(Run::from_words(&[1, 2, 3, 4]), None);
        assert_eq!(Run::from_words(&[1, 2, 3, 1, 1]), None);
        let run = Run {
            first: 1,
            count: 2,
            at: 3,
        };
        assert_eq!(Run::from_words(&run.words()), Some((run, false)));
        assert_eq!(Run::from_words(&[1, 2, 3, 1]), Some((run, true)));
    }
}
