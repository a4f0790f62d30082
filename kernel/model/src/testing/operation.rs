//! Random operations on the world, for property tests, fuzzing and the comparison with the real
//! kernel.

use alloc::vec;
use alloc::vec::Vec;

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Message, Rights, Syscall};

use super::World;
use super::layout::{self, LEAF_RADIX, NESTED_RADIX, ROOT_RADIX};
use crate::Violation;
use crate::invocation::{self, label};

/// Kinds of operations.
const KINDS: u8 = 87;

/// Bytes that an [`Operation`] is decoded from.
pub const OPERATION_BYTES: usize = 12;

/// Something that happens to a [`World`].
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all operations are system calls"
)]
pub enum Operation {
    /// A thread makes a system call, with capabilities that go along with its message.
    Syscall(usize, Syscall, Vec<CPtr>),
    /// A thread repeats its system call.
    Restart(usize),
    /// A thread is stopped.
    Suspend(usize),
    /// A thread goes on.
    Resume(usize),
    /// A thread gives its system call up and goes on elsewhere.
    Redirect(usize),
    /// A thread that has no scheduling context gets its spare one, whoever has that; one that has its
    /// spare one loses it.
    Lend(usize),
    /// A thread dies.
    Destroy(usize),
    /// An interrupt arrives.
    Interrupt(u64),
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
    /// The operation that these bytes stand for. Total: all bytes are one; most are system calls on
    /// slots that hold something.
    pub fn decode(bytes: [u8; OPERATION_BYTES]) -> Self {
        let [kind, thread, a, b, c, d, e, f, g, label, length, along] = bytes;
        let thread = usize::from(thread);
        let reply = pointer(b, &REPLIES);
        let receives = pointer(a, &RECEIVES);
        let sends = pointer(a, &SENDS);
        let kind = kind % KINDS;
        let message = message(label, length, [e, f, g]);
        let source = slot(c, d);
        let (rights, badge) = (rights(e), data(f));
        let call = match kind {
            0..=6 => Syscall::Call(sends, message),
            7..=10 => Syscall::Send(sends, message),
            11..=12 => Syscall::NbSend(sends, message),
            13..=15 => Syscall::Send(reply, message),
            16 => Syscall::NbSend(pointer(a, &SIGNALS), message),
            17 => Syscall::Send(pointer(a, &SIGNALS), message),
            18..=24 => Syscall::Recv {
                from: receives,
                reply,
            },
            25..=27 => Syscall::NbRecv {
                from: receives,
                reply,
            },
            28..=32 => Syscall::ReplyRecv {
                from: receives,
                reply,
                message,
            },
            33 => Syscall::Wait(receives),
            34 => Syscall::Wait(pointer(a, &WAITS)),
            35..=36 => Syscall::NbWait(pointer(a, &WAITS)),
            37..=39 => Syscall::Invoke(Invocation::Copy {
                destination: free(a, b),
                source: if g < 128 { derived(c, d) } else { source },
                rights,
            }),
            40..=44 => Syscall::Invoke(Invocation::Mint {
                destination: free(a, b),
                source,
                rights,
                badge,
            }),
            45 => Syscall::Invoke(Invocation::Move {
                destination: free(a, b),
                source: derived(c, d),
            }),
            46..=47 => Syscall::Invoke(Invocation::Mutate {
                destination: free(a, b),
                source: guarded(c, d),
                badge,
            }),
            48..=49 => Syscall::Invoke(Invocation::Revoke(derived(a, b))),
            50..=51 => Syscall::Invoke(Invocation::Delete(free(a, b))),
            52 => Syscall::Invoke(Invocation::Delete(derived(a, b))),
            53 => Syscall::Invoke(Invocation::Delete(holding(a, b))),
            54 => Syscall::Invoke(Invocation::Revoke(holding(a, b))),
            55..=56 => Syscall::Invoke(Invocation::CancelBadgedSends(cancellable(a, b))),
            57..=58 => Syscall::Call(pointer(a, &THREADS), of_thread(label, [b, c, d])),
            59 => Syscall::Call(pointer(a, &CNODES), of_cnode(label, [b, c, d, e, f])),
            60 if d < 128 => return Self::Restart(thread),
            60 => return Self::Resume(thread),
            61 => return Self::Redirect(thread),
            62 if d < 64 => return Self::Suspend(thread),
            62 if d < 88 => return Self::Destroy(thread),
            62 => return Self::Interrupt(badge),
            63 if d < 128 => Syscall::Invoke(Invocation::Revoke(holding(a, b))),
            63 => Syscall::Yield,
            64..=66 => {
                let pivot = guarded(c, d);
                let source = if label < 192 {
                    guarded(e, f)
                } else {
                    derived(e, f)
                };
                let destination = if along < 64 { source } else { free(a, b) };
                let message =
                    invocation::rotate(destination, (pivot, data(g)), (source, data(length)));
                let call = Syscall::Call(destination.root, message);
                return Self::Syscall(thread, call, vec![pivot.root, source.root]);
            }
            67..=71 => Syscall::Call(pointer(a, &CONTEXTS), of_context(label)),
            72 => {
                let (context, of) = OWN_CONTEXTS[usize::from(a) % OWN_CONTEXTS.len()];
                let unbind = Message::new(label::CONTEXT_UNBIND_OBJECT);
                return Self::Syscall(thread, Syscall::Call(context, unbind), vec![of]);
            }
            73..=75 => Syscall::Call(pointer(a, &THREADS), of_priority(label, [b, c])),
            76..=79 => Syscall::NbSendRecv {
                to: if g < 128 { sends } else { pointer(c, &SENDS) },
                message,
                from: receives,
                reply,
            },
            80..=81 => Syscall::NbSendWait {
                to: pointer(c, &SENDS),
                message,
                from: receives,
            },
            82..=85 => return Self::Lend(thread),
            _ => Syscall::Invoke(Invocation::Delete(of_a_context(a, b))),
        };
        let along = match kind {
            // Notifications are what can be bound to threads.
            57..=58 if along < 192 => vec![pointer(along, &[6, 14])],
            // Threads and notifications are what has scheduling contexts.
            67..=71 if along < 224 => vec![pointer(along, &[3, 4, 8, 9, 25, 6, 14, 8])],
            // Threads give authority; a scheduling context and a fault handler come after it.
            73..=75 => {
                let all = [pointer(along, &THREADS), pointer(d, &CONTEXTS), receives];
                all[..usize::from(e % 4)].into()
            }
            57..=58 | 67..=71 => vec![],
            _ if along < 48 => {
                let all = [10 + along * 5, b, c].map(|byte| pointer(byte, &[5, 11, 6, 16]));
                all[..1 + usize::from(along % 3)].into()
            }
            _ => vec![],
        };
        Self::Syscall(thread, call, along)
    }
}

