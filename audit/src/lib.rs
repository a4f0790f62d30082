//! Reads, verifies and replays grant logs on a host.
