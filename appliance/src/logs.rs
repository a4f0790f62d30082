//! The logs on a disk while no driver runs on it.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use ed25519_dalek::SigningKey;
use portcullis_blk::api::{Area, Info};
use portcullis_blk::{BLOCK, Disk, DiskError, Driver, Header, HeaderError, OpenError};
use portcullis_files::{Mode, Unfinished, open_private};
use portcullis_fsck::{Checkpoint, Keys, Which, read_log};
use portcullis_ledger::{Log, LogError, LogMemory, Scratch};
use portcullis_log::block::{LogId, LogKind};
use portcullis_log::{BootId, Cause, Operation, Outcome, Record, Time};

use crate::FileDisk;
use crate::error::{Lost, StateError, file_error};
use crate::keys::random;

/// Size of a new disk in bytes: room for a dozen of the largest documents. The file is sparse, so
/// it takes no more than what is written. Tests copy disks.
const DISK_SIZE: u64 = if cfg!(test) { 1 << 20 } else { 1 << 30 };
/// The disk.
pub(crate) const DISK: &str = "disk.img";
pub(crate) const LOGS: [LogKind; 2] = [LogKind::Grants, LogKind::Worm];

/// The logs on a disk whose driver does not run.
pub(crate) struct Logs {
    driver: Driver<FileDisk>,
    info: Info,
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
                damaged(
                    &"it has no header of a Portcullis disk. Put its newest copy back; or, where that is \
                      lost for good, remove it and add --new-history",
                )
            }
            OpenError::Header(error) => damaged(&error),
            OpenError::Disk(error) => damaged(&error),
        })?;
        let info = driver.info().expect("it was opened");
        Ok(Self { driver, info })
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

    /// Whether the ledger writes records to a log: not to one that is damaged, that another key signed, or that it
    /// cannot read. The disk is open for reading only, so that nothing is written here.
    fn takes_records(self, kind: LogKind, key: &SigningKey) -> bool {
        let (id, extent) = (self.id(), self.info.extent(area(kind)));
        let mut disk = Region(self, area(kind));
        let (mut memory, mut scratch) = (Box::new(LogMemory::new()), Box::new(Scratch::new()));
        let mut log = Log::new(kind, &mut memory, ());
        let found = log.open(&mut disk, &mut scratch, id, extent, key);
        found.is_ok_and(|found| found.damage.is_none() && !found.other_key)
    }

    /// Whether anything was ever written to a log.
    pub(crate) fn has_records(&self, kind: LogKind) -> bool {
        self.info.extent(area(kind)).mark > 0
    }
}

/// Why the log that a disk ends with is not the one that a kept checkpoint vouches for; `None`: it is, or
/// its ledger writes nothing to it, and it can be looked at.
pub(crate) fn lost(
    path: &Path,
    kept: &Checkpoint,
    key: &SigningKey,
) -> Result<Option<Lost>, StateError> {
    let (log, Ok((size, _))) = (kept.kind, &kept.head) else {
        return Ok(None);
    };
    let keys = Keys {
        checkpoints: vec![kept.clone()],
        ..Keys::default()
    };
    let which = Which {
        kind: log,
        keys: &keys,
        in_use: false,
    };
    let mut disk = open_private(path, false)?;
    let (found, _) = read_log(&mut disk, which, &mut (), |_| ());
    if !found.held_against.is_empty() || !Logs::open(path)?.takes_records(log, key) {
        return Ok(None);
    }
    Ok(Some(if found.records < *size {
        Lost::Older {
            log,
            found: found.records,
            kept: *size,
        }
    } else {
        Lost::Other { log, kept: *size }
    }))
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

/// Appends records to the grant log of a disk, as its ledger would: a boot of their own. Whether the log
/// takes them.
pub(crate) fn append(
    file: File,
    path: &Path,
    key: &SigningKey,
    causes: &[Cause],
) -> Result<bool, StateError> {
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
    match appended.and_then(|it| it) {
        Ok(()) => Ok(true),
        Err(LogError::Full { .. } | LogError::Damaged(_) | LogError::OtherKey) => Ok(false),
        Err(error) => Err(StateError::Damaged {
            path: path.to_owned(),
            why: format!("the new history cannot be recorded: {error}"),
        }),
    }
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
