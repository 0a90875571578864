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
use serde_json::json;
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
    let report = sample(settings, candidate, typed.sample, session).await?;
    Ok(told(&Answer { fingerprint, version, compared, columns: columns(&report) }))
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
    columns: Vec<Column>,
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
    let sum = |of: fn(&Column) -> u64| answer.columns.iter().map(of).sum::<u64>();
    let (encrypted, opened) = (sum(|column| column.encrypted), sum(|column| column.opened));
    let compared = answer.compared.iter().map(|compared| match &compared.fingerprint {
        Ok(print) => json!({ "key": compared.name, "fingerprint": print }),
        Err(e) => json!({ "key": compared.name, "error": e.code, "message": e.message }),
    });
    let columns = answer
        .columns
        .iter()
        .map(|column| json!({ "column": column.name, "encrypted": column.encrypted, "opened": column.opened }));
    let json = json!({
        "command": "key check", "exit_code": 0, "fingerprint": answer.fingerprint, "version": answer.version,
        "matches": matches, "compared": compared.collect::<Vec<_>>(),
        "sampled": encrypted, "opened": opened, "columns": columns.collect::<Vec<_>>(),
    });
    Outcome::new(0, Plain { text: text(answer, &matches, encrypted, opened), json })
}

fn text(answer: &Answer, matches: &[&str], encrypted: u64, opened: u64) -> String {
    let mut text = format!("fingerprint {}\n", answer.fingerprint);
    let _ = match matches {
        [] => writeln!(text, "it is none of the configured keys that could be read"),
        names => writeln!(text, "it is {}", names.join(" and ")),
    };
    for compared in &answer.compared {
        let _ = match &compared.fingerprint {
            Ok(print) => writeln!(text, "  {}  {print}", compared.name),
            Err(e) => writeln!(text, "  {}  could not be read: {e}", compared.name),
        };
    }
    let _ = match encrypted {
        0 => writeln!(text, "no encrypted value was found on the sample"),
        n => writeln!(text, "it opens {} of {} sampled values", count(opened), count(n)),
    };
    for column in answer.columns.iter().filter(|column| column.encrypted > 0) {
        let _ = writeln!(text, "  {}  {} of {}", column.name, count(column.opened), count(column.encrypted));
    }
    text
}
