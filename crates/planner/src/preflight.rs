//! One function a check, fixed order, all before the first write.
//!
//! A check reads the catalog alone and says what it found. `fail` is what a run would refuse, lose time on or do harm
//! with; `warn` is what somebody should know. What only a run needs (writing privileges, a writable server) is `warn`
//! for a plan.

mod columns;
mod constraints;
mod keys;
mod privileges;
mod relation;
mod server;

pub use keys::keys;
pub(crate) use privileges::missing_select;
pub(crate) use relation::hidden_rows;
pub(crate) use relation::kind as relation_kind;
pub(crate) use server::server;

use crate::{Finding, Severity, TableSettings};
use reencrypt_crypto::Format;
use reencrypt_db::{Dialect, Server, Table};
use std::collections::BTreeMap;

/// What the checks of a table look at.
pub(crate) struct Subject<'a> {
    /// as configured
    pub(crate) settings: &'a TableSettings,
    /// from the catalog, with the row key that is walked
    pub(crate) table: &'a Table,
    /// which engine
    pub(crate) dialect: Dialect,
    /// and the role
    pub(crate) server: &'a Server,
    /// a run rather than a plan
    pub(crate) for_run: bool,
    /// a format by its name
    pub(crate) format: &'a dyn Fn(&str) -> Option<Format>,
}

impl Subject<'_> {
    /// `Fail` for a run, `Warn` for a plan: what only writing needs.
    fn for_writing(&self) -> Severity {
        if self.for_run { Severity::Fail } else { Severity::Warn }
    }

    /// Every configured column, encrypted ones first.
    fn configured(&self) -> impl Iterator<Item = &str> {
        let columns = self.settings.columns.iter().map(|column| column.column.as_str());
        columns.chain(self.settings.blind_indexes.iter().map(|index| index.column.as_str()))
    }

    /// Whether the column is configured as encrypted.
    fn is_encrypted(&self, name: &str) -> bool {
        self.settings.columns.iter().any(|column| column.column == name)
    }
}

/// A check of a table.
type Check = fn(&Subject<'_>) -> Vec<Finding>;

/// In this order.
const TABLE_CHECKS: [Check; 13] = [
    relation::row_key,
    relation::row_security,
    privileges::select,
    privileges::update,
    relation::triggers,
    relation::rules,
    relation::publications,
    relation::collations,
    constraints::unique_indexes,
    constraints::checks,
    constraints::plain_indexes,
    columns::credentials,
    columns::subject,
];

/// All checks of a table that can be rotated at all.
pub(crate) fn table(subject: &Subject<'_>) -> Vec<Finding> {
    TABLE_CHECKS.iter().flat_map(|check| check(subject)).collect()
}

/// The checks of each configured column, by its name; a column that cannot be read cannot be part of the plan.
pub(crate) fn columns(subject: &Subject<'_>) -> BTreeMap<String, Vec<Finding>> {
    let mut findings = BTreeMap::new();
    for name in subject.configured() {
        let found = columns::column(subject, name);
        if !found.is_empty() {
            findings.insert(name.to_owned(), found);
        }
    }
    findings
}

#[cfg(test)]
mod tests;
