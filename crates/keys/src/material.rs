//! From the text of a secret to its bytes.
use crate::{Decode, KeyError, Reference, Sources, process};
use reencrypt_crypto::SecretKey;
use zeroize::Zeroizing;

/// Bytes of a key.
const KEY_LEN: usize = 32;

impl Sources {
    /// Reads a 32-byte key. One trailing newline is tolerated, any other length is an error that says what was found.
    /// `what` names the key in errors, for example `key.default.old`.
    pub async fn load_key(&self, what: &str, reference: &Reference) -> Result<SecretKey, KeyError> {
        let secret = self.read(what, &reference.source).await?;
        let key = SecretKey::new(key_bytes(what, reference, secret.bytes)?.to_vec()).of_version(secret.version);
        process::lock(key.expose());
        Ok(key)
    }

    /// Reads a text secret such as a database URL (decode must be raw or absent).
    pub async fn load_text(&self, what: &str, reference: &Reference) -> Result<Zeroizing<String>, KeyError> {
        // An absent `decode` is hex, which is no way to write a text.
        if reference.decode == Decode::Base64 || reference.take.is_some() {
            return Err(KeyError::Reference { reason: "a text has no decode and no take" });
        }
        let secret = self.read(what, &reference.source).await?;
        let line = without_newline(&secret.bytes);
        match std::str::from_utf8(line) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(KeyError::Malformed {
                what: what.to_owned(),
                place: reference.source.to_string(),
                expected: "UTF-8 text",
                found: line.len(),
            }),
        }
    }
}

/// The 32 bytes that the text of a key stands for.
fn key_bytes(what: &str, reference: &Reference, text: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let place = || reference.source.to_string();
    let malformed = |expected, found| KeyError::Malformed { what: what.to_owned(), place: place(), expected, found };
    let line = without_newline(&text);
    let mut bytes = match reference.decode {
        Decode::Hex => decode_hex(line).ok_or_else(|| malformed("hex digits", line.len()))?,
        Decode::Base64 => decode_base64(line).ok_or_else(|| malformed("base64", line.len()))?,
        // The last byte of a raw key may look like a newline.
        Decode::Raw if text.len() == reference.take.unwrap_or(KEY_LEN) => text,
        Decode::Raw => Zeroizing::new(line.to_vec()),
    };
    let length = |expected, found| KeyError::Length { what: what.to_owned(), place: place(), expected, found };
    if let Some(take) = reference.take {
        if bytes.len() < take {
            return Err(length(take, bytes.len()));
        }
        bytes.truncate(take);
    }
    match bytes.len() {
        KEY_LEN => Ok(bytes),
        found => Err(length(KEY_LEN, found)),
    }
}

pub(crate) fn without_newline(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if line.len() < bytes.len() { line.strip_suffix(b"\r").unwrap_or(line) } else { line }
}

fn decode_hex(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; text.len() / 2]);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    data_encoding::HEXLOWER_PERMISSIVE.decode_mut(text, &mut bytes).ok().map(|_| bytes)
}

