//! component console.
