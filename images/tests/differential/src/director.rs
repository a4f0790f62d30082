//! Tells threads what to do, and takes down what comes of it.
//!
//! The director has the highest priority: threads run only while it waits for their faults, and a
//! thread that comes to rest, or faults, hands the processor back to it. A thread of the lowest
//! priority tells it that no other can run.

use alloc::vec::Vec;

use portcullis_model::testing::differential::{Event, Order, Outcome, Report, Trap};
use portcullis_model::testing::layout::THREADS;
use sel4::cap_type::{Endpoint, Reply, SchedContext, Tcb};
use sel4::init_thread::{Slot, slot};
use sel4::{CNodeCapData, CapRights, MessageInfoBuilder, ObjectBlueprint};

use crate::memory::{Memory, at};
use crate::register;
use crate::world::{World, message_word, write_message};

const COUNT: usize = THREADS.len();
/// Badge of the thread that runs when no other can; the others' are their places, from 1.
const NOBODY: u64 = 1 + COUNT as u64;
/// Priority of that thread.
const LOWEST: u64 = 1;
/// Budget and period of it and of the director, in microseconds: long, so that no timer interrupts.
const SECONDS: u64 = 10_000_000;
/// Label of the fault message of a thread that comes to rest (`seL4_Fault_UnknownSyscall`).
const AT_REST: u64 = 2;
/// Bits of a message info that say how many words there are.
const LENGTH: u64 = 0x7f;

/// Tells threads what to do.
pub struct Director {
    faults: sel4::cap::Endpoint,
    /// The same endpoint, badged: slots of the root CNode, one a thread.
    badged: usize,
    /// Reply objects, slots of the root CNode: one for each thread at rest, and one to receive with.
    replies: usize,
    /// Whether a reply object holds, or held, a thread at rest.
    taken: [bool; COUNT + 1],
    /// The reply object that each thread at rest is in.
    resting: [Option<usize>; COUNT],
    /// The tag of the last system call that each thread ended.
    ended: [u64; COUNT],
    tag: u64,
}

impl Director {
    /// The director, with what it needs beside the world.
    pub fn new(memory: &mut Memory<'_>) -> sel4::Result<Self> {
        let faults = memory.create::<Endpoint>(ObjectBlueprint::Endpoint)?;
        let badged = memory.slots(COUNT + 1);
        for place in 0..=COUNT {
            let rights = CapRights::all();
            at(badged + place).mint(&at(faults.index()), rights, 1 + place as u64)?;
        }
        let replies = memory.create::<Reply>(ObjectBlueprint::Reply)?.index();
        for _ in 0..COUNT {
            memory.create::<Reply>(ObjectBlueprint::Reply)?;
        }
        let time = memory.time();
        time.sched_control_configure_flags(slot::SC.cap(), SECONDS, SECONDS, 0, 0, 0)?;
        start_teller(memory, Slot::from_index(badged + COUNT).cap())?;
        Ok(Self {
            faults: faults.cap(),
            badged,
            replies,
            taken: [false; COUNT + 1],
            resting: [None; COUNT],
            ended: [0; COUNT],
            tag: 0,
        })
    }

    /// The endpoint that takes the faults of a thread.
    pub fn fault_endpoint(&self, thread: usize) -> sel4::cap::Endpoint {
        Slot::from_index(self.badged + thread).cap()
    }

    /// Waits for the threads of a new world to come to rest.
    pub fn begin(&mut self, world: &World) -> sel4::Result<()> {
        self.taken = [false; COUNT + 1];
        self.resting = [None; COUNT];
        self.ended = [0; COUNT];
        self.watch();
        world.settle()
    }