// Slots of the two large CNodes that hold, at first, what a kind of system call needs.
const SENDS: [u8; 8] = [5, 11, 5, 12, 10, 26, 11, 7];
const RECEIVES: [u8; 8] = [5, 13, 5, 13, 10, 26, 13, 6];
const REPLIES: [u8; 2] = [7, 15];
const SIGNALS: [u8; 2] = [6, 14];
const WAITS: [u8; 4] = [6, 14, 6, 5];
const THREADS: [u8; 6] = [3, 4, 8, 8, 9, 25];
const CONTEXTS: [u8; 6] = [27, 28, 29, 31, 24, 28];
/// Scheduling contexts with the threads that have them at first.
const OWN_CONTEXTS: [(CPtr, CPtr); 4] = [
    (CPtr(27), CPtr(layout::SECOND_CNODE | 3)),
    (CPtr(28), CPtr(layout::SECOND_CNODE | 25)),
    (
        CPtr(layout::SECOND_CNODE | 27),
        CPtr(layout::SECOND_CNODE | 4),
    ),
    (CPtr(layout::SECOND_CNODE | 28), CPtr(8)),
];
const CNODES: [u8; 4] = [1, 2, 3, 9];

/// A pointer to one of the likely slots, to one that operations fill, or to any, in either CNode;
/// seldom one that goes another way, or none.
fn pointer(byte: u8, likely: &[u8]) -> CPtr {
    let choice = u64::from(byte & 0x0f);
    let likely = likely[usize::from(byte >> 1) % likely.len()];
    let second = u64::from(byte & 1) * layout::SECOND_CNODE;
    match byte {
        0..=207 => CPtr(second | u64::from(likely)),
        208..=231 => CPtr(second | 16 | choice >> 1),
        232..=239 => CPtr(choice),
        _ => odd_pointer(choice),
    }
}

