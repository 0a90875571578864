//! Rows as they were read, packed into one buffer, with the storage class of each value.
use super::part::Part;
use crate::RowKey;
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef, sqlite::SqliteRow};

/// A batch. The first columns of a row identify it, the rest are the slots.
pub(crate) struct Rows {
    identity: Identity,
    slots: usize,
    buffer: Vec<u8>,
    /// Where each row's encoded identity stands in the buffer.
    keys: Vec<Span>,
    cells: Vec<Cell>,
    field_bytes: usize,
    last: bool,
}

/// What the leading columns of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The row key, of so many columns.
    Key(usize),
    /// Only a place in this scan, of so many columns: an implicit rowid is no row key.
    Place(usize),
    /// A place of one column, and then the row key.
    PlaceAndKey(usize),
}

/// A value's storage class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Null,
    Integer,
    Real,
    Text,
    Blob,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
}

#[derive(Clone, Copy)]
struct Cell {
    span: Span,
    class: Class,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// # Panics
    /// For rows of a heap scan, which have no key: a bug of the caller.
    pub(crate) fn key(&self, row: usize) -> RowKey {
        assert!(!matches!(self.identity, Identity::Place(_)), "rows of a heap scan have no key");
        RowKey::from_bytes(self.slice(self.keys[row]).to_vec())
    }

    pub(crate) fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        let cell = self.cell(row, slot);
        (cell.class != Class::Null).then(|| self.slice(cell.span))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.field_bytes
    }

    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    /// The rows of `other` behind these.
    pub(crate) fn append(&mut self, other: Self, expected: usize) {
        let more = expected.saturating_sub(self.len());
        self.keys.reserve(more);
        self.cells.reserve(more * self.slots);
        let shift = self.buffer.len();
        let moved = |span: Span| Span { start: span.start + shift, ..span };
        self.buffer.extend(other.buffer);
        self.keys.extend(other.keys.into_iter().map(moved));
        self.cells.extend(other.cells.into_iter().map(|cell| Cell { span: moved(cell.span), ..cell }));
        self.field_bytes += other.field_bytes;
        self.last = other.last;
    }

    /// The sum of the row's field lengths.
    pub(crate) fn row_bytes(&self, row: usize) -> usize {
        (0..self.slots).map(|slot| self.cell(row, slot).span.length).sum()
    }

    pub(super) fn new(identity: Identity, slots: usize) -> Self {
        Self { identity, slots, buffer: Vec::new(), keys: Vec::new(), cells: Vec::new(), field_bytes: 0, last: false }
    }

    /// Says that there was nothing more in the range.
    pub(super) fn set_last(&mut self, last: bool) {
        self.last = last;
    }

    /// The storage class that the value was read with.
    pub(super) fn class(&self, row: usize, slot: usize) -> Class {
        self.cell(row, slot).class
    }

    /// The identity of the last row: where a scan goes on.
    pub(super) fn last_place(&self) -> Option<RowKey> {
        let span = *self.keys.last()?;
        Some(RowKey::from_bytes(self.slice(span).to_vec()))
    }

    /// Takes in a row as it came from the database.
    pub(super) fn push(&mut self, row: &SqliteRow) -> sqlx::Result<()> {
        let leading = self.identity.columns();
        let start = self.buffer.len();
        for column in leading.clone() {
            part(row, column)?.encode(&mut self.buffer);
        }
        let span = Span { start, length: self.buffer.len() - start };
        for column in leading.end..leading.end + self.slots {
            let cell = self.take(row, column)?;
            self.cells.push(cell);
        }
        self.keys.push(span);
        Ok(())
    }

    fn take(&mut self, row: &SqliteRow, column: usize) -> sqlx::Result<Cell> {
        let class = class(row, column)?;
        let start = self.buffer.len();
        match class {
            Class::Null => {}
            Class::Integer => self.buffer.extend(row.try_get_unchecked::<i64, _>(column)?.to_string().bytes()),
            // The shortest text that reads back as the same number.
            Class::Real => self.buffer.extend(format!("{:?}", row.try_get_unchecked::<f64, _>(column)?).bytes()),
            Class::Text | Class::Blob => self.buffer.extend_from_slice(raw(row, column)?),
        }
        let length = self.buffer.len() - start;
        self.field_bytes += length;
        Ok(Cell { span: Span { start, length }, class })
    }

    fn cell(&self, row: usize, slot: usize) -> Cell {
        assert!(slot < self.slots, "the selection has no such slot");
        self.cells[row * self.slots + slot]
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.buffer[span.start..span.start + span.length]
    }
}

impl Identity {
    /// Where the columns stand that identify a row.
    fn columns(self) -> std::ops::Range<usize> {
        match self {
            Identity::Key(columns) | Identity::Place(columns) => 0..columns,
            Identity::PlaceAndKey(columns) => 1..1 + columns,
        }
    }
}

/// What identifies a row, encoded.
pub(super) fn identity(row: &SqliteRow, identity: Identity) -> sqlx::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for column in identity.columns() {
        part(row, column)?.encode(&mut bytes);
    }
    Ok(bytes)
}

/// The value of a key column.
pub(super) fn part(row: &SqliteRow, column: usize) -> sqlx::Result<Part<'_>> {
    Ok(match class(row, column)? {
        Class::Integer => Part::Integer(row.try_get_unchecked(column)?),
        Class::Real => Part::Real(row.try_get_unchecked(column)?),
        Class::Text => Part::Text(raw(row, column)?),
        Class::Blob => Part::Blob(raw(row, column)?),
        Class::Null => return Err(sqlx::Error::Decode("NULL in a row key".into())),
    })
}

/// An integer of the catalog.
pub(super) fn integer(row: &SqliteRow, column: usize) -> sqlx::Result<i64> {
    match part(row, column)? {
        Part::Integer(value) => Ok(value),
        _ => Err(sqlx::Error::Decode("no integer".into())),
    }
}

/// Whether a value is NULL.
pub(super) fn is_null(row: &SqliteRow, column: usize) -> bool {
    class(row, column).is_ok_and(|class| class == Class::Null)
}

/// The storage class of a value, whatever its column's declared type.
pub(super) fn class(row: &SqliteRow, column: usize) -> sqlx::Result<Class> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(Class::Null);
    }
    Ok(match value.type_info().name() {
        "INTEGER" => Class::Integer,
        "REAL" => Class::Real,
        "TEXT" => Class::Text,
        _ => Class::Blob,
    })
}

/// The bytes of a text or a blob.
pub(super) fn raw(row: &SqliteRow, column: usize) -> sqlx::Result<&[u8]> {
    <&[u8] as Decode<'_, Sqlite>>::decode(row.try_get_raw(column)?).map_err(sqlx::Error::Decode)
}
