//! Packs a program of ours as the root task, in the place of Microkit's initialiser.
//!
//! For tests of the kernel itself: nothing of Microkit is in such an image but its loader and the
//! SDK's kernel.

use std::path::Path;

use microkit_tool::capdl::initialiser::CapDLInitialiser;
use microkit_tool::loader::Loader;
use microkit_tool::sel4::emulate_kernel_boot_partial;
use miette::{Result, miette};

use crate::output;
use crate::package::elf;
use crate::sdk::Board;

/// Writes an image of the board's kernel and this root task.
pub fn write(board: &Board, root_task: &Path, path: &Path) -> Result<()> {
    let config = board.kernel_config()?;
    let kernel = elf(&board.elf("sel4.elf"))?;
    // As an initialiser without a specification it has the bounds that the loader wants.
    let root_task = CapDLInitialiser::new(elf(root_task)?);
    let bound = root_task.image_bound();
    let size = bound.end - bound.start;
    let (mut available, boot) = emulate_kernel_boot_partial(&config, &kernel);
    let base = available
        .allocate_from(size, boot.end)
        .ok_or_else(|| miette!("the board has no {size} contiguous bytes for the root task"))?;
    let loader_elf = board.elf("loader.elf");
    let loader = Loader::new(&config, &loader_elf, &kernel, &root_task.elf, base, &bound);
    output::image(&loader, config.arch, path)
}
