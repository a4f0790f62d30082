//! Whether a lease ends in time: a component watches the manager's deadline, and always comes to run.
//!
//! It runs before whoever may hold a lease, since it runs before the manager; and for a part of the time
//! alone, so that others run while it waits.

use miette::Diagnostic;
use portcullis_sdf::{PdId, ProtectionDomain};
use thiserror::Error;

use super::{Check, Described};
use crate::clock::{self, Clock, DEADLINE};
use crate::model::MANAGER;
use crate::relation::Cause;

/// Longest period of the clock, in microseconds: half of the bound by which a lease may end late.
const LONGEST_PERIOD: u64 = 500;

/// Nobody ends leases, or not in time.
#[derive(Clone, PartialEq, Eq, Debug, Error, Diagnostic)]
pub enum ClockFault {
    /// Nobody ends them.
    #[error("the policy has a lease, and nothing in `{file}` ends one")]
    #[diagnostic(
        code(policy::lease_without_clock),
        help(
            "remove the lease; or add a clock: a region that `{MANAGER}` maps perms=\"rw\" with \
             setvar_vaddr=\"{DEADLINE}\" and setvar_size=\"{DEADLINE}_size\", and a component that maps it \
             perms=\"r\" in the same way"
        )
    )]
    None {
        /// Name of the system description.
        file: String,
    },
    /// Nobody looks at the page.
    #[error("`{MANAGER}` leaves its deadline in region `{region}`, and no component watches it")]
    #[diagnostic(
        code(policy::deadline_unwatched),
        help(
            "have the clock map `{region}` perms=\"r\", and give it a channel to `{MANAGER}` on which both \
             ends notify and neither has pp; or remove the page"
        )
    )]
    Unwatched {
        /// The region.
        region: String,
    },
    /// It does not run first.
    #[error("`{clock}` watches the deadline of `{MANAGER}`, and {does}")]
    #[diagnostic(
        code(policy::clock_late),
        help(
            "in `{file}`, give `{clock}` a priority above that of `{MANAGER}`, on its core and in its \
             scheduling domain: whoever holds a lease could keep it from running"
        )
    )]
    Late {
        /// The clock.
        clock: String,
        /// What keeps it.
        does: &'static str,
        /// Name of the system description.
        file: String,
    },
    /// It runs on the time of nobody, for all of it, or too seldom.
    #[error("`{clock}` watches the deadline of `{MANAGER}`, and {does}")]
    #[diagnostic(
        code(policy::clock_time),
        help(
            "in `{file}`, write budget=\"100\" and period=\"{LONGEST_PERIOD}\" on `{clock}`, without \
             passive: it looks at the time once in a period of {LONGEST_PERIOD} microseconds at most, and \
             leaves the rest of the period to others"
        )
    )]
    Time {
        /// The clock.
        clock: String,
        /// What is wrong with its time.
        does: String,
        /// Name of the system description.
        file: String,
    },
}

pub(super) fn check(check: &mut Check<'_>, described: Described<'_>) {
    let Described { system, source, .. } = described;
    let Some(manager) = system.pd_named(MANAGER) else {
        return;
    };
    let file = source.name().to_owned();
    let Some(page) = clock::page(system, manager) else {
        let leased = check.ceiling.grants().find(|held| held.lease_ms.is_some());
        if let Some(held) = leased {
            let place = &check.policy.grants[held.rule].places.rule;
            check.broken(place, "has a lease", ClockFault::None { file });
        }
        return;
    };
    match clock::of(system) {
        Some(clock) => runs(check, described, manager, clock),
        None => {
            let region = system.region(page.region.value).name.value.clone();
            let cause = Cause::Element(&page.span);
            check.at(
                &cause,
                "nobody watches it",
                ClockFault::Unwatched { region },
            );
        }
    }
}

/// Whether the clock comes to run, and lets others run.
fn runs(check: &mut Check<'_>, described: Described<'_>, manager: PdId, clock: Clock) {
    let Described { system, source, .. } = described;
    let (manager, pd) = (system.pd(manager), system.pd(clock.pd));
    let (name, file) = (pd.name.value.clone(), source.name().to_owned());
    if let Some(does) = runs_late(manager, pd) {
        let cause = Cause::Element(&pd.priority.span);
        let (clock, file) = (name.clone(), file.clone());
        check.at(&cause, "here", ClockFault::Late { clock, does, file });
    }
    if let Some(does) = wrong_time(pd) {
        let cause = Cause::Element(&pd.budget.span);
        let clock = name;
        check.at(&cause, "its time", ClockFault::Time { clock, does, file });
    }
}

fn runs_late(manager: &ProtectionDomain, clock: &ProtectionDomain) -> Option<&'static str> {
    let domain = |pd: &ProtectionDomain| pd.domain.as_ref().map(|domain| domain.value);
    if manager.cpu.value != clock.cpu.value {
        Some("runs on another core")
    } else if domain(manager) != domain(clock) {
        Some("runs in another scheduling domain")
    } else if clock.priority.value <= manager.priority.value {
        Some("has no higher priority")
    } else {
        None
    }
}

fn wrong_time(clock: &ProtectionDomain) -> Option<String> {
    let (budget, period) = (clock.budget.value, clock.period.value);
    if clock.passive.value {
        Some("is passive".to_owned())
    } else if budget >= period {
        Some("has all of the time".to_owned())
    } else if period > LONGEST_PERIOD {
        Some(format!("runs once in {period} microseconds"))
    } else {
        None
    }
}
