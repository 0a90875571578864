//! Marks by which rows are known again, and from which nobody without the key learns anything.
use crate::SecretKey;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Domain separation of the marks' key: a change of the rule is a change of this text.
const INFO: &[u8] = b"reencrypt/row-mark/v1";

/// Makes marks: the first 8 bytes of HMAC-SHA256 under a key of their own, which HKDF-SHA256 derives from a secret key with `context` as salt.
///
/// A list of marks says to nobody without the secret key which rows are meant, not even by trying, although row keys are small numbers or names.
#[derive(Clone)]
pub struct Marker(Hmac<Sha256>);

impl Marker {
    /// The marker of `key` in `context`; marks of one context are nothing in another.
    pub fn new(key: &SecretKey, context: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; 32]);
        // HKDF-SHA256 gives up to 8160 bytes, and HMAC takes a key of any length, so that neither fails.
        let expanded = Hkdf::<Sha256>::new(Some(context), key.expose()).expand(INFO, derived.as_mut());
        debug_assert!(expanded.is_ok());
        Self(Hmac::new_from_slice(derived.as_ref()).expect("HMAC takes a key of any length"))
    }

    /// The mark of `bytes`.
    pub fn mark(&self, bytes: &[u8]) -> u64 {
        let mut mac = self.0.clone();
        mac.update(bytes);
        let code: [u8; 32] = mac.finalize().into_bytes().into();
        u64::from_be_bytes(std::array::from_fn(|at| code[at]))
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marker(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_depends_on_key_context_and_bytes() {
        let (seven, eight) = (SecretKey::new(vec![7; 32]), SecretKey::new(vec![8; 32]));
        let mark = Marker::new(&seven, b"run").mark(b"row");
        assert_eq!(Marker::new(&seven, b"run").mark(b"row"), mark);
        assert_ne!(Marker::new(&seven, b"run").mark(b"other"), mark);
        assert_ne!(Marker::new(&seven, b"another").mark(b"row"), mark);
        assert_ne!(Marker::new(&eight, b"run").mark(b"row"), mark);
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", Marker::new(&SecretKey::new(vec![7; 32]), b"run")), "Marker(..)");
    }
}
