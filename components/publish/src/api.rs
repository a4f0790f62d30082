//! The interface `release`: one bit that says there is something to publish.

use portcullis_kernel::{Mode, NotifyGrant, Refusal, Syscalls};
use portcullis_manager_api::find_notify;

/// Name of the component that serves the interface, in the reference policy.
pub const OBJECT: &str = "publish";
/// Name of the interface.
pub const INTERFACE: &str = "release";

/// Asks the manager, on the caller's static channel with this id, for the caller's grant of
/// `ready`. Signalling it says that the vault holds released objects; publish looks for itself
/// which.
pub fn find_ready(kernel: &mut impl Syscalls, channel: u8) -> Result<NotifyGrant, Refusal> {
    find_notify(kernel, channel, OBJECT, INTERFACE, Mode::Notify)
}
