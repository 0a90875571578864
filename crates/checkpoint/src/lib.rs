//! Runs, chunks, leases and quarantine, kept in the target database and written in the transaction of its data.
//!
//! A [`Store`] has one method a question or change; each takes the [`reencrypt_db::Transaction`] in which it happens, so
//! that the engine decides what commits together. Nothing here opens a transaction of its own, but to make the store and to
//! look whether it is there.
//!
//! ```text
//! run ──< pass ──< walk (a leaf: how far it is cut) ──< chunk (lease, fence, seq, cursor, pending, counts) ──< wave (marks)
//!  └──< event, worker, quarantine                        acceptance (of every run)
//! ```

mod chunk;
mod error;
mod keys;
mod nonces;
mod quarantine;
mod run;
mod store;
mod walk;
mod wave;
mod worker;

pub use chunk::{Advance, Chunk, ChunkTotal, Claim};
pub use error::{Error, UNHARMED};
pub use quarantine::{Acceptance, QuarantineLine, Quarantined};
pub use run::{Event, NewRun, Pass, PassEnd, Pause, Run, RunState};
pub use store::Store;
pub use walk::Walk;
pub use worker::{Activity, Worker};

/// What the store's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
