//! Files that hold a secret.
use crate::{
    KeyError,
    error::FileRefusal,
    source::{KeySource, Secret},
};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// No secret is longer.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 10;

/// The file system.
pub(crate) struct Files;

impl KeySource for Files {
    type Name = Path;

    async fn read(&self, what: &str, path: &Path) -> Result<Secret, KeyError> {
        read(what, path).map(Secret::unversioned)
    }
}

/// Reads a regular file that only its owner can read. A link is followed inside its own directory alone; a projected
/// Kubernetes volume (`key -> ..data/key`) is such a link, and its mode is the cluster's affair.
fn read(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let unreadable = |source| KeyError::FileUnreadable { what: what.to_owned(), path: path.to_owned(), source };
    let refused = |reason| Err(KeyError::FileRefused { what: what.to_owned(), path: path.to_owned(), reason });
    let target = fs::canonicalize(path).map_err(unreadable)?;
    if !target.starts_with(directory_of(path).map_err(unreadable)?) {
        return refused(FileRefusal::LeadsElsewhere);
    }
    // Asked before it is opened, since opening a pipe waits, and again of what was opened.
    if !fs::metadata(&target).map_err(unreadable)?.is_file() {
        return refused(FileRefusal::NotRegular);
    }
    let file = File::open(&target).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return refused(FileRefusal::NotRegular);
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !is_projected(path) {
        return refused(FileRefusal::Exposed { mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return refused(FileRefusal::TooLong);
    }
    // Room for everything at once: a vector that grows leaves its old memory unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize + 1));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return refused(FileRefusal::TooLong);
    }
    Ok(bytes)
}

fn directory_of(path: &Path) -> io::Result<PathBuf> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => fs::canonicalize(parent),
        _ => fs::canonicalize("."),
    }
}

/// Whether it is a link as kubelet makes them.
fn is_projected(path: &Path) -> bool {
    fs::read_link(path).is_ok_and(|target| target.starts_with("..data"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn file(path: &Path, mode: u32) {
        fs::write(path, "secret").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(path: &Path) -> FileRefusal {
        match read("key.default.old", path) {
            Err(KeyError::FileRefused { reason, .. }) => reason,
            other => panic!("{:?}", other.map(|_| "read")),
        }
    }

    #[test]
    fn reads_what_only_the_owner_can_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for mode in [0o600, 0o400] {
            file(&path, mode);
            assert_eq!(read("k", &path).unwrap().as_slice(), b"secret");
            fs::remove_file(&path).unwrap();
        }
        for mode in [0o644, 0o640, 0o604, 0o620] {
            file(&path, mode);
            assert_eq!(refusal(&path), FileRefusal::Exposed { mode });
            let e = read("key.default.old", &path).unwrap_err();
            assert_eq!((e.code(), e.hint()), ("key_file", format!("type `chmod 600 {}`", path.display())));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_projected_volume_is_followed() {
        let mount = tempfile::tempdir().unwrap();
        let version = mount.path().join("..2026_11_24");
        fs::create_dir(&version).unwrap();
        file(&version.join("key"), 0o644);
        symlink("..2026_11_24", mount.path().join("..data")).unwrap();
        symlink("..data/key", mount.path().join("key")).unwrap();
        assert_eq!(read("k", &mount.path().join("key")).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn other_links_are_no_way_around() {
        let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = directory.path().join("link");
        file(&elsewhere.path().join("key"), 0o600);
        symlink(elsewhere.path().join("key"), &link).unwrap();
        assert_eq!(refusal(&link), FileRefusal::LeadsElsewhere);
        fs::remove_file(&link).unwrap();
        file(&directory.path().join("key"), 0o644);
        symlink("key", &link).unwrap();
        assert_eq!(refusal(&link), FileRefusal::Exposed { mode: 0o644 });
    }

    #[test]
    fn only_regular_files_of_a_secret_s_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::create_dir(&path).unwrap();
        assert_eq!(refusal(&path), FileRefusal::NotRegular);
        assert_eq!(refusal(Path::new("/dev/null")), FileRefusal::NotRegular);
        fs::remove_dir(&path).unwrap();
        file(&path, 0o600);
        fs::write(&path, vec![b'a'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(refusal(&path), FileRefusal::TooLong);
        let missing = read("key.default.old", &directory.path().join("none")).unwrap_err();
        assert_eq!(missing.code(), "key_file");
    }
}
