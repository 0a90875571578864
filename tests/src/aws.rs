//! The emulator of AWS that `scripts/test.sh` starts, spoken to without the tool's own code.
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The address of the emulator.
const URL: &str = "REENCRYPT_TEST_MOTO_URL";
/// Secrets of one process have names of their own.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A KMS and a Secrets Manager that encrypt for real.
pub struct Aws {
    address: String,
}

impl Aws {
    /// The one that the tests share. Keys and secrets are each test's own.
    pub fn emulated() -> Self {
        let url = std::env::var(URL).unwrap_or_else(|_| panic!("{URL} is not set: run the tests by scripts/test.sh"));
        Self { address: url.trim_start_matches("http://").trim_end_matches('/').to_owned() }
    }

    /// What `AWS_ENDPOINT_URL` holds.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A new KMS key; returns its id.
    pub async fn kms_key(&self) -> String {
        let made = self.call("TrentService", "CreateKey", json!({})).await;
        made["KeyMetadata"]["KeyId"].as_str().expect("a key id").to_owned()
    }

    /// Gives a KMS key an alias, which is returned.
    pub async fn alias(&self, key_id: &str) -> String {
        let alias = format!("alias/{}", unique());
        self.call("TrentService", "CreateAlias", json!({ "AliasName": alias, "TargetKeyId": key_id })).await;
        alias
    }

    /// A new secret with this text; returns its name.
    pub async fn secret(&self, text: &str) -> String {
        self.make_secret(json!({ "SecretString": text })).await
    }

    /// A new secret that is bytes and no text; returns its name.
    pub async fn binary_secret(&self, bytes: &[u8]) -> String {
        self.make_secret(json!({ "SecretBinary": data_encoding::BASE64.encode(bytes) })).await
    }

    async fn make_secret(&self, mut value: Value) -> String {
        let name = format!("test/{}", unique());
        value["Name"] = name.as_str().into();
        self.call("secretsmanager", "CreateSecret", value).await;
        name
    }

    /// Puts a new version of a secret; returns its id.
    pub async fn put(&self, name: &str, text: &str) -> String {
        let put =
            self.call("secretsmanager", "PutSecretValue", json!({ "SecretId": name, "SecretString": text })).await;
        put["VersionId"].as_str().expect("a version id").to_owned()
    }

    /// A secret's text and version id at a stage.
    pub async fn read(&self, name: &str, stage: &str) -> (String, String) {
        let read =
            self.call("secretsmanager", "GetSecretValue", json!({ "SecretId": name, "VersionStage": stage })).await;
        let text = |member: &str| read[member].as_str().expect("a text").to_owned();
        (text("SecretString"), text("VersionId"))
    }

    async fn call(&self, service: &str, operation: &str, body: Value) -> Value {
        let body = body.to_string();
        let scope = if service == "TrentService" { "kms" } else { service };
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {service}.{operation}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=AKIATESTTESTTESTTEST/20260101/eu-west-1/{scope}/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).await.expect("the emulator listens");
        stream.write_all(request.as_bytes()).await.expect("a request is sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{operation}: {answer}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

fn unique() -> String {
    format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
