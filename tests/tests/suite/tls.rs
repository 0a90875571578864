//! Invariant 12: TLS to the database is verified wherever the way leaves this machine, and whoever asks for less is told so, and on record.
use crate::operator;
use reencrypt_tests::{Authority, Configuration, Database, Finished, Operator, Seeding};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Mutex, OnceCell},
};

/// The name in the cluster's certificate, written so that the tool does not take it for this machine's; and an address that is not in it.
const NAME: &str = "LOCALHOST";
const ADDRESS: &str = "0.0.0.0";

/// A PostgreSQL with a certificate of an authority of its own, which the tests of this file share: a cluster has one certificate.
struct Scene {
    db: Database,
    authority: &'static Authority,
}

impl Scene {
    async fn new() -> Self {
        static AUTHORITY: OnceCell<Authority> = OnceCell::const_new();
        let db = Database::postgres(&Seeding::clean(50)).await;
        let certified = AUTHORITY.get_or_init(async || {
            let authority = Authority::new("the clinic's own");
            let (certificate, key) = authority.certify("localhost");
            db.as_postgres().serve_tls(&certificate, &key).await;
            authority
        });
        Self { authority: certified.await, db }
    }

    /// An operator who reaches the database at this host, with these lines under `[database]`.
    fn at(&self, host: &str, lines: &str) -> Operator {
        self.at_port(host, self.db.as_postgres().address().1, lines)
    }

    fn at_port(&self, host: &str, port: u16, lines: &str) -> Operator {
        let (address, real) = self.db.as_postgres().address();
        let url = self.db.url().replace(&format!("{address}:{real}"), &format!("{host}:{port}"));
        let operator = operator(&self.db).set("DATABASE_URL", &url);
        operator.write("ca.pem", &self.authority.pem);
        operator.write("other.pem", &Authority::new("a stranger").pem);
        let head = format!("[database]\n{lines}\n");
        operator.configure(&Configuration { head, ..Configuration::default() }.text());
        operator
    }

    async fn events(&self) -> Vec<String> {
        let events = self.db.texts("SELECT detail FROM reencrypt.event WHERE kind = 'tls' ORDER BY n").await;
        events.into_iter().flatten().collect()
    }
}

const CA: &str = "ca = 'file:ca.pem'";
const OTHER: &str = "ca = 'file:other.pem'";

/// A server without TLS, as its first byte says. What it is sent after that.
async fn without_tls() -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let heard = sent.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; 8];
            let _ = client.read_exact(&mut request).await;
            let _ = client.write_all(b"N").await;
            let _ = client.read_to_end(&mut *heard.lock().await).await;
        }
    });
    (port, sent)
}

fn tls_line(doctor: &Finished, status: &str) -> String {
    let line = doctor.checks(status).into_iter().find(|(name, _)| name == "tls");
    line.unwrap_or_else(|| panic!("no line of TLS is a {status}\n{doctor}")).1
}

