//! Who sent a message: names from the manager, by the badge that the kernel delivered.
//!
//! A component cannot choose its badge, so it cannot speak in another's name. A name is kept with
//! the generation of the grant: after a revocation the same index may be another's.

use portcullis_kernel::{GrantBadge, Syscalls};

use crate::inspect::Source;

/// Senders whose names are kept: one a component (at most 62), and some for grants that were issued anew. Where there are more, names are asked for again.
const SENDERS_MAX: usize = 64;

/// A component that sends.
#[derive(Debug)]
pub(crate) struct Sender<'p> {
    badge: GrantBadge,
    /// Its name, as it is shown.
    pub(crate) name: &'p str,
    /// The last quarter of its progress that was shown where there is no terminal.
    pub(crate) quarter: Option<u64>,
}

/// What a sender is called of whose grant the manager, or the policy in force, knows nothing.
const UNKNOWN: &str = "unknown";

/// The senders seen so far.
#[derive(Debug)]
pub(crate) struct Senders<'p>(heapless::Vec<Sender<'p>, SENDERS_MAX>);

impl<'p> Senders<'p> {
    pub(crate) const fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// The holder of the grant with this badge; the manager is asked the first time.
    pub(crate) fn sender(
        &mut self,
        kernel: &mut impl Syscalls,
        source: Option<&Source<'p>>,
        badge: GrantBadge,
    ) -> &mut Sender<'p> {
        let known = self.0.iter().position(|sender| sender.badge == badge);
        let at = known.unwrap_or_else(|| {
            // Another generation of the same grant, or the oldest, makes room.
            let same = |sender: &Sender<'_>| sender.badge.index() == badge.index();
            if let Some(stale) = self.0.iter().position(same) {
                self.0.remove(stale);
            } else if self.0.is_full() {
                self.0.remove(0);
            }
            let name = source.and_then(|source| source.name(kernel, badge));
            let sender = Sender {
                badge,
                name: name.unwrap_or(UNKNOWN),
                quarter: None,
            };
            // There is room: one was removed where it was full.
            let _ = self.0.push(sender);
            self.0.len() - 1
        });
        &mut self.0[at]
    }
}
