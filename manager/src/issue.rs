//! Issuing grants: the record first, then, once it is durable, the root and the subject's copy.

use portcullis_kernel::{CNodes, Grant, GrantBadge, Invocation, KernelError, MethodSet, Rights};
use portcullis_log::ring::Full;
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager_api::{MAX_DEPTH, Report, Unissued, badge_bits};
use portcullis_policy_format::{AllowedGrant, MAX_COMPONENTS, When};

use crate::grants::{By, Claimed, Ended, Grants, Next};
use crate::journal::Journal;
use crate::loaded::Loaded;
use crate::members::Members;
use crate::revoke::log_revocations;
use crate::slots;

/// Records that the ring must have room for before a grant is logged: the grant's, and the one that
/// says that the kernel refused it.
pub const ISSUE_ROOM: u64 = 2;

/// How far the boot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Boot {
    /// The `boot` record is to be written.
    Loaded,
    /// Boot grants are being issued.
    Issuing,
    /// All boot grants were issued, and the `seal` record says so.
    Sealed,
}

/// Whether something was put off: for want of room in the ring, or until records are durable.
pub(crate) fn is_behind(boot: Boot, grants: &Grants<'_>, members: &Members) -> bool {
    let issues = grants.first_due().is_some() || grants.first_awaited().is_some();
    boot != Boot::Sealed || issues || has_unlogged(grants, members)
}

/// Does what was put off, as far as it can be done now: first the records of what was revoked, then the
/// grants that are due. Out of line: there is seldom something to do.
#[inline(never)]
pub(crate) fn catch_up(
    loaded: &Loaded<'_>,
    boot: &mut Boot,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) {
    if log_boot(loaded, boot, journal).is_ok()
        && log_revocations(loaded, grants, members, journal).is_ok()
        && issue_due(loaded, grants, members, journal, kernel)
    {
        seal(loaded, boot, grants.in_force(), journal);
    }
}

/// Whether something was done whose record is not yet written.
pub(crate) fn has_unlogged(grants: &Grants<'_>, members: &Members) -> bool {
    members.first_unlogged().is_some()
        || grants.first_refused().is_some()
        || grants.first_unlogged().is_some()
}

/// Writes the `boot` record, where it is not yet written.
pub(crate) fn log_boot(
    loaded: &Loaded<'_>,
    boot: &mut Boot,
    journal: &mut impl Journal,
) -> Result<(), Full> {
    if *boot != Boot::Loaded {
        return Ok(());
    }
    let policy = loaded.policy();
    let cause = Cause::Load {
        policy: *policy.sha256(),
        system: policy.tail().map_or([0; 32], |tail| tail.system),
        image: *loaded.image(),
    };
    journal.record_done(Operation::Boot, cause)?;
    *boot = Boot::Issuing;
    Ok(())
}

/// Writes the `seal` record, where all boot grants are issued and it is not yet written.
fn seal(loaded: &Loaded<'_>, boot: &mut Boot, grants: u32, journal: &mut impl Journal) {
    let cause = Cause::Complete { grants };
    if *boot == Boot::Issuing && journal.record_done(Operation::Seal, cause).is_ok() {
        *boot = Boot::Sealed;
        journal.report(Report::InForce { grants }, Some(loaded));
    }
}

/// Checks the endpoint capabilities that grants are minted from.
///
/// Mint gives, silently, no more rights than its source has, and no invocation reads a slot
/// back. But CancelBadgedSends demands an endpoint capability with every right, and does
/// nothing where it has no badge. Sources do not change after boot, so checking each once
/// proves that every root minted from it has all rights, and every copy the mode's. (A source
/// that is badged makes Mint fail; a notification that lacks a right makes a grant that does
/// not signal, which `portcullis check --image` finds.)
pub(crate) fn check_sources(
    loaded: &Loaded<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) {
    let called = loaded.grants().filter(|(_, it)| !it.grant.mode.signals());
    let called = called.fold(0, |all: u64, (_, it)| all | 1 << it.grant.object);
    for component in (0..MAX_COMPONENTS).filter(|number| called & 1 << number != 0) {
        let source = slots::authority(loaded.layout().endpoint(component));
        if let Err(error) = kernel.invoke(&Invocation::CancelBadgedSends(source)) {
            members.set_unsound(component, error);
            journal.report(Report::Unsound { component, error }, Some(loaded));
        }
    }
}

