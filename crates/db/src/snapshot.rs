//! One moment of the database, shared by sessions, and scans of the heap as of it.
use crate::{postgres, sqlite};

/// An exported snapshot: its name for other sessions, when it was taken, and what it does not see.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Milliseconds since 1970 by the database's clock.
    pub taken_at_ms: i64,
    /// PostgreSQL: the name to import; SQLite: empty.
    pub(crate) name: String,
    /// PostgreSQL: the oldest transaction, with its epoch, that may have been open when it was taken; SQLite: 0.
    pub(crate) horizon: u64,
}

/// How far back the oldest snapshot held by anybody reaches, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The next transaction's number.
    pub(crate) next: u64,
    /// The oldest transaction that some snapshot, slot or prepared transaction still sees as running.
    pub(crate) oldest: u64,
}

impl Horizon {
    /// How many transactions began to write between `earlier` and now.
    pub fn written_since(&self, earlier: &Horizon) -> u64 {
        self.next.saturating_sub(earlier.next)
    }

    /// Whether somebody holds a snapshot since before `earlier`: every row version that has died since then is still kept.
    pub fn reaches_behind(&self, earlier: &Horizon) -> bool {
        self.oldest < earlier.next
    }
}

/// Where a heap scan stands.
pub struct HeapScan(pub(crate) Position);

/// The engine's own scan.
pub(crate) enum Position {
    Postgres(postgres::Scan),
    Sqlite(sqlite::Scan),
}

/// A transaction that was open at the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// Whether it is a prepared transaction (which may stay open for ever).
    pub prepared: bool,
    /// process id, or 0 for a prepared one
    pub pid: i64,
    /// What names it exactly: its virtual transaction, or the identifier it was prepared under.
    pub(crate) id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_began_after_the_earlier_look_is_not_held_since_then() {
        let earlier = Horizon { next: 100, oldest: 90 };
        assert!(Horizon { next: 180, oldest: 90 }.reaches_behind(&earlier));
        assert!(Horizon { next: 180, oldest: 99 }.reaches_behind(&earlier));
        assert!(!Horizon { next: 180, oldest: 100 }.reaches_behind(&earlier));
        assert!(!Horizon { next: 180, oldest: 180 }.reaches_behind(&earlier));
        assert_eq!(
            (Horizon { next: 180, oldest: 90 }.written_since(&earlier), earlier.written_since(&earlier)),
            (80, 0)
        );
    }
}
