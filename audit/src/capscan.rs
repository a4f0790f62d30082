//! Capscan: what the live grant slots hold, held against what the log on the disk says is in force.
//!
//! A [`Scan`] is read from the kernel's CNodes, a component's grants CNode and the manager's grant
//! roots, slot by slot; it knows nothing of policy or log. [`compare`] computes from the replayed
//! log and the policy what each slot must hold, to the badge and the rights, and reports every
//! slot that differs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use portcullis_fsck::Verdict;
use portcullis_kernel::{Grant, GrantBadge, Mode, Rights};
use portcullis_log::block::LogKind;
use portcullis_manager_api::{Authority, MANAGER, badge_bits};
use portcullis_policy_format::{Policy, PolicyError};
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError, Said};
use crate::policies::POLICY_MAX;
use crate::replay::{InForce, Replay};
use crate::state::{State, StateError};

/// The policy in force, in a state directory.
const IN_FORCE: &str = "appliance.policy";

/// What the grant slots of a running appliance hold.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// The occupied slots, sorted.
    pub slots: Vec<Scanned>,
}

/// An occupied slot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Scanned {
    /// Where it is.
    pub place: Place,
    /// What it holds.
    pub held: Held,
}

/// Where a grant's capability lies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Place {
    /// In a slot of a component's grants CNode.
    Grants {
        /// The component.
        component: String,
        /// The slot.
        slot: u32,
    },
    /// In the manager's authority CNode: the root of the grant with this index.
    Root {
        /// The grant's index.
        index: u16,
    },
}

/// A capability in a grant slot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Held {
    /// To a component's endpoint.
    Endpoint(To),
    /// To a component's notification.
    Notification(To),
    /// Something that no grant is.
    Other(String),
}

/// An object, the badge and the rights on it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct To {
    /// The component that the object belongs to.
    pub component: String,
    /// The badge.
    pub badge: u64,
    /// Write, read, grant and grant-reply: bits 0 to 3.
    pub rights: u8,
}

/// How slots and log compare.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// Grants whose capabilities are in the slots.
    pub scanned: usize,
    /// Grants in force in the log.
    pub logged: usize,
    /// What differs; empty where both are equal.
    pub differences: Vec<String>,
}

impl Comparison {
    /// Whether the slots hold what the log says, and nothing else.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

impl To {
    /// An object of a component, the badge and the rights on it.
    pub fn new(component: &str, badge: u64, rights: Rights) -> Self {
        Self {
            component: component.to_owned(),
            badge,
            rights: u8::from(rights.write)
                | u8::from(rights.read) << 1
                | u8::from(rights.grant) << 2
                | u8::from(rights.grant_reply) << 3,
        }
    }
}

/// Holds a scan against the grants that a replayed log says are in force under `policy`.
pub fn compare(scan: &Scan, log: &[InForce], policy: &Policy<'_>) -> Comparison {
    let mut expected = BTreeMap::new();
    let mut differences = Vec::new();
    for grant in log {
        match expect(grant, policy) {
            Some(slots) => expected.extend(slots),
            None => differences.push(format!(
                "grant {} is in force in the log and not in the policy",
                grant.grant.index
            )),
        }
    }
    let found: BTreeMap<_, _> = scan.slots.iter().map(|it| (&it.place, &it.held)).collect();
    for (place, held) in &expected {
        match found.get(place) {
            None => differences.push(format!("{place} is empty, and holds {held} in the log")),
            Some(other) if *other != held => {
                differences.push(format!("{place} holds {other}, and {held} in the log"));
            }
            Some(_) => {}
        }
    }
    for (place, held) in &found {
        if !expected.contains_key(*place) {
            differences.push(format!("{place} holds {held}, and nothing in the log"));
        }
    }
    // Every grant in force has a root, whoever holds it.
    let roots = scan
        .slots
        .iter()
        .filter(|it| matches!(it.place, Place::Root { .. }));
    Comparison {
        scanned: roots.count(),
        logged: log.len(),
        differences,
    }
}

/// Why slots and log cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The state cannot be audited.
    #[error(transparent)]
    State(#[from] StateError),
    /// The policy in force cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    Policy {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        error: FileError,
    },
    /// The file of the policy in force holds none.
    #[error("{path}: {error}; `portcullis run` writes it anew", path = path.display())]
    NotAPolicy {
        /// Which file.
        path: PathBuf,
        /// Why not.
        error: PolicyError,
    },
    /// The log does not hold.
    #[error("the log does not hold: {0}: see `portcullis log verify`")]
    DoesNotHold(String),
}

