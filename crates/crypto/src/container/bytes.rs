//! Items over bytes: `0x01 kid[ber] iv[16] tag[16] ct`.
use super::{Builder, Content, Lengths};
use crate::{
    LayoutError,
    arena::{Arena, Source},
    codec::Spelling,
    part::{Envelope, Pieces},
};

#[derive(Debug)]
enum Item {
    Literal(Vec<u8>),
    /// of so many bytes
    Fixed(Content, usize),
    /// with its length before it, as BER has it
    Ber(Content),
}

/// Items before the open one, the open one, items after it.
#[derive(Debug)]
pub(crate) struct Items {
    front: Vec<Item>,
    open: Option<Content>,
    back: Vec<Item>,
}

/// The longest fixed item.
const ITEM_BYTES_MAX: usize = 4096;

impl Items {
    /// Reads the declaration: one item without a length at most.
    pub(crate) fn compile(declaration: &str, member: &str, builder: &mut Builder<'_>) -> Result<Self, LayoutError> {
        let mut items = Self { front: Vec::new(), open: None, back: Vec::new() };
        for word in words(declaration, member)? {
            let item = match literal(word, member)? {
                Some(bytes) => Item::Literal(bytes),
                None => {
                    let (name, len) = match word.strip_suffix(']').and_then(|word| word.split_once('[')) {
                        Some((name, len)) => (name, Some(len)),
                        None => (word, None),
                    };
                    let content = builder.content(name, member)?;
                    match len {
                        None if items.open.is_some() => {
                            return Err(LayoutError::invalid(member, "two items have no length"));
                        }
                        None => {
                            if content.fixed_len(builder.lengths).is_some() {
                                return Err(LayoutError::invalid(member, format!("`{name}` needs its length")));
                            }
                            items.open = Some(content);
                            continue;
                        }
                        Some("ber") if items.open.is_some() => {
                            return Err(LayoutError::invalid(member, "a ber item cannot be read from the end"));
                        }
                        Some("ber") if content.fixed_len(builder.lengths).is_none() => Item::Ber(content),
                        Some(len) => fixed(content, name, len, member, builder.lengths)?,
                    }
                }
            };
            match items.open {
                None => items.front.push(item),
                Some(_) => items.back.push(item),
            }
        }
        Ok(items)
    }

    pub(crate) fn read(
        &self,
        arena: &mut Arena,
        source: &Source<'_>,
        spelling: Spelling,
        envelope: &mut Envelope,
    ) -> Option<()> {
        let whole = match source {
            Source::Row(_) => arena.append(source),
            Source::Arena(range) => range.clone(),
        };
        let (mut start, mut end) = (whole.start, whole.end);
        for item in &self.front {
            let rest = arena.get(start..end);
            let (content, skip, len) = match item {
                Item::Literal(bytes) => {
                    start += rest.starts_with(bytes).then_some(bytes.len())?;
                    continue;
                }
                Item::Fixed(content, len) => (content, 0, *len),
                Item::Ber(content) => {
                    let (skip, len) = ber_len(rest)?;
                    (content, skip, len)
                }
            };
            let from = start.checked_add(skip)?;
            let to = from.checked_add(len).filter(|to| *to <= end)?;
            content.take(arena, from..to, spelling, envelope)?;
            start = to;
        }
        for item in self.back.iter().rev() {
            match item {
                Item::Literal(bytes) => {
                    end -= arena.get(start..end).ends_with(bytes).then_some(bytes.len())?;
                }
                Item::Fixed(content, len) => {
                    let from = end.checked_sub(*len).filter(|from| *from >= start)?;
                    content.take(arena, from..end, spelling, envelope)?;
                    end = from;
                }
                Item::Ber(_) => return None,
            }
        }
        match &self.open {
            Some(content) => content.take(arena, start..end, spelling, envelope),
            None => (start == end).then_some(()),
        }
    }

