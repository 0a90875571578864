//! Databases on the throw-away cluster, with roles as limited as those that operators should use.
use crate::{COLUMNS, Patient, Random, Seeding, seeding::is_nullable};
use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode},
};
use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const PASSWORD: &str = "throwaway-password-of-a-role";

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// SELECT on the table, and nothing else
    Read,
    /// SELECT on the table, UPDATE on the encrypted columns and hashes, and a schema of its own
    Run,
    /// the application: all of it may be read and written
    Application,
    /// the cluster's superuser, who owns the table
    Owner,
}

/// A database of its own; dropped with its roles when it goes.
pub struct Postgres {
    name: String,
    /// its roles are shared by its copies
    roles: Arc<Roles>,
    /// replaced when a copy is made, since a template must have no connections
    pool: Mutex<PgPool>,
    seeding: Seeding,
}

/// Login roles, which belong to the cluster.
struct Roles(String);

impl Postgres {
    /// A database with the Patient table, these patients in it, and the roles.
    pub async fn seeded(seeding: &Seeding) -> Self {
        let name = fresh_name();
        let mut cluster = cluster().await;
        run(&mut cluster, &format!("CREATE DATABASE {name}")).await;
        let roles = Roles(name.clone());
        for role in [Role::Read, Role::Run, Role::Application] {
            run(&mut cluster, &format!("CREATE ROLE {} LOGIN PASSWORD '{PASSWORD}'", roles.name(role))).await;
        }
        let db = Self { pool: Mutex::new(pool(&name)), name, roles: Arc::new(roles), seeding: seeding.clone() };
        db.execute(&db.schema()).await;
        db.fill().await;
        db
    }

    /// A copy of it as it stands, with the same roles.
    pub async fn copy(&self) -> Self {
        let used = std::mem::replace(&mut *self.pool.lock().expect("no panic under the lock"), pool(&self.name));
        used.close().await;
        let name = fresh_name();
        let mut cluster = cluster().await;
        run(&mut cluster, &format!("CREATE DATABASE {name} TEMPLATE {}", self.name)).await;
        Self { pool: Mutex::new(pool(&name)), name, roles: self.roles.clone(), seeding: self.seeding.clone() }
    }

    /// The URL by which a role connects.
    pub fn url(&self, role: Role) -> String {
        let cluster = cluster_options();
        let (host, port) = (cluster.get_host(), cluster.get_port());
        match role {
            Role::Owner => owner_url(&self.name),
            role => format!("postgres://{}:{PASSWORD}@{host}:{port}/{}", self.roles.name(role), self.name),
        }
    }

    /// The URL by which a role connects to another address, such as a proxy's.
    pub fn url_at(&self, role: Role, port: u16) -> String {
        format!("postgres://{}:{PASSWORD}@127.0.0.1:{port}/{}", self.role(role), self.name)
    }

    /// Where the cluster listens.
    pub fn address(&self) -> (String, u16) {
        let cluster = cluster_options();
        (cluster.get_host().to_owned(), cluster.get_port())
    }

    /// The role's name.
    pub fn role(&self, role: Role) -> String {
        self.roles.name(role)
    }

    /// The password in every URL but the owner's.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The owner's password.
    pub(crate) fn owner_password(&self) -> String {
        let url = owner_url(&self.name);
        let credentials =
            url.split("//").nth(1).and_then(|rest| rest.split('@').next()).expect("a user and a password");
        credentials.split_once(':').expect("a password").1.to_owned()
    }

    /// A connection of its own.
    pub async fn connect(&self, role: Role) -> PgConnection {
        connect(&self.url(role)).await
    }

    /// The same at another address.
    pub async fn connect_at(&self, role: Role, port: u16) -> PgConnection {
        connect(&self.url_at(role, port)).await
    }

