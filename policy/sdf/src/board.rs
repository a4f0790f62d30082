//! What a description is read for: a target, where its memory lies, and where files are.

use std::ops::Range;
use std::path::PathBuf;

use crate::{Errors, System, Target, check, read};

/// A board, as far as it is known. Where nothing is, [`Board::default`] refuses only what no board
/// accepts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Board {
    /// The limits of its kernel.
    pub target: Target,
    /// Where its memory lies; `None`: not known.
    pub memory: Option<PhysicalMemory>,
    /// Folders in which each `prefill_path` is looked for, first match first; `None`: no file is
    /// looked at.
    pub search_paths: Option<Vec<PathBuf>>,
}

/// What lies where in a board's physical address space.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PhysicalMemory {
    /// The memory that the kernel manages, its own included.
    pub ram: Vec<Range<u64>>,
    /// What the kernel gives out as device memory. Firmware that lies in reserved memory is among
    /// it: the kernel does not tell it from a device.
    pub devices: Vec<Range<u64>>,
    /// The kernel's image.
    pub kernel: Range<u64>,
}

/// What a physical address belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PhysicalPlace {
    /// Memory that the kernel gives out as ordinary memory.
    Ram,
    /// A device's registers, or memory that the kernel takes for them.
    Device,
    /// The kernel's own code and data.
    Kernel,
    /// A device that the kernel keeps, such as the GIC or the PLIC.
    KernelDevice,
    /// Beyond the last address that the kernel gives out.
    Beyond,
}

impl Board {
    /// Reads a system description for this board.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text itself; where nothing is, everything that is wrong
    /// with the system it describes.
    pub fn parse(&self, text: &str) -> Result<System, Errors> {
        let (system, mut errors) = read::read(text, self)?;
        // What follows from an unreadable value would only distract from it.
        if errors.is_empty() {
            errors = check::check(&system, &self.target);
        }
        if errors.is_empty() {
            Ok(system)
        } else {
            Err(errors.sorted())
        }
    }
}

impl From<Target> for Board {
    fn from(target: Target) -> Self {
        Self {
            target,
            ..Self::default()
        }
    }
}

impl PhysicalMemory {
    /// Every kind of place that a range of addresses touches, each once, in the order of
    /// [`PhysicalPlace`].
    pub fn places(&self, range: &Range<u64>) -> Vec<PhysicalPlace> {
        use PhysicalPlace::{Beyond, Device, Kernel, KernelDevice, Ram};
        let kernel = std::slice::from_ref(&self.kernel);
        let ends = self.ram.iter().chain(&self.devices).map(|it| it.end);
        let end = ends.max().unwrap_or(0);
        let known: Vec<_> = self.ram.iter().chain(&self.devices).cloned().collect();
        let within = range.start.min(end)..range.end.min(end);
        let found = [
            (Ram, !minus(overlap(range, &self.ram), kernel).is_empty()),
            (Device, !overlap(range, &self.devices).is_empty()),
            (Kernel, !overlap(range, kernel).is_empty()),
            (KernelDevice, !minus(vec![within], &known).is_empty()),
            (Beyond, range.end > end.max(range.start)),
        ];
        let found = found.into_iter().filter(|(_, touches)| *touches);
        found.map(|(place, _)| place).collect()
    }
}

/// The parts of a range that lie in one of `ranges`.
fn overlap(range: &Range<u64>, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let parts = ranges
        .iter()
        .map(|it| it.start.max(range.start)..it.end.min(range.end));
    parts.filter(|part| !part.is_empty()).collect()
}

/// What is left of `parts` without `ranges`.
fn minus(mut parts: Vec<Range<u64>>, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    parts.retain(|part| !part.is_empty());
    ranges.iter().fold(parts, |parts, gone| {
        let sides = |part: Range<u64>| {
            [
                part.start..part.end.min(gone.start),
                part.start.max(gone.end)..part.end,
            ]
        };
        let left = parts.into_iter().flat_map(sides);
        left.filter(|part| !part.is_empty()).collect()
    })
}
