//! A batch as it came over the wire.
use super::copy;
use crate::RowKey;
use sqlx::{Row, postgres::PgRow};
use std::ops::Range;

/// Rows whose first columns are the key, then the slots, then the version and the place (of a scanned row the place alone).
pub(crate) struct Rows {
    cells: Cells,
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
    pub(crate) fn new(cells: Cells, lengths: Vec<u32>, arity: usize, slots: usize, last: bool) -> Self {
        let bytes = lengths.iter().map(|length| *length as usize).sum();
        Self { cells, arity, lengths, bytes, last, slots }
    }

    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn key(&self, row: usize) -> RowKey {
        assert!(self.arity > 0, "rows of a heap scan have no key");
        encoded((0..self.arity).map(|column| (self.cells.types[column], self.cells.value(row, column))))
    }

    pub(crate) fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        self.cells.value(row, self.arity + slot)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    /// The rows of `other` behind these.
    pub(crate) fn append(&mut self, other: Self, expected: usize) {
        self.cells.append(other.cells, expected);
        self.lengths.extend(other.lengths);
        self.bytes += other.bytes;
        self.last = other.last;
    }

    /// The block of the heap in which the row stood when it was read.
    pub(crate) fn page(&self, row: usize) -> Option<u32> {
        let version = usize::from(self.arity > 0);
        place(self.cells.value(row, self.arity + self.slots + version)?).map(|(block, _)| block)
    }

    /// The sum of the row's field lengths.
    pub(crate) fn row_bytes(&self, row: usize) -> usize {
        self.lengths[row] as usize
    }

    /// A key column of a row, as it will be bound again.
    pub(crate) fn key_part(&self, row: usize, part: usize) -> Option<&[u8]> {
        self.cells.value(row, part)
    }

    /// The transaction that wrote the row as it was read.
    pub(crate) fn version(&self, row: usize) -> Option<&[u8]> {
        self.cells.value(row, self.arity + self.slots)
    }
}

/// Values of many rows, one behind another in one piece of memory: a window's rows are visited in another order than they came in, and each value of a row of the
/// driver's own is looked up in three places.
#[derive(Default)]
pub(crate) struct Cells {
    bytes: Vec<u8>,
    /// Where each value ends; [`NULL`] is set where there is none.
    ends: Vec<u64>,
    /// Of the columns, by their type's identifier.
    types: Vec<u32>,
}

const NULL: u64 = 1 << 63;

impl Cells {
    /// Adds a row; all have the same columns. Gives back how many bytes there are in those of `counted`.
    pub(crate) fn push(&mut self, row: &PgRow, counted: &Range<usize>) -> usize {
        let mut length = 0;
        if self.types.is_empty() {
            self.types = row.columns().iter().map(TypeOid::type_info_oid).collect();
        }
        for column in 0..self.types.len() {
            let bytes = self.push_value(value(row, column));
            length += if counted.contains(&column) { bytes } else { 0 };
        }
        length
    }

    /// Of rows that come without types, with so many columns.
    pub(crate) fn of(columns: usize) -> Self {
        Self { types: vec![0; columns], ..Self::default() }
    }

    /// Adds a row of [`Cells::of`] in the form of `COPY`.
    pub(crate) fn push_tuple(&mut self, tuple: &[u8], counted: &Range<usize>) -> usize {
        let mut length = 0;
        for (column, field) in copy::fields(tuple).enumerate() {
            let bytes = self.push_value(field);
            length += if counted.contains(&column) { bytes } else { 0 };
        }
        length
    }

