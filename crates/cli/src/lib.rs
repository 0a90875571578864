//! The `reencrypt` command line: the one place that sees arguments, environment, terminal and files.
//!
//! ```text
//! Arguments (what was typed) ─┐
//! reencrypt.toml              ├-> Settings (what will run) -> engine::Context -> one command -> Outcome
//! environment, dotenv file   ─┘        result on stdout, everything else on stderr <-────────────┘
//! ```

mod arguments;
mod commands;
mod demo;
mod failure;
mod files;
mod logging;
mod output;
mod panics;
mod progress;
mod secrecy;
mod session;
mod settings;
mod shell;
mod signals;
mod terminal;

use arguments::{Arguments, Command, KeyCommand};
use clap::Parser;
use failure::Failure;
use output::Outcome;
use session::Session;
use std::{ffi::OsString, panic::AssertUnwindSafe, process::ExitCode};

/// A window of rows is many MB, and a large table has hundreds: what is freed goes back, however they interleave.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the command that the process's arguments name, and returns its exit code: 0, 1, 2, or 130 after a signal.
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&typed) {
        Ok(arguments) => arguments,
        Err(problem) => return output::usage(&problem, &typed),
    };
    let command = arguments.command.name();
    let start = secrecy::begin(arguments.globals.config.as_deref(), &typed);
    let session = Session::start(&arguments.globals, &typed, start);
    panics::install();
    let end = std::panic::catch_unwind(AssertUnwindSafe(|| conduct(arguments, &session)));
    let end = end.unwrap_or_else(|_| Err(panics::failure()));
    ExitCode::from(output::deliver(command, end, &session))
}

/// Carries a command through on a runtime of its own.
fn conduct(arguments: Arguments, session: &Session) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| {
        Failure::new(
            "no_threads",
            format!("no threads could be started: {e}"),
            "lower the load of this machine, or raise its limit of processes",
        )
    })?;
    let end = runtime.block_on(async {
        signals::listen(session.stop.clone(), session.terminal.clone());
        run(arguments, session).await
    });
    // A question that nobody answered must not keep the process alive.
    runtime.shutdown_background();
    end
}

/// One command.
async fn run(arguments: Arguments, session: &Session) -> Result<Outcome, Failure> {
    let globals = &arguments.globals;
    match arguments.command {
        Command::Init(typed) => commands::init::run(globals, &typed, session).await,
        Command::Doctor(typed) => commands::doctor::run(globals, &typed, session).await,
        Command::Plan(typed) => commands::plan::run(globals, typed, session).await,
        Command::Run(typed) => commands::rotate::run(globals, typed, session).await,
        Command::Sweep(typed) => commands::rotate::sweep(globals, typed, session).await,
        Command::Verify(typed) => commands::verify::run(globals, &typed, session).await,
        Command::Status(typed) => commands::status::run(globals, &typed, session).await,
        Command::Pause(typed) => commands::control::pause(globals, &typed, session).await,
        Command::Continue => commands::control::unpause(globals, session).await,
        Command::Abandon(typed) => commands::control::abandon(globals, &typed, session).await,
        Command::Quarantine(typed) => commands::quarantine::run(globals, &typed, session).await,
        Command::Key(KeyCommand::Check(typed)) => commands::key_check::run(globals, &typed, session).await,
        Command::Keygen(typed) => commands::keygen::run(&typed).await,
        Command::Formats(typed) => commands::formats::run(&typed),
        Command::Demo(typed) => demo::run(&typed, session).await,
        Command::Completions(typed) => Ok(commands::completions::run(&typed)),
    }
}
