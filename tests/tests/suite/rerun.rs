//! Invariant 5: never encrypts twice; what is done is done.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, Cipher, Configuration, KEYS, Random, Seeding};

on_both_engines!(
    a_rerun_on_finished_data_rotates_nothing,
    old_inside_new_is_not_done,
    a_stale_hash_beside_a_new_ciphertext_is_not_done,
    the_way_back_is_a_rotation_too,
);

/// A run on finished data changes no byte, and says that it rotated 0 values.
async fn a_rerun_on_finished_data_rotates_nothing(engine: Engine) {
    let seeding = Seeding::clean(1500);
    let db = engine.seeded(&seeding).await;
    let operator = operator(&db);
    operator.run(&["run", "--yes"]).await.expect_code(0);
    let done = db.patients().await;
    for arguments in [&["run", "--yes"][..], &["run", "--resume", "--yes"], &["sweep", "--yes"]] {
        let rerun = operator.run(arguments).await.expect_code(0);
        assert_eq!(rerun.state(), "finished", "{rerun}");
        assert_eq!(db.patients().await, done, "a rerun wrote");
        let json = rerun.json();
        let last = json["passes"].as_array().and_then(|passes| passes.last()).expect("passes").clone();
        assert_eq!(last["rotated"], 0, "{rerun}");
        if arguments[0] == "run" {
            let passes = json["passes"].as_array().expect("passes").clone();
            assert!(passes.iter().all(|pass| pass["rotated"] == 0), "{rerun}");
            assert_eq!(rerun.column("email")["already_new"], 1500, "{rerun}");
        }
    }
}

/// An application that read a ciphertext as if it were text and encrypted it again, under the new key: the old key is still inside.
async fn old_inside_new_is_not_done(engine: Engine) {
    let seeding = Seeding::clean(300);
    let db = engine.seeded(&seeding).await;
    let before = db.patients().await;
    let first = operator(&db);
    first.run(&["run", "--yes"]).await.expect_code(0);
    let old_inside = before[41].values[0].clone().expect("a first name");
    let nested = Cipher::new(&KEYS.new).seal(&old_inside, &mut Random::of_test("old_inside_new"));
    db.execute(&format!(r#"UPDATE "Patient" SET "firstName" = '{nested}' WHERE "id" = 42"#)).await;

    let verify = first.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
    assert_eq!(verify.column("firstName")["old"], 1, "{verify}");
    // Where nesting is not declared, it is left alone for a person.
    let run = first.run(&["run", "--yes"]).await.expect_code(1);
    assert_eq!(run.column("firstName")["quarantined"], 1, "{run}");
    assert_eq!(db.patients().await[41].values[0].as_deref(), Some(nested.as_str()), "a quarantined value was written");
    assert_eq!(first.run(&["verify"]).await.json()["old_key_needed"], true);
    // Where it is declared, it is rotated through and through.
    first.configure(&Configuration { nesting_max: 2, ..Configuration::default() }.text());
    let run = first.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.column("firstName")["rotated"], 1, "{run}");
    let verify = first.run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
    let (new, stored) = (Cipher::new(&KEYS.new), db.patients().await[41].values[0].clone().expect("a first name"));
    let plain = new.open(&stored).map(|plain| new.open(&plain).unwrap_or(plain));
    assert_eq!(plain, reencrypt_tests::plaintext(42, 0));
}

/// A search by the old key's hash would still find this patient: the old key is needed.
async fn a_stale_hash_beside_a_new_ciphertext_is_not_done(engine: Engine) {
    let seeding = Seeding::clean(300);
    let db = engine.seeded(&seeding).await;
    let before = db.patients().await;
    let audit = Audit::new(&seeding, before.clone());
    let operator = operator(&db);
    operator.run(&["run", "--yes"]).await.expect_code(0);
    let stale = before[6].email_hash.clone().expect("a hash");
    db.execute(&format!(r#"UPDATE "Patient" SET "emailHash" = '{stale}' WHERE "id" = 7"#)).await;

    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
    let index = verify.json()["tables"][0]["blind_indexes"][0].clone();
    assert_eq!((&index["column"], &index["old"]), (&"emailHash".into(), &1.into()), "{verify}");
    let sweep = operator.run(&["sweep", "--yes"]).await.expect_code(0);
    assert_eq!(sweep.state(), "finished", "{sweep}");
    audit.assert_rotated(&db.patients().await);
    assert_eq!(operator.run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);
}

/// A second rotation right after the first: what was new is old now.
async fn the_way_back_is_a_rotation_too(engine: Engine) {
    let seeding = Seeding::clean(400);
    let db = engine.seeded(&seeding).await;
    let there = operator(&db);
    there.run(&["run", "--yes"]).await.expect_code(0);
    let back = operator(&db).set("OLD_KEY", &KEYS.new_hex()).set("NEW_KEY", &KEYS.old_hex());
    let run = back.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.column("zip")["rotated"], 400, "{run}");
    assert_eq!(back.run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);
    // For the keys of the first rotation, everything is old again.
    assert_eq!(there.run(&["verify"]).await.expect_code(1).json()["old_key_needed"], true);
}
