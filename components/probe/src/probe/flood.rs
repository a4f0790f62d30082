//! Too much of what it may do.

use portcullis_console::api::WRITE;
use portcullis_kernel::{CNodes, Message, Mode, label};
use portcullis_manager_api::{Find, NOT_PERMITTED};

use super::Attacker;
use crate::target::api;
use crate::{Outcome, same};

/// Requests of one flood: many times what any queue or table holds.
const FLOOD: u64 = 2000;

impl<K: CNodes> Attacker<'_, K> {
    /// Each is answered, and no more records are written than its share: the test counts them.
    pub(super) fn flood_manager(&mut self) -> Outcome {
        let wanted = Find {
            object: "nobody",
            interface: "nothing",
            mode: Mode::Call,
        };
        for at in 0..FLOOD {
            same(at, self.denied(&wanted)?, NOT_PERMITTED)?;
        }
        // What it may have is still given.
        let wanted = Find {
            object: api::NAME,
            interface: api::NAME,
            mode: Mode::Call,
        };
        match self.denied(&wanted) {
            Err(_) => Ok(()),
            Ok(code) => same(FLOOD, code, 0),
        }
    }

    pub(super) fn flood_target(&mut self) -> Outcome {
        let before = self.tally()?;
        for at in 0..FLOOD {
            self.echo(&[at, !at])?;
        }
        let after = self.tally()?;
        same(FLOOD, after.echoes - before.echoes, FLOOD)
    }

    /// Signals that come before they are taken are one.
    pub(super) fn flood_notification(&mut self) -> Outcome {
        let before = self.tally()?;
        for _ in 0..FLOOD {
            self.poke.signal(self.kernel);
        }
        let after = self.tally()?;
        let pokes = after.pokes - before.pokes;
        same(0, u64::from((1..=FLOOD).contains(&pokes)), 1)?;
        self.echo(&[1])
    }

    /// Text that cannot be read, as fast as it can: the console counts what repeats, and goes on.
    pub(super) fn flood_console(&mut self) -> Outcome {
        let mut message = Message::default();
        message.set(label::REQUEST + u64::from(WRITE.number()), &[u64::MAX; 3]);
        for _ in 0..FLOOD {
            self.kernel.nb_send(self.console.0, &message);
        }
        self.echo(&[2])
    }
}
