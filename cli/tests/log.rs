//! `portcullis log`, run as people run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use assert_cmd::Command;
use portcullis_audit::testing::{blocks, boot, encoded, write_sample, write_state};
use portcullis_log::block::LogKind;
use serde_json::Value;

fn portcullis(directory: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    command
        .current_dir(directory)
        .arg("log")
        .args(arguments)
        .assert()
}

fn stdout(assert: assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn json(directory: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&stdout(portcullis(directory, &arguments))).unwrap()
}

fn sample() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    write_sample(&directory.path().join("state"));
    directory
}

/// Changes a byte of the first block of the grant log.
fn tamper(directory: &Path) {
    let disk = directory.join("state/disk.img");
    let mut bytes = fs::read(&disk).unwrap();
    let at = bytes
        .windows(8)
        .position(|window| window == b"PCLSBLCK")
        .unwrap();
    bytes[at + 100] ^= 1;
    fs::write(&disk, bytes).unwrap();
}

#[test]
fn an_honest_log_is_verified() {
    let directory = sample();
    let text = stdout(portcullis(directory.path(), &["verify", "state"]).code(0));
    assert!(text.contains("grants       14"), "{text}");
    assert!(text.lines().nth(1).unwrap().ends_with("holds"), "{text}");
    assert!(text.contains("2023-11-14 22:14:20.000Z"), "{text}");
    let reports = json(directory.path(), &["verify", "state"]);
    assert_eq!(reports[0]["holds"], true);
    assert_eq!(reports[0]["checkpoints"], 1);
    assert_eq!(reports[0]["boots"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&reports[1]["log"], &reports[1]["records"]),
        (&"worm".into(), &3.into())
    );
}

#[test]
fn the_default_path_is_the_appliance() {
    let directory = tempfile::tempdir().unwrap();
    write_sample(&directory.path().join("target/appliance"));
    portcullis(directory.path(), &["verify"]).code(0);
}

#[test]
fn a_changed_log_does_not_hold_and_says_where() {
    let directory = sample();
    tamper(directory.path());
    let text = stdout(portcullis(directory.path(), &["verify", "state"]).code(1));
    assert!(text.contains("DOES NOT HOLD"), "{text}");
    let words: Vec<_> = text.split_whitespace().collect();
    let words = words.join(" ");
    for line in [
        "VIOLATION root grants, block 0 the commit's root is not that of the records",
        "VIOLATION unread grants, block 1 2 blocks from here on cannot be held against anything",
        "unread restore the disk from a copy",
    ] {
        assert!(words.contains(line), "{text}");
    }
    let shown = portcullis(directory.path(), &["show", "state"]).code(1);
    let stderr = String::from_utf8(shown.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("the log does not hold"), "{stderr}");
}

#[test]
fn a_log_cut_back_is_found_by_the_checkpoint_kept_beside_it() {
    let directory = sample();
    let state = directory.path().join("state");
    let kept = ["grants", "worm"].map(|log| state.join(log).with_extension("checkpoint"));
    for path in &kept {
        fs::remove_file(path).unwrap();
    }
    portcullis(directory.path(), &["verify", "state"]).code(0);
    assert!(kept.iter().all(|path| !path.exists()));
    portcullis(directory.path(), &["verify", "state", "--keep"]).code(0);
    let whole = kept.each_ref().map(|path| fs::read(path).unwrap());
    let (cut, _) = blocks(LogKind::Grants, &[encoded(&boot(1))[..5].to_vec()]);
    let disk = fs::read(state.join("disk.img")).unwrap();
    write_state(&state, &cut, &[], &[]);
    for (path, note) in kept.iter().zip(&whole) {
        fs::write(path, note).unwrap();
    }
    let text = stdout(portcullis(directory.path(), &["verify", "state", "--keep"]).code(1));
    assert!(
        text.contains("grants.checkpoint was signed for 14"),
        "{text}"
    );
    // What does not hold is not kept: put right again, the log holds.
    assert_eq!(whole, kept.each_ref().map(|path| fs::read(path).unwrap()));
    fs::write(state.join("disk.img"), disk).unwrap();
    portcullis(directory.path(), &["verify", "state"]).code(0);
}

