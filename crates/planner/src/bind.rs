//! A plan joined with the live catalog and the keys: what the engine works with.
use crate::{
    Error, Order, Plan, TablePlan,
    nearest::shown,
    order::order,
    schema::{schema_hash, with_row_key},
};
use reencrypt_crypto::{BlindIndex, ColumnCipher, ColumnSpec, Fingerprint, KeyPair, RowCipher, SecretKey};
use reencrypt_db::{Selection, Table, TableKind, Transaction};
use std::{collections::BTreeMap, sync::Arc};

/// Key pairs by name.
pub type Keyring = BTreeMap<String, Arc<KeyPair>>;

/// One table, ready to be walked.
pub struct BoundTable {
    /// from the plan
    pub plan: TablePlan,
    /// position in the plan
    pub index: usize,
    /// from the catalog now, its row key the plan's
    pub table: Table,
    /// one per leaf, slots = columns then blind indexes
    pub leaves: Vec<Selection>,
    /// over the same slots
    pub cipher: Arc<RowCipher>,
    /// as the catalog is now: an index may have come or gone since the plan
    pub order: Order,
}

/// Joins. Refuses (`schema_changed`) where a table's schema hash is not the plan's, and (`key_changed`) where a key's
/// fingerprint is not the plan's.
pub async fn bind(tx: &mut Transaction<'_>, plan: &Plan, keys: &Keyring) -> Result<Vec<BoundTable>, Error> {
    check_keys(plan, keys)?;
    let mut bound = Vec::with_capacity(plan.tables.len());
    for (index, table_plan) in plan.tables.iter().enumerate() {
        let table = catalog_table(tx, table_plan).await?;
        let leaves = selections(&table, &table_plan.slots())?;
        let pair = keys.get(&table_plan.key).ok_or_else(|| Error::KeyMissing { pair: table_plan.key.clone() })?;
        let cipher = Arc::new(row_cipher(plan, table_plan, pair, &other_old_keys(keys, &table_plan.key))?);
        let order = order(tx.dialect(), &table, &table_plan.slots(), is_authenticated(plan, table_plan)?).0;
        bound.push(BoundTable { plan: table_plan.clone(), index, table, leaves, cipher, order });
    }
    Ok(bound)
}

/// Refuses (`schema_changed`) where the table's schema hash is not the plan's. Cheap: before each chunk.
pub async fn check_schema(tx: &mut Transaction<'_>, plan: &TablePlan) -> Result<(), Error> {
    catalog_table(tx, plan).await.map(drop)
}

/// The keys that are given must be those of the plan; a key that the plan was made without, or that is not given now,
/// says nothing.
fn check_keys(plan: &Plan, keys: &Keyring) -> Result<(), Error> {
    for (name, expected) in &plan.keys {
        let Some(pair) = keys.get(name) else { return Err(Error::KeyMissing { pair: name.clone() }) };
        check_key(name, "old", expected.old, pair.old.as_ref())?;
        check_key(name, "new", expected.new, pair.new.as_ref())?;
    }
    Ok(())
}

fn check_key(
    pair: &str,
    side: &'static str,
    expected: Option<Fingerprint>,
    key: Option<&SecretKey>,
) -> Result<(), Error> {
    let (Some(expected), Some(key)) = (expected, key) else { return Ok(()) };
    let found = key.fingerprint();
    if found == expected {
        return Ok(());
    }
    Err(Error::KeyChanged { pair: pair.to_owned(), side, expected, found })
}

/// The table as it is now, walked by the plan's row key; refused where it is not what the plan saw.
async fn catalog_table(tx: &mut Transaction<'_>, plan: &TablePlan) -> Result<Table, Error> {
    let changed = |difference: &str| Error::SchemaChanged { table: plan.name.clone(), difference: difference.into() };
    let table = tx.table(&plan.name).await?.ok_or_else(|| changed("it is gone"))?;
    if !matches!(table.kind, TableKind::Table | TableKind::Partitioned) {
        return Err(changed("it is no table any more"));
    }
    let table = match plan.row_key.as_slice() {
        [] => Table { row_key: Vec::new(), ..table },
        names => with_row_key(table, names).map_err(|_| changed("its row key is no unique key any more"))?,
    };
    if schema_hash(&table, &plan.slots()) != plan.schema_hash {
        return Err(changed("its columns, their types, its row key or the unique indexes on its values are others"));
    }
    Ok(table)
}

