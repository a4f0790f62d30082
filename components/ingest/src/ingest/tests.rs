//! Ingest before a manager, vault, ledger, publish and console that the tests play, on the model
//! kernel.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::format;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;

use portcullis_console::api as terminal;
use portcullis_kernel::{
    Caller, Generation, GrantBadge, Message, Method, MethodSet, Mode, Region, Signals, label,
};
use portcullis_manager_api::{Buffer, FIND, Find, Found, NOT_PERMITTED};
use portcullis_model::testing::{Direct, Machine, SharedRegion};
use portcullis_publish::DocumentPath;
use portcullis_vault::api::digest_from_words;
use portcullis_vault::{Act, DocumentEntry, Named, OBJECT_MAX, Stat};
use sha2::{Digest, Sha256};

use super::*;
use crate::bundle::{ENTRY_SIZE, HEADER_SIZE, Layout, encode_entry, encode_header, entry_offset};

/// What outlives a start of the appliance, and what went wrong on purpose.
#[derive(Default)]
struct State {
    lines: Vec<String>,
    progress: Vec<(String, u64, u64)>,
    objects: BTreeMap<[u8; 32], Object>,
    upload: Option<(u64, Vec<u8>)>,
    uploads: usize,
    ledger: Vec<Vec<u8>>,
    ready: usize,
    ledger_max: Option<usize>,
    /// The vault has no room for objects of this size or more.
    vault_max: Option<u64>,
    /// The vault finds another digest than it should.
    vault_garbles: bool,
}

#[derive(Default)]
struct Object {
    size: u64,
    released: bool,
    recorded: Option<u64>,
    damaged: bool,
}

type Shared = Rc<RefCell<State>>;

struct Manager(Vec<(&'static str, &'static str, Mode, u16)>);
struct Vault(Shared, SharedRegion);
struct Ledger(Shared);
struct Publish(Shared);
struct Screen(Shared);

impl<K: Syscalls> Component<K> for Manager {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, method: Method, message: &mut Message) {
        assert_eq!(method, FIND);
        let mut buffer: Buffer = [0; _];
        let wanted: Find<'_> = message.decode(&mut buffer).unwrap();
        let wanted = (wanted.object, wanted.interface, wanted.mode);
        let found = self.0.iter().find(|(o, i, m, _)| (*o, *i, *m) == wanted);
        match found {
            Some((.., slot)) => {
                let (slot, methods) = (*slot, MethodSet(u32::MAX));
                message.encode(label::OK, &Found { slot, methods }).unwrap();
            }
            None => message.refuse(NOT_PERMITTED),
        }
    }
}

impl<K: Syscalls> Component<K> for Vault {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, method: Method, message: &mut Message) {
        let state = &mut *self.0.borrow_mut();
        match (method, message.words()) {
            (vault::CREATE, &[size]) => {
                if state.vault_max.is_some_and(|max| size >= max) {
                    return message.refuse(vault::NO_SPACE);
                }
                state.upload = Some((size, Vec::new()));
                message.reply(&[]);
            }
            (vault::WRITE, &[length]) => {
                let (size, content) = state.upload.as_mut().unwrap();
                let mut bytes = std::vec![0; length as usize];
                self.1.read(0, &mut bytes).unwrap();
                content.extend(bytes);
                let written = content.len() as u64;
                assert!(written <= *size);
                message.reply(&[written]);
            }
            (vault::COMMIT, &[a, b, c, d]) => {
                let (size, content) = state.upload.take().unwrap();
                assert_eq!(content.len() as u64, size);
                state.uploads += 1;
                let mut digest: [u8; 32] = Sha256::digest(&content).into();
                digest[0] ^= u8::from(state.vault_garbles);
                if digest != digest_from_words(&[a, b, c, d]) {
                    return message.refuse(vault::MISMATCH);
                }
                let object = state.objects.entry(digest).or_default();
                let already = object.size > 0 && !object.damaged;
                (object.size, object.damaged) = (size, false);
                let (recorded, released) = (object.recorded.is_some(), object.released);
                message.reply(&[already.into(), recorded.into(), released.into()]);
            }
            (vault::RECORD, &[index]) => {
                let entry = DocumentEntry::decode(&state.ledger[index as usize]).unwrap();
                let object = state.objects.get_mut(&entry.digest).unwrap();
                object.recorded.get_or_insert(index);
                object.released |= entry.act == Act::Released;
                message.reply(&[1]);
            }
            (vault::STAT, _) => {
                let mut buffer: Buffer = [0; _];
                let asked: vault::Asked<'_> = message.decode(&mut buffer).unwrap();
                let Some(object) = state.objects.get(&asked.digest) else {
                    return message.refuse(vault::NOT_FOUND);
                };
                let stat = Stat {
                    size: object.size,
                    released: object.released,
                    recorded: object.recorded,
                    references: 1,
                };
                let entries = state
                    .ledger
                    .iter()
                    .map(|it| DocumentEntry::decode(it).unwrap());
                let of_it = (0..)
                    .zip(entries)
                    .filter(|(_, it)| it.digest == asked.digest);
                let named = Named {
                    known: of_it.clone().any(|(_, it)| Some(it.path) == asked.path),
                    last: of_it.map(|(index, _)| index).last(),
                };
                message.reply(&vault::stat_words(&stat, &named));
            }
            (vault::CHECK, &[a, b, c, d, offset]) => {
                let object = &state.objects[&digest_from_words(&[a, b, c, d])];
                if object.damaged {
                    message.refuse(vault::DAMAGED);
                } else {
                    message.reply(&[object.size.min(offset + 4_000)]);
                }
            }
            _ => panic!("ingest asked for {method:?}"),
        }
    }
}

