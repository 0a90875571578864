//! The formats of one column, each with its keys derived.
use crate::{
    ColumnSpec, Expect, Format, KeyPair, LayoutError, SecretKey,
    aead::{Aead, TAG_LEN},
    arena::Arena,
    formula::Names,
    part::{Envelope, Part, Pieces},
};

/// Which of the keys: the pair's own, or another pair's old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Old,
    New,
    Other(usize),
}

/// A format and its ciphers under both keys.
pub(crate) struct Candidate {
    pub(crate) format: Format,
    old: Option<Aead>,
    new: Option<Aead>,
    /// under the old keys of other pairs, which open what nobody expects here
    others: Vec<Aead>,
    aad: AssociatedData,
}

enum AssociatedData {
    Constant(Vec<u8>),
    /// depends on parts of the value
    OfValue,
}

/// The formats that a column is read in, in the order of trial, and the one that it is written in.
pub(crate) struct Keyring {
    pub(crate) candidates: Vec<Candidate>,
    write: usize,
    table: String,
    column: String,
}

impl Keyring {
    /// Derives every key. The format written is read too: values that are already new stand in it.
    pub(crate) fn new(spec: &ColumnSpec, keys: &KeyPair) -> Result<Self, LayoutError> {
        let names = Names { table: &spec.table, column: &spec.column };
        let mut formats = spec.read.clone();
        if !formats.iter().any(|format| format.spec() == spec.write.spec()) {
            formats.push(spec.write.clone());
        }
        formats.sort_by_key(|format| !format.is_authenticated());
        let write = formats.iter().position(|format| format.spec() == spec.write.spec()).unwrap_or(0);
        let candidates = formats.into_iter().map(|format| Candidate::new(format, names, keys));
        Ok(Self {
            candidates: candidates.collect::<Result<_, _>>()?,
            write,
            table: spec.table.clone(),
            column: spec.column.clone(),
        })
    }

    /// A ring that reads nothing.
    pub(crate) fn none(spec: &ColumnSpec) -> Self {
        Self { candidates: Vec::new(), write: 0, table: spec.table.clone(), column: spec.column.clone() }
    }

    /// The presets of text or of bytes that this ring does not read. A preset whose key cannot be derived from the pair can hold nothing
    /// under it.
    pub(crate) fn undeclared(&self, spec: &ColumnSpec, keys: &KeyPair, binary: bool) -> Self {
        let names = Names { table: &spec.table, column: &spec.column };
        let is_read =
            |format: &Format| self.candidates.iter().any(|candidate| candidate.format.spec() == format.spec());
        let others = crate::presets().iter().filter_map(|preset| Format::preset(preset.name));
        let others = others.filter(|format| format.is_binary() == binary && !is_read(format));
        let candidates = others.filter_map(|format| Candidate::new(format, names, keys).ok()).collect();
        Self { candidates, ..Self::none(spec) }
    }

    /// Tries these keys too, where none of the pair opens a value. One that does not fit a format can have sealed nothing in it.
    pub(crate) fn know(&mut self, others: &[&SecretKey]) {
        let names = Names { table: &self.table, column: &self.column };
        for Candidate { format, others: known, .. } in &mut self.candidates {
            known.extend(others.iter().filter_map(|key| format.aead("old", key.expose(), names).ok()));
        }
    }

    /// The format written.
    pub(crate) fn written(&self) -> &Candidate {
        &self.candidates[self.write]
    }

    /// Whether the old key is at hand, so that "not under the old key" can be said.
    pub(crate) fn has_old(&self) -> bool {
        self.candidates.iter().all(|candidate| candidate.old.is_some())
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names { table: &self.table, column: &self.column }
    }
}

impl Candidate {
    fn new(format: Format, names: Names<'_>, keys: &KeyPair) -> Result<Self, LayoutError> {
        let old = keys.old.as_ref().map(|key| format.aead("old", key.expose(), names)).transpose()?;
        let new = keys.new.as_ref().map(|key| format.aead("new", key.expose(), names)).transpose()?;
        let aad = match format.aad().parts().next() {
            None => AssociatedData::Constant(format.aad().constant(names)),
            Some(_) => AssociatedData::OfValue,
        };
        Ok(Self { format, old, new, others: Vec::new(), aad })
    }

    /// The keys in the order of trial.
    pub(crate) fn sides(&self, expect: Expect) -> impl Iterator<Item = Side> + use<> {
        let own = match expect {
            Expect::Old => [Side::Old, Side::New],
            Expect::New => [Side::New, Side::Old],
        };
        own.into_iter().chain((0..self.others.len()).map(Side::Other))
    }

    fn aead(&self, side: Side) -> Option<&Aead> {
        match side {
            Side::Old => self.old.as_ref(),
            Side::New => self.new.as_ref(),
            Side::Other(at) => self.others.get(at),
        }
    }

    /// Decrypts the ciphertext of `envelope` in place where it authenticates; otherwise it stays as it was.
    pub(crate) fn open(
        &self,
        side: Side,
        names: Names<'_>,
        envelope: &Envelope,
        arena: &mut Arena,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let Some(aead) = self.aead(side) else { return false };
        let pieces = || self.carried(envelope, arena, arena.get(envelope.get(Part::Iv)));
        let aad = self.associated_data(names, pieces, buffer);
        let [iv, tag, ciphertext] = arena.parts_mut([Part::Iv, Part::Tag, Part::Ct].map(|part| envelope.get(part)));
        aead.open(iv, aad, ciphertext, tag)
    }

    /// Encrypts `buffer` in place under the new key. `None` where there is none.
    pub(crate) fn seal(&self, iv: &[u8], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        self.aead(Side::New)?.seal(iv, aad, buffer)
    }

    /// The nonce and the parts that its format carries: all that is known before a value is sealed.
    pub(crate) fn carried<'a>(&self, envelope: &Envelope, arena: &'a Arena, iv: &'a [u8]) -> Pieces<'a> {
        let mut pieces = Pieces::default();
        pieces.set(Part::Iv, iv);
        for &part in self.format.carried() {
            pieces.set(part, arena.get(envelope.get(part)));
        }
        pieces
    }

    /// The associated data for a value with these parts, which are asked for where they matter.
    pub(crate) fn associated_data<'a, 'p>(
        &'a self,
        names: Names<'_>,
        pieces: impl FnOnce() -> Pieces<'p>,
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        match &self.aad {
            AssociatedData::Constant(bytes) => bytes,
            AssociatedData::OfValue => {
                buffer.clear();
                self.format.aad().write(names, &pieces(), buffer);
                buffer
            }
        }
    }
}
