//! The ready tasks: strict priority, first in first out within one.

use std::collections::VecDeque;

/// Number of priorities (seL4's 0 to 255).
const PRIORITIES: usize = 256;

/// Queues of ready tasks, one a priority.
pub(super) struct ReadyQueues {
    queues: Vec<VecDeque<usize>>,
    /// Bit n of word n / 64: queue n is not empty.
    occupied: [u64; PRIORITIES / 64],
}

impl ReadyQueues {
    /// Empty queues.
    pub(super) fn new() -> Self {
        Self {
            queues: (0..PRIORITIES).map(|_| VecDeque::new()).collect(),
            occupied: [0; PRIORITIES / 64],
        }
    }

    /// Puts a task behind all others of its priority.
    pub(super) fn push_back(&mut self, task: usize, priority: u8) {
        self.occupied[usize::from(priority) / 64] |= 1 << (priority % 64);
        self.queues[usize::from(priority)].push_back(task);
    }

    /// Puts a task before all others of its priority: it goes on where it was.
    pub(super) fn push_front(&mut self, task: usize, priority: u8) {
        self.occupied[usize::from(priority) / 64] |= 1 << (priority % 64);
        self.queues[usize::from(priority)].push_front(task);
    }

    /// Takes the first task of the highest priority that has one.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let word = self.occupied.iter().rposition(|bits| *bits != 0)?;
        let bit = 63 - self.occupied[word].leading_zeros() as usize;
        let queue = &mut self.queues[word * 64 + bit];
        let task = queue.pop_front();
        if queue.is_empty() {
            self.occupied[word] &= !(1 << bit);
        }
        task
    }

    /// Whether no task is ready.
    pub(super) fn is_empty(&self) -> bool {
        self.occupied == [0; PRIORITIES / 64]
    }

    /// Takes a task out, wherever it stands.
    pub(super) fn remove(&mut self, task: usize, priority: u8) {
        let queue = &mut self.queues[usize::from(priority)];
        queue.retain(|other| *other != task);
        if queue.is_empty() {
            self.occupied[usize::from(priority) / 64] &= !(1 << (priority % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_priority_runs_first_and_equals_in_order() {
        let mut ready = ReadyQueues::new();
        for (task, priority) in [(0, 10), (1, 200), (2, 10), (3, 255), (4, 0), (5, 200)] {
            ready.push_back(task, priority);
        }
        ready.push_front(6, 10);
        let order: Vec<usize> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(order, [3, 1, 5, 6, 0, 2, 4]);
    }

    #[test]
    fn a_removed_task_does_not_run() {
        let mut ready = ReadyQueues::new();
        ready.push_back(0, 64);
        ready.push_back(1, 64);
        ready.remove(0, 64);
        assert_eq!(ready.pop(), Some(1));
        ready.push_back(2, 63);
        ready.remove(2, 63);
        assert_eq!(ready.pop(), None);
    }
}
