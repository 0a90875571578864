//! Files that are written: new ones alone, readable by their owner alone.
use crate::failure::Failure;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Refuses a file that exists: before the work whose result shall stand in it.
pub(crate) fn refuse_existing(path: Option<&Path>) -> Result<(), Failure> {
    match path {
        Some(path) if path.symlink_metadata().is_ok() => Err(exists(path)),
        _ => Ok(()),
    }
}

/// Writes a new file; refuses one that exists.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::new(
            "file_unwritable",
            format!("{} cannot be written: {e}", path.display()),
            "name a file in a folder that exists and that you may write to",
        ),
    })
}

fn exists(path: &Path) -> Failure {
    let message = format!("{} exists already, and is not written over", path.display());
    Failure::new("file_exists", message, "name another file, or move that one away")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn files_are_private_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("new");
        refuse_existing(Some(&path)).expect("it may be made");
        create(&path, b"one").expect("a new file");
        assert_eq!(refuse_existing(Some(&path)).expect_err("exists").code, "file_exists");
        assert_eq!(create(&path, b"two").expect_err("exists").code, "file_exists");
        assert_eq!(fs::read(&path).expect("readable"), b"one");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(create(&folder.path().join("no/such"), b"").expect_err("no folder").code, "file_unwritable");
    }
}
