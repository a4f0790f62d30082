//! The compiled form: what the manager reads at boot.
//!
//! The types and their order are those of `portcullis-policy-format`, which reads what is written
//! here. Only a policy that holds is compiled.

use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use portcullis_kernel::{Grant, Principal};
use portcullis_policy_format as format;
use portcullis_policy_format::{AllowedGrant, Counts, Header, PolicyError};
use portcullis_sdf::System;
use serde::Serialize;
use zerocopy::{FromBytes, IntoBytes};

use crate::ceiling::Ceiling;
use crate::check;
use crate::model::{MANAGER, Policy};
use crate::notification::Bits;
use crate::problem::Problems;
use crate::relation::is_redacted;
use crate::source::Source;

/// Compiles a policy for a system: an unsigned header and the body. A policy that does not hold,
/// alone or for this system, is refused with all its problems.
pub fn compile(policy: &Policy, system: &System) -> Result<Vec<u8>, Problems> {
    // The text is not at hand, so that what is wrong in it is named and not quoted.
    let text = Arc::new(Source::new("system.xml", ""));
    let problems = check::with_system(policy, system, &text);
    match Problems::from_found(problems) {
        Some(problems) => Err(problems),
        None => Ok(write(policy, system)),
    }
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

fn write(policy: &Policy, system: &System) -> Vec<u8> {
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
                subject: Principal::Component(held.subject.0),
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
    body.push(&(redacted(policy), policy.version));
    let header = Header::unsigned(policy.version, &body.0);
    [header.as_bytes(), &body.0].concat()
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
