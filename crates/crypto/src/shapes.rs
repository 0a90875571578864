//! What a value is taken for before any key is tried: shapes, near misses, plaintext; and what a layout may say.
use crate::{
    Class, ColumnCipher, ColumnSpec, Expect, Format, IvSpec, KeyPair, LayoutError, LayoutSpec, NestedSpec,
    PlaintextPolicy, Refusal, SecretKey, format::STORED_BYTES_MAX, presets,
};
use std::{collections::BTreeMap, sync::Arc};

const IV16: &str = "iuJ87g/0UzBIVsb4gCpgJg==";
const TAG: &str = "jLLoPJRVvtc6nXyscJiiXg==";

fn class(preset: &str, stored: &str) -> Class {
    class_of(&Format::preset(preset).unwrap(), stored.as_bytes())
}

fn class_of(format: &Format, stored: &[u8]) -> Class {
    let keys = Arc::new(KeyPair { old: Some(SecretKey::new(vec![1; 32])), new: Some(SecretKey::new(vec![2; 32])) });
    ColumnCipher::new(spec(format), &keys).unwrap().classify(Some(stored), Expect::Old)
}

fn spec(format: &Format) -> ColumnSpec {
    ColumnSpec {
        read: vec![format.clone()],
        write: format.clone(),
        plaintext: PlaintextPolicy::Keep,
        nesting_max: 1,
        table: String::new(),
        column: String::new(),
    }
}

fn layout(text: &str) -> LayoutSpec {
    LayoutSpec {
        cipher: "aes-256-gcm".into(),
        text: Some(text.into()),
        iv: Some(IvSpec { len: Some(12), ..IvSpec::default() }),
        ..LayoutSpec::default()
    }
}

#[test]
fn plaintext_that_looks_like_ciphertext_is_plaintext() {
    for text in [
        "12:30:45",
        "QUJD:REVG:R0hJ",
        "Bldg 4: Floor 2: Rm 201",
        "https://host:443/x",
        "https://zoom.us:443/rec:play",
        "::",
        "a::",
        "00:1B:44:11:3A:B7",
        "12 Rue de l’Église",
        "[encrypted - please re-enter]",
        "vault:v1:",
        "{\"p\":1}",
        " ",
        "\u{feff}",
        // An address with a port, and a sentence that is as long as an envelope.
        "2001:db8:85a3:0:0:8a2e:370:7334",
        "Patient called: will come: tomorrow at nine, with her daughter",
    ] {
        assert_eq!(class("gcm-triple-b64-iv16", text), Class::Plaintext, "{text}");
        assert_eq!(class("gcm-triple-hex-iv16", text), Class::Plaintext, "{text}");
    }
}

#[test]
fn a_near_miss_is_damage() {
    let short_tag = &TAG[..20];
    for text in [
        format!("{IV16}:{short_tag}:G2GSPA=="),
        format!("{}:{TAG}:G2GSPA==", &IV16[..21]),
        format!("{IV16}:{TAG}:G2GSP"),
        // Unpadded, in another alphabet, with blanks: each still counts as a nonce or tag of exact length.
        format!("{}:x:", &IV16[..22]),
        format!(" {IV16} :\n x: "),
        format!("{}:x:", IV16.replace('/', "_")),
        // Cut.
        format!("{IV16}:jLLo"),
        format!("{IV16}:"),
        format!("{IV16}:{TAG}"),
        // A plus that became a blank.
        format!("{IV16}:jLLoPJRVvtc6nXyscJii g==:G2GSPA=="),
    ] {
        assert_eq!(class("gcm-triple-b64-iv16", &text), Class::Unreadable(Refusal::Damaged), "{text}");
    }
    // No part of exact length, another number of separators, a foreign character.
    for text in [
        format!("{}:{}:x", &IV16[..20], &TAG[..18]),
        format!("{IV16}:{TAG}:G2GS:PA=="),
        format!("{IV16}:{TAG}:G2GS!A=="),
        format!("{}:jLLo", &IV16[..22]),
        IV16.to_owned(),
    ] {
        assert_eq!(class("gcm-triple-b64-iv16", &text), Class::Plaintext, "{text}");
    }
}