pub(crate) fn decode_base64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; text.len()]);
    let padded = text.len().is_multiple_of(4);
    let base64 = if padded { base64_simd::STANDARD } else { base64_simd::STANDARD_NO_PAD };
    let len = base64.decode(text, base64_simd::Out::from_slice(&mut bytes)).ok()?.len();
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Environment;
    use std::os::unix::fs::PermissionsExt;

    const HEX: &str = "0707070707070707070707070707070707070707070707070707070707070707";

    fn environment(value: &str) -> Environment {
        [("KEY".to_owned(), value.to_owned())].into_iter().collect()
    }

    /// What is read here never waits.
    fn now<T>(read: impl Future<Output = T>) -> T {
        let mut read = std::pin::pin!(read);
        match read.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(read) => read,
            std::task::Poll::Pending => panic!("it waits"),
        }
    }

    fn load(value: &str, decode: Option<&str>, take: Option<usize>) -> Result<String, KeyError> {
        let reference = Reference::parse("env:KEY", decode, take).unwrap();
        now(Sources::new(environment(value)).load_key("key.default.old", &reference))
            .map(|key| key.fingerprint().to_string())
    }

    fn error(value: &str, decode: Option<&str>, take: Option<usize>) -> KeyError {
        let e = load(value, decode, take).unwrap_err();
        let shown = format!("{e} {e:?} {}", e.hint());
        assert!(value.trim().len() < 4 || !shown.contains(value.trim()), "the secret is shown: {shown}");
        assert!(shown.contains("key.default.old") && shown.contains("KEY"), "{shown}");
        e
    }

    #[test]
    fn one_key_in_every_spelling() {
        let base64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        for (value, decode, take) in [
            (HEX.to_owned(), None, None),
            (format!("{HEX}\n"), Some("hex"), None),
            (format!("{HEX}\r\n"), None, None),
            (HEX.to_ascii_uppercase(), None, None),
            (format!("{HEX}ffff"), None, Some(32)),
            (base64.to_owned(), Some("base64"), None),
            (format!("{}\n", base64.trim_end_matches('=')), Some("base64"), None),
            ("\u{7}".repeat(32), Some("raw"), None),
            (format!("{}\n", "\u{7}".repeat(32)), Some("raw"), None),
        ] {
            assert_eq!(load(&value, decode, take).unwrap(), "b025926dfd23b1b3", "{decode:?} {take:?}");
        }
    }

    #[test]
    fn the_platform_s_second_reading_of_its_variable() {
        // base64 of the 64 hex characters is 48 bytes, and the first 32 are the key.
        assert!(load(HEX, Some("base64"), Some(32)).is_ok());
        assert!(matches!(error(HEX, Some("base64"), None), KeyError::Length { found: 48, expected: 32, .. }));
    }

    #[test]
    fn a_raw_key_may_end_in_a_newline_byte() {
        let key = format!("{}\n", "k".repeat(31));
        let reference = Reference::parse("env:KEY", Some("raw"), None).unwrap();
        assert_eq!(now(Sources::new(environment(&key)).load_key("k", &reference)).unwrap().expose(), key.as_bytes());
    }

    #[test]
    fn other_lengths_say_what_was_found() {
        for (value, decode, take, found) in [
            (&HEX[2..], None, None, 31),
            (&format!("{HEX}00"), None, None, 33),
            ("short", Some("raw"), None, 5),
            (&HEX[..20], None, Some(32), 10),
            (HEX, None, Some(16), 16),
        ] {
            let e = error(value, decode, take);
            assert_eq!(e.code(), "key_length");
            assert!(e.to_string().contains(&format!("gives {found} bytes")), "{e}");
        }
    }

    #[test]
    fn other_spellings_are_malformed() {
        for (value, decode) in [
            (HEX.replace('7', "g"), None),
            (format!(" {HEX}"), None),
            (format!("{HEX}\n\n"), None),
            (HEX[1..].to_owned(), None),
            (format!("0x{HEX}"), None),
            ("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc==".to_owned(), Some("base64")),
            ("Bwc-BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".to_owned(), Some("base64")),
        ] {
            assert_eq!(error(&value, decode, None).code(), "key_malformed");
        }
    }

    #[test]
    fn nothing_there_is_missing() {
        assert_eq!(error("", None, None).code(), "key_missing");
        assert_eq!(error("\n", None, None).code(), "key_missing");
        let reference = Reference::parse("env:NO_KEY", None, None).unwrap();
        let e = now(Sources::new(environment("")).load_key("key.default.new", &reference)).unwrap_err();
        assert_eq!(e.to_string(), "key.default.new: the environment variable NO_KEY is not set");
    }

    #[test]
    fn a_file_is_a_place_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{HEX}\n")).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        let reference = Reference::parse(&format!("file:{}", file.path().display()), None, None).unwrap();
        let key = now(Sources::new(environment("")).load_key("k", &reference)).unwrap();
        assert_eq!(key.fingerprint().to_string(), "b025926dfd23b1b3");
    }

    #[test]
    fn texts_are_read_as_they_stand() {
        let text = |value: &str, decode, take| {
            let reference = Reference::parse("env:KEY", decode, take).unwrap();
            now(Sources::new(environment(value)).load_text("database.url", &reference))
        };
        assert_eq!(text("postgres://u:p@h/d\n", None, None).unwrap().as_str(), "postgres://u:p@h/d");
        assert_eq!(text("x", Some("raw"), None).unwrap().as_str(), "x");
        assert_eq!(text("x", Some("base64"), None).unwrap_err().code(), "key_reference");
        assert_eq!(text("x", None, Some(3)).unwrap_err().code(), "key_reference");
        assert_eq!(text("", None, None).unwrap_err().code(), "key_missing");
    }
}
