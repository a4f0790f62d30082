//! The kernel model as the manager sees it, watched.

use portcullis_kernel::{
    Badge, CNodes, CPtr, Invocation, KernelError, Message, ReplyObject, Rights, Syscall, Syscalls,
    cspace,
};
use portcullis_log::ring::Reader;
use portcullis_log::{GrantFields, Operation, Outcome, RECORD_MAX, Record};
use portcullis_manager_api::{Authority, grants_radix, guard_bits};
use portcullis_model::{Capability, Completion, Kernel, ObjectId, ThreadId, ThreadState};
use portcullis_policy_format::testing::Draft;

use super::ceiling::Scanned;
use super::draft::MANAGER;
use super::memory::Shared;
use super::threads::{self, Threads};

/// The kernel, the objects of a system, and the ledger's end of the log.
pub struct Machine {
    pub kernel: Kernel,
    pub manager: ThreadId,
    pub draft: Draft<'static>,
    pub layout: Authority,
    pub authority: ObjectId,
    pub endpoints: Vec<ObjectId>,
    pub notifications: Vec<ObjectId>,
    pub grants: Vec<ObjectId>,
    pub replies: Vec<ObjectId>,
    pub threads: Threads,
    pub reader: Reader<Shared, Shared>,
    /// Every record of this boot.
    pub records: Vec<Record>,
    /// Invocations that the manager made.
    pub invocations: u64,
    /// Refuse the invocation with this number, without executing it.
    pub refuse: Option<(u64, KernelError)>,
    /// Check the ceiling after every invocation.
    pub watched: bool,
    /// How often the ledger was signalled.
    pub signals: u32,
    /// The components that the manager signalled on their channels.
    pub told: Vec<u16>,
    /// How often the clock was, on its static channel.
    pub clock_signals: u32,
    /// What lies in the authority CNode from the start.
    pub fixed: Vec<(u64, Capability)>,
}

impl Machine {
    pub fn new(draft: &Draft<'static>, reader: Reader<Shared, Shared>) -> Self {
        let mut kernel = Kernel::new();
        let components = draft.components.len() as u16;
        let layout = Authority::new(components);
        let radix = layout.radix(draft.grants.len() as u32);
        let authority = kernel.create_cnode(radix);
        let (mut endpoints, mut notifications) = (vec![], vec![]);
        let (mut grants, mut replies) = (vec![], vec![]);
        insert(
            &mut kernel,
            authority,
            Authority::ITSELF,
            cnode(authority, radix),
        );
        for number in 0..components {
            let endpoint = kernel.create_endpoint();
            let notification = kernel.create_notification();
            let held = draft
                .grants
                .iter()
                .filter(|it| it.grant.subject == number)
                .count();
            let radix = grants_radix(held as u32);
            let held = kernel.create_cnode(radix);
            let source = endpoint_capability(endpoint, Rights::ALL);
            insert(
                &mut kernel,
                authority,
                layout.grants_cnode(number),
                cnode(held, radix),
            );
            insert(&mut kernel, authority, layout.endpoint(number), source);
            insert(
                &mut kernel,
                authority,
                layout.notification(number),
                notification_capability(notification),
            );
            let reply = kernel.create_reply();
            if number != MANAGER {
                let reply = Capability::reply(reply);
                insert(&mut kernel, authority, layout.reply(number), reply);
            }
            endpoints.push(endpoint);
            notifications.push(notification);
            grants.push(held);
            replies.push(reply);
        }
        let own = usize::from(MANAGER);
        let manager = threads::component(
            &mut kernel,
            200,
            (endpoints[own], replies[own]),
            cnode(authority, radix),
            None,
        );
        let pool = kernel.create_cnode(cspace::REPLIES_RADIX);
        let root_slot = cspace::REPLIES_ROOT_SLOT as u32;
        let in_root = cnode(pool, cspace::REPLIES_RADIX);
        insert(&mut kernel, manager.root, root_slot, in_root);
        // One for each component but the manager, each with a channel of its number.
        for number in 1..components {
            let reply = Capability::reply(kernel.create_reply());
            insert(&mut kernel, pool, number.into(), reply);
            let channel = cspace::channel_notification(number as u8).bits() as u32;
            let signal = notification_capability(notifications[usize::from(number)]);
            insert(&mut kernel, manager.microkit, channel, signal);
        }
        let fixed = kernel.scan(authority).collect();
        Self {
            kernel,
            manager: manager.thread,
            draft: draft.clone(),
            layout,
            authority,
            endpoints,
            notifications,
            grants,
            replies,
            threads: Threads::default(),
            reader,
            records: Vec::new(),
            invocations: 0,
            refuse: None,
            watched: true,
            signals: 0,
            told: Vec::new(),
            clock_signals: 0,
            fixed,
        }
    }

