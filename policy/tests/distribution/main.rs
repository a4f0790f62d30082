//! Who is to hold what in the image of the reference appliance.

#[path = "../common/checked.rs"]
mod checked;
#[path = "../common/mod.rs"]
mod common;
mod holdings;

use checked::checked;
use common::{source, system};
use portcullis_kernel::Rights;
use portcullis_policy::compile;
use portcullis_policy::distribution::{Capability, Configuration, Distribution, Object};
use portcullis_policy_format::Policy;
use portcullis_sdf::Architecture;

const AARCH64: Configuration = Configuration {
    architecture: Architecture::Aarch64,
    benchmark: false,
};

/// What the image of the reference appliance should hold.
fn appliance() -> Distribution {
    let described = source("system.xml");
    let system = system(&described);
    let compiled = compile(&checked(source("policy/appliance.toml"), &described));
    let policy = Policy::inspect(&compiled).unwrap();
    Distribution::new(&policy, &system, &AARCH64).unwrap()
}

fn cap(object: Object, rights: Rights, badge: u64) -> Capability {
    Capability::new(object, rights).with_badge(badge)
}

fn named(kind: fn(String) -> Object, pd: &str) -> Object {
    kind(pd.to_owned())
}