    /// Gives the cluster a certificate, for all that ask for TLS from now on; who does not is served as before. Certificate and key are PEM.
    pub async fn serve_tls(&self, certificate: &str, key: &str) {
        for (file, pem) in [("throw-away.crt", certificate), ("throw-away.key", key)] {
            let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", pem.trim_end());
            self.execute(&format!("COPY ({lines}) TO PROGRAM 'umask 077; cat > {file}'")).await;
        }
        for (setting, value) in [("ssl_cert_file", "throw-away.crt"), ("ssl_key_file", "throw-away.key"), ("ssl", "on")]
        {
            self.execute(&format!("ALTER SYSTEM SET {setting} = '{value}'")).await;
        }
        self.execute("SELECT pg_reload_conf()").await;
        let asking = cluster_options().ssl_mode(PgSslMode::Require);
        for _ in 0..200 {
            if PgConnection::connect_with(&asking).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the cluster does not speak TLS: see its log");
    }

    /// Runs statements as the owner.
    pub async fn execute(&self, sql: &str) {
        self.pool()
            .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
            .await
            .unwrap_or_else(|e| panic!("{e}\nin {sql}"));
    }

    /// Runs statements as the owner; the error's text if they fail.
    pub async fn try_number(&self, sql: &str) -> Result<i64, String> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool()).await.map_err(|e| e.to_string())
    }

    /// A number.
    pub async fn number(&self, sql: &str) -> i64 {
        self.try_number(sql).await.unwrap_or_else(|e| panic!("{e}\nin {sql}"))
    }

    /// Two numbers, or nothing while the tables are not there yet.
    pub(crate) async fn pair(&self, sql: &str) -> Option<(i64, i64)> {
        sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool()).await.ok()
    }

    /// Texts of one column.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        let texts = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&self.pool()).await;
        texts.unwrap_or_else(|e| panic!("{e}\nin {sql}"))
    }

    /// Every row, by number.
    pub async fn patients(&self) -> Vec<Patient> {
        let mut patients = Vec::new();
        self.for_each_patient(|patient| patients.push(patient)).await;
        patients
    }

    /// Every row, by number, one after the other.
    pub async fn for_each_patient(&self, mut see: impl FnMut(Patient)) {
        let columns = encrypted_columns();
        let targets =
            COLUMNS.iter().chain(&["emailHash", "dobHash"]).map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            r#"SELECT "patientNumber", {columns}, "emailHash", "dobHash", (to_jsonb(t) - ARRAY[{targets}])::text FROM "Patient" t ORDER BY "patientNumber""#
        );
        let pool = self.pool();
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&pool);
        while let Some(row) = rows.try_next().await.expect("the table can be read") {
            see(patient(&row));
        }
    }

    /// Everything in the tool's schema, as text.
    pub async fn store_dump(&self) -> String {
        let mut dump = String::new();
        let tables = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'reencrypt' ORDER BY 1";
        for table in self.texts(tables).await.into_iter().flatten() {
            let rows = self.texts(&format!("SELECT t::text FROM reencrypt.{table} t ORDER BY 1")).await;
            let _ = writeln!(dump, "{table}");
            rows.into_iter().flatten().for_each(|row| dump.push_str(&(row + "\n")));
        }
        dump
    }

    fn pool(&self) -> PgPool {
        self.pool.lock().expect("no panic under the lock").clone()
    }

    fn schema(&self) -> String {
        let key_columns = self.seeding.row_key.postgres_columns();
        let key: Vec<_> = self.seeding.row_key.columns().iter().map(|c| format!("\"{c}\"")).collect();
        let encrypted: String = COLUMNS
            .iter()
            .enumerate()
            .map(|(n, column)| format!("\"{column}\" text{},\n", if is_nullable(n) { "" } else { " NOT NULL" }))
            .collect();
        let (read, run, application) = (self.role(Role::Read), self.role(Role::Run), self.role(Role::Application));
        format!(
            r#"
            REVOKE CREATE ON SCHEMA public FROM PUBLIC;
            CREATE TABLE "Patient" (
                {key_columns},
                "patientNumber" bigint NOT NULL,
                "clinicId" integer NOT NULL,
                {encrypted}
                "emailHash" text,
                "dobHash" text,
                "gender" text NOT NULL DEFAULT 'unspecified',
                "searchIndex" text,
                "tags" jsonb,
                "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
                "updatedAt" timestamp(3) NOT NULL,
                CONSTRAINT "Patient_pkey" PRIMARY KEY ({})
            );
            CREATE INDEX "Patient_clinicId_emailHash_dobHash_idx" ON "Patient" ("clinicId", "emailHash", "dobHash");
            GRANT SELECT ON "Patient" TO {read}, {run};
            GRANT UPDATE ({}, "emailHash", "dobHash") ON "Patient" TO {run};
            GRANT SELECT, INSERT, UPDATE, DELETE ON "Patient" TO {application};
            CREATE SCHEMA reencrypt AUTHORIZATION {run};
            "#,
            key.join(", "),
            encrypted_columns(),
        )
    }

    async fn fill(&self) {
        let random = Random::of_test("seeding");
        let key: Vec<_> = self.seeding.row_key.columns().iter().map(|c| format!("\"{c}\"")).collect();
        let into = format!(
            r#"COPY "Patient" ({}, "patientNumber", "clinicId", {}, "emailHash", "dobHash", "tags", "createdAt", "updatedAt") FROM STDIN"#,
            key.join(", "),
            encrypted_columns()
        );
        let mut connection = self.pool().acquire().await.expect("a connection");
        let mut copy = connection.copy_in_raw(&into).await.expect("COPY begins");
        let mut lines = String::new();
        for patient in self.seeding.patients(&random) {
            let key = self.seeding.row_key.of(patient.number);
            key.iter().for_each(|part| field(&mut lines, Some(part)));
            field(&mut lines, Some(&patient.number.to_string()));
            field(&mut lines, Some(&(patient.number % 7).to_string()));
            patient.values.iter().for_each(|value| field(&mut lines, value.as_deref()));
            field(&mut lines, patient.email_hash.as_deref());
            field(&mut lines, patient.dob_hash.as_deref());
            field(&mut lines, Some(&format!("{{\"n\": {}}}", patient.number)));
            lines.push_str("2023-01-02 03:04:05.678\t2024-05-06 07:08:09.012\n");
            if lines.len() > 1 << 20 {
                copy.send(lines.as_bytes()).await.expect("COPY goes on");
                lines.clear();
            }
        }
        copy.send(lines.as_bytes()).await.expect("COPY goes on");
        copy.finish().await.expect("COPY ends");
        drop(connection);
        self.execute(r#"ANALYZE "Patient""#).await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let name = self.name.clone();
        apart(async move {
            let mut cluster = cluster().await;
            run(&mut cluster, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        });
    }
}

impl Roles {
    fn name(&self, role: Role) -> String {
        match role {
            Role::Read => format!("{}_read", self.0),
            Role::Run => format!("{}_run", self.0),
            Role::Application => format!("{}_app", self.0),
            Role::Owner => cluster_options().get_username().to_owned(),
        }
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let names = [Role::Read, Role::Run, Role::Application].map(|role| self.name(role)).join(", ");
        apart(async move {
            // The last database with grants to them is dropped right after: the roles go with the cluster if they cannot go now.
            let mut cluster = cluster().await;
            let _ = cluster.execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE IF EXISTS {names}")))).await;
        });
    }
}

/// Carries something through that a drop cannot wait for on the test's own runtime.
fn apart(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(work);
    });
    // Its panic has been printed; a second one while a failing test unwinds would abort everything.
    let _ = thread.join();
}

