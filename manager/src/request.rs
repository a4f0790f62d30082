//! Authority while the system runs: what components ask for on their static channels.
//!
//! A grant that is asked for is issued as any other: its record comes first. What is given up or taken
//! back is gone, in the kernel, when the answer comes. A refusal is a record, and comes at once. Nobody
//! learns from an answer whether a component was stopped, or what it does with what it was given, where
//! nothing flows back from there.

use portcullis_kernel::{CNodes, KernelError, Message, Method, MethodSet, Mode, label};
use portcullis_log::Outcome;
use portcullis_manager_api::{
    Buffer, DELEGATE, Delegate, FAILED, Found, LEASED, NOT_PERMITTED, RELEASE, REQUEST, REVOKE,
    Request, Revoke, UNAVAILABLE, Unissued, refuse,
};
use portcullis_policy_format::{AllowedGrant, When};

use crate::callers::{Awaited, found, is_silent};
use crate::find::{DENIED, Denial, answer, denied, record_denial};
use crate::grants::{By, Grants};
use crate::issue::{Boot, Wanted, issue, permit, shorter, unsound};
use crate::journal::Journal;
use crate::loaded::Loaded;
use crate::members::Members;
use crate::revoke::{log_revocations, revoke_tree};

/// What comes of a request that is not refused.
enum Granted {
    /// It is in force.
    Found(Found),
    /// It is in force when its record is durable.
    Awaited(Awaited),
    /// It is gone.
    Ended,
    /// The kernel refused to take it back, and the log says so. The line allows it.
    StillInForce(u32),
    /// Nothing, of which the log tells, and its caller must not know.
    Unsaid(Found, Denial),
}

/// A grant of the policy, by number.
type Numbered<'l> = (u16, &'l AllowedGrant);

/// Whether a method is served here.
pub(crate) fn is_served(method: Method) -> bool {
    [REQUEST, RELEASE, DELEGATE, REVOKE].contains(&method)
}

/// Serves a request of the component on static channel `channel`; gives what it has to wait for.
pub(crate) fn serve(
    (loaded, boot): (&Loaded<'_>, Boot),
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    (channel, method): (u8, Method),
    message: &mut Message,
) -> Option<Awaited> {
    let Some((subject, _)) = loaded.on_channel(channel) else {
        message.refuse(NOT_PERMITTED);
        return None;
    };
    let mut buffer: Buffer = [0; _];
    let policy = (loaded, boot);
    let result = match method {
        REQUEST => message
            .decode(&mut buffer)
            .map(|wanted| request(policy, grants, members, journal, subject, &wanted)),
        RELEASE => message
            .decode(&mut buffer)
            .map(|slot| release(loaded, grants, members, journal, kernel, (subject, slot))),
        DELEGATE => message
            .decode(&mut buffer)
            .map(|wanted| delegate(policy, grants, members, journal, kernel, (subject, &wanted))),
        _ => message
            .decode(&mut buffer)
            .map(|wanted| take_back(loaded, grants, members, journal, kernel, (subject, &wanted))),
    };
    match result {
        Some(Ok(Granted::Found(found))) => answer(message, &found),
        Some(Ok(Granted::Awaited(awaited))) => return Some(awaited),
        Some(Ok(Granted::Ended)) => answer(message, &()),
        Some(Ok(Granted::StillInForce(line))) => refuse(message, FAILED, Some(line)),
        Some(Ok(Granted::Unsaid(found, denial))) => {
            record_denial(loaded, grants, members, journal, subject, denial);
            answer(message, &found);
        }
        Some(Err(denial)) => {
            record_denial(loaded, grants, members, journal, subject, denial);
            refuse(message, denial.code, denial.line);
        }
        None => message.refuse(label::BAD_REQUEST),
    }
    None
}

/// Issues a grant that the policy gives its subject on request.
fn request(
    policy: (&Loaded<'_>, Boot),
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    subject: u16,
    wanted: &Request<'_>,
) -> Result<Granted, Denial> {
    let (number, allowed) = requested(policy.0, subject, wanted)?;
    let refused = |reason| Err(denial(number, allowed, reason));
    if wanted.lease_ms.or(allowed.lease_ms).is_some() && !grants.can_lease() {
        return refused(Unissued::Leased);
    }
    let (slot, methods) = (allowed.grant.slot, wanted.methods);
    if members.is_down(allowed.grant.object) && is_silent(allowed) {
        let denial = denial(number, allowed, Unissued::Unavailable);
        return Ok(Granted::Unsaid(Found { slot, methods }, denial));
    }
    if let Some(index) = issued(grants, number) {
        return match methods.is_subset(grants.grant(index).methods) {
            true => Ok(granted(grants, (number, allowed), (subject, wanted.waits))),
            false => refused(Unissued::Unavailable),
        };
    }
    let whole = Wanted {
        number,
        parent: None,
        methods: Some(methods),
        depth: None,
        lease_ms: wanted.lease_ms,
    };
    provide(policy, grants, members, journal, whole)?;
    Ok(granted(grants, (number, allowed), (subject, wanted.waits)))
}

/// The grant of the policy that is asked for.
fn requested<'l>(
    loaded: &'l Loaded<'_>,
    subject: u16,
    wanted: &Request<'_>,
) -> Result<Numbered<'l>, Denial> {
    let policy = loaded.policy();
    let (object, serves) = policy.component(wanted.object).ok_or(DENIED)?;
    let (interface, _) = policy.interface(wanted.interface).ok_or(DENIED)?;
    let asks = loaded.component(subject).ok_or(DENIED)?;
    let end = (object, interface, wanted.mode);
    let held = loaded.grants_of(subject);
    let on_request = held.filter(|(_, it)| it.when == When::Request && ends(it) == end);
    with_methods(on_request, wanted.methods)
        .unwrap_or_else(|| Err(denied(loaded, (asks.domain, serves.domain), wanted.mode)))
}

