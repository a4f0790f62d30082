//! Whom each verb trusts: the keys that were named, and no more of a directory than it must.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use ed25519_dalek::SigningKey;
use portcullis_audit::testing::{LOG, blocks, boot, encoded, key, write_sample, write_state};
use portcullis_log::block::LogKind;
use portcullis_log::checkpoint::{Checkpoint, origin};
use portcullis_log::merkle::Frontier;
use portcullis_log::note::{Verifier, sign};

/// Longer than any of it takes: what waits for an end that does not come is killed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every verb that is held against a log's key: the arguments, and what it writes.
const VERBS: [(&str, &[&str], Option<&str>); 8] = [
    ("verify", &["log", "verify", "state"], None),
    ("show", &["log", "show", "state"], None),
    ("grants", &["log", "grants", "state"], None),
    (
        "prove",
        &["log", "prove", "3", "state", "--output", "3.proof"],
        Some("3.proof"),
    ),
    (
        "prove-growth",
        &[
            "log",
            "prove-growth",
            "old",
            "state",
            "--output",
            "new.growth",
        ],
        Some("new.growth"),
    ),
    (
        "export",
        &["log", "export", "tiles", "state"],
        Some("tiles/grants/checkpoint"),
    ),
    (
        "witness",
        &[
            "log",
            "witness",
            "state",
            "--new-log",
            "--name",
            "example.com/w",
            "--signing-key",
            "w.key",
        ],
        Some("witness"),
    ),
    ("fsck", &["fsck", "state"], None),
];

fn run(directory: &Path, arguments: &[&str], more: &[&str]) -> Assert {
    let mut command = Command::cargo_bin("portcullis").unwrap();
    let command = command.current_dir(directory).timeout(PATIENCE);
    command.args(arguments).args(more).assert()
}

