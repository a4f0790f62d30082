//! Policies, drafted by hand and at random.

use ed25519_dalek::SigningKey;
use portcullis_kernel::{Grant, Method, MethodSet, Mode};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{
    AllowedGrant, Clock, Component, Domain, Interface, InterfaceMethod, Never, OnFault, Tail, When,
};
use proptest::prelude::*;

/// Names of components; the first is the manager.
pub const NAMES: [&str; 8] = [
    "manager", "ledger", "vault", "ingest", "publish", "edge", "console", "blk",
];
/// Number of the manager.
pub const MANAGER: u16 = 0;
/// The component that watches the deadline.
pub const CLOCK: Clock = Clock {
    component: 7,
    channel: 61,
};
/// Number of the interface `inspect`.
pub const INSPECT: u16 = 0;
/// Number of another interface.
pub const WORM: u16 = 1;

pub fn key() -> SigningKey {
    SigningKey::from_bytes(&[42; 32])
}

/// Components with an interface each way, no grants. The channel of component n is n.
pub fn empty(components: u16) -> Draft<'static> {
    let names = |interface: u16, names: &[&'static str]| -> Vec<_> {
        (0..)
            .zip(names)
            .map(|(number, name)| InterfaceMethod {
                interface,
                method: Method::new(number).unwrap(),
                name,
            })
            .collect()
    };
    let mut methods = names(INSPECT, &["grants", "component", "record", "why", "status"]);
    methods.extend(names(WORM, &["append", "read", "prove"]));
    Draft {
        name: "drafted",
        version: 1,
        domains: ["inner", "outer"].map(|name| Domain { name }).into(),
        interfaces: ["inspect", "worm"].map(|name| Interface { name }).into(),
        methods,
        components: (0..components)
            .map(|number| Component {
                name: NAMES[usize::from(number)],
                domain: number % 2,
                channel: (number != MANAGER).then_some(number as u8),
                on_fault: if number % 2 == 1 {
                    OnFault::Restart
                } else {
                    OnFault::Stop
                },
            })
            .collect(),
        flows: Vec::new(),
        nevers: Vec::new(),
        grants: Vec::new(),
        tail: Tail::default(),
    }
}

/// A `call` grant at boot.
pub fn call(subject: u16, slot: u16, object: u16) -> AllowedGrant {
    AllowedGrant {
        grant: Grant {
            subject,
            slot,
            object,
            interface: WORM,
            methods: MethodSet(0b11),
            mode: Mode::Call,
        },
        notification: None,
        when: When::Boot,
        lease_ms: None,
        line: 100 + u32::from(subject) * 10 + u32::from(slot),
    }
}

/// A boot grant of everything that `inspect` has.
pub fn inspect(subject: u16, slot: u16) -> AllowedGrant {
    with(call(subject, slot, MANAGER), |grant| {
        (grant.interface, grant.methods) = (INSPECT, MethodSet(0b1_1111));
    })
}

/// The same, with the grant changed.
pub fn with(mut allowed: AllowedGrant, change: impl FnOnce(&mut Grant)) -> AllowedGrant {
    change(&mut allowed.grant);
    allowed
}

/// A small system: a log stream, calls, a notification, a send on request, a chain of delegation
/// (grant 3 of ingest, to publish, to edge), `inspect` for the console.
pub fn small() -> Draft<'static> {
    let mut draft = empty(7);
    let notify = |mode, bit, allowed| AllowedGrant {
        notification: Some(bit),
        ..with(allowed, |grant| grant.mode = mode)
    };
    let when = |when, allowed| AllowedGrant { when, ..allowed };
    draft.grants = vec![
        notify(Mode::Stream, 5, call(0, 1, 1)), // 0: manager to ledger
        call(1, 1, 2),                          // 1: ledger to vault
        call(3, 1, 1),                          // 2: ingest to ledger
        call(3, 2, 2),                          // 3: ingest to vault
        notify(Mode::Notify, 6, call(3, 3, 4)), // 4: ingest to publish
        when(When::Delegated(3), call(4, 1, 2)), // 5: ingest's grant 3 to publish
        when(When::Delegated(4), call(5, 1, 2)), // 6: publish's grant 5 to edge
        when(When::Delegated(3), call(5, 2, 2)), // 7: ingest's grant 3 to edge
        with(when(When::Request, call(5, 3, 6)), |grant| {
            grant.mode = Mode::Send // 8: edge to console
        }),
        inspect(6, 1), // 9: console to manager
    ];
    draft.nevers = vec![Never {
        from: 1,
        to: 0,
        line: 7,
    }];
    draft
}

