//! Secrets from their places: what is taken, and what is refused with which words.
use reencrypt_keys::{Decode, Environment, KeyError, Reference, load_key, load_text};
use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const HEX: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const FINGERPRINT: &str = "b025926dfd23b1b3";

fn env(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn reference(from: &str, decode: Option<&str>, take: Option<usize>) -> Reference {
    Reference::parse(from, decode, take).expect("a reference")
}

fn key_file(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    path
}

fn file_reference(path: &Path) -> Reference {
    reference(&format!("file:{}", path.display()), None, None)
}

/// The error with everything that a user could get to see of it.
fn refusal(result: Result<impl Sized, KeyError>) -> (&'static str, String) {
    let error = result.err().expect("a refusal");
    let source = error.source().map(|source| source.to_string()).unwrap_or_default();
    (error.code(), format!("{error} {error:?} {} {source}", error.hint()))
}

#[test]
fn keys_are_read_in_every_decoding() {
    let base64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    let raw = "\u{7}".repeat(32);
    // The platform reads the 64 hex digits as base64 and takes the first 32 of 48 bytes.
    let cases: [(&str, Option<&str>, Option<usize>); 9] = [
        (HEX, None, None),
        (&HEX.to_uppercase(), Some("hex"), None),
        (&format!("{HEX}\n"), None, None),
        (&format!("{HEX}\r\n"), None, None),
        (base64, Some("base64"), None),
        (&format!("{base64}=\n"), Some("base64"), None),
        (&raw, Some("raw"), None),
        (&format!("{raw}\n"), Some("raw"), None),
        (&format!("{raw}more"), Some("raw"), Some(32)),
    ];
    for (value, decode, take) in cases {
        let key = load_key("key.default.old", &reference("env:K", decode, take), &env(&[("K", value)]));
        assert_eq!(key.expect("a key").fingerprint().to_string(), FINGERPRINT, "{decode:?}");
    }
    let take = load_key("k", &reference("env:K", Some("base64"), Some(32)), &env(&[("K", HEX)])).expect("a key");
    assert_eq!(take.expose().len(), 32);
}

#[test]
fn other_keys_are_refused_and_never_repeated() {
    let long = format!("{HEX}{HEX}");
    let cases: [(&str, Option<&str>, Option<usize>, &str, &str); 10] = [
        (&HEX[..62], None, None, "key_length", "62 hex digits, 64 are needed"),
        (&HEX[..63], None, None, "key_length", "63 hex digits, 64 are needed"),
        (&long, None, None, "key_length", "128 hex digits, 64 are needed"),
        (&HEX.replacen("07", "zz", 1), None, None, "key_malformed", "no hex digit"),
        (&format!("{HEX}\n\n"), None, None, "key_malformed", "no hex digit"),
        (&format!(" {HEX}"), None, None, "key_malformed", "no hex digit"),
        (HEX, Some("base64"), None, "key_length", "48 bytes, 32 are needed"),
        ("0707*707", Some("base64"), None, "key_malformed", "base64"),
        ("0707070707", Some("raw"), Some(32), "key_length", "10 bytes, 32 are needed"),
        ("", None, None, "key_missing", "environment variable K is empty"),
    ];
    for (value, decode, take, code, words) in cases {
        let (found, shown) =
            refusal(load_key("key.default.old", &reference("env:K", decode, take), &env(&[("K", value)])));
        assert_eq!(found, code, "{shown}");
        assert!(shown.contains(words) && shown.contains("key.default.old"), "{shown}");
        assert!(!shown.contains("0707"), "{shown}");
    }
    let (code, shown) = refusal(load_key("key.default.new", &reference("env:NEW_KEY", None, None), &env(&[])));
    assert_eq!(code, "key_missing");
    assert!(shown.contains("environment variable NEW_KEY is not set"), "{shown}");
}

#[test]
fn what_is_no_reference_is_not_repeated() {
    for from in [HEX, &format!("env:{HEX}"), &format!("hex:{HEX}"), "env:", "env:A B", "env:1A", "file:", "", "KEY"] {
        let (code, shown) = refusal(Reference::parse(from, None, None));
        assert_eq!(code, "key_reference");
        assert!(!shown.contains("0707"), "{shown}");
    }
    assert_eq!(refusal(Reference::parse("env:K", Some("passphrase"), None)).0, "key_reference");
    assert_eq!(refusal(Reference::parse("env:K", None, Some(0))).0, "key_reference");
    assert_eq!(reference("env:K", None, None).decode, Decode::Hex);
}

#[test]
fn key_files_belong_to_their_owner_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let env = env(&[]);
    let path = key_file(directory.path(), "key", format!("{HEX}\n").as_bytes(), 0o600);
    let key = load_key("k", &file_reference(&path), &env).expect("a key");
    assert_eq!(key.fingerprint().to_string(), FINGERPRINT);
    for mode in [0o640, 0o604, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        let (code, shown) = refusal(load_key("k", &file_reference(&path), &env));
        assert_eq!(code, "key_file");
        assert!(shown.contains(&format!("chmod 600 '{}'", path.display())), "{shown}");
    }
    assert_eq!(refusal(load_key("k", &file_reference(directory.path()), &env)).0, "key_file");
    assert_eq!(refusal(load_key("k", &file_reference(Path::new("/dev/null")), &env)).0, "key_file");
    let (code, shown) = refusal(load_key("k", &file_reference(&directory.path().join("none")), &env));
    assert_eq!(code, "key_file");
    assert!(shown.contains("none"), "{shown}");
    let large = key_file(directory.path(), "large", &[b'0'; 70_000], 0o600);
    assert_eq!(refusal(load_key("k", &file_reference(&large), &env)).0, "key_file");
}

