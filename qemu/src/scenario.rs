//! The reference scenario: documents go in, and what is released comes out at the edge.

use std::time::Duration;

use portcullis_console::text::Grouped;

use crate::capscan::Kernel;
use crate::{Error, Machine};

/// Longer than any of the boards needs for the sample documents, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(180);
/// A board on which nothing runs has come to its end when it has said nothing for this long: it may
/// wait for its disk, and what it said last may still be on its way.
const QUIET: Duration = Duration::from_secs(1);
const AWAITED: &str = "the board coming to rest";

/// What the components said at the end of the scenario.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Through {
    /// Ingest's tally: how many documents it took in. Empty: it did not come so far.
    pub ingest: String,
    /// What the edge lists, and how many are damaged or lost: its last tally, or the first in which
    /// some are. Empty: nothing came.
    pub edge: String,
    /// How many objects publish released: its last tally, or the first that says that some were not,
    /// and why. Empty: there were none.
    pub publish: String,
    /// The last line of all.
    pub last: String,
}

impl Through {
    /// Why the scenario did not go well, where `left_out` documents could not be packed, which ingest
    /// therefore refuses; `None`: it did.
    pub fn failure(&self, left_out: usize) -> Option<String> {
        let refused = format!(", {} refused", Grouped(left_out as u64));
        if self.ingest.is_empty() {
            let last = &self.last;
            Some(format!(
                "ingest did not come to its end; the last line was: {last}"
            ))
        } else if !self.ingest.ends_with(&refused) {
            Some(format!("not every document was taken in: {}", self.ingest))
        } else if self.publish_lacks() {
            Some(format!("not every object was released: {}", self.publish))
        } else if self.edge_lacks() || self.edge.is_empty() != self.publish.is_empty() {
            Some(format!(
                "the edge has not got every released object: {}",
                self.edge
            ))
        } else {
            None
        }
    }

    fn publish_lacks(&self) -> bool {
        !self.publish.is_empty() && !self.publish.ends_with(" B")
    }

    fn edge_lacks(&self) -> bool {
        !self.edge.is_empty() && !self.edge.ends_with(" 0 damaged, 0 lost")
    }

    fn take(&mut self, line: &str) {
        let says = |who: &str, what: &[&str]| {
            let said = line.strip_prefix(who);
            said.is_some_and(|said| what.iter().any(|what| said.contains(what)))
        };
        let published = [
            " published, ",
            "nothing is published: ",
            "cannot see what is released: ",
            "the round is not ended: ",
        ];
        if says("ingest: ", &[" documents: ", " document: "]) {
            line.clone_into(&mut self.ingest);
        } else if says("edge: ", &[" listed, "]) && !self.edge_lacks() {
            line.clone_into(&mut self.edge);
        } else if says("publish: ", &published) && !self.publish_lacks() {
            line.clone_into(&mut self.publish);
        }
        line.clone_into(&mut self.last);
    }
}

/// Shows the console from its first line on, until the board has come to rest.
pub fn watch(machine: &mut Machine, mut show: impl FnMut(&str)) -> Result<Through, Error> {
    let kernel = Kernel::of(machine.image())?;
    let end = machine.waited() + PATIENCE;
    let mut through = Through::default();
    let mut begun = false;
    loop {
        match machine.line(QUIET, AWAITED) {
            Ok(line) => {
                begun |= line.starts_with("Portcullis: ");
                if begun {
                    show(&line);
                    through.take(&line);
                }
            }
            Err(Error::Silent { .. }) if kernel.is_idle(|address| machine.word(address))? => {
                return Ok(through);
            }
            Err(Error::Silent { last, .. }) if machine.waited() > end => {
                return Err(Error::Silent {
                    seconds: PATIENCE.as_secs(),
                    awaited: AWAITED.to_owned(),
                    last,
                });
            }
            Err(Error::Silent { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}
