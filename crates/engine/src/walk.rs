//! The walk over one chunk: read ahead, write, settle what lost its compare, until nothing of it is left.
use crate::{
    Error, Event,
    ahead::{Ahead, Stage, present},
    counts::SlotCounts,
    failpoint::failpoint,
    pace::Tempo,
    rotation::{LEASE_MS, Rotation},
    write::{Writing, Written},
};
use reencrypt_checkpoint::Chunk;
use reencrypt_crypto::{Expect, Marker};
use reencrypt_db::{Dialect, Limits, Mode, Selection, Session};
use reencrypt_planner::BoundTable;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::{
    Mutex, MutexGuard,
    mpsc::{self, Receiver, Sender},
};

/// How the walk over a chunk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkEnd {
    /// Nothing is left of it.
    Done,
    /// Given back, because of a stop or a pause.
    Released,
    /// Somebody else has it now.
    LeaseLost,
}

/// The table's leaf of that name, if it is still there.
pub(crate) fn leaf<'t>(table: &'t BoundTable, name: &str) -> Option<&'t Selection> {
    table.table.leaves.iter().position(|leaf| leaf.name.to_string() == name).and_then(|at| table.leaves.get(at))
}

/// One chunk being walked.
pub(crate) struct ChunkWalk<'w> {
    reader: &'w mut Option<Session>,
    tables: Arc<Vec<BoundTable>>,
    writing: Writing<'w>,
    marker: Marker,
    /// What of the chunk's open window earlier transactions have accounted for.
    marks: HashSet<u64>,
}

impl<'w> ChunkWalk<'w> {
    /// Takes the chunk over where its last committed transaction left it.
    pub(crate) async fn new(
        rotation: &'w Rotation,
        reader: &'w mut Option<Session>,
        writer: &'w mut Session,
        chunk: Chunk,
    ) -> Result<Self, Error> {
        let session = present(reader)?;
        let mut tables = rotation.tables();
        if tables.get(chunk.table_no).is_none_or(|table| leaf(table, &chunk.leaf).is_none()) {
            tables = rotation.rebind(session).await?;
        }
        let table = tables.get(chunk.table_no).ok_or_else(|| Error::bug("a chunk of a table that the plan has not"))?;
        let mut tx = session.begin(Mode::Read).await?;
        reencrypt_planner::check_schema(&mut tx, &table.plan).await?;
        let marks = match chunk.window {
            Some(_) => rotation.store.marks(&mut tx, &chunk).await?.into_iter().collect(),
            None => HashSet::new(),
        };
        tx.commit().await?;
        let counts = SlotCounts::from_json(&chunk.counts, table.cipher.slots())?;
        let marker = rotation.marker(table)?;
        rotation.begin_table(table, chunk.pass);
        let writing = Writing { rotation, session: writer, chunk, counts, tempo: Tempo::default() };
        Ok(Self { reader, tables, writing, marker, marks })
    }

    /// Walks to the end of the chunk, or until a stop or a pause.
    pub(crate) async fn walk(self) -> Result<ChunkEnd, Error> {
        let Self { reader, tables, mut writing, marker, marks } = self;
        let rotation = writing.rotation;
        let table = &tables[writing.chunk.table_no];
        let Some(selection) = leaf(table, &writing.chunk.leaf) else {
            // The partition was dropped; its rows are gone with it.
            return finish(writing, table).await;
        };
        let expect = if writing.chunk.pass == 1 { Expect::Old } else { Expect::New };
        let mut ahead = Ahead::new(rotation, reader, table, selection, expect, &writing.chunk, marker, marks);
        // While one batch is written the next waits and the one after that is resealed, so that neither side waits for the other's slow step.
        let (sender, stages) = mpsc::channel(1);
        // Where a reader stands in the writer's way the two take turns.
        let turns = (rotation.context.database.dialect() == Dialect::Sqlite).then(Mutex::default);
        let (written, read) = tokio::join!(
            write_all(&mut writing, table, selection, stages, turns.as_ref()),
            read_all(&mut ahead, sender, turns.as_ref())
        );
        match written? {
            Written::LeaseLost => return Ok(ChunkEnd::LeaseLost),
            Written::Stopped => return release(writing).await,
            Written::All => read?,
        }
        let reader = ahead.into_session()?;
        if !writing.settle_pending(reader, table, selection, expect).await? {
            return Ok(ChunkEnd::LeaseLost);
        }
        if !writing.chunk.pending.is_empty() {
            return release(writing).await;
        }
        finish(writing, table).await
    }
}

/// Reads and reseals batch after batch, until there is none left or nobody takes them.
async fn read_all(ahead: &mut Ahead<'_>, stages: Sender<Stage>, turns: Option<&Mutex<()>>) -> Result<(), Error> {
    loop {
        let turn = turn(turns).await;
        let read = ahead.read().await?;
        drop(turn);
        let Some(read) = read else { return Ok(()) };
        let stage = ahead.reseal(read).await?;
        if stages.send(stage).await.is_err() {
            return Ok(());
        }
    }
}

/// Writes batch after batch as they come.
async fn write_all(
    writing: &mut Writing<'_>,
    table: &BoundTable,
    selection: &Selection,
    mut stages: Receiver<Stage>,
    turns: Option<&Mutex<()>>,
) -> Result<Written, Error> {
    let rotation = writing.rotation;
    while let Some(now) = stages.recv().await {
        failpoint!("engine::batch_resealed");
        rotation.judge(writing.chunk.pass, table, &now.batch)?;
        rotation.sleep(rotation.pace.take(now.batch.len() as u64)).await;
        let turn = turn(turns).await;
        match writing.write(table, selection, &now).await? {
            Written::All if rotation.is_stop_or_pause_asked() => return Ok(Written::Stopped),
            Written::All => drop(turn),
            ended => return Ok(ended),
        }
    }
    Ok(Written::All)
}

async fn turn(turns: Option<&Mutex<()>>) -> Option<MutexGuard<'_, ()>> {
    match turns {
        Some(turns) => Some(turns.lock().await),
        None => None,
    }
}

/// Marks the chunk done.
async fn finish(writing: Writing<'_>, table: &BoundTable) -> Result<ChunkEnd, Error> {
    let Writing { rotation, session, chunk, counts, .. } = writing;
    let counts = counts.to_json()?;
    let advance = reencrypt_checkpoint::Advance {
        cursor: Some(&chunk.upto),
        pending: &[],
        window: None,
        marks: &[],
        counts: &counts,
        rows: chunk.rows,
        done: true,
        lease_ms: LEASE_MS,
    };
    let mut tx = session.begin(Mode::Write(Limits::default())).await?;
    if !rotation.store.advance_chunk(&mut tx, &chunk, &advance).await? {
        tx.rollback().await?;
        return Ok(ChunkEnd::LeaseLost);
    }
    tx.commit().await?;
    failpoint!("engine::chunk_done");
    rotation.context.observer.event(&Event::ChunkFinished { pass: chunk.pass, table: table.plan.name.clone() });
    Ok(ChunkEnd::Done)
}

/// Gives the chunk back where it stands.
async fn release(writing: Writing<'_>) -> Result<ChunkEnd, Error> {
    let mut tx = writing.session.begin(Mode::Write(Limits::default())).await?;
    writing.rotation.store.release_chunk(&mut tx, &writing.chunk).await?;
    tx.commit().await?;
    Ok(ChunkEnd::Released)
}
