//! The `portcullis` command: reads arguments, runs one verb, sets the exit code.
//!
//! Each verb is a module of its own: a clap `Args` struct that implements [`Run`]. To add one, add a
//! line to the list in `verbs!`'s only use. What a verb finds goes to standard output (tables, or
//! JSON with `--json`); what is wrong goes to standard error. No verb changes a file that its
//! arguments do not name.

mod capscan;
mod ceiling;
mod check;
mod compile;
mod completions;
mod diff;
mod failure;
mod fsck;
mod graph;
mod keygen;
mod load;
mod log;
mod options;
mod output;
mod prepare;
mod problem;
mod reach;
mod run;
mod sign;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_text::Plain;

use crate::failure::{Failure, Verdict};
use crate::output::Output;

/// A verb with its arguments.
trait Run {
    /// Does it. What it finds goes to `output`.
    fn run(self, output: Output) -> Result<Verdict, Failure>;
}

/// Declares the verbs: the variant's name is the verb, its argument the struct that runs it.
macro_rules! verbs {
    ($($verb:ident($arguments:ty),)*) => {
        #[derive(Subcommand)]
        enum Verb {
            $($verb($arguments),)*
        }

        impl Run for Verb {
            fn run(self, output: Output) -> Result<Verdict, Failure> {
                match self {
                    $(Self::$verb(arguments) => arguments.run(output),)*
                }
            }
        }
    };
}

verbs! {
    Check(check::Check),
    Compile(compile::Compile),
    Sign(sign::Sign),
    Keygen(keygen::Keygen),
    Ceiling(ceiling::ShowCeiling),
    Diff(diff::Diff),
    Why(why::Why),
    Reach(reach::Reach),
    Graph(graph::Graph),
    Run(run::RunAppliance),
    Prepare(prepare::Prepare),
    Capscan(capscan::Capscan),
    Log(log::Log),
    Fsck(fsck::Fsck),
    Completions(completions::Completions),
}

const EXIT_CODES: &str = "\
Exit codes:
  0  what was asked holds, or was done
  1  it does not hold: a check found something, a question was answered with no
  2  bad input: arguments, a policy or another file that cannot be understood
  3  could not run: a file that cannot be read or written, no entropy
  4  done, but documents were left out (`run`, `prepare`)";

/// Checks, compiles and explains the policy of a Portcullis system, and audits what it did.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print JSON instead of tables; its field names are stable
    #[arg(long, global = true)]
    json: bool,
}

/// A message that quotes the arguments, with each escaped: one with a newline cannot forge a line.
fn quoted(message: String) -> String {
    let arguments = std::env::args_os().skip(1);
    arguments.fold(message, |message, argument| {
        let argument = argument.to_string_lossy();
        match argument.contains('\n') {
            true => message.replace(&*argument, &Plain(&argument).to_string()),
            false => message,
        }
    })
}

fn main() -> ExitCode {
    // A component of an appliance is another process of this executable.
    portcullis_hosted::component_main(portcullis_hosted::pd::program);
    failure::set_up_messages();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = Output::new(cli.json);
    match cli.verb.run(output) {
        Ok(verdict) => verdict.into(),
        Err(failure) => failure.report(output),
    }
}

/// Says what is wrong with the arguments, as JSON too; or prints the help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() {
        error.exit();
    }
    let message = quoted(error.render().to_string());
    if !json {
        failure::say(message);
        return ExitCode::from(2);
    }
    Failure::bad_input(message.trim_end()).report(Output::new(true))
}

#[cfg(test)]
mod every_verb;
