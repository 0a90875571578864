//! What SQLite's catalog says of the file and its tables.
use super::{Connection, connection::Arguments, ddl, rows, statement::Tree};
use crate::{
    Column, ColumnKind, Index, Leaf, Privileges, Result, RowKeyColumn, RowSecurity, Server, StoreGrants, Table,
    TableKind, TableName, Trigger, identifier::quoted,
};
use sqlx::sqlite::SqliteRow;

/// What a selection depends on.
pub(super) struct Shape {
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<Vec<RowKeyColumn>>,
    pub(super) tree: Tree,
    /// The texts that made the table and its triggers.
    pub(super) definition: String,
}

/// A table as it is found in the list of tables.
struct Found {
    name: TableName,
    kind: TableKind,
    without_rowid: bool,
}

/// A column with what only the row key asks.
struct Described {
    column: Column,
    /// 1 for the first column of the primary key, 0 for none.
    primary: i64,
}

/// An index with what only the row key asks.
struct Keyed {
    index: Index,
    origin_primary: bool,
    /// The columns of the key with their collations; `None` if one of them is an expression or the rowid.
    key: Option<Vec<(String, String)>>,
}

const DOING: &str = "reading the catalog";

impl Connection {
    pub(crate) async fn server(&mut self) -> Result<Server> {
        let version = self.text("SELECT sqlite_version()").await?;
        let store =
            format!("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '{}'", super::store::TABLE);
        let store_exists = self.integer(DOING, &store, Arguments::default()).await? == Some(1);
        Ok(Server {
            version,
            read_only: self.read_only,
            standby: false,
            role: String::new(),
            bypasses_row_security: false,
            free_connections: u32::MAX,
            store_exists,
            store_grants: StoreGrants::default(),
            standbys: 0,
            oldest_snapshot_s: None,
            oldest_transaction_s: None,
            sees_transactions: true,
            tls: None,
            idle_slots: 0,
            deadlock_timeout_ms: None,
        })
    }

    pub(crate) async fn tables(&mut self) -> Result<Vec<TableName>> {
        let rows = self.all(DOING, TABLES, Arguments::default()).await?;
        rows.iter().map(|row| Ok(main(&text(row, 0)?))).collect()
    }

    pub(crate) async fn table(&mut self, name: &TableName) -> Result<Option<Table>> {
        let Some(found) = self.find(name).await? else { return Ok(None) };
        let columns = self.columns(&found).await?;
        let indexes = self.indexes(&found, &columns).await?;
        let row_keys = self.row_keys(&found, &columns, &indexes).await?;
        let definitions = self.definitions(&found).await?;
        let names: Vec<_> = columns.iter().map(|described| described.column.name.as_str()).collect();
        let (mut triggers, mut checks) = (Vec::new(), Vec::new());
        for (kind, name, sql) in &definitions {
            match kind.as_str() {
                "trigger" => triggers.extend(trigger(name, sql)),
                _ => checks = ddl::checks(sql, &names),
            }
        }
        let leaf = match found.kind {
            TableKind::Table => self.size(&found, &columns, &indexes).await?,
            _ => Leaf { name: found.name.clone(), rows_estimate: 0, heap_bytes: 0, index_bytes: 0 },
        };
        Ok(Some(Table {
            kind: found.kind,
            leaves: vec![leaf],
            columns: columns.into_iter().map(|described| described.column).collect(),
            row_key: row_keys.first().cloned().unwrap_or_default(),
            row_keys,
            indexes: indexes.into_iter().map(|keyed| keyed.index).collect(),
            triggers,
            rules: Vec::new(),
            row_security: RowSecurity::Off,
            privileges: Privileges { schema_usage: true, select: true, select_system: true, update: !self.read_only },
            publications: Vec::new(),
            update_refused_by_publication: false,
            collation_mismatches: Vec::new(),
            fillfactor: 100,
            checks,
            name: found.name,
        }))
    }

