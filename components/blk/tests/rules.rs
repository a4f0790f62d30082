//! The rules of the disk, one test each, and append-only beside a model under random faults.

use portcullis_blk::wire::SECTOR;
use portcullis_blk::{
    BLOCK, Block, Disk as _, DiskError, Driver, Extent, Header, HeaderError, OpenError, Opened,
    Refused, UNDER_WAY_MAX, api::Area, initialise, testing::FaultyDisk,
};
use proptest::prelude::*;

const BLOCKS: u64 = 128;
const LOGS: [Area; 2] = [Area::Grants, Area::Worm];

fn new_disk() -> (FaultyDisk, Header) {
    let header = Header::new(BLOCKS, [3; 16]).unwrap();
    let mut disk = FaultyDisk::new(BLOCKS);
    initialise(&mut disk, &header).unwrap();
    (disk, header)
}

fn open(disk: FaultyDisk) -> (Driver<FaultyDisk>, Result<Opened, OpenError>) {
    let mut driver = Driver::new(disk);
    let opened = driver.open(&mut [0; BLOCK]);
    (driver, opened)
}

fn mark(driver: &Driver<FaultyDisk>, area: Area) -> u64 {
    driver.info().unwrap().extent(area).mark
}

#[test]
fn a_request_never_reaches_a_block_outside_its_region() {
    let (disk, header) = new_disk();
    let mut driver = open(disk).0;
    for area in Area::ALL {
        let length = header.length(area);
        let outside = [
            (length, 1),
            (length - 1, 2),
            (u64::MAX, 1),
            (u64::MAX, 2),
            (0, length + 1),
        ];
        for (first, count) in outside {
            let refused = Refused::OutOfRange {
                area,
                first,
                count,
                length,
            };
            assert_eq!(driver.may_read(area, first, count), Err(refused));
            let written = driver.may_write(area, first, count).unwrap_err();
            match area {
                Area::Vault => assert_eq!(written, refused),
                // An append that does not begin at the mark is refused for that first.
                _ => assert!(matches!(
                    written,
                    Refused::NotAtMark { .. } | Refused::Full { .. }
                )),
            }
        }
        // And its last block is its own.
        assert_eq!(driver.may_read(area, length - 1, 1), Ok(()));
    }
    let unaligned = driver.read(Area::Vault, 0, &mut [0; 100]);
    let length = 100;
    assert_eq!(
        unaligned,
        Err(Refused::Device(DiskError::Unaligned { length }))
    );
}

#[test]
fn only_the_vault_s_region_is_rewritten() {
    let (disk, _) = new_disk();
    let mut driver = open(disk).0;
    for round in 1..4 {
        driver.write(Area::Vault, 5, &[round; BLOCK]).unwrap();
    }
    for area in LOGS {
        for block in 0..3 {
            driver
                .write(area, block, &[block as u8 + 1; BLOCK])
                .unwrap();
        }
        for (first, mark) in [(0, 3), (2, 3), (4, 3), (u64::MAX, 3)] {
            let refused = Refused::NotAtMark { area, first, mark };
            assert_eq!(driver.write(area, first, &[9; BLOCK]), Err(refused));
        }
        driver.flush().unwrap();
        let refused = Refused::NotAtMark {
            area,
            first: 1,
            mark: 3,
        };
        assert_eq!(driver.write(area, 1, &[9; BLOCK]), Err(refused));
        let void = driver.write(area, 3, &[0; BLOCK]);
        assert_eq!(void, Err(Refused::VoidBlock { area }));
    }
}

#[test]
fn a_full_region_refuses_appends_and_serves_reads() {
    let (disk, header) = new_disk();
    let mut driver = open(disk).0;
    let length = header.length(Area::Worm);
    for block in 0..length - 1 {
        driver.write(Area::Worm, block, &[1; BLOCK]).unwrap();
    }
    let (area, left) = (Area::Worm, 1);
    let full = driver.write(area, length - 1, &[1; 2 * BLOCK]);
    assert_eq!(
        full,
        Err(Refused::Full {
            area,
            count: 2,
            left
        })
    );
    driver.write(area, length - 1, &[1; BLOCK]).unwrap();
    let full = driver.write(area, length, &[1; BLOCK]);
    assert_eq!(
        full,
        Err(Refused::Full {
            area,
            count: 1,
            left: 0
        })
    );
    driver.flush().unwrap();
    let mut block = [0; BLOCK];
    driver.read(area, length - 1, &mut block).unwrap();
    assert_eq!(block, [1; BLOCK]);
}

