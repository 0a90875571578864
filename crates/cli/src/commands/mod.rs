//! One module a group of commands.
pub(crate) mod completions;
mod confirmation;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod formats;
pub(crate) mod init;
pub(crate) mod key_check;
pub(crate) mod keygen;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod rotate;
pub(crate) mod status;
pub(crate) mod verify;

use crate::{
    arguments::Globals,
    failure::Failure,
    session::Session,
    settings::{KeyNeeds, Settings},
};
use reencrypt_engine::{Context, Silent};
use std::sync::Arc;

/// A context for the commands that look at the store alone: no PHI key is read, and nothing is shown while they work.
async fn store_context(globals: &Globals, session: &Session) -> Result<Context, Failure> {
    let settings = Settings::load(globals, session)?;
    settings.context(KeyNeeds::Nothing, Arc::new(Silent), session).await
}
