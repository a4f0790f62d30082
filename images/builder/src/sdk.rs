//! The Microkit SDK: where the kernel, loader, monitor and initialiser of a board lie.

use std::fs;
use std::path::{Path, PathBuf};

use microkit_tool::sel4::{Arch, Config, ObjectSizes, PlatformConfig, RiscvVirtualMemory};
use microkit_tool::util::{json_str, json_str_as_bool, json_str_as_u64};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use portcullis_sdf::Architecture;
use serde::de::DeserializeOwned;

/// One board and configuration of an SDK.
#[derive(Debug)]
pub struct Board {
    name: String,
    sdk: PathBuf,
    directory: PathBuf,
    configuration: String,
}

impl Board {
    /// The board and configuration in the SDK at `sdk`.
    pub fn open(sdk: &Path, board: &str, configuration: &str) -> Result<Self> {
        let directory = sdk.join("board").join(board).join(configuration);
        if !directory.is_dir() {
            return Err(miette!(
                help = "the SDK's folder `board` holds what it was built for",
                "the SDK at {} has no {board} in configuration {configuration}",
                sdk.display()
            ));
        }
        Ok(Self {
            name: board.to_owned(),
            sdk: sdk.to_owned(),
            directory,
            configuration: configuration.to_owned(),
        })
    }

    /// The board's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SDK's version.
    pub fn sdk(&self) -> Result<String> {
        let path = self.sdk.join("VERSION");
        let version = fs::read_to_string(&path)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot read {} of the SDK", path.display()))?;
        Ok(version.trim().to_owned())
    }

    /// The configuration's name: `debug`, `release` or `benchmark`.
    pub fn configuration(&self) -> &str {
        &self.configuration
    }

    /// One of the ELF files that come with the SDK.
    pub fn elf(&self, name: &str) -> PathBuf {
        self.directory.join("elf").join(name)
    }

    /// The architecture.
    pub fn architecture(&self) -> Result<Architecture> {
        match self.kernel_config()?.arch {
            Arch::Aarch64 => Ok(Architecture::Aarch64),
            Arch::Riscv64 => Ok(Architecture::Riscv64),
            Arch::X86_64 => Ok(Architecture::X86_64),
        }
    }

    /// What the Microkit tool needs to know of the kernel.
    pub fn kernel_config(&self) -> Result<Config> {
        let kernel: serde_json::Value = self.json("include/kernel/gen_config.json")?;
        let flag = |name| json_str_as_bool(&kernel, name).map_err(|error| miette!("{error}"));
        let number = |name| json_str_as_u64(&kernel, name).map_err(|error| miette!("{error}"));
        let arch = match json_str(&kernel, "SEL4_ARCH").map_err(|error| miette!("{error}"))? {
            "aarch64" => Arch::Aarch64,
            "riscv64" => Arch::Riscv64,
            other => {
                return Err(miette!(
                    "images are built for aarch64 and riscv64, not {other}"
                ));
            }
        };
        let arm = arch == Arch::Aarch64;
        let object_sizes: ObjectSizes = self.json("object_sizes.json")?;
        let platform: PlatformConfig = self.json("platform_gen.json")?;
        let small = |value: u64| u8::try_from(value).into_diagnostic();
        Ok(Config {
            word_size: number("WORD_SIZE")?,
            minimum_page_size: 1 << object_sizes.small_page,
            paddr_user_device_top: number("PADDR_USER_DEVICE_TOP")?,
            // The kernel maps itself with pages of this size.
            kernel_frame_size: if arm { 1 << 12 } else { 1 << 21 },
            init_cnode_bits: number("ROOT_CNODE_SIZE_BITS")?,
            cap_address_bits: 64,
            fan_out_limit: number("RETYPE_FAN_OUT_LIMIT")?,
            max_num_bootinfo_untypeds: number("MAX_NUM_BOOTINFO_UNTYPED_CAPS")?,
            hypervisor: arm && flag("ARM_HYPERVISOR_SUPPORT")?,
            iommu: false,
            benchmark: self.configuration == "benchmark",
            num_cores: if flag("ENABLE_SMP_SUPPORT")? {
                small(number("MAX_NUM_NODES")?)?
            } else {
                1
            },
            num_domains: number("NUM_DOMAINS")?.try_into().into_diagnostic()?,
            num_domain_schedules: number("NUM_DOMAIN_SCHEDULES")?,
            fpu: flag("HAVE_FPU")?,
            arm_pa_size_bits: match arm {
                true => Some(if flag("ARM_PA_SIZE_BITS_40")? { 40 } else { 44 }),
                false => None,
            },
            arm_smc: if arm {
                Some(flag("ALLOW_SMC_CALLS")?)
            } else {
                None
            },
            riscv_pt_levels: Some(RiscvVirtualMemory::Sv39),
            invocations_labels: self.json("invocations_all.json")?,
            device_regions: Some(platform.devices),
            normal_regions: Some(platform.memory),
            object_sizes,
            address_space_constants: self.json("address_space_constants.json")?,
            arch,
        })
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.directory.join(name);
        let text = fs::read_to_string(&path)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot read {} of the SDK", path.display()))?;
        serde_json::from_str(&text)
            .into_diagnostic()
            .wrap_err_with(|| format!("{} is not what this SDK version has", path.display()))
    }
}
