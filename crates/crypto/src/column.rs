//! One encrypted column: the formats it is read in, the one it is written in, and what its values are.
use crate::{
    Format, KeyPair, LayoutError, Outcome, SecretKey,
    arena::Source,
    keyring::{Keyring, Side},
    peel::{Kernel, LAYERS_MAX, Layer, Reading, Scratch, peel},
    random::IvSource,
    seal::seal,
};
use std::{fmt, ops::Range, sync::Arc};

/// What happens to a value that is no envelope at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaintextPolicy {
    /// Quarantined as `plaintext_refused`.
    #[default]
    Refuse,
    /// Left as it is, counted.
    Keep,
    /// Encrypted under the new key.
    Encrypt,
}

/// Which key most values are expected under, until one of the column has told; it only orders the trials, what opens decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The first pass.
    Old,
    /// Sweeps and verify.
    New,
}

/// Why a value is left alone. `as_str` is the stable name in the store, in JSON and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The layout's shape, but it opens under none of the keys (`unreadable`); or beyond the length that is taken apart.
    Unreadable,
    /// A near miss: almost the layout's shape (`damaged`).
    Damaged,
    /// No envelope at all, and the policy refuses plaintext (`plaintext_refused`).
    Plaintext,
    /// The plaintext is itself an envelope and nesting is not declared, or deeper than declared (`nested`).
    Nested,
    /// It opens, but in a known format that the column does not declare (`undeclared_format`).
    Undeclared,
    /// No envelope, but a part of it is one, and opens (`embedded`).
    Embedded,
    /// It opens, but under the old key of another pair than its column's (`other_pair`).
    OtherPair,
    /// The resealed value did not open to the same plaintext (`reseal_mismatch`); never expected, never written.
    ResealMismatch,
}

impl Refusal {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Unreadable => "unreadable",
            Refusal::Damaged => "damaged",
            Refusal::Plaintext => "plaintext_refused",
            Refusal::Nested => "nested",
            Refusal::Undeclared => "undeclared_format",
            Refusal::Embedded => "embedded",
            Refusal::OtherPair => "other_pair",
            Refusal::ResealMismatch => "reseal_mismatch",
        }
    }
}

/// What stands in the database (plan, verify).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// SQL NULL.
    Null,
    /// The empty string or no bytes.
    Empty,
    /// Opens under the old key, on any layer; or a blind index equal to the old key's value.
    Old,
    /// Opens under the new key alone; or a blind index equal to the new key's value.
    New,
    /// No envelope at all.
    Plaintext,
    /// Left alone: opens under no key of its own, damaged, nested beyond what is declared with no old layer.
    Unreadable(Refusal),
    /// A blind index that is neither key's value of its field (or whose field cannot be read).
    Mismatched,
}

/// How one column is stored.
#[derive(Debug, Clone)]
pub struct ColumnSpec {
    /// Formats tried in reading, authenticated ones first whatever the order.
    pub read: Vec<Format>,
    /// The format written.
    pub write: Format,
    /// What happens to plaintext.
    pub plaintext: PlaintextPolicy,
    /// How many layers may be nested; 1 is the usual single layer.
    pub nesting_max: u8,
    /// `{table}` of derivation and associated data.
    pub table: String,
    /// `{column}` of derivation and associated data.
    pub column: String,
}

/// One column with its keys derived.
pub struct ColumnCipher {
    ring: Keyring,
    /// Every preset that the column does not read, of text and of bytes: what opens in one of them is no plaintext.
    undeclared: [Keyring; 2],
    /// What has a declared format's shape is of no other format.
    trusts_shapes: bool,
    plaintext: PlaintextPolicy,
    nesting_max: usize,
}

/// What a field says to those who hash it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plaintext {
    /// nothing: NULL or empty
    Absent,
    /// this, in the arena
    Opened(Range<usize>),
    /// what is stored
    Stored,
    /// it cannot be read
    Unreadable,
}

impl ColumnCipher {
    /// Derives the column's keys. Fails where a key has the wrong length for a cipher, where what is written needs a part
    /// that what is read does not bring, and where the nesting is out of range.
    pub fn new(spec: ColumnSpec, keys: &Arc<KeyPair>) -> Result<Self, LayoutError> {
        let ring = Keyring::new(&spec, keys)?;
        let undeclared = [false, true].map(|binary| ring.undeclared(&spec, keys, binary));
        Ok(Self { undeclared, ..Self::of_declared(spec, keys)? })
    }

