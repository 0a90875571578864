//! From what the driver and the server say to what the tool does about it.
use crate::{Condition, Error, Verdict, identifier::shown};
use sqlx::{
    Error as DriverError,
    postgres::{PgDatabaseError, PgSeverity},
};

/// The SQLSTATEs that matter, each with what it means. `check_enable_rls` is the server's function that raises 42501 for row-level security: its message is
/// in the language of the server, the function's name is not.
pub(crate) fn condition(state: &str, routine: Option<&str>) -> Condition {
    match state {
        "55P03" => Condition::LockTimeout,
        "40P01" => Condition::Deadlock,
        "40001" => Condition::Serialization,
        "57014" => Condition::StatementTimeout,
        "25P03" | "25P04" | "57P01" | "57P02" | "57P04" | "57P05" => Condition::SessionEnded,
        "57P03" | "53300" => Condition::Unavailable,
        "53100" => Condition::DiskFull,
        "25006" => Condition::ReadOnly,
        "42501" if routine == Some("check_enable_rls") => Condition::RowSecurity,
        "42501" => Condition::Privilege,
        "22001" => Condition::ValueTooLong,
        "23505" => Condition::UniqueViolation,
        "23000" | "23001" | "23502" | "23503" | "23514" | "23P01" | "P0001" | "44000" => Condition::ConstraintViolation,
        "42P01" | "42703" | "42704" | "42883" | "42804" | "3F000" | "42846" => Condition::SchemaChanged,
        "XX001" | "XX002" => Condition::Corrupted,
        _ if state.starts_with("08") => Condition::SessionEnded,
        _ if state.starts_with("40") => Condition::Serialization,
        _ => Condition::Other,
    }
}

/// What a statement's failure is for the caller, and whether the connection survives it.
pub(crate) fn statement(doing: &'static str, error: DriverError) -> (Error, bool) {
    match error {
        DriverError::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(server) => {
                let condition = condition(server.code(), server.routine());
                let fatal = matches!(server.severity(), PgSeverity::Fatal | PgSeverity::Panic);
                let survives = !fatal && condition.verdict() != Verdict::Reconnect;
                // A session that the server ended is gone, whatever its reason.
                let condition = if fatal && condition.verdict() != Verdict::Reconnect {
                    Condition::SessionEnded
                } else {
                    condition
                };
                let state = shown(server.code());
                (Error::Statement { doing, condition, state, object: object(server) }, survives)
            }
            None => (Error::Lost { doing, reason: "an error of another database".to_owned() }, false),
        },
        DriverError::Encode(_) => {
            let (condition, state) = (Condition::ValueTooLong, "54000".to_owned());
            (Error::Statement { doing, condition, state, object: None }, true)
        }
        DriverError::Io(error) => (Error::Lost { doing, reason: error.to_string() }, false),
        // The texts of the rest can repeat what they failed to read.
        DriverError::Tls(_) => (Error::Lost { doing, reason: "a TLS error".to_owned() }, false),
        _ => (Error::Lost { doing, reason: "an answer that the protocol does not allow".to_owned() }, false),
    }
}

/// The objects that the server names in fields of their own; never its message, which can hold values.
fn object(server: &PgDatabaseError) -> Option<String> {
    let named = [
        ("table", server.table().map(|table| server.schema().map_or(table.to_owned(), |s| format!("{s}.{table}")))),
        ("column", server.column().map(str::to_owned)),
        ("constraint", server.constraint().map(str::to_owned)),
    ];
    let named: Vec<String> =
        named.into_iter().filter_map(|(what, name)| name.map(|n| format!("{what} {}", shown(&n)))).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// What a failure on connecting is. The server's words are kept here: before any statement they can name host, role and database at most.
pub(crate) fn connecting(address: &str, role: &str, database: &str, error: DriverError) -> Error {
    let address = address.to_owned();
    match error {
        // A certificate that does not hold comes as invalid data.
        DriverError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Error::Tls { address, reason: shown(&error.to_string()) }
        }
        DriverError::Io(error) => Error::Unreachable { address, reason: error.to_string() },
        DriverError::Tls(error) => Error::Tls { address, reason: shown(&error.to_string()) },
        DriverError::Configuration(error) => Error::Tls { address, reason: shown(&error.to_string()) },
        DriverError::Database(error) => {
            let state = error.code().unwrap_or_default().into_owned();
            let reason = shown(error.message());
            // PgBouncer refuses a password under the code of a protocol error.
            let refused = ["28000", "28P01", "42501"].contains(&state.as_str())
                || (state == "08P01" && reason.contains("authentication failed"));
            match state.as_str() {
                _ if refused => Error::Auth { address, role: role.to_owned(), database: database.to_owned(), reason },
                "3D000" => Error::NoDatabase { address, database: database.to_owned() },
                _ => Error::Unreachable { address, reason: format!("{reason} ({})", shown(&state)) },
            }
        }
        other => Error::Unreachable { address, reason: shown(&other.to_string()) },
    }
}

