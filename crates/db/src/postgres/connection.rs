//! One connection: opening it, the deadline over each of its calls, and the transaction that is open on it.
use super::{
    begin::{READ_DEADLINE_MS, READ_STATEMENT_MS, begin},
    copy::Tuples,
    failure,
    rows::Cells,
    wire::Parameters,
};
use crate::{
    Condition, ConnectOptions, Error, Identity, Mode, Result, TlsMode,
    identifier::shown,
    url::{Host, Server},
};
use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Either, Executor,
    postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode},
};
use std::{ops::Range, path::Path, time::Duration};

/// The oldest server whose catalog and heap scans the statements are written for.
const VERSION_MIN: u32 = 140_000;
const CLOSE: Duration = Duration::from_secs(1);

/// A connection with at most one transaction open.
pub(crate) struct Connection {
    /// Taken out for the time of each call: a call that is dropped or runs out of time drops the connection with it.
    link: Option<PgConnection>,
    state: State,
    pid: i64,
    /// For example 150018.
    version: u32,
    /// The mode in force, where the way leaves this machine.
    tls: Option<TlsMode>,
    /// As the URL says it.
    schema: Option<String>,
    deadline: Duration,
    /// The server's own limit in the open transaction.
    statement_timeout_ms: u64,
    /// What reads are cut down to after one that was too large.
    pub(crate) batch_rows_max: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Open,
    /// A statement failed: the server takes no more of them.
    Failed,
}

/// What a statement brought.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Without a bound.
    pub(crate) rows: Vec<PgRow>,
    /// With one.
    pub(crate) cells: Cells,
    /// Of each row of `cells` the bytes that the bound counts.
    pub(crate) lengths: Vec<u32>,
    pub(crate) affected: u64,
    /// The rows are not all of them: their bytes reached the bound.
    pub(crate) cut: bool,
}

/// A bound on the bytes of an answer, counted over some of its columns.
#[derive(Clone)]
pub(crate) struct Bound {
    pub(crate) columns: Range<usize>,
    pub(crate) bytes_max: usize,
}

impl Connection {
    /// Connects and says which database it is.
    pub(crate) async fn open(options: &ConnectOptions) -> Result<(Self, Identity)> {
        let server = options.url.server().ok_or(crate::UrlError::Scheme)?;
        let ca = options.authority();
        let tls = match server.tls(options.tls) {
            // As with libpq, an authority that was named is meant to be used.
            TlsMode::Require if ca.is_some() => TlsMode::VerifyCa,
            mode => mode,
        };
        refuse_environment(|name| std::env::var_os(name).is_some(), server, tls)?;
        check_tls(server, tls, ca)?;
        let limit = server.connect_timeout.unwrap_or(options.connect_timeout);
        let link = connect(server, driver_options(options, server, tls, ca), limit).await?;
        let version = link.server_version_num().unwrap_or(0);
        refuse_old(version)?;
        let mut connection = Self {
            link: Some(link),
            state: State::Idle,
            pid: 0,
            version,
            tls: (!options.url.is_local()).then_some(tls),
            schema: server.schema.clone(),
            deadline: limit,
            statement_timeout_ms: READ_STATEMENT_MS,
            batch_rows_max: u32::MAX,
        };
        let system = connection.greet().await?;
        Ok((connection, Identity { address: server.address(), database: server.database.clone(), system }))
    }

    pub(crate) fn pid(&self) -> i64 {
        self.pid
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn tls(&self) -> Option<TlsMode> {
        self.tls
    }

    pub(crate) fn url_schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.link.is_some()
    }

    pub(crate) async fn close(mut self) {
        if let Some(link) = self.link.take() {
            // A server that does not take the goodbye notices the closed socket.
            let _ = tokio::time::timeout(CLOSE, link.close()).await;
        }
    }

