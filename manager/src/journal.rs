//! What the manager tells: records of this boot for the log, and reports for the operator.

use portcullis_kernel::{Principal, Region, RegionMut};
use portcullis_log::ring::{Full, SLOT, Writer};
use portcullis_log::{BootId, Cause, GrantFields, Operation, Outcome, Record, Time};
use portcullis_manager_api::Report;
use portcullis_policy_format::Policy;

use crate::grants::{By, Grants};
use crate::loaded::Loaded;
use crate::members::Members;

/// The clock, and the operator's eyes.
pub trait Platform {
    /// The time. Where it goes back, records carry the latest seen.
    fn now(&mut self) -> Time;

    /// Leaves for the clock when the manager wants to be woken, in nanoseconds of monotonic time;
    /// `None`: never. Asked only where the policy names a clock.
    fn set_deadline(&mut self, at: Option<u64>) {
        let _ = at;
    }

    /// Tells the operator. The numbers are those of the policy, which is in force.
    fn report(&mut self, report: Report, policy: Option<&Policy<'_>>);
}

/// What a record says, beside when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) operation: Operation,
    pub(crate) grant: Option<GrantFields>,
    pub(crate) cause: Cause,
    pub(crate) outcome: Outcome,
}

/// Where records and reports go.
pub(crate) trait Journal {
    /// Writes a record.
    fn record(&mut self, event: Event) -> Result<(), Full>;

    /// Whether that many records can be written before the ring is full.
    fn has_room(&mut self, records: u64) -> bool;

    /// Nanoseconds of monotonic time, which is not before that of any record.
    fn monotonic(&mut self) -> u64;

    /// Records of this boot.
    fn written(&self) -> u64;

    /// Of these, durable ones.
    fn durable(&mut self) -> u64;

    /// The bytes of the record of this boot with this number, while it is in the ring.
    fn read<'b>(&self, sequence: u64, slot: &'b mut [u8; SLOT]) -> Option<&'b [u8]>;

    /// Tells the operator.
    fn report(&mut self, report: Report, loaded: Option<&Loaded<'_>>);

    /// Writes a record about no grant, that something was done.
    fn record_done(&mut self, operation: Operation, cause: Cause) -> Result<(), Full> {
        self.record(Event {
            operation,
            grant: None,
            cause,
            outcome: Outcome::Done,
        })
    }

    /// Writes a record about a grant.
    fn record_grant(
        &mut self,
        (loaded, grants, members): (&Loaded<'_>, &Grants<'_>, &Members),
        operation: Operation,
        index: u16,
        by: By,
        outcome: Outcome,
    ) -> Result<(), Full> {
        let grant = grants.fields(index);
        let line = loaded.line(grants.number(index));
        let event = |cause| Event {
            operation,
            grant: Some(grant),
            cause,
            outcome,
        };
        // Each cause is written in place: to choose one first and then copy it takes longer.
        match by {
            By::Policy | By::Lease => self.record(event(Cause::Policy { line })),
            By::Request(component) => self.record(event(Cause::Request {
                by: Principal::component(component),
                line: Some(line),
            })),
            By::Fault(component) => {
                let fault = members.fault(component);
                self.record(event(Cause::Fault { component, fault }))
            }
        }
    }
}

/// Numbers and dates records, and puts them into the ring.
#[derive(Debug)]
pub(crate) struct Ring<P, R, A> {
    platform: P,
    ring: Writer<R, A>,
    boot: BootId,
    /// Version of the policy in force.
    policy: u32,
    latest: Time,
    announced: u64,
}

impl<P, R: RegionMut, A: Region> Ring<P, R, A> {
    pub(crate) const fn new(platform: P, ring: Writer<R, A>, boot: BootId) -> Self {
        Self {
            platform,
            ring,
            boot,
            policy: 0,
            latest: Time::since_start(0),
            announced: 0,
        }
    }

    pub(crate) const fn platform(&self) -> &P {
        &self.platform
    }

    /// Whether there are records that the ledger was not told of.
    pub(crate) const fn has_news(&self) -> bool {
        self.announced < self.ring.head()
    }

    /// Has records name this version of the policy.
    pub(crate) const fn enforce(&mut self, policy: u32) {
        self.policy = policy;
    }

    /// Leaves the next deadline for the clock.
    pub(crate) fn set_deadline(&mut self, at: Option<u64>)
    where
        P: Platform,
    {
        self.platform.set_deadline(at);
    }

    /// Notes that the ledger was told of all records.
    pub(crate) const fn announce(&mut self) {
        self.announced = self.ring.head();
    }
}

impl<P: Platform, R, A> Ring<P, R, A> {
    /// Neither clock goes back in the log.
    #[inline(always)]
    fn advance(&mut self) {
        let (now, latest) = (self.platform.now(), &mut self.latest);
        latest.monotonic = latest.monotonic.max(now.monotonic);
        latest.utc = latest.utc.max(now.utc);
    }
}

impl<P: Platform, R: RegionMut, A: Region> Journal for Ring<P, R, A> {
    /// In line, so that a record is put together where it is written from.
    #[inline(always)]
    fn record(&mut self, event: Event) -> Result<(), Full> {
        let Event {
            operation,
            grant,
            cause,
            outcome,
        } = event;
        self.advance();
        self.ring.push(&Record {
            sequence: self.ring.head(),
            boot: self.boot,
            time: self.latest,
            policy: self.policy,
            operation,
            grant,
            cause,
            outcome,
        })
    }

    fn has_room(&mut self, records: u64) -> bool {
        self.ring.has_room(records)
    }

    fn monotonic(&mut self) -> u64 {
        self.advance();
        self.latest.monotonic
    }

    fn written(&self) -> u64 {
        self.ring.head()
    }

    fn durable(&mut self) -> u64 {
        self.ring.acknowledged()
    }

    fn read<'b>(&self, sequence: u64, slot: &'b mut [u8; SLOT]) -> Option<&'b [u8]> {
        self.ring.record(sequence, slot)
    }

    fn report(&mut self, report: Report, loaded: Option<&Loaded<'_>>) {
        self.platform.report(report, loaded.map(Loaded::policy));
    }
}
