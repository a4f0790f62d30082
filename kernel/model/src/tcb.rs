//! Invocations of threads.
//!
//! Follows `decodeTCBInvocation` of `src/object/tcb.c` and what it calls, check by check. Where a
//! success would show registers, a VSpace, an IPC buffer or time, the model has none to show.

use crate::derivation::SlotIndex;
use crate::error::{Refusal, SyscallError};
use crate::invocation::{Extras, label};
use crate::kernel::{Done, Kernel};
use crate::thread::State;
use crate::{Capability, ObjectId, ThreadId};

impl Kernel {
    /// Checks and executes an invocation of `target`, the thread that the capability in `slot` is to.
    pub(crate) fn invoke_thread(
        &mut self,
        thread: ThreadId,
        slot: SlotIndex,
        target: ThreadId,
        extras: Extras,
        done: Done<'_>,
    ) -> Result<(), Refusal> {
        let message = &self.thread(thread).message;
        let [first, second, third] = [0, 1, 2].map(|index| message.word(index));
        let invoked = message.label();
        let length = message.words().len();
        let require = |words| match length < words {
            true => Err(SyscallError::TruncatedMessage),
            false => Ok(()),
        };
        match invoked {
            label::TCB_READ_REGISTERS | label::TCB_SET_FLAGS => {
                require(2)?;
                return Err(Refusal::Unmodelled);
            }
            label::TCB_WRITE_REGISTERS => {
                require(2)?;
                if length as u64 - 2 < second {
                    return Err(SyscallError::TruncatedMessage.into());
                }
                if target == thread {
                    return Err(SyscallError::IllegalOperation.into());
                }
                return Err(Refusal::Unmodelled);
            }
            label::TCB_COPY_REGISTERS => {
                require(1)?;
                self.thread_along(extras)?;
                return Err(Refusal::Unmodelled);
            }
            label::TCB_CONFIGURE => {
                require(3)?;
                extras.require(2)?;
                if third == 0 && !self.is_cspace_root(extras.require(0)?, first) {
                    return Err(SyscallError::IllegalOperation.into());
                }
                return Err(Refusal::Unmodelled);
            }
            label::TCB_SET_PRIORITY => {
                require(1)?;
                let authority = self.thread_along(extras)?;
                let priority = self.allowed_priority(authority, first)?;
                self.set_priority(target, priority);
            }
            label::TCB_SET_MC_PRIORITY => {
                require(1)?;
                let authority = self.thread_along(extras)?;
                let priority = self.allowed_priority(authority, first)?;
                self.set_maximum_priority(target, priority);
            }
            label::TCB_SET_SCHED_PARAMS => {
                require(2)?;
                let priorities = [first, second];
                self.set_scheduling(thread, slot, target, priorities, extras, done)?;
            }
            label::TCB_SET_TIMEOUT_ENDPOINT => {
                self.handler_along(extras, 0)?;
                return Err(Refusal::Unmodelled);
            }
            label::TCB_SET_IPC_BUFFER => {
                require(1)?;
                extras.require(0)?;
                return Err(Refusal::Unmodelled);
            }
            label::TCB_SET_SPACE => {
                require(2)?;
                extras.require(2)?;
                if !self.is_cspace_root(extras.require(1)?, first) {
                    return Err(SyscallError::IllegalOperation.into());
                }
                return Err(Refusal::Unmodelled);
            }
            label::TCB_SUSPEND => {
                self.set_state(thread, State::Restart);
                self.suspend(target);
                return Ok(());
            }
            label::TCB_RESUME => {
                self.set_state(thread, State::Restart);
                self.resume(target, done);
            }
            label::TCB_BIND_NOTIFICATION => {
                let bound = self.notification_along(extras)?;
                if self.bind_notification(target, bound).is_err() {
                    return Err(SyscallError::IllegalOperation.into());
                }
            }
            label::TCB_UNBIND_NOTIFICATION => {
                let bound = self.thread(target).bound;
                self.unbind(bound.ok_or(SyscallError::IllegalOperation)?);
            }
            // Only registers show it.
            label::TCB_SET_TLS_BASE => require(1)?,
            _ => return Err(SyscallError::IllegalOperation.into()),
        }
        self.set_state(thread, State::Restart);
        Ok(())
    }