    /// The part of a table that a selection depends on; `None` if there is no such table any more.
    pub(super) async fn shape(&mut self, name: &TableName) -> Result<Option<Shape>> {
        let Some(found) = self.find(name).await? else { return Ok(None) };
        let columns = self.columns(&found).await?;
        let indexes = self.indexes(&found, &columns).await?;
        let keys = self.row_keys(&found, &columns, &indexes).await?;
        let tree = match tree(&found, &columns, &indexes) {
            Tree::PrimaryKey { key, .. } if !self.same_collations(&found, &key).await? => Tree::Hidden,
            tree => tree,
        };
        let definition: Vec<_> = self.definitions(&found).await?.into_iter().map(|(_, _, sql)| sql).collect();
        let columns = columns.into_iter().map(|described| described.column).collect();
        Ok(Some(Shape { columns, keys, tree, definition: definition.join(";\n") }))
    }

    async fn find(&mut self, name: &TableName) -> Result<Option<Found>> {
        if name.schema != MAIN {
            return Ok(None);
        }
        let rows = self.all(DOING, FIND, texts([&name.name])).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let kind = match text(row, 1)?.as_str() {
            "table" => TableKind::Table,
            "view" => TableKind::View,
            _ => TableKind::Foreign,
        };
        Ok(Some(Found { name: main(&text(row, 0)?), kind, without_rowid: integer(row, 2)? == 1 }))
    }

    async fn columns(&mut self, found: &Found) -> Result<Vec<Described>> {
        let rows = self.all(DOING, COLUMNS, texts([&found.name.name])).await?;
        let described = |row: &SqliteRow| {
            let (type_name, primary, generated) = (text(row, 1)?, integer(row, 3)?, integer(row, 4)? != 0);
            let column = Column {
                name: text(row, 0)?,
                kind: kind(&type_name),
                not_null: integer(row, 2)? == 1 || (found.without_rowid && primary > 0),
                length_max: None,
                generated,
                can_select: true,
                can_update: !generated && !self.read_only,
                type_name,
            };
            Ok(Described { column, primary })
        };
        rows.iter().map(described).collect()
    }

    async fn indexes(&mut self, found: &Found, columns: &[Described]) -> Result<Vec<Keyed>> {
        let rows = self.all(DOING, INDEXES, texts([&found.name.name])).await?;
        let names: Vec<_> = columns.iter().map(|described| described.column.name.as_str()).collect();
        let mut indexes = Vec::new();
        for row in &rows {
            let (name, sql) = (text(row, 0)?, text(row, 4)?);
            let (unique, primary, partial) = (integer(row, 1)? == 1, text(row, 2)? == "pk", integer(row, 3)? == 1);
            let parts = self.all(DOING, INDEX_PARTS, texts([&name])).await?;
            let key = parts.iter().map(index_part).collect::<Result<Vec<_>>>()?.into_iter().collect::<Option<Vec<_>>>();
            let depends_on = match &key {
                Some(key) if !partial => key.iter().map(|(column, _)| column.clone()).collect(),
                _ => ddl::named(&sql, &names),
            };
            let index = Index { name, columns: depends_on, unique, primary, valid: true, immediate: true, partial };
            indexes.push(Keyed { index, origin_primary: primary, key });
        }
        Ok(indexes)
    }

    /// An INTEGER PRIMARY KEY, then the keys (the primary one before others) of NOT NULL columns that no statement of ours can change by itself.
    async fn row_keys(
        &mut self,
        found: &Found,
        columns: &[Described],
        indexes: &[Keyed],
    ) -> Result<Vec<Vec<RowKeyColumn>>> {
        let mut keys = Vec::new();
        if found.kind != TableKind::Table {
            return Ok(keys);
        }
        if let Some(alias) = rowid_alias(found, columns, indexes) {
            keys.push(vec![key_column(alias)]);
        }
        let candidates = indexes.iter().filter(|keyed| keyed.index.unique && !keyed.index.partial);
        let (primary, others): (Vec<_>, Vec<_>) = candidates.partition(|keyed| keyed.origin_primary);
        for key in primary.into_iter().chain(others).filter_map(|keyed| keyed.key.as_ref()) {
            let described: Option<Vec<_>> = key.iter().map(|(name, _)| sound(columns, name)).collect();
            if let Some(described) = described
                && self.same_collations(found, key).await?
            {
                keys.push(described.into_iter().map(key_column).collect());
            }
        }
        Ok(keys)
    }

