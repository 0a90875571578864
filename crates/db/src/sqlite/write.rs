//! The compare-and-set: a row is written only if it is still, byte for byte and class for class, what was read.
use super::{
    Connection, catalog,
    connection::Arguments,
    rows::{Class, Rows},
    statement::{Bound, Held, Statements, repeated},
    walk::BoundKey,
};
use crate::{Column, ColumnKind, Result, RowKey, Selection as Chosen, rows::Batch};
use sqlx::Either;
use std::sync::Arc;

const DOING: &str = "writing a batch";

/// The new value of a slot of the `nth` row that is written, if it has one.
type NewValue<'f, 'v> = &'f (dyn Fn(usize, usize) -> Option<&'v [u8]> + Sync);

/// A batch on its way into the table.
struct Writing<'w, 'v> {
    statements: &'w Statements,
    columns: &'w [Column],
    rows: &'w Rows,
    /// The rows that are written.
    which: &'w [usize],
    value: NewValue<'w, 'v>,
    /// The slots that any row changes. An unchanged one of them in some row travels as NULL and is left as it is.
    changed: Vec<usize>,
}

impl Connection {
    pub(crate) async fn compare_and_set<'v>(
        &mut self,
        chosen: &Chosen,
        rows: &crate::Rows,
        which: &[usize],
        value: NewValue<'_, 'v>,
    ) -> Result<Vec<bool>> {
        let Batch::Sqlite(rows) = &rows.0 else { unreachable!("rows of another engine") };
        self.guard().await?;
        let statements = self.keyed(DOING, chosen).await?;
        let changes = |&slot: &usize| (0..which.len()).any(|nth| value(nth, slot).is_some());
        let changed: Vec<_> = (0..statements.slots()).filter(changes).collect();
        let mut hits = vec![false; which.len()];
        if changed.is_empty() {
            return Ok(hits);
        }
        let columns = &chosen.sqlite().columns;
        let writing = Writing { statements: &statements, columns, rows, which, value, changed };
        let mut alike = Vec::with_capacity(which.len());
        for (nth, hit) in hits.iter_mut().enumerate() {
            match writing.is_ordinary(nth) {
                true => alike.push(nth),
                false => *hit = self.write_one(chosen, &writing, nth).await?,
            }
        }
        self.write_alike(chosen, &writing, &alike, &mut hits).await?;
        Ok(hits)
    }

    /// Writes rows whose values all bind as they are: many statements of one text in each call.
    async fn write_alike(
        &mut self,
        chosen: &Chosen,
        writing: &Writing<'_, '_>,
        alike: &[usize],
        hits: &mut [bool],
    ) -> Result<()> {
        let statement = writing.ordinary_statement();
        let mut rest = alike;
        for size in GROUP_SIZES {
            let repeated = repeated(&statement, size);
            while let Some((group, after)) = rest.split_at_checked(size) {
                let mut arguments = Arguments::default();
                for &nth in group {
                    let row_key = writing.rows.key(writing.which[nth]);
                    let key = self.bound_key(chosen, &row_key, writing.statements.arity())?;
                    writing.bind(nth, &key, &mut arguments);
                }
                let mut answered = group.iter();
                let visit = |item| {
                    if let (Either::Left(changes), Some(&nth)) = (item, answered.next()) {
                        hits[nth] = changes == 1;
                    }
                    Ok(true)
                };
                self.each(DOING, Arc::clone(&repeated), arguments, visit).await?;
                rest = after;
            }
        }
        Ok(())
    }

    /// Writes a row with values that need a statement of their own. Not a hit where the file would store something else than is written.
    async fn write_one(&mut self, chosen: &Chosen, writing: &Writing<'_, '_>, nth: usize) -> Result<bool> {
        let row_key: RowKey = writing.rows.key(writing.which[nth]);
        let key = self.bound_key(chosen, &row_key, writing.statements.arity())?;
        let (set, held) = (writing.set(nth), writing.held(nth));
        let casts = set.iter().any(|&(_, bound)| bound == Bound::Cast) || held.contains(&Held::Bytes);
        if writing.changed.iter().any(|&slot| writing.becomes_a_number(nth, slot)) || (casts && !self.utf8) {
            return Ok(false);
        }
        let mut arguments = Arguments::default();
        writing.bind(nth, &key, &mut arguments);
        let statement = writing.statements.update(&set, &key.bounds, &held);
        let mut hit = false;
        let visit = |item| {
            if let Either::Left(changes) = item {
                hit = changes == 1;
            }
            Ok(true)
        };
        self.once(DOING, statement.into(), arguments, visit).await?;
        Ok(hit)
    }
}

