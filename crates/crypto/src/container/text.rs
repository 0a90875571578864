//! A template over text: `{iv:b64}:{tag:b64}:{ct:b64}`.
use super::{Builder, Content, Lengths};
use crate::{
    LayoutError,
    arena::{Arena, Source},
    codec::{Codec, Spelling},
    hole::{self, Piece},
    part::{Envelope, Part, Pieces},
};

/// Holes of one template.
const HOLES_MAX: usize = 8;
/// With a literal before, between and behind them.
const SEGMENTS_MAX: usize = 2 * HOLES_MAX + 1;

#[derive(Debug)]
enum Segment {
    Literal(Vec<u8>),
    Hole(Hole),
}

#[derive(Debug)]
struct Hole {
    content: Content,
    codec: Codec,
    end: End,
}

/// How the end of a hole is known (or its start, for those read from the back).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// at a byte that its alphabet does not have
    Separator(u8),
    /// by its length, in characters
    Width(usize),
    /// where the text ends, or where what is read from the back begins
    Open,
}

/// Segments; those before `open` are read from the front, those after it from the back.
#[derive(Debug)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    open: usize,
}

impl Template {
    /// Reads the declaration, and finds for each hole how its end is known.
    pub(crate) fn compile(declaration: &str, member: &str, builder: &mut Builder<'_>) -> Result<Self, LayoutError> {
        let mut segments = Vec::new();
        for piece in hole::pieces(declaration, member)? {
            segments.push(match piece {
                Piece::Text(text) => Segment::Literal(text.into_bytes()),
                Piece::Hole(hole) => Segment::Hole(compile_hole(hole, member, builder)?),
            });
        }
        if segments.iter().filter(|segment| matches!(segment, Segment::Hole(_))).count() > HOLES_MAX {
            return Err(LayoutError::invalid(member, format!("more than {HOLES_MAX} holes")));
        }
        let open = find_ends(&mut segments, member, builder)?;
        Ok(Self { segments, open })
    }

    pub(crate) fn read(
        &self,
        arena: &mut Arena,
        source: &Source<'_>,
        spelling: Spelling,
        envelope: &mut Envelope,
    ) -> Option<()> {
        let (mut ends, mut holes) = ([0; HOLES_MAX], 0);
        let decoded = arena.append_with(source, |text, out| {
            let mut len = 0;
            self.each_part(text, |hole, part| {
                len += hole.codec.decode(part, &mut out[len..], spelling)?;
                ends[holes] = len;
                holes += 1;
                Some(())
            })?;
            Some(len)
        })?;
        let mut start = decoded.start;
        for (hole, end) in self.holes().zip(ends) {
            let end = decoded.start + end;
            hole.content.take(arena, start..end, spelling, envelope)?;
            start = end;
        }
        Some(())
    }

