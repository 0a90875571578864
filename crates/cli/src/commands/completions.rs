//! `completions`
use crate::{
    arguments::{Arguments, CompletionsArguments},
    output::{Outcome, Plain},
};
use clap::CommandFactory;

/// The completion script for a shell.
pub(crate) fn run(typed: &CompletionsArguments) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(typed.shell, &mut Arguments::command(), "reencrypt", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    let json = serde_json::json!({ "command": "completions", "exit_code": 0, "shell": typed.shell.to_string(), "script": text });
    Outcome::new(0, Plain { text, json })
}
