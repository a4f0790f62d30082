//! Leases: whatever has one is gone when it ends, or when nothing tells the time any more.
//!
//! The manager leaves the end that comes next on a page for the clock, and is signalled when that has
//! passed. It looks at its own time then, and whenever it does anything else: it believes nothing that
//! the clock says, and waits for nothing that the clock does.

use portcullis_kernel::{CNodes, KernelError};

use crate::grants::{By, Grants};
use crate::journal::Journal;
use crate::loaded::Loaded;
use crate::members::Members;
use crate::revoke::revoke_tree;

/// What the clock was told.
#[derive(Debug)]
pub(crate) struct Deadline {
    /// What stands on its page.
    left: Option<u64>,
    /// When it looks at the page at the latest, without another signal, where that is still to come.
    looks: Option<u64>,
}

impl Deadline {
    pub(crate) const NEW: Self = Self {
        left: None,
        looks: None,
    };

    /// Notes that the clock signalled: it is silent from now on.
    pub(crate) const fn passed(&mut self) {
        self.looks = None;
    }

    /// Whether there is something to tell of the next deadline.
    pub(crate) fn is_news(&self, next: Option<u64>) -> bool {
        self.left != next || next.is_some() && self.looks.is_none()
    }

    /// Notes that the next deadline stands on the page; says whether the clock is to be signalled. One that was
    /// put off, the clock finds when it looks at the time of the one before. `now` is read after the page was
    /// written: a clock whose time to look had come before may have looked before.
    pub(crate) fn leave(&mut self, next: Option<u64>, now: u64) -> bool {
        self.left = next;
        let Some(next) = next else {
            return false;
        };
        let is_seen = self.looks.is_some_and(|looks| now < looks && looks <= next);
        if !is_seen {
            self.looks = Some(next);
        }
        !is_seen
    }
}

/// Revokes whatever has a lease that has ended, with all that was derived from it.
#[inline(always)]
pub(crate) fn expire(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) {
    if grants.first_lease().is_some() {
        expire_until(loaded, grants, members, journal, kernel);
    }
}

#[inline(never)]
fn expire_until(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) {
    // Time goes on meanwhile; what ends then has a deadline of its own.
    let now = journal.monotonic();
    while let Some((index, _)) = grants.first_lease().filter(|(_, end)| *end <= now) {
        // What the kernel refuses to take back has no lease any more, and is reported.
        let _ = revoke_tree(loaded, grants, members, journal, kernel, index, By::Lease);
    }
}

/// Revokes whatever has a lease, and has none issued from now on, where component `number`, which faulted,
/// is the clock: nothing would end them. The first refusal of the kernel is the result.
pub(crate) fn lose_clock(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    number: u16,
) -> Result<(), KernelError> {
    let mut revoked = Ok(());
    if loaded.clock().is_none_or(|it| it.component != number) {
        return revoked;
    }
    grants.close_leases();
    let by = By::Fault(number);
    // Also what waits for its record: its lease would begin later.
    for index in 0..=u16::MAX {
        if grants.is_issued(index) && grants.is_leased(index) {
            let freed = revoke_tree(loaded, grants, members, journal, kernel, index, by);
            revoked = revoked.and(freed);
        }
    }
    revoked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the clock is signalled of a deadline, where there is news of it.
    fn tell(deadline: &mut Deadline, next: impl Into<Option<u64>>, now: u64) -> Option<bool> {
        let next = next.into();
        deadline.is_news(next).then(|| deadline.leave(next, now))
    }

    #[test]
    fn the_clock_is_signalled_for_what_comes_sooner() {
        let mut deadline = Deadline::NEW;
        assert_eq!(tell(&mut deadline, None, 1), None);
        assert_eq!(tell(&mut deadline, 50, 2), Some(true));
        assert_eq!(tell(&mut deadline, 50, 3), None);
        assert_eq!(tell(&mut deadline, 90, 4), Some(false));
        // It still looks at 50.
        assert_eq!(tell(&mut deadline, 60, 5), Some(false));
        assert_eq!(tell(&mut deadline, None, 6), Some(false));
        assert_eq!(tell(&mut deadline, 40, 7), Some(true));
    }

    #[test]
    fn a_clock_that_signalled_is_told_again() {
        let mut deadline = Deadline::NEW;
        tell(&mut deadline, 50, 1);
        tell(&mut deadline, 90, 2);
        // Too early, or it did not see that the deadline was put off.
        deadline.passed();
        assert_eq!(tell(&mut deadline, 90, 51), Some(true));
        assert_eq!(tell(&mut deadline, 90, 52), None);
        deadline.passed();
        assert_eq!(tell(&mut deadline, None, 91), Some(false));
    }

    #[test]
    fn a_clock_that_has_looked_is_told_again() {
        let mut deadline = Deadline::NEW;
        tell(&mut deadline, 50, 1);
        // It finds nothing on the page at 50, and is silent.
        assert_eq!(tell(&mut deadline, None, 2), Some(false));
        assert_eq!(tell(&mut deadline, 90, 50), Some(true));
        assert_eq!(tell(&mut deadline, 95, 51), Some(false));
    }
}