/// Pointers through guards and chains of CNodes, and such that lead nowhere.
fn odd_pointer(choice: u64) -> CPtr {
    let top = |slot: u64| slot << (64 - ROOT_RADIX);
    let nested = |slots: [u64; 3]| {
        let [a, b, c] = slots;
        top(3) | a << 59 | b << 57 | c << 55
    };
    CPtr(match choice {
        0..=3 => top(2) | layout::ODD << LEAF_RADIX | (5 + choice),
        4 => top(2) | 5,
        5 => top(2) | 1 << 40 | layout::ODD << LEAF_RADIX | 5,
        6 => nested([1, 0, 0]),
        7 => nested([3, 0, 2]),
        8 => nested([3, 0, 3]) | 0x1234,
        9 => nested([3, 0, 1]),
        10 => nested([2, 0, 0]),
        11 => 1 << 30 | 5,
        12 => top(4) | 5,
        13 => top(7),
        14 => u64::MAX,
        _ => 0,
    })
}

/// A slot of one of the CNodes; seldom with a depth, an index or a root that does not fit.
fn slot(root: u8, index: u8) -> CNodeSlot {
    let any = u64::from(index % 32);
    // The original endpoints and notifications are what can be minted from.
    let useful = [5, 6, 5, 10, 11, 13, 16, 17][usize::from(index % 8)];
    let (root, index, depth) = match root % 64 {
        0..=21 => (1, useful, 64),
        22..=43 => (2, useful, 64),
        44..=47 => (1, any, 64),
        48..=51 => (2, any, 64),
        52..=53 => (3, any % 8, ROOT_RADIX),
        54..=57 => (9, any % 4, NESTED_RADIX),
        58 => (9, 48 + any % 16, NESTED_RADIX * 3),
        59 => (3, 2 << 61 | layout::ODD << 5 | any, 64),
        60 => (1, any, index % 80),
        61 => (4, any, LEAF_RADIX),
        62 => (u64::from(index % 16), any, 64),
        _ => (1, any | 1 << 40, 64),
    };
    CNodeSlot {
        root: CPtr(root),
        index,
        depth,
    }
}

/// A slot that nothing was in at first; one time in eight any.
fn free(root: u8, index: u8) -> CNodeSlot {
    if index >= 224 {
        return slot(root, index);
    }
    fixed(1 + u64::from(root % 2), 16 + u64::from(index % 8))
}

/// A slot in which there may be a capability that others come from, or that came from others; one
/// time in eight any, first capabilities too.
fn derived(root: u8, index: u8) -> CNodeSlot {
    match index {
        0..=111 => free(root, index),
        112..=223 => fixed(1 + u64::from(root % 2), 10 + u64::from(index % 4)),
        _ => slot(root, index),
    }
}

/// A slot whose capability, where it is the last, takes others with it: to CNodes, threads and
/// objects that threads wait for.
fn holding(root: u8, index: u8) -> CNodeSlot {
    let place = usize::from(index % 8);
    let (root, index, depth) = match root % 8 {
        0..=1 => (1, [3, 4, 8, 9, 25, 6, 14, 7][place], 64),
        2..=3 => (2, [1, 2, 3, 4, 8, 14, 5, 7][place], 64),
        4 => (3, place as u64, ROOT_RADIX),
        5 => (9, place as u64 % 4, NESTED_RADIX),
        6 => (25, place as u64 % 4, NESTED_RADIX),
        _ => (1, 25, 64),
    };
    CNodeSlot {
        root: CPtr(root),
        index,
        depth,
    }
}

/// A slot in which there may be an endpoint with all rights and a badge.
fn cancellable(root: u8, index: u8) -> CNodeSlot {
    match index % 4 {
        0..=1 => fixed(2, 10),
        2 => free(root, index),
        _ => slot(root, index),
    }
}

/// A slot in which there may be a CNode, whose guard can be changed.
fn guarded(root: u8, index: u8) -> CNodeSlot {
    match index % 8 {
        0 => fixed(1, 24),
        1..=3 => fixed(1, 1 + u64::from(index >> 3 & 1)),
        4..=5 => free(root, index),
        _ => slot(root, index),
    }
}

