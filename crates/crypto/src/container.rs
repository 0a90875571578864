//! Containers: where the parts of a value are, compiled from a template over text or from items over bytes.
//!
//! A container is read front to back where every hole's end is known by what follows it, then back to front, so that
//! one hole in between may be open. Nothing here recurses on data: the depth is that of the declaration.
mod bytes;
mod text;

use crate::{
    LayoutError,
    aead::TAG_LEN,
    arena::{Arena, Source},
    codec::Spelling,
    layout::NestedSpec,
    part::{Envelope, Part, Pieces},
};
pub(crate) use bytes::Items;
use std::collections::{BTreeMap, BTreeSet};
pub(crate) use text::Template;

/// What stands in a hole.
#[derive(Debug)]
pub(crate) enum Content {
    /// a part of the ciphertext
    Part(Part),
    /// a container of its own
    Nested(Box<Container>),
}

/// A compiled container.
#[derive(Debug)]
pub(crate) enum Container {
    /// a template over text
    Text(Template),
    /// items over bytes
    Bytes(Items),
}

/// Lengths that make a shape: of the nonce and of the tag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) iv: usize,
}

impl Lengths {
    /// The length of a part where it is fixed.
    pub(crate) fn of(self, part: Part) -> Option<usize> {
        match part {
            Part::Iv => Some(self.iv),
            Part::Tag => Some(TAG_LEN),
            Part::Ct | Part::Kid | Part::Ts | Part::Hdr => None,
        }
    }
}

impl Container {
    /// Finds the parts of `source`; `None` where it has another shape.
    pub(crate) fn read(
        &self,
        arena: &mut Arena,
        source: &Source<'_>,
        spelling: Spelling,
        envelope: &mut Envelope,
    ) -> Option<()> {
        match self {
            Self::Text(template) => template.read(arena, source, spelling, envelope),
            Self::Bytes(items) => items.read(arena, source, spelling, envelope),
        }
    }

    /// Appends the container around `pieces`. `temporaries` has one buffer for each level of nesting.
    pub(crate) fn write(&self, pieces: &Pieces<'_>, out: &mut Vec<u8>, temporaries: &mut [Vec<u8>]) {
        match self {
            Self::Text(template) => template.write(pieces, out, temporaries),
            Self::Bytes(items) => items.write(pieces, out, temporaries),
        }
    }

    /// Levels of containers below this one.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Text(template) => template.depth(),
            Self::Bytes(items) => items.depth(),
        }
    }

    /// Bytes when written around a ciphertext of `ct` bytes, carried parts empty.
    pub(crate) fn written_len(&self, ct: usize, lengths: Lengths) -> usize {
        match self {
            Self::Text(template) => template.written_len(ct, lengths),
            Self::Bytes(items) => items.written_len(ct, lengths),
        }
    }

    /// The fewest bytes in which a value can be read.
    pub(crate) fn len_min(&self, lengths: Lengths) -> usize {
        match self {
            Self::Text(template) => template.len_min(lengths),
            Self::Bytes(items) => items.len_min(lengths),
        }
    }

    /// Whether text that has this shape by chance is out of the question.
    pub(crate) fn is_distinctive(&self) -> bool {
        match self {
            Self::Text(template) => template.is_distinctive(),
            Self::Bytes(items) => items.is_distinctive(),
        }
    }

    /// Whether every literal may be in `value`: without them it has no such shape, whatever is stripped from it.
    pub(crate) fn may_hold(&self, value: &[u8]) -> bool {
        match self {
            Self::Text(template) => template.may_hold(value),
            Self::Bytes(_) => true,
        }
    }

    /// Whether `value`, which does not have this shape, almost has it.
    pub(crate) fn nearly_holds(&self, value: &[u8], spelling: Spelling, lengths: Lengths) -> bool {
        match self {
            Self::Text(template) => template.nearly_holds(value, spelling, lengths),
            Self::Bytes(items) => items.nearly_holds(value),
        }
    }
}

impl Content {
    /// Bytes that it takes where that is fixed.
    fn fixed_len(&self, lengths: Lengths) -> Option<usize> {
        match self {
            Self::Part(part) => lengths.of(*part),
            Self::Nested(_) => None,
        }
    }

