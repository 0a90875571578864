//! Configuration and catalog become a plan, without reading a row.
use crate::{
    BlindIndexPlan, ClassCounts, ColumnPlan, Configuration, Error, Estimate, Finding, Keyring, Plan, TablePlan,
    TableSettings,
    estimate::estimate,
    nonces::{Reserved, judge_nonces},
    order::order,
    plan::{PlanKey, VERSION},
    preflight::{self, Subject},
    resolution::{Resolution, resolve},
    schema::{RowKeyProblem, schema_hash, with_row_key},
};
use reencrypt_crypto::{Format, SecretKey};
use reencrypt_db::{Identity, Server, Table, TableName, Transaction};
use std::collections::BTreeMap;

/// Resolves the configuration in the catalog and makes the plan's value with all preflight findings but without a
/// sample. `tables` (from `--table`) narrows it. What plan can state (missing table or column with the nearest name, no
/// row key, a view, row-level security, privileges, ...) is a `fail` finding, not an error. `for_run`: privileges for
/// writing are checked as failures (for `plan` they are warnings).
pub async fn draft(
    tx: &mut Transaction<'_>,
    identity: &Identity,
    configuration: &Configuration,
    keys: &Keyring,
    tables: &[String],
    for_run: bool,
) -> Result<Plan, Error> {
    let chosen = narrow(&configuration.tables, tables)?;
    let mut unmatched: Vec<&String> = tables.iter().collect();
    let server = tx.server().await?;
    let names = tx.tables().await?;
    let mut findings = preflight::keys(configuration, keys, for_run);
    findings.extend(preflight::server(&server, for_run));
    if chosen.is_empty() {
        let message = "no encrypted column is configured and none was found: there is nothing to rotate. Check that this is the right \
                       database and the old key the right one";
        findings.push(Finding::fail("nothing_found", message));
    }
    let mut drafts: Vec<TablePlan> = Vec::with_capacity(chosen.len());
    for settings in chosen {
        let mut located = Vec::new();
        let table = locate(tx, &names, settings, &mut located).await?;
        let is_this = |wanted: &str| is_named(wanted, settings, table.as_ref().map(|table| &table.name));
        if !tables.is_empty() && !tables.iter().any(|wanted| is_this(wanted)) {
            continue;
        }
        unmatched.retain(|wanted| !is_this(wanted));
        findings.append(&mut located);
        let Some(table) = table else { continue };
        if drafts.iter().any(|other| other.name == table.name) {
            let message = "two [[table]] entries mean this table; put its columns together";
            findings.push(Finding::fail("duplicate_table", message).on(&table.name));
            continue;
        }
        let context = Context { server: &server, configuration, for_run };
        drafts.extend(draft_table(&context, tx.dialect(), settings, *table, &mut findings));
    }
    if let Some(name) = unmatched.first() {
        return Err(unknown_table(name, &configuration.tables));
    }
    let layouts = configuration.layouts.iter().filter(|(name, _)| drafts.iter().any(|table| uses(table, name)));
    let layouts = layouts.map(|(name, spec)| (name.clone(), spec.clone())).collect();
    let mut plan = Plan {
        version: VERSION,
        id: String::new(),
        environment: configuration.environment.name.clone().unwrap_or_else(|| "default".to_owned()),
        identity: identity.clone(),
        keys: fingerprints(configuration, &drafts, keys),
        tables: drafts,
        layouts,
        findings,
        estimate: Estimate::default(),
        exposure: Vec::new(),
    };
    plan.estimate = estimate(&plan, tx.dialect());
    judge_nonces(&mut plan, configuration, keys, &Reserved::new())?;
    Ok(plan.seal())
}

/// What every table of a draft shares.
struct Context<'a> {
    server: &'a Server,
    configuration: &'a Configuration,
    for_run: bool,
}

/// The tables that `--table` may mean, in the order of the file; all without one. A name that can mean none is an
/// error.
fn narrow<'a>(tables: &'a [TableSettings], wanted: &[String]) -> Result<Vec<&'a TableSettings>, Error> {
    let may_mean = |written: &str, name: &str| {
        let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.'));
        written == name || ends(written, name) || ends(name, written)
    };
    for name in wanted {
        if !tables.iter().any(|table| may_mean(&table.name, name)) {
            return Err(unknown_table(name, tables));
        }
    }
    let chosen = |table: &&TableSettings| wanted.is_empty() || wanted.iter().any(|name| may_mean(&table.name, name));
    Ok(tables.iter().filter(chosen).collect())
}

