//! What a plan says about the values.
use crate::{
    clinic::{self, COLUMNS},
    on_each_engine,
    place::{Place, found, of, only},
};
use reencrypt_planner::{Configuration, Plan, Severity, SurveyOptions};

on_each_engine! {
    the_platforms_patients_are_classified_as_expected,
    the_old_key_alone_is_enough,
    the_new_key_alone_sees_what_is_new,
    a_full_reading_counts_every_row,
    estimates_follow_what_is_left_to_do,
    new_values_longer_than_expected_are_noticed,
    unlisted_ciphertext_and_hashes_are_reported,
    an_empty_table_is_no_problem,
    plaintext_is_reported_where_it_is_refused,
}

/// The counts that the vectors expect of a column: old, new, null, empty, plaintext, unreadable.
fn expected(column: &str) -> [u64; 6] {
    let mut counts = [0; 6];
    for patient in clinic::patients() {
        let at = match patient.expect[column].class.as_str() {
            "ciphertext" => 0,
            "already-new" => 1,
            "null" => 2,
            "empty" => 3,
            "plaintext" => 4,
            "undecryptable" | "damaged" => 5,
            other => panic!("{other}"),
        };
        counts[at] += 1;
    }
    counts
}

fn counts(plan: &Plan, column: &str) -> [u64; 6] {
    let sample = plan.tables[0].columns.iter().find(|c| c.column == column).expect("the column").sample;
    assert_eq!(
        sample.seen,
        sample.old + sample.new + sample.null + sample.empty + sample.plaintext + sample.unreadable
    );
    [sample.old, sample.new, sample.null, sample.empty, sample.plaintext, sample.unreadable]
}

async fn the_platforms_patients_are_classified_as_expected(mut place: Place) {
    clinic::make(&mut place).await;
    let plan =
        place.plan(&clinic::configuration(", plaintext = \"keep\", nesting_max = 2"), &clinic::platform_keys()).await;
    for column in COLUMNS {
        assert_eq!(counts(&plan, column), expected(column), "{column}");
    }
    assert_eq!(plan.tables[0].sampled_rows, 17);
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    // The blank for a plus sign, and the truncated value, keep the shape's outline.
    assert!(of(&plan.findings, "near_miss").iter().any(|f| f.column.as_deref() == Some("address1")));
    let [email_hash, dob_hash] = plan.tables[0].blind_indexes.as_slice() else { panic!("two blind indexes") };
    assert!(email_hash.indexed && dob_hash.indexed);
    assert_eq!((email_hash.sample.old, email_hash.sample.new), (14, 1), "{:?}", email_hash.sample);
    assert_eq!((email_hash.sample.null, email_hash.sample.mismatched), (1, 1), "{:?}", email_hash.sample);
}

async fn the_old_key_alone_is_enough(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::keyring(Some(&clinic::old_key_hex()), None);
    let plan = place.plan(&clinic::configuration(", plaintext = \"keep\""), &keys).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    let mut first_name = expected("firstName");
    first_name[5] += first_name[1];
    first_name[1] = 0;
    assert_eq!(counts(&plan, "firstName"), first_name, "what is new cannot be read without the new key");
    // Encrypted twice under the old key, and the column does not say so.
    let nested = only(&plan.findings, "nested_values");
    assert_eq!((nested.column.as_deref(), nested.severity), (Some("firstName"), Severity::Warn));
    assert!(nested.message.contains("nesting_max = 2"), "{}", nested.message);
}

async fn the_new_key_alone_sees_what_is_new(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::keyring(None, Some(&clinic::new_key_hex()));
    let plan = place.plan(&clinic::configuration(", plaintext = \"keep\""), &keys).await;
    assert_eq!(counts(&plan, "lastName")[1], 1);
    assert_eq!(of(&plan.findings, "wrong_key"), Vec::<&reencrypt_planner::Finding>::new(), "the old key is not judged");
    assert_eq!(only(&plan.findings, "key_missing").severity, Severity::Warn);
}

async fn a_full_reading_counts_every_row(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 150, Some(&clinic::old_key_hex())).await;
    clinic::fill(&mut place, 1000, 30, None).await;
    let options = SurveyOptions { sample: 40, ..SurveyOptions::default() };
    let configuration = clinic::configuration(", plaintext = \"keep\"");
    let sampled = place.plan_with(&configuration, &clinic::platform_keys(), options).await;
    assert!((20..=80).contains(&sampled.tables[0].sampled_rows), "{}", sampled.tables[0].sampled_rows);
    let full = SurveyOptions { full: true, ..options };
    let plan = place.plan_with(&configuration, &clinic::platform_keys(), full).await;
    assert_eq!((plan.tables[0].sampled_rows, plan.tables[0].rows_estimate), (180, 180));
    for column in COLUMNS {
        assert_eq!(counts(&plan, column), [150, 0, 0, 0, 30, 0], "{column}");
    }
    assert_eq!(plan.id, sampled.id, "counts are no part of what is approved");
}

async fn estimates_follow_what_is_left_to_do(mut place: Place) {
    clinic::make_table(&mut place).await;
    clinic::fill(&mut place, 1, 60, Some(&clinic::old_key_hex())).await;
    let configuration = clinic::configuration("");
    let keys = clinic::platform_keys();
    let before = place.plan(&configuration, &keys).await;
    assert_eq!((before.estimate.rows, before.estimate.chunks), (60, 1));
    assert_eq!(before.estimate.key_invocations["default"], 600);
    assert!(before.estimate.seconds > 0.0 && before.estimate.wal_bytes > 0);
    place.sql("DELETE FROM \"Patient\"").await;
    clinic::fill(&mut place, 1, 60, Some(&clinic::new_key_hex())).await;
    let done = place.plan(&configuration, &keys).await;
    assert_eq!((done.estimate.values, done.estimate.key_invocations["default"]), (0, 0));
    assert!(done.estimate.seconds < before.estimate.seconds);
    assert!(!done.has_failures(), "{:#?}", done.findings);
    assert_eq!(only(&done.findings, "nothing_old").severity, Severity::Warn);
    assert_eq!(done.id, before.id);
}

