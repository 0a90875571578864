//! The statements over one table: pure text, no I/O.
//!
//! The table is `t` and every column is named through it: a quoted name that is no column would otherwise be read as a string.
//! Parameters are positional, in the order of the text.
use super::{part::Part, rows::Class};
use crate::{TableName, identifier::quoted};
use std::sync::Arc;

/// A table, its row key and the slots, ready to be put into statements.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statements {
    /// With its schema.
    table: String,
    /// The key's columns, each as `t."name"`.
    key: Vec<String>,
    /// The slots' columns, quoted.
    slots: Vec<String>,
    /// How the table's own tree is walked.
    tree: Tree,
}

/// What orders the table's own tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// The rowid, under a name that no column hides.
    Rowid(String),
    /// The primary key of a WITHOUT ROWID table: its index by name, its columns with their collations.
    PrimaryKey { index: String, key: Vec<(String, String)> },
    /// Nothing that a statement can name: columns hide all three names of the rowid, or the primary key compares otherwise than its columns.
    Hidden,
}

/// How a slot of one row is compared with what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// NULL, text or a blob, bound with its own storage class: `IS` tells the classes apart and compares bytes.
    Plain,
    /// An integer or a real: the two compare equal across classes, so that the class is compared too.
    Number(Class),
    /// Text that is not UTF-8: bound as a blob.
    Bytes,
}

/// How a value is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// As it is.
    Plain,
    /// As a blob that becomes text: text that is not UTF-8.
    Cast,
}

