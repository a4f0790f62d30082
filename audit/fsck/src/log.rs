//! A log, from its first block to its region's end: blocks, commits, the chain, roots, signatures.
//!
//! The rules are those of `docs/formats.md`, "Log block": which commits are the log, what a cut leaves,
//! what is damage. Records are handed on once the commit after theirs goes on from them, since until
//! then another may take their place.

use std::fmt;
use std::io::{self, Read, Seek};
use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use portcullis_blk::BLOCK;
use portcullis_log::Record;
use portcullis_log::block::{Footer, LogId, LogKind, RECORD_OVERHEAD};
use serde::Serialize;

use crate::Progress;
use crate::block::{self, Sound, first_record};
use crate::disk::{self, AT_ONCE, Extent, Header, Image, Span, is_zero};
use crate::fault::BlockFault;
use crate::finding::{At, Findings, Hex, Place, Region};
use crate::keys::{Checkpoint, Keys, LogKey};
use crate::record::read_known;
use crate::tree::{Hash, Tree};
use crate::what::What;

/// What was read of a log.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct LogSummary {
    /// Records.
    pub records: u64,
    /// Commits.
    pub commits: u64,
    /// Blocks up to the last that holds anything.
    pub blocks: u64,
    /// Blocks of the region.
    pub region: u64,
    /// Bytes of all records.
    pub bytes: u64,
    /// Root over all records, in hexadecimal; `None` for an empty log.
    pub root: Option<String>,
    /// All of it could be read: no damage comes before an end.
    pub whole: bool,
    /// The keys that signed it.
    pub signed_by: Vec<SignedBy>,
    /// The checkpoints that it agrees with.
    pub held_against: Vec<HeldAgainst>,
    /// The last tree head; `None` for an empty log.
    #[serde(skip)]
    pub head: Option<Footer>,
    /// Which of the log's keys signed that.
    #[serde(skip)]
    pub signer: Option<usize>,
}

/// A key that signed commits of a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SignedBy {
    /// Its name and id.
    pub key: String,
    /// Where it is from.
    pub file: String,
    /// How many commits it signed.
    pub commits: u64,
}

/// A checkpoint that a log agrees with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeldAgainst {
    /// Where it is from.
    pub file: String,
    /// Its records.
    pub records: u64,
    /// The witnesses that cosigned it, of those that were asked for.
    pub cosigned_by: Vec<String>,
}

/// Takes a log's records, in order.
pub trait Sink {
    /// The records of a commit.
    fn commit(&mut self, records: Records<'_>, findings: &mut Findings);
}

/// Takes no record.
impl Sink for () {
    fn commit(&mut self, _: Records<'_>, _: &mut Findings) {}
}

/// Collects a log's records.
impl Sink for Vec<Vec<u8>> {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        self.extend(records.map(|(_, bytes)| bytes.to_vec()));
    }
}

/// Collects the grant log's records, without those that are none.
impl Sink for Vec<Record> {
    fn commit(&mut self, records: Records<'_>, _: &mut Findings) {
        self.extend(records.filter_map(|(_, bytes)| read_known(bytes)));
    }
}

/// Records one behind the other, each with its position in the log.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    first: u64,
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    /// Records that lie in `bytes`, each behind its length; the first is at position `first`.
    pub const fn new(first: u64, bytes: &'a [u8]) -> Self {
        Self { first, bytes }
    }

    /// Position of the first.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How they lie.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (record, rest) = first_record(self.bytes)?;
        let index = self.first;
        *self = Self::new(index + 1, rest);
        Some((index, record))
    }
}

/// Which log is read, and what it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Which<'k> {
    /// Which log.
    pub kind: LogKind,
    /// Keys and checkpoints.
    pub keys: &'k Keys,
    /// Something writes the disk: the log is read as far as the marks say, since all up to there is
    /// written, and nothing that the appliance told anybody lies behind it.
    pub in_use: bool,
}

/// Where a log lies, and whose it is.
#[derive(Clone, Copy)]
pub(crate) struct Located {
    pub(crate) id: [u8; 16],
    pub(crate) span: Span,
    pub(crate) extent: Option<Extent>,
}

/// The log up to the end of a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Head {
    size: u64,
    root: Hash,
}