impl Writing<'_, '_> {
    /// Whether the row goes through the statement that most rows share.
    fn is_ordinary(&self, nth: usize) -> bool {
        let row_key = self.rows.key(self.which[nth]);
        let parts = super::part::parts(&row_key, self.statements.arity());
        parts.is_some_and(|parts| parts.iter().all(|part| part.is_plain()))
            && (0..self.statements.slots()).all(|slot| self.held_slot(nth, slot) == Held::Plain)
            && self
                .changed
                .iter()
                .all(|&slot| self.bound(nth, slot) == Bound::Plain && !self.becomes_a_number(nth, slot))
    }

    fn ordinary_statement(&self) -> String {
        let set: Vec<_> = self.changed.iter().map(|&slot| (slot, Bound::Plain)).collect();
        let held = vec![Held::Plain; self.statements.slots()];
        self.statements.update(&set, &vec![Bound::Plain; self.statements.arity()], &held)
    }

    /// The parameters of one update, in the order of its text.
    fn bind(&self, nth: usize, key: &BoundKey<'_>, arguments: &mut Arguments) {
        for &slot in &self.changed {
            match (self.value)(nth, slot) {
                None => arguments.null(),
                Some(new) if self.becomes_text(nth, slot) => arguments.text(new),
                Some(new) => arguments.blob(new),
            }
        }
        key.bind(arguments);
        for slot in 0..self.statements.slots() {
            let old = self.rows.field(self.which[nth], slot).unwrap_or_default();
            let number = || std::str::from_utf8(old).unwrap_or_default();
            match self.rows.class(self.which[nth], slot) {
                Class::Null => arguments.null(),
                Class::Integer => arguments.integer(number().parse().unwrap_or_default()),
                Class::Real => arguments.real(number().parse().unwrap_or_default()),
                Class::Text => arguments.text(old),
                Class::Blob => arguments.blob(old),
            }
        }
    }

    fn set(&self, nth: usize) -> Vec<(usize, Bound)> {
        self.changed.iter().map(|&slot| (slot, self.bound(nth, slot))).collect()
    }

    fn held(&self, nth: usize) -> Vec<Held> {
        (0..self.statements.slots()).map(|slot| self.held_slot(nth, slot)).collect()
    }

    fn held_slot(&self, nth: usize, slot: usize) -> Held {
        match self.rows.class(self.which[nth], slot) {
            class @ (Class::Integer | Class::Real) => Held::Number(class),
            Class::Text if !is_utf8(self.rows.field(self.which[nth], slot)) => Held::Bytes,
            Class::Null | Class::Text | Class::Blob => Held::Plain,
        }
    }

    fn bound(&self, nth: usize, slot: usize) -> Bound {
        let new = (self.value)(nth, slot);
        if self.becomes_text(nth, slot) && !is_utf8(new) { Bound::Cast } else { Bound::Plain }
    }

    /// Text stays text and a blob a blob; what was a number becomes text, and what was NULL becomes what the column is declared for.
    fn becomes_text(&self, nth: usize, slot: usize) -> bool {
        match self.rows.class(self.which[nth], slot) {
            Class::Text | Class::Integer | Class::Real => true,
            Class::Blob => false,
            Class::Null => self.columns[slot].kind != ColumnKind::Bytes,
        }
    }

    /// Whether the new text would be stored as a number, by the affinity of its column: `1e5` in a column declared `STRING`.
    fn becomes_a_number(&self, nth: usize, slot: usize) -> bool {
        catalog::turns_text_into_numbers(&self.columns[slot].type_name)
            && self.becomes_text(nth, slot)
            && (self.value)(nth, slot).is_some_and(looks_like_a_number)
    }
}

fn is_utf8(bytes: Option<&[u8]>) -> bool {
    bytes.is_none_or(|bytes| std::str::from_utf8(bytes).is_ok())
}

/// Whether SQLite takes the text for a number, or nearly: `nan` and `inf` are no numbers for it, but refused all the same.
fn looks_like_a_number(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.trim_ascii().parse::<f64>().is_ok())
}

/// Updates in one call, so that the thread that runs them is asked seldom; each is prepared once.
const GROUP_SIZES: [usize; 3] = [64, 8, 1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seen_as_sqlite_sees_them() {
        for number in ["1", "-2.5", "+.5", "5.", "1e5", "1E-5", " 12 ", "007"] {
            assert!(looks_like_a_number(number.as_bytes()), "{number:?}");
        }
        for text in ["", " ", "1x", "0x10", "aGVsbG8=:MTIz", "1 2", "e5", "."] {
            assert!(!looks_like_a_number(text.as_bytes()), "{text:?}");
        }
    }
}
