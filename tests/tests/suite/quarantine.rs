//! Invariant 6: a value that cannot be read stays byte for byte, is counted with its class, does not stop the others, and makes the
//! exit code non-zero until a person accepts it.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, Cipher, Database, Finished, KEYS, Keys, Operator, Random, Seeding};
use serde_json::Value;

on_both_engines!(
    what_cannot_be_read_stays_until_a_person_accepts_it_and_one_more_voids_that,
    a_wrong_count_is_not_accepted,
    refused_plaintext_is_quarantined,
    verify_without_the_old_key_cannot_say_while_something_is_unreadable,
    the_first_unreadable_value_stops_a_run_that_was_told_so,
    more_unreadable_values_than_the_ceiling_stop_a_run,
    the_ceiling_is_that_of_the_run_and_not_of_each_process,
    what_stands_under_the_old_key_of_another_pair_needs_that_key,
    verify_with_a_wrong_old_key_cannot_say,
    verify_with_swapped_keys_is_no_success,
    verify_with_an_old_key_that_no_run_used_cannot_say,
    names_that_look_alike_are_told_apart,
    ciphertext_inside_a_longer_text_is_not_done,
    a_row_that_a_constraint_refuses_is_left_alone,
    a_constraint_that_refuses_every_row_stops_the_run,
);

fn lines(finished: &Finished) -> Vec<Value> {
    finished.json()["quarantine"].as_array().unwrap_or_else(|| panic!("no list\n{finished}")).clone()
}

async fn accept_all(operator: &Operator) {
    for line in lines(&operator.run(&["quarantine", "list"]).await.expect_code(0)) {
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let (table, column, class, count) = (text("table"), text("column"), text("class"), line["count"].to_string());
        let arguments =
            ["quarantine", "accept", "--table", &table, "--column", &column, "--class", &class, "--count", &count];
        let arguments: Vec<&str> = arguments.into_iter().chain(["--reason", "lost before our time"]).collect();
        operator.run(&arguments).await.expect_code(0);
    }
}

