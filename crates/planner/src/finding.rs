//! What a plan has to say about the database.
/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// printed
    Warn,
    /// `plan` exits 1, `run` refuses with 2
    Fail,
}
/// One finding. `code` is stable: `table_missing`, `column_missing`, `no_row_key`, `not_a_table`, `rls_active`, `privilege_missing`, `wrong_key`,
/// `trigger_fires`, `rule_on_update`, `collation_version`, `varchar_overflow`, `unique_on_ciphertext`, `unlisted_ciphertext`, `unexplained_hash`, `nonce_budget`, `credential_kind`, ...
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