impl Statements {
    pub(super) fn new<'n>(
        table: &TableName,
        key: impl Iterator<Item = &'n str>,
        slots: impl Iterator<Item = &'n str>,
        tree: Tree,
    ) -> Self {
        let table = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
        Self { table, key: key.map(through_t).collect(), slots: slots.map(quoted).collect(), tree }
    }

    /// The number of key columns, 0 without a row key.
    pub(super) fn arity(&self) -> usize {
        self.key.len()
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The largest key.
    pub(super) fn max_key(&self) -> String {
        let (keys, table, order) = (self.keys(), &self.table, order(&self.key, " DESC"));
        format!("SELECT {keys} FROM {table} AS t ORDER BY {order} LIMIT 1")
    }

    /// The key that ends a stretch of rows. Parameters: after (if any), up to, how many.
    pub(super) fn key_after(&self, after: Option<&[Bound]>, upto: &[Bound]) -> String {
        let named: Vec<_> = self.key.iter().enumerate().map(|(n, column)| format!("{column} AS k{n}")).collect();
        let outer: Vec<_> = (0..self.key.len()).map(|n| format!("k{n}")).collect();
        let (named, table, range, ascending) =
            (named.join(", "), &self.table, self.range(after, upto), order(&self.key, ""));
        let (outer, descending) = (outer.join(", "), order(&outer, " DESC"));
        format!(
            "SELECT {outer} FROM (SELECT {named} FROM {table} AS t WHERE {range} ORDER BY {ascending} LIMIT ?) \
             ORDER BY {descending} LIMIT 1"
        )
    }

    /// Rows of a key range in key order. Parameters: after (if any), up to, how many.
    pub(super) fn batch(&self, after: Option<&[Bound]>, upto: &[Bound]) -> String {
        let (columns, table, range, order) =
            (self.keys_and_slots(), &self.table, self.range(after, upto), order(&self.key, ""));
        format!("SELECT {columns} FROM {table} AS t WHERE {range} ORDER BY {order} LIMIT ?")
    }

    /// The row of one key. Parameter: the key.
    pub(super) fn by_key(&self, key: &[Bound]) -> String {
        let (columns, table, this) = (self.keys_and_slots(), &self.table, compared(&self.key, "=", key));
        format!("SELECT {columns} FROM {table} AS t WHERE {this}")
    }

    /// The number of rows.
    pub(super) fn count(&self) -> String {
        format!("SELECT count(*) FROM {} AS t", self.table)
    }

    /// One row, if it is still exactly as it was read. Parameters: the new values of the slots in `set`, the key, the old values of all slots.
    ///
    /// `OR ABORT`, since a column may say `ON CONFLICT REPLACE`, which deletes other rows. The unary plus takes away the column's affinity and the
    /// explicit collation its own, so that bytes are compared; neither lets an index be used, so that the key finds the row.
    pub(super) fn update(&self, set: &[(usize, Bound)], key: &[Bound], held: &[Held]) -> String {
        let assignments: Vec<_> = set
            .iter()
            .map(|&(slot, bound)| {
                let (column, value) = (&self.slots[slot], bound.text());
                format!("{column} = COALESCE({value}, t.{column})")
            })
            .collect();
        let comparisons: String =
            self.slots.iter().zip(held).map(|(column, held)| format!(" AND {}", held.text(column))).collect();
        let (table, assignments, this) = (&self.table, assignments.join(", "), compared(&self.key, "=", key));
        format!("UPDATE OR ABORT {table} AS t SET {assignments} WHERE {this}{comparisons}")
    }

    /// The next rows of the table's own tree, `None` where it cannot be named. Parameters: after which place (if any), how many.
    pub(super) fn scan(&self, after: Option<&[Bound]>) -> Option<String> {
        let (place, from) = (self.place()?, self.tree_alone());
        let range = after.map(|after| format!(" WHERE {}", compared(&place, ">", after))).unwrap_or_default();
        let (columns, order) = (list(place.iter().cloned().chain(self.read_slots())), order(&place, ""));
        Some(format!("SELECT {columns} FROM {from}{range} ORDER BY {order} LIMIT ?"))
    }

    /// The columns that say where a row stands in the table's own tree; `None` where they cannot be named.
    pub(super) fn place(&self) -> Option<Vec<String>> {
        match &self.tree {
            Tree::Rowid(name) => Some(vec![format!("t.{name}")]),
            Tree::PrimaryKey { key, .. } => Some(key.iter().map(|(name, _)| through_t(name)).collect()),
            Tree::Hidden => None,
        }
    }

    /// The first column of the place at one of its ends.
    pub(super) fn end(&self, largest: bool) -> Option<String> {
        let (place, from) = (self.place()?, self.tree_alone());
        let (first, order) = (&place[0], order(&place, if largest { " DESC" } else { "" }));
        Some(format!("SELECT {first} FROM {from} ORDER BY {order} LIMIT 1"))
    }

    /// The first row at or after a point of the place's first column: that column, the key and the slots. Parameter: the point.
    pub(super) fn probe(&self) -> Option<String> {
        let (place, from) = (self.place()?, self.tree_alone());
        let (first, order) = (&place[0], order(&place, ""));
        let columns = list(std::iter::once(first.clone()).chain(self.key.iter().cloned()).chain(self.read_slots()));
        Some(format!("SELECT {columns} FROM {from} WHERE {first} >= ? ORDER BY {order} LIMIT 1"))
    }

    /// The first rows in the order of the tree, in the columns of [`Self::probe`]. Parameter: how many.
    pub(super) fn first_rows(&self) -> Option<String> {
        let (place, from) = (self.place()?, self.tree_alone());
        let columns = list(std::iter::once(place[0].clone()).chain(self.key.iter().cloned()).chain(self.read_slots()));
        let order = order(&place, "");
        Some(format!("SELECT {columns} FROM {from} ORDER BY {order} LIMIT ?"))
    }

    /// The table without any index of its own.
    fn tree_alone(&self) -> String {
        match &self.tree {
            Tree::PrimaryKey { index, .. } => format!("{} AS t INDEXED BY {}", self.table, quoted(index)),
            Tree::Rowid(_) | Tree::Hidden => format!("{} AS t NOT INDEXED", self.table),
        }
    }

    fn range(&self, after: Option<&[Bound]>, upto: &[Bound]) -> String {
        let upto = compared(&self.key, "<=", upto);
        match after {
            Some(after) => format!("{} AND {upto}", compared(&self.key, ">", after)),
            None => upto,
        }
    }

    fn keys(&self) -> String {
        self.key.join(", ")
    }

    fn keys_and_slots(&self) -> String {
        list(self.key.iter().cloned().chain(self.read_slots()))
    }

    fn read_slots(&self) -> impl Iterator<Item = String> {
        self.slots.iter().map(|column| format!("t.{column}"))
    }
}

