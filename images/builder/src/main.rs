//! Builds a bootable image: Microkit's, with the authority that run-time grants need.
//!
//! The system description goes through the Microkit tool's own library, unchanged, up to the
//! capDL specification. What that hands out is then replaced by the distribution that the policy
//! allows ([`impose`]), packaged, and read back from what the initialiser will boot from ([`found`]).
//! The image is written only if that keeps every rule of [`portcullis_policy::image`].

mod found;
mod impose;
mod mapped;
mod names;
mod output;
mod package;
mod root_task;
mod sdk;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy::image::{self, Image};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, System, Target};
use sha2::{Digest as _, Sha256};

use crate::package::{Parts, Sizes};
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
    #[arg(long, required_unless_present = "root_task")]
    system: Option<PathBuf>,
    /// Compiled policy.
    #[arg(long, required_unless_present_any = ["stock", "root_task"])]
    policy: Option<PathBuf>,
    /// Pack this program as the root task, with the kernel and nothing else: for tests of the kernel.
    #[arg(long, conflicts_with_all = ["system", "policy", "stock"])]
    root_task: Option<PathBuf>,
    /// Build Microkit's own image, to compare with: no policy, no run-time grants, nothing checked.
    #[arg(long, conflicts_with = "policy")]
    stock: bool,
    /// Where programs and prefill files are looked for; may be given several times.
    #[arg(long)]
    search_path: Vec<PathBuf>,
    /// The image.
    #[arg(short, long)]
    output: PathBuf,
    /// The system description that the policy was compiled for, where `--system` is that with the
    /// addresses and interrupts of another board; what else differs is refused.
    #[arg(long)]
    compiled_for: Option<PathBuf>,
    /// Write the image's capability distribution here, for `portcullis check --image`.
    #[arg(long)]
    distribution: Option<PathBuf>,
    /// Write what the image takes here, in bytes.
    #[arg(long)]
    sizes: Option<PathBuf>,
}

impl Arguments {
    fn system(&self) -> &Path {
        let system = self.system.as_deref();
        system.expect("it is required for all but a root task")
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let board = Board::open(&arguments.sdk, &arguments.board, &arguments.config)?;
    if let Some(program) = &arguments.root_task {
        return root_task::write(&board, program, &arguments.output);
    }
    let sizes = match &arguments.policy {
        Some(policy) => bounded(&arguments, &board, policy)?,
        None => parts(&arguments, &board, None)
            .write(&arguments.output, |image| hands_out(&arguments, image))?,
    };
    match &arguments.sizes {
        Some(path) => output::json(&sizes, path),
        None => Ok(()),
    }
}

/// The image whose capabilities the policy bounds.
fn bounded(arguments: &Arguments, board: &Board, policy: &Path) -> Result<Sizes> {
    let bytes = read(policy)?;
    let policy = Policy::inspect(&bytes)
        .into_diagnostic()
        .wrap_err_with(|| policy.display().to_string())?;
    let architecture = board.architecture()?;
    let system = described(arguments.system(), architecture)?;
    let compiled_for = arguments.compiled_for.as_deref();
    let of_policy = policy.tail().map(|tail| tail.system);
    is_for(of_policy, compiled_for.unwrap_or(arguments.system()))?;
    if let Some(compiled_for) = compiled_for {
        differs_by_board(compiled_for, arguments.system())?;
    }
    let configuration = Configuration {
        architecture,
        benchmark: arguments.config == "benchmark",
    };
    let distribution = Distribution::new(&policy, &system, &configuration).into_diagnostic()?;
    parts(arguments, board, Some(&distribution)).write(&arguments.output, |image| {
        // An image that is refused has it too, so that one can look.
        hands_out(arguments, image)?;
        refuse(&image::check(&policy, &system, image))
    })
}

/// A policy is compiled for one description, whose digest it carries; another may mean something else by the same
/// names.
fn is_for(compiled_for: Option<[u8; 32]>, description: &Path) -> Result<()> {
    let found: [u8; 32] = Sha256::digest(read(description)?).into();
    match compiled_for {
        Some(system) if system == found => Ok(()),
        Some(_) => Err(miette!(
            help = "compile it for this one: `portcullis compile --system`",
            "the policy was compiled for another system description than {}",
            description.display()
        )),
        None => Err(miette!(
            help = "compile it again: `portcullis compile --system`",
            "the policy has an earlier format, which does not say for which system description it was compiled"
        )),
    }
}

/// What a board decides is all that may differ from the description that the policy was compiled for.
fn differs_by_board(compiled_for: &Path, system: &Path) -> Result<()> {
    let text = |path| String::from_utf8(read(path)?).into_diagnostic();
    // What the reader refuses is not compared.
    portcullis_sdf::parse(&text(compiled_for)?, &Target::ANY)
        .map_err(|errors| miette!("{}: {errors}", compiled_for.display()))?;
    let found = portcullis_sdf::differences(&text(compiled_for)?, &text(system)?)
        .map_err(|errors| miette!("{errors}"))?;
    for difference in &found {
        eprintln!("{difference}");
    }
    match found.len() {
        0 => Ok(()),
        count => Err(miette!(
            help = "change the description that the policy is compiled for, and compile it again: for a board, \
                    phys_addr of regions that have one, and irq and trigger of interrupts may differ",
            "{} differs from {} in {count} places by more than a board's addresses and interrupts",
            system.display(),
            compiled_for.display()
        )),
    }
}

fn parts<'a>(
    arguments: &'a Arguments,
    board: &'a Board,
    distribution: Option<&'a Distribution>,
) -> Parts<'a> {
    Parts {
        board,
        system: arguments.system(),
        search: arguments.search_path.clone(),
        distribution,
    }
}

/// Writes what an image hands out, where that was asked for.
fn hands_out(arguments: &Arguments, image: &Image) -> Result<()> {
    match &arguments.distribution {
        Some(path) => output::json(image, path),
        None => Ok(()),
    }
}

/// An image that does not keep every rule is not written.
fn refuse(findings: &[image::Finding]) -> Result<()> {
    for finding in findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(miette!(
            "the image is not written: it breaks rules in {count} places"
        )),
    }
}

fn described(path: &Path, architecture: Architecture) -> Result<System> {
    let text = String::from_utf8(read(path)?).into_diagnostic()?;
    let target = match architecture {
        Architecture::Aarch64 => Target::AARCH64,
        Architecture::Riscv64 => Target::RISCV64,
        Architecture::X86_64 => Target::X86_64,
    };
    portcullis_sdf::parse(&text, &target).map_err(|errors| miette!("{}: {errors}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_another_description_or_of_none_is_refused() {
        let description = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let digest = Sha256::digest(fs::read(&description).unwrap()).into();
        is_for(Some(digest), &description).unwrap();
        for (other, says) in [
            (Some([0; 32]), "another system description"),
            (None, "earlier format"),
        ] {
            let refused = is_for(other, &description).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
