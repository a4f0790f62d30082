//! Queues of entries, in the order in which they came. An entry is in one at most.

use super::Entry;

#[derive(Clone, Copy, Debug)]
pub(super) struct Queue(Option<Ends>);

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u16,
    last: u16,
}

impl Queue {
    pub(super) const EMPTY: Self = Self(None);

    pub(super) fn first(&self) -> Option<u16> {
        self.0.map(|ends| ends.first)
    }

    pub(super) fn push(&mut self, entries: &mut [Entry], index: u16) {
        let first = match self.0 {
            Some(Ends { first, last }) => {
                entries[usize::from(last)].link = index;
                first
            }
            None => index,
        };
        self.0 = Some(Ends { first, last: index });
    }

    pub(super) fn push_first(&mut self, entries: &mut [Entry], index: u16) {
        let last = self.0.map_or(index, |ends| ends.last);
        entries[usize::from(index)].link = self.first().unwrap_or(index);
        self.0 = Some(Ends { first: index, last });
    }

    pub(super) fn pop(&mut self, entries: &[Entry]) -> Option<u16> {
        let Ends { first, last } = self.0?;
        self.0 = (first != last).then(|| Ends {
            first: entries[usize::from(first)].link,
            last,
        });
        Some(first)
    }

    /// Takes an entry out, wherever it stands: the others keep their order.
    pub(super) fn remove(&mut self, entries: &mut [Entry], index: u16) {
        let last = self.0.map(|ends| ends.last);
        while let Some(at) = self.pop(entries) {
            if at != index {
                self.push(entries, at);
            }
            if Some(at) == last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::grants::MAX_TABLE;

    #[test]
    fn queues_keep_their_order_over_every_index() {
        let entries = &mut vec![Entry::FREE; MAX_TABLE][..];
        let mut queue = Queue::EMPTY;
        assert_eq!(queue.pop(entries), None);
        for index in 0..=u16::MAX {
            queue.push(entries, index);
        }
        for index in 0..=u16::MAX {
            assert_eq!(queue.first(), Some(index));
            assert_eq!(queue.pop(entries), Some(index));
        }
        assert_eq!(queue.first(), None);
        queue.push(entries, u16::MAX);
        queue.push(entries, 0);
        assert_eq!(queue.pop(entries), Some(u16::MAX));
        assert_eq!(queue.pop(entries), Some(0));
        assert_eq!(queue.pop(entries), None);
    }

    #[test]
    fn whoever_leaves_a_queue_leaves_the_others_in_order() {
        let entries = &mut [Entry::FREE; 5][..];
        for gone in 0..5 {
            let mut queue = Queue::EMPTY;
            for index in 0..4 {
                queue.push(entries, index);
            }
            queue.remove(entries, gone);
            let left: Vec<_> = core::iter::from_fn(|| queue.pop(entries)).collect();
            let expected: Vec<_> = (0..4).filter(|index| *index != gone).collect();
            assert_eq!(left, expected);
            queue.remove(entries, gone);
            assert_eq!(queue.first(), None);
        }
    }
}
