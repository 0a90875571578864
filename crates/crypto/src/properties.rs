//! What holds of every preset and of every value: round trips, and that damage is never taken for a value.
use crate::{
    Class, ColumnCipher, ColumnSpec, Expect, Format, KeyPair, LayoutSpec, Outcome, PlaintextPolicy, Pool, Refusal,
    RowCipher, Rows, SecretKey,
    arena::{Arena, Source},
    column::is_spelling,
    formula::Names,
    keyring::Keyring,
    part::{Envelope, Part, Pieces},
    peel::{Kernel, Reading, Scratch, peel},
    presets,
};
use proptest::prelude::*;
use std::sync::Arc;

const OLD: [u8; 32] = [0x11; 32];
const NEW: [u8; 32] = [0x22; 32];
const NAMES: Names<'static> = Names { table: "patients", column: "ssn" };

fn formats() -> impl Iterator<Item = Format> {
    presets().iter().map(|preset| Format::preset(preset.name).unwrap_or_else(|| panic!("{}", preset.name)))
}

fn keys(old: Option<[u8; 32]>, new: Option<[u8; 32]>) -> Arc<KeyPair> {
    let key = |bytes: [u8; 32]| SecretKey::new(bytes.to_vec());
    Arc::new(KeyPair { old: old.map(key), new: new.map(key) })
}

fn column(format: &Format, plaintext: PlaintextPolicy, nesting_max: u8) -> ColumnSpec {
    ColumnSpec {
        read: vec![format.clone()],
        write: format.clone(),
        plaintext,
        nesting_max,
        table: NAMES.table.into(),
        column: NAMES.column.into(),
    }
}

fn cipher(format: &Format, keys: &Arc<KeyPair>) -> ColumnCipher {
    ColumnCipher::new(column(format, PlaintextPolicy::Keep, 1), keys).unwrap()
}

/// What an application would have stored: carried parts are `7` in the format's own spelling, or four bytes of it.
fn stored(format: &Format, key: [u8; 32], iv: &[u8; 16], plaintext: &[u8]) -> Vec<u8> {
    let iv = &iv[..format.iv_len()];
    let mut pieces = Pieces::default();
    pieces.set(Part::Iv, iv);
    for part in format.carried() {
        pieces.set(*part, if format.name().starts_with("tink") { b"7777" } else { b"7" });
    }
    let mut aad = Vec::new();
    format.aad().write(NAMES, &pieces, &mut aad);
    let mut ciphertext = plaintext.to_vec();
    let tag = format.aead("old", &key, NAMES).unwrap().seal(iv, &aad, &mut ciphertext).unwrap();
    pieces.set(Part::Tag, &tag);
    pieces.set(Part::Ct, &ciphertext);
    let mut out = Vec::new();
    format.write(&pieces, &mut out, &mut Vec::new());
    out
}

fn open(format: &Format, key: [u8; 32], stored: &[u8]) -> Option<Vec<u8>> {
    let ring = Keyring::new(&column(format, PlaintextPolicy::Keep, 1), &keys(Some(key), None)).unwrap();
    let mut scratch = Scratch::default();
    match peel(&ring, &mut scratch, stored, Expect::Old) {
        Reading::Open(Kernel::Plain(plaintext)) => Some(scratch.arena.get(plaintext).to_vec()),
        _ => None,
    }
}

/// Nonce, tag and ciphertext as they decode.
fn decoded(format: &Format, stored: &[u8]) -> Option<[Vec<u8>; 3]> {
    let (mut arena, mut envelope) = (Arena::default(), Envelope::default());
    format.read(&mut arena, &Source::Row(stored), &mut envelope)?;
    Some([Part::Iv, Part::Tag, Part::Ct].map(|part| arena.get(envelope.get(part)).to_vec()))
}

struct One<'a>(&'a [u8]);

impl Rows for One<'_> {
    fn len(&self) -> usize {
        1
    }
    fn field(&self, _: usize, _: usize) -> Option<&[u8]> {
        Some(self.0)
    }
}

fn reseal(cipher: ColumnCipher, stored: &[u8]) -> (Outcome, Option<Vec<u8>>) {
    let resealed = Pool::new(1).reseal(&RowCipher::new(vec![cipher], vec![]), &One(stored), Expect::Old);
    (resealed.outcome(0, 0), resealed.value(0, 0).map(<[u8]>::to_vec))
}

