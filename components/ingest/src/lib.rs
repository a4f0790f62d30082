//! component ingest.
