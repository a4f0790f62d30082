//! Group commit beside `pwrite` and `fdatasync` of the same records, and where the time goes.
//!
//! Both sides go on in a sparse file of the same size on the same disk, group after group, each
//! durable before the next begins. The bare program lays a group's records out one after the other
//! and makes one `pwrite` and one `fdatasync` of them. The log packs them into blocks (15 a block),
//! hashes each into the Merkle tree, signs the tree head, and makes one request of the driver, which
//! makes one `pwrite` of the blocks, one of its marks, and one `fdatasync`.
//!
//! What a flush takes differs many times over with whatever else the machine does; on one whose
//! processors are all busy, either side waits for a tick of the scheduler (4 ms), and the ratio says
//! nothing. So the two alternate in many short rounds, of each round the middle group counts, and of
//! the rounds the third that took least: the bar is held against the middle one of their ratios.
//! Where the time goes is in `docs/decisions/0012-group-commit-waits-for-its-flush.md`.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use portcullis_blk::BLOCK;
use portcullis_log::block::{Footer, LogId, LogKind};

use super::{BLOCKS, Disk, Task, directory, record, time};
use crate::Line;

/// Records of a group.
const GROUPS: [u64; 3] = [16, 64, 256];
/// Groups of a round.
const IN_A_ROUND: u64 = 20;
/// Rounds.
const ROUNDS: usize = 30;
/// Those of them that count: the quietest.
const QUIET: usize = ROUNDS / 3;

/// What a group takes, in microseconds: the middle one of many.
struct Round {
    bare: f64,
    bare_write: f64,
    bare_flush: f64,
    ours: f64,
    add: f64,
    commit: f64,
    write: f64,
    flush: f64,
}

pub(crate) fn measure() -> Vec<Line> {
    let signature = signature();
    GROUPS
        .map(|records| measure_groups(records, signature))
        .into()
}

fn measure_groups(records: u64, signature: f64) -> Line {
    let mut rounds: Vec<Round> = (0..ROUNDS).map(|_| round(records)).collect();
    rounds.sort_by(|a, b| (a.bare + a.ours).total_cmp(&(b.bare + b.ours)));
    rounds.truncate(QUIET);
    let middle = |of: fn(&Round) -> f64| median(rounds.iter().map(of));
    let [add, commit, write, flush] = [
        middle(|round| round.add),
        middle(|round| round.commit),
        middle(|round| round.write),
        middle(|round| round.flush),
    ];
    eprintln!(
        "appends in groups of {records}, us: bare {:.0} (lay out and write {:.0}, flush {:.0}); ours \
         {:.0} (pack and hash {add:.0}, sign {signature:.0}, write {write:.0}, flush {flush:.0}, \
         calls and copies {:.0})",
        middle(|round| round.bare),
        middle(|round| round.bare_write),
        middle(|round| round.bare_flush),
        middle(|round| round.ours),
        commit - signature - write - flush,
    );
    let value = middle(|round| round.bare / round.ours);
    Line {
        name: match records {
            16 => "hosted appends, groups of 16, against pwrite + fdatasync",
            64 => "hosted appends, groups of 64, against pwrite + fdatasync",
            _ => "hosted appends, groups of 256, against pwrite + fdatasync",
        },
        value,
        unit: "ratio",
        bar: ">= 0.7",
        holds: value >= 0.7,
    }
}

fn round(records: u64) -> Round {
    let directory = directory();
    let bare = bare_appends(directory.path(), records);
    let ran = Disk::new(directory.path()).run(Task::Append, records, IN_A_ROUND);
    assert_eq!(ran.records, records * IN_A_ROUND);
    assert_eq!([ran.ledger.len(), ran.driver.len()], [bare.len(); 2]);
    let middle = |times: &[[u64; 2]], of: fn(&[u64; 2]) -> u64| {
        median(times.iter().map(|times| of(times) as f64 / 1e3))
    };
    Round {
        bare: middle(&bare, |[write, flush]| write + flush),
        bare_write: middle(&bare, |times| times[0]),
        bare_flush: middle(&bare, |times| times[1]),
        ours: middle(&ran.ledger, |[add, commit]| add + commit),
        add: middle(&ran.ledger, |times| times[0]),
        commit: middle(&ran.ledger, |times| times[1]),
        write: middle(&ran.driver, |times| times[0]),
        flush: middle(&ran.driver, |times| times[1]),
    }
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Nanoseconds that it takes to lay out and write each group of records, and to make it durable.
fn bare_appends(directory: &Path, records: u64) -> Vec<[u64; 2]> {
    let file = File::create(directory.join("bare")).expect("a file");
    file.set_len(BLOCKS * BLOCK as u64).expect("a sparse file");
    file.sync_all().expect("a disk");
    let mut buffer = Vec::new();
    let mut offset = 0;
    (0..IN_A_ROUND)
        .map(|_| {
            let (writing, ()) = time(|| {
                buffer.clear();
                (0..records).for_each(|number| buffer.extend_from_slice(&record(number)));
                file.write_all_at(&buffer, offset).expect("a disk");
            });
            let (flushing, flushed) = time(|| file.sync_data());
            flushed.expect("a disk");
            offset += buffer.len() as u64;
            [writing, flushing]
        })
        .collect()
}

/// Microseconds that the signature of a tree head takes.
fn signature() -> f64 {
    let (key, id) = (SigningKey::from_bytes(&[5; 32]), LogId([7; 16]));
    let sign = |size| Footer::sign(LogKind::Worm, id, size, &[1; 32], &key);
    median((0..200).map(|size| time(|| black_box(sign(size))).0 as f64 / 1e3))
}
