//! `verify`
use super::plan::note_discovery;
use crate::{
    arguments::{Globals, VerifyArguments},
    failure::Failure,
    output::Outcome,
    progress::Progress,
    session::Session,
    settings::{KeyNeeds, Need, Settings},
};
use reencrypt_engine::{self as engine, VerifyOptions};
use std::sync::Arc;

/// Reads everything. Needs the new key alone; with the old one at hand it can say more about what does not open.
pub(crate) async fn run(globals: &Globals, typed: &VerifyArguments, session: &Session) -> Result<Outcome, Failure> {
    let settings = Settings::load(globals, session)?;
    let progress = Progress::start(&session.terminal);
    let needs = KeyNeeds::Pairs { old: Need::Optional, new: Need::Required };
    let context = Arc::new(settings.context(needs, progress.observer(), session).await?);
    note_discovery(&context, session);
    let options = VerifyOptions { sample_percent: typed.sample, ..VerifyOptions::default() };
    let report = session.unless_stopped(engine::verify(context, options)).await?;
    drop(progress);
    Ok(Outcome::new(report.exit_code, report))
}
