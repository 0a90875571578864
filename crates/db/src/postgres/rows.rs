//! A batch as it came over the wire.
use crate::RowKey;
use sqlx::{Row, ValueRef, postgres::PgRow};

/// Rows whose first columns are the key, then the slots, then the version and the place (of a scanned row the place alone).
pub(crate) struct Rows {
    rows: Vec<PgRow>,
    /// Key columns; none in a heap scan.
    arity: usize,
    /// Of each row the bytes of its fields.
    lengths: Vec<u32>,
    bytes: usize,
    last: bool,
    slots: usize,
}

impl Rows {
    /// `lengths` are those of the rows' fields, as counted when they came in.
    pub(crate) fn new(rows: Vec<PgRow>, lengths: Vec<u32>, arity: usize, slots: usize, last: bool) -> Self {
        let bytes = lengths.iter().map(|length| *length as usize).sum();
        Self { rows, arity, lengths, bytes, last, slots }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn key(&self, row: usize) -> RowKey {
        assert!(self.arity > 0, "rows of a heap scan have no key");
        key(&self.rows[row], self.arity)
    }

    pub(crate) fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        value(&self.rows[row], self.arity + slot)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    /// The rows of `other` behind these.
    pub(crate) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.lengths.extend(other.lengths);
        self.bytes += other.bytes;
        self.last = other.last;
    }

    /// The block of the heap in which the row stood when it was read.
    pub(crate) fn page(&self, row: usize) -> Option<u32> {
        let version = usize::from(self.arity > 0);
        place(value(&self.rows[row], self.arity + self.slots + version)?).map(|(block, _)| block)
    }

    /// The sum of the row's field lengths.
    pub(crate) fn row_bytes(&self, row: usize) -> usize {
        self.lengths[row] as usize
    }

    /// A key column of a row, as it will be bound again.
    pub(crate) fn key_part(&self, row: usize, part: usize) -> Option<&[u8]> {
        value(&self.rows[row], part)
    }

    /// The transaction that wrote the row as it was read.
    pub(crate) fn version(&self, row: usize) -> Option<&[u8]> {
        value(&self.rows[row], self.arity + self.slots)
    }
}

/// Block and row of a `ctid`.
pub(crate) fn place(ctid: &[u8]) -> Option<(u32, u16)> {
    let (block, row) = ctid.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*block), u16::from_be_bytes(row.try_into().ok()?)))
}

/// The raw value of a column; `None` is NULL.
pub(crate) fn value(row: &PgRow, column: usize) -> Option<&[u8]> {
    row.try_get_raw(column).ok().filter(|value| !value.is_null()).and_then(|value| value.as_bytes().ok())
}

/// The sum of some columns' lengths.
pub(crate) fn length(row: &PgRow, first: usize, count: usize) -> usize {
    (first..first + count).filter_map(|column| value(row, column)).map(<[u8]>::len).sum()
}

/// The row's first columns as a key: for each its type and its length, four bytes each, and its binary form.
pub(crate) fn key(row: &PgRow, arity: usize) -> RowKey {
    let mut bytes = Vec::with_capacity(arity * 24);
    for column in 0..arity {
        let oid = row.columns()[column].type_info_oid();
        let value = value(row, column).unwrap_or_default();
        bytes.extend_from_slice(&oid.to_be_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
        bytes.extend_from_slice(value);
    }
    RowKey::from_bytes(bytes)
}

/// The parts of a key: type and binary form of each; `None` if the bytes are no key.
pub(crate) fn key_parts(key: &RowKey) -> Option<Vec<(u32, &[u8])>> {
    let mut rest = key.as_bytes();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (oid, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (value, after) = after.split_at_checked(length)?;
        parts.push((u32::from_be_bytes(*oid), value));
        rest = after;
    }
    Some(parts)
}

/// The type of a result column, 0 where the driver does not say.
trait TypeOid {
    fn type_info_oid(&self) -> u32;
}

impl TypeOid for sqlx::postgres::PgColumn {
    fn type_info_oid(&self) -> u32 {
        sqlx::Column::type_info(self).oid().map_or(0, |oid| oid.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(parts: &[(u32, &[u8])]) -> RowKey {
        let part = |(oid, value): &(u32, &[u8])| {
            [&oid.to_be_bytes()[..], &(value.len() as u32).to_be_bytes()[..], value].concat()
        };
        RowKey::from_bytes(parts.iter().flat_map(part).collect())
    }

    #[test]
    fn the_parts_of_a_key_come_back() {
        let parts: [(u32, &[u8]); 3] = [(23, &[0, 0, 0, 7]), (25, b""), (2950, &[9; 16])];
        assert_eq!(key_parts(&encoded(&parts)).as_deref(), Some(&parts[..]));
    }

    #[test]
    fn a_place_is_read_from_six_bytes() {
        assert_eq!(place(&[0, 1, 0, 2, 0, 3]), Some((65538, 3)));
        assert_eq!(place(&[0, 1, 0, 2, 0]), None);
    }

    #[test]
    fn every_truncation_is_noticed() {
        let whole = encoded(&[(23, &[0, 0, 0, 7]), (25, b"ab")]);
        let boundaries = [0, 12, whole.as_bytes().len()];
        for length in 0..=whole.as_bytes().len() {
            let cut = RowKey::from_bytes(whole.as_bytes()[..length].to_vec());
            assert_eq!(key_parts(&cut).is_some(), boundaries.contains(&length), "{length}");
        }
    }
}
