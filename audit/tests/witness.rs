//! A witness signs one history of a log.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_audit::keys::Keyring;
use portcullis_audit::proof::{Hashes, Refused, write_consistency};
use portcullis_audit::testing::{LOG, key};
use portcullis_audit::verify::checkpoint_note;
use portcullis_audit::witness::{Declined, Witness};
use portcullis_fsck::Records;
use portcullis_log::block::{Footer, LogKind};
use portcullis_log::checkpoint::{Checkpoint, origin};
use portcullis_log::merkle::Frontier;
use portcullis_log::note::{Note, NoteError, SIGNATURES_MAX, Verifier, sign};

const KIND: LogKind = LogKind::Grants;
const NAME: &str = "example.com/w1";

fn own() -> SigningKey {
    SigningKey::from_bytes(&[0x77; 32])
}

/// A request to cosign a log of `size` records, from `old` on. Record `forked` and what follows is
/// another history.
fn request(old: u64, size: u64, forked: u64) -> String {
    signed_request(old, size, forked, &key())
}

/// The same; this key signed it.
fn signed_request(old: u64, size: u64, forked: u64, key: &SigningKey) -> String {
    let (mut hashes, mut tree) = (Hashes::new(None), Frontier::new());
    for index in 0..size {
        let record = format!(
            "{}{index}",
            if index < forked { "record " } else { "other " }
        );
        tree.append(record.as_bytes());
        let payload = [&(record.len() as u16).to_le_bytes()[..], record.as_bytes()].concat();
        hashes.records(Records::new(index, &payload));
    }
    let footer = Footer::sign(KIND, LOG, size, &tree.root(), key);
    let note = checkpoint_note(KIND, LOG, &footer, &key.verifying_key());
    let proof = if old == 0 {
        Some(Vec::new())
    } else {
        hashes.consistency(old, size)
    };
    write_consistency(old, &proof.unwrap(), &note)
}

const TIME: u64 = 1_700_000_000;

fn ask(memory: &Path, request: &str) -> Result<String, Declined> {
    ask_at(memory, request, TIME)
}

fn ask_at(memory: &Path, request: &str, time: u64) -> Result<String, Declined> {
    let name = origin(KIND, LOG);
    let log = Verifier::new(&name, key().verifying_key()).unwrap();
    ask_with(memory, request, &keyring(&[log]), time)
}

fn ask_with(memory: &Path, request: &str, keys: &Keyring, time: u64) -> Result<String, Declined> {
    let key = own();
    let witness = Witness {
        name: NAME,
        key: &key,
        memory,
        is_new: true,
    };
    witness
        .cosign(request, keys, time)
        .map(|cosigned| cosigned.note)
}

fn keyring(keys: &[Verifier<'_>]) -> Keyring {
    let mut keyring = Keyring::default();
    for key in keys {
        keyring
            .parse(&key.to_string(), Path::new("log.vkey"))
            .unwrap();
    }
    keyring
}

#[test]
fn a_log_that_grows_is_cosigned_each_time() {
    let memory = tempfile::tempdir().unwrap();
    let key = Verifier::witness(NAME, own().verifying_key()).unwrap();
    for (old, size) in [(0, 5), (5, 5), (5, 12), (12, 13)] {
        let cosigned = ask(memory.path(), &request(old, size, u64::MAX)).unwrap();
        let note = Note::parse(cosigned.as_bytes()).unwrap();
        assert_eq!(note.verify(&[key]), Ok(1));
        let name = origin(KIND, LOG);
        let log = Verifier::new(&name, portcullis_audit::testing::key().verifying_key()).unwrap();
        assert_eq!(note.verify(&[log, key]), Ok(2));
    }
}

#[test]
fn of_two_histories_at_once_one_is_signed() {
    let [memory, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    ask(other.path(), &request(0, 5, u64::MAX)).unwrap();
    let signed = fs::read_dir(other.path()).unwrap().next().unwrap().unwrap();
    // Another process of this witness, which signs one history while it is asked for the other.
    let working = fs::File::open(memory.path()).unwrap();
    working.lock().unwrap();
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(memory.path(), &request(0, 5, 3)));
        std::thread::sleep(std::time::Duration::from_millis(50));
        fs::copy(signed.path(), memory.path().join(signed.file_name())).unwrap();
        working.unlock().unwrap();
        asked.join().unwrap()
    });
    assert!(
        matches!(
            asked,
            Err(Declined::Start {
                asked: 0,
                signed: 5
            })
        ),
        "{asked:?}"
    );
}

