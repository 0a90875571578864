//! The questions before the first write of a new run. A run that goes on was asked about already.
use crate::{
    failure::Failure,
    output::{count, finding_line},
    session::Session,
    shell::Shell,
};
use reencrypt_engine::{Approved, Context, RunOptions};
use reencrypt_planner::Plan;
use std::fmt::Write as _;

/// `[environment] name` that asks for more.
const PRODUCTION: &str = "production";
const READERS: &str = "Does every reader of this database know both keys?";

/// What is still to be asked, and what must have been said on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Everything was said.
    Go,
    /// A person is asked whether the readers are ready, and whether to rotate.
    Ask { readers: bool, rotation: bool },
    /// Nobody can be asked, and these flags are missing.
    Refuse { yes: bool, plan_id: bool, readers_ready: bool },
}

/// What was said on the command line, and whether a person is there.
#[derive(Debug, Clone, Copy)]
struct Said {
    yes: bool,
    readers_ready: bool,
    plan_id: bool,
    production: bool,
    terminal: bool,
}

/// Shows what will be rotated and asks what is left to ask. True when a person was asked: then `options` is bound to the plan they saw.
pub(super) async fn confirm(
    context: &Context,
    plan: &Plan,
    options: &mut RunOptions,
    session: &Session,
) -> Result<bool, Failure> {
    let said = Said {
        yes: session.yes,
        readers_ready: options.readers_ready,
        plan_id: options.approved.is_some(),
        production: plan.environment == PRODUCTION,
        terminal: session.terminal.can_ask(),
    };
    let verdict = judge(said);
    let summary = summary(context, plan);
    match verdict {
        // Nobody answers a question about what was not shown, whatever `-q` says.
        Verdict::Ask { .. } => session.terminal.tell(&summary),
        Verdict::Go | Verdict::Refuse { .. } => session.terminal.note(&summary),
    }
    match verdict {
        Verdict::Go => Ok(false),
        Verdict::Refuse { yes, plan_id, readers_ready } => {
            Err(refusal(plan, yes, plan_id, readers_ready, &session.shell))
        }
        Verdict::Ask { readers, rotation } => {
            if readers && !ask(READERS, session).await? {
                return Err(Failure::new(
                    "readers_not_ready",
                    "a reader that knows the old key alone cannot read rotated rows; nothing was written",
                    "ship the application able to read both keys first, then run again",
                ));
            }
            if rotation && !ask("Rotate now?", session).await? {
                return Err(Failure::new(
                    "not_confirmed",
                    "not confirmed; nothing was written",
                    "`reencrypt plan` shows what a run would do",
                ));
            }
            options.readers_ready = true;
            options.approved.get_or_insert_with(|| Approved::Plan(Box::new(plan.clone())));
            Ok(true)
        }
    }
}

async fn ask(question: &str, session: &Session) -> Result<bool, Failure> {
    session.unless_stopped(async { Ok::<_, Failure>(session.terminal.ask(question).await) }).await
}

/// `--yes` answers every question, the readers' outside production alone; without a terminal everything must have been said.
fn judge(said: Said) -> Verdict {
    let readers = !(said.readers_ready || said.yes && !said.production);
    let rotation = !said.yes;
    let plan_id = said.production && !said.plan_id;
    if said.terminal {
        return if readers || rotation { Verdict::Ask { readers, rotation } } else { Verdict::Go };
    }
    if rotation || readers || plan_id {
        return Verdict::Refuse { yes: rotation, plan_id, readers_ready: readers && said.production };
    }
    Verdict::Go
}

fn refusal(plan: &Plan, yes: bool, plan_id: bool, readers_ready: bool, shell: &Shell) -> Failure {
    let mut missing = Vec::new();
    if yes {
        missing.push("--yes".to_owned());
    }
    if plan_id {
        missing.push(format!("--plan-id {}", plan.id));
    }
    if readers_ready {
        missing.push("--readers-ready".to_owned());
    }
    let flags: Vec<_> = missing.iter().filter_map(|flag| flag.split(' ').next()).collect();
    Failure::new(
        "confirmation_needed",
        format!(
            "nobody can be asked here, and {} {} missing for environment {:?}",
            flags.join(" and "),
            if flags.len() == 1 { "is" } else { "are" },
            plan.environment
        ),
        format!("look at the plan with `reencrypt plan`, then `{}`", shell.again(&missing)),
    )
}

/// Where, what and with which keys.
fn summary(context: &Context, plan: &Plan) -> String {
    let place = context.database.identity();
    let mut text = String::from("about to rotate\n");
    if place.address != place.database {
        let _ = writeln!(text, "  host         {}", place.address);
    }
    let _ = writeln!(text, "  database     {}", place.database);
    let _ = writeln!(text, "  environment  {}", plan.environment);
    let _ = writeln!(text, "  plan         {}", plan.id);
    for (name, key) in &plan.keys {
        let shown =
            |f: Option<reencrypt_crypto::Fingerprint>| f.map_or_else(|| "not given".to_owned(), |f| f.to_string());
        let _ = writeln!(text, "  key          {name}: old {}, new {}", shown(key.old), shown(key.new));
    }
    for table in &plan.tables {
        let _ = write!(
            text,
            "  table        {}: about {} rows, {} columns",
            table.name,
            count(table.rows_estimate),
            table.columns.len()
        );
        let _ = match table.blind_indexes.len() {
            0 => writeln!(text),
            n => writeln!(text, ", {n} blind indexes"),
        };
    }
    for finding in &plan.findings {
        let _ = writeln!(text, "  {}", finding_line(finding));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Said = Said { yes: false, readers_ready: false, plan_id: false, production: false, terminal: false };

    #[test]
    fn a_person_is_asked_once_for_each_thing_not_said() {
        let person = Said { terminal: true, ..NOTHING };
        assert_eq!(judge(person), Verdict::Ask { readers: true, rotation: true });
        assert_eq!(judge(Said { readers_ready: true, ..person }), Verdict::Ask { readers: false, rotation: true });
        assert_eq!(judge(Said { yes: true, ..person }), Verdict::Go);
        let production = Said { production: true, ..person };
        assert_eq!(judge(Said { yes: true, ..production }), Verdict::Ask { readers: true, rotation: false });
        assert_eq!(judge(Said { yes: true, readers_ready: true, ..production }), Verdict::Go);
    }

    #[test]
    fn without_a_person_everything_must_have_been_said() {
        let missing = |yes, plan_id, readers_ready| Verdict::Refuse { yes, plan_id, readers_ready };
        assert_eq!(judge(NOTHING), missing(true, false, false));
        assert_eq!(judge(Said { readers_ready: true, ..NOTHING }), missing(true, false, false));
        assert_eq!(judge(Said { yes: true, ..NOTHING }), Verdict::Go);
        let production = Said { production: true, ..NOTHING };
        assert_eq!(judge(production), missing(true, true, true));
        assert_eq!(judge(Said { yes: true, ..production }), missing(false, true, true));
        assert_eq!(judge(Said { yes: true, plan_id: true, ..production }), missing(false, false, true));
        assert_eq!(judge(Said { yes: true, plan_id: true, readers_ready: true, ..production }), Verdict::Go);
    }
}
