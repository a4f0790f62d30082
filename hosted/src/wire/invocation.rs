//! CNode invocations as words of a request.

use portcullis_kernel::{CNodeSlot, CPtr, Invocation, Rights};
use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use super::Malformed;

/// Words that describe an invocation: two slots of three words, rights, badge.
const WORDS: usize = 8;

mod kind {
    pub(super) const COPY: u64 = 1;
    pub(super) const MINT: u64 = 2;
    pub(super) const MOVE: u64 = 3;
    pub(super) const MUTATE: u64 = 4;
    pub(super) const REVOKE: u64 = 5;
    pub(super) const DELETE: u64 = 6;
    pub(super) const CANCEL_BADGED_SENDS: u64 = 7;
}

/// The kind of an invocation, and its fields as words.
pub(super) fn encode(invocation: &Invocation) -> (u64, [u64; WORDS]) {
    let none = CNodeSlot {
        root: CPtr(0),
        index: 0,
        depth: 0,
    };
    let (kind, destination, source, rights, badge) = match *invocation {
        Invocation::Copy {
            destination,
            source,
            rights,
        } => (kind::COPY, destination, source, rights, 0),
        Invocation::Mint {
            destination,
            source,
            rights,
            badge,
        } => (kind::MINT, destination, source, rights, badge),
        Invocation::Move {
            destination,
            source,
        } => (kind::MOVE, destination, source, Rights::NONE, 0),
        Invocation::Mutate {
            destination,
            source,
            badge,
        } => (kind::MUTATE, destination, source, Rights::NONE, badge),
        Invocation::Revoke(slot) => (kind::REVOKE, slot, none, Rights::NONE, 0),
        Invocation::Delete(slot) => (kind::DELETE, slot, none, Rights::NONE, 0),
        Invocation::CancelBadgedSends(slot) => {
            (kind::CANCEL_BADGED_SENDS, slot, none, Rights::NONE, 0)
        }
    };
    let words = [
        destination.root.bits(),
        destination.index,
        u64::from(destination.depth),
        source.root.bits(),
        source.index,
        u64::from(source.depth),
        rights_bits(rights),
        badge,
    ];
    (kind, words)
}

/// Reads what [`encode`] gave.
pub(super) fn decode(kind: u64, bytes: &[u8]) -> Result<Invocation, Malformed> {
    let wrong = Malformed::Invocation(kind);
    let words = <[U64; WORDS]>::read_from_bytes(bytes).map_err(|_| wrong)?;
    let [
        to,
        to_index,
        to_depth,
        from,
        from_index,
        from_depth,
        rights,
        badge,
    ] = words.map(U64::get);
    let slot = |root, index, depth: u64| {
        Ok(CNodeSlot {
            root: CPtr(root),
            index,
            depth: u8::try_from(depth).map_err(|_| wrong)?,
        })
    };
    let destination = slot(to, to_index, to_depth)?;
    let source = slot(from, from_index, from_depth)?;
    let rights = rights_from_bits(rights).ok_or(wrong)?;
    Ok(match kind {
        kind::COPY => Invocation::Copy {
            destination,
            source,
            rights,
        },
        kind::MINT => Invocation::Mint {
            destination,
            source,
            rights,
            badge,
        },
        kind::MOVE => Invocation::Move {
            destination,
            source,
        },
        kind::MUTATE => Invocation::Mutate {
            destination,
            source,
            badge,
        },
        kind::REVOKE => Invocation::Revoke(destination),
        kind::DELETE => Invocation::Delete(destination),
        kind::CANCEL_BADGED_SENDS => Invocation::CancelBadgedSends(destination),
        _ => return Err(wrong),
    })
}

/// Bits of seL4's `seL4_CapRights_t`: write, read, grant, grant-reply.
fn rights_bits(rights: Rights) -> u64 {
    u64::from(rights.write)
        | u64::from(rights.read) << 1
        | u64::from(rights.grant) << 2
        | u64::from(rights.grant_reply) << 3
}

fn rights_from_bits(bits: u64) -> Option<Rights> {
    (bits < 16).then_some(Rights {
        write: bits & 1 != 0,
        read: bits & 2 != 0,
        grant: bits & 4 != 0,
        grant_reply: bits & 8 != 0,
    })
}
