//! What differs from board to board: a file of facts each, in `boards/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use clap::ValueEnum;
use portcullis_sdf::{Architecture, Errors, IrqSource, Span, Target};
use serde::Deserialize;

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
        &self.facts().target
    }

    /// Its architecture.
    pub(crate) fn architecture(self) -> Architecture {
        match self.facts().architecture {
            Processor::Aarch64 => Architecture::Aarch64,
            Processor::Riscv64 => Architecture::Riscv64,
        }
    }

    /// QEMU's program for its architecture.
    pub fn emulator(self) -> &'static str {
        &self.facts().emulator.program
    }

    /// A system description for this board, out of one for another: its devices where this board has
    /// them. Regions and protection domains that the facts do not name stay as they are.
    pub fn describe(self, description: &str) -> Result<String, Errors> {
        let facts = self.facts();
        let system = portcullis_sdf::parse(description, &Target::ANY)?;
        let mut changes: Vec<(Span, String)> = Vec::new();
        for region in &system.memory_regions {
            let address = facts.phys_addr.get(&region.name.value);
            if let (Some(there), Some(address)) = (&region.phys_addr, address) {
                changes.push((there.span.clone(), format!("{address:#x}")));
            }
        }
        for pd in &system.protection_domains {
            let fact = facts.irq.get(&pd.name.value);
            let source = pd.irqs.first().map(|irq| &irq.source);
            if let (Some(fact), Some(IrqSource::Conventional { irq, trigger })) = (fact, source) {
                changes.push((irq.span.clone(), fact.number.to_string()));
                // Without the attribute its place is the whole tag, and what it means is level.
                if description[trigger.span.clone()].starts_with('<') {
                    assert_eq!(
                        fact.trigger, "level",
                        "{}: no trigger to change",
                        pd.name.value
                    );
                } else {
                    changes.push((trigger.span.clone(), fact.trigger.clone()));
                }
            }
        }
        changes.sort_by_key(|(span, _)| span.start);
        let mut text = description.to_owned();
        for (span, value) in changes.into_iter().rev() {
            text.replace_range(span, &value);
        }
        Ok(text)
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
        let loader = loader.display().to_string();
        let arguments = self.facts().emulator.arguments.iter();
        qemu.args(arguments.map(|argument| argument.replace("{image}", &loader)));
        qemu
    }

    /// The physical address at which its RAM begins.
    pub(crate) fn ram(self) -> u64 {
        self.facts().ram
    }

    /// The virtio-mmio bus whose registers `system.xml` names.
    pub(crate) fn disk_bus(self) -> &'static str {
        &self.facts().disk_bus
    }

    /// The same, of the random number generator.
    pub(crate) fn rng_bus(self) -> &'static str {
        &self.facts().rng_bus
    }

    fn facts(self) -> &'static Facts {
        macro_rules! facts {
            ($file:literal) => {{
                static FACTS: LazyLock<Facts> = LazyLock::new(|| {
                    toml::from_str(include_str!($file)).expect("a test reads every board's file")
                });
                &FACTS
            }};
        }
        match self {
            Self::Aarch64 => facts!("../boards/qemu_virt_aarch64.toml"),
            Self::Riscv64 => facts!("../boards/qemu_virt_riscv64.toml"),
        }
    }
}

/// What a board's file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    architecture: Processor,
    target: String,
    ram: u64,
    disk_bus: String,
    rng_bus: String,
    emulator: Emulator,
    /// Of device regions, by name.
    phys_addr: BTreeMap<String, u64>,
    /// Of protection domains, by name.
    irq: BTreeMap<String, Interrupt>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Processor {
    Aarch64,
    Riscv64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Emulator {
    program: String,
    /// `{image}` stands for what is booted.
    arguments: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interrupt {
    number: u64,
    trigger: String,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_appliance_is_described_for_every_board() {
        let description = fs::read_to_string(crate::root().join("system.xml")).unwrap();
        for board in Board::ALL {
            let text = board.describe(&description).unwrap();
            let system = portcullis_sdf::parse(&text, &Target::ANY).unwrap();
            let region = |name: &str| {
                let found = system
                    .memory_regions
                    .iter()
                    .find(|it| it.name.value == name);
                found.unwrap().phys_addr.as_ref().unwrap().value
            };
            let facts = board.facts();
            for (name, address) in &facts.phys_addr {
                assert_eq!(region(name), *address, "{name}");
            }
            for (name, fact) in &facts.irq {
                let pd = system.pd(system.pd_named(name).unwrap());
                let [irq] = &pd.irqs[..] else {
                    panic!("{name}")
                };
                let IrqSource::Conventional { irq, trigger } = &irq.source else {
                    panic!("{name}")
                };
                assert_eq!(irq.value, fact.number);
                assert_eq!(format!("{:?}", trigger.value).to_lowercase(), fact.trigger);
            }
            // What a board is told again stays.
            assert_eq!(board.describe(&text).unwrap(), text);
        }
        assert_eq!(Board::Aarch64.describe(&description).unwrap(), description);
    }
}
