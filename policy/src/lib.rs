//! The policy language: parser, checks, ceiling, compiler.
//!
//! A policy is TOML: domains, interfaces, components, and rules for what one component may ever hold
//! of another. [`load`] reads one and checks it, alone or against the system description it is for,
//! and reports everything that is wrong, each with its place and what to do. A [`Policy`] that holds
//! has a [`Ceiling`], the most that each component can ever hold, and is [`compile`]d to what the
//! manager reads at boot, which [`sign`] signs.
//!
//! This crate decides nothing at run time and reads no file but those it is given. An empty policy
//! holds, and grants nothing; a name that does not resolve is an error, never a warning.
//!
//! ```
//! use std::sync::Arc;
//! use portcullis_policy::{Ceiling, Source, load};
//!
//! let text = r#"
//! [domains]
//! office = {}
//!
//! [interfaces.worm]
//! append = 0
//!
//! [components.ingest]
//! domain = "office"
//!
//! [components.ledger]
//! domain = "office"
//! offers = ["worm"]
//!
//! [[grants]]
//! subject = "ingest"
//! object = "ledger"
//! interface = "worm"
//! methods = ["append"]
//! mode = "call"
//! when = "boot"
//! reason = "records what was stored"
//! "#;
//! let policy = load(Arc::new(Source::new("policy.toml", text)), None).unwrap();
//! assert_eq!(Ceiling::of(&policy).count(), 1);
//!
//! let problems = load(Arc::new(Source::new("policy.toml", text.replace("append\"]", "apend\"]"))), None);
//! assert_eq!(problems.unwrap_err().to_string(), "policy.toml:19:12: there is no method `apend`");
//! ```

#![forbid(unsafe_code)]

pub mod ceiling;
pub mod check;
mod clock;
mod compile;
pub mod diff;
pub mod distribution;
mod envelope;
pub mod graph;
pub mod image;
pub mod keys;
pub mod model;
pub mod notification;
mod problem;
pub mod read;
pub mod relation;
pub mod sdk;
pub mod source;
pub mod text;
pub mod why;

pub use ceiling::Ceiling;
pub use check::{Checked, Described, load};
pub use compile::{compile, sign};
pub use model::Policy;
pub use problem::{Found, Kind, MAX_PROBLEMS, Problem, Problems};
pub use relation::Relation;
pub use source::Source;
