//! The grants of one boot, as a replay finds them in force.

use portcullis_log::GrantFields;
use portcullis_policy_format::{MAX_COMPONENTS, MAX_GRANTS_PER_COMPONENT};

use crate::replay::InForce;

/// The grants of a boot, by index and by slot. Grows with the largest of each that was seen.
#[derive(Clone, Default, Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    /// By subject, then by slot: the index of the grant that lies there.
    slots: Vec<Vec<Option<u16>>>,
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

impl Table {
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
        let (subject, slot) = (
            grant.grant.subject.component(),
            usize::from(grant.grant.slot),
        );
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
        if let Some(parent) = in_force.and_then(|it| it.grant.parent.take()) {
            let parent = self.entry(parent);
            parent.children = parent.children.saturating_sub(1);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.slots.clear();
    }
}
