//! A compiled layout: reads and writes one byte layout of a ciphertext.
use crate::{
    Fingerprint, LayoutError, LayoutSpec, SecretKey,
    aead::{Aead, KEY_LEN},
    arena::{Arena, Source},
    codec::Spelling,
    container::{Builder, Container, Items, Lengths, Template},
    derivation::Derivation,
    formula::{Formula, Names},
    part::{Envelope, Part, Pieces},
    whitespace,
};
use std::{fmt, sync::Arc};

/// A stored value above this many bytes is not taken apart: a length cap before anything is decoded. PostgreSQL stores up
/// to 1 GiB in a field; a batch of such values is no longer a batch.
pub(crate) const STORED_BYTES_MAX: usize = 32 << 20;

/// A compiled layout with its name: reads and writes one byte layout of a ciphertext.
#[derive(Clone)]
pub struct Format(Arc<Compiled>);

struct Compiled {
    name: String,
    spec: LayoutSpec,
    container: Container,
    binary: bool,
    lengths: Lengths,
    len_min: usize,
    depth: usize,
    spelling: Spelling,
    strips_whitespace: bool,
    carried: Vec<Part>,
    derivation: Derivation,
    aad: Formula,
}

impl Format {
    /// Compiles `spec`; everything that is wrong with it is found here, not on a row.
    pub fn compile(name: &str, spec: &LayoutSpec) -> Result<Self, LayoutError> {
        refuse_later_members(spec)?;
        if spec.cipher != "aes-256-gcm" {
            return Err(LayoutError::unsupported("cipher", "the cipher is aes-256-gcm"));
        }
        let lengths = Lengths { iv: iv_len(spec)? };
        let (mut any_base64, mut strips_whitespace) = (false, false);
        for accepted in &spec.accept {
            match accepted.as_str() {
                "whitespace" => strips_whitespace = true,
                "b64-any" => any_base64 = true,
                other => return Err(LayoutError::invalid("accept", format!("`{other}` is not whitespace or b64-any"))),
            }
        }
        let mut builder = Builder::new(&spec.nested, lengths, any_base64);
        let (member, container) = match (&spec.text, &spec.bytes, &spec.bytea_text) {
            (Some(text), None, None) => ("text", Container::Text(Template::compile(text, "text", &mut builder)?)),
            (None, Some(bytes), None) => ("bytes", Container::Bytes(Items::compile(bytes, "bytes", &mut builder)?)),
            (None, None, Some(text)) => {
                ("bytea_text", Container::Text(Template::compile(text, "bytea_text", &mut builder)?))
            }
            _ => return Err(LayoutError::invalid("text", "a layout has exactly one of text, bytes and bytea_text")),
        };
        if member == "bytes" && !spec.accept.is_empty() {
            return Err(LayoutError::invalid("accept", "is for text"));
        }
        let carried = builder.finish(member)?;
        let aad = Formula::parse(spec.aad.as_deref().unwrap_or_default(), "aad")?;
        if let Some(part) = aad.parts().find(|part| *part != Part::Iv && !carried.contains(part)) {
            return Err(LayoutError::invalid("aad", format!("`{}` is no part of the value", part.name())));
        }
        Ok(Self(Arc::new(Compiled {
            name: name.to_owned(),
            len_min: container.len_min(lengths),
            depth: container.depth(),
            container,
            binary: member != "text",
            lengths,
            spelling: if any_base64 { Spelling::AnyBase64 } else { Spelling::Declared },
            strips_whitespace,
            carried,
            derivation: Derivation::compile(spec.key.as_ref().unwrap_or(&Default::default()))?,
            aad,
            spec: spec.clone(),
        })))
    }

    /// The name under which the configuration knows it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The layout it was compiled from (part of the plan's id).
    pub fn spec(&self) -> &LayoutSpec {
        &self.0.spec
    }

    /// Whether a wrong key is always noticed. True of every cipher that this version reads.
    pub fn is_authenticated(&self) -> bool {
        true
    }

    /// Which key its cipher has under the configured `key` in that column: columns with the same one share its nonces.
    pub fn sealing_key(&self, key: &SecretKey, table: &str, column: &str) -> Fingerprint {
        let derived = self.0.derivation.derive(key.expose(), Names { table, column });
        SecretKey::new(derived.to_vec()).fingerprint()
    }

    /// Whether the layout stands in a column of bytes (`bytea`, BLOB) rather than of text.
    pub fn is_binary(&self) -> bool {
        self.0.binary
    }

    /// The length in bytes of the stored value for a plaintext of `plaintext_len` bytes (canonical writing, no key id).
    pub fn stored_len(&self, plaintext_len: usize) -> usize {
        self.0.container.written_len(plaintext_len, self.0.lengths)
    }

    /// Whether `stored` has this layout's strict shape (says nothing about keys). Discovery uses it: leniency in
    /// reading does not count, so that two formats that differ in their spelling are told apart.
    pub fn matches_shape(&self, stored: &[u8]) -> bool {
        let (mut arena, mut envelope) = (Arena::default(), Envelope::default());
        self.find(&mut arena, &Source::Row(stored), Spelling::Canonical, &mut envelope).is_some()
    }

