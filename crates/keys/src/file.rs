//! Files that hold a secret.
use crate::KeyError;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// The largest file that is read.
const SIZE_MAX: u64 = 64 * 1024;

/// Reads the whole file. It has to be a regular file that its owner alone may read; a symbolic link is followed only
/// inside its own directory. The files of a Kubernetes volume (`..data`) may be readable by others: the pod is their fence.
pub(crate) fn read(what: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |source| KeyError::File { what: what.to_owned(), path: path.to_owned(), source };
    let is_link = fs::symlink_metadata(path).map_err(failed)?.is_symlink();
    let (target, projected) = if is_link { follow(what, path)? } else { (path.to_owned(), false) };
    let not_a_key_file = || KeyError::NotAKeyFile { what: what.to_owned(), path: path.to_owned(), size_max: SIZE_MAX };
    // Asked before opening, since opening a pipe waits for its other end.
    if !fs::metadata(&target).map_err(failed)?.is_file() {
        return Err(not_a_key_file());
    }
    let file = File::open(&target).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > SIZE_MAX {
        return Err(not_a_key_file());
    }
    if let Some(mode) = open_to_others(&metadata).filter(|_| !projected) {
        return Err(KeyError::FileOpenToOthers { what: what.to_owned(), path: target, mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(SIZE_MAX as usize + 1));
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(not_a_key_file());
    }
    Ok(bytes)
}

/// Where the link leads, and whether that is a version of a projected volume: a directory beside it whose name begins with
/// two dots.
fn follow(what: &str, path: &Path) -> Result<(PathBuf, bool), KeyError> {
    let failed = |source| KeyError::File { what: what.to_owned(), path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = fs::canonicalize(directory).map_err(failed)?;
    let target = fs::canonicalize(path).map_err(failed)?;
    let Ok(inside) = target.strip_prefix(&directory) else {
        return Err(KeyError::LinkLeadsOut { what: what.to_owned(), path: path.to_owned() });
    };
    let is_version = |name: &OsStr| name.as_encoded_bytes().starts_with(b"..");
    let projected = matches!(inside.components().next(), Some(Component::Normal(name)) if is_version(name));
    Ok((target, projected))
}

/// The permission bits where group or others may read.
#[cfg(unix)]
fn open_to_others(metadata: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
}

/// Other systems have no such bits.
#[cfg(not(unix))]
fn open_to_others(_metadata: &fs::Metadata) -> Option<u32> {
    None
}
