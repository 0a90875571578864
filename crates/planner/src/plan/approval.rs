//! What was approved is what runs: the part of a plan that its id covers, and how two plans differ in it.
use super::{BlindIndexPlan, ColumnPlan, Plan, TablePlan};
use crate::{nearest::shown, schema::digest};
use reencrypt_crypto::{BlindIndexSpec, Fingerprint, LayoutSpec, PlaintextPolicy};
use serde::Serialize;
use std::collections::BTreeMap;

/// Scope, formats with their layouts, policies, fingerprints, schema hashes and environment. Never counts, estimates,
/// findings, the kinds of data or the address.
#[derive(Serialize)]
struct Approved<'a> {
    version: u32,
    environment: &'a str,
    keys: BTreeMap<&'a str, [Option<Fingerprint>; 2]>,
    tables: Vec<ApprovedTable<'a>>,
    formats: BTreeMap<&'a str, Option<LayoutSpec>>,
}

#[derive(Serialize)]
struct ApprovedTable<'a> {
    schema: &'a str,
    name: &'a str,
    key: &'a str,
    row_key: &'a [String],
    schema_hash: &'a str,
    table_alias: Option<&'a str>,
    triggers: crate::TriggerPolicy,
    columns: Vec<ApprovedColumn<'a>>,
    blind_indexes: Vec<ApprovedBlindIndex<'a>>,
}

#[derive(Serialize)]
struct ApprovedColumn<'a> {
    column: &'a str,
    read: &'a [String],
    write: &'a str,
    plaintext: PlaintextPolicy,
    nesting_max: u8,
    column_alias: Option<&'a str>,
}

#[derive(Serialize)]
struct ApprovedBlindIndex<'a> {
    column: &'a str,
    of: &'a str,
    spec: &'a BlindIndexSpec,
}

/// SHA-256 (hex) of what is approved.
pub(super) fn id(plan: &Plan) -> String {
    digest(&Approved {
        version: plan.version,
        environment: &plan.environment,
        keys: plan.keys.iter().map(|(name, key)| (name.as_str(), [key.old, key.new])).collect(),
        tables: plan.tables.iter().map(approved_table).collect(),
        formats: formats(plan),
    })
}

fn approved_table(table: &TablePlan) -> ApprovedTable<'_> {
    ApprovedTable {
        schema: &table.name.schema,
        name: &table.name.name,
        key: &table.key,
        row_key: &table.row_key,
        schema_hash: &table.schema_hash,
        table_alias: table.table_alias.as_deref(),
        triggers: table.triggers,
        columns: table.columns.iter().map(approved_column).collect(),
        blind_indexes: table.blind_indexes.iter().map(approved_blind_index).collect(),
    }
}

fn approved_column(column: &ColumnPlan) -> ApprovedColumn<'_> {
    ApprovedColumn {
        column: &column.column,
        read: &column.read,
        write: &column.write,
        plaintext: column.plaintext,
        nesting_max: column.nesting_max,
        column_alias: column.column_alias.as_deref(),
    }
}

fn approved_blind_index(index: &BlindIndexPlan) -> ApprovedBlindIndex<'_> {
    ApprovedBlindIndex { column: &index.column, of: &index.of, spec: &index.spec }
}

/// Every format that the plan reads or writes, with its layout; presets too, so that a changed preset is another plan.
fn formats(plan: &Plan) -> BTreeMap<&str, Option<LayoutSpec>> {
    let columns = plan.tables.iter().flat_map(|table| &table.columns);
    let names = columns.flat_map(|column| column.read.iter().chain([&column.write]));
    names.map(|name| (name.as_str(), plan.format(name).ok().map(|format| format.spec().clone()))).collect()
}

/// The first difference in words: environment, keys, tables in order, formats.
pub(super) fn first_difference(one: &Plan, other: &Plan) -> Option<String> {
    if one.version != other.version {
        return Some(format!("the plan is of version {}, the other of version {}", one.version, other.version));
    }
    if one.environment != other.environment {
        let (one, other) = (shown(&one.environment), shown(&other.environment));
        return Some(format!("the environment is {one}, the other's is {other}"));
    }
    keys_difference(one, other).or_else(|| tables_difference(one, other)).or_else(|| formats_difference(one, other))
}

fn keys_difference(one: &Plan, other: &Plan) -> Option<String> {
    let text = |print: Option<Fingerprint>| print.map_or_else(|| "not given".to_owned(), |print| print.to_string());
    for (name, key) in &one.keys {
        let pair = shown(name);
        let Some(theirs) = other.keys.get(name) else {
            return Some(format!("the other plan has no key pair {pair}"));
        };
        for (side, mine, theirs) in [("old", key.old, theirs.old), ("new", key.new, theirs.new)] {
            if mine != theirs {
                let (mine, theirs) = (text(mine), text(theirs));
                return Some(format!("the {side} key of pair {pair} is {mine}, the other's is {theirs}"));
            }
        }
    }
    let extra = other.keys.keys().find(|name| !one.keys.contains_key(*name))?;
    Some(format!("only the other plan has a key pair {}", shown(extra)))
}