#[test]
fn a_known_prefix_is_damage() {
    for (preset, damaged, plain) in [
        ("vault-transit", "vault:v1:k2yl", "vault:1:"),
        ("47ng-cloak", "v1.aesgcm256.a0b97c1a.Il", "v1.aes.a0"),
        ("gcm-enc-parens-blob-b64-iv12", "ENC(abc", "END(abc)"),
        ("gcm-versioned-triple-b64-iv12", "v3:dCSZYaH2", "v:dCSZ"),
        ("gcm-enc-triple-b64-iv12", "enc:aa", "encaa"),
    ] {
        assert_eq!(class(preset, damaged), Class::Unreadable(Refusal::Damaged), "{damaged}");
        assert_eq!(class(preset, plain), Class::Plaintext, "{plain}");
    }
    let bytes = |preset: &str, stored: &[u8]| class_of(&Format::preset(preset).unwrap(), stored);
    assert_eq!(bytes("cloak-ecto", b"\x01\x0aAES.GCM.V1"), Class::Unreadable(Refusal::Damaged));
    assert_eq!(bytes("cloak-ecto", b"Jane"), Class::Plaintext);
    // A name before a colon is no prefix that says anything.
    assert_eq!(class("gcm-kid-triple-hex-iv12", "Bldg:4"), Class::Plaintext);
}

#[test]
fn a_value_beyond_the_cap_is_not_taken_apart() {
    let huge = vec![b'a'; STORED_BYTES_MAX + 1];
    let format = Format::preset("gcm-blob-hex-iv12").unwrap();
    assert_eq!(class_of(&format, &huge), Class::Unreadable(Refusal::Unreadable));
    assert!(!format.matches_shape(&huge));
}

#[test]
fn hostile_lengths_in_bytes() {
    let format = Format::preset("cloak-ecto").unwrap();
    for header in
        [&b"\x01\x84\xff\xff\xff\xff"[..], b"\x01\x80", b"\x01\x88\0\0\0\0\0\0\0\x01", b"\x01\xff", b"\x01\x7f"]
    {
        let stored = [header, &[0; 60]].concat();
        assert!(!format.matches_shape(&stored), "{header:?}");
        assert_eq!(class_of(&format, &stored), Class::Unreadable(Refusal::Damaged), "{header:?}");
    }
}

#[test]
fn key_ids_of_128_bytes_and_more_have_a_long_length() {
    let mut layout = layout("");
    (layout.text, layout.bytes) = (None, Some("0x01 kid[ber] iv[12] tag[16] ct".into()));
    let format = Format::compile("long", &layout).unwrap();
    for len in [127, 128, 255, 256, 300] {
        let kid = vec![b'k'; len];
        let header = match len {
            0..128 => vec![len as u8],
            128..256 => vec![0x81, len as u8],
            _ => vec![0x82, (len >> 8) as u8, len as u8],
        };
        let stored = [&b"\x01"[..], &header, &kid, &[7; 28], b"ciphertext"].concat();
        let (mut arena, mut envelope) = (crate::arena::Arena::default(), crate::part::Envelope::default());
        format.read(&mut arena, &crate::arena::Source::Row(&stored), &mut envelope).unwrap();
        let mut pieces = crate::part::Pieces::default();
        use crate::part::Part;
        for part in [Part::Iv, Part::Tag, Part::Ct, Part::Kid] {
            pieces.set(part, arena.get(envelope.get(part)));
        }
        assert_eq!(pieces.get(Part::Kid), kid);
        let mut out = Vec::new();
        format.write(&pieces, &mut out, &mut Vec::new());
        assert_eq!(out, stored);
    }
}

