//! Room for what a run writes, where it can be known.
use super::Check;
use crate::output::bytes;
use reencrypt_planner::Estimate;
use std::path::Path;

const NAME: &str = "disk";

/// Of a file's folder the system tells the room; a server does not tell it over SQL.
pub(super) fn examine(file: Option<&Path>, estimate: &Estimate) -> Check {
    let wanted = estimate.wal_bytes.saturating_add(estimate.growth_bytes);
    let Some(file) = file else {
        return Check::pass(
            NAME,
            format!(
                "unknown: a server does not tell its room over SQL. A first pass writes about {} of WAL, and the tables grow by up to {} \
                 until vacuum: see that the volume has both",
                bytes(estimate.wal_bytes),
                bytes(estimate.growth_bytes)
            ),
        );
    };
    let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(folder) {
        Ok(volume) => judge(volume.f_bavail.saturating_mul(volume.f_frsize), wanted),
        Err(e) => Check::warn(
            NAME,
            format!("the room of the volume cannot be told: {e}"),
            format!("see `df`: a run may need {}", bytes(wanted)),
        ),
    }
}

fn judge(free: u64, wanted: u64) -> Check {
    let told = format!("{} are free, and a run may need {}", bytes(free), bytes(wanted));
    let hint = "make room on the volume of the database file";
    match free {
        free if free < wanted => Check::fail(NAME, told, hint),
        free if free < wanted.saturating_mul(2) => Check::warn(NAME, told, hint),
        _ => Check::pass(NAME, told),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn little_room_is_told_and_too_little_fails() {
        let status = |free| judge(free, 1_000_000).status;
        assert_eq!([999_999, 1_000_000, 2_000_000].map(status), [Status::Fail, Status::Warn, Status::Pass]);
        let check = judge(1, 5_000_000);
        assert!(check.message.contains("5.0 MB"), "{}", check.message);
    }

    #[test]
    fn a_folder_tells_its_room_and_a_server_does_not() {
        let estimate = Estimate { wal_bytes: 1, growth_bytes: 0, ..Estimate::default() };
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(examine(Some(&folder.path().join("clinic.db")), &estimate).status, Status::Pass);
        assert_eq!(examine(Some(Path::new("/nonexistent/clinic.db")), &estimate).status, Status::Warn);
        assert!(examine(None, &estimate).message.starts_with("unknown"));
    }
}
