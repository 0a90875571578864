//! Values that other libraries wrote, read and rebuilt; values that must be refused. The files under `tests/data` are
//! part of the project's collection of ciphertexts in the wild.
use crate::{
    Class, ColumnCipher, ColumnSpec, Expect, Format, KeyPair, LayoutError, LayoutSpec, PlaintextPolicy, Refusal,
    SecretKey,
    keyring::{Keyring, Side},
    peel::{Kernel, Reading, Scratch, peel},
    random::IvSource,
    seal::seal,
};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

const LAYOUTS: &str = include_str!("../tests/data/layouts.json");
const VECTORS: &str = include_str!("../tests/data/vectors.json");
const REFUSALS: &str = include_str!("../tests/data/refusals.json");

#[derive(Deserialize)]
struct Vector {
    id: String,
    layout: String,
    key: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    aad_hex: Option<String>,
    #[serde(default)]
    table: String,
    #[serde(default)]
    column: String,
    #[serde(default)]
    kid: Option<String>,
    stored: BTreeMap<String, String>,
    expect: String,
    #[serde(default)]
    classify: Option<String>,
    #[serde(default)]
    plaintext_hex: String,
    #[serde(default)]
    write_with: BTreeMap<String, String>,
    #[serde(default)]
    rewrite: String,
}

/// Nonces that the vector names, one after the other.
struct Given(Vec<Vec<u8>>);

impl IvSource for Given {
    fn fill(&mut self, iv: &mut [u8]) {
        iv.copy_from_slice(&self.0.pop().expect("another nonce"));
    }
}

impl Vector {
    fn layout(&self, layouts: &BTreeMap<String, LayoutSpec>) -> LayoutSpec {
        let mut spec = layouts[&self.layout].clone();
        if spec.aad.is_none() && !self.aad_hex.as_deref().unwrap_or_default().is_empty() {
            spec.aad = self.aad_hex.as_ref().map(|digits| format!("{{hex:{digits}}}"));
        }
        spec
    }

    fn key(&self) -> SecretKey {
        let text = |name| self.key.get(name).and_then(serde_json::Value::as_str);
        SecretKey::new(match (text("hex"), text("utf8")) {
            (Some(digits), _) => unhex(digits),
            (None, Some(text)) => text.as_bytes().to_vec(),
            _ => panic!("{}: no key", self.id),
        })
    }