#[test]
fn after_a_failed_flush_nothing_is_written_or_flushed_any_more() {
    for (fails, error) in [(1, DiskError::Write { first: 1 }), (2, DiskError::Flush)] {
        let (mut disk, _) = new_disk();
        disk.plan.fail = Some(disk.operations() + fails);
        let mut driver = open(disk).0;
        driver.write(Area::Grants, 0, &[1; BLOCK]).unwrap();
        let failed = driver.flush();
        // The marks go to one of two blocks, by turns.
        match (failed, error) {
            (Err(Refused::Device(DiskError::Write { .. })), DiskError::Write { .. }) => {}
            (failed, error) => assert_eq!(failed, Err(Refused::Device(error))),
        }
        assert_eq!(driver.flush(), Err(Refused::Stopped));
        assert_eq!(
            driver.write(Area::Grants, 1, &[1; BLOCK]),
            Err(Refused::Stopped)
        );
        assert_eq!(
            driver.write(Area::Vault, 1, &[1; BLOCK]),
            Err(Refused::Stopped)
        );
        assert_eq!(driver.read(Area::Grants, 0, &mut [0; BLOCK]), Ok(()));
    }
}

#[test]
fn after_a_failed_append_nothing_is_written_or_flushed_any_more() {
    for area in LOGS {
        let (mut disk, _) = new_disk();
        disk.plan.fail = Some(disk.operations());
        let mut driver = open(disk).0;
        let failed = driver.write(area, 0, &[1; BLOCK]);
        assert!(matches!(
            failed,
            Err(Refused::Device(DiskError::Write { .. }))
        ));
        for area in Area::ALL {
            assert_eq!(driver.write(area, 0, &[1; BLOCK]), Err(Refused::Stopped));
        }
        assert_eq!(driver.flush(), Err(Refused::Stopped));
    }
    // Content of the vault that was not written is lost, and nothing else.
    let (mut disk, _) = new_disk();
    disk.plan.fail = Some(disk.operations());
    let mut driver = open(disk).0;
    driver.write(Area::Vault, 0, &[1; BLOCK]).unwrap_err();
    assert_eq!(driver.write(Area::Worm, 0, &[1; BLOCK]), Ok(()));
    assert_eq!(driver.flush(), Ok(()));
}

#[test]
fn a_disk_that_cannot_be_served_says_why() {
    let (_, opened) = open(FaultyDisk::new(BLOCKS));
    assert_eq!(opened, Err(OpenError::Header(HeaderError::Magic)));
    let (mut disk, header) = new_disk();
    disk.bytes_mut()[40] ^= 1;
    let (driver, opened) = open(disk.clone());
    let opened = opened.unwrap();
    assert!(opened.header_from_copy && opened.header == header);
    assert_eq!(driver.info().unwrap().id, [3; 16]);
    let last = (BLOCKS as usize - 1) * BLOCK;
    disk.bytes_mut()[last + 40] ^= 1;
    let (driver, opened) = open(disk);
    assert_eq!(opened, Err(OpenError::Header(HeaderError::Hash)));
    assert_eq!(driver.info(), Err(Refused::NoDisk));
    // Cut off: its last block is gone.
    let (mut disk, _) = new_disk();
    let bytes = disk.bytes_mut()[..last].to_vec();
    let (_, opened) = open(FaultyDisk::from_bytes(bytes));
    let (header, disk) = (BLOCKS, BLOCKS - 1);
    let cut = OpenError::Header(HeaderError::Truncated { header, disk });
    assert_eq!(opened, Err(cut));
}

