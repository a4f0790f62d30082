//! No authority of a system description escapes the policy's lines.

use std::sync::Arc;

use portcullis_policy::authority::{Authority, authorities, check, uncovered, unused};
use portcullis_policy::{Described, Policy, Source, load};
use portcullis_sdf::{System, Target, parse};

/// Everything that a description can give, and the two things that need no line: the call to the
/// manager, and the two ends of a stream.
const SYSTEM: &str = r#"<system>
    <memory_region name="uart" size="0x1000" phys_addr="0x9000000" />
    <memory_region name="shared" size="0x1000" />
    <memory_region name="ram" size="0x200000" />
    <memory_region name="dma" size="0x1000" page_size="0x1000" />
    <memory_region name="stream" size="0x1000" />
    <io_address_space name="nic" peripheral_id="0:4.0" domain_id="1">
        <iomap mr="dma" iovaddr="0x1000" perms="rw" />
    </io_address_space>
    <protection_domain name="manager" priority="200"><program_image path="m.elf" /></protection_domain>
    <protection_domain name="driver" priority="100" smc="true">
        <program_image path="d.elf" />
        <map mr="uart" vaddr="0x1000000" perms="rw" cached="false" />
        <map mr="shared" vaddr="0x2000000" perms="rw" />
        <map mr="dma" vaddr="0x3000000" perms="rw" />
        <map mr="stream" vaddr="0x4000000" perms="rw" />
        <irq irq="33" id="1" />
        <ioport id="1" addr="0x3f8" size="8" />
        <setvar symbol="dma_paddr" region_paddr="dma" />
        <cspace><cap_tcb slot="2" pd="client" /></cspace>
        <protection_domain name="child" priority="50" id="1"><program_image path="c.elf" /></protection_domain>
        <virtual_machine name="guest"><vcpu id="2" /><map mr="ram" vaddr="0x0" perms="rwx" /></virtual_machine>
    </protection_domain>
    <protection_domain name="client" priority="10">
        <program_image path="k.elf" />
        <map mr="shared" vaddr="0x2000000" perms="r" />
        <map mr="stream" vaddr="0x4000000" perms="r" />
    </protection_domain>
    <channel><end pd="client" id="1" pp="true" notify="false" /><end pd="driver" id="2" /></channel>
    <channel><end pd="client" id="0" pp="true" notify="false" /><end pd="manager" id="1" notify="false" /></channel>
</system>"#;

const HEAD: &str = r#"
name = "test"
version = 1
[domains]
all = {}
[interfaces.feed]
frame = 0
[components.manager]
domain = "all"
[components.driver]
domain = "all"
[components.child]
domain = "all"
[components.client]
domain = "all"
offers = ["feed"]
[[grants]]
subject = "driver"
object = "client"
interface = "feed"
methods = ["frame"]
mode = "stream"
region = "stream"
when = "boot"
"#;

/// A line for each authority that needs one, with what is said where it is not there.
const LINES: &[(&str, &str, &[&str])] = &[
    (
        "driver",
        r#"region = "uart", perms = "rw""#,
        &["`driver` maps region `uart` \"rw\""],
    ),
    (
        "driver",
        r#"region = "shared", perms = "rw""#,
        &["`driver` maps region `shared` \"rw\", shared with `client` \"r\""],
    ),
    (
        "driver",
        r#"region = "ram", perms = "rwx""#,
        &["the guest of virtual machine `guest` maps region `ram` \"rwx\""],
    ),
    (
        // The device's reach and the address that it is told are the driver's to answer for.
        "driver",
        r#"region = "dma", perms = "rw""#,
        &[
            "`driver` maps region `dma` \"rw\", shared with device `nic` \"rw\"",
            "`driver` knows the physical address of region `dma`",
            "device `nic` maps region `dma` \"rw\", shared with `driver` \"rw\"",
        ],
    ),
    ("driver", "irq = 33", &["`driver` handles interrupt 33"]),
    (
        "driver",
        "ioport = 0x3f8, size = 8",
        &["`driver` drives 8 I/O ports from 0x3f8"],
    ),
    (
        "driver",
        r#"cap = "tcb of client""#,
        &["`driver` holds the TCB of `client`"],
    ),
    (
        "driver",
        r#"child = "child""#,
        &["`driver` controls `child` and handles its faults"],
    ),
    (
        "driver",
        r#"vm = "guest""#,
        &["`driver` runs virtual machine `guest`"],
    ),
    (
        "driver",
        "smc = true",
        &["`driver` can make secure monitor calls"],
    ),
    (
        "driver",
        r#"channel = "client", mode = "notify""#,
        &["`driver` can notify `client`"],
    ),
    (
        "client",
        r#"region = "shared", perms = "r""#,
        &["`client` maps region `shared` \"r\", shared with `driver` \"rw\""],
    ),
    (
        "client",
        r#"channel = "driver""#,
        &["`client` can call `driver`"],
    ),
];

