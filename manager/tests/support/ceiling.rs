//! Scans of every CNode, held against the policy.

use std::collections::BTreeSet;

use portcullis_kernel::{Badge, GrantBadge, Rights, Source};
use portcullis_log::GrantFields;
use portcullis_model::Capability;
use portcullis_policy_format::Grant;

use super::draft::MANAGER;
use super::machine::Machine;

/// A capability of a grant as a scan finds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Scanned {
    pub subject: u16,
    pub slot: u16,
    /// The badge that the capability carries.
    pub badge: u64,
}

impl Machine {
    /// Every capability of a grant that its subject can use.
    pub fn scan(&self) -> BTreeSet<Scanned> {
        let mut found = BTreeSet::new();
        for (subject, cnode) in (0..).zip(&self.grants) {
            for (slot, capability) in self.kernel.scan(*cnode) {
                found.insert(Scanned {
                    subject,
                    slot: slot as u16,
                    badge: capability.badge().0,
                });
            }
        }
        // The manager uses its grants' roots.
        for (index, grant) in (0..).zip(&self.draft.grants) {
            let root = u64::from(self.layout.root(index));
            let capability = self.kernel.capability(self.authority, root).unwrap();
            if grant.subject == MANAGER && capability != Capability::Null {
                found.insert(Scanned {
                    subject: MANAGER,
                    slot: grant.slot,
                    badge: capability.badge().0,
                });
            }
        }
        found
    }

    /// The ceiling, and that the manager holds nothing else: every capability in every CNode is one
    /// that the policy allows there, to the bit.
    pub fn check_ceiling(&self) {
        for (subject, cnode) in (0..).zip(&self.grants) {
            for (slot, capability) in self.kernel.scan(*cnode) {
                let allowed = (0..)
                    .zip(&self.draft.grants)
                    .find(|(_, grant)| (grant.subject, u64::from(grant.slot)) == (subject, slot));
                let (index, grant) = allowed.expect("no grant allows a capability here");
                assert_ne!(subject, MANAGER, "the manager's grants are roots");
                self.check_capability(capability, index, grant, grant.mode.rights());
            }
        }
        let mut fixed = self.fixed.iter();
        for (slot, capability) in self.kernel.scan(self.authority) {
            let first = u64::from(self.layout.root(0));
            if slot < first {
                assert_eq!(fixed.next(), Some(&(slot, capability)));
                continue;
            }
            let index = (slot - first) as u16;
            let grant = &self.draft.grants[usize::from(index)];
            let rights = if grant.subject == MANAGER {
                grant.mode.rights()
            } else {
                Rights::ALL
            };
            self.check_capability(capability, index, grant, rights);
        }
        assert_eq!(fixed.next(), None, "a source is gone");
        self.kernel.check_all().unwrap();
    }

    fn check_capability(&self, capability: Capability, index: u16, grant: &Grant, most: Rights) {
        let object = usize::from(grant.object);
        match (capability, grant.notification) {
            (
                Capability::Endpoint {
                    object: to,
                    badge,
                    rights,
                },
                None,
            ) => {
                assert_eq!(to, self.endpoints[object]);
                let Source::Grant(badge) = badge.source() else {
                    panic!("{badge:?} is not a grant's");
                };
                assert_eq!(badge.index(), index);
                assert!(badge.methods().is_subset(grant.methods));
                assert_eq!(rights, most);
            }
            (
                Capability::Notification {
                    object: to,
                    badge,
                    rights,
                },
                Some(bit),
            ) => {
                assert_eq!(to, self.notifications[object]);
                assert_eq!(badge, Badge(1 << bit));
                let Rights { read, write, .. } = most;
                assert_eq!(
                    rights,
                    Rights {
                        read,
                        write,
                        ..Rights::NONE
                    }
                );
            }
            _ => panic!("{capability:?} is not what {grant:?} gives"),
        }
        assert!(grant.lease_ms.is_none(), "nothing ends a lease yet");
    }

    /// The badge that the capability of a logged grant carries.
    pub fn badge_of(&self, grant: &GrantFields) -> u64 {
        match self.draft.grants[usize::from(grant.index)].notification {
            Some(bit) => 1 << bit,
            None => {
                GrantBadge::new(grant.index, grant.generation, grant.methods)
                    .expect("a logged grant has methods")
                    .badge()
                    .0
            }
        }
    }
}
