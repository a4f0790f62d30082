//! A whole system in one thread: components served by turns, strict priority.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{RefCell, RefMut};

use portcullis_kernel::{
    Answer, Badge, CPtr, CallGrant, Caller, Component, Current, GrantBadge, Message, Method, Mode,
    NotifyGrant, ReplyObject, Rights, SendGrant, Signal, Signals, Syscall, cspace, dispatch,
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

    /// Gives the domain a pool of `count` reply objects.
    pub fn reply_pool(&self, domain: &ProtectionDomain, count: u8) {
        let kernel = &mut *self.kernel();
        let pool = kernel.create_cnode(cspace::REPLIES_RADIX);
        let guard_bits = cspace::LEAF_BITS - cspace::REPLIES_RADIX;
        let capability = Capability::cnode(pool, guard_bits);
        insert(kernel, domain.root, cspace::REPLIES_ROOT_SLOT, capability);
        for number in 1..=count {
            let reply = kernel.create_reply();
            insert(kernel, pool, number.into(), Capability::reply(reply));
        }
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
        let reply = component.borrow().reply_object().object;
        self.entry(thread).component = Some(Box::new(Shared(component.clone())));
        self.step(|kernel, done| kernel.syscall(thread, &recv(reply), done));
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
        let reply = component.reply_object().object;
        self.entry(thread).component = Some(component);
        let next = match answer {
            Answer::None => recv(reply),
            Answer::Reply => Syscall::ReplyRecv {
                from: cspace::INPUT,
                reply: reply.0,
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

const fn recv(reply: ReplyObject) -> Syscall {
    Syscall::Recv {
        from: cspace::INPUT,
        reply: reply.0,
    }
}

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

    fn notified(&mut self, kernel: &mut Direct, signals: Signals) {
        self.0.borrow_mut().notified(kernel, signals);
    }

    fn timer(&self) -> Option<Signal> {
        self.0.borrow().timer()
    }

    fn deadline_passed(&mut self, kernel: &mut Direct) {
        self.0.borrow_mut().deadline_passed(kernel);
    }

    fn reply_object(&self) -> Current {
        self.0.borrow().reply_object()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_kernel::{Generation, Kept, MethodSet, Refusal, Replies, Syscalls, label};

    const DOUBLE: Method = Method::new(0).unwrap();
    const SECRET: Method = Method::new(1).unwrap();

    /// Doubles a number, by asking another doubler where it has one.
    struct Doubler {
        next: Option<CallGrant>,
        notified: Vec<Signals>,
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

        fn notified(&mut self, _: &mut K, signals: Signals) {
            self.notified.push(signals);
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
        for (thread, next) in [(server.thread, None), (middle.thread, next)] {
            let notified = Vec::new();
            machine.start(thread, Doubler { next, notified });
        }
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
        let [low_component, high_component] = [low, high].map(|domain| {
            let (next, notified) = (None, Vec::new());
            machine.start(domain.thread, Doubler { next, notified })
        });
        let mut direct = machine.direct(client.thread);
        machine
            .notify_grant(&client, 1, &low, 4)
            .signal(&mut direct);
        machine
            .notify_grant(&client, 2, &high, 5)
            .signal(&mut direct);
        let [first, second] = [1 << 4, 1 << 5].map(Signals::new);
        assert_eq!(low_component.borrow().notified, []);
        assert_eq!(high_component.borrow().notified, [second]);
        machine.run();
        assert_eq!(low_component.borrow().notified, [first]);
        machine.interrupt(low.notification, 2);
        assert_eq!(low_component.borrow().notified, [first, Signals::new(2)]);
    }

    #[test]
    #[should_panic(expected = "BlockedOnReceive for ever")]
    fn waiting_for_nobody_panics() {
        let machine = Machine::new();
        let alone = machine.protection_domain(1);
        machine
            .direct(alone.thread)
            .recv(cspace::INPUT, ReplyObject::OWN, &mut Message::default());
    }

    const ASK: Method = Method::new(0).unwrap();
    const ASK_INSTEAD: Method = Method::new(1).unwrap();
    const BUSY: u64 = 40;
    const LATE: u64 = 41;
    const READY: Signal = Signal::channel(4);
    const CLOCK: Signal = Signal::channel(9);

    /// Keeps those who ask, and doubles the last one's number when it is notified.
    struct Desk {
        replies: Replies,
        waiting: Vec<(Kept, u64)>,
    }

    impl<K: Syscalls> Component<K> for Desk {
        fn init(&mut self, _: &mut K) {}

        fn call(&mut self, _: &mut K, _: Caller, method: Method, message: &mut Message) {
            let number = message.word(0);
            if method == ASK_INSTEAD {
                let (first, double) = self.waiting.remove(0);
                message.reply(&[double * 2]);
                self.waiting.push((self.replies.exchange(first), number));
            } else if let Some(kept) = self.replies.keep() {
                self.waiting.push((kept, number));
            } else {
                message.refuse(BUSY);
            }
        }

        fn notified(&mut self, kernel: &mut K, signals: Signals) {
            assert_eq!(signals, Signals::from(READY));
            let (kept, number) = self.waiting.pop().unwrap();
            let mut message = Message::default();
            message.reply(&[number * 2]);
            self.replies.reply(kernel, kept, &message);
        }

        fn timer(&self) -> Option<Signal> {
            Some(CLOCK)
        }

        fn deadline_passed(&mut self, kernel: &mut K) {
            let mut message = Message::default();
            message.refuse(LATE);
            for (kept, _) in self.waiting.drain(..) {
                self.replies.reply(kernel, kept, &message);
            }
        }

        fn reply_object(&self) -> Current {
            self.replies.current()
        }
    }

    /// A desk that keeps two callers, and four that may ask it.
    struct Office {
        machine: Machine,
        desk: ProtectionDomain,
        clients: [(ProtectionDomain, CallGrant); 4],
    }

    impl Office {
        fn new() -> Self {
            let machine = Machine::new();
            let [desk, clients @ ..] =
                [9, 1, 2, 3, 4].map(|priority| machine.protection_domain(priority));
            machine.reply_pool(&desk, 2);
            let clients = clients.map(|client| {
                let grant = badge(&[ASK, ASK_INSTEAD]);
                (client, machine.call_grant(&client, 5, &desk, grant))
            });
            let (replies, waiting) = (Replies::new(2), Vec::new());
            machine.start(desk.thread, Desk { replies, waiting });
            Self {
                machine,
                desk,
                clients,
            }
        }

        /// Has a client ask; it may wait.
        fn ask(&self, client: usize, method: Method, number: u64) {
            let (domain, grant) = self.clients[client];
            let call = Syscall::Call(grant.0, Message::request(method, &[number]));
            let machine = &self.machine;
            machine.step(|kernel, done| kernel.syscall(domain.thread, &call, done));
            machine.run();
            machine.kernel().check_all().unwrap();
        }

        fn signal(&self, signals: &[Signal]) {
            let bits = signals.iter().map(|signal| match *signal {
                READY => 1 << 4,
                _ => 1 << 9,
            });
            self.machine.interrupt(self.desk.notification, bits.sum());
            self.machine.kernel().check_all().unwrap();
        }

        /// Who was answered since the last look, and with what.
        fn answers(&self) -> Vec<(usize, Result<u64, Refusal>)> {
            let answer = |(client, (domain, _)): (usize, &(ProtectionDomain, CallGrant))| {
                let Completion::Message { message, .. } = self.machine.take(domain.thread)? else {
                    panic!("a call ends with a message");
                };
                Some((client, message.outcome().map(|words| words[0])))
            };
            self.clients.iter().enumerate().filter_map(answer).collect()
        }
    }

    #[test]
    fn callers_are_answered_in_another_order_than_they_asked() {
        let office = Office::new();
        office.ask(0, ASK, 10);
        office.ask(1, ASK, 11);
        assert_eq!(office.answers(), []);
        // Nobody more can be kept, but is served.
        office.ask(2, ASK, 12);
        assert_eq!(office.answers(), [(2, Err(Refusal::Object(BUSY)))]);
        office.signal(&[READY]);
        assert_eq!(office.answers(), [(1, Ok(22))]);
        office.ask(3, ASK, 13);
        assert_eq!(office.answers(), []);
        // With every reply object in use, one is answered in another's place.
        office.ask(2, ASK_INSTEAD, 12);
        assert_eq!(office.answers(), [(0, Ok(20))]);
        office.signal(&[READY]);
        assert_eq!(office.answers(), [(2, Ok(24))]);
        office.signal(&[READY]);
        assert_eq!(office.answers(), [(3, Ok(26))]);
    }

    #[test]
    fn a_deadline_ends_the_wait_of_all_and_other_signals_follow_it() {
        let office = Office::new();
        office.ask(0, ASK, 10);
        office.ask(1, ASK, 11);
        office.signal(&[CLOCK]);
        let late = Err(Refusal::Object(LATE));
        assert_eq!(office.answers(), [(0, late), (1, late)]);
        office.ask(0, ASK, 10);
        office.signal(&[READY]);
        assert_eq!(office.answers(), [(0, Ok(20))]);
    }

    #[test]
    fn a_reply_to_a_caller_that_was_stopped_reaches_nobody_and_frees_its_reply_object() {
        let office = Office::new();
        office.ask(0, ASK, 10);
        office.ask(1, ASK, 11);
        office.machine.kernel().suspend(office.clients[1].0.thread);
        office.signal(&[READY]);
        assert_eq!(office.answers(), []);
        office.ask(2, ASK, 12);
        office.signal(&[READY]);
        office.signal(&[READY]);
        assert_eq!(office.answers(), [(0, Ok(20)), (2, Ok(24))]);
    }
}
