//! What only PostgreSQL has.
use crate::{
    clinic,
    place::{Place, draft_on, found, named_only, of, only, plan_on},
};
use reencrypt_db::Database;
use reencrypt_planner::{Configuration, Discovery, Finding, Plan, Severity, SurveyOptions, discover, unlisted};
use std::sync::Arc;

async fn planned(database: &Database, text: &str) -> Plan {
    let configuration = Configuration::parse(text).unwrap();
    plan_on(database, &configuration, &clinic::platform_keys(), SurveyOptions::default()).await
}

async fn for_a_run(database: &Database, text: &str) -> Plan {
    let configuration = Configuration::parse(text).unwrap();
    draft_on(database, &configuration, &clinic::platform_keys(), &[], true).await.unwrap()
}

async fn discovered(database: &Database) -> Discovery {
    let mut session = database.session().await.unwrap();
    let pool = Arc::new(reencrypt_crypto::Pool::new(1));
    discover(&mut session, &clinic::platform_keys(), &pool, 100).await.expect("a discovery")
}

/// The statements between back quotes.
fn statements(findings: &[&Finding]) -> Vec<String> {
    let quoted = findings.iter().flat_map(|finding| finding.message.split('`').skip(1).step_by(2));
    quoted.filter(|text| text.ends_with(';')).map(str::to_owned).collect()
}

#[tokio::test]
async fn select_alone_is_enough_for_a_plan_and_not_for_a_run() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    let role = place.role("reader").await;
    place.sql(&format!("GRANT SELECT ON \"Patient\" TO {role}")).await;
    let database = place.database_as(&role).await;
    let text = clinic::configuration(", plaintext = \"keep\"");
    let plan = planned(&database, &text).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(plan.tables[0].columns[0].sample.seen, 17);
    let privileges: Vec<_> = of(&plan.findings, "privilege_missing").iter().map(|finding| finding.severity).collect();
    assert_eq!(privileges, [Severity::Warn], "UPDATE");
    assert_eq!(only(&plan.findings, "store_privilege_missing").severity, Severity::Warn);
    let run = for_a_run(&database, &text).await;
    assert_eq!(only(&run.findings, "privilege_missing").severity, Severity::Fail);
    assert_eq!(only(&run.findings, "store_privilege_missing").severity, Severity::Fail);
    assert_eq!(run.id, plan.id);
}

#[tokio::test]
async fn the_grants_that_are_printed_are_the_ones_that_are_missing() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    let role = place.role("nobody").await;
    let database = place.database_as(&role).await;
    let text = clinic::configuration(", plaintext = \"keep\"");
    let plan = planned(&database, &text).await;
    let select = of(&plan.findings, "privilege_missing")[0].clone();
    assert!(select.severity == Severity::Fail && select.message.contains("lacks SELECT"), "{}", select.message);
    assert_eq!(plan.tables[0].sampled_rows, 0, "nothing was read, and nothing failed");
    let run = for_a_run(&database, &text).await;
    let missing: Vec<&Finding> =
        run.findings.iter().filter(|finding| finding.code.ends_with("privilege_missing")).collect();
    let statements = statements(&missing);
    let starts: Vec<_> =
        statements.iter().map(|statement| statement.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(starts, ["CREATE SCHEMA", "GRANT SELECT", "GRANT UPDATE"]);
    for statement in &statements {
        place.sql(statement).await;
    }
    let run = for_a_run(&database, &text).await;
    assert!(!run.has_failures(), "{:#?}", run.findings);
    let plan = planned(&database, &text).await;
    assert_eq!(plan.tables[0].sampled_rows, 17, "column grants with xmin and ctid are enough");
    let full = SurveyOptions { full: true, ..SurveyOptions::default() };
    let configuration = Configuration::parse(&text).unwrap();
    let plan = plan_on(&database, &configuration, &clinic::platform_keys(), full).await;
    assert_eq!(plan.tables[0].sampled_rows, 17);
}