    fn push_value(&mut self, value: Option<&[u8]>) -> usize {
        let bytes = value.unwrap_or_default();
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len() as u64 | if value.is_none() { NULL } else { 0 });
        bytes.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len().checked_div(self.types.len()).unwrap_or_default()
    }

    /// The raw value of a column; `None` is NULL.
    pub(crate) fn value(&self, row: usize, column: usize) -> Option<&[u8]> {
        let at = row * self.types.len() + column;
        let end = self.ends[at];
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] & !NULL);
        (end & NULL == 0).then(|| &self.bytes[start as usize..end as usize])
    }

    /// The same of the last row.
    pub(crate) fn last(&self, column: usize) -> Option<&[u8]> {
        self.value(self.len().checked_sub(1)?, column)
    }

    fn append(&mut self, other: Self, expected: usize) {
        if self.types.is_empty() {
            *self = other;
            return;
        }
        let per_row = self.bytes.len() / self.len().max(1) + 1;
        make_room(&mut self.bytes, other.bytes.len(), per_row * (expected + expected / 8));
        make_room(&mut self.ends, other.ends.len(), self.types.len() * expected);
        let before = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| end + before));
    }
}

/// Room for `more` items; where there is none, for `expected` in all.
fn make_room<T>(items: &mut Vec<T>, more: usize, expected: usize) {
    if items.capacity() < items.len() + more && items.len() + more < expected {
        items.reserve_exact(expected - items.len());
    }
}

/// Block and row of a `ctid`.
pub(crate) fn place(ctid: &[u8]) -> Option<(u32, u16)> {
    let (block, row) = ctid.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*block), u16::from_be_bytes(row.try_into().ok()?)))
}

/// The raw value of a column; `None` is NULL.
pub(crate) fn value(row: &PgRow, column: usize) -> Option<&[u8]> {
    row.try_get_raw(column).ok()?.as_bytes().ok()
}

/// The row's first columns as a key.
pub(crate) fn key(row: &PgRow, arity: usize) -> RowKey {
    encoded((0..arity).map(|column| (row.columns()[column].type_info_oid(), value(row, column))))
}

/// A key: for each column its type and its length, four bytes each, and its binary form.
fn encoded<'v>(parts: impl ExactSizeIterator<Item = (u32, Option<&'v [u8]>)>) -> RowKey {
    let mut bytes = Vec::with_capacity(parts.len() * 24);
    for (oid, value) in parts {
        let value = value.unwrap_or_default();
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

    fn key_of(parts: &[(u32, &[u8])]) -> RowKey {
        encoded(parts.iter().map(|(oid, value)| (*oid, Some(*value))))
    }

    #[test]
    fn cells_stand_behind_one_another() {
        let row = |values: [Option<&[u8]>; 2]| {
            let mut cells = Cells { types: vec![25, 25], ..Cells::default() };
            for value in values {
                cells.bytes.extend_from_slice(value.unwrap_or_default());
                cells.ends.push(cells.bytes.len() as u64 | if value.is_none() { NULL } else { 0 });
            }
            cells
        };
        let mut cells = Cells::default();
        assert_eq!((cells.len(), cells.last(0)), (0, None));
        let rows = [[Some(&b"ab"[..]), None], [None, Some(b"")], [Some(b"c"), Some(b"def")]];
        rows.iter().for_each(|values| cells.append(row(*values), 3));
        assert_eq!(cells.len(), 3);
        for (at, values) in rows.iter().enumerate() {
            assert_eq!([cells.value(at, 0), cells.value(at, 1)], *values);
        }
        assert_eq!(cells.last(1), Some(&b"def"[..]));
    }

    #[test]
    fn the_parts_of_a_key_come_back() {
        let parts: [(u32, &[u8]); 3] = [(23, &[0, 0, 0, 7]), (25, b""), (2950, &[9; 16])];
        assert_eq!(key_parts(&key_of(&parts)).as_deref(), Some(&parts[..]));
    }

    #[test]
    fn a_place_is_read_from_six_bytes() {
        assert_eq!(place(&[0, 1, 0, 2, 0, 3]), Some((65538, 3)));
        assert_eq!(place(&[0, 1, 0, 2, 0]), None);
    }

    #[test]
    fn every_truncation_is_noticed() {
        let whole = key_of(&[(23, &[0, 0, 0, 7]), (25, b"ab")]);
        let boundaries = [0, 12, whole.as_bytes().len()];
        for length in 0..=whole.as_bytes().len() {
            let cut = RowKey::from_bytes(whole.as_bytes()[..length].to_vec());
            assert_eq!(key_parts(&cut).is_some(), boundaries.contains(&length), "{length}");
        }
    }
}
