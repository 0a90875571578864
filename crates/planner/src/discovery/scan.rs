//! One look at every table: a sample of its text and bytes columns, and what each of them holds.
use super::{
    embedded::{elements, pieces},
    formats::{Candidates, Found, Judgement, LAYERS_MAX, Place, judge},
    hashes::{Beside, explain},
};
use crate::{
    BlindIndexSettings, Error, Finding, Keyring, Severity,
    bind::selections,
    nearest::{counted, shown},
    preflight::{hidden_rows, missing_select},
    survey::{Batch, Slots, blocking, rehearse, sample, throw_away_pair},
};
use reencrypt_crypto::{Pool, RowCipher};
use reencrypt_db::{Column, ColumnKind, Dialect, Mode, RowSecurity, Session, Table, TableKind, TableName};
use std::{collections::BTreeSet, sync::Arc};

/// Of the sample.
const SEED: u32 = 1;
/// No ciphertext is shorter: a nonce of 12 bytes and a tag of 16.
const CIPHERTEXT_LEN_MIN: u32 = 28;

/// The code of rows that a policy may hide.
const RLS_ACTIVE: &str = "rls_active";

/// What a sample of one table holds.
pub(crate) struct TableScan {
    /// which table
    pub(crate) table: TableName,
    /// columns whose values open
    pub(crate) found: Vec<Found>,
    /// columns of a format's shape that no key opens: format and number of values
    pub(crate) shaped: Vec<(String, String, u64)>,
    /// columns in whose arrays, longer texts or documents pieces open
    pub(crate) pieces: Vec<Pieces>,
    /// hash columns that a preset explains
    pub(crate) explained: Vec<BlindIndexSettings>,
    /// hash columns that none explains
    pub(crate) unknown_hashes: Vec<String>,
    /// what of it was not read, and why
    pub(crate) unread: Option<Unread>,
}

/// Ciphertext that is a part of what stands in a column.
pub(crate) struct Pieces {
    column: String,
    /// of a column of arrays
    array_type: Option<String>,
    opens_old: u64,
    opens_new: u64,
}

/// What this role cannot look at.
pub(crate) struct Unread {
    /// the columns; all where none is named
    columns: Vec<String>,
    /// the code of a failure
    code: &'static str,
    /// why, and what helps
    reason: String,
}

/// Every table that holds rows of its own, with the names of all.
pub(crate) struct Scanned {
    /// one look a table
    pub(crate) tables: Vec<TableScan>,
    /// as the catalog has them
    pub(crate) names: Vec<TableName>,
    /// where names without a schema belong first
    pub(crate) url_schema: Option<String>,
}

/// Samples every visible table that holds rows of its own. Partitions are looked at as their parent.
pub(crate) async fn scan(session: &mut Session, keys: &Keyring, pool: &Arc<Pool>, rows: u32) -> Result<Scanned, Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let names = tx.tables().await?;
    let url_schema = tx.url_schema().map(str::to_owned);
    let role = match tx.dialect() {
        Dialect::Postgres => tx.server().await?.role,
        Dialect::Sqlite => String::new(),
    };
    let mut tables = Vec::with_capacity(names.len());
    for name in &names {
        tables.extend(tx.table(name).await?);
    }
    tx.rollback().await?;
    let parents = tables.iter().filter(|table| table.kind == TableKind::Partitioned);
    let leaves: BTreeSet<TableName> = parents.flat_map(|table| &table.leaves).map(|leaf| leaf.name.clone()).collect();
    tables.retain(|table| {
        matches!(table.kind, TableKind::Table | TableKind::Partitioned) && !leaves.contains(&table.name)
    });
    let candidates = Arc::new(Candidates::all());
    let mut scans = Vec::new();
    for table in &tables {
        scans.extend(scan_table(session, table, &role, &candidates, keys, pool, rows).await?);
    }
    Ok(Scanned { tables: scans, names, url_schema })
}

