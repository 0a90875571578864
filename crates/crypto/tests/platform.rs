//! The platform's Patient table: every row of the collection through the pool, with class, outcome, new plaintext and
//! both blind indexes.
use aes_gcm::{
    AesGcm, KeyInit,
    aead::{Aead, consts::U16},
    aes::Aes256,
};
use reencrypt_crypto::{
    BlindIndex, BlindIndexPolicy, BlindIndexSpec, Class, Classified, ColumnCipher, ColumnSpec, Expect, Format, KeyPair,
    NoneFor, NormalizeStep, Outcome, PlaintextPolicy, Pool, Refusal, Resealed, RowCipher, Rows, SecretKey, SubkeyStep,
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

const PATIENTS: &str = include_str!("data/eonpro_patients.json");
const HASHES: &str = include_str!("data/eonpro_hashes.json");
const COLUMNS: [&str; 10] =
    ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"];
const INDEXES: [&str; 2] = ["emailHash", "dobHash"];

#[derive(Deserialize)]
struct Patient {
    case: String,
    old_key_hex: String,
    new_key_hex: String,
    row: BTreeMap<String, Option<String>>,
    expect: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    class: String,
    #[serde(default)]
    plaintext: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    after_by_policy: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    nested: Option<u8>,
}

struct Table(Vec<Vec<Option<Vec<u8>>>>);

impl Rows for Table {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0[row][slot].as_deref()
    }
}

fn key(digits: &str) -> SecretKey {
    SecretKey::new(data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap())
}

fn pair(old: Option<&str>, new: Option<&str>) -> Arc<KeyPair> {
    Arc::new(KeyPair { old: old.map(key), new: new.map(key) })
}

fn index(name: &str, policy: BlindIndexPolicy) -> BlindIndexSpec {
    let (normalize, none_for) = match name {
        "emailHash" => (
            vec![NormalizeStep::Trim, NormalizeStep::Lowercase],
            NoneFor {
                values: vec!["unknown@example.com".into(), "unknown@intake.local".into()],
                suffixes: vec!["@intake.local".into(), "@placeholder.local".into()],
            },
        ),
        _ => (vec![NormalizeStep::Date], NoneFor { values: vec!["1900-01-01".into()], suffixes: vec![] }),
    };
    BlindIndexSpec {
        algorithm: "hmac-sha256".into(),
        subkey: vec![SubkeyStep { hmac: "sha256".into(), msg: "patient-dedup-v1".into() }],
        normalize,
        none_for,
        policy,
    }
}

fn column(name: &str, plaintext: PlaintextPolicy, nesting_max: u8) -> ColumnSpec {
    let format = Format::preset("gcm-triple-b64-iv16").unwrap();
    ColumnSpec {
        read: vec![format.clone()],
        write: format,
        plaintext,
        nesting_max,
        table: "Patient".into(),
        column: name.into(),
    }
}

fn cipher(keys: &Arc<KeyPair>, policy: BlindIndexPolicy, nesting_max: u8) -> RowCipher {
    let columns =
        COLUMNS.map(|name| ColumnCipher::new(column(name, PlaintextPolicy::Keep, nesting_max), keys).unwrap());
    let indexes = INDEXES.map(|name| {
        let of = if name == "emailHash" { "email" } else { "dob" };
        let field = COLUMNS.iter().position(|column| *column == of).unwrap();
        BlindIndex::new(index(name, policy), field, keys).unwrap()
    });
    RowCipher::new(columns.into(), indexes.into())
}

fn patients() -> Vec<Patient> {
    let patients: Vec<Patient> = serde_json::from_str(PATIENTS).unwrap();
    assert_eq!(patients.len(), 17);
    patients
}

fn slots() -> impl Iterator<Item = (usize, &'static str)> {
    COLUMNS.into_iter().chain(INDEXES).enumerate()
}

fn table(patient: &Patient) -> Table {
    Table(vec![slots().map(|(_, name)| patient.row[name].clone().map(String::into_bytes)).collect()])
}

fn after(table: &Table, resealed: &Resealed) -> Table {
    let row = |row: usize| {
        let slot = |slot| resealed.value(row, slot).or(table.field(row, slot)).map(<[u8]>::to_vec);
        (0..table.0[row].len()).map(slot).collect()
    };
    Table((0..table.len()).map(row).collect())
}

