//! What every command of the engine is given.
use crate::Observer;
use reencrypt_crypto::Pool;
use reencrypt_db::Database;
use reencrypt_planner::{Ceiling, Configuration, Keyring, Plan};
use std::sync::Arc;

/// The database, the configuration, the keys, and who asks.
pub struct Context {
    /// opens sessions
    pub database: Database,
    /// parsed; may have no tables (discovery fills them)
    pub configuration: Configuration,
    /// loaded; empty for commands that need no PHI key
    pub keys: Keyring,
    /// worker threads for the cryptography
    pub pool: Arc<Pool>,
    /// `--actor`, else the operating system's user, for events
    pub actor: String,
    /// told of progress; knows no terminal
    pub observer: Arc<dyn Observer>,
    /// asked to stop by signals
    pub stop: Stop,
}

/// A request to stop, shared by all workers.
#[derive(Clone, Debug)]
pub struct Stop(tokio::sync::watch::Sender<bool>);
impl Default for Stop {
    fn default() -> Self {
        Self(tokio::sync::watch::Sender::new(false))
    }
}
impl Stop {
    /// Asks every worker to finish its transaction and give its chunk back.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
    /// Whether it was asked.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
    /// Resolves when it is asked.
    pub async fn requested(&self) {
        let mut r = self.0.subscribe();
        let _ = r.wait_for(|asked| *asked).await;
    }
}

/// `--on-unreadable`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnreadable {
    /// left alone, counted, exit 1
    #[default]
    Quarantine,
    /// the run stops with exit 2 at the first one, before its batch is written
    Stop,
}

/// `--plan-id`: the plan that was approved.
#[derive(Debug, Clone)]
pub enum Approved {
    /// its id alone
    Id(String),
    /// all of it, so that a difference can be named
    Plan(Box<Plan>),
}

/// The flags of `run` and `sweep`.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// default: two, or the cores if fewer; never more than a tenth of the server's free connections
    pub workers: Option<usize>,
    /// default 1,000
    pub batch_rows: Option<u32>,
    /// empty = all tables of the plan
    pub tables: Vec<String>,
    /// all workers together
    pub rows_per_second_max: Option<u32>,
    /// default 3
    pub sweeps_max: u32,
    /// default quarantine
    pub on_unreadable: OnUnreadable,
    /// default 1 %
    pub ceiling: Ceiling,
    /// rotate so many rows a table, then pause
    pub canary: Option<u64>,
    /// recorded in the run's events
    pub ticket: Option<String>,
    /// recorded in the run's events
    pub approved_by: Option<String>,
    /// refuse (exit 2) if the plan made now is another one
    pub approved: Option<Approved>,
    /// the operator's statement that every reader knows both keys
    pub readers_ready: bool,
}
impl Default for RunOptions {
    fn default() -> Self {
        Self {
            workers: None,
            batch_rows: None,
            tables: Vec::new(),
            rows_per_second_max: None,
            sweeps_max: 3,
            on_unreadable: OnUnreadable::default(),
            ceiling: Ceiling::default(),
            canary: None,
            ticket: None,
            approved_by: None,
            approved: None,
            readers_ready: false,
        }
    }
}
