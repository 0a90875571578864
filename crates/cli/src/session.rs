//! What every command of one process shares: the terminal, the form of the result, and the request to stop.
use crate::{
    arguments::{Globals, OutputForm},
    failure::Failure,
    logging,
    shell::Shell,
    terminal::Terminal,
};
use reencrypt_engine::Stop;
use std::ffi::OsString;

/// Made once, before anything else.
pub(crate) struct Session {
    pub(crate) terminal: Terminal,
    pub(crate) form: OutputForm,
    pub(crate) stop: Stop,
    /// `--yes`
    pub(crate) yes: bool,
    pub(crate) shell: Shell,
}

impl Session {
    /// Looks at the terminal and starts the log.
    pub(crate) fn start(globals: &Globals, typed: &[OsString]) -> Self {
        let terminal = Terminal::new(globals.quiet, globals.no_progress, globals.log_format);
        logging::start(globals.verbose, globals.log_format, &terminal);
        Self {
            terminal,
            form: globals.output,
            stop: Stop::default(),
            yes: globals.yes,
            shell: Shell::new(globals, typed),
        }
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
