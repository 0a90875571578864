//! `pause`, `continue` and `abandon`: words for every worker of the run. None of them needs a PHI key.
use crate::{
    arguments::{AbandonArguments, Globals, PauseArguments},
    failure::Failure,
    output::Outcome,
    session::Session,
};
use reencrypt_engine as engine;

/// Asks every worker to wait.
pub(crate) async fn pause(globals: &Globals, typed: &PauseArguments, session: &Session) -> Result<Outcome, Failure> {
    let context = super::store_context(globals, session).await?;
    let work = engine::pause(&context, typed.until, typed.reason.as_deref());
    Ok(done(session.unless_stopped(work).await?))
}

/// Takes a pause back.
pub(crate) async fn unpause(globals: &Globals, session: &Session) -> Result<Outcome, Failure> {
    let context = super::store_context(globals, session).await?;
    Ok(done(session.unless_stopped(engine::unpause(&context)).await?))
}

/// Ends an unfinished run for good, after a question.
pub(crate) async fn abandon(
    globals: &Globals,
    typed: &AbandonArguments,
    session: &Session,
) -> Result<Outcome, Failure> {
    let context = super::store_context(globals, session).await?;
    if !session.yes {
        let report = session.unless_stopped(engine::abandonable(&context)).await?;
        confirm(&report, session).await?;
    }
    Ok(done(session.unless_stopped(engine::abandon(&context, typed.reason.as_deref())).await?))
}

/// The word was taken: what the run itself would end with is not this command's exit code.
fn done(report: engine::Report) -> Outcome {
    Outcome::new(0, engine::Report { exit_code: 0, ..report })
}

async fn confirm(report: &engine::Report, session: &Session) -> Result<(), Failure> {
    if !session.terminal.can_ask() {
        return Err(Failure::new(
            "confirmation_needed",
            "nobody can be asked here whether the run shall end for good",
            "`reencrypt abandon --yes`; `reencrypt pause` and `reencrypt run --resume` keep it",
        ));
    }
    let run = report.run_id.as_deref().unwrap_or("the run");
    let question = format!("End {run} for good? It cannot be resumed, and both keys remain needed.");
    let asked = async { Ok::<_, Failure>(session.terminal.ask(&question).await) };
    if session.unless_stopped(asked).await? {
        return Ok(());
    }
    Err(Failure::new("not_confirmed", "not confirmed; the run stands as it was", "`reencrypt status` shows it"))
}
