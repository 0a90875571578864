//! Sessions and transactions: limits, deadlines, dropped futures, lost connections, roles.
use crate::playground::{Playground, name, patient, run, selection, table};
use reencrypt_db::{ConnectOptions, Database, DatabaseUrl, Limits, Mode, StoreGrant, StoreGrants, Value, Verdict};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

#[tokio::test]
async fn the_identity_is_that_of_cluster_and_database() {
    let mut playground = Playground::new().await;
    let database = playground.database(None).await;
    let identity = database.identity().clone();
    let expected = "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid FROM pg_database WHERE datname = current_database()";
    assert_eq!(playground.texts(expected).await, [identity.system.as_str()]);
    assert_eq!(playground.texts("SELECT current_database()::text").await, [identity.database.as_str()]);
    let role = playground.role("plain").await;
    assert_eq!(playground.database(Some(&role)).await.identity(), &identity);
}

#[tokio::test]
async fn reads_and_snapshots_cannot_write() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let mut session = playground.session().await;
    for mode in [Mode::Read, Mode::Snapshot(None)] {
        let mut transaction = session.begin(mode).await.expect("begin");
        let error = transaction.execute("INSERT INTO public.t VALUES (1)", &[]).await.expect_err("read-only");
        assert_eq!((error.code(), error.verdict()), ("database_read_only", Verdict::Fatal));
        transaction.rollback().await.expect("rollback");
    }
}

#[tokio::test]
async fn nothing_of_a_transaction_stays_in_the_session() {
    let playground = Playground::new().await;
    let mut session = playground.session().await;
    let names = [
        "row_security",
        "client_min_messages",
        "lock_timeout",
        "statement_timeout",
        "search_path",
        "enable_seqscan",
        "idle_in_transaction_session_timeout",
        "jit",
        "synchronize_seqscans",
        "extra_float_digits",
        "default_transaction_read_only",
    ];
    let sql = "SELECT name || ' ' || setting || ' ' || source FROM pg_catalog.pg_settings WHERE name = ANY (string_to_array($1, ',')) ORDER BY 1";
    let settings =
        |rows: Vec<Vec<Value>>| rows.iter().map(|row| row[0].text().expect("text").to_owned()).collect::<Vec<_>>();
    for mode in [Mode::Read, patient(), Mode::Snapshot(None)] {
        let transaction = session.begin(mode).await.expect("begin");
        transaction.commit().await.expect("commit");
        // A transaction of its own shows which settings are its own and which of them the session would have had.
        let mut transaction = session.begin(patient()).await.expect("begin");
        let read = transaction.fetch(sql, &[Value::Text(names.join(","))]).await.expect("settings");
        transaction.commit().await.expect("commit");
        let own = [
            "client_min_messages",
            "idle_in_transaction_session_timeout",
            "jit",
            "lock_timeout",
            "row_security",
            "statement_timeout",
        ];
        for setting in settings(read) {
            let (name, rest) = setting.split_once(' ').expect("a setting");
            assert_eq!(rest.ends_with(" session"), own.contains(&name), "{setting}");
        }
    }
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let prepared = transaction.fetch("SELECT count(*) FROM pg_prepared_statements", &[]).await.expect("a count");
    assert_eq!(prepared, [[Value::Int(0)]]);
}

#[tokio::test]
async fn the_servers_limits_come_before_our_deadline() {
    let playground = Playground::new().await;
    let mut session = playground.session().await;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await.expect("begin");
    let began = Instant::now();
    let error = transaction.execute("SELECT pg_sleep(30)", &[]).await.expect_err("a timeout");
    assert_eq!((error.code(), error.verdict()), ("statement_timeout", Verdict::Retry));
    assert!(began.elapsed() < Duration::from_secs(5));
    transaction.rollback().await.expect("rollback");
    assert!(session.is_usable());
}