impl Held {
    fn text(self, column: &str) -> String {
        match self {
            Held::Plain => format!("+t.{column} COLLATE BINARY IS ?"),
            Held::Number(class) => {
                let class = if class == Class::Integer { "integer" } else { "real" };
                format!("typeof(t.{column}) = '{class}' AND +t.{column} IS ?")
            }
            Held::Bytes => format!("typeof(t.{column}) = 'text' AND CAST(t.{column} AS BLOB) IS ?"),
        }
    }
}

impl Bound {
    /// How the part of a key is bound.
    pub(super) fn of(part: &Part<'_>) -> Self {
        if part.is_plain() { Bound::Plain } else { Bound::Cast }
    }

    fn text(self) -> &'static str {
        match self {
            Bound::Plain => "?",
            // Without the plus the cast would lend its affinity to the other side.
            Bound::Cast => "+CAST(? AS TEXT)",
        }
    }
}

/// The statement so many times, to be run in one go.
pub(super) fn repeated(statement: &str, times: usize) -> Arc<str> {
    vec![statement; times].join(";").into()
}

/// A row value compared with a key.
fn compared(columns: &[String], operator: &str, key: &[Bound]) -> String {
    match (columns, key) {
        ([column], [bound]) => format!("{column} {operator} {}", bound.text()),
        _ => {
            let bound: Vec<_> = key.iter().map(|bound| bound.text()).collect();
            format!("({}) {operator} ({})", columns.join(", "), bound.join(", "))
        }
    }
}

fn order(columns: &[String], direction: &str) -> String {
    list(columns.iter().map(|column| format!("{column}{direction}")))
}

fn through_t(column: &str) -> String {
    format!("t.{}", quoted(column))
}

