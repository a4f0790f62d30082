//! CNode invocations.
//!
//! Follows `decodeCNodeInvocation` of `src/object/cnode.c`, check by check.

use crate::derivation::SlotIndex;
use crate::error::SyscallError;
use crate::invocation::{Extras, label, rights_of};
use crate::kernel::{Done, Kernel};
use crate::thread::State;
use crate::{Capability, LookupFault, ThreadId};

/// Words that the longest CNode invocation, Rotate, takes.
const MOST_WORDS: usize = 8;

/// The words of an invocation.
struct Arguments {
    words: [u64; MOST_WORDS],
    length: usize,
}

impl Arguments {
    /// Word `index`, once there are known to be more than that.
    fn require(&self, count: usize) -> Result<(), SyscallError> {
        if self.length < count {
            return Err(SyscallError::TruncatedMessage);
        }
        Ok(())
    }
}

impl Kernel {
    /// Invokes the CNode `root` with the thread's message and extra capabilities.
    pub(crate) fn invoke_cnode(
        &mut self,
        thread: ThreadId,
        root: Capability,
        extras: Extras,
        done: Done<'_>,
    ) -> Result<(), SyscallError> {
        let message = &self.thread(thread).message;
        let invoked = message.label();
        if !(label::CNODE_REVOKE..=label::CNODE_ROTATE).contains(&invoked) {
            return Err(SyscallError::IllegalOperation);
        }
        let arguments = Arguments {
            words: core::array::from_fn(|index| message.word(index)),
            length: message.words().len(),
        };
        arguments.require(2)?;
        let [index, depth, ..] = arguments.words;
        let slot = self.lookup_for_cnode(false, root, index, depth)?;
        match invoked {
            label::CNODE_REVOKE => {
                self.set_state(thread, State::Restart);
                self.revoke_slot(slot, done);
            }
            label::CNODE_DELETE => {
                self.set_state(thread, State::Restart);
                self.delete_slot(slot, true, done);
            }
            label::CNODE_CANCEL_BADGED_SENDS => {
                let capability = self.slots.capability(slot);
                let Capability::Endpoint { object, badge, .. } = capability else {
                    return Err(SyscallError::IllegalOperation);
                };
                if !capability.may_cancel_sends() {
                    return Err(SyscallError::IllegalOperation);
                }
                self.set_state(thread, State::Restart);
                if badge.0 != 0 {
                    self.cancel_badged_sends(object, badge.0, done);
                }
            }
            label::CNODE_ROTATE => self.rotate(thread, &arguments, extras, slot)?,
            _ => self.fill(thread, invoked, &arguments, extras, slot)?,
        }
        Ok(())
    }

    /// Copy, Mint, Move and Mutate into `destination`.
    fn fill(
        &mut self,
        thread: ThreadId,
        invoked: u64,
        arguments: &Arguments,
        extras: Extras,
        destination: SlotIndex,
    ) -> Result<(), SyscallError> {
        arguments.require(4)?;
        let extra = extras.require(0)?;
        let [_, _, index, depth, first, second, ..] = arguments.words;
        if !self.slots.capability(destination).is_null() {
            return Err(SyscallError::DeleteFirst);
        }
        let root = self.slots.capability(extra);
        let source = self.lookup_for_cnode(true, root, index, depth)?;
        let held = self.slots.capability(source);
        if held.is_null() {
            return Err(empty(true, depth));
        }
        let radix = self.radix(held);
        let (capability, moves) = match invoked {
            label::CNODE_COPY => {
                arguments.require(5)?;
                (held.masked(rights_of(first)).derived(), false)
            }
            label::CNODE_MINT => {
                arguments.require(6)?;
                let masked = held.masked(rights_of(first));
                (masked.with_data(false, second, radix).derived(), false)
            }
            label::CNODE_MOVE => (held, true),
            _ => {
                arguments.require(5)?;
                (held.with_data(true, first, radix), true)
            }
        };
        if capability.is_null() {
            return Err(SyscallError::IllegalOperation);
        }
        self.set_state(thread, State::Restart);
        if moves {
            self.slots.relocate(capability, source, destination);
        } else {
            self.slots.insert(capability, source, destination);
        }
        Ok(())
    }

    /// Moves the source to the pivot's slot and the pivot to `destination`, each with a new guard where
    /// it is a CNode. Where the source is the destination, the two change places.
    fn rotate(
        &mut self,
        thread: ThreadId,
        arguments: &Arguments,
        extras: Extras,
        destination: SlotIndex,
    ) -> Result<(), SyscallError> {
        arguments.require(8)?;
        let pivot_root = self.slots.capability(extras.require(0)?);
        let source_root = self.slots.capability(extras.require(1)?);
        let [
            _,
            _,
            pivot_data,
            pivot_index,
            pivot_depth,
            source_data,
            source_index,
            source_depth,
        ] = arguments.words;
        let source = self.lookup_for_cnode(true, source_root, source_index, source_depth)?;
        // To the kernel, the lookup of a pivot is one of a source.
        let pivot = self.lookup_for_cnode(true, pivot_root, pivot_index, pivot_depth)?;
        if pivot == source || pivot == destination {
            return Err(SyscallError::IllegalOperation);
        }
        let [at_source, at_pivot, at_destination] =
            [source, pivot, destination].map(|slot| self.slots.capability(slot));
        if source != destination && !at_destination.is_null() {
            return Err(SyscallError::DeleteFirst);
        }
        if at_source.is_null() {
            return Err(empty(true, source_depth));
        }
        if at_pivot.is_null() {
            return Err(empty(false, pivot_depth));
        }
        let new_source = at_source.with_data(true, source_data, self.radix(at_source));
        let new_pivot = at_pivot.with_data(true, pivot_data, self.radix(at_pivot));
        if new_source.is_null() || new_pivot.is_null() {
            return Err(SyscallError::IllegalOperation);
        }
        self.set_state(thread, State::Restart);
        if source == destination {
            self.slots.swap(source, pivot);
            self.slots.replace(pivot, new_source);
            self.slots.replace(source, new_pivot);
        } else {
            self.slots.relocate(new_pivot, pivot, destination);
            self.slots.relocate(new_source, source, pivot);
        }
        Ok(())
    }

    /// The radix of a CNode; 0 of anything else.
    pub(crate) fn radix(&self, capability: Capability) -> u8 {
        match capability {
            Capability::CNode { object, .. } => self.cnode(object).1,
            _ => 0,
        }
    }
}

/// Why an empty slot, which was named with this depth, cannot be used.
const fn empty(of_source: bool, depth: u64) -> SyscallError {
    SyscallError::FailedLookup {
        of_source,
        fault: LookupFault::MissingCapability { bits_left: depth },
    }
}
