//! Writing a file: whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags};
use rustix::io::Errno;

/// Ends the name of a file that is not finished.
const EXTENSION: &str = ".new";
/// Random digits in such a name.
const DIGITS: usize = 16;

/// Who may open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Its owner alone.
    Private,
    /// Everybody may read it.
    Public,
}

/// A file that is being written. Dropped before it is finished, it leaves nothing behind.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    /// Where it is to be.
    path: PathBuf,
    /// Its name until then, where it has one.
    name: Option<PathBuf>,
}

impl Unfinished {
    /// Begins a file that is to be at `path`.
    pub fn new(path: &Path, mode: Mode) -> io::Result<Self> {
        Self::begin(path, mode, unnamed)
    }

    /// `unnamed` gives a file without a name in a directory, where the file system has such files.
    fn begin(
        path: &Path,
        mode: Mode,
        unnamed: impl FnOnce(&Path) -> Result<File, Errno>,
    ) -> io::Result<Self> {
        let (file, name) = match unnamed(folder(path)) {
            Ok(file) => (file, None),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let name = unique(path)?;
                (create_new(&name)?, Some(name))
            }
            Err(error) => return Err(error.into()),
        };
        let path = path.to_owned();
        let unfinished = Self { file, path, name };
        rustix::fs::fchmod(&unfinished.file, mode.bits())?;
        Ok(unfinished)
    }

    /// The file.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Makes the content durable, and puts the file in the place of what was there.
    pub fn replace(self) -> io::Result<()> {
        self.file.sync_all()?;
        let path = self.path.clone();
        self.replace_in_memory()?;
        sync_folder(&path)
    }

    /// Puts the file in the place of what was there. A cut may leave any part of it.
    pub fn replace_in_memory(mut self) -> io::Result<()> {
        if let Some(other) = other_than_a_file(&self.path)? {
            let text = format!("it is {other}, which is not written over");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let name = match &self.name {
            Some(name) => name,
            None => {
                let name = unique(&self.path)?;
                self.link(&name)?;
                self.name.insert(name)
            }
        };
        fs::rename(name, &self.path)?;
        self.name = None;
        Ok(())
    }

    /// Makes the content durable, and puts the file where nothing may be yet.
    pub fn create(self) -> io::Result<()> {
        self.file.sync_all()?;
        match &self.name {
            Some(name) => fs::hard_link(name, &self.path)?,
            None => self.link(&self.path)?,
        }
        sync_folder(&self.path)
    }

    /// Gives the file a name that nothing has.
    fn link(&self, name: &Path) -> io::Result<()> {
        let this = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::linkat(
            CWD,
            this,
            CWD,
            name,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = fs::remove_file(name);
        }
    }
}

impl Mode {
    fn bits(self) -> rustix::fs::Mode {
        rustix::fs::Mode::from_bits_retain(match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
        })
    }
}

/// Writes a file in the place of what was there: whoever reads it sees the old content or the new.
pub fn replace(path: &Path, content: &[u8], mode: Mode) -> io::Result<()> {
    let unfinished = Unfinished::new(path, mode)?;
    unfinished.file().write_all(content)?;
    unfinished.replace()
}

/// Writes a file where there must be nothing yet.
pub fn create(path: &Path, content: &[u8], mode: Mode) -> io::Result<()> {
    let unfinished = Unfinished::new(path, mode)?;
    unfinished.file().write_all(content)?;
    unfinished.create()
}

/// Removes what a process that was killed may have left unfinished in a directory.
pub fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_leftover(&entry.file_name().to_string_lossy()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_leftover(name: &str) -> bool {
    let stem = name
        .strip_prefix('.')
        .and_then(|it| it.strip_suffix(EXTENSION));
    let digits = stem.and_then(|stem| Some(stem.rsplit_once('.')?.1));
    let is_hexadecimal = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    digits.is_some_and(|digits| digits.len() == DIGITS && is_hexadecimal(digits))
}

/// A name beside `path` that nobody can guess.
fn unique(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; DIGITS / 2];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let number = u64::from_ne_bytes(random);
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{number:0DIGITS$x}{EXTENSION}"));
    Ok(folder(path).join(name))
}

fn unnamed(folder: &Path) -> Result<File, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::Private.bits()).map(File::from)
}

/// A new file; a link with this name is not followed.
fn create_new(name: &Path) -> io::Result<File> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::open(name, flags, Mode::Private.bits())?.into())
}