/// Whether `--table wanted` is this table: as the file writes it, or as the catalog names it, with or without its
/// schema.
fn is_named(wanted: &str, settings: &TableSettings, found: Option<&TableName>) -> bool {
    let in_catalog = |found: &TableName| found.name == wanted || found.qualified() == wanted;
    settings.name == wanted || found.is_some_and(in_catalog)
}

fn unknown_table(name: &str, tables: &[TableSettings]) -> Error {
    Error::UnknownTable { name: name.to_owned(), known: tables.iter().map(|table| table.name.clone()).collect() }
}

async fn locate(
    tx: &mut Transaction<'_>,
    names: &[TableName],
    settings: &TableSettings,
    findings: &mut Vec<Finding>,
) -> Result<Option<Box<Table>>, Error> {
    match resolve(tx, names, &settings.name).await? {
        Resolution::Found(table) => return Ok(Some(table)),
        Resolution::Missing(suggestion) => {
            let message = format!("there is no such table, or this role cannot see it{suggestion}");
            findings.push(Finding::fail("table_missing", message).on_name(&settings.name));
        }
        Resolution::Ambiguous(candidates) => {
            let candidates: Vec<String> = candidates.iter().map(ToString::to_string).collect();
            let message = format!(
                "several schemas have this table: write one of {}, or name the schema in the database URL (`?schema=...`)",
                candidates.join(", ")
            );
            findings.push(Finding::fail("table_ambiguous", message).on_name(&settings.name));
        }
    }
    Ok(None)
}

/// The table's part of the plan: the columns that can be read. Everything else about it is a finding.
fn draft_table(
    context: &Context<'_>,
    dialect: reencrypt_db::Dialect,
    settings: &TableSettings,
    table: Table,
    findings: &mut Vec<Finding>,
) -> Option<TablePlan> {
    if let Some(refusal) = preflight::relation_kind(&table) {
        findings.push(refusal);
        return None;
    }
    let table = walked_by(settings, table, findings);
    let format = |name: &str| match context.configuration.layouts.get(name) {
        Some(spec) => Format::compile(name, spec).ok(),
        None => Format::preset(name),
    };
    let subject =
        Subject { settings, table: &table, dialect, server: context.server, for_run: context.for_run, format: &format };
    let unusable = preflight::columns(&subject);
    findings.extend(unusable.values().flatten().cloned());
    findings.extend(preflight::table(&subject));
    let columns: Vec<ColumnPlan> =
        settings.columns.iter().filter(|c| !is_unusable(&unusable, &c.column)).map(draft_column).collect();
    let hashes = settings
        .blind_indexes
        .iter()
        .filter(|hash| !is_unusable(&unusable, &hash.column) && columns.iter().any(|column| column.column == hash.of));
    let blind_indexes = hashes.map(|hash| BlindIndexPlan {
        column: hash.column.clone(),
        of: hash.of.clone(),
        spec: hash.spec.clone(),
        indexed: table.indexes.iter().any(|index| index.columns.contains(&hash.column)),
        sample: ClassCounts::default(),
    });
    let blind_indexes: Vec<BlindIndexPlan> = blind_indexes.collect();
    let slots = columns.iter().map(|column| &column.column).chain(blind_indexes.iter().map(|index| &index.column));
    let slots: Vec<String> = slots.cloned().collect();
    let has_tag = |name: &String| format(name).is_some_and(|format| format.is_authenticated());
    let authenticated = columns.iter().all(|column| column.read.iter().chain([&column.write]).all(has_tag));
    let (order, order_reason) = order(dialect, &table, &slots, authenticated);
    (!columns.is_empty()).then(|| TablePlan {
        name: table.name.clone(),
        key: context.configuration.pair_of(settings).to_owned(),
        row_key: table.row_key.iter().map(|column| column.name.clone()).collect(),
        schema_hash: schema_hash(&table, &slots),
        columns,
        blind_indexes,
        subject: settings.subject.clone(),
        table_alias: settings.table_alias.clone(),
        triggers: settings.triggers,
        order,
        order_reason,
        rows_estimate: table.rows_estimate(),
        heap_bytes: table.leaves.iter().map(|leaf| leaf.heap_bytes).sum(),
        index_bytes: table.leaves.iter().map(|leaf| leaf.index_bytes).sum(),
        sampled_rows: 0,
    })
}