async fn new_values_longer_than_expected_are_noticed(mut place: Place) {
    // Base64 fits, the same in hex digits does not.
    let type_name = "varchar(80)";
    place.sql(&format!("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, secret {type_name})")).await;
    for (id, stored) in
        clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &["0123456789abcde".to_owned()]).iter().enumerate()
    {
        place.sql(&format!("INSERT INTO t VALUES ({id}, {})", clinic::literal(Some(stored)))).await;
    }
    let configuration = |write: &str| {
        format!(
            "[[table]]\nname = \"t\"\n[table.columns]\nsecret = {{ read = [\"gcm-triple-b64-iv16\"], write = \"{write}\" }}"
        )
    };
    let same = place.plan(&configuration("gcm-triple-b64-iv16"), &clinic::platform_keys()).await;
    assert_eq!(found(&same, "varchar_overflow"), []);
    let longer = place.plan(&configuration("gcm-triple-hex-iv16"), &clinic::platform_keys()).await;
    let expected: &[_] = match place.dialect() {
        // SQLite does not enforce a length.
        reencrypt_db::Dialect::Sqlite => &[],
        reencrypt_db::Dialect::Postgres => &[(Severity::Fail, Some("secret".to_owned()))],
    };
    assert_eq!(found(&longer, "varchar_overflow"), expected);
}

async fn unlisted_ciphertext_and_hashes_are_reported(mut place: Place) {
    clinic::make(&mut place).await;
    let old = clinic::old_key_hex();
    place
        .sql("CREATE TABLE \"IntakeFormLink\" (id integer PRIMARY KEY NOT NULL, \"patientEmail\" text, note text)")
        .await;
    let leaked = clinic::seal(&old, clinic::FORMAT, &["a@example.com".to_owned()]);
    place
        .sql(&format!(
            "INSERT INTO \"IntakeFormLink\" VALUES (1, '{}', 'no secret'), (2, 'plain@example.com', NULL)",
            leaked[0]
        ))
        .await;
    let configuration = format!(
        "[[table]]\nname = \"Patient\"\n[table.columns]\nemail = {{ format = \"{}\", plaintext = \"keep\" }}\n",
        clinic::FORMAT
    );
    let plan = place.plan(&configuration, &clinic::platform_keys()).await;
    let unlisted = of(&plan.findings, "unlisted_ciphertext");
    let intake = place.named("IntakeFormLink");
    let leak = unlisted.iter().find(|finding| finding.table.as_deref() == Some(&intake)).expect("the leaked column");
    assert_eq!((leak.severity, leak.column.as_deref()), (Severity::Warn, Some("patientEmail")));
    assert!(leak.message.contains("1 under the old key"), "{}", leak.message);
    assert_eq!(unlisted.len(), 10, "nine columns of Patient and the leak: {unlisted:#?}");
    let hashes: Vec<_> =
        of(&plan.findings, "unlisted_blind_index").iter().filter_map(|f| f.column.as_deref()).collect();
    assert_eq!(hashes, ["emailHash", "dobHash"]);
    // A configuration that names them all leaves the leak alone.
    let plan = place.plan(&clinic::configuration(", plaintext = \"keep\""), &clinic::platform_keys()).await;
    assert_eq!(only(&plan.findings, "unlisted_ciphertext").table.as_deref(), Some(intake.as_str()));
    let unlooked = SurveyOptions { discover: false, ..SurveyOptions::default() };
    let plan =
        place.plan_with(&clinic::configuration(", plaintext = \"keep\""), &clinic::platform_keys(), unlooked).await;
    assert_eq!(found(&plan, "unlisted_ciphertext"), []);
}

async fn an_empty_table_is_no_problem(mut place: Place) {
    clinic::make_table(&mut place).await;
    for full in [false, true] {
        let options = SurveyOptions { full, ..SurveyOptions::default() };
        let plan = place.plan_with(&clinic::configuration(""), &clinic::platform_keys(), options).await;
        assert!(!plan.has_failures(), "{:#?}", plan.findings);
        assert_eq!((plan.tables[0].sampled_rows, plan.estimate.rows, plan.estimate.chunks), (0, 0, 1));
    }
}

async fn plaintext_is_reported_where_it_is_refused(mut place: Place) {
    clinic::make(&mut place).await;
    let plan = place.plan(&clinic::configuration(", nesting_max = 2"), &clinic::platform_keys()).await;
    let refused: Vec<_> = of(&plan.findings, "plaintext_refused").iter().filter_map(|f| f.column.clone()).collect();
    assert_eq!(refused.len(), 10, "{refused:?}");
    assert!(!plan.has_failures());
    // Messages never hold a value.
    let text = format!("{:?}", plan.findings) + &serde_json::to_string(&plan).expect("JSON");
    for patient in clinic::patients() {
        for value in patient.row.values().flatten().filter(|value| value.len() > 7) {
            assert!(!text.contains(value.as_str()), "{text}");
        }
    }
    assert!(!text.contains(&clinic::old_key_hex()) && !text.contains(&clinic::new_key_hex()));
    let _ = Configuration::from_environment();
}
