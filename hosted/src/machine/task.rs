//! A component as the machine sees it.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use portcullis_model::ThreadId;
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::process::{Ended, Process};
use super::watch::Watch;
use crate::wire::{Answered, Packet};

/// A component: its thread in the model, and its process.
pub(super) struct Task {
    pub(super) name: String,
    pub(super) thread: ThreadId,
    pub(super) priority: u8,
    pub(super) fault_handler: Option<ThreadId>,
    pub(super) state: State,
    /// System calls since it last waited or stood in line.
    pub(super) calls: u32,
    /// Since it was last answered, preempted or not.
    pub(super) watch: Option<Watch>,
    process: Process,
    /// The answer that it has not been given.
    packet: Packet,
}

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It stands in line, and this is what its turn begins with.
    Ready(Turn),
    /// It waits in the model (or runs: then nothing else looks).
    Blocked,
    /// It runs beside the others, since it overran its slice.
    Aside { since: Instant, reported: bool },
    /// It faulted.
    Dead,
}

/// What a turn begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The answer to its system call.
    Answer,
    /// Its request, which is there or is still to come.
    Request,
    /// Its last system call, once more.
    Restart,
}

impl Task {
    /// A task whose process waits to be started.
    pub(super) fn new(
        name: String,
        thread: ThreadId,
        priority: u8,
        fault_handler: Option<ThreadId>,
        process: Process,
    ) -> Self {
        let mut packet = Packet::new();
        packet.answer(&Answered::Done);
        Self {
            name,
            thread,
            priority,
            fault_handler,
            state: State::Ready(Turn::Answer),
            calls: 0,
            watch: None,
            process,
            packet,
        }
    }

    /// Its system call is over: it will be given this answer on its next turn.
    pub(super) fn complete(&mut self, answered: &Answered) {
        self.packet.answer(answered);
        self.state = State::Ready(Turn::Answer);
    }

    /// Gives it its answer. Never waits: one that reads no answers fills its socket.
    pub(super) fn answer(&self) -> Result<(), Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::send(self.process.socket(), self.packet.bytes(), flags).map(drop)
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.process.socket()
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn ended(&mut self) -> Ended {
        self.process.ended()
    }

    pub(super) fn end(&mut self) -> Ended {
        self.process.end()
    }

    /// Whether it is to be set aside.
    pub(super) fn overruns(&mut self) -> bool {
        let process = &self.process;
        let watch = self.watch.as_mut();
        watch.is_some_and(|watch| watch.overruns(|| process.processor_time()))
    }
}
