//! An AWS that answers as its documents say where the emulator is more lenient: throttled, denied, disabled, expired.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it answers to a call of an operation.
#[derive(Debug, Clone)]
pub struct AwsAnswer {
    status: u16,
    body: String,
}

impl AwsAnswer {
    /// An error by its code, as the services with JSON 1.1 send it.
    pub fn error(code: &str, message: &str) -> Self {
        let status = if matches!(code, "InternalServiceError" | "KMSInternalException") { 500 } else { 400 };
        Self { status, body: serde_json::json!({ "__type": code, "message": message }).to_string() }
    }

    /// A result.
    pub fn result(body: serde_json::Value) -> Self {
        Self { status: 200, body: body.to_string() }
    }
}

/// A server that knows the answers to each operation, and counts the calls. It ends when it is dropped.
pub struct AwsStub {
    url: String,
    calls: Arc<Mutex<HashMap<String, usize>>>,
    server: JoinHandle<()>,
}

impl AwsStub {
    /// Listens; `answers` are by operation, such as `Decrypt`. Several of one operation are given in turn, the last one ever after.
    pub async fn start(answers: impl IntoIterator<Item = (&'static str, AwsAnswer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut by_operation = HashMap::new();
        for (name, answer) in answers {
            by_operation.entry(name.to_owned()).or_insert_with(Vec::new).push(answer);
        }
        let answers = Arc::new(by_operation);
        let calls = Arc::new(Mutex::new(HashMap::new()));
        let counted = calls.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, answers.clone(), counted.clone()));
            }
        });
        Self { url, calls, server }
    }

    /// What `AWS_ENDPOINT_URL` holds.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.calls.lock().expect("a count").get(operation).copied().unwrap_or(0)
    }
}

impl Drop for AwsStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One connection: requests one after another.
async fn converse(
    stream: TcpStream,
    answers: Arc<HashMap<String, Vec<AwsAnswer>>>,
    calls: Arc<Mutex<HashMap<String, usize>>>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(operation) = request(&mut stream).await {
        let turn = {
            let mut calls = calls.lock().expect("a count");
            let count: &mut usize = calls.entry(operation.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let unknown = AwsAnswer::error("UnknownOperationException", "");
        let of_operation = answers.get(&operation).map(Vec::as_slice).unwrap_or_default();
        let AwsAnswer { status, body } = of_operation.get(turn).or(of_operation.last()).unwrap_or(&unknown);
        let head = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: 0\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads one request; returns its operation.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut operation, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.trim().split('.').nth(1).map(str::to_owned),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    operation
}
