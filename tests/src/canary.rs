//! Looks for secrets in everything that the tool lets out.
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use std::collections::HashMap;

/// Shorter ones would be found by chance.
const LENGTH_MIN: usize = 8;

/// A secret that was found where it must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// what it is, never the secret itself
    pub what: String,
    /// how it was written
    pub form: &'static str,
    /// where it was found
    pub place: String,
}

/// The secrets, in every form in which they might be written.
#[derive(Default)]
pub struct Canary {
    /// by their first eight bytes
    needles: HashMap<[u8; LENGTH_MIN], Vec<Needle>>,
    count: usize,
}

struct Needle {
    what: String,
    form: &'static str,
    bytes: Vec<u8>,
}

impl Canary {
    /// Adds a secret: raw, as hex, and as base64 at any of the three offsets within something larger.
    pub fn secret(&mut self, what: impl Into<String>, bytes: &[u8]) {
        let what = what.into();
        assert!(bytes.len() >= LENGTH_MIN, "{what} is so short that it would be found by chance");
        self.needle(&what, "raw", bytes.to_vec());
        self.needle(&what, "hex", HEXLOWER.encode(bytes).into_bytes());
        self.needle(&what, "HEX", HEXUPPER.encode(bytes).into_bytes());
        for offset in 0..3 {
            for (form, encoding) in [("base64", &BASE64_NOPAD), ("base64url", &BASE64URL_NOPAD)] {
                let shifted = [&[0; 2][..offset.min(2)], bytes].concat();
                let text = encoding.encode(&shifted);
                // The first and last characters hold bits of their neighbours.
                let (start, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
                if end > start + LENGTH_MIN {
                    self.needle(&what, form, text.as_bytes()[start..end].to_vec());
                }
            }
        }
        // The text of a Rust byte list, as Debug prints it.
        let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
        self.needle(&what, "list", list.join(", ").into_bytes());
    }

    /// Adds a stored value `b64:b64:b64`: as it stands, and tag and ciphertext by themselves where they are long enough.
    pub fn ciphertext(&mut self, what: impl Into<String>, stored: &str) {
        let what = what.into();
        self.secret(what.clone(), stored.as_bytes());
        for (n, part) in stored.split(':').enumerate() {
            if let Ok(bytes) = BASE64.decode(part.as_bytes())
                && bytes.len() >= LENGTH_MIN
            {
                self.secret(format!("{what}, part {n}"), &bytes);
            }
        }
    }

    /// How many forms are looked for.
    pub fn forms(&self) -> usize {
        self.count
    }

    /// What is found in `haystack`.
    pub fn search(&self, place: &str, haystack: &[u8]) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for at in 0..haystack.len().saturating_sub(LENGTH_MIN - 1) {
            let Some(start) = haystack[at..].first_chunk::<LENGTH_MIN>() else { break };
            for needle in self.needles.get(start).into_iter().flatten() {
                if haystack[at..].starts_with(&needle.bytes) {
                    let leak = Leak { what: needle.what.clone(), form: needle.form, place: place.to_owned() };
                    if !leaks.contains(&leak) {
                        leaks.push(leak);
                    }
                }
            }
        }
        leaks
    }

    fn needle(&mut self, what: &str, form: &'static str, bytes: Vec<u8>) {
        let start = *bytes.first_chunk().expect("no form is shorter than the secret");
        self.count += 1;
        self.needles.entry(start).or_default().push(Needle { what: what.to_owned(), form, bytes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cipher, KEYS, Random};

    fn canary(stored: &str) -> Canary {
        let mut canary = Canary::default();
        canary.secret("the key", &KEYS.old);
        canary.secret("a row key", b"ROWKEY-4711-CANARY");
        canary.ciphertext("a ciphertext", stored);
        canary
    }

    #[test]
    fn a_planted_leak_is_found_in_every_form() {
        let stored = Cipher::new(&KEYS.old).seal("a plaintext of some length", &mut Random::of_test("canary"));
        let canary = canary(&stored);
        let tag = BASE64.decode(stored.split(':').nth(1).unwrap().as_bytes()).unwrap();
        let mut raw = b"log: ".to_vec();
        raw.extend(KEYS.old);
        let leaks: Vec<(&str, Vec<u8>)> = vec![
            ("raw", raw),
            ("hex", format!("key={}", KEYS.old_hex()).into_bytes()),
            ("HEX", KEYS.old_hex().to_uppercase().into_bytes()),
            ("base64", BASE64.encode(&KEYS.old).into_bytes()),
            ("base64", BASE64.encode(b"xROWKEY-4711-CANARY!").into_bytes()),
            ("base64", BASE64.encode(b"xyROWKEY-4711-CANARY!!").into_bytes()),
            ("raw", b"error at (ROWKEY-4711-CANARY)".to_vec()),
            ("list", format!("{:?}", KEYS.old).into_bytes()),
            ("raw", stored.clone().into_bytes()),
            ("hex", HEXLOWER.encode(&tag).into_bytes()),
        ];
        for (form, haystack) in leaks {
            let found = canary.search("a log", &haystack);
            assert!(found.iter().any(|leak| leak.form == form), "{form}: {:?}", String::from_utf8_lossy(&haystack));
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_leaked() {
        let mut random = Random::of_test("canary");
        let stored = Cipher::new(&KEYS.old).seal("a plaintext of some length", &mut random);
        let other = Cipher::new(&KEYS.old).seal("a plaintext of some length", &mut random);
        let log = format!("{{\"old\":\"b025926dfd23b1b3\",\"rows\":50000}} {other} ROWKEY-4712");
        assert_eq!(canary(&stored).search("a log", log.as_bytes()), Vec::new());
    }
}
