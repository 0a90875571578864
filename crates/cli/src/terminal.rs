//! Standard error and the person who may sit before it.
use crate::{arguments::LogForm, failure::Failure};
use indicatif::{MultiProgress, ProgressDrawTarget};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressForm {
    /// On a terminal.
    Bars,
    /// In a pipe: a line every ten seconds.
    Lines,
    /// `-q`, `--no-progress`
    Nothing,
}

/// Standard error, shared by notes, questions, the log and the bars, so that none of them tears another.
#[derive(Clone)]
pub(crate) struct Terminal {
    bars: MultiProgress,
    progress: ProgressForm,
    quiet: bool,
    answers: bool,
    form: LogForm,
}

impl Terminal {
    /// Looks at what standard error and standard input are.
    pub(crate) fn new(quiet: bool, no_progress: bool, form: LogForm) -> Self {
        let seen = io::stderr().is_terminal();
        let progress = match (quiet || no_progress, seen) {
            (true, _) => ProgressForm::Nothing,
            (false, true) => ProgressForm::Bars,
            (false, false) => ProgressForm::Lines,
        };
        let target = match progress {
            ProgressForm::Bars => ProgressDrawTarget::stderr(),
            ProgressForm::Lines | ProgressForm::Nothing => ProgressDrawTarget::hidden(),
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            progress,
            quiet,
            answers: seen && io::stdin().is_terminal(),
            form,
        }
    }

    /// How progress is shown.
    pub(crate) fn progress(&self) -> ProgressForm {
        self.progress
    }

    /// Where bars are added.
    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Whether somebody can answer a question.
    pub(crate) fn can_ask(&self) -> bool {
        self.answers
    }

    /// A line for the person, unless `-q`.
    pub(crate) fn note(&self, text: &str) {
        match self.form {
            _ if self.quiet => (),
            LogForm::Text => self.line(text),
            LogForm::Json => self.object("INFO", text, serde_json::json!({})),
        }
    }

    /// Lines that a question is about, whatever the settings.
    pub(crate) fn tell(&self, text: &str) {
        self.line(text);
    }

    /// An error and its hint, one line each.
    pub(crate) fn error(&self, failure: &Failure) {
        if self.form == LogForm::Json {
            let fields = serde_json::json!({ "code": failure.code, "hint": failure.hint });
            return self.object("ERROR", &failure.message, fields);
        }
        self.line(&format!("error: {}", escaped(&failure.message)));
        if let Some(hint) = &failure.hint {
            self.line(&format!("hint: {}", escaped(hint)));
        }
    }

    /// Asks; anything but `y` or `yes` is no.
    pub(crate) async fn ask(&self, question: &str) -> bool {
        let prompt = format!("{} [y/N] ", escaped(question));
        self.bars.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(prompt.as_bytes());
            let _ = stderr.flush();
        });
        let answer = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        });
        match answer.await {
            Ok(Ok(line)) => matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"),
            _ => false,
        }
    }

    /// A line of the log, in the shape of the other lines of `--log-format json`.
    fn object(&self, level: &str, message: &str, mut fields: serde_json::Value) {
        fields["message"] = message.into();
        let at = jiff::Timestamp::now().to_string();
        let line = serde_json::json!({ "timestamp": at, "level": level, "fields": fields, "target": "reencrypt" });
        self.line(&line.to_string());
    }

    /// A line on standard error whatever the settings; lines inside `text` stay lines.
    fn line(&self, text: &str) {
        let mut safe = escaped_lines(text);
        safe.push('\n');
        self.write(safe.as_bytes());
    }

    /// Bytes on standard error, with the bars out of the way. A closed standard error is nobody's fault.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
    }
}

/// `text` without characters that a terminal would obey: names and messages come from a database.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        push_escaped(&mut safe, c);
    }
    safe
}

/// The same, but line ends and tabs stay.
pub(crate) fn escaped_lines(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') {
            safe.push(c);
        } else {
            push_escaped(&mut safe, c);
        }
    }
    safe
}

fn push_escaped(safe: &mut String, c: char) {
    if is_obeyed(c) {
        let _ = write!(safe, "{}", c.escape_default());
    } else {
        safe.push(c);
    }
}

/// Control characters, and those that turn or hide the text around them.
pub(crate) fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_name_says() {
        assert_eq!(escaped("a\u{1b}[31mb\nc\u{9b}d\u{202e}e"), "a\\u{1b}[31mb\\nc\\u{9b}d\\u{202e}e");
        assert_eq!(escaped("Ärztin \"x\" \\ 患者"), "Ärztin \"x\" \\ 患者");
        assert_eq!(escaped_lines("a\nb\rc"), "a\nb\\rc");
    }
}