    pub(crate) fn write(&self, pieces: &Pieces<'_>, out: &mut Vec<u8>, temporaries: &mut [Vec<u8>]) {
        for segment in &self.segments {
            match segment {
                // As most are, and without a call.
                Segment::Literal(bytes) => match bytes.as_slice() {
                    [byte] => out.push(*byte),
                    bytes => out.extend_from_slice(bytes),
                },
                Segment::Hole(hole) => {
                    hole.content.with_bytes(pieces, temporaries, |bytes| hole.codec.encode(bytes, out));
                }
            }
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.holes().map(|hole| hole.content.depth()).max().unwrap_or(0)
    }

    pub(crate) fn written_len(&self, ct: usize, lengths: Lengths) -> usize {
        self.sum(|hole| hole.codec.encoded_len(hole.content.written_len(ct, lengths)))
    }

    pub(crate) fn len_min(&self, lengths: Lengths) -> usize {
        self.sum(|hole| hole.codec.encoded_len_min(hole.content.len_min(lengths)))
    }

    /// A nonce or tag of exact length between separators, or a prefix longer than chance.
    pub(crate) fn is_distinctive(&self) -> bool {
        let separated = self.segments.len() > 1
            && self.holes().any(|hole| {
                matches!(hole.content, Content::Part(Part::Iv | Part::Tag)) && !matches!(hole.end, End::Width(_))
            });
        separated || self.prefix().1 >= 3
    }

    pub(crate) fn may_hold(&self, text: &[u8]) -> bool {
        self.segments.iter().all(|segment| match segment {
            Segment::Literal(bytes) => bytes.iter().all(|byte| text.contains(byte)),
            Segment::Hole(_) => true,
        })
    }

    /// The right number of separators with each part in its alphabet and a nonce or tag of exact length; the same of
    /// a value that was cut; or a known prefix.
    pub(crate) fn nearly_holds(&self, text: &[u8], spelling: Spelling, lengths: Lengths) -> bool {
        let (prefix, literal_bytes) = self.prefix();
        if literal_bytes >= 2 && self.has_prefix(prefix, text) {
            return true;
        }
        let (mut takes, mut exact) = (true, false);
        let split = self.each_part(text, |hole, part| {
            takes &= hole.takes(part, spelling);
            exact |= hole.is_exact(part, lengths);
            Some(())
        });
        match split {
            Some(()) => takes && exact,
            None => self.is_cut(text, spelling, lengths),
        }
    }

    /// Hands each hole's text to `take`, front to back; says nothing itself about what stands there. `None` where the text has another
    /// shape, or `take` will have no more.
    fn each_part<'s, 't>(
        &'s self,
        text: &'t [u8],
        mut take: impl FnMut(&'s Hole, &'t [u8]) -> Option<()>,
    ) -> Option<()> {
        let mut rest = text;
        let (front, behind) = self.segments.split_at(self.open);
        for segment in front {
            match segment {
                Segment::Literal(literal) => rest = without_prefix(rest, literal)?,
                Segment::Hole(hole) => {
                    let (part, after) = rest.split_at(hole.len_from_front(rest)?);
                    take(hole, part)?;
                    rest = after;
                }
            }
        }
        let Some((Segment::Hole(open), back)) = behind.split_first() else {
            return rest.is_empty().then_some(());
        };
        // Most formats have nothing to be read from the back, and need no room for it.
        if back.is_empty() {
            return take(open, rest);
        }
        let mut parts = [&text[..0]; SEGMENTS_MAX];
        for (segment, part) in back.iter().zip(&mut parts).rev() {
            match segment {
                Segment::Literal(literal) => rest = rest.strip_suffix(literal.as_slice())?,
                Segment::Hole(hole) => (rest, *part) = rest.split_at(rest.len() - hole.len_from_back(rest)?),
            }
        }
        take(open, rest)?;
        back.iter().zip(parts).try_for_each(|(segment, part)| match segment {
            Segment::Literal(_) => Some(()),
            Segment::Hole(hole) => take(hole, part),
        })
    }

    /// Whether `text` is the front of a value, cut after a nonce or tag of exact length.
    fn is_cut(&self, text: &[u8], spelling: Spelling, lengths: Lengths) -> bool {
        let (mut rest, mut exact) = (text, false);
        for segment in &self.segments {
            match segment {
                Segment::Literal(bytes) => match rest.strip_prefix(bytes.as_slice()) {
                    Some(after) => rest = after,
                    None => return exact && bytes.starts_with(rest),
                },
                Segment::Hole(hole) => {
                    let End::Separator(separator) = hole.end else { return false };
                    let Some(len) = rest.iter().position(|byte| *byte == separator) else {
                        return exact && hole.takes(rest, spelling);
                    };
                    let (part, after) = rest.split_at(len);
                    exact |= hole.is_exact_as_written(part, lengths);
                    if !hole.takes(part, spelling) {
                        return false;
                    }
                    rest = after;
                }
            }
        }
        false
    }

    /// Segments before the first part that the cipher needs, and the bytes of literals in them.
    fn prefix(&self) -> (&[Segment], usize) {
        let carried = |segment: &&Segment| match segment {
            Segment::Literal(_) => true,
            Segment::Hole(hole) => {
                matches!(hole.content, Content::Part(Part::Kid)) && matches!(hole.end, End::Separator(_))
            }
        };
        let prefix = &self.segments[..self.segments.iter().take_while(carried).count().min(self.open)];
        let bytes = prefix.iter().map(|segment| match segment {
            Segment::Literal(bytes) => bytes.len(),
            Segment::Hole(_) => 0,
        });
        (prefix, bytes.sum())
    }

    fn has_prefix(&self, prefix: &[Segment], text: &[u8]) -> bool {
        let mut rest = text;
        for segment in prefix {
            match segment {
                Segment::Literal(bytes) => match rest.strip_prefix(bytes.as_slice()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Segment::Hole(hole) => match hole.len_from_front(rest) {
                    Some(len) if len > 0 && hole.takes(&rest[..len], Spelling::Declared) => rest = &rest[len..],
                    _ => return false,
                },
            }
        }
        true
    }

    fn sum(&self, hole_len: impl Fn(&Hole) -> usize) -> usize {
        let lens = self.segments.iter().map(|segment| match segment {
            Segment::Literal(bytes) => bytes.len(),
            Segment::Hole(hole) => hole_len(hole),
        });
        lens.sum()
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Hole(hole) => Some(hole),
        })
    }
}

