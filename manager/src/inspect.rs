//! The granted interface `inspect`: everything can be seen, nothing changed. All of it is numbers of
//! the policy, by which whoever has that policy finds the names.

use portcullis_kernel::{Message, Method, label};
use portcullis_log::ring::SLOT;
use portcullis_manager_api::{
    Buffer, COMPONENT, ComponentView, GRANTS, GrantView, NO_MORE, RECORD, STATUS, Status, WHY, Why,
};

use crate::find::{answer, is_usable};
use crate::grants::Grants;
use crate::issue::Boot;
use crate::journal::Journal;
use crate::loaded::Loaded;
use crate::members::Members;

/// Answers the holder of a grant of the interface that is in force and includes the method.
pub(crate) fn serve(
    loaded: &Loaded<'_>,
    boot: Boot,
    grants: &Grants<'_>,
    members: &Members,
    journal: &mut impl Journal,
    method: Method,
    message: &mut Message,
) {
    let mut buffer: Buffer = [0; _];
    match method {
        GRANTS => reply(message, &mut buffer, |from| grant(loaded, grants, from)),
        COMPONENT => reply(message, &mut buffer, |it| component(loaded, grants, it)),
        RECORD => {
            let mut slot = [0; SLOT];
            reply(message, &mut buffer, |it| journal.read(it, &mut slot));
        }
        WHY => reply(message, &mut buffer, |why| {
            usable(loaded, grants, members, why)
        }),
        STATUS => answer(message, &status(loaded, boot, grants, journal)),
        _ => message.refuse(label::BAD_METHOD),
    }
}

/// Replies with what is `shown` for the request; that there is nothing more, where nothing is.
fn reply<'b, Q: serde::Deserialize<'b>, A: serde::Serialize>(
    message: &mut Message,
    buffer: &'b mut Buffer,
    shown: impl FnOnce(Q) -> Option<A>,
) {
    match message.decode(buffer).map(shown) {
        Some(Some(shown)) => answer(message, &shown),
        Some(None) => message.refuse(NO_MORE),
        None => message.refuse(label::BAD_REQUEST),
    }
}

fn grant(loaded: &Loaded<'_>, grants: &Grants<'_>, from: u16) -> Option<GrantView> {
    let index = grants.next_in_force(from)?;
    let fields = grants.fields(index);
    Some(GrantView {
        index,
        generation: fields.generation,
        grant: fields.grant,
        lease_ms: fields.lease_ms,
        line: loaded.line(grants.number(index)),
    })
}

fn component(loaded: &Loaded<'_>, grants: &Grants<'_>, number: u16) -> Option<ComponentView> {
    loaded.component(number)?;
    let [holds, serves] = grants.of_component(number)?;
    Some(ComponentView { holds, serves })
}

/// Whether the grant that the policy gives a subject in a slot is in force, and its object up.
fn usable(loaded: &Loaded<'_>, grants: &Grants<'_>, members: &Members, why: Why) -> Option<bool> {
    let mut held = loaded.grants_of(why.subject);
    let (number, allowed) = held.find(|(_, it)| it.grant.slot == why.slot)?;
    Some(is_usable(grants, members, number, allowed.grant.object))
}

fn status(
    loaded: &Loaded<'_>,
    boot: Boot,
    grants: &Grants<'_>,
    journal: &mut impl Journal,
) -> Status {
    Status {
        version: loaded.policy().version(),
        sha256: *loaded.policy().sha256(),
        grants: grants.in_force(),
        components: loaded.policy().counts().components,
        records: journal.written(),
        durable: journal.durable(),
        sealed: boot == Boot::Sealed,
        boot_id: loaded.boot_id(),
    }
}
