//! Encrypted columns that nobody listed.
use crate::{
    clinic::{self, COLUMNS},
    on_each_engine,
    place::{Place, named_only, of, only, plan_on},
};
use reencrypt_crypto::{Expect, Outcome, PlaintextPolicy, Pool, Rows};
use reencrypt_db::{Dialect, Limits, Mode};
use reencrypt_planner::{Configuration, Discovery, Keyring, Severity, SurveyOptions, bind, discover, unlisted};
use std::sync::Arc;

on_each_engine! {
    the_platforms_patients_are_found_with_their_hashes,
    the_old_key_alone_finds_them,
    hashes_that_nobody_explains_are_a_failure,
    formats_are_told_apart_and_mixed_ones_read_together,
    shapes_that_no_key_opens_are_mentioned_and_tokens_are_not,
    two_pairs_share_a_database,
    pieces_of_texts_and_documents_are_mentioned,
    formats_with_key_ids_are_written_as_something_possible,
    a_run_goes_on_with_the_tables_of_its_plan,
    formats_of_text_in_columns_of_bytes_are_found_and_rotated,
    without_an_old_key_one_value_of_a_shape_is_mentioned,
}

async fn discovered(place: &Place, keys: &Keyring) -> Discovery {
    let mut session = place.session().await;
    discover(&mut session, keys, &Arc::new(Pool::new(2)), 1000).await.expect("a discovery")
}

async fn the_platforms_patients_are_found_with_their_hashes(mut place: Place) {
    clinic::make(&mut place).await;
    place.sql("CREATE TABLE other (id integer PRIMARY KEY NOT NULL, name text)").await;
    place.sql("INSERT INTO other VALUES (1, 'nothing'), (2, '12:30:45')").await;
    let keys = clinic::platform_keys();
    let found = discovered(&place, &keys).await;
    assert_eq!(found.findings, [], "{:#?}", found.findings);
    let [table] = found.tables.as_slice() else { panic!("{:#?}", found.tables) };
    assert_eq!(table.name, "Patient");
    let columns: Vec<_> = table.columns.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(columns, COLUMNS);
    for column in &table.columns {
        assert_eq!(
            (column.read.as_slice(), column.plaintext),
            ([clinic::FORMAT.to_owned()].as_slice(), PlaintextPolicy::Keep)
        );
        assert_eq!(column.nesting_max, if column.column == "firstName" { 2 } else { 1 }, "{}", column.column);
    }
    let hashes: Vec<_> = table.blind_indexes.iter().map(|index| (index.column.as_str(), index.of.as_str())).collect();
    assert_eq!(hashes, [("emailHash", "email"), ("dobHash", "dob")]);
    let configured = Configuration::parse(&clinic::configuration("")).unwrap();
    assert_eq!(table.blind_indexes, configured.tables[0].blind_indexes, "a date is not hashed as a text");

    // What is written plans clean, with the expected hashes.
    let configuration = Configuration { tables: found.tables.clone(), ..Configuration::from_environment() };
    let text = configuration.to_toml();
    let configuration = Configuration::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let plan = plan_on(&place.database().await, &configuration, &keys, SurveyOptions::default()).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(of(&plan.findings, "unlisted_ciphertext").len() + of(&plan.findings, "nested_values").len(), 0);
    assert_eq!(plan.tables[0].blind_indexes[0].sample.old, 14);
    assert_eq!(discovered(&place, &keys).await, found, "it finds the same again");
}

async fn the_old_key_alone_finds_them(mut place: Place) {
    clinic::make(&mut place).await;
    let found = discovered(&place, &clinic::keyring(Some(&clinic::old_key_hex()), None)).await;
    assert_eq!((found.tables[0].columns.len(), found.tables[0].blind_indexes.len()), (10, 2));
    // Without placeholders nothing but the names tells a date from a text.
    place.sql("DELETE FROM \"Patient\" WHERE \"dobHash\" IS NULL").await;
    let found = discovered(&place, &clinic::keyring(Some(&clinic::old_key_hex()), None)).await;
    assert_eq!(found.tables[0].blind_indexes[1].spec.normalize, [reencrypt_crypto::NormalizeStep::Date]);
    let found = discovered(&place, &clinic::keyring(Some(&"77".repeat(32)), None)).await;
    assert_eq!(found.tables, []);
    assert!(of(&found.findings, "unopened_ciphertext").iter().all(|finding| finding.severity == Severity::Warn));
    assert!(of(&found.findings, "unopened_ciphertext").len() >= 9, "{:#?}", found.findings);
}