async fn scan_table(
    session: &mut Session,
    table: &Table,
    role: &str,
    candidates: &Arc<Candidates>,
    keys: &Keyring,
    pool: &Arc<Pool>,
    rows: u32,
) -> Result<Option<TableScan>, Error> {
    let mut scan = TableScan::of(table, role);
    if scan.unread.as_ref().is_some_and(|unread| unread.columns.is_empty()) {
        return Ok(Some(scan));
    }
    let columns: Vec<Column> =
        table.columns.iter().filter(|column| is_candidate(column) && column.can_select).cloned().collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let batches = sample(session, table, &selections(table, &names)?, rows, SEED).await?;
    let judgements = judge_columns(table, &columns, &batches, candidates, keys).await?;
    let mut hashes = Vec::new();
    for ((name, column), judgement) in names.iter().zip(&columns).zip(judgements) {
        match judgement {
            Judgement::Encrypted(found) => scan.found.push(found),
            Judgement::Shaped { format, values } => scan.shaped.push((name.clone(), format, values)),
            Judgement::Embedded { opens_old, opens_new } => {
                let array_type = (column.kind == ColumnKind::Array).then(|| column.type_name.clone());
                scan.pieces.push(Pieces { column: name.clone(), array_type, opens_old, opens_new });
            }
            Judgement::Hashes => hashes.push(name.clone()),
            Judgement::Other => {}
        }
    }
    for found in &mut scan.found {
        found.layers = layers(table, found, &names, &batches, keys, pool).await?;
    }
    let beside = Beside { table: &table.name.name, rows: &batches, columns: &names, found: &scan.found };
    for hash in hashes {
        match explain(&beside, &hash, keys, pool).await? {
            Some(settings) => scan.explained.push(settings),
            None => scan.unknown_hashes.push(hash),
        }
    }
    Ok(Some(scan))
}

/// What this role cannot look at, of the table or of its columns, with the statements that would let it.
fn unread(table: &Table, role: &str) -> Option<Unread> {
    let candidates: Vec<&Column> = table.columns.iter().filter(|column| is_candidate(column)).collect();
    if candidates.is_empty() {
        return None;
    }
    if table.row_security == RowSecurity::Active {
        return Some(Unread { columns: Vec::new(), code: RLS_ACTIVE, reason: hidden_rows(role) });
    }
    let privileges = &table.privileges;
    let visible = |name: &str| table.column(name).is_some_and(|column| column.can_select);
    let hidden: Vec<String> =
        candidates.iter().filter(|column| !column.can_select).map(|column| column.name.clone()).collect();
    let none = hidden.len() == candidates.len() || !table.row_key.iter().all(|column| visible(&column.name));
    let refused = !privileges.schema_usage || !privileges.select_system || (!privileges.select && none);
    if !refused && (privileges.select || hidden.is_empty()) {
        return None;
    }
    let columns = if refused { Vec::new() } else { hidden };
    let reason = missing_select(table, role, &columns);
    Some(Unread { columns, code: "privilege_missing", reason })
}

/// Whether a column can hold a ciphertext or a hash.
fn is_candidate(column: &Column) -> bool {
    column.kind != ColumnKind::Other
        && !column.generated
        && column.length_max.is_none_or(|max| max >= CIPHERTEXT_LEN_MIN)
}

/// Judges every column of the sample, beside the asynchronous code.
async fn judge_columns(
    table: &Table,
    columns: &[Column],
    batches: &[Arc<Batch>],
    candidates: &Arc<Candidates>,
    keys: &Keyring,
) -> Result<Vec<Judgement>, Error> {
    let (table, columns) = (table.name.name.clone(), columns.to_vec());
    let (batches, candidates, keys) = (batches.to_vec(), Arc::clone(candidates), keys.clone());
    blocking(move || {
        let judge_slot = |(slot, column): (usize, &Column)| {
            let rows = batches.iter().flat_map(|batch| (0..batch.len()).map(move |row| (batch, row)));
            let values = rows.filter_map(|(batch, row)| batch.field(row, slot)).filter(|value| !value.is_empty());
            let values: Vec<&[u8]> = values.collect();
            let binary = matches!(column.kind, ColumnKind::Bytes | ColumnKind::Array);
            let place = Place { table: &table, column: &column.name, binary };
            judge_column(&place, column.kind, &values, &candidates, &keys)
        };
        columns.iter().enumerate().map(judge_slot).collect()
    })
    .await
}

