//! What can go wrong with the database, split by what to do about it.
use crate::{TableName, UrlError, typed};

/// What to do after an error; one pure function of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing happened (lock timeout, deadlock, serialization failure, statement timeout, SQLITE_BUSY): roll back, wait with jitter, try again with half.
    Retry,
    /// The connection is gone or in doubt; what was being committed may or may not stand: open a new session and read the checkpoint.
    Reconnect,
    /// Nothing happened: a constraint, or the column's width, refuses the new values of some row: roll back, and find it by halves.
    Refused,
    /// Retrying does not help.
    Fatal,
}

/// Why the server refused a statement, whichever engine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A lock was not to be had in time, or SQLite is busy.
    LockTimeout,
    /// The server chose this transaction as the victim of a deadlock.
    Deadlock,
    /// The transaction cannot be serialized with others.
    Serialization,
    /// The statement ran into its own time limit or was cancelled.
    StatementTimeout,
    /// The server ended the session: idle too long, shutdown, an administrator.
    SessionEnded,
    /// No connection slot is free, or the server is starting.
    Unavailable,
    /// The disk is full.
    DiskFull,
    /// The server or the transaction takes no writes.
    ReadOnly,
    /// A privilege is missing.
    Privilege,
    /// Row-level security would hide rows from this role.
    RowSecurity,
    /// The new value does not fit the column.
    ValueTooLong,
    /// The new value exists already under a unique index.
    UniqueViolation,
    /// Another constraint, or a trigger, refuses the value.
    ConstraintViolation,
    /// The snapshot to share is no longer there.
    SnapshotLost,
    /// A table, column or type is not what the statement expects.
    SchemaChanged,
    /// Damage that the server itself reports.
    Corrupted,
    /// Anything else.
    Other,
}

impl Condition {
    /// What to do.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::LockTimeout | Self::Deadlock | Self::Serialization | Self::StatementTimeout => Verdict::Retry,
            Self::SessionEnded | Self::Unavailable => Verdict::Reconnect,
            Self::ValueTooLong | Self::UniqueViolation | Self::ConstraintViolation => Verdict::Refused,
            Self::DiskFull
            | Self::ReadOnly
            | Self::Privilege
            | Self::RowSecurity
            | Self::SnapshotLost
            | Self::SchemaChanged
            | Self::Corrupted
            | Self::Other => Verdict::Fatal,
        }
    }

    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::LockTimeout => "lock_timeout",
            Self::Deadlock => "deadlock",
            Self::Serialization => "serialization_failure",
            Self::StatementTimeout => "statement_timeout",
            Self::SessionEnded => "connection_lost",
            Self::Unavailable => "database_unreachable",
            Self::DiskFull => "database_full",
            Self::ReadOnly => "database_read_only",
            Self::Privilege => "privilege_missing",
            Self::RowSecurity => "rls_active",
            Self::ValueTooLong => "value_too_long",
            Self::UniqueViolation => "unique_violation",
            Self::ConstraintViolation => "constraint_violation",
            Self::SnapshotLost => "snapshot_lost",
            Self::SchemaChanged => "schema_changed",
            Self::Corrupted => "database_corrupted",
            Self::Other => "database_error",
        }
    }

    /// The next thing to do.
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::LockTimeout | Self::Deadlock | Self::Serialization | Self::StatementTimeout => {
                Some("another session holds what is needed; the same command goes on when it is done")
            }
            Self::SessionEnded | Self::Unavailable => {
                Some("committed batches stay; the same command goes on (`run` with --resume)")
            }
            Self::DiskFull => Some("make room on the database's disk, then go on with `reencrypt run --resume`"),
            Self::ReadOnly => Some("connect to the primary; a standby or a read-only database takes no rotation"),
            Self::Privilege => Some("`reencrypt plan` prints the missing GRANT"),
            Self::RowSecurity => Some("use the table's owner or a role with BYPASSRLS"),
            Self::ValueTooLong => Some("`reencrypt plan` names the column whose limit is too small; widen it"),
            Self::UniqueViolation => Some("`reencrypt plan` names the unique indexes over rewritten columns"),
            Self::ConstraintViolation => Some("`reencrypt plan` names the constraints and triggers of the table"),
            Self::SnapshotLost => Some("run `reencrypt verify` again"),
            Self::SchemaChanged => Some("the schema changed; make a new plan with `reencrypt plan`"),
            Self::Corrupted => Some("stop, and restore or repair the database first"),
            Self::Other => Some("the server's own log has the whole message"),
        }
    }

    /// In words.
    fn text(self) -> &'static str {
        match self {
            Self::LockTimeout => "a lock was not to be had in time",
            Self::Deadlock => "a deadlock was resolved against this transaction",
            Self::Serialization => "the transaction cannot be serialized with others",
            Self::StatementTimeout => "the statement ran into its time limit",
            Self::SessionEnded => "the server ended the session",
            Self::Unavailable => "the server takes no connection now",
            Self::DiskFull => "the database's disk is full",
            Self::ReadOnly => "the database takes no writes",
            Self::Privilege => "a privilege is missing",
            Self::RowSecurity => "row-level security would hide rows from this role",
            Self::ValueTooLong => "a new value does not fit its column",
            Self::UniqueViolation => "a new value exists already under a unique index",
            Self::ConstraintViolation => "a constraint or a trigger refuses the new values",
            Self::SnapshotLost => "the shared snapshot is no longer there",
            Self::SchemaChanged => "a table, column or type is not what it was",
            Self::Corrupted => "the database reports damage",
            Self::Other => "the database refused the statement",
        }
    }
}

