//! No text makes the reader panic, and what it says of a text always lies in the text.

use portcullis_sdf::{Position, Target, parse};
use proptest::prelude::*;

const VALID: [&str; 4] = [
    include_str!("fixtures/valid/microkit.system"),
    include_str!("fixtures/valid/sddf.system"),
    include_str!("fixtures/valid/lionsos.system"),
    include_str!("fixtures/valid/x86_64.system"),
];
const TARGETS: [Target; 4] = [
    Target::ANY,
    Target::AARCH64,
    Target::RISCV64,
    Target::X86_64,
];

/// Reads, and looks at every message and place.
fn look(text: &str) {
    for target in &TARGETS {
        if let Err(errors) = parse(text, target) {
            assert!(errors.iter().count() > 0);
            for error in &errors {
                assert!(error.span.start <= error.span.end, "{error:?}");
                assert!(error.span.end <= text.len(), "{error:?}");
                assert!(!error.message().is_empty() && !error.help().is_empty());
                let position = Position::of(text, error.span.start);
                assert!(position.line > 0 && position.column > 0);
            }
        }
    }
}

/// Words that mean something somewhere.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "0",
            "1",
            "61",
            "62",
            "-1",
            "0x1000",
            "0x1001",
            "0x200000",
            "true",
            "false",
            "r",
            "w",
            "rwx",
            "edge",
            "a",
            "b",
            "m",
            "0:4.0",
            "1000 us",
            "18446744073709551615",
            "0xfffffffffffff000",
            "4294967296",
            "x\"/><",
            "&amp;",
            "\u{1f980}",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

/// An element out of the format's names, in any nesting.
fn element() -> impl Strategy<Value = String> {
    let names = vec![
        "protection_domain",
        "program_image",
        "map",
        "irq",
        "ioport",
        "setvar",
        "virtual_machine",
        "vcpu",
        "cspace",
        "cap_tcb",
        "cap_sc",
        "memory_region",
        "channel",
        "end",
        "domains",
        "domain",
        "domain_schedule",
        "schedule_entry",
        "schedule_end_marker",
        "io_address_space",
        "iomap",
        "x:map",
    ];
    let attributes = vec![
        "name",
        "priority",
        "budget",
        "period",
        "passive",
        "stack_size",
        "cpu",
        "smc",
        "fpu",
        "domain",
        "id",
        "setvar_id",
        "path",
        "mr",
        "vaddr",
        "perms",
        "cached",
        "irq",
        "pin",
        "vector",
        "pcidev",
        "handle",
        "trigger",
        "addr",
        "size",
        "symbol",
        "region_paddr",
        "slot",
        "pd",
        "pp",
        "notify",
        "page_size",
        "phys_addr",
        "prefill_path",
        "peripheral_id",
        "domain_id",
        "iovaddr",
        "duration",
        "start_index",
        "index_shift",
        "xmlns:x",
    ];
    let escape = |text: String| {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;");
        text.replace(|c: char| c.is_control(), " ")
    };
    let tag = (
        prop::sample::select(names),
        prop::collection::btree_map(prop::sample::select(attributes), word(), 0..6),
    );
    let leaf = tag.prop_map(move |(name, attributes)| {
        let attributes: String = attributes
            .into_iter()
            .map(|(key, value)| format!(" {key}=\"{}\"", escape(value)))
            .collect();
        format!("<{name}{attributes} />")
    });
    leaf.prop_recursive(4, 24, 6, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..6)).prop_map(|(outer, children)| {
            let open = outer.trim_end_matches("/>").trim_end();
            let name = open[1..].split([' ', '>']).next().unwrap_or("map");
            // A recursive element's outer part may itself have children: keep its last tag whole.
            if open.matches('<').count() == 1 {
                format!("{open}>{}</{name}>", children.concat())
            } else {
                format!("{outer}{}", children.concat())
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text(text in ".{0,200}") {
        look(&text);
    }

    #[test]
    fn any_elements(elements in prop::collection::vec(element(), 0..8)) {
        look(&format!("<system xmlns:x=\"urn:x\">{}</system>", elements.concat()));
    }

    #[test]
    fn a_valid_text_with_values_exchanged(
        which in 0..VALID.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..4),
    ) {
        let mut parts: Vec<String> = VALID[which].split('"').map(str::to_owned).collect();
        for (at, word) in changes {
            // Every second part between quotation marks is a value.
            let values = parts.len() / 2;
            let value = &mut parts[at.index(values) * 2 + 1];
            *value = word.replace(['"', '<', '&'], "");
        }
        look(&parts.join("\""));
    }

    #[test]
    fn a_valid_text_cut_and_spliced(
        which in 0..VALID.len(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        insert in "[<>/\"= a-z]{0,6}",
    ) {
        let text = VALID[which].as_bytes();
        let (from, to) = (from.index(text.len()), to.index(text.len()));
        let bytes = [&text[..from.min(to)], insert.as_bytes(), &text[from.max(to)..]].concat();
        look(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = 5_000;
    let open = r#"<protection_domain name="a" id="1">"#.repeat(deep);
    let close = "</protection_domain>".repeat(deep);
    look(&format!("<system>{open}{close}</system>"));
    let others = format!(
        "<system>{}{}</system>",
        "<map>".repeat(deep),
        "</map>".repeat(deep)
    );
    look(&others);
}

#[test]
fn blanks_that_attributes_can_have_are_taken() {
    let blanks = " ".repeat(400);
    let text = format!(
        "<system><protection_domain name{blanks}={blanks}\"ä\" priority=\"x\"><program_image path = 'a' />\
         </protection_domain></system>"
    );
    look(&text);
}

/// Namespaces that are declared one in the other: the XML parser compares each with all around it.
#[test]
fn nested_namespaces_are_bounded() {
    let deep = 5_000;
    let open = |number| format!("<a xmlns:n{number}=\"u{number}\">");
    let nested: String = (0..deep).map(open).collect();
    let errors = parse(&format!("{nested}{}", "</a>".repeat(deep)), &Target::ANY).unwrap_err();
    let message = errors.iter().next().unwrap().message();
    assert!(message.contains("more than 64 namespaces"), "{message}");
    let few = VALID[0].replacen("<system>", "<system xmlns:a=\"b\">", 1);
    assert!(few != VALID[0] && parse(&few, &Target::ANY).is_ok());
}

/// A region that is not there, named often: other names are suggested while somebody reads that.
#[test]
fn suggestions_are_bounded() {
    let system = |regions: usize, maps: usize| {
        let tail = "x".repeat(55);
        let region = |it| format!("<memory_region name=\"r{it}{tail}\" size=\"0x1000\" />");
        let map = |it: usize| format!("<map mr=\"q{it}{tail}\" vaddr=\"{:#x}\" />", (it + 1) << 12);
        let regions: String = (0..regions).map(region).collect();
        let maps: String = (0..maps).map(map).collect();
        format!(
            "<system>{regions}<protection_domain name=\"p\"><program_image path=\"p.elf\" />{maps}\
             </protection_domain></system>"
        )
    };
    let suggestions = |regions, maps| {
        let errors = parse(&system(regions, maps), &Target::ANY).unwrap_err();
        let suggests = |error: &&portcullis_sdf::Error| error.help().contains("xxx");
        errors.iter().filter(suggests).count()
    };
    assert_eq!(suggestions(10, 3), 3);
    assert_eq!(suggestions(10, 2_000), 100);
    assert_eq!(suggestions(5_000, 3), 0);
}
