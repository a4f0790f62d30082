//! What a power cut leaves holds: at every operation of every boot, whatever was kept of what was not
//! flushed, and cut again while the appliance recovers.

mod common;

use common::{act, after, fsck, lines, run, with_memories};
use portcullis_blk::testing::{FaultyDisk, Plan};

/// What is kept of the sectors that were not flushed.
fn keeps(seed: u64) -> impl FnMut(usize) -> bool {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |_| match seed {
        0 => false,
        1 => true,
        _ => {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 32 & 1 == 1
        }
    }
}

fn cut(disk: &FaultyDisk, seed: u64, when: &str) -> FaultyDisk {
    let mut disk = disk.cut(keeps(seed));
    let report = fsck(disk.bytes_mut());
    assert!(report.holds(), "{when}, {seed}: {:#?}", lines(&report));
    disk
}

/// A disk on which the power goes before an operation.
fn until(mut disk: FaultyDisk, operation: u64) -> FaultyDisk {
    disk = FaultyDisk::from_bytes(disk.bytes_mut().to_vec());
    disk.plan = Plan {
        power_off: Some(operation),
        ..Plan::default()
    };
    disk
}

fn cut_everywhere(boot: u8, seeds: u64) {
    with_memories(move |memories| {
        let disk = after(boot - 1);
        for operation in 0.. {
            let on = until(disk.clone(), operation);
            let (off, done) = run(on, boot, memories, |on| act(on, boot));
            if done.is_ok() {
                break;
            }
            for seed in 0..seeds {
                let left = cut(&off, seed, &format!("operation {operation}"));
                // Cut again, while the next boot recovers or soon after; then let one come through.
                let again = until(left, (operation * 7 + seed) % 12);
                let (off, _) = run(again, boot + 1, memories, |_| Ok(()));
                let when = format!("operation {operation}, and again");
                let left = cut(&off, seed + 1, &when);
                let through = until(left, u64::MAX);
                let (mut disk, done) = run(through, boot + 2, memories, |_| Ok(()));
                assert!(done.is_ok(), "{when}, {seed}: {done:?}");
                let report = fsck(disk.bytes_mut());
                assert!(report.holds(), "{when}, {seed}: {:#?}", lines(&report));
            }
        }
    });
}

#[test]
fn a_cut_in_the_first_boot_leaves_a_disk_that_holds() {
    cut_everywhere(1, 6);
}

#[test]
fn a_cut_in_a_later_boot_leaves_a_disk_that_holds() {
    cut_everywhere(2, 4);
    cut_everywhere(3, 6);
}