impl Hole {
    fn len_from_front(&self, text: &[u8]) -> Option<usize> {
        match self.end {
            End::Separator(separator) => memchr::memchr(separator, text),
            End::Width(width) => (width <= text.len()).then_some(width),
            End::Open => Some(text.len()),
        }
    }

    fn len_from_back(&self, text: &[u8]) -> Option<usize> {
        match self.end {
            End::Separator(separator) => memchr::memrchr(separator, text).map(|at| text.len() - at - 1),
            End::Width(width) => (width <= text.len()).then_some(width),
            End::Open => Some(text.len()),
        }
    }

    /// Whether every byte of `text` is of the alphabet.
    fn takes(&self, text: &[u8], spelling: Spelling) -> bool {
        text.iter().all(|byte| self.codec.has(*byte, spelling))
    }

    /// Whether `text` is as long as a nonce or tag; a hole that is cut by its width is no evidence.
    fn is_exact(&self, text: &[u8], lengths: Lengths) -> bool {
        match (&self.content, self.end) {
            (_, End::Width(_)) | (Content::Nested(_), _) => false,
            (Content::Part(part), _) => lengths.of(*part).is_some_and(|len| self.codec.spells(text, len)),
        }
    }

    fn is_exact_as_written(&self, text: &[u8], lengths: Lengths) -> bool {
        self.is_exact(text, lengths)
            && self.content.fixed_len(lengths).is_some_and(|len| self.codec.encoded_len(len) == text.len())
    }
}

/// What follows `literal`; a single byte, as most are, is compared without a call.
fn without_prefix<'t>(text: &'t [u8], literal: &[u8]) -> Option<&'t [u8]> {
    match (literal, text) {
        ([byte], [first, rest @ ..]) => (byte == first).then_some(rest),
        _ => text.strip_prefix(literal),
    }
}

fn compile_hole(hole: &str, member: &str, builder: &mut Builder<'_>) -> Result<Hole, LayoutError> {
    let (name, codec) = hole.split_once(':').unwrap_or((hole, "raw"));
    let Some(codec) = Codec::named(codec) else {
        let known = "hex, HEX, b64, b64n, b64u, b64u=, b64m, dec, word, raw";
        return Err(LayoutError::invalid(member, format!("`{{{hole}}}`: the codecs are {known}")));
    };
    let content = builder.content(name, member)?;
    let of_bytes = match &content {
        Content::Part(part) => !Part::CARRIED.contains(part),
        Content::Nested(container) => matches!(**container, super::Container::Bytes(_)),
    };
    if of_bytes && !codec.takes_bytes() {
        return Err(LayoutError::invalid(member, format!("`{{{hole}}}`: bytes need hex or base64")));
    }
    Ok(Hole { content, codec, end: End::Open })
}

/// Decides how each hole ends; returns the index of the open one (or the number of segments).
fn find_ends(segments: &mut [Segment], member: &str, builder: &Builder<'_>) -> Result<usize, LayoutError> {
    let spelling = if builder.any_base64 { Spelling::AnyBase64 } else { Spelling::Declared };
    let neighbour = |segments: &[Segment], at: Option<usize>, last: bool| match at.and_then(|at| segments.get(at)) {
        Some(Segment::Literal(bytes)) => if last { bytes.last() } else { bytes.first() }.copied(),
        _ => None,
    };
    let mut open = segments.len();
    for i in 0..segments.len() {
        let next = neighbour(segments, Some(i + 1), false);
        let last = i + 1 == segments.len();
        if let Segment::Hole(hole) = &mut segments[i] {
            match hole.end_at(next, spelling, builder.lengths) {
                Some(end) if !last => hole.end = end,
                _ => {
                    open = i;
                    break;
                }
            }
        }
    }
    for i in (open + 1..segments.len()).rev() {
        let previous = neighbour(segments, Some(i - 1), true);
        if let Segment::Hole(hole) = &mut segments[i] {
            hole.end = hole.end_at(previous, spelling, builder.lengths).ok_or_else(|| {
                LayoutError::invalid(member, "two holes cannot be told apart: put a separator between them")
            })?;
        }
    }
    Ok(open)
}

impl Hole {
    /// How its end is known when `neighbour` stands beside it; `None` where it is not.
    fn end_at(&self, neighbour: Option<u8>, spelling: Spelling, lengths: Lengths) -> Option<End> {
        match neighbour {
            Some(byte) if !self.codec.has(byte, spelling) => Some(End::Separator(byte)),
            _ => self.content.fixed_len(lengths).map(|len| End::Width(self.codec.encoded_len(len))),
        }
    }
}
