//! Rows that lost their compare, at the end of their chunk.
use crate::{
    Error,
    batch::Batch,
    failpoint::failpoint,
    nonces::Wanting,
    pace::backoff,
    settle::{Refused, Settlement, settle},
    waits::slow_read,
    write::{Writing, conclude},
};
use reencrypt_crypto::Expect;
use reencrypt_db::{Limits, Mode, RowKey, Selection, Session, Verdict};
use reencrypt_planner::BoundTable;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often a row that lost its compare is read again without a lock before it is taken under one.
const UNLOCKED_TRIES: u32 = 3;
/// Pending rows that are read again at once.
const UNLOCKED_ROWS: usize = 200;
/// Rows of one small transaction under row locks.
const LOCKED_ROWS: usize = 50;
/// How long rows that somebody keeps locked are waited for at the end of their chunk without any success; sweeps come back to them. Well within the lease, which nothing
/// renews meanwhile.
const LOCKED_PATIENCE: Duration = Duration::from_secs(8);

impl Writing<'_> {
    /// Rows that lost their compare are read again and classified anew: a few times without a lock, then under one. Says whether the lease holds.
    pub(crate) async fn settle_pending(
        &mut self,
        reader: &mut Session,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        let mut last_settled = Instant::now();
        let mut tries = 0;
        // Rows under somebody's lock are found by halves, so that their neighbours do not wait with them.
        let (mut held, mut size) = (HashSet::new(), LOCKED_ROWS);
        while !self.chunk.pending.is_empty() {
            failpoint!("engine::pending_read");
            if rotation.is_stop_or_pause_asked() {
                return Ok(true);
            }
            if held.len() == self.chunk.pending.len() {
                // All that is left was found locked: a little later once more from the start.
                held.clear();
                rotation.sleep(backoff(tries)).await;
            }
            let locked = tries >= UNLOCKED_TRIES;
            let free = self.chunk.pending.iter().filter(|key| !held.contains(*key));
            let rows = if locked { size } else { rotation.load.rows(UNLOCKED_ROWS) };
            let keys: Vec<_> = free.take(rows).cloned().collect();
            let settled = async {
                match locked {
                    true => self.settle_locked(table, selection, expect, &keys).await,
                    false => self.settle_unlocked(reader, table, selection, expect, &keys).await,
                }
            };
            match rotation.load.in_turn(settled).await {
                Ok(true) => (last_settled, size) = (Instant::now(), (size * 2).min(LOCKED_ROWS)),
                Ok(false) => return Ok(false),
                Err(error) if error.verdict() == Verdict::Retry => {
                    self.waiter.wait(format!("rows of {} that somebody keeps locked: {error}", table.plan.name));
                    if locked && last_settled.elapsed() > LOCKED_PATIENCE {
                        let refused = self.refuse_pending(table, selection, expect).await?;
                        self.waiter.go_on();
                        return Ok(refused);
                    }
                    size = (keys.len() / 2).max(1);
                    match locked {
                        false => rotation.sleep(backoff(tries)).await,
                        true if keys.len() == 1 => held.extend(keys),
                        true => {}
                    }
                }
                Err(error) if error.verdict() == Verdict::Refused => {
                    if let [_] = keys[..] {
                        let rows = self.refuse(table, selection, expect, &keys, Refused::Write).await?;
                        let Some(batch) = rows else { return Ok(false) };
                        rotation.judge_refused(self.chunk.pass, table, &batch, &error)?;
                    }
                    size = (keys.len() / 2).max(1);
                    tries = tries.max(UNLOCKED_TRIES);
                }
                Err(error) => return Err(error),
            }
            tries += 1;
        }
        self.waiter.go_on();
        Ok(true)
    }

    async fn settle_unlocked(
        &mut self,
        reader: &mut Session,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
        keys: &[RowKey],
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        let rows = rotation.unless_asked(slow_read(&table.plan.name), async {
            let mut tx = reader.begin(Mode::Read).await?;
            let rows = tx.read_keys(selection, keys, false).await?;
            tx.commit().await?;
            Ok(rows)
        });
        // A stop or a pause: they stay pending.
        let Some(rows) = rows.await? else { return Ok(true) };
        let which: Vec<_> = (0..rows.len()).collect();
        let rows = Arc::new(rows);
        let wanting = Wanting::Rows { rows: &rows, which: &which, expect };
        let nonces = rotation.nonces.take(rotation, reader, table, wanting).await?;
        let batch =
            Batch::reseal_some(&rotation.context.pool, &table.cipher, rows, which, expect, selection, None).await?;
        nonces.settle(&batch);
        let mut tx = self.session.begin(Mode::Write(Limits::default())).await?;
        let settlement = Settlement::again(&batch, &self.chunk, keys, None, false);
        let settled = settle(rotation, &mut tx, table, selection, &self.chunk, &self.counts, settlement).await;
        conclude(rotation, tx, settled, table, &mut self.chunk, &mut self.counts).await
    }

    /// A few rows in a transaction of their own, under row locks: a row that even so is not hit is refused by a trigger or a rule.
    async fn settle_locked(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
        keys: &[RowKey],
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        let nonces = rotation.nonces.take(rotation, self.session, table, Wanting::Keys(keys.len())).await?;
        let mut tx = self.session.begin(Mode::Write(Limits::default())).await?;
        let settled = async {
            let rows = tx.read_keys(selection, keys, true).await?;
            let batch = Batch::reseal(&rotation.context.pool, &table.cipher, rows, expect).await?;
            nonces.settle(&batch);
            let settlement = Settlement::again(&batch, &self.chunk, keys, Some(Refused::Write), false);
            settle(rotation, &mut tx, table, selection, &self.chunk, &self.counts, settlement).await
        };
        let settled = settled.await;
        conclude(rotation, tx, settled, table, &mut self.chunk, &mut self.counts).await
    }

    /// Quarantines what somebody keeps locked; a sweep comes back to it.
    async fn refuse_pending(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
    ) -> Result<bool, Error> {
        while !self.chunk.pending.is_empty() {
            let keys: Vec<_> = self.chunk.pending.iter().take(LOCKED_ROWS).cloned().collect();
            if self.refuse(table, selection, expect, &keys, Refused::Locked).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Quarantines the pending rows `keys` without a further try, and gives them back as they stand; `None`: the lease is lost.
    async fn refuse(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
        keys: &[RowKey],
        refused: Refused,
    ) -> Result<Option<Batch>, Error> {
        let rotation = self.rotation;
        let nonces = rotation.nonces.take(rotation, self.session, table, Wanting::Keys(keys.len())).await?;
        let mut tx = self.session.begin(Mode::Write(Limits::default())).await?;
        let rows = tx.read_keys(selection, keys, false).await?;
        let batch = Batch::reseal(&rotation.context.pool, &table.cipher, rows, expect).await?;
        nonces.settle(&batch);
        let settlement = Settlement::again(&batch, &self.chunk, keys, Some(refused), true);
        let settled = settle(rotation, &mut tx, table, selection, &self.chunk, &self.counts, settlement).await;
        let holds = conclude(rotation, tx, settled, table, &mut self.chunk, &mut self.counts).await?;
        Ok(holds.then_some(batch))
    }
}

/// Keys of `wanted` that `found` has not.
pub(crate) fn missing(wanted: &[RowKey], found: &HashSet<RowKey>) -> u64 {
    wanted.iter().filter(|key| !found.contains(*key)).count() as u64
}