async fn hashes_that_nobody_explains_are_a_failure(mut place: Place) {
    clinic::make(&mut place).await;
    place.sql("ALTER TABLE \"Patient\" ADD COLUMN \"phoneHash\" text").await;
    place.sql(&format!("UPDATE \"Patient\" SET \"phoneHash\" = '{}'", "ab".repeat(32))).await;
    place.sql("UPDATE \"Patient\" SET \"phoneHash\" = 'none' WHERE id = 3").await;
    // Hashes in a table without encrypted columns are nobody's business.
    place.sql("CREATE TABLE sessions (id integer PRIMARY KEY NOT NULL, digest text)").await;
    place.sql(&format!("INSERT INTO sessions VALUES (1, '{}')", "cd".repeat(32))).await;
    let found = discovered(&place, &clinic::platform_keys()).await;
    let unexplained = only(&found.findings, "unexplained_hash");
    assert_eq!((unexplained.severity, unexplained.column.as_deref()), (Severity::Fail, Some("phoneHash")));
    assert!(unexplained.message.contains("reencrypt init"), "{}", unexplained.message);
    // A configuration that a person wrote may leave them out.
    let plan = place.plan(&clinic::configuration(", plaintext = \"keep\""), &clinic::platform_keys()).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
}

async fn formats_are_told_apart_and_mixed_ones_read_together(mut place: Place) {
    let old = clinic::old_key_hex();
    place.sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, one text, mixed text)").await;
    let texts: Vec<String> = (0..30).map(|i| format!("text {i}")).collect();
    let one = clinic::seal(&old, "gcm-triple-hex-iv12", &texts);
    let other = clinic::seal(&old, clinic::FORMAT, &texts);
    for i in 0..30 {
        let mixed = if i < 20 { &other[i] } else { &one[29 - i] };
        place.sql(&format!("INSERT INTO t VALUES ({i}, '{}', '{mixed}')", one[i])).await;
    }
    let found = discovered(&place, &clinic::platform_keys()).await;
    let [one, mixed] = found.tables[0].columns.as_slice() else { panic!("{:#?}", found.tables) };
    assert_eq!(
        (one.read.as_slice(), one.plaintext),
        (["gcm-triple-hex-iv12".to_owned()].as_slice(), PlaintextPolicy::Refuse)
    );
    assert_eq!(mixed.read, [clinic::FORMAT, "gcm-triple-hex-iv12"]);
    assert_eq!(mixed.write, clinic::FORMAT, "what most values have");
}

async fn shapes_that_no_key_opens_are_mentioned_and_tokens_are_not(mut place: Place) {
    place.sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, lost text, token text, digest text, clock text)").await;
    let lost = clinic::seal(&"55".repeat(32), clinic::FORMAT, &(0..5).map(|i| format!("{i}")).collect::<Vec<_>>());
    for (i, lost) in lost.iter().enumerate() {
        let token = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5eg==";
        let digest = "0123456789abcdef".repeat(4);
        place.sql(&format!("INSERT INTO t VALUES ({i}, '{lost}', '{token}', '{digest}', '12:30:45')")).await;
    }
    let found = discovered(&place, &clinic::platform_keys()).await;
    assert_eq!(found.tables, []);
    let mentioned = only(&found.findings, "unopened_ciphertext");
    assert_eq!((mentioned.severity, mentioned.column.as_deref()), (Severity::Warn, Some("lost")));
}

async fn two_pairs_share_a_database(mut place: Place) {
    let (one, two) = ("11".repeat(32), "22".repeat(32));
    place.sql("CREATE TABLE a (id integer PRIMARY KEY NOT NULL, x text, y text, z text)").await;
    place.sql("CREATE TABLE b (id integer PRIMARY KEY NOT NULL, x text)").await;
    let under = |key: &str| clinic::seal(key, clinic::FORMAT, &["text".to_owned()]).remove(0);
    place.sql(&format!("INSERT INTO a VALUES (1, '{}', '{}', '{}')", under(&one), under(&one), under(&two))).await;
    place.sql(&format!("INSERT INTO b VALUES (1, '{}')", under(&two))).await;
    let mut keys = clinic::keyring(Some(&one), None);
    let one = keys.remove("default").expect("the pair");
    let two = clinic::keyring(Some(&two), None).remove("default").expect("the pair");
    let keys = Keyring::from([("one".to_owned(), one), ("two".to_owned(), two)]);
    let found = discovered(&place, &keys).await;
    let tables: Vec<_> = found.tables.iter().map(|t| (t.name.as_str(), t.key.as_deref(), t.columns.len())).collect();
    assert_eq!(tables, [("a", Some("one"), 2), ("b", Some("two"), 1)]);
    assert_eq!(only(&found.findings, "unlisted_ciphertext").column.as_deref(), Some("z"));
}

