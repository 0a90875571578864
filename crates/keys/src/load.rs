//! Reads a place once and makes a key or a text of it.
use crate::{Decode, Environment, KeyError, Reference, Source, file};
use base64_simd::{STANDARD, STANDARD_NO_PAD};
use data_encoding::HEXLOWER_PERMISSIVE;
use reencrypt_crypto::SecretKey;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Reads a 32-byte key. One trailing newline is tolerated, any other length is an error that says what was found.
/// `what` names the key in errors, for example `key.default.old`.
pub fn load_key(what: &str, reference: &Reference, env: &Environment) -> Result<SecretKey, KeyError> {
    let mut bytes = read(what, reference, env)?;
    // A raw key may end in a byte that looks like a newline.
    if reference.decode != Decode::Raw || bytes.len() > reference.take.unwrap_or(KEY_BYTES) {
        strip_newline(&mut bytes);
    }
    if bytes.is_empty() {
        return Err(KeyError::Empty { what: what.to_owned(), place: reference.source.to_string() });
    }
    let mut key = decode(what, reference, &bytes)?;
    if let Some(take) = reference.take {
        if key.len() < take {
            return Err(length(what, reference, key.len(), take, "bytes"));
        }
        key[take..].zeroize();
        key.truncate(take);
    }
    if key.len() != KEY_BYTES {
        return Err(match (reference.decode, reference.take) {
            (Decode::Hex, None) => length(what, reference, bytes.len(), KEY_BYTES * 2, "hex digits"),
            _ => length(what, reference, key.len(), KEY_BYTES, "bytes"),
        });
    }
    Ok(SecretKey::new(std::mem::take(&mut *key)))
}

/// Reads a text secret such as a database URL (decode must be raw or absent). One trailing newline is tolerated.
pub fn load_text(what: &str, reference: &Reference, env: &Environment) -> Result<Zeroizing<String>, KeyError> {
    if reference.decode == Decode::Base64 || reference.take.is_some() {
        return Err(KeyError::NotText { what: what.to_owned() });
    }
    let mut bytes = read(what, reference, env)?;
    strip_newline(&mut bytes);
    let place = || reference.source.to_string();
    match std::str::from_utf8(&bytes) {
        Ok("") => Err(KeyError::Empty { what: what.to_owned(), place: place() }),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(malformed(what, reference, "is not UTF-8 text")),
    }
}

fn read(what: &str, reference: &Reference, env: &Environment) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match &reference.source {
        Source::File(path) => file::read(what, path),
        Source::Env(name) => match env.get(name) {
            Some(value) => Ok(Zeroizing::new(value.as_bytes().to_vec())),
            None => Err(KeyError::Missing { what: what.to_owned(), place: reference.source.to_string() }),
        },
    }
}

/// Takes away one newline, as Unix or Windows editors leave it.
fn strip_newline(bytes: &mut Vec<u8>) {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
}

fn decode(what: &str, reference: &Reference, text: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let decoded = match reference.decode {
        Decode::Raw => return Ok(Zeroizing::new(text.to_vec())),
        Decode::Hex if !text.iter().all(u8::is_ascii_hexdigit) => {
            return Err(malformed(what, reference, "holds a character that is no hex digit"));
        }
        Decode::Hex if !text.len().is_multiple_of(2) => {
            return Err(length(what, reference, text.len(), KEY_BYTES * 2, "hex digits"));
        }
        Decode::Hex => HEXLOWER_PERMISSIVE.decode(text).ok(),
        Decode::Base64 if text.ends_with(b"=") => STANDARD.decode_to_vec(text).ok(),
        Decode::Base64 => STANDARD_NO_PAD.decode_to_vec(text).ok(),
    };
    decoded.map(Zeroizing::new).ok_or_else(|| malformed(what, reference, "is not base64 of the standard alphabet"))
}

fn malformed(what: &str, reference: &Reference, reason: &'static str) -> KeyError {
    KeyError::Malformed { what: what.to_owned(), place: reference.source.to_string(), reason }
}

fn length(what: &str, reference: &Reference, found: usize, expected: usize, unit: &'static str) -> KeyError {
    KeyError::Length { what: what.to_owned(), place: reference.source.to_string(), found, expected, unit }
}
