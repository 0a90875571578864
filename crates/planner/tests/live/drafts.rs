//! What the catalog says, and what a plan is bound to.
use crate::{
    clinic, on_each_engine,
    place::{Place, draft_on, found, only},
};
use reencrypt_db::{Dialect, Mode};
use reencrypt_planner::{Configuration, Error, Keyring, Plan, Severity, bind, check_schema};

on_each_engine! {
    missing_tables_and_columns_come_with_the_nearest_name,
    views_are_refused,
    a_table_without_a_row_key_is_refused_for_writing_alone,
    another_unique_key_can_be_named,
    the_id_moves_with_what_is_approved_and_with_nothing_else,
    a_plan_is_bound_to_its_schema_and_its_keys,
    triggers_are_refused_until_they_are_allowed,
    a_plan_can_be_narrowed_to_tables,
    columns_of_other_types_are_refused,
    a_unique_index_on_values_is_a_change_of_schema,
    nothing_to_rotate_is_a_failure,
}

fn table(members: &str, columns: &str) -> String {
    format!("[[table]]\n{members}\n[table.columns]\n{columns}\n")
}

const FORMAT: &str = "'gcm-triple-b64-iv16'";

async fn missing_tables_and_columns_come_with_the_nearest_name(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::platform_keys();
    let plan = place.draft(&table("name = 'Patiant'", &format!("email = {FORMAT}")), &keys).await;
    let missing = only(&plan.findings, "table_missing");
    assert_eq!((missing.severity, missing.table.as_deref()), (Severity::Fail, Some("Patiant")));
    assert!(missing.message.contains("did you mean `Patient`?"), "{}", missing.message);
    assert!(plan.tables.is_empty());
    let columns = format!("emial = {FORMAT}\nphone = {FORMAT}");
    let plan = place.draft(&table("name = 'Patient'", &columns), &keys).await;
    let missing = only(&plan.findings, "column_missing");
    assert_eq!((missing.severity, missing.column.as_deref()), (Severity::Fail, Some("emial")));
    assert!(missing.message.contains("did you mean `email`?"), "{}", missing.message);
    assert!(missing.prevents_reading());
    let columns: Vec<_> = plan.tables[0].columns.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(columns, ["phone"]);
}

async fn views_are_refused(mut place: Place) {
    clinic::make(&mut place).await;
    place.sql("CREATE VIEW \"PatientView\" AS SELECT * FROM \"Patient\"").await;
    let plan =
        place.draft(&table("name = 'PatientView'", &format!("email = {FORMAT}")), &clinic::platform_keys()).await;
    let refused = only(&plan.findings, "not_a_table");
    assert_eq!((refused.severity, refused.table.clone()), (Severity::Fail, Some(place.named("PatientView"))));
    assert!(plan.tables.is_empty());
}

async fn a_table_without_a_row_key_is_refused_for_writing_alone(mut place: Place) {
    place.sql("CREATE TABLE t (a text, secret text)").await;
    let value = clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &["x".to_owned()]);
    place.sql(&format!("INSERT INTO t VALUES ('a', '{}')", value[0])).await;
    let plan = place.plan(&table("name = 't'", &format!("secret = {FORMAT}")), &clinic::platform_keys()).await;
    let refused = only(&plan.findings, "no_row_key");
    assert!(refused.severity == Severity::Fail && !refused.prevents_reading());
    assert_eq!(plan.tables[0].columns[0].sample.old, 1, "it is sampled all the same");
}

async fn another_unique_key_can_be_named(mut place: Place) {
    place
        .sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, a text NOT NULL, b text NOT NULL, c text UNIQUE, d text NOT NULL, secret text)")
        .await;
    place.sql("CREATE UNIQUE INDEX t_ab ON t (a, b)").await;
    let keys = clinic::platform_keys();
    let with = |row_key: &str| table(&format!("name = 't'\nrow_key = {row_key}"), &format!("secret = {FORMAT}"));
    let plan = place.draft(&with("['a', 'b']"), &keys).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(plan.tables[0].row_key, ["a", "b"]);
    for (row_key, said) in
        [("['c']", "may be NULL"), ("['d']", "unique index"), ("['e']", "does not exist"), ("['a']", "unique index")]
    {
        let plan = place.draft(&with(row_key), &keys).await;
        let refused = only(&plan.findings, "row_key_unsound");
        assert!(refused.message.contains(said), "{row_key}: {}", refused.message);
        assert_eq!(found(&plan, "no_row_key"), [], "said once");
    }
    let plan = place.draft(&table("name = 't'", &format!("secret = {FORMAT}\na = {FORMAT}")), &keys).await;
    assert!(!plan.has_failures());
    let plan = place.draft(&with("['a', 'b']").replace("secret =", "a ="), &keys).await;
    assert_eq!(only(&plan.findings, "row_key_column").column.as_deref(), Some("a"));
}

