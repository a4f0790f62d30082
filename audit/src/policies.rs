//! Compiled policies as an audit needs them: names of numbers, and which grants they allow.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_kernel::{Method, MethodSet};
use portcullis_log::GrantFields;
use portcullis_policy_format::{AllowedGrant, MAX_COMPONENTS, OnFault, Policy, PolicyError};

use crate::files::{self, FileError, Said};

/// Longest compiled policy that is read, in bytes: one of 65,536 grants has a tenth of it.
pub(crate) const POLICY_MAX: usize = 16 << 20;
/// Most entries of a folder of policies: one for each that was ever in force.
const POLICIES_MAX: usize = 10_000;

/// A compiled policy, read. A log names it by the hash of its body, so its signature adds nothing
/// here: it was the manager's to check.
#[derive(Clone, Debug)]
pub struct PolicyTable {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its body.
    pub sha256: [u8; 32],
    components: Vec<String>,
    interfaces: Vec<String>,
    methods: HashMap<(u16, Method), String>,
    /// Bit n: component n stays stopped when it faults.
    stopping: u64,
    grants: HashMap<(u16, u16), AllowedGrant>,
}

/// Policies at hand, by hash.
#[derive(Clone, Default, Debug)]
pub struct Policies(HashMap<[u8; 32], PolicyTable>);

/// Why policies cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// A file or the folder cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: FileError,
    },
    /// A folder has more entries than are read.
    #[error("{path} has more than {POLICIES_MAX} entries: name the policies with --policies", path = path.display())]
    TooMany {
        /// Which.
        path: PathBuf,
    },
    /// A folder that was named holds no policy.
    #[error("{path} holds no *.policy: name a folder that does, or none", path = path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// A file is not a compiled policy.
    #[error("{path}: {error}", path = path.display())]
    Policy {
        /// Which.
        path: PathBuf,
        /// Why.
        error: PolicyError,
    },
}

impl PolicyTable {
    /// Reads a compiled policy.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        let policy = Policy::inspect(bytes)?;
        let grants: HashMap<_, _> = policy
            .grants()
            .map(|it| ((it.grant.subject, it.grant.slot), it))
            .collect();
        Ok(Self {
            name: policy.name().to_owned(),
            version: policy.version(),
            sha256: *policy.sha256(),
            components: policy.components().map(|it| it.name.to_owned()).collect(),
            interfaces: policy.interfaces().map(|it| it.name.to_owned()).collect(),
            methods: policy
                .methods()
                .map(|it| ((it.interface, it.method), it.name.to_owned()))
                .collect(),
            stopping: (0..)
                .zip(policy.components())
                .filter(|(_, component)| component.on_fault == OnFault::Stop)
                .fold(0, |all, (number, _): (u16, _)| all | 1 << number),
            grants,
        })
    }

    /// Whether a component stays stopped when it faults, so that the grants to it are revoked too.
    pub fn stops(&self, number: u16) -> bool {
        number < MAX_COMPONENTS && self.stopping & 1 << number != 0
    }

    /// Name of a component.
    pub fn component(&self, number: u16) -> Option<&str> {
        self.components.get(usize::from(number)).map(String::as_str)
    }

    /// Names of all components.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.components.iter().map(String::as_str)
    }

    /// Name of an interface.
    pub fn interface(&self, number: u16) -> Option<&str> {
        self.interfaces.get(usize::from(number)).map(String::as_str)
    }

    /// Name of a method.
    pub fn method(&self, interface: u16, method: Method) -> Option<&str> {
        self.methods.get(&(interface, method)).map(String::as_str)
    }

    /// The rule that allows this grant, or what is wrong with it.
    pub fn allows(&self, logged: &GrantFields) -> Result<&AllowedGrant, String> {
        let grant = &logged.grant;
        let Some(rule) = self.grants.get(&(grant.subject, grant.slot)) else {
            return Err(format!(
                "the policy gives {} nothing in slot {}",
                self.component_name(grant.subject),
                grant.slot
            ));
        };
        let allowed = &rule.grant;
        let differs = [
            (allowed.object != grant.object, "object"),
            (allowed.interface != grant.interface, "interface"),
            (allowed.mode != grant.mode, "mode"),
            (!is_part(grant.methods, allowed.methods), "methods"),
            (longer(logged.lease_ms, rule.lease_ms), "lease"),
        ];
        match differs.iter().find(|(differs, _)| *differs) {
            None => Ok(rule),
            Some((_, field)) => Err(format!(
                "the grant's {field} goes beyond line {} of the policy",
                rule.line
            )),
        }
    }

    /// The component's name, or its number where the policy has none such.
    pub fn component_name(&self, number: u16) -> String {
        self.component(number)
            .map_or_else(|| format!("component {number}"), str::to_owned)
    }

    /// Names of methods, separated by a comma and a space.
    pub fn method_names(&self, interface: u16, methods: MethodSet) -> String {
        let names: Vec<_> = methods
            .iter()
            .map(|method| {
                let name = self.method(interface, method);
                name.map_or_else(|| method.number().to_string(), str::to_owned)
            })
            .collect();
        names.join(", ")
    }
}

/// Whether a grant may have these methods where a rule has those: some of them, where it has any.
fn is_part(methods: MethodSet, allowed: MethodSet) -> bool {
    methods.is_subset(allowed) && (methods.is_empty() == allowed.is_empty())
}

/// Whether `lease` lasts longer than `limit` allows; `None` lasts until revoked.
fn longer(lease: Option<u32>, limit: Option<u32>) -> bool {
    match (lease, limit) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(lease), Some(limit)) => lease > limit,
    }
}

impl Policies {
    /// Adds a policy.
    pub fn add(&mut self, policy: PolicyTable) {
        self.0.insert(policy.sha256, policy);
    }

    /// Every policy.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyTable> {
        self.0.values()
    }

    /// The policy with this hash.
    pub fn get(&self, sha256: &[u8; 32]) -> Option<&PolicyTable> {
        self.0.get(sha256)
    }

    /// Reads a policy from a file, or every `*.policy` of a folder.
    pub fn load(&mut self, path: &Path) -> Result<(), PoliciesError> {
        if !path.is_dir() {
            return self.load_file(path, Said::Named);
        }
        if self.load_folder(path, Said::Named)? == 0 {
            let path = path.to_owned();
            return Err(PoliciesError::Empty { path });
        }
        Ok(())
    }

    /// Reads every `*.policy` of a folder; how many there are.
    pub(crate) fn load_folder(&mut self, path: &Path, said: Said) -> Result<usize, PoliciesError> {
        let mut policies = 0;
        let failed = |error| PoliciesError::File {
            path: path.to_owned(),
            error,
        };
        files::is_folder(path, said).map_err(failed)?;
        let entries = fs::read_dir(path).map_err(|error| failed(error.into()))?;
        for (number, entry) in entries.enumerate() {
            if number == POLICIES_MAX {
                let path = path.to_owned();
                return Err(PoliciesError::TooMany { path });
            }
            let path = entry.map_err(|error| failed(error.into()))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "policy")
            {
                self.load_file(&path, Said::Found)?;
                policies += 1;
            }
        }
        Ok(policies)
    }

    fn load_file(&mut self, path: &Path, said: Said) -> Result<(), PoliciesError> {
        let bytes = files::read(path, said, POLICY_MAX).map_err(|error| PoliciesError::File {
            path: path.to_owned(),
            error,
        })?;
        let policy = PolicyTable::read(&bytes);
        self.add(policy.map_err(|error| PoliciesError::Policy {
            path: path.to_owned(),
            error,
        })?);
        Ok(())
    }
}
