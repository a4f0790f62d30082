//! From policy and system description to what runs: checked, compiled, signed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_policy::distribution::{
    AddressSpace, Configuration, Distribution, Mapping, Mismatch,
};
use portcullis_policy::model::MANAGER;
use portcullis_policy::{Checked, Problems, Source};
use portcullis_policy_format::PolicyError;
use portcullis_sdf::{Architecture, Errors, System, Target};
use thiserror::Error;

use crate::{State, StateError};

/// What runs, and who holds what in it.
pub struct Plan {
    /// The system description.
    pub system: System,
    /// Who holds what.
    pub distribution: Distribution,
    /// The compiled policy, signed.
    pub compiled: Vec<u8>,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The compiled policy does not hold together.
    #[error(transparent)]
    Compiled(#[from] PolicyError),
    /// The policy does not fit the system.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Why policy and system are not those of something that runs.
#[derive(Debug, Error)]
pub enum CheckError {
    /// A file cannot be read.
    #[error("cannot read {path}: {1}", path = .0.display())]
    Read(PathBuf, io::Error),
    /// The system description does not hold.
    #[error("{name}: {errors}", name = source_file.name())]
    System {
        /// The description.
        source_file: Arc<Source>,
        /// Everything that is wrong with it.
        errors: Errors,
    },
    /// The policy does not hold.
    #[error(transparent)]
    Policy(#[from] Problems),
}

/// Why nothing is ready.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// Policy and system do not hold.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Reads a policy and the description of its system, and checks them.
pub fn check(policy: &Path, system: &Path) -> Result<Checked, CheckError> {
    let read = |path: &Path| {
        let source = Source::read(path).map(Arc::new);
        source.map_err(|error| CheckError::Read(path.to_owned(), error))
    };
    let (policy, source) = (read(policy)?, read(system)?);
    let system = portcullis_sdf::parse(source.text(), &Target::ANY);
    let system = system.map_err(|errors| CheckError::System {
        source_file: Arc::clone(&source),
        errors,
    })?;
    Ok(Checked::new(policy, system, source)?)
}

impl Plan {
    /// Compiles and signs.
    pub(crate) fn new(checked: &Checked, state: &State) -> Result<Self, PlanError> {
        let compiled = portcullis_policy::compile(checked);
        let key = state.policy_key()?;
        let compiled = portcullis_policy::sign(&compiled, &key)?;
        // It is wiped here, before anything runs.
        drop(key);
        let policy = portcullis_policy_format::Policy::inspect(&compiled)?;
        // The model has no architecture; that of the reference board stands for all of them.
        let configuration = Configuration {
            architecture: Architecture::Aarch64,
            benchmark: false,
        };
        let distribution = Distribution::new(&policy, checked.system(), &configuration)?;
        Ok(Self {
            system: checked.system().clone(),
            distribution,
            compiled,
        })
    }

    /// The names of the protection domains.
    pub fn protection_domains(&self) -> impl Iterator<Item = &str> {
        self.distribution
            .protection_domains
            .iter()
            .map(|pd| pd.name.as_str())
    }

    /// The regions that a protection domain maps, and how, but for those of devices.
    pub fn mapped(&self, pd: &str) -> impl Iterator<Item = (&str, &Mapping)> {
        let memory = self
            .distribution
            .regions
            .iter()
            .filter(|it| it.phys_addr.is_none());
        memory.filter_map(move |region| {
            let own = |space: &AddressSpace| matches!(space, AddressSpace::Pd(name) if name == pd);
            let mapping = region.mappings.iter().find(|it| own(&it.space))?;
            Some((region.name.as_str(), mapping))
        })
    }

    /// A protection domain's id of its channel to the manager: of the one on which it calls, if it has
    /// one.
    pub fn channel(&self, pd: &str) -> Option<u8> {
        let manager = self.system.pd_named(MANAGER)?;
        let pd = self.system.pd_named(pd)?;
        let ends = self.system.ends();
        let to_manager =
            ends.filter(|(end, other)| end.pd.value == pd && other.pd.value == manager);
        let (end, _) = to_manager.min_by_key(|(end, _)| !end.pp.value)?;
        Some(end.id.value)
    }

    /// The first interrupt of a protection domain: its number, and the id of its channel.
    pub fn interrupt(&self, pd: &str) -> Option<(u64, u8)> {
        let pd = self.system.pd(self.system.pd_named(pd)?);
        let irq = pd.irqs.first()?;
        Some((irq.number().value, irq.id.value))
    }
}
