//! Invariant 10 over row keys of every kind: nothing is skipped and nothing is seen twice, whatever orders the rows.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, Configuration, RowKey, Seeding};

on_both_engines!(int, bigint, uuid, text, composite, a_name_with_control_characters);

async fn int(engine: Engine) {
    walk(engine, RowKey::Int).await;
}

async fn bigint(engine: Engine) {
    walk(engine, RowKey::Bigint).await;
}

async fn uuid(engine: Engine) {
    walk(engine, RowKey::Uuid).await;
}

/// A collation that orders otherwise than the bytes do.
async fn text(engine: Engine) {
    walk(engine, RowKey::Text).await;
}

async fn composite(engine: Engine) {
    walk(engine, RowKey::Composite).await;
}

/// An empty table, one row, fewer rows than a batch, exactly a batch, and many batches that do not come out even.
async fn walk(engine: Engine, row_key: RowKey) {
    for rows in [0, 1, 99, 100, 1234] {
        let seeding = Seeding::clean(rows).keyed(row_key);
        let db = engine.seeded(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        let operator = operator(&db);
        let run = operator.run(&["run", "--yes", "--batch-rows", "100"]).await.expect_code(0);
        assert_eq!(run.state(), "finished", "{rows} rows: {run}");
        audit.assert_rotated(&db.patients().await);
        let counts = run.column("firstName");
        assert_eq!((&counts["seen"], &counts["rotated"]), (&rows.into(), &rows.into()), "{rows} rows: {run}");
        assert_eq!(run.json()["tables"][0]["rows"], rows, "{rows} rows: {run}");
        let verify = operator.run(&["verify"]).await.expect_code(0);
        assert_eq!(verify.json()["old_key_needed"], false, "{rows} rows: {verify}");
    }
}

/// What is shown of a name is escaped, what is looked up is not.
async fn a_name_with_control_characters(engine: Engine) {
    let seeding = Seeding::clean(500);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    db.execute("ALTER TABLE \"Patient\" RENAME TO \"Pa\ttient\"").await;
    let operator = operator(&db);
    operator.configure(&Configuration { table: "Pa\\ttient".to_owned(), ..Configuration::default() }.text());
    operator.run(&["run", "--yes", "--canary", "100"]).await.expect_code(1);
    let resumed = operator.run(&["run", "--resume"]).await.expect_code(0);
    assert!(!resumed.stdout.contains('\t'), "{resumed}");
    operator.run(&["verify"]).await.expect_code(0);
    db.execute("ALTER TABLE \"Pa\ttient\" RENAME TO \"Patient\"").await;
    audit.assert_rotated(&db.patients().await);
}
