//! What the system catalog says of one table. All of it is readable by a role that may only SELECT.

mod sql;

use super::{
    Connection,
    data::number,
    rows::value,
    wire::{INT8, Parameters},
};
use crate::{
    Collation, Column, ColumnKind, Index, Leaf, Privileges, Result, RowKeyColumn, RowSecurity, Table, TableKind,
    TableName, Trigger, identifier::quoted,
};
use sqlx::postgres::PgRow;

const DOING: &str = "reading the catalog";

/// Rows of a page where neither statistics nor a look at some pages can say it.
const ROWS_PER_PAGE_GUESS: u64 = 8;

/// Pages of a table without statistics that are looked at to estimate its rows.
const LOOKED_AT_PAGES: f64 = 64.0;

impl Connection {
    /// All of it; the size of a table that somebody has to himself cannot be asked for.
    pub(crate) async fn table(&mut self, name: &TableName) -> Result<Option<Table>> {
        self.described(name).await.map_err(|error| error.about(name))
    }

    async fn described(&mut self, name: &TableName) -> Result<Option<Table>> {
        let with = Parameters::default().text(&name.schema).text(&name.name);
        let found = self.query(DOING, sql::RELATION, with).await?;
        let Some((oid, kind)) = found.first().and_then(relation) else { return Ok(None) };
        let leaves = self.about(sql::LEAVES, oid).await?;
        let columns: Vec<Column> = self.about(sql::COLUMNS, oid).await?.iter().map(column).collect();
        let indexes = self.about(sql::INDEXES, oid).await?;
        let triggers = self.about(sql::TRIGGERS, oid).await?;
        let rules = self.about(sql::RULES, oid).await?;
        let publications = self.about(sql::PUBLICATIONS, oid).await?;
        let checks = self.about(sql::CHECKS, oid).await?;
        let keys = self.about(sql::ROW_KEYS, oid).await?;
        let row_keys: Vec<Vec<RowKeyColumn>> =
            grouped(&keys, |row| number(row, 3), |_| Vec::new(), |key, row| key.push(row_key_column(row)));
        let collations = sql::collations(self.version());
        let collations = self.about(&collations, oid).await?;

        let row_security = row_security(&leaves);
        let every = |column: usize| !leaves.is_empty() && leaves.iter().all(|leaf| is(leaf, column));
        let may_count =
            row_security != RowSecurity::Active && every(15) && columns.iter().any(|column| column.can_select);
        let mut table = Table {
            name: name.clone(),
            kind: if leaves.iter().any(|leaf| text(leaf, 2) == "f") { TableKind::Foreign } else { kind },
            columns,
            row_key: row_keys.first().cloned().unwrap_or_default(),
            row_keys,
            leaves: Vec::with_capacity(leaves.len()),
            indexes: grouped(
                &indexes,
                |row| number(row, 0),
                index,
                |index: &mut Index, row| index.columns.extend(some_text(row, 7)),
            ),
            triggers: triggers.iter().map(trigger).collect(),
            rules: rules.iter().map(|row| text(row, 0)).collect(),
            row_security,
            privileges: Privileges {
                schema_usage: every(15),
                select: every(8),
                select_system: every(9),
                update: every(10),
            },
            publications: publications.iter().map(|row| text(row, 0)).collect(),
            update_refused_by_publication: leaves.iter().any(|leaf| is(leaf, 12)),
            collation_mismatches: collations.iter().map(collation).collect(),
            fillfactor: leaves.iter().filter_map(|leaf| u32::try_from(number(leaf, 11)?).ok()).min().unwrap_or(100),
            checks: grouped(
                &checks,
                |row| number(row, 0),
                |row| (text(row, 1), Vec::new()),
                |check: &mut (String, Vec<String>), row| check.1.extend(some_text(row, 2)),
            ),
        };
        for leaf in &leaves {
            let name = TableName { schema: text(leaf, 0), name: text(leaf, 1) };
            let rows_estimate = self.rows_estimate(&name, leaf, may_count).await?;
            let bytes = |column| number(leaf, column).unwrap_or_default().unsigned_abs();
            table.leaves.push(Leaf { name, rows_estimate, heap_bytes: bytes(6), index_bytes: bytes(7) });
        }
        Ok(Some(table))
    }

    /// A query over the relation with this oid.
    async fn about(&mut self, sql: &str, oid: i64) -> Result<Vec<PgRow>> {
        self.query(DOING, sql, Parameters::default().raw(INT8, Some(&oid.to_be_bytes()))).await
    }

    /// Live rows by the statistics, or where there are none by a look at some pages. Pages are no measure of rows: after a rotation half of
    /// them hold dead ones.
    async fn rows_estimate(&mut self, name: &TableName, leaf: &PgRow, may_count: bool) -> Result<u64> {
        let figure = |column| number(leaf, column).unwrap_or_default();
        let pages = figure(5).unsigned_abs();
        if pages == 0 {
            return Ok(0);
        }
        let analyzed = (figure(3) >= 0 && figure(4) > 0).then(|| (figure(3).unsigned_abs(), figure(4).unsigned_abs()));
        let counter = is(leaf, 17).then(|| figure(16).unsigned_abs());
        if let Some(rows) = live_rows(analyzed, counter, pages) {
            return Ok(rows);
        }
        if !may_count || text(leaf, 2) != "r" {
            return Ok(pages * ROWS_PER_PAGE_GUESS);
        }
        let share = (LOOKED_AT_PAGES / pages as f64).min(1.0);
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM ONLY {}.{} TABLESAMPLE pg_catalog.system ({:.6}) REPEATABLE (0)",
            quoted(&name.schema),
            quoted(&name.name),
            share * 100.0
        );
        let rows = self.query(DOING, &sql, Parameters::default()).await?;
        let counted = rows.first().and_then(|row| number(row, 0)).unwrap_or_default();
        Ok((counted as f64 / share).round() as u64)
    }
}

