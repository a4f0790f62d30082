//! component ledger.
