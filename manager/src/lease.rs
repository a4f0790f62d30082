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
    /// When it looks at the page at the latest, without another signal.
    looks: Option<u64>,
}

/// What is to be done so that the clock knows the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tell {
    /// What is to stand on the page.
    pub(crate) left: Option<u64>,
    /// Whether the clock is to be signalled then.
    pub(crate) signals: bool,
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

    /// Notes the next deadline: what there is to tell of it. One that was put off, the clock finds when it
    /// looks at the time of the one before.
    pub(crate) fn next(&mut self, next: Option<u64>) -> Option<Tell> {
        let is_sooner = next.is_some_and(|next| self.looks.is_none_or(|looks| next < looks));
        if self.left == next && !is_sooner {
            return None;
        }
        self.left = next;
        if is_sooner {
            self.looks = next;
        }
        Some(Tell {
            left: next,
            signals: is_sooner,
        })
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

    fn tell(left: Option<u64>, signals: bool) -> Option<Tell> {
        Some(Tell { left, signals })
    }

    #[test]
    fn the_clock_is_signalled_for_what_comes_sooner() {
        let mut deadline = Deadline::NEW;
        assert_eq!(deadline.next(None), None);
        assert_eq!(deadline.next(Some(50)), tell(Some(50), true));
        assert_eq!(deadline.next(Some(50)), None);
        assert_eq!(deadline.next(Some(90)), tell(Some(90), false));
        // It still looks at 50.
        assert_eq!(deadline.next(Some(60)), tell(Some(60), false));
        assert_eq!(deadline.next(None), tell(None, false));
        assert_eq!(deadline.next(Some(40)), tell(Some(40), true));
    }

    #[test]
    fn a_clock_that_signalled_is_told_again() {
        let mut deadline = Deadline::NEW;
        deadline.next(Some(50));
        deadline.next(Some(90));
        // Too early, or it did not see that the deadline was put off.
        deadline.passed();
        assert_eq!(deadline.next(Some(90)), tell(Some(90), true));
        assert_eq!(deadline.next(Some(90)), None);
        deadline.passed();
        assert_eq!(deadline.next(None), tell(None, false));
    }
}