/// A value that was changed may only be readable where it, or what is left of it in one piece, decodes to the same: another spelling, a carried
/// part, or a format that is known too.
fn assert_never_readable(format: &Format, cipher: &ColumnCipher, original: &[u8], changed: &[u8], how: &str) {
    let class = cipher.classify(Some(changed), Expect::Old);
    if matches!(class, Class::Old | Class::New) {
        let mut pieces = std::iter::once(changed).chain(changed.split(|byte| !is_spelling(*byte)));
        let same = |piece: &[u8]| formats().any(|known| decoded(&known, piece) == decoded(format, original));
        assert!(pieces.any(same), "{}: readable after {how}", format.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_preset_round_trips(plaintext in prop::collection::vec(any::<u8>(), 0..400), iv: [u8; 16]) {
        for format in formats() {
            let name = format.name().to_owned();
            let value = stored(&format, OLD, &iv, &plaintext);
            prop_assert_eq!(open(&format, OLD, &value), Some(plaintext.clone()), "{}", name);
            prop_assert!(format.matches_shape(&value), "{}", name);
            let (outcome, new) = reseal(cipher(&format, &keys(Some(OLD), Some(NEW))), &value);
            prop_assert_eq!(outcome, Outcome::Rotated, "{}", name);
            let new = new.unwrap();
            prop_assert_eq!(new.len(), value.len(), "{}", name);
            prop_assert_eq!(open(&format, NEW, &new), Some(plaintext.clone()), "{}", name);
            prop_assert_eq!(open(&format, OLD, &new), None, "{}", name);
            let both = cipher(&format, &keys(Some(OLD), Some(NEW)));
            prop_assert_eq!(both.classify(Some(&new), Expect::Old), Class::New, "{}", name);
            prop_assert_eq!(reseal(both, &new).0, Outcome::AlreadyNew, "{}", name);
        }
    }

    #[test]
    fn truncated_values_are_never_readable(plaintext in prop::collection::vec(any::<u8>(), 0..40), iv: [u8; 16]) {
        for format in formats() {
            let cipher = cipher(&format, &keys(Some(OLD), Some(NEW)));
            let value = stored(&format, OLD, &iv, &plaintext);
            for len in 0..value.len() {
                assert_never_readable(&format, &cipher, &value, &value[..len], "a cut");
                assert_never_readable(&format, &cipher, &value, &value[value.len() - len..], "a cut in front");
            }
        }
    }

    #[test]
    fn flipped_bits_are_never_readable(plaintext in prop::collection::vec(any::<u8>(), 0..20), iv: [u8; 16]) {
        for format in formats() {
            let cipher = cipher(&format, &keys(Some(OLD), Some(NEW)));
            let value = stored(&format, OLD, &iv, &plaintext);
            for bit in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_never_readable(&format, &cipher, &value, &flipped, "a flipped bit");
            }
        }
    }

    #[test]
    fn garbage_is_never_readable(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[A-Za-z0-9+/=:. -]{0,200}") {
        for format in formats() {
            let cipher = cipher(&format, &keys(Some(OLD), Some(NEW)));
            for garbage in [bytes.as_slice(), text.as_bytes()] {
                let class = cipher.classify(Some(garbage), Expect::New);
                prop_assert!(!matches!(class, Class::Old | Class::New), "{}: {:?}", format.name(), class);
            }
        }
    }

    #[test]
    fn a_foreign_format_never_reads_another_plaintext(plaintext in prop::collection::vec(any::<u8>(), 0..60), iv: [u8; 16]) {
        let formats: Vec<Format> = formats().collect();
        for writer in &formats {
            let value = stored(writer, OLD, &iv, &plaintext);
            for reader in &formats {
                if let Some(opened) = open(reader, OLD, &value) {
                    prop_assert_eq!(&opened, &plaintext, "{} read by {}", writer.name(), reader.name());
                }
            }
            // The first preset whose strict shape it has and that opens it writes it back as it was.
            let first = formats.iter().find(|reader| reader.matches_shape(&value) && open(reader, OLD, &value).is_some());
            let rebuilt = first.map(|first| stored(first, OLD, &iv, &plaintext));
            prop_assert_eq!(rebuilt, Some(value), "{} discovered as {:?}", writer.name(), first.map(Format::name));
        }
    }

    #[test]
    fn layers_keep_their_number(plaintext in "[a-z ]{0,60}", iv: [u8; 16], depth in 1_usize..5, new_at in 0_usize..6) {
        let format = Format::preset("gcm-triple-b64-iv16").unwrap();
        let both = keys(Some(OLD), Some(NEW));
        let mut value = plaintext.clone().into_bytes();
        for layer in (0..depth).rev() {
            value = stored(&format, if layer == new_at { NEW } else { OLD }, &iv, &value);
        }
        let all_new = depth == 1 && new_at == 0;
        for nesting_max in 1..6_u8 {
            let cipher = || ColumnCipher::new(column(&format, PlaintextPolicy::Keep, nesting_max), &both).unwrap();
            let declared = depth <= usize::from(nesting_max);
            let class = if all_new { Class::New } else { Class::Old };
            prop_assert_eq!(cipher().classify(Some(&value), Expect::New), class);
            let (outcome, new) = reseal(cipher(), &value);
            match (all_new, declared) {
                (true, _) => prop_assert_eq!(outcome, Outcome::AlreadyNew),
                (false, false) => prop_assert_eq!(outcome, Outcome::Quarantined(Refusal::Nested)),
                (false, true) => {
                    prop_assert_eq!(outcome, Outcome::Rotated);
                    let mut layer = new.unwrap();
                    prop_assert_eq!(layer.len(), value.len());
                    prop_assert_eq!(cipher().classify(Some(&layer), Expect::Old), Class::New);
                    for _ in 0..depth {
                        let [iv, tag, mut ct] = decoded(&format, &layer).unwrap();
                        prop_assert!(format.aead("new", &NEW, NAMES).unwrap().open(&iv, b"", &mut ct, &tag));
                        layer = ct;
                    }
                    prop_assert_eq!(layer, plaintext.as_bytes());
                }
            }
        }
    }

    #[test]
    fn compiling_never_panics(template in "[{}a-z0-9:.'x=*\\[\\] ]{0,40}", aad in "[{}a-z:0-9*]{0,12}") {
        for (text, bytes) in [(Some(&template), None), (None, Some(&template))] {
            let spec = LayoutSpec {
                cipher: "aes-256-gcm".into(),
                text: text.cloned(),
                bytes: bytes.cloned(),
                iv: Some(crate::IvSpec { len: Some(12), ..Default::default() }),
                aad: Some(aad.clone()),
                ..LayoutSpec::default()
            };
            let _ = Format::compile("any", &spec);
        }
    }
}

/// Inside a value of a format that any base64 may be, a plaintext of that shape is a plaintext where both keys failed on
/// it, and cannot be told where the old key is missing: verify must not call a value new that may need the old key.
#[test]
fn a_shape_inside_is_told_by_the_old_key_alone() {
    let format = Format::preset("gcm-blob-b64-iv12").unwrap();
    let token = b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OQ==";
    let inner = stored(&format, OLD, &[3; 16], b"Jane");
    let nested = Class::Unreadable(Refusal::Nested);
    for (plaintext, with_both, with_new) in [
        (&token[..], Class::New, nested),
        (&inner, Class::Old, nested),
        (&stored(&format, [0x33; 32], &[3; 16], b"Jane"), Class::New, nested),
        (b"Jane", Class::New, Class::New),
    ] {
        let value = stored(&format, NEW, &[4; 16], plaintext);
        let class = |old| cipher(&format, &keys(old, Some(NEW))).classify(Some(&value), Expect::New);
        assert_eq!((class(Some(OLD)), class(None)), (with_both, with_new));
    }
    // A shape that is no chance is not a plaintext with both keys either.
    let format = Format::preset("gcm-triple-b64-iv16").unwrap();
    let inner = stored(&format, [0x33; 32], &[3; 16], b"Jane");
    let value = stored(&format, NEW, &[4; 16], &inner);
    for (nesting_max, refusal) in [(1, Refusal::Nested), (2, Refusal::Unreadable)] {
        let column = column(&format, PlaintextPolicy::Keep, nesting_max);
        let both = ColumnCipher::new(column, &keys(Some(OLD), Some(NEW))).unwrap();
        assert_eq!(both.classify(Some(&value), Expect::New), Class::Unreadable(refusal));
        assert_eq!(reseal(both, &value).0, Outcome::Quarantined(refusal));
    }
}
