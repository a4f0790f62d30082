//! The ledger as a component.

use ed25519_dalek::SigningKey;
use portcullis_blk::{
    Disk, Remote,
    api::{Area, Client as Blk, Info},
};
use portcullis_console::api::Terminal;
use portcullis_kernel::{
    Caller, Component, MAX_WORDS, Message, Method, Region, RegionMut, Syscalls, label,
};
use portcullis_log::{
    RECORD_MAX,
    block::{LogId, LogKind},
    ring::Reader,
};
use zeroize::Zeroizing;

use crate::{
    ENTRY_MAX, Log, LogError, LogMemory, Recovered,
    api::{self, Page},
};

/// The ledger's working memory, for the platform to place: 440 KiB.
#[derive(Debug, Default)]
pub struct Memory {
    grants: LogMemory,
    worm: LogMemory,
}

impl Memory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            grants: LogMemory::new(),
            worm: LogMemory::new(),
        }
    }
}

/// The ledger. `R` is the region `grant_log`, `A` `grant_log_ack`, `Y` `ledger_key`, `B` `ledger_disk`.
#[derive(Debug)]
pub struct Ledger<'m, R, A, Y, B> {
    channel: u8,
    ring: Reader<R, A>,
    key_region: Y,
    key: Option<SigningKey>,
    buffer: B,
    grants: Stored<'m>,
    worm: Stored<'m>,
    console: Terminal,
    /// Why the ring is not drained any more, once that was said.
    ring_stopped: bool,
}

/// A log and its region of the disk.
#[derive(Debug)]
struct Stored<'m> {
    log: Log<'m>,
    area: Area,
    disk: Option<Remote>,
}

