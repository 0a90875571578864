//! From the configured key to the cipher's key.
use crate::{
    LayoutError,
    formula::{Formula, Names},
    layout::{KdfStep, KeyPart, KeySpec},
};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// A SHA-2 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug)]
enum Step {
    Hash(Digest),
    Hexify,
    Take(usize, usize),
    Pad0(usize),
    XorFold(usize),
    Hmac {
        digest: Digest,
        msg: Formula,
    },
    Hkdf {
        digest: Digest,
        salt: Formula,
        info: Formula,
        len: usize,
    },
    /// starts over from the configured key
    Raw,
}

/// The steps of one layout, checked.
#[derive(Debug, Default)]
pub(crate) struct Derivation(Vec<Step>);

/// The longest key that a step may make.
const KEY_BYTES_MAX: u32 = 1024;

impl Derivation {
    /// Reads the `key` member.
    pub(crate) fn compile(spec: &KeySpec) -> Result<Self, LayoutError> {
        for (name, part) in [("key.mac", &spec.mac), ("key.iv", &spec.iv)] {
            if part.is_some() {
                return Err(LayoutError::unsupported(name, "AES-GCM takes no second key and a random nonce"));
            }
        }
        let mut steps = compile_steps(&spec.kdf, "key.kdf")?;
        match &spec.enc {
            None => {}
            Some(KeyPart::Slice([from, to])) => steps.push(take(*from, *to, "key.enc")?),
            Some(KeyPart::Derived { kdf }) => steps.extend(compile_steps(kdf, "key.enc.kdf")?),
            Some(KeyPart::Raw { raw: true }) => steps.push(Step::Raw),
            Some(KeyPart::Raw { raw: false }) => return Err(LayoutError::invalid("key.enc.raw", "is always true")),
        }
        Ok(Self(steps))
    }

    /// Steps that stand alone, such as those of a blind index.
    pub(crate) fn of_steps(steps: &[KdfStep], member: &str) -> Result<Self, LayoutError> {
        compile_steps(steps, member).map(Self)
    }

    /// Applies the steps.
    pub(crate) fn derive(&self, key: &[u8], names: Names<'_>) -> Zeroizing<Vec<u8>> {
        let configured = key;
        let mut key = Zeroizing::new(key.to_vec());
        for step in &self.0 {
            key = match step {
                Step::Hash(digest) => digest.hash(&key),
                Step::Hexify => Zeroizing::new(data_encoding::HEXLOWER.encode(&key).into_bytes()),
                Step::Take(from, to) => {
                    let to = (*to).min(key.len());
                    Zeroizing::new(key[(*from).min(to)..to].to_vec())
                }
                Step::Pad0(len) => {
                    let mut padded = Zeroizing::new(vec![0; *len]);
                    padded.iter_mut().zip(key.iter()).for_each(|(to, from)| *to = *from);
                    padded
                }
                Step::XorFold(len) => {
                    let mut folded = Zeroizing::new(vec![0; *len]);
                    key.iter().enumerate().for_each(|(i, byte)| folded[i % len] ^= byte);
                    folded
                }
                Step::Hmac { digest, msg } => digest.hmac(&key, &msg.constant(names)),
                Step::Hkdf { digest, salt, info, len } => {
                    digest.hkdf(&key, &salt.constant(names), &info.constant(names), *len)
                }
                Step::Raw => Zeroizing::new(configured.to_vec()),
            };
        }
        key
    }
}

fn compile_steps(steps: &[KdfStep], member: &str) -> Result<Vec<Step>, LayoutError> {
    steps.iter().enumerate().map(|(i, step)| compile_step(step, &format!("{member}[{i}]"))).collect()
}

