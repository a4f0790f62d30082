//! Whether a disk is the one that its state directory knows, and what to do where it is not.
//!
//! A state directory keeps keys and checkpoints of its disk's logs. A disk that is gone, that went back
//! to an earlier state, or that lost a key is refused: going on would sign a second history of the same
//! log, or overwrite what shows that there was a first. The operator may leave the old history behind,
//! with `--new-history`: that is a record of its own, the first of the new history, written here while
//! the appliance is off. The old disk, keys and checkpoints are moved to `left/`, never overwritten.
//!
//! Where the keys are still the disk's, the new history goes on with what the disk holds. Else it begins
//! on a new disk, whose logs have other names.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use portcullis_audit::files::{self, FileError, Said};
use portcullis_audit::keys::{KeyError, Keyring};
use portcullis_files::{Mode, open_private, own_directory, replace};
use portcullis_log::Cause;
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::checkpoint::{Checkpoint, origin};
use portcullis_log::merkle::{Frontier, Hash};
use portcullis_log::note::{NOTE_MAX, Note, NoteError, Verifier};

use crate::error::{Lost, StateError, file_error};
use crate::keys::{KEYS, PUBLIC, VERIFIERS, ledger_key, make_secret, secret};
use crate::logs::{DISK, LOGS, Logs, append, lost, new_disk};

/// There while a new directory is not complete: what is missing then is made.
const UNFINISHED: &str = "unfinished";
/// Where what was left behind is kept, in numbered folders.
const LEFT: &str = "left";

/// What to do about a checkpoint that is none.
const CHECKPOINT_REMEDY: &str = "Put its copy back; or move it away, and nobody vouches any more that the disk \
     has all that it had";
/// What to do about verifier keys that are none.
const VERIFIERS_REMEDY: &str =
    "Put its copy back; or move it away, and it is made anew from ledger.key";

/// What to do where the disk is not the one that the directory knows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Begin {
    /// Refuse it.
    #[default]
    GoOn,
    /// Leave the old history behind, and record that.
    NewHistory,
}

/// How a run began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Began {
    /// With a new directory.
    New,
    /// Where the last run ended.
    GoesOn,
    /// With a new history; what it left behind is in this folder.
    NewHistory(PathBuf),
}

/// What a directory knows of its disk's logs.
struct Kept {
    heads: Vec<Head>,
    verifiers: Keyring,
}

/// A checkpoint that is kept.
struct Head {
    /// The name of its file.
    file: String,
    note: String,
    disk: LogId,
    log: LogKind,
    size: u64,
    root: Hash,
}

/// Makes sure that the disk is the one that the directory knows; where there is neither, makes it. The
/// id of its logs.
pub(crate) fn settle(path: &Path, begin: Begin) -> Result<(LogId, Began), StateError> {
    let kept = Kept::read(path)?;
    if kept.is_empty() && is_new(path)? {
        return Ok((make(path)?, Began::New));
    }
    match (kept.check(path)?, begin) {
        (Ok(id), Begin::GoOn) => Ok((id, Began::GoesOn)),
        (Ok(_), Begin::NewHistory) => Err(StateError::NothingLost(path.to_owned())),
        (Err(lost), Begin::GoOn) => Err(StateError::Lost(path.to_owned(), lost)),
        (Err(lost), Begin::NewHistory) => kept.leave(path, &lost),
    }
}

/// Whether nothing of a directory can be lost: it has nothing, or what a first start that was cut off makes, in the
/// order in which that makes it.
fn is_new(path: &Path) -> Result<bool, StateError> {
    let [ledger, vault, disk] = [KEYS[0], KEYS[1], DISK].map(|name| is_there(path, name));
    let made = [ledger?, vault?, disk?];
    if is_there(path, LEFT)? {
        return Ok(false);
    }
    // The marker goes before the policy's key is made.
    if !is_there(path, UNFINISHED)? || is_there(path, PUBLIC)? {
        return Ok(made == [false; 3]);
    }
    Ok(match made {
        [true, true, true] => {
            let logs = Logs::open(&path.join(DISK))?;
            !LOGS.into_iter().any(|log| logs.has_records(log))
        }
        [ledger, vault, disk] => ledger >= vault && vault >= disk,
    })
}

/// The logs that have records and no checkpoint: nobody can tell whether they went back.
pub(crate) fn unvouched(path: &Path) -> Result<Vec<LogKind>, StateError> {
    let logs = Logs::open(&path.join(DISK))?;
    let mut unvouched = Vec::new();
    for log in LOGS {
        if logs.has_records(log) && !is_there(path, &checkpoint_file(log))? {
            unvouched.push(log);
        }
    }
    Ok(unvouched)
}

