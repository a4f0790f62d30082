//! Taking grants back: in force first, then in the log.

use portcullis_kernel::{CNodes, Fault, Invocation, KernelError, Message};
use portcullis_log::ring::Full;
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager_api::{Report, Unissued};
use portcullis_policy_format::{OnFault, When};

use crate::grants::{By, Ended, Grants, Next};
use crate::issue::{Boot, has_unlogged, log_boot, report_unissued};
use crate::journal::Journal;
use crate::lease::lose_clock;
use crate::loaded::Loaded;
use crate::members::Members;
use crate::slots;

/// Why a grant was not revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RevokeError {
    /// There is nothing to revoke: no such grant is issued, or there is no such component.
    NotInForce,
    /// The kernel refused to take the grant, or one derived from it, back: that one is still in force.
    Kernel(KernelError),
}

/// Takes note of a component's fault, for which the kernel stopped it: revokes every grant that
/// it holds. Where the policy says `on_fault = "restart"`, issues its boot grants anew under
/// another generation; where it says `stop`, revokes every grant to it too, so that nobody waits
/// for it in its queue. Whom it was serving is answered as the kernel answers a call through no
/// capability.
///
/// Of a component that the policy redacts, the log tells the fault without what it was. Of faults
/// that come before the log has taken the revocations of an earlier one, the log tells that one's.
pub(crate) fn revoke_component(
    loaded: &Loaded<'_>,
    boot: &mut Boot,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    (number, fault): (u16, Fault),
) -> Result<(), RevokeError> {
    let component = loaded.component(number).ok_or(RevokeError::NotInForce)?;
    let stops = component.on_fault == OnFault::Stop;
    let tells = !has_unlogged(grants, members) && !loaded.policy().is_redacted(number);
    members.faulted(number, stops, tells.then_some(fault));
    // The fault itself may be told before what it led to; without room both are told later.
    let _ = log_boot(loaded, boot, journal)
        .and_then(|()| log_revocations(loaded, grants, members, journal));
    let mut revoked = Ok(());
    let mut revoke = |policy_number| {
        if let Some(index) = grants.issued_as(policy_number)
            && grants.is_issued(index)
        {
            let by = By::Fault(number);
            let freed = revoke_tree(loaded, grants, members, journal, kernel, index, by);
            revoked = revoked.and(freed);
        }
    };
    loaded.grants_of(number).for_each(|(held, _)| revoke(held));
    if stops {
        // Whoever waits for it would wait for ever: their grants go too, which wakes them.
        let served = loaded.grants().filter(|(_, it)| it.grant.object == number);
        served.for_each(|(served, _)| revoke(served));
    }
    let leased = lose_clock(loaded, grants, members, journal, kernel, number);
    let revoked = revoked.and(leased);
    answer_for(loaded, kernel, number);
    if !stops {
        restart(loaded, grants, journal, number);
    }
    revoked.map_err(RevokeError::Kernel)
}

/// Answers the caller that a stopped component was serving, if it was: nobody else will. A call
/// is not in the endpoint's queue any more once it is served, so that no revocation ends it.
fn answer_for(loaded: &Loaded<'_>, kernel: &mut impl CNodes, number: u16) {
    let reply = slots::pointer(loaded.layout().reply(number));
    let refused = KernelError::InvalidCapability.code();
    // Silent where the slot is empty (nobody may call the component) or nobody waits.
    kernel.nb_send(reply, &Message::new(refused.into()));
}

/// Has a component's boot grants issued anew, once their revocation is logged.
fn restart(loaded: &Loaded<'_>, grants: &mut Grants<'_>, journal: &mut impl Journal, number: u16) {
    for (number, allowed) in loaded
        .grants_of(number)
        .filter(|(_, it)| it.when == When::Boot)
    {
        if !grants.schedule(number, allowed) {
            report_unissued(loaded, journal, number, Unissued::Unavailable);
        }
    }
}

