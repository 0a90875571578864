//! A panic is a bug of this program. Its payload may hold data, so it is never shown.
use crate::failure::Failure;
use std::{
    io::Write,
    panic::{self, PanicHookInfo},
};

/// Replaces the default hook, which would print the payload and, where asked for, a backtrace.
pub(crate) fn install() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map_or_else(String::new, |l| format!(" at {}:{}", file(l.file()), l.line()));
        let _ = writeln!(
            std::io::stderr(),
            "error: internal error{place} (its message is withheld, since it could hold data)"
        );
    }));
}

/// What the command ends with after a panic.
pub(crate) fn failure() -> Failure {
    Failure::new(
        "internal_error",
        "this is a bug; no batch is half-written, earlier batches stay",
        "report the place named above; `reencrypt status` shows where the run stands, `reencrypt run --resume` goes on",
    )
}

/// The path inside a crate, without the folder it was built in.
fn file(path: &str) -> &str {
    path.rsplit_once("/crates/").or_else(|| path.rsplit_once("/src/")).map_or(path, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_no_build_folder() {
        assert_eq!(file("/build/reencrypt/crates/db/src/session.rs"), "db/src/session.rs");
        assert_eq!(file("/home/x/registry/sqlx-core/src/row.rs"), "row.rs");
        assert_eq!(file("crates/cli/src/lib.rs"), "crates/cli/src/lib.rs");
    }
}
