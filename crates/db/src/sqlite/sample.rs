//! A sample that is spread over the whole table and cheap on any size.
//!
//! The range of the first column that orders the table's tree is cut into pieces, and the first row of each piece is taken. Pieces without
//! rows are dropped and the others cut again, so that a table whose keys lie in a few clusters is sampled inside them.
use super::{
    Connection,
    connection::Arguments,
    failure,
    part::Part,
    rows,
    rows::{Identity, Rows},
    statement::{Statements, repeated},
};
use crate::{Error, Result, Selection as Chosen, rows::Batch};
use sqlx::{Either, sqlite::SqliteRow};
use std::collections::{BTreeMap, HashSet};

const DOING: &str = "sampling a table";

/// Rows by the point at which they were found.
type Found = BTreeMap<u64, SqliteRow>;

impl Connection {
    pub(crate) async fn sample(&mut self, chosen: &Chosen, rows: u32, seed: u32) -> Result<crate::Rows> {
        let statements = self.statements(DOING, chosen).await?;
        let no_place = || Error::NoRowKey { table: chosen.sqlite().table.clone() };
        let mut first = Vec::new();
        let mut arguments = Arguments::default();
        arguments.integer(i64::from(rows) + 1);
        self.collect(&statements.first_rows().ok_or_else(no_place)?, arguments, &mut first).await?;
        let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
        let found = match self.scale(&statements).await? {
            Some(scale) if first.len() > wanted => self.spread(&statements, &scale, rows, seed).await?,
            _ => Vec::new(),
        };
        // A small table is taken whole; where the keys give nothing to spread over, the first rows stand for all.
        let few = found.len() * 2 < wanted;
        packed(&statements, found.iter().chain(first.iter().filter(|_| few)), wanted)
    }

    /// One row of each piece, in pieces that are made until there are enough.
    async fn spread(&mut self, statements: &Statements, scale: &Scale, rows: u32, seed: u32) -> Result<Vec<SqliteRow>> {
        let Some(probe) = statements.probe() else { return Ok(Vec::new()) };
        let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
        let mut found = Found::new();
        let mut pieces = vec![(scale.low, scale.high)];
        for round in 0..ROUNDS_MAX {
            let cuts = (wanted.saturating_sub(found.len()) / pieces.len()).max(1) + 1;
            let jitter = u64::from(seed.wrapping_add(round).wrapping_mul(0x9e37_79b9));
            pieces = pieces.iter().flat_map(|&piece| cut(piece, cuts, jitter)).collect();
            let rows = self.probe(&probe, scale, &pieces).await?;
            let mut filled = Vec::new();
            for (piece, row) in pieces.iter().zip(rows) {
                let Some((point, row)) = row else { continue };
                if point <= piece.1 {
                    filled.push(*piece);
                    found.insert(point, row);
                }
            }
            if found.len() >= wanted || filled.is_empty() || filled.iter().all(|(from, to)| from == to) {
                break;
            }
            pieces = filled;
        }
        // The last round finds too many: some are left out, evenly.
        let found_rows = found.len();
        let stays = |nth: usize| (nth + 1) * wanted / found_rows > nth * wanted / found_rows;
        Ok(found.into_values().enumerate().filter(|(nth, _)| stays(*nth)).map(|(_, row)| row).collect())
    }

    /// For each piece the first row at or after its start, with its point.
    async fn probe(
        &mut self,
        probe: &str,
        scale: &Scale,
        pieces: &[(u64, u64)],
    ) -> Result<Vec<Option<(u64, SqliteRow)>>> {
        let mut found = Vec::with_capacity(pieces.len());
        for group in pieces.chunks(PROBES_AT_ONCE) {
            let mut arguments = Arguments::default();
            group.iter().for_each(|&(from, _)| scale.bind(from, &mut arguments));
            let mut current = None;
            let visit = |item| {
                match item {
                    Either::Right(row) => current = Some((scale.point(&rows::part(&row, 0)?), row)),
                    Either::Left(_) => found.push(current.take()),
                }
                Ok(true)
            };
            self.each(DOING, repeated(probe, group.len()), arguments, visit).await?;
        }
        Ok(found)
    }

