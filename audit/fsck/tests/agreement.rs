//! On a disk that was damaged at random, fsck finds something wherever anybody else does: the driver,
//! the ledger and the vault when they open it, the vault when it reads, and `log verify`.

mod common;

use std::cell::RefCell;
use std::io;

use common::{BLOCKS, Memories, Opened, fsck, ledger_key, lines, open, sample, with_memories};
use portcullis_audit::policies::{Policies, PolicyTable};
use portcullis_audit::testing::policy;
use portcullis_audit::verify::verify;
use portcullis_audit::walk::{Blocks, Trust};
use portcullis_blk::api::Area;
use portcullis_blk::testing::{FaultyDisk, SECTOR};
use portcullis_blk::{BLOCK, Header};
use portcullis_log::block::{LogId, LogKind};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Random disks; `FSCK_CASES` asks for another number.
const CASES: u32 = 1_500;

/// Something that happens to a disk. Blocks are counted from the start of the disk, sectors too.
#[derive(Clone, Debug)]
enum Damage {
    Bit { byte: usize, bit: u8 },
    ZeroSector(usize),
    ZeroBlock(usize),
    Fill { sector: usize, with: u8 },
    Copy { from: usize, to: usize },
    Swap(usize, usize),
    CopySector { from: usize, to: usize },
    Cut { blocks: usize },
}

/// Blocks that hold something, most of the time: header and marks, vault, grant log, ledger.
fn block() -> impl Strategy<Value = usize> {
    let of_area =
        |area, blocks: u64| (0..blocks).prop_map(move |block| common::at(area, block) / BLOCK);
    prop_oneof![
        1 => 0..3_usize,
        2 => of_area(Area::Vault, 6),
        2 => of_area(Area::Vault, 45),
        4 => of_area(Area::Grants, 8),
        4 => of_area(Area::Worm, 11),
        1 => 0..BLOCKS as usize,
    ]
}

fn sector() -> impl Strategy<Value = usize> {
    (block(), 0..BLOCK / SECTOR).prop_map(|(block, sector)| block * (BLOCK / SECTOR) + sector)
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (block(), 0..BLOCK, 0..8_u8).prop_map(|(block, at, bit)| Damage::Bit { byte: block * BLOCK + at, bit }),
        3 => sector().prop_map(Damage::ZeroSector),
        3 => block().prop_map(Damage::ZeroBlock),
        2 => (sector(), any::<u8>()).prop_map(|(sector, with)| Damage::Fill { sector, with }),
        3 => (block(), block()).prop_map(|(from, to)| Damage::Copy { from, to }),
        3 => (block(), block()).prop_map(|(one, other)| Damage::Swap(one, other)),
        2 => (sector(), sector()).prop_map(|(from, to)| Damage::CopySector { from, to }),
        1 => (1..BLOCKS as usize).prop_map(|blocks| Damage::Cut { blocks }),
    ]
}

fn apply(disk: &mut [u8], damage: &Damage) {
    let sector = |number: usize| number * SECTOR..(number + 1) * SECTOR;
    let block = |number: usize| number * BLOCK..(number + 1) * BLOCK;
    match *damage {
        Damage::Bit { byte, bit } => disk[byte] ^= 1 << bit,
        Damage::ZeroSector(number) => disk[sector(number)].fill(0),
        Damage::ZeroBlock(number) => disk[block(number)].fill(0),
        Damage::Fill {
            sector: number,
            with,
        } => disk[sector(number)].fill(with),
        Damage::Copy { from, to } => disk.copy_within(block(from), to * BLOCK),
        Damage::CopySector { from, to } => disk.copy_within(sector(from), to * SECTOR),
        Damage::Swap(one, other) => {
            let kept = disk[block(one)].to_vec();
            disk.copy_within(block(other), one * BLOCK);
            disk[block(other)].copy_from_slice(&kept);
        }
        // What comes after must still lie on the disk: the test cuts it in the end.
        Damage::Cut { .. } => {}
    }
}

