//! Memory for plaintext: reused from field to field, wiped before it is given back.
use std::ops::Range;
use zeroize::Zeroize;

/// A region above this is given back after a job, so that one huge value does not hold its memory for ever.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A growing region that is written front to back and addressed by position. Whatever was written is wiped when it
/// grows, when it is cleared by [`Arena::wipe`], and on drop.
#[derive(Default)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    used: usize,
    dirty: usize,
}

/// Bytes that stand either in the database row or in the arena.
#[derive(Clone)]
pub(crate) enum Source<'a> {
    /// as read
    Row(&'a [u8]),
    /// decoded or decrypted
    Arena(Range<usize>),
}

impl Arena {
    /// The next free position. What stands from here on may be overwritten.
    pub(crate) fn mark(&self) -> usize {
        self.used
    }

    /// Takes back everything written since `mark`.
    pub(crate) fn rewind(&mut self, mark: usize) {
        self.used = self.used.min(mark);
    }

    /// Bytes at a range that this arena handed out.
    pub(crate) fn get(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The same, to be changed in place.
    pub(crate) fn get_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// Several that do not overlap.
    pub(crate) fn parts_mut<const N: usize>(&mut self, ranges: [Range<usize>; N]) -> [&mut [u8]; N] {
        self.bytes.get_disjoint_mut(ranges).expect("the parts of a value stand apart")
    }

    /// The bytes of a source.
    pub(crate) fn view<'b>(&'b self, source: &Source<'b>) -> &'b [u8] {
        match source {
            Source::Row(bytes) => bytes,
            Source::Arena(range) => &self.bytes[range.clone()],
        }
    }

    /// Appends what `write` makes of `source`; it never makes more bytes than it gets.
    pub(crate) fn append_with(
        &mut self,
        source: &Source<'_>,
        write: impl FnOnce(&[u8], &mut [u8]) -> Option<usize>,
    ) -> Option<Range<usize>> {
        let len = match source {
            Source::Row(bytes) => bytes.len(),
            Source::Arena(range) => range.len(),
        };
        self.reserve(len);
        let start = self.used;
        let (head, tail) = self.bytes.split_at_mut(start);
        let source = match source {
            Source::Row(bytes) => bytes,
            Source::Arena(range) => &head[range.clone()],
        };
        let written = write(source, &mut tail[..len]);
        self.dirty = self.dirty.max(start + len);
        let end = start + written?;
        self.used = end;
        Some(start..end)
    }

    /// Appends a copy.
    pub(crate) fn append(&mut self, source: &Source<'_>) -> Range<usize> {
        let start = self.used;
        let copied = self.append_with(source, |from, to| {
            to.copy_from_slice(from);
            Some(from.len())
        });
        copied.unwrap_or(start..start)
    }

    /// Wipes everything and starts anew.
    pub(crate) fn wipe(&mut self) {
        self.bytes[..self.dirty].zeroize();
        self.used = 0;
        self.dirty = 0;
        if self.bytes.len() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.used + more;
        if needed > self.bytes.len() {
            self.grow(needed);
        }
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let mut grown = vec![0; needed.next_power_of_two().max(256)];
        grown[..self.used].copy_from_slice(&self.bytes[..self.used]);
        self.bytes[..self.dirty].zeroize();
        self.bytes = grown;
        self.dirty = self.used;
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_keeps_what_was_written() {
        let mut arena = Arena::default();
        let first = arena.append(&Source::Row(b"first"));
        let big = arena.append(&Source::Row(&[9; 10_000]));
        assert_eq!(arena.get(first), b"first");
        assert_eq!(arena.get(big), &[9; 10_000]);
    }

    #[test]
    fn wiping_leaves_no_byte() {
        let mut arena = Arena::default();
        arena.append(&Source::Row(b"secret"));
        arena.rewind(0);
        arena.wipe();
        assert!(arena.bytes.iter().all(|byte| *byte == 0) && arena.mark() == 0);
    }

    #[test]
    fn a_huge_region_is_given_back() {
        let mut arena = Arena::default();
        arena.append(&Source::Row(&vec![1; KEPT_BYTES_MAX + 1]));
        arena.wipe();
        assert_eq!(arena.bytes.capacity(), 0);
    }
}