/// The plaintext of a stored value, by nothing of this crate.
fn open(stored: &[u8], key: &str) -> Option<Vec<u8>> {
    type Cipher = AesGcm<Aes256, U16>;
    let parts: Vec<Vec<u8>> = stored
        .split(|byte| *byte == b':')
        .map(|part| data_encoding::BASE64.decode(part).ok())
        .collect::<Option<_>>()?;
    let [iv, tag, ct] = parts.try_into().ok()?;
    let cipher = Cipher::new_from_slice(&data_encoding::HEXLOWER.decode(key.as_bytes()).ok()?).ok()?;
    cipher.decrypt(iv.as_slice().try_into().ok()?, [ct, tag].concat().as_slice()).ok()
}

fn check_field(name: &str, expected: &Expected, outcome: Outcome, before: Option<&[u8]>, after: Option<&[u8]>) {
    let fits = match expected.class.as_str() {
        "ciphertext" => outcome == Outcome::Rotated && before != after,
        "already-new" => outcome == Outcome::AlreadyNew,
        "null" => outcome == Outcome::Null && before.is_none(),
        "empty" => outcome == Outcome::Empty && before == Some(b""),
        "plaintext" => outcome == Outcome::Plaintext && after == expected.after.as_deref().map(str::as_bytes),
        "undecryptable" | "damaged" => {
            matches!(outcome, Outcome::Quarantined(Refusal::Unreadable | Refusal::Damaged))
        }
        other => panic!("{name}: {other}"),
    };
    assert!(fits, "{name}: {outcome:?} for {}", expected.class);
    assert!(outcome == Outcome::Rotated || before == after, "{name}: changed although {outcome:?}");
}

#[test]
fn every_patient_rotates_as_expected_and_a_second_run_does_nothing() {
    let pool = Pool::new(2);
    for patient in patients() {
        let case = &patient.case;
        let keys = pair(Some(&patient.old_key_hex), Some(&patient.new_key_hex));
        let cipher = cipher(&keys, BlindIndexPolicy::Recompute, 2);
        let before = table(&patient);
        let resealed = pool.reseal(&cipher, &before, Expect::Old);
        let after = after(&before, &resealed);
        let mut seals = 0;
        for (slot, name) in slots() {
            let expected = &patient.expect[name];
            let outcome = resealed.outcome(0, slot);
            let (was, is) = (before.field(0, slot), after.field(0, slot));
            if expected.class == "blind-index" {
                let filled = expected.after_by_policy.as_ref().and_then(|by_policy| by_policy["fill"].clone());
                let hash = expected.after.clone().or(filled).map(String::into_bytes);
                assert_eq!(is, hash.as_deref(), "{case}: {name}: {outcome:?}");
                continue;
            }
            check_field(name, expected, outcome, was, is);
            let layers = expected.nested.unwrap_or(1);
            if let (Some(plaintext), "ciphertext" | "already-new") = (&expected.plaintext, expected.class.as_str()) {
                let mut opened = is.unwrap().to_vec();
                for _ in 0..layers {
                    opened = open(&opened, &patient.new_key_hex).unwrap_or_else(|| panic!("{case}: {name}"));
                }
                assert_eq!(String::from_utf8(opened).unwrap(), *plaintext, "{case}: {name}");
            }
            if outcome == Outcome::Rotated {
                seals += u64::from(layers);
            }
        }
        assert_eq!(resealed.invocations(), seals, "{case}");
        assert_eq!(resealed.changes(0), before.0 != after.0, "{case}");

        let again = pool.reseal(&cipher, &after, Expect::New);
        assert!(!again.changes(0) && again.invocations() == 0, "{case}: a second run changes something");
        for (slot, name) in slots() {
            assert_ne!(again.outcome(0, slot), Outcome::Rotated, "{case}: {name}");
        }
    }
}

#[test]
fn every_patient_is_classified_as_expected() {
    let pool = Pool::new(1);
    for patient in patients() {
        let case = &patient.case;
        let (old, new) = (Some(patient.old_key_hex.as_str()), Some(patient.new_key_hex.as_str()));
        let table = table(&patient);
        let classify = |old, new, expect| -> Classified {
            pool.classify(&cipher(&pair(old, new), BlindIndexPolicy::Recompute, 1), &table, expect)
        };
        let both = [classify(old, new, Expect::Old), classify(old, new, Expect::New)];
        let (plan, verify) = (classify(old, None, Expect::Old), classify(None, new, Expect::New));
        for (slot, name) in slots() {
            let stored = table.field(0, slot);
            let (class, with_old, with_new) = match patient.expect[name].class.as_str() {
                "ciphertext" => (Class::Old, Class::Old, Class::Unreadable(Refusal::Unreadable)),
                "already-new" => (Class::New, Class::Unreadable(Refusal::Unreadable), Class::New),
                "null" => (Class::Null, Class::Null, Class::Null),
                "empty" => (Class::Empty, Class::Empty, Class::Empty),
                "plaintext" => (Class::Plaintext, Class::Plaintext, Class::Plaintext),
                "damaged" => [Class::Unreadable(Refusal::Damaged); 3].into(),
                "undecryptable" => [both[0].class(0, slot); 3].into(),
                "blind-index" if stored.is_none() => [Class::Null; 3].into(),
                "blind-index" => [both[0].class(0, slot), plan.class(0, slot), verify.class(0, slot)].into(),
                other => panic!("{case}: {other}"),
            };
            for found in &both {
                assert_eq!(found.class(0, slot), class, "{case}: {name}");
            }
            assert_eq!(plan.class(0, slot), with_old, "{case}: {name}");
            assert_eq!(verify.class(0, slot), with_new, "{case}: {name}");
            if patient.expect[name].class == "undecryptable" {
                let refused = matches!(class, Class::Unreadable(Refusal::Unreadable | Refusal::Damaged));
                assert!(refused, "{case}: {name}: {class:?}");
            }
        }
    }
}

