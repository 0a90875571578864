//! What `plan` says about whom a leaked key exposes: counts by kind of data, rows and people, and never a value.
use crate::{Engine, operator};
use reencrypt_tests::{Cipher, Configuration, KEYS, Random, Seeding, plaintext};
use serde_json::{Value, json};

on_both_engines!(
    exposure_counts_values_rows_and_people_by_kind,
    a_sample_estimates_and_a_subject_that_is_not_there_is_told
);

/// Names are identity, the address to write to is contact, and the rest has no kind.
fn configuration(subject: &str) -> String {
    let table_extra = format!("subject = \"{subject}\"\n");
    let text = Configuration { table_extra, blind_indexes: false, ..Configuration::default() }.text();
    let kinds = [("firstName", "identity"), ("lastName", "identity"), ("email", "contact")];
    kinds.iter().fold(text, |text, (column, kind)| {
        text.replace(&format!("\n{column} = {{"), &format!("\n{column} = {{ kind = \"{kind}\","))
    })
}

/// The part of the exposure that is about a kind.
fn of_kind(plan: &Value, kind: Value) -> Value {
    let kinds = plan["exposure"][0]["kinds"].as_array().expect("kinds");
    kinds.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in {plan}")).clone()
}

async fn exposure_counts_values_rows_and_people_by_kind(engine: Engine) {
    let db = engine.seeded(&Seeding::clean(600)).await;
    // Three rows a clinic; the addresses of the last 300 are new already.
    db.execute(r#"UPDATE "Patient" SET "clinicId" = "patientNumber" % 200"#).await;
    let new = Cipher::new(&KEYS.new).seal("x@example.com", &mut Random::of_test("exposure"));
    db.execute(&format!(r#"UPDATE "Patient" SET "email" = '{new}' WHERE "patientNumber" > 300"#)).await;
    let operator = operator(&db);
    operator.configure(&configuration("clinicId"));
    let finished = operator.run(&["plan", "--full"]).await.expect_code(0);
    let plan = finished.json();
    let exposure = &plan["exposure"][0];
    let told = json!([exposure["subject"], exposure["exact"], exposure["rows"], exposure["subjects"]]);
    assert_eq!(told, json!(["clinicId", true, 600, 200]), "{finished}");
    let identity = json!({ "kind": "identity", "rows": 600, "subjects": 200, "columns": [
        { "column": "firstName", "values": 600 }, { "column": "lastName", "values": 600 } ] });
    assert_eq!(of_kind(&plan, json!("identity")), identity);
    let contact =
        json!({ "kind": "contact", "rows": 300, "subjects": 200, "columns": [ { "column": "email", "values": 300 } ] });
    assert_eq!(of_kind(&plan, json!("contact")), contact);
    assert_eq!(of_kind(&plan, json!(null))["columns"].as_array().map(Vec::len), Some(7));

    // The old key alone tells as much, and what it does not open may be new already: that is no wrong key.
    let alone = crate::operator(&db).unset("NEW_KEY");
    alone.configure(&configuration("clinicId"));
    let told = alone.run(&["plan", "--full"]).await.expect_code(0);
    assert_eq!(of_kind(&told.json(), json!("contact")), contact, "{told}");
    assert!(told.findings("warn").contains(&"unopened_values".to_owned()), "{told}");

    // By the row key each row is a person; the old key alone is enough.
    operator.configure(&configuration("id"));
    let plan = operator.run(&["plan", "--full"]).await.expect_code(0).json();
    assert_eq!(of_kind(&plan, json!("contact"))["subjects"], 300);
    let text = operator.run_as_typed(&["plan", "--full"]).await.expect_code(0);
    let line = text.stdout.lines().find(|line| line.trim_start().starts_with("contact"));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words, ["contact", "email", "300", "300", "300"], "{text}");
    for column in [0, 2] {
        let value = plaintext(7, column).expect("a value");
        assert!(!text.stdout.contains(&value) && !finished.stdout.contains(&value), "a value is shown");
    }

    // What was rotated is exposed no longer.
    operator.run(&["run", "--yes"]).await.expect_code(0);
    let plan = operator.run(&["plan", "--full"]).await.json();
    assert_eq!((&plan["exposure"][0]["rows"], &plan["exposure"][0]["subjects"]), (&json!(0), &json!(0)));
}

async fn a_sample_estimates_and_a_subject_that_is_not_there_is_told(engine: Engine) {
    let db = engine.seeded(&Seeding::clean(3000)).await;
    // Beside one another in key order, which is how a sample is read, patients are of different clinics.
    db.execute(r#"UPDATE "Patient" SET "clinicId" = "patientNumber" % 41"#).await;
    if engine == Engine::Postgres {
        db.execute(r#"VACUUM ANALYZE "Patient""#).await;
    }
    let operator = operator(&db).unset("NEW_KEY");
    operator.configure(&configuration("clinicId"));
    let plan = operator.run(&["plan", "--sample", "500"]).await.expect_code(0).json();
    let exposure = &plan["exposure"][0];
    assert_eq!(exposure["exact"], false);
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!((2_500.0..3_500.0).contains(&number(&exposure["rows"])), "{exposure}");
    assert!((38.0..44.0).contains(&number(&exposure["subjects"])), "{exposure}");
    operator.configure(&configuration("clinic"));
    let plan = operator.run(&["plan"]).await.expect_code(0);
    assert!(
        plan.findings("warn").contains(&"subject_unknown".to_owned()) && plan.stdout.contains("clinicId"),
        "{plan}"
    );
    assert_eq!(plan.json()["exposure"][0]["subjects"], Value::Null);
}
