//! The platform's stored values, made and read without the tool: `base64(iv16):base64(tag):base64(ct)` under AES-256-GCM, and
//! its two keyed hashes.
use crate::Random;
use aes_gcm::{AeadInOut, AesGcm, Key, KeyInit, Nonce, Tag, aead::consts::U16, aes::Aes256};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The keys of most tests.
pub const KEYS: Keys = Keys {
    old: [
        0x11, 0xa3, 0x5c, 0x07, 0xe2, 0x90, 0x4d, 0xb8, 0x3f, 0x61, 0xd4, 0x2a, 0x8b, 0xf6, 0x19, 0x75, 0xc0, 0x5e,
        0x93, 0x28, 0x7a, 0x0d, 0xbf, 0x44, 0xe9, 0x36, 0x81, 0x5b, 0xf2, 0x6c, 0x1e, 0x97,
    ],
    new: [
        0x9d, 0x02, 0x7f, 0xb1, 0x46, 0xea, 0x38, 0xc5, 0x10, 0x8e, 0x53, 0xdb, 0x6f, 0x24, 0xa9, 0x7c, 0x05, 0xf8,
        0x3b, 0x92, 0x4e, 0xd7, 0x60, 0xac, 0x1b, 0x85, 0xfe, 0x39, 0xc2, 0x57, 0x0a, 0xe4,
    ],
    lost: [0x5a; 32],
};

/// Three keys: the one to leave, the one to go to, and one that nobody has any more.
#[derive(Clone, Copy)]
pub struct Keys {
    /// `OLD_KEY`
    pub old: [u8; 32],
    /// `NEW_KEY`
    pub new: [u8; 32],
    /// of values that cannot be read
    pub lost: [u8; 32],
}

impl Keys {
    /// Keys that no other test has.
    pub fn random(random: &mut Random) -> Self {
        Self { old: random.bytes(), new: random.bytes(), lost: random.bytes() }
    }

    /// As `OLD_KEY` holds it.
    pub fn old_hex(&self) -> String {
        HEXLOWER.encode(&self.old)
    }

    /// As `NEW_KEY` holds it.
    pub fn new_hex(&self) -> String {
        HEXLOWER.encode(&self.new)
    }
}

/// One key, ready for use.
#[derive(Clone)]
pub struct Cipher(AesGcm<Aes256, U16>);

impl Cipher {
    /// From the 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(AesGcm::new(&Key::<AesGcm<Aes256, U16>>::from(*key)))
    }

    /// A stored value, under a random IV.
    pub fn seal(&self, plaintext: &str, random: &mut Random) -> String {
        let iv: [u8; 16] = random.bytes();
        let mut bytes = plaintext.as_bytes().to_vec();
        let nonce = Nonce::<U16>::from(iv);
        let tag = self.0.encrypt_inout_detached(&nonce, b"", bytes.as_mut_slice().into()).expect("a short value");
        let mut stored = String::with_capacity(52 + bytes.len() * 4 / 3 + 4);
        BASE64.encode_append(&iv, &mut stored);
        stored.push(':');
        BASE64.encode_append(&tag, &mut stored);
        stored.push(':');
        BASE64.encode_append(&bytes, &mut stored);
        stored
    }

    /// The plaintext, if the value is written canonically and authenticates under this key.
    pub fn open(&self, stored: &str) -> Option<String> {
        let mut parts = stored.split(':').map(|part| BASE64.decode(part.as_bytes()).ok());
        let (iv, tag, mut bytes) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        let nonce = Nonce::<U16>::from(<[u8; 16]>::try_from(iv).ok()?);
        let tag = Tag::from(<[u8; 16]>::try_from(tag).ok()?);
        self.0.decrypt_inout_detached(&nonce, b"", bytes.as_mut_slice().into(), &tag).ok()?;
        String::from_utf8(bytes).ok()
    }
}

/// `emailHash` of an address in ASCII.
pub fn email_hash(key: &[u8; 32], email: &str) -> Option<String> {
    let normalized = email.trim().to_ascii_lowercase();
    let placeholder = normalized == "unknown@example.com"
        || normalized.ends_with("@placeholder.local")
        || normalized.ends_with("@intake.local");
    (!normalized.is_empty() && !placeholder).then(|| keyed_hash(key, &normalized))
}

/// `dobHash` of a date that is written as YYYY-MM-DD.
pub fn dob_hash(key: &[u8; 32], dob: &str) -> Option<String> {
    (!dob.is_empty() && dob != "1900-01-01").then(|| keyed_hash(key, dob))
}

fn keyed_hash(key: &[u8; 32], normalized: &str) -> String {
    HEXLOWER.encode(&hmac(&hmac(key, b"patient-dedup-v1"), normalized.as_bytes()))
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("any length will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Platform;

    #[test]
    fn the_platforms_own_values_open_and_its_hashes_are_the_same() {
        let platform = Platform::load();
        let row = &platform.rows[0];
        let old = Cipher::new(&platform.keys.old);
        assert_eq!(old.open(row.stored("firstName").unwrap()).as_deref(), Some("Zoë"));
        assert_eq!(old.open(row.stored("zip").unwrap()).as_deref(), Some("33602"));
        assert_eq!(email_hash(&platform.keys.old, "zoe.obrien@example.com").as_deref(), row.stored("emailHash"));
        assert_eq!(dob_hash(&platform.keys.old, "1985-07-09").as_deref(), row.stored("dobHash"));
    }

    #[test]
    fn a_value_opens_under_its_key_alone_and_no_changed_byte_passes() {
        let mut random = Random::of_test("cipher");
        let (old, new) = (Cipher::new(&KEYS.old), Cipher::new(&KEYS.new));
        let stored = old.seal("12 Rue de l’Église", &mut random);
        assert_eq!(old.open(&stored).as_deref(), Some("12 Rue de l’Église"));
        assert_eq!(new.open(&stored), None);
        let at = random.within(0..stored.len() as u64) as usize;
        let mut changed = stored.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(old.open(&changed), None, "byte {at}");
    }
}
