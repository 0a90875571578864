//! Database URLs, parsed here: nothing is passed on unread, and nothing of a password is ever shown.

mod parameter;

use crate::{Dialect, TlsMode};
use percent_encoding::percent_decode_str;
use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use zeroize::Zeroizing;

/// A parsed URL: `postgres://`, `postgresql://`, `sqlite:`, `file:`. `Debug` and `Display` show host and database, never credentials.
///
/// Without a host the server is `localhost`, without a database the one named like the user, and the user must be said: no environment variable and no password
/// file is read. `sslmode=prefer` and `allow` ask for nothing, so they leave the default: verified TLS for every host that is not a Unix socket or loopback.
#[derive(Clone)]
pub struct DatabaseUrl(Target);

#[derive(Clone)]
enum Target {
    Postgres(Box<Server>),
    Sqlite(PathBuf),
}

/// What a PostgreSQL URL says.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<Zeroizing<String>>,
    pub(crate) database: String,
    pub(crate) schema: Option<String>,
    pub(crate) tls: Option<TlsMode>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) client_certificate: Option<PathBuf>,
    pub(crate) client_key: Option<PathBuf>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) application_name: Option<String>,
    /// Asked for; only a verified connection can stand in for it.
    pub(crate) channel_binding: bool,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name or an address, without brackets.
    Name(String),
    /// The folder of a Unix socket.
    Socket(PathBuf),
}

/// What is wrong with a URL; never holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The scheme is none of the known ones.
    #[error("the database URL must begin with postgres://, postgresql://, sqlite: or file:")]
    Scheme,
    /// It cannot be split into its parts.
    #[error("the database URL cannot be read: {reason}")]
    Malformed {
        /// what a part lacks, without the part
        reason: &'static str,
    },
    /// A parameter that nobody knows.
    #[error("the database URL has an unknown parameter {name:?}{}", nearest.map(|n| format!("; the nearest known one is {n:?}")).unwrap_or_default())]
    UnknownParameter {
        /// its name
        name: String,
        /// the known one most like it
        nearest: Option<&'static str>,
    },
    /// A parameter that asks for something the tool does not do.
    #[error("the database URL's parameter {name:?} cannot be honoured: {reason}")]
    Unsupported {
        /// its name
        name: &'static str,
        /// why
        reason: &'static str,
    },
    /// A parameter whose value is none of those it takes.
    #[error("the database URL's parameter {name:?} takes {expected}")]
    Value {
        /// its name
        name: &'static str,
        /// what it takes
        expected: &'static str,
    },
}

impl DatabaseUrl {
    /// Parses. Understands Prisma's and libpq's parameters (`schema`, `sslmode`, `sslrootcert`, `connection_limit`, `pool_timeout`, `pgbouncer`,
    /// `connect_timeout`, `application_name`, `host` for sockets, ...) and refuses unknown ones by name, never by value.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match scheme.as_str() {
            "postgres" | "postgresql" if text.contains("://") => server(text).map(Target::Postgres).map(Self),
            "sqlite" | "file" => file(text).map(Target::Sqlite).map(Self),
            _ => Err(UrlError::Scheme),
        }
    }

    /// Which engine.
    pub fn dialect(&self) -> Dialect {
        match self.0 {
            Target::Postgres(_) => Dialect::Postgres,
            Target::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// The default schema for unqualified table names (`schema` parameter, else `public`; `main` on SQLite).
    pub fn schema(&self) -> &str {
        match &self.0 {
            Target::Postgres(server) => server.schema.as_deref().unwrap_or("public"),
            Target::Sqlite(_) => "main",
        }
    }

    /// Host and port, socket, or file.
    pub fn address(&self) -> String {
        match &self.0 {
            Target::Postgres(server) => server.address(),
            Target::Sqlite(path) => path.display().to_string(),
        }
    }

    /// The database's name; the file's path on SQLite.
    pub fn database(&self) -> &str {
        match &self.0 {
            Target::Postgres(server) => &server.database,
            Target::Sqlite(path) => path.to_str().unwrap_or_default(),
        }
    }

    /// Whether the way to the database never leaves this machine: a Unix socket, loopback, or a file.
    pub fn is_local(&self) -> bool {
        match &self.0 {
            Target::Postgres(server) => server.is_local(),
            Target::Sqlite(_) => true,
        }
    }

    /// The file of an SQLite database, `None` for PostgreSQL.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.0 {
            Target::Postgres(_) => None,
            Target::Sqlite(path) => Some(path),
        }
    }

    /// What a PostgreSQL URL says, `None` for SQLite.
    pub(crate) fn server(&self) -> Option<&Server> {
        match &self.0 {
            Target::Postgres(server) => Some(server),
            Target::Sqlite(_) => None,
        }
    }
}