/// Revokes a grant and all that was derived from it, deepest first. The first refusal of the kernel is
/// the result; what could not be revoked is then derived from none, and stays in force.
pub(crate) fn revoke_tree(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    index: u16,
    by: By,
) -> Result<(), KernelError> {
    let mut result = Ok(());
    let mut from = index;
    loop {
        let leaf = grants.deepest(from);
        let parent = grants.parent(leaf);
        let revoked = take_back(loaded, grants, kernel, leaf, by);
        if let Err(error) = revoked {
            report_in_force(loaded, grants, members, journal, leaf, (by, error));
        }
        result = result.and(revoked);
        if leaf == index {
            return result;
        }
        grants.detach(leaf);
        from = parent.unwrap_or(index);
    }
}

/// Takes one grant back and queues it to be logged.
fn take_back(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    kernel: &mut impl CNodes,
    index: u16,
    by: By,
) -> Result<(), KernelError> {
    // One that waits for its record is nothing that the kernel holds.
    let reusable = !grants.is_in_force(index) || unmake(loaded, grants, kernel, index)?;
    let next = if reusable { Next::Free } else { Next::Retired };
    grants.revoked(index, by, next);
    Ok(())
}

/// Has the kernel take a grant's capabilities; gives whether its index may be used again.
fn unmake(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    kernel: &mut impl CNodes,
    index: u16,
) -> Result<bool, KernelError> {
    let grant = grants.grant(index);
    let root = slots::authority(loaded.layout().root(index));
    if loaded.is_own(grant.subject) {
        // The manager holds the root alone, and is not waiting to send anything.
        kernel.invoke(&Invocation::Delete(root))?;
        return Ok(true);
    }
    kernel.invoke(&Invocation::Revoke(root))?;
    // From here on the subject holds nothing. If a message with the badge may still be
    // queued, or the root is still taken, the index is not used again.
    let cancelled = if grant.mode.signals() {
        Ok(())
    } else {
        kernel.invoke(&Invocation::CancelBadgedSends(root))
    };
    let freed = kernel.invoke(&Invocation::Delete(root));
    Ok(cancelled.and(freed).is_ok())
}

/// Says, where it can be said, that a grant could not be revoked.
fn report_in_force(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    index: u16,
    (by, error): (By, KernelError),
) {
    grants.refused(index, by, error);
    // Without room it is told later.
    let _ = log_revocations(loaded, grants, members, journal);
    let report = Report::StillInForce {
        index,
        subject: grants.grant(index).subject,
        line: loaded.line(grants.number(index)),
        error,
    };
    journal.report(report, Some(loaded));
}

/// Writes the records that are not yet written: of faults, then of grants that the kernel refused to take
/// back, then of revocations. Whatever comes first in time, none of them belies another in this order.
pub(crate) fn log_revocations(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
) -> Result<(), Full> {
    while let Some(component) = members.first_unlogged() {
        let fault = members.fault(component);
        journal.record_done(Operation::Fault, Cause::Fault { component, fault })?;
        members.finish_fault();
    }
    while let Some((index, error)) = grants.first_refused() {
        let (about, by) = ((loaded, &*grants, &*members), grants.by(index));
        journal.record_grant(about, by.ending(), index, by, error.into())?;
        grants.finish_refused();
    }
    while let Some(index) = grants.first_unlogged() {
        let (about, by) = ((loaded, &*grants, &*members), grants.by(index));
        journal.record_grant(about, by.ending(), index, by, Outcome::Done)?;
        let (number, subject) = (grants.number(index), grants.grant(index).subject);
        let ended = grants.finish_revoked();
        if ended != Ended::Reusable {
            journal.report(Report::Retired { index, subject }, Some(loaded));
        }
        if ended == Ended::Lost {
            report_unissued(loaded, journal, number, Unissued::Unavailable);
        }
    }
    Ok(())
}