    /// Sets priorities, scheduling context and fault handler (`decodeSetSchedParams`).
    fn set_scheduling(
        &mut self,
        thread: ThreadId,
        slot: SlotIndex,
        target: ThreadId,
        priorities: [u64; 2],
        extras: Extras,
        done: Done<'_>,
    ) -> Result<(), SyscallError> {
        extras.require(2)?;
        let authority = self.thread_along(extras)?;
        let maximum = self.allowed_priority(authority, priorities[0])?;
        let priority = self.allowed_priority(authority, priorities[1])?;
        let held = self.thread(target).context;
        let context = match self.slots.capability(extras.require(1)?) {
            Capability::SchedulingContext { object } => {
                let other = held != Some(object);
                let taken = held.is_some() || self.scheduling_context(object).thread.is_some();
                if other && taken {
                    return Err(SyscallError::IllegalOperation);
                }
                Some(object)
            }
            Capability::Null if target == thread => return Err(SyscallError::IllegalOperation),
            Capability::Null => None,
            _ => return Err(SyscallError::InvalidCapability { number: 2 }),
        };
        let source = self.handler_along(extras, 2)?;
        self.set_state(thread, State::Restart);
        let handler = self.slots.capability(source);
        let place = self.fault_handler(target);
        self.delete_slot(place, true, done);
        let invoked = Capability::Thread { thread: target };
        let remains = |slot, capability| self.slots.capability(slot) == capability;
        if !handler.is_null() && remains(source, handler) && remains(slot, invoked) {
            self.slots.insert(handler, source, place);
        }
        self.set_maximum_priority(target, maximum);
        self.set_priority(target, priority);
        match (held, context) {
            (Some(held), None) => self.unbind_thread(held),
            (None, Some(context)) => self.donate(context, target),
            _ => {}
        }
        Ok(())
    }

    /// The thread that goes along as the first capability.
    fn thread_along(&self, extras: Extras) -> Result<ThreadId, SyscallError> {
        match self.slots.capability(extras.require(0)?) {
            Capability::Thread { thread } => Ok(thread),
            _ => Err(SyscallError::InvalidCapability { number: 1 }),
        }
    }

    /// The notification that goes along as the first capability, where it may be waited for.
    fn notification_along(&self, extras: Extras) -> Result<ObjectId, SyscallError> {
        match self.slots.capability(extras.require(0)?) {
            Capability::Notification { object, rights, .. } if rights.read => Ok(object),
            _ => Err(SyscallError::IllegalOperation),
        }
    }

    /// The slot of the fault handler that goes along as the capability at `place`.
    fn handler_along(&self, extras: Extras, place: usize) -> Result<SlotIndex, SyscallError> {
        let slot = extras.require(place)?;
        let number = place as u64 + 1;
        match self.slots.capability(slot).may_handle_faults() {
            true => Ok(slot),
            false => Err(SyscallError::InvalidCapability { number }),
        }
    }

    /// The priority, where `authority` may give it (`checkPrio`).
    fn allowed_priority(&self, authority: ThreadId, priority: u64) -> Result<u8, SyscallError> {
        let most = self.thread(authority).maximum_priority;
        match u8::try_from(priority) {
            Ok(priority) if priority <= most => Ok(priority),
            _ => Err(SyscallError::Range {
                least: 0,
                most: most.into(),
            }),
        }
    }

    /// Whether the slot's capability, with this guard where it is not 0, can be the root of a CSpace.
    fn is_cspace_root(&self, slot: SlotIndex, data: u64) -> bool {
        let held = self.slots.capability(slot);
        let root = match data {
            0 => held,
            data => held.with_data(false, data, self.radix(held)),
        };
        matches!(root, Capability::CNode { .. })
    }
}