#[tokio::test]
async fn hidden_rows_are_refused_and_not_counted_as_absent() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    place.sql("ALTER TABLE \"Patient\" ENABLE ROW LEVEL SECURITY").await;
    place.sql("CREATE POLICY few ON \"Patient\" USING (id < 3)").await;
    let role = place.role("clerk").await;
    place.sql(&format!("GRANT SELECT, UPDATE ON \"Patient\" TO {role}")).await;
    let database = place.database_as(&role).await;
    let text = clinic::configuration("");
    let plan = planned(&database, &text).await;
    let refused = only(&plan.findings, "rls_active");
    assert!(refused.severity == Severity::Fail && refused.prevents_reading());
    assert_eq!(plan.tables[0].sampled_rows, 0);
    assert_eq!(of(&plan.findings, "not_examined").len(), 1, "{:#?}", plan.findings);
    let found = discovered(&database).await;
    let told = only(&found.findings, "rls_active");
    assert_eq!((told.severity, told.table.as_deref()), (Severity::Fail, Some("public.Patient")));
    assert_eq!((found.tables.len(), statements(&[told])), (0, statements(&[refused])));
    // What the message says is what helps.
    let way = statements(&[refused]).pop().expect("a statement");
    place.sql(&way).await;
    let plan = planned(&place.database_as(&role).await, &text).await;
    assert_eq!(plan.tables[0].sampled_rows, 17);
}

#[tokio::test]
async fn what_a_role_may_not_read_is_told_with_the_grant_that_helps() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    place.sql("CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY, secret text, n int)").await;
    place
        .sql("CREATE TABLE numbers (id int PRIMARY KEY, n int); CREATE TABLE open (id int PRIMARY KEY, v text, w text)")
        .await;
    let role = place.role("stranger").await;
    place.sql(&format!("GRANT SELECT ON closed.t TO {role}; GRANT SELECT (id, v, xmin, ctid) ON open TO {role}")).await;
    let database = place.database_as(&role).await;

    // Nothing is found, and that is no statement about the key.
    let found = discovered(&database).await;
    assert_eq!(found.tables, []);
    let told: Vec<_> =
        found.findings.iter().map(|f| (f.severity, f.code.as_str(), f.table.as_deref().unwrap())).collect();
    let failure = |table| (Severity::Fail, "privilege_missing", table);
    assert_eq!(told, [failure("closed.t"), failure("public.Patient"), failure("public.open")]);
    let partial = &found.findings[2].message;
    assert!(partial.contains("the column `w` could not be looked at"), "{partial}");

    // What is found is rotated, and what could not be looked at is told.
    place.sql(&format!("GRANT SELECT ON \"Patient\" TO {role}")).await;
    let found = discovered(&database).await;
    assert_eq!(found.tables.len(), 1);
    let unexamined = of(&found.findings, "not_examined");
    let tables: Vec<_> = unexamined.iter().map(|f| (f.severity, f.table.as_deref().unwrap())).collect();
    assert_eq!(tables, [(Severity::Warn, "closed.t"), (Severity::Warn, "public.open")]);
    let mut session = database.session().await.unwrap();
    let (keys, pool) = (clinic::platform_keys(), Arc::new(reencrypt_crypto::Pool::new(1)));
    let told = unlisted(&mut session, &named_only("Patient", "email"), &keys, &pool, 300).await.unwrap();
    assert_eq!(of(&told, "not_examined"), unexamined, "verify says so too");
    let plan = planned(&database, &clinic::configuration("")).await;
    assert_eq!(of(&plan.findings, "not_examined").len(), 2);

    let grants = statements(&unexamined).join(" ");
    assert!(grants.starts_with("GRANT USAGE ON SCHEMA \"closed\""), "{grants}");
    place.sql(&grants).await;
    assert_eq!(of(&discovered(&database).await.findings, "not_examined"), Vec::<&Finding>::new());
}

#[tokio::test]
async fn ciphertext_in_arrays_is_told_and_cannot_be_configured() {
    let mut place = Place::postgres().await;
    place.sql("CREATE TABLE t (id int PRIMARY KEY, phones text[], codes varchar(200)[], raw bytea[], docs jsonb[], n int[])").await;
    let stored = clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &["x".to_owned()]).remove(0);
    let new = clinic::seal(&clinic::new_key_hex(), clinic::FORMAT, &["x".to_owned()]).remove(0);
    place
        .sql(&format!(
            "INSERT INTO t VALUES (1, ARRAY['+49 30', NULL, '{stored}'], ARRAY['{new}'], ARRAY[convert_to('{stored}', 'UTF8')], \
             ARRAY['{{\"a\": \"{stored}\"}}'::jsonb], '{{1}}'), (2, '{{}}', NULL, '{{}}', '{{}}', '{{}}')"
        ))
        .await;
    let database = place.database().await;
    let found = discovered(&database).await;
    assert_eq!(found.tables, []);
    let told: Vec<_> =
        found.findings.iter().map(|f| (f.severity, f.code.as_str(), f.column.as_deref().unwrap())).collect();
    let (old, new) = ("unlisted_ciphertext", "unlisted_new_ciphertext");
    let fail = |code, column| (Severity::Fail, code, column);
    assert_eq!(told, [fail(old, "phones"), fail(new, "codes"), fail(old, "raw"), fail(old, "docs")]);
    let message = &found.findings[0].message;
    assert!(
        message.contains("columns of type text[] cannot be rotated yet") && !message.contains(&stored),
        "{message}"
    );
    // The look that verify takes, and a plan.
    place.sql("CREATE TABLE other (id int PRIMARY KEY, name text)").await;
    let configuration = named_only("other", "name");
    let plan = plan_on(&database, &configuration, &clinic::platform_keys(), SurveyOptions::default()).await;
    assert_eq!(of(&plan.findings, old).len(), 3, "{:#?}", plan.findings);
    let plan = draft_on(&database, &named_only("t", "phones"), &clinic::platform_keys(), &[], false).await.unwrap();
    assert_eq!(only(&plan.findings, "column_type").severity, Severity::Fail);
}