    /// The same without a look at formats that the column does not declare: what opens in them is plaintext here. For discovery, which asks
    /// format by format.
    pub fn of_declared(spec: ColumnSpec, keys: &Arc<KeyPair>) -> Result<Self, LayoutError> {
        let nesting_max = usize::from(spec.nesting_max);
        if !(1..=LAYERS_MAX).contains(&nesting_max) {
            return Err(LayoutError::invalid("nesting_max", format!("is a number from 1 to {LAYERS_MAX}")));
        }
        let brought = |format: &Format, part| format.carried().contains(part);
        for part in spec.write.carried() {
            let supplied = spec.read.iter().all(|format| brought(format, part));
            if !supplied || spec.plaintext == PlaintextPolicy::Encrypt {
                return Err(LayoutError::unsupported(
                    format!("format {}", spec.write.name()),
                    format!("nothing supplies its part `{}`", part.name()),
                ));
            }
        }
        let (ring, undeclared) = (Keyring::new(&spec, keys)?, [Keyring::none(&spec), Keyring::none(&spec)]);
        Ok(Self { ring, undeclared, trusts_shapes: false, plaintext: spec.plaintext, nesting_max })
    }

    /// The same, but what has a declared format's shape and opens under no key is unreadable without a look at other formats. For the
    /// wrong-key gate, to which a column declared in the wrong format is as bad as a wrong key.
    pub fn trusting_shapes(self) -> Self {
        Self { trusts_shapes: true, ..self }
    }

    /// The same with the old keys of other pairs, so that what opens under none of its own keys is told from what opens under one of those.
    pub fn knowing(mut self, others: &[&SecretKey]) -> Self {
        [&mut self.ring].into_iter().chain(&mut self.undeclared).for_each(|ring| ring.know(others));
        self
    }

    /// What `stored` is.
    pub fn classify(&self, stored: Option<&[u8]>, expect: Expect) -> Class {
        self.classify_field(&mut Scratch::default(), stored, expect).0
    }

    /// The same in memory that is reused, with the plaintext for those who hash it.
    pub(crate) fn classify_field(
        &self,
        scratch: &mut Scratch,
        stored: Option<&[u8]>,
        expect: Expect,
    ) -> (Class, Plaintext) {
        let stored = match stored {
            None => return (Class::Null, Plaintext::Absent),
            Some([]) => return (Class::Empty, Plaintext::Absent),
            Some(stored) => stored,
        };
        match peel(&self.ring, scratch, stored, expect) {
            Reading::Locked if self.trusts_shapes => (Class::Unreadable(Refusal::Unreadable), Plaintext::Unreadable),
            unopened @ (Reading::Foreign { .. } | Reading::Locked) => {
                match (self.open_undeclared(scratch, stored, expect), unopened) {
                    (Some(_), _) => (left_alone(&scratch.layers, Refusal::Undeclared), Plaintext::Unreadable),
                    (None, Reading::Foreign { .. }) if self.holds_envelope(scratch, stored, expect) => {
                        (left_alone(&scratch.layers, Refusal::Embedded), Plaintext::Unreadable)
                    }
                    (None, Reading::Foreign { damaged: false }) => (Class::Plaintext, Plaintext::Stored),
                    (None, Reading::Foreign { damaged: true }) => {
                        (Class::Unreadable(Refusal::Damaged), Plaintext::Unreadable)
                    }
                    (None, _) => (Class::Unreadable(Refusal::Unreadable), Plaintext::Unreadable),
                }
            }
            Reading::Open(kernel) => {
                let class = match self.refusal(&scratch.layers, &kernel) {
                    Some(refusal) => left_alone(&scratch.layers, refusal),
                    None if has_old(&scratch.layers) => Class::Old,
                    None => Class::New,
                };
                let plaintext = match kernel {
                    Kernel::Plain(plaintext) => Plaintext::Opened(plaintext),
                    Kernel::Locked | Kernel::TooDeep => Plaintext::Unreadable,
                };
                (class, plaintext)
            }
        }
    }

    /// What becomes of `stored`; a new value is appended to `out`.
    pub(crate) fn reseal_field(
        &self,
        scratch: &mut Scratch,
        stored: Option<&[u8]>,
        expect: Expect,
        ivs: &mut impl IvSource,
        out: &mut Vec<u8>,
        invocations: &mut u64,
    ) -> (Outcome, Plaintext) {
        let quarantined = |refusal| (Outcome::Quarantined(refusal), Plaintext::Unreadable);
        let stored = match stored {
            None => return (Outcome::Null, Plaintext::Absent),
            Some([]) => return (Outcome::Empty, Plaintext::Absent),
            Some(stored) => stored,
        };
        let (plaintext, of_field) = match peel(&self.ring, scratch, stored, expect) {
            Reading::Foreign { .. } | Reading::Locked if self.open_undeclared(scratch, stored, expect).is_some() => {
                return quarantined(Refusal::Undeclared);
            }
            Reading::Foreign { .. } if self.holds_envelope(scratch, stored, expect) => {
                return quarantined(Refusal::Embedded);
            }
            Reading::Foreign { damaged: true } => return quarantined(Refusal::Damaged),
            Reading::Locked => return quarantined(Refusal::Unreadable),
            Reading::Foreign { damaged: false } => match self.plaintext {
                // It can be read: a hash of it under the old sub-key is rewritten all the same.
                PlaintextPolicy::Refuse => return (Outcome::Quarantined(Refusal::Plaintext), Plaintext::Stored),
                PlaintextPolicy::Keep => return (Outcome::Plaintext, Plaintext::Stored),
                PlaintextPolicy::Encrypt => (scratch.arena.append(&Source::Row(stored)), Plaintext::Stored),
            },
            Reading::Open(kernel) => match (self.refusal(&scratch.layers, &kernel), kernel) {
                (Some(refusal), _) => return quarantined(refusal),
                (None, Kernel::Plain(plaintext)) if !has_old(&scratch.layers) => {
                    return (Outcome::AlreadyNew, Plaintext::Opened(plaintext));
                }
                (None, Kernel::Plain(plaintext)) => (plaintext.clone(), Plaintext::Opened(plaintext)),
                (None, Kernel::Locked | Kernel::TooDeep) => return quarantined(Refusal::Nested),
            },
        };
        match seal(&self.ring, scratch, plaintext, ivs, out, invocations) {
            Some(()) => (Outcome::Rotated, of_field),
            None => quarantined(Refusal::ResealMismatch),
        }
    }

