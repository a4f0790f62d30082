//! Documents from the inbox to the edge, with the components that keep and carry them, on the model
//! kernel: only the manager and the console are played.

use std::cell::RefCell;
use std::rc::Rc;

use portcullis_blk::testing::{FaultyDisk, Finder, Transcript};
use portcullis_blk::{Blk, Header, initialise};
use portcullis_console::api as terminal;
use portcullis_edge::Edge;
use portcullis_ingest::bundle::{
    ENTRY_SIZE, Entry, Layout, encode_entry, encode_header, entry_offset,
};
use portcullis_ingest::{Ingest, Regions, bundle};
use portcullis_kernel::{
    Caller, Component, Generation, GrantBadge, Message, Method, MethodSet, Syscalls,
};
use portcullis_ledger::{Ledger, api as ledger};
use portcullis_model::testing::{Direct, Machine, SharedRegion};
use portcullis_publish::{DocumentPath, Publish};
use portcullis_vault::{Act, DocumentEntry, Vault};
use sha2::{Digest, Sha256};

/// Blocks of the disk: 32 MiB, room for a few documents.
const BLOCKS: u64 = 8_192;

type Shared = Rc<RefCell<FaultyDisk>>;

/// A console that keeps lines, and lets progress pass.
struct Screen(Transcript);

impl<K: Syscalls> Component<K> for Screen {
    fn init(&mut self, _: &mut K) {}

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        if method == terminal::WRITE {
            self.0.call(kernel, caller, method, message);
        }
    }
}

/// What one boot said, what its edge lists, and the ledger's first entries.
struct Boot {
    lines: Vec<String>,
    listed: Vec<(String, u64)>,
    entries: Vec<Vec<u8>>,
}

/// Boots the appliance, with the priorities and the grants of the reference policy.
fn boot(disk: &Shared, inbox: &[u8]) -> Boot {
    let machine = Machine::new();
    let priorities = [200, 160, 150, 140, 130, 120, 110, 100, 90];
    let domains = priorities.map(|priority| machine.protection_domain(priority));
    let [
        manager,
        blk,
        ledger,
        vault,
        console,
        edge,
        publish,
        ingest,
        reader,
    ] = domains;
    let clients = [&blk, &ledger, &vault, &console, &edge, &publish, &ingest];
    for (client, id) in clients.into_iter().zip(1..) {
        machine.channel(client, 0, &manager, id);
    }
    let grant =
        |index, methods| GrantBadge::new(index, Generation::default(), MethodSet(methods)).unwrap();
    machine.call_grant(&ledger, 1, &blk, grant(1, 0b1111_1001));
    machine.call_grant(&vault, 1, &blk, grant(2, 0b1000_0111));
    machine.call_grant(&publish, 1, &vault, grant(3, 0b110_0000));
    machine.notify_grant(&publish, 2, &edge, Finder::SIGNAL);
    machine.call_grant(&ingest, 1, &vault, grant(4, 0b1001_1111));
    machine.call_grant(&ingest, 2, &ledger, grant(5, 0b1));
    machine.notify_grant(&ingest, 3, &publish, Finder::SIGNAL);
    machine.call_grant(&vault, 2, &ledger, grant(7, 0b10));
    let client = ledger::Client(machine.call_grant(&reader, 1, &ledger, grant(6, 0b10)));
    for (index, speaker) in [&blk, &ledger, &vault, &edge, &publish, &ingest]
        .into_iter()
        .enumerate()
    {
        machine.send_grant(speaker, 9, &console, grant(10 + index as u16, 0b11));
    }
    let mut grants = vec![
        (2, "blk", 1),
        (3, "blk", 1),
        (3, "ledger", 2),
        (6, "vault", 1),
        (6, "edge", 2),
        (7, "vault", 1),
        (7, "ledger", 2),
        (7, "publish", 3),
    ];
    grants.extend([1, 2, 3, 5, 6, 7].map(|channel| (channel, "console", 9)));
    machine.start(manager.thread, Finder { grants });

    let region = SharedRegion::new;
    let [vault_disk, ledger_disk, ingest_vault, vault_publish] = [(); 4].map(|()| region(0x40000));
    let publish_edge = region(0x80000);
    let said = Transcript::default();
    machine.start(console.thread, Screen(said.clone()));
    let regions = portcullis_blk::Regions::<Direct> {
        vault_disk: vault_disk.clone(),
        ledger_disk: ledger_disk.clone(),
    };
    let driver = Blk::new(0, disk.clone(), regions, Box::leak(Box::default()));
    machine.start(blk.thread, driver);
    let regions = portcullis_ledger::Regions::<Direct> {
        grant_log: region(0x20000).read_only(),
        grant_log_ack: region(0x1000),
        ledger_key: SharedRegion::with(&[0x44; 32]).read_only(),
        ledger_disk,
    };
    let component = Ledger::new(0, regions, Box::leak(Box::default()));
    machine.start(ledger.thread, component);
    let regions = portcullis_vault::Regions::<Direct> {
        vault_key: SharedRegion::with(&[0x55; 32]).read_only(),
        ingest_vault: ingest_vault.read_only(),
        vault_publish: vault_publish.clone(),
        vault_disk,
    };
    let memory = Box::leak(Box::new(portcullis_vault::Memory::new()));
    machine.start(vault.thread, Vault::new(0, regions, memory));
    let regions = portcullis_edge::Regions::<Direct> {
        publish_edge: publish_edge.read_only(),
    };
    let edge = machine.start(edge.thread, Edge::new(0, regions));
    let regions = portcullis_publish::Regions::<Direct> {
        vault_publish: vault_publish.read_only(),
        publish_edge,
    };
    machine.start(publish.thread, Publish::new(0, regions));
    let regions = Regions::<Direct> {
        inbox: SharedRegion::with(inbox).read_only(),
        ingest_vault,
    };
    machine.start(ingest.thread, Ingest::new(0, regions));
    machine.run();

    let mut kernel = machine.direct(reader.thread);
    let mut entries = Vec::new();
    while let Ok(entry) = client.read(&mut kernel, entries.len() as u64, &mut [0; _]) {
        entries.push(entry.to_vec());
    }
    let listed = edge
        .borrow()
        .listed()
        .iter()
        .map(|object| (object.path.to_string(), object.size))
        .collect();
    Boot {
        lines: said.lines(),
        listed,
        entries,
    }
}

