//! Makes the kernel's objects from a capability distribution: exactly those, and nothing more.
//!
//! Where the distribution holds a capability to an object that the model does not have (scheduling
//! contexts, VSpaces, interrupt handlers, the monitor), its slot stays empty: a component gets less
//! than on seL4, never more.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_kernel::{Badge, KernelError};
use portcullis_model::{Capability, Kernel, ObjectId, ThreadId};
use portcullis_policy::distribution::{self, CNodeKind, Distribution, Object, ProtectionDomain};

/// The objects of a system, by the names of their protection domains.
pub struct Constructed {
    /// The kernel that holds them.
    pub kernel: Kernel,
    objects: BTreeMap<Object, ObjectId>,
    threads: BTreeMap<String, ThreadId>,
    fault_handlers: BTreeMap<String, ThreadId>,
    interrupts: BTreeMap<u64, (ObjectId, Badge)>,
}

/// A capability that the distribution holds and the kernel refuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConstructError {
    /// Whose capability it is.
    pub pd: String,
    /// Which.
    pub capability: String,
    /// Why it is refused.
    pub error: KernelError,
}

impl Constructed {
    /// Makes every object and capability of `distribution`. Nobody is told of the faults that on
    /// seL4 go to the monitor.
    pub fn new(distribution: &Distribution) -> Result<Self, ConstructError> {
        let mut constructed = Self {
            kernel: Kernel::new(),
            objects: BTreeMap::new(),
            threads: BTreeMap::new(),
            fault_handlers: BTreeMap::new(),
            interrupts: BTreeMap::new(),
        };
        for pd in &distribution.protection_domains {
            constructed.create(pd);
        }
        for pd in &distribution.protection_domains {
            constructed.fill(pd)?;
        }
        for pd in &distribution.protection_domains {
            constructed.handle_faults(pd)?;
        }
        for irq in &distribution.irqs {
            if let Some(notification) = constructed.objects.get(&irq.notification.object) {
                let signalled = (*notification, Badge(irq.notification.badge));
                constructed.interrupts.insert(irq.number, signalled);
            }
        }
        Ok(constructed)
    }

    /// The thread of a protection domain.
    pub fn thread(&self, pd: &str) -> Option<ThreadId> {
        self.threads.get(pd).copied()
    }

    /// The thread through which the faults of a protection domain are sent.
    pub fn fault_handler(&self, pd: &str) -> Option<ThreadId> {
        self.fault_handlers.get(pd).copied()
    }

    /// A CNode of a protection domain.
    pub fn cnode(&self, pd: &str, kind: CNodeKind) -> Option<ObjectId> {
        let pd = pd.to_owned();
        self.objects.get(&Object::CNode { pd, kind }).copied()
    }

    /// The endpoint of a protection domain.
    pub fn endpoint(&self, pd: &str) -> Option<ObjectId> {
        self.objects.get(&Object::Endpoint(pd.to_owned())).copied()
    }

    /// The notification of a protection domain.
    pub fn notification(&self, pd: &str) -> Option<ObjectId> {
        self.objects
            .get(&Object::Notification(pd.to_owned()))
            .copied()
    }

    /// What the interrupt with this number signals, and with which badge.
    pub fn interrupt(&self, number: u64) -> Option<(ObjectId, Badge)> {
        self.interrupts.get(&number).copied()
    }

    fn create(&mut self, pd: &ProtectionDomain) {
        let thread = self.kernel.create_thread(pd.priority);
        self.threads.insert(pd.name.clone(), thread);
        for cnode in &pd.cspace {
            let object = self.kernel.create_cnode(cnode.radix);
            let name = Object::CNode {
                pd: pd.name.clone(),
                kind: cnode.kind,
            };
            self.objects.insert(name, object);
            let held = cnode.slots.values().map(|held| &held.object);
            for pooled in held.filter(|it| matches!(it, Object::PooledReply { .. })) {
                let reply = self.kernel.create_reply();
                self.objects.insert(pooled.clone(), reply);
            }
        }
        // Objects that nobody holds a capability to do no harm.
        let endpoint = self.kernel.create_endpoint();
        let notification = self.kernel.create_notification();
        let reply = self.kernel.create_reply();
        let name = || pd.name.clone();
        self.objects.insert(Object::Endpoint(name()), endpoint);
        self.objects
            .insert(Object::Notification(name()), notification);
        self.objects.insert(Object::Reply(name()), reply);
    }

    fn fill(&mut self, pd: &ProtectionDomain) -> Result<(), ConstructError> {
        let refused = |capability: &distribution::Capability| {
            let capability = capability.to_string();
            move |error| ConstructError {
                pd: pd.name.clone(),
                capability,
                error,
            }
        };
        for cnode in &pd.cspace {
            let holder = self.cnode(&pd.name, cnode.kind).expect("`create` made it");
            for (slot, held) in &cnode.slots {
                if let Some(capability) = self.capability(held) {
                    let inserted = self.kernel.insert(holder, u64::from(*slot), capability);
                    inserted.map_err(refused(held))?;
                }
            }
        }
        let thread = self.threads[&pd.name];
        if let Some(root) = self.capability(&pd.tcb.cspace) {
            self.kernel
                .set_cspace(thread, root)
                .map_err(refused(&pd.tcb.cspace))?;
        }
        let bound = &pd.tcb.notification;
        if let Some(Capability::Notification { object, .. }) = self.capability(bound) {
            self.kernel
                .bind_notification(thread, object)
                .map_err(refused(bound))?;
        }
        Ok(())
    }

    /// Makes the thread that sends the protection domain's faults, with one capability.
    fn handle_faults(&mut self, pd: &ProtectionDomain) -> Result<(), ConstructError> {
        let handler = &pd.tcb.fault_endpoint;
        let Some(capability) = self.capability(handler) else {
            return Ok(());
        };
        let refused = |error| ConstructError {
            pd: pd.name.clone(),
            capability: handler.to_string(),
            error,
        };
        let thread = self.kernel.create_thread(pd.priority);
        let cnode = self.kernel.create_cnode(1);
        let root = Capability::cnode(cnode, 63);
        self.kernel.set_cspace(thread, root).map_err(refused)?;
        self.kernel.insert(cnode, 1, capability).map_err(refused)?;
        self.fault_handlers.insert(pd.name.clone(), thread);
        Ok(())
    }

    /// The model's form of a capability; `None` where the model has no such object.
    fn capability(&self, held: &distribution::Capability) -> Option<Capability> {
        if let Object::Tcb(pd) = &held.object {
            let thread = self.thread(pd)?;
            return Some(Capability::Thread { thread });
        }
        let object = *self.objects.get(&held.object)?;
        let badge = Badge(held.badge);
        let rights = held.rights;
        Some(match held.object {
            Object::Endpoint(_) => Capability::Endpoint {
                object,
                badge,
                rights,
            },
            Object::Notification(_) => Capability::Notification {
                object,
                badge,
                rights,
            },
            Object::Reply(_) | Object::PooledReply { .. } => Capability::reply(object),
            Object::CNode { .. } => Capability::cnode(object, held.guard_bits),
            _ => return None,
        })
    }
}

impl fmt::Display for ConstructError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pd,
            capability,
            error,
        } = self;
        write!(
            f,
            "{pd}: the kernel refuses the capability to the {capability}: {error}"
        )
    }
}

impl std::error::Error for ConstructError {}