fn is_unusable(unusable: &BTreeMap<String, Vec<Finding>>, column: &str) -> bool {
    unusable.get(column).is_some_and(|findings| findings.iter().any(Finding::prevents_reading))
}

/// The table with the row key that the configuration asks for, where that is one.
fn walked_by(settings: &TableSettings, table: Table, findings: &mut Vec<Finding>) -> Table {
    let Some(names) = &settings.row_key else { return table };
    match with_row_key(table.clone(), names) {
        Ok(table) => table,
        Err(problem) => {
            let message = match problem {
                RowKeyProblem::Missing(column) => {
                    let near = crate::nearest::did_you_mean(&column, table.columns.iter().map(|c| c.name.as_str()));
                    format!("the row_key column {} does not exist{near}", crate::nearest::shown(&column))
                }
                RowKeyProblem::Nullable(column) => {
                    format!("the row_key column {} may be NULL", crate::nearest::shown(&column))
                }
                RowKeyProblem::NotUnique => {
                    "no valid, immediate, non-partial unique index stands over exactly the row_key columns".into()
                }
            };
            findings.push(Finding::fail("row_key_unsound", message).on(&table.name));
            Table { row_key: Vec::new(), ..table }
        }
    }
}

fn draft_column(settings: &crate::ColumnSettings) -> ColumnPlan {
    // What a run writes it must read again: a rerun finds its own values.
    let mut read = settings.read.clone();
    if !read.contains(&settings.write) {
        read.push(settings.write.clone());
    }
    ColumnPlan {
        column: settings.column.clone(),
        read,
        write: settings.write.clone(),
        plaintext: settings.plaintext,
        nesting_max: settings.nesting_max,
        kind: settings.kind,
        column_alias: settings.column_alias.clone(),
        sample: ClassCounts::default(),
    }
}

fn uses(table: &TablePlan, format: &str) -> bool {
    table.columns.iter().any(|column| column.write == format || column.read.iter().any(|read| read == format))
}

/// The fingerprints of the pairs that the plan's tables use.
fn fingerprints(configuration: &Configuration, tables: &[TablePlan], keys: &Keyring) -> BTreeMap<String, PlanKey> {
    let used = |name: &&String| tables.iter().any(|table| table.key == **name) || configuration.keys.len() == 1;
    let print = |name: &String| {
        let pair = keys.get(name);
        let (old, new) = (pair.and_then(|pair| pair.old.as_ref()), pair.and_then(|pair| pair.new.as_ref()));
        let version = |key: Option<&SecretKey>| key.and_then(SecretKey::version).map(str::to_owned);
        PlanKey {
            old: old.map(SecretKey::fingerprint),
            new: new.map(SecretKey::fingerprint),
            old_version: version(old),
            new_version: version(new),
        }
    };
    configuration.keys.keys().filter(used).map(|name| (name.clone(), print(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(names: &[&str]) -> Vec<TableSettings> {
        let table = |name: &&str| TableSettings {
            name: (*name).to_owned(),
            key: None,
            row_key: None,
            subject: None,
            table_alias: None,
            triggers: Default::default(),
            columns: Vec::new(),
            blind_indexes: Vec::new(),
        };
        names.iter().map(table).collect()
    }

    #[test]
    fn a_run_is_narrowed_in_the_order_of_the_file_and_unknown_names_are_errors() {
        let all = tables(&["Patient", "crm.Contact", "Clinic"]);
        let narrowed = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            narrow(&all, &wanted).map(|chosen| chosen.iter().map(|table| table.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(narrowed(&[]).unwrap().len(), 3);
        assert_eq!(narrowed(&["Contact", "public.Patient"]).unwrap(), ["Patient", "crm.Contact"]);
        let error = narrowed(&["Patiant"]).unwrap_err();
        assert_eq!(error.code(), "table_unknown");
        assert!(error.hint().unwrap().contains("Patient"));
    }
}
