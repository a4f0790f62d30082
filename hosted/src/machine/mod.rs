//! The kernel's process: the model, a task for each component's process, and who runs next.
//!
//! The machine has one core. At any moment at most one component runs: the first ready one of the
//! highest priority; all others wait for an answer to their last system call. So a run is the same
//! every time, whatever the host does. A component that neither makes a system call nor waits for
//! one within its slice is *set aside*: the others go on beside it, and it is ready again when it
//! calls. At a deadline the machine *preempts* the running component: its next system call waits
//! until it is its turn again. A component that ends, or sends what is no system call, has *faulted*: its thread is
//! stopped, and the fault handler told, as the kernel does it.
//!
//! The machine owns the model and the processes. It knows no component by name and no file.

mod process;
mod ready;
mod report;
mod step;
mod task;
mod watch;

pub use process::{Ended, Spawner, Start};
pub use report::{Event, Fault};
pub use watch::Limits;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use portcullis_kernel::{Badge, CPtr, Message, Syscall};
use portcullis_model::{Kernel, ObjectId, ThreadId};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::component::SetupError;
use crate::wire::{self, Answered, Asked, MAX_PACKET};
use ready::ReadyQueues;
use step::{Scratch, Step};
use task::{State, Task, Turn};
use watch::Watch;

/// System calls between two looks at what happens outside, so that no component that never waits
/// keeps an interrupt away. At about 10 us a call, interrupts are seen within a millisecond.
const LOOK_OUTSIDE: u32 = 64;
/// System calls after which a component that never waits stands in line behind its equals: at about
/// 10 us a call, Microkit's default budget of 1 ms. A count and not a time, so that every run is the
/// same.
const TURN: u32 = 100;

/// Why [`Machine::run`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// No component can run until something happens outside.
    Idle,
    /// The descriptor with this index, of those that were given, can be read or is closed.
    Outside(usize),
    /// The deadline has passed.
    Deadline,
}

/// What to do when no component can run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenIdle {
    /// Return [`Stop::Idle`].
    Return,
    /// Wait for something outside.
    Wait,
}

/// The kernel with its components.
pub struct Machine {
    kernel: Kernel,
    tasks: Vec<Task>,
    /// The task of each thread, by the thread's number.
    task_of: Vec<Option<usize>>,
    ready: ReadyQueues,
    limits: Limits,
    /// Tasks that are set aside.
    aside: usize,
    report: Box<dyn FnMut(Event)>,
    buffer: [u8; MAX_PACKET + 1],
    scratch: Scratch,
}

impl Machine {
    /// A machine around a kernel whose objects exist. `report` is told what people should know.
    pub fn new(kernel: Kernel, limits: Limits, report: Box<dyn FnMut(Event)>) -> Self {
        Self {
            kernel,
            tasks: Vec::new(),
            task_of: Vec::new(),
            ready: ReadyQueues::new(),
            limits,
            aside: 0,
            report,
            buffer: [0; MAX_PACKET + 1],
            scratch: Scratch::default(),
        }
    }

    /// Starts the process of a component that runs as `thread`. `fault_handler` is a thread that
    /// no process runs, with a capability to the handler's endpoint at its CPtr 1: a fault of the
    /// component is sent through it.
    pub fn start(
        &mut self,
        spawner: &Spawner,
        start: &Start<'_>,
        thread: ThreadId,
        fault_handler: Option<ThreadId>,
    ) -> Result<(), SetupError> {
        let process = spawner.start(start, self.limits.tick)?;
        let priority = self.kernel.priority(thread);
        let index = self.tasks.len();
        if self.task_of.len() <= thread.index() {
            self.task_of.resize(thread.index() + 1, None);
        }
        self.task_of[thread.index()] = Some(index);
        self.tasks.push(Task::new(
            start.name.clone(),
            thread,
            priority,
            fault_handler,
            process,
        ));
        self.ready.push_back(index, priority);
        Ok(())
    }

    /// The model, to look at.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The components that overran their slices and have not come back.
    pub fn hung(&self) -> impl Iterator<Item = &str> {
        let aside = |task: &&Task| matches!(task.state, State::Aside { .. });
        self.tasks
            .iter()
            .filter(aside)
            .map(|task| task.name.as_str())
    }

    /// The components that faulted.
    pub fn faulted(&self) -> impl Iterator<Item = &str> {
        let dead = |task: &&Task| task.state == State::Dead;
        self.tasks
            .iter()
            .filter(dead)
            .map(|task| task.name.as_str())
    }

