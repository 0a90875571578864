//! A connection lost in COMMIT: nobody can know whether it happened but the checkpoint, which committed with the data or did not.
use crate::{Engine, operator, patients::assert_column};
use reencrypt_tests::{Audit, COLUMNS, Fault, FaultyProxy, Role, Seeding, Store, report};

/// The commit never arrived: the batch is done again, once.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_commit_arrives() {
    lose_commits(Engine::Postgres, Fault::BeforeCommit).await;
}

/// The commit was done and its answer never arrived: the batch is not done again.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_commit_but_before_its_answer() {
    lose_commits(Engine::Postgres, Fault::AfterCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_waves_before_the_commit_arrives() {
    lose_commits(Engine::Waves, Fault::BeforeCommit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_waves_after_the_commit_but_before_its_answer() {
    lose_commits(Engine::Waves, Fault::AfterCommit).await;
}

/// Invariant 3, counts stay exact and no committed batch is repeated, while every third commit of a batch is cut.
async fn lose_commits(engine: Engine, fault: Fault) {
    let seeding = Seeding::mixed(2000);
    let db = engine.seeded(&seeding).await;
    let postgres = db.as_postgres();
    let audit = Audit::new(&seeding, db.patients().await);
    // What an update does to a row is counted by the server itself, committed ones alone.
    db.execute(
        r#"CREATE TABLE public.updates ("number" bigint NOT NULL);
           GRANT INSERT ON public.updates TO PUBLIC;
           CREATE FUNCTION count_update() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.updates VALUES (NEW."patientNumber"); RETURN NULL; END';
           CREATE TRIGGER count_update AFTER UPDATE ON "Patient" FOR EACH ROW EXECUTE FUNCTION count_update();"#,
    )
    .await;
    let proxy = FaultyProxy::start(postgres.address(), fault, 3).await;
    let operator = operator(&db).set("DATABASE_URL", &postgres.url_at(Role::Run, proxy.port()));
    let configuration =
        reencrypt_tests::Configuration { table_extra: "triggers = \"allow\"".to_owned(), ..Default::default() };
    operator.configure(&configuration.text());
    let run = operator.run(&["run", "--yes", "--batch-rows", "100"]).await.expect_code(1);
    assert_eq!(run.state(), "finished", "{run}");
    report(format!("{fault:?}: {} of {} commits of batches were cut", proxy.cuts(), proxy.commits()));
    assert!(proxy.cuts() >= 5, "only {} connections were cut", proxy.cuts());

    audit.assert_rotated(&db.patients().await);
    for column in COLUMNS {
        assert_column(&run, &seeding, column);
    }
    assert_eq!(Store(&db).progress().await.rows, seeding.rows);
    let updated_twice =
        r#"SELECT count(*) FROM (SELECT 1 FROM public.updates GROUP BY "number" HAVING count(*) > 1) t"#;
    assert_eq!(db.number(updated_twice).await, 0, "a committed batch was repeated");
    assert_eq!(db.number("SELECT count(*) FROM public.updates").await, audit.rows_to_move() as i64);
}

/// A chunk that takes long is no reason to give up at its first lost connection: what counts is the last committed batch.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_late_in_a_long_chunk() {
    let seeding = Seeding::clean(6_900);
    let db = Engine::Postgres.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let proxy = FaultyProxy::start(db.as_postgres().address(), Fault::BeforeCommit, 66).await;
    let operator = operator(&db).set("DATABASE_URL", &db.as_postgres().url_at(Role::Run, proxy.port()));
    let slowly = ["run", "--yes", "--workers", "1", "--batch-rows", "100", "--max-rows-per-second", "100"];
    let run = operator.run(&slowly).await.expect_code(0);
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(run.column("zip")["rotated"], 6_900, "{run}");
    audit.assert_rotated(&db.patients().await);
}
