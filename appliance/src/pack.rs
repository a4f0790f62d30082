//! Packs a directory of documents into the bundle that ingest reads.
//!
//! Every file below the directory becomes an entry, sorted by path, so that the same documents give
//! the same bundle. What cannot be packed becomes an entry too, which says why, and stops nothing
//! else: an unreadable file, one above the limit, a name that is not UTF-8, a link that loops, a
//! device, a private key of an appliance. A link to a file below the directory is that file; a link to a directory is not
//! followed, since what it leads to is either packed where it lies or lies outside.

mod content;
mod walk;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use portcullis_files::{Mode, Unfinished};
use portcullis_ingest::bundle::{
    Content, Entry, Layout, Missing, encode_entry, encode_header, entry_offset,
};
use portcullis_publish::DocumentPath;

use walk::Found;

/// Exit code of a program that did what it should, but left documents out.
pub const LEFT_OUT: u8 = 4;

/// What came of packing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Packed {
    /// Documents that are in the bundle.
    pub documents: u32,
    /// Bytes of their contents.
    pub bytes: u64,
    /// What is not in the bundle, and why.
    pub left_out: Vec<LeftOut>,
}

/// A file that is not in the bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Its path below the directory, fit to be shown.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// Why a file is not in the bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// It has more bytes than an object of the vault can have.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It could not be opened or read.
    Unreadable(io::ErrorKind),
    /// It changed while it was read.
    Changed,
    /// Its path is not UTF-8, or not one that a document can have.
    Name(String),
    /// A symbolic link that leads back to itself.
    LinkLoop,
    /// A symbolic link to nothing.
    Dangling,
    /// A symbolic link to something outside the directory.
    Outside(PathBuf),
    /// A symbolic link to a directory.
    LinkToDirectory,
    /// Neither a file nor a directory: a pipe, a socket, a device.
    NotAFile(&'static str),
    /// It lies in more directories than a path can name.
    TooDeep,
    /// It is a private key of Portcullis: somebody named a state directory, or a folder above one.
    Key,
}

/// Why there is no bundle.
#[derive(Debug)]
pub struct PackError {
    /// The file or directory.
    pub path: PathBuf,
    /// What was done with it.
    pub doing: &'static str,
    /// What went wrong.
    pub error: io::Error,
}

/// Packs the documents below `directory` into the file `bundle`, which is replaced as a whole.
/// `progress` is told how many of how many bytes are done.
pub fn pack(
    directory: &Path,
    bundle: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Packed, PackError> {
    let found = walk::walk(directory)?;
    let failed = |error| PackError::new(bundle, "write", error);
    // Documents lie in it in the clear, and their permissions may be narrow.
    let unfinished = Unfinished::new(bundle, Mode::Private).map_err(failed)?;
    let packer = Packer::new(unfinished.file(), found.len(), progress);
    let packed = packer.pack(found).map_err(failed)?;
    unfinished.replace().map_err(failed)?;
    Ok(packed)
}

/// Checks that a state directory, which need not be there yet, does not lie below the documents: its
/// keys would be taken in with them.
pub fn apart(documents: &Path, state: &Path) -> Result<(), PackError> {
    let found = |path: &Path| {
        let found = std::fs::canonicalize(path);
        found.map_err(|error| PackError::new(path, "find", error))
    };
    let root = found(documents)?;
    let absolute = std::path::absolute(state);
    let absolute = absolute.map_err(|error| PackError::new(state, "find", error))?;
    let there = absolute.ancestors().find(|path| path.exists());
    if found(there.unwrap_or(Path::new("/")))?.starts_with(&root) {
        let text = format!(
            "the state directory {} lies below it, and its keys would be taken in; name another with \
             --state",
            state.display()
        );
        let error = io::Error::new(io::ErrorKind::InvalidInput, text);
        return Err(PackError::new(documents, "take in", error));
    }
    Ok(())
}

struct Packer<'a> {
    file: &'a File,
    layout: Layout,
    count: u32,
    packed: Packed,
    /// Bytes read, and to read.
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl<'a> Packer<'a> {
    fn new(file: &'a File, count: usize, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        // More files than this do not fit the memory that their names take.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            file,
            layout: Layout::new(count),
            count,
            packed: Packed::default(),
            done: 0,
            total: 0,
            progress,
        }
    }

    fn pack(mut self, found: Vec<Found>) -> io::Result<Packed> {
        self.file.write_all_at(&encode_header(self.count), 0)?;
        self.total = found.iter().map(Found::size).sum();
        for (index, found) in (0..self.count).zip(found) {
            let size = found.size();
            let entry = self.entry(found)?;
            self.file
                .write_all_at(&encode_entry(&entry), entry_offset(index))?;
            self.done += size;
            (self.progress)(self.done, self.total);
        }
        self.file.set_len(self.layout.size())?;
        Ok(self.packed)
    }

    fn entry(&mut self, found: Found) -> io::Result<Entry> {
        let path = match DocumentPath::from_bytes(found.path.as_bytes()) {
            Ok(path) => path,
            Err(error) => return Ok(self.leave_out(&found, Why::Name(error.to_string()), 0)),
        };
        let source = match &found.source {
            Ok(source) => source,
            Err(why) => return Ok(self.leave_out(&found, why.clone(), 0)),
        };
        let start = self.layout.size();
        let (done, total) = (self.done, self.total);
        let copied = content::copy(source, self.file, start, &mut |bytes| {
            // A file that grew while it was read is found out when it is through.
            (self.progress)((done + bytes).min(total), total);
        })?;
        match copied {
            Ok((size, sha256)) => {
                let offset = self.layout.place(size).ok_or(io::ErrorKind::FileTooLarge)?;
                self.packed.documents += 1;
                self.packed.bytes += size;
                let content = Content::Present { offset, sha256 };
                Ok(Entry {
                    path,
                    size,
                    content,
                })
            }
            Err(why) => {
                // What was copied of it makes room for the next, and leaves zeros.
                self.file.set_len(start)?;
                Ok(self.leave_out(&found, why, source.size))
            }
        }
    }

    fn leave_out(&mut self, found: &Found, why: Why, size: u64) -> Entry {
        let path = presentable(&found.path);
        let content = Content::Missing(why.missing());
        self.packed.left_out.push(LeftOut {
            path: path.as_str().to_owned(),
            why,
        });
        Entry {
            path,
            size,
            content,
        }
    }
}