#[test]
fn a_damaged_mark_block_never_lets_an_acknowledged_block_be_written_over() {
    let (disk, header) = new_disk();
    let mut driver = open(disk.clone()).0;
    let mut saved = Vec::new();
    for round in 0..5 {
        driver
            .write(Area::Grants, 2 * round, &[1; 2 * BLOCK])
            .unwrap();
        driver.write(Area::Worm, round, &[2; BLOCK]).unwrap();
        driver.flush().unwrap();
        saved.push((round + 1, disk_of(driver)));
        driver = open(saved.last().unwrap().1.clone()).0;
    }
    for (rounds, disk) in saved {
        for block in [1, 2] {
            let mut disk = disk.clone();
            disk.bytes_mut()[block * BLOCK + 30] ^= 1;
            let (driver, opened) = open(disk);
            assert_eq!(opened.unwrap().mark_blocks, 1);
            assert_eq!(mark(&driver, Area::Grants), 2 * rounds);
            assert_eq!(mark(&driver, Area::Worm), rounds);
        }
        let mut disk = disk;
        disk.bytes_mut()[BLOCK..3 * BLOCK].fill(0);
        let (mut driver, opened) = open(disk);
        assert_eq!(opened.unwrap().mark_blocks, 0);
        assert_eq!(mark(&driver, Area::Worm), header.length(Area::Worm));
        let refused = driver.write(Area::Worm, rounds, &[3; BLOCK]);
        assert!(matches!(refused, Err(Refused::NotAtMark { .. })));
    }
}

#[test]
fn the_marks_hold_where_an_acknowledged_block_was_lost() {
    let (disk, header) = new_disk();
    let mut driver = open(disk).0;
    driver.write(Area::Grants, 0, &[1; 3 * BLOCK]).unwrap();
    driver.flush().unwrap();
    let mut disk = disk_of(driver);
    let start = header.start(Area::Grants) as usize;
    disk.bytes_mut()[(start + 1) * BLOCK..][..BLOCK].fill(0);
    let (mut driver, _) = open(disk);
    assert_eq!(mark(&driver, Area::Grants), 3);
    assert!(driver.write(Area::Grants, 1, &[2; BLOCK]).is_err());
}

#[test]
fn the_marks_go_behind_what_a_cut_left_beyond_a_gap() {
    let header = Header::new(1_000, [3; 16]).unwrap();
    for left in [1, 5, UNDER_WAY_MAX - 1] {
        let mut disk = FaultyDisk::new(1_000);
        initialise(&mut disk, &header).unwrap();
        let mut driver = open(disk).0;
        driver.write(Area::Worm, 0, &[1; BLOCK]).unwrap();
        driver.flush().unwrap();
        let mut disk = disk_of(driver);
        let place = header.start(Area::Worm) + 1 + left;
        disk.write(place, &[2; BLOCK]).unwrap();
        let mut driver = open(disk).0;
        assert_eq!(mark(&driver, Area::Worm), 2 + left);
        assert_eq!(mark(&driver, Area::Grants), 0);
        let into_the_gap = driver.write(Area::Worm, 1, &[3; BLOCK]);
        assert!(matches!(into_the_gap, Err(Refused::NotAtMark { .. })));
    }
}

#[test]
fn a_mark_never_goes_back_over_what_was_flushed() {
    let (disk, header) = new_disk();
    let mut driver = open(disk).0;
    let area = Area::Grants;
    driver.write(area, 0, &[1; 3 * BLOCK]).unwrap();
    driver.flush().unwrap();
    let flushed = |driver: &Driver<FaultyDisk>| driver.info().unwrap().extent(area).flushed;
    assert_eq!(flushed(&driver), 3);
    // The disk knows from the next flush on.
    driver.flush().unwrap();
    driver.write(area, 3, &[1; 2 * BLOCK]).unwrap();
    assert_eq!(flushed(&driver), 3);
    driver.flush().unwrap();
    let mut disk = disk_of(driver);
    let start = header.start(area) as usize * BLOCK;
    disk.bytes_mut()[start..][..5 * BLOCK].fill(0);
    let (mut driver, _) = open(disk);
    assert_eq!((mark(&driver, area), flushed(&driver)), (3, 3));
    let refused = driver.write(area, 0, &[2; BLOCK]);
    let (first, mark) = (0, 3);
    assert_eq!(refused, Err(Refused::NotAtMark { area, first, mark }));
}

