//! What of a table a run reads and writes.
use crate::{Column, Error, Result, RowKeyColumn, Table, TableName, postgres, sqlite};
use std::sync::{Arc, OnceLock};

/// One leaf of a table, its row key and the chosen columns ("slots"), with the statements over them. Identifiers come from the catalog alone and are
/// quoted by one function.
#[derive(Debug, Clone)]
pub struct Selection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scope: Scope,
    postgres: OnceLock<postgres::Selection>,
    sqlite: OnceLock<sqlite::Selection>,
}

/// What is selected, in no dialect yet.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The leaf itself.
    pub(crate) table: TableName,
    /// Empty for a table without a row key.
    pub(crate) key: Vec<RowKeyColumn>,
    /// The slots, in order.
    pub(crate) columns: Vec<Column>,
}

impl Selection {
    /// `columns` become slots 0, 1, ... in this order; names must be in the catalog (fails otherwise). A table without a row key gives a selection that can only be sampled and heap-scanned.
    pub fn new(table: &Table, leaf: usize, columns: &[String]) -> Result<Self> {
        let no_leaf = || Error::UnknownLeaf { table: table.name.clone(), leaf };
        let leaf = table.leaves.get(leaf).ok_or_else(no_leaf)?;
        let column = |name: &String| {
            let unknown = || Error::UnknownColumn { table: table.name.clone(), column: name.clone() };
            table.column(name).cloned().ok_or_else(unknown)
        };
        let columns = columns.iter().map(column).collect::<Result<_>>()?;
        let scope = Scope { table: leaf.name.clone(), key: table.row_key.clone(), columns };
        Ok(Self(Arc::new(Inner { scope, postgres: OnceLock::new(), sqlite: OnceLock::new() })))
    }

    /// Number of columns.
    pub fn slots(&self) -> usize {
        self.0.scope.columns.len()
    }

    /// The leaf.
    pub(crate) fn table(&self) -> &TableName {
        &self.0.scope.table
    }

    /// Its statements in PostgreSQL, built once.
    pub(crate) fn postgres(&self) -> &postgres::Selection {
        self.0.postgres.get_or_init(|| postgres::Selection::new(&self.0.scope))
    }

    /// Its statements in SQLite, built once.
    pub(crate) fn sqlite(&self) -> &sqlite::Selection {
        self.0.sqlite.get_or_init(|| sqlite::Selection::new(&self.0.scope))
    }
}