/// Makes what a new directory lacks. Cut off, it is taken up at the next start.
fn make(path: &Path) -> Result<LogId, StateError> {
    let marker = path.join(UNFINISHED);
    replace(&marker, b"", Mode::Private).map_err(file_error(&marker, "write"))?;
    for key in KEYS {
        if !is_there(path, key)? {
            make_secret(&path.join(key))?;
        }
    }
    let disk = path.join(DISK);
    if !is_there(path, DISK)? {
        let unfinished = new_disk(&disk)?;
        unfinished.replace().map_err(file_error(&disk, "write"))?;
    }
    let id = Logs::open(&disk)?.id();
    fs::remove_file(&marker).map_err(file_error(&marker, "remove"))?;
    Ok(id)
}

impl Kept {
    fn read(path: &Path) -> Result<Self, StateError> {
        let mut heads = Vec::new();
        for log in LOGS {
            let file = checkpoint_file(log);
            if let Some(note) = read_text(&path.join(&file))? {
                let head = Head::parse(file.clone(), note);
                heads.push(head.ok_or_else(|| StateError::Damaged {
                    path: path.join(&file),
                    why: format!("it is no checkpoint of a Portcullis disk. {CHECKPOINT_REMEDY}"),
                })?);
            }
        }
        let verifiers = read_verifiers(path)?;
        Ok(Self { heads, verifiers })
    }

    fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.verifiers.iter().next().is_none()
    }

    /// The id of the disk's logs, or why the disk is not the one that is known.
    fn check(&self, path: &Path) -> Result<Result<LogId, Lost>, StateError> {
        if !is_there(path, DISK)? {
            return Ok(Err(Lost::Disk));
        }
        for key in KEYS {
            if !is_there(path, key)? {
                return Ok(Err(Lost::Key(key)));
            }
        }
        for key in KEYS {
            secret(path, key)?;
        }
        let (key, disk) = (ledger_key(path)?, path.join(DISK));
        let id = Logs::open(&disk)?.id();
        if let Err(lost) = self.check_names(path, id, &key.verifying_key())? {
            return Ok(Err(lost));
        }
        for head in &self.heads {
            let kept = (head.log, head.size, head.root).into();
            if let Some(lost) = lost(&disk, &kept, &key)? {
                return Ok(Err(lost));
            }
        }
        Ok(Ok(id))
    }

    /// Whether verifier keys and checkpoints are those of this disk and key.
    fn check_names(
        &self,
        path: &Path,
        id: LogId,
        key: &VerifyingKey,
    ) -> Result<Result<(), Lost>, StateError> {
        let names = LOGS.map(|log| origin(log, id));
        let of_it = names.iter().flat_map(|name| self.verifiers.of_log(name));
        let of_it: Vec<_> = of_it.map(|it| *it.verifier().key()).collect();
        if of_it.is_empty() && self.verifiers.iter().next().is_some() {
            return Ok(Err(Lost::OtherDisk(VERIFIERS.to_owned())));
        }
        if !of_it.is_empty() && !of_it.contains(key) {
            return Ok(Err(Lost::OtherKey(VERIFIERS.to_owned())));
        }
        for head in &self.heads {
            if head.disk != id {
                return Ok(Err(Lost::OtherDisk(head.file.clone())));
            }
            match head.verify(key) {
                Ok(()) => {}
                Err(NoteError::Unknown) => return Ok(Err(Lost::OtherKey(head.file.clone()))),
                Err(error) => {
                    let path = path.join(&head.file);
                    let why =
                        format!("{error}: the file is not as it was signed. {CHECKPOINT_REMEDY}");
                    return Err(StateError::Damaged { path, why });
                }
            }
        }
        Ok(Ok(()))
    }

    /// Leaves what is known behind. Where this is cut off, the directory still does not fit its disk, and
    /// the next start is refused again.
    fn leave(&self, path: &Path, lost: &Lost) -> Result<(LogId, Began), StateError> {
        let records = self.records(path);
        let disk = path.join(DISK);
        let checkpoints = self.heads.iter().map(|head| head.file.as_str());
        let is_its_disk = matches!(lost, Lost::Older { .. } | Lost::Other { .. });
        let left = left_folder(path)?;
        if is_its_disk
            && append(
                open_private(&disk, true)?,
                &disk,
                &ledger_key(path)?,
                &records,
            )?
        {
            move_to(path, &left, checkpoints)?;
        } else {
            let unfinished = new_disk(&disk)?;
            let file = unfinished.file().try_clone();
            let file = file.map_err(file_error(&disk, "write"))?;
            move_to(path, &left, KEYS.into_iter().chain([DISK]))?;
            for key in KEYS {
                make_secret(&path.join(key))?;
            }
            let appended = append(file, &disk, &ledger_key(path)?, &records)?;
            assert!(appended, "a log that is empty takes a record");
            unfinished.replace().map_err(file_error(&disk, "write"))?;
            move_to(path, &left, checkpoints.chain([VERIFIERS]))?;
        }
        let id = Logs::open(&disk)?.id();
        Ok((id, Began::NewHistory(left)))
    }

    /// What the records of the new history say: which are left behind. Without a checkpoint, the log that
    /// the verifier keys or the disk name, of a size that nobody knows.
    fn records(&self, path: &Path) -> Vec<Cause> {
        let named = || {
            let mut keys = self.verifiers.iter();
            keys.find_map(|it| parse_origin(it.verifier().name()))
        };
        let on_disk = || Some((Logs::open(&path.join(DISK)).ok()?.id(), LogKind::Grants));
        if self.heads.is_empty() {
            let (disk, log) = named()
                .or_else(on_disk)
                .unwrap_or((LogId([0; 16]), LogKind::Grants));
            let root = Frontier::new().root();
            return vec![Cause::Leaves {
                disk,
                log,
                size: 0,
                root,
            }];
        }
        let of_head = |head: &Head| Cause::Leaves {
            disk: head.disk,
            log: head.log,
            size: head.size,
            root: head.root,
        };
        self.heads.iter().map(of_head).collect()
    }
}