/// A grant that is to be issued because somebody asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its number in the policy.
    pub(crate) number: u16,
    /// The number of the grant that it is derived from, where its holder delegates that.
    pub(crate) parent: Option<u16>,
    /// The methods; `None`: all that the policy allows.
    pub(crate) methods: Option<MethodSet>,
    /// How often it may be handed on; `None`: as often as possible.
    pub(crate) depth: Option<u8>,
    /// Milliseconds that it is to last; `None`: as long as the policy allows.
    pub(crate) lease_ms: Option<u32>,
}

/// A wanted grant that the policy, and the grant that it is derived from, permit.
pub(crate) struct Permitted<'l> {
    allowed: &'l AllowedGrant,
    /// Who asks.
    requester: u16,
    /// The index of what it is derived from.
    parent: Option<u16>,
    methods: MethodSet,
    depth: u8,
    lease_ms: Option<u32>,
}

/// Issues a grant because its subject asked for it, or because the holder of another delegates that: it
/// is in force when its record is durable.
#[inline(always)]
pub(crate) fn issue(
    loaded: &Loaded<'_>,
    boot: Boot,
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    wanted: Wanted,
) -> Result<GrantBadge, Unissued> {
    let permitted = permit(loaded, grants, &wanted)?;
    let (allowed, number) = (permitted.allowed, wanted.number);
    if members.is_down(allowed.grant.subject) || members.is_down(allowed.grant.object) {
        return Err(Unissued::Unavailable);
    }
    if grants.issued_as(number).is_some() {
        return Err(Unissued::Unavailable);
    }
    let has_room = boot != Boot::Loaded && !has_unlogged(grants, members);
    if !has_room || !journal.has_room(ISSUE_ROOM) {
        return Err(Unissued::Full);
    }
    let by = By::Request(permitted.requester);
    let claimed = grants.claim(number, allowed, by, permitted.parent);
    let claimed = claimed.ok_or(Unissued::Unavailable)?;
    let lease_ms = permitted.lease_ms;
    grants.narrow(&claimed, permitted.methods, permitted.depth, lease_ms);
    match log(loaded, grants, members, journal, &claimed) {
        Ok(badge) => {
            grants.await_durable(claimed, journal.written() as u32);
            Ok(badge)
        }
        Err(reason) => {
            grants.release(claimed);
            Err(reason)
        }
    }
}

/// What of a wanted grant the policy allows, and the grant that it is derived from.
#[inline(always)]
pub(crate) fn permit<'l>(
    loaded: &'l Loaded<'_>,
    grants: &Grants<'_>,
    wanted: &Wanted,
) -> Result<Permitted<'l>, Unissued> {
    let allowed = loaded.grant(wanted.number).ok_or(Unissued::NotPermitted)?;
    let methods = wanted.methods.unwrap_or(allowed.grant.methods);
    let part = Grant {
        methods,
        ..allowed.grant
    };
    if !part.is_within(&allowed.grant) {
        return Err(Unissued::NotPermitted);
    }
    let (requester, parent, most) = match (allowed.when, wanted.parent) {
        (When::Request, None) => (part.subject, None, Some(MAX_DEPTH)),
        (When::Delegated(from), Some(parent)) => {
            let index = permit_derived(loaded, grants, &part, (from, parent))?;
            (from, Some(index), grants.depth(index).checked_sub(1))
        }
        _ => return Err(Unissued::NotPermitted),
    };
    let most = most.ok_or(Unissued::NotPermitted)?;
    let depth = wanted.depth.unwrap_or(most);
    if depth > most {
        return Err(Unissued::NotPermitted);
    }
    Ok(Permitted {
        allowed,
        requester,
        parent,
        methods,
        depth,
        lease_ms: shorter(wanted.lease_ms, allowed.lease_ms),
    })
}