#[test]
fn another_history_is_never_signed() {
    let memory = tempfile::tempdir().unwrap();
    ask(memory.path(), &request(0, 5, u64::MAX)).unwrap();
    for forked in [0, 2, 4] {
        let asked = ask(memory.path(), &request(5, 12, forked));
        assert!(
            matches!(asked, Err(Declined::Fork { size: 5, .. })),
            "{asked:?}"
        );
    }
    // Nor is a request that forgets what was signed.
    let asked = ask(memory.path(), &request(0, 12, 0));
    assert!(
        matches!(
            asked,
            Err(Declined::Start {
                asked: 0,
                signed: 5
            })
        ),
        "{asked:?}"
    );
    let asked = ask(memory.path(), &request(4, 12, u64::MAX));
    assert!(
        matches!(
            asked,
            Err(Declined::Start {
                asked: 4,
                signed: 5
            })
        ),
        "{asked:?}"
    );
    // What it refused left no trace.
    ask(memory.path(), &request(5, 12, 5)).unwrap();
}

#[test]
fn a_checkpoint_that_the_log_did_not_sign_is_refused() {
    let memory = tempfile::tempdir().unwrap();
    let changed = request(0, 5, u64::MAX).replacen("\n5\n", "\n6\n", 1);
    let asked = ask(memory.path(), &changed);
    let invalid = matches!(
        asked,
        Err(Declined::Refused(Refused::Note(NoteError::Invalid)))
    );
    assert!(invalid, "{asked:?}");
}

/// Of the same log, and of any other.
#[test]
fn a_time_is_never_signed_after_a_later_one() {
    let memory = tempfile::tempdir().unwrap();
    ask_at(memory.path(), &request(0, 5, u64::MAX), TIME).unwrap();
    let asked = ask_at(memory.path(), &request(5, 12, u64::MAX), TIME - 1);
    let (now, signed) = (TIME - 1, TIME);
    let declined = |asked| matches!(asked, Err(Declined::Clock { now: n, signed: s }) if (n, s) == (now, signed));
    assert!(declined(asked));
    let (other, keys) = other_log(0, "");
    assert!(declined(ask_with(memory.path(), &other, &keys, TIME - 1)));
    // What it did not sign left no trace.
    ask_with(memory.path(), &other, &keys, TIME).unwrap();
    ask_at(memory.path(), &request(5, 12, u64::MAX), TIME).unwrap();
}

/// A request about a log of another make, of one entry: its checkpoint ends with `extension`.
fn other_log(size: u64, extension: &str) -> (String, Keyring) {
    let key = SigningKey::from_bytes(&[0x31; 32]);
    let name = "example.com/fancylog";
    let mut tree = Frontier::new();
    for _ in 0..size {
        tree.append(b"entry");
    }
    let checkpoint = Checkpoint {
        origin: name,
        size,
        root: tree.root(),
        extensions: extension,
    };
    let mut text = String::new();
    checkpoint.write(&mut text).unwrap();
    let mut note = format!("{text}\n");
    sign(&mut note, &text, name, &key).unwrap();
    let log = Verifier::new(name, key.verifying_key()).unwrap();
    (write_consistency(0, &[], &note), keyring(&[log]))
}

#[test]
fn any_log_is_witnessed_whose_key_was_given() {
    let memory = tempfile::tempdir().unwrap();
    let (asked, keys) = other_log(1, "an extension\n");
    let cosigned = ask_with(memory.path(), &asked, &keys, TIME).unwrap();
    let key = Verifier::witness(NAME, own().verifying_key()).unwrap();
    let note = Note::parse(cosigned.as_bytes()).unwrap();
    assert_eq!(note.signed_by(&key), Ok(TIME));
    // And no other.
    let declined = ask(memory.path(), &asked);
    assert!(
        matches!(&declined, Err(Declined::NoKey { origin }) if origin == "example.com/fancylog"),
        "{declined:?}"
    );
}

/// A key of the name that took the place of the first signs for the same log.
#[test]
fn a_log_with_another_key_than_before_is_the_same_log() {
    let memory = tempfile::tempdir().unwrap();
    let name = origin(KIND, LOG);
    let old = SigningKey::from_bytes(&[0x32; 32]).verifying_key();
    let keys = [old, key().verifying_key()].map(|key| Verifier::new(&name, key).unwrap());
    let asked = request(0, 5, u64::MAX);
    ask_with(memory.path(), &asked, &keyring(&keys), TIME).unwrap();
    let asked = request(5, 12, u64::MAX);
    ask_with(memory.path(), &asked, &keyring(&keys), TIME).unwrap();
    let old = ask_with(
        memory.path(),
        &request(12, 13, u64::MAX),
        &keyring(&keys[..1]),
        TIME,
    );
    let unknown = matches!(
        old,
        Err(Declined::Refused(Refused::Note(NoteError::Unknown)))
    );
    assert!(unknown, "{old:?}");
}

