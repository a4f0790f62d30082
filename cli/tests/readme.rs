//! The commands that the README and the quick start show do what is printed below them.
//!
//! A fenced block marked `console` is run: each `$ ` line is a command, the lines below it are all
//! that it prints. `[..]` stands for anything within a line, `...` alone on a line for any lines.
//! `$ echo $?` shows the exit code of the command before. In a block marked `console running` the
//! appliance runs meanwhile. A block marked `> FILE` is written to that file, one marked `>> FILE` is
//! added to it, as a reader would do. The commands of a document run one after the other in a
//! scratch directory that has all that the repository's root has, but for its `target` directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use snapbox::{Assert, IntoData};
use tempfile::TempDir;

/// Where `scripts/run` keeps state.
const STATE: &str = "target/appliance";
/// Longest time that the appliance takes to boot.
const BOOT: Duration = Duration::from_secs(30);

#[test]
fn the_readme_is_true() {
    Document::read("README.md").hold();
}

#[test]
fn the_quick_start_is_true() {
    Document::read("docs/quick-start.md").hold();
}

/// A document of the repository.
struct Document {
    name: &'static str,
    blocks: Vec<Block>,
}

/// A fenced block.
struct Block {
    /// What follows the opening fence.
    mark: String,
    /// Line of the document that its first line is, from 1.
    first: usize,
    lines: Vec<String>,
}

/// A command, and what it prints.
struct Example {
    line: usize,
    command: String,
    output: String,
}

impl Document {
    fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let mut blocks: Vec<Block> = Vec::new();
        let mut is_open = false;
        for (number, line) in (1..).zip(text.lines()) {
            match (line.strip_prefix("```"), is_open) {
                (Some(mark), false) => blocks.push(Block {
                    mark: mark.trim().to_owned(),
                    first: number + 1,
                    lines: Vec::new(),
                }),
                (None, true) => blocks.last_mut().unwrap().lines.push(line.to_owned()),
                (Some(_), true) | (None, false) => {}
            }
            is_open ^= line.starts_with("```");
        }
        assert!(!is_open, "{name}: the last block is not closed");
        Self { name, blocks }
    }

    fn hold(&self) {
        let place = Place::new();
        let mut examples = 0;
        for block in &self.blocks {
            let words: Vec<_> = block.mark.split_whitespace().collect();
            match words[..] {
                ["console"] => examples += self.run(&place, block),
                ["console", "running"] => {
                    let appliance = place.boot();
                    examples += self.run(&place, block);
                    appliance.end();
                }
                [_, ">", file] => place.write(file, block, OpenOptions::new().create_new(true)),
                [_, ">>", file] => place.write(file, block, OpenOptions::new().append(true)),
                ["sh"] => self.programs_exist(block),
                _ => {}
            }
        }
        assert!(examples > 0, "{} shows no command", self.name);
    }

    /// Runs the commands of a block; how many there are.
    fn run(&self, place: &Place, block: &Block) -> usize {
        let examples = self.examples(block);
        let mut code = None;
        for Example {
            line,
            command,
            output,
        } in &examples
        {
            let at = format!("{}:{line}: $ {command}", self.name);
            let actual = if command == "echo $?" {
                let code = code.unwrap_or_else(|| panic!("{at}: no command stands before"));
                format!("{code}\n")
            } else {
                let (text, status) = place.run(&at, command);
                code = Some(status);
                text
            };
            let expected = output.as_str().into_data();
            if let Err(difference) = Assert::new().try_eq(None, actual.into_data(), expected) {
                panic!("{at}\nprints something else than the document shows:\n{difference}");
            }
        }
        examples.len()
    }

    fn examples(&self, block: &Block) -> Vec<Example> {
        let mut examples: Vec<Example> = Vec::new();
        for (line, text) in (block.first..).zip(&block.lines) {
            if let Some(command) = text.strip_prefix("$ ") {
                let command = command.to_owned();
                let output = String::new();
                examples.push(Example {
                    line,
                    command,
                    output,
                });
                continue;
            }
            let Some(last) = examples.last_mut() else {
                panic!("{}:{line}: no command stands above this output", self.name);
            };
            last.output += &format!("{text}\n");
        }
        examples
    }

    /// The scripts that a block of shell names are there; they are not run.
    fn programs_exist(&self, block: &Block) {
        for (line, text) in (block.first..).zip(&block.lines) {
            let program = text.split_whitespace().next().unwrap_or_default();
            let is_there = !program.starts_with("scripts/") || root().join(program).is_file();
            assert!(is_there, "{}:{line}: there is no {program}", self.name);
        }
    }
}

/// The scratch directory of one document.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(root()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" {
                symlink(entry.path(), directory.path().join(entry.file_name())).unwrap();
            }
        }
        Self(directory)
    }

    fn write(&self, file: &str, block: &Block, how: &mut OpenOptions) {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = how.write(true).open(&path).unwrap();
        for line in &block.lines {
            writeln!(file, "{line}").unwrap();
        }
    }

    /// Runs a command; gives what it printed, and its exit code.
    fn run(&self, at: &str, command: &str) -> (String, i32) {
        let printed = self.0.path().join(".printed");
        let output = File::create(&printed).unwrap();
        let mut words = command.split_whitespace();
        let program = words.next().unwrap_or_default();
        let mut process = match program {
            "portcullis" | "scripts/run" => self.portcullis(program),
            "cp" => Command::new(program),
            _ => {
                let is_there = self.0.path().join(program).is_file();
                assert!(is_there, "{at}: there is no {program}");
                Command::new(self.0.path().join(program))
            }
        };
        let status = process
            .args(words)
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        // A document shows no spaces at the ends of lines, and no empty lines at the end.
        let text = fs::read_to_string(&printed).unwrap();
        let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
        let text = if lines.is_empty() {
            String::new()
        } else {
            lines.join("\n") + "\n"
        };
        let code = status.code();
        (text, code.unwrap_or_else(|| panic!("{at}: {status}")))
    }

    /// The binary under test; the script is the same with its verb, after a build of its own.
    fn portcullis(&self, program: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        if program == "scripts/run" {
            assert!(root().join(program).is_file(), "there is no {program}");
            command.args(["run", "--accept-weaker-isolation", "--state", STATE]);
        }
        command
    }

    /// Boots the appliance on the state directory, until its grants are in force.
    fn boot(&self) -> Appliance {
        let mut command = self.portcullis("scripts/run");
        let process = command
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let appliance = Appliance(process);
        let start = Instant::now();
        while !self.is_up() {
            assert!(start.elapsed() < BOOT, "the appliance does not answer");
            sleep(Duration::from_millis(20));
        }
        appliance
    }

    /// Whether the appliance answers, and its slots hold what its log says: while it boots they do not.
    fn is_up(&self) -> bool {
        if !self.0.path().join(STATE).join("control.sock").exists() {
            return false;
        }
        let mut scan = self.portcullis("portcullis");
        scan.current_dir(&self.0)
            .args(["capscan", "--state", STATE]);
        let scan = scan.output().unwrap();
        scan.status.success() && !scan.stdout.starts_with(b"capscan     0 ")
    }
}

/// A running appliance; it is ended where a test fails meanwhile.
struct Appliance(Child);

impl Appliance {
    /// Ends it as `quit` does.
    fn end(mut self) {
        let mut input = self.0.stdin.take().unwrap();
        input.write_all(b"quit\n").unwrap();
        drop(input);
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the appliance ended with {status}");
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