#[tokio::test]
async fn an_impatient_deadlock_timeout_is_told() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    let text = clinic::configuration("");
    assert_eq!(found(&planned(&place.database().await, &text).await, "deadlock_timeout"), []);
    place
        .sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 100', current_database()); END $$")
        .await;
    assert_eq!(found(&planned(&place.database().await, &text).await, "deadlock_timeout"), [(Severity::Warn, None)]);
}

#[tokio::test]
async fn what_swallows_or_refuses_updates_is_refused() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    place.sql("CREATE RULE quiet AS ON UPDATE TO \"Patient\" DO INSTEAD NOTHING").await;
    place.sql("CREATE TABLE published (id int UNIQUE NOT NULL, secret text)").await;
    place.sql("CREATE PUBLICATION feed FOR TABLE published").await;
    place.sql("CREATE TABLE followed (id int PRIMARY KEY, secret text)").await;
    place.sql("CREATE PUBLICATION followers FOR TABLE followed").await;
    place
        .sql("CREATE TABLE made (id int PRIMARY KEY, a text, secret text GENERATED ALWAYS AS (a || 'x') STORED)")
        .await;
    let mut text = clinic::configuration("");
    for name in ["published", "followed", "made"] {
        text += &format!("[[table]]\nname = \"{name}\"\n[table.columns]\nsecret = \"{}\"\n", clinic::FORMAT);
    }
    let plan = planned(&place.database().await, &text).await;
    assert!(only(&plan.findings, "rule_on_update").message.contains("`quiet`"));
    let refused = only(&plan.findings, "publication_without_identity");
    assert_eq!(refused.table.as_deref(), Some("public.published"));
    place.sql(&statements(&[refused])[0]).await;
    assert_eq!(only(&plan.findings, "published").table.as_deref(), Some("public.followed"));
    assert_eq!(only(&plan.findings, "generated_column").table.as_deref(), Some("public.made"));
    let again = planned(&place.database().await, &text).await;
    assert_eq!(found(&again, "publication_without_identity"), []);
    assert!(plan.findings.iter().all(|finding| !finding.prevents_reading()), "{:#?}", plan.findings);
}

#[tokio::test]
async fn constraints_and_indexes_on_values_are_mentioned() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    place.sql("CREATE UNIQUE INDEX by_email ON \"Patient\" (email)").await;
    place.sql("CREATE UNIQUE INDEX by_hash ON \"Patient\" (id, \"emailHash\")").await;
    place.sql("ALTER TABLE \"Patient\" ADD CONSTRAINT short CHECK (length(phone) < 5000)").await;
    place.sql("CREATE TABLE narrow (id int PRIMARY KEY, secret varchar(40))").await;
    let text = clinic::configuration("")
        + &format!("[[table]]\nname = \"narrow\"\n[table.columns]\nsecret = \"{}\"\n", clinic::FORMAT);
    let plan = planned(&place.database().await, &text).await;
    let column = |code: &str| found(&plan, code).into_iter().map(|(_, column)| column.unwrap()).collect::<Vec<_>>();
    assert_eq!(column("unique_on_ciphertext"), ["email"]);
    assert_eq!(column("unique_on_blind_index"), ["emailHash"]);
    assert_eq!(column("check_constraint"), ["phone"]);
    assert_eq!(column("varchar_overflow"), ["secret"], "before a single value is read");
    assert_eq!(column("indexed_column"), ["emailHash", "dobHash", "email", "emailHash"]);
}