/// Of two keys the older signs no more once the newer has: who stole it gets no cosignature.
#[test]
fn a_key_that_another_took_the_place_of_gets_no_cosignature() {
    let memory = tempfile::tempdir().unwrap();
    let name = origin(KIND, LOG);
    let old = SigningKey::from_bytes(&[0x32; 32]);
    let keys = [&old, &key()].map(|key| Verifier::new(&name, key.verifying_key()).unwrap());
    let asked_of = |old_size, size, signer: &SigningKey| {
        let request = signed_request(old_size, size, u64::MAX, signer);
        ask_with(memory.path(), &request, &keyring(&keys), TIME)
    };
    asked_of(0, 3, &old).unwrap();
    asked_of(3, 5, &old).unwrap();
    asked_of(5, 12, &key()).unwrap();
    for size in [12, 13] {
        let asked = asked_of(12, size, &old);
        let superseded = matches!(asked, Err(Declined::Refused(Refused::Superseded)));
        assert!(superseded, "{asked:?}");
    }
    // What it refused left no trace.
    asked_of(12, 13, &key()).unwrap();
}

/// Who lost the answer asks again, and is told again; and only of what was signed last.
#[test]
fn what_was_signed_last_is_signed_again() {
    let memory = tempfile::tempdir().unwrap();
    let first = ask(memory.path(), &request(0, 5, u64::MAX)).unwrap();
    assert_eq!(ask(memory.path(), &request(0, 5, u64::MAX)).unwrap(), first);
    let second = ask(memory.path(), &request(5, 12, u64::MAX)).unwrap();
    let again = ask_at(memory.path(), &request(5, 12, u64::MAX), TIME + 1).unwrap();
    let key = Verifier::witness(NAME, own().verifying_key()).unwrap();
    for (note, time) in [(second, TIME), (again, TIME + 1)] {
        assert_eq!(
            Note::parse(note.as_bytes()).unwrap().signed_by(&key),
            Ok(time)
        );
    }
    for (old, size, forked) in [(0, 5, u64::MAX), (5, 12, 6), (0, 12, 0)] {
        let asked = ask_at(memory.path(), &request(old, size, forked), TIME + 1);
        assert!(
            matches!(asked, Err(Declined::Start { signed: 12, .. })),
            "{asked:?}"
        );
    }
}

/// Who could write the memory could have a second history signed.
#[test]
fn a_memory_that_others_could_write_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (memory, link) = (scratch.path().join("memory"), scratch.path().join("link"));
    ask(&memory, &request(0, 5, u64::MAX)).unwrap();
    std::os::unix::fs::symlink(&memory, &link).unwrap();
    let refused = |path: &Path| {
        let asked = ask(path, &request(5, 12, u64::MAX));
        assert!(matches!(asked, Err(Declined::NotOwn(_))), "{asked:?}");
    };
    refused(&link);
    for open in [0o777, 0o770, 0o702] {
        fs::set_permissions(&memory, fs::Permissions::from_mode(open)).unwrap();
        refused(&memory);
    }
    fs::set_permissions(&memory, fs::Permissions::from_mode(0o755)).unwrap();
    // Only root can give it away.
    if std::os::unix::fs::chown(&memory, Some(12_345), None).is_ok() {
        refused(&memory);
        std::os::unix::fs::chown(&memory, Some(0), None).unwrap();
    }
    ask(&memory, &request(5, 12, u64::MAX)).unwrap();
}

/// Whatever a log's owner asks for, what is remembered can be read the next time.
#[test]
fn a_request_does_not_spoil_the_memory() {
    let memory = tempfile::tempdir().unwrap();
    let asked = request(0, 5, u64::MAX);
    let line = asked.lines().last().unwrap().replace("grants ", "others ");
    let full = format!("{asked}{}", format!("{line}\n").repeat(SIGNATURES_MAX - 1));
    let declined = ask(memory.path(), &full);
    let too_many = matches!(
        declined,
        Err(Declined::Refused(Refused::Note(NoteError::TooMany)))
    );
    assert!(too_many, "{declined:?}");
    let (long, keys) = other_log(1, &format!("{}\n", "x".repeat(1_000)));
    let declined = ask_with(memory.path(), &long, &keys, TIME);
    assert!(matches!(declined, Err(Declined::TooLong)), "{declined:?}");
    let wrong = request(0, 5, u64::MAX);
    let cosigned = ask(memory.path(), &wrong).unwrap();
    // A note that this witness cosigned before has its newest signature alone.
    let again = write_consistency(5, &[], &cosigned);
    let again = ask_at(memory.path(), &again, TIME + 1).unwrap();
    let key = Verifier::witness(NAME, own().verifying_key()).unwrap();
    let note = Note::parse(again.as_bytes()).unwrap();
    assert_eq!(
        (note.signatures().count(), note.signed_by(&key)),
        (2, Ok(TIME + 1))
    );
}