async fn what_cannot_be_read_stays_until_a_person_accepts_it_and_one_more_voids_that(engine: Engine) {
    let seeding = Seeding::mixed(2000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let run = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.state(), "finished", "{run}");
    audit.assert_rotated(&db.patients().await);

    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    let found: Vec<_> = lines(&list)
        .iter()
        .map(|line| (line["column"].clone(), line["class"].clone(), line["count"].clone()))
        .collect();
    assert!(found.contains(&("lastName".into(), "unreadable".into(), 4.into())), "{list}");
    assert!(found.iter().any(|(column, _, count)| *column == "address1" && *count == 4), "{list}");
    let keys = operator.run(&["quarantine", "list", "--keys"]).await.expect_code(0);
    assert!(keys.stdout.contains("250") && keys.stdout.contains("1750"), "{keys}");

    accept_all(&operator).await;
    let accepted = lines(&operator.run(&["quarantine", "list"]).await.expect_code(0));
    assert!(accepted.iter().all(|line| line["accepted"] == line["count"]), "{accepted:?}");
    let again = operator.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(again.column("lastName")["accepted"], 4, "accepted residue is printed: {again}");
    assert_eq!(again.column("lastName")["quarantined"], 4, "{again}");
    let verify = operator.run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.column("lastName")["accepted"], 4, "{verify}");
    audit.assert_rotated(&db.patients().await);

    // One more of the same table, column and class.
    let lost = Cipher::new(&KEYS.lost).seal("nobody will know", &mut Random::of_test("one_more"));
    db.execute(&format!(r#"UPDATE "Patient" SET "lastName" = '{lost}' WHERE "id" = 999"#)).await;
    let voided = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(voided.column("lastName")["quarantined"], 5, "{voided}");
    assert_eq!(voided.column("lastName")["accepted"], 0, "{voided}");
    operator.run(&["verify"]).await.expect_code(1);
}

/// A newline in a name, and a backslash with an `n`.
async fn names_that_look_alike_are_told_apart(engine: Engine) {
    let db = engine.seeded(&Seeding::clean(20)).await;
    let lost = Cipher::new(&KEYS.lost).seal("gone", &mut Random::of_test("names"));
    let fine = Cipher::new(&KEYS.old).seal("here", &mut Random::of_test("names_fine"));
    let names = ["a\nb", r"a\nb"];
    db.execute(r#"DROP TABLE "Patient""#).await;
    for name in names {
        db.execute(&format!(
            r#"CREATE TABLE "{name}" (id integer PRIMARY KEY, "{name}" text); INSERT INTO "{name}" VALUES (1, '{lost}'), (2, '{fine}')"#
        ))
        .await;
        if let Database::Postgres(postgres) = &db {
            let role = postgres.role(reencrypt_tests::Role::Run);
            db.execute(&format!(r#"GRANT SELECT, UPDATE ON "{name}" TO {role}"#)).await;
        }
    }
    let operator = operator(&db);
    let table = |name: &str| {
        let name = name.replace('\\', r"\\").replace('\n', r"\n");
        format!("[[table]]\nname = \"{name}\"\n[table.columns]\n\"{name}\" = \"{}\"\n", reencrypt_tests::FORMAT)
    };
    operator.configure(&names.map(table).concat());
    operator.run(&["run", "--yes"]).await.expect_code(1);
    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    for (at, name) in [r"a\nb", r"a\\nb"].into_iter().enumerate() {
        let line = lines(&list).into_iter().find(|line| line["column"] == name).unwrap_or_else(|| panic!("{list}"));
        assert!(line["table"].as_str().is_some_and(|table| table.ends_with(&format!(".{name}"))), "{list}");
        let of = ["--table", name, "--column", name, "--class", "unreadable", "--count", "1", "--reason", "r"];
        let accepted = operator.run(&[&["quarantine", "accept"], &of[..]].concat()).await.expect_code(0);
        let accepted = lines(&accepted).iter().filter(|line| line["accepted"] == 1).count();
        assert_eq!(accepted, at + 1, "{name}");
    }
    operator.run(&["verify"]).await.expect_code(0);
}

async fn a_wrong_count_is_not_accepted(engine: Engine) {
    let seeding = Seeding::mixed(500);
    let db = engine.seeded(&seeding).await;
    let operator = operator(&db);
    operator.run(&["run", "--yes"]).await.expect_code(1);
    for (column, class, count) in
        [("lastName", "unreadable", "2"), ("lastName", "damaged", "1"), ("email", "unreadable", "1")]
    {
        let arguments =
            ["quarantine", "accept", "--table", "Patient", "--column", column, "--class", class, "--count", count];
        let arguments: Vec<&str> = arguments.into_iter().chain(["--reason", "a guess"]).collect();
        operator.run(&arguments).await.expect_refusal("acceptance_count", &[column, "quarantine list"]);
    }
    operator.run(&["run", "--yes"]).await.expect_code(1);
}

/// Plaintext is an error where the configuration does not say otherwise, and stands as it was.
async fn refused_plaintext_is_quarantined(engine: Engine) {
    let seeding = Seeding::mixed(300);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    operator.configure(&reencrypt_tests::Configuration { plaintext: "refuse", ..Default::default() }.text());
    // 30 of 300 values of a column are a tenth of it, but plaintext is no evidence of a wrong key.
    let run = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.column("city")["quarantined"], 30, "{run}");
    assert_eq!(run.column("city")["plaintext"], 0, "{run}");
    audit.assert_rotated(&db.patients().await);
    accept_all(&operator).await;
    let verify = operator.run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.column("city")["plaintext"], 30, "{verify}");
    // What nobody accepted is for a person, also where no run is between.
    db.execute(r#"UPDATE "Patient" SET "city" = 'in the clear' WHERE "id" = 1"#).await;
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
    assert!(
        verify.json()["reason"].as_str().is_some_and(|reason| reason.contains("31 values stand unencrypted")),
        "{verify}"
    );
    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    assert!(lines(&list).iter().any(|line| line["class"] == "plaintext_refused" && line["count"] == 30), "{list}");
}

/// Unreadable values might be old ones: without the old key nobody can say.
async fn verify_without_the_old_key_cannot_say_while_something_is_unreadable(engine: Engine) {
    let seeding = Seeding::mixed(500);
    let db = engine.seeded(&seeding).await;
    let both = operator(&db);
    both.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(both.run(&["verify"]).await.expect_code(1).json()["old_key_needed"], false);
    let new_alone = operator(&db).unset("OLD_KEY");
    let verify = new_alone.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
    assert!(verify.json()["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{verify}");
    // A sample never attests either.
    let sample = both.run(&["verify", "--sample", "50%"]).await.expect_code(1);
    assert_eq!(sample.json()["old_key_needed"], Value::Null, "{sample}");
    // Where everything is readable, the new key alone is enough.
    let clean = engine.seeded(&Seeding::clean(200)).await;
    operator(&clean).run(&["run", "--yes"]).await.expect_code(0);
    let verify = operator(&clean).unset("OLD_KEY").run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
}

async fn the_first_unreadable_value_stops_a_run_that_was_told_so(engine: Engine) {
    let seeding = Seeding::mixed(2000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let run = operator.run(&["run", "--yes", "--batch-rows", "100", "--workers", "1", "--on-unreadable", "stop"]).await;
    run.expect_refusal("unreadable_value", &["run --resume"]);
    let now = db.patients().await;
    audit.assert_in_between(&now);
    assert!(audit.moved(&now).iter().all(|patient| patient.number <= 200), "its batch was written");
    let resumed = operator.run(&["run", "--resume"]).await.expect_code(1);
    assert_eq!(resumed.state(), "finished", "{resumed}");
    audit.assert_rotated(&db.patients().await);
}

/// A range of rows under another key that the sample before the first write may miss: the ceiling runs on.
async fn more_unreadable_values_than_the_ceiling_stop_a_run(engine: Engine) {
    let seeding = Seeding::clean(4000);
    let db = engine.seeded(&seeding).await;
    let (lost, mut random) = (Cipher::new(&KEYS.lost), Random::of_test("ceiling"));
    for id in 3001..3061 {
        let value = lost.seal("gone", &mut random);
        db.execute(&format!(r#"UPDATE "Patient" SET "city" = '{value}' WHERE "id" = {id}"#)).await;
    }
    let before = db.patients().await;
    let operator = operator(&db);
    // 60 of 4,000 are 1.5 %.
    let arguments = ["run", "--yes", "--batch-rows", "200", "--workers", "1", "--max-unreadable", "20"];
    operator.run(&arguments).await.expect_refusal("ceiling_reached", &["max-unreadable"]);
    let status = operator.run_as_typed(&["status"]).await.expect_code(0);
    assert!(status.stdout.contains("\nthe run could not go on: more values would have been left alone"), "{status}");
    let status = operator.run(&["status"]).await;
    assert_eq!(status.json()["reason"], "ceiling_reached", "a script has the code");
    assert_eq!(status.json()["next"], "put right what stopped it, then `reencrypt run --resume`", "{status}");
    let stopped = db.patients().await;
    for (before, now) in before.iter().zip(&stopped).filter(|(before, _)| (3001..3061).contains(&before.number)) {
        assert_eq!(before.values[7], now.values[7], "a value that cannot be read was written");
    }
    let resumed = operator.run(&["run", "--resume", "--max-unreadable", "5%"]).await.expect_code(1);
    assert_eq!(resumed.state(), "finished", "{resumed}");
    assert_eq!(resumed.column("city")["quarantined"], 60, "{resumed}");
}

/// Values of one column that no key opens, from one row on.
async fn lose(db: &Database, column: &str, ids: std::ops::Range<i64>) {
    let (lost, mut random) = (Cipher::new(&KEYS.lost), Random::of_test("lose"));
    for id in ids {
        let value = lost.seal("gone", &mut random);
        db.execute(&format!(r#"UPDATE "Patient" SET "{column}" = '{value}' WHERE "id" = {id}"#)).await;
    }
}

/// Ten by ten, interrupted and resumed, would be any number.
async fn the_ceiling_is_that_of_the_run_and_not_of_each_process(engine: Engine) {
    let db = engine.seeded(&Seeding::clean(4000)).await;
    lose(&db, "city", 981..1001).await;
    lose(&db, "city", 3001..3016).await;
    let operator = operator(&db);
    let canary = ["run", "--yes", "--canary", "1000", "--max-unreadable", "30"];
    let canary = operator.run(&canary).await.expect_code(1);
    assert_eq!((canary.state(), &canary.json()["finished_at"]), ("paused".into(), &Value::Null), "{canary}");
    assert_eq!(canary.column("city")["quarantined"], 20, "{canary}");
    let resumed = operator.run(&["run", "--resume", "--max-unreadable", "30"]).await;
    resumed.expect_refusal("ceiling_reached", &["city"]);
    operator.run(&["run", "--resume", "--max-unreadable", "35"]).await.expect_code(1);
}

/// One of two pairs' keys opens it: not the one that its table has.
async fn what_stands_under_the_old_key_of_another_pair_needs_that_key(engine: Engine) {
    let db = engine.seeded(&Seeding::clean(500)).await;
    let mut random = Random::of_test("another_pair");
    let card = Keys { old: random.bytes(), new: random.bytes(), ..KEYS };
    let value = Cipher::new(&card.old).seal("of another table once", &mut random);
    db.execute(&format!(r#"UPDATE "Patient" SET "city" = '{value}' WHERE "id" IN (7, 8)"#)).await;
    let operator = operator(&db).set("CARD_OLD", &card.old_hex()).set("CARD_NEW", &card.new_hex());
    let configuration = reencrypt_tests::Configuration {
        head: "[key.phi]\nold = 'env:OLD_KEY'\nnew = 'env:NEW_KEY'\n[key.card]\nold = 'env:CARD_OLD'\nnew = 'env:CARD_NEW'\n".into(),
        table_extra: "key = 'phi'\n".into(),
        ..Default::default()
    };
    operator.configure(&configuration.text());
    let plan = operator.run(&["plan"]).await.expect_code(0);
    assert!(plan.findings("warn").contains(&"other_pair".to_owned()), "{plan}");
    operator.run(&["run", "--yes"]).await.expect_code(1);
    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    assert!(lines(&list).iter().all(|line| line["class"] == "other_pair" && line["count"] == 2), "{list}");
    accept_all(&operator).await;
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
    // The way out that the finding names.
    operator.configure(
        &configuration
            .text()
            .replace("old = 'env:OLD_KEY'", "old = 'env:CARD_OLD'")
            .replace("[key.card]\nold = 'env:CARD_OLD'\nnew = 'env:CARD_NEW'\n", ""),
    );
    let run = operator.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.column("city")["rotated"], 2, "{run}");
    assert_eq!(operator.run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);
}

/// Everything that the real old key would open opens under neither of the keys that were given.
async fn verify_with_a_wrong_old_key_cannot_say(engine: Engine) {
    let wrong = Keys { old: Random::of_test("wrong_key").bytes(), ..KEYS };
    let db = engine.seeded(&Seeding::clean(300)).await;
    let verify = operator(&db).keys(&wrong).run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
    // No run has put anything into quarantine, and no check of the keys' form tells which is the right one.
    let neither = Keys { old: wrong.old, new: KEYS.lost, ..KEYS };
    let verify = operator(&db).keys(&neither).run(&["verify"]).await.expect_code(1);
    assert!(verify.json()["next"].as_str().is_some_and(|next| next.contains("reencrypt key check")), "{verify}");
    // Afterwards few values are left that it might open; the run knows that it was another key.
    let db = engine.seeded(&Seeding::mixed(1000)).await;
    operator(&db).run(&["run", "--yes"]).await.expect_code(1);
    let verify = operator(&db).keys(&wrong).run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
    let verify = operator(&db).run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
    // Neither a run with that key nor a person's acceptance makes it the right one.
    let plan = operator(&db).keys(&wrong).run(&["plan"]).await;
    assert!(plan.findings("warn").contains(&"other_old_key".to_owned()), "{plan}");
    let run = operator(&db).keys(&wrong).run(&["run", "--yes", "--max-unreadable", "100%"]).await.expect_code(1);
    assert!(run.findings("warn").contains(&"other_old_key".to_owned()), "{run}");
    accept_all(&operator(&db)).await;
    let verify = operator(&db).keys(&wrong).run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
    let verify = operator(&db).run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
}

/// All of it opens under the key that was given as new: so it does after a rotation, but none was made.
async fn verify_with_swapped_keys_is_no_success(engine: Engine) {
    let db = engine.seeded(&Seeding::clean(300)).await;
    let swapped = Keys { old: KEYS.new, new: KEYS.old, ..KEYS };
    let verify = operator(&db).keys(&swapped).run(&["verify"]).await.expect_code(1);
    assert!(verify.findings("warn").contains(&"old_key_unknown".to_owned()), "{verify}");
    assert!(verify.json()["next"].as_str().is_some_and(|next| next.contains("swapped")), "{verify}");
    // What a run has left alone is listed where there was one.
    let plain = r#"UPDATE "Patient" SET "city" = 'in the clear' WHERE "id" = 1"#;
    db.execute(plain).await;
    let refusing = operator(&db);
    let refuse = reencrypt_tests::Configuration { plaintext: "refuse", ..Default::default() };
    refusing.configure(&refuse.text());
    let new_alone = refusing.keys(&swapped).unset("OLD_KEY");
    let verify = new_alone.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["next"], "reencrypt plan", "{verify}");
    // A store that is broken tells no more than one that is not there.
    operator(&db).run(&["run", "--yes", "--canary", "1"]).await.expect_code(1);
    db.execute(&format!("DROP TABLE {}", db.store_table("acceptance"))).await;
    let verify = operator(&db).keys(&swapped).run(&["verify"]).await.expect_code(1);
    assert!(verify.findings("warn").contains(&"old_key_unknown".to_owned()), "{verify}");
}

/// Nothing in the data tells a wrong old key from the right one once little is left of it: only a run that rotated from it does.
async fn verify_with_an_old_key_that_no_run_used_cannot_say(engine: Engine) {
    let wrong = Keys { old: Random::of_test("no_run").bytes(), ..KEYS };
    let db = engine.seeded(&Seeding::clean(1000)).await;
    operator(&db).run(&["run", "--yes"]).await.expect_code(0);
    let old = Cipher::new(&KEYS.old).seal("left behind", &mut Random::of_test("no_run_left"));
    db.execute(&format!(r#"UPDATE "Patient" SET "city" = '{old}' WHERE "id" = 7"#)).await;
    let drop = match engine {
        Engine::Sqlite => {
            let tables = db.store_tables().await;
            let drops: String = tables.iter().map(|table| format!("DROP TABLE {table};")).collect();
            format!("PRAGMA foreign_keys = OFF; {drops}")
        }
        _ => "DROP SCHEMA reencrypt CASCADE; CREATE SCHEMA reencrypt".to_owned(),
    };
    db.execute(&drop).await;
    if let Database::Postgres(postgres) = &db {
        db.execute(&format!(
            "GRANT USAGE, CREATE ON SCHEMA reencrypt TO {}",
            postgres.role(reencrypt_tests::Role::Run)
        ))
        .await;
    }
    let operator = operator(&db).keys(&wrong);
    for _ in 0..2 {
        let verify = operator.run(&["verify"]).await.expect_code(1);
        assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
        assert!(verify.findings("warn").contains(&"old_key_unknown".to_owned()), "{verify}");
        // A run that rotates nothing is no proof, and neither is an acceptance.
        operator.run(&["run", "--yes"]).await;
        accept_all(&operator).await;
    }
    // The same key twice is no pair.
    let same = crate::operator(&db).set("OLD_KEY", &KEYS.new_hex());
    same.run(&["verify"]).await.expect_refusal("same_key", &[]);
}

/// Ciphertext inside a longer text is under the old key whatever the column says of plaintext.
async fn ciphertext_inside_a_longer_text_is_not_done(engine: Engine) {
    let seeding = Seeding::clean(600);
    let db = engine.seeded(&seeding).await;
    let city = db.patients().await[6].values[7].clone().expect("a city");
    let inside = format!("{city} as any {city}");
    db.execute(&format!(r#"UPDATE "Patient" SET "city" = '{inside}' WHERE "id" = 7"#)).await;
    let operator = operator(&db);
    let plan = operator.run(&["plan"]).await.expect_code(0);
    assert!(plan.findings("warn").contains(&"embedded_ciphertext".to_owned()), "{plan}");
    let run = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.column("city")["quarantined"], 1, "{run}");
    assert_eq!(db.patients().await[6].values[7].as_deref(), Some(inside.as_str()), "it was written");
    accept_all(&operator).await;
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// A hash that is recomputed to one that another row has: the row is left alone, found by halves, and the run goes on.
async fn a_row_that_a_constraint_refuses_is_left_alone(engine: Engine) {
    let seeding = Seeding::clean(1000);
    let db = engine.seeded(&seeding).await;
    db.execute(r#"CREATE UNIQUE INDEX one_email ON "Patient" ("emailHash")"#).await;
    // Row 700 has the address of row 300, under a stale hash.
    db.execute(
        r#"UPDATE "Patient" SET "emailHash" = 'stale', "email" = (SELECT "email" FROM "Patient" WHERE "id" = 300) WHERE "id" = 700"#,
    )
    .await;
    let before = db.patients().await;
    let operator = operator(&db);
    let plan = operator.run(&["plan"]).await.expect_code(0);
    assert!(plan.findings("warn").contains(&"unique_on_blind_index".to_owned()), "{plan}");
    let run = operator.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.state(), "finished", "{run}");
    assert_eq!(run.column("email")["quarantined"], 1, "{run}");
    assert_eq!(run.column("email")["rotated"], 999, "{run}");
    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    assert!(lines(&list).iter().all(|line| line["class"] == "write_refused" && line["count"] == 1), "{list}");
    let moved = db.patients().await.iter().zip(&before).filter(|(now, before)| now.values != before.values).count();
    assert_eq!(moved, 999);
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// What refuses row after row is no matter of single rows: the ceiling holds here too.
async fn a_constraint_that_refuses_every_row_stops_the_run(engine: Engine) {
    let seeding = Seeding::clean(1000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    // Whoever is in the table may stay as they are.
    let refuse = match engine {
        Engine::Sqlite => {
            r#"CREATE TRIGGER frozen BEFORE UPDATE OF "zip" ON "Patient" BEGIN SELECT RAISE(ABORT, 'frozen'); END"#
        }
        _ => r#"ALTER TABLE "Patient" ADD CONSTRAINT frozen CHECK (length("zip") < 10) NOT VALID"#,
    };
    db.execute(refuse).await;
    let operator = operator(&db);
    let allowed =
        reencrypt_tests::Configuration { table_extra: "triggers = \"allow\"\n".to_owned(), ..Default::default() };
    operator.configure(&allowed.text());
    let run = operator.run(&["run", "--yes"]).await;
    run.expect_refusal("ceiling_reached", &["constraint"]);
    audit.assert_unchanged(&db.patients().await);
    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    assert!(lines(&list).iter().all(|line| line["class"] == "write_refused"), "{list}");
}
