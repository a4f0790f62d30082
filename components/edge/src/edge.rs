//! The component: what it does with the stream, and what it says.

use portcullis_console::Terminal;
use portcullis_console::text::{Counted, Grouped, Plain, ShortDigest};
use portcullis_kernel::{Component, Mapping, Mode, Signal, Signals, Syscalls};
use portcullis_manager_api::Awaited;
use portcullis_publish::stream::{Lost, PAYLOAD_MAX, Reader};

use crate::intake::{Event, Events, Intake, Tally};
use crate::list::{LISTED_MAX, List, Listed};

/// What says that there are frames on the stream, in the reference policy.
const FRAMES: Awaited<'_> = Awaited {
    subject: "publish",
    interface: "feed",
    mode: Mode::Stream,
};
/// Columns of a path, so that the figures after it stand under each other.
const PATH_WIDTH: usize = 36;

/// The edge's memory region, by its name in the system description.
#[derive(Debug)]
pub struct Regions<M: Mapping> {
    /// The stream of published objects.
    pub publish_edge: M::ReadOnly,
}

/// The edge.
#[derive(Debug)]
pub struct Edge<M: Mapping> {
    channel: u8,
    terminal: Terminal,
    /// The publisher's, that there are frames.
    frames: Option<Signal>,
    /// The region of the stream, until it is read.
    region: Option<M::ReadOnly>,
    reader: Option<Reader<M::ReadOnly>>,
    intake: Intake,
    list: List,
    /// Whole objects of this round that the list had no room for.
    unlisted: u64,
    failures: u64,
    buffer: [u8; PAYLOAD_MAX],
}

impl<M: Mapping> Edge<M> {
    /// An edge that asks the manager on its static channel `channel`.
    pub fn new(channel: u8, regions: Regions<M>) -> Self {
        Self {
            channel,
            terminal: Terminal::SILENT,
            frames: None,
            region: Some(regions.publish_edge),
            reader: None,
            intake: Intake::new(true),
            list: List::new(),
            unlisted: 0,
            failures: 0,
            buffer: [0; PAYLOAD_MAX],
        }
    }

    /// What it serves.
    pub fn listed(&self) -> &[Listed] {
        self.list.objects()
    }

    /// Objects that were published and are not listed: damaged, lost, or too many; and parts of the
    /// stream that were lost.
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    fn open(&mut self, kernel: &mut impl Syscalls) {
        self.terminal = Terminal::find_or_silent(kernel, self.channel);
        self.frames = self.terminal.find_signal(kernel, self.channel, &FRAMES);
        let Some(region) = self.region.take() else {
            return;
        };
        match Reader::new(region) {
            Ok(reader) => {
                self.intake = Intake::new(reader.is_at_start());
                self.reader = Some(reader);
            }
            Err(error) => {
                let text = format_args!("nothing is listed: no stream to read: {error}");
                self.terminal.line(kernel, text);
            }
        }
    }

    /// Reads what the stream holds. What is written meanwhile has its own signal.
    fn drain(&mut self, kernel: &mut impl Syscalls) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        if let Err(lost) = self.frames(kernel, &mut reader) {
            let text = format_args!("part of the stream is lost: {lost}");
            self.terminal.line(kernel, text);
            self.failures += 1;
            let events = self.intake.lose();
            self.tell(kernel, events);
        }
        self.reader = Some(reader);
    }

    fn frames(
        &mut self,
        kernel: &mut impl Syscalls,
        reader: &mut Reader<M::ReadOnly>,
    ) -> Result<(), Lost> {
        reader.poll()?;
        while let Some(frame) = reader.next(&mut self.buffer)? {
            let events = self.intake.take(frame);
            self.tell(kernel, events);
        }
        Ok(())
    }

    /// Lists what is whole, and says what became of every object.
    fn tell(&mut self, kernel: &mut impl Syscalls, events: Events) {
        let terminal = self.terminal;
        for event in events {
            match event {
                Event::Whole(object) => self.add(kernel, object),
                Event::Damaged(path, damage) => {
                    let path = Plain(path.as_str());
                    self.failures += 1;
                    terminal.line(
                        kernel,
                        format_args!("{path}: damaged, not listed: {damage}"),
                    );
                }
                Event::Lost(count) => {
                    let objects = Counted(count, "object");
                    self.failures = self.failures.saturating_add(count);
                    let text = format_args!("{objects} lost with a part of the stream");
                    terminal.line(kernel, text);
                }
                Event::Round(tally) => self.end_round(kernel, tally),
            }
        }
    }

    fn end_round(&mut self, kernel: &mut impl Syscalls, tally: Tally) {
        let unlisted = core::mem::take(&mut self.unlisted);
        let listed = Counted(tally.whole.saturating_sub(unlisted), "object");
        let (damaged, lost) = (Grouped(tally.damaged), Grouped(tally.lost));
        let text = format_args!("{listed} listed, {damaged} damaged, {lost} lost");
        self.terminal.line(kernel, text);
    }

    fn add(&mut self, kernel: &mut impl Syscalls, object: Listed) {
        let terminal = self.terminal;
        let path = &object.path;
        let (size, digest) = (Grouped(object.size), ShortDigest(&object.sha256));
        let text = format_args!("{path:<PATH_WIDTH$} {size:>13} B  sha256 {digest}  verified");
        terminal.line(kernel, text);
        if !self.list.add(&object) {
            self.unlisted += 1;
            self.failures += 1;
            let text =
                format_args!("{path}: not listed: the list has room for {LISTED_MAX} objects");
            terminal.line(kernel, text);
        }
    }
}

impl<K: Syscalls, M: Mapping> Component<K> for Edge<M> {
    fn init(&mut self, kernel: &mut K) {
        self.open(kernel);
        self.drain(kernel);
    }

    fn notified(&mut self, kernel: &mut K, signals: Signals) {
        if signals.contains(self.frames) {
            self.drain(kernel);
        }
    }
}