/// What a commit goes on from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// The last commit that counts.
    Last,
    /// What that one goes on from.
    Base,
    /// Nothing that is there.
    Nothing,
}

/// A commit that is being read.
struct Open {
    from: From,
    first_block: u64,
    blocks: u64,
    previous: Hash,
    next_record: u64,
    payload: Vec<u8>,
    torn: bool,
}

/// The last commit that counts.
struct Last {
    head: Head,
    footer: Footer,
    signer: Option<usize>,
    first_block: u64,
    first_record: u64,
    payload: Vec<u8>,
}

/// What says that the log had a tree head.
#[derive(Clone, Copy)]
enum Voucher<'a> {
    /// A checkpoint.
    Checkpoint(&'a Checkpoint),
    /// A block that the log's key signed, and that lies here, where it does not belong.
    Block(Place),
}

struct Walk<'a, S: ?Sized> {
    which: Which<'a>,
    log: Located,
    region: Region,
    findings: &'a mut Findings,
    sink: &'a mut S,
    /// All records up to the end of the commit that is being read.
    tree: Tree,
    base: Head,
    last: Option<Last>,
    open: Option<Open>,
    /// The first finding since the last commit.
    suspects: usize,
    /// After damage: where, and how many blocks hold something.
    unread: Option<(u64, u64)>,
    /// Tree heads that it was not held against yet.
    vouched: Vec<(Head, Voucher<'a>)>,
    /// Commits of the log by the key that signed them.
    signed: Vec<u64>,
    /// The newest key that signed a commit so far.
    newest: usize,
    /// Where the last block ends that is of a commit: one that counts, or that was under way.
    end: u64,
    /// Memory for the records of the next commit: fresh memory costs as much as hashing a tenth of them.
    spare: Vec<u8>,
    summary: LogSummary,
}

/// Reads a log from the disk that it lies on.
pub fn read_log(
    disk: &mut (impl Read + Seek),
    which: Which<'_>,
    sink: &mut (impl Sink + ?Sized),
    mut progress: impl FnMut(Progress),
) -> (LogSummary, Findings) {
    let mut findings = Findings::default();
    let mut read = || {
        let mut image = Image::new(disk)?;
        let Some(header) = disk::header(&mut image, &mut findings) else {
            return Ok(LogSummary::default());
        };
        let extents = if which.in_use {
            disk::marks_in_use(&mut image, &header, &mut findings)
        } else {
            disk::marks(&mut image, &header, &mut findings)
        };
        let log = Located::new(which.kind, &header, extents);
        let (region, total) = (region(which.kind), log.span.length);
        let show = |done| {
            progress(Progress {
                region,
                done,
                total,
            })
        };
        Ok(check(&mut image, log, which, sink, &mut findings, show))
    };
    let summary = read().unwrap_or_else(|error: io::Error| {
        findings.violation(Place::DISK, What::Unreadable(error.to_string()));
        LogSummary::default()
    });
    (summary, findings)
}

/// Reads a log from its blocks alone: there are no marks to hold it against.
pub fn read_blocks(
    blocks: &mut (impl Read + Seek),
    id: LogId,
    which: Which<'_>,
    sink: &mut (impl Sink + ?Sized),
) -> io::Result<(LogSummary, Findings)> {
    let mut findings = Findings::default();
    let mut image = Image::new(blocks)?;
    let log = Located {
        id: id.0,
        span: Span {
            start: 0,
            length: image.blocks,
        },
        extent: None,
    };
    let summary = check(&mut image, log, which, sink, &mut findings, |_| ());
    Ok((summary, findings))
}

impl Located {
    pub(crate) fn new(kind: LogKind, header: &Header, extents: Option<[Extent; 2]>) -> Self {
        let [grants, worm] = extents.map_or([None; 2], |extents| extents.map(Some));
        let (span, extent) = match kind {
            LogKind::Grants => (header.grants, grants),
            LogKind::Worm => (header.worm, worm),
        };
        let id = header.id;
        Self { id, span, extent }
    }
}

/// The part of the disk that a log lies in.
pub(crate) const fn region(kind: LogKind) -> Region {
    match kind {
        LogKind::Grants => Region::Grants,
        LogKind::Worm => Region::Worm,
    }
}