/// No mode is configured: it is that of the host.
#[tokio::test(flavor = "multi_thread")]
async fn by_default_certificate_and_name_are_verified() {
    let scene = Scene::new().await;
    let right = scene.at(NAME, CA);
    let plan = right.run(&["plan"]).await.expect_code(0);
    assert!(!plan.findings("warn").contains(&"tls_weak".to_owned()) && !plan.stderr.contains("TLS"), "{plan}");
    let doctor = right.set("JWT_SECRET", &"0f1e2d3c4b5a6978".repeat(4)).run(&["doctor", "--for", "plan"]).await;
    assert!(tls_line(&doctor, "pass").contains("verify-full"), "{doctor}");
    scene.at(NAME, CA).run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(scene.events().await, Vec::<String>::new());
    // An authority in the URL is one too, and what asks for nothing leaves the default.
    for parameters in ["?sslrootcert=ca.pem", "?sslrootcert=ca.pem&sslmode=prefer"] {
        let by_url = scene.at(NAME, "");
        let url = format!("{}{parameters}", scene.db.url().replace("127.0.0.1", NAME));
        by_url.set("DATABASE_URL", &url).run(&["plan"]).await.expect_code(0);
    }

    let wrong_authority = scene.at(NAME, OTHER);
    let public_authorities = scene.at(NAME, "");
    let wrong_name = scene.at(ADDRESS, CA);
    for refused in [wrong_authority, public_authorities, wrong_name] {
        for command in [&["plan"][..], &["run", "--yes"], &["verify"], &["status"]] {
            let refused = refused.run(command).await;
            refused.expect_refusal("database_tls", &["[database]"]);
            assert!(!format!("{refused}").contains(scene.db.as_postgres().password()), "the password is shown");
        }
        let doctor = refused.run(&["doctor"]).await.expect_code(1);
        let failed = doctor.checks("fail");
        assert!(failed.iter().any(|(name, told)| name == "database" && told.contains("`ca`")), "{doctor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_was_asked_for_holds_on_this_machine_too() {
    let scene = Scene::new().await;
    for (host, lines) in [
        ("localhost", format!("{CA}\ntls = 'verify-full'")),
        ("127.0.0.1", format!("{CA}\ntls = 'verify-ca'")),
        ("127.0.0.1", "tls = 'require'".to_owned()),
    ] {
        let plan = scene.at(host, &lines).run(&["plan"]).await.expect_code(0);
        assert!(!plan.findings("warn").contains(&"tls_weak".to_owned()), "{plan}");
    }
    for (host, lines) in [
        ("localhost", format!("{OTHER}\ntls = 'verify-full'")),
        ("127.0.0.1", format!("{CA}\ntls = 'verify-full'")),
        ("127.0.0.1", format!("{OTHER}\ntls = 'verify-ca'")),
        // As with libpq, an authority that was named is meant to be used.
        ("127.0.0.1", format!("{OTHER}\ntls = 'require'")),
    ] {
        scene.at(host, &lines).run(&["plan"]).await.expect_refusal("database_tls", &["[database]"]);
    }
}

/// A server that speaks no TLS gets nothing: neither a password nor a name.
#[tokio::test(flavor = "multi_thread")]
async fn without_tls_nothing_is_sent() {
    let scene = Scene::new().await;
    let (port, sent) = without_tls().await;
    for lines in [CA, "", "tls = 'verify-full'", "tls = 'verify-ca'", "tls = 'require'"] {
        let refused = scene.at_port(NAME, port, lines).run(&["plan"]).await;
        refused.expect_refusal("database_tls", &["[database]"]);
    }
    let url =
        scene.db.url().replace(&format!("127.0.0.1:{}", scene.db.as_postgres().address().1), &format!("{NAME}:{port}"));
    for mode in ["prefer", "allow", "require"] {
        let asking = operator(&scene.db).set("DATABASE_URL", &format!("{url}?sslmode={mode}"));
        asking.run(&["plan"]).await.expect_refusal("database_tls", &["[database]"]);
    }
    assert!(sent.lock().await.is_empty(), "something was sent in the clear");
}

/// A weaker mode is one that somebody asked for: every command says so, and the run's events keep it.
#[tokio::test(flavor = "multi_thread")]
async fn a_weaker_mode_is_told_and_recorded() {
    let scene = Scene::new().await;
    for (lines, mode) in [
        (format!("{CA}\ntls = 'verify-ca'"), "verify-ca"),
        ("tls = 'require'".to_owned(), "require"),
        ("tls = 'disable'".to_owned(), "disable"),
    ] {
        let weak = scene.at(ADDRESS, &lines);
        for command in [&["plan"][..], &["verify"]] {
            let told = weak.run(command).await;
            assert!(told.findings("warn").contains(&"tls_weak".to_owned()), "{told}");
            assert!(told.stderr.contains(&format!("is {mode}")), "{told}");
        }
        let doctor = weak.run(&["doctor", "--for", "plan"]).await;
        let told = tls_line(&doctor, if mode == "disable" { "fail" } else { "warn" });
        assert!(told.starts_with(mode) && told.contains("[database] ca"), "{told}");
    }
    // The same by the URL.
    let by_url = scene.at(ADDRESS, "");
    let by_url =
        by_url.set("DATABASE_URL", &format!("{}?sslmode=require", scene.db.url().replace("127.0.0.1", ADDRESS)));
    let begun = by_url.run(&["run", "--yes", "--canary", "10"]).await.expect_code(1);
    assert!(begun.findings("warn").contains(&"tls_weak".to_owned()), "{begun}");
    let status = by_url.run(&["status"]).await.expect_code(0);
    assert!(status.stderr.contains("is require") && status.stdout.contains(" tls (operator) require"), "{status}");
    assert_eq!(scene.events().await.len(), 1);
    // Whoever goes on is on record with the mode of their own.
    scene.at(NAME, CA).run(&["run", "--resume", "--canary", "20"]).await.expect_code(1);
    assert_eq!(scene.events().await.len(), 1);
    scene.at(ADDRESS, "tls = 'disable'").run(&["run", "--resume"]).await.expect_code(0);
    let events = scene.events().await;
    assert_eq!(
        events.iter().map(|event| event.split(':').next().unwrap_or_default()).collect::<Vec<_>>(),
        ["require", "disable"]
    );
}
