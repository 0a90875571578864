//! The data path: keyset reads, reads by key, and the compare-and-set write.
use super::{
    Connection, Rows,
    connection::{Bound, Outcome},
    rows::{self, key_parts},
    selection::{Selection, Used, hits},
    wire::{INT4, INT4_ARRAY, Parameters, TEXT, XID, XID_ARRAY, int4_elements},
};
use crate::{Error, Result, Rider, RowKey, Selection as Chosen, rows::Batch};
use std::time::Duration;

/// A read ends early at this many bytes of fields.
pub(crate) const BATCH_BYTES_MAX: usize = 16 << 20;

/// A count reads the whole table, however large.
const COUNT_DEADLINE: Duration = Duration::from_secs(3600);

impl Connection {
    pub(crate) async fn max_key(&mut self, chosen: &Chosen) -> Result<Option<RowKey>> {
        let selection = keyed(chosen)?;
        let read = self.query("reading the largest key", &selection.max_key(), Parameters::default()).await;
        let rows = read.map_err(|error| error.about(chosen.table()))?;
        Ok(rows.first().map(|row| rows::key(row, selection.key.len())))
    }

    pub(crate) async fn key_after(
        &mut self,
        chosen: &Chosen,
        after: Option<&RowKey>,
        upto: &RowKey,
        rows_max: u64,
    ) -> Result<Option<RowKey>> {
        let selection = keyed(chosen)?;
        let with = range(chosen, after, upto)?.int8(i64::try_from(rows_max).unwrap_or(i64::MAX));
        let read = self.query("finding a chunk's end", &selection.key_after(after.is_none()), with).await;
        let rows = read.map_err(|error| error.about(chosen.table()))?;
        Ok(rows.first().map(|row| rows::key(row, selection.key.len())))
    }

    pub(crate) async fn read_batch(
        &mut self,
        chosen: &Chosen,
        after: Option<&RowKey>,
        upto: &RowKey,
        limit: u32,
    ) -> Result<crate::Rows> {
        let selection = keyed(chosen)?;
        let limit = limit.min(self.batch_rows_max);
        let with = range(chosen, after, upto)?.int8(limit.into());
        let sql = selection.batch(after.is_none());
        let read = self.query_bounded("reading a batch", sql, with, bound(selection)).await;
        let outcome = read.map_err(|error| error.about(chosen.table()))?;
        let read = outcome.cells.len();
        // The server computes and sends all that was asked for, so ask for less after too much and for more again after little.
        if outcome.cut {
            self.batch_rows_max = u32::try_from(read).unwrap_or(u32::MAX).saturating_mul(5) / 4 + 1;
        } else {
            self.batch_rows_max = self.batch_rows_max.saturating_mul(2);
        }
        let last = !outcome.cut && read < limit as usize;
        Ok(batch(outcome, selection, last))
    }

    pub(crate) async fn read_keys(&mut self, chosen: &Chosen, keys: &[RowKey], lock: bool) -> Result<crate::Rows> {
        let selection = keyed(chosen)?;
        if keys.is_empty() {
            return Ok(batch(Outcome::default(), selection, true));
        }
        let with = key_arrays(chosen, keys)?;
        let unbounded = Bound { bytes_max: usize::MAX, ..bound(selection) };
        let read = self.query_bounded("reading rows by key", &selection.read_keys(lock), with, unbounded).await;
        Ok(batch(read.map_err(|error| error.about(chosen.table()))?, selection, true))
    }

    /// Of each row whether it was hit, and whether a rider took effect. Where nothing is to be changed, nothing is written, nothing is hit and nothing rides.
    pub(crate) async fn compare_and_set(
        &mut self,
        chosen: &Chosen,
        written: Written,
        rider: Option<&Rider>,
    ) -> Result<(Vec<bool>, Option<bool>)> {
        let mut hit = vec![false; written.rows];
        let Some((sql, with)) = written.statement else { return Ok((hit, None)) };
        let behind = rider.map(|rider| rider.behind(with.len(), written.rows));
        let sql = hits(&sql, behind.as_deref());
        let with = with.values(rider.map_or(&[], |rider| &rider.args));
        let written = self.query("writing a batch", &sql, with).await.map_err(|error| match rider {
            None => error.about(chosen.table()),
            Some(_) => error.concerning(format!("table {} or the checkpoint store", chosen.table())),
        })?;
        let first = written.first();
        let rode = rider.map(|_| first.and_then(|row| number(row, 1)) == Some(1));
        let ordinals = first.and_then(|row| rows::value(row, 0)).map(int4_elements);
        for ordinal in ordinals.into_iter().flatten() {
            if let Some(hit) = hit.get_mut(ordinal as usize) {
                *hit = true;
            }
        }
        Ok((hit, rode))
    }

    pub(crate) async fn count(&mut self, chosen: &Chosen) -> Result<u64> {
        let selection = chosen.postgres();
        let read = self.query_within("counting rows", &selection.count(), COUNT_DEADLINE).await;
        let rows = read.map_err(|error| error.about(chosen.table()))?;
        Ok(rows.first().and_then(|row| number(row, 0)).unwrap_or_default().unsigned_abs())
    }

