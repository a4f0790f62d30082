//! On whose honesty a verdict depends: also on that of who controls one that reaches all memory.

use std::sync::Arc;

use portcullis_policy::check::assumed_honest;
use portcullis_policy::{Source, read};

const HEAD: &str = r#"
name = "honest"
version = 1
[domains]
all = {}
[components.blk]
domain = "all"
[components.edge]
domain = "all"
[components.far]
domain = "all"
[guests.lin]
domain = "all"
[devices.nic]
domain = "all"
registers = ["nic_regs"]
[[static]]
component = "blk"
region = "disk"
perms = "rw"
dma = "unbounded"
"#;

fn assumed(lines: &str) -> Vec<String> {
    let source = Source::new("honest.toml", HEAD.to_owned() + lines);
    let reading = read::read(Arc::new(source));
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    assumed_honest(&reading.policy, None)
}

fn line(holder: &str, what: &str) -> String {
    format!("[[static]]\n{holder}\n{what}\n")
}

#[test]
fn nobody_but_the_driver() {
    let uart = "region = \"uart\"\nperms = \"rw\"\ndma = \"none\"";
    assert_eq!(assumed(&line("component = \"edge\"", uart)), ["`blk`"]);
}

#[test]
fn a_device_does_what_any_line_says_of_it() {
    let same = "region = \"disk\"\nperms = \"r\"\ndma = \"none\"";
    assert_eq!(
        assumed(&line("component = \"edge\"", same)),
        ["`blk`", "`edge`"]
    );
}

#[test]
fn whoever_controls_a_driver_at_first_or_second_hand() {
    for power in [
        "cap = \"tcb of blk\"",
        "cap = \"vspace of blk\"",
        "child = \"blk\"",
    ] {
        let lines = line("component = \"edge\"", power)
            + &line("component = \"far\"", "cap = \"sc of edge\"");
        assert_eq!(assumed(&lines), ["`blk`", "`edge`", "`far`"], "{power}");
    }
    let disk = "region = \"other\"\nperms = \"rw\"\ndma = \"unbounded\"";
    let lines = line("guest = \"lin\"", disk) + &line("component = \"edge\"", "vm = \"lin\"");
    assert_eq!(assumed(&lines), ["`blk`", "`edge`", "guest `lin`"]);
}

#[test]
fn whoever_drives_a_device_that_reaches_all_memory() {
    let lines = line(
        "device = \"nic\"",
        "region = \"other\"\nperms = \"rw\"\ndma = \"unbounded\"",
    ) + &line(
        "component = \"edge\"",
        "region = \"nic_regs\"\nperms = \"rw\"",
    );
    assert_eq!(assumed(&lines), ["`blk`", "`edge`", "device `nic`"]);
}

#[test]
fn the_ports_of_pci_reach_every_device() {
    for (base, size, refused) in [
        (0xcf8, 8, true),
        (0xcf0, 9, true),
        (0xd00, 8, false),
        (0xcf0, 8, false),
    ] {
        let ports = format!("ioport = {base}\nsize = {size}\ndma = \"none\"");
        let text = HEAD.to_owned() + &line("component = \"edge\"", &ports);
        let reading = read::read(Arc::new(Source::new("honest.toml", text)));
        assert_eq!(!reading.problems.is_empty(), refused, "{base:#x}");
    }
}
