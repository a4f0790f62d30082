//! Each protection domain holds what it should.

use std::collections::BTreeMap;

use portcullis_kernel::{Badge, Rights, cspace};
use portcullis_manager_api::{Authority, guard_bits};
use portcullis_policy::compile;
use portcullis_policy::distribution::{
    AddressSpace, CNodeKind, Capability, Configuration, Distribution, Irq, Mismatch, Object,
};
use portcullis_policy_format::Policy;
use portcullis_sdf::{Architecture, System, Target};

use crate::checked::{checked, nothing};
use crate::common::source;
use crate::{AARCH64, appliance, cap, named};

/// A distribution without grants: every protection domain as Microkit makes it, narrowed.
fn plain(xml: &str, configuration: &Configuration) -> Distribution {
    let system = parse(xml);
    let empty = nothing();
    let policy = Policy::inspect(&empty).unwrap();
    Distribution::new(&policy, &system, configuration).unwrap()
}

fn parse(xml: &str) -> System {
    portcullis_sdf::parse(xml, &Target::ANY).unwrap()
}

fn slots<'d>(all: &'d Distribution, pd: &str, kind: CNodeKind) -> &'d BTreeMap<u32, Capability> {
    let pd = all.protection_domain(pd).unwrap();
    &pd.cnode(kind).unwrap().slots
}

