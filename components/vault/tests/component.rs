//! The vault, the ledger and the disk driver on the model kernel, over their grants and their regions.

mod common;

use common::{ID, KEY, content, digest};
use portcullis_blk::{
    BLOCK, Blk, Header,
    api::{self as blk, Area, Run},
    initialise,
    testing::{FaultyDisk, Finder, Transcript},
};
use portcullis_kernel::{
    CallGrant, Generation, GrantBadge, Method, MethodSet, Refusal, RegionMut, label,
};
use portcullis_ledger::{Ledger, api as ledger};
use portcullis_model::testing::{Direct, Machine, ProtectionDomain, SharedRegion};
use portcullis_vault::{
    Act, CHUNK, DOCUMENT_ENTRY_MAX, DocumentEntry, OBJECT_MAX, Regions, Vault,
    api::{self, Client},
};
use std::{cell::RefCell, rc::Rc};

/// Methods of the vault that ingest and publish hold together.
const TAKES_IN_AND_READS: u32 = 0b1111_1111;
/// Methods that nobody holds in the reference policy: list and delete.
const REMOVES: u32 = 0b11_0000_0000;

type Shared = Rc<RefCell<FaultyDisk>>;

fn new_disk(blocks: u64) -> Shared {
    let mut disk = FaultyDisk::new(blocks);
    initialise(&mut disk, &Header::new(blocks, ID).unwrap()).unwrap();
    Rc::new(RefCell::new(disk))
}

/// First byte of the vault's region.
fn vault_of(disk: &Shared) -> usize {
    let bytes = disk.borrow_mut().bytes_mut().to_vec();
    let is_vault = |block: &&[u8]| block.starts_with(b"PCULVAUL");
    let at = bytes.chunks(BLOCK).position(|block| is_vault(&block));
    at.unwrap() * BLOCK
}

/// One boot: manager's stand-in, console, driver, ledger, vault, and a client that puts, reads, and
/// under another grant removes.
struct Boot {
    machine: Machine,
    subject: ProtectionDomain,
    blk: ProtectionDomain,
    client: Direct,
    vault: Client,
    remover: Client,
    ledger: ledger::Client,
    ingest: SharedRegion,
    publish: SharedRegion,
    console: Transcript,
}

fn grant(index: u16, methods: u32) -> GrantBadge {
    GrantBadge::new(index, Generation::default(), MethodSet(methods)).unwrap()
}

fn boot(disk: &Shared) -> Boot {
    let machine = Machine::new();
    let [manager, blk, ledger, vault, console, client] =
        [200, 160, 150, 140, 130, 100].map(|priority| machine.protection_domain(priority));
    let said = Transcript::default();
    let mut grants = vec![(2, "blk", 1), (2, "ledger", 3), (3, "blk", 1)];
    for (number, speaker) in (1..).zip([&blk, &vault, &ledger]) {
        machine.channel(speaker, 0, &manager, number);
        machine.send_grant(speaker, 2, &console, grant(number.into(), 1));
        grants.push((number, "console", 2));
    }
    machine.call_grant(&vault, 1, &blk, grant(5, 0b1000_0111));
    machine.call_grant(&vault, 3, &ledger, grant(6, 0b10));
    machine.call_grant(&ledger, 1, &blk, grant(7, 0b1111_1001));
    let takes = machine.call_grant(&client, 1, &vault, grant(8, TAKES_IN_AND_READS));
    let removes = machine.call_grant(&client, 2, &vault, grant(9, REMOVES));
    let appends = machine.call_grant(&client, 3, &ledger, grant(10, 0b1));
    let [ingest, publish, vault_disk, ledger_disk] = [(); 4].map(|()| SharedRegion::new(0x40000));
    machine.start(manager.thread, Finder { grants });
    machine.start(console.thread, said.clone());
    let regions = portcullis_blk::Regions::<Direct> {
        vault_disk: vault_disk.clone(),
        ledger_disk: ledger_disk.clone(),
    };
    let driver = Blk::new(0, disk.clone(), regions, Box::leak(Box::default()));
    machine.start(blk.thread, driver);
    let regions = portcullis_ledger::Regions::<Direct> {
        grant_log: SharedRegion::new(0x20000).read_only(),
        grant_log_ack: SharedRegion::new(0x1000),
        ledger_key: SharedRegion::with(&[0x44; 32]).read_only(),
        ledger_disk,
    };
    let component = Ledger::new(0, regions, Box::leak(Box::default()));
    machine.start(ledger.thread, component);
    let regions = Regions::<Direct> {
        vault_key: SharedRegion::with(&KEY).read_only(),
        ingest_vault: ingest.read_only(),
        vault_publish: publish.clone(),
        vault_disk,
    };
    let component = Vault::new(0, regions, Box::leak(Box::default()));
    machine.start(vault.thread, component);
    machine.run();
    Boot {
        client: machine.direct(client.thread),
        subject: client,
        blk,
        machine,
        vault: Client(takes),
        remover: Client(removes),
        ledger: ledger::Client(appends),
        ingest,
        publish,
        console: said,
    }
}

