//! Credentials that change while a run lasts are loaded again, once for each session that is refused.
use crate::playground::Playground;
use reencrypt_db::{ConnectOptions, Credentials, Database, DatabaseUrl};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A place that holds one URL.
struct Place {
    url: Mutex<Option<String>>,
    loads: AtomicUsize,
}

impl Place {
    fn put(&self, url: Option<String>) {
        *self.url.lock().expect("a place") = url;
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

impl Credentials for Place {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Option<DatabaseUrl>> + Send + '_>> {
        Box::pin(async {
            self.loads.fetch_add(1, Ordering::SeqCst);
            let url = self.url.lock().expect("a place").clone();
            url.map(|url| DatabaseUrl::parse(&url).expect("a URL"))
        })
    }
}

#[tokio::test]
async fn refused_credentials_are_loaded_again_once() {
    let mut playground = Playground::new().await;
    let role = playground.role("rotating").await;
    let options = playground.options(Some(&role));
    let url = |password: &str, database: &str| {
        Some(format!("postgres://{role}:{password}@{}/{database}", options.url.address()))
    };
    let name = options.url.database().to_owned();
    let place = Arc::new(Place { url: Mutex::new(url("pw", &name)), loads: AtomicUsize::new(0) });
    let plain = Database::connect(ConnectOptions { ..options.clone() }).await.expect("the database");
    let database = Database::connect(options.clone()).await.expect("the database");
    let database = database.with_credentials(Some(place.clone()));
    database.session().await.expect("a session").close().await;
    assert_eq!(place.loads(), 0, "nothing was refused");

    playground.sql(&format!("ALTER ROLE {role} PASSWORD 'another'")).await;
    let refused = async |database: &Database| database.session().await.err().map(|e| e.code());
    assert_eq!(refused(&plain).await, Some("database_auth"), "a cluster that trusts everybody shows nothing here");
    assert_eq!(refused(&database).await, Some("database_auth"), "what stands there is the old password still");
    assert_eq!(place.loads(), 1, "once, not until it works");
    place.put(None);
    assert_eq!(refused(&database).await, Some("database_auth"), "the refusal is told where the place gives nothing");
    place.put(url("another", "elsewhere"));
    assert_eq!(refused(&database).await, Some("database_auth"), "a run does not move to another database");

    place.put(url("another", &name));
    let before = place.loads();
    let (one, other) = tokio::join!(database.session(), database.session());
    one.expect("a session").close().await;
    other.expect("a session").close().await;
    assert_eq!(place.loads(), before + 1, "two sessions that are refused at once load them once");
    database.session().await.expect("a session").close().await;
    assert_eq!(place.loads(), before + 1, "what was loaded is kept");
}
