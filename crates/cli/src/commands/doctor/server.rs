//! The database: reached, how, and what this role may do on it.
use super::{Check, findings, room};
use crate::{arguments::Purpose, failure::Failure, settings::Settings};
use reencrypt_crypto::Pool;
use reencrypt_db::{Database, Dialect, Mode, Server, Session, TlsMode, typed};
use reencrypt_engine::judge_past;
use reencrypt_planner::{Configuration, Discovery, Keyring, Plan, discover, draft};
use std::sync::Arc;

/// Values of each column that are tried where no table is configured.
const DISCOVERY_SAMPLE: u32 = 100;
/// A transaction that is open for longer is told, in seconds.
const TRANSACTION_AGE_WARN_S: u64 = 300;
/// A run has two workers and a connection that asks for its state.
const CONNECTIONS_MIN: u32 = 4;

/// Every check that needs the database. Without it there is one line, which says why.
pub(super) async fn examine(settings: &Settings, keys: &Keyring, purpose: Purpose) -> Result<Vec<Check>, Failure> {
    let options = async {
        let url = settings.sources().load_text("database.url", &settings.database_url()?).await?;
        settings.connect_options(&url)
    };
    let Ok(options) = options.await else {
        // The line of the database URL says what is wrong.
        return Ok(Vec::new());
    };
    let file = options.url.sqlite_path().map(std::path::Path::to_owned);
    let shown = options.url.to_string();
    let database = match Database::connect(options.clone()).await {
        Ok(database) => database,
        Err(e) => return Ok(vec![Check::failed("database", e.into())]),
    };
    let mut checks = vec![Check::pass("database", format!("reached {shown}"))];
    match look(settings, &database, keys, purpose).await {
        Ok((server, plan)) => {
            if database.dialect() == Dialect::Postgres {
                checks.push(tls(server.tls, options.authority().is_some()));
            }
            checks.push(version(&server, database.dialect()));
            checks.extend(findings::checks(&plan, &server, database.dialect()));
            checks.extend(transactions(&server, database.dialect(), purpose));
            checks.extend((!plan.tables.is_empty()).then(|| room::examine(file.as_deref(), &plan.estimate)));
        }
        Err(failure) => checks.push(Check::failed("server", failure)),
    }
    Ok(checks)
}

/// The server's state and a plan, which has everything to say about the tables. What stands in the way of the tables is said among the rest.
async fn look(
    settings: &Settings,
    database: &Database,
    keys: &Keyring,
    purpose: Purpose,
) -> Result<(Server, Plan), Failure> {
    let mut session = database.session().await?;
    let mut tx = session.begin(Mode::Read).await?;
    let server = tx.server().await?;
    tx.commit().await?;
    let for_run = purpose == Purpose::Run;
    let planned = async {
        let found = found(settings, &mut session, keys).await?;
        plan_of(settings, database, &mut session, keys, found, for_run).await
    };
    let plan = match planned.await {
        Ok(plan) => plan,
        Err(failure) => {
            let rest = Discovery { tables: Vec::new(), findings: vec![failure.finding()] };
            let rest = plan_of(settings, database, &mut session, keys, rest, for_run).await;
            // What was met first says more.
            rest.map_err(|_| failure)?
        }
    };
    session.close().await;
    Ok((server, plan))
}

/// The plan of what was found, with what earlier runs have to say.
async fn plan_of(
    settings: &Settings,
    database: &Database,
    session: &mut Session,
    keys: &Keyring,
    Discovery { tables, findings }: Discovery,
    for_run: bool,
) -> Result<Plan, Failure> {
    let configuration = Configuration { tables, ..settings.configuration.clone() };
    let mut tx = session.begin(Mode::Read).await?;
    let mut plan = draft(&mut tx, database.identity(), &configuration, keys, &[], for_run).await?;
    tx.rollback().await?;
    judge_past(session, &mut plan, &configuration, keys).await?;
    plan.findings.extend(findings);
    Ok(plan)
}

