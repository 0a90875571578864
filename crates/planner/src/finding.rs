//! What a plan has to say about the database.
use crate::nearest::shown;
use reencrypt_db::TableName;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// printed
    Warn,
    /// `plan` exits 1, `run` refuses with 2
    Fail,
}

/// One finding. `code` is stable: `table_missing`, `column_missing`, `no_row_key`, `not_a_table`, `rls_active`,
/// `privilege_missing`, `wrong_key`, `trigger_fires`, `rule_on_update`, `collation_version`, `varchar_overflow`,
/// `unique_on_ciphertext`, `unlisted_ciphertext`, `unlisted_new_ciphertext`,
/// `unopened_ciphertext`, `unexplained_hash`, `nonce_budget`, `credential_kind`, ... Messages
/// name tables, columns and counts, never a value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// warn or fail
    pub severity: Severity,
    /// stable
    pub code: String,
    /// `schema.table`
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<String>,
    /// column
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// what, why, and what to do
    pub message: String,
}

/// Failures that concern writing alone: what is read past them is complete all the same.
const WRITING_ONLY: [&str; 15] = [
    "collation_version",
    "generated_column",
    "no_row_key",
    "nonce_budget",
    "publication_without_identity",
    "read_only_server",
    "row_key_column",
    "row_key_unsound",
    "rule_on_update",
    "store_gone",
    "store_privilege_missing",
    "trigger_fires",
    "unlisted_ciphertext",
    "unlisted_new_ciphertext",
    "varchar_overflow",
];

impl Finding {
    /// Whether nothing complete can be said about the data with it: a missing table, hidden rows, no SELECT. What only
    /// a run would refuse (a trigger, no row key) does not stand in the way of reading everything.
    pub fn prevents_reading(&self) -> bool {
        self.severity == Severity::Fail && !WRITING_ONLY.contains(&self.code.as_str())
    }

    /// A finding that `run` refuses.
    pub fn fail(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fail, code, message)
    }

    /// A finding that is printed.
    pub fn warn(code: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warn, code, message)
    }

    /// A finding of either severity.
    pub(crate) fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        Self { severity, code: code.to_owned(), table: None, column: None, message: message.into() }
    }

    /// About a table of the catalog.
    pub(crate) fn on(self, table: &TableName) -> Self {
        Self { table: Some(table.to_string()), ..self }
    }

    /// About a table that the configuration names and the catalog has not.
    pub(crate) fn on_name(self, name: &str) -> Self {
        Self { table: Some(shown(name).trim_matches('`').to_owned()), ..self }
    }

    /// About a column of its table.
    pub(crate) fn at(self, column: &str) -> Self {
        Self { column: Some(shown(column).trim_matches('`').to_owned()), ..self }
    }
}

/// Fail first, otherwise in the order in which they were found; each once.
pub(crate) fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut seen = Vec::with_capacity(findings.len());
    findings.retain(|finding| {
        let new = !seen.contains(finding);
        if new {
            seen.push(finding.clone());
        }
        new
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_run_refuses_does_not_prevent_reading() {
        assert!(Finding::fail("rls_active", "").prevents_reading());
        assert!(!Finding::fail("trigger_fires", "").prevents_reading());
        assert!(!Finding::warn("rls_active", "").prevents_reading());
    }

    #[test]
    fn failures_come_first_and_each_finding_once() {
        let mut findings = vec![Finding::warn("a", "1"), Finding::fail("b", "2"), Finding::warn("a", "1")];
        sort(&mut findings);
        assert_eq!(findings, [Finding::fail("b", "2"), Finding::warn("a", "1")]);
    }
}
