//! Damage that no crash does: bits that flip, and writes that go elsewhere.
//!
//! A device that does this may lose what it acknowledged, and the appliance cannot prevent it. But
//! nothing may be served that was not written; what is lost must be found by `portcullis fsck`, and by
//! `portcullis log verify` where it was in a log; and what is damaged must be found, or lie where nobody
//! reads. Both are told the checkpoints so far: on the disk alone a last write that went elsewhere looks
//! as if it was never asked for. So it is with an object that the ledger does not name yet, which
//! therefore may be lost.

use std::ops::Range;

use portcullis_blk::api::Area;
use portcullis_blk::testing::SECTOR;
use portcullis_blk::{BLOCK, Header};
use portcullis_fsck::{Region, Report};
use portcullis_log::block::LogKind;

use crate::oracle::{Expected, Held, Oracle};
use crate::rebuilt::{Loss, Random, Rebuilt};

/// What is done to a disk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Damage {
    /// A bit of a write that was not flushed is another one, and a crash follows.
    FlippedLately,
    /// A write that was not flushed went elsewhere, and a crash follows.
    MisdirectedLately,
    /// A bit of what is durable is another one.
    Flipped,
    /// A write that was flushed went elsewhere.
    Misdirected,
}

/// What comes of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Outcome {
    /// Something acknowledged is lost, and that is found.
    Lost,
    /// The disk is found not to hold, and all that was acknowledged is served.
    Found,
    /// Something is found that a crash could leave too.
    Noted,
    /// Nobody reads it.
    Unread,
}

/// A disk with the damage, and without.
pub(crate) struct Damaged<'a> {
    sound: Rebuilt<'a>,
    damaged: Rebuilt<'a>,
    /// The bytes that are hit. Where a write went elsewhere, its own place only holds what it held.
    hit: Range<usize>,
}

impl Damage {
    pub(crate) const ALL: [Self; 4] = [
        Self::FlippedLately,
        Self::MisdirectedLately,
        Self::Flipped,
        Self::Misdirected,
    ];

    /// Whether what it hits was acknowledged.
    pub(crate) fn is_of_durable(self) -> bool {
        matches!(self, Self::Flipped | Self::Misdirected)
    }

    /// Does it to a disk with these `writes` since it was `durable`.
    pub(crate) fn apply<'a>(
        self,
        durable: &'a [u8],
        writes: &[(usize, &[u8])],
        random: &mut Random,
    ) -> Damaged<'a> {
        let (at, data) = writes[random.below(writes.len())];
        let others = writes.iter().filter(|(other, _)| *other != at).copied();
        let others: Vec<_> = others.collect();
        let put = |writes: &[(usize, &[u8])]| {
            let mut disk = Rebuilt::new(durable);
            writes.iter().for_each(|(at, data)| disk.put(*at, data));
            disk
        };
        let mut crash = |writes: &[(usize, &[u8])]| {
            let mut disk = Rebuilt::new(durable);
            let loss = Loss::ALL[random.below(Loss::ALL.len())];
            if !writes.is_empty() {
                loss.apply(&mut disk, writes, random);
            }
            disk
        };
        let (sound, mut damaged) = match self {
            Self::FlippedLately => twice(crash(writes)),
            Self::MisdirectedLately => twice(crash(&others)),
            Self::Flipped => twice(put(writes)),
            Self::Misdirected => (put(writes), put(&others)),
        };
        let is_misdirected = matches!(self, Self::MisdirectedLately | Self::Misdirected);
        let hit = if is_misdirected {
            let start = loop {
                let start = place(durable, data.len(), random);
                if start != at {
                    break start;
                }
            };
            damaged.put(start, data);
            start..start + data.len()
        } else {
            let is_anywhere = self == Self::Flipped && random.below(2) == 0;
            let byte = if is_anywhere {
                place(durable, SECTOR, random) + random.below(SECTOR)
            } else {
                at + random.below(data.len())
            };
            damaged.flip(byte, 1 << random.below(8));
            byte..byte + 1
        };
        Damaged {
            sound,
            damaged,
            hit,
        }
    }
}