/// Checks a log.
pub(crate) fn check<D: Read + Seek>(
    image: &mut Image<'_, D>,
    log: Located,
    which: Which<'_>,
    sink: &mut (impl Sink + ?Sized),
    findings: &mut Findings,
    mut progress: impl FnMut(u64),
) -> LogSummary {
    let region = region(which.kind);
    let Located { span, extent, .. } = log;
    let mut there = image.there(span).length;
    if let (true, Some(extent)) = (which.in_use, extent) {
        there = there.min(extent.mark);
    }
    let mut walk = Walk::new(which, log, sink, findings);
    let mut buffer = vec![0; BLOCK * AT_ONCE.min(there as usize)];
    let mut number = 0;
    while number < there {
        let count = (there - number).min(AT_ONCE as u64);
        let data = &mut buffer[..count as usize * BLOCK];
        image.read((region, span.start), number, data, walk.findings);
        if which.in_use && number + count == there {
            // A commit may go on in the last block.
            let last = &mut data[(count as usize - 1) * BLOCK..];
            image.settle((region, span.start), there - 1, last, walk.findings);
        }
        for block in data.as_chunks::<BLOCK>().0 {
            walk.block(number, block);
            number += 1;
        }
        progress(number);
    }
    walk.finish()
}

impl<'a, S: Sink + ?Sized> Walk<'a, S> {
    fn new(which: Which<'a>, log: Located, sink: &'a mut S, findings: &'a mut Findings) -> Self {
        let tree = Tree::default();
        let region = region(which.kind);
        let of_it = which.keys.checkpoints.iter();
        let of_it = of_it.filter(|it| it.kind == which.kind);
        let checkpoints = of_it.filter_map(|it| vouches(it, region, findings));
        Self {
            base: Head {
                size: 0,
                root: tree.root(0),
            },
            vouched: checkpoints.collect(),
            signed: vec![0; which.keys.of(which.kind).len()],
            newest: 0,
            end: 0,
            spare: Vec::new(),
            suspects: findings.list.len(),
            summary: LogSummary {
                region: log.span.length,
                whole: true,
                ..LogSummary::default()
            },
            last: None,
            open: None,
            unread: None,
            which,
            log,
            region,
            findings,
            sink,
            tree,
        }
    }

    fn place(&self, number: u64) -> Place {
        Place::block(self.region, number)
    }

    fn head(&self) -> Head {
        self.last.as_ref().map_or(self.base, |last| last.head)
    }

    fn block(&mut self, number: u64, bytes: &[u8; BLOCK]) {
        if is_zero(bytes) {
            return self.unfinished();
        }
        self.summary.blocks = number + 1;
        if let Some((_, blocks)) = &mut self.unread {
            *blocks += 1;
            return;
        }
        let mut rest = &bytes[..];
        while self.unread.is_none() {
            match block::read(rest) {
                block::Read::Void => return,
                block::Read::Torn(fault) => return self.suspect(number, What::Block(fault)),
                block::Read::Changed(fault) => return self.damaged(number, What::Block(fault)),
                block::Read::Sound(part) => {
                    rest = &rest[part.length..];
                    self.sound(number, part);
                }
            }
        }
    }

    fn sound(&mut self, number: u64, block: Sound<'_>) {
        let header = block.header();
        if (header.kind, header.log) != (self.which.kind.code(), self.log.id) {
            return if self.goes_on(&block) {
                let fault = BlockFault::Field("log");
                self.damaged(number, What::Block(fault))
            } else {
                self.suspect(number, What::Foreign)
            };
        }
        if header.block.get() != number {
            let elsewhere = header.block.get();
            self.suspect(number, What::Misplaced { number: elsewhere });
            return self.keep_head(number, &block);
        }
        if header.part.get() == 0 {
            self.unfinished();
            self.start(number, &block);
        }
        let Some(open) = self.open.take_if(|open| open.is_continued_by(&block)) else {
            return self.suspect(number, What::Orphan);
        };
        self.take(number, open, &block);
    }

