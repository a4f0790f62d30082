//! The policy language: parser, checks, ceiling, compiler.

#![forbid(unsafe_code)]

pub mod authority;
pub mod ceiling;
pub mod check;
mod compile;
pub mod diff;
pub mod distribution;
pub mod graph;
pub mod information;
pub mod keys;
pub mod model;
pub mod notification;
mod problem;
pub mod read;
pub mod source;
pub mod text;
pub mod why;

pub use ceiling::Ceiling;
pub use check::{Described, load};
pub use compile::{compile, sign};
pub use model::Policy;
pub use problem::{Kind, Problem, Problems};
pub use source::Source;
