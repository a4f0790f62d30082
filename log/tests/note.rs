//! Signed notes and verifier keys against Go's tests and the C2SP examples.

mod common;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::vectors;
use ed25519_dalek::SigningKey;
use portcullis_log::checkpoint::Checkpoint;
use portcullis_log::note::{
    self, NOTE_MAX, Note, NoteError, SIGNATURES_MAX, Verifier, VerifierError,
};
use proptest::prelude::*;

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn public_go_notes() {
    let go = vectors("signed_note_go.json");
    let known: Vec<_> = go["vkeys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| Verifier::parse(text(key)).unwrap())
        .collect();
    let [peter, enoch] = known[..] else {
        panic!("two keys")
    };
    for (verifier, key) in known.iter().zip(go["vkeys"].as_array().unwrap()) {
        assert_eq!(verifier.to_string(), text(key));
    }
    let by_peter = Note::parse(text(&go["signed_by_peter"]).as_bytes()).unwrap();
    let by_both = Note::parse(text(&go["signed_by_both"]).as_bytes()).unwrap();
    assert_eq!(by_peter.text(), text(&go["text"]));
    assert_eq!(by_peter.verify(&[peter]), Ok(1));
    assert_eq!(by_peter.verify(&known), Ok(1));
    assert_eq!(by_peter.verify(&[enoch]), Err(NoteError::Unknown));
    assert_eq!(by_peter.verify(&[]), Err(NoteError::Unknown));
    assert_eq!(by_both.verify(&known), Ok(2));
    let bad = Note::parse(text(&go["bad_signature_known_key"]).as_bytes()).unwrap();
    assert_eq!(bad.verify(&known), Err(NoteError::Invalid));
    assert_eq!(bad.verify(&[enoch]), Err(NoteError::Unknown));
    for bad in go["bad_vkeys"].as_array().unwrap() {
        assert!(Verifier::parse(text(bad)).is_err(), "{bad}");
    }
    for malformed in go["malformed_notes"].as_array().unwrap() {
        assert!(
            Note::parse(text(malformed).as_bytes()).is_err(),
            "{malformed}"
        );
    }
    assert_eq!(
        go["max_signatures_go"].as_u64(),
        Some(SIGNATURES_MAX as u64)
    );
}

#[test]
fn public_go_signing_key_signs_the_same_note() {
    let go = vectors("signed_note_go.json");
    let secret = text(&go["skey"]).splitn(5, '+').last().unwrap();
    let seed: [u8; 32] = STANDARD.decode(secret).unwrap()[1..].try_into().unwrap();
    let mut note = format!("{}\n", text(&go["text"]));
    note::sign(
        &mut note,
        text(&go["text"]),
        "PeterNeumann",
        &SigningKey::from_bytes(&seed),
    )
    .unwrap();
    assert_eq!(note, text(&go["signed_by_peter"]));
}

#[test]
fn public_go_note_that_is_not_utf8() {
    let go = vectors("signed_note_go.json");
    let hex = text(&go["malformed_note_invalid_utf8_hex"]);
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    assert_eq!(Note::parse(&bytes), Err(NoteError::Text));
}

#[test]
fn public_c2sp_examples() {
    let c2sp = vectors("c2sp_examples.json");
    let key = Verifier::parse(text(&c2sp["signed_note"]["vkey"])).unwrap();
    let note = Note::parse(text(&c2sp["signed_note"]["note"]).as_bytes()).unwrap();
    assert_eq!(note.verify(&[key]), Ok(1));
    let cosigned = text(&c2sp["checkpoint_with_cosignature_syntax_only"]);
    let note = Note::parse(cosigned.as_bytes()).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!(
        (checkpoint.origin, checkpoint.size),
        ("example.com/behind-the-sofa", 20_852_163)
    );
    let names: Vec<_> = note.signatures().map(|it| it.name).collect();
    assert_eq!(
        names,
        ["example.com/behind-the-sofa", "witness.example.com/w1"]
    );
    let mut again = String::new();
    checkpoint.write(&mut again).unwrap();
    assert_eq!(again, note.text());
}

fn signed(text: &str, signatures: usize) -> String {
    let mut note = format!("{text}\n");
    for n in 0..signatures {
        let name = format!("key{n}");
        note::sign(
            &mut note,
            text,
            &name,
            &SigningKey::from_bytes(&[n as u8; 32]),
        )
        .unwrap();
    }
    note
}

#[test]
fn bounds_are_kept() {
    let note = signed("text\n", SIGNATURES_MAX);
    assert_eq!(
        Note::parse(note.as_bytes()).unwrap().signatures().count(),
        SIGNATURES_MAX
    );
    let note = signed("text\n", SIGNATURES_MAX + 1);
    assert_eq!(Note::parse(note.as_bytes()), Err(NoteError::TooMany));
    let long = vec![b'a'; NOTE_MAX + 1];
    assert_eq!(
        Note::parse(&long),
        Err(NoteError::TooLong {
            length: NOTE_MAX + 1
        })
    );
}

#[test]
fn each_malformed_line_is_named() {
    let good = signed("text\n", 1);
    let line = good.lines().last().unwrap();
    for bad in [
        String::new(),
        "- key AAAAAAA=".into(),
        "\u{2014} key".into(),
        "\u{2014}  AAAAAAA=".into(),
        "\u{2014} key AAAA".into(),
        "\u{2014} key AAAAAAA".into(),
        "\u{2014} key AAAAAAA= ".into(),
        "\u{2014} ke+y AAAAAAA=".into(),
        format!("\u{2014} key {}=", "A".repeat(127)) + "AAAA",
    ] {
        let note = format!("text\n\n{line}\n{bad}\n{line}\n");
        // An empty line moves the border between text and signatures, and what was a signature is text.
        let expected = if bad.is_empty() {
            Ok(())
        } else {
            Err(NoteError::Line(2))
        };
        assert_eq!(Note::parse(note.as_bytes()).map(drop), expected, "{bad:?}");
    }
    let unknown = format!(
        "text\n\n\u{2014} future {}\n{line}\n",
        STANDARD.encode(vec![5; 2424])
    );
    assert_eq!(
        Note::parse(unknown.as_bytes())
            .unwrap()
            .signatures()
            .count(),
        2
    );
}

#[test]
fn a_verifier_key_that_was_changed_is_refused() {
    let key = SigningKey::from_bytes(&[1; 32]).verifying_key();
    let good = Verifier::new("log", key).unwrap().to_string();
    assert_eq!(Verifier::parse(&good).unwrap().key(), &key);
    let (hash, base64) = good.strip_prefix("log+").unwrap().split_once('+').unwrap();
    for (bad, expected) in [
        (String::new(), VerifierError::Parts),
        ("log+00".into(), VerifierError::Parts),
        (format!("+{hash}+{base64}"), VerifierError::Name),
        (format!("lo g+{hash}+{base64}"), VerifierError::Name),
        (format!("log2+{hash}+{base64}"), VerifierError::Hash),
        (
            format!("log+{}+{base64}", hash.to_uppercase()),
            VerifierError::Hash,
        ),
        (format!("log+0{hash}+{base64}"), VerifierError::Hash),
        (format!("log+{hash}+{base64}A"), VerifierError::Key),
        (
            format!("log+{hash}+{}", STANDARD.encode([1; 32])),
            VerifierError::Key,
        ),
        (format!("log+{hash}+"), VerifierError::Key),
    ] {
        assert_eq!(Verifier::parse(&bad), Err(expected), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_byte_of_a_note_can_be_changed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut note = signed("portcullis\n7\n", 1).into_bytes();
        let key = SigningKey::from_bytes(&[0; 32]).verifying_key();
        let known = [Verifier::new("key0", key).unwrap()];
        prop_assert_eq!(Note::parse(&note).unwrap().verify(&known), Ok(1));
        let at = at.index(note.len());
        note[at] ^= 1 << bit;
        let accepted = Note::parse(&note).is_ok_and(|note| note.verify(&known).is_ok());
        prop_assert!(!accepted, "byte {}", at);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert!(note.signatures().count() > 0);
            let _ = Checkpoint::parse(note.text());
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = Verifier::parse(text);
            let _ = Checkpoint::parse(text);
        }
    }
}
