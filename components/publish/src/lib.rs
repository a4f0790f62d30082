//! component publish.
