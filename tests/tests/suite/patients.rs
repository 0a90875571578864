//! The platform's Patient table, from its first value to a verification that holds.
use crate::{Engine, operator};
use reencrypt_tests::{
    Audit, COLUMNS, Cipher, Configuration, Database, Finished, Platform, PlatformRow, Seeding, Stored,
};
use serde_json::Value;

on_both_engines!(
    every_row_of_the_platforms_vectors_ends_as_they_say,
    a_hash_that_was_never_computed_stays_null_where_the_policy_says_so,
    every_value_is_accounted_for_and_everything_readable_stands_under_the_new_key,
    plan_counts_what_stands_there_and_writes_nothing,
    without_a_configuration_the_discovery_finds_the_same_columns,
);

/// A database that holds the platform's rows alone.
async fn platform_database(engine: Engine, platform: &Platform) -> Database {
    let db = engine.seeded(&Seeding::clean(0).under(platform.keys)).await;
    for row in &platform.rows {
        db.execute(&insert(row)).await;
    }
    db
}

fn insert(row: &PlatformRow) -> String {
    let literal = |text: &Option<String>| match text {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    let columns: Vec<_> = row.columns.keys().map(|name| format!("\"{name}\"")).collect();
    let values: Vec<_> = row.columns.values().map(literal).collect();
    format!(
        r#"INSERT INTO "Patient" ("id", "patientNumber", "clinicId", "createdAt", "updatedAt", {}) VALUES ({id}, {id}, {}, '2023-01-01 00:00:00', '2024-01-01 00:00:00', {})"#,
        columns.join(", "),
        row.clinic,
        values.join(", "),
        id = row.id,
    )
}

/// Opens a value layer by layer.
fn innermost(cipher: &Cipher, stored: &str) -> Option<String> {
    let mut plain = cipher.open(stored)?;
    while let Some(inner) = cipher.open(&plain) {
        plain = inner;
    }
    Some(plain)
}

/// Real input: the 17 Patient rows of the platform's vectors, each value with the class and the result expected of it.
async fn every_row_of_the_platforms_vectors_ends_as_they_say(engine: Engine) {
    let platform = Platform::load();
    let db = platform_database(engine, &platform).await;
    let operator = operator(&db).keys(&platform.keys);
    operator.configure(&Configuration { nesting_max: 2, ..Configuration::default() }.text());
    let run = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.state(), "finished", "{run}");

    let after = db.patients().await;
    assert_eq!(after.len(), platform.rows.len());
    let (old, new) = (Cipher::new(&platform.keys.old), Cipher::new(&platform.keys.new));
    for (row, patient) in platform.rows.iter().zip(&after) {
        for (at, column) in COLUMNS.iter().enumerate() {
            let (stored, expect) = (patient.values[at].as_deref(), &row.expect[*column]);
            let place = format!("{column} of row {} ({})", row.id, row.case);
            match row.class(column) {
                "ciphertext" => {
                    let opened = stored.and_then(|stored| innermost(&new, stored));
                    assert_eq!(opened.as_deref(), expect["plaintext"].as_str(), "{place}");
                    assert!(
                        stored.is_some_and(|stored| old.open(stored).is_none()),
                        "{place} still opens under the old key"
                    );
                }
                "plaintext" | "null" | "empty" => assert_eq!(stored, expect["after"].as_str(), "{place}"),
                "undecryptable" | "damaged" | "already-new" => {
                    assert_eq!(stored, row.stored(column), "{place} was written")
                }
                class => panic!("{place} is of the unknown class {class}"),
            }
        }
        for (column, stored) in [("emailHash", &patient.email_hash), ("dobHash", &patient.dob_hash)] {
            let expect = &row.expect[column];
            // The policy `recompute` fills what was never computed.
            let expected =
                expect.get("after").or_else(|| expect["after_by_policy"].get("fill")).and_then(Value::as_str);
            assert_eq!(stored.as_deref(), expected, "{column} of row {} ({})", row.id, row.case);
        }
    }
    assert_counts(&run, &platform);
}

/// The counts of the result, from the vectors' classes.
fn assert_counts(run: &Finished, platform: &Platform) {
    for column in COLUMNS {
        let of_class =
            |classes: &[&str]| platform.rows.iter().filter(|row| classes.contains(&row.class(column))).count() as u64;
        let counts = run.column(column);
        assert_eq!(counts["seen"], platform.rows.len(), "{column}: {counts}");
        assert_eq!(counts["rotated"], of_class(&["ciphertext"]), "{column}: {counts}");
        assert_eq!(counts["already_new"], of_class(&["already-new"]), "{column}: {counts}");
        assert_eq!(counts["plaintext"], of_class(&["plaintext"]), "{column}: {counts}");
        assert_eq!(counts["null"], of_class(&["null"]), "{column}: {counts}");
        assert_eq!(counts["empty"], of_class(&["empty"]), "{column}: {counts}");
        assert_eq!(counts["quarantined"], of_class(&["undecryptable", "damaged"]), "{column}: {counts}");
    }
}

