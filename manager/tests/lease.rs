//! Leases end: in the kernel, then in the log, then for the clock.

mod support;

use std::collections::BTreeMap;

use portcullis_log::{Cause, Operation, Outcome};
use portcullis_manager::Unissued;
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{Clock, When};
use proptest::prelude::*;
use proptest::sample::Index;

use support::draft::{self, CLOCK, any_draft, leased};
use support::world::World;

const MILLISECOND: u64 = 1_000_000;
/// More than the manager's clock ticks in a step, or goes back.
const TICKS: u64 = 10_000;

impl World {
    fn advance(&mut self, milliseconds: u64) {
        self.time.set(self.time.get() + milliseconds * MILLISECOND);
    }

    fn deadline(&self) -> Option<u64> {
        self.manager.platform().deadline
    }

    /// What the log tells last.
    fn last(&self, records: usize) -> Vec<(Operation, Option<u16>, Outcome)> {
        let log = self.log();
        log[log.len() - records..].to_vec()
    }
}

#[test]
fn a_lease_ends_in_the_kernel_then_in_the_log() {
    let mut world = World::booted(&leased(&[(8, 30)]));
    assert_eq!(world.deadline(), None);
    world.grant(8, None).unwrap();
    let deadline = world.deadline().unwrap();
    assert!(deadline.abs_diff(world.time.get() + 30 * MILLISECOND) < TICKS);
    assert_eq!(world.machine.clock_signals, 1);
    world.advance(29);
    world.ring();
    assert!(world.is_in_force(8), "the clock is believed nothing");
    assert_eq!(world.machine.clock_signals, 2, "and told again");
    world.advance(1);
    world.ring();
    assert!(!world.is_in_force(8));
    assert_eq!(world.deadline(), None);
    let expired = (Operation::Expire, Some(8), Outcome::Done);
    assert_eq!(world.last(1), [expired]);
    let record = world.machine.records.last().unwrap();
    let line = world.machine.draft.grants[8].line;
    assert_eq!(record.cause, Cause::Policy { line });
    assert!(record.time.monotonic >= deadline);
    // It can be asked for again.
    world.grant(8, None).unwrap();
    assert!(world.is_in_force(8));
}

#[test]
fn whatever_the_manager_does_after_its_end_a_lease_has_ended() {
    let ways: [fn(&mut World); 4] = [
        |world| world.notify(),
        |world| {
            let _ = world.issue(0, None);
        },
        |world| {
            let _ = world.revoke(1);
        },
        |world| {
            let _ = world.fault(3);
        },
    ];
    for way in ways {
        let mut world = World::booted(&leased(&[(8, 30)]));
        world.grant(8, None).unwrap();
        world.advance(31);
        way(&mut world);
        assert!(!world.is_in_force(8));
    }
}

#[test]
fn a_lease_takes_along_what_was_derived_deepest_first() {
    // Of 3, which ingest holds at boot, 5 is derived, and of 5, 6.
    let mut world = World::booted(&leased(&[(3, 50)]));
    world.grant(5, Some(3)).unwrap();
    world.grant(6, Some(5)).unwrap();
    world.advance(51);
    world.ring();
    let expired = |number| (Operation::Expire, Some(number), Outcome::Done);
    assert_eq!(world.last(3), [6, 5, 3].map(expired));
    assert!([3, 5, 6].iter().all(|it| !world.is_in_force(*it)));
}

#[test]
fn a_derived_grant_does_not_outlive_its_parent_and_may_end_before() {
    let mut world = World::booted(&leased(&[(3, 50), (5, 500), (7, 20)]));
    world.grant(5, Some(3)).unwrap();
    let parents = world.deadline();
    world.grant(7, Some(3)).unwrap();
    assert!(world.deadline() < parents);
    world.advance(21);
    world.ring();
    assert!(!world.is_in_force(7) && world.is_in_force(3));
    assert_eq!(world.deadline(), parents);
    world.advance(30);
    world.ring();
    assert!(!world.is_in_force(3) && !world.is_in_force(5));
    assert_eq!(world.deadline(), None);
}

#[test]
fn a_boot_grant_with_a_lease_comes_once() {
    let mut world = World::booted(&leased(&[(2, 10)]));
    assert!(world.is_in_force(2));
    world.advance(11);
    world.ring();
    assert!(!world.is_in_force(2));
    world.advance(100);
    world.ring();
    assert!(!world.is_in_force(2));
}

