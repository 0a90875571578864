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
    match session.unless_stopped(engine::accept(context, table, column, class, *count, reason)).await {
        Ok(lines) => Ok(listed("quarantine accept", &lines)),
        Err(failure) if failure.code == "acceptance_count" => {
            let lines = session.unless_stopped(engine::quarantine_list(context)).await?;
            Err(Failure { hint: meant(&lines, table, column, class).or(failure.hint), ..failure })
        }
        Err(failure) => Err(failure),
    }
}

/// The name that was probably meant, where one of those typed is not in the list; `None` where all are there or nothing is near.
fn meant(lines: &[ResidueLine], table: &str, column: &str, class: &str) -> Option<String> {
    let bare = |line: &ResidueLine| line.table.rsplit_once('.').map(|(_, name)| name.to_owned()).unwrap_or_default();
    let is_table = |line: &&ResidueLine| line.table == table || bare(line) == table;
    let of_table: Vec<&ResidueLine> = lines.iter().filter(is_table).collect();
    let (typed, known): (_, Vec<String>) = if of_table.is_empty() {
        let qualified = table.contains('.');
        (table, lines.iter().map(|line| if qualified { line.table.clone() } else { bare(line) }).collect())
    } else if of_table.iter().all(|line| line.column != column) {
        (column, of_table.iter().map(|line| line.column.clone()).collect())
    } else {
        let of_column = of_table.iter().filter(|line| line.column == column);
        (class, of_column.map(|line| line.class.clone()).collect())
    };
    if known.iter().any(|name| name == typed) {
        return None;
    }
    let name = reencrypt_planner::nearest(typed, known.iter().map(String::as_str))?;
    Some(format!("did you mean `{name}`? `reencrypt quarantine list` shows tables, columns, classes and counts"))
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

    #[test]
    fn a_slip_is_answered_with_the_name_that_was_meant() {
        let line = |table: &str, column: &str| ResidueLine {
            table: table.into(),
            column: column.into(),
            class: "unreadable".into(),
            count: 2,
            accepted: 0,
            reason: None,
        };
        let lines = [line("public.Patient", "firstName"), line("crm.Contact", "email")];
        let said = |table, column, class| meant(&lines, table, column, class).unwrap_or_default();
        assert!(said("Patient", "fristName", "unreadable").starts_with("did you mean `firstName`?"));
        assert!(said("patients", "firstName", "unreadable").starts_with("did you mean `Patient`?"));
        assert!(said("crm.Contacts", "email", "unreadable").starts_with("did you mean `crm.Contact`?"));
        assert!(said("Contact", "email", "unreadible").starts_with("did you mean `unreadable`?"));
        assert_eq!(said("Patient", "firstName", "unreadable"), "", "the names are right, the count is not");
        assert_eq!(said("Patient", "zzzzzzzzz", "unreadable"), "", "nothing is near");
        assert_eq!(said("Patient", "email", "unreadable"), "", "a column of another table");
    }
}
