//! The rotation: passes over claimed chunks, sweeps until nothing old is found, and the verification that reads everything.
//!
//! ```text
//! Context -> prepare (plan, survey, gate, store) -> Prepared -> execute: workers claim chunks
//!   read window -> reseal a wave -> compare-and-set + checkpoint in one transaction -> next wave … -> sweep -> Report
//! ```

mod ahead;
mod batch;
mod ceiling;
mod context;
mod control;
mod counts;
mod error;
mod failpoint;
mod held;
mod load;
mod nonces;
mod observer;
mod owner;
mod pace;
mod pass;
mod past;
mod pending;
mod prepare;
mod report;
mod residue;
mod rotation;
mod settle;
mod status;
mod summary;
mod verify;
mod waits;
mod walk;
mod window;
mod worker;
mod write;

pub use context::{Approved, Context, OnUnreadable, RunOptions, Stop};
pub use control::{abandon, abandonable, pause, unpause};
pub use counts::PassCounts;
pub use error::Error;
pub use failpoint::FAILPOINTS;
pub use observer::{Event, Observer, Silent};
pub use past::judge_past;
pub use prepare::{Halted, Intent, Prepared, plan, prepare};
pub use report::{BlindIndexReport, ColumnReport, KeyReport, PassReport, Problem, Report, State, TableReport};
pub use residue::{ResidueLine, accept, quarantine_keys, quarantine_list};
pub use status::{StatusReport, WorkerLine, status};
pub use verify::{VerifyOptions, verify};