#[tokio::test]
async fn an_idle_transaction_is_ended_by_the_server_and_the_session_knows() {
    let playground = Playground::new().await;
    let mut session = playground.session().await;
    let limits = Limits { idle_timeout_ms: 100, ..Limits::default() };
    let mut transaction = session.begin(Mode::Write(limits)).await.expect("begin");
    tokio::time::sleep(Duration::from_millis(400)).await;
    let error = transaction.execute("SELECT 1", &[]).await.expect_err("ended");
    assert_eq!(error.verdict(), Verdict::Reconnect, "{error}");
    drop(transaction);
    assert!(!session.is_usable());
    assert_eq!(session.begin(Mode::Read).await.err().expect("closed").verdict(), Verdict::Reconnect);
}

#[tokio::test]
async fn past_the_deadline_the_connection_is_closed() {
    let mut playground = Playground::new().await;
    let mut session = playground.session().await;
    let pid = session.pid();
    let limits = Limits { statement_timeout_ms: 60_000, deadline_ms: 200, ..Limits::default() };
    let mut transaction = session.begin(Mode::Write(limits)).await.expect("begin");
    let error = transaction.execute("SELECT pg_sleep(3)", &[]).await.expect_err("a deadline");
    assert_eq!((error.code(), error.verdict()), ("connection_lost", Verdict::Reconnect));
    assert_eq!(error.to_string(), "no answer within 200 ms while using the checkpoint store; the connection is closed");
    drop(transaction);
    assert!(!session.is_usable());
    gone(&mut playground, pid).await;
}

#[tokio::test]
async fn a_dropped_future_closes_the_connection() {
    let mut playground = Playground::new().await;
    let mut session = playground.session().await;
    let pid = session.pid();
    let mut transaction = session.begin(patient()).await.expect("begin");
    let ended = tokio::time::timeout(Duration::from_millis(100), transaction.execute("SELECT pg_sleep(3)", &[])).await;
    assert!(ended.is_err());
    drop(transaction);
    assert!(!session.is_usable());
    gone(&mut playground, pid).await;
}

/// Waits until the server has noticed that the client of this process went.
async fn gone(playground: &mut Playground, pid: i64) {
    let sql = format!("SELECT count(*)::text FROM pg_stat_activity WHERE pid = {pid}");
    for _ in 0..100 {
        if playground.texts(&sql).await == ["0"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("process {pid} is still there");
}

#[tokio::test]
async fn a_lost_connection_is_in_doubt_only_when_committing() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY)").await;
    for committing in [false, true] {
        let mut session = playground.session().await;
        let pid = session.pid();
        let mut transaction = session.begin(patient()).await.expect("begin");
        transaction.execute("INSERT INTO t VALUES (1)", &[]).await.expect("a row");
        playground.sql(&format!("SELECT pg_terminate_backend({pid}, 5000)")).await;
        let error = if committing {
            transaction.commit().await.expect_err("a lost connection")
        } else {
            let error = transaction.execute("INSERT INTO t VALUES (2)", &[]).await.expect_err("a lost connection");
            drop(transaction);
            error
        };
        let code = if committing { "commit_unknown" } else { "connection_lost" };
        assert_eq!((error.code(), error.verdict()), (code, Verdict::Reconnect), "{error}");
        assert!(!session.is_usable());
    }
    assert_eq!(playground.texts("SELECT count(*)::text FROM t").await, ["0"]);
}

#[tokio::test]
async fn a_refused_commit_is_no_doubt() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY, v integer UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO t VALUES (1, 1)").await;
    let mut session = playground.session().await;
    let mut transaction = session.begin(patient()).await.expect("begin");
    transaction.execute("INSERT INTO t VALUES (2, 1)", &[]).await.expect("a row");
    let error = transaction.commit().await.expect_err("a refusal");
    assert_eq!((error.code(), error.verdict()), ("unique_violation", Verdict::Refused));
    assert!(session.is_usable());
    session.begin(Mode::Read).await.expect("begin").commit().await.expect("commit");
}

