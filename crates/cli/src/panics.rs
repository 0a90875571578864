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

/// The crate's folder and what is below it, without the folder it was built in.
fn file(path: &str) -> &str {
    let below_crate = path.rfind("/src/").and_then(|at| path[..at].rfind('/'));
    below_crate.map_or(path, |at| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_no_build_folder() {
        assert_eq!(file("/build/reencrypt/crates/db/src/session.rs"), "db/src/session.rs");
        assert_eq!(file("/home/x/registry/sqlx-core/src/row.rs"), "sqlx-core/src/row.rs");
        assert_eq!(file("crates/cli/src/lib.rs"), "cli/src/lib.rs");
    }
}
