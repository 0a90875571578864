//! Runs, chunks, leases and quarantine, kept in the target database and written in the transaction of its data.
mod error;
pub use error::Error;