    /// No cut moves a block: the log had the tree head that a misplaced one was signed for.
    fn keep_head(&mut self, number: u64, block: &Sound<'_>) {
        let Some(footer) = block.footer() else { return };
        let head = Head::said(footer);
        if head.size > self.base.size && self.signer(&head, footer).is_some() {
            let voucher = Voucher::Block(self.place(number));
            self.vouched.push((head, voucher));
        }
    }

    /// Whether a block holds the root of this log, or of the commit that is being read: then it is of
    /// this log, whatever else it says.
    fn goes_on(&self, block: &Sound<'_>) -> bool {
        let starts = block.header().part.get() == 0 && self.from(block) != From::Nothing;
        let continues = self.open.as_ref();
        starts && self.head().size > 0 || continues.is_some_and(|it| it.is_continued_by(block))
    }

    /// What the commit that begins with a block goes on from.
    fn from(&self, block: &Sound<'_>) -> From {
        let header = block.header();
        let goes_on_from = Head {
            size: header.first_record.get(),
            root: header.previous,
        };
        if goes_on_from == self.head() {
            From::Last
        } else if goes_on_from == self.base {
            From::Base
        } else {
            From::Nothing
        }
    }

    fn start(&mut self, number: u64, block: &Sound<'_>) {
        let from = self.from(block);
        if from == From::Base {
            self.tree.truncate(self.base.size);
        }
        let header = block.header();
        self.open = Some(Open {
            from,
            first_block: number,
            blocks: 0,
            previous: header.previous,
            next_record: header.first_record.get(),
            payload: mem::take(&mut self.spare),
            torn: false,
        });
    }

    fn take(&mut self, number: u64, mut open: Open, block: &Sound<'_>) {
        open.blocks += 1;
        open.torn |= block.torn;
        let records = u64::from(block.header().records.get());
        open.next_record = open.next_record.saturating_add(records);
        if open.from != From::Nothing {
            open.payload.extend_from_slice(block.payload());
            each(block.payload(), |record| self.tree.push(record));
        }
        match block.footer() {
            None => {
                if !open.torn && open.from != From::Nothing {
                    self.end = number + 1;
                }
                self.open = Some(open);
            }
            Some(footer) => self.commit(number, open, footer),
        }
    }

    fn commit(&mut self, number: u64, open: Open, footer: &Footer) {
        if open.from == From::Nothing {
            return self.damaged(open.first_block, What::Chain);
        }
        let head = Head {
            size: self.tree.size(),
            root: self.tree.root(self.tree.size()),
        };
        if head != Head::said(footer) {
            let torn = open.torn;
            self.undo(open.from);
            return if torn {
                self.suspect(number, What::Torn)
            } else {
                self.damaged(number, What::Root)
            };
        }
        if open.from == From::Last && self.last.is_some() {
            // Whoever finds the trace of a cut writes the last commit again first.
            self.findings.convict(self.suspects);
        }
        let signer = self.signer(&head, footer);
        self.hold_against_keys(number, signer);
        match open.from {
            From::Last => self.settle(),
            From::Base | From::Nothing => self.replace(&head, &open.payload),
        }
        self.summary.commits += 1;
        self.end = number + 1;
        self.suspects = self.findings.list.len();
        self.last = Some(Last {
            head,
            footer: *footer,
            signer,
            first_block: open.first_block,
            first_record: self.base.size,
            payload: open.payload,
        });
    }

    /// A key signs no more once another has taken its place.
    fn hold_against_keys(&mut self, number: u64, signer: Option<usize>) {
        let keys = self.which.keys.of(self.which.kind);
        let place = self.place(number);
        match signer {
            None if keys.is_empty() => {}
            None => self.findings.violation(place, What::Signature),
            Some(key) if key < self.newest => {
                let [key, newer] = [key, self.newest].map(|it| keys[it].name.clone());
                self.findings
                    .violation(place, What::RetiredKey { key, newer });
            }
            Some(key) => self.newest = key,
        }
    }

    /// The key that signed a tree head.
    fn signer(&self, head: &Head, footer: &Footer) -> Option<usize> {
        let kind = self.which.kind;
        let mut keys = self.which.keys.of(kind).iter();
        keys.position(|LogKey { key, .. }| {
            is_signed(kind, &self.log.id, head, &footer.signature, key)
        })
    }

