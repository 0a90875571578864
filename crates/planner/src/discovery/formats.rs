//! Which formats the values of one column have, and which key opens them.
use crate::Keyring;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use reencrypt_crypto::{Class, ColumnCipher, ColumnSpec, Expect, Format, KeyPair, PlaintextPolicy, presets};
use std::sync::Arc;

/// A column whose values open under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// its name
    pub(crate) column: String,
    /// the pair whose key opens most of it
    pub(crate) pair: String,
    /// formats that open values, the most frequent first
    pub(crate) read: Vec<String>,
    /// values that open under the old key
    pub(crate) opens_old: u64,
    /// values that open under the new key
    pub(crate) opens_new: u64,
    /// values that are not encrypted at all
    pub(crate) plaintext: u64,
    /// how many layers its values have
    pub(crate) layers: u8,
}

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// at least one opens
    Encrypted(Found),
    /// most have a format's shape (without an old key: one has), none opens
    Shaped { format: String, values: u64 },
    /// pieces of longer texts or members of documents open: so many under the old key, so many under the new
    Embedded { opens_old: u64, opens_new: u64 },
    /// most are 64 hex digits
    Hashes,
    /// anything else
    Other,
}

/// The most layers that are looked for.
pub(super) const LAYERS_MAX: u8 = 4;
/// Fewer values of a shape are no reason to mention it.
const SHAPED_MIN: u64 = 3;

/// The formats that can be found: the presets that notice a wrong key, for columns of text or of bytes.
pub(super) struct Candidates(Vec<Candidate>);

struct Candidate {
    format: Format,
    /// no value of it is shorter
    len_min: usize,
    /// any encoded bytes have its shape, so that the shape says nothing
    loose: bool,
}

impl Candidates {
    /// Every preset, in the order in which they are tried.
    pub(super) fn all() -> Self {
        let formats = presets().iter().filter_map(|preset| Format::preset(preset.name));
        let authenticated = formats.filter(Format::is_authenticated);
        let candidate = |format: Format| Candidate { loose: is_loose(&format), len_min: format.stored_len(0), format };
        Self(authenticated.map(candidate).collect())
    }
}

/// Whether the shape of `format` is that of any text of its alphabet.
fn is_loose(format: &Format) -> bool {
    let bytes: Vec<u8> = (0..48u8).map(|i| i.wrapping_mul(151).wrapping_add(67)).collect();
    let texts = [HEXLOWER.encode(&bytes), BASE64.encode(&bytes), BASE64URL_NOPAD.encode(&bytes)];
    texts.iter().any(|text| format.matches_shape(text.as_bytes())) || format.matches_shape(&bytes)
}

/// One column of one table: names as key derivation knows them.
pub(super) struct Place<'a> {
    pub(super) table: &'a str,
    pub(super) column: &'a str,
    pub(super) binary: bool,
}

impl Place<'_> {
    /// A cipher of this column that reads `formats`; `None` where the key does not fit them.
    pub(super) fn cipher(&self, formats: Vec<Format>, layers: u8, keys: &Arc<KeyPair>) -> Option<ColumnCipher> {
        let spec = ColumnSpec {
            write: formats.first()?.clone(),
            read: formats,
            plaintext: PlaintextPolicy::Keep,
            nesting_max: layers,
            table: self.table.to_owned(),
            column: self.column.to_owned(),
        };
        ColumnCipher::of_declared(spec, keys).ok()
    }
}

impl Found {
    /// Its formats, the most frequent first.
    pub(super) fn formats(&self) -> Vec<Format> {
        self.read.iter().filter_map(|name| Format::preset(name)).collect()
    }
}

/// Judges the values of a column; empty ones and NULL are left out by the caller.
pub(super) fn judge(place: &Place<'_>, values: &[&[u8]], candidates: &Candidates, keys: &Keyring) -> Judgement {
    let mut trials = Vec::new();
    let mut shaped: Option<(u64, &str)> = None;
    // Most values of a database are no ciphertext at a glance; asking every format about them would take a hundred times as long. A column
    // of bytes may hold formats of text, and one of text formats of bytes where the engine lets it (SQLite).
    let is_bytes = |value: &[u8]| place.binary || std::str::from_utf8(value).is_err();
    let of_text: Vec<usize> = (0..values.len()).filter(|&i| values[i].is_ascii()).collect();
    let of_bytes: Vec<usize> = (0..values.len()).filter(|&i| is_bytes(values[i])).collect();
    for candidate in &candidates.0 {
        let fit = if candidate.format.is_binary() { &of_bytes } else { &of_text };
        let has_shape = |&i: &usize| values[i].len() >= candidate.len_min && candidate.format.matches_shape(values[i]);
        let of_shape: Vec<usize> = fit.iter().copied().filter(has_shape).collect();
        if of_shape.is_empty() {
            continue;
        }
        let count = of_shape.len() as u64;
        if !candidate.loose && shaped.is_none_or(|(most, _)| count > most) {
            shaped = Some((count, candidate.format.name()));
        }
        for (pair, keys) in keys {
            trials.extend(try_format(place, values, &of_shape, &candidate.format, pair, keys));
        }
    }
    if let Some(found) = choose(place, values, trials, keys) {
        return Judgement::Encrypted(found);
    }
    // Without an old key nothing tells a value that needs it from others of its shape: one is enough.
    let blind = keys.values().any(|pair| pair.old.is_none());
    match shaped {
        Some((count, format)) if blind || (count >= SHAPED_MIN && count * 2 >= values.len() as u64) => {
            Judgement::Shaped { format: format.to_owned(), values: count }
        }
        _ if mostly_hashes(values) => Judgement::Hashes,
        _ => Judgement::Other,
    }
}

