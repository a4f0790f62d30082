//! CNode invocations.
//!
//! Follows `decodeCNodeInvocation` of `src/object/cnode.c`, check by check.

use crate::derivation::SlotIndex;
use crate::error::SyscallError;
use crate::invocation::{label, rights_of};
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
    /// Invokes the CNode `root` with the thread's message and at most one extra capability.
    pub(crate) fn invoke_cnode(
        &mut self,
        thread: ThreadId,
        root: Capability,
        extra: Option<SlotIndex>,
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
            // Rotate needs two extra capabilities, which no system call of the model brings.
            label::CNODE_ROTATE => return Err(SyscallError::TruncatedMessage),
            _ => self.fill(thread, invoked, &arguments, extra, slot)?,
        }
        Ok(())
    }

    /// Copy, Mint, Move and Mutate into `destination`.
    fn fill(
        &mut self,
        thread: ThreadId,
        invoked: u64,
        arguments: &Arguments,
        extra: Option<SlotIndex>,
        destination: SlotIndex,
    ) -> Result<(), SyscallError> {
        arguments.require(4)?;
        let extra = extra.ok_or(SyscallError::TruncatedMessage)?;
        let [_, _, index, depth, first, second, ..] = arguments.words;
        if !self.slots.capability(destination).is_null() {
            return Err(SyscallError::DeleteFirst);
        }
        let root = self.slots.capability(extra);
        let source = self.lookup_for_cnode(true, root, index, depth)?;
        let held = self.slots.capability(source);
        if held.is_null() {
            return Err(SyscallError::FailedLookup {
                of_source: true,
                fault: LookupFault::MissingCapability { bits_left: depth },
            });
        }
        let radix = match held {
            Capability::CNode { object, .. } => self.cnode(object).1,
            _ => 0,
        };
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
}