impl Server {
    /// Host and port, or the socket's path.
    pub(crate) fn address(&self) -> String {
        match &self.host {
            Host::Name(name) if name.contains(':') => format!("[{name}]:{}", self.port),
            Host::Name(name) => format!("{name}:{}", self.port),
            Host::Socket(folder) => folder.join(format!(".s.PGSQL.{}", self.port)).display().to_string(),
        }
    }

    /// The mode in force: what was set, what the URL says, or verified TLS for every host that is not a Unix socket or loopback.
    pub(crate) fn tls(&self, set: Option<TlsMode>) -> TlsMode {
        let default = if self.is_local() { TlsMode::Disable } else { TlsMode::VerifyFull };
        set.or(self.tls).unwrap_or(default)
    }

    fn is_local(&self) -> bool {
        match &self.host {
            Host::Socket(_) => true,
            Host::Name(name) => name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = crate::identifier::shown;
        match &self.0 {
            Target::Postgres(server) => {
                write!(f, "postgres://{}/{}", shown(&server.address()), shown(&server.database))
            }
            Target::Sqlite(path) => write!(f, "sqlite:{}", shown(&path.display().to_string())),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// `sqlite:PATH`, `sqlite://PATH`, `file:PATH`, each with Prisma's parameters, which mean nothing here.
fn file(text: &str) -> Result<PathBuf, UrlError> {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    for (name, _) in pairs(query)? {
        parameter::of_a_file(&name)?;
    }
    let path = decoded(path)?;
    if path.is_empty() || path.contains(":memory:") {
        return Err(UrlError::Malformed { reason: "it names no file" });
    }
    Ok(PathBuf::from(path))
}

fn server(text: &str) -> Result<Box<Server>, UrlError> {
    let url = split(text)?;
    let mut server = Box::new(Server {
        host: Host::Name("localhost".to_owned()),
        port: url.port().unwrap_or(5432),
        user: decoded(url.username())?,
        password: url.password().map(decoded).transpose()?.map(Zeroizing::new),
        database: decoded(url.path().trim_start_matches('/'))?,
        schema: None,
        tls: None,
        ca: None,
        client_certificate: None,
        client_key: None,
        connect_timeout: None,
        application_name: None,
        channel_binding: false,
    });
    if let Some(host) = url.host_str().filter(|host| !host.is_empty()) {
        server.host = Host::of(&decoded(host)?);
    }
    for (name, value) in pairs(url.query().unwrap_or_default())? {
        parameter::apply(&mut server, &name, &value)?;
    }
    // Prisma calls the authority `sslcert`; libpq's client certificate comes with its key.
    if server.client_key.is_none() {
        let authority = server.client_certificate.take();
        server.ca = server.ca.or(authority);
    }
    if server.user.is_empty() {
        return Err(UrlError::Malformed { reason: "it names no user" });
    }
    if server.database.is_empty() {
        server.database = server.user.clone();
    }
    Ok(server)
}

impl Host {
    fn of(text: &str) -> Self {
        if text.starts_with('/') {
            return Host::Socket(PathBuf::from(text));
        }
        Host::Name(text.trim_start_matches('[').trim_end_matches(']').to_owned())
    }
}

/// The parts, an absent host read as `localhost` as libpq does.
fn split(text: &str) -> Result<url::Url, UrlError> {
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (credentials, host) = authority.rsplit_once('@').map_or(("", authority), |(c, h)| (c, h));
    if host.contains(',') {
        return Err(UrlError::Malformed { reason: "it names several hosts; name the one that takes writes" });
    }
    let hosted = match (credentials.is_empty(), host.is_empty() || host.starts_with(':')) {
        (_, false) => text.to_owned(),
        (true, true) => format!("{scheme}://localhost{host}{tail}"),
        (false, true) => format!("{scheme}://{credentials}@localhost{host}{tail}"),
    };
    url::Url::parse(&Zeroizing::new(hosted)).map_err(|error| {
        let reason = match error {
            url::ParseError::InvalidPort => {
                "its port is no number (or the password has a character to be percent-encoded)"
            }
            url::ParseError::InvalidIpv6Address => "its host is no IPv6 address",
            _ => "its host is not valid (or the password has a character to be percent-encoded)",
        };
        UrlError::Malformed { reason }
    })
}

fn pairs(query: &str) -> Result<Vec<(String, Zeroizing<String>)>, UrlError> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        Ok((decoded(name)?, Zeroizing::new(decoded(value)?)))
    };
    query.split('&').filter(|text| !text.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(|text| text.into_owned()).map_err(|_| UrlError::Malformed { reason: "a part of it is no UTF-8" })
}

#[cfg(test)]
mod tests;
