//! Randomness and time on the boards: what tells two boots apart, and when their records say they were.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::Case;
use portcullis_audit::state::State;
use portcullis_log::block::LogKind;
use portcullis_log::{BootId, Operation, Record};
use portcullis_qemu::{Board, Image, Machine, raw_disk, watch};

/// The guest's time is the instructions that it executed, and its real-time clock begins at [`BASE`].
const EQUAL_TIMING: [&str; 4] = [
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2026-12-01T12:00:00,clock=vm",
];
/// 2026-12-01 12:00:00 UTC, in nanoseconds since 1970-01-01.
const BASE: u64 = 1_796_126_400 * SECOND;
const SECOND: u64 = 1_000_000_000;
/// Longer than a boot takes, in the guest's time.
const BOOT: u64 = 120 * SECOND;
const NOT_RANDOM: &str =
    "Portcullis: the id of this boot is not random: no source of randomness answers";

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    boots_are_told_apart(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    boots_are_told_apart(Board::Riscv64);
}

/// A machine, from its image and its disk.
type Start = fn(&Image, Option<&str>) -> Command;

fn boots_are_told_apart(board: Board) {
    let case = Case::appliance(board, "clock");
    let disk = case.state().join("disk.img");
    let new = case.state().join("new.img");
    fs::copy(&disk, &new).unwrap();
    // Cold boots from one state, at one time, as far as the guest can tell.
    let boots = |start: Start| {
        [(); 2].map(|()| {
            fs::copy(&new, &disk).unwrap();
            let mut machine = Machine::start(
                &case.image,
                start(&case.image, Some(&raw_disk(&disk))),
                &EQUAL_TIMING,
            )
            .unwrap();
            let mut said = false;
            watch(&mut machine, |line| said |= line == NOT_RANDOM).unwrap();
            drop(machine);
            (boot(case.state()), said)
        })
    };
    let [(first, said_first), (second, said_second)] = boots(Machine::command);
    assert_ne!(first, second);
    assert!(!said_first && !said_second);
    // Without a source of randomness they have one id, and the console says so.
    let [(first, said_first), (second, said_second)] = boots(Machine::without_randomness);
    assert_eq!(first, second);
    assert!(said_first && said_second);
}

/// The id of the only boot in the log, all of whose records have the time of the real-time clock.
fn boot(state: &Path) -> BootId {
    let state = State::open(state).unwrap();
    let mut records: Vec<Record> = Vec::new();
    state.read(LogKind::Grants, &mut records, |_| ()).unwrap();
    for record in &records {
        let (utc, since) = (record.time.utc.unwrap(), record.time.monotonic);
        assert!((BASE..BASE + BOOT).contains(&utc), "{utc}");
        // The two clocks are read at one moment, and the PL031 counts whole seconds.
        assert!((utc - BASE).abs_diff(since) <= SECOND, "{utc}, {since}");
    }
    let boots: BTreeSet<_> = records.iter().map(|it| it.boot.0).collect();
    assert_eq!(records[0].operation, Operation::Boot);
    assert_eq!(boots.len(), 1);
    records[0].boot
}
