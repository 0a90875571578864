//! `plan`
use crate::{
    arguments::{Globals, PlanArguments},
    failure::Failure,
    files,
    output::Outcome,
    progress::Progress,
    session::Session,
    settings::{KeyNeeds, Need, Settings},
};
use reencrypt_engine::{self as engine, Context};
use reencrypt_planner::SurveyOptions;

/// The dry run. Needs the old key alone.
pub(crate) async fn run(globals: &Globals, typed: PlanArguments, session: &Session) -> Result<Outcome, Failure> {
    files::refuse_existing(typed.out.as_deref())?;
    let settings = Settings::load(globals, session)?;
    let progress = Progress::start(&session.terminal);
    let needs = KeyNeeds::Pairs { old: Need::Required, new: Need::Optional };
    let (keys, mut broken) = session.unless_stopped(settings.readable_keys(needs)).await?;
    broken.extend(Settings::weak_new_key(&keys).map(|failure| failure.finding()));
    let context = settings.context_with(keys, needs, progress.observer(), session).await?;
    note_discovery(&context, session);
    let options = SurveyOptions { sample: typed.sample, full: typed.full, ..SurveyOptions::default() };
    let (plan, report) = session.unless_stopped(engine::plan(&context, &typed.tables, options, broken)).await?;
    drop(progress);
    if let Some(path) = &typed.out {
        let mut text = serde_json::to_vec_pretty(&plan).map_err(|e| {
            Failure::new("internal_error", format!("the plan cannot be written: {e}"), "leave --out away")
        })?;
        text.push(b'\n');
        files::create(path, &text)?;
        session.terminal.note(&format!("the plan stands in {}", path.display()));
    }
    Ok(Outcome::new(report.exit_code, report))
}

/// Says that tables come from discovery where the configuration names none.
pub(super) fn note_discovery(context: &Context, session: &Session) {
    if context.configuration.tables.is_empty() {
        session
            .terminal
            .note("no table is configured: the database is searched for columns that open under the given keys");
    }
}
