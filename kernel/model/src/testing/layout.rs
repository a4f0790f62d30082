//! What the world of random operations consists of.
//!
//! It is data, so that [`World`](super::World) and the image that runs the same operations on the
//! real kernel are built from one description.

use portcullis_kernel::{CNodeSlot, CPtr, Rights};

/// A kernel object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Object {
    /// A CNode of 2^radix slots.
    CNode(u8),
    /// An endpoint.
    Endpoint,
    /// A notification.
    Notification,
    /// A reply object.
    Reply,
    /// A scheduling context.
    SchedulingContext,
}

/// A thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thread {
    /// Its priority; larger goes first.
    pub priority: u8,
    /// The highest priority that its authority gives.
    pub maximum_priority: u8,
    /// The scheduling context, a place in [`OBJECTS`], that it has; a passive thread has none.
    pub context: Option<usize>,
    /// The CNode, a place in [`OBJECTS`], that is the root of its CSpace, with no guard.
    pub cspace: usize,
    /// The notification, a place in [`OBJECTS`], that it is bound to.
    pub bound: Option<usize>,
    /// Whether its last capability is in the world too, so that it dies with that.
    pub given_away: bool,
}

/// What a capability is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// An object, by its place in [`OBJECTS`].
    Object(usize),
    /// A thread, by its place in [`THREADS`].
    Thread(usize),
}

/// A slot that is filled before anything happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Filled {
    /// The CNode, a place in [`OBJECTS`].
    pub cnode: usize,
    /// The slot in it.
    pub slot: u64,
    /// What the capability in it is to.
    pub to: Target,
    /// How it came there.
    pub by: By,
}

/// How a capability came into its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// It was minted from the object's first capability, with these rights and this badge, or for a
    /// CNode with a guard of so many zero bits.
    Minting(Rights, u64),
    /// It is the object's first capability itself, so that the object dies with the last one here.
    Moving,
}

/// Bits that the root of a CSpace resolves.
pub const ROOT_RADIX: u8 = 3;
/// Bits that the two large CNodes below it resolve.
pub const LEAF_RADIX: u8 = 5;
/// Bits that the CNodes inside each other resolve.
pub const NESTED_RADIX: u8 = 2;

/// A root that no operation reaches, so that its threads go on whatever is deleted.
const SAFE: usize = 0;
/// A root that operations do reach.
const ROOT: usize = 1;
const FIRST: usize = 2;
const SECOND: usize = 3;
/// CNodes inside each other, at the end of long pointers.
const NESTED: [usize; 3] = [4, 5, 6];
/// CNodes inside each other to which there is no other capability, with a thread and an endpoint in
/// them.
const DOOMED: [usize; 3] = [7, 8, 9];
const ENDPOINTS: [usize; 3] = [10, 11, 12];
const NOTIFICATIONS: [usize; 3] = [13, 14, 15];
const REPLIES: [usize; 4] = [16, 17, 18, 19];
/// Those of six threads, and one that nobody has.
const CONTEXTS: [usize; 7] = [20, 21, 22, 23, 24, 25, 26];
/// One a thread, to which the world has no capability: they get threads going again.
pub const SPARES: [usize; 8] = [27, 28, 29, 30, 31, 32, 33, 34];

/// The notification that interrupts signal.
pub(super) const INTERRUPT: usize = NOTIFICATIONS[1];

/// Every object.
pub const OBJECTS: [Object; 35] = [
    Object::CNode(ROOT_RADIX),
    Object::CNode(ROOT_RADIX),
    Object::CNode(LEAF_RADIX),
    Object::CNode(LEAF_RADIX),
    Object::CNode(NESTED_RADIX),
    Object::CNode(NESTED_RADIX),
    Object::CNode(NESTED_RADIX),
    Object::CNode(NESTED_RADIX),
    Object::CNode(NESTED_RADIX),
    Object::CNode(NESTED_RADIX),
    Object::Endpoint,
    Object::Endpoint,
    Object::Endpoint,
    Object::Notification,
    Object::Notification,
    Object::Notification,
    Object::Reply,
    Object::Reply,
    Object::Reply,
    Object::Reply,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
    Object::SchedulingContext,
];

