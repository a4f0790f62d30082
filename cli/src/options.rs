//! Options that several verbs have: each is declared once, and means the same to every verb.

use std::path::{Path, PathBuf};

use clap::Args;
use portcullis_appliance::Begin;
use portcullis_audit::files;

use crate::failure::Failure;

/// The state directory of an appliance.
#[derive(Args)]
pub(crate) struct StateOption {
    /// The state directory of the appliance
    #[arg(long, value_name = "DIR", default_value = "target/appliance")]
    pub(crate) state: PathBuf,
}

/// What is audited: a state directory, or the disk of an appliance that is off.
#[derive(Args)]
pub(crate) struct Audited {
    #[command(flatten)]
    state: StateOption,
    /// A disk image alone, without its state directory
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    disk: Option<PathBuf>,
    /// Either of them, as earlier versions took it
    #[arg(value_name = "PATH", hide = true, conflicts_with_all = ["state", "disk"])]
    path: Option<PathBuf>,
    /// A file of verifier keys (name+hash+key, one a line), which replaces DIR/ledger.vkey
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
}

/// What is taken in, and how a run begins where the disk is not the one that the state directory knows.
#[derive(Args)]
pub(crate) struct IntakeOptions {
    /// The documents to take in
    #[arg(long, value_name = "DIR", default_value = "samples/documents")]
    pub(crate) documents: PathBuf,
    /// Where the disk is gone or went back for good: leave its history behind, and record that
    #[arg(long)]
    new_history: bool,
}

/// The policy, as it is written.
#[derive(Args)]
pub(crate) struct PolicyOption {
    /// The policy, in TOML
    #[arg(long, value_name = "FILE", default_value = "policy/appliance.toml")]
    pub(crate) policy: PathBuf,
}

/// The policy of a verb that is about a policy: by position, or by name as with any other verb.
#[derive(Args)]
pub(crate) struct PolicyArgument {
    /// The policy, in TOML, as with --policy
    #[arg(value_name = "POLICY", conflicts_with = "policy")]
    position: Option<PathBuf>,
    #[command(flatten)]
    option: PolicyOption,
}

/// Where a result goes: to standard output without it.
#[derive(Args)]
pub(crate) struct OutputOption {
    /// The file to write; an existing one is replaced
    #[arg(short, long, value_name = "FILE", alias = "out")]
    pub(crate) output: Option<PathBuf>,
}

impl OutputOption {
    /// Writes the file, if one is named.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        let Some(path) = &self.output else {
            return Ok(());
        };
        let written = files::replace(path, text.as_bytes(), true);
        written.map_err(|error| Failure::file("write", path, error))
    }
}

impl IntakeOptions {
    /// How a run begins.
    pub(crate) fn begin(&self) -> Begin {
        if self.new_history {
            Begin::NewHistory
        } else {
            Begin::GoOn
        }
    }
}

impl Audited {
    /// The directory or disk image.
    pub(crate) fn path(&self) -> &Path {
        let named = self.disk.as_ref().or(self.path.as_ref());
        named.unwrap_or(&self.state.state)
    }
}

impl PolicyArgument {
    /// The policy's file.
    pub(crate) fn path(&self) -> &Path {
        self.position.as_ref().unwrap_or(&self.option.policy)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use clap::{Command, CommandFactory};

    use crate::Cli;

    /// Every verb under this command, with its path.
    pub(crate) fn verbs(command: &Command, path: &str) -> Vec<(String, Command)> {
        let below = command.get_subcommands();
        let below = below.flat_map(|it| verbs(it, &format!("{path} {}", it.get_name())));
        let mut all: Vec<_> = below.collect();
        if all.is_empty() {
            all.push((path.trim_start().to_owned(), command.clone()));
        }
        all
    }

    #[test]
    fn an_option_means_the_same_to_every_verb() {
        let mut meanings = BTreeMap::new();
        for (verb, command) in verbs(&Cli::command(), "") {
            for option in command.get_opts() {
                let value = format!("{:?}", option.get_value_names());
                let meaning = (value, option.get_help().unwrap().to_string());
                let name = option.get_long().unwrap().to_owned();
                let (first, other) = meanings
                    .entry(name.clone())
                    .or_insert((verb.clone(), meaning.clone()));
                assert_eq!(*other, meaning, "--{name} of `{first}` and of `{verb}`");
            }
        }
        assert!(meanings.len() > 20, "{meanings:?}");
    }

    #[test]
    fn every_verb_on_an_appliance_takes_its_state_and_every_one_on_a_policy_its_policy() {
        for (verb, command) in verbs(&Cli::command(), "") {
            let has = |name| command.get_opts().any(|it| it.get_long() == Some(name));
            let is_of = |names: &[&str]| names.contains(&verb.as_str());
            let audits = (verb.starts_with("log ") && !verb.ends_with("-proof")) || verb == "fsck";
            let runs = is_of(&["run", "prepare", "capscan"]);
            assert_eq!(has("state"), audits || runs, "{verb}");
            assert_eq!(has("disk"), audits, "{verb}");
            let reads = is_of(&["check", "compile", "ceiling", "graph", "why"]);
            let boots = is_of(&["run", "prepare"]);
            assert!(!(reads || boots) || has("policy"), "{verb}");
            // A difference is of two policies, each with a description of its own.
            assert_eq!(has("system"), reads || boots || verb == "reach", "{verb}");
            let asks = verb == "reach" || reads;
            for name in ["sdk", "board", "config", "search-path"] {
                assert!(!asks || has(name), "--{name} of {verb}");
            }
            let shown = command.get_positionals().filter(|it| !it.is_hide_set());
            let names: Vec<_> = shown.map(|it| it.get_id().as_str()).collect();
            assert!(!names.contains(&"path"), "{verb}: {names:?}");
        }
    }

    /// Text that the source breaks too is ragged in a window of any other width; a command is never broken.
    #[test]
    fn help_is_wrapped_once() {
        let mut all = verbs(&Cli::command(), "");
        all.push((String::new(), Cli::command()));
        for (verb, command) in all {
            let below = command.get_after_help();
            let below = below.map(ToString::to_string).unwrap_or_default();
            for (line, next) in below.lines().zip(below.lines().skip(1)) {
                let indent = |it: &str| it.len() - it.trim_start().len();
                let is_list = indent(line) < indent(next) || next.is_empty();
                let goes_on = indent(next) > 2;
                let is_whole = indent(line) > 0 || line.is_empty() || is_list;
                assert_eq!(goes_on, line.ends_with('\\'), "{verb}: {next}");
                assert!(is_whole, "{verb}: the source breaks after: {line}");
            }
            for width in [80, 100] {
                let help = command.clone().term_width(width).max_term_width(width);
                let help = help.clone().render_long_help().to_string();
                assert!(help.lines().all(|it| it.chars().count() <= width), "{help}");
                let mut commands = below.lines().filter(|it| it.starts_with("  portcullis"));
                assert!(
                    commands.all(|it| help.lines().any(|line| line == it)),
                    "{help}"
                );
            }
        }
    }
}