#[test]
fn blind_indexes_of_every_patient_say_which_key_they_need() {
    for patient in patients() {
        let keys = pair(Some(&patient.old_key_hex), Some(&patient.new_key_hex));
        let table = table(&patient);
        let found = Pool::new(1).classify(&cipher(&keys, BlindIndexPolicy::Recompute, 2), &table, Expect::Old);
        for (slot, name) in slots().filter(|(_, name)| INDEXES.contains(name)) {
            let expected = &patient.expect[name];
            let stored = table.field(0, slot).map(|hash| String::from_utf8(hash.to_vec()).unwrap());
            let class = match (&stored, &expected.after) {
                (None, _) => Class::Null,
                (Some(stored), Some(after)) if stored == after => Class::New,
                _ if patient.case.starts_with("stale hash") && name == "emailHash" => Class::Mismatched,
                _ => Class::Old,
            };
            assert_eq!(found.class(0, slot), class, "{}: {name}", patient.case);
        }
    }
}

#[test]
fn an_undeclared_second_layer_is_old_and_refused() {
    let patient = patients().into_iter().find(|patient| patient.case.starts_with("double encrypted")).unwrap();
    let keys = pair(Some(&patient.old_key_hex), Some(&patient.new_key_hex));
    let cipher = cipher(&keys, BlindIndexPolicy::Recompute, 1);
    let pool = Pool::new(1);
    assert_eq!(pool.classify(&cipher, &table(&patient), Expect::Old).class(0, 0), Class::Old);
    let resealed = pool.reseal(&cipher, &table(&patient), Expect::Old);
    assert_eq!(resealed.outcome(0, 0), Outcome::Quarantined(Refusal::Nested));
    assert_eq!(resealed.value(0, 0), None);
}

#[derive(Deserialize)]
struct Hash {
    preset: String,
    key_hex: String,
    new_key_hex: String,
    input: String,
    value: Option<String>,
    value_new_key: Option<String>,
}

#[test]
fn every_hash_of_the_platform() {
    let hashes: Vec<Hash> = serde_json::from_str(HASHES).unwrap();
    assert_eq!(hashes.len(), 29);
    let pool = Pool::new(1);
    for hash in hashes {
        let keys = pair(Some(&hash.key_hex), Some(&hash.new_key_hex));
        let name = hash.preset.strip_prefix("eonpro-").unwrap();
        let index = BlindIndex::new(index(name, BlindIndexPolicy::Recompute), 0, &keys).unwrap();
        let cipher =
            RowCipher::new(vec![ColumnCipher::new(column("x", PlaintextPolicy::Keep, 1), &keys).unwrap()], vec![index]);
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        for (stored, class, outcome) in [
            (None, Class::Null, if hash.value.is_some() { Outcome::Rotated } else { Outcome::Null }),
            (bytes(&hash.value), Class::Old, Outcome::Rotated),
            (bytes(&hash.value_new_key), Class::New, Outcome::AlreadyNew),
        ] {
            if stored.is_none() && class != Class::Null {
                continue;
            }
            let table = Table(vec![vec![Some(hash.input.clone().into_bytes()), stored]]);
            let found = pool.classify(&cipher, &table, Expect::Old).class(0, 1);
            assert_eq!(found, class, "{}", hash.input.escape_debug());
            let resealed = pool.reseal(&cipher, &table, Expect::Old);
            assert_eq!(resealed.outcome(0, 1), outcome, "{}", hash.input.escape_debug());
            if outcome == Outcome::Rotated {
                let expected = bytes(&hash.value_new_key);
                assert_eq!(resealed.value(0, 1), expected.as_deref(), "{}", hash.input.escape_debug());
            }
        }
    }
}
