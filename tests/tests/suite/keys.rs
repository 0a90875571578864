//! Keys in AWS: the guide's procedure from a new key to the proof, and every way in which a key is not to be had. Nothing is written then.
use crate::{Engine, TOOL, operator};
use reencrypt_tests::{
    Audit, Aws, AwsAnswer, AwsStub, Canary, Configuration, Database, KEYS, Keys, Operator, Random, Seeding, Store,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both_engines!(the_procedure_of_the_guide, a_resume_with_another_version_of_the_secret_is_refused);

const CONTEXT: &str = "app=clinic";

/// A configuration whose keys stand in AWS.
fn configuration(old: &str, new: &str) -> String {
    let head = format!("[key.phi]\nold = {old}\nnew = {new}\n");
    Configuration { head, ..Configuration::default() }.text()
}

fn reference(secret: &str, stage: &str) -> String {
    format!("\"aws-secretsmanager:{secret}@{stage}\"")
}

fn wrapped(key_id: &str, context: &str) -> String {
    format!("{{ kms = \"env:ENCRYPTED_PHI_KEY\", key_id = \"{key_id}\", context = {{ {context} }} }}")
}

fn hex(text: &str) -> [u8; 32] {
    let bytes: Vec<u8> =
        (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).expect("hex digits")).collect();
    bytes.try_into().expect("32 bytes")
}

fn text<'j>(json: &'j Value, member: &str) -> &'j str {
    json[member].as_str().unwrap_or_else(|| panic!("no {member} in {json}"))
}

/// keygen with KMS, the secret stored, run with the old key from AWSPREVIOUS and the new one from KMS, verify.
async fn the_procedure_of_the_guide(engine: Engine) {
    let aws = Aws::emulated();
    let seeding = Seeding::clean(600);
    let db = engine.seeded(&seeding).await;
    let before = db.patients().await;
    let secret = aws.secret(&KEYS.old_hex()).await;
    let key_id = aws.kms_key().await;
    let alias = aws.alias(&key_id).await;
    let operator = operator(&db).unset("OLD_KEY").unset("NEW_KEY").aws(&aws.url());
    let made = operator
        .run(&["keygen", "--kms-key-id", &alias, "--context", CONTEXT, "--secret-id", &secret, "--store", "hex"])
        .await
        .expect_code(0);
    let told = made.json();
    let (current, version) = aws.read(&secret, "AWSCURRENT").await;
    let (previous, old_version) = aws.read(&secret, "AWSPREVIOUS").await;
    assert_eq!((text(&told, "version_id"), previous), (version.as_str(), KEYS.old_hex()));
    let keys = Keys { new: hex(&current), ..KEYS };
    let audit = Audit::new(&Seeding { keys, ..seeding }, before);

    let operator = operator.set("ENCRYPTED_PHI_KEY", text(&told, "wrapped"));
    operator.configure(&configuration(&reference(&secret, "AWSPREVIOUS"), &wrapped(&alias, "app = \"clinic\"")));
    let plan = operator.run(&["plan"]).await.expect_code(0);
    let pair = &plan.json()["keys"][0];
    assert_eq!((text(pair, "new"), text(pair, "old_version")), (text(&told, "fingerprint"), old_version.as_str()));
    let run = operator.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.state(), "finished", "{run}");
    assert_eq!(text(&run.json()["keys"][0], "old_version"), old_version);
    audit.assert_rotated(&db.patients().await);
    assert_eq!(operator.run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);

    // "Is the leaked string our key?"
    let check = operator.set("LEAKED", &KEYS.old_hex()).run(&["key", "check", "--from", "env:LEAKED"]).await;
    let told = check.expect_code(0).json();
    assert_eq!((&told["matches"], &told["opened"]), (&json!(["key.phi.old"]), &json!(0)), "{told}");

    // None of it was shown.
    let mut canary = Canary::default();
    canary.secret("the old key", &keys.old);
    canary.secret("the new key", &keys.new);
    for finished in [&made, &plan, &run] {
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(canary.search("the output", said.as_bytes()), Vec::new());
    }
}

/// Invariant 15. AWSPREVIOUS moves at the next put: the run knows its keys by their fingerprints.
async fn a_resume_with_another_version_of_the_secret_is_refused(engine: Engine) {
    let aws = Aws::emulated();
    let seeding = Seeding::clean(600);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let secret = aws.secret(&KEYS.old_hex()).await;
    let new_version = aws.put(&secret, &KEYS.new_hex()).await;
    let (_, old_version) = aws.read(&secret, "AWSPREVIOUS").await;
    let operator = operator(&db).unset("OLD_KEY").unset("NEW_KEY").aws(&aws.url());
    operator.configure(&configuration(&reference(&secret, "AWSPREVIOUS"), &reference(&secret, "AWSCURRENT")));
    operator.run(&["run", "--yes", "--canary", "50"]).await.expect_code(1);
    let now = db.patients().await;
    aws.put(&secret, &Keys { new: Random::of_test("next_version").bytes(), ..KEYS }.new_hex()).await;
    operator.run(&["run", "--resume"]).await.expect_refusal("key_changed", &[]);
    assert_eq!(db.patients().await, now, "a refused resume wrote");
    // Pinned by version ids it goes on, and it is the same plan.
    operator.configure(&configuration(&reference(&secret, &old_version), &reference(&secret, &new_version)));
    operator.run(&["run", "--resume"]).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
}

