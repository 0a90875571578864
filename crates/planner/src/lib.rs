//! Configuration and catalog become a plan: a value that says what a run will touch, made
//! without writing anything.
//!
//! ```text
//! reencrypt.toml -> Configuration ─┐
//! catalog        -> db::Table     ─┼-> Plan (id = what was approved) -> survey: gate, findings, estimates
//! keys           -> fingerprints  ─┘        └-> bind -> BoundTable (selections, ciphers) -> the engine
//! ```

mod bind;
mod chunking;
mod configuration;
mod discovery;
mod draft;
mod error;
mod estimate;
mod finding;
mod gate;
mod nearest;
mod nonces;
mod order;
mod plan;
mod preflight;
mod resolution;
mod schema;
mod survey;

pub use bind::{BoundTable, Keyring, bind, check_schema};
pub use chunking::{batch_rows, chunk_rows, window_rows};
pub use configuration::{
    BlindIndexSettings, ColumnSettings, Configuration, DatabaseSettings, DoctorSettings, EnvironmentSettings,
    KeySettings, Kind, Reference, SecretForm, SecretSettings, TableSettings, TriggerPolicy, WrappedBy,
};
pub use discovery::{Discovery, discover};
pub use draft::draft;
pub use error::Error;
pub use finding::{Finding, Severity};
pub use gate::{Ceiling, GateCounts};
pub use nearest::{counted, nearest};
pub use nonces::{NONCE_WAYS, NONCES_MAX, NONCES_WARN, Reserved, judge_nonces, sealing_keys};
pub use order::Order;
pub use plan::{BlindIndexPlan, ColumnPlan, Estimate, Plan, PlanKey, TablePlan};
pub use preflight::keys as key_findings;
pub use schema::schema_hash;
pub use survey::{ClassCounts, ColumnExposure, Exposure, KindExposure, SurveyOptions, survey, unlisted};
