//! The reference scenario: documents go in, and what is released comes out at the edge.

use std::time::{Duration, Instant};

use crate::{Error, Machine};

/// Longer than any of the boards needs for the sample documents, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the components said at the end of the scenario.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Through {
    /// Ingest's last line: how many documents it took.
    pub ingest: String,
    /// The edge's: what it lists, of which how many are damaged or lost.
    pub edge: String,
    /// Publish's: how many objects it released.
    pub publish: String,
}

impl Through {
    /// Why the scenario did not go well; `None`: it did.
    pub fn failure(&self) -> Option<String> {
        let complete = self.edge.ends_with(" 0 damaged, 0 lost");
        (!complete).then(|| format!("the edge has not got every released object: {}", self.edge))
    }
}

/// Shows the console from its first line on, until the scenario is through.
pub fn watch(machine: &mut Machine, mut show: impl FnMut(&str)) -> Result<Through, Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut through = Through::default();
    let mut begun = false;
    while through.ingest.is_empty() || through.publish.is_empty() {
        let line = machine.line(deadline, "the documents coming through")?;
        begun |= line.starts_with("Portcullis: ");
        if begun {
            show(&line);
        }
        if line.starts_with("ingest: ") && line.contains(" documents: ") {
            through.ingest = line;
        } else if line.starts_with("edge: ") && line.contains(" listed, ") {
            through.edge = line;
        } else if line.starts_with("publish: ") && line.contains(" published") {
            through.publish = line;
        }
    }
    Ok(through)
}
