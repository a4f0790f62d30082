//! The ledger as a component.

use ed25519_dalek::SigningKey;
use portcullis_blk::{
    Disk, Remote, SharedBuffer,
    api::{Area, Client as Blk, Info},
};
use portcullis_console::api::Terminal;
use portcullis_kernel::{
    Caller, Component, MAX_WORDS, Mapping, Message, Method, Mode, Region, RegionMut, Signal,
    Signals, Syscalls, label,
};
use portcullis_log::{
    RECORD_MAX,
    block::{LogId, LogKind, RECORD_OVERHEAD},
    ring::Reader,
    scanner::Watch,
};
use portcullis_manager_api::{Awaited, MANAGER, tell_durable};
use zeroize::Zeroizing;

use crate::{
    ENTRY_MAX, Index, Log, LogError, LogMemory, Recovered, Scratch,
    api::{self, Append, Page},
};

/// The ledger's working memory, for the platform to place: 570 KiB. There is no other, whatever the
/// number of records. Of the grant log no record is read back while the appliance runs, so it has no
/// index.
#[derive(Debug, Default)]
pub struct Memory {
    grants: LogMemory,
    worm: LogMemory,
    index: Index,
    scratch: Scratch,
}

impl Memory {
    /// Memory that is not in use yet.
    pub const fn new() -> Self {
        Self {
            grants: LogMemory::new(),
            worm: LogMemory::new(),
            index: Index::new(),
            scratch: Scratch::new(),
        }
    }
}

/// What says that there are records of the grant log to make durable.
const RECORDS: Awaited<'_> = Awaited {
    subject: MANAGER,
    interface: api::INTERFACE,
    mode: Mode::Stream,
};

/// The ledger's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The ring of the manager's records.
    pub grant_log: M::ReadOnly,
    /// Where the ledger acknowledges them.
    pub grant_log_ack: M::ReadWrite,
    /// The key that signs checkpoints.
    pub ledger_key: M::ReadOnly,
    /// Blocks on their way to and from the disk.
    pub ledger_disk: M::ReadWrite,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger<'m, M: Mapping> {
    channel: u8,
    /// The manager's, that there are records.
    records: Option<Signal>,
    ring: Reader<M::ReadOnly, M::ReadWrite>,
    key_region: M::ReadOnly,
    key: Option<SigningKey>,
    buffer: SharedBuffer<M::ReadWrite>,
    grants: Stored<'m, ()>,
    worm: Stored<'m, &'m mut Index>,
    scratch: &'m mut Scratch,
    console: Terminal,
}

/// A log and its region of the disk.
#[derive(Debug)]
struct Stored<'m, W> {
    log: Log<'m, W>,
    area: Area,
    disk: Option<Remote>,
    /// It takes no record any more, which was said.
    stopped: bool,
    /// That it is nearly full was said.
    warned: bool,
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

impl<'m, M: Mapping> Ledger<'m, M> {
    /// A ledger that reaches the manager on the static channel `channel`.
    pub fn new(channel: u8, regions: Regions<M>, memory: &'m mut Memory) -> Self {
        let Memory {
            grants,
            worm,
            index,
            scratch,
        } = memory;
        Self {
            channel,
            records: None,
            ring: Reader::new(regions.grant_log, regions.grant_log_ack),
            key_region: regions.ledger_key,
            key: None,
            buffer: SharedBuffer::new(regions.ledger_disk),
            grants: Stored {
                log: Log::new(LogKind::Grants, grants, ()),
                area: Area::Grants,
                disk: None,
                stopped: false,
                warned: false,
            },
            worm: Stored {
                log: Log::new(LogKind::Worm, worm, index),
                area: Area::Worm,
                disk: None,
                stopped: false,
                warned: false,
            },
            scratch,
            console: Terminal::SILENT,
        }
    }

    /// Opens both logs, and makes durable what the manager pushed before this component ran. Only then
    /// says what it found: the console may wait for its grants, and these wait for that.
    fn open<K: Syscalls>(&mut self, kernel: &mut K) {
        let Some((client, info)) = self.prepare(kernel) else {
            return self.take_records(kernel);
        };
        let Some(key) = &self.key else { return };
        let disk = (client, &info);
        let (buffer, scratch) = (&mut self.buffer, &mut *self.scratch);
        let grants = self.grants.open(kernel, buffer, scratch, disk, key);
        let worm = self.worm.open(kernel, buffer, scratch, disk, key);
        self.take_records(kernel);
        self.grants.say_opened(kernel, self.console, &info, grants);
        self.worm.say_opened(kernel, self.console, &info, worm);
        self.warn(kernel);
    }