/// A flush failed, the driver starts anew, and the blocks read as if they were there. A flush for another
/// region says nothing about them.
#[test]
fn what_a_failed_flush_lost_is_not_flushed_with_another_region() {
    let (mut disk, _) = new_disk();
    disk.plan.fail = Some(disk.operations() + 2);
    let mut driver = open(disk).0;
    driver.write(Area::Worm, 0, &[1; BLOCK]).unwrap();
    assert!(driver.flush().is_err());
    let (mut driver, _) = open(driver.disk_mut().clone());
    for block in 0..3 {
        driver.write(Area::Grants, block, &[1; BLOCK]).unwrap();
        driver.flush().unwrap();
    }
    let worm = |driver: &Driver<FaultyDisk>| driver.info().unwrap().extent(Area::Worm);
    assert_eq!(
        worm(&driver),
        Extent {
            mark: 1,
            flushed: 0
        }
    );
    let (mut driver, _) = open(driver.disk_mut().clone());
    assert_eq!(
        worm(&driver),
        Extent {
            mark: 1,
            flushed: 0
        }
    );
    // Who appends has made sure of what comes before.
    driver.write(Area::Worm, 1, &[1; BLOCK]).unwrap();
    driver.flush().unwrap();
    assert_eq!(
        worm(&driver),
        Extent {
            mark: 2,
            flushed: 2
        }
    );
}

#[test]
fn marks_are_written_when_they_changed_and_not_for_the_vault_s_flushes() {
    let (disk, _) = new_disk();
    let mut driver = open(disk).0;
    driver.write(Area::Worm, 0, &[1; BLOCK]).unwrap();
    let mut operations = Vec::new();
    for _ in 0..4 {
        let before = driver.disk_mut().operations();
        driver.flush().unwrap();
        operations.push(driver.disk_mut().operations() - before);
    }
    // The mark; that it was flushed; then nothing but the flush.
    assert_eq!(operations, [2, 2, 1, 1]);
}

/// What the driver's disk holds durably.
fn disk_of(mut driver: Driver<FaultyDisk>) -> FaultyDisk {
    driver.disk_mut().cut(|_| false)
}

/// The first sectors of a block hold something, and the others nothing.
fn begun(sectors: usize, value: u8) -> Block {
    let mut block = [0; BLOCK];
    block[..sectors * SECTOR].fill(value);
    block
}

#[test]
fn more_is_put_into_the_last_block_and_nothing_in_it_changes() {
    let (disk, header) = new_disk();
    let mut driver = open(disk).0;
    let (area, mark) = (Area::Grants, 1);
    driver.write(area, 0, &begun(2, 7)).unwrap();
    driver.flush().unwrap();
    let refused = |driver: &mut Driver<FaultyDisk>, first, data: &[u8]| {
        let refused = Refused::NotAtMark { area, first, mark };
        assert_eq!(driver.write(area, first, data), Err(refused));
    };
    // Less, something else, and what goes around the rule.
    let mut other = begun(3, 7);
    other[SECTOR] = 8;
    for data in [begun(1, 7), begun(2, 8), other] {
        refused(&mut driver, 0, &data);
    }
    // More, with the next block behind it. Only what is new is written.
    let mut more = begun(2, 7);
    more[2 * SECTOR..3 * SECTOR].fill(9);
    driver.write(area, 0, &[more, [1; BLOCK]].concat()).unwrap();
    assert_eq!(driver.disk_mut().unflushed_sectors(), 6 + 8);
    driver.flush().unwrap();
    let mut disk = disk_of(driver);
    let start = header.start(area) as usize * BLOCK;
    assert_eq!(disk.bytes_mut()[start..][..BLOCK], more);
    // A block that is full, or that another start wrote, is not added to.
    let mut driver = open(disk).0;
    assert_eq!(self::mark(&driver, area), 2);
    let refused = driver.write(area, 1, &[1; BLOCK]);
    let (first, mark) = (1, 2);
    assert_eq!(refused, Err(Refused::NotAtMark { area, first, mark }));
}

