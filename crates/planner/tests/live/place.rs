//! A database made for one test.
use reencrypt_db::{ConnectOptions, Database, DatabaseUrl, Dialect, Mode, Session};
use reencrypt_planner::{Configuration, Error, Finding, Keyring, Plan, Severity, SurveyOptions, draft, survey};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

const VARIABLE: &str = "REENCRYPT_TEST_POSTGRES_URL";

/// An empty database and its administrator's connection.
pub(crate) struct Place {
    admin: Admin,
    url: String,
    _folder: Option<TempDir>,
}

enum Admin {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Place {
    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("clinic.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let admin = Admin::Sqlite(SqliteConnection::connect_with(&options).await.expect("a file"));
        Self { admin, url: format!("sqlite:{}", file.display()), _folder: Some(folder) }
    }

    pub(crate) async fn postgres() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var(VARIABLE)
            .unwrap_or_else(|_| panic!("{VARIABLE} is not set: the superuser URL of a throw-away PostgreSQL server"));
        let mut maintenance = PgConnection::connect(&base).await.expect("the server");
        let name = format!("planner_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        maintenance.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.expect("a database");
        let mut url = url::Url::parse(&base).expect("a URL");
        url.set_path(&name);
        let admin = Admin::Postgres(PgConnection::connect(url.as_str()).await.expect("the new database"));
        Self { admin, url: url.into(), _folder: None }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.admin {
            Admin::Sqlite(_) => Dialect::Sqlite,
            Admin::Postgres(_) => Dialect::Postgres,
        }
    }

    /// `schema.table` as findings name it.
    pub(crate) fn named(&self, table: &str) -> String {
        match self.dialect() {
            Dialect::Sqlite => format!("main.{table}"),
            Dialect::Postgres => format!("public.{table}"),
        }
    }

    /// Runs statements as the administrator.
    pub(crate) async fn sql(&mut self, sql: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &mut self.admin {
            Admin::Sqlite(connection) => connection.execute(statement).await.map(drop),
            Admin::Postgres(connection) => connection.execute(statement).await.map(drop),
        }
        .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// A login role that may nothing.
    pub(crate) async fn role(&mut self, name: &str) -> String {
        let database = self.url.rsplit('/').next().expect("a name").to_owned();
        let role = format!("{name}_{database}");
        self.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
        role
    }

    pub(crate) async fn database(&self) -> Database {
        self.connect(&self.url).await
    }

    /// As a role sees it.
    pub(crate) async fn database_as(&self, role: &str) -> Database {
        let mut url = url::Url::parse(&self.url).expect("a URL");
        url.set_username(role).expect("a user");
        url.set_password(Some("pw")).expect("a password");
        self.connect(url.as_str()).await
    }

    /// With this parameter in the URL.
    pub(crate) async fn database_with(&self, parameter: &str) -> Database {
        self.connect(&format!("{}?{parameter}", self.url)).await
    }

    async fn connect(&self, url: &str) -> Database {
        let options = ConnectOptions {
            url: DatabaseUrl::parse(url).expect("a URL"),
            tls: None,
            ca: None,
            connect_timeout: Duration::from_secs(10),
            application_name: "reencrypt-test".to_owned(),
        };
        Database::connect(options).await.expect("the database")
    }

    pub(crate) async fn session(&self) -> Session {
        self.database().await.session().await.expect("a session")
    }

    /// The plan without a sample.
    pub(crate) async fn draft(&self, toml: &str, keys: &Keyring) -> Plan {
        let configuration = Configuration::parse(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        draft_on(&self.database().await, &configuration, keys, &[], false).await.expect("a draft")
    }

    /// The plan with a sample.
    pub(crate) async fn plan(&self, toml: &str, keys: &Keyring) -> Plan {
        self.plan_with(toml, keys, SurveyOptions::default()).await
    }

    pub(crate) async fn plan_with(&self, toml: &str, keys: &Keyring, options: SurveyOptions) -> Plan {
        let configuration = Configuration::parse(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        plan_on(&self.database().await, &configuration, keys, options).await
    }
}

pub(crate) async fn draft_on(
    database: &Database,
    configuration: &Configuration,
    keys: &Keyring,
    tables: &[String],
    for_run: bool,
) -> Result<Plan, Error> {
    let mut session = database.session().await.expect("a session");
    let mut tx = session.begin(Mode::Read).await.expect("a transaction");
    let plan = draft(&mut tx, database.identity(), configuration, keys, tables, for_run).await;
    tx.rollback().await.expect("the end");
    plan
}

pub(crate) async fn plan_on(
    database: &Database,
    configuration: &Configuration,
    keys: &Keyring,
    options: SurveyOptions,
) -> Plan {
    let mut plan = draft_on(database, configuration, keys, &[], false).await.expect("a draft");
    let mut session = database.session().await.expect("a session");
    let pool = Arc::new(reencrypt_crypto::Pool::new(2));
    survey(&mut session, &mut plan, configuration, keys, &pool, options, &|_, _| 0).await.expect("a survey");
    plan
}

/// A configuration that names one column.
pub(crate) fn named_only(table: &str, column: &str) -> Configuration {
    let text = format!("[[table]]\nname = \"{table}\"\n[table.columns]\n{column} = \"gcm-triple-b64-iv16\"\n");
    Configuration::parse(&text).expect("a configuration")
}

/// The findings of a code, as `severity column`.
pub(crate) fn found(plan: &Plan, code: &str) -> Vec<(Severity, Option<String>)> {
    of(&plan.findings, code).iter().map(|finding| (finding.severity, finding.column.clone())).collect()
}

pub(crate) fn of<'a>(findings: &'a [Finding], code: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|finding| finding.code == code).collect()
}

/// The only finding of a code.
#[track_caller]
pub(crate) fn only<'a>(findings: &'a [Finding], code: &str) -> &'a Finding {
    match of(findings, code).as_slice() {
        [finding] => finding,
        _ => panic!("not one {code}: {findings:#?}"),
    }
}
