//! Every fault has a description with that fault and no other, named after it; beside it stands what
//! is said of it, to the letter: place, message, remedy.
//!
//! A comment `target: ...` in a description names the target that it is read for.

#![expect(
    clippy::single_range_in_vec_init,
    reason = "a board may have one range"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_sdf::{Board, Errors, PhysicalMemory, Position, Target, parse};

fn fixtures_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"))
}

fn fixtures() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(fixtures_folder().join("faults"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "system"))
        .collect();
    files.sort();
    files
}

/// The board that a description names.
fn board(text: &str) -> Board {
    let named = text.split_once("<!-- target: ").map(|(_, rest)| rest);
    let named = named.and_then(|rest| rest.split_once(" -->"));
    let aarch64 = Board::from(Target::AARCH64);
    match named.map_or("any", |(name, _)| name) {
        "any" => Board::default(),
        "any with files" => Board {
            search_paths: Some(vec![fixtures_folder().join("files")]),
            ..Board::default()
        },
        "aarch64" => aarch64,
        "aarch64 with 4 cores" => Board::from(Target {
            cores: 4,
            ..Target::AARCH64
        }),
        // As QEMU's virt board: devices below memory, the GIC among them, the kernel in memory.
        "aarch64 with memory" => Board {
            memory: Some(PhysicalMemory {
                ram: vec![0x4000_0000..0xc000_0000],
                devices: vec![
                    0..0x800_0000,
                    0x802_0000..0x4000_0000,
                    0xc000_0000..0x100_0000_0000,
                ],
                kernel: 0x6000_0000..0x6024_0000,
            }),
            ..aarch64
        },
        "riscv64" => Board::from(Target::RISCV64),
        "x86_64" => Board::from(Target::X86_64),
        other => panic!("no target {other:?}"),
    }
}

fn said(text: &str, errors: &Errors) -> String {
    let lines = errors.iter().map(|error| {
        let position = Position::of(text, error.span.start);
        format!("{position}: {}\nhelp: {}\n", error.message(), error.help())
    });
    lines.collect()
}

#[test]
fn every_fault_says_what_and_where_and_what_to_do() {
    let mut wrong = Vec::new();
    for path in fixtures() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let expected = fs::read_to_string(path.with_extension("message")).unwrap_or_default();
        match board(&text).parse(&text) {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(errors) => {
                let said = said(&text, &errors);
                if said != expected {
                    wrong.push(format!("{name}:\nsaid\n{said}expected\n{expected}"));
                }
                if errors.iter().count() != 1 {
                    wrong.push(format!("{name}: one fault each"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A fault without a fixture would have nothing to hold its message still.
#[test]
fn every_fault_has_a_fixture() {
    let source = include_str!("../src/fault.rs");
    let (_, body) = source.split_once("pub enum Fault {").unwrap();
    let variant = |line: &str| -> Option<String> {
        let name = line.strip_prefix("    ")?;
        let end = name.find(|c: char| !c.is_alphanumeric())?;
        let is_variant = name.starts_with(|c: char| c.is_ascii_uppercase());
        is_variant.then(|| name[..end].to_owned())
    };
    let declared: BTreeSet<String> = body.lines().filter_map(variant).collect();
    let mut seen = BTreeSet::new();
    for path in fixtures() {
        let text = fs::read_to_string(&path).unwrap();
        let errors = board(&text).parse(&text).unwrap_err();
        for error in &errors {
            let debug = format!("{:?}", error.fault);
            let end = debug.find(|c: char| !c.is_alphanumeric());
            seen.insert(debug[..end.unwrap_or(debug.len())].to_owned());
        }
    }
    assert_eq!(seen, declared);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = r#"<system>
    <memory_region name="m" size="0x1001" />
    <protection_domain name="a" priority="300">
        <map mr="n" vaddr="0x1000" perms="w" />
    </protection_domain>
</system>"#;
    let errors = parse(text, &Target::ANY).unwrap_err();
    let places: Vec<String> = errors
        .iter()
        .map(|error| Position::of(text, error.span.start).to_string())
        .collect();
    // In the order of the text: size, missing program, priority, region, permissions.
    assert_eq!(places, ["2:35", "3:5", "3:43", "4:18", "4:43"]);
}