#[tokio::test]
async fn partitions_are_one_table() {
    let mut place = Place::postgres().await;
    place.sql("CREATE TABLE visits (id int, secret text, PRIMARY KEY (id)) PARTITION BY RANGE (id)").await;
    place.sql("CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (100)").await;
    place.sql("CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (100) TO (200)").await;
    let texts: Vec<String> = (0..60).map(|i| format!("text {i}")).collect();
    for (i, stored) in clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &texts).iter().enumerate() {
        place.sql(&format!("INSERT INTO visits VALUES ({}, '{stored}')", i * 3)).await;
    }
    let text = format!("[[table]]\nname = \"visits\"\n[table.columns]\nsecret = \"{}\"\n", clinic::FORMAT);
    let plan = planned(&place.database().await, &text).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(plan.tables[0].columns[0].sample.old, 60);
    assert_eq!(found(&plan, "unlisted_ciphertext"), [], "a partition is listed as its table");
    place.sql("CREATE TABLE visits_3 PARTITION OF visits FOR VALUES FROM (200) TO (300)").await;
    let more = planned(&place.database().await, &text).await;
    assert_eq!(more.id, plan.id, "a new partition is no change of schema");
    let mut session = place.session().await;
    let found = discover(&mut session, &clinic::platform_keys(), &Arc::new(reencrypt_crypto::Pool::new(1)), 100).await;
    let tables: Vec<_> = found.unwrap().tables.into_iter().map(|table| table.name).collect();
    assert_eq!(tables, ["visits"]);
}

#[tokio::test]
async fn a_name_in_several_schemas_is_ambiguous_until_it_is_qualified() {
    let mut place = Place::postgres().await;
    place.sql("CREATE SCHEMA one; CREATE SCHEMA two").await;
    for schema in ["one", "two"] {
        place.sql(&format!("CREATE TABLE {schema}.notes (id int PRIMARY KEY, secret text)")).await;
        let stored = clinic::seal(&clinic::old_key_hex(), clinic::FORMAT, &["x".to_owned()]).remove(0);
        place.sql(&format!("INSERT INTO {schema}.notes VALUES (1, '{stored}')")).await;
    }
    place.sql("CREATE MATERIALIZED VIEW one.copy AS SELECT * FROM one.notes").await;
    let text = |name: &str| format!("[[table]]\nname = \"{name}\"\n[table.columns]\nsecret = \"{}\"\n", clinic::FORMAT);
    let database = place.database().await;
    let ambiguous = planned(&database, &text("notes")).await;
    let refused = only(&ambiguous.findings, "table_ambiguous");
    assert!(refused.message.contains("one.notes, two.notes"), "{}", refused.message);
    assert!(refused.message.contains("?schema="), "{}", refused.message);
    // The schema that the URL names comes first, and what it means is listed.
    let of_url = place.database_with("schema=two").await;
    let plan = planned(&of_url, &text("notes")).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(plan.tables[0].name.to_string(), "two.notes");
    assert_eq!(only(&plan.findings, "unlisted_ciphertext").table.as_deref(), Some("one.notes"));
    let plan = planned(&of_url, &text("one.notes")).await;
    assert_eq!(plan.tables[0].name.to_string(), "one.notes");
    let plan = planned(&place.database_with("schema=public").await, &text("notes")).await;
    assert_eq!(of(&plan.findings, "table_ambiguous").len(), 1, "the URL's schema has none");
    let plan = planned(&database, &text("two.notes")).await;
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(only(&plan.findings, "unlisted_ciphertext").table.as_deref(), Some("one.notes"));
    let twice = planned(&database, &(text("two.notes") + &text("one.copy"))).await;
    assert_eq!(only(&twice.findings, "not_a_table").table.as_deref(), Some("one.copy"));
    let mut session = database.session().await.unwrap();
    let found = discover(&mut session, &clinic::platform_keys(), &Arc::new(reencrypt_crypto::Pool::new(1)), 100).await;
    let names: Vec<_> = found.unwrap().tables.into_iter().map(|table| table.name).collect();
    assert_eq!(names, ["one.notes", "two.notes"]);
}

#[tokio::test]
async fn a_read_only_server_is_enough_for_a_plan() {
    let mut place = Place::postgres().await;
    clinic::make(&mut place).await;
    let role = place.role("standby").await;
    place.sql(&format!("GRANT SELECT ON \"Patient\" TO {role}")).await;
    place.sql(&format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await;
    let database = place.database_as(&role).await;
    let plan = planned(&database, &clinic::configuration("")).await;
    assert_eq!(only(&plan.findings, "read_only_server").severity, Severity::Warn);
    assert!(!plan.has_failures(), "{:#?}", plan.findings);
    assert_eq!(
        only(&for_a_run(&database, &clinic::configuration("")).await.findings, "read_only_server").severity,
        Severity::Fail
    );
}