fn compile_step(step: &KdfStep, member: &str) -> Result<Step, LayoutError> {
    let later = [("pbkdf2", step.pbkdf2.is_some()), ("scrypt", step.scrypt.is_some()), ("evp", step.evp.is_some())];
    if let Some((name, _)) = later.iter().find(|(_, present)| *present) {
        return Err(LayoutError::unsupported(
            format!("{member}.{name}"),
            "the steps are hash, hexify, take, pad0, xorfold, hmac and hkdf",
        ));
    }
    let mut found = Vec::new();
    let mut allowed: &[&str] = &[];
    if let Some(name) = &step.hash {
        found.push(Step::Hash(Digest::named(name, &format!("{member}.hash"))?));
    }
    if step.hexify == Some(true) {
        found.push(Step::Hexify);
    }
    if let Some([from, to]) = step.take {
        found.push(take(from, to, &format!("{member}.take"))?);
    }
    if let Some(len) = step.pad0 {
        found.push(Step::Pad0(key_len(len, &format!("{member}.pad0"))?));
    }
    if let Some(len) = step.xorfold {
        found.push(Step::XorFold(key_len(len, &format!("{member}.xorfold"))?));
    }
    if let Some(name) = &step.hmac {
        allowed = &["msg"];
        let msg = step.msg.as_deref().ok_or_else(|| LayoutError::invalid(format!("{member}.msg"), "is missing"))?;
        let msg = input(msg, &format!("{member}.msg"))?;
        found.push(Step::Hmac { digest: Digest::named(name, &format!("{member}.hmac"))?, msg });
    }
    if let Some(name) = &step.hkdf {
        allowed = &["salt", "info", "len"];
        found.push(Step::Hkdf {
            digest: Digest::named(name, &format!("{member}.hkdf"))?,
            salt: input(step.salt.as_deref().unwrap_or_default(), &format!("{member}.salt"))?,
            info: input(step.info.as_deref().unwrap_or_default(), &format!("{member}.info"))?,
            len: key_len(step.len.unwrap_or(32), &format!("{member}.len"))?,
        });
    }
    let parameters = [
        ("msg", step.msg.is_some()),
        ("salt", step.salt.is_some()),
        ("info", step.info.is_some()),
        ("iter", step.iter.is_some()),
        ("len", step.len.is_some()),
    ];
    if let Some((name, _)) = parameters.iter().find(|(name, present)| *present && !allowed.contains(name)) {
        return Err(LayoutError::invalid(format!("{member}.{name}"), "does not belong to this step"));
    }
    match found.len() {
        1 => found.pop().ok_or_else(|| LayoutError::invalid(member, "is empty")),
        0 => Err(LayoutError::invalid(member, "names no step: hash, hexify, take, pad0, xorfold, hmac or hkdf")),
        _ => Err(LayoutError::invalid(member, "names more than one step")),
    }
}

fn take(from: u32, to: u32, member: &str) -> Result<Step, LayoutError> {
    if from >= to || to > KEY_BYTES_MAX {
        return Err(LayoutError::invalid(member, "is [from, up to] with from below up to"));
    }
    Ok(Step::Take(from as usize, to as usize))
}

fn key_len(len: u32, member: &str) -> Result<usize, LayoutError> {
    match len {
        1..=KEY_BYTES_MAX => Ok(len as usize),
        _ => Err(LayoutError::invalid(member, format!("is a number of bytes from 1 to {KEY_BYTES_MAX}"))),
    }
}

/// An input that is the same for every value of a column.
fn input(template: &str, member: &str) -> Result<Formula, LayoutError> {
    let formula = Formula::parse(template, member)?;
    if formula.parts().next().is_some() {
        return Err(LayoutError::unsupported(member, "an input that differs from value to value"));
    }
    Ok(formula)
}

impl Digest {
    fn named(name: &str, member: &str) -> Result<Self, LayoutError> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha384" => Ok(Self::Sha384),
            "sha512" => Ok(Self::Sha512),
            _ => Err(LayoutError::unsupported(member, "the digests are sha256, sha384 and sha512")),
        }
    }

    fn hash(self, key: &[u8]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Sha256 => wiped(Sha256::digest(key)),
            Self::Sha384 => wiped(Sha384::digest(key)),
            Self::Sha512 => wiped(Sha512::digest(key)),
        }
    }

    fn hmac(self, key: &[u8], msg: &[u8]) -> Zeroizing<Vec<u8>> {
        fn of<M: Mac + KeyInit>(key: &[u8], msg: &[u8]) -> Zeroizing<Vec<u8>> {
            // HMAC takes keys of every length.
            match <M as KeyInit>::new_from_slice(key) {
                Ok(mac) => wiped(mac.chain_update(msg).finalize().into_bytes()),
                Err(_) => Zeroizing::new(Vec::new()),
            }
        }
        match self {
            Self::Sha256 => of::<Hmac<Sha256>>(key, msg),
            Self::Sha384 => of::<Hmac<Sha384>>(key, msg),
            Self::Sha512 => of::<Hmac<Sha512>>(key, msg),
        }
    }

    fn hkdf(self, key: &[u8], salt: &[u8], info: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
        let mut okm = Zeroizing::new(vec![0; len]);
        let expanded = match self {
            Self::Sha256 => Hkdf::<Sha256>::new(Some(salt), key).expand(info, &mut okm),
            Self::Sha384 => Hkdf::<Sha384>::new(Some(salt), key).expand(info, &mut okm),
            Self::Sha512 => Hkdf::<Sha512>::new(Some(salt), key).expand(info, &mut okm),
        };
        // Every digest gives at least 255 * 32 bytes, and KEY_BYTES_MAX is below that.
        debug_assert!(expanded.is_ok());
        okm
    }
}

