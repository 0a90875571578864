//! The only statement that the old key is no longer needed.
use crate::{Context, Error, Report};
/// The flags of `verify`.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// a sample never attests: `old_key_needed` is null unless it finds something old
    pub sample_percent: Option<f64>,
    /// empty = all
    pub tables: Vec<String>,
    /// default: the cores
    pub workers: Option<usize>,
    /// how long to wait for transactions that were open at the snapshot; default 60 s
    pub wait_s: Option<u64>,
}
/// Reads everything through the heap in one snapshot. Works with the new key alone. Writes nothing.
pub async fn verify(_context: std::sync::Arc<Context>, _options: VerifyOptions) -> Result<Report, Error> {
    unimplemented!()
}