    /// Whether an index compares each column as the column itself is compared: else what is unique in the index is not in the statements.
    async fn same_collations(&mut self, found: &Found, key: &[(String, String)]) -> Result<bool> {
        for (column, collation) in key {
            let rows = self.all(DOING, &collation_probe(&found.name, column), Arguments::default()).await?;
            let Some(row) = rows.first() else { return Ok(false) };
            let own = match (integer(row, 0)?, integer(row, 1)?) {
                (1, 0) => "NOCASE",
                (0, 1) => "RTRIM",
                _ => "BINARY",
            };
            if !collation.eq_ignore_ascii_case(own) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The table's own text, and those of its triggers: type, name, text.
    async fn definitions(&mut self, found: &Found) -> Result<Vec<(String, String, String)>> {
        let rows = self.all(DOING, DEFINITIONS, texts([&found.name.name])).await?;
        rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?))).collect()
    }

    /// Rows counted where they are few, else estimated from the statistics, or from the size of the file and of a thousand rows.
    async fn size(&mut self, found: &Found, columns: &[Described], indexes: &[Keyed]) -> Result<Leaf> {
        let table = format!("{}.{}", quoted(MAIN), quoted(&found.name.name));
        let few = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {})", COUNTED_MAX + 1);
        let counted = self.unsigned(&few).await?;
        let lengths = self.average_lengths(&table, columns).await?;
        let length = |name: &str| {
            let at = columns.iter().position(|described| described.column.name == name);
            at.and_then(|at| lengths.get(at)).copied().unwrap_or_default()
        };
        let row_bytes = ROW_OVERHEAD + lengths.iter().map(|bytes| bytes + 1).sum::<u64>();
        let file_bytes =
            self.unsigned("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").await?;
        let rows_estimate = match counted {
            few if few <= COUNTED_MAX => few,
            _ => self.statistics(found).await?.unwrap_or((file_bytes / row_bytes).max(counted)),
        };
        let index_row =
            |keyed: &Keyed| ROW_OVERHEAD + keyed.index.columns.iter().map(|name| length(name) + 1).sum::<u64>();
        let own_tree = |keyed: &&Keyed| !(keyed.origin_primary && found.without_rowid);
        let index_bytes: u64 = indexes.iter().filter(own_tree).map(index_row).sum();
        Ok(Leaf {
            name: found.name.clone(),
            rows_estimate,
            heap_bytes: rows_estimate.saturating_mul(row_bytes).min(file_bytes),
            index_bytes: rows_estimate.saturating_mul(index_bytes).min(file_bytes),
        })
    }

    /// The average length of each column's values over the first rows.
    async fn average_lengths(&mut self, table: &str, columns: &[Described]) -> Result<Vec<u64>> {
        let one = |described: &Described| {
            format!("CAST(COALESCE(avg(octet_length({})), 0) AS INTEGER)", through_t(&described.column.name))
        };
        let averages: Vec<_> = columns.iter().map(one).collect();
        let averages = averages.join(", ");
        let statement = format!("SELECT {averages} FROM (SELECT * FROM {table} LIMIT {MEASURED_ROWS}) AS t");
        let rows = self.all(DOING, &statement, Arguments::default()).await?;
        let Some(row) = rows.first() else { return Ok(Vec::new()) };
        (0..columns.len()).map(|column| Ok(integer(row, column)?.try_into().unwrap_or_default())).collect()
    }

    /// The rows that ANALYZE counted, if it ever ran.
    async fn statistics(&mut self, found: &Found) -> Result<Option<u64>> {
        let exists = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
        if self.unsigned(exists).await? == 0 {
            return Ok(None);
        }
        let rows = self.integer(DOING, STATISTICS, texts([&found.name.name])).await?;
        Ok(rows.and_then(|rows| rows.try_into().ok()))
    }

    async fn unsigned(&mut self, statement: &str) -> Result<u64> {
        Ok(self
            .integer(DOING, statement, Arguments::default())
            .await?
            .unwrap_or_default()
            .try_into()
            .unwrap_or_default())
    }

    async fn text(&mut self, statement: &str) -> Result<String> {
        let rows = self.all(DOING, statement, Arguments::default()).await?;
        rows.first().map_or(Ok(String::new()), |row| text(row, 0))
    }
}

