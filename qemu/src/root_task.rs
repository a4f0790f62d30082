//! A program that the kernel starts with all authority, in the place of Microkit's initialiser.
//!
//! For tests of the kernel itself: nothing of Microkit is in the image but its loader and the SDK's
//! kernel. The program talks with its host by semihosting: QEMU hands whole buffers over, where a
//! serial line costs it 30 microseconds a byte.

use std::fs;
use std::path::PathBuf;

use crate::line::Line;
use crate::system::{builder, images, programs, succeed};
use crate::{Board, Error, Sdk};

/// An image of the kernel and one program.
#[derive(Clone, Debug)]
pub struct RootTask {
    /// The board that it is for.
    pub board: Board,
    /// What QEMU loads.
    loader: PathBuf,
}

impl RootTask {
    /// Compiles the program of a package of `images/`, and packs it.
    pub fn build(sdk: &Sdk, package: &str, program: &str) -> Result<Self, Error> {
        let images = images(sdk);
        let out = images.join(program);
        fs::create_dir_all(&out).map_err(Error::file("create", &out))?;
        programs(sdk, &images, &[package.to_owned()])?;
        let loader = out.join("loader.img");
        let compiled = images.join(sdk.board.target()).join("release");
        let mut builder = builder(sdk);
        builder.arg("--root-task").arg(compiled.join(program));
        builder.arg("--output").arg(&loader);
        succeed(builder, "making the image")?;
        let board = sdk.board;
        Ok(Self { board, loader })
    }

    /// Boots it.
    pub fn boot(&self) -> Result<Line, Error> {
        let mut qemu = self.board.machine(&self.loader);
        qemu.args(["-serial", "none"]);
        qemu.args(["-semihosting-config", "enable=on,userspace=on"]);
        Line::start(qemu)
    }
}
