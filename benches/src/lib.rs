//! What the benchmarks work on: rows of one table in memory, and the keys of a rotation.
use reencrypt_crypto::{
    BlindIndex, BlindIndexPolicy, BlindIndexSpec, ColumnCipher, ColumnSpec, Expect, Format, KeyPair, NoneFor,
    NormalizeStep, Outcome, PlaintextPolicy, Pool, RowCipher, Rows, SecretKey, SubkeyStep,
};
use std::sync::Arc;

/// The platform's own format.
pub const PLATFORM: &str = "gcm-triple-b64-iv16";

/// Rows of values, all of one number of slots.
pub struct Table(Vec<Vec<Option<Vec<u8>>>>);

impl Table {
    /// `rows` rows with the same values.
    pub fn of(rows: usize, values: &[Option<Vec<u8>>]) -> Self {
        Self(vec![values.to_vec(); rows])
    }
}

impl Rows for Table {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0[row][slot].as_deref()
    }
}

/// Two keys that differ.
pub fn keys() -> Arc<KeyPair> {
    Arc::new(KeyPair { old: Some(SecretKey::new(vec![1; 32])), new: Some(SecretKey::new(vec![2; 32])) })
}

/// The same keys the other way round: what they seal is old for [`keys`].
fn reversed() -> Arc<KeyPair> {
    Arc::new(KeyPair { old: Some(SecretKey::new(vec![2; 32])), new: Some(SecretKey::new(vec![1; 32])) })
}

/// A table of one encrypted column, and its email's hash where asked for.
pub fn cipher(preset: &str, hashed: bool, keys: &Arc<KeyPair>) -> RowCipher {
    let indexes = hashed.then(|| BlindIndex::new(email_hash(), 0, keys).expect("the platform's blind index"));
    RowCipher::new(vec![column(preset, preset, PlaintextPolicy::Keep, keys)], indexes.into_iter().collect())
}

/// `plaintext` as the preset stores it under the old key, or under the new.
pub fn sealed(preset: &str, plaintext: &[u8], under_new: bool) -> Vec<u8> {
    let (first, second) = if under_new { (reversed(), keys()) } else { (keys(), reversed()) };
    let rewritten = |column, value: &[u8]| {
        let cipher = RowCipher::new(vec![column], vec![]);
        let resealed = Pool::new(1).reseal(&cipher, &Table::of(1, &[Some(value.to_vec())]), Expect::Old);
        assert_eq!(resealed.outcome(0, 0), Outcome::Rotated);
        resealed.value(0, 0).expect("a new value").to_vec()
    };
    let in_platform_format = rewritten(column(PLATFORM, PLATFORM, PlaintextPolicy::Encrypt, &first), plaintext);
    rewritten(column(PLATFORM, preset, PlaintextPolicy::Refuse, &second), &in_platform_format)
}

fn column(read: &str, write: &str, plaintext: PlaintextPolicy, keys: &Arc<KeyPair>) -> ColumnCipher {
    let [read, write] = [read, write].map(|name| Format::preset(name).expect("a preset"));
    let spec = ColumnSpec {
        read: vec![read],
        write,
        plaintext,
        nesting_max: 1,
        table: "Patient".to_owned(),
        column: "email".to_owned(),
    };
    ColumnCipher::new(spec, keys).expect("keys of 32 bytes")
}

fn email_hash() -> BlindIndexSpec {
    BlindIndexSpec {
        algorithm: "hmac-sha256".to_owned(),
        subkey: vec![SubkeyStep { hmac: "sha256".to_owned(), msg: "patient-dedup-v1".to_owned() }],
        normalize: vec![NormalizeStep::Trim, NormalizeStep::Lowercase],
        none_for: NoneFor {
            values: vec!["unknown@example.com".to_owned()],
            suffixes: vec!["@intake.local".to_owned()],
        },
        policy: BlindIndexPolicy::Recompute,
    }
}
