//! The grants that are issued, or are about to be: a table, its queues, and who derived from whom.
//!
//! A grant takes an entry of the table when it is to be issued, and gives it back when its revocation
//! is logged. The entry's index is the badge's; it says nothing of where the policy lists the grant.
//! Entries change through the transitions here alone, which keep state, queue, tree and counts together:
//!
//! ```text
//!            claim            await_durable          enter_force
//!     free ---------> claimed -------------> logged -----------> in force
//!                     |     ^                  |   (or at once)      |
//!            make_due v     | take_due         +------ revoked ------+
//!                       due                             v
//!     free, due or retired <---- finish_revoked ---- unlogged
//! ```
//!
//! Whoever issues a grant holds its [`Claimed`] meanwhile, and gives it up with the next transition.

use core::num::NonZeroU32;

use portcullis_kernel::{Generation, Grant, GrantBadge, KernelError, MethodSet, Mode};
use portcullis_log::{GrantFields, Operation};
use portcullis_manager_api::MAX_DEPTH;
use portcullis_policy_format::{AllowedGrant, MAX_GRANTS, When};

use crate::loaded::COMPONENTS;
use leases::{Leases, Memory};
use queue::Queue;

mod leases;
mod queue;
mod tree;

/// Grants of the largest table: a grant's index has 16 bits in the badge.
pub const MAX_TABLE: usize = MAX_GRANTS as usize;

/// Bytes of memory for each grant: the largest table then takes 7.4 MiB.
const GRANT_SIZE: usize = 118;

const _: () = assert!(size_of::<Table<MAX_TABLE>>() <= GRANT_SIZE * MAX_TABLE);

/// Memory for a manager's table of `GRANTS` grants. Its initial value is all zeros, so that as a
/// static it takes no room in an image.
#[derive(Debug)]
pub struct Table<const GRANTS: usize> {
    /// What the policy allows, by number.
    allowed: [AllowedGrant; GRANTS],
    entries: [Entry; GRANTS],
    /// The entry that each of the allowed grants took last.
    taken: [u16; GRANTS],
    leases: Memory<GRANTS>,
}

impl<const GRANTS: usize> Table<GRANTS> {
    /// An empty table.
    pub const fn new() -> Self {
        const { assert!(GRANTS <= MAX_TABLE, "a badge cannot index more grants") };
        Self {
            allowed: [AllowedGrant {
                grant: NO_GRANT,
                notification: None,
                when: When::Boot,
                lease_ms: None,
                line: 0,
            }; GRANTS],
            entries: [Entry::FREE; GRANTS],
            taken: [0; GRANTS],
            leases: Memory::EMPTY,
        }
    }

    /// The memory for what is loaded, and the table of what is issued.
    pub(crate) const fn split(&mut self) -> (&mut [AllowedGrant], Grants<'_>) {
        let grants = Grants {
            entries: &mut self.entries,
            taken: &mut self.taken,
            fresh: 0,
            roots: 0,
            ids: 0,
            free: Queue::EMPTY,
            due: Queue::EMPTY,
            logged: Queue::EMPTY,
            unlogged: Queue::EMPTY,
            stuck: Queue::EMPTY,
            in_force: 0,
            holds: [0; COMPONENTS],
            serves: [0; COMPONENTS],
            news: 0,
            leases: self.leases.leases(),
            can_lease: false,
        };
        (&mut self.allowed, grants)
    }
}

impl<const GRANTS: usize> Default for Table<GRANTS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The table of grants.
#[derive(Debug)]
pub(crate) struct Grants<'t> {
    entries: &'t mut [Entry],
    taken: &'t mut [u16],
    /// The first entry that was never used.
    fresh: u32,
    /// The first without a root in the authority CNode: it is never used.
    roots: u32,
    /// Grants of this boot so far.
    ids: u64,
    free: Queue,
    /// To be issued: their records come first, as soon as the ring has room.
    due: Queue,
    /// Their records are in the ring: in force as soon as these are durable.
    logged: Queue,
    /// Revoked: their records are written as soon as the ring has room.
    unlogged: Queue,
    /// In force, since the kernel refused to take them back: the records of that are written as soon as
    /// the ring has room.
    stuck: Queue,
    in_force: u32,
    holds: [u32; COMPONENTS],
    serves: [u32; COMPONENTS],
    /// Components, a bit each, that do not wait for what they asked for, where something came of it.
    news: u64,
    /// When grants in force end.
    leases: Leases<'t>,
    /// Whether something ends leases.
    can_lease: bool,
}

