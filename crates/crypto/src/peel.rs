//! Taking a value apart, layer by layer, until what is left is no envelope that a key opens.
use crate::{
    Expect,
    arena::{Arena, Source},
    format::STORED_BYTES_MAX,
    keyring::{Keyring, Side},
    part::{Envelope, Part},
};
use std::ops::Range;

/// Layers that are looked at; a value with more is refused as nested. Every layer is shorter than the one around it.
pub(crate) const LAYERS_MAX: usize = 16;

/// One layer that was opened. Its parts stand in the arena; where the ciphertext was, the plaintext is.
pub(crate) struct Layer {
    /// its format, by its place in the ring
    pub(crate) candidate: usize,
    pub(crate) side: Side,
    pub(crate) envelope: Envelope,
}

/// Memory for one field at a time.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) arena: Arena,
    pub(crate) layers: Vec<Layer>,
    pub(crate) aad: Vec<u8>,
    pub(crate) temporaries: Vec<Vec<u8>>,
    pub(crate) inner: Vec<u8>,
}

/// What a stored value turned out to be; the layers that opened stand in the scratch, outermost first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// no envelope of any of the formats
    Foreign {
        /// but almost one
        damaged: bool,
    },
    /// an envelope that opens under no key at hand
    Locked,
    /// opened
    Open(Kernel),
}

/// What is inside the innermost layer that opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// no envelope: the plaintext, in the arena
    Plain(Range<usize>),
    /// an envelope that opens under no key at hand
    Locked,
    /// more than [`LAYERS_MAX`] layers
    TooDeep,
}

enum Attempt {
    /// the layer stands in the scratch, its plaintext here
    Opened(Range<usize>),
    /// the shape of an envelope; whether that is out of the question by chance
    Locked {
        distinctive: bool,
    },
    Foreign,
}

/// Opens every layer of `stored`. What opens decides; `expect` only orders the trials.
pub(crate) fn peel(ring: &Keyring, scratch: &mut Scratch, stored: &[u8], expect: Expect) -> Reading {
    scratch.layers.clear();
    if stored.len() > STORED_BYTES_MAX {
        return Reading::Locked;
    }
    let mut source = Source::Row(stored);
    loop {
        match unlock(ring, scratch, &source, expect) {
            Attempt::Opened(plaintext) => {
                source = Source::Arena(plaintext);
                if scratch.layers.len() > LAYERS_MAX {
                    return Reading::Open(Kernel::TooDeep);
                }
            }
            attempt => return settle(ring, scratch, source, &attempt),
        }
    }
}

/// What it means that `source` did not open.
fn settle(ring: &Keyring, scratch: &mut Scratch, source: Source<'_>, attempt: &Attempt) -> Reading {
    match (source, attempt) {
        (Source::Row(_), Attempt::Locked { .. }) => Reading::Locked,
        (Source::Row(stored), _) => {
            let arena = &mut scratch.arena;
            let damaged = ring.candidates.iter().any(|candidate| candidate.format.nearly_holds(arena, stored));
            Reading::Foreign { damaged }
        }
        // A shape that a plaintext may have by chance says nothing, unless the key is missing that would say more.
        (Source::Arena(_), Attempt::Locked { distinctive }) if *distinctive || !ring.has_old() => {
            Reading::Open(Kernel::Locked)
        }
        (Source::Arena(plaintext), _) => Reading::Open(Kernel::Plain(plaintext)),
    }
}

/// Tries every format and key on one layer.
fn unlock(ring: &Keyring, scratch: &mut Scratch, source: &Source<'_>, expect: Expect) -> Attempt {
    let Scratch { arena, layers, aad, .. } = scratch;
    let mut envelope = Envelope::default();
    let mut attempt = Attempt::Foreign;
    let mark = arena.mark();
    for (at, candidate) in ring.candidates.iter().enumerate() {
        if candidate.format.read(arena, source, &mut envelope).is_none() {
            continue;
        }
        for side in candidate.sides(expect) {
            if candidate.open(side, ring.names(), &envelope, arena, aad) {
                layers.push(Layer { candidate: at, side, envelope });
                return Attempt::Opened(envelope.get(Part::Ct));
            }
        }
        arena.rewind(mark);
        let known = matches!(attempt, Attempt::Locked { distinctive: true });
        attempt = Attempt::Locked { distinctive: known || candidate.format.is_distinctive() };
    }
    attempt
}
