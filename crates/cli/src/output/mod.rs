//! The result on standard output: text for a person or one JSON document, never both, never more.
mod report;
mod sheet;
mod status;

pub(crate) use report::finding_line;
pub(crate) use sheet::{Align, Sheet, bytes, count, duration};

use crate::{
    arguments::{Arguments, LogForm, OutputForm},
    failure::Failure,
    session::Session,
    signals::EXIT_INTERRUPTED,
    terminal::{Terminal, escaped_lines, is_obeyed},
};
use clap::{CommandFactory, error::ErrorKind};
use reencrypt_engine::{Problem, State};
use std::{
    ffi::OsString,
    fmt::Write as _,
    io::{self, Write},
    process::ExitCode,
};

/// Something that can stand on standard output.
pub(crate) trait Document {
    /// For a person; several lines.
    fn text(&self) -> String;
    /// For a script; one JSON document, its members in the order of the contract.
    fn json(&self) -> String;
    /// Why the command could not go on, where it ends with 2 after it had begun.
    fn problem(&self) -> Option<&Problem> {
        None
    }
}

/// A command's end: its exit code and what it has to say.
pub(crate) struct Outcome {
    pub(crate) exit_code: u8,
    pub(crate) document: Box<dyn Document + Send>,
}

impl Outcome {
    /// Pairs an exit code with a document.
    pub(crate) fn new(exit_code: u8, document: impl Document + Send + 'static) -> Self {
        Self { exit_code, document: Box::new(document) }
    }
}

/// Text that reads the same to a person and in a JSON member.
pub(crate) struct Plain {
    pub(crate) text: String,
    pub(crate) json: serde_json::Value,
}

impl Document for Plain {
    fn text(&self) -> String {
        self.text.clone()
    }
    fn json(&self) -> String {
        as_json(&self.json)
    }
}

/// Writes the end of a command and returns the exit code of the process.
pub(crate) fn deliver(command: &str, end: Result<Outcome, Failure>, session: &Session) -> u8 {
    let (exit_code, written) = match end {
        Ok(outcome) => {
            if let Some(problem) = outcome.document.problem() {
                let Problem { code, message, hint } = problem.clone();
                let hint = hint.map(|hint| session.shell.complete(&hint, OutputForm::Text));
                session.terminal.error(&Failure { code, message, hint, exit_code: outcome.exit_code });
            }
            (outcome.exit_code, write(&render(outcome.document.as_ref(), session)))
        }
        Err(failure) => {
            let hint = failure.hint.map(|hint| session.shell.complete(&hint, OutputForm::Text));
            let failure = Failure { hint, ..failure };
            session.terminal.error(&failure);
            let written = match session.form {
                OutputForm::Text => Ok(()),
                OutputForm::Json => write(&safe_json(&as_json(&Refusal::new(command, &failure)))),
            };
            (failure.exit_code, written)
        }
    };
    match written {
        Ok(()) => exit_code,
        // Whoever read the result has gone, and what was to be done is done.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => exit_code,
        Err(e) => {
            session.terminal.error(&Failure::new(
                "output_failed",
                format!("the result could not be written to standard output: {e}"),
                "`reencrypt status` shows it again",
            ));
            2
        }
    }
}

/// Answers a command line that is no command: help and version on standard output with 0, everything else with 2, in the forms that its
/// words ask for.
pub(crate) fn usage(problem: &clap::Error, typed: &[OsString]) -> ExitCode {
    if !problem.use_stderr() {
        let _ = problem.print();
        return ExitCode::SUCCESS;
    }
    let failure = misuse(problem);
    if asks_for_json(typed, "--log-format") {
        Terminal::new(false, true, LogForm::Json).error(&failure);
    } else {
        let _ = problem.print();
    }
    if asks_for_json(typed, "--output") {
        let _ = write(&safe_json(&as_json(&Refusal::new(&typed_command(typed), &failure))));
    }
    ExitCode::from(2)
}