#[test]
fn a_log_cut_back_is_found_by_a_checkpoint_kept_elsewhere() {
    let directory = sample();
    let kept = directory.path().join("kept.checkpoint");
    let save = [
        "verify",
        "state",
        "--log",
        "grants",
        "--save-checkpoint",
        "kept.checkpoint",
    ];
    portcullis(directory.path(), &save).code(0);
    assert!(
        fs::read_to_string(&kept)
            .unwrap()
            .starts_with("portcullis/5a5a")
    );
    // Somebody cuts the log back to its first commit, and takes the checkpoints away.
    let (cut, _) = blocks(LogKind::Grants, &[encoded(&boot(1))[..5].to_vec()]);
    let state = directory.path().join("state");
    write_state(&state, &cut, &[], &[]);
    fs::remove_file(state.join("grants.checkpoint")).unwrap();
    fs::remove_file(state.join("worm.checkpoint")).unwrap();
    portcullis(directory.path(), &["verify", "state"]).code(0);
    let held = ["verify", "state", "--checkpoint", "kept.checkpoint"];
    let text = stdout(portcullis(directory.path(), &held).code(1));
    assert!(
        text.contains("the log has 5 records, and kept.checkpoint was signed for 14"),
        "{text}"
    );
}

#[test]
fn bad_input_and_missing_files_have_their_own_codes() {
    let directory = sample();
    let path = directory.path();
    fs::write(path.join("text"), "not a disk").unwrap();
    for (place, code, message) in [
        (
            "nowhere",
            3,
            "there is no nowhere: name a state directory (`portcullis run` makes one)",
        ),
        ("text", 2, "text: this is not a Portcullis disk"),
    ] {
        let ended = portcullis(path, &["verify", place]).code(code);
        let text = String::from_utf8(ended.get_output().stderr.clone()).unwrap();
        assert!(text.contains(message), "{text}");
    }
    portcullis(path, &["verify", "state", "--checkpoint", "text"]).code(2);
    portcullis(path, &["verify", "state", "--key", "text"]).code(2);
    portcullis(path, &["verify", "state", "--policy", "text"]).code(2);
    portcullis(path, &["verify", "state/disk.img"]).code(3);
    let image = ["verify", "state/disk.img", "--key", "state/ledger.vkey"];
    portcullis(path, &image).code(1);
    let policies = ["--policies", "state/policies"];
    portcullis(path, &[&image[..], &policies].concat()).code(0);
    portcullis(path, &["prove", "14", "state"]).code(2);
    portcullis(path, &["grants", "state", "--boot", "ff"]).code(2);
    portcullis(path, &["show", "state", "--last", "many"]).code(2);
}

#[test]
fn records_are_shown_with_names_of_their_policy() {
    let directory = sample();
    let text = stdout(portcullis(directory.path(), &["show", "state", "--last", "2"]).code(0));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[1].contains("deny       ingest -> ledger call worm: append, read"),
        "{text}"
    );
    assert!(lines[1].contains("asked by ingest, no line"), "{text}");
    assert!(lines[1].ends_with("not permitted"), "{text}");
    let rows = json(directory.path(), &["show", "state", "--boot", "0101"]);
    assert_eq!(rows.as_array().unwrap().len(), 7);
    assert_eq!(rows[0]["operation"], "boot");
    let rows = json(
        directory.path(),
        &["show", "state", "--component", "manager"],
    );
    assert_eq!(rows.as_array().unwrap().len(), 2, "one grant a boot");
    let unknown = ["show", "state", "--component", "manger"];
    let refused = portcullis(directory.path(), &unknown).code(2);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(
        text.contains("no policy at hand has a component `manger`; there are "),
        "{text}"
    );
}

#[test]
fn records_are_shown_with_numbers_where_the_policy_is_not_at_hand() {
    let directory = sample();
    let image = ["show", "state/disk.img", "--key", "state/ledger.vkey"];
    let text = stdout(portcullis(directory.path(), &image).code(0));
    assert!(text.contains("#1 -> #2 call #0: 0, 1"), "{text}");
}