/// A grant, and how it stands.
///
/// `parent`, `child` and `sibling` are indices, and an entry's own stands for none: in the tree of
/// who derived from whom, which the kernel does not keep.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    /// The id of the grant that it was derived from; 0: of none.
    from: u64,
    grant: Grant,
    lease_ms: Option<NonZeroU32>,
    /// Number, in the policy, of what allows it.
    number: u16,
    /// Of the grant, or else of the next that takes the entry.
    generation: Generation,
    parent: u16,
    child: u16,
    sibling: u16,
    link: u16,
    /// Records of this boot, modulo 2^32, when the one that issues it was the last.
    logged_at: u32,
    state: State,
    by: By,
    /// Why the kernel refused to take it back, until that is logged.
    stuck: Option<KernelError>,
    /// Why the kernel refused to make it, where that ended it.
    unmade: Option<KernelError>,
    /// How often it may be handed on.
    depth: u8,
    /// Whether who asked for it is to be signalled when it is decided.
    announces: bool,
}

/// How a grant stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// There is none: the entry can be taken.
    Free,
    /// Being issued; in no queue.
    Claimed,
    Due,
    Logged,
    InForce,
    /// Revoked; once that is logged, the entry becomes this.
    Unlogged(Next),
    /// Never to be used again: the generations are used up, or the kernel still holds the badge.
    Retired,
}

/// What becomes of an entry when its grant has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Free,
    /// The same grant is issued again, under the next generation.
    Due,
    Retired,
    /// The entry is retired, and the same grant is issued again with another.
    Moved,
}

/// What became of an entry whose grant has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    Reusable,
    Retired,
    /// Retired, and no other is left for the grant, which was to be issued again.
    Lost,
}

/// Who had a grant issued or revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    /// The policy says so itself.
    Policy,
    /// This component asked.
    Request(u16),
    /// This component faulted.
    Fault(u16),
    /// Its lease ended.
    Lease,
}

impl By {
    /// The operation that a record of a grant's end tells.
    pub(crate) const fn ending(self) -> Operation {
        match self {
            Self::Lease => Operation::Expire,
            Self::Policy | Self::Request(_) | Self::Fault(_) => Operation::Revoke,
        }
    }
}

/// The index of a grant that is being issued. Not to be dropped: its entry would be lost.
#[derive(Debug)]
#[must_use]
pub(crate) struct Claimed(u16);

impl Claimed {
    pub(crate) const fn index(&self) -> u16 {
        self.0
    }
}

/// Nanoseconds of a millisecond.
const MILLISECOND: u64 = 1_000_000;

const NO_GRANT: Grant = Grant {
    subject: 0,
    slot: 0,
    object: 0,
    interface: 0,
    methods: MethodSet::EMPTY,
    mode: Mode::Call,
};

impl Entry {
    const FREE: Self = Self {
        id: 0,
        from: 0,
        grant: NO_GRANT,
        lease_ms: None,
        number: 0,
        generation: match Generation::new(0) {
            Some(first) => first,
            None => panic!("0 is a generation"),
        },
        parent: 0,
        child: 0,
        sibling: 0,
        link: 0,
        logged_at: 0,
        state: State::Free,
        by: By::Policy,
        stuck: None,
        unmade: None,
        depth: 0,
        announces: false,
    };
}