async fn pieces_of_texts_and_documents_are_mentioned(mut place: Place) {
    place.sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, doc json, note text, details text)").await;
    let one = clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &["text".to_owned()]).remove(0);
    place
        .sql(&format!(
            "INSERT INTO t VALUES (1, '{{\"a\": [{{\"ssn\": \"{one}\"}}]}}', '{one} as any {one}', '{{\"routingNumber\": \"{one}\"}}'), \
             (2, '{{\"a\": 1}}', 'nothing to see', NULL)"
        ))
        .await;
    let found = discovered(&place, &clinic::platform_keys()).await;
    assert_eq!(found.tables, []);
    let columns: Vec<_> =
        of(&found.findings, "unlisted_ciphertext").iter().filter_map(|f| f.column.as_deref()).collect();
    assert_eq!(columns, ["doc", "note", "details"]);
    assert!(found.findings[1].message.contains("2 under the old key"), "{:#?}", found.findings);
    // Of all that was found a run rotates nothing; beside a column that it does rotate this is a warning.
    assert!(found.findings.iter().all(|finding| finding.severity == Severity::Fail));
    place.sql("CREATE TABLE u (id integer PRIMARY KEY NOT NULL, name text)").await;
    place.sql(&format!("INSERT INTO u VALUES (1, '{one}')")).await;
    let found = discovered(&place, &clinic::platform_keys()).await;
    assert_eq!(found.tables.len(), 1);
    assert!(found.findings.iter().all(|finding| finding.severity == Severity::Warn));
}

async fn formats_with_key_ids_are_written_as_something_possible(mut place: Place) {
    let old = clinic::old_key_hex();
    place.sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, secret text)").await;
    let texts: Vec<String> = (0..9).map(|i| format!("text {i}")).collect();
    let bare = clinic::seal(&old, "gcm-triple-hex-iv12", &texts);
    // Most values carry a key id, which the others do not bring.
    for (i, bare) in bare.iter().enumerate() {
        let stored = if i < 6 { format!("v1:{bare}") } else { bare.clone() };
        place.sql(&format!("INSERT INTO t VALUES ({i}, '{stored}')")).await;
    }
    let keys = clinic::platform_keys();
    let found = discovered(&place, &keys).await;
    let [column] = found.tables[0].columns.as_slice() else { panic!("{:#?}", found.tables) };
    assert_eq!(column.read, ["gcm-triple-hex-iv12", "gcm-versioned-triple-hex-iv12"]);
    assert_eq!(column.write, "gcm-triple-hex-iv12");
    let configuration = Configuration { tables: found.tables, ..Configuration::from_environment() };
    let configuration = Configuration::parse(&configuration.to_toml()).unwrap();
    let plan = plan_on(&place.database().await, &configuration, &keys, SurveyOptions::default()).await;
    assert_eq!((plan.has_failures(), plan.tables[0].columns[0].sample.old), (false, 9));
}

async fn a_run_goes_on_with_the_tables_of_its_plan(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::platform_keys();
    let found = discovered(&place, &keys).await;
    let configuration = Configuration { tables: found.tables, ..Configuration::from_environment() };
    let plan = plan_on(&place.database().await, &configuration, &keys, SurveyOptions::default()).await;
    // Half-rotated data look otherwise to a discovery.
    place.sql("DELETE FROM \"Patient\" WHERE id > 1").await;
    let again = discovered(&place, &keys).await;
    assert_ne!(again.tables, configuration.tables);
    let resumed = Configuration { tables: plan.table_settings(), ..Configuration::from_environment() };
    let resumed = plan_on(&place.database().await, &resumed, &keys, SurveyOptions::default()).await;
    assert_eq!((resumed.id.as_str(), resumed.first_difference(&plan)), (plan.id.as_str(), None));
}

/// An SQL expression of the text's bytes.
fn bytes(place: &Place, text: &str) -> String {
    match place.dialect() {
        Dialect::Sqlite => format!("CAST('{text}' AS BLOB)"),
        Dialect::Postgres => format!("convert_to('{text}', 'UTF8')"),
    }
}

/// A batch as the cipher takes it.
struct Fields<'a>(&'a reencrypt_db::Rows);

impl Rows for Fields<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0.field(row, slot)
    }
}

