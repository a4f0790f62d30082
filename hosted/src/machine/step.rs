//! What one step of the model does to the tasks.

use portcullis_model::{Completion, ThreadId};

use super::report::Fault;
use super::task::{State, Task, Turn};
use crate::wire::Answered;

/// What one step of the model did, before the machine acts on it. Kept to be used again.
#[derive(Default)]
pub(super) struct Scratch {
    /// Tasks that go on.
    pub(super) completed: Vec<usize>,
    /// Tasks that do not.
    pub(super) faulted: Vec<(usize, Fault)>,
}

/// Collects what one step of the model completes.
pub(super) struct Step<'a> {
    tasks: &'a mut [Task],
    task_of: &'a [Option<usize>],
    scratch: &'a mut Scratch,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        tasks: &'a mut [Task],
        task_of: &'a [Option<usize>],
        scratch: &'a mut Scratch,
    ) -> Self {
        Self {
            tasks,
            task_of,
            scratch,
        }
    }

    /// Takes the completion of a thread's system call.
    pub(super) fn done(&mut self, thread: ThreadId, completion: Completion) {
        // A fault handler's thread has no process: nobody waits for its completion.
        let Some(index) = self.task_of.get(thread.index()).copied().flatten() else {
            return;
        };
        let task = &mut self.tasks[index];
        if task.state == State::Dead {
            return;
        }
        let answered = match completion {
            Completion::Done => Answered::Done,
            Completion::Message { badge, message } => Answered::Message(badge, message),
            Completion::Nothing => Answered::Nothing,
            Completion::Invoked(result) => Answered::Invoked(result),
            Completion::Fault(fault) => {
                let fault = Fault::Capability(fault);
                return self.scratch.faulted.push((index, fault));
            }
            Completion::Unmodelled { label } => {
                let fault = Fault::Unmodelled(label);
                return self.scratch.faulted.push((index, fault));
            }
            Completion::Restarted => {
                task.state = State::Ready(Turn::Restart);
                return self.scratch.completed.push(index);
            }
        };
        task.complete(&answered);
        self.scratch.completed.push(index);
    }
}