#[test]
fn grants_in_force_are_shown_at_any_point() {
    let directory = sample();
    let at = |arguments: &[&str]| {
        let set = json(
            directory.path(),
            &[&["grants", "state"], arguments].concat(),
        );
        (
            set["at"].as_u64().unwrap(),
            set["grants"].as_array().unwrap().len(),
        )
    };
    assert_eq!(at(&[]), (6, 2));
    assert_eq!(at(&["--at", "0"]), (0, 0));
    assert_eq!(at(&["--at", "2"]), (2, 2));
    assert_eq!(at(&["--at", "4", "--boot", "01"]), (4, 3));
    assert_eq!(at(&["--boot", "01"]), (6, 2));
    let text = stdout(portcullis(directory.path(), &["grants", "state"]).code(0));
    assert!(
        text.starts_with("boot 02020202, after record 6: 2 grants in force"),
        "{text}"
    );
    assert!(
        text.contains("ingest      1  ledger  call  worm       append, read"),
        "{text}"
    );
}

#[test]
fn proofs_are_made_and_verified_without_the_log() {
    let directory = sample();
    let path = directory.path();
    for (index, log) in [("0", "grants"), ("13", "grants"), ("2", "worm")] {
        portcullis(
            path,
            &["prove", index, "state", "--log", log, "--out", "proof"],
        )
        .code(0);
        let verify = ["verify-proof", "proof", "--key", "state/ledger.vkey"];
        let text = stdout(portcullis(path, &verify).code(0));
        assert!(
            text.starts_with(&format!("record {index} is in portcullis/5a5a")),
            "{text}"
        );
    }
    fs::write(path.join("other"), "four").unwrap();
    let other = [
        "verify-proof",
        "proof",
        "--key",
        "state/ledger.vkey",
        "--record",
        "other",
    ];
    let text = stdout(portcullis(path, &other).code(1));
    assert!(text.starts_with("not proved:"), "{text}");
}

#[test]
fn growth_is_proved_since_a_checkpoint() {
    let directory = sample();
    let path = directory.path();
    let save = [
        "verify",
        "state",
        "--log",
        "grants",
        "--save-checkpoint",
        "old",
    ];
    portcullis(path, &save).code(0);
    let records = [encoded(&boot(1)), encoded(&boot(2)), encoded(&boot(3))];
    let (grown, _) = blocks(LogKind::Grants, &records);
    write_state(&path.join("state"), &grown, &[], &[]);
    portcullis(path, &["prove-growth", "old", "state", "--out", "growth"]).code(0);
    let verify = [
        "verify-proof",
        "growth",
        "--key",
        "state/ledger.vkey",
        "--old",
        "old",
    ];
    let text = stdout(portcullis(path, &verify).code(0));
    assert!(
        text.contains("grew from 14 to 21 records and kept every one\nsigned by portcullis/5a5a"),
        "{text}"
    );
}

#[test]
fn every_verb_has_an_example() {
    let directory = tempfile::tempdir().unwrap();
    for verb in [
        "verify",
        "show",
        "grants",
        "prove",
        "prove-growth",
        "verify-proof",
    ] {
        let text = stdout(portcullis(directory.path(), &[verb, "--help"]).code(0));
        assert!(text.contains(&format!("portcullis log {verb}")), "{text}");
    }
}

