//! Writes the seed corpora: a few sound inputs a decoder, made by the code that encodes them.

use std::fs;
use std::path::Path;

use portcullis_audit::proof::{write_consistency, write_inclusion};
use portcullis_audit::testing::{LOG, blocks, boot, encoded, key, policy};
use portcullis_audit::verify::checkpoint_note;
use portcullis_blk::api::Area;
use portcullis_blk::{Header, MIN_BLOCKS};
use portcullis_ingest::bundle::{Content, Entry, Layout, Missing, encode_entry, encode_header};
use portcullis_kernel::{Behind, Message, Mode, Principal, label};
use portcullis_log::block::{BLOCK_SIZE, Footer, LogKind};
use portcullis_log::builder::{Builder, Tip};
use portcullis_log::checkpoint::origin;
use portcullis_log::entry::{self, HEAD, Kind};
use portcullis_log::merkle::Frontier;
use portcullis_log::note::Verifier;
use portcullis_manager_api::{Find, Why};
use portcullis_policy_format::HEADER_SIZE;
use portcullis_publish::DocumentPath;
use portcullis_vault::{Act, DOCUMENT_ENTRY_MAX, DocumentEntry};
use sha2::{Digest, Sha256};

/// The blocks of a grant log, each behind its place on the smallest disk.
fn disk(log: &[[u8; BLOCK_SIZE]]) -> Vec<u8> {
    let header = Header::new(MIN_BLOCKS, LOG.0).expect("it is the smallest disk");
    let places = header.start(Area::Grants)..;
    let parts = places
        .zip(log)
        .map(|(place, block)| [&[place as u8], &block[..]].concat());
    parts.collect::<Vec<_>>().concat()
}

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, bytes) in seeds() {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Target, name, bytes.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let records = encoded(&boot(1));
    let long = vec![vec![7; 900]; 6];
    let (log, head) = blocks(
        LogKind::Grants,
        &[records[..5].to_vec(), records[5..].to_vec(), long],
    );
    let verifying = key().verifying_key();
    let name = origin(LogKind::Grants, LOG);
    let note = checkpoint_note(LogKind::Grants, LOG, &head.expect("records"), &verifying);
    let verifier = Verifier::new(&name, verifying).expect("an origin is a sound name");
    let policy = policy();
    let mut seeds = vec![
        ("note", "checkpoint".into(), note.clone().into_bytes()),
        ("note", "verifier".into(), verifier.to_string().into_bytes()),
        (
            "proof",
            "inclusion".into(),
            write_inclusion(3, b"record", &[[1; 32]; 3], &note).into(),
        ),
        (
            "proof",
            "consistency".into(),
            write_consistency(3, &[[1; 32]; 3], &note).into(),
        ),
        ("block", "shared".into(), shared(&records).to_vec()),
        ("block", "log".into(), log.as_flattened().to_vec()),
        ("block", "block".into(), log[0][..BLOCK_SIZE].to_vec()),
        ("disk", "log".into(), disk(&log)),
        ("disk", "shared".into(), disk(&[shared(&records)])),
        ("policy", "compiled".into(), policy.clone()),
        ("policy", "body".into(), policy[HEADER_SIZE..].to_vec()),
        (
            "policy_toml",
            "appliance".into(),
            include_bytes!("../../policy/appliance.toml").into(),
        ),
        ("policy_toml", "small".into(), SMALL_POLICY.into()),
        (
            "sdf",
            "appliance".into(),
            include_bytes!("../../system.xml").into(),
        ),
        ("sdf", "small".into(), SMALL_SYSTEM.into()),
        (
            "image",
            "small".into(),
            serde_json::to_vec(&portcullis_fuzz::small_image()).expect("its keys are strings"),
        ),
        (
            "message",
            "find".into(),
            message(&Find {
                object: "blk",
                interface: "disk",
                mode: Mode::Call,
            }),
        ),
        (
            "message",
            "why".into(),
            message(&Why {
                subject: 2,
                slot: 1,
            }),
        ),
    ];
    seeds.extend(bundles());
    seeds.extend(entries());
    for (record, number) in records.into_iter().zip(0..) {
        seeds.push(("record", format!("record-{number}"), record));
    }
    seeds
}