/// The configured tables, or those that the keys find where none is configured, with what discovery has to say.
async fn found(settings: &Settings, session: &mut Session, keys: &Keyring) -> Result<Discovery, Failure> {
    let tables = settings.configuration.tables.clone();
    let any_key = keys.values().any(|pair| pair.old.is_some() || pair.new.is_some());
    if !tables.is_empty() || !any_key {
        return Ok(Discovery { tables, findings: Vec::new() });
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(discover(session, keys, &Arc::new(Pool::new(threads)), DISCOVERY_SAMPLE).await?)
}

/// How the way to the server is protected, where it leaves this machine.
fn tls(mode: Option<TlsMode>, has_ca: bool) -> Check {
    let name = "tls";
    let Some(mode) = mode else {
        return Check::pass(name, "the way to the server does not leave this machine");
    };
    let Some(weakness) = mode.weakness() else {
        let roots = if has_ca { "the configured authority and the public ones" } else { "the public authorities" };
        return Check::pass(name, format!("verify-full: certificate and host name are verified against {roots}"));
    };
    let hint =
        "leave `tls` and `sslmode` away (the default verifies), and name the authority: [database] ca = \"file:PATH\"";
    match mode {
        TlsMode::Disable => Check::fail(name, weakness, hint),
        _ => Check::warn(name, weakness, hint),
    }
}

/// Who answers, and whether there is room for a run's connections.
fn version(server: &Server, dialect: Dialect) -> Check {
    if dialect == Dialect::Sqlite {
        return Check::pass("server", format!("SQLite {}", server.version));
    }
    let what = format!(
        "PostgreSQL {} as role {}, {} connection(s) free",
        server.version,
        typed(&server.role),
        server.free_connections
    );
    match server.free_connections {
        free if free < CONNECTIONS_MIN => Check::fail(
            "server",
            format!("{what}: a run needs {CONNECTIONS_MIN}"),
            "close idle sessions of the application, or raise max_connections (or the role's CONNECTION LIMIT)",
        ),
        _ => Check::pass("server", what),
    }
}

/// Transactions that are open for long: `verify` waits for them, and rows that they wrote are locked.
fn transactions(server: &Server, dialect: Dialect, purpose: Purpose) -> Option<Check> {
    if dialect == Dialect::Sqlite || server.oldest_snapshot_s.is_some_and(|age| age >= TRANSACTION_AGE_WARN_S) {
        // A held snapshot has its own line.
        return None;
    }
    let name = "transactions";
    if let Some(age) = server.oldest_transaction_s.filter(|&age| age >= TRANSACTION_AGE_WARN_S) {
        let why = match purpose {
            Purpose::Run | Purpose::Plan => "rows that it wrote are locked for a run, and verify waits for it",
            Purpose::Verify => "verify waits for it",
        };
        let told = format!("a transaction has been open for {age} s: {why}");
        return Some(Check::warn(name, told, findings::END_TRANSACTION));
    }
    Some(match server.sees_transactions {
        true => Check::pass(name, format!("none has been open for {TRANSACTION_AGE_WARN_S} s")),
        false => Check::warn(
            name,
            format!("the role {} cannot see how long the transactions of others have been open", typed(&server.role)),
            format!("`GRANT pg_read_all_stats TO {};`", typed(&server.role)),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn server() -> Server {
        Server {
            version: "15.18".into(),
            read_only: false,
            standby: false,
            role: "ro\"le".into(),
            bypasses_row_security: false,
            free_connections: 50,
            store_exists: true,
            store_grants: reencrypt_db::StoreGrants::default(),
            standbys: 0,
            oldest_snapshot_s: None,
            oldest_transaction_s: None,
            sees_transactions: true,
            tls: None,
            idle_slots: 0,
            deadlock_timeout_ms: Some(1000),
        }
    }

    #[test]
    fn an_unprotected_way_through_a_network_fails_and_a_weak_one_is_told() {
        let status = |mode| tls(mode, false).status;
        assert_eq!((status(Some(TlsMode::VerifyFull)), status(None)), (Status::Pass, Status::Pass));
        assert_eq!((status(Some(TlsMode::VerifyCa)), status(Some(TlsMode::Require))), (Status::Warn, Status::Warn));
        let bare = tls(Some(TlsMode::Disable), false);
        assert_eq!(bare.status, Status::Fail);
        assert!(bare.hint.is_some_and(|hint| hint.contains("[database] ca")));
    }

    #[test]
    fn a_full_server_fails() {
        assert_eq!(version(&server(), Dialect::Postgres).status, Status::Pass);
        let full = Server { free_connections: 3, ..server() };
        assert_eq!(version(&full, Dialect::Postgres).status, Status::Fail);
        assert_eq!(version(&full, Dialect::Sqlite).status, Status::Pass);
    }

    #[test]
    fn long_transactions_are_told_and_so_is_that_none_can_be_seen() {
        let told = |server: Server| {
            transactions(&server, Dialect::Postgres, Purpose::Run).map(|check| (check.status, check.hint))
        };
        assert_eq!(told(server()), Some((Status::Pass, None)));
        let old = Server { oldest_transaction_s: Some(300), ..server() };
        assert!(told(old).is_some_and(
            |(status, hint)| status == Status::Warn && hint.is_some_and(|hint| hint.contains("pg_stat_activity"))
        ));
        let blind = Server { sees_transactions: false, ..server() };
        assert_eq!(told(blind), Some((Status::Warn, Some("`GRANT pg_read_all_stats TO \"ro\"\"le\";`".to_owned()))));
        let held = Server { oldest_snapshot_s: Some(300), ..server() };
        assert_eq!(told(held), None);
    }
}
