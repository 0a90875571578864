//! Progress without a terminal.
use reencrypt_db::TableName;

/// Something that happened. Holds no values and no row keys.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A run started, or went on.
    RunStarted {
        /// its id
        run_id: String,
        /// continued rather than new
        resumed: bool,
        /// how many workers here
        workers: usize,
    },
    /// This process works in a pass over everything (1 is the first, then sweeps).
    PassStarted {
        /// number
        pass: u32,
        /// rows expected, over all tables
        rows: u64,
    },
    /// A batch was committed.
    BatchCommitted {
        /// number of the pass
        pass: u32,
        /// which table
        table: TableName,
        /// rows accounted for
        rows: u64,
        /// fields with a new value
        rotated: u64,
        /// rows that had changed in between and are read again
        missed: u64,
    },
    /// A chunk was finished.
    ChunkFinished {
        /// number of the pass
        pass: u32,
        /// which table
        table: TableName,
    },
    /// Waiting, and why (`paused: …`, `lock timeout on …`, `rows-per-second limit`, `reconnecting: …`, `other workers finish their chunks`).
    Waiting {
        /// in words
        reason: String,
    },
    /// Going on after waiting.
    Resumed,
    /// Values were quarantined.
    Quarantined {
        /// which table
        table: TableName,
        /// which column
        column: String,
        /// class
        class: String,
        /// how many
        count: u64,
    },
    /// Verification read so many rows.
    Verified {
        /// which table
        table: TableName,
        /// rows
        rows: u64,
    },
    /// Something worth a line.
    Note {
        /// in words
        message: String,
    },
}
/// Told of every event, from any thread; must not block.
pub trait Observer: Send + Sync {
    /// One event.
    fn event(&self, event: &Event);
}
/// Hears nothing.
pub struct Silent;
impl Observer for Silent {
    fn event(&self, _event: &Event) {}
}
