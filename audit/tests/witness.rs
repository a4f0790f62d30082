//! A witness signs one history of a log.

use std::fs;
use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_audit::proof::{Hashes, Refused, write_consistency};
use portcullis_audit::testing::{LOG, key};
use portcullis_audit::verify::checkpoint_note;
use portcullis_audit::walk::Sink as _;
use portcullis_audit::witness::{Declined, Witness};
use portcullis_log::block::{Footer, LogKind};
use portcullis_log::checkpoint::origin;
use portcullis_log::merkle::Frontier;
use portcullis_log::note::{Note, NoteError, Verifier};

const KIND: LogKind = LogKind::Grants;
const NAME: &str = "example.com/w1";

fn own() -> SigningKey {
    SigningKey::from_bytes(&[0x77; 32])
}

/// A request to cosign a log of `size` records, from `old` on. Record `forked` and what follows is
/// another history.
fn request(old: u64, size: u64, forked: u64) -> String {
    let (mut hashes, mut tree) = (Hashes::new(None), Frontier::new());
    for index in 0..size {
        let record = format!(
            "{}{index}",
            if index < forked { "record " } else { "other " }
        );
        tree.append(record.as_bytes());
        let payload = [&(record.len() as u16).to_le_bytes()[..], record.as_bytes()].concat();
        hashes.commit(index, &payload);
    }
    let footer = Footer::sign(KIND, LOG, size, &tree.root(), &key());
    let note = checkpoint_note(KIND, LOG, &footer, &key().verifying_key());
    let proof = if old == 0 {
        Some(Vec::new())
    } else {
        hashes.consistency(old, size)
    };
    write_consistency(old, &proof.unwrap(), &note)
}

fn ask(memory: &Path, request: &str) -> Result<String, Declined> {
    let name = origin(KIND, LOG);
    let log = Verifier::new(&name, key().verifying_key()).unwrap();
    let key = own();
    let witness = Witness {
        name: NAME,
        key: &key,
        memory,
    };
    witness.cosign(request, &log, 1_700_000_000)
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
