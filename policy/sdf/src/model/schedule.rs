//! seL4's scheduling domains. Not Portcullis's security domains.

use super::{Span, Spanned};

/// `<domains>` and the `<domain_schedule>` in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainSchedule {
    /// The start tag of `<domains>`.
    pub span: Span,
    /// The domains in the order of the text.
    pub domains: Vec<Domain>,
    /// The schedule's first entry. Default 0.
    pub start_index: Spanned<u64>,
    /// The first entry's place in the kernel's schedule. Default 0.
    pub index_shift: Option<Spanned<u64>>,
    /// The entries; `None` is `<schedule_end_marker>`.
    pub schedule: Vec<Option<Duration>>,
}

/// `<domain>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// Its start tag.
    pub span: Span,
    /// Its name.
    pub name: Spanned<String>,
    /// Its number for the kernel. Where the text says none, the smallest that is left.
    pub id: Spanned<u8>,
}

/// `<schedule_entry>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Duration {
    /// Its start tag.
    pub span: Span,
    /// The domain's place in [`DomainSchedule::domains`].
    pub domain: Spanned<usize>,
    /// How long, in `unit`; above zero.
    pub length: Spanned<u64>,
    /// What the length counts.
    pub unit: Unit,
}

/// Units of a [`Duration`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unit {
    /// `us`.
    Microseconds,
    /// `ticks` of the kernel's timer.
    Ticks,
}
