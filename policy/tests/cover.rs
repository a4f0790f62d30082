//! No authority of a system description escapes the policy's lines.

use std::sync::Arc;

use portcullis_policy::{Policy, Problem, Source, check, load};
use portcullis_sdf::{Target, parse};

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
[guests.guest]
domain = "all"
[devices.nic]
domain = "all"
registers = []
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
        r#"region = "uart", perms = "rw", dma = "unbounded""#,
        &["`driver` maps region `uart` \"rw\""],
    ),
    (
        "driver",
        r#"region = "shared", perms = "rw""#,
        &["`driver` maps region `shared` \"rw\", shared with `client` \"r\""],
    ),
    (
        "guest",
        r#"region = "ram", perms = "rwx""#,
        &["guest `guest` maps region `ram` \"rwx\""],
    ),
    (
        "driver",
        r#"region = "dma", perms = "rw""#,
        &[
            "`driver` maps region `dma` \"rw\", shared with device `nic` \"rw\"",
            "`driver` knows the physical address of region `dma`",
        ],
    ),
    (
        "nic",
        r#"region = "dma", perms = "rw""#,
        &["device `nic` maps region `dma` \"rw\", shared with `driver` \"rw\""],
    ),
    ("driver", "irq = 33", &["`driver` handles interrupt 33"]),
    (
        "driver",
        r#"ioport = 0x3f8, size = 8, dma = "unbounded""#,
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

fn policy(lines: &[(&str, &str)]) -> Policy {
    read(text(lines))
}

fn text(lines: &[(&str, &str)]) -> String {
    let mut text = HEAD.to_owned();
    for (holder, line) in lines {
        let (field, fields) = (field(holder), line.replace(", ", "\n"));
        text.push_str(&format!("[[static]]\n{field} = \"{holder}\"\n{fields}\n"));
    }
    text
}

fn read(text: String) -> Policy {
    let source = Arc::new(Source::new("policy.toml", text));
    load(source, None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The field that names a holder.
fn field(holder: &str) -> &'static str {
    match holder {
        "guest" => "guest",
        "nic" => "device",
        _ => "component",
    }
}

fn lines_without(left_out: usize) -> Vec<(&'static str, &'static str)> {
    let kept = LINES
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != left_out);
    kept.map(|(_, (holder, line, _))| (*holder, *line))
        .collect()
}

/// What is wrong between a policy and a description, of one of these kinds.
fn problems(policy: &Policy, xml: &str, codes: &[&str]) -> Vec<Problem> {
    let system = parse(xml, &Target::ANY).unwrap();
    let source = Arc::new(Source::new("system.xml", xml));
    let mut problems = check::with_system(policy, &system, &source);
    problems.retain(|problem| codes.contains(&problem.code_name().as_str()));
    problems
}

/// Who has what, where no line says so.
fn found(policy: &Policy, xml: &str) -> Vec<String> {
    let problems = problems(policy, xml, &["policy::uncovered", "policy::mapped_wider"]);
    let said = problems.iter().map(ToString::to_string);
    said.map(|said| said[..said.rfind(", and ").unwrap()].to_owned())
        .collect()
}

fn unused(policy: &Policy) -> usize {
    problems(policy, SYSTEM, &["policy::unused_static"]).len()
}

/// What a line says of a device's DMA, and what is wrong with it.
fn dma(policy: &Policy, xml: &str) -> Vec<String> {
    let codes = ["policy::unbounded_dma", "policy::uncovered"];
    let problems = problems(policy, xml, &codes);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_device_needs_a_word_on_the_line_that_covers_it() {
    for (place, registers) in [(0, "region `uart`"), (6, "8 I/O ports from 0x3f8")] {
        let (holder, line, _) = LINES[place];
        let (bare, _) = line.rsplit_once(", dma").unwrap();
        for (word, is_said) in [("", false), ("none", true), ("unbounded", true)] {
            let line = match word {
                "" => bare.to_owned(),
                word => format!("{bare}, dma = \"{word}\""),
            };
            let mut lines = lines_without(place);
            lines.push((holder, &line));
            let policy = policy(&lines);
            let number = policy.statics.last().unwrap().place.line;
            let said = format!(
                "`driver` drives {registers}, which may be a device's, and line {number} of \
                 `policy.toml` does not say what its DMA can reach"
            );
            let expected = if is_said { vec![] } else { vec![said] };
            assert_eq!(dma(&policy, SYSTEM), expected, "{line}");
        }
    }
}

/// What an IOMMU bounds needs no word, whoever maps it; of others nothing is known.
#[test]
fn registers_of_a_device_behind_the_iommu_need_no_word() {
    let mut lines = lines_without(0);
    lines.push(("driver", r#"region = "uart", perms = "rw""#));
    let bound = text(&lines).replace("registers = []", r#"registers = ["uart"]"#);
    assert_eq!(dma(&read(bound), SYSTEM), [""; 0]);
    let unbound = read(text(&lines));
    assert_eq!(dma(&unbound, SYSTEM).len(), 1);
    let by_another = SYSTEM.replace(
        r#"<iomap mr="dma" "#,
        r#"<iomap mr="uart" iovaddr="0x9000" /><iomap mr="dma" "#,
    );
    lines.push(("nic", r#"region = "uart", perms = "rw""#));
    assert_eq!(dma(&read(text(&lines)), &by_another).len(), 2);
}

/// What is known to be memory is no device.
#[test]
fn memory_of_the_board_needs_no_word() {
    let board = |ram: std::ops::Range<u64>| portcullis_sdf::Board {
        memory: Some(portcullis_sdf::PhysicalMemory {
            devices: vec![0..ram.start, ram.end..0x4000_0000],
            ram: vec![ram],
            kernel: 0..0,
        }),
        ..portcullis_sdf::Board::default()
    };
    let mut lines = lines_without(0);
    lines.push(("driver", r#"region = "uart", perms = "rw""#));
    let policy = policy(&lines);
    let source = Arc::new(Source::new("system.xml", SYSTEM));
    for (ram, found) in [
        (0x4000_0000..0x8000_0000, 1),
        // The region begins where memory ends.
        (0x900_0000..0x900_0fff, 1),
        (0x900_0000..0x900_1000, 0),
    ] {
        let system = board(ram.clone()).parse(SYSTEM).unwrap();
        let mut problems = check::with_system(&policy, &system, &source);
        problems.retain(|problem| problem.code_name() == "policy::unbounded_dma");
        assert_eq!(problems.len(), found, "{ram:x?}");
    }
}

#[test]
fn with_every_line_nothing_is_uncovered() {
    let policy = policy(&lines_without(LINES.len()));
    assert_eq!(found(&policy, SYSTEM), Vec::<String>::new());
    assert_eq!(unused(&policy), 0);
}

#[test]
fn without_a_line_exactly_its_authority_is_uncovered() {
    for (place, (_, line, said)) in LINES.iter().enumerate() {
        assert_eq!(
            found(&policy(&lines_without(place)), SYSTEM),
            *said,
            "{line}"
        );
    }
}

#[test]
fn without_any_line_only_streams_and_calls_to_the_manager_are_covered() {
    let declared: usize = LINES.iter().map(|(_, _, said)| said.len()).sum();
    assert_eq!(found(&policy(&[]), SYSTEM).len(), declared);
}

#[test]
fn a_line_covers_the_ports_that_it_names_and_no_more() {
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
        let line = format!("{line}, dma = \"none\"");
        lines.push(("driver", &line));
        let expected: &[&str] = if covers { &[] } else { LINES[ports].2 };
        assert_eq!(found(&policy(&lines), SYSTEM), expected, "{line}");
    }
}

#[test]
fn a_line_of_another_component_covers_nothing() {
    for (place, (holder, line, said)) in LINES.iter().enumerate() {
        let other = "child";
        assert_ne!(*holder, other, "{line}");
        if line.contains("child") {
            // A component is not its own child.
            continue;
        }
        if line.contains("rwx") {
            // What a guest may, a component may not.
            continue;
        }
        let mut lines = lines_without(place);
        lines.push((other, *line));
        assert_eq!(found(&policy(&lines), SYSTEM), *said, "{line}");
    }
}

#[test]
fn a_line_of_another_component_is_unused() {
    for (_, line, _) in LINES.iter().filter(|(_, line, _)| !line.contains("rwx")) {
        let board_specific = ["irq", "ioport", "smc"]
            .iter()
            .any(|it| line.starts_with(it));
        let of_others = line.starts_with("child") || line.starts_with("vm");
        let other = if of_others { "client" } else { "child" };
        let policy = policy(&[(other, line)]);
        assert_eq!(unused(&policy), usize::from(!board_specific), "{line}");
    }
}

/// What is said, and the text that it points at.
fn places(problems: &[Problem], xml: &str) -> Vec<(String, String)> {
    let said = problems.iter().map(|problem| {
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
    let problems = problems(&policy, SYSTEM, &["policy::mapped_wider"]);
    assert_eq!(places(&problems, SYSTEM), [(said, map.to_owned())]);
}

#[test]
fn a_guest_and_a_device_are_held_to_permissions_too() {
    for place in [2, 4] {
        let (holder, line, said) = LINES[place];
        let less = line.replace("\"rw", "\"r");
        let mut lines = lines_without(place);
        lines.push((holder, &less));
        assert_eq!(found(&policy(&lines), SYSTEM), said);
    }
}

#[test]
fn the_reader_of_a_stream_may_not_write_it() {
    let written = SYSTEM.replace(
        r#"<map mr="stream" vaddr="0x4000000" perms="r" />"#,
        r#"<map mr="stream" vaddr="0x4000000" perms="rw" />"#,
    );
    assert_eq!(
        found(&policy(&lines_without(LINES.len())), &written),
        ["`client` maps region `stream` \"rw\", shared with `driver` \"rw\""]
    );
}

#[test]
fn notifying_the_manager_needs_a_line() {
    let notified = SYSTEM.replace(
        r#"<end pd="client" id="0" pp="true" notify="false" />"#,
        r#"<end pd="client" id="0" pp="true" />"#,
    );
    assert_eq!(
        found(&policy(&lines_without(LINES.len())), &notified),
        ["`client` can notify `manager`"]
    );
}

/// A help for what is refused anyway would lead to another refusal.
#[test]
fn no_help_offers_a_line_that_custody_refuses() {
    let manager =
        r#"<protection_domain name="manager" priority="200"><program_image path="m.elf" />"#;
    let held = r#"<map mr="uart" vaddr="0x1000000" /><irq irq="44" id="7" /><ioport id="1" addr="0x2f8" size="8" />
        <cspace><cap_vspace slot="2" pd="client" /></cspace>"#;
    let system = SYSTEM
        .replace(manager, &(manager.to_owned() + held))
        .replace("</system>", r#"<channel>
            <end pd="manager" id="9" pp="true" notify="false" /><end pd="watch" id="0" notify="false" />
        </channel><protection_domain name="watch" priority="250"><program_image path="w.elf" />
            <cspace><cap_tcb slot="2" pd="manager" /></cspace></protection_domain></system>"#);
    let mut text = text(&lines_without(LINES.len()));
    text.push_str("[components.watch]\ndomain = \"all\"\n");
    let policy = read(text);
    let codes = [
        "policy::manager_holds",
        "policy::manager_calls",
        "policy::manager_held",
    ];
    let refused = problems(&policy, &system, &codes);
    assert_eq!(refused.len(), 6, "{refused:#?}");
    assert_eq!(found(&policy, &system), [""; 0]);
}

#[test]
fn a_line_that_notifies_does_not_cover_a_call() {
    let mut lines = lines_without(13);
    lines.push(("client", r#"channel = "driver", mode = "notify""#));
    assert_eq!(found(&policy(&lines), SYSTEM), *LINES[13].2);
}

#[test]
fn the_slot_of_the_grants_cnode_is_not_for_others() {
    let taken = SYSTEM.replace(r#"slot="2" pd="client""#, r#"slot="1" pd="client""#);
    let said = "`driver` holds the TCB of `client` in slot 1 of its root CNode, where its grants CNode \
                lies";
    let cap = r#"<cap_tcb slot="1" pd="client""#;
    let policy = policy(&lines_without(LINES.len()));
    let problems = problems(&policy, &taken, &["policy::root_slot_taken"]);
    assert_eq!(
        places(&problems, &taken),
        [(said.to_owned(), cap.to_owned())]
    );
}

#[test]
fn remedies_are_lines_that_cover() {
    for (place, (holder, line, _)) in LINES.iter().enumerate() {
        let policy = policy(&lines_without(place));
        let remedy = problems(&policy, SYSTEM, &["policy::uncovered"])[0].remedy();
        let named = format!("{} = \"{holder}\"", field(holder));
        let line = line.replace(", ", "\n");
        let toml = format!("\n[[static]]\n{named}\n{line}");
        assert!(remedy.ends_with(&toml), "{remedy} should say {toml}");
    }
}
