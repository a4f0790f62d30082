//! The threads of a system's components, and what came of their system calls.

use std::collections::BTreeMap;

use portcullis_kernel::{Badge, CPtr, Fault, Message, Rights, Syscall, cspace};
use portcullis_manager_api::grants_radix;
use portcullis_model::{Capability, Completion, Kernel, ObjectId, ThreadId};

use super::draft::MANAGER;
use super::machine::{Machine, cnode, insert};

/// Bits of a test's Microkit CNode: it ends after the first channels.
const MICROKIT_RADIX: u8 = 7;

/// The threads of components that a test uses: made when it first does, since every check of the
/// kernel looks at all their slots.
#[derive(Default)]
pub struct Threads {
    of: BTreeMap<u16, Two>,
    /// What their system calls came to, and nobody looked at yet.
    completed: BTreeMap<usize, Vec<Completion>>,
}

/// The threads of a component.
#[derive(Clone, Copy)]
struct Two {
    own: ThreadId,
    /// The one that its fault is sent through: seL4 sends it as the thread itself, through a
    /// capability that is not in its CSpace.
    handler: ThreadId,
}

impl Threads {
    /// The thread of component `number`, where a test uses it.
    pub fn of(&self, number: u16) -> Option<ThreadId> {
        self.of.get(&number).map(|two| two.own)
    }

    /// Keeps what system calls came to.
    pub fn take(&mut self, completed: impl IntoIterator<Item = (ThreadId, Completion)>) {
        let completed = completed.into_iter();
        // One that is to repeat its call is not answered yet.
        let ended = completed.filter(|it| it.1 != Completion::Restarted);
        for (thread, completion) in ended {
            self.completed
                .entry(thread.index())
                .or_default()
                .push(completion);
        }
    }

    /// What the system calls of component `number` came to since the last look.
    pub fn completed(&mut self, number: u16) -> Vec<Completion> {
        let thread = self.of(number).map(ThreadId::index);
        let completed = thread.and_then(|thread| self.completed.remove(&thread));
        completed.unwrap_or_default()
    }
}

impl Machine {
    /// The thread of component `number`, whose pointers are those of its grants.
    pub fn thread(&mut self, number: u16) -> ThreadId {
        self.two(number).own
    }

    /// The thread through which the fault of component `number` is sent.
    pub fn handler(&mut self, number: u16) -> ThreadId {
        self.two(number).handler
    }

    /// Asks the manager as component `number`, on its static channel, its channel 0.
    pub fn ask(&mut self, number: u16, message: Message) -> Vec<(ThreadId, Completion)> {
        let thread = self.thread(number);
        self.syscall(thread, &Syscall::Call(cspace::channel_endpoint(0), message))
    }

    /// Stops component `number` and sends its fault, as the kernel does.
    pub fn fault(&mut self, number: u16, fault: &Fault) {
        let Two { own, handler } = self.two(number);
        self.kernel.suspend(own);
        let send = Syscall::Call(CPtr(1), fault.message());
        let completed = self.syscall(handler, &send);
        assert_eq!(completed, [], "the manager is at work, and nobody replies");
    }

    /// Has component `number` run anew from its start, after a fault.
    pub fn start_anew(&mut self, number: u16) {
        self.threads.of.remove(&number);
    }

    fn two(&mut self, number: u16) -> Two {
        if let Some(two) = self.threads.of.get(&number) {
            return *two;
        }
        let to_manager = |badge| Capability::Endpoint {
            object: self.endpoints[usize::from(MANAGER)],
            badge,
            rights: Rights::CALL,
        };
        let held = self
            .draft
            .grants
            .iter()
            .filter(|it| it.grant.subject == number);
        let radix = grants_radix(held.count() as u32);
        let channel = Some(to_manager(Badge::channel(number as u8)));
        let fault = to_manager(Badge::fault(number as u8));
        let number = usize::from(number);
        let input = (self.endpoints[number], self.replies[number]);
        let grants = cnode(self.grants[number], radix);
        let kernel = &mut self.kernel;
        let own = component(kernel, 100, input, grants, channel).thread;
        let handler = kernel.create_thread(100);
        let cnode = kernel.create_cnode(1);
        insert(kernel, cnode, 1, fault);
        let root = Capability::cnode(cnode, 63);
        kernel.set_cspace(handler, root).unwrap();
        let two = Two { own, handler };
        self.threads.of.insert(number as u16, two);
        two
    }
}

/// A component's thread, and two of its CNodes.
pub struct Component {
    pub thread: ThreadId,
    pub root: ObjectId,
    pub microkit: ObjectId,
}

/// Makes a thread with an endpoint to receive from, a reply object, perhaps a channel, and a CNode
/// beside Microkit's.
pub fn component(
    kernel: &mut Kernel,
    priority: u8,
    (endpoint, reply): (ObjectId, ObjectId),
    own: Capability,
    channel: Option<Capability>,
) -> Component {
    let thread = kernel.create_thread(priority);
    let root = kernel.create_cnode(cspace::ROOT_RADIX);
    insert(kernel, root, cspace::PORTCULLIS_ROOT_SLOT as u32, own);
    let microkit = kernel.create_cnode(MICROKIT_RADIX);
    let held = cnode(microkit, MICROKIT_RADIX);
    insert(kernel, root, cspace::MICROKIT_ROOT_SLOT as u32, held);
    let input = Capability::Endpoint {
        object: endpoint,
        badge: Badge(0),
        rights: Rights::READ,
    };
    let reply = Capability::reply(reply);
    let fixed = [(cspace::INPUT, input), (cspace::REPLY, reply)];
    let channel = channel.map(|channel| (cspace::channel_endpoint(0), channel));
    for (at, capability) in fixed.into_iter().chain(channel) {
        insert(kernel, microkit, at.bits() as u32, capability);
    }
    kernel
        .set_cspace(thread, Capability::cnode(root, 0))
        .unwrap();
    Component {
        thread,
        root,
        microkit,
    }
}