    /// Whether this thread's component waits in the kernel: for a message, a reply or a signal.
    pub fn is_blocked(&self, thread: ThreadId) -> bool {
        self.task(thread)
            .is_some_and(|task| self.tasks[task].state == State::Blocked)
    }

    /// The process that runs this thread.
    pub fn process_id(&self, thread: ThreadId) -> Option<u32> {
        self.task(thread).map(|task| self.tasks[task].process_id())
    }

    /// Signals a notification, as the handler of an interrupt does.
    pub fn signal(&mut self, notification: ObjectId, badge: Badge) {
        let mut step = Step::new(&mut self.tasks, &self.task_of, &mut self.scratch);
        self.kernel
            .signal(notification, badge.0, &mut |thread, done| {
                step.done(thread, done)
            });
        self.settle(None);
    }

    /// Runs components until none can run, one of the descriptors `outside` is readable, or `deadline`
    /// has passed. A deadline is kept to the millisecond, whatever the running component does; a
    /// readable descriptor preempts at once where there is a deadline, else at the next tick.
    pub fn run(
        &mut self,
        outside: &[BorrowedFd<'_>],
        when_idle: WhenIdle,
        deadline: Option<Instant>,
    ) -> io::Result<Stop> {
        let mut calls = 0;
        loop {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Stop::Deadline);
            }
            calls += 1;
            if calls >= LOOK_OUTSIDE || self.aside > 0 {
                calls = 0;
                if let Some(index) = self.look(outside, Some(Duration::ZERO))? {
                    return Ok(Stop::Outside(index));
                }
            }
            if let Some(task) = self.ready.pop() {
                if let Some(stop) = self.turn(task, outside, deadline)? {
                    return Ok(stop);
                }
                continue;
            }
            if when_idle == WhenIdle::Return && !self.waits_for_aside() {
                // A process may have died since the last look, with nothing ready to tell it.
                if let Some(index) = self.look(outside, Some(Duration::ZERO))? {
                    return Ok(Stop::Outside(index));
                }
                if self.ready.is_empty() {
                    return Ok(Stop::Idle);
                }
                continue;
            }
            let tick = (self.aside > 0).then_some(self.limits.tick);
            if let Some(index) = self.look(outside, earlier(tick, deadline))? {
                return Ok(Stop::Outside(index));
            }
        }
    }

    /// Whether a component that is set aside may still come back: it is not reported as hung yet.
    fn waits_for_aside(&self) -> bool {
        let pending = |task: &Task| {
            matches!(
                task.state,
                State::Aside {
                    reported: false,
                    ..
                }
            )
        };
        self.aside > 0 && self.tasks.iter().any(pending)
    }

    /// Lets a task go on: answers its last system call, and waits for the next. Gives the reason
    /// where it was preempted meanwhile.
    fn turn(
        &mut self,
        index: usize,
        outside: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<Option<Stop>> {
        let task = &mut self.tasks[index];
        let State::Ready(turn) = task.state else {
            return Ok(None);
        };
        match turn {
            Turn::Restart => {
                self.restart(index);
                return Ok(None);
            }
            Turn::Request => {}
            Turn::Answer => match task.answer() {
                Ok(()) => task.watch = Some(Watch::new(self.limits)),
                Err(Errno::AGAIN) => {
                    self.fault(index, Fault::Unread);
                    return Ok(None);
                }
                Err(_) => {
                    self.ended(index);
                    return Ok(None);
                }
            },
        }
        loop {
            match self.receive(index, outside, deadline)? {
                Received::Packet(length) => self.request(index, length),
                Received::Ended => self.ended(index),
                Received::Nothing if self.tasks[index].overruns() => self.set_aside(index),
                Received::Nothing => continue,
                Received::Stop(stop) => {
                    self.preempt(index);
                    return Ok(Some(stop));
                }
            }
            return Ok(None);
        }
    }

    /// Waits for the running task's packet: a tick at most.
    fn receive(
        &mut self,
        index: usize,
        outside: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<Received> {
        let socket = self.tasks[index].socket();
        // Where nothing can preempt the task to the millisecond, reading is all it takes.
        if let Some(deadline) = deadline {
            let mut waited = vec![(socket, PollFlags::IN)];
            waited.extend(outside.iter().map(|file| (*file, PollFlags::IN)));
            let flags = poll(&waited, earlier(Some(self.limits.tick), Some(deadline)))?;
            if flags[0].is_empty() {
                return Ok(if let Some(index) = first(&flags[1..]) {
                    Received::Stop(Stop::Outside(index))
                } else if Instant::now() >= deadline {
                    Received::Stop(Stop::Deadline)
                } else {
                    Received::Nothing
                });
            }
        }
        match rustix::io::read(socket, &mut self.buffer[..]) {
            Ok(0) | Err(Errno::CONNRESET) => Ok(Received::Ended),
            Ok(length) => Ok(Received::Packet(length)),
            Err(Errno::INTR) => Ok(Received::Nothing),
            Err(Errno::AGAIN) => {
                let outside: Vec<_> = outside.iter().map(|file| (*file, PollFlags::IN)).collect();
                let index = first(&poll(&outside, Some(Duration::ZERO))?);
                Ok(index.map_or(Received::Nothing, |index| {
                    Received::Stop(Stop::Outside(index))
                }))
            }
            Err(_) => Ok(Received::Ended),
        }
    }

    /// Acts on a packet of `length` bytes that the task sent.
    fn request(&mut self, index: usize, length: usize) {
        match wire::decode(&self.buffer[..length]) {
            Ok(Asked::Syscall(Syscall::Yield)) => {
                self.tasks[index].complete(&Answered::Done);
                self.tasks[index].calls = 0;
                self.ready.push_back(index, self.tasks[index].priority);
            }
            Ok(Asked::Syscall(syscall)) => self.syscall(index, &syscall),
            Ok(Asked::Panic(text)) => self.fault(index, Fault::Panicked(text)),
            Err(malformed) => self.fault(index, Fault::Malformed(malformed)),
        }
    }

    fn syscall(&mut self, index: usize, syscall: &Syscall) {
        let thread = self.tasks[index].thread;
        self.tasks[index].state = State::Blocked;
        let mut step = Step::new(&mut self.tasks, &self.task_of, &mut self.scratch);
        self.kernel
            .syscall(thread, syscall, &mut |thread, done| step.done(thread, done));
        self.settle(Some(index));
    }

    fn restart(&mut self, index: usize) {
        let thread = self.tasks[index].thread;
        self.tasks[index].state = State::Blocked;
        let mut step = Step::new(&mut self.tasks, &self.task_of, &mut self.scratch);
        self.kernel
            .restart(thread, &mut |thread, done| step.done(thread, done));
        self.settle(Some(index));
    }

    /// Puts those that a step of the model let go on in line, and ends those that it stopped.
    /// `current` made the step; it stays first among its equals while its turn lasts.
    fn settle(&mut self, current: Option<usize>) {
        let mut completed = std::mem::take(&mut self.scratch.completed);
        for index in completed.drain(..) {
            let task = &mut self.tasks[index];
            if Some(index) == current && task.calls < TURN {
                task.calls += 1;
                self.ready.push_front(index, task.priority);
            } else {
                task.calls = 0;
                self.ready.push_back(index, task.priority);
            }
        }
        self.scratch.completed = completed;
        while let Some((index, fault)) = self.scratch.faulted.pop() {
            self.fault(index, fault);
        }
    }

    /// The task's socket is closed: its process ended by itself. It may have said why.
    fn ended(&mut self, index: usize) {
        let socket = self.tasks[index].socket();
        while let Ok((length @ 1.., _)) =
            rustix::net::recv(socket, &mut self.buffer[..], RecvFlags::DONTWAIT)
        {
            if let Ok(Asked::Panic(text)) = wire::decode(&self.buffer[..length]) {
                return self.fault(index, Fault::Panicked(text));
            }
        }
        let ended = self.tasks[index].ended();
        self.fault(index, Fault::Ended(ended));
    }

    /// Takes the task out of the system, and tells people and its fault handler.
    fn fault(&mut self, index: usize, fault: Fault) {
        let task = &mut self.tasks[index];
        match task.state {
            State::Dead => return,
            State::Aside { .. } => self.aside -= 1,
            State::Ready(_) => self.ready.remove(index, task.priority),
            State::Blocked => {}
        }
        task.end();
        task.state = State::Dead;
        let (thread, handler) = (task.thread, task.fault_handler);
        let message = fault.message();
        (self.report)(Event::Fault {
            component: task.name.clone(),
            fault,
        });
        self.kernel.suspend(thread);
        if let Some(handler) = handler {
            self.tell(handler, message);
        }
    }

    /// Sends a fault message through the capability that the handler's thread holds. As on seL4 it
    /// is a call, which the handler may reply to.
    fn tell(&mut self, handler: ThreadId, message: Message) {
        let send = Syscall::Call(CPtr(1), message);
        let mut step = Step::new(&mut self.tasks, &self.task_of, &mut self.scratch);
        self.kernel
            .syscall(handler, &send, &mut |thread, done| step.done(thread, done));
        self.settle(None);
    }

    /// Takes the processor from the running task, which goes on with its next turn.
    fn preempt(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        if task.overruns() {
            return self.set_aside(index);
        }
        task.state = State::Ready(Turn::Request);
        self.ready.push_front(index, task.priority);
    }

    fn set_aside(&mut self, index: usize) {
        let task = &mut self.tasks[index];
        task.state = State::Aside {
            since: Instant::now(),
            reported: false,
        };
        self.aside += 1;
        (self.report)(Event::SetAside {
            component: task.name.clone(),
        });
    }

    fn task(&self, thread: ThreadId) -> Option<usize> {
        self.task_of.get(thread.index()).copied().flatten()
    }

    /// Looks for what happened while components ran: descriptors outside that are readable (the
    /// first of them is the result), processes that ended, and set-aside ones that called.
    fn look(
        &mut self,
        outside: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> io::Result<Option<usize>> {
        let mut polled: Vec<_> = outside.iter().map(|file| (*file, PollFlags::IN)).collect();
        // The socket of a dead one is hung up for good: to wait for it would never be to wait.
        let is_alive = |index: &usize| self.tasks[*index].state != State::Dead;
        let alive: Vec<_> = (0..self.tasks.len()).filter(is_alive).collect();
        polled.extend(alive.iter().map(|index| {
            let task = &self.tasks[*index];
            let wanted = match task.state {
                State::Aside { .. } => PollFlags::IN,
                _ => PollFlags::empty(),
            };
            (task.socket(), wanted)
        }));
        let flags = poll(&polled, timeout)?;
        let (outer, tasks) = flags.split_at(outside.len());
        for (index, flags) in alive.into_iter().zip(tasks) {
            let task = &mut self.tasks[index];
            match task.state {
                // Another's end may have ended it.
                State::Dead => {}
                State::Aside { .. } if flags.contains(PollFlags::IN) => {
                    self.aside -= 1;
                    task.state = State::Ready(Turn::Request);
                    self.ready.push_back(index, task.priority);
                }
                _ if flags.intersects(PollFlags::HUP | PollFlags::ERR) => self.ended(index),
                State::Aside {
                    since,
                    reported: false,
                } if since.elapsed() > self.limits.hung => {
                    task.state = State::Aside {
                        since,
                        reported: true,
                    };
                    (self.report)(Event::Hung {
                        component: task.name.clone(),
                        after: since.elapsed(),
                    });
                }
                _ => {}
            }
        }
        Ok(first(outer))
    }
}

/// What waiting for the running task came to.
enum Received {
    /// A packet of this length.
    Packet(usize),
    /// Its socket is closed.
    Ended,
    /// Nothing yet.
    Nothing,
    /// Something that takes the processor from it.
    Stop(Stop),
}

/// Waits until one of the descriptors is as wanted, closed or broken.
fn poll(
    wanted: &[(BorrowedFd<'_>, PollFlags)],
    timeout: Option<Duration>,
) -> io::Result<Vec<PollFlags>> {
    let mut polled: Vec<PollFd<'_>> = wanted
        .iter()
        .map(|(file, wanted)| PollFd::from_borrowed_fd(*file, *wanted))
        .collect();
    let timeout = timeout.map(|time| Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: i64::from(time.subsec_nanos()),
    });
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(_) => Ok(polled.iter().map(PollFd::revents).collect()),
        Err(Errno::INTR) => Ok(vec![PollFlags::empty(); polled.len()]),
        Err(error) => Err(error.into()),
    }
}

/// The first descriptor at which something happened.
fn first(flags: &[PollFlags]) -> Option<usize> {
    flags.iter().position(|flags| !flags.is_empty())
}

/// How long to wait: a duration, and not past a deadline.
fn earlier(duration: Option<Duration>, deadline: Option<Instant>) -> Option<Duration> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    duration.into_iter().chain(left).min()
}
