//! Small systems for the tests: components with a flat CSpace each, and who may reach whom.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use portcullis_hosted::component::{Access, Isolation, Use};
use portcullis_hosted::machine::{Event, Limits, Machine, Spawner, Start};
use portcullis_hosted::memory::Memory;
use portcullis_hosted::pd::device::DISK;
use portcullis_kernel::{Badge, Rights, cspace};
use portcullis_model::{Capability, Kernel, ObjectId, ThreadId};

/// A system under construction, then running.
#[allow(dead_code, reason = "each test binary uses its own part")]
pub(crate) struct System {
    kernel: Kernel,
    components: Vec<Component>,
    pub(crate) results: Vec<Memory>,
    pub(crate) secret: Memory,
    /// A disk that every component has, where there is one.
    pub(crate) disk: Option<File>,
    events: Rc<RefCell<Vec<Event>>>,
    pub(crate) isolation: Isolation,
    /// Short, so that a test of a hang is too.
    pub(crate) limits: Limits,
}

struct Component {
    name: String,
    program: String,
    parameters: Vec<(String, u64)>,
    thread: ThreadId,
    root: ObjectId,
    cnode: ObjectId,
    endpoint: ObjectId,
    fault_handler: Option<ThreadId>,
}

#[allow(dead_code, reason = "each test binary uses its own part")]
impl System {
    pub(crate) fn new() -> Self {
        Self {
            kernel: Kernel::new(),
            components: Vec::new(),
            results: Vec::new(),
            secret: Memory::filled("secret", b"secret", 4096, false).expect("memory"),
            disk: None,
            events: Rc::default(),
            isolation: Isolation::FULL,
            limits: Limits {
                tick: Duration::from_millis(10),
                slice: Duration::from_millis(20),
                wait: Duration::from_millis(300),
                hung: Duration::from_millis(100),
            },
        }
    }

    /// Adds a component; the result is its number.
    pub(crate) fn add(&mut self, program: &str, priority: u8, parameters: &[(&str, u64)]) -> usize {
        let kernel = &mut self.kernel;
        let thread = kernel.create_thread(priority);
        let root = kernel.create_cnode(cspace::ROOT_RADIX);
        let cnode = kernel.create_cnode(cspace::MICROKIT_RADIX);
        let endpoint = kernel.create_endpoint();
        let reply = kernel.create_reply();
        let input = Capability::Endpoint {
            object: endpoint,
            badge: Badge(0),
            rights: Rights::READ,
        };
        kernel
            .set_cspace(thread, Capability::cnode(root, 0))
            .expect("a CNode");
        let leaf = Capability::cnode(cnode, cspace::LEAF_BITS - cspace::MICROKIT_RADIX);
        kernel
            .insert(root, cspace::MICROKIT_ROOT_SLOT, leaf)
            .expect("an empty slot");
        kernel.insert(cnode, 1, input).expect("an empty slot");
        kernel
            .insert(cnode, 4, Capability::reply(reply))
            .expect("an empty slot");
        self.components.push(Component {
            name: format!("{program}.{}", self.components.len()),
            program: program.into(),
            parameters: parameters
                .iter()
                .map(|(name, value)| (name.to_string(), *value))
                .collect(),
            thread,
            root,
            cnode,
            endpoint,
            fault_handler: None,
        });
        self.results
            .push(Memory::zeroed("result", 4096).expect("memory"));
        self.components.len() - 1
    }

    /// Gives the component a pool of reply objects.
    pub(crate) fn reply_pool(&mut self, component: usize, count: u8) {
        let kernel = &mut self.kernel;
        let pool = kernel.create_cnode(cspace::REPLIES_RADIX);
        let leaf = Capability::cnode(pool, cspace::LEAF_BITS - cspace::REPLIES_RADIX);
        kernel
            .insert(
                self.components[component].root,
                cspace::REPLIES_ROOT_SLOT,
                leaf,
            )
            .expect("an empty slot");
        for number in 1..=count {
            let reply = Capability::reply(kernel.create_reply());
            kernel
                .insert(pool, number.into(), reply)
                .expect("an empty slot");
        }
    }

    /// Lets `client` call `server` through its CPtr 20.
    pub(crate) fn connect(&mut self, client: usize, server: usize) {
        self.connect_as(client, server, Badge(client as u64 + 1));
    }

    /// As [`connect`](Self::connect), with this badge.
    pub(crate) fn connect_as(&mut self, client: usize, server: usize, badge: Badge) {
        let to_server = Capability::Endpoint {
            object: self.components[server].endpoint,
            badge,
            rights: Rights::CALL,
        };
        self.kernel
            .insert(self.components[client].cnode, 20, to_server)
            .expect("an empty slot");
    }

    /// Sends the faults of `component` to `handler`, as those of component `number`.
    pub(crate) fn handle_faults(&mut self, component: usize, handler: usize, number: u8) {
        let kernel = &mut self.kernel;
        let thread = kernel.create_thread(0);
        let cnode = kernel.create_cnode(1);
        let to_handler = Capability::Endpoint {
            object: self.components[handler].endpoint,
            badge: Badge::fault(number),
            rights: Rights::CALL,
        };
        kernel
            .set_cspace(thread, Capability::cnode(cnode, 63))
            .expect("a CNode");
        kernel.insert(cnode, 1, to_handler).expect("an empty slot");
        self.components[component].fault_handler = Some(thread);
    }

    /// Binds a notification to the component's thread.
    pub(crate) fn bind(&mut self, component: usize) -> ObjectId {
        let notification = self.kernel.create_notification();
        let thread = self.components[component].thread;
        let bound = self.kernel.bind_notification(thread, notification);
        bound.expect("it has none yet");
        notification
    }

    /// Starts every component.
    pub(crate) fn start(&mut self) -> Machine {
        self.start_with_victim(usize::MAX, usize::MAX)
    }

    /// Starts every component; `attacker` is told the process id of `victim`.
    pub(crate) fn start_with_victim(&mut self, attacker: usize, victim: usize) -> Machine {
        let events = Rc::clone(&self.events);
        let report = Box::new(move |event| events.borrow_mut().push(event));
        let mut machine = Machine::new(std::mem::take(&mut self.kernel), self.limits, report);
        let spawner = Spawner {
            executable: PathBuf::from(env!("CARGO_BIN_EXE_portcullis-testbed")),
            isolation: self.isolation,
        };
        for (number, component) in self.components.iter().enumerate() {
            let mut parameters = component.parameters.clone();
            if number == attacker {
                let victim = self.components[victim].thread;
                let process = machine
                    .process_id(victim)
                    .expect("the victim started before");
                parameters.push(("victim".into(), process.into()));
            }
            let result = &self.results[number];
            let disk = self.disk.iter();
            let start = Start {
                name: component.name.clone(),
                program: component.program.clone(),
                regions: vec![
                    ("result".into(), result, Access::ReadWrite),
                    ("secret".into(), &self.secret, Access::Read),
                ],
                devices: disk
                    .map(|file| (DISK.to_owned(), file.as_fd(), Use::Disk))
                    .collect(),
                parameters,
            };
            machine
                .start(&spawner, &start, component.thread, component.fault_handler)
                .expect("the component starts");
        }
        machine
    }

    /// A word of a component's result.
    pub(crate) fn result(&self, component: usize, word: u64) -> u64 {
        let mut bytes = [0; 8];
        self.results[component]
            .read(word * 8, &mut bytes)
            .expect("the region has a page");
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn thread(&self, component: usize) -> ThreadId {
        self.components[component].thread
    }

    /// What was reported so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.borrow().clone()
    }
}
