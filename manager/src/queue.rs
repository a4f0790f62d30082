//! Queues of grants: those to issue, those whose records are to become durable, and those whose
//! revocation is to be logged.

use crate::table::Grants;

/// Entries in the order in which they came. An entry is in one queue at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue(Option<Ends>);

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u16,
    last: u16,
}

impl Queue {
    pub(crate) const EMPTY: Self = Self(None);

    pub(crate) fn first(&self) -> Option<u16> {
        self.0.map(|ends| ends.first)
    }

    pub(crate) fn push(&mut self, grants: &mut Grants<'_>, index: u16) {
        let first = match self.0 {
            Some(Ends { first, last }) => {
                grants.at_mut(last).link = index;
                first
            }
            None => index,
        };
        self.0 = Some(Ends { first, last: index });
    }

    pub(crate) fn pop(&mut self, grants: &Grants<'_>) -> Option<u16> {
        let Ends { first, last } = self.0?;
        self.0 = (first != last).then(|| Ends {
            first: grants.at(first).link,
            last,
        });
        Some(first)
    }

    /// Takes an entry out, wherever it stands: the others keep their order.
    pub(crate) fn remove(&mut self, grants: &mut Grants<'_>, index: u16) {
        let last = self.0.map(|ends| ends.last);
        while let Some(at) = self.pop(grants) {
            if at != index {
                self.push(grants, at);
            }
            if Some(at) == last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::table::tests::table;

    #[test]
    fn queues_keep_their_order_over_every_index() {
        let mut entries = table();
        let mut grants = Grants(&mut entries);
        let mut queue = Queue::EMPTY;
        assert_eq!(queue.pop(&grants), None);
        for index in 0..=u16::MAX {
            queue.push(&mut grants, index);
        }
        for index in 0..=u16::MAX {
            assert_eq!(queue.first(), Some(index));
            assert_eq!(queue.pop(&grants), Some(index));
        }
        assert_eq!(queue.first(), None);
        queue.push(&mut grants, u16::MAX);
        queue.push(&mut grants, 0);
        assert_eq!(queue.pop(&grants), Some(u16::MAX));
        assert_eq!(queue.pop(&grants), Some(0));
        assert_eq!(queue.pop(&grants), None);
    }

    #[test]
    fn whoever_leaves_a_queue_leaves_the_others_in_order() {
        let mut entries = table();
        let mut grants = Grants(&mut entries);
        for gone in 0..5 {
            let mut queue = Queue::EMPTY;
            for index in 0..4 {
                queue.push(&mut grants, index);
            }
            queue.remove(&mut grants, gone);
            let left: Vec<_> = core::iter::from_fn(|| queue.pop(&grants)).collect();
            let expected: Vec<_> = (0..4).filter(|index| *index != gone).collect();
            assert_eq!(left, expected);
            queue.remove(&mut grants, gone);
            assert_eq!(queue.first(), None);
        }
    }
}
