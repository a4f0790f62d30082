//! On whose honesty a verdict depends: also on that of who controls one that reaches all memory.

use std::sync::Arc;

use portcullis_policy::check::assumed_honest;
use portcullis_policy::{Source, load, read};

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
fn whoever_makes_secure_monitor_calls() {
    let lines = line("component = \"edge\"", "smc = true")
        + &line("component = \"far\"", "cap = \"tcb of edge\"");
    assert_eq!(assumed(&lines), ["`blk`", "`edge`", "`far`"]);
}

/// Of whom else must be honest, the verdict assumes that they give a record to nobody.
#[test]
fn a_record_ends_where_honesty_is_assumed() {
    let log = r#"
[interfaces.worm]
append = 0
[components.manager]
domain = "all"
[components.keeper]
domain = "all"
offers = ["worm"]
[components.web]
domain = "net"
[components.vault]
domain = "safe"
[[grants]]
subject = "manager"
object = "keeper"
interface = "worm"
methods = ["append"]
mode = "stream"
region = "ring"
records = "opaque"
when = "boot"
[[never]]
from = "net"
to = "safe"
[[flows]]
from = "all"
to = "safe"
modes = ["stream"]
"#;
    let verdict = |driver: &str| {
        let shared = [
            ("keeper", "log_disk", "rw"),
            (driver, "log_disk", "rw"),
            (driver, "vault_disk", "rw"),
            ("vault", "vault_disk", "r"),
        ];
        let lines = shared.map(|(name, region, perms)| {
            let what = format!("region = \"{region}\"\nperms = \"{perms}\"");
            line(&format!("component = \"{name}\""), &what)
        });
        let text =
            HEAD.replace("all = {}", "all = {}\nnet = {}\nsafe = {}") + log + &lines.concat();
        load(Arc::new(Source::new("honest.toml", text)), None)
    };
    let policy = verdict("blk").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(assumed_honest(&policy, None), ["`blk`", "`keeper`"]);
    let problems = verdict("edge").unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let path = "`web` -> `edge`";
    assert!(told.len() == 1 && told[0].contains(path), "{told:?}");
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
