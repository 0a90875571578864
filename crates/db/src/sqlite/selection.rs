//! A selection as this engine knows it: settled with the catalog when it is first used, and checked against it in every transaction.
use super::{Connection, catalog::Shape, failure, statement::Statements};
use crate::{Column, Result, RowKeyColumn, Selection as Chosen, TableName, selection::Scope};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// What was chosen, and what the catalog said of it at first.
#[derive(Debug)]
pub(crate) struct Selection {
    number: u64,
    pub(super) table: TableName,
    key: Vec<RowKeyColumn>,
    pub(super) columns: Vec<Column>,
    settled: OnceLock<Settled>,
}

#[derive(Debug)]
struct Settled {
    definition: String,
    statements: Arc<Statements>,
}

impl Selection {
    pub(crate) fn new(scope: &Scope) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            table: scope.table.clone(),
            key: scope.key.clone(),
            columns: scope.columns.clone(),
            settled: OnceLock::new(),
        }
    }

    /// Whether the table is what it was: the same columns and row key, and the same definition as when the selection was first used.
    fn settle(&self, shape: &Shape) -> bool {
        let same_columns = self.columns.iter().all(|chosen| {
            shape.columns.iter().any(|found| {
                (&found.name, &found.type_name, found.not_null, found.generated)
                    == (&chosen.name, &chosen.type_name, chosen.not_null, chosen.generated)
            })
        });
        let settled = self.settled.get_or_init(|| Settled {
            definition: shape.definition.clone(),
            statements: Arc::new(self.statements(shape)),
        });
        same_columns
            && (self.key.is_empty() || shape.keys.contains(&self.key))
            && settled.definition == shape.definition
    }

    fn statements(&self, shape: &Shape) -> Statements {
        let key = self.key.iter().map(|column| column.name.as_str());
        let slots = self.columns.iter().map(|column| column.name.as_str());
        Statements::new(&self.table, key, slots, shape.tree.clone())
    }
}

impl Connection {
    /// The selection's statements. In each transaction its first use makes sure that the table has not changed under it.
    pub(super) async fn statements(&mut self, doing: &'static str, chosen: &Chosen) -> Result<Arc<Statements>> {
        let selection = chosen.sqlite();
        let changed = || failure::schema_changed(doing, &selection.table);
        if !self.is_checked(selection.number) {
            if !self.is_as_it_was(doing, selection).await? {
                self.fail();
                return Err(changed());
            }
            self.set_checked(selection.number);
        }
        selection.settled.get().map(|settled| Arc::clone(&settled.statements)).ok_or_else(changed)
    }
    async fn is_as_it_was(&mut self, doing: &'static str, selection: &Selection) -> Result<bool> {
        let Some(version) = self.integer(doing, "PRAGMA schema_version", Default::default()).await? else {
            return Ok(false);
        };
        if self.known.get(&selection.number) == Some(&version) {
            return Ok(true);
        }
        let as_it_was = self.shape(&selection.table).await?.is_some_and(|shape| selection.settle(&shape));
        if as_it_was {
            self.known.insert(selection.number, version);
        }
        Ok(as_it_was)
    }
}
