//! What every command of one process shares: the terminal, the form of the result, and the request to stop.
use crate::{
    arguments::{Globals, OutputForm},
    failure::Failure,
    logging,
    secrecy::Start,
    shell::Shell,
    terminal::Terminal,
};
use reencrypt_engine::Stop;
use reencrypt_keys::Environment;
use std::{ffi::OsString, sync::Mutex};

/// Made once, before anything else.
pub(crate) struct Session {
    pub(crate) terminal: Terminal,
    pub(crate) form: OutputForm,
    pub(crate) stop: Stop,
    /// `--yes`
    pub(crate) yes: bool,
    pub(crate) shell: Shell,
    environment: Mutex<Environment>,
}

impl Session {
    /// Looks at the terminal and starts the log.
    pub(crate) fn start(globals: &Globals, typed: &[OsString], start: Start) -> Self {
        let terminal = Terminal::new(globals.quiet, globals.no_progress, globals.log_format);
        logging::start(globals.verbose, globals.log_format, &terminal);
        for refused in start.refused {
            tracing::warn!("{refused}");
        }
        Self {
            terminal,
            form: globals.output,
            stop: Stop::default(),
            yes: globals.yes,
            shell: Shell::new(globals, typed),
            environment: Mutex::new(start.environment),
        }
    }

    /// The environment as the process was given it. It is handed over, since its values are wiped where they are no longer used: a second
    /// call finds nothing.
    pub(crate) fn take_environment(&self) -> Environment {
        let mut environment = self.environment.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *environment)
    }

    /// Waits for `work`, unless a signal comes first: for everything that writes nothing and may be dropped anywhere.
    pub(crate) async fn unless_stopped<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        tokio::select! {
            biased;
            end = work => Ok(end?),
            () = self.stop.requested() => Err(Failure::interrupted()),
        }
    }
}