/// A block that each of these records has a commit in.
fn shared(records: &[Vec<u8>]) -> [u8; BLOCK_SIZE] {
    let (kind, mut tree) = (LogKind::Grants, Frontier::new());
    let mut builder = Builder::new(Tip::empty(kind, LOG));
    let mut block = [0; BLOCK_SIZE];
    for record in records {
        builder.push(record).expect("the block has room");
        tree.append(record);
        let footer = Footer::sign(kind, LOG, tree.size(), &tree.root(), &key());
        block = *builder.commit(footer).expect("there is a record");
    }
    block
}

/// A document's entry of either version, and one that has all that an entry can have.
fn entries() -> [(&'static str, String, Vec<u8>); 3] {
    let document = DocumentEntry {
        digest: [7; 32],
        size: 300,
        path: "public/a.txt",
        act: Act::Released,
    };
    let mut buffer = [0; DOCUMENT_ENTRY_MAX];
    let second = document
        .encode_behind(Some(3), &mut buffer)
        .expect("it fits");
    let second = second.to_vec();
    let full = entry::Entry {
        time: Some(1_700_000_000_000_000_000),
        principal: Some(Principal {
            component: 3,
            behind: Some(Behind::Guest(2)),
        }),
        commitment: [5; 32],
        sealed: b"sealed",
        ..entry::Entry::new(Kind::Document, &second[HEAD..])
    };
    let mut buffer = [0; 896];
    let full = full.encode(&mut buffer).expect("it fits").to_vec();
    let first = second[HEAD..].to_vec();
    [("version-1", first), ("version-2", second), ("full", full)]
        .map(|(name, bytes)| ("entry", name.into(), bytes))
}

fn message(value: &impl serde::Serialize) -> Vec<u8> {
    let mut message = Message::default();
    message
        .encode(label::REQUEST, value)
        .expect("it fits a message");
    message
        .words()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// An empty bundle, and one of a document and a document that could not be read.
fn bundles() -> [(&'static str, String, Vec<u8>); 2] {
    let content = b"a document";
    let mut layout = Layout::new(2);
    let offset = layout.place(content.len() as u64).expect("it is short");
    let path = |text| DocumentPath::new(text).expect("it is a document's");
    let present = Entry {
        path: path("public/a.txt"),
        size: content.len() as u64,
        content: Content::Present {
            offset,
            sha256: Sha256::digest(content).into(),
        },
    };
    let missing = Entry {
        path: path("b.txt"),
        size: 0,
        content: Content::Missing(Missing::Unreadable),
    };
    let mut two = [
        &encode_header(2)[..],
        &encode_entry(&present),
        &encode_entry(&missing),
    ]
    .concat();
    two.resize(offset as usize, 0);
    two.extend_from_slice(content);
    two.resize(layout.size() as usize, 0);
    [
        ("bundle", "empty".into(), encode_header(0).to_vec()),
        ("bundle", "two".into(), two),
    ]
}

const SMALL_POLICY: &str = r#"name = "small"
version = 1

[domains]
a = {}

[interfaces.i]
m = 0

[components.x]
domain = "a"

[components.y]
domain = "a"
offers = ["i"]

[[grants]]
subject = "x"
object = "y"
interface = "i"
methods = ["m"]
mode = "call"
when = "boot"
reason = "to seed the fuzzer"
"#;

const SMALL_SYSTEM: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<system>
    <memory_region name="r" size="0x1000" />
    <protection_domain name="a" priority="2">
        <program_image path="a.elf" />
        <map mr="r" vaddr="0x10000000" perms="rw" setvar_vaddr="r" />
        <irq irq="33" id="1" />
    </protection_domain>
    <protection_domain name="b" priority="1">
        <program_image path="b.elf" />
    </protection_domain>
    <channel>
        <end pd="b" id="0" pp="true" />
        <end pd="a" id="0" />
    </channel>
</system>
"#;
