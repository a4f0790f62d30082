//! The appliance loses its power, and its disk fails, at any moment, on both boards.
//!
//! It runs on QEMU's `blklogwrites`, which keeps every write and flush of the guest in order, and is
//! killed at random moments and started again. The disk is then rebuilt at every point of that, and as
//! crashes between two flushes could leave it: writes dropped, reordered, torn. On each rebuilt disk
//! the recovery of the protection domains runs on this host, and all that was acknowledged must be
//! there: see [`oracle`]. What was acknowledged is what recovery finds once a flush has come to its
//! end, and what the console said. Some rebuilt disks are given back to the board. At last QEMU's
//! `blkdebug` makes single writes and flushes fail. Damage that no crash does is tried too, see
//! [`damage`], and that a flush too few would be found, see [`faults`].
//!
//! `CRASH_SEED` (a number) makes other crashes than the usual ones; `CRASH_DISKS` more or fewer rebuilt
//! disks than 2,000, of each of which a crash while it recovers makes another; `CRASH_DAMAGE` damaged disks;
//! `CRASH_BOOTS` boots that are killed, and as many from rebuilt disks; `CRASH_FAULTS` writes that fail,
//! and as many flushes. Every write and flush there is, and 10,000 disks, on each board:
//!
//! ```text
//! CRASH_FAULTS=1000 CRASH_DISKS=10000 CRASH_DAMAGE=4000 CRASH_BOOTS=10 \
//!     cargo test -p portcullis-qemu --test crash -- --ignored --nocapture
//! ```

#[path = "../common/mod.rs"]
mod common;

mod boots;
mod crashes;
mod damage;
mod faults;
mod moments;
mod oracle;
mod rebuilt;
mod writes;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum as _;
use portcullis_blk::api::Area;
use portcullis_blk::{BLOCK, Header};
use portcullis_qemu::{Board, capscan};

use boots::{Appliance, End, some_moment};
use crashes::{Plan, Sample, every_crash};
use oracle::{Expected, Oracle};
use rebuilt::{Random, Rebuilt};

/// Stack of the thread that a test runs in: a vault's working memory passes over it.
const STACK: usize = 64 << 20;
/// Lines that a boot says at least, from the first to the last document.
const LINES: usize = 40;

#[test]
#[ignore = "needs a Microkit SDK"]
fn aarch64() {
    with_stack(|| crashes_lose_nothing(Board::Aarch64));
}

#[test]
#[ignore = "needs a Microkit SDK"]
fn riscv64() {
    with_stack(|| crashes_lose_nothing(Board::Riscv64));
}

fn with_stack(test: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(test);
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

fn number(variable: &str, default: usize) -> usize {
    let text = env::var(variable).ok();
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number"))
    })
}

fn crashes_lose_nothing(board: Board) {
    let seed = number("CRASH_SEED", 1) as u64;
    let boots = number("CRASH_BOOTS", 3);
    let plan = Plan {
        crashes: number("CRASH_DISKS", 2_000),
        damaged: number("CRASH_DAMAGE", 400),
        samples: boots,
        seed,
    };
    let mut random = Random(seed);
    let appliance = Appliance::new(board, seed);
    let mut oracle = Oracle::new(appliance.state());

    // Killed again and again, the appliance goes on where it was.
    let ends = (0..boots).map(|_| some_moment(&mut random, LINES));
    let ends: Vec<_> = ends.chain([End::Rest]).collect();
    let recorded: Vec<_> = ends.iter().map(|end| appliance.record("", *end)).collect();
    let begun = Instant::now();
    let (tally, samples, disk) = every_crash(&mut oracle, &appliance.fresh, None, &recorded, plan);
    println!(
        "{}: {ends:?}: {tally}, in {:?}",
        board.name(),
        begun.elapsed()
    );
    assert!(
        fs::read(appliance.disk()).unwrap() == disk,
        "a write was not kept"
    );
    assert!(tally.crashes() >= plan.crashes, "{tally}");
    assert!(tally.moments > 0, "{tally}");
    verify(appliance.state());
    losses_are_seen(&mut oracle, &disk);

    for sample in samples {
        given_back(&appliance, &mut oracle, &sample);
    }
    faults::lost_flushes_are_seen(&appliance, &mut oracle, &mut random);
    faults::every_fault(&appliance, &mut oracle, &mut random);
    killed_from_outside(board);
}

