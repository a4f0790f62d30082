//! Sequences of operations, with what the model says of each.

use alloc::vec::Vec;

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Message, Rights, Syscall};

use super::wire::{Order, Trap};
use crate::invocation::{self, label};
use crate::testing::layout::{self, LEAF_RADIX, NESTED_RADIX};
use crate::testing::{OPERATION_BYTES, Operation, World};
use crate::{Completion, Kernel, ThreadId, ThreadState};

/// Threads that are looked for at an endpoint at the end.
const LOOKS: usize = 3;

/// A sequence of operations on a new world, and what the model says of each.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The operations, in order.
    pub steps: Vec<Step>,
    /// How many of them are not the look at every slot at the end.
    pub random: usize,
}

/// An operation, and what the model says comes of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What happens.
    pub operation: Operation,
    /// Whether, where it is a system call, its thread was in none and began it.
    pub began: bool,
    /// The threads, places in [`layout::THREADS`], that go on or fault.
    pub expected: Vec<(usize, Completion)>,
}

impl Plan {
    /// The operations that the bytes stand for, and then a look at every slot.
    ///
    /// An operation of a thread that is in a system call goes to the next that is in none, seven
    /// times out of eight. The last that is in none does not wait; where all are in one, a thread is
    /// redirected instead.
    pub fn new(operations: &[[u8; OPERATION_BYTES]]) -> Self {
        let mut plan = Self::default();
        let mut world = World::new();
        for bytes in operations {
            if let Some(operation) = possible(&world, Operation::decode(*bytes)) {
                plan.step(&mut world, operation);
            }
        }
        plan.random = plan.steps.len();
        plan.look_around(&mut world);
        plan
    }

    fn step(&mut self, world: &mut World, operation: Operation) {
        let began = match &operation {
            Operation::Syscall(index, ..) => is_running(world, *index),
            _ => false,
        };
        let mut turn = Turn::default();
        let mut done = |thread, completion| turn.take(thread, completion);
        match &operation {
            // As a call with its message, so that every word of the kernel's answer is told.
            Operation::Syscall(index, Syscall::Invoke(invocation), _) => {
                let encoded = invocation::encode(invocation);
                let call = Syscall::Call(encoded.service, encoded.message);
                let thread = world.thread(*index);
                let kernel = &mut world.kernel;
                kernel.syscall_with(thread, &call, encoded.extra, &mut done);
            }
            _ => world.apply(&operation, &mut done),
        }
        while let Some(thread) = turn.next(&world.kernel) {
            let mut done = |thread, completion| turn.take(thread, completion);
            world.kernel.restart(thread, &mut done);
        }
        self.steps.push(Step {
            operation,
            began,
            expected: turn.ended,
        });
    }

    /// Looks at what there is at the end: which slots are filled, which threads are bound, who waits
    /// to receive and to send, in which order, and what was signalled.
    fn look_around(&mut self, world: &mut World) {
        for (root, radix, depth) in [
            (1, LEAF_RADIX, 64),
            (2, LEAF_RADIX, 64),
            (9, NESTED_RADIX, NESTED_RADIX),
        ] {
            for index in 0..1 << radix {
                let root = CPtr(root);
                let slot = CNodeSlot { root, index, depth };
                // Refused as occupied where it holds something, else there is nothing to copy.
                let copy = Invocation::Copy {
                    destination: slot,
                    source: slot,
                    rights: Rights::ALL,
                };
                self.look(world, Syscall::Invoke(copy));
            }
        }
        let [first, second] = [0, layout::SECOND_CNODE];
        for thread in [8, second | 3, second | 4] {
            let unbind = Message::new(label::TCB_UNBIND_NOTIFICATION);
            self.look(world, Syscall::Call(CPtr(thread), unbind));
        }
        for place in [5, 10, 13, 26] {
            for endpoint in [first | place, second | place].map(CPtr) {
                for _ in 0..LOOKS {
                    self.look(world, Syscall::NbSend(endpoint, Message::new(99)));
                }
                for reply in [CPtr(7), CPtr(15), CPtr(second | 7)] {
                    let from = endpoint;
                    self.look(world, Syscall::NbRecv { from, reply });
                }
            }
        }
        self.look(world, Syscall::NbWait(CPtr(second | 6)));
    }

