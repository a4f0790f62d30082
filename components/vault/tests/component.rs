//! The vault and the disk driver on the model kernel, over their grants and their regions.

mod common;

use common::{ID, KEY, content};
use portcullis_blk::{
    Blk, Header,
    api::{self as blk, Area, Run},
    initialise,
    testing::{FaultyDisk, Finder, Transcript},
};
use portcullis_kernel::{
    CallGrant, Generation, GrantBadge, Method, MethodSet, Refusal, RegionMut, label,
};
use portcullis_model::testing::{Direct, Machine, ProtectionDomain, SharedRegion};
use portcullis_vault::{
    Memory, OBJECT_MAX, Vault,
    api::{self, Client, Create},
};

/// One boot: manager's stand-in, console, driver, vault, and a client that puts and reads.
struct Boot {
    machine: Machine,
    subject: ProtectionDomain,
    blk: ProtectionDomain,
    client: Direct,
    vault: Client,
    ingest: SharedRegion,
    publish: SharedRegion,
    console: Transcript,
}

fn grant(index: u16, methods: u32) -> GrantBadge {
    GrantBadge::new(index, Generation::default(), MethodSet(methods)).unwrap()
}

fn boot(memory: &'static mut Memory, blocks: u64) -> Boot {
    let machine = Machine::new();
    let [manager, blk, vault, console, client] =
        [200, 160, 140, 130, 100].map(|priority| machine.protection_domain(priority));
    let said = Transcript::default();
    let grants = vec![(1, "console", 1), (2, "blk", 1), (2, "console", 2)];
    machine.channel(&blk, 0, &manager, 1);
    machine.channel(&vault, 0, &manager, 2);
    machine.send_grant(&blk, 1, &console, grant(1, 1));
    machine.call_grant(&vault, 1, &blk, grant(2, 0b1000_0111));
    machine.send_grant(&vault, 2, &console, grant(3, 1));
    let object = machine.call_grant(&client, 1, &vault, grant(4, 0x7f));
    let [ingest, publish, buffer] = [(); 3].map(|()| SharedRegion::new(0x40000));
    machine.start(manager.thread, Finder { grants });
    machine.start(console.thread, said.clone());
    let mut disk = FaultyDisk::new(blocks);
    initialise(&mut disk, &Header::new(blocks, ID).unwrap()).unwrap();
    let memory_of_blk = Box::leak(Box::default());
    let driver = Blk::new(
        0,
        disk,
        buffer.clone(),
        SharedRegion::new(0x1000),
        memory_of_blk,
    );
    machine.start(blk.thread, driver);
    let key = SharedRegion::with(&KEY);
    let component = Vault::new(
        0,
        key,
        ingest.clone(),
        publish.clone(),
        buffer,
        [7; 12],
        memory,
    );
    machine.start(vault.thread, component);
    Boot {
        client: machine.direct(client.thread),
        subject: client,
        blk,
        machine,
        vault: Client(object),
        ingest,
        publish,
        console: said,
    }
}

/// Runs a test with a boot, on a stack that holds a vault's memory.
fn with_boot(blocks: u64, test: impl FnOnce(&mut Boot) + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(32 << 20);
    let body = move || {
        let memory = Box::leak(Box::new(Memory::new()));
        test(&mut boot(memory, blocks));
    };
    if let Err(panic) = thread.spawn(body).unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

impl Boot {
    fn put(&mut self, object: &[u8], name: &str, released: bool) -> Result<[u8; 32], Refusal> {
        let size = object.len() as u64;
        let create = Create {
            size,
            released,
            name,
        };
        self.vault.create(&mut self.client, &create)?;
        let mut written = 0;
        for part in object.chunks(0x40000) {
            self.ingest.write(0, part).unwrap();
            written += part.len() as u64;
            assert_eq!(
                self.vault.write(&mut self.client, part.len() as u64),
                Ok(written)
            );
        }
        Ok(self.vault.commit(&mut self.client)?.digest)
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
}

#[test]
fn a_document_goes_in_is_recorded_and_comes_out() {
    with_boot(2_048, |boot| {
        let object = content(3, 700_000);
        let digest = boot.put(&object, "public/report", true).unwrap();
        let unrecorded = boot.get(&digest);
        assert_eq!(unrecorded, Err(Refusal::Object(api::NOT_RELEASED)));
        boot.vault.record(&mut boot.client, &digest, 12).unwrap();
        assert!(boot.get(&digest).unwrap() == object);
        let mut buffer = [0; _];
        let view = boot
            .vault
            .released(&mut boot.client, 0, &mut buffer)
            .unwrap();
        assert_eq!(
            (view.name, view.size, view.digest),
            ("public/report", 700_000, digest)
        );
        let next = view.next;
        let end = boot.vault.released(&mut boot.client, next, &mut buffer);
        assert_eq!(end.unwrap_err(), Refusal::Object(api::NO_MORE));
        let stat = boot.vault.stat(&mut boot.client, &digest).unwrap();
        assert_eq!(
            (stat.size, stat.released, stat.recorded),
            (700_000, true, Some(12))
        );
        assert!(boot.console.says("made a vault"), "{:?}", boot.console);
    });
}

#[test]
fn every_refusal_has_its_code() {
    with_boot(256, |boot| {
        let code = Refusal::Object;
        let vault = boot.vault;
        assert_eq!(boot.put(b"x", "", false), Err(code(api::BAD_NAME)));
        let kernel = &mut boot.client;
        let too_large = Create {
            size: OBJECT_MAX + 1,
            released: false,
            name: "n",
        };
        assert_eq!(vault.create(kernel, &too_large), Err(code(api::TOO_LARGE)));
        let no_space = Create {
            size: OBJECT_MAX,
            released: false,
            name: "n",
        };
        assert_eq!(vault.create(kernel, &no_space), Err(code(api::NO_SPACE)));
        assert_eq!(vault.write(kernel, 1), Err(code(api::NO_UPLOAD)));
        assert_eq!(
            vault.stat(kernel, &[0; 32]).unwrap_err(),
            Refusal::Object(api::NOT_FOUND)
        );
        let mut message = portcullis_kernel::Message::request(api::WRITE, &[1, 2]);
        let garbled = vault.0.call(kernel, api::WRITE, &mut message).unwrap_err();
        assert_eq!(garbled, Refusal::Object(label::BAD_REQUEST));
        assert!(
            boot.console.says("make a larger disk"),
            "{:?}",
            boot.console
        );
    });
}

#[test]
fn the_driver_refuses_by_badge_and_by_region_and_says_so() {
    with_boot(256, |boot| {
        // A grant with the vault's methods only.
        let (machine, subject, blk) = (&boot.machine, &boot.subject, &boot.blk);
        let disk = blk::Client(machine.call_grant(subject, 9, blk, grant(9, 0b1000_0111)));
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
            boot.console.says("of grant 9: 1 blocks from"),
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