    pub(crate) async fn begin(&mut self, mode: Mode<'_>) -> Result<()> {
        let (statement_timeout_ms, deadline_ms) = match mode {
            Mode::Write(limits) => (limits.statement_timeout_ms.into(), limits.deadline_ms.into()),
            Mode::Read | Mode::Snapshot(_) => (READ_STATEMENT_MS, READ_DEADLINE_MS),
        };
        self.statement_timeout_ms = statement_timeout_ms;
        self.deadline = Duration::from_millis(deadline_ms);
        let sql = begin(&mode, self.state != State::Idle, self.version);
        // Until all of it succeeded, the next one has something to roll back.
        self.state = State::Failed;
        let begun = self.run("beginning a transaction", &sql, None, None).await;
        let outcome = begun.map_err(|error| match mode {
            Mode::Snapshot(Some(_)) => snapshot_lost(error),
            _ => error,
        })?;
        if let Some(pid) = outcome.rows.first().and_then(|row| super::rows::value(row, 0)) {
            self.pid = std::str::from_utf8(pid).ok().and_then(|text| text.parse().ok()).unwrap_or(self.pid);
        }
        self.state = State::Open;
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        if self.state == State::Failed {
            self.rollback().await?;
            return Err(Error::Aborted);
        }
        self.run("committing", "COMMIT", None, None).await.map_err(failure::commit)?;
        self.state = State::Idle;
        Ok(())
    }

    pub(crate) async fn rollback(&mut self) -> Result<()> {
        self.run("rolling back", "ROLLBACK", None, None).await?;
        self.state = State::Idle;
        Ok(())
    }

    /// Statements without parameters, in one round trip. Values come back as text.
    pub(crate) async fn simple(&mut self, doing: &'static str, sql: &str) -> Result<Vec<PgRow>> {
        Ok(self.run(doing, sql, None, None).await?.rows)
    }

    /// One statement with parameters, all of its rows.
    pub(crate) async fn query(&mut self, doing: &'static str, sql: &str, with: Parameters) -> Result<Vec<PgRow>> {
        Ok(self.run(doing, sql, Some(with), None).await?.rows)
    }

    /// A statement that may take longer than its transaction's others.
    pub(crate) async fn query_within(&mut self, doing: &'static str, sql: &str, limit: Duration) -> Result<Vec<PgRow>> {
        self.simple(doing, &format!("SET LOCAL statement_timeout = {}", limit.as_millis())).await?;
        let usual = std::mem::replace(&mut self.deadline, limit + CLOSE);
        let outcome = self.run(doing, sql, Some(Parameters::default()), None).await;
        self.deadline = usual;
        let rows = outcome?.rows;
        self.simple(doing, &format!("SET LOCAL statement_timeout = {}", self.statement_timeout_ms)).await?;
        Ok(rows)
    }

    /// One statement with parameters, of whose rows only so many come that a bound in bytes is reached.
    pub(crate) async fn query_bounded(
        &mut self,
        doing: &'static str,
        sql: &str,
        with: Parameters,
        bound: Bound,
    ) -> Result<Outcome> {
        self.run(doing, sql, Some(with), Some(bound)).await
    }

    /// A statement without parameters whose rows, of so many columns, come in the form of `COPY`, at a fraction of the driver's cost for a row of its own. Rows past the
    /// bound are thrown away. The driver loses its place where this fails, so that the connection goes with the error.
    pub(crate) async fn copy_bounded(
        &mut self,
        doing: &'static str,
        sql: &str,
        columns: usize,
        bound: Bound,
    ) -> Result<Outcome> {
        let sql = format!("COPY ({sql}) TO STDOUT (FORMAT binary)");
        let mut link = self.link.take().ok_or_else(|| closed(doing))?;
        match tokio::time::timeout(self.deadline, copy(&mut link, &sql, columns, bound)).await {
            Ok(Ok(outcome)) => {
                self.link = Some(link);
                Ok(outcome)
            }
            Ok(Err(error)) => Err(failure::statement(doing, error).0),
            Err(_) => Err(Error::Deadline { doing, limit_ms: self.deadline.as_millis() as u64 }),
        }
    }

    /// One statement with parameters, for the number of rows it touched.
    pub(crate) async fn affected(&mut self, doing: &'static str, sql: &str, with: Parameters) -> Result<u64> {
        Ok(self.run(doing, sql, Some(with), None).await?.affected)
    }

    /// The one place where something is sent. Past the deadline, or when this future is dropped, the connection goes with it.
    async fn run(
        &mut self,
        doing: &'static str,
        sql: &str,
        with: Option<Parameters>,
        bound: Option<Bound>,
    ) -> Result<Outcome> {
        let mut link = self.link.take().ok_or_else(|| closed(doing))?;
        let ended = tokio::time::timeout(self.deadline, collect(&mut link, sql, with, bound)).await;
        match ended {
            Ok(Ok(outcome)) => {
                self.link = Some(link);
                Ok(outcome)
            }
            Ok(Err(error)) => {
                let (error, survives) = failure::statement(doing, error);
                self.link = survives.then_some(link);
                self.state = State::Failed;
                Err(error)
            }
            Err(_) => Err(Error::Deadline { doing, limit_ms: self.deadline.as_millis() as u64 }),
        }
    }