fn tables_difference(one: &Plan, other: &Plan) -> Option<String> {
    for table in &one.tables {
        match other.tables.iter().find(|theirs| theirs.name == table.name) {
            None => return Some(format!("the other plan has no table {}", table.name)),
            Some(theirs) => {
                if let Some(difference) = table_difference(table, theirs) {
                    return Some(format!("table {}: {difference}", table.name));
                }
            }
        }
    }
    if let Some(extra) = other.tables.iter().find(|theirs| one.tables.iter().all(|mine| mine.name != theirs.name)) {
        return Some(format!("only the other plan has a table {}", extra.name));
    }
    let order = |plan: &Plan| plan.tables.iter().map(|table| table.name.clone()).collect::<Vec<_>>();
    (order(one) != order(other)).then(|| "the tables stand in another order".to_owned())
}

fn table_difference(one: &TablePlan, other: &TablePlan) -> Option<String> {
    let names = |names: &[String]| names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if one.key != other.key {
        return Some(format!("its key pair is {}, the other's is {}", shown(&one.key), shown(&other.key)));
    }
    if one.row_key != other.row_key {
        return Some(format!("its row key is {}, the other's is {}", names(&one.row_key), names(&other.row_key)));
    }
    if let Some(difference) = columns_difference(one, other).or_else(|| blind_indexes_difference(one, other)) {
        return Some(difference);
    }
    if one.table_alias != other.table_alias {
        return Some("its table_alias is another".into());
    }
    if one.triggers != other.triggers {
        return Some("whether triggers may fire is another".into());
    }
    (one.schema_hash != other.schema_hash)
        .then(|| "its columns or their types, or the unique indexes on its values, are others in the database".into())
}

fn columns_difference(one: &TablePlan, other: &TablePlan) -> Option<String> {
    for column in &one.columns {
        let name = shown(&column.column);
        let Some(theirs) = other.columns.iter().find(|theirs| theirs.column == column.column) else {
            return Some(format!("the other plan has no column {name}"));
        };
        let what = if column.read != theirs.read || column.write != theirs.write {
            "its formats are"
        } else if column.plaintext != theirs.plaintext {
            "what happens to plaintext is"
        } else if column.nesting_max != theirs.nesting_max {
            "its nesting_max is"
        } else if column.column_alias != theirs.column_alias {
            "its column_alias is"
        } else {
            continue;
        };
        return Some(format!("column {name}: {what} another"));
    }
    let mine = |name: &String| one.columns.iter().any(|column| column.column == *name);
    if let Some(extra) = other.columns.iter().find(|theirs| !mine(&theirs.column)) {
        return Some(format!("only the other plan has a column {}", shown(&extra.column)));
    }
    let order = |table: &TablePlan| table.columns.iter().map(|column| column.column.clone()).collect::<Vec<_>>();
    (order(one) != order(other)).then(|| "its columns stand in another order".to_owned())
}

fn blind_indexes_difference(one: &TablePlan, other: &TablePlan) -> Option<String> {
    for index in &one.blind_indexes {
        let name = shown(&index.column);
        match other.blind_indexes.iter().find(|theirs| theirs.column == index.column) {
            None => return Some(format!("the other plan has no blind index {name}")),
            Some(theirs) if theirs.of != index.of || theirs.spec != index.spec => {
                return Some(format!("blind index {name} is declared otherwise"));
            }
            Some(_) => {}
        }
    }
    let mine = |name: &String| one.blind_indexes.iter().any(|index| index.column == *name);
    if let Some(extra) = other.blind_indexes.iter().find(|theirs| !mine(&theirs.column)) {
        return Some(format!("only the other plan has a blind index {}", shown(&extra.column)));
    }
    let order = |table: &TablePlan| table.blind_indexes.iter().map(|index| index.column.clone()).collect::<Vec<_>>();
    (order(one) != order(other)).then(|| "its blind indexes stand in another order".to_owned())
}

fn formats_difference(one: &Plan, other: &Plan) -> Option<String> {
    let (mine, theirs) = (formats(one), formats(other));
    let differs = |name: &&&str| mine.get(**name) != theirs.get(**name);
    mine.keys()
        .chain(theirs.keys())
        .find(differs)
        .map(|name| format!("the layout of format {} is another", shown(name)))
}