    /// Nothing can take the last commit's place any more: its records are those of the log.
    fn settle(&mut self) {
        let Some(last) = self.last.take() else {
            return;
        };
        self.hold_against_vouchers(last.head.size);
        let records = Records::new(last.first_record, &last.payload);
        self.sink.commit(records, self.findings);
        let lengths = (last.head.size - last.first_record) * RECORD_OVERHEAD as u64;
        self.summary.bytes += last.payload.len() as u64 - lengths;
        self.summary.head = Some(last.footer);
        self.summary.signer = last.signer;
        if let Some(key) = last.signer {
            self.signed[key] += 1;
        }
        self.base = last.head;
        self.tree.forget(self.base.size);
        self.spare = last.payload;
        self.spare.clear();
    }

    /// The last commit was written again.
    fn replace(&mut self, again: &Head, payload: &[u8]) {
        let Some(Last {
            head,
            first_block,
            payload: before,
            ..
        }) = self.last.take()
        else {
            return;
        };
        self.summary.commits -= 1;
        let Head { size, root } = head;
        let place = self.place(first_block);
        if again.size < size && before.starts_with(payload) {
            let found = again.size;
            self.findings
                .violation(place, What::WentBack { size, found });
        } else if again.size < size || self.tree.root(size) != root {
            self.findings.violation(place, What::Fork { size });
        } else if again.size > size {
            self.findings.note(place, What::Superseded { size });
        }
    }

    /// Takes the records of a commit that does not count out of the tree.
    fn undo(&mut self, from: From) {
        match (from, &self.last) {
            (From::Nothing, _) => {}
            (From::Base, Some(last)) => {
                self.tree.truncate(self.base.size);
                each(&last.payload, |record| self.tree.push(record));
            }
            (From::Last | From::Base, _) => self.tree.truncate(self.head().size),
        }
    }

    fn unfinished(&mut self) {
        if let Some(open) = self.open.take() {
            self.undo(open.from);
            let blocks = open.blocks;
            let place = self.place(open.first_block);
            self.findings.note(place, What::Unfinished { blocks });
        }
    }

    fn suspect(&mut self, number: u64, what: What) {
        self.unfinished();
        self.findings.note(self.place(number), what);
    }

    /// Nothing after this can be held against anything.
    fn damaged(&mut self, number: u64, what: What) {
        self.unfinished();
        self.findings.convict(self.suspects);
        self.findings.violation(self.place(number), what);
        self.unread = Some((number + 1, 0));
        self.summary.whole = false;
    }

    /// Holds the records up to `size` against the tree heads that lie in them.
    fn hold_against_vouchers(&mut self, size: u64) {
        let place = Place::new(self.region, At::Whole);
        for (head, voucher) in self.vouched.extract_if(.., |(head, _)| head.size <= size) {
            match voucher {
                _ if self.tree.root(head.size) != head.root => {
                    let (checkpoint, size) = (voucher.to_string(), head.size);
                    let what = What::Rewritten { checkpoint, size };
                    self.findings.violation(place, what);
                }
                Voucher::Checkpoint(checkpoint) => self.summary.held_against.push(HeldAgainst {
                    file: checkpoint.file.clone(),
                    records: head.size,
                    cosigned_by: checkpoint.cosigned_by.clone(),
                }),
                Voucher::Block(_) => {}
            }
        }
    }

