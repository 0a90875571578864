//! The layout language: where the parts of a stored ciphertext are and how its key is made.

/// A layout as it is written in a configuration (`[layout.NAME]`) or in `vectors/formats.json`; round-trips through serde.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutSpec {
    /// for example `aes-256-gcm`
    pub cipher: String, /* text, bytes, bytea_text, let, iv, aad, accept, key, ... */
}

/// Why a layout cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The layout, or this part of it, is beyond what this version reads.
    #[error("{0}")]
    Unsupported(String),
}

/// A compiled layout with its name: reads and writes one byte layout of a ciphertext.
#[derive(Debug, Clone)]
pub struct Format;
impl Format {
    /// Compiles `spec`; everything that is wrong with it is found here, not on a row.
    pub fn compile(_name: &str, _spec: &LayoutSpec) -> Result<Self, LayoutError> {
        unimplemented!()
    }
    /// The preset of that name.
    pub fn preset(_name: &str) -> Option<Self> {
        unimplemented!()
    }
    /// The name under which the configuration knows it.
    pub fn name(&self) -> &str {
        unimplemented!()
    }
    /// The layout it was compiled from (part of the plan's id).
    pub fn spec(&self) -> &LayoutSpec {
        unimplemented!()
    }
    /// Whether a wrong key is always noticed.
    pub fn is_authenticated(&self) -> bool {
        unimplemented!()
    }
    /// Whether the layout stands in a column of bytes (`bytea`, BLOB) rather than of text.
    pub fn is_binary(&self) -> bool {
        unimplemented!()
    }
    /// The length in bytes of the stored value for a plaintext of `plaintext_len` bytes (canonical writing, no key id).
    pub fn stored_len(&self, _plaintext_len: usize) -> usize {
        unimplemented!()
    }
    /// Whether `stored` has this layout's strict shape (says nothing about keys). Discovery uses it.
    pub fn matches_shape(&self, _stored: &[u8]) -> bool {
        unimplemented!()
    }
}
