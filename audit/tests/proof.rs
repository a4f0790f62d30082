//! Proofs as files: made, read, verified, refused.

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use portcullis_audit::proof::{Hashes, Proof, Refused, write_consistency, write_inclusion};
use portcullis_audit::testing::{LOG, key};
use portcullis_audit::verify::checkpoint_note;
use portcullis_fsck::Records;
use portcullis_log::block::{Footer, LogKind};
use portcullis_log::checkpoint::origin;
use portcullis_log::merkle::Frontier;
use portcullis_log::note::Verifier;

const KIND: LogKind = LogKind::Grants;

fn record(index: u64) -> Vec<u8> {
    format!("record {index}").into_bytes()
}

/// All hashes of a log of `size` records.
fn hashes(size: u64) -> Hashes {
    let mut hashes = Hashes::new(Some(0));
    for index in 0..size {
        let record = record(index);
        let payload = [&(record.len() as u16).to_le_bytes()[..], &record].concat();
        hashes.records(Records::new(index, &payload));
    }
    hashes
}

fn note(size: u64) -> String {
    note_by(size, &key())
}

/// The same; this key signed it.
fn note_by(size: u64, key: &SigningKey) -> String {
    let mut tree = Frontier::new();
    (0..size).for_each(|index| {
        tree.append(&record(index));
    });
    let footer = Footer::sign(KIND, LOG, size, &tree.root(), key);
    checkpoint_note(KIND, LOG, &footer, &key.verifying_key())
}

#[test]
fn every_record_is_proved() {
    let name = origin(KIND, LOG);
    let verifier = Verifier::new(&name, key().verifying_key()).unwrap();
    for size in [1, 2, 7, 8, 21] {
        let mut hashes = hashes(size);
        assert_eq!(hashes.size(), size);
        let note = note(size);
        for index in 0..size {
            let proof = hashes.inclusion(index, size).unwrap();
            let text = write_inclusion(index, &record(index), &proof, &note);
            let read = Proof::parse(&text).unwrap();
            assert_eq!(read.verify_inclusion(&[verifier], None), Ok(record(index)));
            let other = record(index + 1);
            assert!(matches!(
                read.verify_inclusion(&[verifier], Some(&other)),
                Err(Refused::Proof(_))
            ));
        }
        assert_eq!(hashes.inclusion(size, size), None);
        assert_eq!(
            hashes.inclusion(0, size + 1),
            None,
            "the log is not that long"
        );
    }
}

#[test]
fn growth_is_proved() {
    let name = origin(KIND, LOG);
    let verifier = Verifier::new(&name, key().verifying_key()).unwrap();
    let mut all = hashes(21);
    for old in 1..=21 {
        let text = write_consistency(old, &all.consistency(old, 21).unwrap(), &note(21));
        let proof = Proof::parse(&text).unwrap();
        assert_eq!(proof.verify_consistency(&[verifier], &note(old)), Ok(()));
        let other = if old == 21 { 20 } else { old + 1 };
        let refused = Refused::OldSize {
            proof: old,
            checkpoint: other,
        };
        assert_eq!(
            proof.verify_consistency(&[verifier], &note(other)),
            Err(refused)
        );
    }
}

/// Keys are named oldest first: an older one does not go on from what a newer one signed.
#[test]
fn growth_that_a_superseded_key_signed_is_refused() {
    let name = origin(KIND, LOG);
    let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let known = [&keys[0], &keys[1]].map(|it| Verifier::new(&name, it.verifying_key()).unwrap());
    for old in [3, 7] {
        let hashes = hashes(7).consistency(old, 7).unwrap();
        for (before, after) in [(0, 0), (0, 1), (1, 1), (1, 0)] {
            let text = write_consistency(old, &hashes, &note_by(7, &keys[after]));
            let proof = Proof::parse(&text).unwrap();
            let expected = match before > after {
                true => Err(Refused::Superseded),
                false => Ok(()),
            };
            let old_note = note_by(old, &keys[before]);
            assert_eq!(proof.verify_consistency(&known, &old_note), expected);
        }
    }
}

#[test]
fn no_byte_of_a_proof_can_be_changed() {
    let name = origin(KIND, LOG);
    let verifier = Verifier::new(&name, key().verifying_key()).unwrap();
    let proof = hashes(7).inclusion(4, 7).unwrap();
    let text = write_inclusion(4, &record(4), &proof, &note(7));
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        let verified = Proof::parse(&changed).and_then(|it| it.verify_inclusion(&[verifier], None));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn a_proof_of_another_log_is_refused() {
    let (grants, worm) = (origin(LogKind::Grants, LOG), origin(LogKind::Worm, LOG));
    let text = write_inclusion(0, &record(0), &[], &note(1));
    let proof = Proof::parse(&text).unwrap();
    let verifier = |name| Verifier::new(name, key().verifying_key()).unwrap();
    assert!(proof.verify_inclusion(&[verifier(&grants)], None).is_ok());
    assert!(proof.verify_inclusion(&[verifier(&worm)], None).is_err());
}

#[test]
fn malformed_proofs_are_refused() {
    let good = write_inclusion(3, b"x", &[[1; 32]; 2], "note\n");
    assert!(Proof::parse(&good).is_ok());
    let hash = good.lines().nth(3).unwrap();
    for (bad, refused) in [
        (String::new(), Refused::Header),
        ("c2sp.org/tlog-proof@v2\n".into(), Refused::Header),
        (good.replace("index 3", "index 03"), Refused::Line(3)),
        (good.replace("index 3", "index -3"), Refused::Line(3)),
        (good.replace("extra eA==", "extra eA"), Refused::Line(2)),
        (good.replacen(hash, "AAAA", 1), Refused::Line(4)),
        (good.replace("\n\nnote\n", "\n"), Refused::Line(6)),
        (
            good.replacen(hash, &[hash; 65].join("\n"), 1),
            Refused::TooManyHashes,
        ),
        ("old 1x\n\n".into(), Refused::Line(1)),
    ] {
        assert_eq!(Proof::parse(&bad), Err(refused), "{bad}");
    }
}

#[test]
fn public_c2sp_proof_is_read() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../log/vectors/public");
    let text = std::fs::read_to_string(root.join("c2sp_examples.json"));
    let text = text.expect("the vectors are committed");
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let text = vectors["tlog_proof_syntax_only_elided_signatures"]
        .as_str()
        .unwrap();
    let Ok(Proof::Inclusion {
        index,
        record: Some(_),
        hashes,
        note,
    }) = Proof::parse(text)
    else {
        panic!("{:?}", Proof::parse(text));
    };
    assert_eq!((index, hashes.len()), (73_894, 5));
    assert!(note.starts_with("example.com/fancylog\n109482\n"));
}