    fn look(&mut self, world: &mut World, call: Syscall) {
        if let Some(operation) = possible(world, Operation::Syscall(0, call, None)) {
            self.step(world, operation);
        }
    }

    /// What the machine is told to do.
    pub fn orders(&self) -> Vec<Order> {
        let thread = |index: &usize| (*index % layout::THREADS.len()) as u8;
        let order = |step: &Step| match &step.operation {
            Operation::Syscall(index, call, along) => {
                Order::Trap(thread(index), Trap::of(call, *along))
            }
            Operation::Suspend(index) => Order::Suspend(thread(index)),
            Operation::Resume(index) => Order::Resume(thread(index)),
            Operation::Redirect(index) => Order::Redirect(thread(index)),
            Operation::Destroy(index) => Order::Destroy(thread(index)),
            Operation::Restart(_) | Operation::Interrupt(_) => {
                unreachable!("a plan has only what a machine can be told")
            }
        };
        self.steps.iter().map(order).collect()
    }
}

/// What a machine can be told to do instead, of what it cannot.
fn possible(world: &World, operation: Operation) -> Option<Operation> {
    const COUNT: usize = layout::THREADS.len();
    let from = |index: usize| (index..index + COUNT).map(|index| index % COUNT);
    let kept = |index| {
        let mut candidates = from(index);
        candidates.find(|index| !layout::THREADS[*index].given_away)
    };
    Some(match operation {
        Operation::Syscall(index, call, along) if index < 224 => {
            let mut running = from(index).filter(|index| is_running(world, *index));
            match (running.next(), running.next()) {
                (Some(index), Some(_)) => Operation::Syscall(index, call, along),
                (Some(last), None) => Operation::Syscall(last, without_waiting(call), along),
                (None, _) => Operation::Redirect(kept(index)?),
            }
        }
        Operation::Syscall(index, call, along) => Operation::Syscall(index % COUNT, call, along),
        Operation::Suspend(index) => Operation::Suspend(kept(index)?),
        Operation::Resume(index) => Operation::Resume(kept(index)?),
        Operation::Redirect(index) => Operation::Redirect(kept(index)?),
        Operation::Destroy(index) => Operation::Destroy(kept(index)?),
        Operation::Restart(_) | Operation::Interrupt(_) => return None,
    })
}

/// The system call that does the same and does not wait.
fn without_waiting(call: Syscall) -> Syscall {
    match call {
        Syscall::Call(to, message) | Syscall::Send(to, message) => Syscall::NbSend(to, message),
        Syscall::Recv { from, reply } => Syscall::NbRecv { from, reply },
        Syscall::ReplyRecv { reply, message, .. } => Syscall::NbSend(reply, message),
        Syscall::Wait(from) => Syscall::NbWait(from),
        other => other,
    }
}

fn is_running(world: &World, index: usize) -> bool {
    world.kernel.state(world.thread(index)) == ThreadState::Running
}

/// What comes of one operation.
#[derive(Default)]
struct Turn {
    ended: Vec<(usize, Completion)>,
    /// Threads that make their system call again, in the order in which they were made ready.
    again: Vec<ThreadId>,
}

impl Turn {
    fn take(&mut self, thread: ThreadId, completion: Completion) {
        match completion {
            Completion::Restarted => self.again.push(thread),
            completion => self.ended.push((thread.index(), completion)),
        }
    }

    /// The thread that makes its system call again next.
    fn next(&mut self, kernel: &Kernel) -> Option<ThreadId> {
        let waits = |thread: &ThreadId| kernel.state(*thread) == ThreadState::Restart;
        self.again.retain(waits);
        // Of equals, this gives the last.
        let priority = |place: &usize| kernel.priority(self.again[*place]);
        let place = (0..self.again.len()).max_by_key(priority)?;
        Some(self.again.remove(place))
    }
}
