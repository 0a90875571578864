//! Invariant 11: no key, no plaintext, no ciphertext, no row key in anything that the tool lets out, at the highest log level.
use crate::{Engine, operator};
use reencrypt_tests::{
    Aws, Canary, Cipher, Configuration, Database, Finished, Keys, Leak, Operator, Patient, Random, Role, RowKey,
    Seeding,
};
use std::path::Path;

on_both_engines!(nothing_secret_leaves_the_tool, a_planted_leak_is_found);

/// Plaintexts and row keys that occur nowhere else.
const MARKERS: [&str; 3] = ["CanaryFirstNameXq7", "CanaryLastNameZv3", "CanaryStreetKp9 42"];
const ROW_KEY: &str = "ROWKEY-CANARY-8w2f";

/// A secret of the application that is no key.
const SESSION: &str = "CanarySession-Tq81-Zr55";

/// All that makes the output longer: people by their row keys, kinds of data, the application's secrets.
fn configuration() -> String {
    let head =
        "[doctor]\nsecrets = [{ name = 'JWT_SECRET', old = 'JWT_SECRET_OLD' }, { name = 'SESSION', form = 'text' }]\n";
    let table_extra = "subject = 'id'".to_owned();
    let text = Configuration { head: head.to_owned(), table_extra, ..Configuration::default() }.text();
    text.replace("\nfirstName = {", "\nfirstName = { kind = 'identity',")
}

/// A database with marked rows, keys of its own, and the search for all of it.
struct Scene {
    db: Database,
    operator: Operator,
    /// of keys, plaintexts, ciphertexts and the URL's password
    secrets: Canary,
    /// of row keys: those stand in the store, since a walk needs them, and nowhere else
    row_keys: Canary,
}

impl Scene {
    async fn new(engine: Engine) -> Self {
        let mut random = Random::of_test("canary");
        let keys = Keys::random(&mut random);
        let db = engine.seeded(&Seeding::mixed(600).keyed(RowKey::Text).under(keys)).await;
        let (old, lost) = (Cipher::new(&keys.old), Cipher::new(&keys.lost));
        for n in 0..12 {
            let value = |marker: &str, random: &mut Random| old.seal(&format!("{marker} {n}"), random);
            let first = value(MARKERS[0], &mut random);
            let last = if n == 3 {
                lost.seal(&format!("{} {n}", MARKERS[1]), &mut random)
            } else {
                value(MARKERS[1], &mut random)
            };
            let street = if n == 4 { format!("{} plain", MARKERS[2]) } else { value(MARKERS[2], &mut random) };
            db.execute(&format!(
                r#"UPDATE "Patient" SET "id" = '{ROW_KEY}-{n}', "firstName" = '{first}', "lastName" = '{last}', "address1" = '{street}' WHERE "patientNumber" = {}"#,
                n * 50 + 1
            ))
            .await;
        }
        let jwt: [[u8; 32]; 2] = [random.bytes(), random.bytes()];
        let [jwt, jwt_old] = jwt.map(|bytes| data_encoding::HEXLOWER.encode(&bytes));
        let operator = operator(&db)
            .keys(&keys)
            .set("JWT_SECRET", &jwt)
            .set("JWT_SECRET_OLD", &jwt_old)
            .set("SESSION", SESSION)
            .aws(&Aws::emulated().url());
        operator.configure(&configuration());
        let mut secrets = Canary::default();
        secrets.secret("the application's secret", jwt.as_bytes());
        secrets.secret("its predecessor", jwt_old.as_bytes());
        secrets.secret("a secret text", SESSION.as_bytes());
        secrets.secret("the secret access key", b"the-secret-access-key-of-a-test");
        secrets.secret("the old key", &keys.old);
        secrets.secret("the new key", &keys.new);
        MARKERS.iter().for_each(|marker| secrets.secret(format!("the plaintext {marker}"), marker.as_bytes()));
        if let Database::Postgres(postgres) = &db {
            secrets.secret("the password", postgres.password().as_bytes());
        }
        let mut row_keys = Canary::default();
        row_keys.secret("a row key", ROW_KEY.as_bytes());
        let mut scene = Self { db, operator, secrets, row_keys };
        scene.know_ciphertexts().await;
        scene
    }

    /// Adds everything that stands in the table now.
    async fn know_ciphertexts(&mut self) {
        for Patient { values, number, .. } in self.db.patients().await.iter().filter(|patient| patient.number % 5 == 1)
        {
            for stored in values.iter().flatten().filter(|stored| stored.len() > 60) {
                self.secrets.ciphertext(format!("a ciphertext of patient {number}"), stored);
            }
        }
    }

    fn search(&self, place: &str, bytes: &[u8]) -> Vec<Leak> {
        [self.secrets.search(place, bytes), self.row_keys.search(place, bytes)].concat()
    }