    /// The range of the tree's first column; `None` if it is empty or its ends are not of one storage class.
    async fn scale(&mut self, statements: &Statements) -> Result<Option<Scale>> {
        let (Some(low), Some(high)) = (statements.end(false), statements.end(true)) else { return Ok(None) };
        let (low, high) =
            (self.all(DOING, &low, Arguments::default()).await?, self.all(DOING, &high, Arguments::default()).await?);
        let (Some(low), Some(high)) = (low.first(), high.first()) else { return Ok(None) };
        let part = |row| rows::part(row, 0).map_err(|error| failure::error(DOING, error));
        Ok(Scale::new(&part(low)?, &part(high)?))
    }

    async fn collect(&mut self, statement: &str, arguments: Arguments, into: &mut Vec<SqliteRow>) -> Result<()> {
        let visit = |item| {
            if let Either::Right(row) = item {
                into.push(row);
            }
            Ok(true)
        };
        self.each(DOING, statement.into(), arguments, visit).await
    }
}

/// Rows of the probe's columns as a batch, each once.
fn packed<'r>(
    statements: &Statements,
    rows: impl Iterator<Item = &'r SqliteRow>,
    rows_max: usize,
) -> Result<crate::Rows> {
    let identity = match statements.arity() {
        0 => Identity::Place(1),
        arity => Identity::PlaceAndKey(arity),
    };
    let (mut packed, mut known) = (Rows::new(identity, statements.slots()), HashSet::new());
    for row in rows {
        let key = rows::identity(row, identity).map_err(|error| failure::error(DOING, error))?;
        if packed.len() < rows_max && known.insert(key) {
            packed.push(row).map_err(|error| failure::error(DOING, error))?;
        }
    }
    packed.set_last(true);
    Ok(crate::Rows(Batch::Sqlite(packed)))
}

/// The piece in `cuts` pieces, the bounds between them moved a little by the seed.
fn cut((from, to): (u64, u64), cuts: usize, jitter: u64) -> Vec<(u64, u64)> {
    let cuts = u64::try_from(cuts).unwrap_or(1).max(1);
    let width = (to - from) / cuts;
    if width == 0 {
        return (from..=to).map(|point| (point, point)).collect();
    }
    let shift = jitter % width;
    let starts: Vec<_> = std::iter::once(from).chain((1..cuts).map(|n| from + n * width - shift / 2)).collect();
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([to]);
    starts.iter().copied().zip(ends).collect()
}

/// A column's values as points on a line, and back. The order need only be roughly the database's: it spreads a sample and proves nothing.
#[derive(Debug)]
struct Scale {
    kind: Kind,
    /// What all texts or blobs of the range begin with.
    prefix: Vec<u8>,
    low: u64,
    high: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    /// Printable ASCII, nine characters of it.
    Text,
    /// Seven bytes.
    Blob,
}

impl Scale {
    fn new(low: &Part<'_>, high: &Part<'_>) -> Option<Self> {
        let (kind, prefix) = match (low, high) {
            (Part::Integer(_), Part::Integer(_)) => (Kind::Integer, Vec::new()),
            (Part::Text(low), Part::Text(high)) => (Kind::Text, common_prefix(low, high)),
            (Part::Blob(low), Part::Blob(high)) => (Kind::Blob, common_prefix(low, high)),
            _ => return None,
        };
        let mut scale = Self { kind, prefix, low: 0, high: u64::MAX };
        (scale.low, scale.high) = (scale.point(low), scale.point(high));
        (scale.low <= scale.high).then_some(scale)
    }

