//! component vault.