#[test]
fn links_stay_inside_their_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let env = env(&[]);
    // A secret as Kubernetes mounts it: key -> ..data/key, ..data -> ..version, world-readable.
    let mount = directory.path().join("mount");
    fs::create_dir_all(mount.join("..2026_11_24")).expect("a directory");
    key_file(&mount.join("..2026_11_24"), "key", HEX.as_bytes(), 0o644);
    symlink("..2026_11_24", mount.join("..data")).expect("a link");
    symlink("..data/key", mount.join("key")).expect("a link");
    assert!(load_key("k", &file_reference(&mount.join("key")), &env).is_ok());

    let outside = key_file(directory.path(), "outside", HEX.as_bytes(), 0o600);
    symlink(&outside, mount.join("out")).expect("a link");
    let (code, shown) = refusal(load_key("k", &file_reference(&mount.join("out")), &env));
    assert_eq!(code, "key_file");
    assert!(shown.contains("leads out of its directory"), "{shown}");

    key_file(&mount, "plain", HEX.as_bytes(), 0o644);
    symlink("plain", mount.join("beside")).expect("a link");
    assert_eq!(refusal(load_key("k", &file_reference(&mount.join("beside")), &env)).0, "key_file");
    symlink("loop", mount.join("loop")).expect("a link");
    assert_eq!(refusal(load_key("k", &file_reference(&mount.join("loop")), &env)).0, "key_file");
}

#[test]
fn the_real_environment_wins_over_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = key_file(
        directory.path(),
        ".env.local",
        b"# keys\nexport B='from file'\nA=file\nC=same\nD=\"new one\"\n",
        0o600,
    );
    let mut env = env(&[("A", "real"), ("B", "real"), ("C", "same")]);
    assert_eq!(env.add_dotenv(&file).expect("a file"), ["A", "B"]);
    assert_eq!(
        (env.get("A"), env.get("C"), env.get("D"), env.get("E")),
        (Some("real"), Some("same"), Some("new one"), None)
    );
    assert_eq!(format!("{env:?}"), r#"{"A", "B", "C", "D"}"#);

    let broken = key_file(directory.path(), "broken", format!("A=1\nOLD_KEY {HEX}\n").as_bytes(), 0o600);
    let (code, shown) = refusal(env.add_dotenv(&broken));
    assert_eq!(code, "env_file");
    assert!(shown.contains("after A") && !shown.contains("0707"), "{shown}");
    assert_eq!(refusal(env.add_dotenv(&directory.path().join("none"))).0, "env_file");
}

#[test]
fn text_is_taken_as_it_stands() {
    let env = env(&[("DATABASE_URL", "postgres://u:p@h/d\n"), ("EMPTY", "")]);
    let url = load_text("database.url", &reference("env:DATABASE_URL", None, None), &env).expect("a URL");
    assert_eq!(url.as_str(), "postgres://u:p@h/d");
    assert!(load_text("database.url", &reference("env:DATABASE_URL", Some("raw"), None), &env).is_ok());
    let base64 = reference("env:DATABASE_URL", Some("base64"), None);
    assert_eq!(refusal(load_text("database.url", &base64, &env)).0, "key_reference");
    assert_eq!(refusal(load_text("database.url", &reference("env:EMPTY", None, None), &env)).0, "key_missing");
}