    /// Has something done, and says what came of it.
    pub fn obey(&mut self, order: &Order, world: &World) -> Report {
        // What is done to a thread that is no more is refused, and nothing comes of it.
        let _ = match *order {
            Order::Trap(thread, ref trap) => {
                self.tell(thread.into(), trap);
                Ok(())
            }
            Order::Suspend(thread) => world.thread(thread.into()).tcb_suspend(),
            Order::Resume(thread) => world.thread(thread.into()).tcb_resume(),
            Order::Redirect(thread) => {
                let rest = &mut register::at_rest(self.ended[usize::from(thread)]);
                world
                    .thread(thread.into())
                    .tcb_write_all_registers(true, rest)
            }
            Order::Lend(thread) => world.lend(thread.into()),
            Order::Destroy(thread) => world.destroy(thread.into()),
        };
        self.watch()
    }

    /// Has a thread that is at rest make a system call. One that was stopped since is no longer in its
    /// reply object, and does nothing.
    fn tell(&mut self, thread: usize, trap: &Trap) {
        let Some(place) = self.resting[thread].take() else {
            return;
        };
        self.taken[place] = false;
        self.tag += 1;
        write_message(thread, &trap.words, &trap.along);
        let message = register::set(trap, self.tag);
        sel4::with_ipc_buffer_mut(|buffer| {
            buffer.msg_regs_mut()[..message.len()].copy_from_slice(&message);
        });
        let info = MessageInfoBuilder::default().length(message.len()).build();
        self.reply(place).send(info);
    }

    /// Lets threads run until none can.
    fn watch(&mut self) -> Report {
        let mut report = Vec::new();
        let mut free = self.free();
        loop {
            let (info, badge) = self.faults.recv(self.reply(free));
            if badge == NOBODY {
                return report;
            }
            let thread = badge as usize - 1;
            let message =
                sel4::with_ipc_buffer(|buffer| buffer.msg_regs()[..info.length()].to_vec());
            if info.label() == AT_REST {
                if let Some(before) = self.resting[thread].replace(free) {
                    self.taken[before] = false;
                }
                self.taken[free] = true;
                free = self.free();
                report.extend(self.ended(thread, &message));
            } else {
                // Receiving with the same reply object again leaves the thread inactive.
                report.push(Event {
                    thread: thread as u8,
                    outcome: Outcome::Faulted {
                        label: info.label(),
                        words: message,
                    },
                });
            }
        }
    }

    /// What a thread that came to rest has done; `None` where it is what was known already: it was at
    /// rest, and resumed.
    fn ended(&mut self, thread: usize, message: &[u64]) -> Option<Event> {
        let result = register::result(message);
        if core::mem::replace(&mut self.ended[thread], result.tag) == result.tag {
            return None;
        }
        let length = (result.info & LENGTH) as usize;
        let in_memory = (register::FAST..length).map(|register| message_word(thread, register));
        let words = result.words.into_iter().take(length).chain(in_memory);
        Some(Event {
            thread: thread as u8,
            outcome: Outcome::Ended {
                badge: result.badge,
                info: result.info,
                words: words.collect(),
            },
        })
    }

    fn free(&self) -> usize {
        let place = self.taken.iter().position(|taken| !taken);
        place.expect("there is one more than there are threads")
    }

    fn reply(&self, place: usize) -> sel4::cap::Reply {
        Slot::from_index(self.replies + place).cap()
    }
}

/// Starts the thread that says when no other can run.
fn start_teller(memory: &mut Memory<'_>, to: sel4::cap::Endpoint) -> sel4::Result<()> {
    let size_bits = sel4::sys::seL4_MinSchedContextBits as usize;
    let tcb = memory.create::<Tcb>(ObjectBlueprint::Tcb)?.cap();
    let context = ObjectBlueprint::SchedContext { size_bits };
    let context = memory.create::<SchedContext>(context)?.cap();
    let time = memory.time();
    time.sched_control_configure_flags(context, SECONDS, SECONDS, 0, 0, 0)?;
    tcb.tcb_configure(
        slot::CNODE.cap(),
        CNodeCapData::new(0, 0),
        slot::VSPACE.cap(),
        0,
        slot::NULL.cap().cast(),
    )?;
    tcb.tcb_set_sched_params(slot::TCB.cap(), 0, LOWEST, context, slot::NULL.cap().cast())?;
    tcb.tcb_write_all_registers(true, &mut register::telling(to))
}
