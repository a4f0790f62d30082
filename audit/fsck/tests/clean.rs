//! A disk that nothing happened to holds, and everything on it is counted.

mod common;

use common::{contents, fsck, lines, new_disk, sample};
use portcullis_fsck::{Region, check};
use portcullis_vault::CHUNK;

#[test]
fn a_disk_of_several_boots_holds() {
    let report = fsck(&sample());
    assert_eq!(lines(&report), Vec::<String>::new());
    assert!(report.holds());
    let summary = &report.summary;
    assert_eq!((summary.boots, summary.grants.records), (3, 21));
    assert_eq!((summary.worm.records, summary.documents), (9, 8));
    assert_eq!(summary.worm.commits, 9);
    assert_eq!(summary.unchecked, []);
    let vault = &summary.vault;
    assert_eq!((vault.objects, vault.entries), (5, 6));
    // Three chunks and their seals, one of one block each, and one of two.
    assert_eq!(
        (vault.used, vault.chunks),
        (2 * 16 + 1 + 1 + 1 + 2 + 1, 3 + 1 + 1 + 1)
    );
    assert_eq!(vault.bytes, 2 * CHUNK as u64 + 9 + 300 + 5_000 + 4_096);
    assert_eq!(contents()[0].len(), 2 * CHUNK + 9);
}

#[test]
fn a_new_disk_holds() {
    let report = fsck(new_disk().bytes_mut());
    assert_eq!(lines(&report), Vec::<String>::new());
    assert!(report.holds());
    assert_eq!(report.summary.grants.root, None);
}

#[test]
fn what_has_no_key_is_said_not_to_be_checked() {
    let disk = sample();
    let report = check(&mut std::io::Cursor::new(&disk), &Default::default());
    assert!(report.holds());
    let unchecked = report.summary.unchecked.iter();
    let unchecked: Vec<_> = unchecked.map(|it| (it.region, it.what, it.why)).collect();
    let no_key = "no key";
    assert_eq!(
        unchecked,
        [
            (Region::Vault, "index, references, contents", no_key),
            (Region::Grants, "signatures", no_key),
            (Region::Worm, "signatures", no_key),
        ]
    );
    let vault = &report.summary.vault;
    assert_eq!((vault.entries, vault.objects), (6, 0));
}
