//! component edge.
