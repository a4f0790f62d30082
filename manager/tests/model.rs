//! Random policies and random sequences on the kernel model.
//!
//! [`World::check`] holds the ceiling, the log and the manager's table against a scan of every CNode
//! after every step, and the machine does it after every invocation. Beside that, nobody waits whose
//! record is durable, and nobody is kept who does not wait.

mod support;

use portcullis_kernel::{KernelError, MethodSet, Mode};
use portcullis_manager_api::{DELEGATE, Delegate, RELEASE, REQUEST, REVOKE, Request, Revoke};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{AllowedGrant, When};
use proptest::prelude::*;
use proptest::sample::Index;

use support::draft::{MANAGER, NAMES, any_draft};
use support::world::{ROOMY, World};

#[derive(Clone, Debug)]
enum Step {
    Find(Index, Index, bool, Mode),
    Issue(Index, Option<Index>),
    /// Issues a grant from the first that it can be derived from.
    Delegate(Index),
    Revoke(Index),
    Fault(Index),
    Ask(Asking),
    Acknowledge,
    Notify,
    Refuse(u64, KernelError),
}

/// What a component asks for, on its channel: about the grant that the policy allows there, mostly as one
/// that may.
#[derive(Clone, Debug)]
struct Asking {
    what: What,
    grant: Index,
    /// Who asks in the place of whom the policy lets ask.
    other: Option<Index>,
    methods: u32,
    depth: u8,
    waits: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Request,
    Release,
    Delegate,
    Revoke,
}

prop_compose! {
    fn asking()(
        what in prop_oneof![
            4 => Just(What::Request),
            1 => Just(What::Release),
            4 => Just(What::Delegate),
            1 => Just(What::Revoke),
        ],
        grant in any::<Index>(),
        other in prop_oneof![9 => Just(None), 1 => any::<Index>().prop_map(Some)],
        methods in prop_oneof![Just(u32::MAX), any::<u32>()],
        depth in prop_oneof![Just(200_u8), 0..4_u8],
        waits in any::<bool>(),
    ) -> Asking {
        Asking { what, grant, other, methods, depth, waits }
    }
}

/// Has a component that waits for nothing ask, and the manager serve it.
fn ask(world: &mut World, asking: &Asking) {
    let draft = world.machine.draft.clone();
    let (components, grants) = (draft.components.len(), draft.grants.len());
    if components < 2 || grants == 0 {
        return;
    }
    let allowed = draft.grants[asking.grant.index(grants)];
    let grant = allowed.grant;
    let name = |number: u16| NAMES[usize::from(number)];
    let methods = MethodSet(grant.methods.0 & asking.methods);
    let may_ask = match (asking.what, allowed.when) {
        (What::Delegate | What::Revoke, When::Delegated(from)) => from,
        _ => grant.subject,
    };
    let other = asking.other.map(|it| it.index(components) as u16);
    let asks = other.unwrap_or(may_ask);
    if asks == MANAGER || world.is_waiting(asks) {
        return;
    }
    let (depth, waits) = (asking.depth, asking.waits);
    let parents = draft.grants.iter().filter(|it| is_from(it, asks, &allowed));
    let parents: Vec<u16> = parents.map(|it| it.grant.slot).collect();
    let slot = parents.first().copied().unwrap_or(1);
    match asking.what {
        What::Request => {
            let (object, interface) = (name(grant.object), ["inspect", "worm"]);
            let interface = interface[usize::from(grant.interface)];
            let (mode, lease_ms) = (grant.mode, None);
            let request = Request {
                object,
                interface,
                mode,
                methods,
                lease_ms,
                waits,
            };
            world.ask(asks, REQUEST, &request);
        }
        What::Release => world.ask(asks, RELEASE, &grant.slot),
        What::Delegate => {
            let (to, lease_ms) = (name(grant.subject), None);
            let delegate = Delegate {
                slot,
                to,
                methods,
                depth,
                lease_ms,
                waits,
            };
            world.ask(asks, DELEGATE, &delegate);
        }
        What::Revoke => {
            let from = name(grant.subject);
            world.ask(asks, REVOKE, &Revoke { slot, from });
        }
    }
    world.machine.threads.completed(asks);
}

/// Whether a grant is one of the component's from which another may be derived.
fn is_from(held: &AllowedGrant, component: u16, derived: &AllowedGrant) -> bool {
    held.grant.subject == component && derived.grant.is_within(&held.grant)
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
        12 => asking().prop_map(Step::Ask),
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
                let number = 1 + component.index(components - 1) as u16;
                let _ = world.fault(number as u8);
                world.machine.start_anew(number);
            }
        }
        Step::Ask(asking) => ask(world, asking),
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
        let components = 0..draft.components.len() as u16;
        let waiting = components.filter(|it| world.is_waiting(*it)).count();
        assert_eq!(world.manager.waiting() as usize, waiting);
    }
    // Once the ledger has caught up, so has the log.
    for _ in 0..=draft.grants.len() * 4 {
        world.acknowledge();
        world.notify();
    }
    assert!(world.manager.is_sealed() || slots < 2);
    assert_eq!(world.manager.waiting(), 0);
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
