//! Who sent a message: names from the manager, by the badge that the kernel delivered.
//!
//! A component cannot choose its badge, so it cannot speak in another's name. A name is kept with
//! the generation of the grant: after a revocation the same index may be another's.

use portcullis_kernel::{GrantBadge, Syscalls};

use crate::inspect::Inspect;

/// Longest name in a policy, in bytes (`portcullis_policy_format::MAX_NAME`).
pub(crate) const NAME_MAX: usize = 48;
/// Senders whose names are kept: one a component (`portcullis_policy_format::MAX_COMPONENTS`), and
/// some for grants that were issued anew. Where there are more, names are asked for again.
const SENDERS_MAX: usize = 64;

/// A component that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    badge: GrantBadge,
    /// Its name; empty where the manager knows no such grant.
    name: heapless::String<NAME_MAX>,
    /// The last quarter of its progress that was shown where there is no terminal.
    pub(crate) quarter: Option<u64>,
}

impl Sender {
    /// Its name, as it is shown.
    pub(crate) fn name(&self) -> &str {
        if self.name.is_empty() {
            "unknown"
        } else {
            &self.name
        }
    }
}

/// The senders seen so far.
#[derive(Debug)]
pub(crate) struct Senders(heapless::Vec<Sender, SENDERS_MAX>);

impl Senders {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// The holder of the grant with this badge; the manager is asked the first time.
    pub(crate) fn sender(
        &mut self,
        kernel: &mut impl Syscalls,
        inspect: Option<Inspect>,
        badge: GrantBadge,
    ) -> &mut Sender {
        let known = self.0.iter().position(|sender| sender.badge == badge);
        let at = known.unwrap_or_else(|| {
            // Another generation of the same grant, or the oldest, makes room.
            let same = |sender: &Sender| sender.badge.index() == badge.index();
            if let Some(stale) = self.0.iter().position(same) {
                self.0.remove(stale);
            } else if self.0.is_full() {
                self.0.remove(0);
            }
            let name = inspect.map_or_else(heapless::String::new, |inspect| {
                name(kernel, inspect, badge)
            });
            let sender = Sender {
                badge,
                name,
                quarter: None,
            };
            // There is room: one was removed where it was full.
            let _ = self.0.push(sender);
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}

/// The name of a grant's holder; empty where the manager does not know this very grant.
fn name(
    kernel: &mut impl Syscalls,
    inspect: Inspect,
    badge: GrantBadge,
) -> heapless::String<NAME_MAX> {
    let mut buffer = [0; _];
    match inspect.grant(kernel, badge.index(), &mut buffer) {
        Ok(Some(grant))
            if grant.index == badge.index() && grant.generation == badge.generation().number() =>
        {
            heapless::String::try_from(grant.subject).unwrap_or_default()
        }
        _ => heapless::String::new(),
    }
}
