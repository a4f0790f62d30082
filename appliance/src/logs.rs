//! The logs on a disk while no driver runs on it.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ed25519_dalek::{SigningKey, VerifyingKey};
use portcullis_blk::api::{Area, Info};
use portcullis_blk::{BLOCK, Disk, DiskError, Driver, Header, HeaderError, OpenError};
use portcullis_files::{Mode, Unfinished, open_private};
use portcullis_ledger::{Log, LogError, LogMemory, Scratch};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::merkle::Hash;
use portcullis_log::scanner::{Commit, Scanner, Step};
use portcullis_log::{BootId, Cause, Operation, Outcome, Record, Time};

use crate::FileDisk;
use crate::error::{Lost, StateError, file_error};
use crate::keys::random;

/// Size of a new disk in bytes: room for a dozen of the largest documents. The file is sparse, so
/// it takes no more than what is written. Tests copy disks.
const DISK_SIZE: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };
/// The disk.
pub(crate) const DISK: &str = "disk.img";
/// Blocks that are read at a time.
const AT_A_TIME: u64 = 64;
pub(crate) const LOGS: [LogKind; 2] = [LogKind::Grants, LogKind::Worm];

/// The logs on a disk whose driver does not run.
pub(crate) struct Logs {
    driver: Driver<FileDisk>,
    info: Info,
    path: PathBuf,
}

impl Logs {
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        Self::of(open_private(path, false)?, path)
    }

    pub(crate) fn of(file: File, path: &Path) -> Result<Self, StateError> {
        let damaged = |why: &dyn fmt::Display| StateError::Damaged {
            path: path.to_owned(),
            why: why.to_string(),
        };
        let blocks = FileDisk::blocks_of(&file).map_err(file_error(path, "read"))?;
        let mut driver = Driver::new(FileDisk::new(file.into(), blocks));
        let opened = driver.open(&mut [0; BLOCK]);
        opened.map_err(|error| match error {
            OpenError::NoDisk | OpenError::Header(HeaderError::Magic) => {
                damaged(&"it has no header of a Portcullis disk")
            }
            OpenError::Header(error) => damaged(&error),
            OpenError::Disk(error) => damaged(&error),
        })?;
        let info = driver.info().expect("it was opened");
        let path = path.to_owned();
        Ok(Self { driver, info, path })
    }

    pub(crate) fn id(&self) -> LogId {
        LogId(self.info.id)
    }

    /// Opens a log as its ledger would, and has `run` use it.
    pub(crate) fn with<T>(
        self,
        kind: LogKind,
        key: &SigningKey,
        run: impl FnOnce(&mut Log<'_, ()>, &mut Region) -> T,
    ) -> Result<T, LogError> {
        let (id, extent) = (self.id(), self.info.extent(area(kind)));
        let mut disk = Region(self, area(kind));
        let (mut memory, mut scratch) = (Box::new(LogMemory::new()), Box::new(Scratch::new()));
        let mut log = Log::new(kind, &mut memory, ());
        log.open(&mut disk, &mut scratch, id, extent, key)?;
        Ok(run(&mut log, &mut disk))
    }

    /// Whether a log has the commit of this size and root, which its key signed: one that counts, as the
    /// ledger reads it. A damaged log fits: the ledger says so, and writes nothing to it.
    pub(crate) fn check(
        &mut self,
        log: LogKind,
        (size, root): (u64, Hash),
        key: &VerifyingKey,
    ) -> Result<Result<(), Lost>, StateError> {
        let area = area(log);
        let (id, mark) = (self.id(), self.info.extent(area).mark);
        let mut scanner = Scanner::new(log, id);
        let mut records = 0;
        let mut buffer = vec![0; AT_A_TIME as usize * BLOCK];
        for first in (0..mark).step_by(AT_A_TIME as usize) {
            let count = AT_A_TIME.min(mark - first) as usize;
            let blocks = &mut buffer[..count * BLOCK];
            let read = self.driver.read(area, first, blocks);
            read.map_err(|error| StateError::Damaged {
                path: self.path.clone(),
                why: error.to_string(),
            })?;
            for block in blocks.as_chunks::<BLOCK>().0 {
                let footer = match scanner.feed(block, &mut ()) {
                    Step::Committed(Commit { footer, .. }) => footer,
                    Step::Damaged(_) => return Ok(Ok(())),
                    _ => continue,
                };
                let is_this = (footer.tree_size.get(), footer.root) == (size, root);
                if is_this && footer.is_signed(log, id, key) {
                    return Ok(Ok(()));
                }
                records = records.max(footer.tree_size.get());
            }
        }
        Ok(Err(if records < size {
            Lost::Older {
                log,
                found: records,
                kept: size,
            }
        } else {
            Lost::Other { log, kept: size }
        }))
    }
}

/// A log's region of a disk.
pub(crate) struct Region(Logs, Area);

impl Disk for Region {
    fn blocks(&self) -> u64 {
        self.0.info.length(self.1)
    }

    fn read(&mut self, first: u64, data: &mut [u8]) -> Result<(), DiskError> {
        let read = self.0.driver.read(self.1, first, data);
        read.map_err(|_| DiskError::Read { first })
    }

    fn write(&mut self, first: u64, data: &[u8]) -> Result<(), DiskError> {
        let written = self.0.driver.write(self.1, first, data);
        written.map_err(|_| DiskError::Write { first })
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.0.driver.flush().map_err(|_| DiskError::Flush)
    }
}

/// Appends records to the grant log of a disk, as its ledger would: a boot of their own.
pub(crate) fn append(
    file: File,
    path: &Path,
    key: &SigningKey,
    causes: &[Cause],
) -> Result<(), StateError> {
    let boot = BootId(random()?);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let time = Time {
        monotonic: 0,
        utc: since.ok().map(|time| time.as_nanos() as u64),
    };
    let records = (0..).zip(causes).map(|(sequence, cause)| Record {
        sequence,
        boot,
        time,
        policy: 0,
        operation: Operation::History,
        grant: None,
        cause: *cause,
        outcome: Outcome::Done,
    });
    let appended = Logs::of(file, path)?.with(LogKind::Grants, key, |log, disk| {
        for record in records {
            log.add(disk, record.encode().record(), key)?;
        }
        log.commit(disk, key)
    });
    let appended = appended.and_then(|it| it);
    appended.map_err(|error| StateError::Damaged {
        path: path.to_owned(),
        why: format!("the new history cannot be recorded: {error}"),
    })
}

/// A disk that is empty and has no name yet.
pub(crate) fn new_disk(path: &Path) -> Result<Unfinished, StateError> {
    let blocks = DISK_SIZE / BLOCK as u64;
    let unfinished = Unfinished::new(path, Mode::Private).map_err(file_error(path, "create"))?;
    let file = unfinished.file().set_len(DISK_SIZE);
    let file = file.and_then(|()| unfinished.file().try_clone());
    let file = file.map_err(file_error(path, "create"))?;
    let header = Header::new(blocks, random()?);
    let initialised = header
        .map_err(|error| error.to_string())
        .and_then(|header| {
            let mut disk = FileDisk::new(file.into(), blocks);
            portcullis_blk::initialise(&mut disk, &header).map_err(|error| error.to_string())
        });
    initialised.map_err(|why| StateError::Damaged {
        path: path.to_owned(),
        why,
    })?;
    Ok(unfinished)
}

const fn area(log: LogKind) -> Area {
    match log {
        LogKind::Grants => Area::Grants,
        LogKind::Worm => Area::Worm,
    }
}
