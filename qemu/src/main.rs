//! Builds the reference appliance for a QEMU board and boots it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser};
use portcullis_appliance::pack;
use portcullis_appliance::{Appliance, Begin, State};
use portcullis_qemu::{
    Board, Config, Error, Image, Machine, Sdk, System, capscan, leave_ended, raw_disk, root, watch,
};
use portcullis_text::{Lines, Plain};

/// Builds the reference appliance for the QEMU boards, and boots it
#[derive(Parser)]
enum Arguments {
    /// Boot the reference appliance: seL4, the serial console, a disk
    Run(Run),
    /// Print where the Microkit SDK is; exit code 3 where there is none
    Sdk,
}

#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = "\
Without --once the console is yours: `help` says what can be asked, Ctrl-C ends QEMU.

Exit codes:
  0  the documents are through, the log on the disk holds, and the kernel's slots hold what it says;
     or QEMU was ended
  1  they are not through, the log does not hold, or slots and log differ
  3  it could not be built or started
  4  the documents are through but for those that were left out"
)]
struct Run {
    /// The board
    board: Board,
    /// The kernel's configuration
    #[arg(long, default_value = "release")]
    config: Config,
    /// The documents to take in
    #[arg(long, value_name = "DIR", default_value = "samples/documents")]
    documents: PathBuf,
    /// Where state is kept between runs
    #[arg(long, value_name = "DIR", default_value = "target/appliance")]
    state: PathBuf,
    /// Where the disk is gone or went back for good: leave its history behind, and record that
    #[arg(long)]
    new_history: bool,
    /// End when the documents are through
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse() {
        Arguments::Run(arguments) => run(&arguments),
        Arguments::Sdk => sdk(),
    };
    let code = match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", Lines(&error));
            let ran = error
                .downcast_ref::<Error>()
                .is_some_and(Error::is_of_the_run);
            ExitCode::from(if ran { 1 } else { 3 })
        }
    };
    if code == ExitCode::FAILURE
        && let Some(left) = leave_ended("the run failed")
    {
        eprintln!("{left}");
    }
    code
}

fn sdk() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let found: Result<Vec<_>, _> = Board::ALL
        .map(|it| Sdk::find(it, Config::Release))
        .into_iter()
        .collect();
    // At once: who reads the first line alone may be gone before the second.
    let found = found?;
    let lines = found
        .iter()
        .map(|sdk| format!("{}\n", sdk.directory().display()));
    print!("{}", lines.collect::<String>());
    Ok(ExitCode::SUCCESS)
}

fn run(arguments: &Run) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let sdk = Sdk::find(arguments.board, arguments.config)?;
    let system = System::appliance();
    let policy = root().join("policy/appliance.toml");
    pack::apart(&arguments.documents, &arguments.state)?;
    let begin = if arguments.new_history {
        Begin::NewHistory
    } else {
        Begin::GoOn
    };
    let state = State::begin(&arguments.state, begin)?;
    let checked = portcullis_appliance::check(&policy, &system.description)?;
    let mut appliance = Appliance::prepare_from(&checked, state)?;
    let packed = appliance.pack(&arguments.documents, &mut |_, _| ())?;
    for left_out in &packed.left_out {
        println!("left out {}: {}", Plain(&left_out.path), left_out.why);
    }
    let left_out = packed.left_out.len();
    let (board, config) = (sdk.board.name(), sdk.config.name());
    eprintln!("building for {board}, {config}: minutes the first time, seconds later");
    let image = system.build(&sdk, appliance.state().path())?;
    let disk = raw_disk(&appliance.state().file("disk.img"));
    if !arguments.once {
        let mut qemu = Machine::command(&image, Some(&disk));
        qemu.args(["-serial", "stdio"]).status()?;
        return Ok(ended(left_out));
    }
    let failures = once(&image, &disk, appliance.state().path(), left_out)?;
    for failure in &failures {
        eprintln!("error: {}", Lines(failure));
    }
    Ok(if failures.is_empty() {
        ended(left_out)
    } else {
        ExitCode::FAILURE
    })
}

/// The exit code of what went well, but for the documents that were left out.
fn ended(left_out: usize) -> ExitCode {
    ExitCode::from(if left_out > 0 { pack::LEFT_OUT } else { 0 })
}

/// Boots until the documents are through, and looks at what came of it: what failed, in words.
fn once(
    image: &Image,
    disk: &str,
    state: &Path,
    left_out: usize,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut machine = Machine::boot(image, Some(disk), &[])?;
    let through = watch(&mut machine, |line| println!("{}", Plain(line)))?;
    let mut failures: Vec<String> = through.failure(left_out).into_iter().collect();
    match capscan::check(&mut machine, state) {
        Ok(compared) => {
            println!("\ncapscan     {compared}");
            failures.extend((!compared.is_equal()).then(|| "slots and log differ".to_owned()));
        }
        Err(error) => failures.push(error.to_string()),
    }
    drop(machine);
    let portcullis = std::env::current_exe()?.with_file_name("portcullis");
    let mut verify = Command::new(portcullis);
    if !verify
        .args(["log", "verify", "--keep", "--state"])
        .arg(state)
        .status()?
        .success()
    {
        failures.push("the log on the disk does not hold".to_owned());
    }
    Ok(failures)
}
