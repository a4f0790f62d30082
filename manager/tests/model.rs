//! Random policies and random sequences on the kernel model.
//!
//! [`World::check`] holds the ceiling, the log and the manager's table against a scan of every CNode
//! after every step, and the machine does it after every invocation.

mod support;

use portcullis_kernel::{KernelError, Mode};
use portcullis_policy_format::testing::Draft;
use proptest::prelude::*;
use proptest::sample::Index;

use support::draft::{NAMES, any_draft};
use support::world::{ROOMY, World};

#[derive(Clone, Debug)]
enum Step {
    Find(Index, Index, bool, Mode),
    Issue(Index, Option<Index>),
    /// Issues a grant from the first that it can be derived from.
    Delegate(Index),
    Revoke(Index),
    Fault(Index),
    Acknowledge,
    Notify,
    Refuse(u64, KernelError),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let mode = prop_oneof![
        Just(Mode::Call),
        Just(Mode::Send),
        Just(Mode::Notify),
        Just(Mode::Stream)
    ];
    let error = (1..=10u64).prop_map(|code| KernelError::from_code(code).unwrap());
    prop_oneof![
        2 => (index(), index(), any::<bool>(), mode).prop_map(|(a, b, c, d)| Step::Find(a, b, c, d)),
        3 => (index(), proptest::option::of(index())).prop_map(|(a, b)| Step::Issue(a, b)),
        4 => index().prop_map(Step::Delegate),
        4 => index().prop_map(Step::Revoke),
        2 => index().prop_map(Step::Fault),
        3 => Just(Step::Acknowledge),
        1 => Just(Step::Notify),
        1 => (0..6u64, error).prop_map(|(after, error)| Step::Refuse(after, error)),
    ]
}

/// Runs one step. Whether it succeeds is for the invariants to judge.
fn run(world: &mut World, step: &Step) {
    let components = world.machine.draft.components.len();
    let grants = world.machine.draft.grants.len();
    let grant = |index: &Index| (grants > 0).then(|| index.index(grants) as u16);
    match step {
        Step::Find(channel, object, inspect, mode) => {
            let interface = if *inspect { "inspect" } else { "worm" };
            let channel = channel.index(components + 1) as u8;
            let _ = world.find(channel, NAMES[object.index(NAMES.len())], interface, *mode);
        }
        Step::Issue(index, parent) => {
            if let Some(index) = grant(index) {
                let _ = world.issue(index, parent.as_ref().and_then(grant));
            }
        }
        Step::Delegate(index) => {
            if let Some(index) = grant(index) {
                for parent in 0..grants as u16 {
                    if world.issue(index, Some(parent)).is_ok() {
                        break;
                    }
                }
            }
        }
        Step::Revoke(index) => {
            if let Some(index) = grant(index) {
                let _ = world.revoke(index);
            }
        }
        Step::Fault(component) => {
            // Nobody tells the manager of its own fault.
            if components > 1 {
                let _ = world.fault(1 + component.index(components - 1) as u8);
            }
        }
        Step::Acknowledge => world.acknowledge(),
        Step::Notify => world.notify(),
        Step::Refuse(after, error) => world.refuse(*after, *error),
    }
}

fn sequence(draft: &Draft<'static>, slots: usize, steps: &[Step]) {
    let mut world = World::new(draft, slots);
    world.boot();
    for step in steps {
        run(&mut world, step);
    }
    // Once the ledger has caught up, so has the log.
    for _ in 0..=draft.grants.len() * 4 {
        world.acknowledge();
        world.notify();
    }
    assert!(world.manager.is_sealed() || slots < 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_ceiling_holds_and_the_log_tells_all(
        draft in any_draft(),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        sequence(&draft, ROOMY, &steps);
    }

    #[test]
    fn so_they_do_where_the_ring_is_always_short_of_room(
        draft in any_draft(),
        slots in 1..12usize,
        steps in prop::collection::vec(step(), 0..40),
    ) {
        sequence(&draft, slots, &steps);
    }
}
