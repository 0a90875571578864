//! The write of one batch, in as many transactions as locks and time ask for.
use crate::{
    Error,
    ahead::Stage,
    counts::SlotCounts,
    failpoint::failpoint,
    load::RESTS,
    pace::{Tempo, backoff},
    rotation::Rotation,
    settle::{Settled, Settlement, settle},
    waits::Waiter,
};
use reencrypt_checkpoint::Chunk;
use reencrypt_db::{Limits, Mode, Selection, Session, Transaction, Verdict};
use reencrypt_planner::BoundTable;
use std::{ops::Range, time::Duration};
use tokio::time::Instant;

/// How often a single row that is contended is tried before it is put aside.
const SINGLE_ROW_TRIES: u32 = 3;

/// How far the writing side came.
pub(crate) enum Written {
    /// To the end of what was read.
    All,
    /// To a stop or a pause.
    Stopped,
    /// Somebody else has the chunk now.
    LeaseLost,
}

/// The writing side of a walk, apart from the reading one, so that both can go on at once.
pub(crate) struct Writing<'w> {
    pub(crate) rotation: &'w Rotation,
    pub(crate) session: &'w mut Session,
    /// Of its worker.
    pub(crate) waiter: &'w Waiter,
    pub(crate) chunk: Chunk,
    pub(crate) counts: SlotCounts,
    pub(crate) tempo: Tempo,
}

impl Writing<'_> {
    /// Writes a stage's batch, in halves where locks, deadlocks or constraints ask for it and in smaller parts where time does; a single row
    /// that stays locked, or whose new values are refused, is put aside as pending.
    pub(crate) async fn write(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        stage: &Stage,
    ) -> Result<Written, Error> {
        let rotation = self.rotation;
        let len = stage.batch.len();
        let (mut from, mut tries) = (0, 0);
        loop {
            if rotation.is_stop_or_pause_asked() {
                // What is not written yet stands behind the cursor, or has no mark: the walk gives the chunk back.
                return Ok(Written::Stopped);
            }
            let range = from..from + self.tempo.rows(rotation.load.rows(len - from));
            match self.write_range(table, selection, stage, range.clone(), false).await {
                Ok(None) => return Ok(Written::LeaseLost),
                Ok(Some(took)) => self.tempo.committed(range.len(), took, len),
                Err(error) => {
                    let is_contended = match error.verdict() {
                        Verdict::Retry => true,
                        Verdict::Refused => false,
                        _ => return Err(error),
                    };
                    if is_contended {
                        self.waiter.wait(format!("{} is contended: {error}", table.plan.name));
                        rotation.sleep(backoff(tries)).await;
                        tries += 1;
                    }
                    self.tempo.contended(range.len());
                    if range.len() > 1 || is_contended && tries <= SINGLE_ROW_TRIES {
                        continue;
                    }
                    if self.write_range(table, selection, stage, range.clone(), true).await?.is_none() {
                        return Ok(Written::LeaseLost);
                    }
                }
            }
            (from, tries) = (range.end, 0);
            if from >= len {
                self.waiter.go_on();
                return Ok(Written::All);
            }
        }
    }

    /// One transaction, in its turn: how long it took; `None`: the lease is lost.
    async fn write_range(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        stage: &Stage,
        range: Range<usize>,
        defer: bool,
    ) -> Result<Option<Duration>, Error> {
        let Self { rotation, session, chunk, counts, .. } = self;
        let turn = rotation.load.turn().await;
        let begun = Instant::now();
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        let settlement = Settlement::first(stage, chunk, range, defer);
        let settled = settle(rotation, &mut tx, table, selection, chunk, counts, settlement).await;
        if !conclude(rotation, tx, settled, table, chunk, counts).await? {
            return Ok(None);
        }
        let took = begun.elapsed();
        if turn.is_some() {
            // The turn is held: none of us does anything meanwhile.
            rotation.sleep(took * RESTS).await;
        }
        Ok(Some(took))
    }
}

/// Commits what was settled; whatever else came of it is rolled back at once, so that no lock outlives it. Says whether the lease holds.
pub(crate) async fn conclude(
    rotation: &Rotation,
    tx: Transaction<'_>,
    settled: Result<Option<Settled>, Error>,
    table: &BoundTable,
    chunk: &mut Chunk,
    counts: &mut SlotCounts,
) -> Result<bool, Error> {
    match settled {
        Ok(Some(settled)) => {
            failpoint!("engine::before_commit");
            tx.commit().await?;
            failpoint!("engine::after_commit");
            settled.apply(rotation, table, chunk, counts);
            Ok(true)
        }
        Ok(None) => {
            rotation.load.rolled_back();
            tx.rollback().await?;
            Ok(false)
        }
        Err(error) => {
            rotation.load.rolled_back();
            // The first error is the one to tell; where the rollback fails too the connection is closed.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}