/// Whole values first; of an array, of a document, and of a column whose values are nothing as a whole, the pieces.
fn judge_column(
    place: &Place<'_>,
    kind: ColumnKind,
    values: &[&[u8]],
    candidates: &Candidates,
    keys: &Keyring,
) -> Judgement {
    if !matches!(kind, ColumnKind::Json | ColumnKind::Array) {
        let judgement = judge(place, values, candidates, keys);
        if judgement != Judgement::Other {
            return judgement;
        }
    }
    let apart = if kind == ColumnKind::Array { elements } else { pieces };
    let pieces: Vec<Vec<u8>> = values.iter().flat_map(|value| apart(value)).collect();
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    match judge(place, &pieces, candidates, keys) {
        Judgement::Encrypted(Found { opens_old, opens_new, .. }) => Judgement::Embedded { opens_old, opens_new },
        shaped @ Judgement::Shaped { .. } => shaped,
        _ => Judgement::Other,
    }
}

/// How many layers the column's values have: as many as a rehearsal needs to find none nested deeper.
async fn layers(
    table: &Table,
    found: &Found,
    names: &[String],
    batches: &[Arc<Batch>],
    keys: &Keyring,
    pool: &Arc<Pool>,
) -> Result<u8, Error> {
    let slot = names.iter().position(|name| *name == found.column);
    let old = keys.get(&found.pair).and_then(|pair| pair.old.as_ref());
    let (Some(slot), Some(old)) = (slot, old) else { return Ok(1) };
    let place = Place { table: &table.name.name, column: &found.column, binary: false };
    let pair = throw_away_pair(old)?;
    for layers in 1..LAYERS_MAX {
        let mut nested = 0;
        for batch in batches {
            let Some(cipher) = place.cipher(found.formats(), layers, &pair) else { return Ok(1) };
            let rows = Arc::new(Slots { rows: Arc::clone(batch), slots: vec![slot] });
            let seen = rehearse(pool, RowCipher::new(vec![cipher], Vec::new()), &rows).await?;
            nested += seen.iter().map(|slot| slot.nested).sum::<u64>();
        }
        if nested == 0 {
            return Ok(layers);
        }
    }
    Ok(LAYERS_MAX)
}

impl TableScan {
    fn of(table: &Table, role: &str) -> Self {
        Self {
            table: table.name.clone(),
            found: Vec::new(),
            shaped: Vec::new(),
            pieces: Vec::new(),
            explained: Vec::new(),
            unknown_hashes: Vec::new(),
            unread: unread(table, role),
        }
    }

    /// The pair under which most of its columns stand.
    pub(crate) fn pair(&self) -> &str {
        let columns_of = |pair: &str| self.found.iter().filter(|found| found.pair == pair).count();
        let most = self.found.iter().rev().max_by_key(|found| columns_of(&found.pair));
        most.map_or(crate::configuration::DEFAULT_PAIR, |found| &found.pair)
    }

    /// The table, or a part of it, was not looked at: what it holds nobody knows.
    pub(crate) fn unread(&self) -> Option<Finding> {
        let unread = self.unread.as_ref()?;
        let what = unread.named("was not examined", "were not examined");
        let message = format!("{what} for encrypted values: {}", unread.reason);
        Some(Finding::warn("not_examined", message).on(&self.table))
    }

    /// Row-level security is in force: rows are hidden without a word.
    pub(crate) fn hides_rows(&self) -> bool {
        self.unread.as_ref().is_some_and(|unread| unread.code == RLS_ACTIVE)
    }

