//! Builds a bootable image: Microkit's, with the authority that run-time grants need.
//!
//! The system description goes through the Microkit tool's own library, unchanged, up to the
//! capDL specification. What that hands out is then replaced by the distribution that the policy
//! allows ([`impose`]), read back ([`found`]), held against it again, and only then packaged.

mod found;
mod impose;
mod names;
mod package;
mod sdk;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_policy::distribution::{Configuration, Distribution, verify};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, Target};

use crate::package::Image;
use crate::sdk::Board;

/// Builds a bootable image for a system and the policy that it runs under.
#[derive(Parser)]
struct Arguments {
    /// Microkit SDK 2.3.0.
    #[arg(long)]
    sdk: PathBuf,
    /// Board, such as qemu_virt_aarch64.
    #[arg(long)]
    board: String,
    /// Configuration of the kernel: debug, release or benchmark.
    #[arg(long, default_value = "release")]
    config: String,
    /// System description.
    #[arg(long)]
    system: PathBuf,
    /// Compiled policy.
    #[arg(long)]
    policy: PathBuf,
    /// Where programs and prefill files are looked for; may be given several times.
    #[arg(long)]
    search_path: Vec<PathBuf>,
    /// The image.
    #[arg(short, long)]
    output: PathBuf,
    /// Write the image's capability distribution here, for `portcullis check --image`.
    #[arg(long)]
    distribution: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let board = Board::open(&arguments.sdk, &arguments.board, &arguments.config)?;
    let expected = expected(&arguments, &board)?;
    let image = Image {
        board: &board,
        system: &arguments.system,
        search: arguments.search_path.clone(),
        distribution: &expected,
    };
    let found = image.write(&arguments.output)?;
    if let Some(path) = &arguments.distribution {
        let json = serde_json::to_vec_pretty(&found).into_diagnostic()?;
        fs::write(path, json)
            .into_diagnostic()
            .wrap_err_with(|| path.display().to_string())?;
    }
    let differences = verify(&expected, &found);
    if let Some(first) = differences.first() {
        return Err(miette!(
            "the image would hand out something else than the policy allows: {first} \
             ({} differences in all)",
            differences.len()
        ));
    }
    Ok(())
}

/// What the image is to hand out.
fn expected(arguments: &Arguments, board: &Board) -> Result<Distribution> {
    let bytes = read(&arguments.policy)?;
    let policy = Policy::inspect(&bytes)
        .into_diagnostic()
        .wrap_err_with(|| arguments.policy.display().to_string())?;
    let text = String::from_utf8(read(&arguments.system)?).into_diagnostic()?;
    let architecture = board.architecture()?;
    let target = match architecture {
        Architecture::Aarch64 => Target::AARCH64,
        Architecture::Riscv64 => Target::RISCV64,
        Architecture::X86_64 => Target::X86_64,
    };
    let system = portcullis_sdf::parse(&text, &target)
        .map_err(|errors| miette!("{}: {errors}", arguments.system.display()))?;
    let configuration = Configuration {
        architecture,
        benchmark: arguments.config == "benchmark",
    };
    Distribution::new(&policy, &system, &configuration).into_diagnostic()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read {}", path.display()))
}