fn system() -> System {
    parse(SYSTEM, &Target::ANY).unwrap()
}

fn policy(lines: &[(&str, &str)]) -> Policy {
    let mut text = HEAD.to_owned();
    for (component, line) in lines {
        let fields = line.replace(", ", "\n");
        text.push_str(&format!(
            "[[static]]\ncomponent = \"{component}\"\n{fields}\n"
        ));
    }
    let source = Arc::new(Source::new("policy.toml", text));
    load(source, None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn lines_without(left_out: usize) -> Vec<(&'static str, &'static str)> {
    let kept = LINES
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != left_out);
    kept.map(|(_, (component, line, _))| (*component, *line))
        .collect()
}

fn say(system: &System, authority: &Authority) -> String {
    format!(
        "{} {}",
        authority.holder.describe(system),
        authority.describe(system)
    )
}

fn found(policy: &Policy, system: &System) -> Vec<String> {
    let uncovered = uncovered(policy, system);
    uncovered
        .iter()
        .map(|one| say(system, &one.authority))
        .collect()
}

#[test]
fn with_every_line_nothing_is_uncovered() {
    let (policy, system) = (policy(&lines_without(LINES.len())), system());
    assert_eq!(found(&policy, &system), Vec::<String>::new());
    assert!(unused(&policy, &system).is_empty());
}

#[test]
fn without_a_line_exactly_its_authority_is_uncovered() {
    let system = system();
    for (place, (_, line, said)) in LINES.iter().enumerate() {
        assert_eq!(
            found(&policy(&lines_without(place)), &system),
            *said,
            "{line}"
        );
    }
}

#[test]
fn without_any_line_only_streams_and_calls_to_the_manager_are_covered() {
    let (policy, system) = (policy(&[]), system());
    let all = authorities(&system).len();
    let declared: usize = LINES.iter().map(|(_, _, said)| said.len()).sum();
    assert_eq!(found(&policy, &system).len(), declared);
    // Two ends of the stream, one call to the manager.
    assert_eq!(all, declared + 3);
}

#[test]
fn a_line_covers_the_ports_that_it_names_and_no_more() {
    let system = system();
    let ports = LINES
        .iter()
        .position(|(_, line, _)| line.starts_with("ioport"));
    let ports = ports.unwrap();
    for (line, covers) in [
        ("ioport = 0x3f8, size = 9", true),
        ("ioport = 0x3f0, size = 16", true),
        ("ioport = 0x3f8, size = 7", false),
        ("ioport = 0x3f9, size = 8", false),
        ("ioport = 0x3f0, size = 15", false),
    ] {
        let mut lines = lines_without(ports);
        lines.push(("driver", line));
        let expected: &[&str] = if covers { &[] } else { LINES[ports].2 };
        assert_eq!(found(&policy(&lines), &system), expected, "{line}");
    }
}

#[test]
fn a_line_of_another_component_covers_nothing() {
    let system = system();
    for (place, (component, line, said)) in LINES.iter().enumerate() {
        let other = "child";
        assert_ne!(*component, other, "{line}");
        if line.contains("child") || line.contains("dma") {
            // A component is not its own child; and a device may be anybody's.
            continue;
        }
        let mut lines = lines_without(place);
        lines.push((other, *line));
        assert_eq!(found(&policy(&lines), &system), *said, "{line}");
    }
}

#[test]
fn a_line_of_another_component_is_unused() {
    let system = system();
    for (component, line, _) in LINES {
        let board_specific = ["irq", "ioport", "smc"]
            .iter()
            .any(|it| line.starts_with(it));
        let of_others = line.starts_with("child") || line.starts_with("vm");
        let other = match (*component, of_others) {
            // The manager has neither.
            ("driver", true) => "client",
            ("driver", false) => "manager",
            _ => "child",
        };
        let policy = policy(&[(other, line)]);
        assert_eq!(
            unused(&policy, &system).len(),
            usize::from(!board_specific),
            "{line}"
        );
    }
}

/// What the check says, and the text that it points at.
fn problems(policy: &Policy, xml: &str) -> Vec<(String, String)> {
    let system = parse(xml, &Target::ANY).unwrap();
    let source = Arc::new(Source::new("system.xml", xml));
    let described = Described {
        system: &system,
        source: &source,
    };
    let said = check(policy, described).into_iter().map(|problem| {
        let place = xml[problem.place().span.clone()].to_owned();
        (problem.to_string(), place)
    });
    said.collect()
}

#[test]
fn a_wider_mapping_names_both() {
    let mut lines = lines_without(0);
    lines.push(("driver", r#"region = "uart", perms = "r""#));
    let policy = policy(&lines);
    let line = policy.statics.last().unwrap().place.line;
    let said = format!(
        "`driver` maps region `uart` \"rw\", and line {line} of `policy.toml` allows \"r\""
    );
    let map = r#"<map mr="uart" vaddr="0x1000000" perms="rw" cached="false""#;
    assert_eq!(problems(&policy, SYSTEM), [(said, map.to_owned())]);
}

#[test]
fn a_guest_and_a_device_are_held_to_permissions_too() {
    let mut lines = lines_without(2);
    lines.push(("driver", r#"region = "ram", perms = "rw""#));
    let system = system();
    assert_eq!(found(&policy(&lines), &system), *LINES[2].2);

    let mut lines = lines_without(3);
    lines.push(("driver", r#"region = "dma", perms = "r""#));
    // That the driver may know the address follows from any line.
    let (driver, device) = (LINES[3].2[0], LINES[3].2[2]);
    assert_eq!(found(&policy(&lines), &system), [driver, device]);
}

#[test]
fn the_reader_of_a_stream_may_not_write_it() {
    let written = SYSTEM.replace(
        r#"<map mr="stream" vaddr="0x4000000" perms="r" />"#,
        r#"<map mr="stream" vaddr="0x4000000" perms="rw" />"#,
    );
    let system = parse(&written, &Target::ANY).unwrap();
    assert_eq!(
        found(&policy(&lines_without(LINES.len())), &system),
        ["`client` maps region `stream` \"rw\", shared with `driver` \"rw\""]
    );
}

#[test]
fn notifying_the_manager_needs_a_line() {
    let notified = SYSTEM.replace(
        r#"<end pd="client" id="0" pp="true" notify="false" />"#,
        r#"<end pd="client" id="0" pp="true" />"#,
    );
    let system = parse(&notified, &Target::ANY).unwrap();
    assert_eq!(
        found(&policy(&lines_without(LINES.len())), &system),
        ["`client` can notify `manager`"]
    );
}

#[test]
fn what_the_manager_calls_needs_a_line() {
    let called = SYSTEM.replace("</system>", r#"<channel>
        <end pd="manager" id="9" pp="true" notify="false" /><end pd="watch" id="0" notify="false" />
    </channel><protection_domain name="watch" priority="250"><program_image path="w.elf" /></protection_domain></system>"#);
    let system = parse(&called, &Target::ANY).unwrap();
    assert_eq!(
        found(&policy(&lines_without(LINES.len())), &system),
        ["`manager` can call `watch`"]
    );
}

#[test]
fn a_line_that_notifies_does_not_cover_a_call() {
    let mut lines = lines_without(12);
    lines.push(("client", r#"channel = "driver", mode = "notify""#));
    assert_eq!(found(&policy(&lines), &system()), *LINES[12].2);
}

#[test]
fn the_slot_of_the_grants_cnode_is_not_for_others() {
    let taken = SYSTEM.replace(r#"slot="2" pd="client""#, r#"slot="1" pd="client""#);
    let said = "`driver` holds the TCB of `client` in slot 1 of its root CNode, where its grants CNode \
                lies";
    let cap = r#"<cap_tcb slot="1" pd="client""#;
    assert_eq!(
        problems(&policy(&lines_without(LINES.len())), &taken),
        [(said.to_owned(), cap.to_owned())]
    );
}

#[test]
fn remedies_are_lines_that_cover() {
    let xml = SYSTEM;
    let source = Arc::new(Source::new("system.xml", xml));
    let system = system();
    for (place, (component, line, _)) in LINES.iter().enumerate() {
        let policy = policy(&lines_without(place));
        let described = Described {
            system: &system,
            source: &source,
        };
        let first = &check(&policy, described)[0];
        let remedy = first.remedy();
        assert!(
            remedy.contains(&format!("component = \"{component}\", ")),
            "{remedy}"
        );
        assert!(remedy.contains(line), "{remedy} should say {line}");
    }
}