/// A database error. Server messages of data statements are never repeated (they can hold values): SQLSTATE, condition name and object names are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be read.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nothing answers there.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// where
        address: String,
        /// the operating system's words, or the server's on connecting
        reason: String,
    },
    /// The file is not there, or is no database that can be opened.
    #[error("cannot open {path}: {reason}")]
    File {
        /// where
        path: String,
        /// SQLite's or the operating system's words
        reason: String,
    },
    /// The server does not let this role in.
    #[error("{address} refuses role {role:?} on database {database:?}: {reason}")]
    Auth {
        /// where
        address: String,
        /// who
        role: String,
        /// which
        database: String,
        /// the server's words; they never hold the password
        reason: String,
    },
    /// The server has no such database.
    #[error("{address} has no database {database:?}")]
    NoDatabase {
        /// where
        address: String,
        /// which
        database: String,
    },
    /// The connection cannot be protected as asked.
    #[error("no verified TLS connection to {address}: {reason}")]
    Tls {
        /// where
        address: String,
        /// what is wrong with it
        reason: String,
    },
    /// An environment variable would change the connection behind the tool's back.
    #[error("the environment variable {name} is set, and would change the connection: {reason}")]
    Environment {
        /// which
        name: &'static str,
        /// how
        reason: &'static str,
    },
    /// The server is older than the tool can work with.
    #[error("server version {version} is too old: {minimum} or later is needed")]
    TooOld {
        /// what it says
        version: String,
        /// what is needed
        minimum: &'static str,
    },
    /// The connection broke, was closed, or answered what it should not.
    #[error("the connection was lost while {doing}: {reason}")]
    Lost {
        /// what was being done
        doing: &'static str,
        /// the operating system's words
        reason: String,
    },
    /// A deadline of ours passed; the connection is closed.
    #[error("no answer within {limit_ms} ms while {doing}; the connection is closed")]
    Deadline {
        /// what was being done
        doing: &'static str,
        /// the deadline
        limit_ms: u64,
    },
    /// COMMIT was sent and its answer never came.
    #[error("the connection was lost during COMMIT; whether it stands is in the checkpoint: {reason}")]
    CommitUnknown {
        /// what happened instead of an answer
        reason: String,
    },
    /// The server refused a statement.
    #[error("{}, while {doing} ({state}{})", condition.text(), object.as_ref().map(|o| format!(", {o}")).unwrap_or_default())]
    Statement {
        /// what was being done
        doing: &'static str,
        /// why
        condition: Condition,
        /// SQLSTATE, or SQLite's result code
        state: String,
        /// the table, constraint or column that the server names, never a value
        object: Option<String>,
    },
    /// Somebody holds a lock on a table, or on rows of it (PostgreSQL).
    #[error(
        "somebody holds a lock on table {table}, or on rows of it, that did not end in time, while {doing} ({state})"
    )]
    Locked {
        /// which
        table: TableName,
        /// what was being done
        doing: &'static str,
        /// SQLSTATE
        state: String,
    },
    /// An earlier statement of the transaction failed, so that it cannot be committed.
    #[error("the transaction cannot be committed: a statement in it failed")]
    Aborted,
    /// A column that the catalog does not have.
    #[error("table {table} has no column {column:?}")]
    UnknownColumn {
        /// where
        table: TableName,
        /// which
        column: String,
    },
    /// A leaf that the table does not have.
    #[error("table {table} has no leaf {leaf}")]
    UnknownLeaf {
        /// where
        table: TableName,
        /// which
        leaf: usize,
    },
    /// The statement needs a row key and the table has none.
    #[error("table {table} has no row key")]
    NoRowKey {
        /// where
        table: TableName,
    },
    /// A row key that does not belong to the table's key columns.
    #[error("a stored row key does not fit the key of table {table}")]
    RowKey {
        /// where
        table: TableName,
    },
    /// The store's schema is not one that this tool made.
    #[error("the checkpoint store cannot be used: {reason}")]
    StoreVersion {
        /// what is different
        reason: String,
    },
    /// A value of the store has another type than expected.
    #[error("the checkpoint store holds {found} where {expected} is expected")]
    StoreValue {
        /// what is there
        found: &'static str,
        /// what should be
        expected: &'static str,
    },
}