/// How the table's own tree is walked: a WITHOUT ROWID table by its primary key, any other by its rowid under a name that is free.
fn tree(found: &Found, columns: &[Described], indexes: &[Keyed]) -> Tree {
    if found.without_rowid {
        let primary = indexes.iter().find(|keyed| keyed.origin_primary);
        return match primary.and_then(|keyed| Some((keyed, keyed.key.as_ref()?))) {
            Some((keyed, key)) => Tree::PrimaryKey { index: keyed.index.name.clone(), key: key.clone() },
            None => Tree::Hidden,
        };
    }
    if let Some(alias) = rowid_alias(found, columns, indexes) {
        return Tree::Rowid(quoted(&alias.name));
    }
    let is_free = |name: &&&str| !columns.iter().any(|described| described.column.name.eq_ignore_ascii_case(name));
    ROWID_NAMES.iter().find(is_free).map_or(Tree::Hidden, |name| Tree::Rowid(name.to_string()))
}

/// The INTEGER PRIMARY KEY. `INTEGER PRIMARY KEY DESC` is none, by an old mistake of SQLite's, and has an index of its own.
fn rowid_alias<'c>(found: &Found, columns: &'c [Described], indexes: &[Keyed]) -> Option<&'c Column> {
    let mut primary = columns.iter().filter(|described| described.primary > 0);
    let (only, more) = (primary.next()?, primary.next());
    let has_index = indexes.iter().any(|keyed| keyed.origin_primary);
    let is_alias = more.is_none() && !found.without_rowid && !has_index;
    (is_alias && only.column.type_name.eq_ignore_ascii_case("INTEGER")).then_some(&only.column)
}

/// The column, if it may be part of a row key.
fn sound<'c>(columns: &'c [Described], name: &str) -> Option<&'c Column> {
    let column = &columns.iter().find(|described| described.column.name == name)?.column;
    (column.not_null && !column.generated).then_some(column)
}

fn key_column(column: &Column) -> RowKeyColumn {
    RowKeyColumn { name: column.name.clone(), type_name: column.type_name.clone(), operator_schema: String::new() }
}

fn trigger(name: &str, sql: &str) -> Option<Trigger> {
    let before = match ddl::firing(sql) {
        ddl::Firing::BeforeUpdate => true,
        ddl::Firing::AfterUpdate => false,
        ddl::Firing::Never => return None,
    };
    Some(Trigger { name: name.to_string(), enabled: 'O', before })
}

/// What the tool makes of a declared type. SQLite enforces no length, and a column without a type takes text as it is.
fn kind(declared: &str) -> ColumnKind {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    match () {
        () if has("JSON") => ColumnKind::Json,
        () if has("INT") => ColumnKind::Other,
        () if has("CHAR") || has("CLOB") || has("TEXT") || has("STRING") => ColumnKind::Text,
        () if has("BLOB") => ColumnKind::Bytes,
        () if declared.is_empty() || declared == "ANY" => ColumnKind::Text,
        () => ColumnKind::Other,
    }
}

/// Whether a text that looks like a number would be stored as one.
pub(super) fn turns_text_into_numbers(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        return true;
    }
    !(has("CHAR") || has("CLOB") || has("TEXT") || has("BLOB") || declared.is_empty() || declared == "ANY")
}

/// A compound query gives its column the collation of its first part, whatever rows the table has.
fn collation_probe(table: &TableName, column: &str) -> String {
    let (table, column) = (format!("{}.{}", quoted(&table.schema), quoted(&table.name)), through_t(column));
    format!("SELECT x = 'A', x = 'a ' FROM (SELECT {column} AS x FROM {table} AS t WHERE 0 UNION ALL SELECT 'a')")
}