/// Rewrites every row of the only table of `configuration`; returns how many.
async fn rotate(place: &Place, configuration: &Configuration, keys: &Keyring) -> usize {
    let plan = plan_on(&place.database().await, configuration, keys, SurveyOptions::default()).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    let mut session = place.session().await;
    let patient = Limits { lock_timeout_ms: 5_000, statement_timeout_ms: 20_000, ..Limits::default() };
    let mut tx = session.begin(Mode::Write(patient)).await.expect("a transaction");
    let table = bind(&mut tx, &plan, keys).await.expect("the tables").remove(0);
    let upto = tx.max_key(&table.leaves[0]).await.expect("a key").expect("rows");
    let rows = tx.read_batch(&table.leaves[0], None, &upto, 1000).await.expect("rows");
    let resealed = Pool::new(1).reseal(&table.cipher, &Fields(&rows), Expect::Old);
    let which: Vec<usize> = (0..rows.len()).filter(|&row| resealed.outcome(row, 0) == Outcome::Rotated).collect();
    let hit = tx
        .compare_and_set(&table.leaves[0], &rows, &which, &|nth, slot| resealed.value(which[nth], slot))
        .await
        .expect("a write");
    tx.commit().await.expect("the end");
    hit.into_iter().filter(|hit| *hit).count()
}

async fn formats_of_text_in_columns_of_bytes_are_found_and_rotated(mut place: Place) {
    let kind = if place.dialect() == Dialect::Sqlite { "blob" } else { "bytea" };
    place
        .sql(&format!("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, secret {kind}, doc {kind}, photo {kind})"))
        .await;
    place.sql("CREATE TABLE other (id integer PRIMARY KEY NOT NULL, name text)").await;
    let texts: Vec<String> = (0..9).map(|i| format!("text {i}")).collect();
    for (i, stored) in clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &texts).iter().enumerate() {
        let (secret, doc) = (bytes(&place, stored), bytes(&place, &format!("{{\"ssn\": \"{stored}\"}}")));
        let photo = bytes(&place, "JFIF nothing to see here, nothing at all");
        place.sql(&format!("INSERT INTO t VALUES ({i}, {secret}, {doc}, {photo})")).await;
    }
    let keys = clinic::platform_keys();
    let found = discovered(&place, &keys).await;
    let [column] = found.tables[0].columns.as_slice() else { panic!("{:#?}", found.tables) };
    assert_eq!((column.column.as_str(), column.write.as_str()), ("secret", clinic::FORMAT));
    let [embedded] = found.findings.as_slice() else { panic!("{:#?}", found.findings) };
    assert_eq!((embedded.code.as_str(), embedded.column.as_deref()), ("unlisted_ciphertext", Some("doc")));

    // To whoever did not list it, and to verify, it is ciphertext that keeps the old key needed.
    let mut session = place.session().await;
    let listed = named_only("other", "name");
    let told = unlisted(&mut session, &listed, &keys, &Arc::new(Pool::new(1)), 300).await.expect("a look");
    let columns: Vec<_> = of(&told, "unlisted_ciphertext").iter().filter_map(|f| f.column.as_deref()).collect();
    assert_eq!(columns, ["secret", "doc"]);
    drop(session);

    let configuration = Configuration { tables: found.tables, ..Configuration::from_environment() };
    let configuration = Configuration::parse(&configuration.to_toml()).unwrap();
    assert_eq!(rotate(&place, &configuration, &keys).await, 9);
    let plan = plan_on(&place.database().await, &configuration, &keys, SurveyOptions::default()).await;
    let sample = plan.tables[0].columns[0].sample;
    assert_eq!((sample.new, sample.old, sample.seen), (9, 0, 9));
    assert_eq!(rotate(&place, &configuration, &keys).await, 0, "never twice");
}

async fn without_an_old_key_one_value_of_a_shape_is_mentioned(mut place: Place) {
    place.sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, note text, doc text)").await;
    let old = clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &["text".to_owned()]).remove(0);
    place.sql(&format!("INSERT INTO t VALUES (0, '{old}', '{{\"a\": \"x\", \"b\": \"{old}\"}}')")).await;
    for i in 1..9 {
        place.sql(&format!("INSERT INTO t VALUES ({i}, 'note {i}', '{{\"a\": \"x\"}}')")).await;
    }
    let found = discovered(&place, &clinic::keyring(None, Some(&clinic::new_key_hex()))).await;
    let columns: Vec<_> =
        of(&found.findings, "unopened_ciphertext").iter().filter_map(|f| f.column.as_deref()).collect();
    assert_eq!(columns, ["note", "doc"], "verify cannot say that the old key is not needed");
}
