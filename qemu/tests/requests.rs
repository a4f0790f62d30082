//! Grants that are asked for, handed on, taken back and given up, on the real kernel.

mod common;
#[path = "../../components/requests/tests/story/mod.rs"]
mod story;

use std::fs;
use std::time::Duration;

use common::{Case, samples};
use portcullis_policy::image;
use portcullis_policy_format::Policy;
use portcullis_qemu::{Board, System, capscan, root};
use portcullis_requests::STEPS;
use story::{told, with_more};

/// Longer than either board needs on a loaded host.
const PATIENCE: Duration = Duration::from_secs(600);
/// What comes last: the appliance does its job when all is done.
const LAST: [&str; 2] = ["asker: end of attempts: ", "edge: 3 objects listed"];

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    a_component_asks_hands_on_takes_back_and_gives_up(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    a_component_asks_hands_on_takes_back_and_gives_up(Board::Riscv64);
}

fn a_component_asks_hands_on_takes_back_and_gives_up(board: Board) {
    let scratch = tempfile::tempdir().unwrap();
    let [description, policy] =
        ["system.xml", "policy.toml"].map(|name| with_more(scratch.path(), name));
    let system = System {
        name: "requests".to_owned(),
        packages: ["portcullis-pds", "portcullis-requests-pds"]
            .map(Into::into)
            .into(),
        description,
    };
    let case = Case::new(board, &system, &policy, &samples());
    let mut machine = case.boot();
    let mut awaited = LAST.to_vec();
    let lines = machine.until("every step and every document", PATIENCE, |line| {
        awaited.retain(|part| !line.starts_with(part));
        awaited.is_empty()
    });
    let lines = lines.unwrap_or_else(|error| panic!("{error}; still awaited: {awaited:?}"));
    // Both the slots of the running kernel and the image are as policy and log say.
    let slots = capscan::check(&mut machine, case.state()).unwrap();
    drop(machine);
    assert_eq!(slots.differences, [""; 0]);
    let found = image::Image::read(&fs::read(&case.image.distribution).unwrap()).unwrap();
    let compiled = fs::read(case.state().join("appliance.policy")).unwrap();
    let compiled = Policy::inspect(&compiled).unwrap();
    assert_eq!(image::check(&compiled, &case.image.system, &found), []);

    let due: Vec<_> = STEPS.map(|step| format!("asker: held {step}")).into();
    let verdict = |line: &&String| line.contains(": held ") || line.contains("BROKEN");
    let said: Vec<_> = lines.iter().filter(verdict).cloned().collect();
    assert_eq!(said, due, "{lines:#?}");
    // The hosted kernel's is the same.
    let expected = fs::read_to_string(root().join("components/requests/log.txt")).unwrap();
    assert_eq!(told(case.state()), expected);
}
