//! The image of the reference appliance keeps every rule, on both boards.

mod common;

use std::fs;

use portcullis_policy::image::{self, Image};
use portcullis_policy_format::Policy;
use portcullis_qemu::Board;

use common::Case;

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    keeps_every_rule(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    keeps_every_rule(Board::Riscv64);
}

fn keeps_every_rule(board: Board) {
    let case = Case::appliance(board, "image");
    let found = Image::read(&fs::read(&case.image.distribution).unwrap()).unwrap();
    assert_eq!(found.board, board.name());
    let policy = fs::read(case.state().join("appliance.policy")).unwrap();
    let policy = Policy::inspect(&policy).unwrap();
    let findings = image::check(&policy, &case.image.system, &found);
    assert_eq!(findings, []);
    // Nor does the oracle, which shares no code with the rules, find an attack.
    let distribution = fs::read_to_string(&case.image.distribution).unwrap();
    let appliance = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/appliance.toml");
    let text = fs::read_to_string(appliance).unwrap();
    let declared = portcullis_oracle::read::policy(&text).unwrap();
    let attacks = portcullis_oracle::image::findings(&distribution, &declared).unwrap();
    assert_eq!(attacks, []);
    // What is not in the image is not passed over: without a policy in it, it does not hold.
    let empty = Image {
        policy: None,
        ..found
    };
    let findings = image::check(&policy, &case.image.system, &empty);
    let rules: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [image::Rule::Policy]);
}
