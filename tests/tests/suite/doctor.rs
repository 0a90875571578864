//! `doctor`: each of its lines fails where it should, names what helps, and shows no secret; and nothing of it writes.
use crate::operator;
use reencrypt_tests::{
    Audit, Aws, AwsAnswer, AwsStub, Configuration, Database, Finished, KEYS, Operator, Role, Seeding,
};
use serde_json::json;
use tokio::sync::RwLock;

/// Random, and of no other purpose.
const JWT: &str = "b1946ac92492d2347c6235b4d2611184f0a7e1d6c2f5e83a9d40b7c6152e9f38";
const JWT_OLD: &str = "591785b794601e212b260e25925636fd07c3f1a98ed24b605e7f9013c2d8ab64";

/// Held for reading while nothing is to stand beside the cluster, and for writing while something does.
pub(crate) static CLUSTER: RwLock<()> = RwLock::const_new(());

/// An operator who also has the application's secrets.
pub(crate) fn healthy(db: &Database) -> Operator {
    operator(db).set("JWT_SECRET", JWT).set("ENCRYPTION_KEY", &KEYS.old_hex())
}

/// The names of the checks with a status.
pub(crate) fn names(finished: &Finished, status: &str) -> Vec<String> {
    finished.checks(status).into_iter().map(|(name, _)| name).collect()
}