    fn search_output(&self, finished: &Finished) -> Vec<Leak> {
        [
            self.search("standard output", finished.stdout.as_bytes()),
            self.search("standard error", finished.stderr.as_bytes()),
        ]
        .concat()
    }

    /// Every file in the operator's folder but the configuration.
    fn search_files(&self, folder: &Path) -> Vec<Leak> {
        let files = std::fs::read_dir(folder).expect("the folder").filter_map(|entry| Some(entry.ok()?.path()));
        let files = files.filter(|path| path.is_file());
        files
            .flat_map(|path| self.search(&path.display().to_string(), &std::fs::read(&path).expect("a file")))
            .collect()
    }
}

async fn nothing_secret_leaves_the_tool(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    assert!(scene.secrets.forms() > 1000, "{} forms", scene.secrets.forms());
    let mut leaks = Vec::new();
    for form in ["text", "json"] {
        let _ = std::fs::remove_file(scene.operator.folder().join("plan.json"));
        let loud = ["-vvv", "--log-format", form, "--output", form];
        let table = scene.db.reported("Patient");
        let commands: [&[&str]; 16] = [
            &["doctor"],
            &["doctor", "--for", "verify"],
            &["init", "--write", "made.toml"],
            &["plan", "--out", "plan.json"],
            &["plan", "--full"],
            &["run", "--yes", "--batch-rows", "50", "--canary", "100"],
            &["run", "--yes"],
            &["pause", "--until", "1s", "--reason", "a deploy"],
            &["run", "--resume", "--batch-rows", "50", "--ticket", "OPS-1", "--approved-by", "somebody"],
            &["status"],
            &["quarantine", "list"],
            &[
                "quarantine",
                "accept",
                "--table",
                &table,
                "--column",
                "lastName",
                "--class",
                "unreadable",
                "--count",
                "1",
                "--reason",
                "lost",
            ],
            &["abandon", "--yes"],
            &["sweep", "--yes"],
            &["verify"],
            &["key", "check", "--from", "env:OLD_KEY"],
        ];
        for command in commands {
            let arguments: Vec<&str> = command.iter().copied().chain(loud).collect();
            let finished = scene.operator.run_as_typed(&arguments).await;
            leaks.extend(scene.search_output(&finished));
        }
        let _ = std::fs::remove_file(scene.operator.folder().join("made.toml"));
        scene.know_ciphertexts().await;
    }
    leaks.extend(scene.search_files(scene.operator.folder()));
    let dump = scene.db.store_dump().await;
    assert!(dump.len() > 1000, "the store has something to search");
    leaks.extend(scene.secrets.search("the store", dump.as_bytes()));

    leaks.extend(new_keys(&scene).await);
    leaks.extend(refusals(&scene).await);
    #[cfg(feature = "failpoints")]
    leaks.extend(panic_text(&scene).await);
    leaks.extend(argument_list(&scene).await);
    assert_eq!(leaks, Vec::new());
}

/// A key that `keygen` makes shows on standard output where that was asked for, and nowhere else.
async fn new_keys(scene: &Scene) -> Vec<Leak> {
    let aws = Aws::emulated();
    let mut leaks = Vec::new();
    for form in ["text", "json"] {
        let secret = aws.secret("nothing yet").await;
        let key_id = aws.kms_key().await;
        let loud = ["-vvv", "--log-format", form, "--output", form];
        let stored = ["--secret-id", &secret, "--store", "hex"];
        for more in [&[][..], &["--kms-key-id", &key_id]] {
            let made =
                scene.operator.run_as_typed(&[&["keygen"], &stored[..], more, &loud].concat()).await.expect_code(0);
            let (key, _) = aws.read(&secret, "AWSCURRENT").await;
            let mut canary = Canary::default();
            canary.secret("a new key", &data_encoding::HEXLOWER.decode(key.as_bytes()).expect("hex digits"));
            leaks.extend(canary.search("standard output", made.stdout.as_bytes()));
            leaks.extend(canary.search("standard error", made.stderr.as_bytes()));
            leaks.extend(scene.search_output(&made));
            // Whether it is one of ours, it is not repeated.
            let from = format!("aws-secretsmanager:{secret}");
            let check = scene.operator.run_as_typed(&[&["key", "check", "--from", &from], &loud[..]].concat()).await;
            leaks.extend(canary.search("standard output", check.expect_code(0).stdout.as_bytes()));
        }
        let local = scene.operator.run_as_typed(&[&["keygen", "--local"], &loud[..]].concat()).await.expect_code(0);
        let key = local.stdout.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 64).expect("a key");
        let mut canary = Canary::default();
        canary.secret("a new key", &data_encoding::HEXLOWER.decode(key.as_bytes()).expect("hex digits"));
        leaks.extend(canary.search("standard error", local.stderr.as_bytes()));
        leaks.extend(scene.search_output(&local));
    }
    leaks
}

