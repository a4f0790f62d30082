//! Every prefix of what was done to a disk, and crashes in between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::{fmt, mem};

use portcullis_blk::testing::SECTOR;

use crate::boots::Boot;
use crate::damage::{Damage, Outcome};
use crate::oracle::{Expected, Held, Oracle};
use crate::rebuilt::{Loss, Random, Rebuilt, crashed};
use crate::writes::Operation;

/// How much was tried.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) prefixes: usize,
    flushes: usize,
    crashes: BTreeMap<Loss, usize>,
    /// Crashes while the disk was recovered from another.
    again: usize,
    /// What came of damage.
    damage: BTreeMap<Damage, BTreeMap<Outcome, usize>>,
    pub(crate) moments: usize,
    /// Of these, before the log was durable.
    starting: usize,
}

/// A disk that a crash left.
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
    /// What recovery finds there.
    pub(crate) held: Held,
    pub(crate) what: String,
}

/// What is to be tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Disks that a crash leaves.
    pub(crate) crashes: usize,
    /// Disks that are damaged.
    pub(crate) damaged: usize,
    /// How many disks that a crash leaves are given back.
    pub(crate) samples: usize,
    pub(crate) seed: u64,
}

/// Rebuilds the disk at every point of these boots, recovers it, and holds what it finds against what
/// was acknowledged by then; samples of the disks, and the disk in the end. The first boot goes on from
/// `durable`; where it did not begin there, the disk held `before` when it did.
pub(crate) fn every_crash(
    oracle: &mut Oracle,
    durable: &[u8],
    before: Option<Held>,
    boots: &[Boot],
    plan: Plan,
) -> (Tally, Vec<Sample>, Vec<u8>) {
    let held = oracle.check(&mut Rebuilt::new(durable), None).unwrap();
    let mut expected = Expected::new(held);
    expected.before = before.unwrap_or(expected.before);
    let variety = variety(durable, boots);
    let large = variety.iter().filter(|disks| **disks == 1 << MANY).count();
    let mut crashes = Crashes {
        oracle,
        plan,
        random: Random(plan.seed),
        durable: durable.to_vec(),
        pending: Vec::new(),
        expected,
        share: plan.crashes.div_ceil(large.max(1)),
        damaged: plan.damaged.div_ceil(variety.len()),
        variety,
        tally: Tally::default(),
        samples: Vec::new(),
    };
    for (number, boot) in boots.iter().enumerate() {
        crashes.boot(number, boot);
        crashes.expected.before = crashes.prefix("at the end of a boot");
    }
    // What was not flushed in the end.
    crashes.crash("at the end");
    crashes.flush("at the end");
    (crashes.tally, crashes.samples, crashes.durable)
}

/// How many different disks a crash could leave before each flush, and at the end; a large number
/// where there are many.
fn variety(durable: &[u8], boots: &[Boot]) -> VecDeque<usize> {
    let mut disk = durable.to_vec();
    let mut changed = BTreeSet::new();
    let mut found = VecDeque::new();
    for operation in boots.iter().flat_map(|boot| &boot.operations) {
        match operation {
            Operation::Write { at, data } => {
                for (at, sector) in (*at..).step_by(SECTOR).zip(data.chunks(SECTOR)) {
                    if disk[at..][..SECTOR] != *sector {
                        changed.insert(at);
                        disk[at..][..SECTOR].copy_from_slice(sector);
                    }
                }
            }
            Operation::Flush => found.push_back(mem::take(&mut changed).len()),
        }
    }
    found.push_back(changed.len());
    found
        .into_iter()
        .map(|sectors| 1 << sectors.min(MANY))
        .collect()
}

/// Sectors of which so many different disks can be made that they need not be counted.
const MANY: usize = 12;

struct Crashes<'a> {
    oracle: &'a mut Oracle,
    plan: Plan,
    random: Random,
    /// The disk after the last flush.
    durable: Vec<u8>,
    /// Writes since then: place and data.
    pending: Vec<(usize, Vec<u8>)>,
    expected: Expected,
    /// How many different disks there may be at this flush, and at each after it.
    variety: VecDeque<usize>,
    /// How many are made at each, if there are as many.
    share: usize,
    /// How many are damaged at each.
    damaged: usize,
    tally: Tally,
    samples: Vec<Sample>,
}