#[test]
fn an_empty_log_has_the_root_of_nothing() {
    let memory = tempfile::tempdir().unwrap();
    let (asked, keys) = other_log(0, "");
    let root = asked.lines().nth(4).unwrap();
    let key = SigningKey::from_bytes(&[0x31; 32]);
    let text = format!("example.com/fancylog\n0\n{}\n", "A".repeat(43) + "=");
    assert_ne!(root, &text[23..67]);
    let mut note = format!("{text}\n");
    sign(&mut note, &text, "example.com/fancylog", &key).unwrap();
    let forged = ask_with(
        memory.path(),
        &write_consistency(0, &[], &note),
        &keys,
        TIME,
    );
    assert!(
        matches!(forged, Err(Declined::Fork { size: 0, .. })),
        "{forged:?}"
    );
    ask_with(memory.path(), &asked, &keys, TIME).unwrap();
}

#[test]
fn a_memory_that_was_changed_is_not_believed() {
    let memory = tempfile::tempdir().unwrap();
    ask(memory.path(), &request(0, 5, u64::MAX)).unwrap();
    let file = fs::read_dir(memory.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\n5\n", "\n3\n", 1)).unwrap();
    let asked = ask(memory.path(), &request(3, 12, 0));
    assert!(matches!(asked, Err(Declined::Damaged { .. })), "{asked:?}");
}

/// What cannot be read may be of a later time, whatever log it is of.
#[test]
fn a_memory_that_cannot_be_read_is_no_earlier_time() {
    let memory = tempfile::tempdir().unwrap();
    let (other, keys) = other_log(1, "");
    ask_with(memory.path(), &other, &keys, TIME).unwrap();
    let entry = fs::read_dir(memory.path()).unwrap().next().unwrap();
    let file = entry.unwrap().path();
    let honest = fs::read_to_string(&file).unwrap();
    let asked = || ask_at(memory.path(), &request(0, 5, u64::MAX), TIME - 1);
    for damaged in [&honest[..40], "", &honest.replacen("\n1\n", "\n2\n", 1)] {
        fs::write(&file, damaged).unwrap();
        let asked = asked();
        assert!(matches!(asked, Err(Declined::Damaged { .. })), "{asked:?}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(asked(), Err(Declined::Memory { .. })));
    fs::remove_dir(&file).unwrap();
    // What a cut left of a file that was being written is no checkpoint.
    fs::write(file.with_extension("checkpoint.1-0.new"), &honest[..40]).unwrap();
    asked().unwrap();
}

#[test]
fn a_witness_needs_a_name_that_notes_can_carry() {
    let (memory, key) = (tempfile::tempdir().unwrap(), own());
    let witness = Witness {
        name: "two words",
        key: &key,
        memory: memory.path(),
        is_new: true,
    };
    let log = origin(KIND, LOG);
    let keys =
        keyring(&[Verifier::new(&log, portcullis_audit::testing::key().verifying_key()).unwrap()]);
    let asked = witness.cosign(&request(0, 5, u64::MAX), &keys, TIME);
    assert!(matches!(asked, Err(Declined::Name(_))), "{asked:?}");
}

#[test]
fn the_cosignature_is_that_of_the_specification() {
    // C2SP tlog-cosignature: key id, time as 64 bits big endian, Ed25519 over header and text.
    let memory = tempfile::tempdir().unwrap();
    let cosigned = ask(memory.path(), &request(0, 5, u64::MAX)).unwrap();
    let (text, signatures) = cosigned.split_once("\n\n").unwrap();
    let line = signatures.lines().find(|it| it.contains(NAME)).unwrap();
    let base64 = line.rsplit(' ').next().unwrap();
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap();
    let (id, rest) = bytes.split_at(4);
    let marked = [&[4][..], own().verifying_key().as_bytes()].concat();
    assert_eq!(id, signed_note::key_id(NAME, &marked).to_be_bytes());
    assert_eq!(rest[..8], 1_700_000_000_u64.to_be_bytes());
    let signature = ed25519_dalek::Signature::from_slice(&rest[8..]).unwrap();
    let message = format!("cosignature/v1\ntime 1700000000\n{text}\n");
    own()
        .verifying_key()
        .verify_strict(message.as_bytes(), &signature)
        .unwrap();
}