    /// Reads what identifies the database, and lets the driver look up the types that it does not know, so that it need not do so in the middle of a statement.
    async fn greet(&mut self) -> Result<String> {
        self.begin(Mode::Read).await?;
        self.query("learning types", "SELECT $1, $2, $3", Parameters::default().looked_up()).await?;
        let readable = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'), \
             (SELECT oid::pg_catalog.text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
        let rows = self.simple("identifying the database", readable).await?;
        let text = |rows: &[PgRow], column| {
            let value = rows.first().and_then(|row| super::rows::value(row, column)).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        let (readable, oid) = (text(&rows, 0) == "t", text(&rows, 1));
        let mut system = String::new();
        if readable {
            let sql = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()";
            system = text(&self.simple("identifying the database", sql).await?, 0);
        }
        self.commit().await?;
        Ok(format!("{system}/{oid}"))
    }
}

fn closed(doing: &'static str) -> Error {
    Error::Lost { doing, reason: "it was closed before".to_owned() }
}

/// The end of the stream is always read: what is left of it would be taken for the answer to the next statement.
async fn copy(link: &mut PgConnection, sql: &str, columns: usize, bound: Bound) -> Result<Outcome, sqlx::Error> {
    let mut stream = link.copy_out_raw(sql).await?;
    let mut tuples = Tuples::new(columns);
    let (mut outcome, mut bytes) = (Outcome { cells: Cells::of(columns), ..Outcome::default() }, 0);
    while let Some(piece) = stream.try_next().await? {
        tuples.take(&piece, |tuple| {
            if outcome.cut {
                return;
            }
            let length = outcome.cells.push_tuple(tuple, &bound.columns);
            bytes += length;
            outcome.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
            outcome.cut = bytes >= bound.bytes_max;
        })?;
    }
    tuples.end()?;
    Ok(outcome)
}

async fn collect(
    link: &mut PgConnection,
    sql: &str,
    with: Option<Parameters>,
    bound: Option<Bound>,
) -> Result<Outcome, sqlx::Error> {
    // Statements are built from quoted identifiers, numbers and fixed text; values travel as parameters.
    let sql = AssertSqlSafe(sql.to_owned());
    let mut stream = match with {
        Some(with) => link.fetch_many(sqlx::query_with(sql, with.into_arguments()?).persistent(false)),
        None => link.fetch_many(sqlx::raw_sql(sql)),
    };
    let mut outcome = Outcome::default();
    let mut bytes = 0;
    while let Some(item) = stream.try_next().await? {
        match item {
            Either::Left(done) => outcome.affected += done.rows_affected(),
            Either::Right(row) => {
                let Some(bound) = &bound else {
                    outcome.rows.push(row);
                    continue;
                };
                let length = outcome.cells.push(&row, &bound.columns);
                bytes += length;
                outcome.lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
                outcome.cut = bytes >= bound.bytes_max;
                if outcome.cut {
                    // What the server still sends is skipped before the next statement.
                    break;
                }
            }
        }
    }
    Ok(outcome)
}

async fn connect(server: &Server, driver: PgConnectOptions, limit: Duration) -> Result<PgConnection> {
    match tokio::time::timeout(limit, driver.connect()).await {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(error)) => Err(failure::connecting(&server.address(), &server.user, &server.database, error)),
        Err(_) => {
            let reason = format!("no answer within {} ms", limit.as_millis());
            Err(Error::Unreachable { address: server.address(), reason })
        }
    }
}

fn refuse_old(version: u32) -> Result<()> {
    if version >= VERSION_MIN {
        return Ok(());
    }
    Err(Error::TooOld { version: format!("{}.{}", version / 10_000, version % 10_000), minimum: "14" })
}

/// What can be said about TLS before connecting.
fn check_tls(server: &Server, tls: TlsMode, ca: Option<&Path>) -> Result<()> {
    let refused = |reason| Err(Error::Tls { address: server.address(), reason });
    if server.channel_binding && tls != TlsMode::VerifyFull {
        return refused("channel_binding=require needs sslmode=verify-full here".to_owned());
    }
    if tls == TlsMode::Disable {
        return Ok(());
    }
    for path in [ca, server.client_certificate.as_deref(), server.client_key.as_deref()].into_iter().flatten() {
        if let Err(error) = std::fs::File::open(path) {
            return refused(format!("{}: {error}", shown(&path.display().to_string())));
        }
    }
    Ok(())
}