    /// Says in `envelope` where the parts of `source` are; `None` where it has another shape.
    pub(crate) fn read(&self, arena: &mut Arena, source: &Source<'_>, envelope: &mut Envelope) -> Option<()> {
        // Without its white space it is not longer.
        if arena.view(source).len() < self.0.len_min {
            return None;
        }
        let mark = arena.mark();
        if self.find(arena, source, self.0.spelling, envelope).is_some() {
            return Some(());
        }
        arena.rewind(mark);
        let stripped = self.strip(arena, source);
        let found = stripped.and_then(|stripped| self.find(arena, &stripped, self.0.spelling, envelope));
        if found.is_none() {
            arena.rewind(mark);
        }
        found
    }

    /// Whether `stored`, which does not have this shape, almost has it: damage rather than plaintext.
    pub(crate) fn nearly_holds(&self, arena: &mut Arena, stored: &[u8]) -> bool {
        let mark = arena.mark();
        let source = Source::Row(stored);
        let source = self.strip(arena, &source).unwrap_or(source);
        let near = self.0.container.nearly_holds(arena.view(&source), self.0.spelling, self.0.lengths);
        arena.rewind(mark);
        near
    }

    /// Appends the stored form of `pieces`, canonically. `temporaries` are buffers to work in.
    pub(crate) fn write(&self, pieces: &Pieces<'_>, out: &mut Vec<u8>, temporaries: &mut Vec<Vec<u8>>) {
        if temporaries.len() < self.0.depth {
            temporaries.resize_with(self.0.depth, Vec::new);
        }
        self.0.container.write(pieces, out, temporaries);
    }

    /// The cipher under `key`; the configured key goes through the layout's derivation first.
    pub(crate) fn aead(&self, which: &'static str, key: &[u8], names: Names<'_>) -> Result<Aead, LayoutError> {
        let key = self.0.derivation.derive(key, names);
        Aead::new(&key, self.0.lengths.iv).ok_or_else(|| LayoutError::KeyLength {
            which,
            cipher: self.0.spec.cipher.clone(),
            expected: KEY_LEN,
            found: key.len(),
        })
    }

    /// Associated data of its values.
    pub(crate) fn aad(&self) -> &Formula {
        &self.0.aad
    }

    /// Bytes of its nonces.
    pub(crate) fn iv_len(&self) -> usize {
        self.0.lengths.iv
    }

    /// Parts that are neither nonce, tag nor ciphertext.
    pub(crate) fn carried(&self) -> &[Part] {
        &self.0.carried
    }

    /// Whether text that has this shape by chance is out of the question.
    pub(crate) fn is_distinctive(&self) -> bool {
        self.0.container.is_distinctive()
    }

    fn find(&self, arena: &mut Arena, source: &Source<'_>, spelling: Spelling, envelope: &mut Envelope) -> Option<()> {
        let len = arena.view(source).len();
        if len < self.0.len_min || len > STORED_BYTES_MAX {
            return None;
        }
        *envelope = Envelope::default();
        self.0.container.read(arena, source, spelling, envelope)?;
        let fits = |part: Part, len: usize| envelope.get(part).len() == len;
        let lengths = self.0.lengths;
        let exact = [Part::Iv, Part::Tag].into_iter().all(|part| lengths.of(part).is_some_and(|len| fits(part, len)));
        exact.then_some(())
    }

    /// A copy without white space, where the layout tolerates it and there may be some.
    fn strip<'a>(&self, arena: &mut Arena, source: &Source<'a>) -> Option<Source<'a>> {
        if !self.0.strips_whitespace || arena.view(source).len() > STORED_BYTES_MAX {
            return None;
        }
        let bytes = arena.view(source);
        if !self.0.container.may_hold(bytes) || !whitespace::may_be_in(bytes) {
            return None;
        }
        let stripped = arena.append_with(source, |text, out| {
            let mut len = 0;
            for word in std::str::from_utf8(text).ok()?.split(whitespace::is_stripped) {
                out[len..len + word.len()].copy_from_slice(word.as_bytes());
                len += word.len();
            }
            Some(len)
        });
        stripped.map(Source::Arena)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Format").field("name", &self.0.name).field("spec", &self.0.spec).finish()
    }
}

fn refuse_later_members(spec: &LayoutSpec) -> Result<(), LayoutError> {
    let later = [
        ("json", spec.json.is_some()),
        ("extra", spec.extra.is_some()),
        ("types", !spec.types.is_empty()),
        ("columns", spec.columns.is_some()),
        ("mac", spec.mac.is_some()),
        ("inflate_if", spec.inflate_if.is_some()),
        ("pad", spec.pad.as_deref().is_some_and(|pad| pad != "none")),
    ];
    match later.iter().find(|(_, present)| *present) {
        Some((member, _)) => Err(LayoutError::unsupported(*member, "this version reads aes-256-gcm in text and bytes")),
        None => Ok(()),
    }
}

fn iv_len(spec: &LayoutSpec) -> Result<usize, LayoutError> {
    let iv = spec.iv.clone().unwrap_or_default();
    if iv.from.is_some() {
        return Err(LayoutError::unsupported("iv.from", "the nonce stands in the value"));
    }
    if iv.write.is_some() {
        return Err(LayoutError::unsupported("iv.write", "the nonce is random"));
    }
    match iv.len {
        Some(len @ (12 | 16)) => Ok(len as usize),
        Some(_) => Err(LayoutError::unsupported("iv.len", "a nonce has 12 or 16 bytes")),
        None => Err(LayoutError::invalid("iv.len", "is missing: 12 or 16")),
    }
}
