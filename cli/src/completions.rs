//! `portcullis completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};
use serde::Serialize;

use crate::failure::{Failure, Verdict};
use crate::output::{Output, print_as_is};
use crate::{Cli, Run};

const EXAMPLE: &str = "\
Example:
  portcullis completions bash > /etc/bash_completion.d/portcullis";

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

impl Run for Completions {
    fn run(self, output: Output) -> Result<Verdict, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "portcullis", &mut script);
        let script = Script {
            shell: self.shell.to_string(),
            script: String::from_utf8(script).expect("clap writes UTF-8"),
        };
        if output.is_json() {
            output.print(&script, |_| String::new())?;
        } else {
            print_as_is(script.script.trim_end())?;
        }
        Ok(Verdict::Holds)
    }
}
