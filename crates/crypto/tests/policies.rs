//! What a run does with plaintext, with hashes and with the two keys, field by field.
use reencrypt_crypto::{
    BlindIndex, BlindIndexPolicy, BlindIndexSpec, Class, ColumnCipher, ColumnSpec, Expect, Format, KeyPair,
    LayoutError, NoneFor, NormalizeStep, Outcome, PlaintextPolicy, Pool, Refusal, Resealed, RowCipher, Rows, SecretKey,
    SubkeyStep,
};
use std::{collections::BTreeSet, sync::Arc};

const PLATFORM: &str = "gcm-triple-b64-iv16";
const POLICIES: [BlindIndexPolicy; 4] =
    [BlindIndexPolicy::Recompute, BlindIndexPolicy::Fill, BlindIndexPolicy::KeepNull, BlindIndexPolicy::Verify];

type Row = [Option<Vec<u8>>; 2];

struct Table(Vec<Row>);

impl Rows for Table {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0[row][slot].as_deref()
    }
}

fn keys(old: u8, new: u8) -> Arc<KeyPair> {
    Arc::new(KeyPair { old: Some(SecretKey::new(vec![old; 32])), new: Some(SecretKey::new(vec![new; 32])) })
}

fn column(read: &[&str], write: &str, plaintext: PlaintextPolicy, keys: &Arc<KeyPair>) -> ColumnCipher {
    let preset = |name: &str| Format::preset(name).unwrap();
    let spec = ColumnSpec {
        read: read.iter().map(|name| preset(name)).collect(),
        write: preset(write),
        plaintext,
        nesting_max: 1,
        table: "Patient".into(),
        column: "email".into(),
    };
    ColumnCipher::new(spec, keys).unwrap()
}

fn index(policy: BlindIndexPolicy) -> BlindIndexSpec {
    BlindIndexSpec {
        algorithm: "hmac-sha256".into(),
        subkey: vec![SubkeyStep { hmac: "sha256".into(), msg: "{braces} are text".into() }],
        normalize: vec![NormalizeStep::Trim, NormalizeStep::Lowercase],
        none_for: NoneFor { values: vec!["unknown@example.com".into()], suffixes: vec!["@placeholder.local".into()] },
        policy,
    }
}

fn cipher(plaintext: PlaintextPolicy, policy: BlindIndexPolicy, keys: &Arc<KeyPair>) -> RowCipher {
    RowCipher::new(
        vec![column(&[PLATFORM], PLATFORM, plaintext, keys)],
        vec![BlindIndex::new(index(policy), 0, keys).unwrap()],
    )
}

fn reseal(cipher: &RowCipher, field: Option<&[u8]>, hash: Option<&[u8]>) -> Resealed {
    let row = [field.map(<[u8]>::to_vec), hash.map(<[u8]>::to_vec)];
    Pool::new(1).reseal(cipher, &Table(vec![row]), Expect::Old)
}

/// `plaintext` under the key of bytes `key`, and its hash under the sub-key of that key.
fn sealed(plaintext: &str, key: u8) -> (Vec<u8>, Vec<u8>) {
    let cipher = cipher(PlaintextPolicy::Encrypt, BlindIndexPolicy::Recompute, &keys(99, key));
    let resealed = reseal(&cipher, Some(plaintext.as_bytes()), None);
    let hash = resealed.value(0, 1).map(<[u8]>::to_vec).unwrap_or_default();
    (resealed.value(0, 0).unwrap().to_vec(), hash)
}