impl<K: Syscalls> Component<K> for Ledger {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, method: Method, message: &mut Message) {
        assert_eq!(method, ledger::APPEND);
        let mut buffer: Buffer = [0; _];
        let group: ledger::Append<'_> = message.decode(&mut buffer).unwrap();
        let state = &mut *self.0.borrow_mut();
        let first = state.ledger.len();
        if state.ledger_max == Some(first) {
            return message.refuse(ledger::FULL);
        }
        state.ledger.extend(group.each().map(<[u8]>::to_vec));
        message.reply(&[first as u64, state.ledger.len() as u64]);
    }
}

impl<K: Syscalls> Component<K> for Publish {
    fn init(&mut self, _: &mut K) {}

    fn notified(&mut self, _: &mut K, _: Signals) {
        self.0.borrow_mut().ready += 1;
    }
}

impl<K: Syscalls> Component<K> for Screen {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, _: &mut K, _: Caller, method: Method, message: &mut Message) {
        let mut buffer: Buffer = [0; _];
        let state = &mut *self.0.borrow_mut();
        match method {
            terminal::WRITE => {
                let text = terminal::read_write(message, &mut buffer).unwrap();
                state.lines.push(text.to_string());
            }
            terminal::PROGRESS => {
                let progress = terminal::read_progress(message, &mut buffer).unwrap();
                let what = progress.what.to_string();
                state.progress.push((what, progress.done, progress.total));
            }
            _ => panic!("ingest asked for {method:?}"),
        }
    }
}

/// Starts an appliance around ingest, without the grant to one object; what was said.
fn start_without(state: &Shared, bundle: &[u8], without: &str, gone: &str) -> Vec<String> {
    let machine = Machine::new();
    let [manager, ledger, vault, screen, publish, ingest] =
        [200, 150, 140, 130, 110, 100].map(|priority| machine.protection_domain(priority));
    machine.channel(&ingest, 0, &manager, 7);
    let badge = GrantBadge::new(0, Generation::default(), MethodSet(u32::MAX)).unwrap();
    if gone != "vault" {
        machine.call_grant(&ingest, 1, &vault, badge);
    }
    if gone != "ledger" {
        machine.call_grant(&ingest, 2, &ledger, badge);
    }
    machine.notify_grant(&ingest, 3, &publish, 0);
    machine.send_grant(&ingest, 4, &screen, badge);
    let mut grants = std::vec![
        ("vault", "objects", Mode::Call, 1),
        ("ledger", "worm", Mode::Call, 2),
        ("publish", "release", Mode::Notify, 3),
        ("console", "terminal", Mode::Send, 4),
    ];
    grants.retain(|grant| grant.0 != without);
    let buffer = SharedRegion::new(5_000);
    machine.start(manager.thread, Manager(grants));
    machine.start(ledger.thread, Ledger(state.clone()));
    machine.start(vault.thread, Vault(state.clone(), buffer.clone()));
    machine.start(screen.thread, Screen(state.clone()));
    machine.start(publish.thread, Publish(state.clone()));
    let regions = Regions::<Direct> {
        inbox: SharedRegion::with(bundle).read_only(),
        ingest_vault: buffer,
    };
    machine.start(ingest.thread, Ingest::new(0, regions));
    machine.run();
    core::mem::take(&mut state.borrow_mut().lines)
}