/// What lies at a path and is no regular file.
fn other_than_a_file(path: &Path) -> io::Result<Option<&'static str>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(crate::private::other_than_a_file(found.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a name durable: what is written to the file later is not lost with it.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    /// A directory, and each way of beginning a file in it.
    fn each_way(test: impl Fn(&Path, &dyn Fn(&Path, Mode) -> Unfinished)) {
        let none = |_: &Path| Err(Errno::OPNOTSUPP);
        let named = |path: &Path, mode| Unfinished::begin(path, mode, none).unwrap();
        for begin in [&named as &dyn Fn(&Path, Mode) -> _, &|path, mode| {
            Unfinished::new(path, mode).unwrap()
        }] {
            let scratch = tempfile::tempdir().unwrap();
            test(scratch.path(), begin);
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_takes_its_place_with_its_mode_and_nothing_else_stays() {
        each_way(|directory, begin| {
            let path = directory.join("key");
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
            for (mode, bits) in [(Mode::Private, 0o600), (Mode::Public, 0o644)] {
                let unfinished = begin(&path, mode);
                unfinished.file().write_all(b"new").unwrap();
                unfinished.replace().unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"new");
                assert_eq!(mode_of(&path), bits);
            }
            assert_eq!(names(directory), ["key"]);
        });
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        each_way(|directory, begin| {
            let path = directory.join("bundle");
            fs::write(&path, "old").unwrap();
            let unfinished = begin(&path, Mode::Private);
            unfinished.file().write_all(b"documents").unwrap();
            drop(unfinished);
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(names(directory), ["bundle"]);
        });
    }

    #[test]
    fn links_are_not_followed_and_leftovers_not_used() {
        each_way(|directory, begin| {
            let path = directory.join("key");
            let victim = directory.join("victim");
            fs::write(&victim, "precious").unwrap();
            // What earlier versions used as they found it.
            fs::write(directory.join("key.new"), "").unwrap();
            fs::set_permissions(directory.join("key.new"), fs::Permissions::from_mode(0o666))
                .unwrap();
            symlink(&victim, &path).unwrap();
            let error = begin(&path, Mode::Private).replace().unwrap_err();
            assert!(error.to_string().contains("a symbolic link"), "{error}");
            assert!(begin(&path, Mode::Private).create().is_err());
            assert_eq!(fs::read(&victim).unwrap(), b"precious");
            assert_eq!(mode_of(&directory.join("key.new")), 0o666);
            assert_eq!(names(directory), ["key", "key.new", "victim"]);
        });
    }

    #[test]
    fn a_device_is_not_replaced() {
        let error = Unfinished::begin(Path::new("/dev/null"), Mode::Public, |_| {
            unnamed(&std::env::temp_dir())
        });
        let error = error.unwrap().replace().unwrap_err();
        assert!(error.to_string().contains("a device"), "{error}");
    }

    #[test]
    fn a_file_that_must_be_new_is_created_once() {
        each_way(|directory, begin| {
            let path = directory.join("key");
            let unfinished = begin(&path, Mode::Private);
            unfinished.file().write_all(b"first").unwrap();
            unfinished.create().unwrap();
            let again = begin(&path, Mode::Private).create().unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            assert_eq!(
                (mode_of(&path), names(directory)),
                (0o600, vec!["key".into()])
            );
            assert_eq!(fs::metadata(&path).unwrap().nlink(), 1);
        });
    }

    #[test]
    fn leftovers_are_removed_and_nothing_else() {
        let scratch = tempfile::tempdir().unwrap();
        let left = unique(&scratch.path().join("inbox.bundle")).unwrap();
        fs::write(&left, "plaintext").unwrap();
        for name in [
            "inbox.bundle",
            ".x.new",
            ".x.0123456789abcdeg.new",
            "x.0123456789abcdef.new",
        ] {
            fs::write(scratch.path().join(name), "").unwrap();
        }
        let target = unique(&scratch.path().join("link")).unwrap();
        symlink("inbox.bundle", &target).unwrap();
        remove_leftovers(scratch.path()).unwrap();
        assert!(!left.exists());
        assert_eq!(names(scratch.path()).len(), 5);
    }

    #[test]
    fn a_name_alone_is_one_in_this_directory() {
        assert_eq!(folder(Path::new("key")), Path::new("."));
        assert_eq!(folder(Path::new("a/key")), Path::new("a"));
    }
}