#[test]
fn plaintext_is_refused_kept_or_encrypted() {
    let keys = keys(1, 2);
    for (policy, outcome) in [
        (PlaintextPolicy::Refuse, Outcome::Quarantined(Refusal::Plaintext)),
        (PlaintextPolicy::Keep, Outcome::Plaintext),
        (PlaintextPolicy::Encrypt, Outcome::Rotated),
    ] {
        let cipher = cipher(policy, BlindIndexPolicy::Recompute, &keys);
        let resealed = reseal(&cipher, Some(b"Jane"), None);
        assert_eq!(resealed.outcome(0, 0), outcome);
        assert_eq!(resealed.outcome(0, 1), Outcome::Rotated, "it can be read, so its hash is made");
        assert_eq!(resealed.invocations(), u64::from(outcome == Outcome::Rotated));
        if let Some(value) = resealed.value(0, 0) {
            let again = reseal(&cipher, Some(value), resealed.value(0, 1));
            assert_eq!([again.outcome(0, 0), again.outcome(0, 1)], [Outcome::AlreadyNew; 2], "never twice");
        }
    }
    // What cannot be read was never plaintext: no policy encrypts it.
    for unreadable in [sealed("Jane", 77).0, sealed("Jane", 1).0[..40].to_vec()] {
        let cipher = cipher(PlaintextPolicy::Encrypt, BlindIndexPolicy::Recompute, &keys);
        let resealed = reseal(&cipher, Some(&unreadable), None);
        assert!(matches!(resealed.outcome(0, 0), Outcome::Quarantined(Refusal::Unreadable | Refusal::Damaged)));
        assert!(!resealed.changes(0));
    }
}

#[test]
fn null_and_empty_stay() {
    let cipher = cipher(PlaintextPolicy::Encrypt, BlindIndexPolicy::Recompute, &keys(1, 2));
    for (field, outcome) in [(None, Outcome::Null), (Some(&b""[..]), Outcome::Empty)] {
        let resealed = reseal(&cipher, field, None);
        assert_eq!([resealed.outcome(0, 0), resealed.outcome(0, 1)], [outcome, Outcome::Null]);
        let resealed = reseal(&cipher, field, Some(b"stale"));
        assert_eq!(resealed.outcome(0, 1), Outcome::Mismatched, "NULL is never written over a hash");
    }
}

#[test]
fn hashes_by_policy() {
    let keys = keys(1, 2);
    let (value, old_hash) = sealed("Jane@Example.com ", 1);
    let (_, new_hash) = sealed("jane@example.com", 2);
    let stale = "ab".repeat(32).into_bytes();
    for policy in POLICIES {
        let cipher = cipher(PlaintextPolicy::Refuse, policy, &keys);
        let found = |hash: Option<&[u8]>| {
            let resealed = reseal(&cipher, Some(&value), hash);
            if let Some(written) = resealed.value(0, 1) {
                assert_eq!(written, new_hash, "{policy:?}");
            }
            resealed.outcome(0, 1)
        };
        let replaces = matches!(policy, BlindIndexPolicy::Recompute | BlindIndexPolicy::KeepNull);
        let fills = matches!(policy, BlindIndexPolicy::Recompute | BlindIndexPolicy::Fill);
        assert_eq!(found(Some(&old_hash)), Outcome::Rotated, "{policy:?}: always, since it needs the old key");
        assert_eq!(found(Some(&old_hash.to_ascii_uppercase())), Outcome::Rotated, "{policy:?}");
        assert_eq!(found(Some(&new_hash)), Outcome::AlreadyNew, "{policy:?}");
        let expected = |writes| if writes { Outcome::Rotated } else { Outcome::Mismatched };
        for other in [&stale[..], b"short", b"", &new_hash.to_ascii_uppercase()] {
            assert_eq!(found(Some(other)), expected(replaces), "{policy:?}");
        }
        assert_eq!(found(None), if fills { Outcome::Rotated } else { Outcome::Null }, "{policy:?}");
    }
}