fn twice(disk: Rebuilt<'_>) -> (Rebuilt<'_>, Rebuilt<'_>) {
    (disk.clone(), disk)
}

/// A sector of a disk from which on there is room for so many bytes: any, or one that holds something.
fn place(disk: &[u8], length: usize, random: &mut Random) -> usize {
    let room = (disk.len() - length) / SECTOR + 1;
    let wants_used = random.below(2) == 0;
    loop {
        let at = random.below(room) * SECTOR;
        if !wants_used || disk[at..][..SECTOR].iter().any(|byte| *byte != 0) {
            return at;
        }
    }
}

impl Oracle {
    /// Starts on a damaged disk, and looks for what is missing: at least what is `expected` was
    /// acknowledged, and no more than `written` was written. `None`: it is as it would be without the
    /// damage.
    pub(crate) fn judge(
        &mut self,
        disks: Damaged<'_>,
        expected: &Expected,
        written: &Held,
    ) -> Result<Option<Outcome>, String> {
        let Damaged {
            sound,
            damaged,
            hit,
        } = disks;
        let changed = damaged.differing(&sound);
        if changed.is_empty() {
            return Ok(None);
        }
        let report = self.fsck(&damaged, Some(expected));
        let served = self.serve(&mut damaged.clone())?.held;
        served.was_written(written)?;
        let promised = Expected {
            acknowledged: expected.acknowledged.promised(),
            ..expected.clone()
        };
        if let Err(why) = served.holds(&promised) {
            if report.holds() {
                return Err(format!("{why}, and fsck finds nothing"));
            }
            self.finds_the_log(&damaged, &served, expected)?;
            return Ok(Some(Outcome::Lost));
        }
        if !report.holds() {
            return Ok(Some(Outcome::Found));
        }
        let before = self.fsck(&sound, Some(expected));
        if report.findings != before.findings {
            return Ok(Some(Outcome::Noted));
        }
        let mut sound = sound;
        let without = self.serve(&mut sound)?.held;
        if without != served {
            return Err("it changes what is served, and fsck finds nothing".to_owned());
        }
        let hit = (hit.start / BLOCK) as u64..hit.end.div_ceil(BLOCK) as u64;
        let seen = |block: &&u64| {
            let is_used = sound.was_read(**block) && !is_void(&sound, **block, &before);
            hit.contains(block) && is_used
        };
        match changed.iter().find(seen) {
            Some(block) => Err(format!("block {block} is damaged, and fsck finds nothing")),
            None => Ok(Some(Outcome::Unread)),
        }
    }

    /// What is missing from a log, `log verify` finds too.
    fn finds_the_log(
        &self,
        disk: &Rebuilt<'_>,
        served: &Held,
        expected: &Expected,
    ) -> Result<(), String> {
        let acknowledged = &expected.acknowledged;
        for (kind, found, wanted) in [
            (LogKind::Grants, &served.grants, &acknowledged.grants),
            (LogKind::Worm, &served.worm, &acknowledged.worm),
        ] {
            let audited = self.audit(&mut disk.clone(), kind, Some(expected));
            if !found.starts_with(wanted) && audited.is_ok() {
                let (found, wanted) = (found.len(), wanted.len());
                let name = kind.name();
                return Err(format!("{name}: {found} of {wanted}, and it verifies"));
            }
        }
        Ok(())
    }
}

/// Whether a block is one of a log, and fsck says that something in that log is of no commit.
fn is_void(disk: &Rebuilt<'_>, block: u64, report: &Report) -> bool {
    let header = Header::decode(disk.block_at(0)).expect("the disk is sound");
    let mut regions = [(Area::Grants, Region::Grants), (Area::Worm, Region::Worm)].into_iter();
    regions.any(|(area, region)| {
        let blocks = header.start(area)..header.start(area) + header.length(area);
        let mut findings = report.findings.iter();
        blocks.contains(&block) && findings.any(|it| it.place.region == region)
    })
}
