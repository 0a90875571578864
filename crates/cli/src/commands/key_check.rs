//! `key check`
use crate::{
    arguments::{Globals, KeyCheckArguments},
    failure::Failure,
    output::{Outcome, Plain, count},
    session::Session,
    settings::{KeyNeeds, Need, Settings},
};
use reencrypt_crypto::{Fingerprint, KeyPair, SecretKey};
use reencrypt_engine::{self as engine, ColumnReport, Report, Silent};
use reencrypt_keys::Reference;
use reencrypt_planner::{Keyring, SurveyOptions};
use serde_json::{Value, json};
use std::{fmt::Write, sync::Arc};

/// Says which configured key it is and what it opens. Writes nothing.
pub(crate) async fn run(globals: &Globals, typed: &KeyCheckArguments, session: &Session) -> Result<Outcome, Failure> {
    let settings = Settings::load(globals, session)?;
    let reference = Reference::parse(&typed.from, Some(&typed.decode), typed.take)?;
    let candidate = session.unless_stopped(settings.sources().load_key("--from", &reference)).await?;
    let configured = async { Ok::<_, Failure>(settings.configured_keys().await) };
    let compared = session.unless_stopped(configured).await?;
    let compared = compared.into_iter().map(|(name, key)| Compared::new(name, key)).collect();
    let fingerprint = candidate.fingerprint();
    let version = candidate.version().map(str::to_owned);
    let columns = match sample(settings, candidate, typed.sample, session).await {
        Err(failure) if failure.exit_code == Failure::interrupted().exit_code => return Err(failure),
        // Where no table is configured, columns are those that it opens.
        Err(failure) if failure.code == "nothing_found" => Ok(Vec::new()),
        sampled => sampled.map(|report| columns(&report)),
    };
    Ok(told(&Answer { fingerprint, version, compared, columns }))
}

/// A dry run in which the candidate stands for every pair's old key.
async fn sample(settings: Settings, key: SecretKey, sample: u32, session: &Session) -> Result<Report, Failure> {
    let pair = Arc::new(KeyPair { old: Some(key), new: None });
    let keys: Keyring = settings.configuration.keys.keys().map(|name| (name.clone(), pair.clone())).collect();
    let needs = KeyNeeds::Pairs { old: Need::Required, new: Need::Optional };
    let context = settings.context_with(keys, needs, Arc::new(Silent), session).await?;
    let options = SurveyOptions { sample, ..SurveyOptions::default() };
    Ok(session.unless_stopped(engine::plan(&context, &[], options, Vec::new())).await?.1)
}

struct Answer {
    fingerprint: Fingerprint,
    version: Option<String>,
    compared: Vec<Compared>,
    /// or why the database could not be asked
    columns: Result<Vec<Column>, Failure>,
}

/// One configured key.
struct Compared {
    name: String,
    /// or why it could not be read
    fingerprint: Result<Fingerprint, Failure>,
}

impl Compared {
    /// Keeps the fingerprint alone.
    fn new(name: String, key: Result<SecretKey, Failure>) -> Self {
        Self { name, fingerprint: key.map(|key| key.fingerprint()) }
    }
}

/// What the candidate opens of one column's sample.
struct Column {
    name: String,
    /// values that are envelopes
    encrypted: u64,
    opened: u64,
}

fn columns(report: &Report) -> Vec<Column> {
    let of_table = |table: &engine::TableReport| {
        let name = table.table.clone();
        table
            .columns
            .iter()
            .filter_map(move |column| match column {
                ColumnReport::Classes { column, counts, .. } => Some(Column {
                    name: format!("{name}.{column}"),
                    encrypted: counts.old + counts.new + counts.unreadable,
                    opened: counts.old,
                }),
                ColumnReport::Run { .. } => None,
            })
            .collect::<Vec<_>>()
    };
    report.tables.iter().flat_map(of_table).collect()
}

fn told(answer: &Answer) -> Outcome {
    let is = |compared: &&Compared| compared.fingerprint.as_ref().is_ok_and(|print| *print == answer.fingerprint);
    let matches: Vec<&str> = answer.compared.iter().filter(is).map(|compared| compared.name.as_str()).collect();
    let compared = answer.compared.iter().map(|compared| match &compared.fingerprint {
        Ok(print) => json!({ "key": compared.name, "fingerprint": print }),
        Err(e) => json!({ "key": compared.name, "error": e.code, "message": e.message }),
    });
    let mut json = json!({
        "command": "key check", "fingerprint": answer.fingerprint, "version": answer.version,
        "matches": matches, "compared": compared.collect::<Vec<_>>(),
    });
    let mut text = text(answer, &matches);
    let (exit_code, opened) = match &answer.columns {
        Ok(columns) => (0, opened(&mut text, columns)),
        Err(failure) => (1, unopened(&mut text, failure)),
    };
    json["exit_code"] = exit_code.into();
    if let (Some(json), Value::Object(opened)) = (json.as_object_mut(), opened) {
        json.extend(opened);
    }
    Outcome::new(exit_code, Plain { text, json })
}

fn text(answer: &Answer, matches: &[&str]) -> String {
    let mut text = format!("fingerprint {}\n", answer.fingerprint);
    let _ = match matches {
        [] => writeln!(text, "it is none of the configured keys that could be read"),
        names => writeln!(text, "it is {}", names.join(" and ")),
    };
    for compared in &answer.compared {
        let _ = match &compared.fingerprint {
            Ok(print) => writeln!(text, "  {}  {print}", compared.name),
            // The message begins with the name.
            Err(e) => writeln!(text, "  {e}"),
        };
    }
    text
}

/// What it opens, said and as members of the document.
fn opened(text: &mut String, columns: &[Column]) -> Value {
    let sum = |of: fn(&Column) -> u64| columns.iter().map(of).sum::<u64>();
    let (encrypted, opened) = (sum(|column| column.encrypted), sum(|column| column.opened));
    let _ = match (encrypted, columns) {
        (0, []) => writeln!(text, "it opens nothing that was found in this database"),
        (0, _) => writeln!(text, "no encrypted value was found on the sample"),
        (n, _) => writeln!(text, "it opens {} of {} sampled values", count(opened), count(n)),
    };
    for column in columns.iter().filter(|column| column.encrypted > 0) {
        let _ = writeln!(text, "  {}  {} of {}", column.name, count(column.opened), count(column.encrypted));
    }
    let columns = columns
        .iter()
        .map(|column| json!({ "column": column.name, "encrypted": column.encrypted, "opened": column.opened }));
    json!({ "sampled": encrypted, "opened": opened, "columns": columns.collect::<Vec<_>>() })
}

/// Why that is not known.
fn unopened(text: &mut String, failure: &Failure) -> Value {
    let hint = failure.hint.as_deref().unwrap_or_default();
    let _ = writeln!(text, "what it opens is not known: {failure}\nnext: {hint}");
    json!({ "sampled": null, "opened": null, "columns": [],
        "unsampled": { "code": failure.code, "message": failure.message, "hint": failure.hint } })
}
