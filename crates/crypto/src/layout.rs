//! A layout as it is written: every member of the language, before anything is made of it.
//!
//! The language is described in `docs/formats.md`. [`LayoutSpec`] takes all of it, so that a configuration for a later
//! version is told which member this version does not read; what is read is decided by [`crate::Format::compile`].
use crate::ordered::Ordered;
use std::collections::BTreeMap;

/// A layout as it is written in a configuration (`[layout.NAME]`); round-trips through serde. Exactly one of `text`,
/// `bytes`, `bytea_text`, `json` and `columns` says where the value stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutSpec {
    /// for example `aes-256-gcm`
    pub cipher: String,
    /// a template over a text column: `{iv:b64}:{tag:b64}:{ct:b64}`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// items over a column of bytes: `0x01 kid[ber] iv[16] tag[16] ct`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// a template over ASCII text that stands in a column of bytes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytea_text: Option<String>,
    /// members of a JSON object
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonTemplate>,
    /// members beyond the named ones are tolerated
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<bool>,
    /// JSON members that are not strings
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// several columns of one row
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Ordered<ColumnTemplate>>,
    /// containers inside containers, by the name of the hole that holds them
    #[serde(rename = "let", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nested: BTreeMap<String, NestedSpec>,
    /// the nonce
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iv: Option<IvSpec>,
    /// how the configured key becomes the cipher's key
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeySpec>,
    /// authentication of formats whose cipher has none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacSpec>,
    /// associated data: `{table}/{column}`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aad: Option<String>,
    /// padding of the plaintext
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<String>,
    /// leniency in reading: `whitespace`, `b64-any`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    /// the plaintext is compressed where this JSON member says so
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inflate_if: Option<String>,
}

/// One container inside another: exactly one of `text`, `bytes` and `json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NestedSpec {
    /// a template
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// items
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// members of a JSON object
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonTemplate>,
    /// members beyond the named ones are tolerated
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<bool>,
    /// JSON members that are not strings
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
}

/// A JSON member: a template, or an object of members in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum JsonTemplate {
    /// a template, or `=const`, `#name`, `*`
    Member(String),
    /// nested members
    Object(Ordered<JsonTemplate>),
}

/// One of several columns: a template over its text, or items over its bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ColumnTemplate {
    /// a template, or `#name`
    Text(String),
    /// items
    Bytes {
        /// the items
        bytes: String,
    },
}

/// The nonce: in the value, or from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IvSpec {
    /// bytes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len: Option<u32>,
    /// `zero`, `key`, `kdf`; the value itself where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// how a deterministic nonce is made; random where absent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
}

/// How the configured key becomes the cipher's key.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// steps, in order
    #[serde(default)]
    pub kdf: Vec<KdfStep>,
    /// the encryption key out of their result
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enc: Option<KeyPart>,
    /// the authentication key out of their result
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<KeyPart>,
    /// the nonce out of their result
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iv: Option<KeyPart>,
}

/// A key taken out of the derivation's result.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum KeyPart {
    /// bytes from, up to
    Slice([u32; 2]),
    /// further steps
    Derived {
        /// the steps
        kdf: Vec<KdfStep>,
    },
    /// the configured key as it is
    Raw {
        /// always true
        raw: bool,
    },
}

/// One step of a derivation: exactly one of `hash`, `hexify`, `take`, `pad0`, `xorfold`, `hmac`, `hkdf`, `pbkdf2`, `scrypt`
/// and `evp`, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfStep {
    /// digest of the key
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// lower-case hex digits of the key
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hexify: Option<bool>,
    /// bytes from, up to
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<[u32; 2]>,
    /// cut or filled with zeros to this length
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad0: Option<u32>,
    /// folded by exclusive or to this length
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xorfold: Option<u32>,
    /// keyed digest of `msg`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<String>,
    /// of `hmac`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msg: Option<String>,
    /// RFC 5869 with `salt`, `info`, `len`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hkdf: Option<String>,
    /// RFC 8018 with `salt`, `iter`, `len`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pbkdf2: Option<String>,
    /// N, r, p, with `salt`, `len`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrypt: Option<[u32; 3]>,
    /// EVP_BytesToKey with `salt`, `iter`, `len`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evp: Option<String>,
    /// of `hkdf`, `pbkdf2`, `scrypt`, `evp`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// of `hkdf`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// of `pbkdf2`, `evp`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iter: Option<u32>,
    /// bytes that the step gives
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len: Option<u32>,
}

/// Authentication over parts of the value.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacSpec {
    /// for example `hmac-sha256`
    pub alg: String,
    /// a template
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// items
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_bytes: Option<String>,
}

/// Why a layout, or what is built on it, cannot be used. `member` says where, as a path from the layout's top.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Part of the language, but beyond what this version reads.
    #[error("`{member}` is not supported by this version: {reason}")]
    Unsupported {
        /// for example `key.kdf[0].scrypt`
        member: String,
        /// what is supported, or why not
        reason: String,
    },
    /// Not the language.
    #[error("`{member}` is wrong: {reason}")]
    Invalid {
        /// for example `text`
        member: String,
        /// what is wrong with it
        reason: String,
    },
    /// The key has another length than the cipher takes.
    #[error("the {which} key has {found} bytes after derivation, and {cipher} takes {expected}")]
    KeyLength {
        /// `old` or `new`
        which: &'static str,
        /// the layout's cipher
        cipher: String,
        /// bytes that the cipher takes
        expected: usize,
        /// bytes that were found
        found: usize,
    },
}

impl LayoutError {
    pub(crate) fn unsupported(member: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { member: member.into(), reason: reason.into() }
    }

    pub(crate) fn invalid(member: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { member: member.into(), reason: reason.into() }
    }
}