#[tokio::test]
async fn hidden_rows_are_an_error_and_no_absence() {
    let mut playground = Playground::new().await;
    let role = playground.role("hidden").await;
    playground
        .sql(&format!(
            "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g;
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON t USING (false); GRANT SELECT, UPDATE ON t TO {role}"
        ))
        .await;
    let mut session = playground.session_as(&role).await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let error = transaction.count(&selection).await.expect_err("hidden rows");
    assert_eq!((error.code(), error.verdict()), ("rls_active", Verdict::Fatal));
    assert!(error.to_string().contains("table public.t"), "{error}");
}

#[tokio::test]
async fn a_missing_privilege_names_the_table() {
    let mut playground = Playground::new().await;
    let role = playground.role("poor").await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')").await;
    let mut session = playground.session_as(&role).await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let error = transaction.max_key(&selection).await.expect_err("no privilege");
    assert_eq!((error.code(), error.verdict()), ("privilege_missing", Verdict::Fatal));
    assert!(error.to_string().contains("table public.t"), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_role_with_column_grants_alone_can_do_all_that_it_must() {
    let mut playground = Playground::new().await;
    let role = playground.role("columns").await;
    playground
        .sql(&format!(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL, secret text);
             INSERT INTO t SELECT g, 'v' || g, 's' FROM generate_series(1, 50) g;
             GRANT SELECT (id, v, xmin, ctid), UPDATE (v) ON t TO {role}"
        ))
        .await;
    let mut session = playground.session_as(&role).await;
    let table = table(&mut session, "t").await;
    assert!(!table.privileges.select && table.privileges.select_system && !table.privileges.update);
    let granted: Vec<_> = table.columns.iter().map(|c| (c.name.as_str(), c.can_select, c.can_update)).collect();
    assert_eq!(granted, [("id", true, false), ("v", true, true), ("secret", false, false)]);
    assert_eq!(table.rows_estimate(), 50);
    let selection = selection(&table, &["v"]);
    let mut transaction = session.begin(patient()).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
    let rows = transaction.read_batch(&selection, None, &upto, 100).await.expect("a batch");
    assert_eq!(transaction.sample(&selection, 10, 1).await.expect("a sample").len(), 10);
    let keys: Vec<_> = (0..5).map(|row| rows.key(row)).collect();
    assert_eq!(transaction.read_keys(&selection, &keys, true).await.expect("rows").len(), 5);
    let hit = transaction.compare_and_set(&selection, &rows, &[0, 1], &|_, _| Some(b"N")).await.expect("a write");
    assert_eq!(hit, [true, true]);
    transaction.commit().await.expect("commit");
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begin");
    let mut scan = transaction.heap_scan(&selection, 0, 1).await.expect("a scan");
    assert_eq!(transaction.next_rows(&mut scan, &selection).await.expect("rows").expect("rows").len(), 50);
}

#[tokio::test]
async fn connecting_says_what_is_wrong_and_never_the_password() {
    let mut playground = Playground::new().await;
    let role = playground.role("login").await;
    let good = playground.options(Some(&role));
    let connect = async |url: String| {
        let options = ConnectOptions { url: DatabaseUrl::parse(&url).expect("a URL"), ..good.clone() };
        let error = Database::connect(options).await.err().expect("a refusal");
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"), "{error:?}");
        assert!(error.hint().is_some(), "{error}");
        error
    };
    let address = good.url.address();
    let refused = connect(format!("postgres://{role}:hunter2@{address}/{}", good.url.database())).await;
    // A cluster that trusts everybody refuses nobody; then there is nothing to see here.
    assert_eq!((refused.code(), refused.verdict()), ("database_auth", Verdict::Fatal), "{refused}");
    let missing = connect(format!("postgres://{role}:pw@{address}/hunter")).await;
    assert_eq!(missing.code(), "database_missing", "{missing}");
    let dead = connect(format!("postgres://{role}:hunter2@127.0.0.1:1/x")).await;
    assert_eq!((dead.code(), dead.verdict()), ("database_unreachable", Verdict::Reconnect), "{dead}");
    let plain = connect(format!("postgres://{role}:hunter2@{address}/x?sslmode=verify-full")).await;
    assert_eq!(plain.code(), "database_tls", "{plain}");
    let binding = connect(format!("postgres://{role}:hunter2@{address}/x?channel_binding=require")).await;
    assert_eq!(binding.code(), "database_tls", "{binding}");
}

#[tokio::test]
async fn a_socket_is_a_host_too() {
    let mut playground = Playground::new().await;
    let sockets = playground.texts("SELECT current_setting('unix_socket_directories')").await.remove(0);
    let folder = sockets.split(',').next().expect("a folder").trim().to_owned();
    if folder.is_empty() {
        return;
    }
    let port = playground.texts("SELECT current_setting('port')").await.remove(0);
    let role = playground.role("local").await;
    let database = playground.options(None).url.database().to_owned();
    let url = format!("postgres://{role}:pw@localhost:{port}/{database}?host={folder}");
    let options = ConnectOptions { url: DatabaseUrl::parse(&url).expect("a URL"), ..playground.options(None) };
    let database = Database::connect(options).await.expect("a connection");
    assert_eq!(database.identity().address, format!("{folder}/.s.PGSQL.{port}"));
}

#[tokio::test]
async fn the_server_as_a_role_sees_it() {
    let mut playground = Playground::new().await;
    let role = playground.role("seen").await;
    let mut session = playground.session_as(&role).await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let server = transaction.server().await.expect("the server");
    assert_eq!((server.role.as_str(), server.bypasses_row_security, server.read_only), (role.as_str(), false, false));
    assert!(!server.store_exists);
    let made = format!("CREATE SCHEMA reencrypt AUTHORIZATION \"{role}\";");
    let lacks = |lacks: &str, statement: String| StoreGrant { lacks: lacks.to_owned(), statement };
    let made = lacks("CREATE on this database", made);
    assert_eq!(server.store_grants, StoreGrants { read: vec![made], write: vec![] });
    assert!(server.free_connections > 0 && server.free_connections < 1000, "{server:?}");
    assert!(server.version.starts_with(|c: char| c.is_ascii_digit()) && !server.version.contains(' '), "{server:?}");
    transaction.commit().await.expect("commit");

    playground.sql(&format!("CREATE SCHEMA reencrypt; GRANT USAGE, CREATE ON SCHEMA reencrypt TO {role}; ALTER ROLE {role} BYPASSRLS CONNECTION LIMIT 3")).await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let server = transaction.server().await.expect("the server");
    assert!(server.store_exists && server.bypasses_row_security);
    assert_eq!(server.store_grants, StoreGrants::default());
    assert!(server.free_connections <= 2, "{server:?}");
    transaction.commit().await.expect("commit");

    playground
        .sql(&format!(
            "CREATE TABLE reencrypt._sqlx_migrations (); CREATE TABLE reencrypt.run (); CREATE TABLE reencrypt.\"Chunk\" ();
             GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA reencrypt TO {role}; REVOKE INSERT ON reencrypt.\"Chunk\" FROM {role};
             REVOKE SELECT ON reencrypt._sqlx_migrations FROM {role}; REVOKE UPDATE ON reencrypt._sqlx_migrations FROM {role}"
        ))
        .await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let grants = transaction.server().await.expect("the server").store_grants;
    let grant =
        |what: &str, on: &str| lacks(&format!("{what} on {on}"), format!("GRANT {what} ON {on} TO \"{role}\";"));
    assert_eq!(grants.read, [grant("SELECT", "reencrypt._sqlx_migrations")]);
    assert_eq!(
        grants.write,
        [grant("INSERT", "reencrypt.\"Chunk\""), grant("DELETE", "ALL TABLES IN SCHEMA reencrypt")]
    );
    transaction.commit().await.expect("commit");

    let role = playground.role("reads").await;
    playground.sql(&format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await;
    let mut session = playground.session_as(&role).await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    assert!(transaction.server().await.expect("the server").read_only);
    transaction.commit().await.expect("commit");
    // A role that is read-only by default stays so in a write.
    let mut transaction = session.begin(patient()).await.expect("begin");
    let error = transaction.execute("CREATE TEMPORARY TABLE x ()", &[]).await.expect_err("read-only");
    assert_eq!(error.code(), "database_read_only");
}

#[tokio::test]
async fn tables_are_those_of_users() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer); CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"Patient\" (id integer);
             CREATE VIEW v AS SELECT 1; CREATE TABLE p (id integer) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
             CREATE SCHEMA reencrypt; CREATE TABLE reencrypt.run (id integer)",
        )
        .await;
    let role = playground.role("lists").await;
    let mut session = playground.session_as(&role).await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let tables = transaction.tables().await.expect("tables");
    assert_eq!(tables, [name("My Schema", "Patient"), name("public", "p"), name("public", "t")]);
}