impl Head {
    fn parse(file: String, note: String) -> Option<Self> {
        let parsed = Note::parse(note.as_bytes()).ok()?;
        let checkpoint = Checkpoint::parse(parsed.text()).ok()?;
        let (disk, log) = parse_origin(checkpoint.origin)?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        Some(Self {
            file,
            note,
            disk,
            log,
            size,
            root,
        })
    }

    fn verify(&self, key: &VerifyingKey) -> Result<(), NoteError> {
        let name = origin(self.log, self.disk);
        let verifier = Verifier::new(&name, *key).expect("an origin is a sound key name");
        Note::parse(self.note.as_bytes())?.verify(&[verifier])?;
        Ok(())
    }
}

/// A new folder for what is left behind. Private keys go there: so it is no link, and nobody else's.
fn left_folder(path: &Path) -> Result<PathBuf, StateError> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    let left = path.join(LEFT);
    if !is_there(path, LEFT)? {
        private.create(&left).map_err(file_error(&left, "create"))?;
    }
    own_directory(&left)?;
    for number in 1_u32.. {
        let folder = left.join(number.to_string());
        match private.create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => {
                created.map_err(file_error(&folder, "create"))?;
                return Ok(folder);
            }
        }
    }
    unreachable!("numbers do not end")
}

/// Moves files that are there to a new folder, durably.
fn move_to<'n>(
    path: &Path,
    folder: &Path,
    names: impl Iterator<Item = &'n str>,
) -> Result<(), StateError> {
    for name in names {
        if is_there(path, name)? {
            let from = path.join(name);
            fs::rename(&from, folder.join(name)).map_err(file_error(&from, "move"))?;
        }
    }
    for directory in [folder, &path.join(LEFT), path] {
        let synced = File::open(directory).and_then(|it| it.sync_all());
        synced.map_err(file_error(directory, "write"))?;
    }
    Ok(())
}

pub(crate) fn is_there(path: &Path, name: &str) -> Result<bool, StateError> {
    let path = path.join(name);
    portcullis_files::is_there(&path).map_err(file_error(&path, "look at"))
}

fn checkpoint_file(log: LogKind) -> String {
    format!("{}.checkpoint", log.name())
}

/// The keys of both logs; none where there is no file of them.
fn read_verifiers(path: &Path) -> Result<Keyring, StateError> {
    let path = path.join(VERIFIERS);
    let damaged = |why| StateError::Damaged {
        path: path.clone(),
        why: format!("{why}. {VERIFIERS_REMEDY}"),
    };
    let Some(text) = read_text(&path)? else {
        return Ok(Keyring::default());
    };
    let mut keys = Keyring::default();
    keys.parse(&text, &path).map_err(|error| {
        damaged(match error {
            KeyError::Line { line, error, .. } => format!("line {line}: {error}"),
            error => error.to_string(),
        })
    })?;
    if keys.iter().next().is_none() {
        return Err(damaged("it holds no key".to_owned()));
    }
    Ok(keys)
}

/// A public file of the directory, if it is there.
fn read_text(path: &Path) -> Result<Option<String>, StateError> {
    match files::read_text(path, Said::Found, NOTE_MAX) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_missing() => Ok(None),
        Err(FileError::Io(error)) => Err(file_error(path, "read")(error)),
        Err(error) => Err(StateError::Damaged {
            path: path.to_owned(),
            why: error.to_string(),
        }),
    }
}

