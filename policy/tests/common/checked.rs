//! A policy that must hold, for the tests that compile it.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use portcullis_policy::{Checked, Source};
use portcullis_policy_format::testing::Draft;

use crate::common::{render, system};

/// A policy that holds for the system of this description.
pub(crate) fn checked(policy: Arc<Source>, description: &Arc<Source>) -> Checked {
    let checked = Checked::new(policy, system(description), Arc::clone(description));
    checked.unwrap_or_else(|problems| panic!("{}", render(&problems)))
}

/// A compiled policy that knows of nothing, and so fits any system.
pub(crate) fn nothing() -> Vec<u8> {
    let draft = Draft {
        name: "nothing",
        version: 1,
        ..Draft::default()
    };
    draft.sign(&SigningKey::from_bytes(&[1; 32]))
}