/// Issues a grant that is derived from one that its delegator holds. What was delegated to the same component
/// before is replaced.
fn delegate(
    policy: (&Loaded<'_>, Boot),
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    (subject, wanted): (u16, &Delegate<'_>),
) -> Result<Granted, Denial> {
    let loaded = policy.0;
    let (parent, _) = own(loaded, subject, wanted.slot)?;
    let to = (wanted.to, wanted.methods);
    let (number, allowed) = delegated(loaded, subject, parent, to)?;
    if wanted.lease_ms.or(allowed.lease_ms).is_some() && !grants.can_lease() {
        return Err(denial(number, allowed, Unissued::Leased));
    }
    let part = Wanted {
        number,
        parent: Some(parent),
        methods: Some(wanted.methods),
        depth: Some(wanted.depth),
        lease_ms: shorter(wanted.lease_ms, allowed.lease_ms),
    };
    if let Some(unsaid) = stopped(loaded, grants, members, &part, allowed)? {
        return Ok(unsaid);
    }
    match issued(grants, number) {
        Some(index) if is_part(grants, index, &part) => {}
        Some(index) => {
            let by = By::Request(subject);
            if revoke_tree(loaded, grants, members, journal, kernel, index, by).is_err() {
                return Ok(Granted::StillInForce(allowed.line));
            }
            // Without room there is none for the next record either.
            let _ = log_revocations(loaded, grants, members, journal);
            provide(policy, grants, members, journal, part)?;
        }
        None => provide(policy, grants, members, journal, part)?,
    }
    Ok(granted(grants, (number, allowed), (subject, wanted.waits)))
}

/// What comes of a delegation that is permitted, where a component is stopped and its delegator must not learn it.
fn stopped(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    members: &Members,
    part: &Wanted,
    allowed: &AllowedGrant,
) -> Result<Option<Granted>, Denial> {
    let permitted = permit(loaded, grants, part).map(drop);
    // With its object a one-way grant goes, of which the delegator does not know.
    let object_is = members.is_down(allowed.grant.object) && !allowed.grant.mode.flows_back();
    if !object_is {
        permitted.map_err(|reason| denial(part.number, allowed, reason))?;
    }
    let is_stopped = object_is || members.is_down(allowed.grant.subject);
    let (slot, methods) = (allowed.grant.slot, part.methods.unwrap_or_default());
    let denial = denial(part.number, allowed, Unissued::Unavailable);
    Ok(is_stopped.then_some(Granted::Unsaid(Found { slot, methods }, denial)))
}

/// Whether an issued grant is what is wanted.
fn is_part(grants: &Grants<'_>, index: u16, part: &Wanted) -> bool {
    let parent = part.parent.and_then(|parent| grants.issued_as(parent));
    parent.is_some_and(|parent| grants.is_from(index, parent))
        && part.methods == Some(grants.grant(index).methods)
        && part.depth == Some(grants.depth(index))
        && part.lease_ms == grants.lease_ms(index)
}

/// Takes back what a component delegated from one of its grants to another component.
fn take_back(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    (subject, wanted): (u16, &Revoke<'_>),
) -> Result<Granted, Denial> {
    let (parent, allowed) = own(loaded, subject, wanted.slot)?;
    delegated(loaded, subject, parent, (wanted.from, MethodSet::EMPTY))?;
    let (from, _) = loaded.policy().component(wanted.from).ok_or(DENIED)?;
    let mut ended = Ok(());
    for (number, _) in loaded.grants_of(from) {
        if let (Some(parent), Some(index)) = (issued(grants, parent), issued(grants, number))
            && grants.is_from(index, parent)
        {
            let by = By::Request(subject);
            let revoked = revoke_tree(loaded, grants, members, journal, kernel, index, by);
            ended = ended.and(revoked);
        }
    }
    Ok(gone(ended, allowed))
}

/// Takes back what a component gives up.
fn release(
    loaded: &Loaded<'_>,
    grants: &mut Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    kernel: &mut impl CNodes,
    (subject, slot): (u16, u16),
) -> Result<Granted, Denial> {
    let (number, allowed) = own(loaded, subject, slot)?;
    let by = By::Request(subject);
    let ended = match issued(grants, number) {
        Some(index) => revoke_tree(loaded, grants, members, journal, kernel, index, by),
        None => Ok(()),
    };
    Ok(gone(ended, allowed))
}

/// Has a grant issued that the log has no record of yet.
fn provide(
    (loaded, boot): (&Loaded<'_>, Boot),
    grants: &mut Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    wanted: Wanted,
) -> Result<(), Denial> {
    let allowed = loaded.grant(wanted.number).ok_or(DENIED)?;
    // Looked at first, so that who asks in vain writes no more than its share of records.
    let issued = match unsound(members, &allowed.grant) {
        Some(error) => Err(Unissued::Kernel(error)),
        None => issue(loaded, boot, grants, members, journal, wanted).map(drop),
    };
    issued.map_err(|reason| denial(wanted.number, allowed, reason))
}

/// What a component has of a grant that is issued.
fn granted(
    grants: &Grants<'_>,
    (number, allowed): Numbered<'_>,
    (component, waits): (u16, bool),
) -> Granted {
    match issued(grants, number).filter(|index| !grants.is_in_force(*index)) {
        None => Granted::Found(found(grants, number, allowed)),
        Some(index) => Granted::Awaited(Awaited {
            component,
            number,
            index,
            waits,
        }),
    }
}

fn gone(ended: Result<(), KernelError>, allowed: &AllowedGrant) -> Granted {
    ended.map_or(Granted::StillInForce(allowed.line), |()| Granted::Ended)
}

/// The index of grant `number` of the policy, where that is in force or waits for its record.
fn issued(grants: &Grants<'_>, number: u16) -> Option<u16> {
    let index = grants.issued_as(number);
    index.filter(|index| grants.is_issued(*index))
}

/// The grant that the policy gives a component in a slot.
fn own<'l>(loaded: &'l Loaded<'_>, subject: u16, slot: u16) -> Result<Numbered<'l>, Denial> {
    let mut held = loaded.grants_of(subject);
    held.find(|(_, it)| it.grant.slot == slot).ok_or(DENIED)
}

/// The grant that component `to` may be delegated from grant `parent` of the policy, which `subject` may
/// hold.
fn delegated<'l>(
    loaded: &'l Loaded<'_>,
    subject: u16,
    parent: u16,
    (to, methods): (&str, MethodSet),
) -> Result<Numbered<'l>, Denial> {
    let held = loaded.grant(parent).ok_or(DENIED)?;
    let (number, component) = loaded.policy().component(to).ok_or(DENIED)?;
    let serves = loaded.component(held.grant.object).ok_or(DENIED)?;
    let of = |it: &Numbered<'_>| it.1.when == When::Delegated(subject) && ends(it.1) == ends(held);
    with_methods(loaded.grants_of(number).filter(of), methods).unwrap_or_else(|| {
        let domains = (component.domain, serves.domain);
        Err(denied(loaded, domains, held.grant.mode))
    })
}

/// What a grant reaches, and how.
fn ends(allowed: &AllowedGrant) -> (u16, u16, Mode) {
    let grant = &allowed.grant;
    (grant.object, grant.interface, grant.mode)
}

/// The first of some grants that allows the methods; where none does, the line of the first limits them.
/// `None`: there are no grants.
fn with_methods<'l>(
    grants: impl Iterator<Item = Numbered<'l>>,
    methods: MethodSet,
) -> Option<Result<Numbered<'l>, Denial>> {
    let mut limit = None;
    for (number, allowed) in grants {
        if methods.is_subset(allowed.grant.methods) {
            return Some(Ok((number, allowed)));
        }
        limit.get_or_insert(allowed.line);
    }
    let limited = |line| Denial {
        line: Some(line),
        ..DENIED
    };
    limit.map(|line| Err(limited(line)))
}

/// Why a grant of the policy is not issued, as its subject and the log learn it.
fn denial(number: u16, allowed: &AllowedGrant, reason: Unissued) -> Denial {
    let (code, outcome) = match reason {
        Unissued::NotPermitted => (NOT_PERMITTED, Outcome::NotPermitted),
        Unissued::Unavailable | Unissued::Full => (UNAVAILABLE, Outcome::Unavailable),
        Unissued::Leased => (LEASED, Outcome::Unavailable),
        Unissued::Kernel(error) => (FAILED, error.into()),
    };
    Denial {
        code,
        outcome,
        line: Some(allowed.line),
        grant: (outcome != Outcome::NotPermitted).then_some(number),
    }
}
