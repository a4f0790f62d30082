//! component blk.