/// Holds a scan against the log on the disk of a state directory.
pub fn compare_with_log(scan: &Scan, state: &Path) -> Result<Comparison, LogError> {
    let path = state.join(IN_FORCE);
    let compiled = match files::read(&path, Said::Found, POLICY_MAX) {
        Ok(compiled) => compiled,
        Err(error) => return Err(LogError::Policy { path, error }),
    };
    let policy = match Policy::inspect(&compiled) {
        Ok(policy) => policy,
        Err(error) => return Err(LogError::NotAPolicy { path, error }),
    };
    let log = logged(state)?;
    Ok(compare(scan, &log, &policy))
}

/// The grants in force, as the log on the disk of a state directory says.
pub fn logged(state: &Path) -> Result<Vec<InForce>, LogError> {
    let state = State::open(state)?;
    state.keys(LogKind::Grants)?;
    let mut replay = Replay::new(state.policies());
    let (_, mut findings) = state.read(LogKind::Grants, &mut replay, |_| ())?;
    let grants = replay.grants();
    findings.extend(replay.into_findings());
    if findings.verdict() != Verdict::DoesNotHold {
        return Ok(grants);
    }
    let mut violations = findings.list.iter().filter(|it| it.is_violation());
    let first = violations.next();
    let first = first.map(|it| format!("{}: {}", it.place, it.what));
    Err(LogError::DoesNotHold(first.unwrap_or_default()))
}

/// What the slots of a grant must hold: its root, and the subject's slot unless that is the manager.
fn expect(in_force: &InForce, policy: &Policy<'_>) -> Option<Vec<(Place, Held)>> {
    let logged = &in_force.grant;
    let grant = &logged.grant;
    let name = |number: u16| Some(policy.component_at(number)?.name);
    let place = |it: &Grant| (it.subject, it.slot);
    let mut allowed = policy.grants();
    let allowed = allowed.find(|it| place(&it.grant) == place(grant))?;
    let badge = GrantBadge::new(logged.index, logged.generation, grant.methods)?;
    let badge = badge_bits(badge, allowed.notification);
    let (subject, object) = (name(grant.subject)?, name(grant.object)?);
    let held = |rights| {
        let to = To::new(object, badge, rights);
        match grant.mode {
            Mode::Call | Mode::Send => Held::Endpoint(to),
            Mode::Notify | Mode::Stream => Held::Notification(to),
        }
    };
    let is_own = subject == MANAGER;
    let root = match grant.mode {
        // The manager uses its own grant where it lies.
        mode if is_own => mode.rights(),
        Mode::Call | Mode::Send => Rights::ALL,
        Mode::Notify | Mode::Stream => NOTIFICATION,
    };
    let root = (
        Place::Root {
            index: logged.index,
        },
        held(root),
    );
    let mut slots = vec![root];
    if !is_own {
        let place = Place::Grants {
            component: subject.to_owned(),
            slot: grant.slot.into(),
        };
        slots.push((place, held(grant.mode.rights())));
    }
    Some(slots)
}

/// The rights that a notification has at most.
const NOTIFICATION: Rights = Rights {
    read: true,
    write: true,
    grant: false,
    grant_reply: false,
};

/// The index of the grant whose root lies in this slot of the authority CNode; `None`: none does.
pub fn root_index(policy: &Policy<'_>, slot: u64) -> Option<u16> {
    let counts = policy.counts();
    let first = u64::from(Authority::new(counts.components).root(0));
    let index = slot.checked_sub(first)?;
    (index < u64::from(counts.grants)).then_some(index as u16)
}

/// One line, and one more for each difference, indented as below a heading of 11 columns.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.is_equal() {
            "equal"
        } else {
            "DIFFERENT"
        };
        let (slots, log) = (self.scanned, self.logged);
        write!(
            f,
            "{slots} grants in the slots, {log} in the log: {verdict}"
        )?;
        let mut differences = self.differences.iter();
        differences.try_for_each(|it| write!(f, "\n{:12}{it}", ""))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grants { component, slot } => write!(f, "slot {slot} of {component}"),
            Self::Root { index } => write!(f, "the root of grant {index}"),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, to) = match self {
            Self::Endpoint(to) => ("endpoint", to),
            Self::Notification(to) => ("notification", to),
            Self::Other(what) => return f.write_str(what),
        };
        let To {
            component,
            badge,
            rights,
        } = to;
        write!(
            f,
            "the {kind} of {component} (badge {badge:#x}, rights {rights:#06b})"
        )
    }
}
