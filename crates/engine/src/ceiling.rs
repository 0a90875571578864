//! The ceiling: how much may turn out to be unreadable before a run stops.
use crate::{
    Error, OnUnreadable,
    batch::Batch,
    rotation::{Rotation, lock},
};
use reencrypt_crypto::Outcome;
use reencrypt_db::shown;
use reencrypt_planner::{BoundTable, GateCounts};
use std::collections::HashMap;

/// What opened and what did not, by pass, table and column.
pub(crate) type Tally = HashMap<(u32, usize, usize), GateCounts>;

impl Rotation {
    /// Judges a batch before it is written: with `--on-unreadable stop` the first value that would be quarantined ends the run, otherwise the
    /// ceiling does.
    pub(crate) fn judge(&self, pass: u32, table: &BoundTable, batch: &Batch) -> Result<(), Error> {
        let columns = table.plan.columns.len();
        if self.options.on_unreadable == OnUnreadable::Stop
            && let Some((column, refusal)) = batch.first_quarantined(columns)
        {
            return Err(Error::refused(
                "unreadable_value",
                format!(
                    "{}.{} has a value that would be quarantined ({}), and --on-unreadable stop was given",
                    table.plan.name,
                    shown(&table.plan.columns[column].column),
                    refusal.as_str()
                ),
                "earlier batches stay; `reencrypt run --resume` without --on-unreadable stop quarantines it and goes on",
            ));
        }
        // It counts once it is committed: what is given back for a stop or a pause is read again.
        let mut tally = Tally::new();
        for column in (0..columns).map(|column| (pass, table.index, column)) {
            let mut found = lock(&self.tally).get(&column).copied().unwrap_or_default();
            batch.tally(column.2, &mut found);
            tally.insert(column, found);
        }
        self.within_ceiling(pass, table, &tally).map_err(|message| {
            let hint = "`reencrypt plan --full` counts them by column; if they are known, `reencrypt run --resume --max-unreadable N` goes on";
            Error::refused("ceiling_reached", message, hint)
        })
    }

    /// Adds what a transaction has settled to what was found so far.
    pub(crate) fn tally(&self, pass: u32, table: &BoundTable, found: &[GateCounts]) {
        let mut tally = lock(&self.tally);
        for (column, found) in found.iter().enumerate() {
            *tally.entry((pass, table.index, column)).or_default() += *found;
        }
    }

    /// Judges rows after the database refused their new values, as `why` says: they count like values that cannot be read.
    pub(crate) fn judge_refused(&self, pass: u32, table: &BoundTable, batch: &Batch, why: &Error) -> Result<(), Error> {
        let mut tally = lock(&self.tally);
        for column in 0..table.plan.columns.len() {
            let refused = (0..batch.len()).filter(|row| batch.outcome(*row, column) == Outcome::Rotated).count() as u64;
            tally.entry((pass, table.index, column)).or_default().fails += refused;
        }
        self.within_ceiling(pass, table, &tally).map_err(|message| {
            let hint = why.hint().unwrap_or_default();
            Error::refused("ceiling_reached", format!("{message}; the last because {why}"), hint)
        })
    }

    /// The first column of which more cannot be rotated than was allowed, in words.
    fn within_ceiling(&self, pass: u32, table: &BoundTable, tally: &Tally) -> Result<(), String> {
        for (column, plan) in table.plan.columns.iter().enumerate() {
            let tally = tally.get(&(pass, table.index, column)).copied().unwrap_or_default();
            let accepted = self.accepted.get(&(table.index, plan.column.clone())).copied().unwrap_or_default();
            let fails = tally.fails.saturating_sub(accepted);
            let shaped = tally.opens_new + tally.opens_old + tally.fails;
            let ceiling = self.options.ceiling.of(shaped.max(table.plan.rows_estimate));
            let place = format!("{}.{}", table.plan.name, shown(&plan.column));
            if fails > 10 && tally.opens_new + tally.opens_old == 0 {
                return Err(format!("{place} has {fails} values that cannot be rotated, and none that can"));
            }
            if fails > ceiling {
                return Err(format!(
                    "{place} has {fails} values that cannot be rotated, more than the ceiling of {ceiling}"
                ));
            }
        }
        Ok(())
    }
}
