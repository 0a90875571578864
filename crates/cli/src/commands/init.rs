//! `init`
use crate::{
    arguments::{Globals, InitArguments},
    failure::Failure,
    files,
    output::{Outcome, Plain, finding_line},
    session::Session,
    settings::{KeyNeeds, Need, Settings},
};
use reencrypt_db::{Mode, Session as Connection};
use reencrypt_engine::{Context, Silent};
use reencrypt_planner::{Configuration, Discovery, Error, Finding, Severity, discover, draft};
use std::sync::Arc;

/// Ciphertext where no rotation reaches it: inside arrays and documents.
const OUT_OF_REACH: [&str; 2] = ["unlisted_ciphertext", "unlisted_new_ciphertext"];
/// Values of each column that discovery looks at.
const SAMPLE: u32 = 1000;

/// Finds encrypted columns and prints (or writes) a configuration. Exit 1 where it found none, or something that cannot be rotated.
pub(crate) async fn run(globals: &Globals, typed: &InitArguments, session: &Session) -> Result<Outcome, Failure> {
    files::refuse_existing(typed.write.as_deref())?;
    let settings = Settings::load(globals, session)?;
    let needs = KeyNeeds::Pairs { old: Need::Required, new: Need::Optional };
    let context = settings.context(needs, Arc::new(Silent), session).await?;
    let mut connection = session.unless_stopped(context.database.session()).await?;
    let found = session.unless_stopped(discover(&mut connection, &context.keys, &context.pool, SAMPLE)).await?;
    let Discovery { tables, mut findings } = found;
    let configuration = Configuration { tables, ..context.configuration.clone() };
    findings.extend(session.unless_stopped(refused(&mut connection, &context, &configuration)).await?);
    connection.close().await;

    for finding in &findings {
        session.terminal.note(&finding_line(finding));
    }
    let tables = &configuration.tables;
    let stands_in_the_way = |f: &Finding| f.severity == Severity::Fail || OUT_OF_REACH.contains(&&*f.code);
    let some_cannot = findings.iter().any(stands_in_the_way);
    let exit_code = u8::from(tables.is_empty() || some_cannot);
    let told =
        tables.iter().map(|table| format!("{} ({})", table.name, columns(table.columns.len()))).collect::<Vec<_>>();
    session.terminal.note(&match told.as_slice() {
        [] if some_cannot => "no encrypted column was found that can be rotated as it stands".to_owned(),
        [] => "no encrypted column was found: is OLD_KEY the key that the values stand under?".to_owned(),
        told => format!("encrypted columns were found in {}", told.join(", ")),
    });
    if some_cannot && !tables.is_empty() {
        session.terminal.note("not all that was found can be rotated as it stands: look at the findings first");
    }

    let configuration = configuration.to_toml();
    let text = match &typed.write {
        Some(path) => {
            files::create(path, configuration.as_bytes())?;
            format!(
                "wrote {}\n\nnext: reencrypt --config {} plan",
                path.display(),
                crate::shell::quoted(&path.to_string_lossy())
            )
        }
        None => configuration.clone(),
    };
    let json = serde_json::json!({
        "command": "init",
        "exit_code": exit_code,
        "written": typed.write.as_ref().map(|path| path.to_string_lossy()),
        "configuration": configuration,
        "findings": findings,
    });
    Ok(Outcome::new(exit_code, Plain { text, json }))
}

/// What a plan with this configuration would refuse of the tables that were found.
async fn refused(
    connection: &mut Connection,
    context: &Context,
    configuration: &Configuration,
) -> Result<Vec<Finding>, Error> {
    let mut tx = connection.begin(Mode::Read).await?;
    let plan = draft(&mut tx, context.database.identity(), configuration, &context.keys, &[], false).await?;
    tx.commit().await?;
    Ok(plan.findings.into_iter().filter(|f| f.severity == Severity::Fail && f.table.is_some()).collect())
}

fn columns(n: usize) -> String {
    if n == 1 { "1 column".to_owned() } else { format!("{n} columns") }
}