    /// The same as a failure: what was not looked at may well be encrypted, the more so where nothing was found in what could be looked at.
    pub(crate) fn refused(&self, nothing: bool) -> Option<Finding> {
        let unread = self.unread.as_ref()?;
        let what = unread.named("could not be looked at", "could not be looked at");
        let rest = if nothing { ", and nothing encrypted was found in what this role can read" } else { "" };
        Some(Finding::fail(unread.code, format!("{what}{rest}: {}", unread.reason)).on(&self.table))
    }

    /// Columns of a format's shape that no given key opens.
    pub(crate) fn unopened(&self) -> Vec<Finding> {
        let finding = |(column, format, values): &(String, String, u64)| {
            let message = format!(
                "{} the shape of {}, but no given key opens what has it: another key, or not this format. It is neither rotated nor verified",
                counted(*values, "sampled value has", "sampled values have"),
                shown(format)
            );
            Finding::warn("unopened_ciphertext", message).on(&self.table).at(column)
        };
        self.shaped.iter().map(finding).collect()
    }

    /// Columns that hold ciphertext as a part of something longer: a failure where they `are_all` that was found.
    pub(crate) fn embedded(&self, are_all: bool) -> Vec<Finding> {
        let severity = if are_all { Severity::Fail } else { Severity::Warn };
        let finding = |pieces: &Pieces| {
            let (code, or) = match pieces.opens_old {
                0 => ("unlisted_new_ciphertext", "the next rotation leaves it behind"),
                _ => ("unlisted_ciphertext", "what stands under the old key there keeps it needed"),
            };
            let under = under(pieces.opens_old, pieces.opens_new);
            let message = match &pieces.array_type {
                Some(array_type) => format!(
                    "elements of this column's arrays are ciphertext: of the sampled ones {under} open; columns of type {} cannot be rotated \
                     yet, and {or}. Let the application rotate it, or keep it in columns of its own",
                    shown(array_type).trim_matches('`')
                ),
                None => format!(
                    "ciphertext stands inside longer texts or documents of this column: of its sampled pieces {under} open; this version \
                     rotates whole values alone, and {or}. Let the application rotate it, or keep it in columns of its own"
                ),
            };
            Finding::new(severity, code, message).on(&self.table).at(&pieces.column)
        };
        self.pieces.iter().map(finding).collect()
    }

    /// Hashes beside encrypted columns that nobody can explain: where they are keyed, a run would leave them behind.
    pub(crate) fn unexplained(&self) -> Vec<Finding> {
        let message = "the column holds hashes beside encrypted columns, and no known blind index explains them. If they depend on the key, a \
                       run would break every search by them: write a configuration with `reencrypt init --write reencrypt.toml`, and declare \
                       the column as [[table.blind_index]] if it is one";
        let finding = |column: &String| Finding::fail("unexplained_hash", message).on(&self.table).at(column);
        self.unknown_hashes.iter().map(finding).collect()
    }

    /// Columns under another pair than the table's: a table has one pair in a configuration.
    pub(crate) fn of_another_pair(&self) -> Vec<Finding> {
        let pair = self.pair();
        let others = self.found.iter().filter(|found| found.pair != pair);
        let finding = |found: &Found| {
            let message = format!(
                "the column stands under pair {}, the rest of the table under {}: it is left out",
                shown(&found.pair),
                shown(pair)
            );
            Finding::warn("unlisted_ciphertext", message).on(&self.table).at(&found.column)
        };
        others.map(finding).collect()
    }
}

impl Unread {
    /// The table or its columns, as a sentence begins.
    fn named(&self, was: &str, were: &str) -> String {
        let names = self.columns.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        match self.columns.as_slice() {
            [] => format!("the table {was}"),
            [_] => format!("the column {names} {was}"),
            _ => format!("the columns {names} {were}"),
        }
    }
}

/// `3 under the old key and 1 under the new`.
pub(crate) fn under(opens_old: u64, opens_new: u64) -> String {
    match (opens_old, opens_new) {
        (0, new) => format!("{new} under the new key"),
        (old, 0) => format!("{old} under the old key"),
        (old, new) => format!("{old} under the old key and {new} under the new"),
    }
}
