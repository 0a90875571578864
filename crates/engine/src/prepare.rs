//! Everything before the first write.
use crate::{Context, Error, Report, RunOptions};
use reencrypt_planner::{Plan, SurveyOptions};

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// `run`: refused while a run is unfinished
    Run,
    /// `run --resume`: starts, continues, or goes on sweeping
    Resume,
    /// `sweep`: further passes of the last run, without the first
    Sweep,
}

/// A run that may start: the question can be asked now.
pub struct Prepared {/* plan, bound tables, store state, options */}
impl Prepared {
    /// The plan that will run (of the store when a run goes on).
    pub fn plan(&self) -> &Plan {
        unimplemented!()
    }
    /// The run goes on rather than starts; then no question is asked.
    pub fn resumes(&self) -> bool {
        unimplemented!()
    }
    /// Rotates until finished, awaiting cutover, paused by a canary, stopped or failed. The report has its exit code.
    pub async fn execute(self) -> Result<Report, Error> {
        unimplemented!()
    }
}

/// `plan`: draft, survey, findings as a report with exit code 0 or 1, and the plan's value for `--out`.
pub async fn plan(_context: &Context, _tables: &[String], _options: SurveyOptions) -> Result<(Plan, Report), Error> {
    unimplemented!()
}
/// Makes the plan, judges the gate, looks at the store; refuses with an [`Error`] before anything is written (the store's own schema apart).
/// Takes the context by `Arc`-like ownership so that workers can share it.
pub async fn prepare(
    _context: std::sync::Arc<Context>,
    _options: RunOptions,
    _intent: Intent,
) -> Result<Prepared, Error> {
    unimplemented!()
}
