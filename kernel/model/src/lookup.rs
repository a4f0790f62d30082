//! Resolving capability pointers.
//!
//! Follows `src/kernel/cspace.c` (seL4 manual, "Capability Address Lookup").

use portcullis_kernel::CPtr;

use crate::capability::{WORD_BITS, low_bits};
use crate::derivation::SlotIndex;
use crate::error::SyscallError;
use crate::{Capability, Kernel, LookupFault, ThreadId};

impl Kernel {
    /// The slot that `pointer` names in the thread's CSpace (`lookupSlot`). Bits that are left
    /// where the way ends at something other than a CNode are ignored.
    pub(crate) fn lookup_slot(
        &self,
        thread: ThreadId,
        pointer: CPtr,
    ) -> Result<SlotIndex, LookupFault> {
        let root = self.slots.capability(self.thread(thread).cspace);
        let (slot, _) = self.resolve_address_bits(root, pointer.bits(), WORD_BITS)?;
        Ok(slot)
    }

    /// The slot that a CNode invocation names: all of `depth` bits must be used up
    /// (`lookupSlotForCNodeOp`).
    pub(crate) fn lookup_for_cnode(
        &self,
        of_source: bool,
        root: Capability,
        index: u64,
        depth: u64,
    ) -> Result<SlotIndex, SyscallError> {
        let failed = |fault| SyscallError::FailedLookup { of_source, fault };
        if !matches!(root, Capability::CNode { .. }) {
            return Err(failed(LookupFault::InvalidRoot));
        }
        if !(1..=WORD_BITS).contains(&depth) {
            return Err(SyscallError::Range {
                least: 1,
                most: WORD_BITS,
            });
        }
        match self.resolve_address_bits(root, index, depth) {
            Ok((slot, 0)) => Ok(slot),
            Ok((_, bits_left)) => Err(failed(LookupFault::DepthMismatch {
                bits_found: 0,
                bits_left,
            })),
            Err(fault) => Err(failed(fault)),
        }
    }

    /// Walks CNodes until `bits` are used up or something other than a CNode is met; gives that
    /// slot and the bits left (`resolveAddressBits`).
    fn resolve_address_bits(
        &self,
        root: Capability,
        pointer: u64,
        bits: u64,
    ) -> Result<(SlotIndex, u64), LookupFault> {
        let mut node = root;
        let mut bits_left = bits;
        let mut slot = None;
        loop {
            let Capability::CNode {
                object,
                guard,
                guard_size,
            } = node
            else {
                return slot
                    .map(|slot| (slot, bits_left))
                    .ok_or(LookupFault::InvalidRoot);
            };
            let (base, radix) = self.cnode(object);
            let (guard_size, radix) = (u64::from(guard_size), u64::from(radix));
            let found = pointer >> (bits_left.wrapping_sub(guard_size) & (WORD_BITS - 1))
                & low_bits(guard_size);
            if guard_size > bits_left || found != guard {
                return Err(LookupFault::GuardMismatch {
                    guard,
                    guard_size,
                    bits_left,
                });
            }
            let level_bits = radix + guard_size;
            if level_bits > bits_left {
                return Err(LookupFault::DepthMismatch {
                    bits_found: level_bits,
                    bits_left,
                });
            }
            bits_left -= level_bits;
            let offset = pointer >> bits_left & low_bits(radix);
            let at = SlotIndex(base.0 + offset as u32);
            if bits_left == 0 {
                return Ok((at, 0));
            }
            slot = Some(at);
            node = self.slots.capability(at);
        }
    }
}
