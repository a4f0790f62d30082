//! Scans of every CNode, held against the policy.

use std::collections::BTreeSet;

use portcullis_kernel::{Badge, Grant, GrantBadge, Rights, Source};
use portcullis_log::GrantFields;
use portcullis_model::Capability;
use portcullis_policy_format::AllowedGrant;

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
        for (index, capability) in self.roots() {
            let logged = self.issued(index).map(|it| it.grant);
            let own = logged.filter(|it| it.subject == MANAGER);
            found.extend(own.map(|grant| Scanned {
                subject: MANAGER,
                slot: grant.slot,
                badge: capability.badge().0,
            }));
        }
        found
    }

    /// The ceiling, and that the manager holds nothing else: every capability in every CNode is one
    /// that the policy allows there, to the bit.
    pub fn check_ceiling(&self) {
        let mut in_use = BTreeSet::new();
        for (subject, cnode) in (0..).zip(&self.grants) {
            for (slot, capability) in self.kernel.scan(*cnode) {
                let allowed = self
                    .draft
                    .grants
                    .iter()
                    .find(|it| (it.grant.subject, u64::from(it.grant.slot)) == (subject, slot));
                let allowed = allowed.expect("no grant allows a capability here");
                assert_ne!(subject, MANAGER, "the manager's grants are roots");
                assert_eq!(
                    rights(capability),
                    most(capability, allowed.grant.mode.rights())
                );
                let root = self.roots().find(|(index, root)| {
                    root.badge() == capability.badge()
                        && !in_use.contains(index)
                        && self.is_of(capability, *index, allowed)
                });
                let (index, _) = root.expect("every copy has a root of its own");
                in_use.insert(index);
            }
        }
        for (index, capability) in self.roots() {
            let allowed = |it: &&AllowedGrant| {
                let expected = if it.grant.subject == MANAGER {
                    it.grant.mode.rights()
                } else {
                    Rights::ALL
                };
                self.is_of(capability, index, it)
                    && rights(capability) == most(capability, expected)
            };
            let allowed = self.draft.grants.iter().find(allowed);
            allowed.unwrap_or_else(|| panic!("no grant allows root {index}: {capability:?}"));
        }
        let first = u64::from(self.layout.root(0));
        let fixed = self.kernel.scan(self.authority);
        let fixed: Vec<_> = fixed.take_while(|(slot, _)| *slot < first).collect();
        assert_eq!(fixed, self.fixed, "a source changed");
        self.kernel.check_all().unwrap();
    }

    /// The roots of grants that are there, with their indices.
    fn roots(&self) -> impl Iterator<Item = (u16, Capability)> {
        let first = u64::from(self.layout.root(0));
        let scanned = self.kernel.scan(self.authority);
        scanned.filter_map(move |(slot, capability)| {
            slot.checked_sub(first)
                .map(|index| (index as u16, capability))
        })
    }

    /// Whether a capability is one of this grant, issued under this index.
    fn is_of(&self, capability: Capability, index: u16, allowed: &AllowedGrant) -> bool {
        let object = usize::from(allowed.grant.object);
        match (capability, allowed.notification) {
            (
                Capability::Endpoint {
                    object: to, badge, ..
                },
                None,
            ) => {
                let Source::Grant(badge) = badge.source() else {
                    panic!("{badge:?} is not a grant's");
                };
                to == self.endpoints[object]
                    && badge.index() == index
                    && badge.methods().is_subset(allowed.grant.methods)
            }
            (
                Capability::Notification {
                    object: to, badge, ..
                },
                Some(bit),
            ) => to == self.notifications[object] && badge == Badge(1 << bit),
            _ => false,
        }
    }

    /// Number, in the policy, of what allows a logged grant: what lies in that slot.
    pub fn number_of(&self, logged: &GrantFields) -> usize {
        let place = |grant: &Grant| (grant.subject, grant.slot);
        let mut grants = self.draft.grants.iter();
        let number = grants.position(|it| place(&it.grant) == place(&logged.grant));
        number.expect("the policy allows what was logged")
    }

    /// The badge that the capability of a logged grant carries.
    pub fn badge_of(&self, grant: &GrantFields) -> u64 {
        match self.draft.grants[self.number_of(grant)].notification {
            Some(bit) => 1 << bit,
            None => {
                GrantBadge::new(grant.index, grant.generation, grant.grant.methods)
                    .expect("a logged grant has methods")
                    .badge()
                    .0
            }
        }
    }
}

fn rights(capability: Capability) -> Rights {
    match capability {
        Capability::Endpoint { rights, .. } | Capability::Notification { rights, .. } => rights,
        other => panic!("{other:?} is no grant's"),
    }
}

/// The most of `rights` that a capability of this kind can have.
fn most(capability: Capability, rights: Rights) -> Rights {
    match capability {
        Capability::Notification { .. } => Rights {
            grant: false,
            grant_reply: false,
            ..rights
        },
        _ => rights,
    }
}
