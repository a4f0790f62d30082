//! Reading what only its owner may.

use std::fmt;
use std::fs::{File, FileType, Metadata, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// The bits of a mode that open a file to others than its owner.
const OTHERS: u32 = 0o077;
/// Those that let others write it.
const WRITERS: u32 = 0o022;

/// A private file or directory that is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It cannot be opened or read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is no regular file.
    #[error("{} is {what}, and must be a file", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It has more bytes than it can have.
    #[error("{} has more than {most} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// Most bytes.
        most: usize,
    },
    /// It belongs to somebody else, who can change it at any time.
    #[error(
        "{} belongs to user {owner}, and not to user {user}, who runs this: chown {user} {}",
        path.display(), Quoted(path)
    )]
    Owner {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// Others may open it.
    #[error(
        "{} is open to others (mode {mode:03o}): chmod {closed:o} {}",
        path.display(), Quoted(path)
    )]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it must have.
        closed: u32,
    },
}

/// Opens a private file to read it, or to read and write it. A link is not followed.
pub fn open_private(path: &Path, write: bool) -> Result<File, Refused> {
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    open(path, access | OFlags::NONBLOCK, 0o600)
}

/// Reads a private file of at most `most` bytes. What was read is wiped when it is dropped.
pub fn read_private(path: &Path, most: usize) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let mut file = open_private(path, false)?;
    // As large as it can become: what grows is copied, and the copy is not wiped.
    let mut bytes = Zeroizing::new(vec![0; most + 1]);
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unread(path)(error)),
        }
    }
    if filled > most {
        let path = path.to_owned();
        return Err(Refused::TooLong { path, most });
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Checks that a file, socket or folder is its user's own, and a folder that nobody else may write: what is written
/// below it, or in its place, goes nowhere else.
pub fn own(path: &Path) -> Result<(), Refused> {
    let found = std::fs::symlink_metadata(path).map_err(unread(path))?;
    let kind = found.file_type();
    if !kind.is_socket() {
        check_kind(path, kind, true)?;
    }
    let writers = if kind.is_dir() { WRITERS } else { 0 };
    check_owner(path, &found, found.mode() & 0o7777 & !writers)
}

/// Checks that a directory is its user's own, and closed to others. One that is empty is closed.
pub fn own_directory(path: &Path) -> Result<(), Refused> {
    let opened = open(path, OFlags::RDONLY | OFlags::DIRECTORY, 0o700);
    let is_empty = || std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    match opened {
        Err(Refused::Open { .. }) if is_empty() => {
            let closed = std::fs::set_permissions(path, Permissions::from_mode(0o700));
            closed.map_err(unread(path))?;
            // Somebody else may have put something there until now.
            if is_empty() { Ok(()) } else { opened.map(drop) }
        }
        opened => opened.map(drop),
    }
}

/// Whether there is anything under this name; a link that leads nowhere is something. That nobody can tell is an
/// error, and not that there is nothing.
pub fn is_there(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(path: &Path, flags: OFlags, closed: u32) -> Result<File, Refused> {
    let found = std::fs::symlink_metadata(path).map_err(unread(path))?;
    let is_directory = flags.contains(OFlags::DIRECTORY);
    check_kind(path, found.file_type(), is_directory)?;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|error| unread(path)(error.into()))?);
    let found = file.metadata().map_err(unread(path))?;
    check_kind(path, found.file_type(), is_directory)?;
    check_owner(path, &found, closed)?;
    Ok(file)
}

/// Whether it is its user's, and others may do no more with it than the mode `closed` says.
fn check_owner(path: &Path, found: &Metadata, closed: u32) -> Result<(), Refused> {
    let (path, user) = (path.to_owned(), rustix::process::geteuid().as_raw());
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if owner != user {
        return Err(Refused::Owner { path, owner, user });
    }
    if mode & OTHERS & !closed != 0 {
        return Err(Refused::Open { path, mode, closed });
    }
    Ok(())
}

fn check_kind(path: &Path, found: FileType, is_directory: bool) -> Result<(), Refused> {
    match other_than_a_file(found) {
        Some(what) if !(is_directory && found.is_dir()) => Err(Refused::Kind {
            path: path.to_owned(),
            what,
        }),
        _ => Ok(()),
    }
}

/// What something is that is no regular file.
pub(crate) fn other_than_a_file(found: FileType) -> Option<&'static str> {
    if found.is_file() {
        None
    } else if found.is_dir() {
        Some("a directory")
    } else if found.is_symlink() {
        Some("a symbolic link")
    } else if found.is_fifo() {
        Some("a named pipe")
    } else if found.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

fn unread(path: &Path) -> impl Fn(io::Error) -> Refused {
    let path = path.to_owned();
    move |error| {
        let path = path.clone();
        Refused::Io { path, error }
    }
}

