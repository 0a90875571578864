//! The shape of a table that a run relies on: its columns, their types and its row key.
use reencrypt_db::{Index, RowKeyColumn, Table};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// SHA-256 (hex) of a table's columns with their types, of its row key, and of the unique indexes that stand on `slots`, the columns that are
/// rewritten. Leaves, other indexes and statistics are no part of it: a new partition is no change of schema.
pub fn schema_hash(table: &Table, slots: &[String]) -> String {
    #[derive(serde::Serialize)]
    struct Shape<'a> {
        columns: Vec<(&'a str, &'a str, bool, bool)>,
        row_key: Vec<(&'a str, &'a str)>,
        /// Each set of columns once: an index that is built anew beside itself is no other.
        #[serde(skip_serializing_if = "BTreeSet::is_empty")]
        unique: BTreeSet<(&'a [String], bool)>,
    }
    let on_slots = |index: &&Index| index.unique && index.columns.iter().any(|column| slots.contains(column));
    let columns = table.columns.iter();
    let shape = Shape {
        columns: columns.map(|c| (c.name.as_str(), c.type_name.as_str(), c.not_null, c.generated)).collect(),
        row_key: table.row_key.iter().map(|c| (c.name.as_str(), c.type_name.as_str())).collect(),
        unique: table.indexes.iter().filter(on_slots).map(|i| (i.columns.as_slice(), i.partial)).collect(),
    };
    digest(&shape)
}

/// SHA-256 (hex) of a value's JSON, whose member order is that of its declaration.
pub(crate) fn digest(value: &impl serde::Serialize) -> String {
    let mut hasher = Sha256::new();
    // Strings, numbers, lists and maps with string keys alone: there is nothing that JSON cannot say, and a hasher
    // takes every byte.
    serde_json::to_writer(HashWriter(&mut hasher), value).expect("a value of strings, numbers and lists is JSON");
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}

struct HashWriter<'a>(&'a mut Sha256);
impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// `table` walked by another key than its own: columns that are all NOT NULL under one valid, immediate, non-partial
/// unique index. Says why where they are no such key.
pub(crate) fn with_row_key(mut table: Table, names: &[String]) -> Result<Table, RowKeyProblem> {
    let named =
        |key: &&Vec<RowKeyColumn>| key.len() == names.len() && key.iter().all(|column| names.contains(&column.name));
    match table.row_keys.iter().find(named) {
        Some(row_key) => {
            table.row_key = row_key.clone();
            Ok(table)
        }
        None => Err(problem(&table, names)),
    }
}

fn problem(table: &Table, names: &[String]) -> RowKeyProblem {
    for name in names {
        match table.column(name) {
            None => return RowKeyProblem::Missing(name.clone()),
            Some(column) if !column.not_null => return RowKeyProblem::Nullable(name.clone()),
            Some(_) => {}
        }
    }
    RowKeyProblem::NotUnique
}

/// Why columns are no row key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowKeyProblem {
    /// no such column
    Missing(String),
    /// may be NULL
    Nullable(String),
    /// no unique index over exactly these columns
    NotUnique,
}
