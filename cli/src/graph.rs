//! `portcullis graph`: the ceiling as a graph.

use clap::Args;
use portcullis_policy::graph::graph;
use serde::Serialize;

use crate::Run;
use crate::failure::{Failure, Verdict};
use crate::load::{self, SystemArguments};
use crate::options::PolicyArgument;
use crate::output::Output;

const EXAMPLE: &str = "\
Domains are boxes around their components. A call has an arrowhead at each end, since its reply \
flows back; what is one way is blue and has one, open. What is not there from boot on is dotted. What \
system.xml gives is dashed: shared memory, channels, and power over another.

The policy must hold, against its system description where there is one.

JSON: dot.

Example:
  portcullis graph policy/appliance.toml | dot -Tsvg -o appliance.svg";

/// Print the ceiling as a Graphviz graph
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Graph {
    #[command(flatten)]
    policy: PolicyArgument,
    #[command(flatten)]
    system: SystemArguments,
}

#[derive(Serialize)]
struct Drawn {
    dot: String,
}

impl Run for Graph {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let system = self.system.found(self.policy.path())?;
        let policy = load::policy(self.policy.path(), system.as_ref())?;
        let drawn = Drawn {
            dot: graph(&policy),
        };
        output.print(&drawn, |drawn| drawn.dot.clone())?;
        Ok(Verdict::Holds)
    }
}