fn pack(documents: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let count = documents.len() as u32;
    let mut layout = Layout::new(count);
    let mut bytes = encode_header(count).to_vec();
    bytes.resize(layout.size() as usize, 0);
    for (index, (path, content)) in documents.iter().enumerate() {
        let size = content.len() as u64;
        let offset = layout.place(size).unwrap();
        let entry = Entry {
            path: DocumentPath::new(path).unwrap(),
            size,
            content: bundle::Content::Present {
                offset,
                sha256: Sha256::digest(content).into(),
            },
        };
        bytes.extend(content);
        bytes.resize(layout.size() as usize, 0);
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

fn says(boot: &Boot, line: &str) {
    assert!(
        boot.lines.iter().any(|said| said == line),
        "{line}\n{:#?}",
        boot.lines
    );
}

/// Runs a test on a stack that holds a vault's memory.
fn with_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    if let Err(panic) = thread.spawn(test).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn documents_are_kept_recorded_and_published_and_a_second_boot_goes_on() {
    with_stack(|| {
        let mut disk = FaultyDisk::new(BLOCKS);
        initialise(
            &mut disk,
            &Header::new(BLOCKS, *b"a disk for tests").unwrap(),
        )
        .unwrap();
        let disk = Rc::new(RefCell::new(disk));
        let mut documents = vec![
            ("notes.txt", b"some notes".to_vec()),
            ("public/empty", vec![]),
            // More than the stream's ring, and no multiple of any buffer.
            ("public/report.pdf", noise(1_500_001)),
        ];
        let expected = [
            ("public/empty".to_string(), 0),
            ("public/report.pdf".to_string(), 1_500_001),
        ];

        let first = boot(&disk, &pack(&documents));
        says(&first, "3 documents: 3 stored, 0 unchanged, 0 refused");
        says(&first, "2 objects published, 1,500,001 B");
        says(&first, "2 objects listed, 0 damaged, 0 lost");
        assert_eq!(first.listed, expected);
        for ((path, content), entry) in documents.iter().zip(&first.entries) {
            let entry = DocumentEntry::decode(entry).unwrap();
            let digest: [u8; 32] = Sha256::digest(content).into();
            assert_eq!((entry.path, entry.digest), (*path, digest));
            assert_eq!(entry.size, content.len() as u64);
            assert_eq!(entry.act == Act::Released, path.starts_with("public/"));
        }
        assert_eq!(first.entries.len(), 3);

        documents.push(("public/more", noise(77)));
        let second = boot(&disk, &pack(&documents));
        says(&second, "4 documents: 1 stored, 3 unchanged, 0 refused");
        says(&second, "2 objects listed, 0 damaged, 0 lost");
        says(&second, "1 object listed, 0 damaged, 0 lost");
        assert_eq!(second.listed[..2], expected);
        assert_eq!(second.listed[2..], [("public/more".to_string(), 77)]);
        assert_eq!(second.entries[..3], first.entries);
        assert_eq!(second.entries.len(), 4);
    });
}

/// Random documents over a few contents and names, in boots one after the other: the ledger has an entry
/// for each name that a content came under, once.
#[test]
fn every_name_of_a_content_has_one_entry() {
    with_stack(|| {
        let mut disk = FaultyDisk::new(BLOCKS);
        let header = Header::new(BLOCKS, *b"a disk for tests").unwrap();
        initialise(&mut disk, &header).unwrap();
        let disk = Rc::new(RefCell::new(disk));
        let names = ["a", "b", "c/a", "d", "public/e", "public/f"];
        let mut known = Vec::new();
        let mut random = 7_u32;
        let mut next = |most: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % most
        };
        for _ in 0..12 {
            let taken = names.iter().filter(|_| next(3) > 0).copied();
            let documents: Vec<_> = taken.collect();
            let documents = documents.into_iter();
            let documents: Vec<_> = documents
                .map(|name| (name, noise(next(3) as usize)))
                .collect();
            let round = boot(&disk, &pack(&documents));
            for (name, content) in documents {
                let digest: [u8; 32] = Sha256::digest(&content).into();
                if !known.contains(&(name.to_owned(), digest)) {
                    known.push((name.to_owned(), digest));
                }
            }
            let entries = round
                .entries
                .iter()
                .map(|it| DocumentEntry::decode(it).unwrap());
            let entries: Vec<_> = entries.map(|it| (it.path.to_owned(), it.digest)).collect();
            assert_eq!(entries, known, "{:#?}", round.lines);
        }
        assert!(known.len() > 12, "{known:?}");
    });
}
