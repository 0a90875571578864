//! One worker: claims a chunk, walks it, claims the next, and takes the run from pass to pass when nothing is left.
use crate::{
    Error,
    control::record_gone,
    failpoint::failpoint,
    pace::backoff,
    pass,
    rotation::{LEASE_MS, Rotation},
    summary,
    waits::{Waiter, slow_read},
    walk::{self, ChunkEnd},
};
use reencrypt_checkpoint::{Chunk, Claim, Run, RunState};
use reencrypt_db::{Limits, Mode, Session, Verdict};
use reencrypt_planner::Order;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a worker tries again without any success before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a worker without work looks for some.
const IDLE: Duration = Duration::from_millis(200);

/// How a worker's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to stop.
    Stopped,
    /// The run is over, or waits for a person.
    State(RunState),
}

/// What one step of a worker came to.
enum Step {
    Worked,
    Nothing,
    Ended(RunState),
}

/// What a worker found to do.
enum Claimed {
    Chunk(Box<Chunk>),
    Nothing,
    /// A stop or a pause came first.
    Asked,
}

/// A worker with its two connections: it reads ahead on one while it writes on the other.
pub(crate) struct Worker {
    rotation: Arc<Rotation>,
    name: String,
    reader: Option<Session>,
    writer: Option<Session>,
    /// The chunk in hand, by id and fence; kept over an error, so that it goes on and does not wait for its own lease to end.
    held: Option<(i64, i64)>,
    waiter: Waiter,
}

impl Worker {
    pub(crate) fn new(rotation: Arc<Rotation>, number: usize) -> Self {
        let (name, waiter) = (rotation.owner.name(number), rotation.waits.waiter());
        Self { rotation, name, reader: None, writer: None, held: None, waiter }
    }

    /// Works until the run ends or the process is asked to stop. The one place that decides on another try.
    pub(crate) async fn work(mut self) -> Result<End, Error> {
        let mut tries = 0;
        let mut success = Instant::now();
        loop {
            if self.rotation.context.stop.is_requested() {
                return Ok(End::Stopped);
            }
            if self.wait_while_paused().await {
                success = Instant::now();
                continue;
            }
            match self.step().await {
                Ok(Step::Worked) => {
                    (tries, success) = (0, Instant::now());
                    self.waiter.go_on();
                }
                Ok(Step::Nothing) => {
                    (tries, success) = (0, Instant::now());
                    self.waiter.idle();
                    self.rotation.sleep(IDLE).await;
                }
                Ok(Step::Ended(state)) => return Ok(End::State(state)),
                Err(error) => {
                    let verdict = error.verdict();
                    // A step is a whole chunk: what counts is the last batch that any worker here committed.
                    let stuck = success.max(self.rotation.last_commit()).elapsed();
                    if matches!(verdict, Verdict::Refused | Verdict::Fatal) || (tries > 0 && stuck > PATIENCE) {
                        return Err(error);
                    }
                    if verdict == Verdict::Reconnect {
                        (self.reader, self.writer) = (None, None);
                    }
                    let what = if verdict == Verdict::Reconnect { "reconnecting" } else { "trying again" };
                    self.waiter.wait(format!("{what}: {error}"));
                    self.rotation.sleep(backoff(tries)).await;
                    tries += 1;
                }
            }
        }
    }

    /// Waits while a pause is asked for; says whether it did.
    async fn wait_while_paused(&self) -> bool {
        let mut pause = self.rotation.pause.clone();
        let Some(asked) = pause.borrow_and_update().clone() else { return false };
        let reason = summary::pause_reason(&asked);
        self.waiter.wait(format!("{reason}; `reencrypt continue` takes it back"));
        tokio::select! {
            Ok(_) = pause.wait_for(Option::is_none) => {}
            () = self.rotation.context.stop.requested() => {}
        }
        self.waiter.go_on();
        true
    }

    async fn step(&mut self) -> Result<Step, Error> {
        let rotation = self.rotation.clone();
        let Worker { reader: reading, writer, name, held, waiter, .. } = self;
        let Some(writer) = connected(writer, &rotation).await? else { return Ok(Step::Worked) };

        if let Some((id, fence)) = *held {
            // After an error: the row's lock waits for a transaction of our own that may still be committing.
            let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
            let chunk = rotation.store.reload_chunk(&mut tx, id).await?;
            tx.commit().await?;
            match chunk.filter(|chunk| chunk.fence == fence && chunk.owner.as_deref() == Some(&*name) && !chunk.done) {
                Some(chunk) => walk(&rotation, reading, writer, waiter, chunk).await?,
                None => tracing::info!("a chunk was taken over by another worker"),
            }
            *held = None;
            return Ok(Step::Worked);
        }

        let Some(reader) = connected(reading, &rotation).await? else { return Ok(Step::Worked) };
        let mut tx = reader.begin(Mode::Read).await?;
        let run = rotation.store.run(&mut tx, &rotation.run_id).await?.ok_or_else(|| record_gone(&rotation.run_id))?;
        if run.state != RunState::Running {
            return Ok(Step::Ended(run.state));
        }
        let passes = rotation.store.passes(&mut tx, &rotation.run_id).await?;
        let walking = passes.last().is_some_and(|pass| pass.pass == run.pass && pass.finished_ms.is_none());
        tx.commit().await?;
        if !walking {
            pass::enter(&rotation, reader, writer, run.pass).await?;
            return Ok(Step::Worked);
        }
        rotation.tell_pass(run.pass);
        match claim(&rotation, reader, writer, &run, name).await? {
            Claimed::Chunk(chunk) => {
                *held = Some((chunk.id, chunk.fence));
                waiter.go_on();
                failpoint!("engine::chunk_claimed");
                walk(&rotation, reading, writer, waiter, *chunk).await?;
                *held = None;
                return Ok(Step::Worked);
            }
            Claimed::Asked => return Ok(Step::Worked),
            Claimed::Nothing => {}
        }
        if rotation.bury_dead(writer).await? {
            return Ok(Step::Worked);
        }
        match pass::end_if_done(&rotation, writer, &run).await? {
            pass::Left::Nothing => Ok(Step::Worked),
            pass::Left::Others => Ok(Step::Nothing),
        }
    }
}