    fn stored(&self) -> Vec<u8> {
        match (self.stored.get("text"), self.stored.get("hex")) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(digits)) => unhex(digits),
            _ => panic!("{}: not one column", self.id),
        }
    }

    fn column(&self, layouts: &BTreeMap<String, LayoutSpec>) -> ColumnSpec {
        let format =
            Format::compile(&self.layout, &self.layout(layouts)).unwrap_or_else(|e| panic!("{}: {e}", self.id));
        ColumnSpec {
            read: vec![format.clone()],
            write: format,
            plaintext: PlaintextPolicy::Keep,
            nesting_max: 1,
            table: self.table.clone(),
            column: self.column.clone(),
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    HEXLOWER.decode(digits.as_bytes()).unwrap()
}

fn layouts() -> BTreeMap<String, LayoutSpec> {
    serde_json::from_str(LAYOUTS).unwrap()
}

fn pair(old: Option<SecretKey>, new: Option<SecretKey>) -> Arc<KeyPair> {
    Arc::new(KeyPair { old, new })
}

/// A key of the same length that opens nothing.
fn other() -> SecretKey {
    SecretKey::new(vec![0x5a; 32])
}

#[test]
fn every_layout_is_taken_and_what_is_beyond_this_version_is_named() {
    let texts: BTreeMap<String, serde_json::Value> = serde_json::from_str(LAYOUTS).unwrap();
    let read = layouts();
    assert_eq!(read.len(), 112);
    let (mut compiled, mut refused) = (0, BTreeMap::new());
    for (name, spec) in &read {
        assert_eq!(serde_json::to_value(spec).unwrap(), texts[name], "{name} does not round-trip");
        if !texts[name].to_string().contains("\"json\"") && spec.columns.is_none() {
            let as_toml = toml::to_string(spec).unwrap();
            assert_eq!(toml::from_str::<LayoutSpec>(&as_toml).unwrap(), *spec, "{name} does not round-trip as TOML");
        }
        match Format::compile(name, spec) {
            Ok(format) => {
                compiled += 1;
                assert_eq!((format.name(), format.spec(), format.is_authenticated()), (name.as_str(), spec, true));
            }
            Err(LayoutError::Unsupported { member, .. }) => *refused.entry(member).or_insert(0) += 1,
            Err(e) => panic!("{name}: {e}"),
        }
    }
    println!("{compiled} layouts compiled, refused by member: {refused:?}");
    assert_eq!(compiled, 51);
    for member in ["cipher", "json", "columns", "let.env.json", "key.kdf[0].scrypt", "key.kdf[0].msg", "aad", "pad"] {
        assert!(refused.contains_key(member), "{member}: {refused:?}");
    }
}

#[test]
fn unknown_members_of_a_layout_are_errors() {
    for text in [
        r#"{"cipher":"aes-256-gcm","texts":"{iv:hex}"}"#,
        r#"{"cipher":"aes-256-gcm","iv":{"length":12}}"#,
        r#"{"cipher":"aes-256-gcm","let":{"x":{"byte":"ct"}}}"#,
        r#"{"cipher":"aes-256-gcm","key":{"kdf":[{"sha256":true}]}}"#,
        r#"{"cipher":"aes-256-gcm","key":{"steps":[]}}"#,
    ] {
        assert!(serde_json::from_str::<LayoutSpec>(text).is_err(), "{text}");
    }
}

#[test]
fn every_vector_opens_and_is_rebuilt_byte_for_byte() {
    let layouts = layouts();
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 382);
    let mut of_layouts = BTreeMap::new();
    for vector in &vectors {
        *of_layouts.entry(&vector.layout).or_insert(0) += 1;
        assert_eq!((vector.expect.as_str(), vector.rewrite.as_str()), ("decrypt", "exact"), "{}", vector.id);
        let id = &vector.id;
        let stored = vector.stored();
        let spec = vector.column(&layouts);
        let ring = Keyring::new(&spec, &pair(Some(other()), Some(vector.key()))).unwrap();
        let mut scratch = Scratch::default();
        let reading = peel(&ring, &mut scratch, &stored, Expect::Old);
        let Reading::Open(Kernel::Plain(plaintext)) = reading else { panic!("{id}: {reading:?}") };
        assert_eq!(HEXLOWER.encode(scratch.arena.get(plaintext.clone())), vector.plaintext_hex, "{id}");
        assert!(scratch.layers.iter().all(|layer| layer.side == Side::New) && scratch.layers.len() == 1, "{id}");

        let mut given = Given(vec![unhex(&vector.write_with["iv"])]);
        let (mut out, mut invocations) = (b"before".to_vec(), 0);
        seal(&ring, &mut scratch, plaintext, &mut given, &mut out, &mut invocations).unwrap_or_else(|| panic!("{id}"));
        assert_eq!(out[..6], *b"before", "{id}");
        assert_eq!(out[6..], stored, "{id}: rebuilt otherwise");
        assert_eq!(invocations, 1, "{id}");
        if vector.kid.is_none() && spec.write.carried().is_empty() {
            assert_eq!(spec.write.stored_len(vector.plaintext_hex.len() / 2), stored.len(), "{id}");
        }
        assert!(spec.write.matches_shape(&stored), "{id}: {} in its canonical spelling", spec.write.name());

        let opened = ColumnCipher::new(spec.clone(), &pair(Some(vector.key()), Some(other()))).unwrap();
        assert_eq!(opened.classify(Some(&stored), Expect::New), Class::Old, "{id}");
        let locked = ColumnCipher::new(spec, &pair(Some(other()), None)).unwrap();
        assert_eq!(locked.classify(Some(&stored), Expect::New), Class::Unreadable(Refusal::Unreadable), "{id}");
    }
    println!("{} vectors of {} layouts", vectors.len(), of_layouts.len());
    assert_eq!(of_layouts.len(), 51, "every layout has its vectors");
}

#[test]
fn every_refusal_is_refused_for_its_reason() {
    let layouts = layouts();
    let refusals: Vec<Vector> = serde_json::from_str(REFUSALS).unwrap();
    assert_eq!(refusals.len(), 95);
    let mut counts = BTreeMap::new();
    for vector in &refusals {
        let cipher = ColumnCipher::new(vector.column(&layouts), &pair(Some(vector.key()), Some(other()))).unwrap();
        for expect in [Expect::Old, Expect::New] {
            let class = cipher.classify(Some(&vector.stored()), expect);
            let fits = match (vector.expect.as_str(), vector.classify.as_deref()) {
                ("auth_error", None) => class == Class::Unreadable(Refusal::Unreadable),
                ("shape_error", Some("plaintext")) => class == Class::Plaintext,
                ("shape_error", None) => matches!(class, Class::Plaintext | Class::Unreadable(Refusal::Damaged)),
                other => panic!("{}: {other:?}", vector.id),
            };
            assert!(fits, "{}: {class:?}", vector.id);
            *counts.entry(format!("{} as {class:?}", vector.expect)).or_insert(0) += 1;
        }
    }
    println!("{counts:?}");
}
