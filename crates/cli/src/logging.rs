//! The log on standard error.
use crate::{arguments::LogForm, terminal::Terminal};
use std::io;
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    prelude::*,
};

/// Starts the log: warnings by default, more with each `-v`. The driver stays at warnings whatever was asked for, since its
/// finer events hold statements and their parameters. AWS's library is not heard at all: what it says holds whole answers, and what went
/// wrong is an error of ours.
pub(crate) fn start(verbose: u8, form: LogForm, terminal: &Terminal) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let targets = Targets::new()
        .with_default(Level::WARN)
        .with_target("reencrypt", level)
        .with_target("sqlx", Level::WARN)
        .with_target("aws", LevelFilter::OFF);
    let layer = tracing_subscriber::fmt::layer().with_writer(Writer(terminal.clone())).with_ansi(false);
    let registry = tracing_subscriber::registry();
    // A second start in one process (tests of the library) keeps the first.
    let _ = match form {
        LogForm::Text => registry.with(layer.with_filter(targets)).try_init(),
        LogForm::Json => registry.with(layer.json().with_filter(targets)).try_init(),
    };
}

/// Lines go through the terminal, so that a bar never tears them.
struct Writer(Terminal);

impl<'w> MakeWriter<'w> for Writer {
    type Writer = Line<'w>;
    fn make_writer(&'w self) -> Self::Writer {
        Line(&self.0)
    }
}

struct Line<'w>(&'w Terminal);

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
