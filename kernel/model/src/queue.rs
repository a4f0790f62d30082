//! Queues of threads at endpoints and notifications.
//!
//! Linked through the threads, ordered by priority and first come, first served within one
//! (`tcbAppend` of `include/object/tcb.h`). Taking the head and taking any member out are O(1).

use crate::kernel::Kernel;
use crate::thread::Thread;
use crate::{ObjectId, ThreadId};

/// A queue of threads.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Queue {
    pub(crate) head: Option<ThreadId>,
    pub(crate) tail: Option<ThreadId>,
}

/// A thread's place in the queue that it is in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Links {
    pub(crate) previous: Option<ThreadId>,
    pub(crate) next: Option<ThreadId>,
}

impl Queue {
    pub(crate) const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Adds `id` behind the last thread whose priority is not below its own.
    fn append(&mut self, threads: &mut [Thread], id: ThreadId) {
        let priority = threads[id.index()].priority;
        let mut previous = self.tail;
        while let Some(other) = previous {
            if threads[other.index()].priority >= priority {
                break;
            }
            previous = threads[other.index()].links.previous;
        }
        let next = match previous {
            Some(previous) => threads[previous.index()].links.next.replace(id),
            None => self.head.replace(id),
        };
        match next {
            Some(next) => threads[next.index()].links.previous = Some(id),
            None => self.tail = Some(id),
        }
        threads[id.index()].links = Links { previous, next };
    }

    /// Takes `id`, which is in this queue, out of it.
    fn remove(&mut self, threads: &mut [Thread], id: ThreadId) {
        let Links { previous, next } = core::mem::take(&mut threads[id.index()].links);
        match previous {
            Some(previous) => threads[previous.index()].links.next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => threads[next.index()].links.previous = previous,
            None => self.tail = previous,
        }
    }
}

impl Kernel {
    /// Adds the thread to the queue of an endpoint or notification.
    pub(crate) fn enqueue(&mut self, object: ObjectId, thread: ThreadId) {
        let mut queue = *self.queue(object);
        queue.append(&mut self.threads, thread);
        *self.queue(object) = queue;
    }

    /// Takes the thread out of the queue of an endpoint or notification.
    pub(crate) fn dequeue(&mut self, object: ObjectId, thread: ThreadId) {
        let mut queue = *self.queue(object);
        queue.remove(&mut self.threads, thread);
        *self.queue(object) = queue;
    }
}