/// What was printed, to either.
fn text(assert: &Assert) -> String {
    let output = assert.get_output();
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn code(assert: &Assert) -> i32 {
    assert
        .get_output()
        .status
        .code()
        .expect("it ended by itself")
}

fn seed(number: u64) -> SigningKey {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_bytes(&seed)
}

/// The lines of a key file: each of these keys, for both logs.
fn key_file(keys: &[SigningKey]) -> String {
    let lines = keys.iter().flat_map(|key| {
        [LogKind::Grants, LogKind::Worm].map(|kind| {
            let name = origin(kind, LOG);
            format!("{}\n", Verifier::new(&name, key.verifying_key()).unwrap())
        })
    });
    lines.collect()
}

/// A state directory that one key signed, a witness's key, an old checkpoint, a proof; and files of
/// keys: the right ones, one that signed nothing, one that another took the place of.
fn sample() -> tempfile::TempDir {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let (made, directory) = (MADE.get_or_init(make), tempfile::tempdir().unwrap());
    copy(made.path(), directory.path());
    directory
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

fn make() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write_sample(&path.join("state"));
    let write = |name: &str, text: String| fs::write(path.join(name), text).unwrap();
    write("right.vkey", key_file(&[key()]));
    write("trusted.vkey", key_file(&[seed(1)]));
    write("rotated.vkey", key_file(&[seed(1), key(), seed(2)]));
    let foreign = Verifier::new("example.com/log", seed(1).verifying_key()).unwrap();
    write("foreign.vkey", format!("{foreign}\n"));
    fs::copy(path.join("state/grants.checkpoint"), path.join("old")).unwrap();
    run(path, &["keygen", "w.key", "--name", "example.com/w"], &[]).success();
    run(
        path,
        &["log", "prove", "3", "state", "--output", "proof"],
        &[],
    )
    .success();
    directory
}

/// Every verb, on a fresh sample that was changed, gives its code, and says this; what does not hold, or is
/// refused, leaves nothing behind. A witness goes by no key but a named one.
fn all(change: impl Fn(&Path), more: &[&str], expected: impl Fn(&str) -> i32, says: &str) {
    let named = more.contains(&"--key");
    for (verb, arguments, made) in VERBS.into_iter().filter(|it| named || it.0 != "witness") {
        let directory = sample();
        change(directory.path());
        let ended = run(directory.path(), arguments, more);
        let text = text(&ended);
        assert_eq!(code(&ended), expected(verb), "{verb}: {text}");
        assert!(text.contains(says), "{verb}: {text}");
        if let Some(made) = made.filter(|_| expected(verb) != 0) {
            assert!(!directory.path().join(made).exists(), "{verb} wrote {made}");
        }
    }
}

fn none(_: &Path) {}

#[test]
fn a_directory_is_held_against_the_key_that_was_named() {
    all(none, &[], |_| 0, "from state/ledger.vkey");
    all(none, &["--key", "right.vkey"], |_| 0, "from right.vkey");
    all(none, &["--key", "trusted.vkey"], |_| 1, "");
    let proof = ["log", "verify-proof", "proof", "--key"];
    let directory = sample();
    for (keys, expected) in [("right.vkey", 0), ("trusted.vkey", 1), ("foreign.vkey", 3)] {
        let ended = run(directory.path(), &proof, &[keys]);
        assert_eq!(code(&ended), expected, "{keys}");
    }
}

#[test]
fn a_directory_s_own_checkpoint_needs_the_named_key_too() {
    let says = "state/grants.checkpoint: a signature of a known key does not verify";
    let unknown = "state/grants.checkpoint: no known key signed the note";
    let directory = sample();
    let ended = run(directory.path(), VERBS[0].1, &["--key", "trusted.vkey"]);
    assert!(text(&ended).contains(unknown), "{}", text(&ended));
    let checkpoint = directory.path().join("state/grants.checkpoint");
    let changed = fs::read_to_string(&checkpoint)
        .unwrap()
        .replace("\n14\n", "\n15\n");
    fs::write(&checkpoint, changed).unwrap();
    for verb in [VERBS[0], VERBS[7]] {
        let ended = run(directory.path(), verb.1, &[]);
        assert_eq!(code(&ended), 1);
        assert!(text(&ended).contains(says), "{}", text(&ended));
    }
}

#[test]
fn a_key_of_another_log_vouches_for_nothing() {
    let says = "/grants is among those that were";
    all(none, &["--key", "foreign.vkey"], |_| 3, says);
    // A witness's key of the log's name is no key of the log.
    let witness = |path: &Path| {
        let name = origin(LogKind::Grants, LOG);
        let key = Verifier::witness(&name, key().verifying_key()).unwrap();
        fs::write(path.join("foreign.vkey"), format!("{key}\n")).unwrap();
    };
    all(witness, &["--key", "foreign.vkey"], |_| 3, says);
}

/// The seeds of two keys that have the same id under the grant log's name: found by trying 33,000.
const SAME_ID: [u64; 2] = [14_105, 32_936];

#[test]
fn two_keys_that_no_signature_tells_apart_are_refused() {
    let name = origin(LogKind::Grants, LOG);
    let keys = SAME_ID.map(seed);
    let [one, other] =
        [&keys[0], &keys[1]].map(|key| Verifier::new(&name, key.verifying_key()).unwrap());
    assert!(one != other && one.id() == other.id());
    let both = |path: &Path| {
        fs::write(path.join("one.vkey"), key_file(&keys[..1])).unwrap();
        fs::write(path.join("other.vkey"), key_file(&keys[1..])).unwrap();
    };
    let named = ["--key", "one.vkey", "--key", "other.vkey"];
    all(both, &named, |_| 2, "hold different keys portcullis/5a5a");
    let in_one = |path: &Path| fs::write(path.join("both.vkey"), key_file(&keys)).unwrap();
    all(
        in_one,
        &["--key", "both.vkey"],
        |_| 2,
        "hold different keys",
    );
    let beside = |path: &Path| fs::write(path.join("state/ledger.vkey"), key_file(&keys)).unwrap();
    all(beside, &[], |_| 2, "hold different keys");
    let directory = sample();
    both(directory.path());
    let proof = ["log", "verify-proof", "proof"];
    assert_eq!(code(&run(directory.path(), &proof, &named)), 2);
    // The same key twice is one key.
    let twice = ["--key", "right.vkey", "--key", "state/ledger.vkey"];
    all(none, &twice, |_| 0, "from right.vkey");
}

#[test]
fn a_key_that_another_took_the_place_of_is_a_key_of_the_log() {
    all(none, &["--key", "rotated.vkey"], |_| 0, "from rotated.vkey");
    let directory = sample();
    let proof = ["log", "verify-proof", "proof", "--key", "rotated.vkey"];
    assert_eq!(code(&run(directory.path(), &proof, &[])), 0);
}

#[test]
fn what_cannot_be_checked_is_said_and_is_no_success() {
    let policies = |path: &Path| fs::remove_dir_all(path.join("state/policies")).unwrap();
    all(policies, &[], |verb| i32::from(verb == "verify"), "");
    let directory = sample();
    policies(directory.path());
    let said = text(&run(directory.path(), VERBS[0].1, &[]));
    assert!(said.contains("holds in part"), "{said}");
    assert!(
        said.contains("not found: its grants were not checked"),
        "{said}"
    );
    assert!(said.contains("with --policies"), "{said}");
    let keys = |path: &Path| fs::remove_file(path.join("state/ledger.vkey")).unwrap();
    let expected = |verb: &str| match verb {
        "show" | "grants" | "fsck" => 1,
        _ => 3,
    };
    all(keys, &[], expected, "no key");
    all(keys, &["--key", "right.vkey"], |_| 0, "from right.vkey");
}

/// A log's own directory does not say whom a witness trusts: with a disk as with a request.
#[test]
fn a_witness_is_told_the_log_s_key() {
    for more in [&[][..], &["--request", "proof"]] {
        let directory = sample();
        let ended = run(directory.path(), VERBS[6].1, more);
        let said = text(&ended);
        assert_eq!(code(&ended), 2, "{said}");
        assert!(said.contains("name a copy of it"), "{said}");
        assert!(!directory.path().join("witness").exists());
    }
}

#[test]
fn a_log_s_own_key_is_no_witness() {
    let directory = sample();
    let verify = [
        "log",
        "verify",
        "state",
        "--key",
        "right.vkey",
        "--checkpoint",
        "old",
    ];
    let proof = ["log", "verify-proof", "proof", "--key", "right.vkey"];
    for verb in [&verify[..], &proof] {
        let ended = run(directory.path(), verb, &["--witness", "right.vkey"]);
        let said = text(&ended);
        assert_eq!(code(&ended), 2, "{said}");
        // The line is broken behind this.
        assert!(said.contains("is not the key of a"), "{said}");
    }
}

/// A file that should say whom to trust, and says nothing, is no wish to trust nobody in particular.
#[test]
fn a_file_of_things_that_holds_none_is_refused() {
    let empty = |path: &Path| {
        fs::write(path.join("empty.vkey"), "\n \n").unwrap();
        fs::create_dir(path.join("none")).unwrap();
        fs::write(path.join("none/README"), "").unwrap();
    };
    let says = "empty.vkey holds no key";
    all(empty, &["--key", "empty.vkey"], |_| 3, says);
    let both = ["--key", "right.vkey", "--key", "empty.vkey"];
    all(empty, &both, |_| 3, says);
    let directory = sample();
    empty(directory.path());
    let verify = [VERBS[0].1, &["--checkpoint", "old"]].concat();
    let proof = ["log", "verify-proof", "proof", "--key", "right.vkey"];
    for verb in [&verify[..], &proof] {
        let ended = run(directory.path(), verb, &["--witness", "empty.vkey"]);
        let said = text(&ended);
        assert_eq!(code(&ended), 3, "{said}");
        assert!(said.contains(says), "{said}");
    }
    let ended = run(directory.path(), VERBS[0].1, &["--policies", "none"]);
    assert_eq!(code(&ended), 3, "{}", text(&ended));
    assert!(
        text(&ended).contains("none holds no *.policy"),
        "{}",
        text(&ended)
    );
}

/// The earlier checkpoint of a proof of growth as the later one.
#[test]
fn a_witness_must_have_cosigned_both_checkpoints() {
    let directory = sample();
    let path = directory.path();
    let key = ["--key", "right.vkey"];
    run(
        path,
        VERBS[6].1,
        &[&key[..], &["--output", "cosigned"]].concat(),
    )
    .success();
    let grown = [
        "log",
        "prove-growth",
        "old",
        "state",
        "--as-of",
        "cosigned",
        "--output",
        "growth",
    ];
    run(path, &grown, &[]).success();
    let verify = [
        "log",
        "verify-proof",
        "growth",
        "--key",
        "right.vkey",
        "--old",
    ];
    let witness = ["--witness", "w.key.vkey"];
    run(path, &[&verify[..], &["old"]].concat(), &[]).success();
    run(path, &[&verify[..], &["cosigned"]].concat(), &witness).success();
    let ended = run(path, &[&verify[..], &["old"]].concat(), &witness);
    let said = text(&ended);
    assert_eq!(code(&ended), 1, "{said}");
    let says = "the earlier checkpoint is not cosigned by example.com/w";
    assert!(said.contains(says), "{said}");
}

/// Whoever stole a key that another took the place of gets neither a cosignature nor a proof that holds.
#[test]
fn a_key_that_was_superseded_goes_on_from_nothing_of_the_new_one() {
    let (directory, name) = (tempfile::tempdir().unwrap(), "example.com/log");
    let path = directory.path();
    run(path, &["keygen", "w.key", "--name", "example.com/w"], &[]).success();
    let root = Frontier::new().root();
    let signed_by = |key: &SigningKey| {
        let mut body = String::new();
        let (origin, size, extensions) = (name, 0, "");
        Checkpoint {
            origin,
            size,
            root,
            extensions,
        }
        .write(&mut body)
        .unwrap();
        let mut note = format!("{body}\n");
        sign(&mut note, &body, name, key).unwrap();
        note
    };
    let keys = [seed(1), seed(2)].map(|key| {
        Verifier::new(name, key.verifying_key())
            .unwrap()
            .to_string()
    });
    fs::write(path.join("log.vkey"), keys.join("\n")).unwrap();
    for (file, key) in [("old", seed(1)), ("new", seed(2))] {
        fs::write(path.join(file), signed_by(&key)).unwrap();
        fs::write(
            path.join(file).with_extension("proof"),
            format!("old 0\n\n{}", signed_by(&key)),
        )
        .unwrap();
    }
    let ask = [
        "log",
        "witness",
        "--name",
        "example.com/w",
        "--signing-key",
        "w.key",
        "--key",
        "log.vkey",
        "--new-log",
        "--request",
    ];
    for (request, expected) in [
        ("old.proof", 0),
        ("new.proof", 0),
        ("old.proof", 1),
        ("new.proof", 0),
    ] {
        let ended = run(path, &ask, &[request]);
        assert_eq!(code(&ended), expected, "{}", text(&ended));
    }
}

/// A disk that was put back does not put back the checkpoint that would show it.
#[test]
fn a_saved_checkpoint_is_written_over_by_none_that_is_older() {
    let directory = sample();
    let path = directory.path();
    let save = |more: &[&str]| {
        let save = [
            "log",
            "verify",
            "state",
            "--log",
            "grants",
            "--save-checkpoint",
            "kept",
        ];
        let ended = run(path, &save, more);
        (code(&ended), text(&ended))
    };
    assert_eq!(save(&[]).0, 0);
    let kept = fs::read(path.join("kept")).unwrap();
    assert_eq!(kept, fs::read(path.join("old")).unwrap());
    // The same again: also with a witness, who never saw it.
    assert_eq!(save(&[]).0, 0);
    let witness = ["--key", "right.vkey", "--output", "cosigned"];
    run(path, VERBS[6].1, &witness).success();
    let witnessed = ["--checkpoint", "cosigned", "--witness", "w.key.vkey"];
    assert_eq!(save(&witnessed).0, 0);
    // The disk goes back, and takes what the directory knows with it.
    for log in ["grants.checkpoint", "worm.checkpoint"] {
        fs::remove_file(path.join("state").join(log)).unwrap();
    }
    let (first, _) = blocks(LogKind::Grants, &[encoded(&boot(1))]);
    write_state(&path.join("state"), &first, &[], &[]);
    let (ended, said) = save(&[]);
    assert_eq!(ended, 1, "{said}");
    for part in ["has 7 records", "14", "kept was not written"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(fs::read(path.join("kept")).unwrap(), kept);
    // Nor is anything else written over.
    fs::write(path.join("kept"), "something of mine").unwrap();
    let (ended, said) = save(&[]);
    assert_eq!(ended, 2, "{said}");
    assert!(said.contains("writes over nothing but"), "{said}");
    assert_eq!(fs::read(path.join("kept")).unwrap(), b"something of mine");
}

#[test]
fn an_empty_log_has_no_checkpoint_and_that_is_said() {
    let directory = sample();
    let path = directory.path();
    fs::remove_file(path.join("state/worm.checkpoint")).unwrap();
    let (grants, _) = blocks(LogKind::Grants, &[encoded(&boot(1))]);
    write_state(&path.join("state"), &grants, &[], &[]);
    let ended = run(
        path,
        &[
            "log",
            "verify",
            "state",
            "--log",
            "worm",
            "--save-checkpoint",
            "kept",
        ],
        &[],
    );
    let said = text(&ended);
    assert_eq!(code(&ended), 2, "{said}");
    assert!(
        said.contains("has no record") && said.contains("kept was not written"),
        "{said}"
    );
    assert!(!path.join("kept").exists());
}

/// A disk of the right name that holds nothing: with the right key, nobody vouched for that.
#[test]
fn an_empty_log_in_place_of_another_holds_in_part() {
    let directory = sample();
    let state = directory.path().join("state");
    for log in ["grants.checkpoint", "worm.checkpoint"] {
        fs::remove_file(state.join(log)).unwrap();
    }
    write_state(&state, &[], &[], &[]);
    // `grants` has nothing to answer from, and says so: 2.
    for verb in ["verify", "show", "fsck"] {
        let (_, arguments, _) = VERBS.iter().find(|it| it.0 == verb).unwrap();
        let ended = run(directory.path(), arguments, &["--key", "right.vkey"]);
        let said = text(&ended);
        assert_eq!(code(&ended), 1, "{verb}: {said}");
        assert!(said.contains("nobody vouches for that"), "{verb}: {said}");
    }
    let old = ["--key", "right.vkey", "--checkpoint", "old"];
    let ended = run(directory.path(), VERBS[0].1, &old);
    assert!(text(&ended).contains("DOES NOT HOLD"), "{}", text(&ended));
}

/// Each signature is tried against all of them.
#[test]
fn a_log_has_a_few_keys() {
    let many = |count| {
        move |path: &Path| {
            let keys: Vec<_> = (0..count).map(seed).chain([key()]).collect();
            fs::write(path.join("many.vkey"), key_file(&keys)).unwrap();
        }
    };
    all(many(15), &["--key", "many.vkey"], |_| 0, "from many.vkey");
    all(
        many(16),
        &["--key", "many.vkey"],
        |_| 2,
        "more than 16 keys",
    );
}

/// What may lie in a place, and is no plain file.
const KINDS: [&str; 6] = [
    "a FIFO",
    "a socket",
    "a link",
    "a device",
    "a folder",
    "more than",
];

/// Puts something into a place; whether it could be made.
fn put(place: &Path, kind: &str) -> bool {
    if place.is_dir() {
        fs::remove_dir_all(place).unwrap();
    } else {
        fs::rename(place, place.with_extension("before")).unwrap();
    }
    let made = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command
            .arg(place)
            .args(arguments)
            .status()
            .unwrap()
            .success()
    };
    match kind {
        "a FIFO" => made("mkfifo", &[]),
        // Only root may.
        "a device" => made("mknod", &["c", "1", "5"]),
        "a socket" => UnixListener::bind(place).is_ok(),
        "a link" => symlink(place.with_extension("before"), place).is_ok(),
        "a folder" => fs::create_dir(place).is_ok(),
        // A file of a terabyte, which takes no room.
        _ => File::create(place).unwrap().set_len(1 << 40).is_ok(),
    }
}

#[test]
fn only_plain_files_of_a_directory_are_read_and_no_further_than_they_may_go() {
    let places = [
        "ledger.vkey",
        "grants.checkpoint",
        "worm.checkpoint",
        "policies",
        "policies/sample.policy",
        "disk.img",
    ];
    for place in places {
        for kind in KINDS {
            if (place, kind) == ("policies", "a folder")
                || (place, kind) == ("disk.img", "more than")
            {
                continue;
            }
            for (verb, arguments, _) in [VERBS[0], VERBS[1], VERBS[3], VERBS[7]] {
                let directory = sample();
                if !put(&directory.path().join("state").join(place), kind) {
                    continue;
                }
                let ended = run(directory.path(), arguments, &[]);
                let text = text(&ended);
                assert_eq!(code(&ended), 2, "{verb}: {place} is {kind}: {text}");
                let kind = if place == "policies" && kind == "more than" {
                    "a file"
                } else {
                    kind
                };
                assert!(
                    text.contains(place) && text.contains(kind),
                    "{verb}: {place}: {text}"
                );
            }
        }
    }
}

/// What is not read may be anything.
#[test]
fn a_directory_s_keys_are_not_read_where_others_are_named() {
    let fifo = |path: &Path| assert!(put(&path.join("state/ledger.vkey"), "a FIFO"));
    all(fifo, &["--key", "right.vkey"], |_| 0, "from right.vkey");
}

/// A file that somebody names may be a link, and is a plain file in the end.
#[test]
fn files_that_are_named_are_plain_too() {
    let directory = sample();
    let path = directory.path();
    symlink("right.vkey", path.join("link.vkey")).unwrap();
    assert_eq!(code(&run(path, VERBS[0].1, &["--key", "link.vkey"])), 0);
    for option in ["--key", "--checkpoint", "--policies", "--vault-key"] {
        for kind in ["a FIFO", "more than"] {
            let file = path.join("named");
            fs::write(&file, "").unwrap();
            assert!(put(&file, kind));
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let verb = if option == "--vault-key" {
                VERBS[7]
            } else {
                VERBS[0]
            };
            let ended = run(path, verb.1, &[option, "named"]);
            assert_eq!(code(&ended), 2, "{option}: {kind}: {}", text(&ended));
            fs::remove_file(&file).unwrap();
        }
    }
}

/// That a disk is gone is no reason to make another.
#[test]
fn a_disk_that_is_gone_is_not_one_that_was_never_made() {
    for (_, arguments, _) in VERBS {
        let directory = sample();
        fs::remove_file(directory.path().join("state/disk.img")).unwrap();
        let ended = run(directory.path(), arguments, &["--key", "right.vkey"]);
        assert_eq!(code(&ended), 3);
        let words: Vec<_> = text(&ended).split_whitespace().map(str::to_owned).collect();
        let words = words.join(" ").replace("│ ", "");
        assert!(words.contains("restore it from a copy"), "{words}");
        assert!(!words.contains("`portcullis run` makes it"), "{words}");
    }
}

/// A lock as the hosted driver's, and one as QEMU's.
#[test]
fn a_disk_in_use_is_not_checked_and_its_logs_are_read_as_far_as_they_are_told_of() {
    let directory = sample();
    let path = directory.path();
    let open = || {
        let disk = path.join("state/disk.img");
        File::options().read(true).write(true).open(disk).unwrap()
    };
    let disk = open();
    disk.lock().unwrap();
    let refused = || {
        let ended = run(path, VERBS[7].1, &[]);
        let said = text(&ended);
        assert_eq!(code(&ended), 3, "{said}");
        assert!(said.contains("is in use"), "{said}");
    };
    refused();
    for (_, arguments, _) in VERBS[..7].iter() {
        run(path, arguments, &["--key", "right.vkey"]).code(0);
    }
    disk.unlock().unwrap();
    run(path, VERBS[7].1, &[]).code(0);
    use rustix::fs::FlockOperation::NonBlockingLockShared;
    rustix::fs::fcntl_lock(&disk, NonBlockingLockShared).unwrap();
    refused();
    // Who may only read it is told as well.
    disk.set_permissions(Permissions::from_mode(0o400)).unwrap();
    refused();
}

/// Witnessed on a machine that has neither disk nor directory; and the proof asks for it.
#[test]
fn a_request_needs_no_disk_and_a_proof_its_cosignatures() {
    let directory = sample();
    let path = directory.path();
    let elsewhere = tempfile::tempdir().unwrap();
    let prove = ["log", "prove-growth", "old", "state", "--output", "growth"];
    run(path, &prove, &[]).code(0);
    // What the witness signed last is nothing: the proof is one from there.
    let growth = fs::read_to_string(path.join("growth")).unwrap();
    let from_nothing = growth.replacen("old 14", "old 0", 1);
    assert!(
        from_nothing.starts_with("old 0\n\n"),
        "it is a proof from itself: {growth}"
    );
    fs::write(elsewhere.path().join("growth"), from_nothing).unwrap();
    for file in ["w.key", "right.vkey", "trusted.vkey", "foreign.vkey"] {
        fs::copy(path.join(file), elsewhere.path().join(file)).unwrap();
    }
    let ask = [
        "log",
        "witness",
        "--new-log",
        "--name",
        "example.com/w",
        "--signing-key",
        "w.key",
        "--request",
        "growth",
        "--output",
        "cosigned",
    ];
    for (key, expected) in [("trusted.vkey", 2), ("foreign.vkey", 3), ("right.vkey", 0)] {
        let ended = run(elsewhere.path(), &ask, &["--key", key]);
        assert_eq!(code(&ended), expected, "{key}: {}", text(&ended));
    }
    fs::copy(elsewhere.path().join("cosigned"), path.join("cosigned")).unwrap();
    let prove = [
        "log", "prove", "3", "state", "--as-of", "cosigned", "--output", "3.proof",
    ];
    run(path, &prove, &[]).code(0);
    run(
        path,
        &["keygen", "other.key", "--name", "example.com/w"],
        &[],
    )
    .success();
    let verify = [
        "log",
        "verify-proof",
        "3.proof",
        "--key",
        "right.vkey",
        "--witness",
    ];
    let seen = run(path, &verify, &["w.key.vkey"]);
    assert_eq!(code(&seen), 0, "{}", text(&seen));
    assert!(
        text(&seen).contains("cosigned by example.com/w+"),
        "{}",
        text(&seen)
    );
    let other = run(path, &verify, &["other.key.vkey"]);
    assert_eq!(code(&other), 1);
    assert!(
        text(&other).contains("is not cosigned by example.com/w+"),
        "{}",
        text(&other)
    );
    let plain = [
        "log",
        "verify-proof",
        "proof",
        "--key",
        "right.vkey",
        "--witness",
        "w.key.vkey",
    ];
    assert_eq!(code(&run(path, &plain, &[])), 1);
}