fn start(state: &Shared, bundle: &[u8]) -> Vec<String> {
    start_without(state, bundle, "", "")
}

/// A document for the packer: a path, and its content or why there is none.
type Packed<'a> = (&'a str, Result<Vec<u8>, (Missing, u64)>);

fn pack(documents: &[Packed<'_>]) -> Vec<u8> {
    let count = documents.len() as u32;
    let mut layout = Layout::new(count);
    let mut bytes = encode_header(count).to_vec();
    bytes.resize(layout.size() as usize, 0);
    for (index, (path, content)) in documents.iter().enumerate() {
        let path = DocumentPath::new(path).unwrap();
        let (size, content) = match content {
            Ok(content) => {
                let size = content.len() as u64;
                let offset = layout.place(size).unwrap();
                bytes.extend(content);
                bytes.resize(layout.size() as usize, 0);
                let sha256 = Sha256::digest(content).into();
                (size, Content::Present { offset, sha256 })
            }
            Err((missing, size)) => (*size, Content::Missing(*missing)),
        };
        let entry = Entry {
            path,
            size,
            content,
        };
        bytes[entry_offset(index as u32) as usize..][..ENTRY_SIZE]
            .copy_from_slice(&encode_entry(&entry));
    }
    bytes
}

fn noise(size: usize) -> Vec<u8> {
    (0..size as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn short(content: &[u8]) -> String {
    ShortDigest(&Sha256::digest(content).into()).to_string()
}

fn documents() -> Vec<Packed<'static>> {
    std::vec![
        ("notes.txt", Ok(b"some notes".to_vec())),
        ("empty", Ok(std::vec![])),
        ("public/report.pdf", Ok(noise(12_345))),
    ]
}

#[test]
fn documents_go_into_vault_and_ledger_and_released_ones_are_announced() {
    let state = Shared::default();
    let lines = start(&state, &pack(&documents()));
    assert_eq!(
        lines,
        [
            format!(
                "notes.txt                                       10 B  sha256 {}  ledger entry 0",
                short(b"some notes")
            ),
            "empty                                            0 B  sha256 e3b0c442  ledger entry 1"
                .to_string(),
            format!(
                "public/report.pdf                           12,345 B  sha256 {}  ledger entry 2",
                short(&noise(12_345))
            ),
            "3 documents: 3 stored, 0 unchanged, 0 refused".to_string(),
        ]
    );
    let state = state.borrow();
    assert_eq!(state.ready, 1);
    let entries: Vec<_> = state
        .ledger
        .iter()
        .map(|entry| DocumentEntry::decode(entry).unwrap())
        .collect();
    for ((path, content), entry) in documents().into_iter().zip(entries) {
        let content = content.unwrap();
        let digest: [u8; 32] = Sha256::digest(&content).into();
        let expected = DocumentEntry {
            digest,
            size: content.len() as u64,
            path,
            act: if path.starts_with("public/") {
                Act::Released
            } else {
                Act::Kept
            },
        };
        assert_eq!(entry, expected);
        let object = &state.objects[&digest];
        let released = expected.act == Act::Released;
        assert_eq!((object.size, object.released), (expected.size, released));
        assert!(object.recorded.is_some());
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let state = Shared::default();
    let bundle = pack(&documents());
    start(&state, &bundle);
    let lines = start(&state, &bundle);
    assert!(
        lines[..3].iter().all(|line| line.ends_with("  unchanged")),
        "{lines:?}"
    );
    assert_eq!(lines[3], "3 documents: 0 stored, 3 unchanged, 0 refused");
    let state = state.borrow();
    assert_eq!((state.ledger.len(), state.uploads, state.ready), (3, 3, 1));
}

#[test]
fn what_is_kept_and_released_later_is_in_the_ledger_as_released() {
    let state = Shared::default();
    start(&state, &pack(&[("a", Ok(noise(9)))]));
    let lines = start(&state, &pack(&[("public/a", Ok(noise(9)))]));
    assert!(
        lines[0].ends_with("  released, ledger entry 1"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "1 document: 1 stored, 0 unchanged, 0 refused");
    // Kept under another name once more: it stays released.
    let lines = start(&state, &pack(&[("b", Ok(noise(9)))]));
    let named = "  known content, ledger entry 2";
    assert!(lines[0].ends_with(named), "{lines:?}");
    let state = state.borrow();
    let entry = DocumentEntry::decode(&state.ledger[1]).unwrap();
    assert_eq!(entry.act, Act::Released);
    assert_eq!((state.ledger.len(), state.ready), (3, 1));
    assert_eq!(state.uploads, 1, "its bytes were there");
}

#[test]
fn what_is_damaged_in_the_vault_is_put_again_and_is_nothing_new_to_the_ledger() {
    let state = Shared::default();
    let bundle = pack(&documents());
    start(&state, &bundle);
    let damaged: [u8; 32] = Sha256::digest(noise(12_345)).into();
    state
        .borrow_mut()
        .objects
        .get_mut(&damaged)
        .unwrap()
        .damaged = true;
    let lines = start(&state, &bundle);
    assert!(
        lines[2].ends_with("  was damaged in the vault, and is whole again"),
        "{lines:?}"
    );
    assert_eq!(lines[3], "3 documents: 1 stored, 2 unchanged, 0 refused");
    let state = state.borrow();
    assert_eq!((state.ledger.len(), state.uploads, state.ready), (3, 4, 2));
}

#[test]
fn each_refused_document_has_its_reason_and_takes_no_other_with_it() {
    let state = Shared::default();
    state.borrow_mut().vault_max = Some(20_000);
    let mut bundle = pack(&[
        ("before", Ok(noise(1))),
        ("large.iso", Err((Missing::TooLarge, OBJECT_MAX + 1))),
        ("secret", Err((Missing::Denied, 0))),
        ("bad\\xff", Err((Missing::BadName, 0))),
        ("loop", Err((Missing::LinkLoop, 0))),
        ("socket", Err((Missing::NotAFile, 0))),
        ("full", Ok(noise(20_000))),
        ("entry", Ok(noise(2))),
        ("content", Ok(noise(3))),
        ("after", Ok(noise(4))),
    ]);
    bundle[entry_offset(7) as usize + 100] ^= 1;
    let last = bundle.len() - 16;
    bundle[last] ^= 1;
    let mut damaged = noise(3);
    damaged[0] ^= 1;
    let lines = start(&state, &bundle);
    let refused = |path: &str, size: &str, reason: &str| {
        let unit = if size == "-" { ' ' } else { 'B' };
        format!("{path:<36} {size:>13} {unit}  refused: {reason}")
    };
    assert_eq!(
        lines[1..9],
        [
            refused(
                "large.iso",
                "67,108,865",
                "too large: the limit is 64 MiB (67,108,864 B)"
            ),
            refused("secret", "-", "cannot be read; check its permissions"),
            refused(
                "bad\\xff",
                "-",
                "its name is not UTF-8, too long, or has control characters; rename it"
            ),
            refused("loop", "-", "a symbolic link that leads back to itself"),
            refused("socket", "-", "neither a file nor a directory"),
            refused(
                "full",
                "20,000",
                "the vault is full: its disk has no room of that size"
            ),
            "document 8: refused: the entry is damaged: pack the documents again".to_string(),
            refused(
                "content",
                "3",
                &format!(
                    "damaged in the bundle: its sha256 is {}, packed was {}",
                    short(&damaged),
                    short(&noise(3))
                )
            ),
        ]
    );
    assert!(
        lines[0].starts_with("before ") && lines[0].ends_with("ledger entry 0"),
        "{lines:?}"
    );
    assert!(
        lines[9].starts_with("after ") && lines[9].ends_with("ledger entry 1"),
        "{lines:?}"
    );
    assert_eq!(lines[10], "10 documents: 2 stored, 0 unchanged, 8 refused");
    assert_eq!(
        state.borrow().objects.len(),
        2,
        "what is damaged is not committed"
    );
}

#[test]
fn damage_is_found_in_what_is_there_already() {
    let state = Shared::default();
    let mut bundle = pack(&[("a", Ok(noise(5_000)))]);
    start(&state, &bundle);
    bundle[HEADER_SIZE + ENTRY_SIZE + 4_999] ^= 1;
    let lines = start(&state, &bundle);
    assert!(
        lines[0].contains("refused: damaged in the bundle"),
        "{lines:?}"
    );
}

#[test]
fn one_byte_above_the_limit_is_refused_before_it_is_read() {
    let state = Shared::default();
    // The bundle does hold so many bytes; they are zeros.
    let content = std::vec![0; OBJECT_MAX as usize + 1];
    let mut layout = Layout::new(1);
    let offset = layout.place(OBJECT_MAX + 1).unwrap();
    let entry = Entry {
        path: DocumentPath::new("large").unwrap(),
        size: OBJECT_MAX + 1,
        content: Content::Present {
            offset,
            sha256: [0; 32],
        },
    };
    let mut bundle = encode_header(1).to_vec();
    bundle.extend(encode_entry(&entry));
    bundle.extend(content);
    bundle.resize(layout.size() as usize, 0);
    let lines = start(&state, &bundle);
    assert!(
        lines[0].ends_with("refused: too large: the limit is 64 MiB (67,108,864 B)"),
        "{lines:?}"
    );
    assert!(state.borrow().upload.is_none());
}

#[test]
fn a_full_ledger_is_said_and_the_next_run_goes_on_from_there() {
    let state = Shared::default();
    state.borrow_mut().ledger_max = Some(1);
    let bundle = pack(&documents());
    let lines = start(&state, &bundle);
    let full = "refused: in the vault, but the ledger is full; it is not released";
    assert!(
        lines[1].ends_with(full) && lines[2].ends_with(full),
        "{lines:?}"
    );
    assert_eq!(lines[3], "3 documents: 1 stored, 0 unchanged, 2 refused");
    assert_eq!(state.borrow().ready, 0);

    state.borrow_mut().ledger_max = None;
    let lines = start(&state, &bundle);
    assert_eq!(lines[3], "3 documents: 2 stored, 1 unchanged, 0 refused");
    let state = state.borrow();
    assert_eq!((state.ledger.len(), state.ready), (3, 1));
}

#[test]
fn an_object_that_is_not_what_was_handed_over_gets_no_entry() {
    let state = Shared::default();
    state.borrow_mut().vault_garbles = true;
    let lines = start(&state, &pack(&[("a", Ok(noise(9)))]));
    assert!(
        lines[0].ends_with("refused: the vault got other bytes than those that were meant"),
        "{lines:?}"
    );
    assert!(state.borrow().ledger.is_empty());
}

#[test]
fn a_grant_that_is_gone_ends_the_run() {
    for gone in ["vault", "ledger"] {
        let lines = start_without(&Shared::default(), &pack(&documents()), "", gone);
        assert!(
            lines[0].contains("refused by the kernel: invalid capability"),
            "{lines:?}"
        );
        assert_eq!(
            lines[1..],
            [
                "2 documents not tried: no document can be taken in now",
                "3 documents: 0 stored, 0 unchanged, 3 refused"
            ]
        );
    }
}

#[test]
fn a_missing_grant_is_one_clear_line() {
    let bundle = pack(&documents());
    for (without, effect) in [
        ("vault", "nothing is taken in"),
        ("ledger", "nothing is taken in"),
        ("publish", "nothing is published before the next start"),
    ] {
        let state = Shared::default();
        let lines = start_without(&state, &bundle, without, "");
        let why = "not permitted: no policy line allows it";
        assert_eq!(lines[0], format!("{effect}: no grant to {without}: {why}"));
        let taken = if without == "publish" { 3 } else { 0 };
        assert_eq!(state.borrow().ledger.len(), taken);
        assert_eq!(lines.len(), 1 + if taken > 0 { 4 } else { 0 });
    }
    let state = Shared::default();
    start_without(&state, &bundle, "console", "");
    assert_eq!(
        state.borrow().ledger.len(),
        3,
        "nobody listens, and the work is done"
    );
}

#[test]
fn an_inbox_without_a_bundle_is_said() {
    let lines = start(&Shared::default(), &[0; 4096]);
    assert_eq!(lines, ["nothing is taken in: the inbox holds no bundle"]);
    let lines = start(&Shared::default(), &pack(&[]));
    assert_eq!(lines, ["0 documents: 0 stored, 0 unchanged, 0 refused"]);
}

#[test]
fn large_documents_show_their_progress() {
    let state = Shared::default();
    let size = (1 << 20) + 1;
    start(
        &state,
        &pack(&[("small", Ok(noise(size - 2))), ("large", Ok(noise(size)))]),
    );
    let state = state.borrow();
    assert!(state.progress.iter().all(|(what, ..)| what == "large"));
    assert_eq!(state.progress.len(), size.div_ceil(5_000));
    assert_eq!(
        state.progress.last(),
        Some(&("large".to_string(), size as u64, size as u64))
    );
}
