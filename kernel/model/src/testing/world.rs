//! A small but nasty system.

use alloc::vec::Vec;

use portcullis_kernel::Rights;

use super::Operation;
use super::layout::{self, By, Object, Target};
use crate::kernel::Done;
use crate::{Capability, Kernel, ObjectId, ThreadId};

/// A kernel with the objects, threads and capabilities of [`layout`]: all last capabilities lie
/// where threads can delete them, also from below those that use them.
#[derive(Clone, Debug)]
pub struct World {
    /// The kernel.
    pub kernel: Kernel,
    threads: Vec<ThreadId>,
    objects: Vec<ObjectId>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A world where nothing has happened.
    pub fn new() -> Self {
        let mut kernel = Kernel::new();
        let objects: Vec<_> = layout::OBJECTS
            .map(|object| create(&mut kernel, object))
            .into();
        let mut threads = Vec::new();
        for thread in layout::THREADS {
            let id = kernel.create_passive_thread(thread.priority);
            kernel.set_maximum_priority(id, thread.maximum_priority);
            kernel.set_receive_slot(id, layout::RECEIVE);
            if let Some(context) = thread.context {
                let bound = kernel.bind_context(objects[context], id);
                bound.expect("each context is that of one thread");
            }
            kernel
                .set_cspace(id, Capability::cnode(objects[thread.cspace], 0))
                .and_then(|()| match thread.bound {
                    Some(bound) => kernel.bind_notification(id, objects[bound]),
                    None => Ok(()),
                })
                .expect("the thread is new, and its notification is its own");
            threads.push(id);
        }
        let mut world = Self {
            kernel,
            threads,
            objects,
        };
        for filled in layout::FILLED {
            world.fill(*filled);
        }
        world
    }

    fn fill(&mut self, filled: layout::Filled) {
        let layout::Filled { cnode, slot, .. } = filled;
        let cnode = self.objects[cnode];
        let done = match (filled.by, filled.to) {
            (By::Minting(rights, data), to) => {
                let capability = self.minted(to, rights, data);
                self.kernel.insert(cnode, slot, capability)
            }
            (By::Moving, Target::Object(object)) => {
                self.kernel.hand_over(self.objects[object], cnode, slot)
            }
            (By::Moving, Target::Thread(thread)) => {
                self.kernel
                    .hand_over_thread(self.threads[thread], cnode, slot)
            }
        };
        done.expect("the layout fills each slot once, with what can be there");
    }

    /// What minting from a first capability gives.
    fn minted(&self, to: Target, rights: Rights, data: u64) -> Capability {
        let (first, radix) = match to {
            Target::Thread(thread) => {
                let thread = self.threads[thread];
                (Capability::Thread { thread }, 0)
            }
            Target::Object(index) => {
                let object = self.objects[index];
                match layout::OBJECTS[index] {
                    Object::CNode(radix) => (Capability::cnode(object, 0), radix),
                    Object::Endpoint => (Capability::endpoint(object), 0),
                    Object::Notification => (Capability::notification(object), 0),
                    Object::Reply => (Capability::reply(object), 0),
                    Object::SchedulingContext => (Capability::SchedulingContext { object }, 0),
                }
            }
        };
        first.masked(rights).with_data(false, data, radix)
    }

    /// A thread, by its place in [`layout::THREADS`] (and on from its end, around).
    pub fn thread(&self, index: usize) -> ThreadId {
        self.threads[index % self.threads.len()]
    }

    /// Has the operation happen.
    pub fn apply(&mut self, operation: &Operation, done: Done<'_>) {
        match operation {
            Operation::Syscall(index, call, along) => {
                let thread = self.thread(*index);
                self.kernel.syscall_with(thread, call, along, done);
            }
            Operation::Restart(index) => self.kernel.restart(self.thread(*index), done),
            Operation::Suspend(index) => self.kernel.suspend(self.thread(*index)),
            Operation::Resume(index) => self.kernel.resume(self.thread(*index), done),
            Operation::Redirect(index) => self.kernel.redirect(self.thread(*index)),
            Operation::Lend(index) => {
                let context = self.objects[layout::SPARES[index % layout::SPARES.len()]];
                let thread = self.thread(*index);
                let has_it = self.kernel.context(thread) == Some(context);
                self.kernel.unbind_context(context);
                if !has_it {
                    // A thread that has another keeps that.
                    let _ = self.kernel.bind_context(context, thread);
                }
            }
            Operation::Destroy(index) => self.kernel.destroy(self.thread(*index), done),
            Operation::Interrupt(badge) => {
                let notification = self.objects[layout::INTERRUPT];
                self.kernel.signal(notification, *badge, done);
            }
        }
    }

    /// Every capability that a CNode of the world holds.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        self.kernel
            .slots
            .iter()
            .map(|(_, slot)| slot.capability)
            .filter(|capability| !capability.is_null())
    }
}

fn create(kernel: &mut Kernel, object: Object) -> ObjectId {
    match object {
        Object::CNode(radix) => kernel.create_cnode(radix),
        Object::Endpoint => kernel.create_endpoint(),
        Object::Notification => kernel.create_notification(),
        Object::Reply => kernel.create_reply(),
        Object::SchedulingContext => kernel.create_scheduling_context(),
    }
}
