//! The compiled form: what the manager reads at boot.
//!
//! The types and their order are those of `portcullis-policy-format`, which reads what is written
//! here. Only a policy that holds is compiled.

use ed25519_dalek::{Signer, SigningKey};
use portcullis_kernel::Grant;
use portcullis_policy_format as format;
use portcullis_policy_format::{AllowedGrant, Counts, Header, PolicyError};
use portcullis_sdf::System;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use crate::ceiling::Ceiling;
use crate::check::Checked;
use crate::clock;
use crate::envelope::envelope;
use crate::model::{MANAGER, Policy};
use crate::notification::Bits;
use crate::relation::is_redacted;

/// Compiles a policy that holds, for its system: an unsigned header and the body.
pub fn compile(checked: &Checked) -> Vec<u8> {
    let (policy, system) = (checked.policy(), checked.system());
    let ceiling = Ceiling::of(policy);
    let bits = Bits::assign(policy, &ceiling, system);
    let mut body = Body::default();
    body.push(&(policy.name.as_str(), counts(policy, &ceiling)));
    for domain in &policy.domains {
        let name = &domain.name;
        body.push(&format::Domain { name });
    }
    for interface in &policy.interfaces {
        let name = &interface.name;
        body.push(&format::Interface { name });
    }
    body.methods(policy);
    for component in &policy.components {
        body.push(&format::Component {
            name: &component.name,
            domain: component.domain.0,
            channel: manager_channel(system, &component.name),
            on_fault: component.on_fault,
        });
    }
    body.rules(policy);
    for held in ceiling.grants() {
        body.push(&AllowedGrant {
            grant: Grant {
                subject: held.subject.0,
                slot: held.slot as u16,
                object: held.object.0,
                interface: held.interface.0,
                methods: held.methods,
                mode: held.mode,
            },
            notification: bits.of(held),
            when: held.when,
            lease_ms: held.lease_ms,
            line: policy.grants[held.rule].line(),
        });
    }
    let channel = |name: &str| manager_channel(system, name);
    body.push(&format::Tail {
        redacted: redacted(policy),
        version: policy.version,
        system: Sha256::digest(checked.description().text()).into(),
        envelope: envelope(policy, &ceiling, system, channel),
        successors: policy.successors.as_flattened(),
        clock: clock(policy, system),
    });
    let header = Header::unsigned(policy.version, &body.0);
    [header.as_bytes(), &body.0].concat()
}

/// Signs a compiled policy. Its version, its body and their hash stay what they are.
pub fn sign(compiled: &[u8], key: &SigningKey) -> Result<Vec<u8>, PolicyError> {
    // What does not hold together is not signed.
    format::Policy::inspect(compiled)?;
    let mut signed = compiled.to_vec();
    let (header, _) =
        Header::mut_from_prefix(&mut signed).expect("`inspect` found a header of this size");
    header.key_id = format::key_id(&key.verifying_key());
    header.signature = key.sign(header.signed_bytes()).to_bytes();
    Ok(signed)
}

/// A bit for each component that is redacted.
fn redacted(policy: &Policy) -> u64 {
    let components = (0..).zip(&policy.components);
    let redacted = components.filter(|(_, component)| is_redacted(policy, component));
    redacted.fold(0, |all, (number, _)| all | 1 << number)
}

fn counts(policy: &Policy, ceiling: &Ceiling) -> Counts {
    let methods = policy.interfaces.iter().map(|it| it.methods.len());
    // The limits were checked, so that none of these is cut.
    Counts {
        domains: policy.domains.len() as u16,
        interfaces: policy.interfaces.len() as u16,
        methods: methods.sum::<usize>() as u16,
        components: policy.components.len() as u16,
        flows: policy.flows.len() as u16,
        nevers: policy.nevers.len() as u16,
        grants: ceiling.count() as u32,
    }
}

/// The component that watches the manager's deadline.
fn clock(policy: &Policy, system: &System) -> Option<format::Clock> {
    let clock = clock::of(system)?;
    let component = policy.component_named(&system.pd(clock.pd).name.value)?;
    Some(format::Clock {
        component: component.0,
        channel: clock.channel,
    })
}

/// The manager's id of the channel on which this component can call it.
fn manager_channel(system: &System, component: &str) -> Option<u8> {
    let manager = system.pd_named(MANAGER)?;
    let component = system.pd_named(component)?;
    system
        .ends()
        .find(|(end, other)| end.pd.value == component && end.pp.value && other.pd.value == manager)
        .map(|(_, other)| other.id.value)
}

/// A body in the making.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn push(&mut self, item: &impl Serialize) {
        let bytes = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(item, bytes).expect("a vector takes all, and items are plain");
    }

    fn methods(&mut self, policy: &Policy) {
        for (number, interface) in (0..).zip(&policy.interfaces) {
            for method in &interface.methods {
                self.push(&format::InterfaceMethod {
                    interface: number,
                    method: method.method,
                    name: &method.name,
                });
            }
        }
    }

    fn rules(&mut self, policy: &Policy) {
        for flow in &policy.flows {
            self.push(&format::Flow {
                from: flow.from.0,
                to: flow.to.0,
                modes: flow.modes.bits(),
                line: flow.place.line,
            });
        }
        for never in &policy.nevers {
            self.push(&format::Never {
                from: never.from.0,
                to: never.to.0,
                line: never.place.line,
            });
        }
    }
}