#[test]
fn placeholders_have_no_hash_but_an_old_one_is_still_rewritten() {
    let keys = keys(1, 2);
    for placeholder in ["unknown@example.com", " X@PLACEHOLDER.local"] {
        let value = sealed(placeholder, 1).0;
        // What a rule without exceptions would have written.
        let rule = BlindIndexSpec { none_for: NoneFor::default(), ..index(BlindIndexPolicy::Recompute) };
        let hash = |new: u8| {
            let keys = self::keys(99, new);
            let column = column(&[PLATFORM], PLATFORM, PlaintextPolicy::Keep, &keys);
            let cipher = RowCipher::new(vec![column], vec![BlindIndex::new(rule.clone(), 0, &keys).unwrap()]);
            reseal(&cipher, Some(placeholder.as_bytes()), None).value(0, 1).unwrap().to_vec()
        };
        for policy in POLICIES {
            let cipher = cipher(PlaintextPolicy::Refuse, policy, &keys);
            assert_eq!(reseal(&cipher, Some(&value), None).outcome(0, 1), Outcome::Null);
            assert_eq!(reseal(&cipher, Some(&value), Some(b"stale")).outcome(0, 1), Outcome::Mismatched);
            let resealed = reseal(&cipher, Some(&value), Some(&hash(1)));
            assert_eq!(resealed.value(0, 1), Some(hash(2).as_slice()));
            assert_eq!(reseal(&cipher, Some(&value), Some(&hash(2))).outcome(0, 1), Outcome::AlreadyNew);
        }
    }
}

#[test]
fn a_field_that_cannot_be_read_leaves_its_hash() {
    let keys = keys(1, 2);
    let (value, hash) = sealed("jane@example.com", 77);
    let cipher = cipher(PlaintextPolicy::Keep, BlindIndexPolicy::Recompute, &keys);
    assert_eq!(reseal(&cipher, Some(&value), Some(&hash)).outcome(0, 1), Outcome::Mismatched);
    assert_eq!(reseal(&cipher, Some(&value), None).outcome(0, 1), Outcome::Null);
    let classes = Pool::new(1).classify(&cipher, &Table(vec![[Some(value), Some(hash)]]), Expect::New);
    assert_eq!(classes.class(0, 0), Class::Unreadable(Refusal::Unreadable));
    assert_eq!(classes.class(0, 1), Class::Mismatched);
}

#[test]
fn a_column_of_several_formats_is_written_in_one() {
    let keys = keys(1, 2);
    let transcode = |read: &[&str], write: &str, value: &[u8], keys: &Arc<KeyPair>| {
        let cipher = RowCipher::new(vec![column(read, write, PlaintextPolicy::Refuse, keys)], vec![]);
        let resealed = reseal(&cipher, Some(value), None);
        (resealed.outcome(0, 0), resealed.value(0, 0).map(<[u8]>::to_vec))
    };
    // First everything under the old key, each in its format.
    let start = sealed("Jane", 50).0;
    let formats = ["gcm-blob-b64-iv12", "gcm-triple-hex-iv12", PLATFORM];
    for format in formats {
        let (_, value) = transcode(&[PLATFORM], format, &start, &self::keys(50, 1));
        let (outcome, new) = transcode(&["gcm-blob-b64-iv12", "gcm-triple-hex-iv12"], PLATFORM, &value.unwrap(), &keys);
        assert_eq!(outcome, Outcome::Rotated, "{format}");
        let new = new.unwrap();
        assert!(Format::preset(PLATFORM).unwrap().matches_shape(&new), "{format}");
        // What is written is read too, though only the legacy formats are named.
        let again = transcode(&["gcm-blob-b64-iv12", "gcm-triple-hex-iv12"], PLATFORM, &new, &keys);
        assert_eq!(again.0, Outcome::AlreadyNew, "{format}");
    }
}

#[test]
fn nonces_never_repeat_across_threads_and_batches() {
    let keys = keys(1, 2);
    let cipher = RowCipher::new(vec![column(&[PLATFORM], PLATFORM, PlaintextPolicy::Refuse, &keys)], vec![]);
    let value = sealed("Jane", 1).0;
    let table = Table(vec![[Some(value), None]; 1000]);
    let pool = Pool::new(3);
    let mut nonces = BTreeSet::new();
    for _ in 0..3 {
        let resealed = pool.reseal(&cipher, &table, Expect::Old);
        assert_eq!(resealed.invocations(), 1000);
        for row in 0..1000 {
            assert!(nonces.insert(resealed.value(row, 0).unwrap()[..24].to_vec()));
        }
    }
    assert_eq!(nonces.len(), 3000);
}