    /// Says once of each log that its region is nearly full.
    fn warn<K: Syscalls>(&mut self, kernel: &mut K) {
        self.grants.warn(kernel, self.console, "no grant is issued");
        self.worm.warn(kernel, self.console, "no entry is taken");
    }

    /// Finds the key, which is kept for as long as there is something to sign, and the disk.
    fn prepare<K: Syscalls>(&mut self, kernel: &mut K) -> Option<(Blk, Info)> {
        let console = self.console;
        let mut seed = Zeroizing::new([0; 32]);
        let read = self.key_region.read(0, &mut *seed);
        if read.is_err() || *seed == [0; 32] {
            let text =
                "no ledger: its key is not in the image: build it with the disk's ledger.key";
            console.line(kernel, format_args!("{text}"));
            return None;
        }
        let found = Blk::find(kernel, self.channel)
            .and_then(|client| client.info(kernel).map(|info| (client, info)));
        match found {
            Ok(found) => {
                self.key = Some(SigningKey::from_bytes(&seed));
                Some(found)
            }
            Err(refusal) => {
                console.line(
                    kernel,
                    format_args!("no ledger: the disk: {refusal}; see what blk says"),
                );
                None
            }
        }
    }

    fn serve<K: Syscalls>(
        &mut self,
        kernel: &mut K,
        method: Method,
        message: &mut Message,
    ) -> Result<(), Failure> {
        let key = self.key.as_ref().ok_or(LogError::Closed)?;
        let remote = self.worm.disk.as_ref().ok_or(LogError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let (log, scratch) = (&mut self.worm.log, &mut *self.scratch);
        let mut buffer = [0; (MAX_WORDS - 1) * 8];
        match method {
            api::APPEND => {
                let group = message.decode(&mut buffer).ok_or(Failure::BadRequest)?;
                let first = append(log, disk, &group, key)?;
                message.reply(&[first, log.size()]);
            }
            api::READ => {
                let index = message.decode(&mut buffer).ok_or(Failure::BadRequest)?;
                let length = log.read(disk, scratch, index, &mut buffer[..ENTRY_MAX])?;
                let encoded = message.encode(label::OK, &&buffer[..length]);
                encoded.map_err(|_| Failure::BadRequest)?;
            }
            api::PROVE => {
                let &[index, size, first] = message.words() else {
                    return Err(Failure::BadRequest);
                };
                let size = if size == 0 { log.size() } else { size };
                let first = usize::try_from(first).map_err(|_| Failure::BadRequest)?;
                Page::of(&log.prove(disk, scratch, index, size)?, first).reply(message);
            }
            _ => return Err(Failure::BadMethod),
        }
        Ok(())
    }

    /// Drains the ring; says why that did not go well, and takes no record any more.
    fn take_records<K: Syscalls>(&mut self, kernel: &mut K) {
        if let Err(error) = self.drain(kernel)
            && !self.grants.stopped
        {
            self.ring.close();
            let text = format_args!("grant log: {error}; no record is taken any more");
            self.console.line(kernel, text);
            self.grants.stopped = true;
        }
    }

    /// Takes everything out of the ring, makes it durable in one commit, acknowledges it.
    fn drain<K: Syscalls>(&mut self, kernel: &mut K) -> Result<(), LogError> {
        let key = self.key.as_ref().ok_or(LogError::Closed)?;
        let remote = self.grants.disk.as_ref().ok_or(LogError::Closed)?;
        let disk = &mut remote.attach(kernel, &mut self.buffer);
        let log = &mut self.grants.log;
        let mut buffer = [0; RECORD_MAX];
        let mut taken = 0_u64;
        let stopped = loop {
            // Before a record leaves the ring: what was taken is acknowledged as a whole.
            if let Err(error) = log.admits(RECORD_OVERHEAD + RECORD_MAX) {
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
            // Grants may wait for it.
            tell_durable(kernel, self.channel);
        }
        stopped.map_or(Ok(()), Err)
    }
}

/// Adds a group of entries; the index of the first. All of them are taken, or none.
fn append<W: Watch>(
    log: &mut Log<'_, W>,
    disk: &mut impl Disk,
    group: &Append<'_>,
    key: &SigningKey,
) -> Result<u64, Failure> {
    check(group)?;
    if let Err(error) = log.admits(group.entries.len()) {
        // What was taken before stays, and nobody may come who would make it durable.
        log.commit(disk, key)?;
        return Err(error.into());
    }
    let mut first = None;
    for entry in group.each() {
        let index = log.add(disk, entry, key)?;
        first.get_or_insert(index);
    }
    if !group.more {
        log.commit(disk, key)?;
    }
    Ok(first.unwrap_or(log.size()))
}

/// Whether all of it is entries, each behind its length.
fn check(group: &Append<'_>) -> Result<(), Failure> {
    let mut length = 0;
    for entry in group.each() {
        if entry.is_empty() || entry.len() > ENTRY_MAX {
            return Err(LogError::TooLong {
                length: entry.len(),
            }
            .into());
        }
        length += RECORD_OVERHEAD + entry.len();
    }
    if length == group.entries.len() {
        Ok(())
    } else {
        Err(Failure::BadRequest)
    }
}

impl<W: Watch> Stored<'_, W> {
    fn open<K: Syscalls, B: RegionMut>(
        &mut self,
        kernel: &mut K,
        buffer: &mut SharedBuffer<B>,
        scratch: &mut Scratch,
        (client, info): (Blk, &Info),
        key: &SigningKey,
    ) -> Result<Recovered, LogError> {
        let remote = self.disk.insert(Remote::new(client, self.area, info));
        let mut disk = remote.attach(kernel, buffer);
        let extent = info.extent(self.area);
        let id = LogId(info.id);
        self.log.open(&mut disk, scratch, id, extent, key)
    }

    fn say_opened<K: Syscalls>(
        &self,
        kernel: &mut K,
        console: Terminal,
        info: &Info,
        opened: Result<Recovered, LogError>,
    ) {
        let (name, length) = (self.name(), info.length(self.area));
        match opened {
            Ok(found) => say_found(kernel, console, (name, length), &found),
            Err(error) => console.line(kernel, format_args!("{name}: not open: {error}")),
        }
    }

    /// Says once that the region is nearly full, and what comes of that.
    fn warn<K: Syscalls>(&mut self, kernel: &mut K, console: Terminal, then: &str) {
        let Some((used, blocks)) = self.log.nearly_full().filter(|_| !self.warned) else {
            return;
        };
        self.warned = true;
        let text = format_args!(
            "{}: {used} of {blocks} blocks are in use: once all are, {then} any more; go on with a new disk \
             before, and keep this one",
            self.name()
        );
        console.line(kernel, text);
    }

    fn name(&self) -> &'static str {
        match self.area {
            Area::Grants => "grant log",
            _ => "ledger",
        }
    }

