//! `run` and `sweep`
use super::{confirmation, plan::note_discovery};
use crate::{
    arguments::{Globals, OnUnreadableChoice, PaceArguments, RunArguments, SweepArguments},
    failure::Failure,
    output::Outcome,
    progress::Progress,
    session::Session,
    settings::{KeyNeeds, Need, Settings},
    signals::EXIT_INTERRUPTED,
};
use reencrypt_engine::{
    self as engine, Approved, Context, Intent, OnUnreadable, Prepared, Problem, Report, RunOptions, State,
};
use reencrypt_planner::Plan;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the store is asked for a run's state beside the work itself.
const STATUS_PATIENCE: Duration = Duration::from_secs(3);
/// Digits of a plan's id in hex: a SHA-256.
const PLAN_ID_DIGITS: usize = 64;
const BOTH_KEYS: KeyNeeds = KeyNeeds::Pairs { old: Need::Required, new: Need::Required };

/// The rotation.
pub(crate) async fn run(globals: &Globals, typed: RunArguments, session: &Session) -> Result<Outcome, Failure> {
    let settings = Settings::load(globals, session)?;
    let progress = Progress::start(&session.terminal);
    let context = Arc::new(settings.context(BOTH_KEYS, progress.observer(), session).await?);
    if let Some(weak) = Settings::weak_new_key(&context.keys) {
        return Err(weak);
    }
    note_discovery(&context, session);
    let intent = if typed.resume { Intent::Resume } else { Intent::Run };
    let mut options = run_options(typed)?;

    let mut prepared = prepare(&context, &options, intent, session).await?;
    if intent == Intent::Resume && !prepared.resumes() {
        session.terminal.note("this database has no record of an unfinished run: a new one starts");
    }
    if !prepared.resumes() && confirmation::confirm(&context, prepared.plan(), &mut options, session).await? {
        // The plan may have aged while a person thought: make it again, bound to what they saw.
        prepared = prepare(&context, &options, intent, session).await?;
    }
    let report = execute("run", &context, prepared, &progress).await?;
    drop(progress);
    Ok(Outcome::new(report.exit_code, report))
}

/// Passes after cutover; with `--every` and `--for`, one after another.
pub(crate) async fn sweep(globals: &Globals, typed: SweepArguments, session: &Session) -> Result<Outcome, Failure> {
    let settings = Settings::load(globals, session)?;
    let progress = Progress::start(&session.terminal);
    let context = Arc::new(settings.context(BOTH_KEYS, progress.observer(), session).await?);
    let options = pace(&typed.pace);
    let end = typed.for_.map(|length| Instant::now() + length);
    loop {
        let prepared = prepare(&context, &options, Intent::Sweep, session).await?;
        let report = execute("sweep", &context, prepared, &progress).await?;
        let next = typed.every.filter(|every| end.is_some_and(|end| Instant::now() + *every <= end));
        let Some(every) = next.filter(|_| may_sweep_again(&report)) else {
            return Ok(Outcome::new(report.exit_code, report));
        };
        session.terminal.note(&sweep_line(&report, every));
        if !wait(every, session).await {
            return Ok(Outcome::new(EXIT_INTERRUPTED, Report { exit_code: EXIT_INTERRUPTED, ..report }));
        }
    }
}

/// Everything before the first write; a signal ends it at once.
async fn prepare(
    context: &Arc<Context>,
    options: &RunOptions,
    intent: Intent,
    session: &Session,
) -> Result<Prepared, Failure> {
    session.unless_stopped(engine::prepare(context.clone(), options.clone(), intent)).await
}

/// The writing part; on a signal it finishes its transactions and reports. Where it cannot go on, the report of what stands has the error.
async fn execute(
    command: &'static str,
    context: &Context,
    prepared: Prepared,
    progress: &Progress,
) -> Result<Report, Failure> {
    let tables = prepared.plan().tables.iter();
    progress.expect(tables.map(|table| (table.name.to_string(), table.rows_estimate)));
    if prepared.resumes()
        && let Some(report) = standing(context).await
        && report.passes.len() == 1
    {
        progress.go_on(report.tables.into_iter().map(|table| (table.table, table.rows)));
    }
    match prepared.execute().await {
        Ok(report) => Ok(report),
        Err(halted) => {
            let failure = Failure::from(halted.error);
            // The record was just found out of reach.
            if failure.exit_code == EXIT_INTERRUPTED {
                return Err(failure);
            }
            // Of a run that did not start there is nothing to report; the last one is another.
            let standing = standing(context).await.filter(|report| report.run_id == halted.run_id);
            let report = standing.map(|report| Report { command, ..failed(report, &failure) });
            report.ok_or(failure)
        }
    }
}

/// The run as the store has it, where that can be had soon.
async fn standing(context: &Context) -> Option<Report> {
    let status = tokio::time::timeout(STATUS_PATIENCE, engine::status(context)).await;
    Some(status.ok()?.ok()?.report)
}

fn failed(report: Report, failure: &Failure) -> Report {
    let Failure { code, message, hint, exit_code } = failure.clone();
    Report { exit_code, error: Some(Problem { code, message, hint }), ..report }
}

fn may_sweep_again(report: &Report) -> bool {
    report.error.is_none() && matches!(report.state, Some(State::Finished | State::AwaitingCutover))
}

fn sweep_line(report: &Report, every: Duration) -> String {
    let found = report.passes.last().map_or(0, |pass| pass.rotated + pass.hashes_rewritten);
    format!("the last sweep rewrote {found}; the next follows in {}", crate::output::duration(every))
}

/// Whether the time passed without a signal.
async fn wait(length: Duration, session: &Session) -> bool {
    tokio::select! {
        () = session.stop.requested() => false,
        () = tokio::time::sleep(length) => true,
    }
}

fn run_options(typed: RunArguments) -> Result<RunOptions, Failure> {
    Ok(RunOptions {
        tables: typed.tables,
        canary: typed.canary,
        ticket: typed.ticket,
        approved_by: typed.approved_by,
        approved: typed.plan_id.map(approved).transpose()?,
        readers_ready: typed.readers_ready,
        ..pace(&typed.pace)
    })
}

/// An id, or the file that `plan --out` wrote.
fn approved(typed: String) -> Result<Approved, Failure> {
    if typed.len() == PLAN_ID_DIGITS && typed.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Approved::Id(typed.to_ascii_lowercase()));
    }
    let text = std::fs::read_to_string(&typed).map_err(|e| {
        Failure::new(
            "plan_unreadable",
            format!("{typed:?} is neither the {PLAN_ID_DIGITS} digits of a plan's id nor a file that can be read: {e}"),
            "`reencrypt plan` prints the id; `reencrypt plan --out FILE` writes the plan",
        )
    })?;
    Ok(Approved::Plan(Box::new(Plan::from_json(&text)?)))
}

fn pace(typed: &PaceArguments) -> RunOptions {
    let defaults = RunOptions::default();
    RunOptions {
        workers: typed.workers,
        batch_rows: typed.batch_rows,
        rows_per_second_max: typed.max_rows_per_second,
        sweeps_max: typed.max_sweeps,
        on_unreadable: match typed.on_unreadable {
            OnUnreadableChoice::Quarantine => OnUnreadable::Quarantine,
            OnUnreadableChoice::Stop => OnUnreadable::Stop,
        },
        ceiling: typed.max_unreadable.unwrap_or(defaults.ceiling),
        ..defaults
    }
}
