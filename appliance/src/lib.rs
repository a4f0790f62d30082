//! The reference appliance on a host, before anything runs: its state directory, its keys, its documents,
//! and who holds what in it.
//!
//! In order: [`State::open`] takes the directory, and refuses a disk that is not the one it knows;
//! [`Appliance::prepare`] checks, compiles and signs the policy, and computes who holds what;
//! [`Appliance::pack`] makes the documents one bundle. What runs is for others: `hosted/` starts a
//! process for each protection domain, `qemu/` builds an image and boots it. It prints nothing.

#![forbid(unsafe_code)]

mod disk;
mod error;
mod history;
mod keys;
mod logs;
pub mod pack;
mod plan;
mod state;

pub use disk::FileDisk;
pub use error::{Lost, StateError};
pub use history::{Began, Begin};
pub use keys::random;
pub use plan::{CheckError, Plan, PlanError, PrepareError, check};
pub use state::State;

use std::path::Path;

use pack::{PackError, Packed};
use portcullis_policy::Checked;

/// An appliance that does not run yet.
pub struct Appliance {
    state: State,
    plan: Plan,
    packed: Packed,
}

impl Appliance {
    /// Opens the state directory and makes ready what is to run.
    pub fn prepare(policy: &Path, system: &Path, state: &Path) -> Result<Self, PrepareError> {
        let checked = check(policy, system)?;
        let state = State::open(state).map_err(PlanError::from)?;
        Ok(Self::prepare_from(&checked, state)?)
    }

    /// The same, of a policy that was checked and a state directory that was opened.
    pub fn prepare_from(checked: &Checked, state: State) -> Result<Self, PlanError> {
        let plan = Plan::new(checked, &state)?;
        state.keep_policy(&plan.compiled)?;
        Ok(Self {
            state,
            plan,
            packed: Packed::default(),
        })
    }

    /// Makes the documents below `directory` the bundle that ingest reads. `progress` is told how many of
    /// how many bytes are done.
    pub fn pack(
        &mut self,
        directory: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<&Packed, PackError> {
        pack::apart(directory, self.state.path())?;
        self.packed = pack::pack(directory, &self.state.file("inbox.bundle"), progress)?;
        Ok(&self.packed)
    }

    /// What was packed.
    pub fn packed(&self) -> &Packed {
        &self.packed
    }

    /// The state directory.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What runs, and who holds what in it.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}