fn through_t(column: &str) -> String {
    format!("t.{}", quoted(column))
}

fn index_part(row: &SqliteRow) -> Result<Option<(String, String)>> {
    Ok(if rows::is_null(row, 0) { None } else { Some((text(row, 0)?, text(row, 1)?)) })
}

fn main(name: &str) -> TableName {
    TableName { schema: MAIN.to_string(), name: name.to_string() }
}

fn texts<const N: usize>(values: [&str; N]) -> Arguments {
    let mut arguments = Arguments::default();
    values.iter().for_each(|value| arguments.text(value.as_bytes()));
    arguments
}

fn text(row: &SqliteRow, column: usize) -> Result<String> {
    let bytes = rows::raw(row, column).map_err(|error| super::failure::error(DOING, error))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn integer(row: &SqliteRow, column: usize) -> Result<i64> {
    rows::integer(row, column).map_err(|error| super::failure::error(DOING, error))
}

const MAIN: &str = "main";
const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Rows that are counted one by one.
const COUNTED_MAX: u64 = 100_000;
/// Rows that are measured.
const MEASURED_ROWS: u64 = 1_000;
/// Bytes of a row beside its values: cell, header and rowid.
const ROW_OVERHEAD: u64 = 12;

const TABLES: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
    AND lower(substr(name, 1, 7)) <> 'sqlite_' AND lower(substr(name, 1, 10)) <> 'reencrypt_' ORDER BY name";
const FIND: &str = "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower($1) \
    AND lower(substr(name, 1, 7)) <> 'sqlite_' AND lower(substr(name, 1, 10)) <> 'reencrypt_'";
const COLUMNS: &str =
    "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo($1, 'main') WHERE hidden <> 1 ORDER BY cid";
const INDEXES: &str = "SELECT l.name, l.\"unique\", l.origin, l.partial, COALESCE(s.sql, '') \
    FROM pragma_index_list($1, 'main') AS l LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name ORDER BY l.seq DESC";
const INDEX_PARTS: &str = "SELECT name, coll FROM pragma_index_xinfo($1, 'main') WHERE key = 1 ORDER BY seqno";
const DEFINITIONS: &str = "SELECT type, name, COALESCE(sql, '') FROM sqlite_schema \
    WHERE type IN ('table', 'trigger', 'view') AND lower(tbl_name) = lower($1) ORDER BY type, name";
const STATISTICS: &str = "SELECT max(CAST(stat AS INTEGER)) FROM sqlite_stat1 WHERE lower(tbl) = lower($1)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_declared_type() {
        let cases = [
            ("TEXT", ColumnKind::Text),
            ("varchar(50)", ColumnKind::Text),
            ("", ColumnKind::Text),
            ("STRING", ColumnKind::Text),
            ("BLOB", ColumnKind::Bytes),
            ("JSONB", ColumnKind::Json),
            ("json", ColumnKind::Json),
            ("INTEGER", ColumnKind::Other),
            ("DATETIME", ColumnKind::Other),
            ("REAL", ColumnKind::Other),
        ];
        for (declared, expected) in cases {
            assert_eq!(kind(declared), expected, "{declared}");
        }
    }

    #[test]
    fn only_text_and_blob_affinity_keep_text_that_looks_like_a_number() {
        let keeps = |declared| !turns_text_into_numbers(declared);
        assert!(["TEXT", "varchar(9)", "CLOB", "BLOB", "", "ANY"].into_iter().all(keeps));
        assert!(!["STRING", "JSON", "DATE", "INTEGER", "REAL", "CHARINT"].into_iter().any(keeps));
    }

    #[test]
    fn the_collation_of_a_column_is_asked_of_a_compound_query() {
        assert_eq!(
            collation_probe(&main("a\"b"), "c"),
            r#"SELECT x = 'A', x = 'a ' FROM (SELECT t."c" AS x FROM "main"."a""b" AS t WHERE 0 UNION ALL SELECT 'a')"#
        );
    }
}
