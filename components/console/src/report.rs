//! What the manager reports, in words.

use core::fmt;

use portcullis_manager_api::{Report, Unissued};
use portcullis_policy_format::Policy;

use crate::record::Name;

/// A report, with the names of the policy in force.
#[derive(Clone, Copy, Debug)]
pub struct Worded<'a>(pub Report, pub Option<&'a Policy<'a>>);

impl fmt::Display for Worded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report, policy) = *self;
        let name = |number| Name::of(policy, number);
        match report {
            Report::Refused(reason) => write!(f, "no grant is issued: {reason}"),
            Report::InForce { grants } => {
                let (name, version) = policy.map_or(("", 0), |it| (it.name(), it.version()));
                write!(
                    f,
                    "policy '{name}', version {version}, is in force: {grants} grants issued"
                )
            }
            Report::Unsound { component, error } => write!(
                f,
                "no grant of '{}' can be issued: its endpoint capability lacks rights ({error})",
                name(component)
            ),
            Report::Unissued {
                subject,
                object,
                line,
                reason,
            } => write!(
                f,
                "the grant of '{}' to '{}' in line {line} of the policy was not issued: {}",
                name(object),
                name(subject),
                Reason(reason)
            ),
            Report::StillInForce {
                index,
                subject,
                line,
                error,
            } => write!(
                f,
                "grant {index} of '{}', line {line} of the policy, could not be revoked ({error}): it \
                 is still in force",
                name(subject)
            ),
            Report::Retired { index, subject } => write!(
                f,
                "grant index {index}, last of '{}', is retired until the next boot",
                name(subject)
            ),
            Report::Faulted { component, fault } => match policy {
                Some(_) => write!(f, "'{}' faulted: {fault}", name(component)),
                None => write!(f, "component {component} faulted: {fault}"),
            },
        }
    }
}

struct Reason(Unissued);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unissued::NotPermitted => f.write_str("the policy does not allow it"),
            Unissued::Unavailable => f.write_str(
                "it is in force already, or no index is left for it, or a component is stopped",
            ),
            Unissued::Leased => f.write_str("it has a lease, and no clock ends leases"),
            Unissued::Full => f.write_str("the log has no room for its record"),
            Unissued::Kernel(error) => write!(f, "the kernel refused it ({error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec::Vec;

    use ed25519_dalek::SigningKey;
    use portcullis_kernel::{Fault, KernelError};
    use portcullis_manager_api::Refused;
    use portcullis_policy_format::testing::Draft;
    use portcullis_policy_format::{Component, Domain, OnFault, PolicyError};

    use super::*;

    /// A policy with three components.
    fn policy() -> Vec<u8> {
        let component = |name| Component {
            name,
            domain: 0,
            channel: None,
            on_fault: OnFault::Stop,
        };
        let draft = Draft {
            name: "drafted",
            version: 1,
            domains: [Domain { name: "all" }].into(),
            components: ["manager", "ledger", "vault"].map(component).into(),
            ..Draft::default()
        };
        draft.sign(&SigningKey::from_bytes(&[1; 32]))
    }

    #[test]
    fn reports_have_the_names_of_the_policy() {
        let bytes = policy();
        let policy = Policy::inspect(&bytes).unwrap();
        let (subject, error) = (1, KernelError::DeleteFirst);
        let (component, line, index) = (2, 111, 7);
        let reason = Unissued::Kernel(error);
        for (report, text) in [
            (
                Report::InForce { grants: 6 },
                "policy 'drafted', version 1, is in force: 6 grants issued",
            ),
            (
                Report::Unsound { component, error },
                "no grant of 'vault' can be issued: its endpoint capability lacks rights \
                 (destination slot is occupied)",
            ),
            (
                Report::Unissued {
                    subject,
                    object: 2,
                    line,
                    reason,
                },
                "the grant of 'vault' to 'ledger' in line 111 of the policy was not issued: the \
                 kernel refused it (destination slot is occupied)",
            ),
            (
                Report::StillInForce {
                    index,
                    subject,
                    line,
                    error,
                },
                "grant 7 of 'ledger', line 111 of the policy, could not be revoked (destination slot \
                 is occupied): it is still in force",
            ),
            (
                Report::Retired { index, subject },
                "grant index 7, last of 'ledger', is retired until the next boot",
            ),
            (
                Report::Faulted {
                    component,
                    fault: Fault::Other { label: 9 },
                },
                &std::format!("'vault' faulted: {}", Fault::Other { label: 9 }),
            ),
        ] {
            assert_eq!(Worded(report, Some(&policy)).to_string(), text);
        }
    }

    #[test]
    fn without_a_policy_there_are_no_names() {
        let refused = Report::Refused(Refused::Policy(PolicyError::Hash));
        assert_eq!(
            Worded(refused, None).to_string(),
            "no grant is issued: the policy is damaged: its body does not have the hash that its \
             header states"
        );
        let fault = Fault::Other { label: 9 };
        let faulted = Report::Faulted {
            component: 2,
            fault,
        };
        let text = std::format!("component 2 faulted: {fault}");
        assert_eq!(Worded(faulted, None).to_string(), text);
    }
}
