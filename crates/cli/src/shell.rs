//! The next command to type, as this shell takes it.
use crate::arguments::{Globals, OutputForm};
use std::{ffi::OsString, path::Path};

/// The tool's name, as the engine's hints have it.
const NAME: &str = "reencrypt";

/// Commands that read no configuration, or make one.
const FREE: [&str; 4] = ["init", "formats", "demo", "completions"];

/// What was typed.
pub(crate) struct Shell {
    /// the name, with the flags that say where the configuration and the environment are
    prefix: String,
    /// every word
    typed: Vec<String>,
}

impl Shell {
    /// No flag takes a secret, so all of the line can be shown.
    pub(crate) fn new(globals: &Globals, typed: &[OsString]) -> Self {
        let mut prefix = NAME.to_owned();
        let mut add = |flag: &str, path: Option<&Path>| {
            if let Some(path) = path {
                prefix.push_str(&format!(" {flag} {}", quoted(&path.to_string_lossy())));
            }
        };
        add("--config", globals.config.as_deref());
        add("--env-file", globals.env_file.as_deref());
        let typed = typed.iter().skip(1).map(|word| quoted(&word.to_string_lossy())).collect();
        Self { prefix, typed }
    }

    /// The command that was typed, with more words.
    pub(crate) fn again(&self, more: &[String]) -> String {
        let words: Vec<_> =
            [NAME.to_owned()].into_iter().chain(self.typed.iter().cloned()).chain(more.iter().cloned()).collect();
        words.join(" ")
    }

    /// `text` with its commands made to find the same configuration: those in backticks, and the ones after
    /// `next: `, `&& ` and `$ `.
    pub(crate) fn complete(&self, text: &str, form: OutputForm) -> String {
        let prefix = match form {
            OutputForm::Text => self.prefix.clone(),
            OutputForm::Json => serde_json::Value::from(self.prefix.as_str()).to_string().trim_matches('"').to_owned(),
        };
        let mut complete = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(NAME) {
            let (before, name) = rest.split_at(at);
            complete.push_str(before);
            let starts = ["`", "next: ", "\"next\": \"", "&& ", "$ "].iter().any(|start| before.ends_with(start));
            let after = &name[NAME.len()..];
            // What was typed, or is about another file, has its flags already.
            let is_typed = !self.typed.is_empty() && after.trim_start().starts_with(&self.typed.join(" "));
            let has_flags = after.starts_with(" --config ") || is_typed;
            let is_free = FREE.iter().any(|free| after.strip_prefix(' ').is_some_and(|word| word.starts_with(free)));
            let is_command = starts && after.starts_with(' ') && !has_flags && !is_free;
            complete.push_str(if is_command { &prefix } else { NAME });
            rest = after;
        }
        complete.push_str(rest);
        complete
    }
}

/// `word` as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:=,%+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser;

    fn shell(line: &[&str]) -> Shell {
        let arguments = Arguments::try_parse_from(line).expect("a command line");
        Shell::new(&arguments.globals, &line.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("public.Patient"), "public.Patient");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn commands_find_the_configuration_that_was_named() {
        let shell = shell(&["reencrypt", "run", "--config", "a b.toml", "--resume"]);
        let text =
            "see `reencrypt status`\n\nnext: reencrypt continue && reencrypt run --resume; reencrypt is the tool";
        assert_eq!(
            shell.complete(text, OutputForm::Text),
            "see `reencrypt --config 'a b.toml' status`\n\nnext: reencrypt --config 'a b.toml' continue && \
             reencrypt --config 'a b.toml' run --resume; reencrypt is the tool"
        );
        assert_eq!(shell.complete("$ reencrypt verify", OutputForm::Text), "$ reencrypt --config 'a b.toml' verify");
        let free = "`reencrypt init --write x.toml` makes one";
        assert_eq!(shell.complete(free, OutputForm::Text), free);
        let again = format!("`{}`", shell.again(&["--yes".to_owned()]));
        assert_eq!(again, "`reencrypt run --config 'a b.toml' --resume --yes`");
        assert_eq!(shell.complete(&again, OutputForm::Text), again, "a line that was typed is complete");
    }

    #[test]
    fn json_stays_json() {
        let shell = shell(&["reencrypt", "plan", "--config", "a\"b.toml"]);
        let text = r#"{ "next": "reencrypt run", "hint": "`reencrypt status`" }"#;
        let value: serde_json::Value = serde_json::from_str(&shell.complete(text, OutputForm::Json)).expect("JSON");
        assert_eq!(value["next"], "reencrypt --config 'a\"b.toml' run");
        assert_eq!(value["hint"], "`reencrypt --config 'a\"b.toml' status`");
    }
}
