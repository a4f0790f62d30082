//! What a component may ask on its static channel: where its grants lie.

use portcullis_kernel::{Message, Mode, Principal, label};
use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager_api::{Awaited, Buffer, FORBIDDEN, Find, Found, NOT_PERMITTED, UNAVAILABLE};

use crate::callers::found;
use crate::grants::Grants;
use crate::journal::{Event, Journal};
use crate::loaded::Loaded;
use crate::members::Members;

/// Records of a component's denied requests in one boot. One more says that there are others: its
/// grant and its policy line are both absent and its outcome is *unavailable*, which no single
/// denial's record has. Three times what a component of the reference appliance ever looks for.
pub const DENIAL_RECORDS: u8 = 16;

/// Records that the ring must have room for before a denial is recorded: so no component can take
/// the room that grants and revocations need.
pub const DENIAL_ROOM: u64 = 64;

/// Why a component does not get what it looks or asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denial {
    /// The code that the component gets.
    pub(crate) code: u64,
    pub(crate) outcome: Outcome,
    /// The line that forbids or allows it.
    pub(crate) line: Option<u32>,
    /// The number of the grant, where that is allowed and not in force.
    pub(crate) grant: Option<u16>,
}

pub(crate) const DENIED: Denial = Denial {
    code: NOT_PERMITTED,
    outcome: Outcome::NotPermitted,
    line: None,
    grant: None,
};

/// Answers the component on static channel `channel`. The kernel says which channel it is, so
/// nobody can ask in another's name.
pub(crate) fn find(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    channel: u8,
    message: &mut Message,
) {
    let Some((subject, component)) = loaded.on_channel(channel) else {
        // The policy knows no component on this channel, so there is nobody to hold a record against.
        return message.refuse(NOT_PERMITTED);
    };
    let mut buffer: Buffer = [0; _];
    let Some(wanted) = message.decode(&mut buffer) else {
        return message.refuse(label::BAD_REQUEST);
    };
    match locate(
        loaded,
        grants,
        members,
        (subject, component.domain),
        &wanted,
    ) {
        Ok(found) => answer(message, &found),
        Err(denial) => {
            record_denial(loaded, grants, members, journal, subject, denial);
            message.refuse(denial.code);
        }
    }
}

/// Tells the component on static channel `channel` which bit of its notification a grant sets. It asks for
/// no authority, so that a refusal is no record.
pub(crate) fn signal(loaded: &Loaded<'_>, channel: u8, message: &mut Message) {
    let mut buffer: Buffer = [0; _];
    let Some(awaited) = message.decode::<Awaited<'_>>(&mut buffer) else {
        return message.refuse(label::BAD_REQUEST);
    };
    let policy = loaded.policy();
    let sets = loaded.on_channel(channel).and_then(|(object, _)| {
        let (subject, _) = policy.component(awaited.subject)?;
        let (interface, _) = policy.interface(awaited.interface)?;
        let sought = (object, interface, awaited.mode);
        loaded.grants_of(subject).find_map(|(_, allowed)| {
            let grant = &allowed.grant;
            let it = (grant.object, grant.interface, grant.mode);
            allowed.notification.filter(|_| it == sought)
        })
    });
    match sets {
        Some(bit) => answer(message, &bit),
        None => message.refuse(NOT_PERMITTED),
    }
}

fn locate(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    members: &Members,
    (subject, domain): (u16, u16),
    wanted: &Find<'_>,
) -> Result<Found, Denial> {
    let policy = loaded.policy();
    let (object, served) = policy.component(wanted.object).ok_or(DENIED)?;
    let (interface, _) = policy.interface(wanted.interface).ok_or(DENIED)?;
    let is_down = members.is_down(object);
    let mut closed = None;
    for (number, allowed) in loaded.grants_of(subject) {
        let grant = &allowed.grant;
        if (grant.object, grant.interface, grant.mode) != (object, interface, wanted.mode) {
            continue;
        }
        // Where the object of a one-way grant was stopped, what its subject sends is lost without a
        // word, and asking must not tell it either, since nothing flows back.
        let seems_usable = is_down && !grant.mode.flows_back();
        if seems_usable || is_usable(grants, members, number, object) {
            return Ok(found(grants, number, allowed));
        }
        closed.get_or_insert(Denial {
            code: UNAVAILABLE,
            outcome: Outcome::Unavailable,
            line: Some(allowed.line),
            grant: Some(number),
        });
    }
    Err(closed.unwrap_or_else(|| denied(loaded, (domain, served.domain), wanted.mode)))
}

/// What no line allows: whether a rule forbids it.
pub(crate) fn denied(loaded: &Loaded<'_>, (from, to): (u16, u16), mode: Mode) -> Denial {
    let rule = loaded.policy().forbids(from, to, Some(mode));
    rule.map_or(DENIED, |line| Denial {
        code: FORBIDDEN,
        outcome: Outcome::Forbidden,
        line: Some(line),
        grant: None,
    })
}

/// Whether grant `number` of the policy, to `object`, is in force and its object up.
pub(crate) fn is_usable(grants: &Grants<'_>, members: &Members, number: u16, object: u16) -> bool {
    grants.in_force_as(number).is_some() && !members.is_down(object)
}

/// Records that a component was denied what it asked for, where the policy does not redact it, and
/// its share of records and the ring's room allow it.
pub(crate) fn record_denial(
    loaded: &Loaded<'_>,
    grants: &Grants<'_>,
    members: &mut Members,
    journal: &mut impl Journal,
    component: u16,
    denial: Denial,
) {
    let denials = members.denials(component);
    let is_redacted = loaded.policy().is_redacted(component);
    if is_redacted || denials > DENIAL_RECORDS || !journal.has_room(DENIAL_ROOM + 1) {
        return;
    }
    let fields = |number| Some(grants.fields_of(number, loaded.grant(number)?));
    let (grant, line, outcome) = if denials == DENIAL_RECORDS {
        (None, None, Outcome::Unavailable)
    } else {
        (denial.grant.and_then(fields), denial.line, denial.outcome)
    };
    let by = Principal::component(component);
    let recorded = journal.record(Event {
        operation: Operation::Deny,
        grant,
        cause: Cause::Request { by, line },
        outcome,
    });
    if recorded.is_ok() {
        members.count_denial(component);
    }
}

/// Makes `message` the reply that carries `value`.
pub(crate) fn answer(message: &mut Message, value: &impl serde::Serialize) {
    if message.encode(label::OK, value).is_err() {
        message.refuse(UNAVAILABLE);
    }
}