    /// The name of the known format, declared nowhere, in which a value opens that opens in no declared one.
    pub(crate) fn undeclared_format(&self, scratch: &mut Scratch, stored: &[u8]) -> Option<&str> {
        self.open_undeclared(scratch, stored, Expect::Old)
    }

    /// The known format in which a value of no declared one opens; its layers stand in the scratch. A column of bytes may hold formats of
    /// both kinds, told apart at a glance: what is text is of no binary format, and what is not ASCII of no text one.
    fn open_undeclared(&self, scratch: &mut Scratch, stored: &[u8], expect: Expect) -> Option<&str> {
        let [of_text, of_bytes] = &self.undeclared;
        let is_binary = self.ring.written().format.is_binary();
        let rings =
            [(of_text, !is_binary || stored.is_ascii()), (of_bytes, is_binary || std::str::from_utf8(stored).is_err())];
        rings.into_iter().filter(|(_, may_hold)| *may_hold).find_map(|(ring, _)| {
            let opened = matches!(peel(ring, scratch, stored, expect), Reading::Open(_));
            let outermost = scratch.layers.first().filter(|_| opened)?;
            Some(ring.candidates[outermost.candidate].format.name())
        })
    }

    /// Whether a part of a value that is no envelope opens in a declared format: `"…"`, `… as any …`, a string of a document. The layers of
    /// such a part stand in the scratch, of one under an old key where there is one.
    fn holds_envelope(&self, scratch: &mut Scratch, stored: &[u8], expect: Expect) -> bool {
        let mut holds = false;
        for part in parts(stored) {
            holds |= matches!(peel(&self.ring, scratch, part, expect), Reading::Open(_));
            if has_old(&scratch.layers) || has_other(&scratch.layers) {
                return true;
            }
        }
        holds
    }

    /// Why a value with these layers is not rewritten, if so.
    fn refusal(&self, layers: &[Layer], kernel: &Kernel) -> Option<Refusal> {
        match kernel {
            _ if has_other(layers) => Some(Refusal::OtherPair),
            Kernel::Plain(_) if layers.len() <= self.nesting_max => None,
            Kernel::Locked if layers.len() < self.nesting_max => Some(Refusal::Unreadable),
            Kernel::Plain(_) | Kernel::Locked | Kernel::TooDeep => Some(Refusal::Nested),
        }
    }
}

impl fmt::Debug for ColumnCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ColumnCipher(..)")
    }
}

/// A shorter part is no envelope: a nonce of 12 bytes and a tag of 16 have 40 characters of base64.
const PART_LEN_MIN: usize = 40;
/// Parts of one value that are looked at.
const PARTS_MAX: usize = 256;

/// The parts of a longer text that may be ciphertext of their own, bounded in number; none where it is one piece itself.
pub fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = text.split(|byte| !is_spelling(*byte));
    parts.filter(|part| (PART_LEN_MIN..text.len()).contains(&part.len())).take(PARTS_MAX)
}

/// What nonces, tags and ciphertexts are spelled with, and the separators between them.
pub(crate) fn is_spelling(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=-_:.".contains(&byte)
}

fn has_old(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| layer.side == Side::Old)
}

fn has_other(layers: &[Layer]) -> bool {
    layers.iter().any(|layer| matches!(layer.side, Side::Other(_)))
}

/// What a value that is not rewritten is: its layers say whether an old key opens it, else `refusal` says why.
fn left_alone(layers: &[Layer], refusal: Refusal) -> Class {
    match () {
        () if has_old(layers) => Class::Old,
        () if has_other(layers) => Class::Unreadable(Refusal::OtherPair),
        () => Class::Unreadable(refusal),
    }
}
