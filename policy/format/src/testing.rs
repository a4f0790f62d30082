//! Makes compiled policies for tests, sound or not, without the policy language.

use std::vec::Vec;

use ed25519_dalek::{Signer, SigningKey};
use serde::Serialize;
use zerocopy::IntoBytes;

use crate::{
    AllowedGrant, Component, Counts, Domain, Flow, Header, Interface, InterfaceMethod, Never, Tail,
    key_id,
};

/// What is to stand in a policy. Nothing of it is checked.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Draft<'a> {
    /// The policy's name.
    pub name: &'a str,
    /// Its version.
    pub version: u32,
    /// Domains.
    pub domains: Vec<Domain<'a>>,
    /// Interfaces.
    pub interfaces: Vec<Interface<'a>>,
    /// Methods, by interface.
    pub methods: Vec<InterfaceMethod<'a>>,
    /// Components.
    pub components: Vec<Component<'a>>,
    /// Flows.
    pub flows: Vec<Flow>,
    /// `never` rules.
    pub nevers: Vec<Never>,
    /// Grants, by subject, then by slot.
    pub grants: Vec<AllowedGrant>,
    /// What follows the grants, but for its version.
    pub tail: Tail<'a>,
}

impl Draft<'_> {
    /// How many there are of each.
    pub fn counts(&self) -> Counts {
        Counts {
            domains: self.domains.len() as u16,
            interfaces: self.interfaces.len() as u16,
            methods: self.methods.len() as u16,
            components: self.components.len() as u16,
            flows: self.flows.len() as u16,
            nevers: self.nevers.len() as u16,
            grants: self.grants.len() as u32,
        }
    }

    /// The body.
    pub fn body(&self) -> Vec<u8> {
        let mut body = encode(&(self.name, self.counts()));
        append(&mut body, &self.domains);
        append(&mut body, &self.interfaces);
        append(&mut body, &self.methods);
        append(&mut body, &self.components);
        append(&mut body, &self.flows);
        append(&mut body, &self.nevers);
        append(&mut body, &self.grants);
        let version = self.version;
        append(
            &mut body,
            &[Tail {
                version,
                ..self.tail
            }],
        );
        body
    }

    /// The compiled policy, signed with `key`.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        sign(self.version, &self.body(), key)
    }
}

/// A compiled policy of any body, signed with `key`.
pub fn sign(version: u32, body: &[u8], key: &SigningKey) -> Vec<u8> {
    let mut header = Header::unsigned(version, body);
    header.key_id = key_id(&key.verifying_key());
    header.signature = key.sign(header.signed_bytes()).to_bytes();
    [header.as_bytes(), body].concat()
}

fn append<T: Serialize>(body: &mut Vec<u8>, items: &[T]) {
    for item in items {
        body.extend(encode(item));
    }
}

fn encode(item: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(item).expect("a vector takes all, and items are plain")
}
