//! Sequences of operations, with what the model says of each.

use alloc::vec::Vec;

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, KernelError, Message, Rights, Syscall};

use super::wire::{Order, Trap};
use crate::endpoint::Endpoint;
use crate::invocation::{self, label};
use crate::kernel::Kind;
use crate::testing::layout::{self, LEAF_RADIX, NESTED_RADIX};
use crate::testing::{OPERATION_BYTES, Operation, World};
use crate::thread::Pending;
use crate::{Capability, Completion, Kernel, ObjectId, ThreadId, ThreadState};

/// Threads that are looked for at an endpoint at the end.
const LOOKS: usize = 3;

/// A sequence of operations on a new world, and what the model says of each.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The operations, in order.
    pub steps: Vec<Step>,
    /// How many of them are not the look at every slot at the end.
    pub random: usize,
    ready: Ready,
}

/// An operation, and what the model says comes of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What happens.
    pub operation: Operation,
    /// Whether, where it is a system call, its thread was in none and began it.
    pub began: bool,
    /// Whether a scheduling context went from one thread to another.
    pub donated: bool,
    /// The threads, places in [`layout::THREADS`], that go on or fault.
    pub expected: Vec<(usize, Completion)>,
}

impl Plan {
    /// The operations that the bytes stand for, and then a look at every slot.
    ///
    /// An operation of a thread that is in a system call goes to the next that is in none, seven
    /// times out of eight. The last that is in none does not wait; where all are in one, a thread is
    /// redirected instead, or gets a scheduling context.
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