    fn written_len(&self, ct: usize, lengths: Lengths) -> usize {
        match self {
            Self::Part(Part::Ct) => ct,
            Self::Part(part) => lengths.of(*part).unwrap_or(0),
            Self::Nested(container) => container.written_len(ct, lengths),
        }
    }

    fn len_min(&self, lengths: Lengths) -> usize {
        match self {
            Self::Part(part) => lengths.of(*part).unwrap_or(0),
            Self::Nested(container) => container.len_min(lengths),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::Part(_) => 0,
            Self::Nested(container) => 1 + container.depth(),
        }
    }

    /// Takes over bytes that were decoded into the arena.
    fn take(
        &self,
        arena: &mut Arena,
        range: std::ops::Range<usize>,
        spelling: Spelling,
        envelope: &mut Envelope,
    ) -> Option<()> {
        match self {
            Self::Part(part) => {
                envelope.set(*part, range);
                Some(())
            }
            Self::Nested(container) => container.read(arena, &Source::Arena(range), spelling, envelope),
        }
    }

    /// Hands its bytes to `then`: those of a part as they are, those of a container written out first.
    fn with_bytes(&self, pieces: &Pieces<'_>, temporaries: &mut [Vec<u8>], then: impl FnOnce(&[u8])) {
        match self {
            Self::Part(part) => then(pieces.get(*part)),
            Self::Nested(container) => {
                // The format keeps a buffer for each level of its own depth.
                if let Some((buffer, deeper)) = temporaries.split_first_mut() {
                    buffer.clear();
                    container.write(pieces, buffer, deeper);
                    then(buffer);
                }
            }
        }
    }
}

/// Builds containers from their declarations; keeps account of what was used.
pub(crate) struct Builder<'a> {
    nested: &'a BTreeMap<String, NestedSpec>,
    lengths: Lengths,
    any_base64: bool,
    seen: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(nested: &'a BTreeMap<String, NestedSpec>, lengths: Lengths, any_base64: bool) -> Self {
        Self { nested, lengths, any_base64, seen: BTreeSet::new() }
    }

    /// Checks that every part that the cipher needs is there and that every declared container is used.
    pub(crate) fn finish(self, member: &str) -> Result<Vec<Part>, LayoutError> {
        for part in [Part::Iv, Part::Tag, Part::Ct] {
            if !self.seen.contains(part.name()) {
                return Err(LayoutError::invalid(member, format!("has no `{}`", part.name())));
            }
        }
        if let Some(name) = self.nested.keys().find(|name| !self.seen.contains(*name)) {
            return Err(LayoutError::invalid(format!("let.{name}"), "no hole has this name"));
        }
        Ok(Part::CARRIED.into_iter().filter(|part| self.seen.contains(part.name())).collect())
    }

    /// What the hole `name` holds.
    fn content(&mut self, name: &str, member: &str) -> Result<Content, LayoutError> {
        if matches!(name, "salt" | "mac") {
            return Err(LayoutError::unsupported(member, format!("the part `{name}`")));
        }
        if !self.seen.insert(name.to_owned()) {
            return Err(LayoutError::invalid(member, format!("`{name}` stands twice")));
        }
        if let Some(part) = Part::named(name) {
            return match self.nested.contains_key(name) {
                true => Err(LayoutError::invalid(format!("let.{name}"), "is the name of a part")),
                false => Ok(Content::Part(part)),
            };
        }
        let Some(spec) = self.nested.get(name) else {
            return Err(LayoutError::invalid(member, format!("`{name}` is no part and not declared under `let`")));
        };
        let member = format!("let.{name}");
        let container = match spec {
            NestedSpec { json: Some(_), .. } | NestedSpec { extra: Some(_), .. } => {
                return Err(LayoutError::unsupported(format!("{member}.json"), "containers are text and bytes"));
            }
            NestedSpec { text: Some(text), bytes: None, .. } => {
                Container::Text(Template::compile(text, &format!("{member}.text"), self)?)
            }
            NestedSpec { bytes: Some(bytes), text: None, .. } => {
                Container::Bytes(Items::compile(bytes, &format!("{member}.bytes"), self)?)
            }
            _ => return Err(LayoutError::invalid(member, "is exactly one of text, bytes and json")),
        };
        Ok(Content::Nested(Box::new(container)))
    }
}
