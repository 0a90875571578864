//! Counts by class on a sample, and what follows from them: the gate, unlisted columns, overflow, estimates.
mod batch;
mod exposure;
mod rehearsal;
mod tally;
mod unlisted;

pub(crate) use batch::{Batch, Slots, blocking, classify};
pub use exposure::{ColumnExposure, Exposure, KindExposure};
pub(crate) use rehearsal::{rehearse, throw_away_pair};
pub use unlisted::unlisted;

use crate::{
    Ceiling, Configuration, Error, Keyring, Plan, TablePlan,
    bind::{gate_cipher, other_old_keys, row_cipher, selections},
    estimate::estimate,
    nonces::{Reserved, judge_nonces},
    schema::with_row_key,
};
use batch::{begin_classifying, rows_within};
use reencrypt_crypto::{Classified, Expect, Pool, RowCipher};
use reencrypt_db::{Mode, RowSecurity, Selection, Session, Table, TableName};
use std::sync::Arc;
use tally::Tally;
use tokio::task::JoinHandle;

/// Values of one column by what stands in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ClassCounts {
    /// all
    pub seen: u64,
    /// opens under the old key on any layer; a hash equal to the old key's value
    pub old: u64,
    /// new key alone
    pub new: u64,
    /// NULL
    pub null: u64,
    /// empty
    pub empty: u64,
    /// no envelope
    pub plaintext: u64,
    /// unreadable, all refusals
    pub unreadable: u64,
    /// of these, accepted residue
    pub accepted: u64,
    /// a key id that disagrees with what opened
    pub mislabelled: u64,
    /// a hash that is neither key's value of its field
    pub mismatched: u64,
}
impl std::ops::AddAssign for ClassCounts {
    fn add_assign(&mut self, o: Self) {
        self.seen += o.seen;
        self.old += o.old;
        self.new += o.new;
        self.null += o.null;
        self.empty += o.empty;
        self.plaintext += o.plaintext;
        self.unreadable += o.unreadable;
        self.accepted += o.accepted;
        self.mislabelled += o.mislabelled;
        self.mismatched += o.mismatched;
    }
}

/// How to sample.
#[derive(Debug, Clone, Copy)]
pub struct SurveyOptions {
    /// values per column, default 1000
    pub sample: u32,
    /// read everything
    pub full: bool,
    /// for the sample
    pub seed: u32,
    /// of the gate
    pub ceiling: Ceiling,
    /// look at columns that the configuration does not name
    pub discover: bool,
}
impl Default for SurveyOptions {
    fn default() -> Self {
        Self { sample: 1000, full: false, seed: 1, ceiling: Ceiling::default(), discover: true }
    }
}

/// Samples every table of the plan across its whole range, fills in `sample`, `sampled_rows`, `estimate` and
/// `exposure`, and adds findings: `wrong_key` by the gate, near-miss and nested values, varchar overflow, `unlisted_ciphertext`,
/// `unexplained_hash`. `accepted` says how many unreadable values of a column were accepted before (they are no
/// evidence for the gate).
pub async fn survey(
    session: &mut Session,
    plan: &mut Plan,
    configuration: &Configuration,
    keys: &Keyring,
    pool: &Arc<Pool>,
    options: SurveyOptions,
    accepted: &(dyn Fn(&TableName, &str) -> u64 + Send + Sync),
) -> Result<(), Error> {
    let mut tallies = Vec::new();
    plan.exposure.clear();
    for index in 0..plan.tables.len() {
        if let Some(tally) = survey_table(session, plan, index, keys, pool, options).await? {
            tallies.push((index, tally));
        }
    }
    for (index, mut tally) in tallies {
        let table = &mut plan.tables[index];
        tally.write(table, options.full, accepted);
        let key = plan.keys.get(&table.key).cloned();
        plan.findings.extend(tally::findings(table, &tally, key.as_ref(), options.ceiling));
        if key.is_some_and(|key| key.old.is_some()) {
            plan.exposure.push(tally.exposure(table, options.full));
        }
    }
    plan.findings.extend(tally::nothing_old(plan));
    if options.discover {
        plan.findings
            .extend(unlisted(session, configuration, keys, pool, options.sample.min(UNLISTED_ROWS_MAX)).await?);
    }
    plan.estimate = estimate(plan, session.dialect());
    judge_nonces(plan, configuration, keys, &Reserved::new())
}

