//! An exported log, read by a public implementation of C2SP tlog-tiles.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_audit::testing::{LOG, key};
use portcullis_audit::tiles::{Tiles, Written};
use portcullis_audit::verify::checkpoint_note;
use portcullis_fsck::{Findings, Records, Sink as _};
use portcullis_log::block::{Footer, LogKind};
use portcullis_log::checkpoint::origin;
use portcullis_log::merkle::Frontier;
use rustix::fs::{CWD, FileType, Mode};
use tlog_tiles::tile::{Tile, TileHashReader, TileReader};
use tlog_tiles::tlog::{self, Error, Hash};

const KIND: LogKind = LogKind::Worm;

fn record(index: u64) -> Vec<u8> {
    format!("record {index}").into_bytes()
}

/// Exports a log of so many records; gives back its root.
fn export(directory: &Path, size: u64) -> (Written, [u8; 32]) {
    try_export(directory, size).unwrap()
}

fn try_export(directory: &Path, size: u64) -> io::Result<(Written, [u8; 32])> {
    let mut tiles = Tiles::new(directory);
    let mut tree = Frontier::new();
    for index in 0..size {
        let record = record(index);
        tree.append(&record);
        let payload = [&(record.len() as u16).to_le_bytes()[..], &record].concat();
        tiles.commit(Records::new(index, &payload), &mut Findings::default());
    }
    let footer = Footer::sign(KIND, LOG, size, &tree.root(), &key());
    let note = checkpoint_note(KIND, LOG, &footer, &key().verifying_key());
    Ok((tiles.finish(&note)?, tree.root()))
}

/// Reads what lies in a directory. The public crate's paths have the tiles' height in them.
struct Served<'a>(&'a Path);

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        let path = |tile: &Tile| tile.path().replacen("tile/8/", "tile/", 1);
        let read = |tile| fs::read(self.0.join(path(tile))).map_err(|_| Error::InvalidTile);
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The files below a directory, by their paths.
fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(directory).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn public_code_proves_every_record_from_the_tiles() {
    for size in [1, 2, 255, 256, 257, 600, 70_000] {
        let directory = tempfile::tempdir().unwrap();
        let (_, root) = export(directory.path(), size);
        let served = Served(directory.path());
        let hashes = TileHashReader::new(size, Hash(root), &served);
        assert_eq!(tlog::tree_hash(size, &hashes).unwrap(), Hash(root));
        for index in [0, size / 2, size - 1] {
            let proof = tlog::prove_record(size, index, &hashes).unwrap();
            let leaf = tlog::record_hash(&record(index));
            tlog::check_record(&proof, size, Hash(root), index, leaf).unwrap();
            let other = tlog::record_hash(b"another record");
            tlog::check_record(&proof, size, Hash(root), index, other).unwrap_err();
        }
    }
}

#[test]
fn public_code_reads_the_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let (_, root) = export(directory.path(), 300);
    let name = origin(KIND, LOG);
    let verifier = signed_note::new_ed25519_verifier_key(&name, &old(&key().verifying_key()));
    let verifier = signed_note::StandardVerifier::new(&verifier).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let note = fs::read(directory.path().join("checkpoint")).unwrap();
    let note = signed_note::Note::from_bytes(&note).unwrap();
    let (signed, _) = note.verify(&known).unwrap();
    assert_eq!(signed.len(), 1);
    let checkpoint = tlog_tiles::checkpoint::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.origin(), name.as_str());
    assert_eq!((checkpoint.size(), checkpoint.hash()), (300, &Hash(root)));
}

/// The key, as the public crate's version of ed25519-dalek has it.
fn old(key: &ed25519_dalek::VerifyingKey) -> ed25519_dalek_2::VerifyingKey {
    ed25519_dalek_2::VerifyingKey::from_bytes(key.as_bytes()).unwrap()
}

#[test]
fn the_tiles_of_70000_records_are_those_of_the_specification() {
    let directory = tempfile::tempdir().unwrap();
    export(directory.path(), 70_000);
    let files = files(directory.path());
    let full = |level: &str| {
        let level = format!("tile/{level}/");
        let of_level = files.iter().filter(|it| it.starts_with(&level));
        of_level.filter(|it| !it.contains(".p/")).count()
    };
    assert_eq!(
        (full("entries"), full("0"), full("1"), full("2")),
        (273, 273, 1, 0)
    );
    for partial in [
        "tile/entries/273.p/112",
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ] {
        assert!(files.iter().any(|it| it == partial), "{partial}");
    }
    assert_eq!(files.len(), 273 + 273 + 1 + 4 + 1);
}

/// Whoever can put a link into the directory does not choose what else is written over.
#[test]
fn nothing_is_written_through_a_link() {
    let scratch = tempfile::tempdir().unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("001.p")).unwrap();
    for link in [
        "",
        "tile",
        "tile/entries",
        "tile/0",
        "tile/1",
        "tile/0/001.p",
        "checkpoint",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("worm");
        let place = log.join(link);
        let place = place.components().collect::<PathBuf>();
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &place).unwrap();
        let error = try_export(&log, 300).unwrap_err();
        assert!(error.to_string().contains("link"), "{link:?}: {error}");
        assert_eq!(files(&elsewhere), [""; 0], "{link:?}");
    }
    // A pipe in a tile's place is not waited for.
    let log = scratch.path().join("log");
    fs::create_dir_all(log.join("tile/0")).unwrap();
    let pipe = log.join("tile/0/000");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let error = try_export(&log, 300).unwrap_err();
    assert!(error.to_string().contains("a named pipe"), "{error}");
}

#[test]
fn bundles_hold_the_records() {
    let directory = tempfile::tempdir().unwrap();
    export(directory.path(), 300);
    let mut index = 0;
    for bundle in ["tile/entries/000", "tile/entries/001.p/44"] {
        let bytes = fs::read(directory.path().join(bundle)).unwrap();
        let mut rest = &bytes[..];
        while let Some((length, more)) = rest.split_first_chunk() {
            let (found, more) = more.split_at(u16::from_be_bytes(*length).into());
            assert_eq!(found, record(index));
            index += 1;
            rest = more;
        }
    }
    assert_eq!(index, 300);
}

#[test]
fn a_later_export_adds_and_takes_over_what_was_partial() {
    let directory = tempfile::tempdir().unwrap();
    export(directory.path(), 300);
    let (again, _) = export(directory.path(), 300);
    assert_eq!((again.files, again.unchanged), (0, 5));
    let (more, _) = export(directory.path(), 600);
    assert_eq!((more.records, more.unchanged), (600, 2));
    let files = files(directory.path());
    assert!(files.iter().any(|it| it == "tile/0/001"));
    assert!(
        !files.iter().any(|it| it.starts_with("tile/0/001.p")),
        "{files:?}"
    );
}
