//! The formats that ship with the tool.
use crate::{Format, IvSpec, KdfStep, KeySpec, LayoutSpec, NestedSpec};
use std::{collections::BTreeMap, sync::LazyLock};

/// A format that needs no declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// As written in a configuration.
    pub name: &'static str,
    /// One sentence: who writes it.
    pub about: &'static str,
}

/// Every preset, in the order in which discovery tries them.
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> =
        LazyLock::new(|| DEFINITIONS.iter().map(|d| Preset { name: d.name, about: d.about }).collect());
    &PRESETS
}

impl Format {
    /// The preset of that name.
    pub fn preset(name: &str) -> Option<Self> {
        let definition = DEFINITIONS.iter().find(|definition| definition.name == name)?;
        Self::compile(name, &definition.layout()).ok()
    }
}

/// A preset's layout, as short as it can be written down.
struct Definition {
    name: &'static str,
    about: &'static str,
    container: Container,
    iv: u32,
    aad: Option<&'static str>,
    key: Key,
    lenient: bool,
}

#[derive(Clone, Copy)]
enum Container {
    /// a template of parts
    Text(&'static str),
    /// a template with one hole `blob`, and the items in it
    Blob(&'static str, &'static str),
    /// items
    Bytes(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    AsConfigured,
    Sha256,
    /// per table and column, as Lockbox derives it
    Lockbox,
}

impl Definition {
    const fn new(name: &'static str, iv: u32, container: Container, about: &'static str) -> Self {
        Self { name, about, container, iv, aad: None, key: Key::AsConfigured, lenient: false }
    }

    const fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    const fn aad(self, aad: &'static str) -> Self {
        Self { aad: Some(aad), ..self }
    }

    const fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    fn layout(&self) -> LayoutSpec {
        let mut layout = LayoutSpec {
            cipher: "aes-256-gcm".to_owned(),
            iv: Some(IvSpec { len: Some(self.iv), ..IvSpec::default() }),
            aad: self.aad.map(str::to_owned),
            ..LayoutSpec::default()
        };
        match self.container {
            Container::Text(text) => layout.text = Some(text.to_owned()),
            Container::Bytes(bytes) => layout.bytes = Some(bytes.to_owned()),
            Container::Blob(text, bytes) => {
                layout.text = Some(text.to_owned());
                let blob = NestedSpec { bytes: Some(bytes.to_owned()), ..NestedSpec::default() };
                layout.nested = BTreeMap::from([("blob".to_owned(), blob)]);
            }
        }
        if self.lenient {
            layout.accept = vec!["whitespace".to_owned(), "b64-any".to_owned()];
        }
        let step = match self.key {
            Key::AsConfigured => return layout,
            Key::Sha256 => KdfStep { hash: Some("sha256".to_owned()), ..KdfStep::default() },
            Key::Lockbox => KdfStep {
                hkdf: Some("sha384".to_owned()),
                salt: Some("{table}".to_owned()),
                info: Some("{hex:b4*32}{column}".to_owned()),
                len: Some(32),
                ..KdfStep::default()
            },
        };
        layout.key = Some(KeySpec { kdf: vec![step], ..KeySpec::default() });
        layout
    }
}

const fn text(name: &'static str, iv: u32, template: &'static str, about: &'static str) -> Definition {
    Definition::new(name, iv, Container::Text(template), about)
}

const fn blob(
    name: &'static str,
    iv: u32,
    template: &'static str,
    items: &'static str,
    about: &'static str,
) -> Definition {
    Definition::new(name, iv, Container::Blob(template, items), about)
}

const fn bytes(name: &'static str, iv: u32, items: &'static str, about: &'static str) -> Definition {
    Definition::new(name, iv, Container::Bytes(items), about)
}

const TRIPLE: &str = "home-made, three parts: nonce, tag, ciphertext";
const TAG_LAST: &str = "home-made, three parts: nonce, ciphertext, tag";
const PAIR: &str = "home-made, two parts: nonce, ciphertext with its tag";
const BLOB: &str = "home-made, one part: nonce, ciphertext, tag (the norm of Go, Java, Python, Rust, C#)";
const TAG_SECOND: &str = "home-made, one part: nonce, tag, ciphertext (common in Node and PHP)";
const CT_FIRST: &str = "home-made, one part: ciphertext, tag, nonce";
const JOINED: &str = "home-made, hex digits without separators: nonce, tag, ciphertext";

const IV_CT_TAG_12: &str = "iv[12] ct tag[16]";
const IV_TAG_CT_12: &str = "iv[12] tag[16] ct";
const IV_CT_TAG_16: &str = "iv[16] ct tag[16]";
const IV_TAG_CT_16: &str = "iv[16] tag[16] ct";

/// From those that say what they are, by prefixes and separators, to those that any text of their alphabet may be.
const DEFINITIONS: &[Definition] = &[
    // Prefixes.
    blob("vault-transit", 12, "vault:v{kid:dec}:{blob:b64}", IV_CT_TAG_12, "Vault transit, aes256-gcm96, exported key"),
    blob(
        "47ng-cloak",
        12,
        "v1.aesgcm256.{kid:hex}.{iv:b64u=}.{blob:b64u=}",
        "ct tag[16]",
        "@47ng/cloak, prisma-field-encryption",
    ),
    text("jwe-dir-a256gcm", 12, "{hdr:b64u}..{iv:b64u}.{ct:b64u}.{tag:b64u}", "compact JWE, alg dir, enc A256GCM")
        .aad("{hdr:b64u}"),
    blob(
        "gcm-enc-versioned-blob-b64u-iv12",
        12,
        "enc:v{kid:dec}:{blob:b64u}",
        IV_CT_TAG_12,
        "home-made, `enc:v1:` before one part",
    ),
    text("gcm-enc-triple-b64-iv12", 12, "enc:{iv:b64}:{tag:b64}:{ct:b64}", "home-made, `enc:` before three parts"),
    text("gcm-enc-triple-b64-iv16", 16, "enc:{iv:b64}:{tag:b64}:{ct:b64}", "home-made, `enc:` before three parts"),
    text("gcm-enc-triple-hex-iv12", 12, "enc:{iv:hex}:{tag:hex}:{ct:hex}", "home-made, `enc:` before three parts"),
    text("gcm-enc-triple-hex-iv16", 16, "enc:{iv:hex}:{tag:hex}:{ct:hex}", "home-made, `enc:` before three parts"),
    blob(
        "gcm-enc-blob-b64-iv12",
        12,
        "ENC:{blob:b64}",
        IV_TAG_CT_12,
        "home-made, `ENC:` before one part: nonce, tag, ciphertext",
    ),
    blob("gcm-enc-parens-blob-b64-iv12", 12, "ENC({blob:b64})", IV_CT_TAG_12, "home-made, one part in `ENC()`"),
    // Key ids.
    text(
        "gcm-versioned-triple-b64-iv12",
        12,
        "v{kid:dec}:{iv:b64}:{tag:b64}:{ct:b64}",
        "home-made, `v1:` before three parts",
    ),
    text(
        "gcm-versioned-triple-b64-iv16",
        16,
        "v{kid:dec}:{iv:b64}:{tag:b64}:{ct:b64}",
        "home-made, `v1:` before three parts",
    ),
    text(
        "gcm-versioned-triple-hex-iv12",
        12,
        "v{kid:dec}:{iv:hex}:{tag:hex}:{ct:hex}",
        "home-made, `v1:` before three parts",
    ),
    text(
        "gcm-versioned-triple-hex-iv16",
        16,
        "v{kid:dec}:{iv:hex}:{tag:hex}:{ct:hex}",
        "home-made, `v1:` before three parts",
    ),
    text(
        "gcm-kid-triple-hex-iv12",
        12,
        "{kid:word}:{iv:hex}:{tag:hex}:{ct:hex}",
        "home-made, a key's name before three parts",
    ),
    text(
        "gcm-kid-triple-hex-iv16",
        16,
        "{kid:word}:{iv:hex}:{tag:hex}:{ct:hex}",
        "home-made, a key's name before three parts",
    ),
    text(
        "gcm-kid-triple-b64-iv12",
        12,
        "{kid:word}:{iv:b64}:{tag:b64}:{ct:b64}",
        "home-made, a key's name before three parts",
    ),
    text(
        "gcm-kid-triple-b64-iv16",
        16,
        "{kid:word}:{iv:b64}:{tag:b64}:{ct:b64}",
        "home-made, a key's name before three parts",
    ),
    // Separators, parts of exact length. Hex before base64: every hex digit is a base64 digit too.
    text("gcm-triple-hex-iv16", 16, "{iv:hex}:{tag:hex}:{ct:hex}", TRIPLE),
    text("gcm-triple-hex-iv12", 12, "{iv:hex}:{tag:hex}:{ct:hex}", TRIPLE),
    text("gcm-triple-hex-iv16-tag-last", 16, "{iv:hex}:{ct:hex}:{tag:hex}", TAG_LAST),
    text("gcm-triple-hex-iv12-tag-last", 12, "{iv:hex}:{ct:hex}:{tag:hex}", TAG_LAST),
    text(
        "gcm-triple-b64-iv16",
        16,
        "{iv:b64}:{tag:b64}:{ct:b64}",
        "Node, three parts of base64: nonce, tag, ciphertext; read leniently",
    )
    .lenient(),
    text("gcm-triple-b64-iv12", 12, "{iv:b64}:{tag:b64}:{ct:b64}", TRIPLE),
    text("gcm-triple-b64-iv16-tag-last", 16, "{iv:b64}:{ct:b64}:{tag:b64}", TAG_LAST),
    text("gcm-triple-b64-iv12-tag-last", 12, "{iv:b64}:{ct:b64}:{tag:b64}", TAG_LAST),
    text("gcm-triple-b64u-iv16", 16, "{iv:b64u}:{tag:b64u}:{ct:b64u}", TRIPLE),
    text("gcm-triple-b64u-iv12", 12, "{iv:b64u}:{tag:b64u}:{ct:b64u}", TRIPLE),
    text("gcm-triple-b64u-iv16-tag-last", 16, "{iv:b64u}:{ct:b64u}:{tag:b64u}", TAG_LAST),
    text("gcm-triple-b64u-iv12-tag-last", 12, "{iv:b64u}:{ct:b64u}:{tag:b64u}", TAG_LAST),
    text("gcm-triple-hex-iv16-dot", 16, "{iv:hex}.{tag:hex}.{ct:hex}", TRIPLE),
    text("gcm-triple-hex-iv12-dot", 12, "{iv:hex}.{tag:hex}.{ct:hex}", TRIPLE),
    text("gcm-triple-hex-iv16-dot-tag-last", 16, "{iv:hex}.{ct:hex}.{tag:hex}", TAG_LAST),
    text("gcm-triple-hex-iv12-dot-tag-last", 12, "{iv:hex}.{ct:hex}.{tag:hex}", TAG_LAST),
    text("gcm-triple-b64-iv16-dot", 16, "{iv:b64}.{tag:b64}.{ct:b64}", TRIPLE),
    text("gcm-triple-b64-iv12-dot", 12, "{iv:b64}.{tag:b64}.{ct:b64}", TRIPLE),
    text("gcm-triple-b64-iv16-dot-tag-last", 16, "{iv:b64}.{ct:b64}.{tag:b64}", TAG_LAST),
    text("gcm-triple-b64-iv12-dot-tag-last", 12, "{iv:b64}.{ct:b64}.{tag:b64}", TAG_LAST),
    text("gcm-triple-b64u-iv16-dot", 16, "{iv:b64u}.{tag:b64u}.{ct:b64u}", TRIPLE),
    text("gcm-triple-b64u-iv12-dot", 12, "{iv:b64u}.{tag:b64u}.{ct:b64u}", TRIPLE),
    text("gcm-triple-b64u-iv16-dot-tag-last", 16, "{iv:b64u}.{ct:b64u}.{tag:b64u}", TAG_LAST),
    text("gcm-triple-b64u-iv12-dot-tag-last", 12, "{iv:b64u}.{ct:b64u}.{tag:b64u}", TAG_LAST),
    text(
        "rails-message-encryptor-gcm",
        12,
        "{ct:b64}--{iv:b64}--{tag:b64}",
        "ActiveSupport::MessageEncryptor, aes-256-gcm",
    ),
    text(
        "rails-message-encryptor-gcm-b64u",
        12,
        "{ct:b64u}--{iv:b64u}--{tag:b64u}",
        "ActiveSupport::MessageEncryptor, aes-256-gcm, url_safe",
    ),
    text(
        "gcm-triple-hex-iv16-ct-first",
        16,
        "{ct:hex}:{iv:hex}:{tag:hex}",
        "home-made, three parts: ciphertext, nonce, tag",
    ),
    text(
        "gcm-triple-hex-iv12-ct-first",
        12,
        "{ct:hex}:{iv:hex}:{tag:hex}",
        "home-made, three parts: ciphertext, nonce, tag",
    ),
    text(
        "gcm-triple-b64-iv16-ct-first",
        16,
        "{ct:b64}:{iv:b64}:{tag:b64}",
        "home-made, three parts: ciphertext, nonce, tag",
    ),
    text(
        "gcm-triple-b64-iv12-ct-first",
        12,
        "{ct:b64}:{iv:b64}:{tag:b64}",
        "home-made, three parts: ciphertext, nonce, tag",
    ),
    text(
        "gcm-triple-hex-iv16-iv-last",
        16,
        "{ct:hex}:{tag:hex}:{iv:hex}",
        "home-made, three parts: ciphertext, tag, nonce",
    ),
    text(
        "gcm-triple-hex-iv12-iv-last",
        12,
        "{ct:hex}:{tag:hex}:{iv:hex}",
        "home-made, three parts: ciphertext, tag, nonce",
    ),
    text(
        "gcm-triple-b64-iv16-iv-last",
        16,
        "{ct:b64}:{tag:b64}:{iv:b64}",
        "home-made, three parts: ciphertext, tag, nonce",
    ),
    text(
        "gcm-triple-b64-iv12-iv-last",
        12,
        "{ct:b64}:{tag:b64}:{iv:b64}",
        "home-made, three parts: ciphertext, tag, nonce",
    ),
    text(
        "gcm-triple-hex-iv12-tag-first",
        12,
        "{tag:hex}:{iv:hex}:{ct:hex}",
        "home-made, three parts: tag, nonce, ciphertext",
    ),
    text(
        "gcm-triple-b64-iv12-tag-first",
        12,
        "{tag:b64}:{iv:b64}:{ct:b64}",
        "home-made, three parts: tag, nonce, ciphertext",
    ),
    text(
        "gcm-triple-hex-iv12-tag-first-iv-last",
        12,
        "{tag:hex}:{ct:hex}:{iv:hex}",
        "home-made, three parts: tag, ciphertext, nonce",
    ),
    text(
        "gcm-triple-b64-iv12-tag-first-iv-last",
        12,
        "{tag:b64}:{ct:b64}:{iv:b64}",
        "home-made, three parts: tag, ciphertext, nonce",
    ),
    blob("gcm-pair-hex-iv16", 16, "{iv:hex}:{blob:hex}", "ct tag[16]", PAIR),
    blob("gcm-pair-hex-iv12", 12, "{iv:hex}:{blob:hex}", "ct tag[16]", PAIR),
    blob("gcm-pair-b64-iv16", 16, "{iv:b64}:{blob:b64}", "ct tag[16]", PAIR),
    blob("gcm-pair-b64-iv12", 12, "{iv:b64}:{blob:b64}", "ct tag[16]", PAIR),
    blob("gcm-pair-b64u-iv12", 12, "{iv:b64u}:{blob:b64u}", "ct tag[16]", PAIR),
    blob("gcm-pair-hex-iv12-dot", 12, "{iv:hex}.{blob:hex}", "ct tag[16]", PAIR),
    blob("gcm-pair-b64-iv12-dot", 12, "{iv:b64}.{blob:b64}", "ct tag[16]", PAIR),
    blob("gcm-pair-b64u-iv12-dot", 12, "{iv:b64u}.{blob:b64u}", "ct tag[16]", PAIR),
    // One part: only the key tells.
    text("gcm-joined-hex-iv16", 16, "{iv:hex}{tag:hex}{ct:hex}", JOINED),
    text("gcm-joined-hex-iv12", 12, "{iv:hex}{tag:hex}{ct:hex}", JOINED),
    blob("gcm-blob-hex-iv12", 12, "{blob:hex}", IV_CT_TAG_12, BLOB),
    blob("gcm-blob-hex-iv16", 16, "{blob:hex}", IV_CT_TAG_16, BLOB),
    blob("gcm-blob-b64-iv12", 12, "{blob:b64}", IV_CT_TAG_12, BLOB),
    blob("gcm-blob-b64-iv12-tag-second", 12, "{blob:b64}", IV_TAG_CT_12, TAG_SECOND),
    blob("gcm-blob-b64-iv16", 16, "{blob:b64}", IV_CT_TAG_16, BLOB),
    blob("gcm-blob-b64-iv16-tag-second", 16, "{blob:b64}", IV_TAG_CT_16, TAG_SECOND),
    blob("gcm-blob-b64-iv12-ct-first", 12, "{blob:b64}", "ct tag[16] iv[12]", CT_FIRST),
    blob("gcm-blob-b64u-iv12", 12, "{blob:b64u}", IV_CT_TAG_12, BLOB),
    blob("gcm-blob-b64u-iv12-tag-second", 12, "{blob:b64u}", IV_TAG_CT_12, TAG_SECOND),
    blob("gcm-blob-b64u-iv16", 16, "{blob:b64u}", IV_CT_TAG_16, BLOB),
    blob("gcm-blob-b64u-iv16-tag-second", 16, "{blob:b64u}", IV_TAG_CT_16, TAG_SECOND),
    blob("lockbox", 12, "{blob:b64}", IV_CT_TAG_12, "Lockbox, a key per table and column").key(Key::Lockbox),
    blob("sqlalchemy-utils-aes-gcm", 12, "{blob:b64}", IV_TAG_CT_12, "SQLAlchemy-Utils, AesGcmEngine").key(Key::Sha256),
    // Bytes.
    bytes("cloak-ecto", 16, "0x01 kid[ber] iv[16] tag[16] ct", "Cloak.Ecto, AES.GCM").aad("AES256GCM"),
    bytes("cloak-ecto-iv12", 12, "0x01 kid[ber] iv[12] tag[16] ct", "Cloak.Ecto, AES.GCM with iv_length 12")
        .aad("AES256GCM"),
    bytes(
        "tink-aes256-gcm",
        12,
        "0x01 kid[4] iv[12] ct tag[16]",
        "Tink AEAD, AES256_GCM, prefix TINK, no associated data",
    ),
    bytes(
        "tink-aes256-gcm-crunchy",
        12,
        "0x00 kid[4] iv[12] ct tag[16]",
        "Tink AEAD, AES256_GCM, prefix CRUNCHY, no associated data",
    ),
    bytes("gcm-bytes-iv12", 12, IV_CT_TAG_12, "bytes: nonce, ciphertext, tag (Tink RAW and most libraries)"),
    bytes("gcm-bytes-iv12-tag-second", 12, IV_TAG_CT_12, "bytes: nonce, tag, ciphertext"),
    bytes("gcm-bytes-iv16", 16, IV_CT_TAG_16, "bytes: nonce, ciphertext, tag"),
    bytes("gcm-bytes-iv16-tag-second", 16, IV_TAG_CT_16, "bytes: nonce, tag, ciphertext"),
];
