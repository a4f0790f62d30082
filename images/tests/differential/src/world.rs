//! The world of the model's layout, made of real objects.

use core::ptr;

use portcullis_kernel::CNodeSlot;
use portcullis_model::invocation::label;
use portcullis_model::testing::layout::{
    By, FILLED, Filled, OBJECTS, Object, RECEIVE, SPARES, THREADS, Target,
};
use sel4::cap_type::{Endpoint, SchedContext, Untyped};
use sel4::init_thread::{Slot, slot};
use sel4::{CNodeCapData, CapRights, CapRightsBuilder, MessageInfoBuilder, ObjectBlueprint};

use crate::director::Director;
use crate::memory::{Memory, Page, at, retype};
use crate::register;

/// Memory of the world: four times what its objects need.
const MEMORY_BITS: usize = 17;
/// Budget and period of a thread, in microseconds: no sequence takes as long, so none is preempted.
const SECONDS: u64 = 10_000_000;

/// The threads' IPC buffers.
static mut BUFFERS: [Page; THREADS.len()] = [Page::ZERO; THREADS.len()];

/// Slots of the root CNode for the world, and the memory that it is made of.
pub struct World {
    memory: usize,
    time: sel4::cap::SchedControl,
    frames: [sel4::cap::Granule; THREADS.len()],
    faults: [sel4::cap::Endpoint; THREADS.len()],
    /// First capabilities, in the order of the layout, while they are not in the world.
    objects: usize,
    threads: usize,
    /// Copies of those to CNodes while the world is filled.
    roots: usize,
}

impl World {
    /// Sets memory and slots aside.
    pub fn new(memory: &mut Memory<'_>, director: &Director) -> sel4::Result<Self> {
        let size_bits = MEMORY_BITS;
        let untyped = memory.create::<Untyped>(ObjectBlueprint::Untyped { size_bits })?;
        Ok(Self {
            memory: untyped.index(),
            time: memory.time(),
            frames: core::array::from_fn(|thread| memory.frame(buffer(thread).cast())),
            faults: core::array::from_fn(|thread| director.fault_endpoint(thread)),
            objects: memory.slots(OBJECTS.len()),
            threads: memory.slots(THREADS.len()),
            roots: memory.slots(OBJECTS.len()),
        })
    }

    /// Builds the world; its threads are about to say that they are ready.
    pub fn build(&self) -> sel4::Result<()> {
        for (place, object) in OBJECTS.iter().enumerate() {
            self.create(blueprint(*object), self.objects + place)?;
            if *object == Object::SchedulingContext {
                let context = self.object(place);
                self.time
                    .sched_control_configure_flags(context, SECONDS, SECONDS, 0, 0, 0)?;
            }
        }
        for thread in 0..THREADS.len() {
            self.create_thread(thread)?;
        }
        for (place, _) in cnodes() {
            at(self.roots + place).copy(&at(self.objects + place), CapRights::all())?;
        }
        for filled in FILLED {
            self.fill(*filled)?;
        }
        for (place, _) in cnodes() {
            at(self.roots + place).delete()?;
        }
        Ok(())
    }

    /// Takes the scheduling contexts from the passive threads, which needed one to come to rest.
    pub fn settle(&self) -> sel4::Result<()> {
        for (thread, spare) in THREADS.iter().zip(SPARES) {
            if thread.context.is_none() {
                self.object::<SchedContext>(spare).unbind()?;
            }
        }
        Ok(())
    }

    /// Takes the thread's spare scheduling context from whoever has it and, where that is not the
    /// thread, binds it to the thread, unless the thread has another.
    pub fn lend(&self, thread: usize) -> sel4::Result<()> {
        let spare = SPARES[thread];
        let thread = self.thread(thread).bits();
        let had_it = self.invoke(spare, label::CONTEXT_UNBIND_OBJECT, thread);
        self.object::<SchedContext>(spare).unbind()?;
        if !had_it {
            self.invoke(spare, label::CONTEXT_BIND, thread);
        }
        Ok(())
    }

    /// Invokes a scheduling context with a thread, as the `sel4` crate cannot; whether it is allowed.
    fn invoke(&self, context: usize, label: u64, thread: u64) -> bool {
        sel4::with_ipc_buffer_mut(|buffer| buffer.caps_or_badges_mut()[0] = thread);
        let info = MessageInfoBuilder::default().label(label).extra_caps(1);
        self.object::<Endpoint>(context).call(info.build()).label() == 0
    }

    /// Deletes the world.
    pub fn clear(&self) -> sel4::Result<()> {
        at(self.memory).revoke()
    }

    /// The thread, where its capability is not in the world.
    pub fn thread(&self, thread: usize) -> sel4::cap::Tcb {
        Slot::from_index(self.threads + thread).cap()
    }

