//! A whole system in one thread: components served by turns, strict priority.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};

use portcullis_kernel::{
    Answer, Badge, CPtr, CallGrant, Caller, Component, GrantBadge, Message, Method, Mode,
    NotifyGrant, Rights, SendGrant, Syscall, cspace, dispatch,
};

use super::Direct;
use crate::{Capability, Completion, Done, Kernel, ObjectId, ThreadId};

/// Radix of the grants CNode that [`Machine::protection_domain`] makes.
const GRANTS_RADIX: u8 = 6;

/// A kernel, and the components that run on it. Clones are the same machine.
#[derive(Clone)]
pub struct Machine {
    kernel: Rc<RefCell<Kernel>>,
    threads: Rc<RefCell<Vec<Entry>>>,
}

/// What the machine knows of a thread.
#[derive(Default)]
struct Entry {
    /// What came of its system call, until it is looked at.
    completion: Option<Completion>,
    /// The component that runs as it; not there while it runs.
    component: Option<Box<dyn Component<Direct>>>,
}

/// A protection domain as Microkit lays it out, with a grants CNode of 64 slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtectionDomain {
    /// Its thread.
    pub thread: ThreadId,
    /// The root of its CSpace.
    pub root: ObjectId,
    /// The CNode that Microkit fills.
    pub microkit: ObjectId,
    /// The CNode of its grants.
    pub grants: ObjectId,
    /// The endpoint that it serves.
    pub endpoint: ObjectId,
    /// The notification bound to its thread.
    pub notification: ObjectId,
    /// Its reply object.
    pub reply: ObjectId,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine with nothing on it.
    pub fn new() -> Self {
        Self::with(Rc::default())
    }

    /// A machine that runs this kernel.
    pub fn with(kernel: Rc<RefCell<Kernel>>) -> Self {
        Self {
            kernel,
            threads: Rc::default(),
        }
    }

    /// The kernel, to look at it or set it up further. Must not be held over a system call.
    pub fn kernel(&self) -> RefMut<'_, Kernel> {
        self.kernel.borrow_mut()
    }

    /// The system calls of a thread.
    pub fn direct(&self, thread: ThreadId) -> Direct {
        Direct::of(self.clone(), thread)
    }

    /// Creates a protection domain that serves an endpoint and is bound to a notification.
    pub fn protection_domain(&self, priority: u8) -> ProtectionDomain {
        let kernel = &mut *self.kernel();
        let domain = ProtectionDomain {
            thread: kernel.create_thread(priority),
            root: kernel.create_cnode(cspace::ROOT_RADIX),
            microkit: kernel.create_cnode(cspace::MICROKIT_RADIX),
            grants: kernel.create_cnode(GRANTS_RADIX),
            endpoint: kernel.create_endpoint(),
            notification: kernel.create_notification(),
            reply: kernel.create_reply(),
        };
        let leaf = |object, radix| Capability::cnode(object, cspace::LEAF_BITS - radix);
        let microkit = leaf(domain.microkit, cspace::MICROKIT_RADIX);
        let input = Capability::Endpoint {
            object: domain.endpoint,
            badge: Badge(0),
            rights: Rights::READ,
        };
        let reply = Capability::reply(domain.reply);
        let grants = leaf(domain.grants, GRANTS_RADIX);
        let fill = [
            (domain.root, cspace::MICROKIT_ROOT_SLOT, microkit),
            (domain.root, cspace::PORTCULLIS_ROOT_SLOT, grants),
            (domain.microkit, cspace::INPUT.bits(), input),
            (domain.microkit, cspace::REPLY.bits(), reply),
        ];
        for (cnode, slot, capability) in fill {
            insert(kernel, cnode, slot, capability);
        }
        kernel
            .set_cspace(domain.thread, Capability::cnode(domain.root, 0))
            .and_then(|()| kernel.bind_notification(domain.thread, domain.notification))
            .expect("everything here is new");
        domain
    }

    /// Gives `client` a static channel on which it calls `server`, which sees it as `server_id`.
    pub fn channel(
        &self,
        client: &ProtectionDomain,
        client_id: u8,
        server: &ProtectionDomain,
        server_id: u8,
    ) -> CallGrant {
        let pointer = cspace::channel_endpoint(client_id);
        let capability = Capability::Endpoint {
            object: server.endpoint,
            badge: Badge::channel(server_id),
            rights: Rights::CALL,
        };
        insert(
            &mut self.kernel(),
            client.microkit,
            pointer.bits(),
            capability,
        );
        CallGrant(pointer)
    }

    /// Puts a `call` grant into slot `slot` of the subject's grants CNode.
    pub fn call_grant(
        &self,
        subject: &ProtectionDomain,
        slot: u32,
        object: &ProtectionDomain,
        grant: GrantBadge,
    ) -> CallGrant {
        CallGrant(self.grant(subject, slot, object, grant, Mode::Call))
    }

    /// Puts a `send` grant into slot `slot` of the subject's grants CNode.
    pub fn send_grant(
        &self,
        subject: &ProtectionDomain,
        slot: u32,
        object: &ProtectionDomain,
        grant: GrantBadge,
    ) -> SendGrant {
        SendGrant(self.grant(subject, slot, object, grant, Mode::Send))
    }

    /// Puts a `notify` grant for bit `bit` into slot `slot` of the subject's grants CNode.
    pub fn notify_grant(
        &self,
        subject: &ProtectionDomain,
        slot: u32,
        object: &ProtectionDomain,
        bit: u8,
    ) -> NotifyGrant {
        let capability = Capability::Notification {
            object: object.notification,
            badge: Badge(1 << bit),
            rights: Mode::Notify.rights(),
        };
        insert(&mut self.kernel(), subject.grants, slot.into(), capability);
        NotifyGrant(cspace::grant(slot))
    }

    /// Starts `component` as `thread`: runs its `init`, then has it wait at its input. It runs
    /// from then on whenever something blocks or yields to it. Gives the component, to look at
    /// while it does not run.
    pub fn start<C: Component<Direct> + 'static>(
        &self,
        thread: ThreadId,
        component: C,
    ) -> Rc<RefCell<C>> {
        let component = Rc::new(RefCell::new(component));
        component.borrow_mut().init(&mut self.direct(thread));
        self.entry(thread).component = Some(Box::new(Shared(component.clone())));
        self.step(|kernel, done| kernel.syscall(thread, &RECV, done));
        component
    }

    /// Runs components, highest priority first, until none is ready.
    pub fn run(&self) {
        while self.run_one(None) {}
    }

    /// Signals as an interrupt does, and runs what that makes ready.
    pub fn interrupt(&self, notification: ObjectId, badge: u64) {
        self.step(|kernel, done| kernel.signal(notification, badge, done));
        self.run();
    }

    /// Executes a system call of a thread that runs no component, or is running one.
    pub(super) fn execute(&self, thread: ThreadId, call: &Syscall) -> Completion {
        let priority = self.kernel().priority(thread);
        self.step(|kernel, done| kernel.syscall(thread, call, done));
        loop {
            while self.run_one(Some(priority)) {}
            match self.take(thread) {
                Some(Completion::Restarted) => {
                    self.step(|kernel, done| kernel.restart(thread, done));
                }
                Some(completion) => return completion,
                None => assert!(
                    self.run_one(None),
                    "thread {} is {:?} for ever after {call:?}: no component is ready that could \
                     complete it",
                    thread.index(),
                    self.kernel().state(thread)
                ),
            }
        }
    }

    fn grant(
        &self,
        subject: &ProtectionDomain,
        slot: u32,
        object: &ProtectionDomain,
        grant: GrantBadge,
        mode: Mode,
    ) -> CPtr {
        let capability = Capability::Endpoint {
            object: object.endpoint,
            badge: grant.badge(),
            rights: mode.rights(),
        };
        insert(&mut self.kernel(), subject.grants, slot.into(), capability);
        cspace::grant(slot)
    }

    /// Runs the ready component of the highest priority, if it is above `above`.
    fn run_one(&self, above: Option<u8>) -> bool {
        let Some(thread) = self.ready(above) else {
            return false;
        };
        match self.take(thread) {
            Some(Completion::Message { badge, message }) => self.turn(thread, badge, message),
            Some(Completion::Restarted) => {
                self.step(|kernel, done| kernel.restart(thread, done));
            }
            other => panic!("the component of thread {} got {other:?}", thread.index()),
        }
        true
    }

    /// Has the component take a message, and wait for the next.
    fn turn(&self, thread: ThreadId, badge: Badge, mut message: Message) {
        let mut component = self
            .entry(thread)
            .component
            .take()
            .expect("a thread that is ready has its component");
        let mut direct = self.direct(thread);
        let answer = dispatch(&mut direct, &mut *component, badge, &mut message);
        self.entry(thread).component = Some(component);
        let next = match answer {
            Answer::None => RECV,
            Answer::Reply => Syscall::ReplyRecv {
                from: cspace::INPUT,
                reply: cspace::REPLY,
                message,
            },
        };
        self.step(|kernel, done| kernel.syscall(thread, &next, done));
    }

    fn ready(&self, above: Option<u8>) -> Option<ThreadId> {
        let kernel = self.kernel();
        let entries = self.threads.borrow();
        (0..entries.len())
            .filter(|index| {
                let entry = &entries[*index];
                entry.component.is_some() && entry.completion.is_some()
            })
            .map(|index| ThreadId(index as u32))
            .filter(|thread| kernel.is_schedulable(*thread))
            .filter(|thread| above.is_none_or(|above| kernel.priority(*thread) > above))
            // Of several, the first.
            .rev()
            .max_by_key(|thread| kernel.priority(*thread))
    }

    fn step(&self, step: impl FnOnce(&mut Kernel, Done<'_>)) {
        step(&mut self.kernel(), &mut |thread, completion| {
            self.entry(thread).completion = Some(completion);
        });
    }

    fn take(&self, thread: ThreadId) -> Option<Completion> {
        self.entry(thread).completion.take()
    }

    fn entry(&self, thread: ThreadId) -> RefMut<'_, Entry> {
        RefMut::map(self.threads.borrow_mut(), |threads| {
            if threads.len() <= thread.index() {
                threads.resize_with(thread.index() + 1, Entry::default);
            }
            &mut threads[thread.index()]
        })
    }
}