/// The lease of a grant: what is wanted, and no longer than the policy allows. One of nothing ends at once.
pub(crate) fn shorter(wanted: Option<u32>, allowed: Option<u32>) -> Option<u32> {
    let wanted = wanted.map(|it| it.max(1));
    wanted.into_iter().chain(allowed).min()
}

/// The index of grant `parent` of the policy, where component `from` holds it and `part` reaches nothing
/// beyond it.
fn permit_derived(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    part: &Grant,
    (from, parent): (u16, u16),
) -> Result<u16, Unissued> {
    let held = loaded.grant(parent).ok_or(Unissued::NotPermitted)?;
    if held.grant.subject != from || !part.is_within(&held.grant) {
        return Err(Unissued::NotPermitted);
    }
    let index = grants.in_force_as(parent).ok_or(Unissued::Unavailable)?;
    // It may itself have been narrowed.
    match part.is_within(grants.grant(index)) {
        true => Ok(index),
        false => Err(Unissued::NotPermitted),
    }
}

/// Issues the grants that are due: first their records, then, when these are durable, the grants.
/// Says whether that is all, and no other has to wait for room in the ring or for the ledger.
fn issue_due(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) -> bool {
    while make_durable(loaded, grants, members, journal, kernel).is_ok() {
        if grants.first_due().is_none() {
            return true;
        }
        if log_due(loaded, grants, members, journal, kernel).is_err() {
            return false;
        }
    }
    false
}

/// Writes the records of the grants that are due, and makes those at once without which no record
/// becomes durable.
fn log_due(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) -> Result<(), Full> {
    while let Some(index) = grants.first_due() {
        let grant = grants.grant(index);
        let (subject, object) = (grant.subject, grant.object);
        let is_down = members.is_down(subject) || members.is_down(object);
        if !is_down && !journal.has_room(ISSUE_ROOM) {
            return Err(Full);
        }
        let Some(claimed) = grants.take_due() else {
            return Ok(());
        };
        if is_down {
            grants.release(claimed);
            continue;
        }
        match log(loaded, grants, members, journal, &claimed) {
            Ok(badge) if loaded.is_on_log_path(subject) => {
                make(loaded, grants, members, journal, kernel, (claimed, badge));
            }
            Ok(_) => grants.await_durable(claimed, journal.written() as u32),
            Err(reason) => {
                report_unissued(loaded, journal, grants.number(index), reason);
                grants.release(claimed);
            }
        }
    }
    Ok(())
}

/// Makes the grants whose records are durable. `Err` where others have to wait: for the ledger, or
/// for room for the record that the kernel refused.
fn make_durable(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
) -> Result<(), Full> {
    let durable = journal.durable() as u32;
    let mut has_room = journal.has_room(1);
    while let Some(awaited) = grants.first_awaited() {
        // The ring is far shorter than half of the numbers.
        if awaited.wrapping_sub(durable).cast_signed() > 0 || !has_room {
            return Err(Full);
        }
        if let Some(claimed) = grants.take_logged()
            && let Some(badge) = grants.badge(claimed.index())
            && !make(loaded, grants, members, journal, kernel, (claimed, badge))
        {
            has_room = journal.has_room(1);
        }
    }
    Ok(())
}

/// Writes the record that a grant is issued, or why it cannot be. The ring has room for it.
fn log(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    claimed: &Claimed,
) -> Result<GrantBadge, Unissued> {
    let index = claimed.index();
    grants.identify(claimed);
    let grants = &*grants;
    let badge = grants.badge(index).ok_or(Unissued::NotPermitted)?;
    let obstacle = obstacle(grants, members, index);
    let outcome = obstacle.map_or(Outcome::Done, |(outcome, _)| outcome);
    let (about, by) = ((loaded, grants, members), grants.by(index));
    let recorded = journal.record_grant(about, issuing(grants, index), index, by, outcome);
    recorded.map_err(|Full| Unissued::Full)?;
    obstacle.map_or(Ok(badge), |(_, reason)| Err(reason))
}

