//! What each fuzz target does with its input: decode it, and hold what came out to its promise.
//!
//! A decoder that checks a hash would refuse almost every input before it looked at it. Its target
//! gives it the input twice: as it is, and with the hash put right, as a forger would.

#![forbid(unsafe_code)]

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use ed25519_dalek::SigningKey;
use portcullis_audit::proof::Proof;
use portcullis_blk::{Header, MIN_BLOCKS};
use portcullis_fsck::Keys;
use portcullis_fsck::record::read_known;
use portcullis_ingest::bundle::{Bundle, encode_header};
use portcullis_kernel::{Message, OutOfRange, Region, label};
use portcullis_log::Record;
use portcullis_log::block::{BLOCK_SIZE, ENTRY_MAX, LogId, LogKind, Part};
use portcullis_log::checkpoint::Checkpoint;
use portcullis_log::entry::Decoded;
use portcullis_log::merkle::Frontier;
use portcullis_log::note::{Note, SIGNATURES_MAX, Verifier};
use portcullis_log::scanner::Scanner;
use portcullis_manager_api::{
    Awaited, ComponentView, Find, Found, GrantView, Refused, Status, Why,
};
use portcullis_policy::distribution::{Configuration, Distribution};
use portcullis_policy::image::{self, Image};
use portcullis_policy::source::Source;
use portcullis_policy::{Checked, compile};
use portcullis_policy_format::{Policy, testing};
use portcullis_sdf::{Architecture, System, Target};
use portcullis_vault::{DOCUMENT_ENTRY_MAX, DocumentEntry};
use sha2::{Digest, Sha256};

/// The id of the log that the seeds of `block` belong to.
pub const LOG: LogId = portcullis_audit::testing::LOG;

/// A decoder's name, which is its target's and its corpus's, and what is done with an input.
pub type Decoder = (&'static str, fn(&[u8]));

/// Every decoder.
pub const DECODERS: [Decoder; 12] = [
    ("record", record),
    ("entry", entry),
    ("note", note),
    ("proof", proof),
    ("block", block),
    ("disk", disk),
    ("policy", policy),
    ("policy_toml", policy_toml),
    ("sdf", sdf),
    ("image", image),
    ("bundle", bundle),
    ("message", message),
];

/// A record that decodes has these bytes and no others; one of the version before is one of today.
pub fn record(data: &[u8]) {
    if let Some(record) = Record::decode(data) {
        assert_eq!(record.encode().record(), data);
    }
    if let Some(record) = read_known(data) {
        assert_eq!(Record::decode(record.encode().record()), Some(record));
    }
}

/// An entry that is read is written the same; so is what a document's says.
pub fn entry(data: &[u8]) {
    let mut buffer = [0; ENTRY_MAX];
    if let Some(Decoded::Entry(entry)) = Decoded::read(data)
        && let Some(again) = entry.encode(&mut buffer)
    {
        assert_eq!(again, data);
    }
    let mut buffer = [0; DOCUMENT_ENTRY_MAX];
    if let Some((document, earlier)) = DocumentEntry::decode_behind(data) {
        let again = document
            .encode_behind(earlier, &mut buffer)
            .expect("it fits");
        assert_eq!(
            DocumentEntry::decode_behind(again),
            Some((document, earlier))
        );
    }
}

/// A note that is read has a signature, a verifier key that is read is written the same.
pub fn note(data: &[u8]) {
    if let Ok(note) = Note::parse(data) {
        let signatures = note.signatures().count();
        assert!((1..=SIGNATURES_MAX).contains(&signatures));
        if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
            let mut text = String::new();
            checkpoint
                .write(&mut text)
                .expect("a String takes any text");
            assert_eq!(text, note.text());
        }
    }
    if let Ok(text) = str::from_utf8(data)
        && let Ok(verifier) = Verifier::parse(text)
    {
        assert_eq!(verifier.to_string(), text);
    }
}

/// A proof is read or refused.
pub fn proof(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Ok(proof) = Proof::parse(text)
    {
        assert!(text.ends_with(proof.note()));
    }
}

/// A small disk: blocks, each behind a byte that says where it goes. The header is sound, or what the
/// input says; whatever ends its first sector with a hash has the right one.
pub fn disk(data: &[u8]) {
    let header = Header::new(MIN_BLOCKS, LOG.0).expect("it is the smallest disk");
    let mut disk = vec![[0; BLOCK_SIZE]; MIN_BLOCKS as usize];
    let last = disk.len() - 1;
    disk[0] = header.encode();
    disk[last] = header.encode();
    for part in data.chunks(1 + BLOCK_SIZE) {
        let (place, bytes) = part.split_at(1);
        let block = &mut disk[usize::from(place[0]) % (last + 1)];
        block[..bytes.len()].copy_from_slice(bytes);
    }
    // Header, marks, superblocks, the header's copy.
    for block in [0, 1, 2, 3, 4, last] {
        let (content, hash) = disk[block][..512].split_at_mut(480);
        hash.copy_from_slice(&Sha256::digest(content));
    }
    let keys = Keys::new(SigningKey::from_bytes(&[1; 32]).verifying_key(), [2; 32]);
    for keys in [Keys::default(), keys] {
        portcullis_fsck::check(&mut Cursor::new(disk.as_flattened()), &keys);
    }
}

