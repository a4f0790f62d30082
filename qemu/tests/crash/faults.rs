//! Writes and flushes that fail, and flushes that are left out.
//!
//! QEMU's `blkdebug` makes one write or flush of a boot fail. From then on the appliance keeps nothing
//! more, and what it acknowledged by then is held against what was flushed. That a flush too few would be
//! found is tried the other way round: flushes are left out of what a sound boot did.

use std::fs;
use std::time::Instant;

use portcullis_blk::api::Area;
use portcullis_blk::testing::SECTOR;
use portcullis_blk::{BLOCK, Header};

use crate::boots::{Appliance, Boot, End};
use crate::crashes::{Plan, every_crash};
use crate::oracle::{Expected, Held, Oracle};
use crate::rebuilt::{Random, Rebuilt, crashed};
use crate::writes::Operation;
use crate::{number, verify};

/// What `blkdebug` calls a write, and a flush.
const WRITE: &str = "write_aio";
const FLUSH: &str = "flush_to_disk";
/// Disks that crashes leave, at most, for each flush that is left out.
const CRASHES: usize = 20;

/// A write or a flush fails once, or a place of the disk takes nothing.
pub(crate) fn every_fault(appliance: &Appliance, oracle: &mut Oracle, random: &mut Random) {
    let begun = Instant::now();
    fs::write(appliance.disk(), &appliance.fresh).unwrap();
    let sound = appliance.record("", End::Rest).operations;
    let is_write = |operation: &&Operation| operation.write().is_some();
    let (writes, flushes): (Vec<_>, Vec<_>) = sound.iter().partition(is_write);
    for (event, operations) in [(WRITE, &writes), (FLUSH, &flushes)] {
        let mut numbers: Vec<_> = (0..operations.len()).collect();
        random.shuffle(&mut numbers);
        numbers.truncate(number("CRASH_FAULTS", 2));
        for number in &numbers {
            let faults = failing(event, *number);
            let what = format!("{event} {number}");
            fault(appliance, oracle, &faults, operations[*number], &what);
        }
        println!(
            "{event}: {} of {} failed, by {:?}",
            numbers.len(),
            operations.len(),
            begun.elapsed()
        );
    }
    let failed = writes[random.below(writes.len())];
    if let Some((at, _)) = failed.write() {
        let what = format!("sector {}", at / SECTOR);
        fault(appliance, oracle, &failing_at(at / SECTOR), failed, &what);
    }
}

/// An operation fails.
fn fault(appliance: &Appliance, oracle: &mut Oracle, faults: &str, failed: &Operation, what: &str) {
    fs::write(appliance.disk(), &appliance.fresh).unwrap();
    let mut boot = appliance.record(faults, End::Rest);
    is_said(appliance, &boot, failed, what);
    // What was acknowledged stays, whatever becomes of the rest.
    let (durable, pending) = flushed(&appliance.fresh, &boot.operations);
    let before = held(oracle, &appliance.fresh);
    boot.operations = pending;
    let nothing = Expected::new(before.clone());
    let kept = oracle.check(&mut Rebuilt::new(&durable), Some(&nothing));
    let kept = kept.unwrap_or_else(|why| panic!("{what}: {why}: {:#?}", boot.said));
    for moment in &boot.moments {
        let is_logged = moment.holds(&kept, &before, oracle.policies());
        is_logged.unwrap_or_else(|why| panic!("{what}: {why}: {:#?}", boot.said));
    }
    let plan = Plan {
        crashes: 50,
        damaged: 0,
        samples: 0,
        seed: 1,
    };
    every_crash(oracle, &durable, Some(before), &[boot], plan);
    // On a sound disk it goes on.
    appliance.boot(&fs::read(appliance.disk()).unwrap());
    verify(appliance.state());
}

/// The failure is said, and what comes to an end because of it.
fn is_said(appliance: &Appliance, boot: &Boot, failed: &Operation, what: &str) {
    let said = boot.said.join("\n");
    let (_, after) = said
        .split_once("the device failed: ")
        .unwrap_or_else(|| panic!("{what} is not said: {said}"));
    let header = Header::decode(appliance.fresh.first_chunk().unwrap()).unwrap();
    let area = Area::ALL.into_iter().find(|area| {
        let blocks = header.start(*area)..header.start(*area) + header.length(*area);
        let block = failed.write().map(|(at, _)| (at / BLOCK) as u64);
        block.is_some_and(|block| blocks.contains(&block))
    });
    // Content that the vault cannot write costs one object; with everything else all comes to an end.
    let goes_on = after.contains("ledger entry");
    assert!(!goes_on || area == Some(Area::Vault), "{what}: {said}");
    // The manager issues no grant any more, and who has none cannot even ask.
    let is_closed = after.contains("no record is taken any more");
    assert!(is_closed || area != Some(Area::Grants), "{what}: {said}");
    assert!(is_closed || after.contains("refused: "), "{what}: {said}");
}

