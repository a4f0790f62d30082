//! The policy language: parser, checks, ceiling, compiler.

#![forbid(unsafe_code)]

pub mod distribution;
pub mod keys;
pub mod model;
pub mod source;

pub use model::Policy;
pub use source::Source;