#[test]
fn discovery_tells_spellings_apart() {
    let matching = |stored: &str| -> Vec<&str> {
        let formats = presets().iter().map(|preset| (preset.name, Format::preset(preset.name).unwrap()));
        // A column of text holds no binary format, whatever its bytes.
        let of_text = formats.filter(|(_, format)| !format.is_binary());
        of_text.filter(|(_, format)| format.matches_shape(stored.as_bytes())).map(|(name, _)| name).collect()
    };
    assert_eq!(matching(&format!("{IV16}:{TAG}:G2GSPA==")), ["gcm-triple-b64-iv16"]);
    let unpadded = format!("{}:{}:G2GSPA", &IV16[..22], &TAG[..22]).replace('/', "_");
    assert_eq!(matching(&unpadded), ["gcm-triple-b64u-iv16"]);
    assert_eq!(matching("12:30:45"), [""; 0]);
    let hex = format!("{}:{}:00ff", "ab".repeat(16), "cd".repeat(16));
    assert_eq!(matching(&hex)[0], "gcm-triple-hex-iv16");
    assert_eq!(matching(&hex.to_uppercase()), [""; 0], "lower case is what these writers write");
}

#[test]
fn presets_have_names_of_their_own_and_layouts_that_compile() {
    let mut layouts = BTreeMap::new();
    for preset in presets() {
        let format = Format::preset(preset.name).unwrap_or_else(|| panic!("{}", preset.name));
        assert_eq!(format.name(), preset.name);
        assert!(!preset.about.is_empty() && preset.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        let layout = serde_json::to_string(format.spec()).unwrap();
        if let Some(other) = layouts.insert(layout, preset.name) {
            panic!("{} and {other} are one layout", preset.name);
        }
        let declared: LayoutSpec = toml::from_str(&toml::to_string(format.spec()).unwrap()).unwrap();
        assert_eq!(declared, *format.spec(), "{}: a preset can be written down as a layout", preset.name);
        assert_eq!(format.is_binary(), format.spec().text.is_none());
    }
    println!("{} presets", layouts.len());
    let platform = Format::preset("gcm-triple-b64-iv16").unwrap();
    assert_eq!(platform.stored_len(3), 24 + 1 + 24 + 1 + 4);
    assert!(Format::preset("gcm-triple-b64-iv17").is_none());
}

#[test]
fn parts_without_a_separator_are_cut_by_their_length() {
    let format = Format::compile("joined", &layout("{iv:hex}{tag:hex}{ct:hex}")).unwrap();
    assert!(format.matches_shape("ab".repeat(12 + 16 + 3).as_bytes()));
    assert!(!format.matches_shape("ab".repeat(12 + 15).as_bytes()));
    let format = Format::compile("around", &layout("<{iv:b64u}-{ct:b64u}-{tag:b64u}>")).unwrap();
    let value = format!("<{}-a_-_-{}>", "-".repeat(16), "A".repeat(22));
    assert!(format.matches_shape(value.as_bytes()));
    assert!(!format.matches_shape(format!("{value} ").as_bytes()));
}

#[test]
fn what_is_wrong_with_a_layout_is_named() {
    let invalid = |spec: LayoutSpec, expected: &str| match Format::compile("x", &spec) {
        Err(LayoutError::Invalid { member, .. }) => assert_eq!(member, expected),
        other => panic!("{expected}: {other:?}"),
    };
    let triple = || layout("{iv:hex}:{tag:hex}:{ct:hex}");
    for text in [
        "{iv:hex}:{tag:hex}",
        "{iv:hex}:{tag:hex}:{ct:hex}:{ct:hex}",
        "{iv:hex}:{tag:hex}:{ct:raw}",
        "{iv:hex}:{tag:hex}:{ct}",
        "{iv:word}:{tag:hex}:{ct:hex}",
        "{iv:hex}:{tag:hex}:{ct:base64}",
        "{iv:hex}:{tag:hex}:{blob:hex}",
        "{iv:hex}:{tag:hex}:{ct:hex",
        "{kid:word}{iv:hex}:{tag:hex}:{ct:hex}{hdr:hex}",
        "",
    ] {
        invalid(layout(text), "text");
    }
    invalid(LayoutSpec { iv: None, ..triple() }, "iv.len");
    invalid(LayoutSpec { accept: vec!["tabs".into()], ..triple() }, "accept");
    invalid(LayoutSpec { aad: Some("{kid}".into()), ..triple() }, "aad");
    invalid(LayoutSpec { bytes: Some("iv[12] ct tag[16]".into()), ..triple() }, "text");
    let unused = NestedSpec { bytes: Some("ct".into()), ..NestedSpec::default() };
    invalid(LayoutSpec { nested: BTreeMap::from([("x".into(), unused)]), ..triple() }, "let.x");
    let circle = NestedSpec { text: Some("{x:hex}".into()), ..NestedSpec::default() };
    invalid(LayoutSpec { nested: BTreeMap::from([("x".into(), circle)]), ..layout("{x:b64}") }, "let.x.text");
    for bytes in [
        "iv[16] ct tag[16]",
        "iv ct tag[16]",
        "iv[12] ct tag[12]",
        "iv[12] ct x tag[16]",
        "iv[12] ct tag[ber]",
        "0x1 iv[12]",
        "'abc iv[12]",
        "",
        "iv[12] ct tag[16] kid[0]",
    ] {
        invalid(LayoutSpec { text: None, bytes: Some(bytes.into()), ..layout("") }, "bytes");
    }
    let unsupported = |spec: LayoutSpec, expected: &str| match Format::compile("x", &spec) {
        Err(LayoutError::Unsupported { member, .. }) => assert_eq!(member, expected),
        other => panic!("{expected}: {other:?}"),
    };
    unsupported(LayoutSpec { cipher: "aes-256-cbc".into(), ..triple() }, "cipher");
    unsupported(LayoutSpec { iv: Some(IvSpec { len: Some(8), ..IvSpec::default() }), ..triple() }, "iv.len");
    unsupported(layout("{salt:hex}:{iv:hex}:{tag:hex}:{ct:hex}"), "text");
    let iv = IvSpec { len: Some(12), write: Some("hmac-sha256(enc,pt)[0:12]".into()), ..IvSpec::default() };
    unsupported(LayoutSpec { iv: Some(iv), ..triple() }, "iv.write");
}

#[test]
fn keys_of_another_length_are_refused_when_the_column_is_made() {
    let keys = |old: usize, new: usize| {
        Arc::new(KeyPair { old: Some(SecretKey::new(vec![1; old])), new: Some(SecretKey::new(vec![2; new])) })
    };
    let format = Format::preset("gcm-triple-b64-iv16").unwrap();
    let refused = ColumnCipher::new(spec(&format), &keys(32, 16)).unwrap_err();
    let expected = "the new key has 16 bytes after derivation, and aes-256-gcm takes 32";
    assert_eq!(refused.to_string(), expected);
    assert!(ColumnCipher::new(spec(&format), &keys(33, 32)).is_err());
    // A digest makes any length fit.
    let hashed = Format::preset("sqlalchemy-utils-aes-gcm").unwrap();
    assert!(ColumnCipher::new(spec(&hashed), &keys(5, 16)).is_ok());
}

#[test]
fn parts_that_nothing_supplies_are_refused_when_the_column_is_made() {
    let keys = Arc::new(KeyPair { old: None, new: Some(SecretKey::new(vec![2; 32])) });
    let versioned = Format::preset("gcm-versioned-triple-b64-iv12").unwrap();
    let plain = Format::preset("gcm-triple-b64-iv16").unwrap();
    assert!(ColumnCipher::new(spec(&versioned), &keys).is_ok());
    for wrong in [
        ColumnSpec { read: vec![plain.clone()], ..spec(&versioned) },
        ColumnSpec { read: vec![versioned.clone(), plain.clone()], ..spec(&versioned) },
        ColumnSpec { plaintext: PlaintextPolicy::Encrypt, ..spec(&versioned) },
    ] {
        assert!(matches!(ColumnCipher::new(wrong, &keys), Err(LayoutError::Unsupported { .. })));
    }
    // Fewer parts are no matter, and the nesting has its range.
    assert!(ColumnCipher::new(ColumnSpec { read: vec![versioned], ..spec(&plain) }, &keys).is_ok());
    for (nesting_max, fits) in [(0, false), (1, true), (16, true), (17, false)] {
        assert_eq!(ColumnCipher::new(ColumnSpec { nesting_max, ..spec(&plain) }, &keys).is_ok(), fits, "{nesting_max}");
    }
}