impl Error {
    /// What to do.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Unreachable { .. }
            | Self::File { .. }
            | Self::Lost { .. }
            | Self::Deadline { .. }
            | Self::CommitUnknown { .. } => Verdict::Reconnect,
            Self::Statement { condition, .. } => condition.verdict(),
            Self::Locked { .. } => Condition::LockTimeout.verdict(),
            _ => Verdict::Fatal,
        }
    }

    /// The stable code of `error.code` in JSON: `database_unreachable`, `database_auth`, `privilege_missing`, `rls_active`, `database_full`, `database_read_only`, `value_too_long`, `unique_violation`, `database_error`, ...
    pub fn code(&self) -> &'static str {
        match self {
            Self::Url(_) => "database_url",
            Self::Unreachable { .. } => "database_unreachable",
            Self::File { .. } => "database_file",
            Self::Auth { .. } => "database_auth",
            Self::NoDatabase { .. } => "database_missing",
            Self::Tls { .. } => "database_tls",
            Self::Environment { .. } => "database_environment",
            Self::TooOld { .. } => "server_too_old",
            Self::Lost { .. } | Self::Deadline { .. } => "connection_lost",
            Self::CommitUnknown { .. } => "commit_unknown",
            Self::Statement { condition, .. } => condition.code(),
            Self::Locked { .. } => Condition::LockTimeout.code(),
            Self::Aborted => "transaction_aborted",
            Self::UnknownColumn { .. } => "column_missing",
            Self::UnknownLeaf { .. } => "schema_changed",
            Self::NoRowKey { .. } => "no_row_key",
            Self::RowKey { .. } => "row_key_mismatch",
            Self::StoreVersion { .. } => "store_version",
            Self::StoreValue { .. } => "store_damaged",
        }
    }

    /// Names the table that the statement was over, where the server did not name an object itself.
    pub(crate) fn about(self, table: &TableName) -> Self {
        match self {
            Self::Statement { doing, condition: Condition::LockTimeout, state, object: None } => {
                Self::Locked { table: table.clone(), doing, state }
            }
            other => other.concerning(format!("table {table}")),
        }
    }

    /// The same of whatever it was over.
    pub(crate) fn concerning(mut self, what: String) -> Self {
        if let Self::Statement { object: object @ None, .. } = &mut self {
            *object = Some(what);
        }
        self
    }

    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Url(_) => "check the database URL; characters like @ / ? # in a password must be percent-encoded",
            Self::Unreachable { .. } => {
                "check that the server runs, and the host and port of the database URL; then the same command again"
            }
            Self::File { .. } => {
                "check the path in the database URL (relative ones start in the working directory) and the file's permissions"
            }
            Self::Auth { .. } => "check the role and the password in the database URL, and the server's pg_hba.conf",
            Self::NoDatabase { .. } => "check the database's name in the URL",
            Self::Tls { .. } => {
                "give the server's certificate authority as `ca` under [database], and the host as the certificate names it; a weaker mode must be \
                 asked for (`tls` under [database], or sslmode in the URL)"
            }
            Self::Environment { .. } => "unset it; what belongs to the connection stands in the database URL",
            Self::TooOld { .. } => "upgrade the server",
            Self::Deadline { .. } => {
                "committed batches stay; the same command goes on (`run` with --resume). Behind a pooler, its pool may be too small: see docs/operations.md"
            }
            Self::Lost { .. } | Self::CommitUnknown { .. } => {
                "committed batches stay; the same command goes on (`run` with --resume)"
            }
            Self::Statement { condition, .. } => return condition.hint().map(str::to_owned),
            Self::Locked { table, .. } => {
                return Some(format!(
                    "`{}` shows who; when that transaction has ended, the same command goes on (`run` with --resume)",
                    holders(table)
                ));
            }
            Self::Aborted => return None,
            Self::UnknownColumn { .. } | Self::UnknownLeaf { .. } => {
                "the schema changed; make a new plan with `reencrypt plan`"
            }
            Self::NoRowKey { .. } => "the table needs a primary key, or a unique index over NOT NULL columns",
            Self::RowKey { .. } => {
                "the table's key changed since the run began; `reencrypt abandon` it and make a new plan"
            }
            Self::StoreVersion { .. } => "use the version of reencrypt that made the store, or a newer one",
            Self::StoreValue { .. } => {
                "somebody edited the store's tables; `reencrypt abandon` the run and make a new plan"
            }
        };
        Some(hint.to_owned())
    }
}

