//! A row key as bytes: for each key column its storage class and its value.
//!
//! One byte of class (1 INTEGER, 2 REAL, 3 TEXT, 4 BLOB), then eight big-endian bytes of a number, or four big-endian bytes of length and
//! the bytes themselves. The store keeps these bytes: they never change their meaning.
use crate::RowKey;

/// One key column's value, bound again with the storage class it was read with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part<'k> {
    Integer(i64),
    Real(f64),
    Text(&'k [u8]),
    Blob(&'k [u8]),
}

impl<'k> Part<'k> {
    /// Appends the part's encoding.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Part::Integer(value) => number(bytes, INTEGER, value.to_be_bytes()),
            Part::Real(value) => number(bytes, REAL, value.to_be_bytes()),
            Part::Text(value) => string(bytes, TEXT, value),
            Part::Blob(value) => string(bytes, BLOB, value),
        }
    }

    /// Whether it can be bound as it is: text that is not UTF-8 travels as a blob and is cast.
    pub(super) fn is_plain(&self) -> bool {
        !matches!(self, Part::Text(value) if std::str::from_utf8(value).is_err())
    }

    /// For a person.
    fn shown(&self) -> String {
        match self {
            Part::Integer(value) => value.to_string(),
            Part::Real(value) => format!("{value:?}"),
            Part::Text(value) => String::from_utf8_lossy(value).into_owned(),
            Part::Blob(value) => {
                let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("x'{digits}'")
            }
        }
    }
}

/// The parts of a key; `None` unless there are exactly `arity` of them and nothing more.
pub(super) fn parts(key: &RowKey, arity: usize) -> Option<Vec<Part<'_>>> {
    let mut rest = key.as_bytes();
    let mut parts = Vec::with_capacity(arity);
    for _ in 0..arity {
        parts.push(take(&mut rest)?);
    }
    rest.is_empty().then_some(parts)
}

/// The key as text for a person, its parts joined by `, `.
pub(super) fn shown(parts: &[Part<'_>]) -> String {
    parts.iter().map(Part::shown).collect::<Vec<_>>().join(", ")
}

fn take<'k>(rest: &mut &'k [u8]) -> Option<Part<'k>> {
    let class = rest.split_off_first()?;
    Some(match *class {
        INTEGER => Part::Integer(i64::from_be_bytes(take_number(rest)?)),
        REAL => Part::Real(f64::from_be_bytes(take_number(rest)?)),
        TEXT => Part::Text(take_string(rest)?),
        BLOB => Part::Blob(take_string(rest)?),
        _ => return None,
    })
}

fn take_number(rest: &mut &[u8]) -> Option<[u8; 8]> {
    rest.split_off(..8)?.try_into().ok()
}

fn take_string<'k>(rest: &mut &'k [u8]) -> Option<&'k [u8]> {
    let length = u32::from_be_bytes(rest.split_off(..4)?.try_into().ok()?);
    rest.split_off(..usize::try_from(length).ok()?)
}

fn number(bytes: &mut Vec<u8>, class: u8, value: [u8; 8]) {
    bytes.push(class);
    bytes.extend_from_slice(&value);
}

fn string(bytes: &mut Vec<u8>, class: u8, value: &[u8]) {
    // SQLite bounds a value at 2^31 - 1 bytes.
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    bytes.push(class);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(value);
}

const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(parts: &[Part<'_>]) -> RowKey {
        let mut bytes = Vec::new();
        parts.iter().for_each(|part| part.encode(&mut bytes));
        RowKey::from_bytes(bytes)
    }

    #[test]
    fn every_class_comes_back_as_it_was() {
        let original = [
            Part::Integer(i64::MIN),
            Part::Real(-0.1),
            Part::Text(b"a\0, b"),
            Part::Blob(&[0xff, 0]),
            Part::Text(b""),
            Part::Blob(b""),
        ];
        let key = encoded(&original);
        assert_eq!(parts(&key, original.len()).expect("its own encoding"), original);
    }

    #[test]
    fn the_encoding_is_what_the_store_holds() {
        let key = encoded(&[Part::Integer(258), Part::Text(b"ab")]);
        assert_eq!(key.as_bytes(), [1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 2, b'a', b'b']);
    }

    #[test]
    fn a_key_cut_or_continued_anywhere_is_refused() {
        let key = encoded(&[Part::Text(b"abc"), Part::Integer(7)]);
        for length in 0..key.as_bytes().len() {
            assert!(parts(&RowKey::from_bytes(key.as_bytes()[..length].to_vec()), 2).is_none(), "{length} bytes");
        }
        let longer = [key.as_bytes(), &[0]].concat();
        assert!(parts(&RowKey::from_bytes(longer), 2).is_none());
        assert!(parts(&key, 1).is_none());
        assert!(parts(&key, 3).is_none());
    }

    #[test]
    fn text_for_a_person_joins_the_parts() {
        let all = [Part::Integer(-3), Part::Text("Zoë".as_bytes()), Part::Blob(&[0, 0xab]), Part::Real(1.0)];
        assert_eq!(shown(&all), "-3, Zoë, x'00ab', 1.0");
    }
}