/// A path as a shell reads it back.
struct Quoted<'p>(&'p Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@".contains(c);
        if text.chars().all(is_plain) && !text.starts_with('-') {
            return f.write_str(&text);
        }
        write!(f, "-- '{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{chown, symlink};

    fn key(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (scratch, path)
    }

    #[test]
    fn a_private_file_is_read_and_no_more_than_it_may_have() {
        let (_scratch, path) = key(0o600);
        assert_eq!(**read_private(&path, 6).unwrap(), *b"secret");
        assert!(matches!(
            read_private(&path, 5),
            Err(Refused::TooLong { .. })
        ));
        let (_scratch, path) = key(0o400);
        assert_eq!(read_private(&path, 100).unwrap().len(), 6);
    }

    #[test]
    fn what_is_open_to_others_is_refused_with_the_command_that_mends_it() {
        for mode in [0o644, 0o666, 0o640, 0o602, 0o601] {
            let (_scratch, path) = key(mode);
            let error = read_private(&path, 6).unwrap_err().to_string();
            let command = error.rsplit_once(": ").unwrap().1;
            let done = std::process::Command::new("sh")
                .args(["-c", command])
                .status();
            assert!(done.unwrap().success(), "{error}");
            read_private(&path, 6).unwrap();
        }
    }

    #[test]
    fn a_directory_that_is_open_to_others_is_refused_the_same_way() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("it's open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        own_directory(&path).expect("it is empty, and is closed");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::write(path.join("key"), "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let error = own_directory(&path).unwrap_err().to_string();
        let command = error.rsplit_once(": ").unwrap().1;
        let done = std::process::Command::new("sh")
            .args(["-c", command])
            .status();
        assert!(done.unwrap().success(), "{error}");
        own_directory(&path).unwrap();
        symlink(&path, scratch.path().join("link")).unwrap();
        let error = own_directory(&scratch.path().join("link")).unwrap_err();
        assert!(matches!(error, Refused::Kind { .. }), "{error}");
    }

    #[test]
    fn a_folder_that_others_may_not_write_is_its_user_s_own() {
        let (scratch, path) = key(0o666);
        own(&path).unwrap();
        let folder = scratch.path().join("folder");
        fs::create_dir(&folder).unwrap();
        for (open, closed) in [(0o777, 0o755), (0o720, 0o700), (0o702, 0o700)] {
            fs::set_permissions(&folder, Permissions::from_mode(open)).unwrap();
            let error = own(&folder).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod {closed:o} ")), "{error}");
            fs::set_permissions(&folder, Permissions::from_mode(closed)).unwrap();
            own(&folder).unwrap();
        }
        let link = scratch.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(matches!(own(&link), Err(Refused::Kind { .. })));
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            chown(&folder, Some(12_345), None).unwrap();
        }
        let other = if rustix::process::geteuid().is_root() {
            &folder
        } else {
            Path::new("/etc")
        };
        let error = own(other).unwrap_err();
        assert!(matches!(error, Refused::Owner { .. }), "{error}");
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_said_to_be_missing() {
        let (scratch, path) = key(0o600);
        assert!(is_there(&path).unwrap());
        assert!(!is_there(&scratch.path().join("gone")).unwrap());
        symlink("nowhere", scratch.path().join("link")).unwrap();
        assert!(is_there(&scratch.path().join("link")).unwrap());
        // No folder, so that nothing can be looked for in it.
        assert!(is_there(&path.join("below")).is_err());
        assert!(is_there(Path::new(&"n".repeat(1 << 10))).is_err());
    }

    #[test]
    fn what_is_somebody_else_s_is_refused_and_named() {
        let (_scratch, path) = key(0o600);
        if !rustix::process::geteuid().is_root() {
            // Only root can give a file away; this one is root's.
            let error = read_private(Path::new("/etc/passwd"), 1 << 20).unwrap_err();
            assert!(matches!(error, Refused::Owner { owner: 0, .. }), "{error}");
            return;
        }
        chown(&path, Some(12_345), None).unwrap();
        let error = read_private(&path, 6).unwrap_err().to_string();
        let command = format!("chown 0 {}", path.display());
        assert!(
            error.contains("user 12345") && error.ends_with(&command),
            "{error}"
        );
    }

    #[test]
    fn links_pipes_devices_and_directories_are_no_files() {
        let (scratch, path) = key(0o600);
        let link = scratch.path().join("link");
        symlink(&path, &link).unwrap();
        let pipe = scratch.path().join("pipe");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, Mode::RUSR, 0).unwrap();
        for (path, what) in [
            (link.as_path(), "a symbolic link"),
            (&pipe, "a named pipe"),
            (scratch.path(), "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read_private(path, 6).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let missing = read_private(&scratch.path().join("gone"), 6).unwrap_err();
        assert!(matches!(missing, Refused::Io { .. }), "{missing}");
    }
}