#[test]
fn rows_keep_their_order_over_jobs() {
    let keys = keys(1, 2);
    let cipher = cipher(PlaintextPolicy::Keep, BlindIndexPolicy::Recompute, &keys);
    let row = |i: usize| -> Row {
        match i % 3 {
            0 => [Some(format!("plain {i}").into_bytes()), None],
            1 => [None, None],
            _ => [Some(Vec::new()), Some(b"x".to_vec())],
        }
    };
    for rows in [0, 1, 31, 32, 33, 500] {
        let table = Table((0..rows).map(row).collect());
        let (resealed, classes) =
            (Pool::new(2).reseal(&cipher, &table, Expect::Old), Pool::new(2).classify(&cipher, &table, Expect::Old));
        for i in 0..rows {
            let (outcome, class) = match i % 3 {
                0 => (Outcome::Plaintext, Class::Plaintext),
                1 => (Outcome::Null, Class::Null),
                _ => (Outcome::Empty, Class::Empty),
            };
            assert_eq!((resealed.outcome(i, 0), classes.class(i, 0)), (outcome, class), "row {i} of {rows}");
            assert_eq!(resealed.changes(i), i % 3 == 0, "row {i} of {rows}");
        }
    }
}

#[test]
fn what_a_blind_index_cannot_be_is_refused() {
    let keys = keys(1, 2);
    let refused = |spec| BlindIndex::new(spec, 0, &keys).unwrap_err();
    let member = |e| match e {
        LayoutError::Unsupported { member, .. } | LayoutError::Invalid { member, .. } => member,
        LayoutError::KeyLength { .. } => panic!("no key"),
    };
    let spec = index(BlindIndexPolicy::Recompute);
    assert_eq!(member(refused(BlindIndexSpec { algorithm: "sha256".into(), ..spec.clone() })), "algorithm");
    let md5 = SubkeyStep { hmac: "md5".into(), msg: "x".into() };
    assert_eq!(member(refused(BlindIndexSpec { subkey: vec![md5], ..spec })), "subkey[0].hmac");
}

#[test]
fn refusals_have_stable_names() {
    let names = [
        Refusal::Unreadable,
        Refusal::Damaged,
        Refusal::Plaintext,
        Refusal::Nested,
        Refusal::Undeclared,
        Refusal::Embedded,
        Refusal::ResealMismatch,
    ];
    let expected =
        ["unreadable", "damaged", "plaintext_refused", "nested", "undeclared_format", "embedded", "reseal_mismatch"];
    assert_eq!(names.map(Refusal::as_str), expected);
}

/// "Cannot decrypt" never means "was plaintext": a value in a known format that its column does not declare stands under the old key and is left alone.
#[test]
fn a_text_with_ciphertext_inside_is_no_plaintext() {
    let pair = keys(1, 2);
    let sealed = |new| {
        let writer =
            RowCipher::new(vec![column(&[PLATFORM], PLATFORM, PlaintextPolicy::Encrypt, &keys(99, new))], vec![]);
        String::from_utf8(reseal(&writer, Some(b"Jane"), None).value(0, 0).unwrap().to_vec()).unwrap()
    };
    let (old, new, other) = (sealed(1), sealed(2), sealed(3));
    for (text, class) in [
        (format!("{old} as any {old}"), Class::Old),
        (format!("\"{old}\""), Class::Old),
        (format!("{{\"v\":\"{old}\"}}"), Class::Old),
        (format!("[{new},{old}]"), Class::Old),
        (format!("enc({new})"), Class::Unreadable(Refusal::Embedded)),
        (format!("see {old} there"), Class::Old),
        (format!("see {other} there"), Class::Unreadable(Refusal::Damaged)),
        ("nothing but a long text without any ciphertext".to_owned(), Class::Plaintext),
    ] {
        for policy in [PlaintextPolicy::Refuse, PlaintextPolicy::Keep, PlaintextPolicy::Encrypt] {
            let column = column(&[PLATFORM], PLATFORM, policy, &pair);
            assert_eq!(column.classify(Some(text.as_bytes()), Expect::New), class, "{text}");
            let resealed = reseal(&RowCipher::new(vec![column], vec![]), Some(text.as_bytes()), None);
            let embedded = resealed.outcome(0, 0) == Outcome::Quarantined(Refusal::Embedded);
            assert_eq!(embedded, matches!(class, Class::Old | Class::Unreadable(Refusal::Embedded)), "{text}");
        }
    }
}

