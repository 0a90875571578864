//! The folder that a demo makes, and nothing else on the disk.
use crate::{failure::Failure, files};
use reencrypt_crypto::SecretKey;
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A folder with this file in it was made by a demo and may be made anew.
const MARKER: &str = ".reencrypt-demo";
const DATABASE: &str = "clinic.db";
const CONFIGURATION: &str = "reencrypt.toml";
const URL: &str = "database.url";
const OLD_KEY: &str = "old.key";
const NEW_KEY: &str = "new.key";
const LOG: &str = "killed-run.log";
const PLAN: &str = "plan.json";
/// All that a demo, or a person who follows it, leaves in the folder.
const CONTENTS: [&str; 11] = [
    DATABASE,
    "clinic.db-wal",
    "clinic.db-shm",
    "clinic.db-journal",
    CONFIGURATION,
    URL,
    OLD_KEY,
    NEW_KEY,
    LOG,
    PLAN,
    MARKER,
];
/// The clinic's configuration, as `init` might have found it and a person completed it.
pub(super) const CONFIGURATION_TEXT: &str = include_str!("reencrypt.toml");

/// An empty folder of one's own.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder, or empties one that an earlier demo made. Any other folder is refused.
    pub(super) fn make(path: &Path) -> Result<Self, Failure> {
        let told = |e: io::Error| {
            Failure::new(
                "demo_folder",
                format!("the folder {} cannot be made: {e}", path.display()),
                "name another with --dir",
            )
        };
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => (),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => empty(path, told)?,
            Err(e) => return Err(told(e)),
        }
        let path = path.canonicalize().map_err(told)?;
        files::create(
            &path.join(MARKER),
            b"Made by `reencrypt demo`, which makes this folder anew when it runs again.\n",
        )?;
        Ok(Self { path })
    }

    /// Writes both keys, the database's URL and the configuration. The old key is handed back, to fill the clinic with.
    pub(super) fn furnish(&self) -> Result<SecretKey, Failure> {
        let (old, new) = (random_key()?, random_key()?);
        files::create(&self.path.join(OLD_KEY), hex(&old).as_bytes())?;
        files::create(&self.path.join(NEW_KEY), hex(&new).as_bytes())?;
        files::create(&self.path.join(URL), format!("sqlite:{}\n", percent_encoded(&self.database())).as_bytes())?;
        files::create(&self.configuration(), CONFIGURATION_TEXT.as_bytes())?;
        Ok(old)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.path.join(CONFIGURATION)
    }

    /// Standard error of the run that is killed.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// What is in the folder, and why.
    pub(super) fn guide(&self) -> [(PathBuf, &'static str); 4] {
        let file = |name| self.path.join(name);
        [
            (file(DATABASE), "the clinic's database, with the checkpoint store in its reencrypt_ tables"),
            (file(CONFIGURATION), "the configuration: formats, policies, references to the keys"),
            (file(OLD_KEY), "the old key: archive it, the data no longer needs it"),
            (file(NEW_KEY), "the new key"),
        ]
    }
}

/// 256 bits from the operating system.
pub(super) fn random_key() -> Result<SecretKey, Failure> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(|e| {
        Failure::new("no_randomness", format!("the operating system gives no random bytes: {e}"), "try again later")
    })?;
    Ok(SecretKey::new(bytes))
}

fn hex(key: &SecretKey) -> zeroize::Zeroizing<String> {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    let mut text = zeroize::Zeroizing::new(String::with_capacity(key.expose().len() * 2 + 1));
    for byte in key.expose() {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text.push('\n');
    text
}

/// A path as a URL has it.
fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

fn empty(path: &Path, told: impl Fn(io::Error) -> Failure + Copy) -> Result<(), Failure> {
    let foreign = |what: String| {
        Failure::new(
            "demo_folder",
            format!("{} {what}, and is left alone", path.display()),
            "name another folder with --dir",
        )
    };
    if !path.is_dir() {
        return Err(foreign("is no folder".to_owned()));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(told)? {
        names.push(entry.map_err(told)?.file_name());
    }
    if names.is_empty() {
        return Ok(());
    }
    if !names.iter().any(|name| name == MARKER) {
        return Err(foreign("was not made by a demo".to_owned()));
    }
    if let Some(other) = names.iter().find(|name| !CONTENTS.iter().any(|known| *name == known)) {
        return Err(foreign(format!("holds {}, which no demo made", other.display())));
    }
    names.iter().try_for_each(|name| fs::remove_file(path.join(name))).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_its_own_are_emptied() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let mine = base.path().join("mine");
        Folder::make(&mine).expect("made");
        fs::write(mine.join(DATABASE), "").expect("written");
        Folder::make(&mine).expect("made anew");
        assert!(!mine.join(DATABASE).exists());

        fs::write(mine.join("thesis.txt"), "").expect("written");
        assert_eq!(Folder::make(&mine).map(|_| ()).expect_err("a stranger's file").code, "demo_folder");
        assert!(mine.join("thesis.txt").exists());

        let other = base.path().join("other");
        fs::create_dir(&other).expect("made");
        fs::write(other.join(DATABASE), "precious").expect("written");
        assert_eq!(Folder::make(&other).map(|_| ()).expect_err("not a demo's").code, "demo_folder");
        assert_eq!(fs::read(other.join(DATABASE)).expect("still there"), b"precious");
    }

    #[test]
    fn urls_take_any_path() {
        assert_eq!(percent_encoded(Path::new("/tmp/a b?c#d%/ü.db")), "/tmp/a%20b%3Fc%23d%25/%C3%BC.db");
    }
}