/// Transitions.
impl Grants<'_> {
    /// Lets as many entries be taken as the authority CNode has roots.
    pub(crate) fn open(&mut self, roots: u32) {
        self.roots = roots.min(self.entries.len() as u32);
    }

    /// Takes an entry for grant `number` of the policy: the one that was free for longest. `None` where
    /// the grant has one already, or none is free.
    pub(crate) fn claim(
        &mut self,
        number: u16,
        allowed: &AllowedGrant,
        by: By,
        parent: Option<u16>,
    ) -> Option<Claimed> {
        self.take((number, allowed.grant, allowed.lease_ms), by, parent)
    }

    fn take(
        &mut self,
        (number, grant, lease_ms): (u16, Grant, Option<u32>),
        by: By,
        parent: Option<u16>,
    ) -> Option<Claimed> {
        if self.issued_as(number).is_some() {
            return None;
        }
        let index = if self.fresh < self.roots {
            self.fresh += 1;
            (self.fresh - 1) as u16
        } else {
            self.free.pop(self.entries)?
        };
        // Field by field: a whole entry would be put together elsewhere first, and copied.
        let from = parent.map_or(0, |parent| self.at(parent).id);
        let entry = self.at_mut(index);
        entry.from = from;
        entry.grant = grant;
        entry.lease_ms = lease_ms.and_then(NonZeroU32::new);
        entry.number = number;
        (entry.parent, entry.child, entry.sibling) = (index, index, index);
        (entry.state, entry.by) = (State::Claimed, by);
        (entry.unmade, entry.depth, entry.announces) = (None, MAX_DEPTH, false);
        self.taken[usize::from(number)] = index;
        if let Some(parent) = parent {
            tree::adopt(self.entries, parent, index);
        }
        Some(Claimed(index))
    }

    /// Has a grant that is being issued include these methods alone, be handed on so often, and last so many
    /// milliseconds.
    pub(crate) fn narrow(
        &mut self,
        claimed: &Claimed,
        methods: MethodSet,
        depth: u8,
        lease_ms: Option<u32>,
    ) {
        let entry = self.at_mut(claimed.index());
        (entry.grant.methods, entry.depth) = (methods, depth);
        entry.lease_ms = lease_ms.and_then(NonZeroU32::new);
    }

    /// Has who asked for a grant that waits for its record be signalled when it is decided.
    pub(crate) fn announce(&mut self, index: u16) {
        self.at_mut(index).announces = true;
    }

    /// Whether something is decided for a component that does not wait for it.
    pub(crate) const fn has_news(&self) -> bool {
        self.news != 0
    }

    /// Takes the components, a bit each, for whom something is decided that they do not wait for.
    pub(crate) const fn take_news(&mut self) -> u64 {
        core::mem::replace(&mut self.news, 0)
    }

    /// Notes that it is decided what becomes of a grant that was asked for.
    fn decide(&mut self, index: u16) {
        let entry = self.at_mut(index);
        if let (true, By::Request(component)) = (entry.announces, entry.by) {
            entry.announces = false;
            self.news |= 1 << component;
        }
    }

    /// Has grant `number` of the policy issued, or issued again once its revocation is logged. Says
    /// whether there is an entry for it.
    pub(crate) fn schedule(&mut self, number: u16, allowed: &AllowedGrant) -> bool {
        if let Some(index) = self.issued_as(number) {
            let state = &mut self.at_mut(index).state;
            *state = match *state {
                State::Unlogged(Next::Free) => State::Unlogged(Next::Due),
                State::Unlogged(Next::Retired) => State::Unlogged(Next::Moved),
                other => other,
            };
            return true;
        }
        let claimed = self.claim(number, allowed, By::Policy, None);
        claimed.map(|Claimed(index)| self.make_due(index)).is_some()
    }

    /// Takes the first grant that is due.
    pub(crate) fn take_due(&mut self) -> Option<Claimed> {
        let index = self.due.pop(self.entries)?;
        Some(self.hold(index))
    }

    /// Gives a grant that is about to be logged its id.
    pub(crate) fn identify(&mut self, claimed: &Claimed) {
        self.ids += 1;
        self.at_mut(claimed.index()).id = self.ids;
    }

    /// Has a grant whose record is number `logged_at` of this boot wait until that is durable.
    pub(crate) fn await_durable(&mut self, Claimed(index): Claimed, logged_at: u32) {
        let entry = self.at_mut(index);
        (entry.state, entry.logged_at) = (State::Logged, logged_at);
        self.logged.push(self.entries, index);
    }

    /// Takes the first grant that waits for its record.
    pub(crate) fn take_logged(&mut self) -> Option<Claimed> {
        let index = self.logged.pop(self.entries)?;
        Some(self.hold(index))
    }

    /// Notes that the kernel made the grant's capabilities.
    pub(crate) fn enter_force(&mut self, Claimed(index): Claimed) {
        self.at_mut(index).state = State::InForce;
        self.count(index, |count| count + 1);
        self.decide(index);
    }

    /// Lets grants with a lease be issued: a clock tells when one ends.
    pub(crate) const fn open_leases(&mut self) {
        self.can_lease = true;
    }

    /// Lets no grant with a lease be issued any more.
    pub(crate) const fn close_leases(&mut self) {
        self.can_lease = false;
    }

    /// Starts the lease of a grant that came into force, where it has one. It does not end after that of the
    /// grant that it was derived from.
    pub(crate) fn start_lease(&mut self, index: u16, now: u64) {
        let Some(lease_ms) = self.at(index).lease_ms else {
            return;
        };
        let end = now.saturating_add(u64::from(lease_ms.get()) * MILLISECOND);
        let parent = self
            .parent(index)
            .and_then(|parent| self.leases.end(parent));
        self.leases
            .set(index, parent.map_or(end, |parent| end.min(parent)));
    }

    /// Gives back the entry of a grant that no record says was issued.
    pub(crate) fn release(&mut self, Claimed(index): Claimed) {
        self.orphan(index);
        self.make_free(index);
    }

    /// Ends a grant that the kernel refused after its record was written.
    pub(crate) fn fail(
        &mut self,
        Claimed(index): Claimed,
        (error, next): (KernelError, Next),
    ) -> Ended {
        self.decide(index);
        self.at_mut(index).unmade = Some(error);
        self.end(index, next)
    }

    /// Ends a grant that is issued, and of which the kernel holds nothing any more: its revocation is
    /// to be logged. Of one that is not issued nothing changes.
    pub(crate) fn revoked(&mut self, index: u16, by: By, next: Next) {
        match self.at(index).state {
            State::InForce => {
                self.count(index, |count| count - 1);
                self.leases.remove(index);
            }
            State::Logged => self.logged.remove(self.entries, index),
            _ => return,
        }
        self.decide(index);
        self.detach(index);
        let entry = self.at_mut(index);
        (entry.state, entry.by) = (State::Unlogged(next), by);
        if entry.stuck.take().is_none() {
            return self.unlogged.push(self.entries, index);
        }
        // What it was derived from may be revoked already, and logged after it.
        self.stuck.remove(self.entries, index);
        self.unlogged.push_first(self.entries, index);
    }

    /// Notes that the kernel refused to take a grant back, which is to be logged: it stays in force.
    pub(crate) fn refused(&mut self, index: u16, by: By, error: KernelError) {
        self.leases.remove(index);
        let entry = self.at_mut(index);
        entry.by = by;
        if entry.stuck.replace(error).is_none() {
            self.stuck.push(self.entries, index);
        }
    }

    /// Notes that it is logged.
    pub(crate) fn finish_refused(&mut self) {
        if let Some(index) = self.stuck.pop(self.entries) {
            self.at_mut(index).stuck = None;
        }
    }

    /// Ends the first of the grants whose revocation was to be logged: it is.
    pub(crate) fn finish_revoked(&mut self) -> Ended {
        let index = self.unlogged.pop(self.entries);
        match index.map(|index| (index, self.at(index).state)) {
            Some((index, State::Unlogged(next))) => self.end(index, next),
            _ => Ended::Reusable,
        }
    }

    /// Makes a grant one that no revocation of another's takes along. It still says whose it was, for
    /// the record.
    pub(crate) fn detach(&mut self, index: u16) {
        tree::detach(self.entries, index);
    }

    /// Ends a use of an entry: the next, if there is one, has another generation.
    fn end(&mut self, index: u16, next: Next) -> Ended {
        self.orphan(index);
        let entry = self.at_mut(index);
        match (next, entry.generation.next()) {
            (Next::Free, Some(generation)) => {
                entry.generation = generation;
                self.make_free(index);
                Ended::Reusable
            }
            (Next::Due, Some(generation)) => {
                entry.generation = generation;
                self.make_due(index);
                Ended::Reusable
            }
            (Next::Retired, _) | (Next::Free, None) => {
                entry.state = State::Retired;
                Ended::Retired
            }
            (Next::Moved, _) | (Next::Due, None) => {
                entry.state = State::Retired;
                let again = (
                    entry.number,
                    entry.grant,
                    entry.lease_ms.map(NonZeroU32::get),
                );
                match self.take(again, By::Policy, None) {
                    Some(Claimed(other)) => {
                        self.make_due(other);
                        Ended::Retired
                    }
                    None => Ended::Lost,
                }
            }
        }
    }

    fn make_due(&mut self, index: u16) {
        let entry = self.at_mut(index);
        (entry.state, entry.by) = (State::Due, By::Policy);
        self.due.push(self.entries, index);
    }

    fn make_free(&mut self, index: u16) {
        self.at_mut(index).state = State::Free;
        self.free.push(self.entries, index);
    }

    fn hold(&mut self, index: u16) -> Claimed {
        self.at_mut(index).state = State::Claimed;
        Claimed(index)
    }

    fn orphan(&mut self, index: u16) {
        self.detach(index);
        let entry = self.at_mut(index);
        (entry.parent, entry.from) = (index, 0);
    }

    /// Counts a grant in, or out, where it is held and where it is served.
    fn count(&mut self, index: u16, step: impl Fn(u32) -> u32) {
        let grant = &self.entries[usize::from(index)].grant;
        let (subject, object) = (grant.subject, grant.object);
        let (holds, serves) = (usize::from(subject), usize::from(object));
        self.in_force = step(self.in_force);
        self.holds[holds] = step(self.holds[holds]);
        self.serves[serves] = step(self.serves[serves]);
    }

    fn at_mut(&mut self, index: u16) -> &mut Entry {
        &mut self.entries[usize::from(index)]
    }
}