    fn finish(mut self) -> LogSummary {
        self.unfinished();
        self.settle();
        self.hold_against_vouchers(self.base.size);
        let found = self.base.size;
        let place = Place::new(self.region, At::Whole);
        for (head, voucher) in mem::take(&mut self.vouched) {
            self.findings.convict(self.suspects);
            let what = What::Truncated {
                checkpoint: voucher.to_string(),
                expected: head.size,
                found,
            };
            self.findings.violation(place, what);
        }
        if let Some((number, blocks)) = self.unread.filter(|(_, blocks)| *blocks > 0) {
            let place = self.place(number);
            self.findings.violation(place, What::Unread { blocks });
        }
        if let Some(extent) = self.log.extent {
            self.hold_against_flushed(extent.flushed);
            if !self.which.in_use {
                self.hold_against_mark(&extent);
            }
            let (used, blocks) = (extent.mark.max(self.summary.blocks), self.log.span.length);
            if used.saturating_mul(5) >= blocks.saturating_mul(4) {
                self.findings.note(place, What::NearlyFull { used, blocks });
            }
        }
        let keys = self.which.keys;
        let vouched = found > 0 || !self.summary.held_against.is_empty();
        if keys.named && !vouched && !keys.of(self.which.kind).is_empty() {
            self.findings.unchecked(place, What::Unvouched);
        }
        let mut checkpoints = keys.checkpoints.iter();
        let has_checkpoint = checkpoints.any(|it| it.kind == self.which.kind);
        let is_checked = !keys.of(self.which.kind).is_empty();
        if keys.kept && found > 0 && is_checked && !has_checkpoint {
            self.findings.note(place, What::NoCheckpoint);
        }
        let keys = self.which.keys.of(self.which.kind).iter().zip(self.signed);
        let keys = keys.filter(|(_, commits)| *commits > 0);
        let signed_by = keys.map(|(key, commits)| SignedBy {
            key: key.name.clone(),
            file: key.file.clone(),
            commits,
        });
        self.summary.signed_by = signed_by.collect();
        self.summary.records = found;
        self.summary.root = (found > 0).then(|| Hex(&self.base.root).to_string());
        self.summary
    }

    /// The last block that was surely flushed is of a commit. Not always of a whole one: others flush too.
    fn hold_against_flushed(&mut self, flushed: u64) {
        let end = self.end;
        if self.summary.whole && end < flushed {
            self.findings.convict(self.suspects);
            let place = self.place(flushed - 1);
            self.findings
                .violation(place, What::FlushedGone { flushed, end });
        }
    }

    fn hold_against_mark(&mut self, extent: &Extent) {
        let (mark, end) = (extent.mark, self.summary.blocks);
        let place = self.place(mark.min(end));
        if end > mark {
            self.findings.note(place, What::BeyondMark { mark, end });
        } else if end < mark && end >= extent.flushed {
            self.findings.note(place, What::BehindMark { mark, end });
        }
    }
}

/// What a checkpoint vouches for; where that is nothing, it is a finding.
fn vouches<'k>(
    checkpoint: &'k Checkpoint,
    region: Region,
    findings: &mut Findings,
) -> Option<(Head, Voucher<'k>)> {
    match checkpoint.head {
        Ok((size, root)) => Some((Head { size, root }, Voucher::Checkpoint(checkpoint))),
        Err(ref why) => {
            let (checkpoint, why) = (checkpoint.file.clone(), why.clone());
            let place = Place::new(region, At::Whole);
            findings.violation(place, What::Checkpoint { checkpoint, why });
            None
        }
    }
}

impl Head {
    /// What the end of a commit says.
    const fn said(footer: &Footer) -> Self {
        Self {
            size: footer.tree_size.get(),
            root: footer.root,
        }
    }
}

impl fmt::Display for Voucher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(checkpoint) => f.write_str(&checkpoint.file),
            Self::Block(place) => write!(f, "the misplaced commit at {place}"),
        }
    }
}

impl Open {
    fn is_continued_by(&self, block: &Sound<'_>) -> bool {
        let header = block.header();
        u64::from(header.part.get()) == self.blocks
            && header.previous == self.previous
            && header.first_record.get() == self.next_record
    }
}

/// Shows the records of a payload, in order.
fn each(mut payload: &[u8], mut show: impl FnMut(&[u8])) {
    while let Some((record, rest)) = first_record(payload) {
        show(record);
        payload = rest;
    }
}

/// Whether a checkpoint's signature is the log's: see `docs/formats.md`, "Checkpoint".
fn is_signed(
    kind: LogKind,
    id: &[u8; 16],
    head: &Head,
    signature: &[u8; 64],
    key: &VerifyingKey,
) -> bool {
    let (id, name, root) = (Hex(id), kind.name(), STANDARD.encode(head.root));
    let text = format!("portcullis/{id}/{name}\n{}\n{root}\n", head.size);
    let signature = Signature::from_bytes(signature);
    key.verify_strict(text.as_bytes(), &signature).is_ok()
}
