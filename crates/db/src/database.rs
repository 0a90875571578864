//! Where the database is and how to reach it.
use crate::{DatabaseUrl, Result, Session, postgres, session::Connection, sqlite};
use std::{path::PathBuf, time::Duration};

/// Which database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PostgreSQL 14 or later; older servers are refused.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// How the connection is protected. The default is `VerifyFull` for every host that is not a Unix socket or loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS without verification.
    Require,
    /// The chain is verified.
    VerifyCa,
    /// The chain and the host name are verified.
    VerifyFull,
}

/// Everything a connection needs.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where; its `Debug` shows no password.
    pub url: DatabaseUrl,
    /// Overrides the URL's `sslmode`.
    pub tls: Option<TlsMode>,
    /// A PEM file of certificate authorities.
    pub ca: Option<PathBuf>,
    /// Bound on connecting.
    pub connect_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

/// Which database this is, so that a run is not resumed on a copy.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Host and port, socket, or file; no credentials.
    pub address: String,
    /// The database's name (PostgreSQL), or the file's path.
    pub database: String,
    /// PostgreSQL: the cluster's system identifier and the database's oid, where readable; SQLite: empty.
    pub system: String,
}

/// A database that answered once. Opens sessions.
pub struct Database {
    options: ConnectOptions,
    identity: Identity,
    tls: TlsMode,
}

impl Database {
    /// Connects once, refuses servers that are too old, and reads the identity.
    pub async fn connect(options: ConnectOptions) -> Result<Self> {
        let (session, identity, tls) = open(&options).await?;
        session.close().await;
        Ok(Self { options, identity, tls })
    }

    /// Which engine.
    pub fn dialect(&self) -> Dialect {
        self.options.url.dialect()
    }

    /// Which database.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A new connection of its own.
    pub async fn session(&self) -> Result<Session> {
        Ok(open(&self.options).await?.0)
    }

    /// The TLS mode in force.
    pub fn tls(&self) -> TlsMode {
        self.tls
    }
}

async fn open(options: &ConnectOptions) -> Result<(Session, Identity, TlsMode)> {
    match options.url.sqlite_path() {
        Some(path) => {
            let (connection, identity) = sqlite::Connection::open(path, options.connect_timeout).await?;
            Ok((Session(Connection::Sqlite(connection)), identity, TlsMode::Disable))
        }
        None => {
            let (connection, identity, tls) = postgres::Connection::open(options).await?;
            Ok((Session(Connection::Postgres(connection)), identity, tls))
        }
    }
}