    /// Where a value lies; at an end if it is of another class.
    fn point(&self, part: &Part<'_>) -> u64 {
        match (part, self.kind) {
            (Part::Integer(value), Kind::Integer) => value.cast_unsigned() ^ (1 << 63),
            (Part::Text(value), Kind::Text) => {
                let digit = |at| value.get(self.prefix.len() + at).map_or(0, |&byte| printable(byte));
                (0..TEXT_DIGITS).fold(0, |point, at| point * PRINTABLE + digit(at))
            }
            (Part::Blob(value), Kind::Blob) => {
                let digit = |at| value.get(self.prefix.len() + at).copied().unwrap_or_default();
                (0..BLOB_DIGITS).fold(0, |point, at| point << 8 | u64::from(digit(at)))
            }
            _ => self.high,
        }
    }

    fn bind(&self, point: u64, arguments: &mut Arguments) {
        match self.kind {
            Kind::Integer => arguments.integer((point ^ (1 << 63)).cast_signed()),
            Kind::Text => {
                let digits = (0..TEXT_DIGITS).rev().map(|at| {
                    let digit = point / PRINTABLE.pow(u32::try_from(at).unwrap_or_default()) % PRINTABLE;
                    u8::try_from(digit).unwrap_or_default() + b' '
                });
                arguments.text(&self.prefix.iter().copied().chain(digits).collect::<Vec<_>>());
            }
            Kind::Blob => {
                let digits = point.to_be_bytes();
                let digits = digits.iter().skip(8 - BLOB_DIGITS).copied();
                arguments.blob(&self.prefix.iter().copied().chain(digits).collect::<Vec<_>>());
            }
        }
    }
}

/// A byte among the printable ones: 0 for a blank and what comes before it, 94 for what comes after a tilde.
fn printable(byte: u8) -> u64 {
    u64::from(byte.clamp(b' ', b'~') - b' ')
}

fn common_prefix(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).take_while(|(one, other)| one == other).map(|(byte, _)| *byte).collect()
}

const PRINTABLE: u64 = 95;
const TEXT_DIGITS: usize = 9;
const BLOB_DIGITS: usize = 7;
const PROBES_AT_ONCE: usize = 32;
/// Enough to come from the whole range of integers down to single keys.
const ROUNDS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_cover_the_piece_without_overlap() {
        for (piece, cuts, jitter) in [((0, 99), 10, 7), ((5, 5), 3, 1), ((0, u64::MAX), 7, u64::MAX), ((3, 6), 9, 2)] {
            let cut = cut(piece, cuts, jitter);
            assert_eq!((cut[0].0, cut[cut.len() - 1].1), piece);
            assert!(cut.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{cut:?}");
            assert!(cut.iter().all(|(from, to)| from <= to), "{cut:?}");
        }
    }

    #[test]
    fn integers_keep_their_order_over_the_whole_range() {
        let scale = Scale::new(&Part::Integer(i64::MIN), &Part::Integer(i64::MAX)).expect("two integers");
        assert_eq!((scale.low, scale.high), (0, u64::MAX));
        assert!(scale.point(&Part::Integer(-1)) < scale.point(&Part::Integer(0)));
    }

    #[test]
    fn texts_and_blobs_are_told_apart_behind_their_common_prefix() {
        let scale = Scale::new(&Part::Text(b"user-000"), &Part::Text(b"user-zzz")).expect("two texts");
        assert!(scale.point(&Part::Text(b"user-1")) < scale.point(&Part::Text(b"user-2")));
        assert_eq!(scale.prefix, b"user-");
        let scale = Scale::new(&Part::Blob(&[1, 0]), &Part::Blob(&[1, 255])).expect("two blobs");
        assert!(scale.point(&Part::Blob(&[1, 3])) < scale.point(&Part::Blob(&[1, 4])));
        assert!(Scale::new(&Part::Integer(1), &Part::Text(b"a")).is_none());
    }
}
