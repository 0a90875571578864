//! What the tests of the whole tool stand on: throw-away databases, patients, an operator who types commands, an application
//! that writes meanwhile, a network that fails, and eyes that look for leaks.
//!
//! ```text
//! Database (throw-away) <── Seeding (patients as the platform stores them, by a Cipher of our own)
//!    ↑        ↑      └───── Audit (what stands there now, against what must)
//!    │        └ Writers (the application) ── Ledger (what was acknowledged)
//! FaultyProxy
//!    ↑
//! Operator ── the real binary ── Finished (exit code, JSON, output) ── Canary (searches all of it)
//! ```
//!
//! Nothing here uses the tool's own code: the tool is a process, and the ciphertexts are made and read by an implementation
//! of their own.

mod audit;
mod authority;
mod aws;
mod aws_stub;
mod canary;
mod cipher;
mod configuration;
mod database;
mod ledger;
mod operator;
mod patient;
mod platform;
mod pooler;
mod postgres;
mod proxy;
mod random;
mod report;
mod row_key;
mod seeding;
mod sqlite;
mod standby;
mod store;
mod writers;

pub use audit::{Audit, Untouched};
pub use authority::Authority;
pub use aws::Aws;
pub use aws_stub::{AwsAnswer, AwsStub};
pub use canary::{Canary, Leak};
pub use cipher::{Cipher, KEYS, Keys, dob_hash, email_hash};
pub use configuration::{Configuration, FORMAT};
pub use database::Database;
pub use ledger::{Entry, Ledger};
pub use operator::{Finished, Operator, Running};
pub use patient::{COLUMNS, Patient, plaintext};
pub use platform::{Platform, PlatformRow};
pub use pooler::{Pooler, Pooling};
pub use postgres::{Postgres, Role};
pub use proxy::{Fault, FaultyProxy};
pub use random::Random;
pub use report::report;
pub use row_key::RowKey;
pub use seeding::{Content, Seeding, Stored};
pub use sqlite::{Journal, Sqlite};
pub use standby::Standby;
pub use store::{Progress, Store};
pub use writers::{WriteKey, Writers};
