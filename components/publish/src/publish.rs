//! The component: which objects it publishes when, and what it says.

use core::fmt;

use portcullis_console::Terminal;
use portcullis_console::text::{Counted, Denied, Grouped, Plain};
use portcullis_kernel::{
    Component, Mapping, Mode, NotifyGrant, OutOfRange, Refusal, Region, RegionMut, Signal, Signals,
    Syscalls,
};
use portcullis_manager_api::{Awaited, find_notify};
use portcullis_vault::api::{self as vault, Client};

use crate::stream::{Begin, Round, Writer};
use crate::{DocumentPath, PathError, VaultRefusal, api};

/// Name of the component that reads the stream, in the reference policy.
const READER: &str = "edge";
/// Name of the interface that the stream is.
const FEED: &str = "feed";
/// What says that there is something to release, in the reference policy.
const READY: Awaited<'_> = Awaited {
    subject: "ingest",
    interface: api::INTERFACE,
    mode: Mode::Notify,
};
/// Objects from this size on, in bytes, show their progress: smaller ones are done at once.
const PROGRESS_FROM: u64 = 1 << 20;

/// The publisher's memory regions, by their names in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// A released object on its way out of the vault.
    pub vault_publish: M::ReadOnly,
    /// The stream of published objects.
    pub publish_edge: M::ReadWrite,
}

/// The publisher.
#[derive(Debug)]
pub struct Publish<M: Mapping> {
    channel: u8,
    terminal: Terminal,
    /// Ingest's, that there is something to release.
    ready: Option<Signal>,
    buffer: M::ReadOnly,
    /// The region of the stream, until the stream is started.
    region: Option<M::ReadWrite>,
    link: Option<Link<M::ReadWrite>>,
    /// Where the vault's list of released objects was left: what lies before is published.
    cursor: u64,
    /// Objects that this publisher began to put on the stream.
    objects: u64,
}

/// Where objects come from, and where they go.
#[derive(Debug)]
struct Link<S> {
    vault: Client,
    writer: Writer<S>,
    feed: NotifyGrant,
}

/// A released object.
#[derive(Clone, Debug)]
struct Released {
    path: DocumentPath,
    size: u64,
    sha256: [u8; 32],
}

/// What a round came to.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    published: u64,
    bytes: u64,
    failed: u64,
}

/// Why an object, or all of them, cannot be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    /// The vault refused.
    Vault(Refusal),
    /// The vault gave only so many bytes of it.
    Short(u64),
    /// Its name cannot go out.
    Name(PathError),
    /// A region ends too early.
    Region(OutOfRange),
}

impl<M: Mapping> Publish<M> {
    /// A publisher that asks the manager on its static channel `channel`.
    pub fn new(channel: u8, regions: Regions<M>) -> Self {
        Self {
            channel,
            terminal: Terminal::SILENT,
            ready: None,
            buffer: regions.vault_publish,
            region: Some(regions.publish_edge),
            link: None,
            cursor: 0,
            objects: 0,
        }
    }

    /// Finds the grants and starts the stream; without either nothing is published.
    fn open(&mut self, kernel: &mut impl Syscalls) {
        let terminal = Terminal::find_or_silent(kernel, self.channel);
        self.terminal = terminal;
        self.ready = terminal.find_signal(kernel, self.channel, &READY);
        let vault = Client::find(kernel, self.channel);
        let feed = find_notify(kernel, self.channel, READER, FEED, Mode::Stream);
        for (object, refusal) in [(vault::OBJECT, vault.err()), (READER, feed.err())] {
            if let Some(refusal) = refusal {
                let why = Denied(refusal);
                let text = format_args!("nothing is published: no grant to {object}: {why}");
                terminal.line(kernel, text);
            }
        }
        if let (Ok(vault), Ok(feed), Some(region)) = (vault, feed, self.region.take()) {
            match Writer::new(region) {
                Ok(writer) => {
                    self.link = Some(Link {
                        vault,
                        writer,
                        feed,
                    });
                }
                Err(error) => {
                    let text = format_args!("nothing is published: no stream to {READER}: {error}");
                    terminal.line(kernel, text);
                }
            }
        }
    }

