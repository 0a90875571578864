//! The server and what stands around it.
use crate::{Finding, Severity};
use reencrypt_db::{Limits, Server, TlsMode};

/// A snapshot older than this keeps dead row versions from being removed for longer than a plan should pass over, in
/// seconds.
const SNAPSHOT_AGE_WARN_S: u64 = 300;

/// Writable, with room for the store, and whoever is attached to it.
pub(crate) fn server(server: &Server, for_run: bool) -> Vec<Finding> {
    let severity = if for_run { Severity::Fail } else { Severity::Warn };
    let mut findings = Vec::new();
    findings.extend(writable(server, severity));
    findings.extend(store(server, severity));
    findings.extend(weak_tls(server));
    findings.extend(standbys(server));
    findings.extend(idle_slots(server));
    findings.extend(snapshots(server));
    findings.extend(deadlocks(server));
    findings
}

fn writable(server: &Server, severity: Severity) -> Option<Finding> {
    let message = "the server is read-only (a standby, or default_transaction_read_only): plan and verify work here, a run needs the \
                   primary's address in the database URL";
    server.read_only.then(|| Finding::new(severity, "read_only_server", message))
}

fn store(server: &Server, severity: Severity) -> Option<Finding> {
    let grants = server.store_grants.read.iter().chain(&server.store_grants.write);
    let grants: Vec<&str> = grants.map(|grant| grant.statement.as_str()).collect();
    if grants.is_empty() || server.read_only {
        return None;
    }
    let what = if server.store_exists { "use" } else { "make" };
    let message = format!(
        "a run keeps its checkpoint in the database, and the role cannot {what} its store: `{}`",
        grants.join(" ")
    );
    Some(Finding::new(severity, "store_privilege_missing", message))
}

/// Somebody asked for less than the default.
fn weak_tls(server: &Server) -> Option<Finding> {
    let weakness = server.tls.and_then(TlsMode::weakness)?;
    let message = format!(
        "TLS to the server is {weakness}. Leave `tls` and `sslmode` away (the default verifies), and name the authority: [database] ca = \
         \"file:PATH\""
    );
    Some(Finding::warn("tls_weak", message))
}

fn standbys(server: &Server) -> Option<Finding> {
    let message = format!(
        "{} standby server(s) replay everything that a run writes: watch their lag, and bound the rate with --max-rows-per-second where it \
         grows",
        server.standbys
    );
    (server.standbys > 0).then(|| Finding::warn("standby_attached", message))
}

/// A run writes more WAL than most days do, and a slot that nobody reads keeps all of it.
fn idle_slots(server: &Server) -> Option<Finding> {
    let message = format!(
        "{} replication slot(s) are read by nobody: the server keeps all WAL for them, and what a run writes can fill its disk. Connect their \
         reader, or drop them (`SELECT slot_name FROM pg_replication_slots WHERE NOT active;`)",
        server.idle_slots
    );
    (server.idle_slots > 0).then(|| Finding::warn("idle_slot", message))
}

fn snapshots(server: &Server) -> Option<Finding> {
    let age = server.oldest_snapshot_s.filter(|&age| age >= SNAPSHOT_AGE_WARN_S)?;
    let message = format!(
        "a transaction has held a snapshot for {age} s: until it ends no dead row version is removed, and the table grows by what a run \
         rewrites"
    );
    Some(Finding::warn("held_snapshot", message))
}

/// A run gives up a lock before anybody looks for a deadlock, unless they look very soon: who looks first is ended.
fn deadlocks(server: &Server) -> Option<Finding> {
    let lock_timeout_ms = Limits::default().lock_timeout_ms;
    let timeout_ms = server.deadlock_timeout_ms.filter(|&timeout_ms| timeout_ms <= 2 * lock_timeout_ms)?;
    let message = format!(
        "deadlock_timeout is {timeout_ms} ms, and a run waits for a lock for up to {lock_timeout_ms} ms: in a deadlock with it the \
         application's transaction could be ended before the run gives way. Set it to more than {} ms for the time of the run (the default is 1 s)",
        2 * lock_timeout_ms
    );
    Some(Finding::warn("deadlock_timeout", message))
}