fn field(line: &mut String, value: Option<&str>) {
    match value {
        None => line.push_str("\\N"),
        Some(text) => text.chars().for_each(|c| match c {
            '\\' => line.push_str("\\\\"),
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            c => line.push(c),
        }),
    }
    line.push('\t');
}

fn patient(row: &PgRow) -> Patient {
    Patient {
        number: row.get(0),
        values: std::array::from_fn(|n| row.get(n + 1)),
        email_hash: row.get(11),
        dob_hash: row.get(12),
        rest: row.get(13),
    }
}

fn encrypted_columns() -> String {
    COLUMNS.map(|column| format!("\"{column}\"")).join(", ")
}

/// A name that no other test, process or run has on this cluster.
fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}_{n}_{:04x}", std::process::id(), getrandom::u32().expect("random numbers") & 0xffff)
}

fn cluster_url() -> String {
    std::env::var("REENCRYPT_TEST_POSTGRES_URL")
        .expect("REENCRYPT_TEST_POSTGRES_URL names no PostgreSQL superuser: run scripts/test.sh, which starts a throw-away cluster")
}

fn cluster_options() -> PgConnectOptions {
    options(&cluster_url())
}

/// Without TLS, whether the server has it or not: proxies read what passes.
fn options(url: &str) -> PgConnectOptions {
    url.parse::<PgConnectOptions>().expect("a URL").ssl_mode(PgSslMode::Disable)
}

/// Connects as what the URL says.
pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect_with(&options(url)).await.expect("the server takes connections")
}

/// The superuser's URL with another database.
fn owner_url(database: &str) -> String {
    let url = cluster_url();
    let (base, _) = url.rsplit_once('/').expect("the URL names a database");
    format!("{base}/{database}")
}

async fn cluster() -> PgConnection {
    PgConnection::connect_with(&cluster_options()).await.expect("the cluster takes connections")
}

async fn run(connection: &mut PgConnection, sql: &str) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{e}\nin {sql}"));
}

fn pool(database: &str) -> PgPool {
    let options = cluster_options().database(database);
    PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(60)).connect_lazy_with(options)
}