/// Errors are where secrets escape: wrong keys, literal keys, URLs that fail.
async fn refusals(scene: &Scene) -> Vec<Leak> {
    let mut leaks = Vec::new();
    let mut random = Random::of_test("canary_refusals");
    let other = Keys::random(&mut random);
    let mut canary = Canary::default();
    canary.secret("another key", &other.old);
    canary.secret("a password in a URL", b"canary-password-in-a-url");
    let wrong = operator(&scene.db).keys(&other);
    let literal = operator(&scene.db);
    let head = format!("[key.default]\nold = \"{}\"\nnew = \"env:NEW_KEY\"\n", other.old_hex());
    literal.configure(&Configuration { head, ..Configuration::default() }.text());
    let malformed = operator(&scene.db).set("OLD_KEY", &format!("{}!", other.old_hex()));
    let text = operator(&scene.db).set("JWT_SECRET", "canary-password-in-a-url");
    let mut operators = vec![wrong, literal, malformed, text];
    for url in [
        "postgres://u:canary-password-in-a-url@127.0.0.1:1/db",
        "postgres://u:canary-password-in-a-url@127.0.0.1:1/db?unknown=canary-password-in-a-url",
        "nonsense://u:canary-password-in-a-url@127.0.0.1/db",
        "postgres://u:canary-password-in-a-url@127.0.0.1:notaport/db",
    ] {
        operators.push(operator(&scene.db).set("DATABASE_URL", url));
    }
    for operator in operators {
        for command in [
            &["plan", "-vvv"][..],
            &["run", "--yes", "-vvv"],
            &["verify", "-vvv"],
            &["init", "-vvv"],
            &["doctor", "-vvv"],
            &["key", "check", "--from", "env:OLD_KEY", "-vvv"],
        ] {
            let finished = operator.run(command).await;
            leaks.extend(scene.search_output(&finished));
            leaks.extend(canary.search("standard output", finished.stdout.as_bytes()));
            leaks.extend(canary.search("standard error", finished.stderr.as_bytes()));
        }
    }
    leaks
}

/// A panic in the middle of a batch.
#[cfg(feature = "failpoints")]
async fn panic_text(scene: &Scene) -> Vec<Leak> {
    let mut leaks = Vec::new();
    scene.db.execute(r#"UPDATE "Patient" SET "city" = "city""#).await;
    for failpoint in
        ["engine::batch_resealed=panic", "engine::before_commit=panic", "engine::after_commit=return(error)"]
    {
        let finished = scene.operator.start_failing(failpoint, &["run", "--resume", "--yes", "-vvv"]).finish().await;
        assert_eq!(finished.code(), Some(2), "{finished}");
        leaks.extend(scene.search_output(&finished));
    }
    scene.operator.run(&["run", "--resume", "--yes"]).await;
    leaks
}

/// What other users of the machine can see of the process.
async fn argument_list(scene: &Scene) -> Vec<Leak> {
    let mut running = scene.operator.start(&["run", "--yes", "--resume", "--max-rows-per-second", "300"]);
    let mut leaks = Vec::new();
    let mut looks = 0;
    while !running.has_ended() && looks < 50 {
        if let Some(pid) = running.pid() {
            let seen = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            looks += usize::from(!seen.is_empty());
            leaks.extend(scene.search("the argument list", &seen));
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(looks > 0, "nobody looked");
    running.finish().await;
    leaks
}

/// The search finds what is there: a value planted in a file, in the store, and in an output.
async fn a_planted_leak_is_found(engine: Engine) {
    let scene = Scene::new(engine).await;
    let stored = scene.db.patients().await[0].values[0].clone().expect("a first name");
    let mut finished = scene.operator.run(&["run", "--yes", "--canary", "10"]).await;
    assert_eq!(scene.search_output(&finished), Vec::new());

    finished.stderr.push_str(&format!("DEBUG value {stored}"));
    assert!(!scene.search_output(&finished).is_empty(), "a ciphertext in a log line");
    scene.operator.write("core.txt", &format!("row {ROW_KEY}-3"));
    assert!(!scene.search_files(scene.operator.folder()).is_empty(), "a row key in a file");
    let event = scene.db.store_table("event");
    scene.db.execute(&format!("UPDATE {event} SET detail = '{} 7'", MARKERS[1])).await;
    assert!(
        !scene.secrets.search("the store", scene.db.store_dump().await.as_bytes()).is_empty(),
        "a plaintext in the store"
    );
    if let Database::Postgres(postgres) = &scene.db {
        assert!(!scene.search("the argument list", postgres.url(Role::Run).as_bytes()).is_empty(), "a password");
    }
}
