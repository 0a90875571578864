//! The parts of a stored ciphertext, and where they were found.
use std::ops::Range;

/// What a part means to the cipher, or that it is carried along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// the nonce
    Iv,
    /// the authentication tag
    Tag,
    /// the ciphertext proper
    Ct,
    /// a key id: carried
    Kid,
    /// a time: carried
    Ts,
    /// a header: carried
    Hdr,
}

impl Part {
    pub(crate) const COUNT: usize = 6;
    /// Parts that a value brings along and that are written back as they were.
    pub(crate) const CARRIED: [Part; 3] = [Part::Kid, Part::Ts, Part::Hdr];

    /// By its name in the language.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "iv" => Part::Iv,
            "tag" => Part::Tag,
            "ct" => Part::Ct,
            "kid" => Part::Kid,
            "ts" => Part::Ts,
            "hdr" => Part::Hdr,
            _ => return None,
        })
    }

    /// Its name in the language.
    pub(crate) fn name(self) -> &'static str {
        ["iv", "tag", "ct", "kid", "ts", "hdr"][self as usize]
    }
}

/// Where each part of a value stands in the arena; an absent part is empty. Start and end in four bytes each, since an envelope is handed on for every
/// field: an arena holds a few stored values, none of them above [`crate::format::STORED_BYTES_MAX`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Envelope([(u32, u32); Part::COUNT]);

impl Envelope {
    pub(crate) fn get(&self, part: Part) -> Range<usize> {
        let (start, end) = self.0[part as usize];
        start as usize..end as usize
    }

    pub(crate) fn set(&mut self, part: Part, range: Range<usize>) {
        debug_assert!(u32::try_from(range.end).is_ok(), "an arena of less than 4 GiB");
        self.0[part as usize] = (range.start as u32, range.end as u32);
    }
}

/// The bytes of each part of a value to be written; an absent part is empty.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pieces<'a>([&'a [u8]; Part::COUNT]);

impl<'a> Pieces<'a> {
    pub(crate) fn get(&self, part: Part) -> &'a [u8] {
        self.0[part as usize]
    }

    pub(crate) fn set(&mut self, part: Part, bytes: &'a [u8]) {
        self.0[part as usize] = bytes;
    }
}
