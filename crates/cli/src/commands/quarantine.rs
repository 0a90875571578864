//! `quarantine list` and `quarantine accept`
use crate::shell::quoted;
use crate::{
    arguments::{Globals, QuarantineAcceptArguments, QuarantineCommand},
    failure::Failure,
    output::{Align, Outcome, Plain, Sheet, count},
    session::Session,
};
use reencrypt_engine::{self as engine, Context, ResidueLine};
use serde_json::json;
use std::fmt::Write as _;

/// The values left alone.
pub(crate) async fn run(globals: &Globals, typed: &QuarantineCommand, session: &Session) -> Result<Outcome, Failure> {
    let context = super::store_context(globals, session).await?;
    match typed {
        QuarantineCommand::List(list) if list.keys => keys(&context, session).await,
        QuarantineCommand::List(_) => {
            let lines = session.unless_stopped(engine::quarantine_list(&context)).await?;
            Ok(listed("quarantine list", &lines))
        }
        QuarantineCommand::Accept(accept) => self::accept(&context, accept, session).await,
    }
}

async fn accept(context: &Context, typed: &QuarantineAcceptArguments, session: &Session) -> Result<Outcome, Failure> {
    let QuarantineAcceptArguments { table, column, class, count, reason } = typed;
    let lines = session.unless_stopped(engine::accept(context, table, column, class, *count, reason)).await?;
    Ok(listed("quarantine accept", &lines))
}

/// With row keys: the one result that can identify people, and only because it was asked for.
async fn keys(context: &Context, session: &Session) -> Result<Outcome, Failure> {
    let lines = session.unless_stopped(engine::quarantine_keys(context)).await?;
    let mut text = String::new();
    let mut told = Vec::new();
    for (line, keys) in &lines {
        let _ = writeln!(text, "{}.{} {}: {}", line.table, line.column, line.class, count(line.count));
        for key in keys {
            let _ = writeln!(text, "  {}", crate::terminal::escaped(key));
        }
        told.push(json!({ "line": line, "row_keys": keys }));
    }
    if lines.is_empty() {
        text.push_str(NOTHING);
    }
    let json = json!({ "command": "quarantine list", "exit_code": 0, "quarantine": told });
    Ok(Outcome::new(0, Plain { text, json }))
}

const NOTHING: &str = "nothing is in quarantine";

fn listed(command: &str, lines: &[ResidueLine]) -> Outcome {
    let json = json!({ "command": command, "exit_code": 0, "quarantine": lines });
    Outcome::new(0, Plain { text: text(lines), json })
}

/// The lines as a table, and the command that accepts the first one that is not accepted.
pub(crate) fn text(lines: &[ResidueLine]) -> String {
    if lines.is_empty() {
        return NOTHING.to_owned();
    }
    let mut sheet = Sheet::new([
        ("table", Align::Left),
        ("column", Align::Left),
        ("class", Align::Left),
        ("count", Align::Right),
        ("accepted", Align::Right),
        ("reason", Align::Left),
    ]);
    for line in lines {
        sheet.row([
            line.table.clone(),
            line.column.clone(),
            line.class.clone(),
            count(line.count),
            count(line.accepted),
            line.reason.clone().unwrap_or_default(),
        ]);
    }
    sheet.drop_if_empty(&["reason"]);
    let mut text = sheet.render();
    if let Some(open) = lines.iter().find(|line| line.accepted != line.count) {
        let _ = writeln!(text, "\nnext: {}", accept_command(open));
    }
    text
}

/// The command that accepts a line.
pub(crate) fn accept_command(line: &ResidueLine) -> String {
    format!(
        "reencrypt quarantine accept --table {} --column {} --class {} --count {} --reason 'why they may stay'",
        quoted(&line.table),
        quoted(&line.column),
        quoted(&line.class),
        line.count
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_is_that_of_the_first_line_not_accepted() {
        let line = |column: &str, count, accepted| ResidueLine {
            table: "public.Patient".into(),
            column: column.into(),
            class: "unreadable".into(),
            count,
            accepted,
            reason: None,
        };
        let shown = text(&[line("email", 2, 2), line("last name", 3, 0)]);
        assert!(shown.contains("--column 'last name' --class unreadable --count 3"), "{shown}");
        assert!(!text(&[line("email", 2, 2)]).contains("next:"));
        assert_eq!(text(&[]), NOTHING);
    }
}
