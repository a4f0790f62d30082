//! Setting a system up as the capDL initialiser does, and looking at it.
//!
//! Before any thread runs, the initialiser creates every object, keeps the original capability of
//! each for ever, and fills the CSpaces with copies of the originals. So no capability that it
//! hands out is an object's last, and none is the parent of another unless its badge is new. The
//! model keeps the originals in slots that no thread can reach; [`Kernel::hand_over`] gives one
//! away.

use portcullis_kernel::{KernelError, Message};

use crate::capability::NOTIFICATION_RIGHTS;
use crate::context::SchedulingContext;
use crate::derivation::SlotIndex;
use crate::endpoint::Endpoint;
use crate::invocation::Along;
use crate::kernel::{Kernel, Kind, Object};
use crate::notification::Notification;
use crate::queue::Links;
use crate::reply::Reply;
use crate::thread::{Pending, State, THREAD_SLOTS, Thread};
use crate::{Capability, ObjectId, ThreadId};

/// Radix of the largest CNode: 16 Mi slots, far above the largest that a policy needs (17 bits).
const MAX_RADIX: u8 = 24;

impl Kernel {
    /// Creates a CNode of 2^`radix` empty slots.
    ///
    /// # Panics
    ///
    /// Where `radix` is not 1 to 24: CNodes without an index bit do not exist.
    pub fn create_cnode(&mut self, radix: u8) -> ObjectId {
        assert!(
            (1..=MAX_RADIX).contains(&radix),
            "a CNode has a radix of 1 to {MAX_RADIX}, not {radix}"
        );
        let base = self.slots.allocate(1 << radix);
        self.create(Kind::CNode { base, radix }, |object| {
            Capability::cnode(object, 0)
        })
    }

    /// Creates an endpoint.
    pub fn create_endpoint(&mut self) -> ObjectId {
        self.create(Kind::Endpoint(Endpoint::default()), Capability::endpoint)
    }

    /// Creates a notification.
    pub fn create_notification(&mut self) -> ObjectId {
        self.create(
            Kind::Notification(Notification::default()),
            Capability::notification,
        )
    }

    /// Creates a reply object.
    pub fn create_reply(&mut self) -> ObjectId {
        self.create(Kind::Reply(Reply::default()), Capability::reply)
    }

    /// Creates a scheduling context, which no thread has.
    pub fn create_scheduling_context(&mut self) -> ObjectId {
        self.create(
            Kind::SchedulingContext(SchedulingContext::default()),
            |object| Capability::SchedulingContext { object },
        )
    }

    /// Creates a thread that runs, on a scheduling context of its own, and has no CSpace. A larger
    /// priority goes first; it is also the highest that the thread's authority gives.
    pub fn create_thread(&mut self, priority: u8) -> ThreadId {
        let thread = self.create_passive_thread(priority);
        let context = self.create_scheduling_context();
        self.donate(context, thread);
        thread
    }

    /// As [`Kernel::create_thread`], without a scheduling context.
    pub fn create_passive_thread(&mut self, priority: u8) -> ThreadId {
        let thread = ThreadId(self.threads.len() as u32);
        let original = self.slots.allocate(1);
        let cspace = self.slots.allocate(THREAD_SLOTS);
        self.slots
            .originate(Capability::Thread { thread }, original);
        self.threads.push(Thread {
            priority,
            maximum_priority: priority,
            state: State::Running,
            pending: Pending::None,
            links: Links::default(),
            cspace,
            original,
            bound: None,
            context: None,
            fault: None,
            message: Message::default(),
            along: Along::new(&[]),
            takes: None,
        });
        thread
    }

    /// Gives the thread a copy of `root`, a capability to a CNode, as the root of its CSpace.
    /// Errors as [`Kernel::insert`] has; `InvalidArgument` for anything but a CNode.
    pub fn set_cspace(&mut self, thread: ThreadId, root: Capability) -> Result<(), KernelError> {
        if !matches!(root, Capability::CNode { .. }) {
            return Err(KernelError::InvalidArgument);
        }
        self.insert_at(self.thread(thread).cspace, root)
    }

    /// Sets the highest priority that invocations on the thread's authority set.
    pub fn set_maximum_priority(&mut self, thread: ThreadId, priority: u8) {
        self.thread_mut(thread).maximum_priority = priority;
    }

    /// Has the thread's faults go to a copy of `handler`, an endpoint that can be called.
    /// Errors as [`Kernel::insert`] has; `InvalidArgument` for anything else.
    pub fn set_fault_handler(
        &mut self,
        thread: ThreadId,
        handler: Capability,
    ) -> Result<(), KernelError> {
        if handler.is_null() || !handler.may_handle_faults() {
            return Err(KernelError::InvalidArgument);
        }
        self.insert_at(self.fault_handler(thread), handler)
    }

    /// Binds the notification to the thread: signals end its receiving on any endpoint.
    /// `IllegalOperation` where either is bound already or a thread waits for the notification.
    pub fn bind_notification(
        &mut self,
        thread: ThreadId,
        notification: ObjectId,
    ) -> Result<(), KernelError> {
        let Kind::Notification(Notification { queue, bound, .. }) = self.kind(notification) else {
            return Err(KernelError::IllegalOperation);
        };
        if self.thread(thread).bound.is_some() || bound.is_some() || !queue.is_empty() {
            return Err(KernelError::IllegalOperation);
        }
        self.notification(notification).bound = Some(thread);
        self.thread_mut(thread).bound = Some(notification);
        Ok(())
    }

