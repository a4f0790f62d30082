//! Vault put and get of 64 MiB, beside bare XChaCha20-Poly1305 and SHA-256 over the same bytes.
//!
//! The whole way is measured, from the client's bytes to the disk and back: client, vault and driver call
//! each other over their grants and regions, on the model kernel, and the disk is memory. All of it is
//! one thread, timed by its processor time, so that whatever else the machine does counts for neither
//! side. The bare side goes through the bytes in chunks too. Rounds alternate, and of the ratios of
//! neighbouring rounds the median counts.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{AeadInOut, KeyInit},
};
use portcullis_blk::testing::Finder;
use portcullis_blk::{BLOCK, Blk, Disk, DiskError, Header, initialise};
use portcullis_kernel::{Generation, GrantBadge, MethodSet, Region, RegionMut};
use portcullis_ledger::{Ledger, api as ledger};
use portcullis_model::testing::{Direct, Machine, SharedRegion};
use portcullis_vault::{
    Act, CHUNK, DOCUMENT_ENTRY_MAX, DocumentEntry, Memory, OBJECT_MAX, Regions, Vault, api,
};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use crate::Line;

/// Bytes of the object.
const SIZE: usize = OBJECT_MAX as usize;
/// Bytes of the regions, as in `system.xml`: what is handed over at once.
const PIECE: usize = 0x40000;
/// Blocks of the disk: the vault's part, three quarters of it, has room for the object.
const BLOCKS: u64 = 24_000;
/// Rounds of each kind.
const ROUNDS: usize = 11;

pub(crate) fn measure() -> Vec<Line> {
    // The vault's memory is larger than the main thread's stack likes.
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    let measured = thread.spawn(rounds).expect("a thread");
    let [put, get] = measured.join().expect("the vault works");
    let line = |name, value: f64| Line {
        name,
        value,
        unit: "ratio",
        bar: ">= 0.7",
        holds: value >= 0.7,
    };
    vec![
        line("vault put of 64 MiB, against the bare cryptography", put),
        line("vault get of 64 MiB, against the bare cryptography", get),
    ]
}

/// The medians of both ratios.
fn rounds() -> [f64; 2] {
    let content: Vec<u8> = (0..SIZE as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8)
        .collect();
    // Not zeros, so that its pages are there before the time is taken.
    let disk = InMemory(Rc::new(RefCell::new(vec![1; BLOCKS as usize * BLOCK])));
    let mut ratios = [const { Vec::new() }; 2];
    let mut seconds = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        let bare = bare(&content);
        let [put, get] = vault(&content, &disk);
        ratios[0].push(bare / put);
        ratios[1].push(bare / get);
        for (least, time) in seconds.iter_mut().zip([bare, put, get]) {
            *least = least.min(time);
        }
    }
    let [bare, put, get] = seconds;
    eprintln!(
        "64 MiB: put {put:.3} s, get {get:.3} s, bare {bare:.3} s of processor time, at best"
    );
    ratios.map(median)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn time(run: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = now();
    run();
    now() - start
}

fn bare(content: &[u8]) -> f64 {
    let mut bytes = content.to_vec();
    let cipher = XChaCha20Poly1305::new(&[7; 32].into());
    let mut hash = Sha256::new();
    time(|| {
        for (number, chunk) in (0_u64..).zip(bytes.chunks_mut(CHUNK)) {
            hash.update(&*chunk);
            let mut nonce = [0; 24];
            nonce[..8].copy_from_slice(&number.to_le_bytes());
            let tag = cipher.encrypt_inout_detached(&nonce.into(), &[], chunk.into());
            black_box(tag.expect("a chunk is short"));
        }
        black_box(hash.finalize());
    })
}

/// Seconds that a put and a get take, in a vault that was just made.
fn vault(content: &[u8], disk: &InMemory) -> [f64; 2] {
    disk.0.borrow_mut().fill(0);
    let mut client = Client::new(disk.clone());
    let digest = Sha256::digest(content).into();
    let put = time(|| client.put(content, &digest));
    client.release(&digest);
    let mut out = vec![1; SIZE];
    let get = time(|| client.get(&digest, &mut out));
    assert!(out == content, "what came out is what went in");
    [put, get]
}

/// A client of the vault, and the machine that the vault runs on.
struct Client {
    kernel: Direct,
    vault: api::Client,
    ledger: ledger::Client,
    ingest: SharedRegion,
    publish: SharedRegion,
}

