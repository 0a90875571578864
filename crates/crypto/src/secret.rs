//! Key material, and the only form in which a key appears anywhere: its fingerprint.
use hkdf::Hkdf;
use sha2::Sha256;
use std::{fmt, str::FromStr};
use zeroize::Zeroize;

/// Domain separation of fingerprints: a change of the rule is a change of this text.
const FINGERPRINT_INFO: &[u8] = b"reencrypt/key-fingerprint/v1";

/// Key material. Wiped on drop; no `Clone`, no `Display`, no serde; `Debug` shows nothing of it.
pub struct SecretKey {
    bytes: zeroize::Zeroizing<Box<[u8]>>,
    version: Option<String>,
}

impl SecretKey {
    /// Takes over `bytes`; the vector's own memory is wiped.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        let key = zeroize::Zeroizing::new(Box::from(bytes.as_slice()));
        bytes.zeroize();
        Self { bytes: key, version: None }
    }

    /// Says which version of its secret it is, where its place keeps versions.
    pub fn of_version(self, version: Option<String>) -> Self {
        Self { version, ..self }
    }

    /// Which version of its secret it is: a name that its place gave it, no part of the key.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The bytes, for the cipher alone.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// HKDF-SHA256 of the key bytes, empty salt, info `reencrypt/key-fingerprint/v1`, 8 bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = [0; 8];
        // HKDF-SHA256 gives up to 8160 bytes, so that 8 of them never fail.
        let expanded = Hkdf::<Sha256>::new(None, &self.bytes).expand(FINGERPRINT_INFO, &mut bytes);
        debug_assert!(expanded.is_ok());
        Fingerprint(bytes)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// The only form in which a key appears anywhere: 16 hex digits. Serialised as that string.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let mut bytes = [0; 8];
        let decoded = match s.len() {
            16 => data_encoding::HEXLOWER_PERMISSIVE.decode_mut(s.as_bytes(), &mut bytes).is_ok(),
            _ => false,
        };
        if decoded { Ok(Self(bytes)) } else { Err("a fingerprint is 16 hex digits".to_owned()) }
    }
}

impl From<Fingerprint> for String {
    fn from(f: Fingerprint) -> Self {
        f.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

/// One rotation's keys: plan works with the old alone, verify with the new alone. At least one is present.
#[derive(Debug)]
pub struct KeyPair {
    /// The key that values stand under now.
    pub old: Option<SecretKey>,
    /// The key they shall stand under.
    pub new: Option<SecretKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_of_32_times_7() {
        assert_eq!(SecretKey::new(vec![7; 32]).fingerprint().to_string(), "b025926dfd23b1b3");
    }

    #[test]
    fn fingerprints_round_trip_as_text() {
        let fingerprint = SecretKey::new(vec![7; 32]).fingerprint();
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        assert_eq!(serde_json::to_string(&fingerprint).unwrap(), "\"b025926dfd23b1b3\"");
        assert_eq!(serde_json::from_str::<Fingerprint>("\"B025926DFD23B1B3\"").unwrap(), fingerprint);
        for wrong in ["", "b025926dfd23b1b", "b025926dfd23b1b3aa", "b025926dfd23b1bg", "äöüäöüäö"] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_key() {
        let pair = KeyPair { old: Some(SecretKey::new(b"0123456789abcdef".to_vec())), new: None };
        let shown = format!("{pair:?} {:?}", pair.old);
        assert!(!shown.contains("0123") && !shown.contains("48, 49"), "{shown}");
    }
}
