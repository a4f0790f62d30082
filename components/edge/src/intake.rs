//! From frames to objects: order, sizes, digests, and what is missing.
//!
//! A state machine without input or output of its own: it takes frames, and says what became of
//! objects. Every object that the stream announced comes out once, as whole, damaged or lost.

use core::fmt;

use portcullis_console::text::{Grouped, ShortDigest};
use portcullis_publish::DocumentPath;
use portcullis_publish::stream::{Begin, Frame, Round};
use sha2::{Digest, Sha256};

use crate::Listed;

/// The object that is being taken in, and what came before it in its round.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    object: Option<Object>,
    /// Number of the next object; not known before the first, where the stream began earlier.
    next: Option<u64>,
    tally: Tally,
}

/// An object that is on its way.
#[derive(Debug)]
struct Object {
    path: DocumentPath,
    size: u64,
    sha256: [u8; 32],
    received: u64,
    hash: Sha256,
}

/// What became of the objects of a round.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tally {
    /// Whole.
    pub(crate) whole: u64,
    /// Announced, but not as it was announced.
    pub(crate) damaged: u64,
    /// Never announced, since that part of the stream was lost.
    pub(crate) lost: u64,
}

/// What a frame came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// An object is whole.
    Whole(Listed),
    /// An object is not as it was announced.
    Damaged(DocumentPath, Damage),
    /// Objects were announced and then lost: this many.
    Lost(u64),
    /// The round is over.
    Round(Tally),
}

/// How an object is not as it was announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// It has other bytes.
    Digest {
        announced: [u8; 32],
        found: [u8; 32],
    },
    /// It ended, or another began, after so many of its bytes.
    Short { announced: u64, received: u64 },
    /// More bytes came than were announced.
    Long { announced: u64 },
}

/// The events of one frame: at most one for the object before, one for what is missing, one for
/// the frame itself.
pub(crate) type Events = heapless::Vec<Event, 3>;

impl Intake {
    /// An intake for a stream that is read from its beginning, or from somewhere later.
    pub(crate) const fn new(at_start: bool) -> Self {
        Self {
            object: None,
            next: if at_start { Some(0) } else { None },
            tally: Tally {
                whole: 0,
                damaged: 0,
                lost: 0,
            },
        }
    }

    /// Takes a frame.
    pub(crate) fn take(&mut self, frame: Frame<'_>) -> Events {
        let mut events = Events::new();
        match frame {
            Frame::Begin(begin) => {
                self.cut_off(&mut events);
                self.count_to(begin.number, &mut events);
                self.begin(begin);
            }
            Frame::Data(bytes) => self.data(bytes, &mut events),
            Frame::End => self.end(&mut events),
            Frame::Round(Round { objects }) => {
                self.cut_off(&mut events);
                self.count_to(objects, &mut events);
                push(&mut events, Event::Round(core::mem::take(&mut self.tally)));
            }
        }
        events
    }

    /// Part of the stream was lost: the object that was on its way does not become whole.
    pub(crate) fn lose(&mut self) -> Events {
        let mut events = Events::new();
        self.cut_off(&mut events);
        events
    }

    fn begin(&mut self, begin: Begin) {
        self.next = Some(begin.number.saturating_add(1));
        self.object = Some(Object {
            path: begin.path,
            size: begin.size,
            sha256: begin.sha256,
            received: 0,
            hash: Sha256::new(),
        });
    }

    /// Data of no object is what is left of one that was given up: it is passed over.
    fn data(&mut self, bytes: &[u8], events: &mut Events) {
        let Some(object) = &mut self.object else {
            return;
        };
        object.received = object.received.saturating_add(bytes.len() as u64);
        object.hash.update(bytes);
        if object.received > object.size {
            let announced = object.size;
            self.damaged(Damage::Long { announced }, events);
        }
    }

    fn end(&mut self, events: &mut Events) {
        let Some(object) = &mut self.object else {
            return;
        };
        let found: [u8; 32] = core::mem::take(&mut object.hash).finalize().into();
        let announced = object.sha256;
        if object.received < object.size {
            self.cut_off(events);
        } else if found != announced {
            self.damaged(Damage::Digest { announced, found }, events);
        } else if let Some(Object {
            path, size, sha256, ..
        }) = self.object.take()
        {
            self.tally.whole += 1;
            push(events, Event::Whole(Listed { path, size, sha256 }));
        }
    }

    /// Gives up the object on its way, where there is one.
    fn cut_off(&mut self, events: &mut Events) {
        if let Some(object) = &self.object {
            let (announced, received) = (object.size, object.received);
            self.damaged(
                Damage::Short {
                    announced,
                    received,
                },
                events,
            );
        }
    }

    fn damaged(&mut self, damage: Damage, events: &mut Events) {
        if let Some(object) = self.object.take() {
            self.tally.damaged += 1;
            push(events, Event::Damaged(object.path, damage));
        }
    }

    /// The stream has announced all objects below `number`: those not seen are lost. A number that
    /// goes back is a stream that was started anew.
    fn count_to(&mut self, number: u64, events: &mut Events) {
        let lost = number.saturating_sub(self.next.unwrap_or(number));
        self.next = Some(number);
        if lost > 0 {
            self.tally.lost = self.tally.lost.saturating_add(lost);
            push(events, Event::Lost(lost));
        }
    }
}

fn push(events: &mut Events, event: Event) {
    // Three fit, and no frame makes more: see `Events`.
    let _ = events.push(event);
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest { announced, found } => write!(
                f,
                "its sha256 is {}, announced was {}",
                ShortDigest(found),
                ShortDigest(announced)
            ),
            Self::Short {
                announced,
                received,
            } => write!(
                f,
                "cut off after {} of {} B",
                Grouped(*received),
                Grouped(*announced)
            ),
            Self::Long { announced } => {
                write!(f, "longer than the {} B announced", Grouped(*announced))
            }
        }
    }
}

#[cfg(test)]
mod tests;