    /// Copies, or with a badge or guard mints, an object's original capability into slot `index`
    /// of `cnode`, as the initialiser does.
    ///
    /// `InvalidArgument`: `cnode` is no CNode, or `capability` is none that could be (null, a
    /// zombie, of another type than its object, rights that a notification does not have, a guard
    /// that does not fit). `RangeError`: the CNode has no such slot. `DeleteFirst`: the slot is
    /// taken. `InvalidCapability`: the original was handed over.
    pub fn insert(
        &mut self,
        cnode: ObjectId,
        index: u64,
        capability: Capability,
    ) -> Result<(), KernelError> {
        let slot = self.slot_of(cnode, index)?;
        self.insert_at(slot, capability)
    }

    /// Moves the original capability of `object` into slot `index` of `cnode`: all others were, and
    /// will be, derived from it, and with the last of them the object goes.
    /// Errors as [`Kernel::insert`] has.
    pub fn hand_over(
        &mut self,
        object: ObjectId,
        cnode: ObjectId,
        index: u64,
    ) -> Result<(), KernelError> {
        self.hand_over_from(self.objects[object.0 as usize].original, cnode, index)
    }

    /// As [`Kernel::hand_over`], for a thread.
    pub fn hand_over_thread(
        &mut self,
        thread: ThreadId,
        cnode: ObjectId,
        index: u64,
    ) -> Result<(), KernelError> {
        self.hand_over_from(self.thread(thread).original, cnode, index)
    }

    /// The capabilities in a CNode, by slot. None where `cnode` is no CNode.
    pub fn scan(&self, cnode: ObjectId) -> impl Iterator<Item = (u64, Capability)> {
        let (base, count) = match self.kind(cnode) {
            Kind::CNode { base, radix } => (base.0, 1 << radix),
            _ => (0, 0),
        };
        (0..count)
            .map(move |index| {
                let slot = SlotIndex(base + index);
                (u64::from(index), self.slots.capability(slot))
            })
            .filter(|(_, capability)| !capability.is_null())
    }

    /// What slot `index` of `cnode` holds; `None` where there is no such slot.
    pub fn capability(&self, cnode: ObjectId, index: u64) -> Option<Capability> {
        let slot = self.slot_of(cnode, index).ok()?;
        Some(self.slots.capability(slot))
    }

    fn create(&mut self, kind: Kind, original: impl FnOnce(ObjectId) -> Capability) -> ObjectId {
        let object = ObjectId(self.objects.len() as u32);
        let slot = self.slots.allocate(1);
        self.slots.originate(original(object), slot);
        self.objects.push(Object {
            original: slot,
            kind,
        });
        object
    }

    fn slot_of(&self, cnode: ObjectId, index: u64) -> Result<SlotIndex, KernelError> {
        let Kind::CNode { base, radix } = self.kind(cnode) else {
            return Err(KernelError::InvalidArgument);
        };
        if index >= 1 << radix {
            return Err(KernelError::RangeError);
        }
        Ok(SlotIndex(base.0 + index as u32))
    }

    fn hand_over_from(
        &mut self,
        original: SlotIndex,
        cnode: ObjectId,
        index: u64,
    ) -> Result<(), KernelError> {
        let slot = self.slot_of(cnode, index)?;
        let capability = self.slots.capability(original);
        if capability.is_null() {
            return Err(KernelError::InvalidCapability);
        }
        if !self.slots.capability(slot).is_null() {
            return Err(KernelError::DeleteFirst);
        }
        self.slots.relocate(capability, original, slot);
        Ok(())
    }

    fn insert_at(&mut self, slot: SlotIndex, capability: Capability) -> Result<(), KernelError> {
        let original = self
            .original_of(capability)
            .ok_or(KernelError::InvalidArgument)?;
        if !self.slots.capability(slot).is_null() {
            return Err(KernelError::DeleteFirst);
        }
        if !self.slots.capability(original).same_object(capability) {
            return Err(KernelError::InvalidCapability);
        }
        self.slots.insert(capability, original, slot);
        Ok(())
    }

    /// The slot of the original that `capability` could be derived from; `None` where it could be
    /// derived from none.
    fn original_of(&self, capability: Capability) -> Option<SlotIndex> {
        let (object, fits) = match capability {
            Capability::Null | Capability::Zombie { .. } => return None,
            Capability::Thread { thread } => return Some(self.thread(thread).original),
            Capability::Endpoint { object, .. } => {
                (object, matches!(self.kind(object), Kind::Endpoint(_)))
            }
            Capability::Notification { object, rights, .. } => {
                let allowed = rights.is_subset(NOTIFICATION_RIGHTS);
                (
                    object,
                    allowed && matches!(self.kind(object), Kind::Notification(_)),
                )
            }
            Capability::Reply { object, .. } => {
                (object, matches!(self.kind(object), Kind::Reply(_)))
            }
            Capability::SchedulingContext { object } => (
                object,
                matches!(self.kind(object), Kind::SchedulingContext(_)),
            ),
            Capability::CNode {
                object,
                guard,
                guard_size,
            } => {
                let Kind::CNode { radix, .. } = self.kind(object) else {
                    return None;
                };
                let data = guard << 6 | u64::from(guard_size);
                (
                    object,
                    guard_size < 64 && capability.with_data(false, data, *radix) == capability,
                )
            }
        };
        fits.then(|| self.objects[object.0 as usize].original)
    }
}
