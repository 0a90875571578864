//! Key material, and the only form in which a key appears anywhere: its fingerprint.
use std::{fmt, str::FromStr};

/// Key material. Wiped on drop; no `Clone`, no `Display`, no serde; `Debug` shows nothing of it.
pub struct SecretKey(zeroize::Zeroizing<Box<[u8]>>);

impl SecretKey {
    /// Takes over `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes.into_boxed_slice()))
    }
    /// The bytes, for the cipher alone.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// HKDF-SHA256 of the key bytes, empty salt, info `reencrypt/key-fingerprint/v1`, 8 bytes.
    pub fn fingerprint(&self) -> Fingerprint {
        unimplemented!()
    }
}
impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// The only form in which a key appears anywhere: 16 hex digits. Serialised as that string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 8]);
impl fmt::Display for Fingerprint {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(_s: &str) -> Result<Self, String> {
        unimplemented!()
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