/// A database, the emulator, and an operator whose old key is in the environment and whose new one KMS unwraps.
struct Scene {
    db: Database,
    audit: Audit,
    operator: Operator,
    key_id: String,
    wrapped: String,
}

impl Scene {
    async fn new(aws: &Aws) -> Self {
        let seeding = Seeding::clean(20);
        let db = Database::sqlite(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        let key_id = aws.kms_key().await;
        let operator = operator(&db).aws(&aws.url());
        let made = operator.run(&["keygen", "--kms-key-id", &key_id, "--context", CONTEXT]).await.expect_code(0);
        let wrapped_key = text(&made.json(), "wrapped").to_owned();
        let scene = Self {
            operator: operator.set("ENCRYPTED_PHI_KEY", &wrapped_key),
            db,
            audit,
            wrapped: wrapped_key,
            key_id: key_id.clone(),
        };
        scene.new_key(&wrapped(&key_id, "app = \"clinic\""));
        scene
    }

    fn new_key(&self, reference: &str) {
        self.operator.configure(&configuration("\"env:OLD_KEY\"", reference));
    }

    /// Exit 2, a code, words; and not a byte is another.
    async fn refused(&self, operator: &Operator, code: &str, names: &[&str]) {
        let finished = operator.run(&["run", "--yes", "-vvv"]).await;
        finished.expect_refusal(code, names);
        let mut canary = Canary::default();
        canary.secret("the wrapped key", self.wrapped.as_bytes());
        canary.secret("the old key", &KEYS.old);
        canary.secret("the secret access key", b"the-secret-access-key-of-a-test");
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(canary.search("the output", said.as_bytes()), Vec::new());
        self.audit.assert_unchanged(&self.db.patients().await);
        assert_eq!(Store(&self.db).rows().await, 0, "the store has rows");
    }

    /// The operator of the scene, with another AWS.
    fn with_aws(&self, url: &str) -> Operator {
        let text = std::fs::read_to_string(self.operator.folder().join("reencrypt.toml")).expect("the configuration");
        let other = operator(&self.db).aws(url).set("ENCRYPTED_PHI_KEY", &self.wrapped).set("AWS_MAX_ATTEMPTS", "2");
        other.configure(&text);
        other
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_key_opens_by_its_kms_key_and_its_context_alone() {
    let aws = Aws::emulated();
    let scene = Scene::new(&aws).await;
    let operator = &scene.operator;
    scene.new_key(&wrapped(&aws.kms_key().await, "app = \"clinic\""));
    // AWS says that another key wrapped it (the stub does), the emulator that this one may not.
    scene.refused(operator, "aws_denied", &["key.phi.new", "kms:Decrypt"]).await;
    for context in ["app = \"another\"", "", "app = \"clinic\", more = \"x\""] {
        scene.new_key(&wrapped(&scene.key_id, context));
        scene.refused(operator, "kms_ciphertext_refused", &["context"]).await;
    }
    scene.new_key(&wrapped("alias/no-such-key", "app = \"clinic\""));
    scene.refused(operator, "kms_key_missing", &["alias/no-such-key", "AWS_REGION"]).await;
    scene.new_key(&wrapped(&scene.key_id, "app = \"clinic\""));
    let mut tampered = scene.wrapped.clone().into_bytes();
    let middle = tampered.len() - 12;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).expect("base64");
    let tampering = scene.with_aws(&aws.url()).set("ENCRYPTED_PHI_KEY", &tampered);
    scene.refused(&tampering, "kms_ciphertext_refused", &["key.phi.new"]).await;
    let malformed = scene.with_aws(&aws.url()).set("ENCRYPTED_PHI_KEY", "not base64!");
    scene.refused(&malformed, "key_malformed", &["ENCRYPTED_PHI_KEY"]).await;
    scene.refused(&scene.with_aws(&aws.url()).unset("ENCRYPTED_PHI_KEY"), "key_missing", &["ENCRYPTED_PHI_KEY"]).await;
    // As it was made it opens, so that none of these was refused for another reason.
    operator.run(&["plan"]).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_aws_has_its_own_message() {
    let scene = Scene::new(&Aws::emulated()).await;
    const OUT_OF_SIGHT: &str = "The ciphertext refers to a customer master key that does not exist";
    for (answer, message, code, named) in [
        ("ThrottlingException", "private", "aws_throttled", "AWS_MAX_ATTEMPTS"),
        ("DisabledException", "private", "kms_key_disabled", "enable-key"),
        ("KMSInvalidStateException", "private", "kms_key_unusable", "describe-key"),
        ("IncorrectKeyException", "private", "kms_wrong_key", "key_id"),
        ("AccessDeniedException", OUT_OF_SIGHT, "kms_wrong_key", "key_id"),
        ("AccessDeniedException", "private", "aws_denied", "kms:Decrypt"),
        ("ExpiredTokenException", "private", "aws_credentials_expired", "aws sso login"),
        ("UnrecognizedClientException", "private", "aws_credentials_refused", "AWS_ACCESS_KEY_ID"),
    ] {
        let stub = AwsStub::start([("Decrypt", AwsAnswer::error(answer, message))]).await;
        scene.refused(&scene.with_aws(stub.url()), code, &[named, "key.phi.new"]).await;
        let tries = if answer == "ThrottlingException" { 2 } else { 1 };
        assert_eq!(stub.calls("Decrypt"), tries, "{answer}: what can be tried again is, within bounds");
    }
    // Unwrapped once for each start, not once for a row.
    let unwrapped = AwsAnswer::result(
        json!({ "KeyId": scene.key_id, "Plaintext": "Zi3V1LLcPvUay0gjP/Lq2SCV/7Fe76TLZglZPwGF/+Y=" }),
    );
    let stub = AwsStub::start([("Decrypt", unwrapped)]).await;
    scene.with_aws(stub.url()).run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(stub.calls("Decrypt"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aws_that_cannot_be_asked() {
    let aws = Aws::emulated();
    let scene = Scene::new(&aws).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let began = Instant::now();
    scene.refused(&scene.with_aws(&format!("http://127.0.0.1:{port}")), "aws_unreachable", &["AWS_ENDPOINT_URL"]).await;
    assert!(began.elapsed() < Duration::from_secs(60), "it took {:?} to give up", began.elapsed());
    let poor = scene.with_aws(&aws.url()).unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
    scene.refused(&poor, "aws_credentials_missing", &["AWS_PROFILE"]).await;
    scene.refused(&scene.with_aws(&aws.url()).unset("AWS_REGION"), "aws_region_missing", &["AWS_REGION"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_not_to_be_had() {
    let aws = Aws::emulated();
    let scene = Scene::new(&aws).await;
    let json = aws.secret(&json!({ "phi": KEYS.new_hex(), "port": 5432 }).to_string()).await;
    let plain = aws.secret(&KEYS.new_hex()).await;
    let missing = format!("aws-secretsmanager:{json}-gone#phi");
    for (from, code, named) in [
        (missing, "secret_missing", "AWS_REGION"),
        (format!("aws-secretsmanager:{json}#phi@AWSPREVIOUS"), "secret_missing", "AWSPREVIOUS"),
        (format!("aws-secretsmanager:{json}#PHI"), "secret_property", "text member"),
        (format!("aws-secretsmanager:{json}#port"), "secret_property", "text member"),
        (format!("aws-secretsmanager:{plain}#phi"), "secret_not_json", "#property"),
        (format!("aws-secretsmanager:{json}"), "key_malformed", "hex digits"),
    ] {
        scene.new_key(&format!("\"{from}\""));
        scene.refused(&scene.operator, code, &[named, "key.phi.new"]).await;
    }
    for (answer, message, code, named) in [
        ("AccessDeniedException", "User is not authorized", "aws_denied", "secretsmanager:GetSecretValue"),
        ("AccessDeniedException", "Access to KMS is not allowed", "secret_key_denied", "kms:Decrypt"),
        ("InvalidRequestException", "marked for deletion", "secret_unusable", "describe-secret"),
        ("ThrottlingException", "Rate exceeded", "aws_throttled", "AWS_MAX_ATTEMPTS"),
    ] {
        let stub = AwsStub::start([("GetSecretValue", AwsAnswer::error(answer, message))]).await;
        scene.refused(&scene.with_aws(stub.url()), code, &[named]).await;
    }
    scene.new_key(&format!("\"aws-secretsmanager:{json}#phi\""));
    scene.operator.run(&["run", "--yes"]).await.expect_code(0);
    scene.audit.assert_rotated(&scene.db.patients().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keygen_shows_no_key_but_the_one_that_was_asked_for() {
    let aws = Aws::emulated();
    let operator = Operator::without_configuration(TOOL).aws(&aws.url());
    let local = operator.run(&["keygen", "--local"]).await.expect_code(0).json();
    assert_eq!(text(&local, "key").len(), 64, "64 hex digits");
    let typed = operator.run_as_typed(&["keygen", "--local"]).await.expect_code(0);
    assert_eq!((typed.stdout.trim_end().len(), typed.stdout.lines().count()), (64, 1), "{typed}");

    let key_id = aws.kms_key().await;
    let secret = aws.secret(r#"{"phi":"old","other":"stays"}"#).await;
    // Without the property, what else the secret holds would be gone.
    let refused = operator.run(&["keygen", "--secret-id", &secret]).await;
    refused.expect_refusal("secret_has_properties", &["#property"]);
    let property = format!("{secret}#phi");
    let made = operator.run(&["keygen", "--secret-id", &property]).await.expect_code(0);
    let (stored, version) = aws.read(&secret, "AWSCURRENT").await;
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!((text(&stored, "other"), text(&made.json(), "version_id")), ("stays", version.as_str()));
    let mut canary = Canary::default();
    canary.secret("the stored key", &hex(text(&stored, "phi")));
    assert_eq!(canary.search("the output", format!("{}{}", made.stdout, made.stderr).as_bytes()), Vec::new());

    let wrapped_secret = aws.secret("none yet").await;
    let made = operator.run(&["keygen", "--kms-key-id", &key_id, "--secret-id", &wrapped_secret]).await.expect_code(0);
    assert_eq!(aws.read(&wrapped_secret, "AWSCURRENT").await.0, text(&made.json(), "wrapped"));
    assert_eq!(text(&made.json(), "dotenv"), format!("ENCRYPTED_PHI_KEY={}", text(&made.json(), "wrapped")));

    operator.run(&["keygen", "--secret-id", "test/no-such"]).await.expect_refusal("secret_missing", &["test/no-such"]);
    operator
        .run(&["keygen", "--secret-id", &secret, "--store", "wrapped"])
        .await
        .expect_refusal("usage", &["--kms-key-id"]);
    operator.run(&["keygen", "--kms-key-id", "alias/none"]).await.expect_refusal("kms_key_missing", &["alias/none"]);
    let plaintext = [7; 32];
    let answer = json!({ "KeyId": key_id, "Plaintext": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "CiphertextBlob": "d3JhcHBlZA==" });
    let stub = AwsStub::start([("GenerateDataKey", AwsAnswer::result(answer))]).await;
    for form in ["text", "json"] {
        let operator = Operator::without_configuration(TOOL).aws(stub.url());
        let made =
            operator.run_as_typed(&["keygen", "--kms-key-id", &key_id, "-vvv", "--output", form]).await.expect_code(0);
        assert!(made.stdout.contains("d3JhcHBlZA==") && made.stdout.contains("b025926dfd23b1b3"), "{made}");
        let mut canary = Canary::default();
        canary.secret("the data key", &plaintext);
        assert_eq!(canary.search("the output", format!("{}{}", made.stdout, made.stderr).as_bytes()), Vec::new());
    }
    let denied = AwsStub::start([("GenerateDataKey", AwsAnswer::error("AccessDeniedException", ""))]).await;
    let denied =
        Operator::without_configuration(TOOL).aws(denied.url()).run(&["keygen", "--kms-key-id", &key_id]).await;
    denied.expect_refusal("aws_denied", &["kms:GenerateDataKey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_check_tells_our_key_from_another() {
    let db = Database::sqlite(&Seeding::clean(40)).await;
    let operator = operator(&db).set("LEAKED", &KEYS.old_hex()).set("OTHER", &"3c".repeat(32));
    let ours = operator.run(&["key", "check", "--from", "env:LEAKED"]).await.expect_code(0);
    let told = ours.json();
    assert_eq!(told["matches"], json!(["key.default.old"]), "{ours}");
    assert!(told["opened"].as_u64() > Some(0) && told["opened"] == told["sampled"], "{ours}");
    let other = operator.run(&["key", "check", "--from", "env:OTHER"]).await.expect_code(0).json();
    assert_eq!((&other["matches"], &other["opened"]), (&json!([]), &json!(0)), "{other}");
    let typed = operator.run_as_typed(&["key", "check", "--from", "env:LEAKED", "-vvv"]).await.expect_code(0);
    assert!(typed.stdout.contains("it is key.default.old"), "{typed}");
    let mut canary = Canary::default();
    canary.secret("the leaked key", &KEYS.old);
    for said in [&ours, &typed] {
        assert_eq!(canary.search("the output", format!("{}{}", said.stdout, said.stderr).as_bytes()), Vec::new());
    }
    let literal = operator.run(&["key", "check", "--from", &KEYS.old_hex()]).await;
    literal.expect_refusal("key_reference", &["env:NAME"]);
    assert!(!literal.stdout.contains(&KEYS.old_hex()), "the key was repeated");
}
