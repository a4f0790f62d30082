//! What the tests on the boards share: an image, a state directory, and booting the two.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_appliance::Appliance;
use portcullis_qemu::{Board, Config, Image, Machine, Sdk, System, raw_disk, root};
use tempfile::TempDir;

/// A system, ready to boot as often as a test likes: its disk stays.
pub(crate) struct Case {
    pub(crate) image: Image,
    state: TempDir,
}

/// The reference appliance. `test` is a name of the test's own: tests that run at the same time build
/// their images in different folders, since the keys of their states are in them.
pub(crate) fn appliance(test: &str) -> System {
    System {
        name: format!("appliance-{test}"),
        ..System::appliance()
    }
}

/// The reference policy.
pub(crate) fn policy() -> PathBuf {
    root().join("policy/appliance.toml")
}

/// The sample documents.
pub(crate) fn samples() -> PathBuf {
    root().join("samples/documents")
}

/// The `portcullis` command, beside the one that is tested.
pub(crate) fn portcullis() -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_portcullis-qemu")).with_file_name("portcullis");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(root())
        .args(["build", "--quiet", "--locked"]);
    cargo.args(["--package", "portcullis", "--target-dir"]);
    cargo.arg(built.ancestors().nth(2).unwrap());
    if built.ends_with("release/portcullis") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success());
    Command::new(built)
}

impl Case {
    /// Makes a state directory and an image for it, on the configuration that the appliance ships on.
    pub(crate) fn new(board: Board, system: &System, policy: &Path, documents: &Path) -> Self {
        let state = tempfile::tempdir().unwrap();
        let image = build(board, system, policy, documents, state.path());
        Self { image, state }
    }

    /// The reference appliance with the sample documents.
    pub(crate) fn appliance(board: Board, test: &str) -> Self {
        Self::new(board, &appliance(test), &policy(), &samples())
    }

    /// The state directory.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// Boots from the disk of the state directory.
    pub(crate) fn boot(&self) -> Machine {
        let disk = raw_disk(&self.state().join("disk.img"));
        Machine::boot(&self.image, Some(&disk), &[]).unwrap()
    }
}

/// Makes an image for a state directory, and the directory where there is none.
pub(crate) fn build(
    board: Board,
    system: &System,
    policy: &Path,
    documents: &Path,
    state: &Path,
) -> Image {
    let sdk = Sdk::find(board, Config::Release).unwrap();
    let mut appliance = Appliance::prepare(policy, &system.description, state).unwrap();
    appliance.pack(documents, &mut |_, _| ()).unwrap();
    system.build(&sdk, state).unwrap()
}