#[test]
fn a_passive_server_of_the_appliance_holds_five_capabilities() {
    let all = appliance();
    let expected: BTreeMap<u32, Capability> = [
        (1, cap(named(Object::Endpoint, "vault"), Rights::READ, 0)),
        (4, cap(named(Object::Reply, "vault"), Rights::ALL, 0)),
        (5, cap(Object::MonitorEndpoint, Rights::WRITE, 4)),
        // Channel 0 to the manager, which knows it as channel 3.
        (
            cspace::channel_endpoint(0).bits() as u32,
            cap(
                named(Object::Endpoint, "manager"),
                Rights::CALL,
                Badge::channel(3).0,
            ),
        ),
    ]
    .into();
    assert_eq!(*slots(&all, "vault", CNodeKind::Microkit), expected);
    let root = slots(&all, "vault", CNodeKind::Root);
    assert_eq!(root.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(root[&0].guard_bits, 64 - 6 - 9);
    assert_eq!(root[&1].guard_bits, 64 - 6 - 6);
    assert!(slots(&all, "vault", CNodeKind::Grants).is_empty());
}

#[test]
fn only_those_that_messages_can_reach_have_an_endpoint() {
    let all = appliance();
    let input = |pd: &str| slots(&all, pd, CNodeKind::Microkit)[&1].object.clone();
    // Nobody calls ingest, and it is the object of no grant.
    assert_eq!(input("ingest"), named(Object::Notification, "ingest"));
    for pd in [
        "manager", "blk", "ledger", "vault", "publish", "edge", "console",
    ] {
        assert_eq!(input(pd), named(Object::Endpoint, pd));
    }
}

#[test]
fn nobody_but_the_manager_can_make_a_capability() {
    let all = appliance();
    for pd in &all.protection_domains {
        for cnode in pd
            .cspace
            .iter()
            .filter(|cnode| cnode.kind != CNodeKind::Root)
        {
            for capability in cnode.slots.values() {
                let is_cnode = matches!(capability.object, Object::CNode { .. });
                assert!(
                    !is_cnode || pd.name == "manager",
                    "{}: {capability}",
                    pd.name
                );
                let reaches = matches!(
                    capability.object,
                    Object::Endpoint(_) | Object::Notification(_) | Object::MonitorEndpoint
                );
                if reaches && cnode.kind == CNodeKind::Microkit {
                    assert!(!capability.rights.grant, "{}: {capability}", pd.name);
                    let is_input = capability.badge == 0;
                    assert_eq!(
                        capability.rights.read, is_input,
                        "{}: {capability}",
                        pd.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_manager_holds_the_sources_of_all_grants() {
    let all = appliance();
    let components = 10;
    let layout = Authority::new(components);
    let authority = slots(&all, "manager", CNodeKind::Authority);
    let cnode = all.protection_domain("manager").unwrap();
    let cnode = cnode.cnode(CNodeKind::Authority).unwrap();
    assert_eq!(cnode.radix, layout.radix(15));
    let itself = &authority[&Authority::ITSELF];
    assert_eq!(itself.guard_bits, guard_bits(cnode.radix));
    let number = |pd: &str| all.protection_domain(pd).unwrap().component.unwrap();
    for pd in &all.protection_domains {
        let grants = authority.get(&layout.grants_cnode(number(&pd.name)));
        assert_eq!(grants.is_some(), pd.name != "manager");
        let endpoint = authority.get(&layout.endpoint(number(&pd.name)));
        let is_object = !["ingest", "entropy", "clock"].contains(&pd.name.as_str());
        assert_eq!(endpoint.is_some(), is_object, "{}", pd.name);
        if let Some(endpoint) = endpoint {
            let full = cap(Object::Endpoint(pd.name.clone()), Rights::ALL, 0);
            assert_eq!(*endpoint, full);
        }
    }
    // Those who serve calls, the manager not among them.
    for pd in [
        "blk", "ledger", "vault", "publish", "ingest", "edge", "console", "entropy", "clock",
    ] {
        let reply = authority.get(&layout.reply(number(pd)));
        let serves = ["blk", "ledger", "vault"].contains(&pd);
        let whole = cap(named(Object::Reply, pd), Rights::ALL, 0);
        assert_eq!(reply, serves.then_some(&whole), "{pd}");
    }
    // Itself, nine grants CNodes, seven endpoints and as many notifications, three reply objects:
    // nothing else.
    assert_eq!(authority.len(), 1 + 9 + 7 + 7 + 3);
}

#[test]
fn the_manager_has_a_reply_object_for_each_that_may_wait_for_it() {
    let all = appliance();
    let root = slots(&all, "manager", CNodeKind::Root);
    let pool = slots(&all, "manager", CNodeKind::Replies);
    let in_root = &root[&(cspace::REPLIES_ROOT_SLOT as u32)];
    let pd = String::from("manager");
    let kind = CNodeKind::Replies;
    assert_eq!(in_root.object, Object::CNode { pd, kind });
    assert_eq!(in_root.guard_bits, guard_bits(cspace::REPLIES_RADIX));
    // All but itself, entropy and clock.
    let pooled = |number| {
        let pd = String::from("manager");
        (
            u32::from(number),
            cap(Object::PooledReply { pd, number }, Rights::ALL, 0),
        )
    };
    assert_eq!(*pool, (1..=7).map(pooled).collect());
    for pd in all
        .protection_domains
        .iter()
        .filter(|pd| pd.name != "manager")
    {
        assert_eq!(pd.cnode(CNodeKind::Replies), None, "{}", pd.name);
    }
}

#[test]
fn interrupts_signal_their_own_driver() {
    let all = appliance();
    let console = slots(&all, "console", CNodeKind::Microkit);
    let at = cspace::irq_handler(1).bits() as u32;
    assert_eq!(console[&at].object, Object::IrqHandler(33));
    let irq = |number, pd: &str, badge| Irq {
        number,
        notification: cap(named(Object::Notification, pd), Rights::WRITE, badge),
    };
    assert_eq!(all.irqs, [irq(33, "console", 2), irq(79, "blk", 2)]);
}

#[test]
fn the_stream_to_the_edge_goes_one_way() {
    let all = appliance();
    let region = all.region("publish_edge").unwrap();
    let seen: Vec<(&AddressSpace, bool, bool)> = region
        .mappings
        .iter()
        .map(|mapping| (&mapping.space, mapping.read, mapping.write))
        .collect();
    let edge = AddressSpace::Pd("edge".into());
    let publish = AddressSpace::Pd("publish".into());
    assert_eq!(seen, [(&edge, true, false), (&publish, true, true)]);
}

#[test]
fn the_monitor_rests_the_passive_ones() {
    let all = appliance();
    let monitor = &all.monitor.slots;
    // blk, ledger, vault and entropy: places 1, 2, 3 and 8.
    let contexts: Vec<u32> = monitor
        .keys()
        .copied()
        .filter(|slot| (138..202).contains(slot))
        .collect();
    assert_eq!(contexts, [139, 140, 141, 146]);
    assert_eq!(monitor[&10].object, named(Object::Tcb, "manager"));
    assert_eq!(monitor.len(), 2 + 10 + 4 + 4);
}

const FAMILY: &str = r#"<system>
    <protection_domain name="parent" priority="100" smc="true">
        <program_image path="p.elf" />
        <ioport id="3" addr="0x3f8" size="8" />
        <cspace><cap_sc slot="5" pd="child" /></cspace>
        <protection_domain name="child" priority="50" id="7">
            <program_image path="c.elf" />
        </protection_domain>
        <virtual_machine name="guest" priority="40"><vcpu id="2" /></virtual_machine>
    </protection_domain>
    <protection_domain name="friend" priority="20"><program_image path="f.elf" /></protection_domain>
    <channel><end pd="parent" id="1" /><end pd="friend" id="9" notify="false" /></channel>
</system>"#;

#[test]
fn a_parent_holds_what_it_controls() {
    let all = plain(FAMILY, &AARCH64);
    let whole = |object| cap(object, Rights::ALL, 0);
    let vm = || "guest".to_owned();
    let expected: BTreeMap<u32, Capability> = [
        (1, cap(named(Object::Endpoint, "parent"), Rights::READ, 0)),
        (4, whole(named(Object::Reply, "parent"))),
        (7, whole(Object::ArmSmc)),
        (
            11,
            cap(named(Object::Notification, "friend"), Rights::WRITE, 1 << 9),
        ),
        (202 + 7, whole(named(Object::Tcb, "child"))),
        (266 + 2, whole(Object::VcpuTcb { vm: vm(), id: 2 })),
        (330 + 2, whole(Object::Vcpu { vm: vm(), id: 2 })),
        (
            394 + 3,
            whole(Object::IoPorts {
                base: 0x3f8,
                size: 8,
            }),
        ),
    ]
    .into();
    assert_eq!(*slots(&all, "parent", CNodeKind::Microkit), expected);
    let root = slots(&all, "parent", CNodeKind::Root);
    assert_eq!(root[&5], whole(named(Object::SchedContext, "child")));
    // The channel goes one way, and an empty policy gives no grants CNode.
    assert_eq!(slots(&all, "friend", CNodeKind::Microkit).len(), 2);
    assert_eq!(slots(&all, "friend", CNodeKind::Root).len(), 1);
}

#[test]
fn faults_go_to_the_parent_or_the_monitor() {
    let all = plain(FAMILY, &AARCH64);
    let fault = |pd: &str| {
        all.protection_domain(pd)
            .unwrap()
            .tcb
            .fault_endpoint
            .clone()
    };
    let parent = || named(Object::Endpoint, "parent");
    assert_eq!(fault("child"), cap(parent(), Rights::CALL, 1 << 62 | 7));
    assert_eq!(
        fault("friend"),
        cap(Object::MonitorEndpoint, Rights::CALL, 3)
    );
}

#[test]
fn faults_of_components_go_to_the_manager() {
    let all = appliance();
    let places = all.protection_domains.iter().zip(1..);
    for (pd, place) in places {
        let number = pd.component.unwrap();
        let expected = match pd.name.as_str() {
            "manager" => cap(Object::MonitorEndpoint, Rights::CALL, place),
            _ => {
                let manager = named(Object::Endpoint, "manager");
                cap(manager, Rights::CALL, Badge::fault(number as u8).0)
            }
        };
        assert_eq!(pd.tcb.fault_endpoint, expected, "{}", pd.name);
    }
}

#[test]
fn on_x86_a_guest_runs_on_its_owners_thread() {
    let x86 = Configuration {
        architecture: Architecture::X86_64,
        benchmark: true,
    };
    let all = plain(FAMILY, &x86);
    let held = slots(&all, "parent", CNodeKind::Microkit);
    assert!(!held.contains_key(&268));
    assert!(held.contains_key(&332));
    assert_eq!(held[&6].object, named(Object::Tcb, "parent"));
}

#[test]
fn a_policy_for_another_system_is_refused() {
    let described = source("system.xml");
    let compiled = compile(&checked(source("policy/appliance.toml"), &described));
    let policy = Policy::inspect(&compiled).unwrap();
    let refused = |xml: &str| Distribution::new(&policy, &parse(xml), &AARCH64).unwrap_err();

    let renumbered = described
        .text()
        .replace(r#"pd="manager" id="3""#, r#"pd="manager" id="9""#);
    let mismatch = refused(&renumbered);
    assert_eq!(
        mismatch,
        Mismatch::OtherChannel {
            component: "vault".into(),
            compiled: Some(3),
            described: Some(9),
        }
    );
    let renamed = described.text().replace(r#""ingest""#, r#""intake""#);
    assert_eq!(
        refused(&renamed),
        Mismatch::NoProtectionDomain("ingest".into())
    );

    let taken = described.text().replace(
        r#"<program_image path="edge.elf" />"#,
        r#"<program_image path="edge.elf" /><cspace><cap_tcb slot="1" pd="edge" /></cspace>"#,
    );
    assert_eq!(
        refused(&taken).to_string(),
        "slot 1 of the root CNode of 'edge' would hold grants CNode of 'edge', and TCB of 'edge'; \
         give the <cspace> capability another slot"
    );
}

#[test]
fn it_comes_out_the_same_every_time() {
    assert_eq!(appliance(), appliance());
}