/// A path that a document can have, as close to `path` as may be: bytes that are not UTF-8 and
/// control characters are escaped, and what is too long is cut.
fn presentable(path: &walk::RawPath) -> DocumentPath {
    let mut shown = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                c if c.is_control() => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    while shown.len() > portcullis_publish::PATH_MAX {
        shown.pop();
    }
    // A cut can leave an empty last name.
    let shown = shown.trim_end_matches('/');
    DocumentPath::new(shown)
        .unwrap_or_else(|_| DocumentPath::new("unnamed").expect("a plain word is a path"))
}

impl PackError {
    fn new(path: &Path, doing: &'static str, error: io::Error) -> Self {
        let path = path.to_owned();
        Self { path, doing, error }
    }
}

impl Why {
    /// The reason as one word, for programs.
    pub fn word(&self) -> &'static str {
        match self.missing() {
            Missing::TooLarge => "too-large",
            Missing::Unreadable => "unreadable",
            Missing::BadName => "bad-name",
            Missing::LinkLoop => "link-loop",
            Missing::NotAFile => "not-a-file",
            Missing::Denied => "permission-denied",
            Missing::Changed => "changed",
            Missing::Dangling => "dangling-link",
            Missing::Outside => "link-outside",
            Missing::LinkToDirectory => "link-to-directory",
            Missing::TooDeep => "too-deep",
            Missing::Key => "private-key",
        }
    }

    /// What the entry of the bundle says.
    fn missing(&self) -> Missing {
        match self {
            Self::TooLarge { .. } => Missing::TooLarge,
            Self::Unreadable(io::ErrorKind::PermissionDenied) => Missing::Denied,
            Self::Unreadable(_) => Missing::Unreadable,
            Self::Changed => Missing::Changed,
            Self::Name(_) => Missing::BadName,
            Self::LinkLoop => Missing::LinkLoop,
            Self::Dangling => Missing::Dangling,
            Self::Outside(_) => Missing::Outside,
            Self::LinkToDirectory => Missing::LinkToDirectory,
            Self::NotAFile(_) => Missing::NotAFile,
            Self::TooDeep => Missing::TooDeep,
            Self::Key => Missing::Key,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size } => write!(
                f,
                "{size} bytes; a document has at most {} (64 MiB)",
                portcullis_vault::OBJECT_MAX
            ),
            Self::Unreadable(io::ErrorKind::PermissionDenied) => {
                f.write_str("cannot be read: permission denied; check its permissions")
            }
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
            Self::Changed => f.write_str("changed while it was read; run again"),
            Self::Name(why) => write!(f, "its name cannot be a document's: {why}"),
            Self::LinkLoop => f.write_str("a symbolic link that leads back to itself"),
            Self::Dangling => f.write_str("a symbolic link to nothing"),
            Self::Outside(target) => {
                write!(
                    f,
                    "a symbolic link to outside the documents: {}",
                    target.display()
                )
            }
            Self::LinkToDirectory => {
                f.write_str("a symbolic link to a directory; its files are taken where they lie")
            }
            Self::NotAFile(what) => write!(f, "{what}, and no file"),
            Self::TooDeep => f.write_str("nested in too many directories"),
            Self::Key => f.write_str(
                "a private key of Portcullis: name a folder of documents, and no state directory",
            ),
        }
    }
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, doing, error } = self;
        write!(f, "cannot {doing} {}: {error}", path.display())
    }
}

impl std::error::Error for PackError {}

#[cfg(test)]
mod tests;
