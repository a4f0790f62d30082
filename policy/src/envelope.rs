//! What an image is built for, and a policy cannot change without another image.
//!
//! An image has a grants CNode of a fixed size for each component, a channel to the manager, and bits of
//! its notification that are not taken; it may be built on the word that some domains are kept apart
//! for good. Two policies of one envelope fit one image.

use portcullis_sdf::System;
use sha2::{Digest as _, Sha256};

use crate::ceiling::Ceiling;
use crate::model::{ComponentId, Policy};
use crate::notification::used_bits;

/// SHA-256 of the envelope's postcard encoding: each component's name, the manager's channel to it, the
/// bits of its grants CNode, and the bits of its notification that channels and interrupts have; then
/// of each `never` rule that is marked permanent the subjects that it keeps apart, each as what it is
/// (`component`, `guest` or `device`) and its name. Both are
/// in the order of the policy.
pub(crate) fn envelope(
    policy: &Policy,
    ceiling: &Ceiling,
    system: &System,
    channel: impl Fn(&str) -> Option<u8>,
) -> [u8; 32] {
    let components = (0..).zip(&policy.components).map(|(number, component)| {
        let name = component.name.as_str();
        let pd = system.pd_named(name);
        let radix = ceiling.holdings(ComponentId(number)).radix();
        let used = pd.map_or(0, |pd| used_bits(system, pd));
        (name, channel(name), radix, used)
    });
    let permanent = policy.nevers.iter().filter(|never| never.permanent);
    let apart = permanent.map(|never| {
        let of = |domain| {
            let members = policy.members(domain);
            members
                .map(|it| (it.field(), it.name()))
                .collect::<Vec<_>>()
        };
        (of(never.from), of(never.to))
    });
    let all: (Vec<_>, Vec<_>) = (components.collect(), apart.collect());
    let encoded = postcard::to_stdvec(&all).expect("a vector takes all, and items are plain");
    Sha256::digest(encoded).into()
}