/// Why a request was not served.
enum Failure {
    Log(LogError),
    BadRequest,
    BadMethod,
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl<'m, R: Region, A: RegionMut, Y: Region, B: RegionMut> Ledger<'m, R, A, Y, B> {
    /// A ledger that reaches the manager on the static channel `channel`.
    pub fn new(
        channel: u8,
        ring: R,
        acknowledgement: A,
        key: Y,
        buffer: B,
        memory: &'m mut Memory,
    ) -> Self {
        let Memory { grants, worm } = memory;
        Self {
            channel,
            ring: Reader::new(ring, acknowledgement),
            key_region: key,
            key: None,
            buffer,
            grants: Stored {
                log: Log::new(LogKind::Grants, grants),
                area: Area::Grants,
                disk: None,
            },
            worm: Stored {
                log: Log::new(LogKind::Worm, worm),
                area: Area::Worm,
                disk: None,
            },
            console: Terminal::SILENT,
            ring_stopped: false,
        }
    }

    fn open<K: Syscalls>(&mut self, kernel: &mut K) {
        let console = self.console;
        let mut seed = Zeroizing::new([0; 32]);
        if let Err(error) = self.key_region.read(0, &mut *seed) {
            console.line(kernel, format_args!("no ledger: its key: {error}"));
            return;
        }
        let key = self.key.insert(SigningKey::from_bytes(&seed));
        let found = Blk::find(kernel, self.channel)
            .and_then(|client| client.info(kernel).map(|info| (client, info)));
        let (client, info) = match found {
            Ok(found) => found,
            Err(refusal) => {
                console.line(kernel, format_args!("no ledger: the disk: {refusal}"));
                return;
            }
        };
        for stored in [&mut self.grants, &mut self.worm] {
            stored.open(kernel, &mut self.buffer, client, &info, key, console);
        }
    }

    fn serve<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        method: Method,
        message: &mut Message,
    ) -> Result<(), Failure> {
        let key = self.key.as_ref().ok_or(LogError::Closed)?;
        let remote = self.worm.disk.as_mut().ok_or(LogError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let log = &mut self.worm.log;
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        match method {
            api::APPEND => {
                let entry: &[u8] = message.decode(&mut buffer).ok_or(Failure::BadRequest)?;
                let index = append(log, disk, entry, key)?;
                message.reply(&[index]);
            }
            api::READ => {
                let index = message.decode(&mut buffer).ok_or(Failure::BadRequest)?;
                let length = log.read(disk, index, &mut buffer[..ENTRY_MAX])?;
                let encoded = message.encode(label::OK, &&buffer[..length]);
                encoded.map_err(|_| Failure::BadRequest)?;
            }
            api::PROVE => {
                let &[index, size, first] = message.words() else {
                    return Err(Failure::BadRequest);
                };
                let size = if size == 0 { log.size() } else { size };
                let first = usize::try_from(first).map_err(|_| Failure::BadRequest)?;
                Page::of(&log.prove(disk, index, size)?, first).reply(message);
            }
            _ => return Err(Failure::BadMethod),
        }
        Ok(())
    }

    /// Takes everything out of the ring, makes it durable in one commit, acknowledges it.
    fn drain<K: Syscalls>(&mut self, kernel: &mut K) -> Result<(), LogError> {
        let key = self.key.as_ref().ok_or(LogError::Closed)?;
        let remote = self.grants.disk.as_mut().ok_or(LogError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let log = &mut self.grants.log;
        let mut buffer = [0; RECORD_MAX];
        let mut taken = 0_u64;
        let stopped = loop {
            // Before a record leaves the ring: what was taken is acknowledged as a whole.
            if let Err(error) = log.admits(RECORD_MAX) {
                break Some(error);
            }
            match self.ring.pop(&mut buffer) {
                Ok(Some(record)) => {
                    log.add(disk, record, key)?;
                    taken += 1;
                }
                Ok(None) => break None,
                Err(fault) => break Some(LogError::Ring(fault)),
            }
        };
        if taken > 0 {
            log.commit(disk, key)?;
            // The page is there, or the constructor's caller gave no region: then nobody reads it.
            let _ = self.ring.acknowledge();
        }
        stopped.map_or(Ok(()), Err)
    }
}

fn append(
    log: &mut Log<'_>,
    disk: &mut impl Disk,
    entry: &[u8],
    key: &SigningKey,
) -> Result<u64, LogError> {
    let length = entry.len();
    if length == 0 || length > ENTRY_MAX {
        return Err(LogError::TooLong { length });
    }
    let index = log.add(disk, entry, key)?;
    log.commit(disk, key)?;
    Ok(index)
}

impl Stored<'_> {
    fn open<K: Syscalls, B: RegionMut>(
        &mut self,
        kernel: &mut K,
        buffer: &mut B,
        client: Blk,
        info: &Info,
        key: &SigningKey,
        console: Terminal,
    ) {
        let remote = self.disk.insert(Remote::new(client, self.area, info));
        let mut disk = remote.attach(kernel, buffer);
        let mark = info.mark(self.area);
        let name = match self.area {
            Area::Grants => "grant log",
            _ => "ledger",
        };
        match self.log.open(&mut disk, LogId(info.id), mark, key) {
            Ok(found) => say_found(kernel, console, name, &found),
            Err(error) => console.line(kernel, format_args!("{name}: not open: {error}")),
        }
    }
}

fn say_found<K: Syscalls>(kernel: &mut K, console: Terminal, name: &str, found: &Recovered) {
    let Recovered {
        records,
        commits,
        boots,
        blocks,
        void,
        torn,
        ..
    } = *found;
    let text = format_args!(
        "{name}: {records} records in {commits} commits and {blocks} blocks, {void} of them void \
         ({torn} torn)"
    );
    console.line(kernel, text);
    if boots > 0 {
        console.line(
            kernel,
            format_args!("{name}: {boots} boots before this one"),
        );
    }
    if let Some(damage) = found.damage {
        let text = format_args!("{name}: DAMAGED after {records} records: {damage}");
        console.line(kernel, text);
    }
    if found.other_key {
        console.line(kernel, format_args!("{name}: {}", LogError::OtherKey));
    }
}

impl<K, R, A, Y, B> Component<K> for Ledger<'_, R, A, Y, B>
where
    K: Syscalls,
    R: Region,
    A: RegionMut,
    Y: Region,
    B: RegionMut,
{
    fn init(&mut self, kernel: &mut K) {
        self.console = Terminal::find_or_silent(kernel, self.channel);
        self.open(kernel);
        // What the manager pushed before this component ran.
        self.notified(kernel, 0);
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        if let Caller::Channel(_) = caller {
            // Nothing is served on a static channel: no policy line would stand behind it.
            message.refuse(label::BAD_METHOD);
            return;
        }
        match self.serve(kernel, method, message) {
            Ok(()) => {}
            Err(Failure::BadRequest) => message.refuse(label::BAD_REQUEST),
            Err(Failure::BadMethod) => message.refuse(label::BAD_METHOD),
            Err(Failure::Log(error)) => {
                message.refuse(error.code());
                if matches!(
                    error,
                    LogError::Disk(_) | LogError::Lost { .. } | LogError::Full { .. }
                ) {
                    self.console.line(kernel, format_args!("ledger: {error}"));
                }
            }
        }
    }

    fn notified(&mut self, kernel: &mut K, _: u64) {
        match self.drain(kernel) {
            Ok(()) => {}
            Err(_) if self.ring_stopped => {}
            Err(error) => {
                self.ring_stopped = true;
                let text = format_args!("grant log: {error}; no record is acknowledged any more");
                self.console.line(kernel, text);
            }
        }
    }
}
