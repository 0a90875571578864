//! How a transaction opens: everything it depends on travels with it, in one round trip.
use crate::{Limits, Mode};

/// What a read may take before our own deadline.
pub(crate) const READ_DEADLINE_MS: u64 = 60_000;

/// The server stops a read a little before our deadline does, so that the connection survives.
pub(crate) const READ_STATEMENT_MS: u64 = 55_000;
const READ_LOCK_MS: u64 = 10_000;
const READ_IDLE_MS: u64 = 60_000;

/// `BEGIN` with all settings, after a rollback of what was left open. The last statement returns the process that serves the transaction,
/// which behind a pooler is another one each time. `version` is the server's, for example 150018.
pub(crate) fn begin(mode: &Mode<'_>, left_open: bool, version: u32) -> String {
    let mut sql = String::with_capacity(512);
    if left_open {
        sql += "ROLLBACK; ";
    }
    match mode {
        Mode::Read => {
            sql += "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
            reading(&mut sql, READ_IDLE_MS);
        }
        Mode::Snapshot(of) => {
            sql += "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            if let Some(snapshot) = of {
                sql += &format!("; SET TRANSACTION SNAPSHOT '{}'", snapshot.name);
            }
            reading(&mut sql, 0);
            heap_alone(&mut sql);
            if version >= 170_000 {
                set(&mut sql, "transaction_timeout", "0");
            }
        }
        Mode::Write(limits) => {
            // READ WRITE is not said: a database that defaults to read-only means it.
            sql += "BEGIN ISOLATION LEVEL READ COMMITTED";
            writing(&mut sql, limits);
        }
    }
    sql += "; SELECT pg_catalog.pg_backend_pid()::pg_catalog.text";
    sql
}

/// Statements that make the rest of a transaction read heaps in the order of their blocks, never through an index, and by one process:
/// the rows of several come in no order, and a scan that goes on after the last one would skip some.
pub(crate) fn heap_alone(sql: &mut String) {
    for setting in
        ["enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan", "enable_seqscan", "synchronize_seqscans"]
    {
        set(sql, setting, "off");
    }
    set(sql, "max_parallel_workers_per_gather", "0");
}

fn reading(sql: &mut String, idle_ms: u64) {
    common(sql);
    // Bytes inside arrays travel in one form.
    set(sql, "bytea_output", "hex");
    // No application code runs in a read, so nothing needs the application's path.
    set(sql, "search_path", "pg_catalog, pg_temp");
    set(sql, "lock_timeout", &READ_LOCK_MS.to_string());
    set(sql, "statement_timeout", &READ_STATEMENT_MS.to_string());
    set(sql, "idle_in_transaction_session_timeout", &idle_ms.to_string());
}

fn writing(sql: &mut String, limits: &Limits) {
    common(sql);
    set(sql, "lock_timeout", &limits.lock_timeout_ms.to_string());
    set(sql, "statement_timeout", &limits.statement_timeout_ms.to_string());
    set(sql, "idle_in_transaction_session_timeout", &limits.idle_timeout_ms.to_string());
}

/// Hidden rows become an error, and no server message of a row reaches a log of ours.
fn common(sql: &mut String) {
    set(sql, "row_security", "off");
    set(sql, "client_min_messages", "error");
    set(sql, "jit", "off");
}

fn set(sql: &mut String, name: &str, value: &str) {
    *sql += &format!("; SET LOCAL {name} = {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;

    #[test]
    fn a_read_is_read_only_and_sees_hidden_rows_as_an_error() {
        assert_eq!(
            begin(&Mode::Read, false, 150_018),
            "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL row_security = off; \
             SET LOCAL client_min_messages = error; SET LOCAL jit = off; SET LOCAL bytea_output = hex; \
             SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL lock_timeout = 10000; SET LOCAL statement_timeout = 55000; \
             SET LOCAL idle_in_transaction_session_timeout = 60000; SELECT pg_catalog.pg_backend_pid()::pg_catalog.text"
        );
    }

    #[test]
    fn a_write_carries_its_limits_and_rolls_back_what_was_left_open() {
        assert_eq!(
            begin(&Mode::Write(Limits::default()), true, 150_018),
            "ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL row_security = off; \
             SET LOCAL client_min_messages = error; SET LOCAL jit = off; SET LOCAL lock_timeout = 100; \
             SET LOCAL statement_timeout = 400; SET LOCAL idle_in_transaction_session_timeout = 2000; \
             SELECT pg_catalog.pg_backend_pid()::pg_catalog.text"
        );
    }

    #[test]
    fn a_shared_snapshot_is_imported_before_anything_else_and_may_idle() {
        let snapshot = Snapshot { taken_at_ms: 0, name: "00000003-0000001B-1".to_owned(), horizon: 7 };
        assert_eq!(
            begin(&Mode::Snapshot(Some(&snapshot)), false, 170_000),
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'; \
             SET LOCAL row_security = off; SET LOCAL client_min_messages = error; SET LOCAL jit = off; \
             SET LOCAL bytea_output = hex; SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL lock_timeout = 10000; \
             SET LOCAL statement_timeout = 55000; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; \
             SET LOCAL enable_seqscan = off; SET LOCAL synchronize_seqscans = off; \
             SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL transaction_timeout = 0; \
             SELECT pg_catalog.pg_backend_pid()::pg_catalog.text"
        );
        assert!(!begin(&Mode::Snapshot(None), false, 160_000).contains("transaction_timeout"));
    }
}