    pub(crate) async fn key_texts(&mut self, chosen: &Chosen, keys: &[RowKey]) -> Result<Vec<String>> {
        let selection = keyed(chosen)?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let with = key_arrays(chosen, keys)?;
        let read = self.query("reading keys as text", &selection.key_texts(), with).await;
        let rows = read.map_err(|error| error.about(chosen.table()))?;
        let text = |row| String::from_utf8_lossy(rows::value(row, 0).unwrap_or_default()).into_owned();
        Ok(rows.iter().map(text).collect())
    }
}

/// The statement that writes rows, with all its parameters; none where it would change nothing.
pub(crate) struct Written {
    rows: usize,
    statement: Option<(String, Parameters)>,
}

impl Written {
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn new<'v>(
        chosen: &Chosen,
        rows: &Rows,
        which: &[usize],
        value: &(dyn Fn(usize, usize) -> Option<&'v [u8]> + Sync),
    ) -> Result<Self> {
        Ok(Self { rows: which.len(), statement: write(keyed(chosen)?, rows, which, value) })
    }
}

/// The statements over a leaf that has a row key.
fn keyed(chosen: &Chosen) -> Result<&Selection> {
    let selection = chosen.postgres();
    if selection.key.is_empty() {
        return Err(Error::NoRowKey { table: chosen.table().clone() });
    }
    Ok(selection)
}

pub(crate) fn bound(selection: &Selection) -> Bound {
    let first = selection.key.len();
    Bound { columns: first..first + selection.slots.len(), bytes_max: BATCH_BYTES_MAX }
}

pub(crate) fn batch(outcome: Outcome, selection: &Selection, last: bool) -> crate::Rows {
    let Outcome { cells, lengths, .. } = outcome;
    crate::Rows(Batch::Postgres(Rows::new(cells, lengths, selection.key.len(), selection.slots.len(), last)))
}

/// An int8 of a result.
pub(crate) fn number(row: &sqlx::postgres::PgRow, column: usize) -> Option<i64> {
    rows::value(row, column)?.try_into().ok().map(i64::from_be_bytes)
}

/// The parameters of a range of keys.
fn range(chosen: &Chosen, after: Option<&RowKey>, upto: &RowKey) -> Result<Parameters> {
    let mut with = Parameters::default();
    for key in after.into_iter().chain([upto]) {
        for (oid, value) in parts(chosen, key)? {
            with = with.raw(oid, Some(value));
        }
    }
    Ok(with)
}

/// An array for each key column.
fn key_arrays(chosen: &Chosen, keys: &[RowKey]) -> Result<Parameters> {
    let key = &chosen.postgres().key;
    let mut columns: Vec<Vec<Option<&[u8]>>> = key.iter().map(|_| Vec::with_capacity(keys.len())).collect();
    for row_key in keys {
        for (column, (_, value)) in columns.iter_mut().zip(parts(chosen, row_key)?) {
            column.push(Some(value));
        }
    }
    let with = |with: Parameters, (column, values): (&super::selection::KeyColumn, &Vec<Option<&[u8]>>)| {
        with.array(column.wire.array_oid, column.wire.oid, values)
    };
    Ok(key.iter().zip(&columns).fold(Parameters::default(), with))
}

/// The parts of a key that belongs to this leaf; a key of other types is refused before the server sees it.
fn parts<'k>(chosen: &Chosen, key: &'k RowKey) -> Result<Vec<(u32, &'k [u8])>> {
    let columns = &chosen.postgres().key;
    let fits = |parts: &Vec<(u32, &[u8])>| {
        parts.len() == columns.len() && parts.iter().zip(columns).all(|((oid, _), column)| *oid == column.wire.oid)
    };
    key_parts(key).filter(fits).ok_or_else(|| Error::RowKey { table: chosen.table().clone() })
}

/// The statement that writes a batch, with its parameters; `None` if it would change nothing. The fields are written into the message here, once.
fn write<'v>(
    selection: &Selection,
    rows: &Rows,
    which: &[usize],
    value: &(dyn Fn(usize, usize) -> Option<&'v [u8]> + Sync),
) -> Option<(String, Parameters)> {
    let mut with = Parameters::default();
    for (part, column) in selection.key.iter().enumerate() {
        let values: Vec<_> = which.iter().map(|&row| rows.key_part(row, part)).collect();
        with = with.array(column.wire.array_oid, column.wire.oid, &values);
    }
    let mut used = Vec::with_capacity(selection.slots.len());
    for (slot, column) in selection.slots.iter().enumerate() {
        let values: Vec<_> = (0..which.len()).map(|nth| value(nth, slot)).collect();
        let changed = values.iter().flatten().count();
        if changed > 0 {
            let (array_oid, oid) = column.array_oids();
            with = with.array(array_oid, oid, &values);
            used.push(Used { slot, by_all: changed == which.len() });
        }
    }
    if used.is_empty() {
        return None;
    }
    let versions: Vec<_> = which.iter().map(|&row| rows.version(row)).collect();
    let ordinals: Vec<_> = (0..which.len() as u32).map(u32::to_be_bytes).collect();
    let ordinals: Vec<_> = ordinals.iter().map(|bytes| Some(&bytes[..])).collect();
    with = with.array(XID_ARRAY, XID, &versions).array(INT4_ARRAY, INT4, &ordinals);
    Some((selection.compare_and_set(&used), with))
}

/// The parameter of [`super::selection::SIZE`].
pub(crate) fn name_of(selection: &Selection) -> Parameters {
    Parameters::default().raw(TEXT, Some(selection.table().as_bytes()))
}