fn damaged(damages: &[Damage]) -> Vec<u8> {
    let mut disk = sample();
    damages.iter().for_each(|damage| apply(&mut disk, damage));
    for damage in damages {
        if let Damage::Cut { blocks } = damage {
            disk.truncate(disk.len().min(blocks * BLOCK));
        }
    }
    disk
}

struct Bytes<'a>(&'a [u8]);

impl Blocks for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (now, later) = self.0.split_at(buffer.len().min(self.0.len()));
        buffer[..now.len()].copy_from_slice(now);
        self.0 = later;
        Ok(now.len())
    }
}

/// What `log verify` finds: its findings, and whether any is a violation.
fn log_verify(disk: &[u8], header: &Header) -> (Vec<String>, bool) {
    let mut policies = Policies::default();
    policies.add(PolicyTable::read(&policy()).unwrap());
    let key = ledger_key().verifying_key();
    let (mut found, mut holds) = (Vec::new(), true);
    for (kind, area) in [(LogKind::Grants, Area::Grants), (LogKind::Worm, Area::Worm)] {
        let trust = Trust {
            kind,
            log: LogId(*header.id()),
            key: Some(&key),
            checkpoints: &[],
        };
        let start = disk.len().min(header.start(area) as usize * BLOCK);
        let end = start + header.length(area) as usize * BLOCK;
        let region = &disk[start..disk.len().min(end)];
        let (report, _) = verify(&mut Bytes(region), &trust, &policies, |_| ()).unwrap();
        holds &= report.holds;
        let line = |finding: &portcullis_audit::Finding| {
            format!("{} {}: {}", kind.name(), finding.place, finding.what)
        };
        found.extend(report.findings.iter().map(line));
    }
    (found, holds)
}

/// The header as `log verify` reads it: the first copy, or the one at the end.
fn header(disk: &[u8]) -> Option<Header> {
    let block = |number: usize| disk.as_chunks::<BLOCK>().0.get(number);
    let last = (disk.len() / BLOCK).checked_sub(1)?;
    let first = Header::decode(block(0)?);
    first.ok().or_else(|| Header::decode(block(last)?).ok())
}

/// How many of the disks somebody found fault with.
#[derive(Clone, Copy, Default, Debug)]
struct Counted {
    log_verify: u32,
    appliance: u32,
    fsck: u32,
}

/// One damaged disk.
fn compare(
    damages: &[Damage],
    memories: &mut Memories,
    counted: &mut Counted,
) -> Result<(), TestCaseError> {
    let disk = damaged(damages);
    let report = fsck(&disk);
    counted.fsck += u32::from(!report.holds());
    let Some(header) = header(&disk) else {
        prop_assert!(!report.holds());
        return Ok(());
    };
    let said = lines(&report);
    let (found, holds) = log_verify(&disk, &header);
    counted.log_verify += u32::from(!holds);
    prop_assert!(holds || !report.holds(), "{found:#?} {said:#?}");
    prop_assert!(found.is_empty() || !said.is_empty(), "{found:#?}");
    let Opened { damage, notes } = open(FaultyDisk::from_bytes(disk), memories);
    counted.appliance += u32::from(!damage.is_empty());
    prop_assert!(
        damage.is_empty() || !report.holds(),
        "{damage:#?} {said:#?}"
    );
    prop_assert!(notes.is_empty() || !said.is_empty(), "{notes:#?}");
    Ok(())
}

#[test]
fn what_anybody_finds_fsck_finds() {
    let cases = std::env::var("FSCK_CASES").ok();
    let cases = cases.map_or(CASES, |cases| cases.parse().unwrap());
    with_memories(move |memories| {
        let memories = RefCell::new(memories);
        let counted = RefCell::new(Counted::default());
        let damages = prop::collection::vec(damage(), 1..4);
        let config = ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let tested = TestRunner::new(config).run(&damages, |damages| {
            compare(
                &damages,
                &mut memories.borrow_mut(),
                &mut counted.borrow_mut(),
            )
        });
        tested.unwrap();
        let counted = counted.into_inner();
        println!("of {cases} disks, found damaged: {counted:?}");
        assert!(counted.log_verify > cases / 10 && counted.appliance > cases / 10);
    });
}