    /// Gives the manager another capability to a component's endpoint, before it boots.
    pub fn replace_source(&mut self, object: u16, source: impl FnOnce(ObjectId) -> Capability) {
        let slot = self.layout.endpoint(object);
        let endpoint = self.endpoints[usize::from(object)];
        let name = Invocation::Delete(portcullis_kernel::CNodeSlot {
            root: cspace::grant(Authority::ITSELF),
            index: slot.into(),
            depth: Authority::DEPTH,
        });
        self.execute(&name).unwrap();
        insert(&mut self.kernel, self.authority, slot, source(endpoint));
        self.fixed = self.kernel.scan(self.authority).collect();
    }

    /// Makes a system call; gives what completed, by thread.
    pub fn syscall(&mut self, thread: ThreadId, call: &Syscall) -> Vec<(ThreadId, Completion)> {
        let mut completed = Vec::new();
        self.kernel
            .syscall(thread, call, &mut |thread, completion| {
                completed.push((thread, completion))
            });
        completed
    }

    /// Reads what the manager wrote, and holds each record against what is in force: the record of
    /// a revocation may come only when the capability is gone.
    pub fn drain(&mut self) {
        let mut buffer = [0; RECORD_MAX];
        while let Some(bytes) = self.reader.pop(&mut buffer).unwrap() {
            let record = Record::decode(bytes).expect("the manager writes records");
            assert_eq!(record.sequence, self.records.len() as u64);
            if let (Operation::Revoke | Operation::Expire, Outcome::Done, Some(grant)) =
                (record.operation, record.outcome, record.grant)
            {
                let badge = self.badge_of(&grant);
                let (subject, slot) = (grant.grant.subject, grant.grant.slot);
                let held = |it: &Scanned| (it.subject, it.slot, it.badge) == (subject, slot, badge);
                assert!(
                    !self.scan().iter().any(held),
                    "reported before it was in force: {record:?}"
                );
            }
            self.records.push(record);
        }
    }

    /// Makes everything that was read durable.
    pub fn acknowledge(&mut self) {
        self.drain();
        self.reader.acknowledge().unwrap();
    }

    /// What an invocation may name, and that its grant is logged.
    fn check_invocation(&mut self, invocation: &Invocation) {
        self.drain();
        let itself = cspace::grant(Authority::ITSELF);
        let root = |it: &portcullis_kernel::CNodeSlot| {
            assert_eq!((it.root, it.depth), (itself, Authority::DEPTH));
            it.index
                .checked_sub(self.layout.root(0).into())
                .map(|index| index as u16)
        };
        match invocation {
            Invocation::Mint {
                destination, badge, ..
            } => {
                let index = root(destination).expect("mints into the root of a grant");
                let grant = self.last_issued(index);
                assert_eq!(*badge, self.badge_of(&grant));
            }
            Invocation::Copy {
                destination,
                source,
                rights,
            } => {
                let grant = self.last_issued(root(source).expect("copies a root")).grant;
                assert_eq!(
                    destination.root,
                    cspace::grant(self.layout.grants_cnode(grant.subject))
                );
                assert_eq!(destination.index, u64::from(grant.slot));
                assert_eq!(*rights, grant.mode.rights());
            }
            Invocation::Revoke(slot) | Invocation::Delete(slot) => {
                root(slot).expect("takes nothing but grants back");
            }
            Invocation::CancelBadgedSends(slot) => {
                root(slot);
            }
            Invocation::Move { .. } | Invocation::Mutate { .. } => {
                panic!("the manager moves nothing: {invocation:?}")
            }
        }
    }

    /// The grant that was last logged as issued under this index.
    pub fn issued(&self, index: u16) -> Option<GrantFields> {
        let issues = |it: &&Record| {
            matches!(it.operation, Operation::Mint | Operation::Copy) && it.outcome == Outcome::Done
        };
        let mut issued = self.records.iter().rev().filter(issues);
        issued.find_map(|it| it.grant.filter(|grant| grant.index == index))
    }

    /// The grant of this index, which the latest record of it says was issued; denials aside.
    fn last_issued(&self, index: u16) -> GrantFields {
        let of_grant = |it: &&Record| it.grant.is_some_and(|grant| grant.index == index);
        let mut latest = self.records.iter().rev().filter(of_grant);
        let record = latest
            .find(|it| it.operation != Operation::Deny)
            .expect("logged before done");
        assert!(matches!(
            record.operation,
            Operation::Mint | Operation::Copy
        ));
        assert_eq!(record.outcome, Outcome::Done);
        record.grant.expect("it was found by it")
    }
}

