//! The reference appliance, hosted.
mod state;
pub use state::{State, StateError};
