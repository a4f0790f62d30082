//! A log as C2SP tlog-tiles: static files that public transparency-log tools read.
//!
//! | file                        | what                                                          |
//! |-----------------------------|---------------------------------------------------------------|
//! | `checkpoint`                | the signed tree head (C2SP tlog-checkpoint)                   |
//! | `tile/<L>/<N>[.p/<W>]`      | hashes of the complete subtrees of 256^L records, 256 a tile  |
//! | `tile/entries/<N>[.p/<W>]`  | 256 records a bundle, each behind its length (16 bits, big endian) |
//!
//! `N` is written in groups of three digits, all but the last behind an `x`: 1234067 is
//! `x001/x234/067`. Only the last tile of a level is partial, of `W` hashes.
//! Source: <https://c2sp.org/tlog-tiles>.

use std::fs;
use std::io;
use std::path::Path;

use portcullis_fsck::{Findings, Records, Sink};
use portcullis_log::merkle::{Hash, leaf_hash, node_hash};

use crate::files::{self, FileError, Said};

/// Hashes of a full tile, and records of a full bundle.
const WIDTH: usize = 256;
/// Name of the file with the signed tree head.
pub const CHECKPOINT: &str = "checkpoint";

/// Writes the tiles and bundles of a log as its records go by. Needs a tile a level of memory.
#[derive(Debug)]
pub struct Tiles<'a> {
    directory: &'a Path,
    /// The bundle that fills up.
    bundle: Vec<u8>,
    /// Records so far.
    records: u64,
    /// The tile of each level that fills up, and its number.
    levels: Vec<(u64, Vec<Hash>)>,
    written: Written,
    failed: Option<io::Error>,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Written {
    /// Records in all bundles.
    pub records: u64,
    /// Files that are new, or that have other content than before.
    pub files: u64,
    /// Files that were there already.
    pub unchanged: u64,
}

impl<'a> Tiles<'a> {
    /// Writes below `directory`.
    pub fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            bundle: Vec::new(),
            records: 0,
            levels: Vec::new(),
            written: Written::default(),
            failed: None,
        }
    }

    /// Writes the partial tiles and, when everything else is there, the checkpoint.
    pub fn finish(mut self, checkpoint: &str) -> io::Result<Written> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let last = self.records / WIDTH as u64;
        let width = self.records as usize % WIDTH;
        if width > 0 {
            let bundle = std::mem::take(&mut self.bundle);
            self.write("entries", last, width, &bundle)?;
        }
        for level in 0..self.levels.len() {
            let (number, hashes) = std::mem::take(&mut self.levels[level]);
            if !hashes.is_empty() {
                self.write(
                    &level.to_string(),
                    number,
                    hashes.len(),
                    hashes.as_flattened(),
                )?;
            }
        }
        self.written.records = self.records;
        self.replace(CHECKPOINT, checkpoint.as_bytes())?;
        Ok(self.written)
    }

    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let length = u16::try_from(record.len()).expect("a record fits a block");
        self.bundle.extend_from_slice(&length.to_be_bytes());
        self.bundle.extend_from_slice(record);
        self.records += 1;
        if self.records.is_multiple_of(WIDTH as u64) {
            let bundle = std::mem::take(&mut self.bundle);
            self.write("entries", self.records / WIDTH as u64 - 1, WIDTH, &bundle)?;
        }
        self.hash(0, leaf_hash(record))
    }

    /// Puts a hash into the tile of a level; a tile that is full has a hash one level up.
    fn hash(&mut self, level: usize, hash: Hash) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push((0, Vec::with_capacity(WIDTH)));
        }
        let (number, hashes) = &mut self.levels[level];
        hashes.push(hash);
        if hashes.len() < WIDTH {
            return Ok(());
        }
        let (number, hashes) = (*number, std::mem::take(hashes));
        self.levels[level].0 = number + 1;
        self.write(&level.to_string(), number, WIDTH, hashes.as_flattened())?;
        self.hash(level + 1, root(hashes))
    }

    fn write(&mut self, level: &str, number: u64, width: usize, content: &[u8]) -> io::Result<()> {
        let name = path(level, number, width);
        let path = self.directory.join(&name);
        let found = files::read(&path, Said::Found, content.len());
        if found.is_ok_and(|found| found == content) {
            self.written.unchanged += 1;
            return Ok(());
        }
        self.replace(&name, content)?;
        self.written.files += 1;
        // What of it was there before is part of it now.
        let partial = self.directory.join(format!("{name}.p"));
        if width == WIDTH && portcullis_files::is_there(&partial)? {
            fs::remove_dir_all(partial)?;
        }
        Ok(())
    }

    /// Writes a whole file below the directory, or leaves what was there. No folder on the way is a link: it
    /// would lead to where nobody said that this may write.
    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut folder = self.directory.to_owned();
        make_folder(&folder)?;
        let (below, _) = name.rsplit_once('/').unwrap_or_default();
        for part in below.split('/').filter(|part| !part.is_empty()) {
            folder.push(part);
            make_folder(&folder)?;
        }
        files::replace(&self.directory.join(name), content, false)
    }
}

impl Sink for Tiles<'_> {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        for (_, record) in records {
            if self.failed.is_none() {
                self.failed = self.append(record).err();
            }
        }
    }
}

/// The root of a full tile.
fn root(mut hashes: Vec<Hash>) -> Hash {
    while let [left, right, ..] = hashes[..] {
        if hashes.len() == 2 {
            return node_hash(&left, &right);
        }
        hashes = hashes
            .as_chunks()
            .0
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    hashes[0]
}

/// Where a tile or bundle lies.
fn path(level: &str, number: u64, width: usize) -> String {
    let mut groups = vec![format!("{:03}", number % 1000)];
    let mut rest = number / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let number = groups.join("/");
    if width == WIDTH {
        format!("tile/{level}/{number}")
    } else {
        format!("tile/{level}/{number}.p/{width}")
    }
}

/// Makes a folder, if it is not there.
fn make_folder(path: &Path) -> io::Result<()> {
    match files::is_folder(path, Said::Found) {
        Err(error) if error.is_missing() => fs::create_dir_all(path),
        Err(FileError::Io(error)) => Err(error),
        found => found.map_err(|error| {
            io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{}: {error}", path.display()),
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_groups_of_three() {
        assert_eq!(path("0", 7, WIDTH), "tile/0/007");
        assert_eq!(path("1", 1_234_067, WIDTH), "tile/1/x001/x234/067");
        assert_eq!(path("entries", 1000, 17), "tile/entries/x001/000.p/17");
    }
}