async fn the_id_moves_with_what_is_approved_and_with_nothing_else(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::platform_keys();
    let configuration = clinic::configuration("");
    let plan = place.plan(&configuration, &keys).await;
    assert_eq!(Plan::from_json(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    clinic::fill(&mut place, 1000, 20, Some(&clinic::new_key_hex())).await;
    place.sql("ANALYZE").await;
    place.sql("CREATE INDEX another ON \"Patient\" (\"clinicId\")").await;
    let same = place.plan(&configuration, &keys).await;
    assert_eq!((same.id.as_str(), same.first_difference(&plan)), (plan.id.as_str(), None));
    assert_ne!(same.tables[0].sampled_rows, plan.tables[0].sampled_rows);

    let mut others = vec![
        (clinic::configuration(", plaintext = \"keep\""), keys.clone(), "what happens to plaintext"),
        (clinic::configuration(", nesting_max = 2"), keys.clone(), "nesting_max"),
        (format!("[environment]\nname = \"production\"\n{configuration}"), keys.clone(), "the environment"),
        (configuration.replace("policy", "#"), keys.clone(), ""),
        (configuration.replace("\"trim\", ", ""), keys.clone(), "blind index `emailHash`"),
        (configuration.replace("zip =", "\"searchIndex\" ="), keys.clone(), "column `zip`"),
        (
            configuration.clone(),
            clinic::keyring(Some(&clinic::old_key_hex()), Some(&"ab".repeat(32))),
            "the new key of pair `default`",
        ),
    ];
    others.retain(|(_, _, difference)| !difference.is_empty());
    for (other, keys, difference) in others {
        let other = place.draft(&other, &keys).await;
        assert_ne!(other.id, plan.id, "{difference}");
        let said = plan.first_difference(&other).expect("a difference");
        assert!(said.contains(difference), "{said}");
    }
    place.sql("ALTER TABLE \"Patient\" ADD COLUMN ssn text").await;
    let changed = place.draft(&configuration, &keys).await;
    assert_ne!(changed.id, plan.id);
    assert!(plan.first_difference(&changed).unwrap().contains("its columns or their types"));
}

async fn a_plan_is_bound_to_its_schema_and_its_keys(mut place: Place) {
    clinic::make(&mut place).await;
    let keys = clinic::platform_keys();
    let plan = place.draft(&clinic::configuration(""), &keys).await;
    let mut session = place.session().await;
    let mut tx = session.begin(Mode::Read).await.unwrap();
    let bound = bind(&mut tx, &plan, &keys).await.unwrap();
    assert_eq!(
        (bound.len(), bound[0].leaves.len(), bound[0].cipher.slots(), bound[0].cipher.columns()),
        (1, 1, 12, 10)
    );
    assert_eq!(bound[0].leaves[0].slots(), 12);
    check_schema(&mut tx, &plan.tables[0]).await.unwrap();
    let refusal = |result: Result<_, Error>| result.map(|_: Vec<_>| ()).unwrap_err();
    let other = clinic::keyring(Some(&"cd".repeat(32)), Some(&clinic::new_key_hex()));
    let error = refusal(bind(&mut tx, &plan, &other).await);
    assert_eq!(error.code(), "key_changed");
    assert!(!error.to_string().contains("cdcd"), "{error}");
    assert_eq!(refusal(bind(&mut tx, &plan, &Keyring::new()).await).code(), "key_missing");
    let alone = clinic::keyring(None, Some(&clinic::new_key_hex()));
    assert!(bind(&mut tx, &plan, &alone).await.is_ok(), "verify has the new key alone");
    let short = clinic::keyring(Some("00ff"), None);
    let unbound = Plan { keys: Default::default(), ..plan.clone() };
    assert_eq!(refusal(bind(&mut tx, &unbound, &short).await).code(), "format", "a key of the wrong length");
    tx.rollback().await.unwrap();
    drop(session);
    place.sql("ALTER TABLE \"Patient\" ADD COLUMN ssn text").await;
    let mut session = place.session().await;
    let mut tx = session.begin(Mode::Read).await.unwrap();
    assert_eq!(refusal(bind(&mut tx, &plan, &keys).await).code(), "schema_changed");
    assert_eq!(check_schema(&mut tx, &plan.tables[0]).await.unwrap_err().code(), "schema_changed");
    tx.rollback().await.unwrap();
    drop(session);
    place.sql("DROP TABLE \"Patient\"").await;
    let mut session = place.session().await;
    let mut tx = session.begin(Mode::Read).await.unwrap();
    assert_eq!(refusal(bind(&mut tx, &plan, &keys).await).code(), "schema_changed");
    tx.rollback().await.unwrap();
}

async fn triggers_are_refused_until_they_are_allowed(mut place: Place) {
    clinic::make(&mut place).await;
    match place.dialect() {
        Dialect::Sqlite => {
            place.sql("CREATE TRIGGER touched AFTER UPDATE ON \"Patient\" BEGIN SELECT 1; END").await;
        }
        Dialect::Postgres => {
            place.sql("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'").await;
            place.sql("CREATE TRIGGER touched AFTER UPDATE ON \"Patient\" FOR EACH ROW EXECUTE FUNCTION f()").await;
            place.sql("CREATE TRIGGER inserted AFTER INSERT ON \"Patient\" FOR EACH ROW EXECUTE FUNCTION f()").await;
        }
    }
    let configuration = clinic::configuration("");
    let plan = place.draft(&configuration, &clinic::platform_keys()).await;
    let refused = only(&plan.findings, "trigger_fires");
    assert!(refused.severity == Severity::Fail && refused.message.contains("`touched`"), "{}", refused.message);
    assert!(!refused.prevents_reading(), "verify reads all the same");
    let allowed = configuration.replace("name = \"Patient\"", "name = \"Patient\"\ntriggers = \"allow\"");
    let allowed = place.draft(&allowed, &clinic::platform_keys()).await;
    assert_eq!(found(&allowed, "trigger_fires"), [(Severity::Warn, None)]);
    assert_ne!(allowed.id, plan.id, "it is approved");
}

async fn a_plan_can_be_narrowed_to_tables(mut place: Place) {
    clinic::make(&mut place).await;
    place.sql("CREATE TABLE \"Clinic\" (id integer PRIMARY KEY NOT NULL, secret text)").await;
    let text = clinic::configuration("") + &table("name = 'Clinic'", &format!("secret = {FORMAT}"));
    let configuration = Configuration::parse(&text).unwrap();
    let (database, keys) = (place.database().await, clinic::platform_keys());
    let narrowed = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let plan = draft_on(&database, &configuration, &keys, &names, false).await?;
        Ok::<_, Error>(plan.tables.iter().map(|table| table.name.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(narrowed(&[]).await.unwrap(), ["Patient", "Clinic"]);
    assert_eq!(narrowed(&["Clinic"]).await.unwrap(), ["Clinic"]);
    assert_eq!(narrowed(&[&place.named("Patient"), "Clinic"]).await.unwrap(), ["Patient", "Clinic"]);
    assert_eq!(narrowed(&["clinics"]).await.unwrap_err().code(), "table_unknown");
    assert_eq!(narrowed(&["elsewhere.Clinic"]).await.unwrap_err().code(), "table_unknown");
}

async fn columns_of_other_types_are_refused(mut place: Place) {
    place.sql("CREATE TABLE t (id integer PRIMARY KEY NOT NULL, doc json, n integer, secret text)").await;
    let columns = format!("doc = {FORMAT}\nn = {FORMAT}\nsecret = {FORMAT}");
    let plan = place.draft(&table("name = 't'", &columns), &clinic::platform_keys()).await;
    let refused = found(&plan, "column_type");
    assert_eq!(refused, [(Severity::Fail, Some("doc".to_owned())), (Severity::Fail, Some("n".to_owned()))]);
}

async fn a_unique_index_on_values_is_a_change_of_schema(mut place: Place) {
    clinic::make(&mut place).await;
    let (keys, text) = (clinic::platform_keys(), clinic::configuration(""));
    let plan = place.draft(&text, &keys).await;
    let bound = async |place: &Place| {
        let mut session = place.session().await;
        let mut tx = session.begin(reencrypt_db::Mode::Read).await.expect("a transaction");
        reencrypt_planner::check_schema(&mut tx, &plan.tables[0]).await
    };
    place.sql("CREATE UNIQUE INDEX elsewhere ON \"Patient\" (id, \"searchIndex\")").await;
    place.sql("CREATE INDEX plain ON \"Patient\" (email)").await;
    bound(&place).await.expect("nothing that a run meets has changed");
    assert_eq!(place.draft(&text, &keys).await.id, plan.id);
    place.sql("CREATE UNIQUE INDEX by_email ON \"Patient\" (email)").await;
    let refused = bound(&place).await.expect_err("a change of schema");
    assert_eq!(refused.code(), "schema_changed");
    let now = place.draft(&text, &keys).await;
    assert!(plan.first_difference(&now).is_some_and(|difference| difference.contains("unique index")));
}

async fn nothing_to_rotate_is_a_failure(place: Place) {
    let plan = place.draft("", &clinic::platform_keys()).await;
    assert_eq!(only(&plan.findings, "nothing_found").severity, Severity::Fail);
}