impl Client {
    /// Boots the vault, the ledger and the disk driver with an empty disk.
    fn new(mut disk: InMemory) -> Self {
        let header = Header::new(BLOCKS, [7; 16]).expect("the disk is large enough");
        initialise(&mut disk, &header).expect("memory is written");
        let machine = Machine::new();
        let [manager, blk, ledger, vault, client] =
            [200, 160, 150, 140, 100].map(|priority| machine.protection_domain(priority));
        let every = |index| {
            GrantBadge::new(index, Generation::default(), MethodSet(u32::MAX)).expect("methods")
        };
        for (number, pd) in (1..).zip([&blk, &ledger, &vault]) {
            machine.channel(pd, 0, &manager, number);
        }
        machine.call_grant(&ledger, 1, &blk, every(1));
        machine.call_grant(&vault, 1, &blk, every(2));
        machine.call_grant(&vault, 2, &ledger, every(3));
        let object = machine.call_grant(&client, 1, &vault, every(4));
        let worm = machine.call_grant(&client, 2, &ledger, every(5));
        let grants = vec![(2, "blk", 1), (3, "blk", 1), (3, "ledger", 2)];
        machine.start(manager.thread, Finder { grants });
        let [
            ingest,
            publish,
            vault_disk,
            ledger_disk,
            grant_log,
            grant_log_ack,
        ] = [(); 6].map(|()| SharedRegion::new(PIECE));
        let regions = portcullis_blk::Regions::<Direct> {
            vault_disk: vault_disk.clone(),
            ledger_disk: ledger_disk.clone(),
        };
        let driver = Blk::new(0, disk, regions, Box::leak(Box::default()));
        machine.start(blk.thread, driver);
        let regions = portcullis_ledger::Regions::<Direct> {
            grant_log: grant_log.read_only(),
            grant_log_ack,
            ledger_key: SharedRegion::with(&[3; 32]).read_only(),
            ledger_disk,
        };
        let component = Ledger::new(0, regions, Box::leak(Box::default()));
        machine.start(ledger.thread, component);
        let regions = Regions::<Direct> {
            vault_key: SharedRegion::with(&[9; 32]).read_only(),
            ingest_vault: ingest.read_only(),
            vault_publish: publish.clone(),
            vault_disk,
        };
        let component = Vault::new(0, regions, Box::leak(Box::new(Memory::new())));
        machine.start(vault.thread, component);
        Self {
            kernel: machine.direct(client.thread),
            vault: api::Client(object),
            ledger: ledger::Client(worm),
            ingest,
            publish,
        }
    }

    fn put(&mut self, content: &[u8], digest: &[u8; 32]) {
        let (vault, kernel) = (self.vault, &mut self.kernel);
        vault.create(kernel, SIZE as u64).expect("there is room");
        for piece in content.chunks(PIECE) {
            self.ingest.write(0, piece).expect("it fits");
            let written = vault.write(kernel, PIECE as u64);
            written.expect("the disk takes it");
        }
        let committed = vault.commit(kernel, digest);
        committed.expect("it is the object that was meant");
    }

    fn get(&mut self, digest: &[u8; 32], out: &mut [u8]) {
        for (at, piece) in (0..).step_by(PIECE).zip(out.chunks_mut(PIECE)) {
            let read = self.vault.read(&mut self.kernel, digest, at, PIECE as u64);
            assert_eq!(read, Ok(PIECE as u64));
            self.publish.read(0, piece).expect("it fits");
        }
    }

    fn release(&mut self, digest: &[u8; 32]) {
        let entry = DocumentEntry {
            digest: *digest,
            size: SIZE as u64,
            path: "public/object",
            act: Act::Released,
        };
        let mut buffer = [0; DOCUMENT_ENTRY_MAX];
        let bytes = entry.encode(&mut buffer).expect("the path is short");
        let index = self.ledger.append(&mut self.kernel, bytes);
        let index = index.expect("the ledger has room");
        let recorded = self.vault.record(&mut self.kernel, index);
        recorded.expect("the object is there");
    }
}

/// A disk in memory: what is measured is the way to the disk.
#[derive(Clone)]
struct InMemory(Rc<RefCell<Vec<u8>>>);

impl Disk for InMemory {
    fn blocks(&self) -> u64 {
        BLOCKS
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        let bytes = self.0.borrow();
        data.copy_from_slice(&bytes[first as usize * BLOCK..][..data.len()]);
        Ok(())
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        let mut bytes = self.0.borrow_mut();
        bytes[first as usize * BLOCK..][..data.len()].copy_from_slice(data);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}
