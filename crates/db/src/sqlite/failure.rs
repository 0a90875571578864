//! SQLite's result codes as errors of the crate. Its messages are never repeated, apart from the object that a few of them name.
use crate::{Condition, Error, identifier::shown};

/// What went wrong, in the crate's words.
pub(super) fn error(doing: &'static str, error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().and_then(|code| code.parse().ok()).unwrap_or(ERROR);
            refused(doing, code, refusal.message())
        }
        other => Error::Lost { doing, reason: reason(&other).to_string() },
    }
}

/// The same for the store's migrations.
pub(super) fn migration(failure: sqlx::migrate::MigrateError) -> Error {
    use sqlx::migrate::MigrateError;
    const DOING: &str = "migrating the checkpoint store";
    match failure {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => error(DOING, cause),
        other => Error::StoreVersion { reason: other.to_string() },
    }
}

/// The table is not what it was when the selection was first used.
pub(super) fn schema_changed(doing: &'static str, table: &crate::TableName) -> Error {
    let condition = Condition::SchemaChanged;
    Error::Statement { doing, condition, state: "schema_version".to_string(), object: Some(shown(&table.name)) }
}

/// The file takes no writes.
pub(super) fn read_only(doing: &'static str) -> Error {
    refused(doing, READONLY, "")
}

/// Whether that is what SQLite says.
pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|refusal| refusal.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == READONLY)
}

/// Whether the connection did what it was told and SQLite itself said no.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_))
}

fn refused(doing: &'static str, code: i32, message: &str) -> Error {
    let state = format!("{} {code}", name(code));
    match condition(code, message) {
        Some(condition) => Error::Statement { doing, condition, state, object: object(message) },
        None => Error::Lost { doing, reason: format!("input or output failed ({state})") },
    }
}

/// `None` where it cannot be known what became of the file.
fn condition(code: i32, message: &str) -> Option<Condition> {
    Some(match code & 0xff {
        BUSY | LOCKED | PROTOCOL => Condition::LockTimeout,
        FULL => Condition::DiskFull,
        READONLY => Condition::ReadOnly,
        CORRUPT | NOTADB => Condition::Corrupted,
        PERM | AUTH => Condition::Privilege,
        TOOBIG => Condition::ValueTooLong,
        INTERRUPT => Condition::StatementTimeout,
        SCHEMA => Condition::SchemaChanged,
        CONSTRAINT if UNIQUE_CODES.contains(&code) => Condition::UniqueViolation,
        CONSTRAINT => Condition::ConstraintViolation,
        ERROR if message.starts_with("no such ") => Condition::SchemaChanged,
        IOERR => return None,
        _ => Condition::Other,
    })
}

/// The table, column or collation that the message names; messages of any other form may hold values.
fn object(message: &str) -> Option<String> {
    OBJECT_PREFIXES.iter().find_map(|prefix| message.strip_prefix(prefix)).map(shown)
}

fn reason(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::WorkerCrashed => "the connection's thread ended",
        sqlx::Error::Io(_) => "input or output failed",
        sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => "an answer could not be decoded",
        _ => "the driver refused the call",
    }
}

fn name(code: i32) -> &'static str {
    match code & 0xff {
        ERROR => "SQLITE_ERROR",
        PERM => "SQLITE_PERM",
        BUSY => "SQLITE_BUSY",
        LOCKED => "SQLITE_LOCKED",
        READONLY => "SQLITE_READONLY",
        INTERRUPT => "SQLITE_INTERRUPT",
        IOERR => "SQLITE_IOERR",
        CORRUPT => "SQLITE_CORRUPT",
        FULL => "SQLITE_FULL",
        CANTOPEN => "SQLITE_CANTOPEN",
        PROTOCOL => "SQLITE_PROTOCOL",
        SCHEMA => "SQLITE_SCHEMA",
        TOOBIG => "SQLITE_TOOBIG",
        CONSTRAINT => "SQLITE_CONSTRAINT",
        AUTH => "SQLITE_AUTH",
        NOTADB => "SQLITE_NOTADB",
        _ => "SQLite result",
    }
}

const ERROR: i32 = 1;
const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const SCHEMA: i32 = 17;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const AUTH: i32 = 23;
const NOTADB: i32 = 26;

/// `SQLITE_CONSTRAINT_UNIQUE`, `_PRIMARYKEY` and `_ROWID`.
const UNIQUE_CODES: [i32; 3] = [2067, 1555, 2579];

const OBJECT_PREFIXES: [&str; 5] = [
    "UNIQUE constraint failed: ",
    "NOT NULL constraint failed: ",
    "no such table: ",
    "no such column: ",
    "no such collation sequence: ",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    #[test]
    fn each_code_has_its_verdict_and_code() {
        let expected = [
            (5, Verdict::Retry, "lock_timeout"),
            (261, Verdict::Retry, "lock_timeout"),
            (6, Verdict::Retry, "lock_timeout"),
            (8, Verdict::Fatal, "database_read_only"),
            (1544, Verdict::Fatal, "database_read_only"),
            (10, Verdict::Reconnect, "connection_lost"),
            (778, Verdict::Reconnect, "connection_lost"),
            (11, Verdict::Fatal, "database_corrupted"),
            (13, Verdict::Fatal, "database_full"),
            (19, Verdict::Refused, "constraint_violation"),
            (1811, Verdict::Refused, "constraint_violation"),
            (2067, Verdict::Refused, "unique_violation"),
            (1, Verdict::Fatal, "database_error"),
        ];
        for (code, verdict, text) in expected {
            let error = refused("writing a batch", code, "x");
            assert_eq!((error.verdict(), error.code()), (verdict, text), "result code {code}");
        }
    }

    #[test]
    fn messages_give_objects_and_never_values() {
        let shown = |code, message| refused("writing a batch", code, message).to_string();
        assert!(shown(2067, "UNIQUE constraint failed: Patient.emailHash").contains("Patient.emailHash"));
        assert!(shown(1, "no such column: t.gone").contains("t.gone"));
        for message in ["secret value 123", "CHECK constraint failed: secret", "near \"secret\": syntax error"] {
            assert!(!shown(1811, message).contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_missing_column_is_a_changed_schema() {
        assert_eq!(refused("reading a batch", 1, "no such column: t.gone").code(), "schema_changed");
    }
}