/// The operation that a record of a grant's being issued tells.
fn issuing(grants: &Grants<'_>, index: u16) -> Operation {
    match grants.parent(index) {
        Some(_) => Operation::Copy,
        None => Operation::Mint,
    }
}

/// What makes it impossible to issue a grant, with the outcome to record.
fn obstacle(grants: &Grants<'_>, members: &Members, index: u16) -> Option<(Outcome, Unissued)> {
    // A grant that outlived its lease would be above the ceiling.
    if grants.is_leased(index) && !grants.can_lease() {
        return Some((Outcome::Unavailable, Unissued::Leased));
    }
    let error = unsound(members, grants.grant(index))?;
    Some((error.into(), Unissued::Kernel(error)))
}

/// Why the kernel would not make a grant.
pub(crate) fn unsound(members: &Members, grant: &Grant) -> Option<KernelError> {
    let minted = (!grant.mode.signals()).then_some(grant.object)?;
    members.unsound(minted)
}

/// Has the kernel make the capabilities of a grant whose record is written. Where that fails a
/// second record says so, for which the ring has room; the grant is not in force, and its generation is
/// not used again. Says whether it is in force.
fn make(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    (claimed, badge): (Claimed, GrantBadge),
) -> bool {
    let index = claimed.index();
    let Err((error, next)) = mint(loaded, grants, kernel, index, badge) else {
        grants.enter_force(claimed);
        if grants.is_leased(index) {
            grants.start_lease(index, journal.monotonic());
        }
        return true;
    };
    let (about, by) = ((loaded, &*grants, members), grants.by(index));
    let _ = journal.record_grant(about, issuing(grants, index), index, by, error.into());
    let (number, subject) = (grants.number(index), grants.grant(index).subject);
    if grants.fail(claimed, (error, next)) != Ended::Reusable {
        journal.report(Report::Retired { index, subject }, Some(loaded));
    }
    report_unissued(loaded, journal, number, Unissued::Kernel(error));
    false
}

/// Makes the root and the subject's copy of it, or neither: what the kernel refused, and what becomes of
/// the index.
fn mint(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    kernel: &mut impl CNodes,
    index: u16,
    badge: GrantBadge,
) -> Result<(), (KernelError, Next)> {
    let (layout, grant) = (loaded.layout(), grants.grant(index));
    let is_own = loaded.is_own(grant.subject);
    let root = slots::authority(layout.root(index));
    let allowed = loaded.grant(grants.number(index));
    let minted = kernel.invoke(&Invocation::Mint {
        destination: root,
        source: slots::source(layout, grant),
        // All, so that copies have what the mode says and queued messages can be cancelled; where the
        // manager itself is to use the root, no more than the mode's.
        rights: if is_own {
            grant.mode.rights()
        } else {
            Rights::ALL
        },
        badge: badge_bits(badge, allowed.and_then(|it| it.notification)),
    });
    minted.map_err(|error| (error, Next::Free))?;
    if is_own {
        return Ok(());
    }
    let copied = kernel.invoke(&Invocation::Copy {
        destination: slots::grants(layout, grant.subject, grant.slot),
        source: root,
        rights: grant.mode.rights(),
    });
    copied.map_err(|error| {
        let freed = kernel.invoke(&Invocation::Delete(root));
        (error, freed.map_or(Next::Retired, |()| Next::Free))
    })
}

/// Tells the operator that grant `number` of the policy was not issued.
pub(crate) fn report_unissued(
    loaded: &Loaded<'_>,
    journal: &mut impl Journal,
    number: u16,
    reason: Unissued,
) {
    if let Some(AllowedGrant { grant, line, .. }) = loaded.grant(number) {
        let report = Report::Unissued {
            subject: grant.subject,
            object: grant.object,
            line: *line,
            reason,
        };
        journal.report(report, Some(loaded));
    }
}