/// The oracle is not blind: of each region it misses what was acknowledged, of the vault the first block
/// with objects' entries, of the logs the last blocks.
fn losses_are_seen(oracle: &mut Oracle, disk: &[u8]) {
    let held = oracle.check(&mut Rebuilt::new(disk), None).unwrap();
    let mut expected = Expected::new(held.clone());
    expected.acknowledge(held);
    let header = Header::decode(disk.first_chunk().unwrap()).unwrap();
    for area in Area::ALL {
        let range = header.start(area)..header.start(area) + header.length(area);
        let holds = |block: &u64| {
            let block = &disk[*block as usize * BLOCK..][..BLOCK];
            block.iter().any(|byte| *byte != 0)
        };
        let lost: Vec<_> = match area {
            Area::Vault => vec![range.start + 2],
            // The last commit may be there twice.
            Area::Grants | Area::Worm => range.rev().filter(holds).take(2).collect(),
        };
        let mut left = Rebuilt::new(disk);
        for block in lost {
            left.put(block as usize * BLOCK, &[0; BLOCK]);
        }
        let found = oracle.check(&mut left, Some(&expected));
        found.expect_err(area.name());
    }
}

/// `portcullis log verify` finds that both logs hold.
fn verify(state: &Path) {
    static BUILT: OnceLock<OsString> = OnceLock::new();
    let portcullis = BUILT.get_or_init(|| common::portcullis().get_program().to_owned());
    let mut verify = Command::new(portcullis);
    let verified = verify.args(["log", "verify"]).arg(state).output().unwrap();
    assert!(verified.status.success(), "{verified:#?}");
}

/// The board starts from a rebuilt disk, says what it finds, and goes on.
fn given_back(appliance: &Appliance, oracle: &mut Oracle, sample: &Sample) {
    let Sample {
        bytes,
        expected,
        held,
        what,
    } = sample;
    let (mut machine, said) = appliance.boot(bytes);
    for (log, records) in [("grant log", &held.grants), ("ledger", &held.worm)] {
        let found = format!("ledger: {log}: {} records in ", records.len());
        assert!(
            said.iter().any(|line| line.starts_with(&found)),
            "{what}: {found}: {said:#?}"
        );
    }
    let compared = capscan::check(&mut machine, appliance.state()).unwrap();
    assert!(compared.is_equal(), "{what}: {compared}");
    drop(machine);
    verify(appliance.state());
    let disk = fs::read(appliance.disk()).unwrap();
    let expected = Expected {
        before: held.clone(),
        ..expected.clone()
    };
    let after = oracle.check(&mut Rebuilt::new(&disk), Some(&expected));
    let after = after.unwrap_or_else(|why| panic!("{what}: {why}"));
    assert!(after.is_sealed_since(held), "{what}");
    let paths: BTreeSet<_> = after.documents().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), appliance.documents(), "{what}");
}

/// Who runs the appliance is killed: QEMU goes too, and the next run goes on.
fn killed_from_outside(board: Board) {
    let state = tempfile::tempdir().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_portcullis-qemu"));
    let board = board.to_possible_value().unwrap();
    run.args(["run", board.get_name(), "--once", "--state"])
        .arg(state.path());
    run.arg("--documents").arg(common::samples());
    common::portcullis();
    let mut killed = run.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("ingest: ")));
    assert!(runs(state.path()), "QEMU names the disk");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while runs(state.path()) {
        assert!(Instant::now() < deadline, "QEMU outlives who started it");
        thread::sleep(Duration::from_millis(10));
    }
    let next = run.output().unwrap();
    assert!(next.status.success(), "{next:#?}");
    verify(state.path());
}

/// Whether a QEMU runs with the disk of this state directory.
fn runs(state: &Path) -> bool {
    let disk = state.join("disk.img").display().to_string();
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    processes.any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&disk)
    })
}
