//! Whatever keeps the appliance from serving, the console says so, and what to do.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis_appliance::Appliance;
use portcullis_qemu::{Board, Config, Image, Machine, Sdk, raw_disk};

/// Many times what a board needs to boot, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is said before the grant log is opened, and not taken back where it never is.
const WAITS: &str = "nothing else starts until the grant log is on the disk";

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64_release() {
    every_reason_is_said(Board::Aarch64, Config::Release);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64_benchmark() {
    every_reason_is_said(Board::Aarch64, Config::Benchmark);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64_debug() {
    every_reason_is_said(Board::Aarch64, Config::Debug);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64_release() {
    every_reason_is_said(Board::Riscv64, Config::Release);
}

fn every_reason_is_said(board: Board, config: Config) {
    let sdk = Sdk::find(board, config).unwrap();
    let state = tempfile::tempdir().unwrap();
    let at = |name: &str| state.path().join(name);
    let system = common::appliance("silent");
    let appliance = Appliance::prepare(&common::policy(), &system.description, state.path());
    let mut appliance = appliance.unwrap();
    appliance.pack(&common::samples(), &mut |_, _| ()).unwrap();
    let image = system.build(&sdk, state.path()).unwrap();
    let disk = at("disk.img");

    let of = |name: &str| fs::read(at(name)).unwrap();

    // The policy, and the keys that may sign it.
    let (policy, keys) = (of("appliance.policy"), of("policy.pub"));
    let refused = |from: &[u8], change: &dyn Fn(&mut [u8]), reason: &str| {
        let line = format!(
            "Portcullis: the policy was refused, and nothing is granted in this boot: {reason}"
        );
        says(&changed(&image, from, change), Some(&disk), &[&line]);
    };
    let damage = |policy: &mut [u8]| *policy.last_mut().unwrap() ^= 1;
    refused(&policy, &damage, "the policy is damaged");
    let magic = |policy: &mut [u8]| policy[0] ^= 1;
    refused(&policy, &magic, "this is not a compiled policy");
    let other = |keys: &mut [u8]| keys.copy_from_slice(&RFC_8032_TEST_2);
    refused(
        &keys,
        &other,
        "the policy is signed with a key that is not trusted",
    );
    let no_key = |keys: &mut [u8]| keys.fill(2);
    refused(
        &keys,
        &no_key,
        "the keys that may sign the policy: trusted key 1",
    );

    // The disk.
    let no_log = "ledger: no ledger: the disk: ";
    let none = "blk: no disk is served: there is none at the registers";
    says(&image, None, &[WAITS, none, no_log]);
    let bytes = of("disk.img");
    let foreign = at("foreign.img");
    fs::write(&foreign, vec![0x55; bytes.len()]).unwrap();
    let not_ours = "this is not a Portcullis disk: attach";
    says(&image, Some(&foreign), &[WAITS, not_ours, no_log]);
    let cut = at("cut.img");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let was_cut = "it was cut off; restore it from a backup";
    says(&image, Some(&cut), &[WAITS, was_cut, no_log]);

    // The ledger's key.
    let key = of("ledger.key");
    let without = changed(&image, &key, &|key| key.fill(0));
    let no_key = "ledger: no ledger: its key is not in the image: build";
    says(&without, Some(&disk), &[WAITS, no_key]);
    // Nothing of this was written to the disk, and the appliance still comes up with it.
    let served = "Portcullis: policy reference-appliance, version 1: 16 grants in force";
    says(&image, Some(&disk), &[WAITS, served]);
    let other = changed(&image, &key, &|key| key[0] ^= 1);
    let belongs = "build the image with the ledger.key that belongs to this disk";
    says(&other, Some(&disk), &[WAITS, belongs]);
}

/// RFC 8032, section 7.1, test 2: a public key.
const RFC_8032_TEST_2: [u8; 32] = [
    0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e, 0xbc,
    0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c,
];

/// The image with the contents of a region, `from`, changed: what no builder would make.
fn changed(image: &Image, from: &[u8], change: &dyn Fn(&mut [u8])) -> Image {
    let mut bytes = fs::read(&image.loader).unwrap();
    let places = bytes.windows(from.len()).enumerate();
    let places: Vec<_> = places
        .filter(|(_, it)| *it == from)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the region is in the image");
    for at in places {
        change(&mut bytes[at..][..from.len()]);
    }
    let loader = image.loader.with_file_name("changed.img");
    fs::write(&loader, bytes).unwrap();
    Image {
        loader,
        ..image.clone()
    }
}

/// Boots, and waits until each of these was said, in this order.
fn says(image: &Image, disk: Option<&Path>, expected: &[&str]) {
    let disk = disk.map(raw_disk);
    let mut machine = Machine::boot(image, disk.as_deref(), &[]).unwrap();
    for line in expected {
        machine.note(format!("{line:?} should be said"));
        let said = machine.until(line, PATIENCE, |said| said.contains(line));
        said.unwrap_or_else(|error| {
            panic!("{} {}: {error}", image.board.name(), image.config.name())
        });
    }
}
