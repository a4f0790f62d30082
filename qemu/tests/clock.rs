//! Randomness and time on the boards: what tells two boots apart, when their records say they were, and
//! when leases end.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Case, samples};
use portcullis_audit::state::State;
use portcullis_log::block::LogKind;
use portcullis_log::{BootId, Cause, Operation, Outcome, Record};
use portcullis_qemu::capscan::{at_rest, compare};
use portcullis_qemu::{Board, Image, Machine, System, raw_disk, root, watch};

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
/// The most that a lease may be late by, in microseconds.
const BOUND: u64 = 1_000;
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

#[test]
#[ignore = "needs a Microkit SDK"]
fn leases_end_on_aarch64() {
    leases_end(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn leases_end_on_riscv64() {
    leases_end(Board::Riscv64);
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

/// While leases run, a component spins above all but clock and manager, and on aarch64 stops the timer that every
/// protection domain can reach (`components/probe/src/holder.rs`).
fn leases_end(board: Board) {
    let sources = tempfile::tempdir().unwrap();
    let with = |name: &str| {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let added = read(&format!("components/probe/leases/{name}"));
        let text = match name {
            "system.xml" => read(name).replace("</system>", &(added + "</system>")),
            _ => read("policy/appliance.toml") + &added,
        };
        let path = sources.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let system = System {
        name: "leases".to_owned(),
        packages: vec!["portcullis-pds".to_owned(), "portcullis-leases".to_owned()],
        description: with("system.xml"),
    };
    let case = Case::new(board, &system, &with("policy.toml"), &samples());
    let disk = raw_disk(&case.state().join("disk.img"));
    let command = Machine::command(&case.image, Some(&disk));
    let mut machine = Machine::start(&case.image, command, &EQUAL_TIMING).unwrap();
    let mut said = Vec::new();
    let through = watch(&mut machine, |line| {
        said.extend(line.strip_prefix("holder: ").map(str::to_owned));
    });
    assert_eq!(through.unwrap().failure(0), None);
    assert_eq!(said.pop().as_deref(), Some("held 8 leases, holds 0"));
    let line = said.pop().unwrap();
    let late = line.strip_prefix("late, in microseconds: ").unwrap();
    let late: Vec<u64> = late.split(' ').map(|it| it.parse().unwrap()).collect();
    println!("{board:?}: leases ended beside one that spins, late by {late:?} us");
    assert_eq!(late.len(), 8);
    assert!(late.iter().all(|late| *late < BOUND), "{late:?}");

    let memory = at_rest(&mut machine).unwrap();
    drop(machine);
    let compared = compare(&case.image, &memory, case.state()).unwrap();
    assert_eq!(compared.differences, [""; 0]);
    let mut records: Vec<Record> = Vec::new();
    let state = State::open(case.state()).unwrap();
    state.read(LogKind::Grants, &mut records, |_| ()).unwrap();
    let expired = records
        .iter()
        .filter(|it| it.operation == Operation::Expire);
    let expired = expired.map(|it| {
        assert!(it.outcome == Outcome::Done && matches!(it.cause, Cause::Policy { .. }));
        it.grant.unwrap().lease_ms.unwrap()
    });
    assert_eq!(
        expired.collect::<Vec<_>>(),
        [600, 607, 613, 618, 626, 631, 639, 644]
    );
}
