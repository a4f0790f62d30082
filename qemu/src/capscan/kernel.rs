//! Where a kernel keeps its slots, and what lies in one.
//!
//! The layouts are seL4 16.0.0's on 64 bits, with MCS:
//!
//! - a slot (`cte`) is two words of capability and two of derivation tree: `include/object/structures.h`,
//!   and `structures_64.bf`, whose blocks begin with the highest bit of the last word;
//! - how much of a pointer is kept: `base` in `include/arch/*/arch/64/mode/object/structures.bf`;
//! - where the kernel sees physical memory: `PPTR_BASE` in `include/arch/*/arch/64/mode/hardware.h`.

use std::fmt;
use std::fs;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSymbol as _};
use portcullis_kernel::Rights;

use crate::{Board, Error, Image, Memory};

/// Bytes of a slot (`seL4_SlotBits`).
pub const SLOT: u64 = 1 << 5;

/// A kernel that runs on a board: how it sees memory, and where its variables are.
#[derive(Debug)]
pub struct Kernel {
    board: Board,
    program: Segment,
    /// The slots with the notifications that interrupts signal (`intStateIRQNode`).
    pub(super) interrupts: Symbol,
    current_thread: Symbol,
    idle_thread: Symbol,
}

/// The kernel's own program in memory, at addresses of its own.
#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    size: u64,
    physical: u64,
}

/// A variable of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    pub(super) address: u64,
    pub(super) size: u64,
}

/// A slot with a capability in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// What it holds.
    pub capability: Capability,
    /// Address of the slot before it in the derivation tree; 0: none.
    pub previous: u64,
    /// Address of the slot after it.
    pub next: u64,
}

/// A capability, as it lies in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capability {
    /// What it is to.
    pub kind: Kind,
    /// Address of the object; 0 where the kind has none, or none that matters here.
    pub object: u64,
    /// The badge; 0 where the kind has none.
    pub badge: u64,
    /// The rights; all of them where the kind has none.
    pub rights: Rights,
}

/// Kinds of capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A reply object.
    Reply,
    /// A CNode.
    CNode {
        /// Bits that it resolves.
        radix: u8,
        /// Bits of the guard.
        guard_bits: u8,
        /// The guard.
        guard: u64,
    },
    /// A thread.
    Tcb,
    /// The handler of the interrupt with this number.
    IrqHandler(u64),
    /// A scheduling context.
    SchedContext,
    /// Any other: its number in `structures.bf`.
    Other(u8),
}

impl Kernel {
    /// Reads where things are out of the ELF file of an image's kernel.
    pub fn of(image: &Image) -> Result<Self, Error> {
        let path = &image.kernel;
        let bytes = fs::read(path).map_err(Error::file("read", path))?;
        let bad = |what: String| Error::Capscan(format!("{}: {what}", path.display()));
        let elf = ElfFile64::<LittleEndian>::parse(bytes.as_slice());
        let elf = elf.map_err(|error| bad(error.to_string()))?;
        let symbol = |name: &str| {
            let symbol = elf.symbol_by_name(name);
            let symbol = symbol.ok_or_else(|| bad(format!("it has no symbol {name}")))?;
            let (address, size) = (symbol.address(), symbol.size());
            Ok::<_, Error>(Symbol { address, size })
        };
        let mut segments = elf.elf_program_headers().iter();
        let program = segments.find(|it| it.p_type(LittleEndian) == PT_LOAD);
        let program = program.ok_or_else(|| bad("it has nothing to load".to_owned()))?;
        Ok(Self {
            board: image.board,
            program: Segment {
                address: program.p_vaddr(LittleEndian),
                size: program.p_memsz(LittleEndian),
                physical: program.p_paddr(LittleEndian),
            },
            interrupts: symbol("intStateIRQNode")?,
            current_thread: symbol("ksCurThread")?,
            idle_thread: symbol("ksIdleThread")?,
        })
    }

