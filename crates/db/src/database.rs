//! Where the database is and how to reach it.
use crate::{DatabaseUrl, Error, Result, Session, postgres, session::Connection, sqlite};
use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;

/// Which database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// PostgreSQL 14 or later; older servers are refused.
    Postgres,
    /// SQLite.
    Sqlite,
}

/// How the connection is protected. The default is `VerifyFull` for every host that is not a Unix socket or loopback. The public authorities are
/// always trusted, and one that is named is trusted besides: the driver adds it to them.
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

impl TlsMode {
    /// What is not protected on a way that leaves this machine.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            Self::Disable => Some("disable: password and values cross the network in the clear"),
            Self::Require => Some("require: encrypted, but whoever stands in between is not noticed"),
            Self::VerifyCa => Some(
                "verify-ca: the host name is not checked, so whoever has any certificate of a public or the configured authority can stand in \
                 for the server",
            ),
            Self::VerifyFull => None,
        }
    }
}

/// Everything a connection needs.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where; its `Debug` shows no password.
    pub url: DatabaseUrl,
    /// Overrides the URL's `sslmode`.
    pub tls: Option<TlsMode>,
    /// A PEM file of certificate authorities that are trusted besides the public ones.
    pub ca: Option<PathBuf>,
    /// Bound on connecting.
    pub connect_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

impl ConnectOptions {
    /// The authority that is named, here or in the URL.
    pub fn authority(&self) -> Option<&Path> {
        self.ca.as_deref().or(self.url.server().and_then(|server| server.ca.as_deref()))
    }
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

/// Where the database URL comes from, for credentials that change while a run lasts.
pub trait Credentials: Send + Sync {
    /// The URL as it stands there now; `None` where it cannot be had, for a reason that was told elsewhere.
    fn reload(&self) -> Pin<Box<dyn Future<Output = Option<DatabaseUrl>> + Send + '_>>;
}

/// A database that answered once. Opens sessions.
pub struct Database {
    options: Mutex<Current>,
    credentials: Option<Arc<dyn Credentials>>,
    dialect: Dialect,
    identity: Identity,
}

/// The options in force, and how often their URL was loaded again.
#[derive(Clone)]
struct Current {
    options: ConnectOptions,
    reloads: u64,
}

impl Database {
    /// Connects once, refuses servers that are too old, and reads the identity.
    pub async fn connect(options: ConnectOptions) -> Result<Self> {
        let (session, identity) = open(&options).await?;
        if let Some(weakness) = session.tls().and_then(TlsMode::weakness) {
            tracing::warn!("TLS to {} is {weakness}", options.url);
        }
        session.close().await;
        let dialect = options.url.dialect();
        Ok(Self { options: Mutex::new(Current { options, reloads: 0 }), credentials: None, dialect, identity })
    }

    /// With a source of credentials: where the server refuses those it has, a new session loads them again, once.
    pub fn with_credentials(self, credentials: Option<Arc<dyn Credentials>>) -> Self {
        Self { credentials, ..self }
    }

    /// Which engine.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Which database.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A new connection of its own.
    pub async fn session(&self) -> Result<Session> {
        let tried = self.options.lock().await.clone();
        let refused = match open(&tried.options).await {
            Err(refused @ Error::Auth { .. }) => refused,
            opened => return Ok(opened?.0),
        };
        match self.reloaded(tried.reloads).await {
            Some(options) => Ok(open(&options).await?.0),
            None => Err(refused),
        }
    }

    /// The options with credentials that are newer than the ones that were refused. Sessions that are refused at once load them once.
    async fn reloaded(&self, reloads: u64) -> Option<ConnectOptions> {
        let credentials = self.credentials.as_ref()?;
        let mut current = self.options.lock().await;
        if current.reloads == reloads {
            let url = credentials.reload().await?;
            let place =
                |url: &DatabaseUrl| (url.dialect(), url.address(), url.database().to_owned(), url.schema().to_owned());
            if place(&url) != place(&current.options.url) {
                tracing::warn!("the database URL now names another database; the run stays where it is");
                return None;
            }
            tracing::info!("the server refused the credentials; they were loaded again");
            current.options.url = url;
            current.reloads += 1;
        }
        Some(current.options.clone())
    }
}

async fn open(options: &ConnectOptions) -> Result<(Session, Identity)> {
    match options.url.sqlite_path() {
        Some(path) => {
            let (connection, identity) = sqlite::Connection::open(path, options.connect_timeout).await?;
            Ok((Session(Connection::Sqlite(connection)), identity))
        }
        None => {
            let (connection, identity) = postgres::Connection::open(options).await?;
            Ok((Session(Connection::Postgres(connection)), identity))
        }
    }
}