#[test]
fn a_grant_that_was_taken_back_has_no_deadline() {
    let mut world = World::booted(&leased(&[(2, 10), (8, 30)]));
    world.grant(8, None).unwrap();
    let first = world.deadline().unwrap();
    world.revoke(2).unwrap();
    world.manager.announce(&mut world.machine);
    assert!(world.deadline().unwrap() > first + 10 * MILLISECOND);
    world.revoke(8).unwrap();
    world.manager.announce(&mut world.machine);
    assert_eq!(world.deadline(), None);
    // The clock finds that out when it looks; nobody wakes it for that.
    assert_eq!(world.machine.clock_signals, 1);
}

#[test]
fn without_its_clock_nothing_has_a_lease() {
    let mut world = World::booted(&leased(&[(2, 50), (7, 50), (8, 30)]));
    world.grant(8, None).unwrap();
    world.grant(5, Some(3)).unwrap();
    // This one waits for its record.
    world.issue(7, Some(3)).unwrap();
    let before = world.log().len();
    world.fault(CLOCK.component as u8).unwrap();
    world.acknowledge();
    world.notify();
    assert!([2, 7, 8].iter().all(|it| !world.is_in_force(*it)));
    assert!(world.is_in_force(3) && world.is_in_force(5));
    assert_eq!(world.deadline(), None);
    let records = &world.machine.records[before..];
    let fault =
        |cause| matches!(cause, Cause::Fault { component, .. } if component == CLOCK.component);
    let operations: Vec<_> = records.iter().map(|it| it.operation).collect();
    assert_eq!(operations[0], Operation::Fault);
    assert_eq!(operations[1..], [Operation::Revoke; 3]);
    assert!(records.iter().all(|it| fault(it.cause)));
    world.acknowledge();
    assert_eq!(world.issue(8, None), Err(Unissued::Leased));
}

#[test]
fn what_the_kernel_refuses_to_take_back_is_told_once() {
    let mut world = World::booted(&leased(&[(8, 30)]));
    world.grant(8, None).unwrap();
    world.advance(31);
    world.refuse(0, portcullis_kernel::KernelError::FailedLookup);
    world.ring();
    let error = portcullis_kernel::KernelError::FailedLookup;
    let refused = (Operation::Expire, Some(8), error.into());
    assert_eq!(world.last(1), [refused]);
    assert!(world.is_in_force(8));
    let records = world.log().len();
    world.ring();
    assert_eq!(world.log().len(), records);
}

/// The clock, as a component that looks at its page when it is woken.
#[derive(Default)]
struct Watch {
    /// When its alarm rings.
    alarm: Option<u64>,
    /// Signals of the manager that it has seen.
    seen: u32,
}