fn list(columns: impl Iterator<Item = String>) -> String {
    columns.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Bound::*, *};

    fn table(name: &str) -> TableName {
        TableName { schema: "main".to_string(), name: name.to_string() }
    }

    /// An INTEGER PRIMARY KEY.
    fn patient() -> Statements {
        let slots = ["firstName", "weird\"name"];
        Statements::new(&table("Patient"), ["id"].into_iter(), slots.into_iter(), Tree::Rowid("\"id\"".to_string()))
    }

    /// A WITHOUT ROWID table with a composite key.
    fn visit() -> Statements {
        let key = ["clinic", "number"];
        let collated = key.map(|column| (column.to_string(), "BINARY".to_string())).to_vec();
        let tree = Tree::PrimaryKey { index: "sqlite_autoindex_Visit_1".to_string(), key: collated };
        Statements::new(&table("Visit"), key.into_iter(), ["notes"].into_iter(), tree)
    }

    #[test]
    fn first_batch_of_one_column() {
        assert_eq!(
            patient().batch(None, &[Plain]),
            r#"SELECT t."id", t."firstName", t."weird""name" FROM "main"."Patient" AS t WHERE t."id" <= ? ORDER BY t."id" LIMIT ?"#
        );
    }

    #[test]
    fn next_batch_of_one_column() {
        assert_eq!(
            patient().batch(Some(&[Plain]), &[Cast]),
            r#"SELECT t."id", t."firstName", t."weird""name" FROM "main"."Patient" AS t WHERE t."id" > ? AND t."id" <= +CAST(? AS TEXT) ORDER BY t."id" LIMIT ?"#
        );
    }

    #[test]
    fn batches_of_a_composite_key() {
        assert_eq!(
            visit().batch(None, &[Plain, Plain]),
            r#"SELECT t."clinic", t."number", t."notes" FROM "main"."Visit" AS t WHERE (t."clinic", t."number") <= (?, ?) ORDER BY t."clinic", t."number" LIMIT ?"#
        );
        assert_eq!(
            visit().batch(Some(&[Plain, Plain]), &[Plain, Plain]),
            r#"SELECT t."clinic", t."number", t."notes" FROM "main"."Visit" AS t WHERE (t."clinic", t."number") > (?, ?) AND (t."clinic", t."number") <= (?, ?) ORDER BY t."clinic", t."number" LIMIT ?"#
        );
    }

    #[test]
    fn keys_at_the_end_of_a_range() {
        assert_eq!(
            visit().max_key(),
            r#"SELECT t."clinic", t."number" FROM "main"."Visit" AS t ORDER BY t."clinic" DESC, t."number" DESC LIMIT 1"#
        );
        assert_eq!(
            patient().key_after(None, &[Plain]),
            r#"SELECT k0 FROM (SELECT t."id" AS k0 FROM "main"."Patient" AS t WHERE t."id" <= ? ORDER BY t."id" LIMIT ?) ORDER BY k0 DESC LIMIT 1"#
        );
        assert_eq!(
            visit().key_after(Some(&[Plain, Plain]), &[Plain, Plain]),
            r#"SELECT k0, k1 FROM (SELECT t."clinic" AS k0, t."number" AS k1 FROM "main"."Visit" AS t WHERE (t."clinic", t."number") > (?, ?) AND (t."clinic", t."number") <= (?, ?) ORDER BY t."clinic", t."number" LIMIT ?) ORDER BY k0 DESC, k1 DESC LIMIT 1"#
        );
    }

    #[test]
    fn one_row_by_its_key() {
        assert_eq!(
            visit().by_key(&[Plain, Cast]),
            r#"SELECT t."clinic", t."number", t."notes" FROM "main"."Visit" AS t WHERE (t."clinic", t."number") = (?, +CAST(? AS TEXT))"#
        );
    }

    #[test]
    fn compare_and_set_compares_every_slot_and_sets_the_changed_ones() {
        assert_eq!(
            patient().update(&[(0, Plain)], &[Plain], &[Held::Plain, Held::Plain]),
            r#"UPDATE OR ABORT "main"."Patient" AS t SET "firstName" = COALESCE(?, t."firstName") WHERE t."id" = ? AND +t."firstName" COLLATE BINARY IS ? AND +t."weird""name" COLLATE BINARY IS ?"#
        );
        assert_eq!(
            visit().update(&[(0, Cast)], &[Plain, Plain], &[Held::Bytes]),
            r#"UPDATE OR ABORT "main"."Visit" AS t SET "notes" = COALESCE(+CAST(? AS TEXT), t."notes") WHERE (t."clinic", t."number") = (?, ?) AND typeof(t."notes") = 'text' AND CAST(t."notes" AS BLOB) IS ?"#
        );
        assert_eq!(
            patient().update(&[(1, Plain)], &[Plain], &[Held::Number(Class::Real), Held::Number(Class::Integer)]),
            r#"UPDATE OR ABORT "main"."Patient" AS t SET "weird""name" = COALESCE(?, t."weird""name") WHERE t."id" = ? AND typeof(t."firstName") = 'real' AND +t."firstName" IS ? AND typeof(t."weird""name") = 'integer' AND +t."weird""name" IS ?"#
        );
    }

    #[test]
    fn scans_use_the_table_alone() {
        assert_eq!(
            patient().scan(None).expect("a rowid"),
            r#"SELECT t."id", t."firstName", t."weird""name" FROM "main"."Patient" AS t NOT INDEXED ORDER BY t."id" LIMIT ?"#
        );
        assert_eq!(
            visit().scan(Some(&[Plain, Plain])).expect("a primary key"),
            r#"SELECT t."clinic", t."number", t."notes" FROM "main"."Visit" AS t INDEXED BY "sqlite_autoindex_Visit_1" WHERE (t."clinic", t."number") > (?, ?) ORDER BY t."clinic", t."number" LIMIT ?"#
        );
        let hidden = Statements::new(&table("odd"), [].into_iter(), ["a"].into_iter(), Tree::Hidden);
        assert_eq!(hidden.scan(None), None);
    }

    #[test]
    fn probes_find_the_row_at_or_after_a_point() {
        assert_eq!(
            visit().probe().expect("a primary key"),
            r#"SELECT t."clinic", t."clinic", t."number", t."notes" FROM "main"."Visit" AS t INDEXED BY "sqlite_autoindex_Visit_1" WHERE t."clinic" >= ? ORDER BY t."clinic", t."number" LIMIT 1"#
        );
        assert_eq!(
            patient().end(true).expect("a rowid"),
            r#"SELECT t."id" FROM "main"."Patient" AS t NOT INDEXED ORDER BY t."id" DESC LIMIT 1"#
        );
    }

    #[test]
    fn repeated_statements_are_separate_ones() {
        assert_eq!(&*repeated("SELECT ?", 3), "SELECT ?;SELECT ?;SELECT ?");
    }
}
