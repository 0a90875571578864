//! What a run is doing. Needs no PHI key.
use crate::{Context, Error, Report};
/// A worker process.
#[derive(Debug, Clone, serde::Serialize)]
pub struct WorkerLine {
    /// host
    pub host: String,
    /// process id
    pub pid: i64,
    /// milliseconds since it was last heard of
    pub silent_ms: i64,
    /// why it waits, if it does
    pub waiting: Option<String>,
}
/// `status`: the report of the last run and what stands around it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StatusReport {
    /// the shared shape
    #[serde(flatten)]
    pub report: Report,
    /// 0..=1 of the current pass
    pub progress: f64,
    /// over the last half minute
    pub rows_per_second: Option<f64>,
    /// of the current pass
    pub seconds_left: Option<f64>,
    /// who and where
    pub workers: Vec<WorkerLine>,
    /// newest last
    pub events: Vec<String>,
    /// `--check` exits 1: stalled, waiting over 15 minutes, or quarantine not accepted
    pub troubled: bool,
}
/// The last run; an error with code `no_run` when there is none.
pub async fn status(_context: &Context) -> Result<StatusReport, Error> {
    unimplemented!()
}
