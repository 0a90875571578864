//! `init`
use crate::{
    arguments::{Globals, InitArguments},
    failure::Failure,
    files,
    output::{Outcome, Plain, finding_line},
    session::Session,
    settings::{KeyNeeds, Need, Settings},
};
use reencrypt_engine::Silent;
use reencrypt_planner::{Configuration, Discovery, Severity, discover};
use std::sync::Arc;

/// Values of each column that discovery looks at.
const SAMPLE: u32 = 1000;

/// Finds encrypted columns and prints (or writes) a configuration. Exit 1 where it found none, or something that cannot be rotated.
pub(crate) async fn run(globals: &Globals, typed: &InitArguments, session: &Session) -> Result<Outcome, Failure> {
    let settings = Settings::load(globals, session)?;
    let needs = KeyNeeds::Pairs { old: Need::Required, new: Need::Optional };
    let context = settings.context(needs, Arc::new(Silent), session).await?;
    let mut connection = session.unless_stopped(context.database.session()).await?;
    let found = session.unless_stopped(discover(&mut connection, &context.keys, &context.pool, SAMPLE)).await?;
    connection.close().await;

    for finding in &found.findings {
        session.terminal.note(&finding_line(finding));
    }
    let exit_code = u8::from(found.tables.is_empty() || found.findings.iter().any(|f| f.severity == Severity::Fail));
    let Discovery { tables, findings } = found;
    let told =
        tables.iter().map(|table| format!("{} ({})", table.name, columns(table.columns.len()))).collect::<Vec<_>>();
    session.terminal.note(&match told.as_slice() {
        [] => "no encrypted column was found: is OLD_KEY the key that the values stand under?".to_owned(),
        told => format!("encrypted columns were found in {}", told.join(", ")),
    });

    let configuration = Configuration { tables, ..context.configuration }.to_toml();
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

fn columns(n: usize) -> String {
    if n == 1 { "1 column".to_owned() } else { format!("{n} columns") }
}