    /// Adds the operation, unless the model does not state what comes of it, or the kernel has a fault
    /// there: then it does not happen.
    fn step(&mut self, world: &mut World, operation: Operation) {
        if let Operation::Syscall(index, call, _) = &operation
            && let Some((to, words)) = called(call)
            && meets_a_fault(&world.kernel, world.thread(*index), to, words)
        {
            return;
        }
        let before = (world.clone(), self.ready.clone());
        let began = match &operation {
            Operation::Syscall(index, ..) => is_idle(world, *index),
            _ => false,
        };
        if let Operation::Redirect(index) = operation {
            self.ready.forget(world.thread(index));
        }
        let mut ended = Vec::new();
        let mut done = |thread, completion| self.ready.take(thread, completion, &mut ended);
        match &operation {
            // As a call with its message, so that every word of the kernel's answer is told.
            Operation::Syscall(index, Syscall::Invoke(invocation), _) => {
                let encoded = invocation::encode(invocation);
                let call = Syscall::Call(encoded.service, encoded.message);
                let thread = world.thread(*index);
                let kernel = &mut world.kernel;
                kernel.syscall_with(thread, &call, encoded.along.pointers(), &mut done);
            }
            _ => world.apply(&operation, &mut done),
        }
        while let Some((thread, completion)) = self.ready.next(&world.kernel) {
            if completion == Completion::Restarted {
                let again = world.kernel.thread(thread);
                if let Pending::Call(to) = again.pending
                    && meets_a_fault(&world.kernel, thread, to, again.message.length())
                {
                    (*world, self.ready) = before;
                    return;
                }
                let mut done = |thread, completion| self.ready.take(thread, completion, &mut ended);
                world.kernel.restart(thread, &mut done);
            } else {
                ended.push((thread.index(), completion));
            }
        }
        if !is_stated(&operation, &ended) {
            (*world, self.ready) = before;
            return;
        }
        self.steps.push(Step {
            donated: is_donation(&before.0, world),
            operation,
            began,
            expected: ended,
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
        self.look_at_contexts(world);
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

    /// Looks at who has the scheduling contexts: unbinding one from a thread that does not have it is
    /// refused.
    fn look_at_contexts(&mut self, world: &mut World) {
        let second = layout::SECOND_CNODE;
        for context in [
            27,
            28,
            29,
            31,
            second | 24,
            second | 27,
            second | 28,
            second | 29,
        ] {
            for object in [
                8,
                6,
                second | 3,
                second | 4,
                second | 8,
                second | 9,
                second | 25,
            ] {
                let unbind = Message::new(label::CONTEXT_UNBIND_OBJECT);
                let call = Syscall::Call(CPtr(context), unbind);
                self.look_with(world, call, &[CPtr(object)]);
            }
        }
    }

    fn look(&mut self, world: &mut World, call: Syscall) {
        self.look_with(world, call, &[]);
    }

    fn look_with(&mut self, world: &mut World, call: Syscall, along: &[CPtr]) {
        if let Some(operation) = possible(world, Operation::Syscall(0, call, along.into())) {
            self.step(world, operation);
        }
    }

    /// What the machine is told to do.
    pub fn orders(&self) -> Vec<Order> {
        let thread = |index: &usize| (*index % layout::THREADS.len()) as u8;
        let order = |step: &Step| match &step.operation {
            Operation::Syscall(index, call, along) => {
                Order::Trap(thread(index), Trap::of(call, along))
            }
            Operation::Suspend(index) => Order::Suspend(thread(index)),
            Operation::Resume(index) => Order::Resume(thread(index)),
            Operation::Redirect(index) => Order::Redirect(thread(index)),
            Operation::Lend(index) => Order::Lend(thread(index)),
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
            let mut idle = from(index).filter(|index| is_idle(world, *index));
            match (idle.next(), idle.next()) {
                (Some(index), Some(_)) => Operation::Syscall(index, call, along),
                (Some(last), None) => Operation::Syscall(last, without_waiting(call), along),
                (None, _) => {
                    let index = kept(index)?;
                    match world.kernel.context(world.thread(index)) {
                        Some(_) => Operation::Redirect(index),
                        None => Operation::Lend(index),
                    }
                }
            }
        }
        // A machine would have a thread without a scheduling context make it later.
        Operation::Syscall(index, ..)
            if !is_idle(world, index)
                && world.kernel.state(world.thread(index)) == ThreadState::Running =>
        {
            return None;
        }
        Operation::Syscall(index, call, along) => Operation::Syscall(index % COUNT, call, along),
        Operation::Lend(index) => Operation::Lend(kept(index)?),
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
        Syscall::NbSendRecv { to, message, .. } | Syscall::NbSendWait { to, message, .. } => {
            Syscall::NbSend(to, message)
        }
        Syscall::Wait(from) => Syscall::NbWait(from),
        other => other,
    }
}

/// Whether the thread is in no system call and has a scheduling context, so that it can be told to make
/// one.
fn is_idle(world: &World, index: usize) -> bool {
    let thread = world.thread(index);
    world.kernel.state(thread) == ThreadState::Running && world.kernel.is_schedulable(thread)
}

/// What a system call calls, and the words of its message.
fn called(call: &Syscall) -> Option<(CPtr, usize)> {
    match call {
        Syscall::Call(to, message) => Some((*to, message.length())),
        Syscall::Invoke(invocation) => {
            let encoded = invocation::encode(invocation);
            Some((encoded.service, encoded.message.length()))
        }
        _ => None,
    }
}

/// Whether a call takes the first of several passive receivers off an endpoint on the kernel's fast path.
///
/// `fastpath_call` of seL4 16.0.0 leaves that receiver pointing to the next (`tcbEPNext`). When it waits
/// alone and is called again, the next counts as waiting, and soon the kernel halts.
fn meets_a_fault(kernel: &Kernel, caller: ThreadId, to: CPtr, words: usize) -> bool {
    const FAST_PATH_WORDS: usize = 4;
    let Ok(slot) = kernel.lookup_slot(caller, to) else {
        return false;
    };
    let Capability::Endpoint { object, .. } = kernel.slots.capability(slot) else {
        return false;
    };
    let Kind::Endpoint(Endpoint { queue, receivers }) = *kernel.kind(object) else {
        return false;
    };
    let is_passive = |receiver| kernel.context(receiver).is_none();
    words <= FAST_PATH_WORDS
        && receivers
        && queue.head != queue.tail
        && queue.head.is_some_and(is_passive)
}

/// Whether the model states what came of the operation, and it left the threads' fault handlers alone:
/// by those a machine sees what the threads do.
fn is_stated(operation: &Operation, ended: &[(usize, Completion)]) -> bool {
    if let Operation::Syscall(index, Syscall::Call(_, message), _) = operation
        && message.label() == label::TCB_SET_SCHED_PARAMS
    {
        let index = index % layout::THREADS.len();
        let own = ended.iter().find(|(thread, _)| *thread == index);
        let refused = matches!(own, Some((_, Completion::Message { message, .. }))
            if KernelError::from_code(message.label()).is_some());
        if !refused && !matches!(own, Some((_, Completion::Fault(_)))) {
            return false;
        }
    }
    let stated = |completion: &Completion| !matches!(completion, Completion::Unmodelled { .. });
    ended.iter().all(|(_, completion)| stated(completion))
}

/// Whether a scheduling context went from one thread to another.
fn is_donation(before: &World, after: &World) -> bool {
    let contexts = |world: &World| {
        let threads = (0..layout::THREADS.len()).map(|index| world.thread(index));
        threads
            .map(|it| world.kernel.context(it))
            .collect::<Vec<_>>()
    };
    let (before, after) = (contexts(before), contexts(after));
    let place = |of: &[Option<ObjectId>], context| of.iter().position(|it| *it == context);
    before.iter().enumerate().any(|(from, context)| {
        context.is_some() && place(&after, *context).is_some_and(|to| to != from)
    })
}

/// Threads whose system call was completed, or has to be made again, and that did not run since, in the
/// order in which they were made ready.
#[derive(Clone, Debug, Default)]
struct Ready(Vec<(ThreadId, Completion)>);

impl Ready {
    /// Takes what the kernel says of a thread. A fault is known at once.
    fn take(
        &mut self,
        thread: ThreadId,
        completion: Completion,
        ended: &mut Vec<(usize, Completion)>,
    ) {
        self.forget(thread);
        match completion {
            Completion::Fault(_) | Completion::Unmodelled { .. } => {
                ended.push((thread.index(), completion));
            }
            completion => self.0.push((thread, completion)),
        }
    }

    fn forget(&mut self, thread: ThreadId) {
        self.0.retain(|(other, _)| *other != thread);
    }

    /// The thread that runs next, and what it then finds; only one with a scheduling context runs.
    fn next(&mut self, kernel: &Kernel) -> Option<(ThreadId, Completion)> {
        self.0
            .retain(|(thread, completion)| match kernel.state(*thread) {
                ThreadState::Destroyed => false,
                ThreadState::Restart => true,
                // One that was stopped is told again when it is resumed.
                _ => *completion != Completion::Restarted,
            });
        let ready = |place: &usize| kernel.is_schedulable(self.0[*place].0);
        // Of equals, this gives the last.
        let priority = |place: &usize| kernel.priority(self.0[*place].0);
        let place = (0..self.0.len()).filter(ready).max_by_key(priority)?;
        Some(self.0.remove(place))
    }
}
