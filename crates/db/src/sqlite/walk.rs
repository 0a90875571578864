//! The walk in key order, and what else is asked by row key. Ordered by the database alone.
use super::{
    Connection,
    connection::Arguments,
    failure, part,
    part::Part,
    rows::{Identity, Rows},
    statement::{Bound, Statements, repeated},
};
use crate::{Error, Result, RowKey, Selection as Chosen, rows::Batch};
use sqlx::Either;

impl Connection {
    pub(crate) async fn max_key(&mut self, chosen: &Chosen) -> Result<Option<RowKey>> {
        const DOING: &str = "reading the largest key";
        let statements = self.keyed(DOING, chosen).await?;
        self.one_key(DOING, &statements.max_key(), Arguments::default(), statements.arity()).await
    }

    pub(crate) async fn key_after(
        &mut self,
        chosen: &Chosen,
        after: Option<&RowKey>,
        upto: &RowKey,
        rows: u64,
    ) -> Result<Option<RowKey>> {
        const DOING: &str = "finding the end of a chunk";
        let statements = self.keyed(DOING, chosen).await?;
        let after = after.map(|key| self.bound_key(chosen, key, statements.arity())).transpose()?;
        let upto = self.bound_key(chosen, upto, statements.arity())?;
        let statement = statements.key_after(after.as_ref().map(|key| &key.bounds[..]), &upto.bounds);
        let mut arguments = Arguments::default();
        after.iter().for_each(|key| key.bind(&mut arguments));
        upto.bind(&mut arguments);
        arguments.integer(rows.try_into().unwrap_or(i64::MAX));
        self.one_key(DOING, &statement, arguments, statements.arity()).await
    }

    pub(crate) async fn read_batch(
        &mut self,
        chosen: &Chosen,
        after: Option<&RowKey>,
        upto: &RowKey,
        limit: u32,
    ) -> Result<crate::Rows> {
        const DOING: &str = "reading a batch";
        let statements = self.keyed(DOING, chosen).await?;
        let after = after.map(|key| self.bound_key(chosen, key, statements.arity())).transpose()?;
        let upto_bound = self.bound_key(chosen, upto, statements.arity())?;
        let statement = statements.batch(after.as_ref().map(|key| &key.bounds[..]), &upto_bound.bounds);
        let mut arguments = Arguments::default();
        after.iter().for_each(|key| key.bind(&mut arguments));
        upto_bound.bind(&mut arguments);
        arguments.integer(limit.into());
        let (mut rows, complete) = self.bounded_rows(DOING, statement, arguments, &statements, BATCH_BYTES_MAX).await?;
        let short = rows.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        let reached = rows.last_place().is_some_and(|key| &key == upto);
        rows.set_last(complete && short || reached);
        Ok(crate::Rows(Batch::Sqlite(rows)))
    }

    pub(crate) async fn read_keys(&mut self, chosen: &Chosen, keys: &[RowKey], _lock: bool) -> Result<crate::Rows> {
        const DOING: &str = "reading rows by key";
        let statements = self.keyed(DOING, chosen).await?;
        let mut rows = Rows::new(Identity::Key(statements.arity()), statements.slots());
        let bound: Vec<_> =
            keys.iter().map(|key| self.bound_key(chosen, key, statements.arity())).collect::<Result<_>>()?;
        // Keys that are bound alike share a statement.
        for group in bound.chunk_by(|one, next| one.bounds == next.bounds).flat_map(|alike| alike.chunks(KEYS_AT_ONCE))
        {
            let statement = repeated(&statements.by_key(&group[0].bounds), group.len());
            let mut arguments = Arguments::default();
            group.iter().for_each(|key| key.bind(&mut arguments));
            let visit = |item| {
                if let Either::Right(row) = item {
                    rows.push(&row)?;
                }
                Ok(true)
            };
            self.once(DOING, statement, arguments, visit).await?;
        }
        rows.set_last(true);
        Ok(crate::Rows(Batch::Sqlite(rows)))
    }

    pub(crate) async fn count(&mut self, chosen: &Chosen) -> Result<u64> {
        const DOING: &str = "counting rows";
        let statements = self.statements(DOING, chosen).await?;
        let count = self.integer(DOING, &statements.count(), Arguments::default()).await?;
        Ok(count.and_then(|count| count.try_into().ok()).unwrap_or_default())
    }

    pub(crate) async fn key_texts(&mut self, chosen: &Chosen, keys: &[RowKey]) -> Result<Vec<String>> {
        let statements = self.keyed("reading keys", chosen).await?;
        let text = |key| Ok(part::shown(&self.bound_key(chosen, key, statements.arity())?.parts));
        keys.iter().map(text).collect()
    }

    /// The statements of a selection that has a row key.
    pub(super) async fn keyed(&mut self, doing: &'static str, chosen: &Chosen) -> Result<std::sync::Arc<Statements>> {
        let statements = self.statements(doing, chosen).await?;
        match statements.arity() {
            0 => Err(Error::NoRowKey { table: chosen.sqlite().table.clone() }),
            _ => Ok(statements),
        }
    }

    /// A stored key, ready to be bound; refused if it is none of this table's.
    pub(super) fn bound_key<'k>(&self, chosen: &Chosen, key: &'k RowKey, arity: usize) -> Result<BoundKey<'k>> {
        let foreign = || Error::RowKey { table: chosen.sqlite().table.clone() };
        let parts = part::parts(key, arity).ok_or_else(foreign)?;
        let bounds: Vec<_> = parts.iter().map(Bound::of).collect();
        // In an UTF-16 file the cast would take the bytes for UTF-16.
        if !self.utf8 && bounds.contains(&Bound::Cast) {
            return Err(foreign());
        }
        Ok(BoundKey { parts, bounds })
    }

    /// Rows until `bytes_max` is passed, and whether that was all there were.
    pub(super) async fn bounded_rows(
        &mut self,
        doing: &'static str,
        statement: String,
        arguments: Arguments,
        statements: &Statements,
        bytes_max: usize,
    ) -> Result<(Rows, bool)> {
        let mut rows = Rows::new(Identity::Key(statements.arity()), statements.slots());
        let mut complete = true;
        let visit = |item| {
            if let Either::Right(row) = item {
                rows.push(&row)?;
                complete = rows.bytes() < bytes_max;
            }
            Ok(complete)
        };
        self.each(doing, statement.into(), arguments, visit).await?;
        Ok((rows, complete))
    }

    async fn one_key(
        &mut self,
        doing: &'static str,
        statement: &str,
        arguments: Arguments,
        arity: usize,
    ) -> Result<Option<RowKey>> {
        let rows = self.all(doing, statement, arguments).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut keys = Rows::new(Identity::Key(arity), 0);
        keys.push(row).map_err(|error| failure::error(doing, error))?;
        Ok(keys.last_place())
    }
}

/// A key taken apart.
pub(super) struct BoundKey<'k> {
    parts: Vec<Part<'k>>,
    pub(super) bounds: Vec<Bound>,
}

impl BoundKey<'_> {
    /// Binds each part with the storage class it was read with.
    pub(super) fn bind(&self, arguments: &mut Arguments) {
        for part in &self.parts {
            match *part {
                Part::Integer(value) => arguments.integer(value),
                Part::Real(value) => arguments.real(value),
                Part::Text(value) => arguments.text(value),
                Part::Blob(value) => arguments.blob(value),
            }
        }
    }
}

/// A batch ends with the row that passes this.
const BATCH_BYTES_MAX: usize = 8 << 20;

const KEYS_AT_ONCE: usize = 32;