const fn fixed(root: u64, index: u64) -> CNodeSlot {
    CNodeSlot {
        root: CPtr(root),
        index,
        depth: 64,
    }
}

/// Half of the time every right.
fn rights(byte: u8) -> Rights {
    let rights = crate::invocation::rights_of(byte.into());
    if byte & 0x80 == 0 {
        Rights::ALL
    } else {
        rights
    }
}

/// A badge, or a guard that leaves a large CNode in use.
fn data(byte: u8) -> u64 {
    match byte % 16 {
        0 => 0,
        1..=8 => 1,
        9..=11 => 2,
        12 => 0x112,
        13 => u64::MAX,
        14 => u64::from(64 - LEAF_RADIX),
        _ => u64::from(64 - LEAF_RADIX - ROOT_RADIX),
    }
}

/// A message with up to 120 words, mostly few. Label 0 is left to the kernel, so that what a signal
/// leaves is not taken for a message.
fn message(label: u8, length: u8, words: [u8; 3]) -> Message {
    let length = match length {
        0..=191 => usize::from(length % 6),
        192..=239 => usize::from(length - 120),
        _ => 120,
    };
    let mut all = [0; 120];
    for (place, word) in (0..).zip(&mut all) {
        let [a, b, c] = words.map(u64::from);
        *word = a ^ b << 20 ^ c << 56 ^ place << 8;
    }
    let mut message = Message::default();
    let label = match u64::from(label) {
        0 => 1,
        // Invocations that other operations make.
        label @ (2..=11 | 16 | 17 | 25 | 34..=38) => label + 64,
        label if label < 128 => label,
        label => label << 44 | label,
    };
    message.set(label, &all[..length]);
    message
}

/// An invocation of a thread. Those that need more words than they have are refused as truncated;
/// the model does not state the results of most others that need words.
fn of_thread(byte: u8, words: [u8; 3]) -> Message {
    const LABELS: [u64; 16] = [12, 13, 13, 13, 13, 14, 14, 15, 2, 3, 4, 5, 9, 11, 16, 17];
    let mut message = Message::new(LABELS[usize::from(byte % 16)]);
    let length = usize::from(byte >> 4) % 4;
    message.set(
        message.label(),
        &words.map(|word| u64::from(word % 4))[..length],
    );
    message
}

/// An invocation of a thread that sets priorities, mostly such as threads have.
fn of_priority(byte: u8, words: [u8; 2]) -> Message {
    let words = words.map(|word| match word {
        0..=191 => 10 + u64::from(word % 5),
        192..=239 => u64::from(word % 32).max(8),
        _ => u64::MAX - u64::from(word),
    });
    let label = match byte {
        0..=127 => label::TCB_SET_PRIORITY,
        128..=191 => label::TCB_SET_MC_PRIORITY,
        _ => label::TCB_SET_SCHED_PARAMS,
    };
    let mut message = Message::default();
    message.set(label, &words[..2 - usize::from(byte % 8 == 7)]);
    message
}

/// An invocation of a scheduling context.
fn of_context(byte: u8) -> Message {
    Message::new(match byte {
        0..=119 => label::CONTEXT_BIND,
        120..=199 => label::CONTEXT_UNBIND_OBJECT,
        200..=231 => label::CONTEXT_UNBIND,
        232..=247 => label::CONTEXT_YIELD_TO,
        248..=251 => label::CONTEXT_CONSUMED,
        _ => 39,
    })
}

/// A slot in which there may be a scheduling context.
fn of_a_context(root: u8, index: u8) -> CNodeSlot {
    let place = CONTEXTS[usize::from(index) % CONTEXTS.len()];
    fixed(1 + u64::from(root % 2), place.into())
}

/// A message that is an invocation of a CNode, or nearly so.
fn of_cnode(label: u8, words: [u8; 5]) -> Message {
    let [index, depth, length, b, c] = words;
    let depth = if depth < 200 { 64 } else { depth.into() };
    let all = [(index % 32).into(), depth, b.into(), 64, c.into(), 7];
    let mut message = Message::default();
    message.set(18 + u64::from(label % 9), &all[..usize::from(length % 7)]);
    message
}