/// How grants stand. An index that came from here is always one of an entry.
impl Grants<'_> {
    fn at(&self, index: u16) -> &Entry {
        &self.entries[usize::from(index)]
    }

    fn is(&self, index: u16, state: State) -> bool {
        let entry = self.entries.get(usize::from(index));
        entry.is_some_and(|it| it.state == state)
    }

    pub(crate) fn is_in_force(&self, index: u16) -> bool {
        self.is(index, State::InForce)
    }

    /// Whether a grant is in force, or will be when its record is durable.
    pub(crate) fn is_issued(&self, index: u16) -> bool {
        self.is_in_force(index) || self.is(index, State::Logged)
    }

    /// The entry that grant `number` of the policy has, from its being due until its revocation is
    /// logged.
    pub(crate) fn issued_as(&self, number: u16) -> Option<u16> {
        let index = *self.taken.get(usize::from(number))?;
        let entry = self.at(index);
        let has = entry.number == number && !matches!(entry.state, State::Free | State::Retired);
        has.then_some(index)
    }

    /// The entry of grant `number` of the policy, if that is in force.
    pub(crate) fn in_force_as(&self, number: u16) -> Option<u16> {
        self.issued_as(number)
            .filter(|index| self.is_in_force(*index))
    }

    /// Why the kernel refused to make grant `number` of the policy, where it was last issued and that
    /// ended it.
    pub(crate) fn unmade(&self, number: u16) -> Option<KernelError> {
        let entry = self.at(*self.taken.get(usize::from(number))?);
        entry.unmade.filter(|_| entry.number == number)
    }

    /// Whether this is the badge of a grant in force.
    pub(crate) fn is_badge(&self, badge: GrantBadge) -> bool {
        let index = badge.index();
        self.is_in_force(index) && self.at(index).generation == badge.generation()
    }

    /// The first grant in force from an index on.
    pub(crate) fn next_in_force(&self, from: u16) -> Option<u16> {
        (from..=u16::MAX)
            .take_while(|index| u32::from(*index) < self.fresh)
            .find(|index| self.is_in_force(*index))
    }

    pub(crate) fn grant(&self, index: u16) -> &Grant {
        &self.at(index).grant
    }

    /// How often it may be handed on.
    pub(crate) fn depth(&self, index: u16) -> u8 {
        self.at(index).depth
    }

    pub(crate) fn is_leased(&self, index: u16) -> bool {
        self.at(index).lease_ms.is_some()
    }

    /// Milliseconds of a grant's lease.
    pub(crate) fn lease_ms(&self, index: u16) -> Option<u32> {
        self.at(index).lease_ms.map(NonZeroU32::get)
    }

    /// Whether something ends leases.
    pub(crate) const fn can_lease(&self) -> bool {
        self.can_lease
    }

    /// The grant in force whose lease ends first, and when, in nanoseconds of monotonic time.
    pub(crate) fn first_lease(&self) -> Option<(u16, u64)> {
        self.leases.first()
    }

    /// Number, in the policy, of what allows a grant.
    pub(crate) fn number(&self, index: u16) -> u16 {
        self.at(index).number
    }

    /// Who had it issued or, where it is revoked, revoked.
    pub(crate) fn by(&self, index: u16) -> By {
        self.at(index).by
    }

    /// The badge to mint with; `None` where it has no methods, which no sound policy allows.
    pub(crate) fn badge(&self, index: u16) -> Option<GrantBadge> {
        let entry = self.at(index);
        GrantBadge::new(index, entry.generation, entry.grant.methods)
    }

    /// What a record says of it.
    pub(crate) fn fields(&self, index: u16) -> GrantFields {
        let entry = self.at(index);
        GrantFields {
            id: entry.id,
            index,
            generation: entry.generation,
            grant: entry.grant,
            parent: (entry.from != 0).then_some(entry.from),
            lease_ms: entry.lease_ms.map(NonZeroU32::get),
        }
    }

    /// What a record says of grant `number` of the policy, which may have no entry: the index is then that
    /// of the entry that it had last or, where it was never issued, its number.
    pub(crate) fn fields_of(&self, number: u16, allowed: &AllowedGrant) -> GrantFields {
        let last = self.taken[usize::from(number)];
        let entry = self.at(last);
        if (entry.number, entry.grant.slot) == (number, allowed.grant.slot) {
            return self.fields(last);
        }
        GrantFields {
            id: 0,
            index: number,
            generation: Generation::default(),
            grant: allowed.grant,
            parent: None,
            lease_ms: allowed.lease_ms,
        }
    }

    /// The grant that it was derived from.
    pub(crate) fn parent(&self, index: u16) -> Option<u16> {
        let parent = self.at(index).parent;
        (parent != index).then_some(parent)
    }

    /// Whether a grant was derived from another that is issued: indices come again, ids do not.
    pub(crate) fn is_from(&self, index: u16, parent: u16) -> bool {
        self.at(index).from == self.at(parent).id
    }

    /// The first of the deepest grants derived from it; itself where there is none.
    pub(crate) fn deepest(&self, index: u16) -> u16 {
        tree::deepest(self.entries, index)
    }

    pub(crate) fn first_due(&self) -> Option<u16> {
        self.due.first()
    }

    /// Number, in this boot, of the record that the first of the waiting grants waits for.
    pub(crate) fn first_awaited(&self) -> Option<u32> {
        self.logged.first().map(|index| self.at(index).logged_at)
    }

    /// The first grant of which it is to be logged that the kernel refused to take it back, and why.
    pub(crate) fn first_refused(&self) -> Option<(u16, KernelError)> {
        let index = self.stuck.first()?;
        Some((index, self.at(index).stuck?))
    }

    /// The first grant whose revocation is to be logged.
    pub(crate) fn first_unlogged(&self) -> Option<u16> {
        self.unlogged.first()
    }

    /// How many grants are in force.
    pub(crate) const fn in_force(&self) -> u32 {
        self.in_force
    }

    /// How many grants in force a component holds, and of how many it is the object.
    pub(crate) fn of_component(&self, number: u16) -> Option<[u32; 2]> {
        let number = usize::from(number);
        Some([*self.holds.get(number)?, *self.serves.get(number)?])
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use super::*;

    fn allowed(slot: u16) -> AllowedGrant {
        AllowedGrant {
            grant: Grant {
                slot,
                methods: MethodSet(1),
                ..NO_GRANT
            },
            notification: None,
            when: When::Request,
            lease_ms: None,
            line: 1,
        }
    }

    /// A table of three grants, two of which may be issued at once.
    fn table() -> Grants<'static> {
        let (_, mut grants) = Box::leak(Box::new(Table::<3>::new())).split();
        grants.open(2);
        grants
    }

    #[test]
    fn a_grant_has_one_entry_and_an_entry_one_grant() {
        let mut grants = table();
        let first = grants.claim(2, &allowed(3), By::Policy, None).unwrap();
        assert!(grants.claim(2, &allowed(3), By::Policy, None).is_none());
        let second = grants.claim(0, &allowed(1), By::Policy, None).unwrap();
        assert!(grants.claim(1, &allowed(2), By::Policy, None).is_none());
        assert_eq!(
            [2, 0, 1].map(|it| grants.issued_as(it)),
            [Some(0), Some(1), None]
        );
        grants.release(first);
        assert_eq!(grants.issued_as(2), None);
        let third = grants.claim(1, &allowed(2), By::Policy, None).unwrap();
        assert_eq!(grants.issued_as(1), Some(0));
        // No record said that the index was used, so that its generation is the same.
        assert_eq!(grants.badge(0).unwrap().generation().number(), 0);
        grants.enter_force(third);
        grants.enter_force(second);
        assert_eq!(
            (grants.in_force(), grants.of_component(0)),
            (2, Some([2, 2]))
        );
    }

    #[test]
    fn what_is_not_issued_is_not_revoked() {
        let mut grants = table();
        assert!(grants.schedule(0, &allowed(1)));
        for index in [0, 1] {
            grants.revoked(index, By::Policy, Next::Free);
            assert_eq!(
                (grants.first_unlogged(), grants.first_due()),
                (None, Some(0))
            );
        }
        let claimed = grants.take_due().unwrap();
        grants.revoked(0, By::Policy, Next::Free);
        grants.await_durable(claimed, 7);
        assert_eq!(grants.first_awaited(), Some(7));
        grants.revoked(0, By::Fault(3), Next::Free);
        assert_eq!(
            (grants.first_awaited(), grants.first_unlogged()),
            (None, Some(0))
        );
        grants.revoked(0, By::Policy, Next::Retired);
        assert_eq!(grants.by(0), By::Fault(3));
        assert_eq!(
            [grants.finish_revoked(), grants.finish_revoked()],
            [Ended::Reusable; 2]
        );
        assert_eq!(grants.issued_as(0), None);
    }

    /// A grant that is revoked such that its index cannot be used again, and that is to come again.
    #[test]
    fn a_grant_that_is_to_come_again_takes_another_index_while_there_is_one() {
        let mut grants = table();
        for (index, ended) in [(0, Ended::Retired), (1, Ended::Lost)] {
            if index == 0 {
                assert!(grants.schedule(0, &allowed(1)));
            }
            let claimed = grants.take_due().unwrap();
            assert_eq!(claimed.index(), index);
            grants.enter_force(claimed);
            grants.revoked(index, By::Fault(0), Next::Retired);
            assert!(grants.schedule(0, &allowed(1)));
            assert_eq!(grants.finish_revoked(), ended);
        }
        assert_eq!(grants.first_due(), None);
    }

    /// What the kernel refused to take back is told before what is told of it next.
    #[test]
    fn a_grant_that_was_stuck_is_logged_first() {
        let mut grants = table();
        for number in [0, 1] {
            let claimed = grants.claim(number, &allowed(1 + number), By::Policy, None);
            grants.enter_force(claimed.unwrap());
        }
        let error = KernelError::FailedLookup;
        grants.refused(1, By::Policy, error);
        grants.refused(1, By::Policy, error);
        grants.revoked(0, By::Policy, Next::Free);
        assert_eq!(grants.first_refused(), Some((1, error)));
        grants.revoked(1, By::Policy, Next::Free);
        assert_eq!(
            (grants.first_refused(), grants.first_unlogged()),
            (None, Some(1))
        );
        grants.finish_revoked();
        assert_eq!(grants.first_unlogged(), Some(0));
    }

    #[test]
    fn a_grant_that_is_to_come_again_keeps_its_index() {
        let mut grants = table();
        let claimed = grants.claim(0, &allowed(1), By::Policy, None).unwrap();
        grants.enter_force(claimed);
        grants.revoked(0, By::Fault(0), Next::Free);
        assert!(grants.schedule(0, &allowed(1)) && grants.first_due().is_none());
        assert_eq!(grants.finish_revoked(), Ended::Reusable);
        assert_eq!((grants.first_due(), grants.by(0)), (Some(0), By::Policy));
        assert_eq!(grants.badge(0).unwrap().generation().number(), 1);
        let claimed = grants.take_due().unwrap();
        assert_eq!(
            grants.fail(claimed, (KernelError::DeleteFirst, Next::Retired)),
            Ended::Retired,
            "the kernel holds it"
        );
        assert!(grants.schedule(0, &allowed(1)));
        assert_eq!(grants.issued_as(0), Some(1));
    }
}