/// The driver reads some variables that cannot be overridden by saying otherwise.
fn refuse_environment(is_set: impl Fn(&str) -> bool, server: &Server, tls: TlsMode) -> Result<()> {
    if is_set("PGOPTIONS") {
        let reason = "settings of a session do not survive a pooler";
        return Err(Error::Environment { name: "PGOPTIONS", reason });
    }
    let certificate = ["PGSSLCERT", "PGSSLKEY"].into_iter().find(|name| is_set(name));
    match certificate {
        Some(name) if tls != TlsMode::Disable && server.client_key.is_none() => {
            Err(Error::Environment { name, reason: "it adds a client certificate that the database URL does not name" })
        }
        _ => Ok(()),
    }
}

/// Everything is said, so that no environment variable and no password file decides.
fn driver_options(options: &ConnectOptions, server: &Server, tls: TlsMode, ca: Option<&Path>) -> PgConnectOptions {
    let mode = match tls {
        TlsMode::Disable => PgSslMode::Disable,
        TlsMode::Require => PgSslMode::Require,
        TlsMode::VerifyCa => PgSslMode::VerifyCa,
        TlsMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let mut driver = PgConnectOptions::new_without_pgpass()
        .port(server.port)
        .username(&server.user)
        .password(server.password.as_ref().map_or("", |password| password.as_str()))
        .database(&server.database)
        .application_name(server.application_name.as_deref().unwrap_or(&options.application_name))
        .ssl_mode(mode)
        .statement_cache_capacity(0)
        .extra_float_digits(None)
        .disable_statement_logging();
    driver = match &server.host {
        Host::Name(name) => driver.host(name),
        Host::Socket(folder) => driver.socket(folder),
    };
    driver = match ca {
        Some(path) => driver.ssl_root_cert(path),
        None => driver.ssl_root_cert_from_pem(Vec::new()),
    };
    if let (Some(certificate), Some(key)) = (&server.client_certificate, &server.client_key) {
        driver = driver.ssl_client_cert(certificate).ssl_client_key(key);
    }
    driver
}

/// A snapshot that cannot be imported is gone, in whatever words of the versions.
fn snapshot_lost(error: Error) -> Error {
    match error {
        Error::Statement { doing, state, object, .. } if ["22023", "42704", "55000"].contains(&state.as_str()) => {
            Error::Statement { doing, condition: Condition::SnapshotLost, state, object }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DatabaseUrl;

    #[test]
    fn servers_before_14_are_refused_by_their_version() {
        assert!(refuse_old(140_000).is_ok() && refuse_old(180_001).is_ok());
        let error = refuse_old(130_021).expect_err("too old");
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("server_too_old", "server version 13.21 is too old: 14 or later is needed")
        );
    }

    #[test]
    fn a_named_file_that_cannot_be_read_is_told_before_connecting() {
        let url = DatabaseUrl::parse("postgres://app@db.example/x").expect("a URL");
        let server = url.server().expect("a server");
        let missing = Some(Path::new("/no/such/ca.pem"));
        assert_eq!(check_tls(server, TlsMode::VerifyFull, missing).expect_err("no file").code(), "database_tls");
        assert!(
            check_tls(server, TlsMode::Disable, missing).is_ok()
                && check_tls(server, TlsMode::VerifyFull, None).is_ok()
        );
    }

    #[test]
    fn variables_that_would_change_the_connection_are_refused() {
        let refused = |url: &str, set: &'static [&'static str]| {
            let url = DatabaseUrl::parse(url).expect("a URL");
            let server = url.server().expect("a server");
            refuse_environment(|name| set.contains(&name), server, server.tls(None)).is_err()
        };
        let (remote, local) = ("postgres://app@db.example/x", "postgres://app@localhost/x");
        assert!(!refused(remote, &["PGHOST", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"]));
        assert!(refused(remote, &["PGOPTIONS"]) && refused(local, &["PGOPTIONS"]));
        assert!(refused(remote, &["PGSSLKEY"]) && !refused(local, &["PGSSLKEY"]));
        assert!(!refused("postgres://app@db.example/x?sslcert=/c.pem&sslkey=/k.pem", &["PGSSLCERT", "PGSSLKEY"]));
    }
}
