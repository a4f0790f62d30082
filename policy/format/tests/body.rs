//! What is refused of a body, however well it is signed.

mod common;

use common::{SUCCESSOR, draft, key, method};
use portcullis_kernel::{Grant, MethodSet, Mode};
use portcullis_policy_format::testing::{Draft, sign};
use portcullis_policy_format::{
    AllowedGrant, Clock, Component, Counts, Flow, Header, MAX_COMPONENTS, MAX_NAME, OLDEST_FORMAT,
    OnFault, Part, Policy, PolicyError, Tail, When,
};
use proptest::prelude::*;
use zerocopy::IntoBytes;

fn read(body: &[u8]) -> Result<(), PolicyError> {
    Policy::verify(&sign(5, body, &key()), &[key().verifying_key()], 0).map(drop)
}

/// A change to a sound policy, and what is said of it.
#[track_caller]
fn refused(part: Part, change: impl FnOnce(&mut Draft<'static>)) {
    let mut changed = draft();
    change(&mut changed);
    assert_eq!(read(&changed.body()), Err(PolicyError::Body(part)));
}

#[test]
fn what_was_drafted_is_read() {
    let draft = draft();
    let bytes = draft.sign(&key());
    assert_drafted(&Policy::inspect(&bytes).unwrap(), &draft);
}

fn assert_drafted(policy: &Policy<'_>, draft: &Draft<'_>) {
    assert_eq!(policy.name(), draft.name);
    assert_eq!(policy.counts(), draft.counts());
    assert_eq!(policy.domains().collect::<Vec<_>>(), draft.domains);
    assert_eq!(policy.interfaces().collect::<Vec<_>>(), draft.interfaces);
    assert_eq!(policy.methods().collect::<Vec<_>>(), draft.methods);
    assert_eq!(policy.components().collect::<Vec<_>>(), draft.components);
    assert_eq!(policy.flows().collect::<Vec<_>>(), draft.flows);
    assert_eq!(policy.nevers().collect::<Vec<_>>(), draft.nevers);
    assert_eq!(policy.grants().collect::<Vec<_>>(), draft.grants);
    let redacted = (0..64).filter(|number| policy.is_redacted(*number));
    assert_eq!(
        redacted.fold(0, |all, number| all | 1 << number),
        draft.tail.redacted
    );
}

#[test]
fn a_body_of_the_oldest_format_ends_with_the_grants_and_redacts_nobody() {
    let mut body = draft().body();
    let tail = postcard::to_stdvec(&draft().tail).unwrap();
    body.truncate(body.len() - tail.len());
    let mut header = Header::unsigned(5, &body);
    header.format.set(OLDEST_FORMAT);
    let bytes = [header.as_bytes(), &body].concat();
    let policy = Policy::inspect(&bytes).unwrap();
    assert_drafted(
        &policy,
        &Draft {
            tail: Tail::default(),
            ..draft()
        },
    );
    let longer = [&body[..], &[0]].concat();
    let mut header = Header::unsigned(5, &longer);
    header.format.set(OLDEST_FORMAT);
    let bytes = [header.as_bytes(), &longer].concat();
    assert_eq!(
        Policy::inspect(&bytes).map(drop),
        Err(PolicyError::Trailing(1))
    );
}

#[test]
fn another_version_is_another_body() {
    let body = draft().body();
    assert_ne!(
        Draft {
            version: 6,
            ..draft()
        }
        .body(),
        body
    );
    let bytes = sign(6, &body, &key());
    assert_eq!(
        Policy::inspect(&bytes).map(drop),
        Err(PolicyError::Body(Part::Version))
    );
}

#[test]
fn a_policy_says_what_it_was_compiled_for_and_who_signs_the_next() {
    let draft = draft();
    let bytes = draft.sign(&key());
    let policy = Policy::verify(&bytes, &[key().verifying_key()], 0).unwrap();
    let version = draft.version;
    let tail = policy.tail().unwrap();
    assert_eq!(
        tail,
        Tail {
            version,
            ..draft.tail
        }
    );
    assert_eq!(tail.successor_keys(), [*SUCCESSOR]);
}

#[test]
fn the_clock_is_a_component_on_a_channel() {
    for (component, channel) in [(1, 62), (u16::MAX, 1)] {
        let clock = Some(Clock { component, channel });
        refused(Part::Clock, |draft| draft.tail.clock = clock);
    }
}

#[test]
fn what_is_no_key_signs_no_policy() {
    refused(Part::Successors, |draft| {
        draft.tail.successors = &[1; 33];
    });
    // The second coordinate is not on the curve.
    refused(Part::Successors, |draft| draft.tail.successors = &[2; 32]);
}

#[test]
fn a_component_that_is_not_there_is_not_redacted() {
    refused(Part::Redacted, |draft| draft.tail.redacted = 1 << 3);
}

#[test]
fn an_empty_policy_is_sound_and_grants_nothing() {
    let empty = Draft {
        name: "empty",
        version: 5,
        ..Draft::default()
    };
    assert_eq!(read(&empty.body()), Ok(()));
}

#[test]
fn components_and_interfaces_are_found_by_name() {
    let bytes = draft().sign(&key());
    let policy = Policy::inspect(&bytes).unwrap();
    assert_eq!(
        policy.component("ledger").map(|(number, _)| number),
        Some(2)
    );
    assert_eq!(policy.interface("feed").map(|(number, _)| number), Some(1));
    assert_eq!(policy.component("led"), None);
    assert_eq!(policy.interface(""), None);
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    let body = draft().body();
    for length in 0..body.len() {
        assert!(read(&body[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn bytes_after_the_last_item_are_refused() {
    let mut body = draft().body();
    body.push(0);
    assert_eq!(read(&body), Err(PolicyError::Trailing(1)));
}

#[test]
fn counts_that_no_items_follow_are_refused() {
    let most = Counts {
        domains: u16::MAX,
        interfaces: u16::MAX,
        methods: u16::MAX,
        components: MAX_COMPONENTS,
        flows: u16::MAX,
        nevers: u16::MAX,
        grants: 65_536,
    };
    let body = postcard::to_stdvec(&("most", most)).unwrap();
    assert_eq!(read(&body), Err(PolicyError::Body(Part::Domain)));
}

#[test]
fn more_components_than_channels_are_refused() {
    let too_many = Counts {
        components: MAX_COMPONENTS + 1,
        ..Counts::default()
    };
    let body = postcard::to_stdvec(&("many", too_many)).unwrap();
    let refusal = PolicyError::TooMany {
        part: Part::Component,
        found: 63,
        limit: 62,
    };
    assert_eq!(read(&body), Err(refusal));
}

#[test]
fn more_grants_than_indices_are_refused() {
    let too_many = Counts {
        grants: 65_537,
        ..Counts::default()
    };
    let body = postcard::to_stdvec(&("many", too_many)).unwrap();
    let refusal = PolicyError::TooMany {
        part: Part::Grant,
        found: 65_537,
        limit: 65_536,
    };
    assert_eq!(read(&body), Err(refusal));
}

const LONG: &str = "a-name-of-forty-nine-bytes-which-is-one-too-many!";

#[test]
fn names_are_short_and_printable() {
    assert_eq!(LONG.len(), MAX_NAME + 1);
    for name in ["", LONG, "two\nlines", "\u{7f}", "bell\u{7}"] {
        refused(Part::Name, |it| it.name = name);
        refused(Part::Domain, |it| it.domains[0].name = name);
        refused(Part::Interface, |it| it.interfaces[1].name = name);
        refused(Part::Method, |it| it.methods[2].name = name);
        refused(Part::Component, |it| it.components[1].name = name);
    }
}

#[test]
fn a_name_that_is_not_utf8_is_refused() {
    let mut body = draft().body();
    let at = body.windows(5).position(|it| it == b"inner").unwrap();
    body[at] = 0xff;
    assert_eq!(read(&body), Err(PolicyError::Body(Part::Domain)));
}

#[test]
fn methods_belong_to_an_interface_once() {
    refused(Part::Method, |it| it.methods[2].interface = 2);
    refused(Part::Method, |it| it.methods[0].method = method(0));
    refused(Part::Method, |it| it.methods[0].interface = 1);
}

#[test]
fn a_method_number_has_a_bit_in_the_badge() {
    let mut body = draft().body();
    let at = body.windows(6).position(|it| it == b"\x05frame").unwrap();
    assert_eq!(body[at - 1], 31);
    body[at - 1] = 32;
    assert_eq!(read(&body), Err(PolicyError::Body(Part::Method)));
}

#[test]
fn components_have_a_domain_and_a_name_and_channel_of_their_own() {
    refused(Part::Component, |it| it.components[0].domain = 2);
    refused(Part::Component, |it| it.components[1].channel = Some(62));
    refused(Part::Component, |it| it.components[1].channel = Some(4));
    refused(Part::Component, |it| it.components[2].name = "manager");
}

#[test]
fn flows_and_nevers_lie_between_domains() {
    refused(Part::Flow, |it| it.flows[0].from = 2);
    refused(Part::Flow, |it| it.flows[0].to = 2);
    refused(Part::Flow, |it| it.flows[0].modes = 0);
    refused(Part::Flow, |it| it.flows[0].modes = 0b1_0001);
    refused(Part::Never, |it| it.nevers[0].from = 2);
    refused(Part::Never, |it| it.nevers[0].to = 2);
}

#[test]
fn grants_refer_to_what_there_is() {
    refused(Part::Grant, |it| it.grants[2].grant.subject = 3);
    refused(Part::Grant, |it| it.grants[0].grant.object = 3);
    refused(Part::Grant, |it| it.grants[0].grant.interface = 2);
    refused(Part::Grant, |it| {
        it.grants[0].grant.methods = MethodSet::EMPTY
    });
    refused(Part::Grant, |it| it.grants[0].lease_ms = Some(0));
    refused(Part::Grant, |it| it.grants[2].when = When::Delegated(3));
    refused(Part::Grant, |it| it.grants[2].when = When::Delegated(2));
}

#[test]
fn each_grant_has_a_slot_of_its_own() {
    refused(Part::Grant, |it| it.grants[0].grant.slot = 0);
    refused(Part::Grant, |it| it.grants[1].grant.slot = 4_096);
    refused(Part::Grant, |it| it.grants[1].grant.slot = 1);
    refused(Part::Grant, |it| it.grants.swap(0, 1));
    refused(Part::Grant, |it| it.grants.swap(1, 2));
    let mut last = draft();
    last.grants[1].grant.slot = 4_095;
    assert_eq!(read(&last.body()), Ok(()));
}

#[test]
fn a_notification_has_a_bit_and_an_endpoint_none() {
    refused(Part::Grant, |it| it.grants[0].notification = Some(1));
    refused(Part::Grant, |it| it.grants[1].notification = None);
    refused(Part::Grant, |it| it.grants[1].notification = Some(62));
    refused(Part::Grant, |it| it.grants[2].grant.mode = Mode::Call);
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

prop_compose! {
    fn grant(components: u16)(
        subject in 0..components,
        object in 0..components,
        methods in 1..=u32::MAX,
        mode in prop_oneof![
            Just((Mode::Call, None)),
            Just((Mode::Send, None)),
            (0..62u8).prop_map(|bit| (Mode::Notify, Some(bit))),
            (0..62u8).prop_map(|bit| (Mode::Stream, Some(bit))),
        ],
        slot in 1..4_096u16,
        lease_ms in proptest::option::of(1..=u32::MAX),
        line in any::<u32>(),
    ) -> AllowedGrant {
        AllowedGrant {
            grant: Grant {
                subject,
                slot,
                object,
                interface: 0,
                methods: MethodSet(methods),
                mode: mode.0,
            },
            notification: mode.1,
            when: if subject == 0 { When::Request } else { When::Delegated(0) },
            lease_ms,
            line,
        }
    }
}

prop_compose! {
    fn drafts()(components in 1..=8u16)(
        components in Just(components),
        mut grants in proptest::collection::vec(grant(components), 0..20),
        flows in proptest::collection::vec((0..2u16, 0..2u16, 1..16u8, any::<u32>()), 0..4),
        redacted in 0..1u64 << components,
    ) -> Draft<'static> {
        grants.sort_by_key(|it| (it.grant.subject, it.grant.slot));
        grants.dedup_by_key(|it| (it.grant.subject, it.grant.slot));
        Draft {
            components: (0..components)
                .map(|number| Component {
                    name: NAMES[usize::from(number)],
                    domain: number % 2,
                    channel: (number > 0).then_some(number as u8),
                    on_fault: OnFault::Stop,
                })
                .collect(),
            flows: flows
                .into_iter()
                .map(|(from, to, modes, line)| Flow { from, to, modes, line })
                .collect(),
            grants,
            tail: Tail {
                redacted,
                clock: Some(Clock { component: components - 1, channel: 61 }),
                ..draft().tail
            },
            ..draft()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sound_draft_is_read_as_it_was_written(mut draft in drafts()) {
        draft.nevers.clear();
        let bytes = draft.sign(&key());
        let policy = Policy::verify(&bytes, &[key().verifying_key()], 0).unwrap();
        assert_drafted(&policy, &draft);
    }

    #[test]
    fn a_signed_body_of_any_bytes_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body);
    }

    #[test]
    fn a_changed_body_is_read_or_refused(
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = draft().body();
        let at = at.index(body.len());
        body[at] = byte;
        let bytes = sign(1, &body, &key());
        // What is taken can be walked to its end, and every reference in it resolves.
        if let Ok(policy) = Policy::verify(&bytes, &[key().verifying_key()], 0) {
            let counts = policy.counts();
            prop_assert_eq!(policy.grants().count() as u32, counts.grants);
            for AllowedGrant { grant, .. } in policy.grants() {
                prop_assert!(policy.components().nth(grant.subject.into()).is_some());
                prop_assert!(policy.components().nth(grant.object.into()).is_some());
                prop_assert!(policy.interfaces().nth(grant.interface.into()).is_some());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Policy::inspect(&bytes);
        let with_magic = [&b"PCLSPLCY\x01\0\0\0"[..], &bytes].concat();
        prop_assert!(Policy::verify(&with_magic, &[key().verifying_key()], 0).is_err());
    }
}
