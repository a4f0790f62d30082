//! What is wrong with an image is found, whatever it is.

use portcullis_kernel::{Badge, Rights};
use portcullis_manager_api::Authority;
use portcullis_policy::distribution::{
    AddressSpace, CNode, CNodeKind, Capability, Difference, Distribution, Fault, Mapping, Object,
    Place, ProtectionDomain, verify,
};

use crate::{appliance, cap, named};

#[test]
fn an_image_that_is_as_stated_has_no_difference() {
    assert_eq!(verify(&appliance(), &appliance()), []);
}

/// Breaks one rule in an image, and gives what is found.
fn broken(change: impl FnOnce(&mut Distribution)) -> Vec<String> {
    let expected = appliance();
    let mut found = expected.clone();
    change(&mut found);
    assert_ne!(found, expected, "the change must change something");
    let differences = verify(&expected, &found);
    differences.iter().map(Difference::to_string).collect()
}

fn cnode<'d>(all: &'d mut Distribution, pd: &str, kind: CNodeKind) -> &'d mut CNode {
    let pd = all
        .protection_domains
        .iter_mut()
        .find(|it| it.name == pd)
        .unwrap();
    pd.cspace.iter_mut().find(|it| it.kind == kind).unwrap()
}

fn pd<'d>(all: &'d mut Distribution, name: &str) -> &'d mut ProtectionDomain {
    all.protection_domains
        .iter_mut()
        .find(|it| it.name == name)
        .unwrap()
}

fn mappings<'d>(all: &'d mut Distribution, region: &str) -> &'d mut Vec<Mapping> {
    let region = all.regions.iter_mut().find(|it| it.name == region).unwrap();
    &mut region.mappings
}

/// What is broken, how, and what is found.
type Case = (&'static str, fn(&mut Distribution), &'static str);

#[test]
fn each_rule_broken_in_turn_is_found() {
    let cases: &[Case] = &[
        (
            "a capability too many",
            |all| {
                let tcb = cap(named(Object::Tcb, "vault"), Rights::ALL, 0);
                cnode(all, "edge", CNodeKind::Microkit)
                    .slots
                    .insert(300, tcb);
            },
            "slot 300 of the Microkit CNode of 'edge': TCB of 'vault' should not be there",
        ),
        (
            "a grant that the manager did not mint",
            |all| {
                let call = cap(
                    named(Object::Endpoint, "vault"),
                    Rights::CALL,
                    1 << 63 | 1 << 16,
                );
                cnode(all, "edge", CNodeKind::Grants).slots.insert(1, call);
            },
            "slot 1 of the grants CNode of 'edge': endpoint of 'vault', Write+GrantReply, badge \
             0x8000000000010000 should not be there",
        ),
        (
            "a capability missing",
            |all| drop(cnode(all, "blk", CNodeKind::Microkit).slots.remove(&139)),
            "slot 139 of the Microkit CNode of 'blk': handler of IRQ 79 is missing",
        ),
        (
            "a client that can receive on its server's endpoint",
            |all| {
                let held = &mut cnode(all, "edge", CNodeKind::Microkit).slots;
                held.get_mut(&74).unwrap().rights.read = true;
            },
            "slot 74 of the Microkit CNode of 'edge': is wider than stated: [endpoint of \
             'manager', Read+Write+GrantReply, badge 0x8000000000000005], not [endpoint of \
             'manager', Write+GrantReply, badge 0x8000000000000005]",
        ),
        (
            "a right missing",
            |all| {
                let held = &mut cnode(all, "manager", CNodeKind::Authority).slots;
                let layout = Authority::new(8);
                held.get_mut(&layout.endpoint(3)).unwrap().rights.grant = false;
            },
            "slot 13 of the authority CNode of 'manager': is narrower than stated: [endpoint of \
             'vault', Read+Write+GrantReply], not [endpoint of 'vault']",
        ),
        (
            "another object",
            |all| {
                let held = &mut cnode(all, "edge", CNodeKind::Microkit).slots;
                held.get_mut(&74).unwrap().object = named(Object::Endpoint, "vault");
            },
            "slot 74 of the Microkit CNode of 'edge': is [endpoint of 'vault', Write+GrantReply, \
             badge 0x8000000000000005], and should be [endpoint of 'manager', Write+GrantReply, \
             badge 0x8000000000000005]",
        ),
        (
            "a caller that passes for another",
            |all| {
                let held = &mut cnode(all, "edge", CNodeKind::Microkit).slots;
                held.get_mut(&74).unwrap().badge = Badge::channel(3).0;
            },
            "slot 74 of the Microkit CNode of 'edge': badge is 9223372036854775811, and should be \
             9223372036854775813",
        ),
        (
            "a guard that makes other pointers end in the CNode",
            |all| {
                let held = &mut cnode(all, "edge", CNodeKind::Root).slots;
                held.get_mut(&1).unwrap().guard_bits = 0;
            },
            "slot 1 of the root CNode of 'edge': guard is 0, and should be 52",
        ),
        (
            "a larger CNode",
            |all| cnode(all, "edge", CNodeKind::Grants).radix = 12,
            "grants CNode of 'edge': radix is 12, and should be 6",
        ),
        (
            "a CNode too many",
            |all| {
                let more = CNode::new(CNodeKind::Authority, 9);
                pd(all, "edge").cspace.push(more);
            },
            "authority CNode of 'edge': authority CNode of 9 bits should not be there",
        ),
        (
            "another CSpace",
            |all| {
                pd(all, "edge").tcb.cspace.object = Object::CNode {
                    pd: "vault".into(),
                    kind: CNodeKind::Root,
                };
            },
            "CSpace of the TCB of 'edge': is [root CNode of 'vault'], and should be [root CNode \
             of 'edge']",
        ),
        (
            "faults that go elsewhere",
            |all| pd(all, "edge").tcb.fault_endpoint.object = named(Object::Endpoint, "ingest"),
            "fault endpoint of the TCB of 'edge': is [endpoint of 'ingest', Write+GrantReply, \
             badge 0x6], and should be [endpoint of the monitor, Write+GrantReply, badge 0x6]",
        ),
        (
            "another notification",
            |all| pd(all, "edge").tcb.notification.object = named(Object::Notification, "vault"),
            "notification of the TCB of 'edge': is [notification of 'vault', Read], and should be \
             [notification of 'edge', Read]",
        ),
        (
            "a higher priority",
            |all| pd(all, "edge").priority = 254,
            "protection domain 'edge': priority is 254, and should be 120",
        ),
        (
            "a server that keeps its scheduling context",
            |all| pd(all, "vault").passive = false,
            "protection domain 'vault': passive is false, and should be true",
        ),
        (
            "another program",
            |all| pd(all, "edge").program = "evil.elf".into(),
            "protection domain 'edge': program is \"evil.elf\", and should be \"edge.elf\"",
        ),
        (
            "an interrupt that signals another",
            |all| all.irqs[0].notification.object = named(Object::Notification, "edge"),
            "IRQ 33: is [notification of 'edge', Write, badge 0x2], and should be [notification \
             of 'console', Write, badge 0x2]",
        ),
        (
            "a monitor that holds more",
            |all| {
                let context = cap(named(Object::SchedContext, "edge"), Rights::ALL, 0);
                all.monitor.slots.insert(143, context);
            },
            "slot 143 of the monitor's CNode of 'monitor': scheduling context of 'edge' should not \
             be there",
        ),
        (
            "a page that a reader can write",
            |all| mappings(all, "publish_edge")[0].write = true,
            "memory region 'publish_edge' at 0x10000000 of 'edge': is wider than stated: [rw \
             mapping], not [r mapping]",
        ),
        (
            "a page that another sees",
            |all| {
                let mut mapping = mappings(all, "vault_key")[0].clone();
                mapping.space = AddressSpace::Pd("edge".into());
                mappings(all, "vault_key").push(mapping);
            },
            "memory region 'vault_key' at 0x10000000 of 'edge': r mapping should not be there",
        ),
        (
            "a page that nobody sees",
            |all| mappings(all, "vault_key").clear(),
            "memory region 'vault_key' at 0x10000000 of 'vault': r mapping is missing",
        ),
        (
            "a device at another address",
            |all| {
                let uart = all.regions.iter_mut().find(|it| it.name == "uart").unwrap();
                uart.phys_addr = Some(0xa00_3000);
            },
            "memory region 'uart': phys_addr is Some(167784448), and should be Some(150994944)",
        ),
    ];
    for (name, change, message) in cases {
        assert_eq!(broken(change), [message.to_owned()], "{name}");
    }
}