    /// Whether nothing runs, so that no operation of the kernel is half done. `word` reads the RAM at a
    /// physical address.
    pub fn is_idle<E>(&self, word: impl Fn(u64) -> Result<u64, E>) -> Result<bool, E> {
        let idle = word(self.physical(self.idle_thread.address))?;
        let current = word(self.physical(self.current_thread.address))?;
        // Before the kernel has started both are 0.
        Ok(current == idle && idle != 0)
    }

    /// The physical address of what the kernel sees at an address.
    pub fn physical(&self, address: u64) -> u64 {
        match address.checked_sub(self.program.address) {
            Some(offset) if offset < self.program.size => self.program.physical + offset,
            _ => address.wrapping_sub(self.window()),
        }
    }

    /// The address at which the kernel sees physical memory.
    pub(super) fn virtual_address(&self, physical: u64) -> u64 {
        physical.wrapping_add(self.window())
    }

    /// The slot at an address; `None`: it is empty.
    pub fn slot(&self, memory: &Memory, address: u64) -> Option<Slot> {
        let at = self.physical(address);
        let [low, high, previous, next] = [0, 8, 16, 24].map(|offset| memory.word(at + offset));
        Some(Slot {
            capability: self.capability(low, high)?,
            previous,
            // Its lowest two bits are flags.
            next: self.pointer(next & !3),
        })
    }

    /// Decodes the two words of a capability; `None`: a null capability.
    pub(super) fn capability(&self, low: u64, high: u64) -> Option<Capability> {
        let has = |bit: u32| low >> bit & 1 == 1;
        let whole = |kind, object| (kind, object, 0, Rights::ALL);
        let (kind, object, badge, rights) = match low >> 59 {
            0 => return None,
            4 => {
                let rights = Rights {
                    write: has(55),
                    read: has(56),
                    grant: has(57),
                    grant_reply: has(58),
                };
                (Kind::Endpoint, self.pointer(low), high, rights)
            }
            6 => {
                let rights = Rights {
                    write: has(57),
                    read: has(58),
                    ..Rights::NONE
                };
                (Kind::Notification, self.pointer(low), high, rights)
            }
            8 => whole(Kind::Reply, high),
            10 => {
                let kind = Kind::CNode {
                    radix: (low >> 47) as u8 & 0x3f,
                    guard_bits: (low >> 53) as u8 & 0x3f,
                    guard: high,
                };
                whole(kind, self.pointer(low << 1 & ((1 << 48) - 1)))
            }
            12 => {
                // The middle of the TCB object, whose slots are at its start, a multiple of its size.
                let middle = self.pointer(low);
                whole(Kind::Tcb, middle & middle.wrapping_sub(1))
            }
            16 => whole(Kind::IrqHandler(high & 0xfff), 0),
            22 => whole(Kind::SchedContext, self.pointer(high >> 16)),
            other => whole(Kind::Other(other as u8), 0),
        };
        Some(Capability {
            kind,
            object,
            badge,
            rights,
        })
    }

    /// A pointer, of which a field keeps 48 bits on aarch64, and 39 on riscv64 where the highest says
    /// what is above it.
    fn pointer(&self, field: u64) -> u64 {
        match self.board {
            Board::Aarch64 => field & ((1 << 48) - 1),
            Board::Riscv64 => ((field << 25) as i64 >> 25) as u64,
        }
    }

    /// Where the kernel sees physical address 0.
    fn window(&self) -> u64 {
        match self.board {
            // The SDK's kernel for this board runs at EL2.
            Board::Aarch64 => 0x80_0000_0000,
            Board::Riscv64 => 0xffff_ffc0_0000_0000,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint => f.write_str("an endpoint"),
            Self::Notification => f.write_str("a notification"),
            Self::Reply => f.write_str("a reply object"),
            Self::CNode {
                radix,
                guard_bits,
                guard,
            } => write!(
                f,
                "a CNode (radix {radix}, guard {guard:#x} of {guard_bits} bits)"
            ),
            Self::Tcb => f.write_str("a thread"),
            Self::IrqHandler(number) => write!(f, "the handler of IRQ {number}"),
            Self::SchedContext => f.write_str("a scheduling context"),
            Self::Other(kind) => write!(f, "a capability of type {kind}"),
        }
    }
}
