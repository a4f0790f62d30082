//! How long a component may run, and whether it has.

use std::io;
use std::time::{Duration, Instant};

/// How long a component may run without a system call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the kernel waits, where no deadline comes first, before it looks at what the running
    /// component is doing, and whether something outside takes the processor from it.
    pub tick: Duration,
    /// Processor time after which it is set aside. Not wall time: on a loaded machine a component
    /// may wait long for a processor, and that is no fault of its own.
    pub slice: Duration,
    /// Wall time after which it is set aside all the same: it waits for something that does not
    /// come. Above the longest flush of a slow disk.
    pub wait: Duration,
    /// Wall time, once set aside, after which it is reported as hung.
    pub hung: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Half of what the end of a lease may be late by (`docs/decisions/0019-*`).
            tick: Duration::from_millis(10),
            slice: Duration::from_millis(100),
            wait: Duration::from_secs(5),
            hung: Duration::from_secs(5),
        }
    }
}

/// Watches a running component for an overrun.
pub(super) struct Watch {
    limits: Limits,
    started: Instant,
    looked: Instant,
    used_before: Option<Duration>,
}

impl Watch {
    /// Starts to watch.
    pub(super) fn new(limits: Limits) -> Self {
        let started = Instant::now();
        Self {
            limits,
            started,
            looked: started,
            used_before: None,
        }
    }

    /// Whether the component is to be set aside. Asks for the processor time that its process has used
    /// once a tick at most.
    pub(super) fn overruns(
        &mut self,
        processor_time: impl FnOnce() -> io::Result<Duration>,
    ) -> bool {
        if self.started.elapsed() >= self.limits.wait {
            return true;
        }
        if self.looked.elapsed() < self.limits.tick {
            return false;
        }
        self.looked = Instant::now();
        // Where /proc hides it, wall time alone counts.
        let Ok(used) = processor_time() else {
            return false;
        };
        let before = *self.used_before.get_or_insert(used);
        used.saturating_sub(before) >= self.limits.slice
    }
}