/// What a failed COMMIT is. An ordinary error answers it: the transaction is rolled back. Anything else leaves it open whether it stands.
pub(crate) fn commit(error: Error) -> Error {
    match error {
        Error::Statement { condition, .. } if condition.verdict() != Verdict::Reconnect => error,
        other => Error::CommitUnknown { reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_one_meaning_and_one_verdict() {
        let table = [
            ("55P03", Condition::LockTimeout, Verdict::Retry, "lock_timeout"),
            ("40P01", Condition::Deadlock, Verdict::Retry, "deadlock"),
            ("40001", Condition::Serialization, Verdict::Retry, "serialization_failure"),
            ("40002", Condition::Serialization, Verdict::Retry, "serialization_failure"),
            ("57014", Condition::StatementTimeout, Verdict::Retry, "statement_timeout"),
            ("25P03", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("25P04", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("57P01", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("57P02", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("57P03", Condition::Unavailable, Verdict::Reconnect, "database_unreachable"),
            ("57P05", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("53300", Condition::Unavailable, Verdict::Reconnect, "database_unreachable"),
            ("08000", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("08003", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("08006", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("08P01", Condition::SessionEnded, Verdict::Reconnect, "connection_lost"),
            ("53100", Condition::DiskFull, Verdict::Fatal, "database_full"),
            ("25006", Condition::ReadOnly, Verdict::Fatal, "database_read_only"),
            ("42501", Condition::Privilege, Verdict::Fatal, "privilege_missing"),
            ("22001", Condition::ValueTooLong, Verdict::Refused, "value_too_long"),
            ("23505", Condition::UniqueViolation, Verdict::Refused, "unique_violation"),
            ("23514", Condition::ConstraintViolation, Verdict::Refused, "constraint_violation"),
            ("23502", Condition::ConstraintViolation, Verdict::Refused, "constraint_violation"),
            ("P0001", Condition::ConstraintViolation, Verdict::Refused, "constraint_violation"),
            ("42P01", Condition::SchemaChanged, Verdict::Fatal, "schema_changed"),
            ("42703", Condition::SchemaChanged, Verdict::Fatal, "schema_changed"),
            ("XX001", Condition::Corrupted, Verdict::Fatal, "database_corrupted"),
            ("XX000", Condition::Other, Verdict::Fatal, "database_error"),
            ("22003", Condition::Other, Verdict::Fatal, "database_error"),
            ("", Condition::Other, Verdict::Fatal, "database_error"),
        ];
        for (state, expected, verdict, code) in table {
            let found = condition(state, None);
            assert_eq!((found, found.verdict(), found.code()), (expected, verdict, code), "{state}");
        }
        assert_eq!(condition("42501", Some("check_enable_rls")), Condition::RowSecurity);
        assert_eq!(condition("42501", Some("aclcheck_error")), Condition::Privilege);
    }

    #[test]
    fn a_broken_pipe_is_never_taken_for_a_refusal() {
        let broken = DriverError::Io(std::io::ErrorKind::BrokenPipe.into());
        let (error, survives) = statement("reading", broken);
        assert_eq!((error.verdict(), error.code(), survives), (Verdict::Reconnect, "connection_lost", false));
    }

    #[test]
    fn a_bad_certificate_is_no_matter_of_trying_again() {
        let connecting = |kind: std::io::ErrorKind| {
            let error =
                connecting("db.example:5432", "app", "clinic", DriverError::Io(std::io::Error::new(kind, "words")));
            (error.code(), error.verdict())
        };
        assert_eq!(connecting(std::io::ErrorKind::InvalidData), ("database_tls", Verdict::Fatal));
        assert_eq!(connecting(std::io::ErrorKind::ConnectionRefused), ("database_unreachable", Verdict::Reconnect));
    }

    #[test]
    fn a_driver_text_is_not_repeated() {
        let (error, survives) = statement("reading", DriverError::Protocol("private".to_owned()));
        assert!(!survives && !error.to_string().contains("private"), "{error}");
    }

    #[test]
    fn a_commit_that_was_refused_is_no_doubt_and_one_without_an_answer_is() {
        let refused = |condition| Error::Statement { doing: "x", condition, state: String::new(), object: None };
        assert_eq!(commit(refused(Condition::UniqueViolation)).verdict(), Verdict::Refused);
        assert_eq!(commit(refused(Condition::Serialization)).verdict(), Verdict::Retry);
        assert_eq!(commit(refused(Condition::SessionEnded)).code(), "commit_unknown");
        let late = commit(Error::Deadline { doing: "committing", limit_ms: 1 });
        assert_eq!((late.code(), late.verdict()), ("commit_unknown", Verdict::Reconnect));
    }
}