    /// Publishes everything that was released since the last round.
    fn round(&mut self, kernel: &mut impl Syscalls) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let begun = self.objects;
        let mut tally = Tally::default();
        loop {
            match link.next(kernel, &mut self.cursor) {
                Ok(Some(object)) => self.object(kernel, &mut link, &object, &mut tally),
                Ok(None) => break,
                Err(failure @ Failure::Name(_)) => {
                    tally.failed += 1;
                    let text = format_args!("a released object is passed over: {failure}");
                    self.terminal.line(kernel, text);
                }
                Err(failure) => {
                    let text = format_args!("cannot see what is released: {failure}");
                    self.terminal.line(kernel, text);
                    break;
                }
            }
        }
        if self.objects > begun {
            let objects = self.objects;
            let ended = link.send(kernel, |writer| writer.round(Round { objects }));
            link.signal(kernel);
            if let Err(failure) = ended {
                let text = format_args!("the round is not ended: {failure}");
                self.terminal.line(kernel, text);
            }
        }
        if tally.published + tally.failed > 0 {
            self.terminal.line(kernel, format_args!("{tally}"));
        }
        self.link = Some(link);
    }

    /// Publishes one object, and says what came of it.
    fn object(
        &mut self,
        kernel: &mut impl Syscalls,
        link: &mut Link<M::ReadWrite>,
        object: &Released,
        tally: &mut Tally,
    ) {
        let number = self.objects;
        self.objects += 1;
        match link.publish(kernel, self.terminal, &self.buffer, number, object) {
            Ok(()) => {
                tally.published += 1;
                tally.bytes += object.size;
            }
            Err(failure) => {
                tally.failed += 1;
                let path = Plain(object.path.as_str());
                let text = format_args!("{path}: not published: {failure}");
                self.terminal.line(kernel, text);
            }
        }
    }
}

impl<S: RegionMut> Link<S> {
    /// The next released object; the cursor goes past it whether or not it can go out.
    fn next(
        &self,
        kernel: &mut impl Syscalls,
        cursor: &mut u64,
    ) -> Result<Option<Released>, Failure> {
        let mut buffer = [0; _];
        let view = match self.vault.released(kernel, *cursor, &mut buffer) {
            Ok(view) => view,
            Err(Refusal::Object(vault::NO_MORE)) => return Ok(None),
            Err(refusal) => return Err(Failure::Vault(refusal)),
        };
        // A cursor that does not go on would never end.
        if view.next <= *cursor {
            return Err(Failure::Vault(Refusal::Garbled));
        }
        *cursor = view.next;
        Ok(Some(Released {
            path: DocumentPath::new(view.name).map_err(Failure::Name)?,
            size: view.size,
            sha256: view.digest,
        }))
    }

    /// Puts an object on the stream. Where that fails in the middle, the reader sees that the next
    /// object begins before this one ended.
    fn publish(
        &mut self,
        kernel: &mut impl Syscalls,
        terminal: Terminal,
        buffer: &impl Region,
        number: u64,
        object: &Released,
    ) -> Result<(), Failure> {
        let begin = Begin {
            number,
            path: object.path.clone(),
            size: object.size,
            sha256: object.sha256,
        };
        self.send(kernel, |writer| writer.begin(&begin))?;
        let mut done = 0;
        while done < object.size {
            let length = (object.size - done).min(buffer.size() as u64);
            let length = self.vault.read(kernel, &object.sha256, done, length)?;
            if length == 0 {
                return Err(Failure::Short(done));
            }
            // At most the buffer's size, which the client has checked.
            self.send_piece(kernel, buffer, length as usize)?;
            done += length;
            if object.size >= PROGRESS_FROM {
                terminal.progress(kernel, object.path.as_str(), done, object.size);
            }
        }
        self.send(kernel, Writer::end)?;
        self.signal(kernel);
        Ok(())
    }

    /// Puts the first `length` bytes of `buffer` on the stream.
    fn send_piece(
        &mut self,
        kernel: &mut impl Syscalls,
        buffer: &impl Region,
        length: usize,
    ) -> Result<(), Failure> {
        let mut at = 0;
        while at < length {
            at += self.send(kernel, |writer| writer.data(buffer, at, length - at))?;
        }
        Ok(())
    }

    /// Writes a frame; before it, wakes the reader where half a ring is unread.
    fn send<T>(
        &mut self,
        kernel: &mut impl Syscalls,
        write: impl FnOnce(&mut Writer<S>) -> Result<T, OutOfRange>,
    ) -> Result<T, Failure> {
        if self.writer.is_due() {
            self.signal(kernel);
        }
        write(&mut self.writer).map_err(Failure::Region)
    }

    /// Wakes the reader, which is above this component: when this returns, it has read.
    fn signal(&mut self, kernel: &mut impl Syscalls) {
        self.feed.signal(kernel);
        self.writer.signalled();
    }
}

impl<K: Syscalls, M: Mapping> Component<K> for Publish<M> {
    fn init(&mut self, kernel: &mut K) {
        self.open(kernel);
        self.round(kernel);
    }

    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        if signals.contains(self.ready) {
            self.round(kernel);
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Vault(refusal)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objects, bytes) = (Counted(self.published, "object"), Grouped(self.bytes));
        write!(f, "{objects} published, {bytes} B")?;
        match self.failed {
            0 => Ok(()),
            failed => write!(f, "; {} not", Grouped(failed)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault(refusal) => VaultRefusal(*refusal).fmt(f),
            Self::Short(done) => {
                write!(f, "the vault gave only the first {} bytes", Grouped(*done))
            }
            Self::Name(error) => error.fmt(f),
            Self::Region(error) => error.fmt(f),
        }
    }
}