async fn walk(
    rotation: &Rotation,
    reader: &mut Option<Session>,
    writer: &mut Session,
    waiter: &Waiter,
    chunk: Chunk,
) -> Result<(), Error> {
    if connected(reader, rotation).await?.is_none() {
        return Ok(());
    }
    if walk::walk(rotation, reader, writer, waiter, chunk).await? == ChunkEnd::LeaseLost {
        tracing::info!("a chunk was taken over by another worker");
    }
    Ok(())
}

/// The session, opened where there is none or it can no longer be used; `None` where a stop is asked for first.
async fn connected<'s>(
    session: &'s mut Option<Session>,
    rotation: &Rotation,
) -> Result<Option<&'s mut Session>, Error> {
    if session.as_ref().is_none_or(|session| !session.is_usable()) {
        *session = tokio::select! {
            opened = rotation.context.database.session() => Some(opened?),
            () = rotation.context.stop.requested() => None,
        };
    }
    Ok(session.as_mut())
}

/// The next chunk: one that is free, else one cut off the first leaf that has rows left.
async fn claim(
    rotation: &Rotation,
    reader: &mut Session,
    writer: &mut Session,
    run: &Run,
    owner: &str,
) -> Result<Claimed, Error> {
    let claim = Claim { run_id: &run.id, pass: run.pass, owner, lease_ms: LEASE_MS };
    let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
    let chunk = rotation.store.claim_chunk(&mut tx, claim).await?;
    tx.commit().await?;
    if let Some(chunk) = chunk {
        return Ok(Claimed::Chunk(Box::new(chunk)));
    }
    let mut tx = reader.begin(Mode::Read).await?;
    let walks = rotation.store.uncarved_walks(&mut tx, &run.id, run.pass).await?;
    tx.commit().await?;
    let tables = rotation.tables();
    let canary = rotation.options.canary.filter(|_| run.pass == 1);
    let begun = if canary.is_some() { tables_begun(rotation, reader, run).await? } else { HashSet::new() };
    for part in &walks {
        // A canary takes one chunk of each table.
        if begun.contains(&part.table_no) {
            continue;
        }
        let Some(table) = tables.get(part.table_no) else {
            return Err(Error::bug("a walk of a table that the plan has not"));
        };
        let rows = match canary {
            Some(rows) => rows,
            None => {
                // Sweeps write in key order.
                let order = if run.pass == 1 { table.order } else { Order::Key };
                reencrypt_planner::chunk_rows(table.plan.rows_estimate, rotation.batch_rows, order, rotation.workers)
            }
        };
        let end = rotation.unless_asked(slow_read(&table.plan.name), async {
            let tables = rotation.tables_with(reader, part.table_no, &part.leaf).await?;
            let mut tx = reader.begin(Mode::Read).await?;
            let end = match tables.get(part.table_no).and_then(|table| walk::leaf(table, &part.leaf)) {
                Some(selection) => tx.key_after(selection, part.frontier.as_ref(), &part.upto, rows).await?,
                // A partition that is gone has no rows.
                None => None,
            };
            tx.commit().await?;
            Ok(end)
        });
        let Some(end) = end.await? else { return Ok(Claimed::Asked) };
        let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
        if !rotation.store.move_frontier(&mut tx, &run.id, run.pass, part, end.as_ref()).await? {
            // Another worker cut this chunk; the caller looks again.
            tx.rollback().await?;
            return Box::pin(self::claim(rotation, reader, writer, run, owner)).await;
        }
        let Some(end) = end else {
            tx.commit().await?;
            continue;
        };
        let chunk = rotation.store.add_chunk(&mut tx, claim, part, &end).await?;
        tx.commit().await?;
        return Ok(Claimed::Chunk(Box::new(chunk)));
    }
    Ok(Claimed::Nothing)
}

/// The tables of which the run's pass has a chunk.
async fn tables_begun(rotation: &Rotation, reader: &mut Session, run: &Run) -> Result<HashSet<usize>, Error> {
    let mut tx = reader.begin(Mode::Read).await?;
    let totals = rotation.store.chunk_totals(&mut tx, &run.id).await?;
    tx.commit().await?;
    Ok(totals.iter().filter(|total| total.pass == run.pass).map(|total| total.table_no).collect())
}
