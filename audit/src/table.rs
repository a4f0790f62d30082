//! The grants of one boot, as a replay finds them in force.

use std::fmt;

use portcullis_fsck::record::BY_INDEX;
use portcullis_log::GrantFields;
use portcullis_policy_format::{MAX_COMPONENTS, MAX_GRANTS_PER_COMPONENT};

use crate::replay::InForce;

/// The grants of a boot, by index and by slot. Grows with the largest of each that was seen.
#[derive(Clone, Default, Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    /// By subject, then by slot: the index of the grant that lies there.
    slots: Vec<Vec<Option<u16>>>,
    /// The ids of grants that were issued, in order, with their indices: all of those in force, and some
    /// that no longer are.
    ids: Vec<(u64, u16)>,
}

/// A grant's id, in words.
pub(crate) struct Id(pub(crate) u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 & BY_INDEX {
            0 => write!(f, "grant id {}", self.0),
            _ => write!(f, "grant {}", self.0 & !BY_INDEX),
        }
    }
}

/// What became of one grant index.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Entry {
    pub(crate) in_force: Option<InForce>,
    /// The lowest generation that the index may be issued with.
    pub(crate) lowest: u16,
    /// Grants in force that were derived from it.
    pub(crate) children: u32,
}

impl Entry {
    /// Whether it has this very grant in force.
    pub(crate) fn is(&self, named: &GrantFields) -> bool {
        let in_force = self.in_force.as_ref().map(|it| &it.grant);
        in_force.is_some_and(|it| (it.id, it.generation) == (named.id, named.generation))
    }
}

impl Table {
    /// Takes note of the id of a grant that is issued; says whether it is above all that were.
    pub(crate) fn name(&mut self, grant: &GrantFields) -> bool {
        if grant.id & BY_INDEX != 0 {
            return true;
        }
        let last = self.ids.last().map_or(0, |(id, _)| *id);
        if grant.id <= last {
            return false;
        }
        if self.ids.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.ids.retain(|(id, index)| {
                let in_force = entries[usize::from(*index)].in_force.as_ref();
                *id == last || in_force.is_some_and(|it| it.grant.id == *id)
            });
        }
        self.ids.push((grant.id, grant.index));
        true
    }

    /// The grant in force with this id, and its entry.
    pub(crate) fn with_id(&mut self, id: u64) -> Option<(&mut Entry, InForce)> {
        let index = if id & BY_INDEX != 0 {
            (id & !BY_INDEX) as u16
        } else {
            let at = self.ids.binary_search_by_key(&id, |(id, _)| *id).ok()?;
            self.ids[at].1
        };
        let entry = self.entries.get_mut(usize::from(index))?;
        let in_force = entry.in_force.filter(|it| it.grant.id == id)?;
        Some((entry, in_force))
    }

    pub(crate) fn in_force(&self) -> impl Iterator<Item = InForce> {
        self.entries.iter().filter_map(|entry| entry.in_force)
    }

    pub(crate) fn entry(&mut self, index: u16) -> &mut Entry {
        let index = usize::from(index);
        if self.entries.len() <= index {
            self.entries.resize(index + 1, Entry::default());
        }
        &mut self.entries[index]
    }

    /// What lies in a grant's slot; `None` where no component can have it.
    pub(crate) fn slot(&mut self, grant: &GrantFields) -> Option<&mut Option<u16>> {
        let (subject, slot) = (grant.grant.subject, usize::from(grant.grant.slot));
        if subject >= MAX_COMPONENTS || slot >= MAX_GRANTS_PER_COMPONENT as usize {
            return None;
        }
        let subject = usize::from(subject);
        if self.slots.len() <= subject {
            self.slots.resize(subject + 1, Vec::new());
        }
        let slots = &mut self.slots[subject];
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots.get_mut(slot)
    }

    /// Takes a grant out of force; gives back how many in force were derived from it.
    pub(crate) fn remove(&mut self, index: u16) -> u32 {
        self.detach(index);
        let entry = self.entry(index);
        let children = std::mem::take(&mut entry.children);
        if let Some(InForce { grant, .. }) = entry.in_force.take()
            && let Some(slot) = self.slot(&grant)
        {
            *slot = None;
        }
        children
    }

    /// Makes a grant one that was derived from none.
    pub(crate) fn detach(&mut self, index: u16) {
        let in_force = self.entry(index).in_force.as_mut();
        if let Some(parent) = in_force.and_then(|it| it.grant.parent.take())
            && let Some((parent, _)) = self.with_id(parent)
        {
            parent.children = parent.children.saturating_sub(1);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.slots.clear();
        self.ids.clear();
    }
}