/// The one check that fails, with this name and these words.
#[track_caller]
pub(crate) fn expect_failure(finished: &Finished, name: &str, words: &[&str]) {
    assert_eq!(finished.code(), Some(1), "{finished}");
    let failed = finished.checks("fail");
    let told = failed.iter().find(|(failed, _)| failed == name);
    let (_, message) = told.unwrap_or_else(|| panic!("{name} does not fail\n{finished}"));
    for word in words {
        assert!(message.contains(word), "{name} does not say {word}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_nothing_fails_and_nothing_is_written() {
    let _alone = CLUSTER.read().await;
    let seeding = Seeding::clean(300);
    for db in [Database::postgres(&seeding).await, Database::sqlite(&seeding).await] {
        let audit = Audit::new(&seeding, db.patients().await);
        let doctor = healthy(&db).run(&["doctor"]).await.expect_code(0);
        assert_eq!(doctor.json()["command"], "doctor");
        let passed = names(&doctor, "pass");
        for name in [
            "database.url",
            "key.default.old",
            "key.default.new",
            "key.pairs",
            "secret.JWT_SECRET",
            "secret.ENCRYPTION_KEY",
            "secret.reuse",
            "database",
            "server",
            "writable",
            "store",
            "triggers",
            "earlier_runs",
            "nonce_budget",
            "disk",
        ] {
            assert!(passed.contains(&name.to_owned()), "{name} does not pass on {}\n{doctor}", db.engine());
        }
        if let Database::Postgres(_) = db {
            for name in ["tls", "privileges", "row_security", "replication", "deadlock_timeout"] {
                assert!(passed.contains(&name.to_owned()), "{name} does not pass\n{doctor}");
            }
            assert!(doctor.stdout.contains("GRANT pg_read_all_stats"), "what the role cannot see is told\n{doctor}");
        }
        let text = healthy(&db).run_as_typed(&["doctor"]).await.expect_code(0);
        let lines = text.stdout.lines().filter(|line| line.starts_with("pass  ") || line.starts_with("warn  ")).count();
        assert_eq!(lines, doctor.json()["checks"].as_array().map_or(0, Vec::len), "one line a check\n{text}");
        audit.assert_unchanged(&db.patients().await);
        assert_eq!(healthy(&db).run(&["status"]).await.code(), Some(2), "a store was made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_that_is_missing_malformed_weak_or_used_twice_fails() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let text = data_encoding::HEXLOWER.encode(b"correct horse battery staple 123");
    let repeated = "deadbeef".repeat(8);
    let (old, new) = (KEYS.old_hex(), KEYS.new_hex());
    for (variable, value, check, word) in [
        ("OLD_KEY", "", "key.default.old", "OLD_KEY is"),
        ("OLD_KEY", "zz", "key.default.old", "hex digits"),
        ("OLD_KEY", &old[..32], "key.default.old", "32 are needed"),
        ("NEW_KEY", "", "key.default.new", "NEW_KEY is"),
        ("NEW_KEY", &"ab".repeat(32), "key.default.new", "equal"),
        ("NEW_KEY", &text, "key.default.new", "readable text"),
        ("NEW_KEY", &repeated, "key.default.new", "repeats a pattern of 4"),
        ("NEW_KEY", &old, "key.pairs", "the same"),
        ("JWT_SECRET", "", "secret.JWT_SECRET", "not set"),
        ("JWT_SECRET", "swordfish", "secret.JWT_SECRET", "hex digits"),
        ("JWT_SECRET", &JWT[..62], "secret.JWT_SECRET", "32 are needed"),
        ("JWT_SECRET", &repeated, "secret.JWT_SECRET", "repeats a pattern"),
        ("JWT_SECRET", &new, "secret.reuse", "key.default.new"),
        ("JWT_SECRET_OLD", "swordfish", "secret.JWT_SECRET_OLD", "hex digits"),
        ("JWT_SECRET_OLD", &repeated, "secret.JWT_SECRET_OLD", "repeats a pattern"),
        ("JWT_SECRET_OLD", JWT, "secret.JWT_SECRET_OLD", "nothing was rotated"),
        ("JWT_SECRET_OLD", &old, "secret.reuse", "JWT_SECRET_OLD"),
        ("ENCRYPTION_KEY", "", "secret.ENCRYPTION_KEY", "not set"),
        ("ENCRYPTION_KEY", &text, "secret.ENCRYPTION_KEY", "readable text"),
        ("DATABASE_URL", "", "database.url", "DATABASE_URL"),
        ("DATABASE_URL", "mysql://u:swordfish@h/d", "database.url", "postgres://"),
    ] {
        let doctor = healthy(&db).set(variable, value).run(&["doctor"]).await;
        expect_failure(&doctor, check, &[word]);
        let shown = value.len() > 8 && format!("{}{}", doctor.stdout, doctor.stderr).contains(value);
        assert!(!shown && !doctor.stdout.contains("swordfish"), "{variable} is shown\n{doctor}");
        healthy(&db).set(variable, value).run_as_typed(&["doctor"]).await.expect_code(1);
    }
    let overlap = healthy(&db).set("JWT_SECRET_OLD", JWT_OLD).run(&["doctor"]).await.expect_code(0);
    assert!(names(&overlap, "warn").contains(&"secret.JWT_SECRET_OLD".to_owned()), "{overlap}");
    let stranger = healthy(&db).set("ENCRYPTION_KEY", JWT_OLD).run(&["doctor"]).await.expect_code(0);
    assert!(names(&stranger, "warn").contains(&"secret.field_key".to_owned()), "{stranger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_has_a_list_of_its_own() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let configured = |secrets: &str| {
        let operator = operator(&db);
        let head = format!("[doctor]\nsecrets = [{secrets}]\n");
        operator.configure(&Configuration { head, ..Configuration::default() }.text());
        operator
    };
    configured("").run(&["doctor"]).await.expect_code(0);
    let list = "{ name = 'SESSION', form = 'text' }, { name = 'PHI', form = 'base64', field_key = true }, { name = 'REPLICA', form = \
                'url', required = false }";
    let missing = configured(list).run(&["doctor"]).await;
    expect_failure(&missing, "secret.SESSION", &["SESSION is not set"]);
    expect_failure(&missing, "secret.PHI", &["PHI is not set"]);
    assert!(names(&missing, "pass").contains(&"secret.REPLICA".to_owned()), "{missing}");
    let phi = data_encoding::BASE64.encode(&KEYS.old);
    let right = || configured(list).set("SESSION", "sGnZ8Yt+1mXw0aJq4Lr7").set("PHI", &phi);
    right().run(&["doctor"]).await.expect_code(0);
    expect_failure(&right().set("SESSION", "hunter2").run(&["doctor"]).await, "secret.SESSION", &["7 characters"]);
    expect_failure(
        &right().set("SESSION", &KEYS.old_hex()).run(&["doctor"]).await,
        "secret.reuse",
        &["SESSION", "key.default.old"],
    );
    expect_failure(&right().set("PHI", "no base64!").run(&["doctor"]).await, "secret.PHI", &["base64"]);
    expect_failure(&right().set("PHI", "BwcHBw==").run(&["doctor"]).await, "secret.PHI", &["32 are needed"]);
    expect_failure(&right().set("REPLICA", "replica").run(&["doctor"]).await, "secret.REPLICA", &["postgres://"]);
}

/// Invariant 8: `doctor` needs SELECT alone, and names what a run would need.
#[tokio::test(flavor = "multi_thread")]
async fn the_grants_that_are_missing_are_named() {
    let seeding = Seeding::clean(100);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let read = db.as_postgres().role(Role::Read);
    let reader = healthy(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Read));
    let doctor = reader.run(&["doctor"]).await;
    expect_failure(&doctor, "privileges", &["GRANT UPDATE", "firstName", &read]);
    expect_failure(&doctor, "store", &["GRANT USAGE, CREATE ON SCHEMA reencrypt", &read]);
    // What only a run needs is no failure where no run is meant.
    for purpose in ["plan", "verify"] {
        let doctor = reader.run(&["doctor", "--for", purpose]).await.expect_code(0);
        assert!(names(&doctor, "warn").contains(&"privileges".to_owned()), "{doctor}");
    }
    db.execute(&format!(r#"REVOKE SELECT ON "Patient" FROM {read}; GRANT SELECT ("id") ON "Patient" TO {read}"#)).await;
    expect_failure(&reader.run(&["doctor", "--for", "plan"]).await, "privileges", &["GRANT SELECT", &read]);
    db.execute("DROP SCHEMA reencrypt").await;
    expect_failure(&healthy(&db).run(&["doctor"]).await, "store", &["CREATE SCHEMA reencrypt AUTHORIZATION"]);
    let owner = healthy(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Owner));
    assert!(names(&owner.run(&["doctor"]).await.expect_code(0), "warn").contains(&"role".to_owned()));
    audit.assert_unchanged(&db.patients().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_keys_that_a_command_needs_must_be_there() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let (old, new) = (healthy(&db).unset("NEW_KEY"), healthy(&db).unset("OLD_KEY"));
    expect_failure(&old.run(&["doctor"]).await, "key.default.new", &["NEW_KEY"]);
    expect_failure(&new.run(&["doctor"]).await, "key.default.old", &["OLD_KEY"]);
    old.run(&["doctor", "--for", "plan"]).await.expect_code(0);
    new.run(&["doctor", "--for", "verify"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_around_the_table_is_told() {
    let db = Database::postgres(&Seeding::clean(50)).await;
    let run = db.as_postgres().role(Role::Run);
    let doctor = async || healthy(&db).run(&["doctor"]).await;
    let trigger = r#"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER touched BEFORE UPDATE ON "Patient" FOR EACH ROW EXECUTE FUNCTION touch()"#;
    db.execute(trigger).await;
    expect_failure(&doctor().await, "triggers", &["touched", "allow"]);
    db.execute(r#"DROP TRIGGER touched ON "Patient""#).await;
    db.execute(r#"CREATE RULE ruled AS ON UPDATE TO "Patient" DO ALSO NOTHING"#).await;
    expect_failure(&doctor().await, "triggers", &["ruled"]);
    db.execute(r#"DROP RULE ruled ON "Patient""#).await;
    db.execute(r#"CREATE PUBLICATION everything FOR TABLE "Patient"; ALTER TABLE "Patient" REPLICA IDENTITY NOTHING"#)
        .await;
    expect_failure(&doctor().await, "replication", &["everything", "REPLICA IDENTITY FULL"]);
    db.execute(r#"ALTER TABLE "Patient" REPLICA IDENTITY DEFAULT"#).await;
    assert!(names(&doctor().await.expect_code(0), "warn").contains(&"replication".to_owned()));
    db.execute(&format!("ALTER ROLE {run} SET deadlock_timeout = '150ms'")).await;
    assert!(names(&doctor().await.expect_code(0), "warn").contains(&"deadlock_timeout".to_owned()));
    db.execute(r#"ALTER TABLE "Patient" ENABLE ROW LEVEL SECURITY"#).await;
    expect_failure(&doctor().await, "row_security", &["BYPASSRLS", &run]);
    db.execute(&format!("ALTER ROLE {run} SET default_transaction_read_only = on")).await;
    expect_failure(&doctor().await, "writable", &["primary"]);
    db.execute(r#"ALTER TABLE "Patient" DROP COLUMN "zip""#).await;
    expect_failure(&doctor().await, "tables", &["zip", "no such column"]);
    db.execute(&format!("ALTER ROLE {run} CONNECTION LIMIT 3")).await;
    expect_failure(&doctor().await, "server", &["free", "CONNECTION LIMIT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_lacks_is_told() {
    let db = Database::postgres(&Seeding::clean(20)).await;
    let with = |text: &str| {
        let operator = healthy(&db);
        operator.configure(text);
        operator
    };
    let text = Configuration::default().text();
    let missing = with(&text.replace("\"Patient\"", "\"Patients\""));
    expect_failure(&missing.run(&["doctor"]).await, "tables", &["Patients", "Patient`?"]);
    let missing = with(&text.replace("\nfirstName = ", "\nfirstname = "));
    expect_failure(&missing.run(&["doctor"]).await, "tables", &["firstname", "firstName`?"]);
    let nothing = Operator::without_configuration(crate::TOOL).set("DATABASE_URL", &db.url());
    let doctor = nothing.run(&["doctor"]).await;
    expect_failure(&doctor, "key.default.old", &["OLD_KEY"]);
    assert!(names(&doctor, "warn").contains(&"tables".to_owned()), "{doctor}");
    db.execute(r#"ALTER TABLE "Patient" ALTER COLUMN "zip" TYPE varchar(20) USING ''"#).await;
    expect_failure(&healthy(&db).run(&["doctor"]).await, "tables", &["zip", "TYPE text"]);
    db.execute(
        r#"ALTER TABLE "Patient" ALTER COLUMN "zip" TYPE text; ALTER TABLE "Patient" DROP CONSTRAINT "Patient_pkey""#,
    )
    .await;
    expect_failure(&healthy(&db).run(&["doctor"]).await, "tables", &["row key", "ADD PRIMARY KEY"]);
}

/// What the application and earlier runs used of a key, and from which old key they rotated.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_with_the_keys_before_is_told() {
    let db = Database::postgres(&Seeding::clean(50)).await;
    let after = |prior: i64| {
        let operator = healthy(&db);
        let head = format!("[key.default]\nold = 'env:OLD_KEY'\nnew = 'env:NEW_KEY'\nprior_invocations = {prior}\n");
        operator.configure(&Configuration { head, ..Configuration::default() }.text());
        operator
    };
    const MAX: i64 = 1 << 32;
    expect_failure(&after(MAX).run(&["doctor"]).await, "nonce_budget", &["2^32", "a key a table"]);
    let half = after(MAX / 2).run(&["doctor"]).await.expect_code(0);
    assert!(names(&half, "warn").contains(&"nonce_budget".to_owned()), "{half}");
    healthy(&db).run(&["run", "--yes"]).await.expect_code(0);
    db.execute(&format!("UPDATE reencrypt.nonces SET reserved = {MAX}")).await;
    expect_failure(&healthy(&db).run(&["doctor"]).await, "nonce_budget", &["earlier runs reserved"]);
    let other = healthy(&db).set("OLD_KEY", JWT_OLD).run(&["doctor"]).await;
    assert!(names(&other, "warn").contains(&"earlier_runs".to_owned()), "{other}");

    let pairs = healthy(&db);
    let table_extra = "key = 'a'".to_owned();
    let head = "[key.a]\nold = 'env:OLD_KEY'\nnew = 'env:NEW_KEY'\n[key.b]\nold = 'env:OLD_KEY'\nnew = 'env:OTHER'\n";
    let more = "\n[[table]]\nname = \"Card\"\nkey = 'b'\n[table.columns]\nnumber = \"gcm-triple-b64-iv16\"\n";
    let text = Configuration { head: head.to_owned(), table_extra, ..Configuration::default() }.text() + more;
    pairs.configure(&text);
    let shared = pairs.set("OTHER", JWT_OLD).run(&["doctor"]).await;
    let told = shared.checks("warn").into_iter().find(|(name, _)| name == "key.pairs");
    assert!(told.is_some_and(|(_, told)| told.contains("also the old key of pair")), "{shared}");
}

/// Everything that can be looked at is looked at; what cannot is one line.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_reached_fails_and_a_configuration_that_cannot_be_read_ends_it() {
    let db = Database::postgres(&Seeding::clean(20)).await;
    let dead = healthy(&db).set("DATABASE_URL", "postgres://u:swordfish@127.0.0.1:1/d").run(&["doctor"]).await;
    expect_failure(&dead, "database", &["127.0.0.1:1", "check that the server runs"]);
    assert!(names(&dead, "pass").contains(&"key.default.old".to_owned()), "{dead}");
    let gone = healthy(&db).set("DATABASE_URL", "sqlite:gone.db").run(&["doctor"]).await;
    expect_failure(&gone, "database", &["gone.db", "check the path"]);
    let broken = healthy(&db);
    broken.configure("[key\n");
    broken.run(&["doctor"]).await.expect_refusal("configuration", &["TOML"]);
}

/// Without a configuration the tables are those that the keys find.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_it_looks_at_what_it_finds() {
    let db = Database::postgres(&Seeding::clean(200)).await;
    let operator = Operator::without_configuration(crate::TOOL).set("DATABASE_URL", &db.url()).keys(&KEYS);
    let operator = operator.set("JWT_SECRET", JWT).set("ENCRYPTION_KEY", &KEYS.old_hex());
    let doctor = operator.run(&["doctor"]).await.expect_code(0);
    assert!(names(&doctor, "pass").contains(&"privileges".to_owned()), "{doctor}");
    assert!(names(&doctor, "warn").contains(&"configuration".to_owned()), "{doctor}");
    db.execute(r#"ALTER TABLE "Patient" ENABLE ROW LEVEL SECURITY"#).await;
    expect_failure(&operator.run(&["doctor"]).await, "row_security", &["BYPASSRLS"]);
}

/// Every source is asked twice, and what it says no to is a line with the action that is missing.
#[tokio::test(flavor = "multi_thread")]
async fn keys_in_aws_are_loaded_twice_and_must_be_equal() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let from = |reference: &str, url: &str| {
        let operator = healthy(&db).unset("OLD_KEY").aws(url);
        let head = format!("[key.phi]\nold = {reference}\nnew = \"env:NEW_KEY\"\n");
        operator.configure(&Configuration { head, ..Configuration::default() }.text());
        operator
    };
    let aws = Aws::emulated();
    let secret = aws.secret(&KEYS.old_hex()).await;
    aws.put(&secret, &KEYS.new_hex()).await;
    let (_, version) = aws.read(&secret, "AWSPREVIOUS").await;
    let previous = from(&format!("\"aws-secretsmanager:{secret}@AWSPREVIOUS\""), &aws.url()).run(&["doctor"]).await;
    let (_, told) = previous.checks("warn").into_iter().find(|(name, _)| name == "key.phi.old").expect("a warning");
    assert!(told.contains(&version), "the version that stays is named: {told}");
    previous.expect_code(0);
    from(&format!("\"aws-secretsmanager:{secret}@{version}\""), &aws.url()).run(&["doctor"]).await.expect_code(0);

    let text = |key: &str| AwsAnswer::result(json!({ "SecretString": key, "VersionId": "v", "Name": "phi" }));
    let moving = AwsStub::start([("GetSecretValue", text(&KEYS.old_hex())), ("GetSecretValue", text(JWT_OLD))]).await;
    let doctor = from("\"aws-secretsmanager:phi\"", moving.url()).run(&["doctor"]).await;
    expect_failure(&doctor, "key.phi.old", &["another when it was loaded again"]);
    assert_eq!(moving.calls("GetSecretValue"), 2);
    let urls = [db.url(), format!("{}-other", db.url())];
    let url = urls.map(|url| ("GetSecretValue", text(&url)));
    let moving = AwsStub::start(url).await;
    let operator = healthy(&db).aws(moving.url());
    let head = "[database]\nurl = 'aws-secretsmanager:url'\n".to_owned();
    operator.configure(&Configuration { head, ..Configuration::default() }.text());
    expect_failure(&operator.run(&["doctor"]).await, "database.url", &["another when it was loaded again"]);
    let denied = AwsStub::start([("Decrypt", AwsAnswer::error("AccessDeniedException", "no"))]).await;
    let wrapped = "{ kms = \"env:WRAPPED\", key_id = \"alias/phi\" }";
    let operator = from(wrapped, denied.url()).set("WRAPPED", "BwcHBwcHBwc=");
    expect_failure(&operator.run(&["doctor"]).await, "key.phi.old", &["kms:Decrypt"]);
}