#[test]
fn an_export_is_continued_and_never_replaced_by_another_log() {
    let directory = sample();
    let exported = json(directory.path(), &["export", "public", "state"]);
    assert_eq!(
        (&exported[0]["log"], &exported[0]["records"]),
        (&"grants".into(), &14.into())
    );
    assert_eq!(exported[1]["files_written"], 2); // one bundle, one tile
    let again = json(directory.path(), &["export", "public", "--disk", "state"]);
    assert_eq!(again[0]["files_written"], 0);
    // The log loses its end: what is exported stays.
    let before = fs::read(directory.path().join("public/grants/checkpoint")).unwrap();
    tamper(directory.path());
    portcullis(directory.path(), &["export", "public", "state"]).code(1);
    let after = fs::read(directory.path().join("public/grants/checkpoint")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_witness_cosigns_what_a_reader_can_ask_for() {
    let directory = sample();
    let path = directory.path();
    let keygen = |file, name| {
        let mut command = Command::cargo_bin("portcullis").unwrap();
        command
            .current_dir(path)
            .args(["keygen", file, "--witness", name])
            .assert()
            .code(0);
    };
    keygen("w.key", "example.com/w1");
    keygen("other.key", "example.com/w2");
    let sign = [
        "witness",
        "--new-log",
        "--name",
        "example.com/w1",
        "--with",
        "w.key",
        "--key",
        "state/ledger.vkey",
        "state",
    ];
    portcullis(path, &[&sign[..], &["--out", "cosigned"]].concat()).code(0);
    let verify = [
        "verify",
        "state",
        "--log",
        "grants",
        "--checkpoint",
        "cosigned",
        "--witness",
    ];
    let seen = stdout(portcullis(path, &[&verify[..], &["w.key.vkey"]].concat()).code(0));
    assert!(
        seen.contains("as in cosigned, cosigned by example.com/w1+"),
        "{seen}"
    );
    let missing = portcullis(path, &[&verify[..], &["other.key.vkey"]].concat()).code(2);
    let text = String::from_utf8(missing.get_output().stderr.clone()).unwrap();
    assert!(
        text.contains("cosigned is not cosigned by example.com/w2"),
        "{text}"
    );
    // A key has one name: who checks knows it by its verifier key.
    let mut another = sign;
    another[3] = "example.com/w2";
    let refused = portcullis(path, &another).code(2);
    let text = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(
        text.contains("w.key.vkey is not the verifier key of example.com/w2"),
        "{text}"
    );
    // Again: it continues itself. From a request, without a disk's blocks.
    portcullis(path, &sign).code(0);
    portcullis(
        path,
        &["prove-growth", "cosigned", "state", "--out", "growth"],
    )
    .code(0);
    portcullis(path, &[&sign[..], &["--request", "growth"]].concat()).code(0);
    // What was signed is in the memory; another history of the log is not signed.
    tamper(path);
    portcullis(path, &sign).code(1);
}

/// Names, bytes and times of everything below a directory.
fn snapshot(directory: &Path) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        if path.is_dir() {
            all.extend(snapshot(&path));
            all.push((path, Vec::new(), modified));
        } else {
            let bytes = fs::read(&path).unwrap();
            all.push((path, bytes, modified));
        }
    }
    all.sort();
    all
}

#[test]
fn no_verb_writes_to_what_it_audits() {
    let directory = sample();
    let path = directory.path();
    let keygen = ["keygen", "w.key", "--witness", "example.com/w"];
    let mut command = Command::cargo_bin("portcullis").unwrap();
    command.current_dir(path).args(keygen).assert().success();
    let verbs: [&[&str]; 8] = [
        &[
            "verify",
            "state",
            "--log",
            "grants",
            "--save-checkpoint",
            "old",
        ],
        &["show", "state"],
        &["grants", "state"],
        &["prove", "3", "state", "--out", "proof"],
        &["prove-growth", "old", "state", "--out", "growth"],
        &["verify-proof", "proof", "--key", "state/ledger.vkey"],
        &["export", "tiles", "state"],
        &[
            "witness",
            "state",
            "--new-log",
            "--name",
            "example.com/w",
            "--with",
            "w.key",
            "--key",
            "state/ledger.vkey",
        ],
    ];
    // All there are: a new verb comes with its line above.
    let help = stdout(portcullis(path, &["--help"]));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.map_while(|line| line.strip_prefix("  "));
    let listed = listed.filter(|line| !line.starts_with(' ') && !line.starts_with("help "));
    let listed: Vec<_> = listed.filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(listed, verbs.map(|verb| verb[0]));
    let before = snapshot(&path.join("state"));
    for verb in verbs {
        portcullis(path, verb).code(0);
        assert!(snapshot(&path.join("state")) == before, "{verb:?}");
    }
    let mut fsck = Command::cargo_bin("portcullis").unwrap();
    fsck.current_dir(path)
        .args(["fsck", "state"])
        .assert()
        .code(0);
    assert!(snapshot(&path.join("state")) == before);
}

