//! What a run is doing. Needs no PHI key.
use crate::{
    Context, Error, Report, State,
    control::{existing_store, explained, no_record},
    summary::{Saw, timestamp},
    waits::IDLE_REASON,
};
use reencrypt_checkpoint::Worker;
use reencrypt_db::Mode;
use std::time::Duration;

/// Between the two looks from which the rate is told.
const RATE_SPAN: Duration = Duration::from_millis(1_500);
/// `--check` complains about a wait of this length.
const LONG_WAIT_MS: i64 = 15 * 60 * 1_000;

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
    /// milliseconds since it began to wait
    pub waits_ms: Option<i64>,
    /// others are at work in the database: it writes in small transactions with pauses between them
    pub gives_way: bool,
    /// `--max-rows-per-second`
    pub rows_per_second_max: Option<u32>,
}

impl WorkerLine {
    fn of(worker: &Worker) -> Self {
        Self {
            host: worker.host.clone(),
            pid: worker.pid,
            silent_ms: worker.silent_ms,
            waiting: worker.activity.waiting.clone(),
            waits_ms: worker.waits_ms,
            gives_way: worker.activity.gives_way,
            rows_per_second_max: worker.activity.rows_per_second_max,
        }
    }
}

/// `status`: the report of the last run and what stands around it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StatusReport {
    /// the shared shape
    #[serde(flatten)]
    pub report: Report,
    /// 0..=1 of the current pass
    pub progress: f64,
    /// now
    pub rows_per_second: Option<f64>,
    /// of the current pass
    pub seconds_left: Option<f64>,
    /// transactions committed in all passes: a batch that was split or tried again has several, and so has the end of a chunk
    pub batches: u64,
    /// who and where
    pub workers: Vec<WorkerLine>,
    /// newest last
    pub events: Vec<String>,
    /// `--check` exits 1: stalled, waiting over 15 minutes, or quarantined values that nobody accepted
    pub troubled: bool,
}

/// The last run; an error with code `no_run` when there is none.
pub async fn status(context: &Context) -> Result<StatusReport, Error> {
    explained(context, look(context).await).await
}

async fn look(context: &Context) -> Result<StatusReport, Error> {
    let mut session = context.database.session().await?;
    let store = existing_store(context, &mut session).await?;
    let mut looks = Vec::new();
    let events = loop {
        let mut tx = session.begin(Mode::Read).await?;
        let run = match store.unfinished_run(&mut tx).await? {
            Some(run) => Some(run),
            None => store.last_run(&mut tx).await?,
        };
        let run = run.ok_or_else(no_record)?;
        let events = store.events(&mut tx, &run.id, 10).await?;
        let saw = Saw::read(&store, &mut tx, run).await?;
        tx.commit().await?;
        let running = saw.state() == State::Running;
        looks.push(saw);
        if !running || looks.len() == 2 {
            break events;
        }
        tokio::time::sleep(RATE_SPAN).await;
    };
    let saw = looks.last().ok_or_else(|| Error::bug("a status without a look"))?;
    let done = rows_of_pass(saw);
    let estimate = saw.plan.tables.iter().map(|table| table.rows_estimate).sum();
    let walking = saw.passes.last().is_some_and(|pass| pass.finished_ms.is_none());
    let rate = match &looks[..] {
        [then, _] if walking && then.run.pass == saw.run.pass && saw.now_ms > then.now_ms => {
            Some((done - rows_of_pass(then).min(done)) as f64 * 1_000.0 / (saw.now_ms - then.now_ms) as f64)
        }
        _ => None,
    };
    let mut workers: Vec<WorkerLine> = saw.workers.iter().map(WorkerLine::of).collect();
    // What the run waits for stands before those who wait for it.
    workers.sort_by_key(|worker| worker.waiting.as_deref() == Some(IDLE_REASON));
    let report = saw.report("status")?;
    let state = report.state;
    let paused_ms = saw.pause().and(saw.run.paused_at_ms).map(|at_ms| saw.now_ms - at_ms);
    let waits_ms = saw.living().filter_map(|worker| worker.waits_ms).max();
    let waits_long = paused_ms.max(waits_ms).is_some_and(|ms| ms > LONG_WAIT_MS);
    Ok(StatusReport {
        progress: match saw.passes.is_empty() {
            true => 0.0,
            false if walking => share(done, estimate),
            false => 1.0,
        },
        rows_per_second: rate,
        // Beyond the estimate nobody knows how much is left.
        seconds_left: rate.filter(|rate| *rate > 0.0 && done < estimate).map(|rate| (estimate - done) as f64 / rate),
        batches: saw.totals.iter().map(|total| total.batches).sum(),
        workers,
        events: events
            .iter()
            .map(|event| {
                let at = timestamp(Some(event.at_ms)).map(|at| format!("{at:.0}")).unwrap_or_default();
                format!("{at} {} ({}) {}", event.kind, event.actor, event.detail).trim_end().to_owned()
            })
            .collect(),
        troubled: state == Some(State::Stalled) || waits_long || saw.unaccepted() > 0,
        report: Report { exit_code: 0, ..report },
    })
}

/// Of a pass that is not over: never all of it, however low the estimate was.
fn share(done: u64, estimate: u64) -> f64 {
    (done as f64 / estimate.max(1) as f64).min(0.999)
}

fn rows_of_pass(saw: &Saw) -> u64 {
    saw.totals.iter().filter(|total| total.pass == saw.run.pass).map(|total| total.rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_is_not_over_is_never_whole() {
        assert_eq!(share(500, 1_000), 0.5);
        assert_eq!(share(1_500, 1_000), 0.999);
        assert_eq!(share(7, 0), 0.999);
        assert_eq!(share(0, 0), 0.0);
    }
}
