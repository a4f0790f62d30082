//! A running appliance: the kernel's loop, and what is around it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use portcullis_appliance::Appliance;
use portcullis_audit::capscan::{
    Comparison, Held, LogError, Place, Scan, Scanned, To, compare, logged, root_index,
};
use portcullis_audit::replay::InForce;
use portcullis_clock::RINGING;
use portcullis_kernel::Badge;
use portcullis_model::{Capability, Kernel, ObjectId, ThreadId};
use portcullis_policy::distribution::CNodeKind;
use portcullis_policy::model::MANAGER;
use portcullis_policy_format::Policy;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::control::Control;
use super::serial::{Console, Typed};
use super::{CLOCK, StartError};
use crate::construct::Constructed;
use crate::host::Timer;
use crate::machine::{Machine, Stop, WhenIdle};
use crate::memory::Memory;

/// The protection domain whose interrupt is what is typed.
const CONSOLE: &str = "console";

/// A running appliance. Its components end with it.
pub struct Running {
    appliance: Appliance,
    machine: Machine,
    constructed: Constructed,
    console: Console,
    /// The console's thread, and what its interrupt signals.
    interrupt: Option<(ThreadId, ObjectId, Badge)>,
    /// The clock's alarm, and the notification that its ringing signals.
    timer: Timer,
    alarm: Option<ObjectId>,
    control: Control,
    /// Readable when the process was asked to end.
    signals: UnixStream,
    outcomes: BTreeMap<String, Memory>,
}

/// How long to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// Until there is nothing to do; what is typed is taken.
    Idle,
    /// Until there is nothing to do; nothing is taken any more.
    Settled,
    /// Until somebody asks that the run ends.
    Asked,
}

/// Why the loop returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paused {
    /// There is nothing to do.
    Idle,
    /// Somebody asked that the run ends: a signal, `quit`, the end of the input.
    Asked,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Ended {
    /// The components that did not come to the end of what they had to do.
    pub unfinished: Vec<String>,
    /// What failed, in words; empty: nothing.
    pub failures: Vec<String>,
}

impl Ended {
    /// Whether every document was tried.
    pub fn is_through(&self) -> bool {
        self.unfinished.is_empty()
    }
}

/// What the loop looks at beside its components, in the order in which it looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Signal,
    Alarm,
    Control,
    Typed,
    /// Input that the console has not read yet.
    Unread,
}

impl Running {
    pub(super) fn new(
        appliance: Appliance,
        machine: Machine,
        constructed: Constructed,
        (console, timer): (Console, Timer),
        outcomes: BTreeMap<String, Memory>,
    ) -> Result<Self, StartError> {
        let failed = |what| move |error| StartError::Host(what, error);
        let control =
            Control::listen(appliance.state().path()).map_err(failed("control socket"))?;
        let signals = signals().map_err(failed("signals"))?;
        let interrupt = appliance
            .plan()
            .interrupt(CONSOLE)
            .and_then(|(number, _)| constructed.interrupt(number))
            .zip(constructed.thread(CONSOLE))
            .map(|((notification, badge), thread)| (thread, notification, badge));
        let alarm = constructed.notification(CLOCK);
        Ok(Self {
            appliance,
            machine,
            constructed,
            console,
            interrupt,
            timer,
            alarm,
            control,
            signals,
            outcomes,
        })
    }

    /// Runs until there is nothing left to do, or until somebody asks that it ends.
    pub fn run(&mut self, until: Until) -> io::Result<Paused> {
        let (when_idle, listens) = match until {
            Until::Idle => (WhenIdle::Return, true),
            Until::Settled => (WhenIdle::Return, false),
            Until::Asked => (WhenIdle::Wait, true),
        };
        loop {
            let sources = self.sources(listens);
            // Descriptors of their own, so that nothing is borrowed while the machine runs.
            let owned: io::Result<Vec<_>> = sources
                .iter()
                .map(|source| self.descriptor(*source).try_clone_to_owned())
                .collect();
            let owned = owned?;
            let borrowed: Vec<_> = owned.iter().map(|file| file.as_fd()).collect();
            let index = match self.machine.run(&borrowed, when_idle, None)? {
                // What was typed before the run was asked to end is answered first.
                Stop::Idle if self.console_listens() && self.console.has_unread()? => {
                    self.interrupt();
                    continue;
                }
                // It was given no deadline.
                Stop::Idle | Stop::Deadline => return Ok(Paused::Idle),
                Stop::Outside(index) => index,
            };
            match sources[index] {
                Source::Signal => {
                    self.take_signal()?;
                    return Ok(Paused::Asked);
                }
                Source::Alarm => self.ring(),
                Source::Control => self.control.answer(&self.scan()),
                Source::Typed if self.console.take()? == Typed::Quit => return Ok(Paused::Asked),
                Source::Typed => {}
                Source::Unread => self.interrupt(),
            }
        }
    }

    /// What to look at now.
    fn sources(&self, listens: bool) -> Vec<Source> {
        let mut sources = vec![Source::Signal, Source::Alarm, Source::Control];
        if listens && self.console.listens() {
            sources.push(Source::Typed);
        }
        // The line interrupts for as long as there is input; while the console is at work on it,
        // there is no need to look.
        if self.console_listens() {
            sources.push(Source::Unread);
        }
        sources
    }

