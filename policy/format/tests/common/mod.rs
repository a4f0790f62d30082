//! A policy with every kind of item, and the key that signs it.

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use portcullis_kernel::{Grant, Method, MethodSet, Mode};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{
    AllowedGrant, Clock, Component, Domain, Flow, Interface, InterfaceMethod, Never, OnFault, Tail,
    When,
};

pub(crate) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A key that may sign the next policy: the public one of seed 9, 9, ... 9 (RFC 8032).
pub(crate) static SUCCESSOR: LazyLock<[u8; 32]> =
    LazyLock::new(|| SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes());

pub(crate) fn method(number: u8) -> Method {
    Method::new(number).unwrap()
}

/// Three components in two domains; a call at boot, a stream on request, a delegated notification.
pub(crate) fn draft() -> Draft<'static> {
    let component = |name, domain, channel| Component {
        name,
        domain,
        channel,
        on_fault: OnFault::Restart,
    };
    let method = |interface, number, name| InterfaceMethod {
        interface,
        method: method(number),
        name,
    };
    let grant = Grant {
        subject: 1,
        slot: 1,
        object: 2,
        interface: 0,
        methods: MethodSet(0b11),
        mode: Mode::Call,
    };
    let call = AllowedGrant {
        grant,
        notification: None,
        when: When::Boot,
        lease_ms: None,
        line: 30,
    };
    Draft {
        name: "three",
        version: 5,
        domains: [Domain { name: "inner" }, Domain { name: "outer" }].into(),
        interfaces: [Interface { name: "worm" }, Interface { name: "feed" }].into(),
        methods: [
            method(0, 1, "read"),
            method(0, 0, "append"),
            method(1, 31, "frame"),
        ]
        .into(),
        components: [
            component("manager", 0, None),
            component("ingest", 0, Some(3)),
            component("ledger", 1, Some(4)),
        ]
        .into(),
        flows: [Flow {
            from: 0,
            to: 1,
            modes: 0b1001,
            line: 20,
        }]
        .into(),
        nevers: [Never {
            from: 1,
            to: 0,
            line: 25,
        }]
        .into(),
        grants: [
            call,
            AllowedGrant {
                grant: Grant {
                    slot: 2,
                    interface: 1,
                    methods: MethodSet(1 << 31),
                    mode: Mode::Stream,
                    ..grant
                },
                notification: Some(61),
                when: When::Request,
                lease_ms: Some(1),
                ..call
            },
            AllowedGrant {
                grant: Grant {
                    subject: 2,
                    object: 1,
                    mode: Mode::Notify,
                    ..grant
                },
                notification: Some(0),
                when: When::Delegated(1),
                ..call
            },
        ]
        .into(),
        tail: Tail {
            redacted: 0b10,
            version: 0,
            system: [0x51; 32],
            envelope: [0xe2; 32],
            successors: &*SUCCESSOR,
            clock: Some(Clock {
                component: 1,
                channel: 61,
            }),
        },
    }
}