/// Runs a test with a disk, on a stack that holds a vault's memory.
fn with_disk(blocks: u64, test: impl FnOnce(Shared) + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    if let Err(panic) = thread.spawn(move || test(new_disk(blocks))).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

impl Boot {
    fn put(&mut self, object: &[u8]) -> Result<[u8; 32], Refusal> {
        let digest = digest(object);
        self.vault.create(&mut self.client, object.len() as u64)?;
        let mut written = 0;
        for part in object.chunks(0x40000) {
            self.ingest.write(0, part).unwrap();
            written += part.len() as u64;
            assert_eq!(
                self.vault.write(&mut self.client, part.len() as u64),
                Ok(written)
            );
        }
        self.vault.commit(&mut self.client, &digest)?;
        Ok(digest)
    }

    fn append(&mut self, digest: &[u8; 32], path: &str, act: Act) -> u64 {
        let entry = DocumentEntry {
            digest: *digest,
            size: 0,
            path,
            act,
        };
        let mut buffer = [0; DOCUMENT_ENTRY_MAX];
        let bytes = entry.encode(&mut buffer).unwrap();
        self.ledger.append(&mut self.client, bytes).unwrap()
    }

    fn get(&mut self, digest: &[u8; 32]) -> Result<Vec<u8>, Refusal> {
        let mut all = Vec::new();
        loop {
            let offset = all.len() as u64;
            let count = self.vault.read(&mut self.client, digest, offset, 0x40000)?;
            if count == 0 {
                return Ok(all);
            }
            all.extend_from_slice(&self.publish.bytes()[..count as usize]);
        }
    }

    fn says(&self, text: &str) {
        assert!(self.console.says(text), "{text}\n{:#?}", self.console);
    }
}

#[test]
fn a_document_goes_in_is_released_by_the_ledger_and_comes_out() {
    with_disk(2_048, |disk| {
        let boot = &mut boot(&disk);
        let object = content(3, 700_000);
        let digest = boot.put(&object).unwrap();
        let unrecorded = boot.get(&digest);
        assert_eq!(unrecorded, Err(Refusal::Object(api::NOT_RELEASED)));
        let other = boot.append(&[1; 32], "other", Act::Kept);
        let index = boot.append(&digest, "public/report", Act::Released);
        // Nobody's word is taken for what the ledger says.
        let code = Refusal::Object;
        let (vault, kernel) = (boot.vault, &mut boot.client);
        assert_eq!(vault.record(kernel, other), Err(code(api::NOT_FOUND)));
        assert_eq!(vault.record(kernel, 2), Err(code(api::NOT_IN_LEDGER)));
        assert_eq!(boot.get(&digest), Err(code(api::NOT_RELEASED)));
        vault.record(&mut boot.client, index).unwrap();
        assert!(boot.get(&digest).unwrap() == object);
        assert_eq!(vault.check(&mut boot.client, &digest, 700_000), Ok(()));
        let mut buffer = [0; _];
        let view = vault.released(&mut boot.client, 0, &mut buffer).unwrap();
        assert_eq!(
            (view.name, view.size, view.digest),
            ("public/report", 700_000, digest)
        );
        let next = view.next;
        let end = vault.released(&mut boot.client, next, &mut buffer);
        assert_eq!(end.unwrap_err(), code(api::NO_MORE));
        let stat = vault.stat(&mut boot.client, &digest).unwrap();
        assert_eq!(
            (stat.size, stat.released, stat.recorded, stat.references),
            (700_000, true, Some(1), 1)
        );
        boot.says("made a vault");
    });
}

#[test]
fn only_a_grant_that_carries_delete_removes_and_only_what_the_ledger_removes() {
    with_disk(2_048, |disk| {
        let boot = &mut boot(&disk);
        let digest = boot.put(b"a document").unwrap();
        let kept = boot.append(&digest, "a", Act::Kept);
        assert_eq!(boot.vault.record(&mut boot.client, kept), Ok(1));
        let removed = boot.append(&digest, "a", Act::Removed);
        let (takes, removes) = (boot.vault, boot.remover);
        let kernel = &mut boot.client;
        let code = Refusal::Object;
        assert_eq!(takes.delete(kernel, removed), Err(code(label::BAD_METHOD)));
        let listed = takes.list(kernel, 0, &mut [0; _]).map(drop);
        assert_eq!(listed, Err(code(label::BAD_METHOD)));
        assert_eq!(removes.record(kernel, kept), Err(code(label::BAD_METHOD)));
        assert_eq!(takes.record(kernel, removed), Err(code(api::NOT_IN_LEDGER)));
        assert_eq!(removes.delete(kernel, kept), Err(code(api::NOT_IN_LEDGER)));
        let mut buffer = [0; _];
        let listed = removes.list(kernel, 0, &mut buffer).unwrap();
        assert_eq!(
            (listed.digest, listed.name, listed.references),
            (digest, "a", 1)
        );
        assert_eq!(removes.delete(kernel, removed), Ok(0));
        let gone = takes.stat(kernel, &digest).unwrap_err();
        assert_eq!(gone, code(api::NOT_FOUND));
    });
}

#[test]
fn what_is_missing_is_said_at_the_start_with_its_entry_of_the_ledger() {
    with_disk(2_048, |disk| {
        let mut first = boot(&disk);
        for (number, object) in [b"one", b"two"].into_iter().enumerate() {
            let digest = first.put(object).unwrap();
            let index = first.append(&digest, "public/x", Act::Released);
            assert_eq!(index, number as u64);
            first.vault.record(&mut first.client, index).unwrap();
        }
        // The second slot of the index, zeroed: the last entry that was written.
        let slot = vault_of(&disk) + 2 * BLOCK + 512;
        disk.borrow_mut().bytes_mut()[slot..][..512].fill(0);
        let mut second = boot(&disk);
        let short: String = digest(b"two")[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        second.says(&format!(
            "MISSING: object {short}, which entry 1 of the ledger names"
        ));
        // The first one too, and the vault itself notices.
        second.put(b"three").unwrap();
        disk.borrow_mut().bytes_mut()[slot - 512..][..512].fill(0);
        let third = boot(&disk);
        third.says("THE INDEX IS NOT AS THE VAULT LEFT IT");
        third.says("which entry 0 of the ledger names");
        third.says("which entry 1 of the ledger names");
    });
}

/// An object with two references whose entry in the index is damaged: put again, while the vault runs or
/// after a restart, and named by the ledger once more.
fn lose_and_put_again(disk: &Shared, restart: bool) {
    let mut now = boot(disk);
    let digest = now.put(b"one").unwrap();
    for path in ["public/a", "public/b"] {
        let index = now.append(&digest, path, Act::Released);
        now.vault.record(&mut now.client, index).unwrap();
    }
    let slot = vault_of(disk) + 2 * BLOCK;
    disk.borrow_mut().bytes_mut()[slot + 100] ^= 1;
    if restart {
        now = boot(disk);
    }
    assert_eq!(now.put(b"one"), Ok(digest));
    let index = now.append(&digest, "c", Act::Kept);
    let (vault, kernel) = (now.vault, &mut now.client);
    assert_eq!(vault.record(kernel, index), Ok(3));
    let stat = vault.stat(kernel, &digest).unwrap();
    assert_eq!((stat.recorded, stat.references), (Some(0), 3));
    let mut buffer = [0; _];
    let released = vault.released(kernel, 0, &mut buffer).unwrap();
    assert_eq!((released.digest, released.name), (digest, "public/a"));
    assert_eq!(now.get(&digest).unwrap(), b"one");
}

#[test]
fn an_object_that_was_lost_and_put_again_has_all_its_references() {
    for restart in [false, true] {
        with_disk(2_048, move |disk| lose_and_put_again(&disk, restart));
    }
}

#[test]
fn what_was_cut_off_between_ledger_and_vault_is_taken_up_at_the_start() {
    with_disk(2_048, |disk| {
        let mut first = boot(&disk);
        let digest = first.put(b"one").unwrap();
        first.append(&digest, "public/one", Act::Released);
        drop(first);
        let mut second = boot(&disk);
        assert_eq!(second.get(&digest).unwrap(), b"one");
    });
}

#[test]
fn every_refusal_has_its_code() {
    with_disk(256, |disk| {
        let boot = &mut boot(&disk);
        let code = Refusal::Object;
        let (vault, kernel) = (boot.vault, &mut boot.client);
        let too_large = vault.create(kernel, OBJECT_MAX + 1);
        assert_eq!(too_large, Err(code(api::TOO_LARGE)));
        let no_space = vault.create(kernel, OBJECT_MAX);
        assert_eq!(no_space, Err(code(api::NO_SPACE)));
        assert_eq!(vault.write(kernel, 1), Err(code(api::NO_UPLOAD)));
        vault.create(kernel, 1).unwrap();
        vault.write(kernel, 1).unwrap();
        let mismatch = vault.commit(kernel, &[0; 32]).unwrap_err();
        assert_eq!(mismatch, code(api::MISMATCH));
        let unknown = vault.stat(kernel, &[0; 32]).unwrap_err();
        assert_eq!(unknown, code(api::NOT_FOUND));
        let mut message = portcullis_kernel::Message::request(api::WRITE, &[1, 2]);
        let garbled = vault.0.call(kernel, api::WRITE, &mut message).unwrap_err();
        assert_eq!(garbled, code(label::BAD_REQUEST));
        boot.says("keep this disk, and go on with a new one");
    });
}

#[test]
fn the_driver_refuses_by_badge_and_by_region_and_says_so() {
    with_disk(256, |disk| {
        let boot = &mut boot(&disk);
        // A grant with the vault's methods only.
        let (machine, subject, blk) = (&boot.machine, &boot.subject, &boot.blk);
        let disk = blk::Client(machine.call_grant(subject, 9, blk, grant(11, 0b1000_0111)));
        let kernel = &mut boot.client;
        let info = disk.info(kernel).unwrap();
        let run = |first, count, at| Run { first, count, at };
        for area in [Area::Grants, Area::Worm] {
            let foreign = Err(Refusal::Object(label::BAD_METHOD));
            assert_eq!(disk.read(kernel, area, run(0, 1, 0)), foreign);
            assert_eq!(disk.write(kernel, area, run(0, 1, 0)), foreign);
        }
        let length = info.length(Area::Vault);
        let cases = [
            (run(length, 1, 0), blk::OUT_OF_RANGE),
            (run(length - 1, 2, 0), blk::OUT_OF_RANGE),
            (run(u64::MAX, 2, 0), blk::OUT_OF_RANGE),
            (run(0, 0, 0), blk::BUFFER),
            (run(0, 65, 0), blk::BUFFER),
            (run(0, 1, 64), blk::BUFFER),
            (run(0, 2, u64::MAX), blk::BUFFER),
        ];
        for (run, code) in cases {
            let refused = Err(Refusal::Object(code));
            assert_eq!(disk.read(kernel, Area::Vault, run), refused, "{run:?}");
            assert_eq!(disk.write(kernel, Area::Vault, run), refused, "{run:?}");
        }
        assert_eq!(
            disk.read(kernel, Area::Vault, run(length - 1, 1, 63)),
            Ok(())
        );
        assert!(
            boot.console.says("of grant 11: 1 blocks from"),
            "{:?}",
            boot.console
        );
        // What is refused over and over is not said every time.
        for _ in 0..100 {
            let _ = disk.read(kernel, Area::Vault, run(length, 1, 0));
        }
        let lines = boot.console.lines();
        let said = lines.iter().filter(|line| line.contains("refused")).count();
        assert_eq!(said, 16 + 2, "the first 16, then 32 and 64");
        let mut message = portcullis_kernel::Message::request(blk::FLUSH, &[]);
        let other = Method::new(30).unwrap();
        let grant: CallGrant = disk.0;
        let refused = grant.call(kernel, other, &mut message).unwrap_err();
        assert_eq!(refused, Refusal::Object(label::BAD_METHOD));
    });
}

#[test]
fn content_that_was_not_written_is_not_committed_whoever_used_the_disk_in_between() {
    with_disk(1_024, |disk| {
        let mut boot = boot(&disk);
        let one = boot.put(b"one").unwrap();
        let index = boot.append(&one, "1", Act::Released);
        boot.vault.record(&mut boot.client, index).unwrap();
        // Another object was read last: the next read of the first one goes to the disk.
        let object = vec![7; CHUNK];
        boot.vault.create(&mut boot.client, CHUNK as u64).unwrap();
        boot.ingest.write(0, &object).unwrap();
        boot.vault.write(&mut boot.client, CHUNK as u64).unwrap();
        let next = disk.borrow().operations();
        disk.borrow_mut().plan.fail = Some(next);
        assert_eq!(boot.get(&one).unwrap(), b"one");
        assert!(disk.borrow().operations() > next, "it was sent");
        let two = digest(&object);
        let refused = boot.vault.commit(&mut boot.client, &two);
        assert_eq!(refused, Err(Refusal::Object(api::DISK_FAILED)));
        assert_eq!(boot.put(&object), Ok(two), "only this object was lost");
        boot.vault
            .check(&mut boot.client, &two, CHUNK as u64)
            .unwrap();
    });
}

#[test]
fn references_are_not_forgotten_where_the_ledger_s_disk_fails_for_a_moment() {
    with_disk(512, |disk| {
        let digest = {
            let mut boot = boot(&disk);
            let digest = boot.put(b"kept twice").unwrap();
            for path in ["one", "two"] {
                let index = boot.append(&digest, path, Act::Kept);
                boot.vault.record(&mut boot.client, index).unwrap();
            }
            digest
        };
        let entry = vault_of(&disk) + 2 * BLOCK;
        disk.borrow_mut().bytes_mut()[entry..][..512].fill(0);
        let mut boot = boot(&disk);
        boot.says("MISSING: object");
        boot.put(b"kept twice").unwrap();
        // The ledger's first block.
        let worm = Header::new(512, ID).unwrap().start(Area::Worm);
        disk.borrow_mut().plan.unreadable = Some(worm);
        let refused = boot.vault.record(&mut boot.client, 1);
        assert_eq!(refused, Err(Refusal::Object(api::NO_LEDGER)));
        disk.borrow_mut().plan.unreadable = None;
        assert_eq!(boot.vault.record(&mut boot.client, 1), Ok(2));
        assert_eq!(
            boot.vault.stat(&mut boot.client, &digest).unwrap().recorded,
            Some(0)
        );
    });
}