/// The disk says that a block is flushed; then more is put into it, and the driver starts anew without a
/// cut, whatever failed: what is read back is in doubt.
#[test]
fn a_block_that_more_was_put_into_is_in_doubt_again() {
    for fails in [None, Some(0), Some(1), Some(2)] {
        let (disk, _) = new_disk();
        let mut driver = open(disk).0;
        let area = Area::Worm;
        driver.write(area, 0, &begun(1, 7)).unwrap();
        driver.flush().unwrap();
        // Now the disk says so.
        driver.flush().unwrap();
        let operations = driver.disk_mut().operations();
        // The marks, the block, the flush.
        driver.disk_mut().plan.fail = fails.map(|at| operations + at);
        driver.disk_mut().plan.kept = 8;
        let done = driver.write(area, 0, &begun(2, 7));
        let done = done.and_then(|()| driver.flush());
        assert_eq!(done.is_err(), fails.is_some());
        let mut disk = driver.disk_mut().clone();
        disk.plan.fail = None;
        let (mut driver, _) = open(disk);
        let mut block = [0; BLOCK];
        driver.read(area, 0, &mut block).unwrap();
        let Extent { mark, flushed } = driver.info().unwrap().extent(area);
        let is_there = block == begun(2, 7);
        assert_eq!((mark, is_there), (1, fails != Some(0)));
        assert!(flushed == 0 || !is_there, "{fails:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append { log: usize, count: u64 },
    Rewrite { first: u64 },
    Flush,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2usize, 1..4u64).prop_map(|(log, count)| Step::Append { log, count }),
        1 => (0..8u64).prop_map(|first| Step::Rewrite { first }),
        3 => Just(Step::Flush),
        1 => Just(Step::Restart),
    ]
}

/// Blocks of each log: all, and how many of them are acknowledged as durable.
#[derive(Clone, Default, Debug)]
struct Model {
    logs: [Vec<u8>; 2],
    durable: [usize; 2],
}

/// Does the steps until the disk fails.
fn run(mut disk: FaultyDisk, steps: &[Step]) -> (FaultyDisk, Model) {
    let plan = disk.plan;
    let mut model = Model::default();
    let mut value = 0;
    let (mut driver, _) = open(disk);
    for step in steps {
        value = value % 250 + 1;
        let done = match step {
            Step::Append { log, count } => {
                let at = mark(&driver, LOGS[*log]);
                let data = vec![value; *count as usize * BLOCK];
                let done = driver.write(LOGS[*log], at, &data);
                if done.is_ok() {
                    assert_eq!(at, model.logs[*log].len() as u64);
                    model.logs[*log].extend(vec![value; *count as usize]);
                }
                done
            }
            Step::Rewrite { first } => driver.write(Area::Vault, *first, &[value; BLOCK]),
            Step::Flush => {
                let done = driver.flush();
                if done.is_ok() {
                    model.durable = [model.logs[0].len(), model.logs[1].len()];
                }
                done
            }
            Step::Restart => {
                disk = driver.disk_mut().clone();
                driver = open(disk).0;
                // What was read back stays: the blocks are there, so the mark is behind them.
                Ok(())
            }
        };
        if let Err(Refused::Full { .. }) = done {
            continue;
        }
        if done.is_err() {
            break;
        }
    }
    let mut disk = driver.disk_mut().clone();
    disk.plan = plan;
    (disk, model)
}

/// Opens what a cut left: every acknowledged block is there, below the mark, and stays.
fn check(disk: FaultyDisk, model: &Model) {
    let (mut driver, opened) = open(disk);
    opened.unwrap();
    for (log, area) in LOGS.into_iter().enumerate() {
        let durable = model.durable[log];
        let mark = mark(&driver, area);
        assert!(
            mark >= durable as u64,
            "{area:?}: mark {mark}, {durable} durable"
        );
        let mut block: Block = [0; BLOCK];
        for (number, value) in model.logs[log][..durable].iter().enumerate() {
            driver.read(area, number as u64, &mut block).unwrap();
            assert!(block == [*value; BLOCK], "{area:?}: block {number}");
            let refused = driver.write(area, number as u64, &[255; BLOCK]);
            assert!(
                refused.is_err(),
                "{area:?}: block {number} was written over"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn append_only_holds_after_a_cut_anywhere(
        steps in prop::collection::vec(step(), 1..14),
        seed in any::<u64>(),
    ) {
        let (disk, _) = new_disk();
        let before = disk.operations();
        let (whole, model) = run(disk.clone(), &steps);
        check(whole.clone(), &model);
        for operation in before..=whole.operations() {
            let mut disk = disk.clone();
            disk.plan.power_off = Some(operation);
            let (disk, model) = run(disk, &steps);
            check(disk.cut(|_| false), &model);
            check(disk.cut(|_| true), &model);
            for round in 0..4 {
                let random = |sector: usize| {
                    let mixed = (seed ^ operation << 32 ^ round << 20 ^ sector as u64)
                        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    mixed >> 63 == 0
                };
                check(disk.cut(random), &model);
            }
        }
    }
}
