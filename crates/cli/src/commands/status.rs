//! `status`
use crate::{
    arguments::{Globals, OutputForm, StatusArguments},
    failure::Failure,
    output::{self, Outcome},
    session::Session,
};
use reencrypt_engine::{self as engine, Context, State, StatusReport};
use std::{
    io::{self, IsTerminal},
    time::Duration,
};

const WATCH_EVERY: Duration = Duration::from_secs(2);

/// What the last run is doing. Exit 0, but 1 with `--check` where something is wrong.
pub(crate) async fn run(globals: &Globals, typed: &StatusArguments, session: &Session) -> Result<Outcome, Failure> {
    if typed.watch && session.form == OutputForm::Json {
        return Err(Failure::new(
            "usage",
            "--watch shows one result after another, and --output json is one document",
            "leave one of them away; `reencrypt status --output json` shows the state once",
        ));
    }
    let context = super::store_context(globals, session).await?;
    let status = if typed.watch { watch(&context, session).await? } else { look(&context, session).await? };
    let exit_code = u8::from(typed.check && status.troubled);
    let status = StatusReport { report: engine::Report { exit_code, ..status.report }, ..status };
    Ok(Outcome::new(exit_code, status))
}

async fn look(context: &Context, session: &Session) -> Result<StatusReport, Failure> {
    session.unless_stopped(engine::status(context)).await
}

/// Shows it again and again; returns the last one, unshown, once the run has ended.
async fn watch(context: &Context, session: &Session) -> Result<StatusReport, Failure> {
    let clear = if io::stdout().is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" };
    loop {
        let status = look(context, session).await?;
        if has_ended(&status) {
            let _ = output::write(clear);
            return Ok(status);
        }
        let text = output::render(&status, session);
        if output::write(&format!("{clear}{text}\n")).is_err() {
            return Ok(status);
        }
        let pause = async {
            tokio::time::sleep(WATCH_EVERY).await;
            Ok::<_, Failure>(())
        };
        session.unless_stopped(pause).await?;
    }
}

fn has_ended(status: &StatusReport) -> bool {
    let ended = [State::Finished, State::AwaitingCutover, State::Failed, State::Abandoned];
    status.report.state.is_none_or(|state| ended.contains(&state))
}