#[test]
fn what_opens_in_another_known_format_is_no_plaintext() {
    let pair = keys(1, 2);
    // A column of bytes may hold formats of text and of bytes, whichever of them it declares; any bytes have the shape of some.
    let (text, bytes) = ("gcm-triple-hex-iv12", "gcm-bytes-iv12");
    for (other, declared) in
        [(text, PLATFORM), ("gcm-blob-b64-iv12", PLATFORM), (bytes, PLATFORM), (text, bytes), ("gcm-bytes-iv16", bytes)]
    {
        let writer = RowCipher::new(vec![column(&[other], other, PlaintextPolicy::Encrypt, &keys(99, 1))], vec![]);
        let value = reseal(&writer, Some(b"Jane"), None).value(0, 0).unwrap().to_vec();
        for policy in [PlaintextPolicy::Refuse, PlaintextPolicy::Keep, PlaintextPolicy::Encrypt] {
            let column = column(&[declared], declared, policy, &pair);
            assert_eq!(column.classify(Some(&value), Expect::New), Class::Old, "{other} in {declared}");
            let cipher = RowCipher::new(vec![column], vec![]);
            assert_eq!(cipher.undeclared_format(0, &value), Some(other));
            let resealed = reseal(&cipher, Some(&value), None);
            assert_eq!(resealed.outcome(0, 0), Outcome::Quarantined(Refusal::Undeclared), "{other}");
            assert!(!resealed.changes(0));
        }
    }
}

#[test]
fn what_another_pairs_old_key_opens_is_told_from_what_no_key_opens() {
    let own = keys(1, 2);
    let others = [&SecretKey::new(vec![3; 32])];
    let alone = || column(&[PLATFORM], PLATFORM, PlaintextPolicy::Keep, &own);
    let index = || BlindIndex::new(index(BlindIndexPolicy::Verify), 0, &own).unwrap();
    let knowing = RowCipher::new(vec![alone().knowing(&others)], vec![index().knowing(&others)]);
    let class = |cipher: &RowCipher, key: u8| {
        let (value, hash) = sealed("jane@example.com", key);
        let rows = Table(vec![[Some(value), Some(hash)]]);
        let classified = Pool::new(1).classify(cipher, &rows, Expect::New);
        (classified.class(0, 0), classified.class(0, 1))
    };
    let other = Class::Unreadable(Refusal::OtherPair);
    assert_eq!(class(&knowing, 1), (Class::Old, Class::Old));
    assert_eq!(class(&knowing, 2), (Class::New, Class::New));
    assert_eq!(class(&knowing, 3), (other, other));
    assert_eq!(class(&knowing, 4), (Class::Unreadable(Refusal::Unreadable), Class::Mismatched));
    assert_eq!(class(&RowCipher::new(vec![alone()], vec![index()]), 3).0, Class::Unreadable(Refusal::Unreadable));
    // As a part of a longer text too.
    let (value, _) = sealed("jane@example.com", 3);
    let inside = [b"see ".as_slice(), &value, b" there"].concat();
    for stored in [inside, value] {
        let column = alone().knowing(&others);
        assert_eq!(column.classify(Some(&stored), Expect::New), other);
        let cipher = RowCipher::new(vec![column], vec![]);
        assert!(matches!(reseal(&cipher, Some(&stored), None).outcome(0, 0), Outcome::Quarantined(_)));
    }
}