/// Every thread, some of equal priority, two of them passive.
pub const THREADS: [Thread; 8] = [
    Thread {
        bound: Some(NOTIFICATIONS[0]),
        maximum_priority: 16,
        ..thread(14, SAFE, Some(CONTEXTS[0]))
    },
    Thread {
        given_away: true,
        ..thread(13, SAFE, Some(CONTEXTS[1]))
    },
    Thread {
        given_away: true,
        ..thread(13, SAFE, Some(CONTEXTS[2]))
    },
    thread(13, SAFE, Some(CONTEXTS[3])),
    Thread {
        bound: Some(NOTIFICATIONS[2]),
        ..thread(12, SAFE, Some(CONTEXTS[4]))
    },
    thread(12, SAFE, None),
    thread(12, ROOT, Some(CONTEXTS[5])),
    thread(11, ROOT, None),
];

/// Where every thread takes a capability that comes with a message: an empty slot of the first
/// large CNode.
pub const RECEIVE: CNodeSlot = CNodeSlot {
    root: CPtr(1),
    index: 30,
    depth: 64,
};

/// Bit of a pointer that leads into the second large CNode.
pub(super) const SECOND_CNODE: u64 = 1 << (64 - ROOT_RADIX);
/// Guard of a large CNode right below a root, so that small numbers are pointers to its slots.
const BELOW: u64 = (64 - ROOT_RADIX - LEAF_RADIX) as u64;
/// Guard of a large CNode that is named by its slot and all 64 bits in an invocation.
const WHOLE: u64 = (64 - LEAF_RADIX) as u64;
/// A guard that is not zero, in the terms of `seL4_CNode_CapData`.
const ODD_GUARD: u64 = ODD << 6 | BELOW;
/// The guard in it.
pub(super) const ODD: u64 = 5;