    pub(crate) fn write(&self, pieces: &Pieces<'_>, out: &mut Vec<u8>, temporaries: &mut [Vec<u8>]) {
        for item in &self.front {
            item.write(pieces, out, temporaries);
        }
        if let Some(content) = &self.open {
            content.with_bytes(pieces, temporaries, |bytes| out.extend_from_slice(bytes));
        }
        for item in &self.back {
            item.write(pieces, out, temporaries);
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.contents().map(Content::depth).max().unwrap_or(0)
    }

    pub(crate) fn written_len(&self, ct: usize, lengths: Lengths) -> usize {
        let items = self.front.iter().chain(&self.back).map(|item| match item {
            Item::Literal(bytes) => bytes.len(),
            Item::Fixed(_, len) => *len,
            Item::Ber(content) => 1 + content.written_len(ct, lengths),
        });
        items.sum::<usize>() + self.open.as_ref().map_or(0, |content| content.written_len(ct, lengths))
    }

    pub(crate) fn len_min(&self, lengths: Lengths) -> usize {
        let items = self.front.iter().chain(&self.back).map(|item| match item {
            Item::Literal(bytes) => bytes.len(),
            Item::Fixed(_, len) => *len,
            Item::Ber(content) => 1 + content.len_min(lengths),
        });
        items.sum::<usize>() + self.open.as_ref().map_or(0, |content| content.len_min(lengths))
    }

    /// Lengths alone say little; a literal of some bytes at the front says enough.
    pub(crate) fn is_distinctive(&self) -> bool {
        matches!(self.front.first(), Some(Item::Literal(bytes)) if bytes.len() >= 3)
    }

    /// A front that no text begins with, or that is longer than chance.
    pub(crate) fn nearly_holds(&self, value: &[u8]) -> bool {
        match self.front.first() {
            Some(Item::Literal(bytes))
                if bytes.len() >= 2 || bytes.iter().any(|byte| !(b' '..=b'~').contains(byte)) =>
            {
                value.starts_with(bytes)
            }
            _ => false,
        }
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        let of_items = self.front.iter().chain(&self.back).filter_map(|item| match item {
            Item::Literal(_) => None,
            Item::Fixed(content, _) | Item::Ber(content) => Some(content),
        });
        of_items.chain(&self.open)
    }
}

impl Item {
    fn write(&self, pieces: &Pieces<'_>, out: &mut Vec<u8>, temporaries: &mut [Vec<u8>]) {
        match self {
            Item::Literal(bytes) => out.extend_from_slice(bytes),
            Item::Fixed(content, _) => content.with_bytes(pieces, temporaries, |bytes| out.extend_from_slice(bytes)),
            Item::Ber(content) => content.with_bytes(pieces, temporaries, |bytes| {
                if bytes.len() < 128 {
                    out.push(bytes.len() as u8);
                } else {
                    let len = bytes.len().to_be_bytes();
                    let digits = &len[len.iter().take_while(|byte| **byte == 0).count()..];
                    out.push(0x80 | digits.len() as u8);
                    out.extend_from_slice(digits);
                }
                out.extend_from_slice(bytes);
            }),
        }
    }
}

/// Bytes of the length field, and the length in it.
fn ber_len(bytes: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*bytes.first()?);
    if first < 128 {
        return Some((1, first));
    }
    let digits = bytes.get(1..1 + (first - 128))?;
    if digits.is_empty() || digits.len() > size_of::<u32>() {
        return None;
    }
    let len = digits.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
    Some((1 + digits.len(), len))
}

fn fixed(content: Content, name: &str, len: &str, member: &str, lengths: Lengths) -> Result<Item, LayoutError> {
    let wrong = |why: String| Err(LayoutError::invalid(member, why));
    let Some(len) = len.parse().ok().filter(|len| (1..=ITEM_BYTES_MAX).contains(len)) else {
        return wrong(format!("`{name}[{len}]`: a length is a number of bytes up to {ITEM_BYTES_MAX}, or `ber`"));
    };
    match content.fixed_len(lengths) {
        Some(expected) if expected != len => wrong(format!("`{name}` has {expected} bytes, not {len}")),
        _ => Ok(Item::Fixed(content, len)),
    }
}

/// Words between blanks; a quoted literal may hold blanks.
fn words<'a>(declaration: &'a str, member: &str) -> Result<Vec<&'a str>, LayoutError> {
    let mut words = Vec::new();
    let mut rest = declaration.trim_start();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.find('\'').map(|at| at + 2),
            None => rest.find(char::is_whitespace).or(Some(rest.len())),
        };
        let Some(end) = end else { return Err(LayoutError::invalid(member, "a quote without its partner")) };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after.trim_start();
    }
    match words.is_empty() {
        true => Err(LayoutError::invalid(member, "is empty")),
        false => Ok(words),
    }
}

fn literal(word: &str, member: &str) -> Result<Option<Vec<u8>>, LayoutError> {
    if let Some(quoted) = word.strip_prefix('\'') {
        let text = quoted.trim_end_matches('\'');
        return match text.is_empty() {
            true => Err(LayoutError::invalid(member, "an empty literal")),
            false => Ok(Some(text.as_bytes().to_vec())),
        };
    }
    let Some(digits) = word.strip_prefix("0x") else { return Ok(None) };
    match data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()) {
        Ok(bytes) if !bytes.is_empty() => Ok(Some(bytes)),
        _ => Err(LayoutError::invalid(member, format!("`{word}` is no pair of hex digits"))),
    }
}