impl Crashes<'_> {
    fn boot(&mut self, number: usize, boot: &Boot) {
        let place = |at: usize| format!("boot {number}, operation {at}");
        let mut flushes = 0;
        self.look(boot, flushes, &place(0));
        for (at, operation) in boot.operations.iter().enumerate() {
            match operation {
                Operation::Write { at: start, data } => {
                    self.pending.push((*start, data.clone()));
                    self.prefix(&place(at));
                }
                Operation::Flush => {
                    self.crash(&place(at));
                    self.flush(&place(at));
                    flushes += 1;
                    self.look(boot, flushes, &place(at));
                }
            }
        }
        let is_kept = boot.is_kept(&self.expected.acknowledged);
        is_kept.unwrap_or_else(|why| panic!("boot {number}: {why}"));
    }

    /// Everything that was written is there.
    fn prefix(&mut self, place: &str) -> Held {
        let mut disk = Rebuilt::new(&self.durable);
        for (at, data) in &self.pending {
            disk.put(*at, data);
        }
        self.tally.prefixes += 1;
        let held = self.oracle.check(&mut disk, Some(&self.expected));
        held.unwrap_or_else(|why| panic!("{place}: {why}"))
    }

    /// All that was written is durable, and what the disk holds is acknowledged.
    fn flush(&mut self, place: &str) {
        self.tally.flushes += 1;
        let held = self.prefix(place);
        let before = self.expected.clone();
        self.expected.acknowledge(held);
        self.damage(&before, place);
        for (at, data) in self.pending.drain(..) {
            self.durable[at..][..data.len()].copy_from_slice(&data);
        }
    }

    /// Damages what was written since the flush `before`, and what is durable since this one.
    fn damage(&mut self, before: &Expected, place: &str) {
        let writes = self.pending.iter();
        let writes: Vec<_> = writes.map(|(at, data)| (*at, &data[..])).collect();
        let number = if writes.is_empty() { 0 } else { self.damaged };
        let kinds = Damage::ALL.into_iter().cycle().skip(self.tally.flushes);
        for damage in kinds.take(number) {
            let disks = damage.apply(&self.durable, &writes, &mut self.random);
            let expected = if damage.is_of_durable() {
                &self.expected
            } else {
                before
            };
            let outcome = self
                .oracle
                .judge(disks, expected, &self.expected.acknowledged);
            let seed = self.plan.seed;
            let outcome =
                outcome.unwrap_or_else(|why| panic!("seed {seed}, {place}, {damage:?}: {why}"));
            if let Some(outcome) = outcome {
                let tally = self.tally.damage.entry(damage).or_default();
                *tally.entry(outcome).or_default() += 1;
            }
        }
    }

    /// Crashes before what was written is flushed.
    fn crash(&mut self, place: &str) {
        let variety = self.variety.pop_front().unwrap_or(1);
        let wanted = variety.min(self.share);
        let writes: Vec<_> = self
            .pending
            .iter()
            .map(|(at, data)| (*at, &data[..]))
            .collect();
        for (number, (loss, left)) in crashed(&self.durable, &writes, wanted, &mut self.random)
            .into_iter()
            .enumerate()
        {
            let what = format!("seed {}, {place}, crash {number}, {loss:?}", self.plan.seed);
            let mut disk = left.clone();
            let held = self.oracle.check(&mut disk, Some(&self.expected));
            let held = held.unwrap_or_else(|why| panic!("{what}: {why}"));
            let mut again = crashed_again(left.clone(), &disk.operations, &mut self.random);
            let recovered = self
                .oracle
                .recover(&mut again)
                .and_then(|it| it.holds(&self.expected));
            recovered.unwrap_or_else(|why| panic!("{what}, and again while it recovers: {why}"));
            *self.tally.crashes.entry(loss).or_default() += 1;
            self.tally.again += 1;
            if self.random.below(self.plan.crashes.max(1)) < self.plan.samples {
                let expected = self.expected.clone();
                self.samples.push(Sample {
                    bytes: left.bytes(),
                    expected,
                    held,
                    what,
                });
            }
        }
    }

    /// Holds what the slots held after so many flushes against the log.
    fn look(&mut self, boot: &Boot, flushes: usize, place: &str) {
        for moment in boot
            .moments
            .iter()
            .filter(|moment| moment.flushes == flushes)
        {
            assert!(moment.operations <= boot.operations.len());
            let Expected {
                acknowledged,
                before,
                ..
            } = &self.expected;
            let held = moment.holds(acknowledged, before, self.oracle.policies());
            let is_durable = held.unwrap_or_else(|why| panic!("{place}: {why}"));
            self.tally.moments += 1;
            self.tally.starting += usize::from(!is_durable);
        }
    }
}

/// The disk that a crash in the middle of recovery leaves.
fn crashed_again<'a>(
    mut disk: Rebuilt<'a>,
    operations: &[Operation],
    random: &mut Random,
) -> Rebuilt<'a> {
    let (done, _) = operations.split_at(random.below(operations.len() + 1));
    let flushed = done
        .iter()
        .rposition(|it| *it == Operation::Flush)
        .unwrap_or(0);
    let (flushed, pending) = done.split_at(flushed);
    for (at, data) in flushed.iter().filter_map(Operation::write) {
        disk.put(at, data);
    }
    let pending: Vec<_> = pending.iter().filter_map(Operation::write).collect();
    if !pending.is_empty() {
        let loss = Loss::ALL[random.below(Loss::ALL.len())];
        loss.apply(&mut disk, &pending, random);
    }
    disk
}

impl Tally {
    pub(crate) fn crashes(&self) -> usize {
        self.crashes.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            prefixes,
            flushes,
            crashes,
            again,
            damage,
            moments,
            starting,
        } = self;
        let all = self.crashes();
        let damaged: usize = damage.values().flat_map(BTreeMap::values).sum();
        write!(
            f,
            "{prefixes} prefixes, {flushes} of them at a flush; {all} crashes {crashes:?}, and {again} \
             more while the disk recovered; {damaged} damaged {damage:?}; {moments} looks at the slots, {starting} of them before \
             the log was durable"
        )
    }
}
