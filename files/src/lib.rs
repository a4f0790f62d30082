//! Files on a host: written whole and durably, private where they must be.
//!
//! Every file that a host tool writes goes through [`Unfinished`]: it has no name, or one that nobody
//! else has, until its content is durable; then it takes its place at once. So a cut leaves the old
//! file or the new one, no link is ever followed, and the mode is that of the descriptor, whatever the
//! umask is or lies there already. Keys are read through [`read_private`], which refuses a file that
//! somebody else owns or may open, and wipes what it read.

#![forbid(unsafe_code)]

mod private;
mod unfinished;

pub use private::{Refused, is_there, open_private, own, own_directory, read_private};
pub use unfinished::{Mode, Unfinished, create, remove_leftovers, replace};
