//! A network that fails at the worst moment: a proxy that follows PostgreSQL's protocol and cuts the connection around a COMMIT.
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Where the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// the COMMIT never reaches the server
    BeforeCommit,
    /// the server has committed, and its answer never reaches the client
    AfterCommit,
}

/// Listens on a port of its own and passes everything on, but for the commits that it was told to cut. Only commits of transactions
/// that updated the Patient table count.
pub struct FaultyProxy {
    port: u16,
    state: Arc<State>,
    listener: JoinHandle<()>,
}

struct State {
    fault: Fault,
    /// every so many commits
    every: u64,
    commits: AtomicU64,
    cuts: AtomicU64,
}

impl FaultyProxy {
    /// Stands before the server at `upstream`, and cuts the `every`-th commit, and again and again.
    pub async fn start(upstream: (String, u16), fault: Fault, every: u64) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State { fault, every, commits: AtomicU64::new(0), cuts: AtomicU64::new(0) });
        let shared = state.clone();
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, upstream.clone(), shared.clone()));
            }
        });
        Self { port, state, listener }
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Commits that came by, cut ones included.
    pub fn commits(&self) -> u64 {
        self.state.commits.load(Ordering::SeqCst)
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl State {
    /// Counts a commit, and says whether it is to be cut.
    fn is_due(&self) -> bool {
        let n = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        let due = n.is_multiple_of(self.every);
        if due {
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        due
    }
}

/// What the two directions of a connection tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// a COMMIT is on its way to the server: its answer is to be swallowed
    Committing,
    Cut,
}

async fn pass(client: TcpStream, upstream: (String, u16), state: Arc<State>) {
    let Ok(server) = TcpStream::connect((upstream.0.as_str(), upstream.1)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (phase, _) = watch::channel(Phase::Open);
    let forth = forward(from_client, to_server, state, phase.clone());
    let back = backward(from_server, to_client, phase);
    // Either end of it ends both: the halves are dropped, and with them the connections.
    tokio::select! {
        _ = forth => (),
        _ = back => (),
    }
}

/// Client to server, message by message.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: Arc<State>,
    phase: watch::Sender<Phase>,
) -> Option<()> {
    // A TLS or cancel request comes before the start of the session; none of them has a type byte.
    loop {
        let start = untyped_message(&mut from).await?;
        to.write_all(&start).await.ok()?;
        let code = u32::from_be_bytes(start.get(4..8)?.try_into().ok()?);
        if code >> 16 == 3 {
            break;
        }
    }
    let mut watcher = Watcher::default();
    loop {
        let message = message(&mut from).await?;
        if watcher.is_commit_of_patients(&message) && state.is_due() {
            match state.fault {
                Fault::BeforeCommit => {
                    phase.send_replace(Phase::Cut);
                    return None;
                }
                Fault::AfterCommit => {
                    phase.send_replace(Phase::Committing);
                    to.write_all(&message).await.ok()?;
                    // The other direction waits for the server's word, and then drops both.
                    std::future::pending::<()>().await;
                }
            }
        }
        to.write_all(&message).await.ok()?;
    }
}

/// Server to client. While a COMMIT is swallowed nothing is passed on.
async fn backward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, phase: watch::Sender<Phase>) -> Option<()> {
    let mut buffer = vec![0; 1 << 16];
    let phase = phase.subscribe();
    let mut swallowed = Vec::new();
    loop {
        let n = from.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        match *phase.borrow() {
            Phase::Open => (),
            Phase::Cut => return None,
            Phase::Committing => {
                swallowed.extend_from_slice(&buffer[..n]);
                // CommandComplete with the tag COMMIT: it is durable now.
                if swallowed.windows(12).any(|window| window == b"C\0\0\0\x0bCOMMIT\0") {
                    return None;
                }
                continue;
            }
        }
        to.write_all(&buffer[..n]).await.ok()?;
    }
}

/// Follows a session's statements.
#[derive(Default)]
struct Watcher {
    /// prepared statements: whether they update patients
    statements: HashMap<Vec<u8>, bool>,
    /// the open transaction updated patients
    dirty: bool,
}

impl Watcher {
    fn is_commit_of_patients(&mut self, message: &[u8]) -> bool {
        let Some((kind, body)) = message.split_first().and_then(|(kind, rest)| Some((*kind, rest.get(4..)?))) else {
            return false;
        };
        match kind {
            b'Q' => self.statement(text(body)),
            b'P' => {
                let name = text(body);
                let sql = text(&body[(name.len() + 1).min(body.len())..]);
                self.statements.insert(name.to_vec(), updates_patients(sql));
                // An unnamed COMMIT that is prepared comes by again as its execution; nothing sends one twice.
                is_word(sql, "COMMIT") && self.statement(sql)
            }
            b'B' => {
                let portal = text(body);
                let name = text(&body[(portal.len() + 1).min(body.len())..]);
                self.dirty |= self.statements.get(name).copied().unwrap_or(false);
                false
            }
            _ => false,
        }
    }

    fn statement(&mut self, sql: &[u8]) -> bool {
        self.dirty |= updates_patients(sql);
        if is_word(sql, "COMMIT") {
            return std::mem::take(&mut self.dirty);
        }
        if is_word(sql, "ROLLBACK") || is_word(sql, "BEGIN") {
            self.dirty = false;
        }
        false
    }
}

fn updates_patients(sql: &[u8]) -> bool {
    (is_word(sql, "UPDATE") || is_word(sql, "WITH"))
        && String::from_utf8_lossy(sql).split_once("UPDATE").is_some_and(|(_, rest)| rest.contains("\"Patient\""))
}

fn is_word(sql: &[u8], word: &str) -> bool {
    let sql = String::from_utf8_lossy(sql);
    sql.trim_start().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Up to the first NUL.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

async fn message(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let kind = from.read_u8().await.ok()?;
    let mut message = vec![kind];
    message.extend(untyped_message(from).await?);
    Some(message)
}

async fn untyped_message(from: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let length = from.read_u32().await.ok()?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize((length as usize).max(4), 0);
    from.read_exact(&mut message[4..]).await.ok()?;
    Some(message)
}