/// What clap says, without its paragraphs about usage.
fn misuse(problem: &clap::Error) -> Failure {
    let text = problem.to_string();
    let message = match problem.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        _ => {
            let lines = text.lines().take_while(|line| !line.trim().is_empty());
            let message = lines.map(str::trim).collect::<Vec<_>>().join(" ");
            message.strip_prefix("error: ").unwrap_or(&message).to_owned()
        }
    };
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    Failure::new("usage", message, tip.unwrap_or("`reencrypt --help` lists commands and options"))
}

/// The command among the words of a line that was not understood.
fn typed_command(typed: &[OsString]) -> String {
    let mut known = &Arguments::command();
    let mut names = Vec::new();
    for word in typed.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(command) = known.find_subcommand(word) {
            names.push(command.get_name());
            known = command;
        }
    }
    names.join(" ")
}

/// A document in the form that was asked for, ending in a line end.
pub(crate) fn render(document: &dyn Document, session: &Session) -> String {
    let complete = |text: &str| session.shell.complete(text, session.form);
    match session.form {
        OutputForm::Json => safe_json(&complete(&document.json())),
        OutputForm::Text => {
            let mut text = escaped_lines(&complete(&document.text()));
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text
        }
    }
}

/// Bytes on standard output, flushed.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A value as JSON for a script. The results hold nothing that JSON cannot tell.
pub(crate) fn as_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value)
        .unwrap_or_else(|e| format!("{{\"error\": {{\"code\": \"internal_error\", \"message\": \"{e}\"}}}}"))
}

/// The document of a command that did not start.
#[derive(serde::Serialize)]
struct Refusal<'f> {
    #[serde(skip_serializing_if = "str::is_empty")]
    command: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl<'f> Refusal<'f> {
    fn new(command: &'f str, failure: &Failure) -> Self {
        let exit_code = failure.exit_code;
        if exit_code == EXIT_INTERRUPTED {
            return Self { command, state: Some(State::Interrupted), exit_code, error: None };
        }
        let Failure { code, message, hint, .. } = failure.clone();
        Self { command, state: None, exit_code, error: Some(Problem { code, message, hint }) }
    }
}

/// JSON that ends its line and holds no character that a terminal would obey.
fn safe_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c != '\n' && is_obeyed(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe.push('\n');
    safe
}

/// Whether `option` stands with `json` among the words.
fn asks_for_json(typed: &[OsString], option: &str) -> bool {
    let typed: Vec<_> = typed.iter().filter_map(|word| word.to_str()).collect();
    typed.contains(&&*format!("{option}=json")) || typed.windows(2).any(|pair| pair == [option, "json"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_no_character_that_a_terminal_obeys() {
        let value = serde_json::json!({ "table": "a\u{9b}b\u{1b}c\u{7f}\u{202e}" });
        let text = safe_json(&as_json(&value));
        assert!(!text.chars().any(|c| c != '\n' && is_obeyed(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("still JSON"), value);
    }

    #[test]
    fn a_refusal_has_an_error_and_an_interruption_a_state() {
        let told = |command, failure| serde_json::to_value(Refusal::new(command, &failure)).expect("JSON");
        let refused = told("run", Failure::new("no_run", "m", "h"));
        assert_eq!(
            refused,
            serde_json::json!({ "command": "run", "exit_code": 2, "error": { "code": "no_run", "message": "m", "hint": "h" } })
        );
        let interrupted = told("plan", Failure::interrupted());
        assert_eq!(interrupted, serde_json::json!({ "command": "plan", "exit_code": 130, "state": "interrupted" }));
    }

    #[test]
    fn a_line_that_is_not_understood_has_its_command() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(typed_command(&words("reencrypt --output json run --wrong")), "run");
        assert_eq!(typed_command(&words("reencrypt quarantine --output json accept --wrong")), "quarantine accept");
        assert_eq!(typed_command(&words("reencrypt --output json runn")), "");
    }

    #[test]
    fn the_form_is_known_even_where_the_line_is_not_understood() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(asks_for_json(&words("reencrypt --output json wrong"), "--output"));
        assert!(asks_for_json(&words("reencrypt wrong --log-format=json"), "--log-format"));
        assert!(!asks_for_json(&words("reencrypt wrong --log-format=json"), "--output"));
        assert!(!asks_for_json(&words("reencrypt json --output text"), "--output"));
    }
}