    /// Deletes every capability to the thread.
    pub fn destroy(&self, thread: usize) -> sel4::Result<()> {
        let last = at(self.threads + thread);
        last.revoke()?;
        last.delete()
    }

    /// The first capability of an object, while it is not in the world.
    fn object<T: sel4::CapType>(&self, place: usize) -> sel4::Cap<T> {
        Slot::from_index(self.objects + place).cap()
    }

    fn create(&self, blueprint: ObjectBlueprint, place: usize) -> sel4::Result<()> {
        let untyped = Slot::from_index(self.memory).cap();
        retype(untyped, &blueprint, place, 1)
    }

    fn create_thread(&self, thread: usize) -> sel4::Result<()> {
        let plan = THREADS[thread];
        self.create(ObjectBlueprint::Tcb, self.threads + thread)?;
        let tcb = self.thread(thread);
        let context = self.object(plan.context.unwrap_or(SPARES[thread]));
        let words = buffer(thread);
        tcb.tcb_configure(
            self.object(plan.cspace),
            CNodeCapData::new(0, 0),
            slot::VSPACE.cap(),
            words.addr() as u64,
            self.frames[thread],
        )?;
        let [maximum, priority] = [plan.maximum_priority, plan.priority].map(u64::from);
        let faults = self.faults[thread];
        tcb.tcb_set_sched_params(slot::TCB.cap(), maximum, priority, context, faults)?;
        if let Some(bound) = plan.bound {
            tcb.tcb_bind_notification(self.object(bound))?;
        }
        let CNodeSlot { root, index, depth } = RECEIVE;
        for (place, word) in [root.bits(), index, depth.into()].into_iter().enumerate() {
            write(thread, RECEIVE_SLOT + place, word);
        }
        tcb.tcb_write_all_registers(true, &mut register::at_rest(0))
    }

    fn fill(&self, filled: Filled) -> sel4::Result<()> {
        let Object::CNode(radix) = OBJECTS[filled.cnode] else {
            unreachable!("the layout fills CNodes");
        };
        let root: sel4::cap::CNode = Slot::from_index(self.roots + filled.cnode).cap();
        let slot = root.absolute_cptr_from_bits_with_depth(filled.slot, radix.into());
        let first = match filled.to {
            Target::Object(place) => self.objects + place,
            Target::Thread(place) => self.threads + place,
        };
        match filled.by {
            By::Moving => slot.move_(&at(first)),
            By::Minting(rights, data) => {
                let rights = CapRightsBuilder::none()
                    .read(rights.read)
                    .write(rights.write)
                    .grant(rights.grant)
                    .grant_reply(rights.grant_reply);
                slot.mint(&at(first), rights.build(), data)
            }
        }
    }
}

/// Place of message register 0 in an IPC buffer, in words (`seL4_IPCBuffer`).
const MESSAGE: usize = 1;
/// Place of the first capability beside the message.
const ALONG: usize = MESSAGE + 120 + 1;
/// Place of the slot that takes a capability: root, index, depth.
const RECEIVE_SLOT: usize = ALONG + 3;

/// Writes the message registers of a thread that are in memory, and what goes along.
pub fn write_message(thread: usize, words: &[u64], along: &[u64]) {
    for (place, word) in words.iter().enumerate() {
        write(thread, MESSAGE + place, *word);
    }
    for (place, pointer) in along.iter().enumerate() {
        write(thread, ALONG + place, *pointer);
    }
}

/// A message register of a thread that is in memory.
pub fn message_word(thread: usize, register: usize) -> u64 {
    // SAFETY: a word of a page of this program, which only the kernel writes beside it, and not
    // while this runs.
    unsafe {
        buffer(thread)
            .wrapping_add(MESSAGE + register)
            .read_volatile()
    }
}

fn write(thread: usize, place: usize, word: u64) {
    // SAFETY: as in `message_word`.
    unsafe { buffer(thread).wrapping_add(place).write_volatile(word) }
}

fn buffer(thread: usize) -> *mut u64 {
    let buffers = ptr::addr_of_mut!(BUFFERS).cast::<Page>();
    assert!(thread < THREADS.len(), "there is no thread {thread}");
    buffers.wrapping_add(thread).cast()
}

fn cnodes() -> impl Iterator<Item = (usize, &'static Object)> {
    let all = OBJECTS.iter().enumerate();
    all.filter(|(_, object)| matches!(object, Object::CNode(_)))
}

fn blueprint(object: Object) -> ObjectBlueprint {
    match object {
        Object::CNode(radix) => ObjectBlueprint::CNode {
            size_bits: radix.into(),
        },
        Object::Endpoint => ObjectBlueprint::Endpoint,
        Object::Notification => ObjectBlueprint::Notification,
        Object::Reply => ObjectBlueprint::Reply,
        Object::SchedulingContext => ObjectBlueprint::SchedContext {
            size_bits: sel4::sys::seL4_MinSchedContextBits as usize,
        },
    }
}