/// The policy `keep_null`: a hash that was never computed is not computed now, and all others move to the new key.
async fn a_hash_that_was_never_computed_stays_null_where_the_policy_says_so(engine: Engine) {
    let platform = Platform::load();
    let db = platform_database(engine, &platform).await;
    let operator = operator(&db).keys(&platform.keys);
    operator.configure(&Configuration { nesting_max: 2, hash_policy: "keep_null", ..Configuration::default() }.text());
    operator.run(&["run", "--yes"]).await.expect_code(1);
    for (row, patient) in platform.rows.iter().zip(&db.patients().await) {
        let expected = |column: &str| row.expect[column].get("after").and_then(Value::as_str);
        // A NULL beside a value that has no hash stays NULL under either policy.
        assert_eq!(patient.email_hash.as_deref(), expected("emailHash"), "row {} ({})", row.id, row.case);
        assert_eq!(patient.dob_hash.as_deref(), expected("dobHash"), "row {} ({})", row.id, row.case);
    }
}

/// Invariant 10, every value is accounted for; invariants 2 and 4, what stands afterwards is what the application wrote.
async fn every_value_is_accounted_for_and_everything_readable_stands_under_the_new_key(engine: Engine) {
    let seeding = Seeding::mixed(3000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let run = operator.run(&["run", "--yes", "--batch-rows", "250"]).await.expect_code(1);
    assert_eq!(run.state(), "finished", "{run}");
    audit.assert_rotated(&db.patients().await);
    for column in COLUMNS {
        assert_column(&run, &seeding, column);
    }
    let json = run.json();
    assert_eq!(json["passes"][0]["seen"], 30_000, "{run}");
    let last = json["passes"].as_array().and_then(|passes| passes.last()).expect("passes");
    assert_eq!(last["rotated"], 0, "the last sweep found nothing: {run}");
    assert_eq!(json["tables"][0]["table"], db.reported("Patient"));

    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
    assert_eq!(
        verify.column("lastName")["unreadable"],
        seeding.count("lastName", |v| matches!(v, Stored::Lost(_))),
        "{verify}"
    );
}

/// A column's counts are exact and add up.
pub(crate) fn assert_column(run: &Finished, seeding: &Seeding, column: &str) {
    let counts = run.column(column);
    let of = |is: fn(&Stored) -> bool| seeding.count(column, is);
    assert_eq!(counts["seen"], seeding.rows, "{column}: {counts}");
    assert_eq!(counts["rotated"], of(|v| matches!(v, Stored::Old(_))), "{column}: {counts}");
    assert_eq!(counts["already_new"], of(|v| matches!(v, Stored::New(_))), "{column}: {counts}");
    assert_eq!(counts["null"], of(|v| matches!(v, Stored::Null)), "{column}: {counts}");
    assert_eq!(counts["empty"], of(|v| matches!(v, Stored::Empty)), "{column}: {counts}");
    assert_eq!(counts["plaintext"], of(|v| matches!(v, Stored::Plain(_))), "{column}: {counts}");
    assert_eq!(counts["quarantined"], of(|v| matches!(v, Stored::Lost(_) | Stored::Damaged(_))), "{column}: {counts}");
    assert_eq!(counts["vanished"], 0, "{column}: {counts}");
    let parts = ["rotated", "already_new", "null", "empty", "plaintext", "quarantined", "vanished"];
    let sum: u64 = parts.iter().map(|part| counts[part].as_u64().expect("a count")).sum();
    assert_eq!(counts["seen"], sum, "{column}: {counts}");
}

/// Invariant 8, a plan writes nothing; and it says what a run will meet.
async fn plan_counts_what_stands_there_and_writes_nothing(engine: Engine) {
    let seeding = Seeding::mixed(800);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let plan = operator(&db).run(&["plan", "--full"]).await.expect_code(0);
    assert_eq!(plan.state(), "planned", "{plan}");
    for column in COLUMNS {
        let counts = plan.column(column);
        let of = |is: fn(&Stored) -> bool| seeding.count(column, is);
        assert_eq!(counts["old"], of(|v| matches!(v, Stored::Old(_))), "{column}: {counts}");
        assert_eq!(counts["new"], of(|v| matches!(v, Stored::New(_))), "{column}: {counts}");
        assert_eq!(counts["null"], of(|v| matches!(v, Stored::Null)), "{column}: {counts}");
        assert_eq!(counts["empty"], of(|v| matches!(v, Stored::Empty)), "{column}: {counts}");
        assert_eq!(counts["plaintext"], of(|v| matches!(v, Stored::Plain(_))), "{column}: {counts}");
        assert_eq!(
            counts["unreadable"],
            of(|v| matches!(v, Stored::Lost(_) | Stored::Damaged(_))),
            "{column}: {counts}"
        );
    }
    assert_eq!(db.store_tables().await, Vec::<String>::new(), "a plan made a store");
    audit.assert_unchanged(&db.patients().await);
    // The same plan has the same id, and one from the old key alone is a plan too.
    let again = operator(&db).run(&["plan"]).await.expect_code(0);
    assert_eq!(again.json()["plan_id"], plan.json()["plan_id"]);
    operator(&db).unset("NEW_KEY").run(&["plan"]).await.expect_code(0);
}

/// `DATABASE_URL`, `OLD_KEY` and `NEW_KEY` are enough: the columns and both hashes are discovered.
async fn without_a_configuration_the_discovery_finds_the_same_columns(engine: Engine) {
    let seeding = Seeding::mixed(500);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    std::fs::remove_file(operator.folder().join("reencrypt.toml")).expect("there was a configuration");
    let run = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.state(), "finished", "{run}");
    audit.assert_rotated(&db.patients().await);
}