/// One table's sample, and with `full` all of it; `None` where this role cannot read it or its pair has no key (which the plan has a
/// finding about).
async fn survey_table(
    session: &mut Session,
    plan: &Plan,
    index: usize,
    keys: &Keyring,
    pool: &Arc<Pool>,
    options: SurveyOptions,
) -> Result<Option<Tally>, Error> {
    let table_plan = &plan.tables[index];
    let pair = keys.get(&table_plan.key).filter(|pair| pair.old.is_some() || pair.new.is_some());
    let Some(pair) = pair else { return Ok(None) };
    let mut tx = session.begin(Mode::Read).await?;
    let table = tx.table(&table_plan.name).await?;
    tx.rollback().await?;
    let table = table.and_then(|table| match table_plan.row_key.as_slice() {
        [] => Some(Table { row_key: Vec::new(), ..table }),
        names => with_row_key(table, names).ok(),
    });
    let Some(table) = table.filter(|table| readable(table, table_plan)) else { return Ok(None) };
    let mut slots = table_plan.slots();
    slots.extend(exposure::subject_slot(&table, table_plan).map(str::to_owned));
    let leaves = selections(&table, &slots)?;
    let cipher = Arc::new(gate_cipher(plan, table_plan, pair, &other_old_keys(keys, &table_plan.key))?);
    let mut tally = Tally::new(&table, table_plan);
    let samples = sample(session, &table, &leaves, options.sample, options.seed).await?;
    for rows in samples {
        tally.add(&classify(pool, &cipher, &rows, Expect::Old).await?, &rows);
        if let Some(old) = &pair.old {
            let rehearsal = row_cipher(plan, table_plan, &throw_away_pair(old)?, &[])?;
            tally.rehearsed(rehearse(pool, rehearsal, &rows).await?);
        }
    }
    if options.full {
        let whole = read_whole(session, &table, &leaves, &cipher, pool, Tally::new(&table, table_plan)).await?;
        tally.replace_counts(whole);
    }
    Ok(Some(tally))
}

/// Whether the role can read what a sample reads: no hidden rows, and SELECT on the row key and every slot.
fn readable(table: &Table, plan: &TablePlan) -> bool {
    let visible = |name: &String| table.column(name).is_some_and(|column| column.can_select);
    let columns = plan.row_key.iter().chain(&plan.slots()).all(visible);
    table.row_security != RowSecurity::Active
        && table.privileges.schema_usage
        && table.privileges.select_system
        && (table.privileges.select || columns)
        && plan.slots().iter().all(|name| table.column(name).is_some())
}

/// About `rows` rows of a table, over all its leaves by their size, each leaf's in a transaction of its own.
pub(crate) async fn sample(
    session: &mut Session,
    table: &Table,
    leaves: &[Selection],
    rows: u32,
    seed: u32,
) -> Result<Vec<Arc<Batch>>, Error> {
    let total = table.rows_estimate();
    let mut samples = Vec::with_capacity(leaves.len());
    for (leaf, selection) in table.leaves.iter().zip(leaves) {
        let share = match total {
            0 => u64::from(rows),
            total => (u64::from(rows) * leaf.rows_estimate).div_ceil(total).max(LEAF_ROWS_MIN),
        };
        let rows = rows_within(u32::try_from(share).unwrap_or(rows).min(rows), leaf);
        let mut tx = session.begin(Mode::Read).await?;
        let sampled = tx.sample(selection, rows, seed).await?;
        tx.rollback().await?;
        if !sampled.is_empty() {
            samples.push(Arc::new(Batch::new(sampled)));
        }
    }
    Ok(samples)
}

/// Rows of each table that are looked at for what nobody listed: a look at every text of a whole database.
const UNLISTED_ROWS_MAX: u32 = 300;
/// Rows sampled of each leaf at least.
const LEAF_ROWS_MIN: u64 = 20;
/// Heap bytes that one transaction of a full reading covers, so that none is held open for long.
const PART_BYTES: u64 = 64 << 20;

/// Reads every row through the heap, in parts, each in a transaction of its own; while one batch is classified the next is
/// read.
async fn read_whole(
    session: &mut Session,
    table: &Table,
    leaves: &[Selection],
    cipher: &Arc<RowCipher>,
    pool: &Arc<Pool>,
    mut tally: Tally,
) -> Result<Tally, Error> {
    for (leaf, selection) in table.leaves.iter().zip(leaves) {
        let parts = u32::try_from(leaf.heap_bytes / PART_BYTES).unwrap_or(u32::MAX).max(1);
        for part in 0..parts {
            let mut tx = session.begin(Mode::Read).await?;
            let mut scan = tx.heap_scan(selection, part, parts).await?;
            let mut before: Option<(JoinHandle<Classified>, Arc<Batch>)> = None;
            while let Some(rows) = tx.next_rows(&mut scan, selection).await? {
                let rows = Arc::new(Batch::new(rows));
                let begun = (begin_classifying(pool, cipher, &rows, Expect::Old), rows);
                if let Some((classified, rows)) = before.replace(begun) {
                    tally.add(&classified.await.map_err(|_| Error::Worker)?, &rows);
                }
            }
            tx.rollback().await?;
            if let Some((classified, rows)) = before {
                tally.add(&classified.await.map_err(|_| Error::Worker)?, &rows);
            }
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_member_by_member() {
        let mut sum = ClassCounts { seen: 1, old: 1, ..Default::default() };
        sum += ClassCounts { seen: 2, null: 1, plaintext: 1, ..Default::default() };
        assert_eq!(sum, ClassCounts { seen: 3, old: 1, null: 1, plaintext: 1, ..Default::default() });
    }
}
