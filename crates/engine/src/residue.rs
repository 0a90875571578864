//! The values left alone, and a person's acceptance of them.
use crate::{Context, Error};
/// A count of quarantined values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ResidueLine {
    /// `schema.table`
    pub table: String,
    /// column
    pub column: String,
    /// stable class name
    pub class: String,
    /// how many now
    pub count: u64,
    /// accepted, exactly this many; void when `count` differs
    pub accepted: u64,
    /// why
    pub reason: Option<String>,
}
/// `quarantine list` of the last run.
pub async fn quarantine_list(_context: &Context) -> Result<Vec<ResidueLine>, Error> {
    unimplemented!()
}
/// `quarantine list --keys`: row keys as text, per line of the list.
pub async fn quarantine_keys(_context: &Context) -> Result<Vec<(ResidueLine, Vec<String>)>, Error> {
    unimplemented!()
}
/// `quarantine accept`: accepts exactly `count` values of that table, column and class; refused when the store has another number.
pub async fn accept(
    _context: &Context,
    _table: &str,
    _column: &str,
    _class: &str,
    _count: u64,
    _reason: &str,
) -> Result<Vec<ResidueLine>, Error> {
    unimplemented!()
}
