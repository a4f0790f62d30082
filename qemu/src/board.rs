//! What differs from board to board.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use portcullis_sdf::Architecture;

use crate::memory::RAM_SIZE;

/// A board that QEMU emulates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Board {
    /// `qemu_virt_aarch64`: Cortex-A53, PL011, virtio-mmio.
    Aarch64,
    /// `qemu_virt_riscv64`: rv64, NS16550A, virtio-mmio.
    Riscv64,
}

/// A configuration of the kernel, as the SDK names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Config {
    /// Checks itself, and prints faults on the serial line.
    Debug,
    /// What the appliance ships on; prints nothing.
    Release,
    /// As release, with the processor's counters open to everybody.
    Benchmark,
}

impl Config {
    /// The name of its folder in the SDK.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
            Self::Benchmark => "benchmark",
        }
    }
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 2] = [Self::Aarch64, Self::Riscv64];

    /// The name of its folder in the SDK.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "qemu_virt_aarch64",
            Self::Riscv64 => "qemu_virt_riscv64",
        }
    }

    /// The Rust target of its programs.
    pub fn target(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64-unknown-none",
            Self::Riscv64 => "riscv64gc-unknown-none-elf",
        }
    }

    /// Its architecture.
    pub(crate) fn architecture(self) -> Architecture {
        match self {
            Self::Aarch64 => Architecture::Aarch64,
            Self::Riscv64 => Architecture::Riscv64,
        }
    }

    /// QEMU's program for its architecture.
    pub fn emulator(self) -> &'static str {
        match self {
            Self::Aarch64 => "qemu-system-aarch64",
            Self::Riscv64 => "qemu-system-riscv64",
        }
    }

    /// A system description for this board, out of one for `qemu_virt_aarch64`: other addresses and
    /// interrupts of the devices.
    pub fn adapt(self, description: &str) -> String {
        const RISCV64: [(&str, &str); 4] = [
            (r#"phys_addr="0x9000000""#, r#"phys_addr="0x10000000""#),
            (r#"irq="33""#, r#"irq="10""#),
            (r#"phys_addr="0xa003000""#, r#"phys_addr="0x10008000""#),
            (r#"irq="79" id="1" trigger="edge""#, r#"irq="8" id="1""#),
        ];
        let replace = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        match self {
            Self::Aarch64 => description.to_owned(),
            Self::Riscv64 => RISCV64.iter().fold(description.to_owned(), replace),
        }
    }

    /// QEMU, about to boot the image at `loader`: no display, no disk, no serial line yet.
    pub(crate) fn machine(self, loader: &Path) -> Command {
        // QEMU does not outlive who starts it, however that ends; setpriv is of util-linux.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", self.emulator()]);
        qemu.args(["-m", &format!("size={}M", RAM_SIZE >> 20)]);
        qemu.args(["-display", "none", "-monitor", "none"]);
        qemu.args(["-nic", "none"]);
        qemu.args(["-global", "virtio-mmio.force-legacy=false"]);
        match self {
            Self::Aarch64 => {
                let image = format!("loader,file={},addr=0x70000000,cpu-num=0", loader.display());
                qemu.args(["-machine", "virt,virtualization=on", "-cpu", "cortex-a53"]);
                qemu.args(["-device", &image]);
            }
            Self::Riscv64 => {
                qemu.args(["-machine", "virt", "-kernel"]).arg(loader);
            }
        }
        qemu
    }

    /// The physical address at which its RAM begins.
    pub(crate) fn ram(self) -> u64 {
        match self {
            Self::Aarch64 => 0x4000_0000,
            Self::Riscv64 => 0x8000_0000,
        }
    }

    /// The virtio-mmio bus whose registers `system.xml` names.
    pub(crate) fn disk_bus(self) -> &'static str {
        match self {
            Self::Aarch64 => "virtio-mmio-bus.31",
            Self::Riscv64 => "virtio-mmio-bus.7",
        }
    }
}