/// A system in which grants are asked for: by ingest, which may hand its own to publish and edge, by publish,
/// which may hand on to edge what ingest hands it, by edge and by the vault and the console, on which the log
/// depends.
pub fn on_request() -> Draft<'static> {
    let mut draft = empty(7);
    let notify = |mode, bit, allowed| AllowedGrant {
        notification: Some(bit),
        ..with(allowed, |grant| grant.mode = mode)
    };
    let when = |when, allowed| AllowedGrant { when, ..allowed };
    let asked = |allowed| when(When::Request, allowed);
    draft.grants = vec![
        notify(Mode::Stream, 5, call(0, 1, 1)), // 0: manager to ledger
        call(1, 1, 2),                          // 1: ledger to vault
        asked(call(2, 1, 6)),                   // 2: vault to console
        asked(call(3, 1, 2)),                   // 3: ingest to vault
        asked(notify(Mode::Notify, 6, call(3, 2, 4))), // 4: ingest to publish
        when(When::Delegated(3), call(4, 1, 2)), // 5: ingest's grant 3 to publish
        when(When::Delegated(4), call(5, 1, 2)), // 6: publish's grant 5 to edge
        when(When::Delegated(3), call(5, 2, 2)), // 7: ingest's grant 3 to edge
        with(asked(call(5, 3, 6)), |grant| {
            grant.mode = Mode::Send // 8: edge to console
        }),
        AllowedGrant {
            lease_ms: Some(5_000),
            ..asked(call(5, 4, 4)) // 9: edge to publish
        },
    ];
    draft.nevers = vec![Never {
        from: 1,
        to: 0,
        line: 7,
    }];
    draft
}

/// [`small`] with a clock, and leases of these milliseconds, by number of the grant.
pub fn leased(leases: &[(usize, u32)]) -> Draft<'static> {
    let mut draft = small();
    draft.components = empty(8).components;
    draft.tail.clock = Some(CLOCK);
    for (number, lease_ms) in leases {
        draft.grants[*number].lease_ms = Some(*lease_ms);
    }
    draft
}

prop_compose! {
    fn wanted(components: u16)(
        subject in 0..components,
        object in 0..components,
        interface in 0..2u16,
        methods in 1..32u32,
        mode in prop_oneof![
            3 => Just(Mode::Call),
            2 => Just(Mode::Send),
            1 => Just(Mode::Notify),
            1 => Just(Mode::Stream),
        ],
        bit in 0..62u8,
        when in prop_oneof![3 => Just(None), 1 => Just(Some(When::Request))],
        // Another component's grant to derive from, and a part of its methods.
        derived in proptest::option::of((any::<prop::sample::Index>(), 1..32u32)),
        lease_ms in prop_oneof![9 => Just(None), 1 => Just(Some(5_000))],
    ) -> (AllowedGrant, Option<(prop::sample::Index, u32)>) {
        let signals = matches!(mode, Mode::Notify | Mode::Stream);
        let allowed = AllowedGrant {
            grant: Grant {
                subject,
                slot: 0,
                object,
                interface,
                methods: MethodSet(methods),
                mode,
            },
            notification: signals.then_some(bit),
            when: when.unwrap_or(When::Boot),
            lease_ms,
            line: 0,
        };
        (allowed, derived)
    }
}

/// Any policy of two to eight components: each grant with its slot and line, about a third derived
/// from another.
pub fn any_draft() -> impl Strategy<Value = Draft<'static>> {
    (2..=8u16)
        .prop_flat_map(|components| {
            let grants = prop::collection::vec(wanted(components), 0..24);
            (Just(components), grants, any::<bool>())
        })
        .prop_map(|(components, wanted, never)| {
            let mut grants: Vec<AllowedGrant> = Vec::new();
            for (grant, derived) in wanted {
                grants.push(derive(grant, derived, &grants));
            }
            let mut draft = empty(components);
            draft.grants = placed(grants);
            if never {
                draft.nevers.push(Never {
                    from: 1,
                    to: 0,
                    line: 3,
                });
            }
            draft
        })
}

fn derive(
    grant: AllowedGrant,
    derived: Option<(prop::sample::Index, u32)>,
    before: &[AllowedGrant],
) -> AllowedGrant {
    let Some((from, mask)) = derived else {
        return grant;
    };
    if before.is_empty() {
        return grant;
    }
    let from = from.get(before);
    let part = MethodSet(from.grant.methods.0 & mask);
    if from.grant.subject == grant.grant.subject || part.is_empty() {
        return grant;
    }
    let derived = AllowedGrant {
        when: When::Delegated(from.grant.subject),
        lease_ms: None,
        ..*from
    };
    with(derived, |it| {
        (it.subject, it.methods) = (grant.grant.subject, part)
    })
}

/// Gives each grant its slot, and puts them in a policy's order.
fn placed(mut grants: Vec<AllowedGrant>) -> Vec<AllowedGrant> {
    grants.sort_by_key(|it| it.grant.subject);
    let mut used = [0; NAMES.len()];
    for (line, it) in (1..).zip(&mut grants) {
        let used = &mut used[usize::from(it.grant.subject)];
        *used += 1;
        (it.grant.slot, it.line) = (*used, line);
    }
    grants
}