/// Every slot that is filled, in the order in which it happens.
pub const FILLED: &[Filled] = &[
    mint(SAFE, 0, FIRST, BELOW),
    mint(SAFE, 1, SECOND, BELOW),
    mint(SAFE, 2, FIRST, ODD_GUARD),
    mint(SAFE, 3, NESTED[0], 0),
    mint(ROOT, 0, FIRST, BELOW),
    mint(ROOT, 1, SECOND, BELOW),
    mint(ROOT, 2, FIRST, ODD_GUARD),
    mint(ROOT, 3, NESTED[0], 0),
    mint(FIRST, 1, FIRST, WHOLE),
    mint(FIRST, 2, SECOND, WHOLE),
    mint(FIRST, 3, ROOT, 0),
    mint(FIRST, 10, ENDPOINTS[1], 0),
    badge(FIRST, 11, ENDPOINTS[0], Rights::CALL, 0x111),
    badge(FIRST, 12, ENDPOINTS[0], Rights::WRITE, 0x112),
    badge(FIRST, 13, ENDPOINTS[0], Rights::READ, 0),
    badge(FIRST, 14, NOTIFICATIONS[1], Rights::WRITE, 4),
    badge(SECOND, 10, ENDPOINTS[0], Rights::ALL, 0x210),
    badge(SECOND, 11, ENDPOINTS[1], Rights::CALL, 0x211),
    badge(SECOND, 12, ENDPOINTS[1], GRANT, 0x212),
    badge(SECOND, 13, ENDPOINTS[1], Rights::READ, 0),
    badge(NESTED[0], 1, ENDPOINTS[0], Rights::ALL, 0x301),
    // More bits than are left behind the CNodes above it.
    mint(NESTED[0], 2, FIRST, BELOW),
    mint(FIRST, 24, FIRST, WHOLE),
    badge(NESTED[2], 2, NOTIFICATIONS[1], Rights::ALL, 8),
    mint(NESTED[2], 3, REPLIES[0], 0),
    badge(DOOMED[0], 0, ENDPOINTS[0], Rights::ALL, 0x401),
    badge(FIRST, 26, ENDPOINTS[2], Rights::READ, 0),
    badge(SECOND, 26, ENDPOINTS[2], Rights::CALL, 0x226),
    thread_copy(SECOND, 3, 0),
    thread_copy(SECOND, 4, 4),
    thread_copy(SECOND, 8, 5),
    thread_copy(SECOND, 9, 7),
    thread_copy(SECOND, 25, 3),
    mint(FIRST, 27, CONTEXTS[0], 0),
    mint(FIRST, 28, CONTEXTS[3], 0),
    mint(FIRST, 31, CONTEXTS[6], 0),
    mint(SECOND, 24, CONTEXTS[2], 0),
    mint(SECOND, 27, CONTEXTS[4], 0),
    mint(SECOND, 31, CONTEXTS[5], 0),
    badge(DOOMED[1], 0, ENDPOINTS[2], Rights::ALL, 0x402),
    // The CNodes' first capabilities lie in each other, the others' side by side.
    last(FIRST, 5, ENDPOINTS[0]),
    last(SECOND, 5, ENDPOINTS[1]),
    last(FIRST, 6, NOTIFICATIONS[0]),
    last(SECOND, 6, NOTIFICATIONS[1]),
    last(SECOND, 14, NOTIFICATIONS[2]),
    last(FIRST, 7, REPLIES[0]),
    last(SECOND, 7, REPLIES[1]),
    last(FIRST, 15, REPLIES[2]),
    last(SECOND, 15, REPLIES[3]),
    last(FIRST, 29, CONTEXTS[6]),
    last(SECOND, 28, CONTEXTS[1]),
    last(SECOND, 29, CONTEXTS[5]),
    last_thread(FIRST, 8, 1),
    last(DOOMED[2], 0, ENDPOINTS[2]),
    last_thread(DOOMED[1], 3, 2),
    last(DOOMED[1], 1, DOOMED[2]),
    last(DOOMED[0], 3, DOOMED[1]),
    last(FIRST, 25, DOOMED[0]),
    last(SECOND, 1, ROOT),
    last(SECOND, 2, FIRST),
    last(FIRST, 4, SECOND),
    last(NESTED[1], 0, NESTED[2]),
    last(NESTED[0], 3, NESTED[1]),
    last(FIRST, 9, NESTED[0]),
];

/// Send and have capabilities taken along, but no receiving.
const GRANT: Rights = Rights {
    read: false,
    ..Rights::ALL
};

const fn thread(priority: u8, cspace: usize, context: Option<usize>) -> Thread {
    Thread {
        priority,
        maximum_priority: 13,
        context,
        cspace,
        bound: None,
        given_away: false,
    }
}

const fn badge(cnode: usize, slot: u64, object: usize, rights: Rights, badge: u64) -> Filled {
    Filled {
        cnode,
        slot,
        to: Target::Object(object),
        by: By::Minting(rights, badge),
    }
}

const fn mint(cnode: usize, slot: u64, object: usize, data: u64) -> Filled {
    badge(cnode, slot, object, Rights::ALL, data)
}

const fn thread_copy(cnode: usize, slot: u64, thread: usize) -> Filled {
    Filled {
        cnode,
        slot,
        to: Target::Thread(thread),
        by: By::Minting(Rights::ALL, 0),
    }
}

const fn last(cnode: usize, slot: u64, object: usize) -> Filled {
    Filled {
        cnode,
        slot,
        to: Target::Object(object),
        by: By::Moving,
    }
}

const fn last_thread(cnode: usize, slot: u64, thread: usize) -> Filled {
    Filled {
        cnode,
        slot,
        to: Target::Thread(thread),
        by: By::Moving,
    }
}
