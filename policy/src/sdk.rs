//! What a Microkit SDK says of a board: the limits of its kernel, and where its memory lies.
//!
//! The files are those from which the stock tool takes the same facts: `gen_config.json`,
//! `address_space_constants.json`, and, where the kernel's memory is known when an image is built
//! (not on x86-64), `platform_gen.json` and the kernel itself.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use portcullis_sdf::{Architecture, Board, PhysicalMemory, Target};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why an SDK does not tell.
#[derive(Debug, Error)]
pub enum SdkError {
    /// A folder without boards.
    #[error("{} is no Microkit SDK: it has no folder `board`", .0.display())]
    NotAnSdk(PathBuf),
    /// A board, or a configuration of one, that the SDK does not have.
    #[error("{} has no {what} `{name}`; it has {}", folder.display(), known.join(", "))]
    Unknown {
        /// Where it would be.
        folder: PathBuf,
        /// "board" or "configuration".
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file that does not say what it must.
    #[error("{} is not what an SDK has there: {why}", path.display())]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Reads what the SDK in a folder says of a board in one configuration.
pub fn board(sdk: &Path, board: &str, config: &str) -> Result<Board, SdkError> {
    let boards = sdk.join("board");
    if !boards.is_dir() {
        return Err(SdkError::NotAnSdk(sdk.to_path_buf()));
    }
    let configs = entry(&boards, "board", board)?;
    let folder = entry(&configs, "configuration", config)?;
    let kernel: Config = json(&folder.join("include/kernel/gen_config.json"))?;
    let space: AddressSpace = json(&folder.join("address_space_constants.json"))?;
    let architecture = kernel.architecture;
    let memory = match architecture {
        Sel4Arch::X86_64 => None,
        Sel4Arch::Aarch64 | Sel4Arch::Riscv64 => Some(memory(&folder)?),
    };
    Ok(Board {
        target: kernel.target(space.vspace_user_top),
        memory,
        search_paths: None,
    })
}

/// The folder of this name, which must be one of those that are there.
fn entry(folder: &Path, what: &'static str, name: &str) -> Result<PathBuf, SdkError> {
    let unreadable = |error| SdkError::Unreadable {
        path: folder.to_path_buf(),
        error,
    };
    let mut known = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().is_dir() {
            known.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if known.iter().any(|other| other == name) {
        return Ok(folder.join(name));
    }
    known.sort_unstable();
    Err(SdkError::Unknown {
        folder: folder.to_path_buf(),
        what,
        name: name.to_owned(),
        known,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, SdkError> {
    fs::read(path).map_err(|error| SdkError::Unreadable {
        path: path.to_path_buf(),
        error,
    })
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, SdkError> {
    serde_json::from_slice(&read(path)?).map_err(|error| SdkError::Unexpected {
        path: path.to_path_buf(),
        why: error.to_string(),
    })
}

/// The options of a kernel. Switches are booleans and numbers are strings; an option of another
/// architecture is not there.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Config {
    #[serde(rename = "SEL4_ARCH")]
    architecture: Sel4Arch,
    #[serde(default)]
    arm_hypervisor_support: bool,
    #[serde(default)]
    vtx: bool,
    #[serde(default)]
    iommu: bool,
    #[serde(default)]
    allow_smc_calls: bool,
    enable_smp_support: bool,
    #[serde(deserialize_with = "number")]
    max_num_nodes: u64,
    #[serde(deserialize_with = "number")]
    num_domains: u64,
    #[serde(deserialize_with = "number")]
    num_domain_schedules: u64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sel4Arch {
    Aarch64,
    Riscv64,
    #[serde(rename = "x86_64")]
    X86_64,
}

#[derive(Deserialize)]
struct AddressSpace {
    vspace_user_top: u64,
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom(format!("`{text}` is no number"));
    text.parse().map_err(|_| wrong())
}

impl Config {
    fn target(&self, user_top: u64) -> Target {
        let at_most_16_bits = |number: u64| number.min(u16::MAX.into()) as u16;
        let (architecture, hypervisor) = match self.architecture {
            Sel4Arch::Aarch64 => (Architecture::Aarch64, self.arm_hypervisor_support),
            Sel4Arch::Riscv64 => (Architecture::Riscv64, false),
            Sel4Arch::X86_64 => (Architecture::X86_64, self.vtx),
        };
        Target {
            architecture: Some(architecture),
            cores: match self.enable_smp_support {
                true => at_most_16_bits(self.max_num_nodes),
                false => 1,
            },
            hypervisor,
            iommu: self.iommu && architecture == Architecture::X86_64,
            smc: self.allow_smc_calls && architecture == Architecture::Aarch64,
            domains: at_most_16_bits(self.num_domains),
            domain_schedules: self.num_domain_schedules,
            user_top,
        }
    }
}

/// `platform_gen.json`.
#[derive(Deserialize)]
struct Platform {
    devices: Vec<Bounds>,
    memory: Vec<Bounds>,
}

#[derive(Deserialize)]
struct Bounds {
    start: u64,
    end: u64,
}

fn memory(folder: &Path) -> Result<PhysicalMemory, SdkError> {
    let platform: Platform = json(&folder.join("platform_gen.json"))?;
    let ranges = |all: Vec<Bounds>| all.into_iter().map(|it| it.start..it.end).collect();
    let kernel = folder.join("elf/sel4.elf");
    let image = image(&read(&kernel)?).ok_or_else(|| SdkError::Unexpected {
        path: kernel,
        why: "it is no 64-bit little-endian ELF file with loadable segments".to_owned(),
    })?;
    Ok(PhysicalMemory {
        ram: ranges(platform.memory),
        devices: ranges(platform.devices),
        kernel: image,
    })
}

/// The physical addresses that an ELF file's segments take, from the first to the last.
fn image(elf: &[u8]) -> Option<Range<u64>> {
    /// Magic number, 64-bit class, little-endian.
    const IDENT: &[u8] = b"\x7fELF\x02\x01";
    const LOADABLE: u64 = 1;
    let field = |at: usize, size: usize| {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        let value = |value, byte: &u8| value << 8 | u64::from(*byte);
        Some(bytes.iter().rev().fold(0u64, value))
    };
    if !elf.starts_with(IDENT) {
        return None;
    }
    let table = usize::try_from(field(32, 8)?).ok()?;
    let (size, count) = (field(54, 2)? as usize, field(56, 2)? as usize);
    let mut image: Option<Range<u64>> = None;
    for number in 0..count {
        let at = table.checked_add(number * size)?;
        if field(at, 4)? != LOADABLE {
            continue;
        }
        let start = field(at + 24, 8)?;
        let end = start.checked_add(field(at + 40, 8)?)?;
        let so_far = image.unwrap_or(start..end);
        image = Some(so_far.start.min(start)..so_far.end.max(end));
    }
    image
}