const RECV: Syscall = Syscall::Recv {
    from: cspace::INPUT,
    reply: cspace::REPLY,
};

fn insert(kernel: &mut Kernel, cnode: ObjectId, slot: u64, capability: Capability) {
    if let Err(error) = kernel.insert(cnode, slot, capability) {
        panic!("{capability:?} does not go into slot {slot}: {error}");
    }
}

/// A component that the test holds on to as well.
struct Shared<C>(Rc<RefCell<C>>);

impl<C: Component<Direct>> Component<Direct> for Shared<C> {
    fn init(&mut self, kernel: &mut Direct) {
        self.0.borrow_mut().init(kernel);
    }

    fn call(&mut self, kernel: &mut Direct, caller: Caller, method: Method, message: &mut Message) {
        self.0.borrow_mut().call(kernel, caller, method, message);
    }

    fn refused(&mut self, kernel: &mut Direct, caller: Caller) {
        self.0.borrow_mut().refused(kernel, caller);
    }

    fn notified(&mut self, kernel: &mut Direct, bits: u64) {
        self.0.borrow_mut().notified(kernel, bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_kernel::{Generation, MethodSet, Refusal, Syscalls, label};

    const DOUBLE: Method = Method::new(0).unwrap();
    const SECRET: Method = Method::new(1).unwrap();

    /// Doubles a number, by asking another doubler where it has one.
    struct Doubler {
        next: Option<CallGrant>,
        notified: u64,
    }

    impl<K: Syscalls> Component<K> for Doubler {
        fn init(&mut self, _: &mut K) {}

        fn call(&mut self, kernel: &mut K, _: Caller, method: Method, message: &mut Message) {
            assert_eq!(method, DOUBLE);
            match self.next {
                Some(next) => {
                    next.call(kernel, DOUBLE, message).unwrap();
                }
                None => message.reply(&[message.word(0) * 2]),
            }
        }

        fn notified(&mut self, _: &mut K, bits: u64) {
            self.notified |= bits;
        }
    }

    fn badge(methods: &[Method]) -> GrantBadge {
        let methods: MethodSet = methods.iter().copied().collect();
        GrantBadge::new(0, Generation::default(), methods).unwrap()
    }

    #[test]
    fn a_call_goes_through_two_components_and_back() {
        let machine = Machine::new();
        let [client, middle, server] =
            [1, 2, 3].map(|priority| machine.protection_domain(priority));
        let to_middle = machine.call_grant(&client, 5, &middle, badge(&[DOUBLE]));
        let next = Some(machine.call_grant(&middle, 5, &server, badge(&[DOUBLE])));
        let (next_none, notified) = (None, 0);
        machine.start(
            server.thread,
            Doubler {
                next: next_none,
                notified,
            },
        );
        machine.start(middle.thread, Doubler { next, notified });
        let mut message = Message::request(DOUBLE, &[21]);
        let words = to_middle.call(&mut machine.direct(client.thread), DOUBLE, &mut message);
        assert_eq!(words, Ok(&[42][..]));
        assert_eq!(
            to_middle.call(&mut machine.direct(client.thread), SECRET, &mut message),
            Err(Refusal::Object(label::BAD_METHOD))
        );
        machine.kernel().check_all().unwrap();
    }

    #[test]
    fn a_component_of_higher_priority_runs_at_once_and_of_lower_when_asked_to() {
        let machine = Machine::new();
        let [low, client, high] = [1, 2, 3].map(|priority| machine.protection_domain(priority));
        let (next, notified) = (None, 0);
        let low_component = machine.start(low.thread, Doubler { next, notified });
        let high_component = machine.start(high.thread, Doubler { next, notified });
        let mut direct = machine.direct(client.thread);
        machine
            .notify_grant(&client, 1, &low, 4)
            .signal(&mut direct);
        machine
            .notify_grant(&client, 2, &high, 5)
            .signal(&mut direct);
        assert_eq!(low_component.borrow().notified, 0);
        assert_eq!(high_component.borrow().notified, 1 << 5);
        machine.run();
        assert_eq!(low_component.borrow().notified, 1 << 4);
        machine.interrupt(low.notification, 2);
        assert_eq!(low_component.borrow().notified, 1 << 4 | 2);
    }

    #[test]
    #[should_panic(expected = "BlockedOnReceive for ever")]
    fn waiting_for_nobody_panics() {
        let machine = Machine::new();
        let alone = machine.protection_domain(1);
        machine
            .direct(alone.thread)
            .recv(cspace::INPUT, &mut Message::default());
    }
}