fn wiped(mut bytes: impl AsMut<[u8]>) -> Zeroizing<Vec<u8>> {
    let copy = Zeroizing::new(bytes.as_mut().to_vec());
    bytes.as_mut().zeroize();
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'static> = Names { table: "t", column: "c" };

    fn derive(json: &str, key: &[u8]) -> Vec<u8> {
        let spec: KeySpec = serde_json::from_str(json).unwrap();
        Derivation::compile(&spec).unwrap().derive(key, NAMES).to_vec()
    }

    fn refusal(json: &str) -> LayoutError {
        Derivation::compile(&serde_json::from_str(json).unwrap()).unwrap_err()
    }

    #[test]
    fn steps_follow_one_another() {
        assert_eq!(derive(r#"{"kdf":[]}"#, b"key"), b"key");
        assert_eq!(derive(r#"{"kdf":[{"hexify":true},{"take":[1,4]}]}"#, &[0xab, 0xcd]), b"bcd");
        assert_eq!(derive(r#"{"kdf":[{"pad0":4}]}"#, b"abcdef"), b"abcd");
        assert_eq!(derive(r#"{"kdf":[{"pad0":4}]}"#, b"ab"), b"ab\0\0");
        assert_eq!(derive(r#"{"kdf":[{"xorfold":2}]}"#, &[1, 2, 4]), [5, 2]);
        assert_eq!(derive(r#"{"kdf":[{"hash":"sha256"}],"enc":[0,2]}"#, b""), [0xe3, 0xb0]);
        assert_eq!(derive(r#"{"kdf":[{"hash":"sha512"}],"enc":{"raw":true}}"#, b"key"), b"key");
        assert_eq!(derive(r#"{"kdf":[],"enc":{"kdf":[{"hash":"sha384"}]}}"#, b"").len(), 48);
    }

    /// RFC 4231, case 2, and RFC 5869, case 3.
    #[test]
    fn known_answers() {
        let mac = derive(r#"{"kdf":[{"hmac":"sha256","msg":"what do ya want for nothing?"}]}"#, b"Jefe");
        assert_eq!(data_encoding::HEXLOWER.encode(&mac[..8]), "5bdcc146bf60754e");
        let okm = derive(r#"{"kdf":[{"hkdf":"sha256","salt":"","info":"","len":42}]}"#, &[0x0b; 22]);
        assert_eq!(data_encoding::HEXLOWER.encode(&okm[..8]), "8da4e775a563c18f");
    }

    #[test]
    fn refusals_name_the_member() {
        for (json, expected) in [
            (r#"{"kdf":[{"hexify":true},{"scrypt":[1,2,3],"salt":"s"}]}"#, "key.kdf[1].scrypt"),
            (r#"{"kdf":[{"pbkdf2":"sha256","salt":"s","iter":1}]}"#, "key.kdf[0].pbkdf2"),
            (r#"{"kdf":[{"hash":"md5"}]}"#, "key.kdf[0].hash"),
            (r#"{"kdf":[{"hkdf":"sha256","salt":"{salt}"}]}"#, "key.kdf[0].salt"),
            (r#"{"kdf":[{"hmac":"sha256","msg":"{row.tenant}"}]}"#, "key.kdf[0].msg"),
            (r#"{"kdf":[{"hmac":"sha256","msg":"{iv}"}]}"#, "key.kdf[0].msg"),
            (r#"{"kdf":[],"iv":[0,16]}"#, "key.iv"),
        ] {
            let LayoutError::Unsupported { member, .. } = refusal(json) else { panic!("{json}") };
            assert_eq!(member, expected);
        }
        for (json, expected) in [
            (r#"{"kdf":[{}]}"#, "key.kdf[0]"),
            (r#"{"kdf":[{"hexify":true,"pad0":3}]}"#, "key.kdf[0]"),
            (r#"{"kdf":[{"hash":"sha256","len":3}]}"#, "key.kdf[0].len"),
            (r#"{"kdf":[{"hmac":"sha256"}]}"#, "key.kdf[0].msg"),
            (r#"{"kdf":[{"take":[4,4]}]}"#, "key.kdf[0].take"),
            (r#"{"kdf":[{"xorfold":0}]}"#, "key.kdf[0].xorfold"),
            (r#"{"kdf":[{"hkdf":"sha256","len":100000}]}"#, "key.kdf[0].len"),
        ] {
            let LayoutError::Invalid { member, .. } = refusal(json) else { panic!("{json}") };
            assert_eq!(member, expected);
        }
    }
}