/// The statement that shows who holds a lock on the table or a partition of it, or waits for one before us.
fn holders(table: &TableName) -> String {
    let name = format!("{}.{}", typed(&table.schema), typed(&table.name)).replace('\'', "''");
    format!(
        "SELECT relation::regclass, mode, granted, pid, usename, state, xact_start FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) \
         WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND '{name}'::regclass IN (relation, pg_partition_root(relation)) AND pid IS DISTINCT FROM pg_backend_pid();"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_error_says_what_where_and_why() {
        let (condition, state) = (Condition::UniqueViolation, "23505".to_owned());
        let error = Error::Statement { doing: "writing a batch", condition, state, object: None };
        assert_eq!(error.to_string(), "a new value exists already under a unique index, while writing a batch (23505)");
        let table = TableName { schema: "public".to_owned(), name: "Patient\u{1b}".to_owned() };
        assert_eq!(
            error.about(&table).to_string(),
            "a new value exists already under a unique index, while writing a batch (23505, table public.Patient\\u{1b})"
        );
    }

    #[test]
    fn a_table_that_is_locked_is_named_with_the_statement_that_shows_who_holds_it() {
        let (condition, state) = (Condition::LockTimeout, "55P03".to_owned());
        let error = Error::Statement { doing: "reading the catalog", condition, state, object: None };
        let table = TableName { schema: "public".to_owned(), name: "Pat'ient".to_owned() };
        let error = error.about(&table);
        assert_eq!((error.code(), error.verdict()), ("lock_timeout", Verdict::Retry));
        assert_eq!(
            error.to_string(),
            "somebody holds a lock on table public.Pat'ient, or on rows of it, that did not end in time, while reading the catalog (55P03)"
        );
        let hint = error.hint().expect("a hint");
        assert!(hint.contains(r#"'"public"."Pat''ient"'::regclass"#), "{hint}");
    }

    #[test]
    fn the_object_that_the_server_named_stays() {
        let object = Some("constraint x".to_owned());
        let error = Error::Statement { doing: "x", condition: Condition::Other, state: String::new(), object };
        let error = error.about(&TableName { schema: "a".to_owned(), name: "b".to_owned() });
        assert!(error.to_string().ends_with("(, constraint x)"), "{error}");
    }

    #[test]
    fn what_cannot_be_known_asks_for_a_new_session() {
        let unknown = Error::CommitUnknown { reason: "x".to_owned() };
        assert_eq!((unknown.verdict(), unknown.code()), (Verdict::Reconnect, "commit_unknown"));
        let version = Error::StoreVersion { reason: "x".to_owned() };
        assert_eq!((version.verdict(), version.code()), (Verdict::Fatal, "store_version"));
    }
}
