//! Random operations on a small but nasty system, for property tests and fuzzing.

use alloc::vec::Vec;

use portcullis_kernel::{Badge, CNodeSlot, CPtr, Invocation, Message, Rights, Syscall};

use crate::kernel::Done;
use crate::{Capability, Kernel, ObjectId, ThreadId, Violation};

/// Bytes that an [`Operation`] is decoded from.
pub const OPERATION_BYTES: usize = 8;

/// Radix of the CSpace root. Slot 0 leads to a CNode at small pointers, slot 1 to another.
const ROOT_RADIX: u8 = 3;
/// Radix of the CNodes below it.
const LEAF_RADIX: u8 = 4;

/// Radix of the CNodes inside each other.
const NESTED_RADIX: u8 = 2;

/// A kernel in which eight threads share a CSpace of three CNodes that hold each other, three small
/// CNodes one inside the other, two endpoints, two notifications, two reply objects and some of the
/// threads: all by their last capabilities, so that anything can be deleted, also from below those
/// that use it.
#[derive(Clone, Debug)]
pub struct World {
    /// The kernel.
    pub kernel: Kernel,
    threads: Vec<ThreadId>,
    notification: ObjectId,
}

/// Something that happens to a [`World`].
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all operations are system calls"
)]
pub enum Operation {
    /// A thread makes a system call.
    Syscall(usize, Syscall),
    /// A thread repeats its system call.
    Restart(usize),
    /// A thread is stopped.
    Suspend(usize),
    /// A thread goes on.
    Resume(usize),
    /// A thread dies.
    Destroy(usize),
    /// An interrupt arrives.
    Interrupt(u64),
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
        let root = kernel.create_cnode(ROOT_RADIX);
        let [first, second] = [LEAF_RADIX; 2].map(|radix| kernel.create_cnode(radix));
        let endpoints = [(); 2].map(|()| kernel.create_endpoint());
        let notifications = [(); 2].map(|()| kernel.create_notification());
        let replies = [(); 2].map(|()| kernel.create_reply());
        let nested = [NESTED_RADIX; 3].map(|radix| kernel.create_cnode(radix));
        let threads: Vec<_> = [5, 4, 4, 3, 3, 2, 2, 1]
            .into_iter()
            .map(|priority| kernel.create_thread(priority))
            .collect();
        let below = 64 - ROOT_RADIX - LEAF_RADIX;
        for thread in &threads {
            kernel
                .set_cspace(*thread, Capability::cnode(root, 0))
                .expect("the thread is new");
        }
        let leaf = |object, guard_size| Capability::cnode(object, guard_size);
        let copies = [
            (root, 0, leaf(first, below)),
            (root, 1, leaf(second, below)),
            (first, 1, leaf(first, 64 - LEAF_RADIX)),
            (first, 2, leaf(second, 64 - LEAF_RADIX)),
            (first, 3, leaf(root, 0)),
        ];
        for (cnode, index, capability) in copies {
            kernel
                .insert(cnode, index, capability)
                .expect("the slot is empty");
        }
        // The originals: the CNodes' in each other, the others' side by side.
        let originals = [
            (root, second, 1),
            (first, second, 2),
            (second, first, 4),
            (endpoints[0], first, 5),
            (endpoints[1], second, 5),
            (notifications[0], first, 6),
            (notifications[1], second, 6),
            (replies[0], first, 7),
            (replies[1], second, 7),
            (nested[0], first, 9),
            (nested[1], nested[0], 3),
            (nested[2], nested[1], 0),
        ];
        for (object, cnode, index) in originals {
            kernel
                .hand_over(object, cnode, index)
                .expect("the slot is empty");
        }
        kernel
            .hand_over_thread(threads[1], first, 8)
            .and_then(|()| kernel.hand_over_thread(threads[2], second, 8))
            .and_then(|()| kernel.bind_notification(threads[0], notifications[0]))
            .expect("the slots are empty and the notification is free");
        Self {
            kernel,
            threads,
            notification: notifications[1],
        }
    }

    /// Has the operation happen.
    pub fn apply(&mut self, operation: &Operation, done: Done<'_>) {
        let thread = |index: &usize| self.threads[index % self.threads.len()];
        match operation {
            Operation::Syscall(index, call) => self.kernel.syscall(thread(index), call, done),
            Operation::Restart(index) => self.kernel.restart(thread(index), done),
            Operation::Suspend(index) => self.kernel.suspend(thread(index)),
            Operation::Resume(index) => self.kernel.resume(thread(index), done),
            Operation::Destroy(index) => self.kernel.destroy(thread(index), done),
            Operation::Interrupt(badge) => self.kernel.signal(self.notification, *badge, done),
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

/// Applies the operations that `bytes` decode to, [`OPERATION_BYTES`] each, to a new world, and
/// verifies every invariant after each.
pub fn run_operations(bytes: &[u8]) -> Result<(), Violation> {
    let mut world = World::new();
    for bytes in bytes.as_chunks().0 {
        world.apply(&Operation::decode(*bytes), &mut |_, _| {});
        world.kernel.check_all()?;
    }
    Ok(())
}

impl Operation {
    /// The operation that these bytes stand for. Total: all bytes are one; most are system calls
    /// on slots that hold something.
    pub fn decode(bytes: [u8; OPERATION_BYTES]) -> Self {
        let [kind, thread, a, b, c, d, e, f] = bytes;
        let thread = usize::from(thread);
        let (to, reply) = (pointer(a, &[5, 5, 5, 6]), pointer(b, &[7]));
        let rights = crate::invocation::rights_of(c.into());
        let mut message = Message::new(u64::from(d % 32));
        message.set(message.label(), &[u64::from(e % 16), 64, f.into()]);
        let (destination, source) = (slot(a, b, e), slot(c, d, e >> 4));
        let badge = data(f);
        let call = match kind % 32 {
            0..=2 => Syscall::Call(to, message),
            3..=4 => Syscall::Send(to, message),
            5 => Syscall::NbSend(to, message),
            6..=8 => Syscall::Recv { from: to, reply },
            9 => Syscall::NbRecv { from: to, reply },
            10..=11 => Syscall::ReplyRecv {
                from: to,
                reply,
                message,
            },
            12 => Syscall::Wait(to),
            13 => Syscall::NbWait(to),
            14..=16 => Syscall::Invoke(Invocation::Copy {
                destination,
                source,
                rights: widened(rights),
            }),
            17..=19 => Syscall::Invoke(Invocation::Mint {
                destination,
                source,
                rights: widened(rights),
                badge,
            }),
            20 => Syscall::Invoke(Invocation::Move {
                destination,
                source,
            }),
            21 => Syscall::Invoke(Invocation::Mutate {
                destination,
                source,
                badge,
            }),
            22..=23 => Syscall::Invoke(Invocation::Revoke(destination)),
            24..=25 => Syscall::Invoke(Invocation::Delete(destination)),
            26 => Syscall::Invoke(Invocation::CancelBadgedSends(destination)),
            27..=28 => return Self::Restart(thread),
            29 => return Self::Resume(thread),
            30 if d < 64 => return Self::Suspend(thread),
            30 if d < 72 => return Self::Destroy(thread),
            30 => return Self::Interrupt(badge),
            _ => Syscall::Yield,
        };
        Self::Syscall(thread, call)
    }
}

/// Half of the time every right.
fn widened(rights: Rights) -> Rights {
    if rights.grant { Rights::ALL } else { rights }
}

/// A slot of the first CNode, or of the second; mostly one of these.
fn pointer(byte: u8, likely: &[u8]) -> CPtr {
    let choice = byte >> 5;
    let index = if choice < 7 {
        likely[usize::from(choice) % likely.len()]
    } else {
        byte & 0x0f
    };
    if byte & 0x10 == 0 {
        CPtr(index.into())
    } else {
        CPtr(1 << (64 - ROOT_RADIX) | u64::from(index))
    }
}

/// A slot of one of the CNodes, rarely of none.
fn slot(root: u8, index: u8, depth: u8) -> CNodeSlot {
    let index = u64::from(index % 16);
    let (root, index, depth) = match root % 32 {
        0..=13 => (1, index, 64),
        14..=22 => (2, index, 64),
        23..=24 => (3, index, ROOT_RADIX),
        25..=30 => (9, index, NESTED_RADIX),
        _ => (root / 16, index, depth),
    };
    CNodeSlot {
        root: CPtr(root.into()),
        index,
        depth,
    }
}

/// A badge, or a guard that keeps a CNode of radix 4 in use.
fn data(byte: u8) -> u64 {
    match byte % 8 {
        0 => 0,
        1..=5 => Badge(u64::from(byte % 8)).0,
        6 => u64::from(64 - LEAF_RADIX),
        _ => u64::from(64 - LEAF_RADIX - ROOT_RADIX),
    }
}