#[tokio::test]
async fn two_sessions_wait_for_each_other_and_the_tool_gives_way() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    let mut session = playground.session().await;
    let mut other = playground.another().await;
    run(&mut other, "BEGIN; UPDATE t SET v = 'x' WHERE id = 2").await;
    let mut transaction =
        session.begin(Mode::Write(Limits { statement_timeout_ms: 20_000, ..Limits::default() })).await.expect("begin");
    transaction.execute("UPDATE t SET v = 'y' WHERE id = 1", &[]).await.expect("a write");
    let ours = async {
        let error = transaction.execute("UPDATE t SET v = 'y' WHERE id = 2", &[]).await.expect_err("a lock");
        transaction.rollback().await.expect("rollback");
        error
    };
    let theirs = run(&mut other, "UPDATE t SET v = 'x' WHERE id = 1");
    let (error, ()) = tokio::join!(ours, theirs);
    assert_eq!((error.code(), error.verdict()), ("lock_timeout", Verdict::Retry));
    run(&mut other, "COMMIT").await;
    assert_eq!(playground.texts("SELECT DISTINCT v FROM t").await, ["x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_from_thread_to_thread() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL); INSERT INTO t VALUES (1, 'a')").await;
    let mut session = playground.session().await;
    let task = tokio::spawn(async move {
        let selection = selection(&table(&mut session, "t").await, &["v"]);
        let mut transaction = session.begin(patient()).await.expect("begin");
        let upto = transaction.max_key(&selection).await.expect("a key").expect("a row");
        let rows = transaction.read_batch(&selection, None, &upto, 10).await.expect("a batch");
        let hit = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"N")).await.expect("a write");
        transaction.commit().await.expect("commit");
        session.close().await;
        hit
    });
    assert_eq!(task.await.expect("no panic"), [true]);
}

/// All that reaches `tracing` on this thread.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<String>>);

impl tracing::Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.0.lock().expect("the record").push_str(&format!("{span:?}\n"));
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        self.0.lock().expect("the record").push_str(&format!("{values:?}\n"));
    }
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().expect("the record").push_str(&format!("{event:?}\n"));
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn neither_statements_nor_notices_reach_a_log() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL); INSERT INTO t VALUES (1, 'secret');
             CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'it was %', OLD.v; RETURN NEW; END $$;
             CREATE TRIGGER tell BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION tell()",
        )
        .await;
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(patient()).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("a row");
    let rows = transaction.read_batch(&selection, None, &upto, 10).await.expect("a batch");
    let hit = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"secret too")).await.expect("a write");
    assert_eq!(hit, [true]);
    transaction.execute("UPDATE t SET v = 'secret' WHERE id = $1", &[Value::Int(1)]).await.expect("a write");
    transaction.execute("SELECT 'secret'::integer", &[]).await.expect_err("no number");
    transaction.rollback().await.expect("rollback");
    tracing::info!("the record works");
    let record = recorder.0.lock().expect("the record").clone();
    assert!(record.contains("the record works"));
    assert!(!record.contains("secret") && !record.contains("UPDATE"), "{record}");
}
