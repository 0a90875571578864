//! Database URLs, parsed here: nothing is passed on unread, and nothing of a password is ever shown.
use crate::Dialect;
/// A parsed URL: `postgres://`, `postgresql://`, `sqlite:`, `file:`. `Debug` and `Display` show host and database, never credentials.
#[derive(Clone)]
pub struct DatabaseUrl;
impl DatabaseUrl {
    /// Parses. Understands Prisma's and libpq's parameters (`schema`, `sslmode`, `sslrootcert`, `connection_limit`, `pool_timeout`, `pgbouncer`,
    /// `connect_timeout`, `application_name`, `host` for sockets, ...) and refuses unknown ones by name, never by value.
    pub fn parse(_text: &str) -> Result<Self, UrlError> {
        unimplemented!()
    }
    /// Which engine.
    pub fn dialect(&self) -> Dialect {
        unimplemented!()
    }
    /// The file of an SQLite database, `None` for PostgreSQL.
    pub(crate) fn sqlite_path(&self) -> Option<&std::path::Path> {
        unimplemented!()
    }
    /// The default schema for unqualified table names (`schema` parameter, else `public`).
    pub fn schema(&self) -> &str {
        unimplemented!()
    }
    /// Host and port, socket, or file.
    pub fn address(&self) -> String {
        unimplemented!()
    }
    /// The database's name.
    pub fn database(&self) -> &str {
        unimplemented!()
    }
}
impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        unimplemented!()
    }
}
/// What is wrong with a URL; never holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// placeholder
    #[error("placeholder")]
    Placeholder,
}
