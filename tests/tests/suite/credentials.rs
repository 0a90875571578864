//! Credentials of the database that change while a run goes on: the URL is read again where it stands outside the process, once.
use crate::operator;
use reencrypt_tests::{
    Audit, Aws, AwsAnswer, AwsStub, Configuration, Database, Operator, Role, Running, Seeding, Store,
};
use serde_json::json;
use std::time::Duration;

const ROWS: i64 = 2000;
const NEXT: &str = "another-password-since-this-moment";

/// A run that goes on slowly, on a database whose URL stands somewhere.
struct Scene {
    db: Database,
    audit: Audit,
    operator: Operator,
}

impl Scene {
    async fn new() -> Self {
        let seeding = Seeding::clean(ROWS);
        let db = Database::postgres(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        Self { operator: operator(&db).unset("DATABASE_URL"), audit, db }
    }

    fn url_from(self, reference: &str) -> Self {
        let head = format!("[database]\nurl = \"{reference}\"\n");
        self.operator.configure(&Configuration { head, ..Configuration::default() }.text());
        self
    }

    fn with_aws(self, url: &str) -> Self {
        Self { operator: self.operator.aws(url), ..self }
    }

    /// The URL after the password was changed.
    fn next_url(&self) -> String {
        self.db.url().replace(self.db.as_postgres().password(), NEXT)
    }

    async fn under_way(&self) -> Running {
        let mut running = self.operator.start(&["run", "--yes", "--batch-rows", "50", "--max-rows-per-second", "600"]);
        while !running.has_ended() && Store(&self.db).progress().await.rows < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running
    }

    async fn change_password(&self) {
        let role = self.db.as_postgres().role(Role::Run);
        self.db.execute(&format!("ALTER ROLE {role} PASSWORD '{NEXT}'")).await;
    }

    async fn end_sessions(&self) {
        let role = self.db.as_postgres().role(Role::Run);
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
        self.db.execute(&end).await;
    }

    async fn expect_finished(&self, running: Running) {
        let ended = running.finish().await.expect_code(0);
        assert_eq!(ended.state(), "finished", "{ended}");
        assert_eq!(ended.column("zip")["rotated"], ROWS, "{ended}");
        self.audit.assert_rotated(&self.db.patients().await);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(NEXT) && !said.contains(self.db.as_postgres().password()), "a password was shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed_in_a_secret_is_fetched_and_the_run_ends() {
    let aws = Aws::emulated();
    let scene = Scene::new().await;
    let secret = aws.secret(&json!({ "url": scene.db.url() }).to_string()).await;
    let scene = scene.url_from(&format!("aws-secretsmanager:{secret}#url")).with_aws(&aws.url());
    let running = scene.under_way().await;
    scene.change_password().await;
    aws.put(&secret, &json!({ "url": scene.next_url() }).to_string()).await;
    scene.end_sessions().await;
    scene.expect_finished(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_it_is_fetched_once_however_many_sessions_are_refused() {
    let scene = Scene::new().await;
    let text = |url: &str| ("GetSecretValue", AwsAnswer::result(json!({ "SecretString": url, "VersionId": "v" })));
    let stub = AwsStub::start([text(&scene.db.url()), text(&scene.next_url())]).await;
    let scene = scene.url_from("aws-secretsmanager:url").with_aws(stub.url());
    let running = scene.under_way().await;
    scene.change_password().await;
    scene.end_sessions().await;
    scene.expect_finished(running).await;
    assert_eq!(stub.calls("GetSecretValue"), 2, "at the start, and once after that");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_again_end_the_run_and_the_right_ones_resume_it() {
    let scene = Scene::new().await.url_from("file:database.url");
    scene.operator.write("database.url", &scene.db.url());
    let running = scene.under_way().await;
    scene.change_password().await;
    scene.end_sessions().await;
    let refused = running.finish().await;
    refused.expect_refusal("database_auth", &["the password in the database URL"]);
    scene.audit.assert_in_between(&scene.db.patients().await);

    // A URL that names another database is not followed.
    let elsewhere = Database::postgres(&Seeding::clean(10)).await;
    let role = scene.db.as_postgres().role(Role::Run);
    scene.db.execute(&format!("ALTER ROLE {role} PASSWORD '{}'", scene.db.as_postgres().password())).await;
    let running = scene.operator.start(&["run", "--resume", "--batch-rows", "50", "--max-rows-per-second", "400"]);
    let before = Store(&scene.db).progress().await.rows;
    while Store(&scene.db).progress().await.rows < before + 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scene.operator.write("database.url", &elsewhere.url());
    scene.change_password().await;
    scene.end_sessions().await;
    let refused = running.finish().await;
    refused.expect_refusal("database_auth", &[]);
    assert!(refused.stderr.contains("names another database"), "{refused}");
    assert_eq!(elsewhere.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'reencrypt'").await, 0);

    scene.operator.write("database.url", &scene.next_url());
    let resumed = scene.operator.run(&["run", "--resume"]).await.expect_code(0);
    assert_eq!(resumed.column("zip")["rotated"], ROWS, "{resumed}");
    scene.audit.assert_rotated(&scene.db.patients().await);
}
