//! `log verify` and fsck judge the same damage alike: there is one reader.

use std::fs;
use std::io::Cursor;

use portcullis_audit::state::{LOGS, State};
use portcullis_audit::testing::write_sample;
use portcullis_blk::api::Area;
use portcullis_blk::{BLOCK, Header};
use portcullis_fsck::{Finding, Region, Verdict, check};
use portcullis_log::block::{LogKind, Part};

/// Bytes of a part before its records, and of the tree head behind them.
const HEAD: usize = 88;
const TAIL: usize = 104;

/// Each byte of the fields of each block of both logs, changed one after another; the logs' kinds are among
/// them.
#[test]
fn a_changed_byte_is_the_same_to_both() {
    let scratch = tempfile::tempdir().unwrap();
    write_sample(scratch.path());
    let image = scratch.path().join("disk.img");
    let honest = fs::read(&image).unwrap();
    let header = Header::decode(honest.first_chunk().unwrap()).unwrap();
    let mut violations = 0;
    for (area, blocks) in [(Area::Grants, 3), (Area::Worm, 1)] {
        for block in 0..blocks {
            let start = (header.start(area) + block) as usize * BLOCK;
            let bytes = honest[start..start + BLOCK].first_chunk().unwrap();
            let end = Part::all(bytes).next().unwrap().length();
            for byte in (0..HEAD).chain(end - TAIL..end).step_by(3) {
                let mut disk = honest.clone();
                disk[start + byte] ^= 1 << (byte % 8);
                fs::write(&image, &disk).unwrap();
                violations += same(scratch.path(), &disk, &format!("{area:?} {block} {byte}"));
            }
        }
    }
    assert!(violations > 100, "{violations}");
}

/// Holds both against each other; how many findings are violations.
fn same(state: &std::path::Path, disk: &[u8], what: &str) -> usize {
    let state = State::open(state).unwrap();
    let report = check(&mut Cursor::new(disk), &state.trust().unwrap());
    let mut violations = 0;
    for kind in LOGS {
        let region = match kind {
            LogKind::Grants => Region::Grants,
            LogKind::Worm => Region::Worm,
        };
        let of_it = |findings: &[Finding]| {
            let of_it = findings.iter().filter(|it| it.place.region == region);
            // What the replay says beyond is for `log verify` alone.
            let both = of_it.filter(|it| !["grant", "policy"].contains(&it.what.rule()));
            let mut both: Vec<_> = both.map(|it| format!("{it:?}")).collect();
            both.sort();
            both
        };
        let verified = state.verify(kind, |_| ()).unwrap();
        assert_eq!(of_it(&verified.findings), of_it(&report.findings), "{what}");
        let of_the_log = report.findings.iter();
        let of_the_log = of_the_log.filter(|it| it.place.region == region);
        let count = of_the_log.filter(|it| it.is_violation()).count();
        violations += count;
        assert_eq!(
            verified.verdict == Verdict::DoesNotHold,
            count > 0,
            "{what}"
        );
    }
    violations
}
