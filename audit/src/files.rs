//! Files that somebody else may have put there: read only where they are plain, and no further than they may go.
//!
//! What lies in a directory is opened without following a link; a path that somebody named may be one.
//! Devices, FIFOs and sockets are opened in neither case: to look at them is not always without effect,
//! and they need not end.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use portcullis_files::{Mode, Unfinished};
use rustix::fs::OFlags;

/// Whose word it is that a path is to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// Somebody named it: a link is what they meant.
    Named,
    /// It was found in a directory.
    Found,
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is {0}, not a plain file")]
    Kind(&'static str),
    /// There is something else where a folder should be.
    #[error("this is {0}, not a folder")]
    Folder(&'static str),
    /// It has more bytes than such a file may have.
    #[error("the file has more than {0} bytes")]
    TooLong(usize),
    /// It is not text.
    #[error("the file is not UTF-8")]
    NotText,
}

impl FileError {
    /// Whether there is nothing under this name.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Opens a plain file.
pub fn open(path: &Path, said: Said) -> Result<File, FileError> {
    // Before it is opened, since opening a device may do something; and after, since it may have changed.
    plain(match said {
        Said::Named => fs::metadata(path)?.file_type(),
        Said::Found => fs::symlink_metadata(path)?.file_type(),
    })?;
    let no_link = match said {
        Said::Named => OFlags::empty(),
        Said::Found => OFlags::NOFOLLOW,
    };
    let flags = (OFlags::NONBLOCK | no_link).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    plain(file.metadata()?.file_type())?;
    Ok(file)
}

/// Whether this is a folder that may be looked into.
pub fn is_folder(path: &Path, said: Said) -> Result<(), FileError> {
    let found = match said {
        Said::Named => fs::metadata(path)?.file_type(),
        Said::Found => fs::symlink_metadata(path)?.file_type(),
    };
    if found.is_dir() {
        return Ok(());
    }
    Err(FileError::Folder(kind(found)))
}

/// Reads a plain file of at most `most` bytes.
pub fn read(path: &Path, said: Said, most: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let mut file = open(path, said)?.take(most as u64 + 1);
    file.read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(FileError::TooLong(most));
    }
    Ok(bytes)
}

/// Reads a plain file of at most `most` bytes that is UTF-8.
pub fn read_text(path: &Path, said: Said, most: usize) -> Result<String, FileError> {
    String::from_utf8(read(path, said, most)?).map_err(|_| FileError::NotText)
}

/// Writes a whole file in place of what was there: whoever reads it sees the old one or the new. With
/// `durable`, this also holds after a power cut.
pub fn replace(path: &Path, content: &[u8], durable: bool) -> io::Result<()> {
    let unfinished = Unfinished::new(path, Mode::Public)?;
    unfinished.file().write_all(content)?;
    if durable {
        unfinished.replace()
    } else {
        unfinished.replace_in_memory()
    }
}

fn plain(found: FileType) -> Result<(), FileError> {
    if found.is_file() {
        return Ok(());
    }
    Err(FileError::Kind(kind(found)))
}

fn kind(found: FileType) -> &'static str {
    if found.is_file() {
        "a file"
    } else if found.is_dir() {
        "a folder"
    } else if found.is_symlink() {
        "a link"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
