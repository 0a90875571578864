//! Indexes and constraints that a changed value meets.
use super::Subject;
use crate::{Finding, nearest::shown};
use reencrypt_db::Dialect;

/// A unique index on a ciphertext compares ciphertexts, and one on a hash can refuse a hash that is recomputed.
pub(super) fn unique_indexes(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for index in subject.table.indexes.iter().filter(|index| index.unique) {
        for column in subject.configured().filter(|name| index.columns.iter().any(|column| column == name)) {
            let name = shown(&index.name);
            let finding = if subject.is_encrypted(column) {
                let message = format!(
                    "the unique index {name} stands on the ciphertext: new values have random nonces, so it will not notice equal \
                     plaintexts, and a lookup by ciphertext finds nothing"
                );
                Finding::warn("unique_on_ciphertext", message)
            } else {
                let message = format!(
                    "the unique index {name} stands on the hash: where a stale hash is recomputed to one that another row has, the \
                     database refuses the row"
                );
                Finding::warn("unique_on_blind_index", message)
            };
            findings.push(finding.on(&subject.table.name).at(column));
        }
    }
    findings
}

/// A CHECK constraint may refuse the new value.
pub(super) fn checks(subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, columns) in &subject.table.checks {
        for column in subject.configured().filter(|column| columns.iter().any(|other| other == column)) {
            let message = format!(
                "the CHECK constraint {} looks at the stored value and may refuse the new one: try `run --canary 10` first",
                shown(name)
            );
            findings.push(Finding::warn("check_constraint", message).on(&subject.table.name).at(column));
        }
    }
    findings
}

/// An index on a column that changes forbids HOT updates on PostgreSQL: every index is written for every row.
pub(super) fn plain_indexes(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.dialect != Dialect::Postgres {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for index in &subject.table.indexes {
        for column in subject.configured().filter(|name| index.columns.iter().any(|column| column == name)) {
            let message = format!(
                "the index {} depends on this column: every rewritten row is also written to all indexes of the table (no HOT updates), \
                 which takes longer and grows them",
                shown(&index.name)
            );
            findings.push(Finding::warn("indexed_column", message).on(&subject.table.name).at(column));
        }
    }
    findings
}
