//! What the plan learns of the file and its tables.
use crate::playground::{Playground, name, read};
use reencrypt_db::{ColumnKind, Mode, TableKind};

#[tokio::test]
async fn tables_are_the_applications_own() {
    let place = Playground::new(
        "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE \"A b\" (x); CREATE TABLE reencrypt_runs (x);
         CREATE TABLE Reencrypt_chunks (x); CREATE VIEW v AS SELECT 1; CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO b VALUES (1); ANALYZE",
    )
    .await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let tables: Vec<_> = transaction.tables().await.expect("tables").into_iter().map(|table| table.name).collect();
    assert_eq!(tables, ["A b", "b"]);
    let kind = async |table: &str, transaction: &mut reencrypt_db::Transaction<'_>| {
        transaction.table(&name(table)).await.expect("the catalog").map(|table| table.kind)
    };
    assert_eq!(kind("v", &mut transaction).await, Some(TableKind::View));
    assert_eq!(kind("f", &mut transaction).await, Some(TableKind::Foreign));
    assert_eq!(kind("B", &mut transaction).await, Some(TableKind::Table));
    for none in ["missing", "reencrypt_runs", "sqlite_schema", "sqlite_stat1", "a'b"] {
        assert_eq!(kind(none, &mut transaction).await, None, "{none}");
    }
}

#[tokio::test]
async fn a_table_is_described_as_it_is() {
    let place = Playground::new(
        "CREATE TABLE \"Patient\" (id INTEGER PRIMARY KEY, \"firstName\" TEXT NOT NULL CHECK (length(\"firstName\") < 500), email VARCHAR(50),
           photo BLOB, meta JSONB, age INT, upper_name TEXT GENERATED ALWAYS AS (upper(\"firstName\")) VIRTUAL,
           kept TEXT GENERATED ALWAYS AS (email) STORED, CONSTRAINT adult CHECK (age > 17 OR email IS NULL));
         CREATE UNIQUE INDEX by_email ON \"Patient\" (email) WHERE age > 3;
         CREATE INDEX by_lower ON \"Patient\" (lower(\"firstName\"), id);
         CREATE INDEX plain ON \"Patient\" (photo, age);
         CREATE TRIGGER touch AFTER UPDATE ON \"Patient\" BEGIN SELECT 1; END;
         CREATE TRIGGER guard UPDATE OF email ON \"Patient\" BEGIN SELECT 1; END;
         CREATE TRIGGER other AFTER INSERT ON \"Patient\" BEGIN SELECT 1; END;
         INSERT INTO \"Patient\" (\"firstName\", photo) VALUES ('a', zeroblob(100)), ('b', zeroblob(100))",
    )
    .await;
    let table = place.table("patient").await;
    assert_eq!(table.name.to_string(), "main.Patient");
    let columns: Vec<_> =
        table.columns.iter().map(|c| (c.name.as_str(), c.kind, c.not_null, c.generated, c.can_update)).collect();
    assert_eq!(
        columns,
        [
            ("id", ColumnKind::Other, false, false, true),
            ("firstName", ColumnKind::Text, true, false, true),
            ("email", ColumnKind::Text, false, false, true),
            ("photo", ColumnKind::Bytes, false, false, true),
            ("meta", ColumnKind::Json, false, false, true),
            ("age", ColumnKind::Other, false, false, true),
            ("upper_name", ColumnKind::Text, false, true, false),
            ("kept", ColumnKind::Text, false, true, false),
        ]
    );
    assert_eq!(table.column("email").map(|c| (c.type_name.as_str(), c.length_max)), Some(("VARCHAR(50)", None)));
    let mut indexes: Vec<_> =
        table.indexes.iter().map(|i| (i.name.as_str(), i.columns.join(" "), i.unique, i.partial)).collect();
    indexes.sort();
    assert_eq!(
        indexes,
        [
            ("by_email", "email age".to_string(), true, true),
            ("by_lower", "id firstName".to_string(), false, false),
            ("plain", "photo age".to_string(), false, false),
        ]
    );
    let mut triggers: Vec<_> = table.triggers.iter().map(|t| (t.name.as_str(), t.before)).collect();
    triggers.sort();
    assert_eq!(triggers, [("guard", true), ("touch", false)]);
    let checks = [
        ("check 1".to_string(), vec!["firstName".to_string()]),
        ("adult".to_string(), vec!["email".to_string(), "age".to_string()]),
    ];
    assert_eq!(table.checks, checks);
    assert_eq!(table.rows_estimate(), 2);
    assert!(table.privileges.select && table.privileges.update);
}

#[tokio::test]
async fn many_rows_are_estimated_near_their_number() {
    let series = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 150000) ";
    for (create, insert) in [
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
            "INSERT INTO t SELECT n * 1000003, hex(zeroblob(60)) FROM s",
        ),
        (
            "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID",
            "INSERT INTO t SELECT printf('%020d', n), hex(zeroblob(60)) FROM s",
        ),
    ] {
        let mut place = Playground::new(&format!("{create}; {series} {insert}")).await;
        let leaf = place.table("t").await.leaves.remove(0);
        assert!((100_000..300_000).contains(&leaf.rows_estimate), "{create}: {}", leaf.rows_estimate);
        assert!((12_000_000..40_000_000).contains(&leaf.heap_bytes), "{create}: {}", leaf.heap_bytes);
        place.run("ANALYZE").await;
        assert_eq!(place.table("t").await.rows_estimate(), 150_000, "{create}");
    }
}

#[tokio::test]
async fn the_server_is_the_library_and_the_file() {
    let mut place = Playground::new("CREATE TABLE t (x)").await;
    let mut session = place.session().await;
    let mut transaction = session.begin(Mode::Read).await.expect("begun");
    let server = transaction.server().await.expect("the server");
    assert!(server.version.starts_with("3."), "{}", server.version);
    assert_eq!((server.read_only, server.store_exists), (false, false));
    transaction.rollback().await.expect("rolled back");
    place.run("CREATE TABLE reencrypt_migrations (x)").await;
    let mut transaction = session.begin(Mode::Read).await.expect("begun");
    assert!(transaction.server().await.expect("the server").store_exists);
}