/// A column of hashes is one with a placeholder among them too.
fn mostly_hashes(values: &[&[u8]]) -> bool {
    let is_hash = |value: &&&[u8]| value.len() == 64 && value.iter().all(u8::is_ascii_hexdigit);
    let hashes = values.iter().filter(is_hash).count();
    hashes > 0 && hashes * 2 >= values.len()
}

/// One format under one pair: which values open.
struct Trial<'a> {
    format: Format,
    pair: &'a str,
    opens: Vec<usize>,
}

fn try_format<'a>(
    place: &Place<'_>,
    values: &[&[u8]],
    of_shape: &[usize],
    format: &Format,
    pair: &'a str,
    keys: &Arc<KeyPair>,
) -> Option<Trial<'a>> {
    let cipher = place.cipher(vec![format.clone()], LAYERS_MAX, keys)?;
    let opens = |i: &usize| matches!(cipher.classify(Some(values[*i]), Expect::Old), Class::Old | Class::New);
    let opens: Vec<usize> = of_shape.iter().copied().filter(opens).collect();
    (!opens.is_empty()).then(|| Trial { format: format.clone(), pair, opens })
}

/// The pair that opens most values, and of its formats as few as open all that any of them opens.
fn choose(place: &Place<'_>, values: &[&[u8]], trials: Vec<Trial<'_>>, keys: &Keyring) -> Option<Found> {
    // `rev`: of equals the first in the order of the presets.
    let pair = trials.iter().rev().max_by_key(|trial| trial.opens.len())?.pair;
    let keys = keys.get(pair)?;
    let mut left: Vec<&Trial<'_>> = trials.iter().filter(|trial| trial.pair == pair).collect();
    let mut opened = vec![false; values.len()];
    let mut read = Vec::new();
    loop {
        let adds = |trial: &&Trial<'_>| trial.opens.iter().filter(|&&i| !opened[i]).count();
        let Some(next) = left.iter().copied().rev().max_by_key(adds).filter(|trial| adds(trial) > 0) else { break };
        let cipher = place.cipher(vec![next.format.clone()], LAYERS_MAX, keys)?;
        for (opened, value) in opened.iter_mut().zip(values) {
            // A format may read more than what has its exact shape.
            *opened |= matches!(cipher.classify(Some(value), Expect::Old), Class::Old | Class::New);
        }
        read.push(next.format.clone());
        left.retain(|trial| trial.format.name() != next.format.name());
    }
    let (read, cipher) = writable(place, read, keys)?;
    let mut found = Found {
        column: place.column.to_owned(),
        pair: pair.to_owned(),
        read: read.iter().map(|format| format.name().to_owned()).collect(),
        opens_old: 0,
        opens_new: 0,
        plaintext: 0,
        layers: 1,
    };
    for value in values {
        match cipher.classify(Some(value), Expect::Old) {
            Class::Old => found.opens_old += 1,
            Class::New => found.opens_new += 1,
            Class::Plaintext => found.plaintext += 1,
            _ => {}
        }
    }
    Some(found)
}

/// The formats with one in front that all of them can be written as: the most frequent, else one that needs no part (a
/// key id) that the others do not bring; else the most frequent alone.
fn writable(place: &Place<'_>, read: Vec<Format>, keys: &Arc<KeyPair>) -> Option<(Vec<Format>, ColumnCipher)> {
    for write in 0..read.len() {
        let mut order = read.clone();
        order[..=write].rotate_right(1);
        if let Some(cipher) = place.cipher(order.clone(), LAYERS_MAX, keys) {
            return Some((order, cipher));
        }
    }
    let most = vec![read.into_iter().next()?];
    let cipher = place.cipher(most.clone(), LAYERS_MAX, keys)?;
    Some((most, cipher))
}
