//! Files that are written: whole or not at all, and readable by their owner alone.
use crate::failure::Failure;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Writes a new file; refuses one that exists.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            "file_exists",
            format!("{} exists already", path.display()),
            "name another file, or move that one away",
        ),
        _ => unwritable(path, &e),
    })
}

/// Writes a file, or replaces one, by way of a temporary file beside it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        fs::File::open(folder)?.sync_all()
    });
    written.map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, e: &io::Error) -> Failure {
    Failure::new(
        "file_unwritable",
        format!("{} cannot be written: {e}", path.display()),
        "name a file in a folder that exists and that you may write to",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_private_and_never_overwritten_unasked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("new");
        create(&path, b"one").expect("a new file");
        assert_eq!(create(&path, b"two").expect_err("exists").code, "file_exists");
        assert_eq!(fs::read(&path).expect("readable"), b"one");
        replace(&path, b"three").expect("replaced");
        assert_eq!(fs::read(&path).expect("readable"), b"three");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        assert_eq!(replace(&folder.path().join("no/such"), b"").expect_err("no folder").code, "file_unwritable");
    }
}