impl CNodes for Machine {
    fn invoke(&mut self, invocation: &Invocation) -> Result<(), KernelError> {
        self.check_invocation(invocation);
        let number = self.invocations;
        self.invocations += 1;
        let result = match self.refuse {
            Some((refused, error)) if refused == number => Err(error),
            _ => self.execute(invocation),
        };
        if self.watched {
            self.check_ceiling();
        }
        result
    }
}

impl Machine {
    fn execute(&mut self, invocation: &Invocation) -> Result<(), KernelError> {
        let manager = self.manager;
        let mut completed = self.syscall(manager, &Syscall::Invoke(*invocation));
        let own = completed.pop();
        self.threads.take(completed);
        match own {
            Some((thread, Completion::Invoked(result))) if thread == manager => result,
            other => panic!("an invocation completes: {other:?}"),
        }
    }
}

impl Syscalls for Machine {
    fn call(&mut self, to: CPtr, _: &mut Message) {
        panic!("the manager calls nobody: {to:?}");
    }

    /// Only replies, to whom it serves and to whom it kept.
    fn send(&mut self, to: CPtr, message: &Message) {
        let pool = cspace::reply(1)..=cspace::reply(cspace::MAX_REPLIES);
        assert!(
            to == cspace::REPLY || pool.contains(&to),
            "no reply: {to:?}"
        );
        let manager = self.manager;
        let completed = self.syscall(manager, &Syscall::Send(to, message.clone()));
        self.threads.take(completed);
    }

    /// Only to answer for a component that is stopped.
    fn nb_send(&mut self, to: CPtr, message: &Message) {
        let replies = cspace::grant(self.layout.reply(0)).0..cspace::grant(self.layout.root(0)).0;
        assert!(replies.contains(&to.0), "no reply object: {to:?}");
        if let Some(stopped) = self.threads.of((to.0 - replies.start) as u16) {
            assert_eq!(self.kernel.state(stopped), ThreadState::Inactive);
        }
        let manager = self.manager;
        let send = Syscall::NbSend(to, message.clone());
        let completed = self.syscall(manager, &send);
        self.threads.take(completed);
    }

    fn signal(&mut self, to: CPtr) {
        let clock = self.draft.tail.clock;
        if clock.is_some_and(|it| to == cspace::channel_notification(it.channel)) {
            self.clock_signals += 1;
            return;
        }
        let channel = to
            .bits()
            .checked_sub(cspace::channel_notification(0).bits());
        match channel.filter(|id| *id < cspace::MAX_CHANNELS.into()) {
            Some(component) => self.told.push(component as u16),
            None => self.signals += 1,
        }
        let manager = self.manager;
        let completed = self.syscall(manager, &Syscall::Send(to, Message::default()));
        assert_eq!(completed, [(manager, Completion::Done)]);
    }

    fn recv(&mut self, from: CPtr, _: ReplyObject, _: &mut Message) -> Badge {
        panic!("the test serves: {from:?}");
    }

    fn nb_recv(&mut self, from: CPtr, reply: ReplyObject, message: &mut Message) -> Option<Badge> {
        let manager = self.manager;
        let reply = reply.0;
        let completed = self.syscall(manager, &Syscall::NbRecv { from, reply });
        let mut badge = None;
        for (thread, completion) in completed {
            match completion {
                Completion::Message {
                    badge: with,
                    message: received,
                } if thread == manager => {
                    *message = received;
                    badge = Some(with);
                }
                completion => self.threads.take([(thread, completion)]),
            }
        }
        badge
    }

    fn reply_recv(&mut self, from: CPtr, _: ReplyObject, _: &mut Message) -> Badge {
        panic!("the test serves: {from:?}");
    }

    fn yield_now(&mut self) {}
}

pub fn insert(kernel: &mut Kernel, cnode: ObjectId, slot: u32, capability: Capability) {
    kernel.insert(cnode, slot.into(), capability).unwrap();
}

pub fn endpoint_capability(object: ObjectId, rights: Rights) -> Capability {
    Capability::Endpoint {
        object,
        badge: Badge(0),
        rights,
    }
}

pub fn notification_capability(object: ObjectId) -> Capability {
    Capability::Notification {
        object,
        badge: Badge(0),
        rights: Rights {
            read: true,
            write: true,
            ..Rights::NONE
        },
    }
}

pub fn cnode(object: ObjectId, radix: u8) -> Capability {
    Capability::CNode {
        object,
        guard: 0,
        guard_size: guard_bits(radix),
    }
}