    /// Says why something did not go well; once, where it goes on like that.
    fn say<K: Syscalls>(&mut self, kernel: &mut K, console: Terminal, error: &LogError) {
        if !(self.stopped && error.is_lasting()) {
            console.line(kernel, format_args!("{}: {error}", self.name()));
        }
        self.stopped |= error.is_lasting();
    }
}

/// Says what is on a log's region, of `length` blocks.
fn say_found<K: Syscalls>(
    kernel: &mut K,
    console: Terminal,
    (name, length): (&str, u64),
    found: &Recovered,
) {
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
        "{name}: {records} records in {commits} commits and {blocks} of {length} blocks, {void} of \
         them void ({torn} torn)"
    );
    console.line(kernel, text);
    if boots > 0 {
        console.line(
            kernel,
            format_args!("{name}: {boots} boots before this one"),
        );
    }
    if found.rewritten > 0 {
        let last = found.rewritten;
        let text =
            format_args!("{name}: wrote the last {last} records again: now they are durable");
        console.line(kernel, text);
    }
    if let Some(error) = found.not_rewritten {
        let text = format_args!("{name}: the last commit cannot be written again: {error}");
        console.line(kernel, text);
    }
    if let Some(damage) = found.damage {
        let text = format_args!("{name}: DAMAGED after {records} records: {damage}");
        console.line(kernel, text);
    }
    if found.other_key {
        console.line(kernel, format_args!("{name}: {}", LogError::OtherKey));
    }
}

impl<K: Syscalls, M: Mapping> Component<K> for Ledger<'_, M> {
    fn init(&mut self, kernel: &mut K) {
        self.console = Terminal::find_or_silent(kernel, self.channel);
        self.records = self.console.find_signal(kernel, self.channel, &RECORDS);
        self.open(kernel);
    }

    fn call(&mut self, kernel: &mut K, caller: Caller, method: Method, message: &mut Message) {
        if let Caller::Channel(_) = caller {
            // Nothing is served on a static channel: no policy line would stand behind it.
            message.refuse(label::BAD_METHOD);
            return;
        }
        match self.serve(kernel, method, message) {
            Ok(()) => self.warn(kernel),
            Err(Failure::BadRequest) => message.refuse(label::BAD_REQUEST),
            Err(Failure::BadMethod) => message.refuse(label::BAD_METHOD),
            Err(Failure::Log(error)) => {
                message.refuse(error.code());
                if error.is_news() {
                    let console = self.console;
                    self.worm.say(kernel, console, &error);
                }
            }
        }
    }

    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        if signals.contains(self.records) {
            self.take_records(kernel);
            self.warn(kernel);
        }
    }
}