#[test]
fn a_protection_domain_too_many_is_found() {
    let found = broken(|all| {
        let mut more = all.protection_domain("edge").unwrap().clone();
        more.name = "probe".into();
        all.protection_domains.push(more);
    });
    let expected = "protection domain 'probe': protection domain with program 'edge.elf' should \
                    not be there";
    assert_eq!(found, [expected]);
}

#[test]
fn two_of_a_kind_do_not_hide_behind_each_other() {
    let expected = appliance();
    let mut found = expected.clone();
    let mapping = mappings(&mut found, "grant_log")[0].clone();
    mappings(&mut found, "grant_log").push(Mapping {
        write: true,
        ..mapping
    });
    let differences = verify(&expected, &found);
    assert!(
        matches!(
            differences.as_slice(),
            [Difference {
                place: Place::Mapping { .. },
                fault: Fault::Unexpected(_)
            }]
        ),
        "{differences:?}"
    );
}

/// Every single capability, one after the other: dropped, widened, badged anew.
#[test]
fn no_capability_of_the_appliance_escapes() {
    let expected = appliance();
    for at in 0..expected.protection_domains.len() {
        for node in 0..expected.protection_domains[at].cspace.len() {
            let slots = &expected.protection_domains[at].cspace[node].slots;
            for slot in slots.keys() {
                let change = |change: &dyn Fn(&mut Capability)| {
                    let mut found = expected.clone();
                    let slots = &mut found.protection_domains[at].cspace[node].slots;
                    change(slots.get_mut(slot).unwrap());
                    if found != expected {
                        assert_eq!(verify(&expected, &found).len(), 1, "slot {slot}");
                    }
                };
                change(&|capability| capability.rights = Rights::ALL);
                change(&|capability| capability.rights = Rights::NONE);
                change(&|capability| capability.badge ^= 1);
                change(&|capability| capability.guard_bits += 1);
                change(&|capability| capability.object = Object::ArmSmc);
                let mut found = expected.clone();
                found.protection_domains[at].cspace[node].slots.remove(slot);
                assert_eq!(verify(&expected, &found).len(), 1, "slot {slot}");
            }
        }
    }
}
