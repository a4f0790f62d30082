//! The serial console on the boards: what a person can see on it, and that nothing typed there
//! changes anything.

mod common;

use std::time::Duration;

use portcullis_qemu::{Board, Machine, capscan, watch};

use common::Case;

/// Longer than a board needs for an answer, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    shows_everything_and_changes_nothing(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    shows_everything_and_changes_nothing(Board::Riscv64);
}

fn shows_everything_and_changes_nothing(board: Board) {
    let case = Case::appliance(board, "console");
    let mut machine = case.boot();
    assert_eq!(watch(&mut machine, |_| ()).unwrap().failure(0), None);

    let components = type_in(&mut machine, "components");
    let names: Vec<_> = components
        .iter()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    for name in [
        "manager", "ledger", "blk", "vault", "ingest", "publish", "edge", "console",
    ] {
        assert!(names.contains(&name), "{components:#?}");
    }
    let grants = type_in(&mut machine, "grants");
    // The titles, 16 grants, and the rest of a list of methods.
    assert_eq!(grants.len(), 1 + 16 + 1, "{grants:#?}");
    let of_edge = type_in(&mut machine, "grants edge");
    assert!(
        of_edge[1..].iter().all(|line| line.contains("edge")),
        "{of_edge:#?}"
    );
    let log = type_in(&mut machine, "log 1");
    assert!(log[1].contains("seal"), "{log:#?}");
    let why = type_in(&mut machine, "why edge vault read");
    assert!(
        why[0].starts_with("forbidden: the rule at policy line "),
        "{why:#?}"
    );
    let why = type_in(&mut machine, "why ingest ledger append");
    assert!(why[0].starts_with("allowed: policy line "), "{why:#?}");

    // Keys are edited as they come, at the speed at which a person's terminal sends a paste.
    let edited = type_in(&mut machine, "statuz\u{8}s");
    assert_eq!(edited[0], "policy      reference-appliance, version 1");

    let before = type_in(&mut machine, "status");
    for attempt in [
        "revoke 7",
        "grant edge vault read",
        "grants edge vault",
        "log 99999999999999999999",
        "why edge",
        "\u{1b}[A\u{1b}[200~quit",
        "\u{202e}\u{9b}\u{0}\u{7f}",
    ] {
        type_in(&mut machine, attempt);
    }
    type_in(&mut machine, &"x".repeat(5_000));
    assert_eq!(type_in(&mut machine, "status"), before);
    assert_eq!(type_in(&mut machine, "grants"), grants);
    let slots = capscan::check(&mut machine, case.state()).unwrap();
    assert!(slots.is_equal(), "{slots}");
}

/// Types a line, and then one whose answer is known: what is shown between the two.
fn type_in(machine: &mut Machine, line: &str) -> Vec<String> {
    const END: &str = "no-such-command";
    machine.send(&format!("{line}\r{END}\r")).unwrap();
    let is_prompt = |line: &str, typed: &str| line.ends_with(&format!("> {typed}"));
    let mut lines = machine
        .until("the answer of the console", PATIENCE, |it| {
            it.contains(END) && !is_prompt(it, END)
        })
        .unwrap();
    lines.retain(|it| !it.contains("> ") && !it.contains(END));
    lines
}
