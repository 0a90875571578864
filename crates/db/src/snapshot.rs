//! One moment of the database, shared by sessions, and scans of the heap as of it.
/// An exported snapshot: its name for other sessions, when it was taken, and what it does not see.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Milliseconds since 1970 by the database's clock.
    pub taken_at_ms: i64,
}
/// Where a heap scan stands.
pub struct HeapScan;
/// A transaction that was open at the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Whether it is a prepared transaction (which may stay open for ever).
    pub prepared: bool,
    /// process id, or 0 for a prepared one
    pub pid: i64,
}