/// The disk and the log that an origin names.
fn parse_origin(name: &str) -> Option<(LogId, LogKind)> {
    let (id, kind) = name.strip_prefix("portcullis/")?.split_once('/')?;
    let log = LOGS.into_iter().find(|log| log.name() == kind)?;
    let id = u128::from_str_radix(id, 16).ok()?.to_be_bytes();
    (*origin(log, LogId(id)) == *name).then_some((LogId(id), log))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

    use super::*;
    use crate::State;
    use crate::logs::Region;
    use ed25519_dalek::SigningKey;
    use portcullis_blk::api::Area;
    use portcullis_blk::{BLOCK, Header};
    use portcullis_ledger::Log;
    use portcullis_log::block::{Footer, Part};
    use portcullis_log::builder::{Builder, Tip};
    use portcullis_log::checkpoint::text;
    use portcullis_log::note::write_signature;

    /// Files that may be lost.
    const FILES: [&str; 6] = [
        DISK,
        KEYS[0],
        KEYS[1],
        VERIFIERS,
        "grants.checkpoint",
        "worm.checkpoint",
    ];

    /// A state directory, and a book of what is in it.
    struct Case {
        scratch: tempfile::TempDir,
        book: Book,
        saved: Option<Book>,
        /// Tells records apart.
        next: u64,
    }

    /// What a disk and a directory hold: of each log the records, by number.
    #[derive(Clone, PartialEq, Debug)]
    struct Book {
        disk: Option<[Vec<u64>; 2]>,
        kept: [Option<Vec<u64>>; 2],
        keys: [bool; 2],
        verifiers: bool,
    }

    impl Book {
        /// Whether the directory fits its disk.
        fn fits(&self) -> bool {
            let Some(disk) = &self.disk else { return false };
            let mut logs = disk.iter().zip(&self.kept);
            let fit = logs.all(|(log, kept)| kept.as_ref().is_none_or(|it| log.starts_with(it)));
            fit && self.keys == [true; 2]
        }
    }

    impl Case {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let case = Self {
                scratch,
                book: Book {
                    disk: Some([vec![], vec![]]),
                    kept: [None, None],
                    keys: [true; 2],
                    verifiers: true,
                },
                saved: None,
                next: 1,
            };
            assert_eq!(State::open(&case.path()).unwrap().began, Began::New);
            case
        }

        fn path(&self) -> PathBuf {
            self.scratch.path().join("state")
        }

        fn backup(&self) -> PathBuf {
            self.scratch.path().join("backup")
        }

        /// Appends a record to a log, as a run would.
        fn grow(&mut self, log: usize) {
            if !self.book.fits() {
                return;
            }
            let records = &mut self.book.disk.as_mut().unwrap()[log];
            records.push(self.next);
            append_bytes(&self.path(), LOGS[log], &self.next.to_le_bytes());
            self.next += 1;
        }

        /// Keeps a log's checkpoint, as the end of a run does.
        fn keep(&mut self, log: usize) {
            let Some(records) = self.book.disk.as_ref().map(|disk| disk[log].clone()) else {
                return;
            };
            if !self.book.fits() || records.is_empty() {
                return;
            }
            write_checkpoint(&self.path(), LOGS[log]);
            self.book.kept[log] = Some(records);
        }

        fn save(&mut self) {
            if self.book.disk.is_some() {
                fs::copy(self.path().join(DISK), self.backup()).unwrap();
                self.saved = Some(self.book.clone());
            }
        }

        fn restore(&mut self) {
            if let Some(saved) = &self.saved {
                fs::copy(self.backup(), self.path().join(DISK)).unwrap();
                self.book.disk = saved.disk.clone();
            }
        }

        fn remove(&mut self, file: usize) {
            let _ = fs::remove_file(self.path().join(FILES[file]));
            match file {
                0 => self.book.disk = None,
                1 | 2 => self.book.keys[file - 1] = false,
                3 => self.book.verifiers = false,
                _ => self.book.kept[file - 4] = None,
            }
        }

        /// Whether there is nothing from which a new directory could be told.
        fn is_bare(&self) -> bool {
            let book = &self.book;
            let none = book.disk.is_none() && book.keys == [false; 2] && !book.verifiers;
            none && book.kept == [None, None] && !self.path().join(LEFT).exists()
        }

        /// Opens the directory, and holds what comes of it against the book.
        fn open(&mut self) {
            let before = tree(&self.path());
            match State::open(&self.path()) {
                Ok(state) if self.is_bare() => {
                    assert_eq!(state.began, Began::New);
                    drop(state);
                    self.begin_anew();
                }
                Ok(state) => {
                    assert_eq!(state.began, Began::GoesOn);
                    assert!(self.book.fits(), "{:?}", self.book);
                    self.book.verifiers = true;
                }
                Err(StateError::Lost(..)) => {
                    assert!(!self.book.fits() && !self.is_bare(), "{:?}", self.book);
                    assert_eq!(tree(&self.path()), before, "nothing was changed");
                }
                Err(error) => panic!("{error}"),
            }
        }

        /// Leaves the history behind, if there is one to leave.
        fn leave(&mut self) {
            let before = tree(&self.path());
            match State::begin(&self.path(), Begin::NewHistory) {
                Err(StateError::NothingLost(_)) => assert!(self.book.fits(), "{:?}", self.book),
                Ok(state) if state.began == Began::New => {
                    drop(state);
                    self.begin_anew();
                }
                Ok(state) => {
                    let Began::NewHistory(left) = &state.began else {
                        panic!("{:?} of {:?}", state.began, self.book);
                    };
                    assert!(!self.book.fits(), "{:?}", self.book);
                    // Every file of before is where it was, or in the folder, as it was.
                    let after = tree(&self.path());
                    let moved = left.strip_prefix(state.path()).unwrap();
                    for (name, content) in before {
                        let there = after.get(&name) == Some(&content);
                        let is_moved = after.get(&moved.join(&name)) == Some(&content);
                        let goes_on = name == Path::new(DISK) && self.book.keys == [true; 2];
                        assert!(there || is_moved || goes_on, "{name:?} of {:?}", self.book);
                    }
                    drop(state);
                    self.book_of_new_history();
                }
                Err(error) => panic!("{error} of {:?}", self.book),
            }
        }

        fn begin_anew(&mut self) {
            self.book.disk = Some([vec![], vec![]]);
            (self.book.keys, self.book.verifiers) = ([true; 2], true);
            self.saved = None;
        }

        /// A new history has a record for each checkpoint that it leaves behind. It goes on with the disk
        /// where that has its keys.
        fn book_of_new_history(&mut self) {
            let kept = self.book.kept.iter().flatten().count().max(1) as u64;
            let goes_on = self.book.keys == [true; 2];
            let mut disk = self.book.disk.take().filter(|_| goes_on);
            if disk.is_none() {
                self.saved = None;
            }
            let [grants, _] = disk.get_or_insert_default();
            grants.extend(self.next..self.next + kept);
            self.next += kept;
            let found = with_log(&self.path(), LogKind::Grants, |log, _, _| log.size());
            assert_eq!(found, grants.len() as u64);
            self.book = Book {
                disk,
                kept: [None, None],
                keys: [true; 2],
                verifiers: true,
            };
        }
    }

    /// Every file below a directory, with its content; but for the lock and what is public of the policy.
    fn tree(path: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
        let mut files = std::collections::BTreeMap::new();
        let mut directories = vec![path.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let name = entry.path().strip_prefix(path).unwrap().to_owned();
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path());
                } else if !name.starts_with("policy.key") {
                    files.insert(name, fs::read(entry.path()).unwrap());
                }
            }
        }
        files
    }

    /// Opens a log as its ledger would.
    fn with_log<T>(
        state: &Path,
        kind: LogKind,
        run: impl FnOnce(&mut Log<'_, ()>, &mut Region, &SigningKey) -> T,
    ) -> T {
        let path = state.join(DISK);
        let logs = Logs::of(open_private(&path, true).unwrap(), &path).unwrap();
        let key = ledger_key(state).unwrap();
        let ran = logs.with(kind, &key, |log, disk| run(log, disk, &key));
        ran.unwrap()
    }

    /// Where a block of the grant log lies on a disk, in bytes.
    fn place(disk: &File, number: u64) -> u64 {
        let mut block = [0; BLOCK];
        disk.read_exact_at(&mut block, 0).unwrap();
        (Header::decode(&block).unwrap().start(Area::Grants) + number) * BLOCK as u64
    }

    fn read_block(disk: &Path, number: u64) -> [u8; BLOCK] {
        let disk = File::open(disk).unwrap();
        let mut block = [0; BLOCK];
        disk.read_exact_at(&mut block, place(&disk, number))
            .unwrap();
        block
    }

    /// Writes a block as no driver would.
    fn write_block(disk: &Path, number: u64, block: &[u8; BLOCK]) {
        let disk = File::options().read(true).write(true).open(disk).unwrap();
        disk.write_all_at(block, place(&disk, number)).unwrap();
    }

    fn append_bytes(state: &Path, kind: LogKind, bytes: &[u8]) {
        with_log(state, kind, |log, disk, key| {
            log.add(disk, bytes, key).unwrap();
            log.commit(disk, key).unwrap();
        });
    }

    fn write_checkpoint(state: &Path, kind: LogKind) {
        let note = with_log(state, kind, |log, _, key| {
            let ((_, id), head) = (log.id(), log.head().unwrap());
            let mut note = format!("{}\n", text(kind, id, head.tree_size.get(), &head.root));
            let (name, key) = (origin(kind, id), key.verifying_key());
            write_signature(&mut note, &name, &key, &head.signature).unwrap();
            note
        });
        let path = state.join(format!("{}.checkpoint", kind.name()));
        replace(&path, note.as_bytes(), Mode::Public).unwrap();
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        /// Whatever happens to a directory, it is opened where it fits its disk and refused, unchanged,
        /// where it does not; and a new history loses nothing of the old one.
        #[test]
        fn a_disk_that_does_not_fit_is_refused_and_nothing_is_lost(
            steps in proptest::collection::vec((0..9_u8, 0..6_usize), 1..14),
        ) {
            let mut case = Case::new();
            for (step, which) in steps {
                match step {
                    0..=2 => case.grow(which % 2),
                    3 => case.keep(which % 2),
                    4 => case.save(),
                    5 => case.restore(),
                    6 => case.remove(which),
                    7 => case.open(),
                    _ => case.leave(),
                }
            }
            case.open();
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// Whatever was done to the blocks of a log, the appliance starts if its ledger writes nothing to
        /// that log, or if the log ends with all that the checkpoint vouches for; else a new history is a
        /// way out.
        #[test]
        fn a_log_that_was_changed_is_started_on_where_nothing_is_signed_twice(
            is_rearranged in proptest::bool::ANY,
            flipped in proptest::option::of((0..5_u64, changed_byte())),
            behind in 0..2,
        ) {
            let mut case = Case::new();
            for _ in 0..3 {
                case.grow(0);
            }
            case.keep(0);
            for _ in 0..behind {
                case.grow(0);
            }
            let disk = case.path().join(DISK);
            if is_rearranged {
                rearrange(&disk);
            }
            if let Some((block, byte)) = flipped {
                let mut bytes = read_block(&disk, block);
                bytes[byte] ^= 1;
                write_block(&disk, block, &bytes);
            }
            let refused = State::open(&case.path()).err();
            let before = fs::read(&disk).unwrap();
            let is_whole = with_log(&case.path(), LogKind::Grants, |log, disk, key| {
                let takes = log.add(disk, b"record", key).is_ok();
                !takes || log.size() >= 3
            });
            proptest::prop_assert_eq!(refused.is_none(), is_whole, "{:?}", refused);
            fs::write(&disk, before).unwrap();
            if let Some(refused) = refused {
                proptest::prop_assert!(matches!(refused, StateError::Lost(..)), "{}", refused);
                let state = State::begin(&case.path(), Begin::NewHistory);
                proptest::prop_assert!(state.is_ok(), "{:?}", state);
                drop(state);
                let state = State::open(&case.path());
                proptest::prop_assert!(state.is_ok(), "{:?}", state);
            }
        }
    }

    /// The last byte of the signature of a commit of one short record: it takes a sector.
    const SIGNED: usize = 511;

    /// A byte of a block: any, one of its records, or one of its signature.
    fn changed_byte() -> impl proptest::strategy::Strategy<Value = usize> {
        proptest::prop_oneof![0..BLOCK, 88..100_usize, SIGNED - 63..SIGNED + 1]
    }

    /// Takes the last record back with what the ledger signed: the commit before it is made to hold both
    /// records, and then to be written again with its own.
    fn rearrange(disk: &Path) {
        let blocks: Vec<_> = (0..16).map(|number| read_block(disk, number)).collect();
        let blocks: Vec<_> = blocks.iter().filter_map(|it| Part::read(it).ok()).collect();
        let size = |block: &Part<'_>| block.footer().unwrap().tree_size.get();
        let y = *blocks.last().unwrap();
        let x = *blocks.iter().rfind(|it| size(it) < size(&y)).unwrap();
        let commit = |number, records: &[&Part<'_>], footer: &Footer| {
            let (kind, log) = x.log();
            let mut builder = Builder::new(Tip {
                kind,
                log,
                block: number,
                records: x.first_record(),
                previous: *x.previous(),
            });
            for record in records.iter().flat_map(|block| block.records()) {
                builder.push(record).unwrap();
            }
            let block = *builder.commit(*footer).unwrap();
            write_block(disk, number, &block);
        };
        commit(x.block(), &[&x, &y], y.footer().unwrap());
        for number in x.block() + 1..=y.block() {
            commit(number, &[&x], x.footer().unwrap());
        }
    }

    /// A disk that was rearranged of three records to two, with this checkpoint kept.
    fn rearranged(kept: u64) -> Case {
        let mut case = Case::new();
        for size in 1..=3 {
            case.grow(0);
            if size == kept {
                case.keep(0);
            }
        }
        rearrange(&case.path().join(DISK));
        case
    }

    #[test]
    fn signed_heads_that_were_rearranged_are_a_disk_that_went_back() {
        let case = rearranged(3);
        let older = Lost::Older {
            log: LogKind::Grants,
            found: 2,
            kept: 3,
        };
        match State::open(&case.path()) {
            Err(StateError::Lost(_, lost)) => assert_eq!(lost, older),
            other => panic!("{other:?}"),
        }
        drop(State::open(&rearranged(2).path()).unwrap());
    }

    /// The ledger takes no record of such a log, and serves what is there.
    #[test]
    fn a_signature_that_does_not_verify_is_no_other_history() {
        let mut case = Case::new();
        case.grow(0);
        case.keep(0);
        let disk = case.path().join(DISK);
        // It was written again when the checkpoint was made.
        for number in 0..2 {
            let mut bytes = read_block(&disk, number);
            bytes[SIGNED] ^= 1;
            write_block(&disk, number, &bytes);
        }
        drop(State::open(&case.path()).unwrap());
        let takes = with_log(&case.path(), LogKind::Grants, |log, disk, key| {
            log.add(disk, b"record", key).is_ok()
        });
        assert!(!takes);
    }

    /// One log went back, and the other, which would say so, takes no record.
    #[test]
    fn a_new_history_begins_on_a_new_disk_where_the_old_one_takes_no_record() {
        let mut case = Case::new();
        let (disk, old) = (case.path().join(DISK), case.scratch.path().join("old"));
        case.grow(0);
        fs::copy(&disk, &old).unwrap();
        case.grow(1);
        case.keep(1);
        fs::copy(&old, &disk).unwrap();
        let mut bytes = read_block(&disk, 0);
        bytes[SIGNED] ^= 1;
        write_block(&disk, 0, &bytes);
        let refused = State::open(&case.path()).unwrap_err();
        assert!(matches!(refused, StateError::Lost(..)), "{refused}");
        let state = State::begin(&case.path(), Begin::NewHistory).unwrap();
        let Began::NewHistory(left) = &state.began else {
            panic!("{:?}", state.began)
        };
        assert!(left.join(DISK).exists() && left.join("worm.checkpoint").exists());
    }

    #[test]
    fn a_log_that_lost_its_checkpoint_is_named() {
        let mut case = Case::new();
        let unvouched = |case: &Case| State::open(&case.path()).unwrap().unvouched;
        assert_eq!(unvouched(&case), []);
        case.grow(0);
        assert_eq!(unvouched(&case), [LogKind::Grants]);
        case.keep(0);
        assert_eq!(unvouched(&case), []);
        case.remove(4);
        assert_eq!(unvouched(&case), [LogKind::Grants]);
    }

    #[test]
    fn keys_and_checkpoints_that_were_changed_are_named_with_the_remedy() {
        for (name, from, to, said) in [
            (VERIFIERS, "portcullis/", "portcullas/", "line 1"),
            (VERIFIERS, "\n", "\nx", "line 2"),
            ("grants.checkpoint", "\n1\n", "\n2\n", "does not verify"),
        ] {
            let mut case = Case::new();
            case.grow(0);
            case.keep(0);
            let path = case.path().join(name);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replacen(from, to, 1)).unwrap();
            let refused = State::open(&case.path()).unwrap_err();
            assert!(matches!(refused, StateError::Damaged { .. }), "{refused}");
            let refused = refused.to_string();
            for part in [name, said, "move it away"] {
                assert!(refused.contains(part), "{part:?} is not in {refused}");
            }
            fs::remove_file(&path).unwrap();
            drop(State::open(&case.path()).unwrap());
            if name == VERIFIERS {
                assert_eq!(fs::read_to_string(&path).unwrap(), text, "made anew");
            }
        }
    }

    #[test]
    fn a_marker_that_was_left_does_not_hide_what_is_kept() {
        let mut case = Case::new();
        case.grow(0);
        case.keep(0);
        fs::write(case.path().join(UNFINISHED), "").unwrap();
        fs::remove_file(case.path().join(DISK)).unwrap();
        let refused = State::open(&case.path()).unwrap_err();
        assert!(matches!(refused, StateError::Lost(..)), "{refused}");
    }

    /// A marker, and nothing that says which disk there was.
    #[test]
    fn a_marker_makes_nothing_anew_that_was_lost() {
        for (lost, is_complete, expected) in [
            (Some(DISK), true, Some(Lost::Disk)),
            (Some(KEYS[0]), true, Some(Lost::Key(KEYS[0]))),
            (Some(KEYS[1]), true, Some(Lost::Key(KEYS[1]))),
            (Some(KEYS[0]), false, Some(Lost::Key(KEYS[0]))),
            (Some(KEYS[1]), false, Some(Lost::Key(KEYS[1]))),
            (None, true, None),
            (None, false, None),
        ] {
            let mut case = Case::new();
            case.grow(0);
            fs::write(case.path().join(UNFINISHED), "").unwrap();
            fs::remove_file(case.path().join(VERIFIERS)).unwrap();
            if let Some(lost) = lost {
                fs::remove_file(case.path().join(lost)).unwrap();
            }
            if !is_complete {
                fs::remove_file(case.path().join(PUBLIC)).unwrap();
            }
            match (State::open(&case.path()), expected) {
                (Err(StateError::Lost(_, lost)), Some(expected)) => assert_eq!(lost, expected),
                (Ok(state), None) => {
                    assert_eq!((&state.began, state.unvouched.len()), (&Began::GoesOn, 1));
                }
                (opened, expected) => panic!("{opened:?} is not {expected:?}, without {lost:?}"),
            }
        }
    }

    #[test]
    fn a_first_start_that_was_cut_off_is_taken_up() {
        let made = [KEYS[0], KEYS[1], DISK];
        for count in 0..=made.len() {
            let whole = Case::new();
            let scratch = tempfile::tempdir().unwrap();
            let closed = fs::Permissions::from_mode(0o700);
            fs::set_permissions(scratch.path(), closed).unwrap();
            fs::write(scratch.path().join(UNFINISHED), "").unwrap();
            for name in &made[..count] {
                fs::copy(whole.path().join(name), scratch.path().join(name)).unwrap();
            }
            let state = State::open(scratch.path()).unwrap();
            assert_eq!(state.began, Began::New);
            for name in &made[..count] {
                let [before, now] =
                    [&whole.path(), scratch.path()].map(|it| fs::read(it.join(name)));
                assert_eq!(before.unwrap(), now.unwrap(), "{name}");
            }
            assert!(!state.file(UNFINISHED).exists());
        }
    }

    /// Private keys are moved to `left`.
    #[test]
    fn no_key_leaves_the_directory_through_a_link() {
        use std::collections::BTreeSet;
        use std::os::unix::fs::{chown, symlink};
        let lost = || {
            let case = Case::new();
            fs::remove_file(case.path().join(DISK)).unwrap();
            case
        };
        let refused = |case: &Case| {
            let names = || {
                let entries = fs::read_dir(case.path()).unwrap();
                let names: BTreeSet<_> = entries.map(|it| it.unwrap().file_name()).collect();
                names
            };
            let before = names();
            let refused = State::begin(&case.path(), Begin::NewHistory).unwrap_err();
            assert!(matches!(refused, StateError::Refused(_)), "{refused}");
            assert_eq!(names(), before, "nothing was moved");
            refused.to_string()
        };
        let case = lost();
        let (left, elsewhere) = (
            case.path().join(LEFT),
            case.scratch.path().join("elsewhere"),
        );
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &left).unwrap();
        assert!(refused(&case).contains("left is a symbolic link"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        fs::remove_file(&left).unwrap();
        fs::create_dir_all(left.join("1")).unwrap();
        for open in [0o777, 0o755] {
            fs::set_permissions(&left, fs::Permissions::from_mode(open)).unwrap();
            assert!(refused(&case).contains("is open to others"));
        }
        fs::set_permissions(&left, fs::Permissions::from_mode(0o700)).unwrap();
        // Only root can give it away.
        if chown(&left, Some(12_345), None).is_ok() {
            assert!(refused(&case).contains("belongs to user 12345"));
            chown(&left, Some(0), None).unwrap();
        }
        let state = State::begin(&case.path(), Begin::NewHistory).unwrap();
        assert_eq!(state.began, Began::NewHistory(state.file("left/2")));
    }

    /// The last block of the lost history says that the checkpoint's commit is there.
    #[test]
    fn a_block_of_the_lost_history_is_no_history() {
        let mut case = Case::new();
        let disk = case.path().join(DISK);
        let old = case.scratch.path().join("old");
        case.grow(0);
        fs::copy(&disk, &old).unwrap();
        case.grow(0);
        case.grow(0);
        case.keep(0);
        let size_at = |number| {
            let block = read_block(&disk, number);
            let footer = Part::read(&block).ok()?.footer().copied()?;
            Some((footer.tree_size.get(), block))
        };
        let last = (0..8).filter_map(size_at).find(|(size, _)| *size == 3);
        let (_, last) = last.expect("its commit is there");
        fs::copy(&old, &disk).unwrap();
        write_block(&disk, 1, &last);
        let refused = State::open(&case.path()).unwrap_err();
        assert!(matches!(refused, StateError::Lost(..)), "{refused}");
    }
}
