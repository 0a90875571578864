//! Invariant 7: only the configured columns change.
use crate::{Engine, operator};
use reencrypt_tests::{Configuration, Patient, Seeding, Untouched};

on_both_engines!(
    other_columns_and_the_set_of_rows_are_what_they_were,
    a_trigger_that_would_touch_another_column_is_refused_unless_allowed,
    columns_that_are_not_configured_stay_even_if_they_are_encrypted,
);

async fn other_columns_and_the_set_of_rows_are_what_they_were(engine: Engine) {
    let seeding = Seeding::mixed(2000);
    let db = engine.seeded(&seeding).await;
    db.execute(r#"UPDATE "Patient" SET "searchIndex" = 'zoë o''brien', "gender" = 'x' WHERE "id" % 3 = 0"#).await;
    let before = Untouched::of(&db.patients().await);
    operator(&db).run(&["run", "--yes"]).await.expect_code(1);
    before.assert_same(&Untouched::of(&db.patients().await));
}

/// An application's `updated_at` trigger would fire once a row: that is for a person to decide.
async fn a_trigger_that_would_touch_another_column_is_refused_unless_allowed(engine: Engine) {
    let seeding = Seeding::clean(200);
    let db = engine.seeded(&seeding).await;
    db.execute(match engine {
        Engine::Postgres | Engine::Waves => {
            r#"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW."updatedAt" = now(); RETURN NEW; END';
               CREATE TRIGGER touch BEFORE UPDATE ON "Patient" FOR EACH ROW EXECUTE FUNCTION touch();"#
        }
        Engine::Sqlite => {
            r#"CREATE TRIGGER touch AFTER UPDATE ON "Patient" BEGIN UPDATE "Patient" SET "updatedAt" = 'now' WHERE "id" = NEW."id"; END"#
        }
    })
    .await;
    let before = db.patients().await;
    let operator = operator(&db);
    let plan = operator.run(&["plan"]).await.expect_code(1);
    assert!(plan.findings("fail").contains(&"trigger_fires".to_owned()), "{plan}");
    operator.run(&["run", "--yes"]).await.expect_refusal("trigger_fires", &["touch"]);
    assert_eq!(db.patients().await, before);

    operator.configure(
        &Configuration { table_extra: "triggers = \"allow\"".to_owned(), ..Configuration::default() }.text(),
    );
    let run = operator.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.column("zip")["rotated"], 200, "{run}");
    let touched = |patients: &[Patient]| Untouched::of(patients);
    assert_ne!(touched(&db.patients().await), touched(&before), "the trigger that was allowed fired");
}

/// A column that nobody named stays under the old key, and neither plan nor verify is silent about it.
async fn columns_that_are_not_configured_stay_even_if_they_are_encrypted(engine: Engine) {
    let seeding = Seeding::clean(400);
    let db = engine.seeded(&seeding).await;
    db.execute(r#"UPDATE "Patient" SET "searchIndex" = "firstName""#).await;
    let before = Untouched::of(&db.patients().await);
    let operator = operator(&db);
    let plan = operator.run(&["plan"]).await;
    let unlisted = plan.json()["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .any(|finding| finding["code"] == "unlisted_ciphertext" && finding["column"] == "searchIndex");
    assert!(unlisted, "{plan}");
    operator.run(&["run", "--yes"]).await.expect_code(0);
    before.assert_same(&Untouched::of(&db.patients().await));
    let verify = operator.run(&["verify"]).await;
    assert!(verify.stdout.contains("searchIndex"), "verify is silent about a column under the old key: {verify}");
    assert_ne!(verify.json()["old_key_needed"], false, "{verify}");
}
