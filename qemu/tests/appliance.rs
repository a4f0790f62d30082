//! The reference appliance on the boards, as a person runs it.

mod common;

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output};

use clap::ValueEnum as _;
use portcullis_audit::state::State;
use portcullis_blk::api::Area;
use portcullis_blk::{BLOCK, Header};
use portcullis_fsck::Verdict;
use portcullis_log::block::LogKind;
use portcullis_log::{BootId, Cause, Record, Time};
use portcullis_qemu::{Board, Machine, raw_disk, root, watch};

use common::{Case, portcullis, samples};

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    from_the_first_boot_to_a_damaged_disk(Board::Aarch64);
    without_a_disk(Board::Aarch64);
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    from_the_first_boot_to_a_damaged_disk(Board::Riscv64);
    without_a_disk(Board::Riscv64);
}

fn from_the_first_boot_to_a_damaged_disk(board: Board) {
    let scratch = tempfile::tempdir().unwrap();
    let [state, hosted, documents] =
        ["board", "hosted", "documents"].map(|it| scratch.path().join(it));

    let first = run_once(board, &samples(), &state);
    shows(
        &first,
        "ingest: 8 documents: 8 stored, 0 unchanged, 0 refused",
    );
    shows(&first, "edge: 3 objects listed, 0 damaged, 0 lost");
    shows(&first, "publish: 3 objects published, 863 B");
    shows(
        &first,
        "capscan     16 grants in the slots, 16 in the log: equal",
    );
    assert_eq!(first.status.code(), Some(0));

    // The hosted kernel writes the same records, byte for byte, times, boot id and image aside.
    let mut run = portcullis();
    run.current_dir(root())
        .args(["run", "--once", "--state"])
        .arg(&hosted);
    assert!(run.output().unwrap().status.success());
    let log = records(&state, LogKind::Grants);
    assert_eq!(log.len(), 18, "the policy, 16 grants, and that this is all");
    assert_eq!(log, records(&hosted, LogKind::Grants));
    let ledger = records(&state, LogKind::Worm);
    assert_eq!(ledger.len(), 8);

    // A second boot goes on from the first: it stores nothing twice, and adds to the log.
    let second = run_once(board, &samples(), &state);
    shows(
        &second,
        "ingest: 8 documents: 0 stored, 8 unchanged, 0 refused",
    );
    shows(&second, "edge: 3 objects listed, 0 damaged, 0 lost");
    shows(
        &second,
        "capscan     16 grants in the slots, 16 in the log: equal",
    );
    // And is held against where the first one ended.
    shows(&second, "1 checkpoint ");
    assert_eq!(second.status.code(), Some(0));
    assert_eq!(
        records(&state, LogKind::Grants),
        [log.clone(), log].concat()
    );
    assert_eq!(records(&state, LogKind::Worm), ledger);

    // With a damaged ledger a new document does not come through.
    fs::create_dir(&documents).unwrap();
    fs::write(documents.join("new"), "new").unwrap();
    change_first_block(&state, Area::Worm);
    let third = run_once(board, &documents, &state);
    shows(&third, "ledger: ledger: DAMAGED after 0 records");
    says(
        &third,
        "error: not every document was taken in: ingest: 1 document: 0 stored, 0 unchanged, 1 refused",
    );
    says(&third, "error: the log on the disk does not hold");
    assert_eq!(third.status.code(), Some(1));

    // With a damaged grant log nobody can say what the slots should hold.
    change_first_block(&state, Area::Grants);
    let fourth = run_once(board, &samples(), &state);
    says(&fourth, "error: capscan: the log does not hold");
    assert_eq!(fourth.status.code(), Some(1));

    // What is no disk of ours is not booted from.
    File::create(state.join("disk.img"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let fifth = run_once(board, &samples(), &state);
    says(&fifth, "it has no header of a Portcullis disk");
    assert_eq!(fifth.status.code(), Some(3));
}

/// A board that has no disk, or one that nobody prepared, takes nothing in and says so.
fn without_a_disk(board: Board) {
    let case = Case::appliance(board, "without-disk");
    let blank = case.state().join("blank");
    File::create(&blank).unwrap().set_len(1 << 30).unwrap();
    for disk in [None, Some(raw_disk(&blank))] {
        let mut machine = Machine::boot(&case.image, disk.as_deref(), &[]).unwrap();
        let mut served = true;
        let through = watch(&mut machine, |line| {
            served &= !line.starts_with("blk: no disk is served: ");
        });
        // No record is durable, so that no grant is in force but those of the log itself.
        let why = "ingest did not come to its end; the last line was: \
                   ledger: grant log: the log is not open; no record is taken any more";
        assert_eq!(through.unwrap().failure(0).unwrap(), why);
        assert!(!served);
    }
}

fn run_once(board: Board, documents: &Path, state: &Path) -> Output {
    // It runs this one to verify the log.
    portcullis();
    let mut run = Command::new(env!("CARGO_BIN_EXE_portcullis-qemu"));
    let board = board.to_possible_value().unwrap();
    run.args(["run", board.get_name(), "--once"]);
    run.arg("--documents")
        .arg(documents)
        .arg("--state")
        .arg(state);
    run.output().unwrap()
}

fn shows(run: &Output, expected: &str) {
    assert!(
        text(&run.stdout).contains(expected),
        "{expected:?} is not in {run:#?}"
    );
}

fn says(run: &Output, expected: &str) {
    assert!(
        text(&run.stderr).contains(expected),
        "{expected:?} is not in {run:#?}"
    );
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The records of a log on the disk of a state directory, as bytes. Those of the grant log have their
/// times, boot ids and images set to zero.
fn records(state: &Path, kind: LogKind) -> Vec<Vec<u8>> {
    let state = State::open(state).unwrap();
    let mut records: Vec<Vec<u8>> = Vec::new();
    let (_, findings) = state.read(kind, &mut records, |_| ()).unwrap();
    assert_eq!(findings.verdict(), Verdict::Holds);
    match kind {
        LogKind::Grants => records.iter().map(|bytes| anonymous(bytes)).collect(),
        LogKind::Worm => records,
    }
}

/// A record without what differs from boot to boot, and from machine to machine.
fn anonymous(bytes: &[u8]) -> Vec<u8> {
    let mut record = Record {
        boot: BootId::default(),
        time: Time::default(),
        ..Record::decode(bytes).unwrap()
    };
    if let Cause::Load { image, .. } = &mut record.cause {
        *image = [0; 32];
    }
    record.encode().record().to_owned()
}

/// Changes a byte of the first block of a region of the disk.
fn change_first_block(state: &Path, area: Area) {
    let disk = OpenOptions::new()
        .read(true)
        .write(true)
        .open(state.join("disk.img"));
    let disk = disk.unwrap();
    let mut block = [0; BLOCK];
    disk.read_exact_at(&mut block, 0).unwrap();
    let start = Header::decode(&block).unwrap().start(area) * BLOCK as u64;
    disk.read_exact_at(&mut block, start).unwrap();
    block[100] ^= 1;
    disk.write_all_at(&block, start).unwrap();
}