/// What is printed on standard error, where the verb ends with this code.
fn refused(directory: &Path, arguments: &[&str], code: i32) -> String {
    let ended = portcullis(directory, arguments).code(code);
    let text = String::from_utf8(ended.get_output().stderr.clone()).unwrap();
    // Lines are broken where they are long.
    let words = text.split_whitespace().filter(|word| *word != "│");
    words.collect::<Vec<_>>().join(" ")
}

/// A checkpoint that is held against nothing would say that it was.
#[test]
fn a_checkpoint_of_the_other_log_is_refused() {
    let directory = sample();
    let path = directory.path();
    let other = "state/worm.checkpoint";
    let growth = ["prove-growth", other, "state"];
    let said = refused(path, &growth, 2);
    assert!(said.contains("name the log with --log"), "{said}");
    portcullis(path, &[&growth[..], &["--log", "worm"]].concat()).code(0);
    for verb in [
        &["verify", "state", "--log", "grants", "--checkpoint", other][..],
        &["prove", "3", "state", "--as-of", other],
    ] {
        let said = refused(path, verb, 2);
        assert!(said.contains("is a checkpoint of the log worm"), "{said}");
    }
    portcullis(path, &["verify", "state", "--checkpoint", other]).code(0);
    // An export of one log is not gone on with by the other.
    portcullis(path, &["export", "tiles", "state"]).code(0);
    fs::copy(
        path.join("tiles/worm/checkpoint"),
        path.join("tiles/grants/checkpoint"),
    )
    .unwrap();
    let said = refused(path, &["export", "tiles", "state"], 2);
    assert!(said.contains("is a checkpoint of the log worm"), "{said}");
}

#[test]
fn a_log_without_its_checkpoint_says_that_nobody_vouches_for_its_end() {
    let directory = sample();
    let path = directory.path();
    let rules = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings
            .map(|it| it["rule"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(rules(&json(path, &["verify", "state"])[0]), [""; 0]);
    fs::remove_file(path.join("state/grants.checkpoint")).unwrap();
    let reports = json(path, &["verify", "state"]);
    assert_eq!(rules(&reports[0]), ["no-checkpoint"]);
    assert_eq!(rules(&reports[1]), [""; 0]);
    portcullis(path, &["verify", "state", "--keep"]).code(0);
    assert_eq!(rules(&json(path, &["verify", "state"])[0]), [""; 0]);
}

#[test]
fn what_is_kept_takes_the_place_of_no_file_that_is_no_checkpoint_of_the_log() {
    let directory = sample();
    let kept = directory.path().join("state/grants.checkpoint");
    for text in ["", "portcullis/00/grants\n3\n"] {
        fs::write(&kept, text).unwrap();
        portcullis(directory.path(), &["verify", "state", "--keep"]).code(3);
        assert_eq!(fs::read_to_string(&kept).unwrap(), text);
    }
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let directory = sample();
    for (arguments, says) in [
        (
            &["grants", "state", "--at", "99"][..],
            "there is no record 99: those of boot 02020202 are numbered from 0 to 6",
        ),
        (
            &["grants", "state", "--boot", "ff"],
            "no boot's id begins with ff: `portcullis log verify` lists all 2",
        ),
        (
            &["show", "state", "--boot", "zzz"],
            "a boot's id is hexadecimal",
        ),
        (
            &["grants", "state", "--boot", "0x"],
            "a boot's id is hexadecimal",
        ),
    ] {
        let said = refused(directory.path(), arguments, 2);
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn what_was_written_is_said() {
    let directory = sample();
    let prove = ["prove", "3", "state", "--output", "3.proof"];
    let text = stdout(portcullis(directory.path(), &prove).code(0));
    assert_eq!(text, "wrote 3.proof, as of 14 records\n");
}
