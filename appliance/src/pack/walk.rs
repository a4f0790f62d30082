//! Finds the documents below a directory.

use std::cmp::Ordering;
use std::fs::{self, FileType};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use portcullis_policy::keys::{PRIVATE_HEADER, PRIVATE_LENGTH};

use super::{PackError, Why};
use crate::keys::{KEYS, SECRET};

/// Deepest directory that is entered. Deeper ones have paths that no document can have.
const MAX_DEPTH: usize = 128;

/// A path below the directory, as bytes: names need not be UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RawPath(Vec<u8>);

/// Something that was found, and is no directory.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where, below the directory.
    pub(super) path: RawPath,
    /// The file to read, or why there is none.
    pub(super) source: Result<Source, Why>,
}

/// A file to read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its path, without links.
    pub(super) path: PathBuf,
    /// Its size in bytes, when it was found.
    pub(super) size: u64,
}

impl RawPath {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Found {
    /// Bytes that there are to read.
    pub(super) fn size(&self) -> u64 {
        self.source.as_ref().map_or(0, |source| source.size)
    }
}

/// Everything below `directory` that is no directory, sorted by path.
pub(super) fn walk(directory: &Path) -> Result<Vec<Found>, PackError> {
    let failed = |doing| move |error| PackError::new(directory, doing, error);
    let root = fs::canonicalize(directory).map_err(failed("find"))?;
    fs::read_dir(&root).map_err(failed("list"))?;
    let mut walk = Walk {
        root: root.clone(),
        found: Vec::new(),
    };
    walk.directory(&root, 0);
    walk.found.sort_by(|a, b| by_names(&a.path, &b.path));
    Ok(walk.found)
}

/// Orders paths name by name, so that a directory's files stand together.
fn by_names(a: &RawPath, b: &RawPath) -> Ordering {
    let is_slash = |byte: &u8| *byte == b'/';
    a.0.split(is_slash).cmp(b.0.split(is_slash))
}

struct Walk {
    root: PathBuf,
    found: Vec<Found>,
}

impl Walk {
    fn directory(&mut self, directory: &Path, depth: usize) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) if depth < MAX_DEPTH => entries,
            Ok(_) => return self.add(directory, Err(Why::TooDeep)),
            Err(error) => return self.add(directory, Err(Why::Unreadable(error.kind()))),
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                Ok((path, kind)) if kind.is_dir() => self.directory(&path, depth + 1),
                Ok((path, kind)) => {
                    let source = self.source(&path, kind);
                    self.add(&path, source);
                }
                Err(error) => self.add(directory, Err(Why::Unreadable(error.kind()))),
            }
        }
    }

    fn add(&mut self, path: &Path, source: Result<Source, Why>) {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let path = RawPath(below.as_os_str().as_bytes().to_vec());
        self.found.push(Found { path, source });
    }

    fn source(&self, path: &Path, kind: FileType) -> Result<Source, Why> {
        if kind.is_symlink() {
            return self.link(path);
        }
        if let Some(what) = special(kind) {
            return Err(Why::NotAFile(what));
        }
        let metadata = fs::symlink_metadata(path).map_err(|error| Why::Unreadable(error.kind()))?;
        let size = metadata.len();
        if is_key(path, size).map_err(|error| Why::Unreadable(error.kind()))? {
            return Err(Why::Key);
        }
        let path = path.to_owned();
        Ok(Source { path, size })
    }

    fn link(&self, path: &Path) -> Result<Source, Why> {
        let target = fs::canonicalize(path).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => Why::LinkLoop,
            Some(libc::ENOENT) => Why::Dangling,
            _ => Why::Unreadable(error.kind()),
        })?;
        if !target.starts_with(&self.root) {
            return Err(Why::Outside(target));
        }
        let metadata = fs::metadata(&target).map_err(|error| Why::Unreadable(error.kind()))?;
        if metadata.is_dir() {
            let loops = path.starts_with(&target);
            return Err(if loops {
                Why::LinkLoop
            } else {
                Why::LinkToDirectory
            });
        }
        self.source(&target, metadata.file_type())
    }
}

/// Whether a file is a private key: one of a state directory's, which has no mark, by its name and size; any other
/// by its first line.
fn is_key(path: &Path, size: u64) -> io::Result<bool> {
    let name = path.file_name();
    if KEYS.iter().any(|key| name == Some(key.as_ref())) && size == SECRET as u64 {
        return Ok(true);
    }
    if size != PRIVATE_LENGTH as u64 {
        return Ok(false);
    }
    let mut begin = [0; PRIVATE_HEADER.len()];
    super::content::open(path)?.read_exact(&mut begin)?;
    Ok(begin == PRIVATE_HEADER.as_bytes())
}

fn special(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else {
        Some("something else")
    }
}
