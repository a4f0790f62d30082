//! `portcullis fsck`, run as people run it: on a disk with two logs and a vault that was never made.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use portcullis_audit::testing::write_sample;
use serde_json::Value;

fn fsck(directory: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let command = command.current_dir(directory).arg("fsck");
    command.args(arguments).assert()
}

fn stdout(assert: assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// Writes a file that is its owner's alone.
fn private(path: &Path, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn sample() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_sample(&directory.path().join("state"));
    private(&directory.path().join("vault.key"), &[7; 32]);
    directory
}

/// Changes a byte of the disk, `after` the first block that begins so.
fn tamper(directory: &Path, magic: &[u8; 8], after: usize) {
    change(directory, magic, |bytes| bytes[after] = !bytes[after]);
}

/// Changes the disk from where it first holds `magic`.
fn change(directory: &Path, magic: &[u8; 8], how: impl FnOnce(&mut [u8])) {
    let path = directory.join("state/disk.img");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == magic);
    how(&mut bytes[at.unwrap()..]);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_disk_that_holds_is_summed_up() {
    let directory = sample();
    let all = ["state", "--vault-key", "vault.key"];
    let text = stdout(fsck(directory.path(), &all).code(0));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[2].starts_with("grants  14 records in 3 commits"),
        "{text}"
    );
    assert!(lines[2].contains("2 boots"), "{text}");
    assert!(
        lines[1..5].iter().all(|line| line.ends_with("holds")),
        "{text}"
    );
    assert!(
        lines[6].starts_with("grants: 3 commits signed by portcullis/5a5a"),
        "{text}"
    );
    assert!(
        lines[7].contains("14 records as in state/grants.checkpoint"),
        "{text}"
    );
    let all = [&all[..], &["--json"]].concat();
    let report: Value = serde_json::from_str(&stdout(fsck(directory.path(), &all))).unwrap();
    assert_eq!(report["holds"], true);
    assert_eq!(report["summary"]["worm"]["records"], 3);
    assert_eq!(report["findings"].as_array().unwrap().len(), 0);
}

#[test]
fn what_has_no_key_is_said_not_to_be_checked() {
    let directory = sample();
    let image = ["--disk", "state/disk.img"];
    let text = stdout(fsck(directory.path(), &image).code(1));
    for line in [
        "not checked: vault: index, references, contents: no key",
        "not checked: grants: signatures: no key",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert_eq!(text.matches("holds in part").count(), 2, "{text}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("vault ") && line.ends_with("not checked"))
    );
    let with_key = [&image[..], &["--key", "state/ledger.vkey"]].concat();
    let text = stdout(fsck(directory.path(), &with_key).code(0));
    assert!(!text.contains("signatures"), "{text}");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    let directory = sample();
    tamper(directory.path(), b"PCLSBLCK", 100);
    let text = stdout(fsck(directory.path(), &["state"]).code(1));
    let finding = text.lines().find(|line| line.starts_with("VIOLATION"));
    assert_eq!(
        finding.unwrap(),
        "VIOLATION  root       grants, block 0  the commit's root is not that of the records"
    );
    assert!(text.contains("restore the disk from a copy"), "{text}");
    let json = stdout(fsck(directory.path(), &["state", "--json"]).code(1));
    let report: Value = serde_json::from_str(&json).unwrap();
    let finding = &report["findings"][0];
    assert_eq!(finding["rule"], "root");
    assert_eq!(finding["place"]["region"], "grants");
    assert_eq!(finding["place"]["block"], 0);
}

#[test]
fn a_log_that_was_cut_back_is_found_against_a_checkpoint() {
    let directory = sample();
    // The grant log's last commit, a block, is gone.
    change(directory.path(), b"PCLSBLCK", |bytes| {
        bytes[2 * 4_096..][..4_096].fill(0);
    });
    let text = stdout(fsck(directory.path(), &["state"]).code(1));
    assert!(
        text.contains("the log has 7 records, and state/grants.checkpoint was signed for 14"),
        "{text}"
    );
    let image = ["--disk", "state/disk.img", "--key", "state/ledger.vkey"];
    fsck(directory.path(), &image).code(0);
    let checkpoint = [&image[..], &["--checkpoint", "state/grants.checkpoint"]].concat();
    fsck(directory.path(), &checkpoint).code(1);
}

#[test]
fn a_damaged_header_is_a_finding_and_another_file_bad_input() {
    let directory = sample();
    tamper(directory.path(), b"PCULDISK", 30);
    let text = stdout(fsck(directory.path(), &["state"]).code(1));
    assert!(text.contains("disk, block 0"), "{text}");
    assert!(text.contains("its hash is wrong"), "{text}");
    let path = directory.path().join("state/disk.img");
    let mut disk = fs::read(&path).unwrap();
    let copy = disk.len() - 4_096 + 30;
    disk[copy] ^= 1;
    fs::write(&path, disk).unwrap();
    let text = stdout(fsck(directory.path(), &["state"]).code(1));
    assert!(
        text.contains("96 blocks, no header  DOES NOT HOLD"),
        "{text}"
    );
    let text = stderr(fsck(directory.path(), &["state/ledger.vkey"]).code(2));
    assert!(text.contains("this is not a Portcullis disk"), "{text}");
    for length in [31, 33] {
        private(&directory.path().join("vault.key"), &vec![7; length]);
        let other = ["state", "--vault-key", "vault.key"];
        let text = stderr(fsck(directory.path(), &other).code(2));
        assert!(text.contains("a vault's key has 32"), "{text}");
    }
    fsck(directory.path(), &["nowhere"]).code(3);
}