/// Whether every format that the table's columns are read or written in has a tag.
fn is_authenticated(plan: &Plan, table: &TablePlan) -> Result<bool, Error> {
    let mut names = table.columns.iter().flat_map(|column| column.read.iter().chain([&column.write]));
    names.try_fold(true, |all, name| Ok(all && plan.format(name)?.is_authenticated()))
}

/// One selection a leaf over `slots`.
pub(crate) fn selections(table: &Table, slots: &[String]) -> Result<Vec<Selection>, Error> {
    (0..table.leaves.len()).map(|leaf| Ok(Selection::new(table, leaf, slots)?)).collect()
}

/// The old keys that were given for other pairs than this one, and are none of its own.
pub(crate) fn other_old_keys<'k>(keys: &'k Keyring, pair: &str) -> Vec<&'k SecretKey> {
    let own = keys.get(pair).into_iter().flat_map(|pair| [&pair.old, &pair.new]).flatten();
    let own: Vec<Fingerprint> = own.map(SecretKey::fingerprint).collect();
    let others = keys.iter().filter(|(name, _)| *name != pair).filter_map(|(_, other)| other.old.as_ref());
    others.filter(|key| !own.contains(&key.fingerprint())).collect()
}

/// The ciphers of a table's slots under `pair`, which know `others` from [`other_old_keys`].
pub(crate) fn row_cipher(
    plan: &Plan,
    table: &TablePlan,
    pair: &Arc<KeyPair>,
    others: &[&SecretKey],
) -> Result<RowCipher, Error> {
    cipher_of(plan, table, pair, others, |column| column)
}

/// The same for the wrong-key gate: see [`ColumnCipher::trusting_shapes`].
pub(crate) fn gate_cipher(
    plan: &Plan,
    table: &TablePlan,
    pair: &Arc<KeyPair>,
    others: &[&SecretKey],
) -> Result<RowCipher, Error> {
    cipher_of(plan, table, pair, others, ColumnCipher::trusting_shapes)
}

fn cipher_of(
    plan: &Plan,
    table: &TablePlan,
    pair: &Arc<KeyPair>,
    others: &[&SecretKey],
    made: fn(ColumnCipher) -> ColumnCipher,
) -> Result<RowCipher, Error> {
    let mut columns = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let spec = ColumnSpec {
            read: column.read.iter().map(|name| plan.format(name)).collect::<Result<_, _>>()?,
            write: plan.format(&column.write)?,
            plaintext: column.plaintext,
            nesting_max: column.nesting_max,
            table: table.table_alias.clone().unwrap_or_else(|| table.name.name.clone()),
            column: column.column_alias.clone().unwrap_or_else(|| column.column.clone()),
        };
        let cipher = ColumnCipher::new(spec, pair).map_err(|source| refused(table, &column.column, source))?;
        columns.push(made(cipher.knowing(others)));
    }
    let mut hashes = Vec::with_capacity(table.blind_indexes.len());
    for index in &table.blind_indexes {
        let Some(field) = table.columns.iter().position(|column| column.column == index.of) else {
            let problem = format!("blind index {} hashes a column that is not in the plan", shown(&index.column));
            return Err(Error::PlanUnreadable { problem });
        };
        let hash = BlindIndex::new(index.spec.clone(), field, pair);
        hashes.push(hash.map_err(|source| refused(table, &index.column, source))?.knowing(others));
    }
    Ok(RowCipher::new(columns, hashes))
}

fn refused(table: &TablePlan, column: &str, source: reencrypt_crypto::LayoutError) -> Error {
    Error::Format { place: format!("table {}, column {}", table.name, shown(column)), source }
}
