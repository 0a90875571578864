//! Why there is no plan.
/// A configuration or catalog error: exit code 2 (for `plan`, what it can state becomes a finding instead).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the database
    #[error(transparent)]
    Database(#[from] reencrypt_db::Error), /* , Configuration { member, line, problem, nearest }, MissingKey, NoTables, SchemaChanged, ... */
}
impl Error {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &'static str {
        unimplemented!()
    }
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        unimplemented!()
    }
}
