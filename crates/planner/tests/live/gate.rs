//! A wrong key is refused before the first write.
use crate::{
    clinic, on_each_engine,
    place::{Place, draft_on, found, of, only},
};
use reencrypt_planner::{Ceiling, Configuration, Severity, SurveyOptions, survey};
use std::sync::Arc;

on_each_engine! {
    a_wrong_old_key_is_refused_with_counts_and_fingerprints,
    swapped_keys_look_like_a_finished_run_and_are_said_to,
    a_few_unreadable_values_do_not_refuse_a_run,
    accepted_values_are_no_evidence,
    plaintext_alone_says_nothing_about_a_key,
    the_same_key_twice_is_refused,
    a_wrong_format_of_bytes_is_refused_like_a_wrong_key,
}

const WRONG: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddee00";

async fn a_wrong_old_key_is_refused_with_counts_and_fingerprints(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 60, Some(&clinic::old_key_hex())).await;
    let keys = clinic::keyring(Some(WRONG), Some(&clinic::new_key_hex()));
    let plan = place.plan(&clinic::configuration(""), &keys).await;
    let refused = of(&plan.findings, "wrong_key");
    assert_eq!(refused.len(), 10, "every column: {:#?}", plan.findings);
    let message = &refused[0].message;
    let old = keys["default"].old.as_ref().unwrap().fingerprint().to_string();
    let new = keys["default"].new.as_ref().unwrap().fingerprint().to_string();
    assert!(message.contains("of 60 values") && message.contains("60 under neither"), "{message}");
    assert!(message.contains(&old) && message.contains(&new), "{message}");
    assert!(!message.contains(WRONG), "{message}");
    assert!(refused.iter().all(|finding| finding.severity == Severity::Fail));
}

async fn swapped_keys_look_like_a_finished_run_and_are_said_to(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 30, Some(&clinic::old_key_hex())).await;
    let swapped = clinic::keyring(Some(&clinic::new_key_hex()), Some(&clinic::old_key_hex()));
    let plan = place.plan(&clinic::configuration(""), &swapped).await;
    assert_eq!(found(&plan, "wrong_key"), []);
    let message = &only(&plan.findings, "nothing_old").message;
    assert!(message.contains("swapped"), "{message}");
}

async fn a_few_unreadable_values_do_not_refuse_a_run(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 50, Some(&clinic::old_key_hex())).await;
    clinic::fill(&mut place, 1000, 10, Some(WRONG)).await;
    let plan = place.plan(&clinic::configuration(""), &clinic::platform_keys()).await;
    assert_eq!(found(&plan, "wrong_key"), [], "ten of sixty are quarantined");
    clinic::fill(&mut place, 2000, 45, Some(WRONG)).await;
    let plan = place.plan(&clinic::configuration(""), &clinic::platform_keys()).await;
    assert_eq!(of(&plan.findings, "wrong_key").len(), 10, "55 against 50 are a second key");
    let lenient = SurveyOptions { ceiling: Ceiling::Values(60), ..SurveyOptions::default() };
    let plan = place.plan_with(&clinic::configuration(""), &clinic::platform_keys(), lenient).await;
    assert_eq!(found(&plan, "wrong_key"), [], "unless it is tolerated");
}

async fn accepted_values_are_no_evidence(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 5, Some(WRONG)).await;
    let configuration = Configuration::parse(&clinic::configuration("")).unwrap();
    let keys = clinic::platform_keys();
    let database = place.database().await;
    let pool = Arc::new(reencrypt_crypto::Pool::new(1));
    for (accepted, refused) in [(0, 10), (4, 10), (5, 0)] {
        let mut plan = draft_on(&database, &configuration, &keys, &[], true).await.unwrap();
        let mut session = place.session().await;
        let options = SurveyOptions::default();
        survey(&mut session, &mut plan, &configuration, &keys, &pool, options, &|_, _| accepted).await.unwrap();
        assert_eq!(of(&plan.findings, "wrong_key").len(), refused, "{accepted} accepted");
        assert_eq!(plan.tables[0].columns[0].sample.accepted, accepted);
    }
}

async fn plaintext_alone_says_nothing_about_a_key(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 30, None).await;
    let plan =
        place.plan(&clinic::configuration(", plaintext = \"encrypt\""), &clinic::keyring(Some(WRONG), None)).await;
    assert_eq!(found(&plan, "wrong_key"), []);
    assert_eq!(plan.estimate.key_invocations["default"], 300, "plaintext is to be encrypted");
}

async fn the_same_key_twice_is_refused(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::keyring(Some(&clinic::old_key_hex()), Some(&clinic::old_key_hex()));
    let plan = place.draft(&clinic::configuration(""), &keys).await;
    assert_eq!(only(&plan.findings, "same_key").severity, Severity::Fail);
}

async fn a_wrong_format_of_bytes_is_refused_like_a_wrong_key(mut place: Place) {
    let (kind, bytes) = match place.dialect() {
        reencrypt_db::Dialect::Sqlite => ("blob", "CAST('$' AS BLOB)"),
        reencrypt_db::Dialect::Postgres => ("bytea", "convert_to('$', 'UTF8')"),
    };
    place.sql(&format!("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, secret {kind})")).await;
    let texts: Vec<String> = (0..20).map(|i| format!("text {i}")).collect();
    for (i, stored) in clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &texts).iter().enumerate() {
        place.sql(&format!("INSERT INTO t VALUES ({i}, {})", bytes.replace('$', stored))).await;
    }
    let configuration = |format| format!("[[table]]\nname = \"t\"\n[table.columns]\nsecret = \"{format}\"\n");
    // Any bytes are of this shape.
    let plan = place.plan(&configuration("gcm-bytes-iv12"), &clinic::platform_keys()).await;
    assert_eq!(found(&plan, "wrong_key"), [(Severity::Fail, Some("secret".to_owned()))]);
    let plan = place.plan(&configuration(clinic::FORMAT), &clinic::platform_keys()).await;
    assert_eq!((plan.has_failures(), plan.tables[0].columns[0].sample.old), (false, 20), "{:#?}", plan.findings);
}