impl Watch {
    /// Runs the clock until it waits: before the manager, and after each of its signals.
    fn run(&mut self, world: &mut World) {
        loop {
            let is_woken = world.machine.clock_signals > self.seen;
            let now = world.time.get();
            if !is_woken && self.alarm.is_none_or(|alarm| alarm > now) {
                return;
            }
            self.seen = world.machine.clock_signals;
            let deadline = world.deadline();
            self.alarm = deadline.filter(|at| *at > now);
            if deadline.is_some() && self.alarm.is_none() {
                world.ring();
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Issue(Index),
    Delegate(Index),
    Revoke(Index),
    Fault(Index),
    Acknowledge,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => index().prop_map(Step::Issue),
        4 => index().prop_map(Step::Delegate),
        2 => index().prop_map(Step::Revoke),
        1 => index().prop_map(Step::Fault),
        4 => Just(Step::Acknowledge),
        6 => (0..40u64).prop_map(Step::Pass),
    ]
}

/// When a grant came into force at the earliest and latest, and the longest that it may last.
#[derive(Clone, Copy, Debug)]
struct Held {
    id: u64,
    since: (u64, u64),
    lease: Option<u64>,
}

/// The tiny model: what is in force, since when.
#[derive(Default)]
struct Model(BTreeMap<u16, Held>);

impl Model {
    /// Looks at what a step, which began at `before`, brought into force and ended.
    fn follow(&mut self, world: &World, before: u64) {
        let now = world.time.get();
        for (number, allowed) in (0..).zip(&world.machine.draft.grants) {
            let lease = allowed.lease_ms.map(|it| u64::from(it) * MILLISECOND);
            let index = world
                .manager
                .issued_as(number)
                .filter(|_| world.is_in_force(number));
            let Some(grant) = index.and_then(|index| world.machine.issued(index)) else {
                self.0.remove(&number);
                continue;
            };
            // After a restart it is another.
            if self.0.get(&number).is_none_or(|held| held.id != grant.id) {
                let (id, since) = (grant.id, (before, now));
                self.0.insert(number, Held { id, since, lease });
            }
        }
        for (number, held) in &self.0 {
            let end = held.lease.map(|lease| held.since.1 + lease);
            assert!(
                end.is_none_or(|end| now < end + TICKS),
                "{number} outlived its lease"
            );
        }
        let least = |end: fn(&Held) -> u64| {
            let leased = self.0.values().filter(|it| it.lease.is_some());
            leased.map(|it| end(it) + it.lease.unwrap()).min()
        };
        // A derived grant ends with its parent, which has an end of its own.
        let (earliest, latest) = (least(|it| it.since.0), least(|it| it.since.1));
        let deadline = world.deadline();
        assert_eq!(deadline.is_some(), earliest.is_some());
        assert!(deadline <= latest.map(|it| it + TICKS));
        assert!(deadline.map(|it| it + TICKS) >= earliest);
    }
}

/// No lease ended early, and what was derived from something ended before it.
fn check_log(world: &World) {
    let mut issued = BTreeMap::new();
    for record in &world.machine.records {
        let Some(grant) = record.grant else { continue };
        match (record.operation, record.outcome) {
            (Operation::Mint | Operation::Copy, Outcome::Done) => {
                issued.insert(
                    grant.id,
                    (grant.parent, record.time.monotonic, grant.lease_ms),
                );
            }
            (operation @ (Operation::Revoke | Operation::Expire), Outcome::Done) => {
                let (_, since, lease_ms) = issued.remove(&grant.id).unwrap();
                let children = |it: &(Option<u64>, u64, Option<u32>)| it.0 == Some(grant.id);
                assert!(!issued.values().any(children), "its children went first");
                if let (Operation::Expire, Some(lease_ms), None) =
                    (operation, lease_ms, grant.parent)
                {
                    let lease = u64::from(lease_ms) * MILLISECOND;
                    assert!(
                        record.time.monotonic + TICKS >= since + lease,
                        "{grant:?} ended early"
                    );
                }
            }
            _ => {}
        }
    }
}

/// Any policy with a clock, which is its last component, and leases on half of the grants.
fn any_leased() -> impl Strategy<Value = Draft<'static>> {
    (
        any_draft(),
        prop::collection::vec(proptest::option::of(1..60u32), 24),
    )
        .prop_map(|(mut draft, leases)| {
            draft.tail.clock = Some(Clock {
                component: draft.components.len() as u16 - 1,
                channel: 61,
            });
            for (grant, lease_ms) in draft.grants.iter_mut().zip(leases) {
                grant.lease_ms = lease_ms;
            }
            draft
        })
}

fn run(world: &mut World, step: &Step) {
    let (components, grants) = (
        world.machine.draft.components.len(),
        world.machine.draft.grants.len(),
    );
    let grant = |index: &Index| (grants > 0).then(|| index.index(grants) as u16);
    match step {
        Step::Issue(index) => {
            if let Some(number) = grant(index) {
                let _ = world.issue(number, None);
            }
        }
        Step::Delegate(index) => {
            if let Some(number) = grant(index)
                && matches!(
                    world.machine.draft.grants[usize::from(number)].when,
                    When::Delegated(_)
                )
            {
                let _ = (0..grants as u16).find(|from| world.issue(number, Some(*from)).is_ok());
            }
        }
        Step::Revoke(index) => {
            if let Some(number) = grant(index) {
                let _ = world.revoke(number);
            }
        }
        Step::Fault(index) => {
            let _ = world.fault(1 + index.index(components - 1) as u8);
        }
        Step::Acknowledge => {
            world.acknowledge();
            world.notify();
        }
        Step::Pass(milliseconds) => world.advance(*milliseconds),
    }
    world.manager.announce(&mut world.machine);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Time passes in leaps, and whoever tells of it is the clock alone.
    #[test]
    fn leases_end_in_time_and_not_before(
        draft in any_leased(),
        steps in prop::collection::vec(step(), 0..50),
    ) {
        let mut world = World::new(&draft, support::world::ROOMY);
        let (mut model, mut watch) = (Model::default(), Watch::default());
        world.boot();
        watch.run(&mut world);
        model.follow(&world, 0);
        for step in &steps {
            let before = world.time.get();
            run(&mut world, step);
            watch.run(&mut world);
            model.follow(&world, before);
        }
        world.acknowledge();
        world.notify();
        check_log(&world);
    }
}

/// A policy without a clock, of an older format for example, has its leases refused.
#[test]
fn without_a_clock_a_lease_is_unavailable() {
    let mut draft = draft::small();
    draft.grants[8].lease_ms = Some(10);
    let mut world = World::booted(&draft);
    assert_eq!(world.issue(8, None), Err(Unissued::Leased));
}
