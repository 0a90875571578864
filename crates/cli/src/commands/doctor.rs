//! `doctor`: what would fail in an incident, said before there is one. Reads, and writes nothing anywhere.
mod findings;
mod reuse;
mod room;
mod secrets;
mod server;

use crate::{
    arguments::{DoctorArguments, Globals, Purpose},
    failure::Failure,
    output::{Document, Outcome},
    session::Session,
    settings::Settings,
};
use serde::Serialize;

/// Looks at everything that a run stands on, one line a check. Exit 1 where a check fails.
pub(crate) async fn run(globals: &Globals, typed: &DoctorArguments, session: &Session) -> Result<Outcome, Failure> {
    let settings = Settings::load(globals, session)?;
    let mut checks = vec![configuration(&settings)];
    let (found, keys) = secrets::examine(&settings, typed.for_).await;
    checks.extend(found);
    checks.extend(session.unless_stopped(server::examine(&settings, &keys, typed.for_)).await?);
    let failed = checks.iter().any(|check| check.status == Status::Fail);
    let environment = settings.configuration.environment.name.clone().unwrap_or_else(|| "default".to_owned());
    let next = match (failed, typed.for_) {
        (true, _) => "put right what failed, then `reencrypt doctor` again",
        (false, Purpose::Verify) => "reencrypt verify",
        (false, Purpose::Run | Purpose::Plan) => "reencrypt plan",
    };
    let exit_code = u8::from(failed);
    Ok(Outcome::new(exit_code, Diagnosis { command: "doctor", exit_code, environment, checks, next }))
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// nothing to do
    Pass,
    /// somebody should know
    Warn,
    /// it would not work, or not safely
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// stable: what was looked at
    name: String,
    status: Status,
    /// which thing, and what is so or wrong
    message: String,
    /// what to do
    hint: Option<String>,
}

impl Check {
    fn pass(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Pass, message: message.into(), hint: None }
    }

    fn warn(name: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Warn, message: message.into(), hint: Some(hint.into()) }
    }

    fn fail(name: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Fail, message: message.into(), hint: Some(hint.into()) }
    }

    /// What ended with an error.
    fn failed(name: impl Into<String>, failure: Failure) -> Self {
        Self { name: name.into(), status: Status::Fail, message: failure.message, hint: failure.hint }
    }
}

/// All checks.
#[derive(Serialize)]
struct Diagnosis {
    command: &'static str,
    exit_code: u8,
    environment: String,
    checks: Vec<Check>,
    next: &'static str,
}

impl Document for Diagnosis {
    fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for Check { name, status, message, hint } in &self.checks {
            let status = match status {
                Status::Pass => "pass",
                Status::Warn => "warn",
                Status::Fail => "fail",
            };
            let line = [Some(message), hint.as_ref()].into_iter().flatten();
            // One line a check, whatever a database's names and messages hold.
            let line = line.map(|part| crate::terminal::escaped(part)).collect::<Vec<_>>().join(". Next: ");
            text.push_str(&format!("{status}  {name:width$}  {line}\n"));
        }
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        text.push_str(&format!(
            "\n{} passed, {} to know, {} failed\n\nnext: {}\n",
            count(Status::Pass),
            count(Status::Warn),
            count(Status::Fail),
            self.next
        ));
        text
    }

    fn json(&self) -> String {
        crate::output::as_json(self)
    }
}

/// The file that was read; one that cannot be read ends the command before.
fn configuration(settings: &Settings) -> Check {
    let configuration = &settings.configuration;
    let columns: usize = configuration.tables.iter().map(|table| table.columns.len()).sum();
    let what = format!("{} table(s) with {columns} encrypted column(s)", configuration.tables.len());
    match configuration.tables.is_empty() {
        false => Check::pass("configuration", what),
        true => Check::warn(
            "configuration",
            "no table is configured: tables are those that the keys find by themselves",
            "`reencrypt init --write reencrypt.toml` writes down what it finds; look at it, and keep it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_whatever_a_name_holds() {
        let checks = vec![
            Check::pass("server", "PostgreSQL 15"),
            Check::fail("tables", "public.a\nb\u{1b}[31m: no such table", "look"),
        ];
        let diagnosis = Diagnosis { command: "doctor", exit_code: 1, environment: "test".into(), checks, next: "x" };
        let text = diagnosis.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "pass  server  PostgreSQL 15");
        assert_eq!(lines[1], "fail  tables  public.a\\nb\\u{1b}[31m: no such table. Next: look");
        assert_eq!(lines[3], "1 passed, 0 to know, 1 failed");
    }
}