/// A flush too few is found out: most flushes of a boot, each left out alone, and all of them left out by
/// the device. Some may be left out: they only save a start some work.
pub(crate) fn lost_flushes_are_seen(
    appliance: &Appliance,
    oracle: &mut Oracle,
    random: &mut Random,
) {
    fs::write(appliance.disk(), &appliance.fresh).unwrap();
    let sound = appliance.record("", End::Rest).operations;
    let flushes = (0..sound.len()).filter(|at| sound[*at] == Operation::Flush);
    let flushes: Vec<_> = flushes.chain([sound.len()]).collect();
    let missed = flushes.windows(2).filter(|it| {
        let [left_out, next] = [it[0], it[1]];
        is_missed(appliance, oracle, random, &sound[..next], left_out)
    });
    let (missed, all) = (missed.count(), flushes.len() - 1);
    println!("{missed} of {all} flushes are missed when they are left out");
    assert!(missed * 2 > all);

    fs::write(appliance.disk(), &appliance.fresh).unwrap();
    let boot = appliance.record("file.image.cache.no-flush=on,", End::Rest);
    assert!(!boot.operations.contains(&Operation::Flush));
    let nothing = held(oracle, &appliance.fresh);
    let lost = boot.is_kept(&nothing);
    lost.expect_err("it acknowledged documents, and nothing was flushed");
    let issued = boot.moments[0].holds(&nothing, &nothing, oracle.policies());
    issued.expect_err("it issued grants, and nothing was flushed");
}

/// Whether a crash after these operations leaves what no crash should, when one flush among them was left
/// out: the last.
fn is_missed(
    appliance: &Appliance,
    oracle: &mut Oracle,
    random: &mut Random,
    operations: &[Operation],
    left_out: usize,
) -> bool {
    let (durable, mut pending) = flushed(&appliance.fresh, &operations[..left_out]);
    pending.extend_from_slice(&operations[left_out + 1..]);
    let mut expected = Expected::new(held(oracle, &appliance.fresh));
    expected.acknowledge(held(oracle, &durable));
    let writes: Vec<_> = pending.iter().filter_map(Operation::write).collect();
    let mut left = crashed(&durable, &writes, CRASHES, random).into_iter();
    left.any(|(_, mut disk)| oracle.check(&mut disk, Some(&expected)).is_err())
}

/// The disk after the last flush of a boot that began on `disk`, and what was done after that.
fn flushed(disk: &[u8], operations: &[Operation]) -> (Vec<u8>, Vec<Operation>) {
    let last = operations.iter().rposition(|it| *it == Operation::Flush);
    let (done, pending) = operations.split_at(last.map_or(0, |at| at + 1));
    let mut durable = Rebuilt::new(disk);
    for (at, data) in done.iter().filter_map(Operation::write) {
        durable.put(at, data);
    }
    (durable.bytes(), pending.to_vec())
}

/// What a sound disk holds.
fn held(oracle: &mut Oracle, disk: &[u8]) -> Held {
    oracle.check(&mut Rebuilt::new(disk), None).unwrap()
}

/// Options of `blkdebug`: it counts events, and has the request fail that comes with one.
fn failing(event: &str, number: usize) -> String {
    let count = (1..=number).map(|state| {
        let rule = format!("file.set-state.{}", state - 1);
        let next = state + 1;
        format!("{rule}.event={event},{rule}.state={state},{rule}.new_state={next},")
    });
    let (rule, state) = ("file.inject-error.0", number + 1);
    // Not a read that is under way at the same time.
    let kind = if event == FLUSH { "flush" } else { "write" };
    let fail = format!(
        "{rule}.event={event},{rule}.state={state},{rule}.iotype={kind},{rule}.errno=5,\
         {rule}.once=on,"
    );
    count.chain([fail]).collect()
}

/// Options of `blkdebug`: every write to a sector fails.
fn failing_at(sector: usize) -> String {
    let rule = "file.inject-error.0";
    format!("{rule}.event={WRITE},{rule}.iotype=write,{rule}.sector={sector},{rule}.errno=5,")
}
