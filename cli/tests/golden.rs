//! State directories that older builds made verify as they did then, and go on.
//!
//! `golden/e947a1e` was made by that commit: four boots, the third killed, under two versions of the
//! policy. Of its disk it has the blocks that are not zero, each behind its number (`u64`, little-endian).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const BLOCK: usize = 4_096;
const DISK_SIZE: u64 = 1 << 30;

fn restore(golden: &Path, state: &Path) {
    fs::create_dir_all(state).unwrap();
    fs::set_permissions(state, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(golden).unwrap() {
        let (from, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
        if name == "disk.blocks" {
            let path = state.join("disk.img");
            let disk = File::create(&path).unwrap();
            disk.set_len(DISK_SIZE).unwrap();
            for block in fs::read(from).unwrap().chunks_exact(8 + BLOCK) {
                let number = u64::from_le_bytes(*block.first_chunk().unwrap());
                disk.write_all_at(&block[8..], number * BLOCK as u64)
                    .unwrap();
            }
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        } else if from.is_dir() {
            restore(&from, &state.join(name));
        } else {
            fs::copy(from, state.join(&name)).unwrap();
            fs::set_permissions(state.join(&name), Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn portcullis(arguments: &[&str], state: &Path) -> Vec<u8> {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let command = command.current_dir(root).args(arguments);
    let assert = command.arg("--state").arg(state).assert().success();
    assert.get_output().stdout.clone()
}

#[test]
fn a_state_directory_of_e947a1e_verifies_and_goes_on() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/e947a1e");
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    restore(&golden, &state);
    let verify = || -> Value {
        let logs = portcullis(&["log", "verify", "--json"], &state);
        serde_json::from_slice(&logs).unwrap()
    };
    let (grants, worm) = (
        "7a6958e6294fb06c64baeed1fc630f64111e5cc294fd4406d2fb3716e37b7a44",
        "5566c094f6a2feebc6fd8c31dd91520f5c7b109db332234678c9893c98fe2f65",
    );
    let logs = verify();
    for (at, records, root) in [(0, 72, grants), (1, 5, worm)] {
        let log = &logs[at];
        assert_eq!(
            (&log["records"], &log["root"]),
            (&records.into(), &root.into()),
            "{log}"
        );
    }
    let key = state.join("vault.key");
    let fsck = ["fsck", "--json", "--vault-key", key.to_str().unwrap()];
    let report: Value = serde_json::from_slice(&portcullis(&fsck, &state)).unwrap();
    assert_eq!(report["verdict"], "holds", "{report}");
    portcullis(&["run", "--once"], &state);
    let logs = verify();
    assert_eq!(logs[0]["records"], 90);
    assert!(logs[1]["records"].as_u64().unwrap() > 5);
}