    /// Whether the console waits for an interrupt.
    fn console_listens(&self) -> bool {
        let interrupt = self.interrupt;
        interrupt.is_some_and(|(thread, ..)| self.machine.is_blocked(thread))
    }

    fn descriptor(&self, source: Source) -> std::os::fd::BorrowedFd<'_> {
        match source {
            Source::Signal => self.signals.as_fd(),
            Source::Alarm => self.timer.0.as_fd(),
            Source::Control => self.control.fd(),
            Source::Typed => Console::typed_at(),
            Source::Unread => self.console.input(),
        }
    }

    fn interrupt(&mut self) {
        if let Some((_, notification, badge)) = self.interrupt {
            self.machine.signal(notification, badge);
        }
    }

    fn ring(&mut self) {
        self.timer.take();
        if let Some(notification) = self.alarm {
            self.machine.signal(notification, RINGING);
        }
    }

    fn take_signal(&mut self) -> io::Result<()> {
        io::Read::read(&mut self.signals, &mut [0; 16]).map(drop)
    }

    /// The process of a protection domain.
    pub fn process_id(&self, pd: &str) -> Option<u32> {
        self.machine.process_id(self.constructed.thread(pd)?)
    }

    /// What the grant slots hold now.
    pub fn scan(&self) -> Scan {
        let Ok(policy) = Policy::inspect(&self.appliance.plan().compiled) else {
            return Scan::default();
        };
        let kernel = self.machine.kernel();
        let mut slots = Vec::new();
        for pd in self.appliance.plan().protection_domains() {
            let Some(cnode) = self.constructed.cnode(pd, CNodeKind::Grants) else {
                continue;
            };
            slots.extend(kernel.scan(cnode).map(|(slot, capability)| Scanned {
                place: Place::Grants {
                    component: pd.to_owned(),
                    slot: slot as u32,
                },
                held: self.held(capability),
            }));
        }
        slots.extend(self.roots(kernel, &policy));
        slots.sort();
        Scan { slots }
    }

    fn roots(&self, kernel: &Kernel, policy: &Policy<'_>) -> Vec<Scanned> {
        let Some(authority) = self.constructed.cnode(MANAGER, CNodeKind::Authority) else {
            return Vec::new();
        };
        let roots = kernel.scan(authority).filter_map(|(slot, capability)| {
            Some(Scanned {
                place: Place::Root {
                    index: root_index(policy, slot)?,
                },
                held: self.held(capability),
            })
        });
        roots.collect()
    }

    fn held(&self, capability: Capability) -> Held {
        let (object, is_endpoint) = match capability {
            Capability::Endpoint { object, .. } => (object, true),
            Capability::Notification { object, .. } => (object, false),
            other => return Held::Other(format!("{other:?}")),
        };
        let owner = self.appliance.plan().protection_domains().find(|pd| {
            let own = if is_endpoint {
                self.constructed.endpoint(pd)
            } else {
                self.constructed.notification(pd)
            };
            own == Some(object)
        });
        let to = To::new(
            owner.unwrap_or("nobody"),
            capability.badge().0,
            capability.rights(),
        );
        if is_endpoint {
            Held::Endpoint(to)
        } else {
            Held::Notification(to)
        }
    }

    /// The grants in force, as the log on the disk says.
    pub fn logged(&self) -> Result<Vec<InForce>, LogError> {
        logged(self.appliance.state().path())
    }

    /// Holds the live slots against the log on the disk.
    pub fn capscan(&self) -> Result<Comparison, LogError> {
        let policy = Policy::inspect(&self.appliance.plan().compiled);
        let policy = policy.expect("the plan was compiled and read again");
        Ok(compare(&self.scan(), &self.logged()?, &policy))
    }

    /// How far the documents came, and what failed on the way.
    pub fn outcome(&self) -> io::Result<Ended> {
        let mut ended = Ended::default();
        let left_out = self.appliance.packed().left_out.len() as u64;
        for (name, memory) in &self.outcomes {
            let [is_through, failed] = outcome(memory)?;
            if is_through == 0 {
                ended.unfinished.push(name.clone());
            }
            // Documents that could not be packed are refused by ingest too, for the reason given.
            let expected = if name == "ingest" { left_out } else { 0 };
            if let Some(more @ 1..) = failed.checked_sub(expected) {
                let what = if name == "ingest" {
                    "documents"
                } else {
                    "objects"
                };
                ended.failures.push(format!("{name}: {more} {what} failed"));
            }
        }
        for name in self.machine.hung() {
            ended.failures.push(format!("{name} hangs"));
        }
        for name in self.machine.faulted() {
            ended.failures.push(format!("{name} faulted"));
        }
        Ok(ended)
    }

    /// The appliance.
    pub fn appliance(&self) -> &Appliance {
        &self.appliance
    }
}

/// The two words that a component tells.
fn outcome(memory: &Memory) -> io::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    memory.read(0, &mut bytes)?;
    Ok(super::words(&bytes))
}

/// A stream that is readable once the process was asked to end.
fn signals() -> io::Result<UnixStream> {
    let (readable, writable) = UnixStream::pair()?;
    readable.set_nonblocking(true)?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, writable.try_clone()?)?;
    }
    Ok(readable)
}
