//! The reference appliance's own policy, compiled for its own system description.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_kernel::Mode;
use portcullis_policy::{Checked, Source, compile, sign};
use portcullis_policy_format::testing::Draft;
use portcullis_policy_format::{Policy, Tail};
use portcullis_sdf::Target;

use support::draft::key;
use support::world::{ROOMY, World};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The compiled policy, and a draft of what is in it for the machine to be made from.
fn appliance() -> (Vec<u8>, Draft<'static>) {
    let description = Arc::new(Source::read(&root().join("system.xml")).unwrap());
    let system = portcullis_sdf::parse(description.text(), &Target::ANY).unwrap();
    let source = Arc::new(Source::read(&root().join("policy/appliance.toml")).unwrap());
    let policy = Checked::new(source, system, description).expect("the reference policy holds");
    let bytes = sign(&compile(&policy), &key()).unwrap();
    let read = Policy::inspect(bytes.clone().leak()).unwrap();
    let draft = Draft {
        name: read.name(),
        version: read.version(),
        domains: read.domains().collect(),
        interfaces: read.interfaces().collect(),
        methods: read.methods().collect(),
        components: read.components().collect(),
        flows: read.flows().collect(),
        nevers: read.nevers().collect(),
        grants: read.grants().collect(),
        tail: Tail::default(), // The keeper of the appliance's log takes its records as bytes.
    };
    (bytes, draft)
}

#[test]
fn every_boot_grant_of_the_reference_policy_is_in_force_and_found() {
    let (bytes, draft) = appliance();
    let mut world = World::with_policy(&draft, bytes, ROOMY);
    world.boot();
    assert!(world.manager.is_sealed());
    assert_eq!(world.manager.in_force() as usize, draft.grants.len());
    for grant in &draft.grants {
        let grant = &grant.grant;
        let subject = &draft.components[usize::from(grant.subject)];
        let Some(channel) = subject.channel else {
            assert_eq!(subject.name, "manager");
            continue;
        };
        let object = draft.components[usize::from(grant.object)].name;
        let interface = draft.interfaces[usize::from(grant.interface)].name;
        let found = world.find(channel, object, interface, grant.mode).unwrap();
        assert_eq!((found.slot, found.methods), (grant.slot, grant.methods));
    }
}

#[test]
fn the_edge_finds_no_way_to_the_vault() {
    let (bytes, draft) = appliance();
    let mut world = World::with_policy(&draft, bytes, ROOMY);
    world.boot();
    let edge = draft
        .components
        .iter()
        .find(|it| it.name == "edge")
        .unwrap();
    let channel = edge.channel.unwrap();
    for object in ["vault", "ingest", "publish", "ledger", "blk"] {
        for interface in draft.interfaces.clone() {
            for mode in [Mode::Call, Mode::Send, Mode::Notify, Mode::Stream] {
                assert!(world.find(channel, object, interface.name, mode).is_err());
            }
        }
    }
}
