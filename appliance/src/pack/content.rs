//! Copies the content of one document.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::Why;
use super::walk::Source;

/// Bytes copied at a time: large enough that system calls do not matter, small beside a document.
const CHUNK: usize = 1 << 20;

/// Size and SHA-256 of a content that was copied, or why it was not.
pub(super) type Copied = Result<(u64, [u8; 32]), Why>;

/// Copies the content of `source` to `start` in `bundle`. An error is the bundle's; what is wrong
/// with the source is in the result.
pub(super) fn copy(
    source: &Source,
    bundle: &File,
    start: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Copied> {
    let opened = open(&source.path).and_then(|file| Ok((file.metadata()?, file)));
    let (before, file) = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(Why::Unreadable(error.kind()))),
    };
    if !before.is_file() {
        return Ok(Err(Why::Changed));
    }
    if before.len() > portcullis_vault::OBJECT_MAX {
        return Ok(Err(Why::TooLarge { size: before.len() }));
    }
    // One byte more than it should have shows that it grew.
    let mut limited = (&file).take(before.len() + 1);
    let mut buffer = vec![0; CHUNK.min(before.len() as usize + 1)];
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let read = match limited.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(Why::Unreadable(error.kind()))),
        };
        bundle.write_all_at(read, start + size)?;
        hash.update(read);
        size += read.len() as u64;
        progress(size);
    }
    match file.metadata() {
        Ok(after) if size == before.len() && same(&before, &after) => {
            Ok(Ok((size, hash.finalize().into())))
        }
        Ok(_) => Ok(Err(Why::Changed)),
        Err(error) => Ok(Err(Why::Unreadable(error.kind()))),
    }
}

/// Opens without following a link that has taken the file's place, and without waiting for the
/// other end of a pipe that has.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
}

/// Whether nothing was written in between, as far as a file's times say.
fn same(before: &Metadata, after: &Metadata) -> bool {
    let facts = |it: &Metadata| (it.len(), it.mtime(), it.mtime_nsec(), it.ino(), it.dev());
    facts(before) == facts(after)
}