/// The rows of the last ANALYZE or VACUUM, and where rows changed since the counter of live rows that it set: without one the counter has seen
/// only what changed since the statistics were last reset (by a crash, in a restored copy, on a standby). It may count rows twice that were
/// loaded right before the ANALYZE, hence not more than the pages hold at their last known density.
fn live_rows(analyzed: Option<(u64, u64)>, counter: Option<u64>, pages: u64) -> Option<u64> {
    let Some((rows, of_pages)) = analyzed else { return counter };
    let held = (rows as f64 / of_pages.max(1) as f64 * pages as f64).round() as u64;
    Some(counter.map_or(rows, |counter| counter.min(held)))
}

fn relation(row: &PgRow) -> Option<(i64, TableKind)> {
    let kind = match text(row, 1).as_str() {
        "r" => TableKind::Table,
        "p" => TableKind::Partitioned,
        "v" => TableKind::View,
        "m" => TableKind::MaterializedView,
        "f" => TableKind::Foreign,
        _ => return None,
    };
    Some((number(row, 0)?, kind))
}

fn column(row: &PgRow) -> Column {
    let kind = match text(row, 2).as_str() {
        "text" => ColumnKind::Text,
        "bytes" => ColumnKind::Bytes,
        "json" => ColumnKind::Json,
        "array" => ColumnKind::Array,
        _ => ColumnKind::Other,
    };
    Column {
        name: text(row, 0),
        type_name: text(row, 1),
        kind,
        not_null: is(row, 3),
        length_max: number(row, 4).and_then(|length| u32::try_from(length).ok()),
        generated: is(row, 5),
        can_select: is(row, 6),
        can_update: is(row, 7),
    }
}

fn row_key_column(row: &PgRow) -> RowKeyColumn {
    RowKeyColumn { name: text(row, 0), type_name: text(row, 1), operator_schema: text(row, 2) }
}

fn index(row: &PgRow) -> Index {
    Index {
        name: text(row, 1),
        columns: Vec::new(),
        unique: is(row, 2),
        primary: is(row, 3),
        valid: is(row, 4),
        immediate: is(row, 5),
        partial: is(row, 6),
    }
}

fn trigger(row: &PgRow) -> Trigger {
    Trigger { name: text(row, 0), enabled: text(row, 1).chars().next().unwrap_or('O'), before: is(row, 2) }
}

fn collation(row: &PgRow) -> Collation {
    Collation { column: text(row, 0), name: text(row, 1), recorded: text(row, 2), actual: text(row, 3) }
}

/// Leaves are read by their own names, so their own policies count and not those of the table above them.
fn row_security(leaves: &[PgRow]) -> RowSecurity {
    if leaves.iter().any(|leaf| is(leaf, 14)) {
        RowSecurity::Active
    } else if leaves.iter().any(|leaf| is(leaf, 13)) {
        RowSecurity::Bypassed
    } else {
        RowSecurity::Off
    }
}

/// One item for consecutive rows of the same object, to which each row adds.
fn grouped<T>(
    rows: &[PgRow],
    object: impl Fn(&PgRow) -> Option<i64>,
    new: impl Fn(&PgRow) -> T,
    add: impl Fn(&mut T, &PgRow),
) -> Vec<T> {
    let mut items: Vec<T> = Vec::new();
    let mut current = None;
    for row in rows {
        let object = object(row);
        if current != Some(object) {
            items.push(new(row));
            current = Some(object);
        }
        if let Some(item) = items.last_mut() {
            add(item, row);
        }
    }
    items
}

fn text(row: &PgRow, column: usize) -> String {
    some_text(row, column).unwrap_or_default()
}

fn some_text(row: &PgRow, column: usize) -> Option<String> {
    value(row, column).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn is(row: &PgRow, column: usize) -> bool {
    value(row, column) == Some(&[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_rows_and_rows_counted_twice_are_no_rows() {
        let analyzed = Some((1000, 100));
        assert_eq!(live_rows(analyzed, Some(1000), 200), Some(1000), "a rotation doubled the pages");
        assert_eq!(live_rows(analyzed, Some(400), 100), Some(400), "rows were deleted since");
        assert_eq!(live_rows(analyzed, Some(1900), 200), Some(1900), "rows were added since");
        assert_eq!(live_rows(analyzed, Some(2000), 100), Some(1000), "they were counted twice");
        assert_eq!(live_rows(analyzed, None, 200), Some(1000), "a standby counts nothing");
        assert_eq!((live_rows(None, Some(7), 1), live_rows(None, None, 1)), (Some(7), None));
    }
}
