//! The platform's Patient table: its 17 rows of every kind, or as many as wanted of one's own.
use crate::place::Place;
use data_encoding::HEXLOWER;
use reencrypt_crypto::{
    ColumnCipher, ColumnSpec, Expect, Format, KeyPair, Outcome, PlaintextPolicy, Pool, RowCipher, Rows, SecretKey,
};
use reencrypt_db::Dialect;
use reencrypt_planner::Keyring;
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const FORMAT: &str = "gcm-triple-b64-iv16";
pub(crate) const COLUMNS: [&str; 10] =
    ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"];

/// One row of the vectors.
#[derive(serde::Deserialize)]
pub(crate) struct Patient {
    pub(crate) pk: BTreeMap<String, i64>,
    old_key_hex: String,
    new_key_hex: String,
    pub(crate) row: BTreeMap<String, Option<String>>,
    pub(crate) expect: BTreeMap<String, Expected>,
}

#[derive(serde::Deserialize)]
pub(crate) struct Expected {
    pub(crate) class: String,
}

/// The platform's rows.
pub(crate) fn patients() -> Vec<Patient> {
    serde_json::from_str(include_str!("../../../crypto/tests/data/eonpro_patients.json")).expect("the vectors")
}

/// The keys of the platform's rows.
pub(crate) fn platform_keys() -> Keyring {
    let patients = patients();
    keyring(Some(&patients[0].old_key_hex), Some(&patients[0].new_key_hex))
}

pub(crate) fn old_key_hex() -> String {
    patients()[0].old_key_hex.clone()
}

pub(crate) fn new_key_hex() -> String {
    patients()[0].new_key_hex.clone()
}

/// The pair `default`.
pub(crate) fn keyring(old: Option<&str>, new: Option<&str>) -> Keyring {
    let key = |hex: &str| SecretKey::new(HEXLOWER.decode(hex.as_bytes()).expect("hex"));
    Keyring::from([("default".to_owned(), Arc::new(KeyPair { old: old.map(key), new: new.map(key) }))])
}

/// A Patient table in the platform's own spelling, empty.
pub(crate) async fn make_table(place: &mut Place) {
    let columns: Vec<String> = COLUMNS.iter().map(|name| format!("\"{name}\" text{}", nullable(name))).collect();
    let id = match place.dialect() {
        Dialect::Sqlite => "integer PRIMARY KEY",
        Dialect::Postgres => "bigint PRIMARY KEY",
    };
    let sql = format!(
        "CREATE TABLE \"Patient\" (id {id}, \"clinicId\" integer, {}, \"emailHash\" text, \"dobHash\" text, \"searchIndex\" text); \
         CREATE INDEX \"Patient_dedup\" ON \"Patient\" (\"clinicId\", \"emailHash\", \"dobHash\")",
        columns.join(", ")
    );
    place.sql(&sql).await;
}

fn nullable(column: &str) -> &'static str {
    if column == "address2" { "" } else { " NOT NULL" }
}

/// The table with the platform's rows.
pub(crate) async fn make(place: &mut Place) {
    make_table(place).await;
    for patient in patients() {
        let names: Vec<String> = patient.row.keys().map(|name| format!("\"{name}\"")).collect();
        let values: Vec<String> = patient.row.values().map(|value| literal(value.as_deref())).collect();
        let id = patient.pk["id"];
        let (names, values) = (names.join(", "), values.join(", "));
        place.sql(&format!("INSERT INTO \"Patient\" (id, {names}) VALUES ({id}, {values})")).await;
    }
}

/// As many rows as wanted, every field of them under `key` (or as it is, without one).
pub(crate) async fn fill(place: &mut Place, first: i64, rows: usize, key: Option<&str>) {
    let plain: Vec<String> = (0..rows * COLUMNS.len()).map(|i| format!("value {i}")).collect();
    let stored = match key {
        Some(key) => seal(key, FORMAT, &plain),
        None => plain,
    };
    for (at, fields) in stored.chunks(COLUMNS.len()).enumerate() {
        let values: Vec<String> = fields.iter().map(|value| literal(Some(value))).collect();
        let names: Vec<String> = COLUMNS.iter().map(|name| format!("\"{name}\"")).collect();
        let id = first + at as i64;
        place
            .sql(&format!("INSERT INTO \"Patient\" (id, {}) VALUES ({id}, {})", names.join(", "), values.join(", ")))
            .await;
    }
}

/// An SQL literal.
pub(crate) fn literal(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(value) => format!("'{}'", value.replace('\'', "''")),
    }
}

/// A configuration of the Patient table: every column in the platform's format, with these members beside it.
pub(crate) fn configuration(members: &str) -> String {
    let columns: Vec<String> =
        COLUMNS.iter().map(|name| format!("{name} = {{ format = \"{FORMAT}\"{members} }}")).collect();
    format!("[[table]]\nname = \"Patient\"\n[table.columns]\n{}\n{BLIND_INDEXES}", columns.join("\n"))
}

pub(crate) const BLIND_INDEXES: &str = r#"
[[table.blind_index]]
column = "emailHash"
of = "email"
algorithm = "hmac-sha256"
subkey = [{ hmac = "sha256", msg = "patient-dedup-v1" }]
normalize = ["trim", "lowercase"]
none_for = { values = ["unknown@example.com"], suffixes = ["@placeholder.local", "@intake.local"] }
[[table.blind_index]]
column = "dobHash"
of = "dob"
algorithm = "hmac-sha256"
subkey = [{ hmac = "sha256", msg = "patient-dedup-v1" }]
normalize = ["date"]
none_for = { values = ["1900-01-01"] }
"#;

struct Texts<'a>(&'a [String]);

impl Rows for Texts<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn field(&self, row: usize, _slot: usize) -> Option<&[u8]> {
        Some(self.0[row].as_bytes())
    }
}

/// The texts under `key`.
pub(crate) fn seal(key: &str, format: &str, texts: &[String]) -> Vec<String> {
    let pair = pair_to(key);
    let cipher = RowCipher::new(vec![column(format, &pair)], Vec::new());
    let resealed = Pool::new(1).reseal(&cipher, &Texts(texts), Expect::Old);
    let value = |row| {
        assert_eq!(resealed.outcome(row, 0), Outcome::Rotated);
        String::from_utf8(resealed.value(row, 0).expect("a value").to_vec()).expect("text")
    };
    (0..texts.len()).map(value).collect()
}

fn pair_to(key: &str) -> Arc<KeyPair> {
    let key = SecretKey::new(HEXLOWER.decode(key.as_bytes()).expect("hex"));
    Arc::new(KeyPair { old: Some(SecretKey::new(vec![0x77; 32])), new: Some(key) })
}

fn column(format: &str, pair: &Arc<KeyPair>) -> ColumnCipher {
    let format = Format::preset(format).expect("a preset");
    let spec = ColumnSpec {
        read: vec![format.clone()],
        write: format,
        plaintext: PlaintextPolicy::Encrypt,
        nesting_max: 1,
        table: "Patient".to_owned(),
        column: "c".to_owned(),
    };
    ColumnCipher::new(spec, pair).expect("a cipher")
}