/// Blocks, each cut from the input and filled up with zeros. The scanner takes them all, from the start
/// and from the middle of a log, and what it ends with is in order.
pub fn block(data: &[u8]) {
    let mut known = Frontier::new();
    known.append(b"a record before");
    for mut scanner in [
        Scanner::new(LogKind::Grants, LOG),
        Scanner::resume(LogKind::Grants, LOG, 0, known),
    ] {
        for piece in data.chunks(BLOCK_SIZE) {
            let mut bytes = [0; BLOCK_SIZE];
            bytes[..piece.len()].copy_from_slice(piece);
            check_block(&bytes);
            scanner.feed(&bytes, &mut (), |_, _| false);
        }
        assert!(scanner.end() <= scanner.block());
        assert!(scanner.base().size() <= scanner.tree().size());
    }
}

fn check_block(bytes: &[u8; BLOCK_SIZE]) {
    for part in Part::all(bytes) {
        assert_eq!(part.records().count(), usize::from(part.record_count()));
        let lengths: usize = part.records().map(|record| record.len() + 2).sum();
        assert_eq!(lengths, part.payload().len());
    }
}

/// A compiled policy; and the input as the body of one that is signed.
pub fn policy(data: &[u8]) {
    let walk = |policy: &Policy<'_>| {
        let counts = policy.counts();
        assert_eq!(policy.grants().count(), counts.grants as usize);
        assert_eq!(policy.components().count(), usize::from(counts.components));
        assert_eq!(policy.methods().count(), usize::from(counts.methods));
    };
    if let Ok(policy) = Policy::inspect(data) {
        walk(&policy);
    }
    let key = SigningKey::from_bytes(&[0x22; 32]);
    let signed = testing::sign(1, data, &key);
    if let Ok(policy) = Policy::verify(&signed, &[key.verifying_key()], 0) {
        walk(&policy);
    }
}

/// The policy language. Every problem can be said.
pub fn policy_toml(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let reading = portcullis_policy::read::read(Arc::new(Source::new("fuzzed", text)));
        for problem in Vec::from(reading.problems) {
            assert!(!problem.to_string().is_empty());
        }
    }
}

/// The system description. Every error can be said.
pub fn sdf(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data)
        && let Err(errors) = portcullis_sdf::parse(text, &Target::ANY)
    {
        assert!(!errors.to_string().is_empty());
    }
}

/// The compiled policy and the system description of the reference appliance.
static APPLIANCE: LazyLock<(Vec<u8>, System)> = LazyLock::new(|| {
    let system = portcullis_sdf::parse(include_str!("../../system.xml"), &Target::ANY);
    let system = system.expect("it is the reference");
    let text = include_str!("../../policy/appliance.toml");
    let description = Source::new("system.xml", include_str!("../../system.xml"));
    let policy = Arc::new(Source::new("appliance.toml", text));
    let checked = Checked::new(policy, system, Arc::new(description));
    let checked = checked.expect("it is the reference");
    (compile(&checked), checked.system().clone())
});

/// The image of the reference appliance, cut down to one protection domain.
pub fn small_image() -> Image {
    let (policy, system) = &*APPLIANCE;
    let policy = Policy::inspect(policy).expect("it was just compiled");
    let configuration = Configuration {
        architecture: Architecture::Aarch64,
        benchmark: false,
    };
    let distribution = Distribution::new(&policy, system, &configuration).expect("the two fit");
    let mut image = image::testing::finished(&distribution, &policy, system);
    image.protection_domains.truncate(1);
    image.memory.truncate(4);
    image
}

/// The distribution of an image. Every finding is a line.
pub fn image(data: &[u8]) {
    if let Ok(image) = Image::read(data) {
        let (policy, system) = &*APPLIANCE;
        let policy = Policy::inspect(policy).expect("it was just compiled");
        for finding in image::check(&policy, system, &image) {
            assert!(!finding.to_string().contains('\n'));
        }
    }
}

/// A region that holds the input.
struct Bytes<'a>(&'a [u8]);

impl Region for Bytes<'_> {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), OutOfRange> {
        let (length, size) = (buffer.len(), self.size());
        let refused = OutOfRange {
            offset,
            length,
            size,
        };
        let end = offset.checked_add(length).ok_or(refused)?;
        buffer.copy_from_slice(self.0.get(offset..end).ok_or(refused)?);
        Ok(())
    }

    fn load(&self, offset: usize) -> Result<u64, OutOfRange> {
        let mut word = [0; 8];
        self.read(offset, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }
}

/// A bundle of documents; and the input behind a header for as many entries as its first byte says.
pub fn bundle(data: &[u8]) {
    check_bundle(&Bytes(data));
    if let Some((count, rest)) = data.split_first() {
        check_bundle(&Bytes(
            &[&encode_header((*count).into())[..], rest].concat(),
        ));
    }
}

fn check_bundle(region: &Bytes<'_>) {
    let Ok(bundle) = Bundle::open(region) else {
        return;
    };
    for index in 0..bundle.count().min(1 << 10) {
        let _ = bundle.entry(region, index);
    }
    assert!(bundle.entry(region, bundle.count()).is_err());
}

/// The words of a message, read as each of the manager's types; what is read is written the same.
pub fn message(data: &[u8]) {
    let words: Vec<u64> = data
        .chunks(8)
        .take(portcullis_kernel::MAX_WORDS)
        .map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        })
        .collect();
    let mut message = Message::default();
    message.set(label::REQUEST, &words);
    macro_rules! each {
        ($($kind:ty)*) => {$({
            let mut buffer = [0; _];
            if let Some(value) = message.decode::<$kind>(&mut buffer) {
                let mut again = Message::default();
                again.encode(label::REQUEST, &value).expect("it was in a message");
                let mut buffer = [0; _];
                assert_eq!(again.decode::<$kind>(&mut buffer), Some(value));
            }
        })*};
    }
    each!(Find<'_> Awaited<'_> Found GrantView ComponentView Why Status Refused);
}
