//! One look at every table: a sample of its text and bytes columns, and what each of them holds.
use super::{
    embedded::pieces,
    formats::{Candidates, Found, Judgement, LAYERS_MAX, Place, judge},
    hashes::{Beside, explain},
};
use crate::{
    BlindIndexSettings, Error, Finding, Keyring,
    bind::selections,
    nearest::shown,
    survey::{Batch, Slots, blocking, rehearse, sample, throw_away_pair},
};
use reencrypt_crypto::{Pool, RowCipher};
use reencrypt_db::{Column, ColumnKind, Mode, RowSecurity, Session, Table, TableKind, TableName};
use std::{collections::BTreeSet, sync::Arc};

/// Of the sample.
const SEED: u32 = 1;
/// No ciphertext is shorter: a nonce of 12 bytes and a tag of 16.
const CIPHERTEXT_LEN_MIN: u32 = 28;

/// What a sample of one table holds.
pub(crate) struct TableScan {
    /// which table
    pub(crate) table: TableName,
    /// columns whose values open
    pub(crate) found: Vec<Found>,
    /// columns of a format's shape that no key opens: format and number of values
    pub(crate) shaped: Vec<(String, String, u64)>,
    /// columns in whose longer texts or documents pieces open: so many under the old key, so many under the new
    pub(crate) pieces: Vec<(String, u64, u64)>,
    /// hash columns that a preset explains
    pub(crate) explained: Vec<BlindIndexSettings>,
    /// hash columns that none explains
    pub(crate) unknown_hashes: Vec<String>,
    /// why it was not read
    pub(crate) unread: Option<&'static str>,
}

/// Samples every visible table that holds rows of its own, and returns their names too. Partitions are looked at as
/// their parent.
pub(crate) async fn scan(
    session: &mut Session,
    keys: &Keyring,
    pool: &Arc<Pool>,
    rows: u32,
) -> Result<(Vec<TableScan>, Vec<TableName>), Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let names = tx.tables().await?;
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
        scans.extend(scan_table(session, table, &candidates, keys, pool, rows).await?);
    }
    Ok((scans, names))
}

async fn scan_table(
    session: &mut Session,
    table: &Table,
    candidates: &Arc<Candidates>,
    keys: &Keyring,
    pool: &Arc<Pool>,
    rows: u32,
) -> Result<Option<TableScan>, Error> {
    let mut scan = TableScan::of(table);
    if scan.unread.is_some() {
        return Ok(Some(scan));
    }
    let columns: Vec<Column> = table.columns.iter().filter(|column| is_candidate(column)).cloned().collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let batches = sample(session, table, &selections(table, &names)?, rows, SEED).await?;
    let judgements = judge_columns(table, &columns, &batches, candidates, keys).await?;
    let mut hashes = Vec::new();
    for (name, judgement) in names.iter().zip(judgements) {
        match judgement {
            Judgement::Encrypted(found) => scan.found.push(found),
            Judgement::Shaped { format, values } => scan.shaped.push((name.clone(), format, values)),
            Judgement::Embedded { opens_old, opens_new } => scan.pieces.push((name.clone(), opens_old, opens_new)),
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

/// Why this role cannot look at the table.
fn unreadable(table: &Table) -> Option<&'static str> {
    if table.row_security == RowSecurity::Active {
        return Some("row-level security may hide rows from this role");
    }
    let visible = |name: &str| table.column(name).is_some_and(|column| column.can_select);
    let row_key = table.row_key.iter().all(|column| visible(&column.name));
    let any = table.columns.iter().any(is_candidate);
    let refused = !table.privileges.select_system || !(table.privileges.select || (row_key && any));
    let holds_text = table.columns.iter().any(|column| column.kind != ColumnKind::Other);
    (refused && holds_text).then_some("this role may not SELECT from it")
}

/// Whether a column can hold a ciphertext or a hash that this role can see.
fn is_candidate(column: &Column) -> bool {
    column.kind != ColumnKind::Other
        && column.can_select
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
            let place = Place { table: &table, column: &column.name, binary: column.kind == ColumnKind::Bytes };
            judge_column(&place, column.kind, &values, &candidates, &keys)
        };
        columns.iter().enumerate().map(judge_slot).collect()
    })
    .await
}

/// Whole values first; of a document, and of a column whose values are nothing as a whole, the pieces.
fn judge_column(
    place: &Place<'_>,
    kind: ColumnKind,
    values: &[&[u8]],
    candidates: &Candidates,
    keys: &Keyring,
) -> Judgement {
    if kind != ColumnKind::Json {
        let judgement = judge(place, values, candidates, keys);
        if place.binary || judgement != Judgement::Other {
            return judgement;
        }
    }
    let pieces: Vec<Vec<u8>> = values.iter().flat_map(|value| pieces(value)).collect();
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    match judge(place, &pieces, candidates, keys) {
        Judgement::Encrypted(Found { opens_old, opens_new, .. }) => Judgement::Embedded { opens_old, opens_new },
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
    fn of(table: &Table) -> Self {
        Self {
            table: table.name.clone(),
            found: Vec::new(),
            shaped: Vec::new(),
            pieces: Vec::new(),
            explained: Vec::new(),
            unknown_hashes: Vec::new(),
            unread: unreadable(table),
        }
    }

    /// The pair under which most of its columns stand.
    pub(crate) fn pair(&self) -> &str {
        let columns_of = |pair: &str| self.found.iter().filter(|found| found.pair == pair).count();
        let most = self.found.iter().rev().max_by_key(|found| columns_of(&found.pair));
        most.map_or(crate::configuration::DEFAULT_PAIR, |found| &found.pair)
    }

    /// The table was not looked at.
    pub(crate) fn unread(&self) -> Option<Finding> {
        let message = |reason| format!("the table was not examined for encrypted columns: {reason}");
        self.unread.map(|reason| Finding::warn("not_examined", message(reason)).on(&self.table))
    }

    /// Columns of a format's shape that no given key opens.
    pub(crate) fn unopened(&self) -> Vec<Finding> {
        let finding = |(column, format, values): &(String, String, u64)| {
            let message = format!(
                "{values} sampled values have the shape of {} and open under no given key: another key, or not this format; they are \
                 neither rotated nor verified",
                shown(format)
            );
            Finding::warn("unopened_ciphertext", message).on(&self.table).at(column)
        };
        self.shaped.iter().map(finding).collect()
    }

    /// Columns that hold ciphertext as a part of something longer.
    pub(crate) fn embedded(&self) -> Vec<Finding> {
        let finding = |(column, opens_old, opens_new): &(String, u64, u64)| {
            let message = format!(
                "ciphertext stands inside longer texts or documents of this column: of its sampled pieces {} open; this version rotates whole \
                 values alone, and what stands under the old key there keeps it needed",
                under(*opens_old, *opens_new)
            );
            Finding::warn("unlisted_ciphertext", message).on(&self.table).at(column)
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

/// `3 under the old key and 1 under the new`.
pub(crate) fn under(opens_old: u64, opens_new: u64) -> String {
    match (opens_old, opens_new) {
        (0, new) => format!("{new} under the new key"),
        (old, 0) => format!("{old} under the old key"),
        (old, new) => format!("{old} under the old key and {new} under the new"),
    }
}
