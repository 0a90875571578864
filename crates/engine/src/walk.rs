//! The walk over one chunk: read ahead, write, settle what lost its compare, until nothing of it is left.
use crate::{
    Error, Event,
    ahead::{Ahead, Stage, present},
    counts::SlotCounts,
    failpoint::failpoint,
    pace::Tempo,
    rotation::{LEASE_MS, Rotation},
    waits::{Waiter, slow_catalog, slow_read},
    write::{Writing, Written},
};
use reencrypt_checkpoint::Chunk;
use reencrypt_crypto::Expect;
use reencrypt_db::{Dialect, Limits, Mode, Selection, Session};
use reencrypt_planner::BoundTable;
use std::{collections::HashSet, pin::pin, sync::Arc};
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

/// Walks over a chunk from where its last committed transaction left it: to its end, or until a stop or a pause.
pub(crate) async fn walk(
    rotation: &Rotation,
    reader: &mut Option<Session>,
    writer: &mut Session,
    waiter: &Waiter,
    chunk: Chunk,
) -> Result<ChunkEnd, Error> {
    let opened = rotation.unless_asked(slow_catalog(), open(rotation, present(reader)?, &chunk)).await?;
    let Some((tables, marks)) = opened else { return release(rotation, writer, &chunk).await };
    let table = tables.get(chunk.table_no).ok_or_else(|| Error::bug("a chunk of a table that the plan has not"))?;
    let counts = SlotCounts::from_json(&chunk.counts, table.cipher.slots())?;
    rotation.begin_table(table, chunk.pass);
    let mut writing = Writing { rotation, session: writer, waiter, chunk, counts, tempo: Tempo::default() };
    let Some(selection) = leaf(table, &writing.chunk.leaf) else {
        // The partition was dropped; its rows are gone with it.
        return finish(writing, table).await;
    };
    let expect = if writing.chunk.pass == 1 { Expect::Old } else { Expect::New };
    let marker = rotation.marker(table)?;
    let mut ahead = Ahead::new(rotation, reader, table, selection, expect, &writing.chunk, marker, marks);
    // While one batch is written the next waits and the one after that is resealed, so that neither side waits for the other's slow step.
    let (sender, stages) = mpsc::channel(1);
    // Where a reader stands in the writer's way the two take turns.
    let turns = (rotation.context.database.dialect() == Dialect::Sqlite).then(Mutex::default);
    let written = {
        let mut write = pin!(write_all(&mut writing, table, selection, stages, turns.as_ref()));
        let mut read = pin!(read_all(&mut ahead, sender, turns.as_ref()));
        tokio::select! {
            // Nobody takes what is still being read, and the reader may wait for somebody's lock: it is let go.
            written = &mut write => match written? {
                Written::All => return Err(Error::bug("all was written before it was read")),
                ended => ended,
            },
            read = &mut read => match write.await? {
                Written::All => read.map(|()| Written::All)?,
                ended => ended,
            },
        }
    };
    match written {
        Written::LeaseLost => return Ok(ChunkEnd::LeaseLost),
        Written::Stopped => return release(rotation, writing.session, &writing.chunk).await,
        Written::All => {}
    }
    let reader = ahead.into_session()?;
    if !writing.settle_pending(reader, table, selection, expect).await? {
        return Ok(ChunkEnd::LeaseLost);
    }
    if !writing.chunk.pending.is_empty() {
        return release(rotation, writing.session, &writing.chunk).await;
    }
    finish(writing, table).await
}

/// What a walk has to know before it begins: the tables as they are now, the chunk's unchanged since it was planned, and what of the chunk's open window earlier
/// transactions have accounted for.
async fn open(
    rotation: &Rotation,
    reader: &mut Session,
    chunk: &Chunk,
) -> Result<(Arc<Vec<BoundTable>>, HashSet<u64>), Error> {
    let tables = rotation.tables_with(reader, chunk.table_no, &chunk.leaf).await?;
    let mut tx = reader.begin(Mode::Read).await?;
    if let Some(table) = tables.get(chunk.table_no) {
        reencrypt_planner::check_schema(&mut tx, &table.plan).await?;
    }
    let marks = match chunk.window {
        Some(_) => rotation.store.marks(&mut tx, chunk).await?.into_iter().collect(),
        None => HashSet::new(),
    };
    tx.commit().await?;
    Ok((tables, marks))
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
    loop {
        let next = tokio::select! {
            biased;
            next = writing.waiter.during(slow_read(&table.plan.name), stages.recv()) => next,
            () = rotation.stop_or_pause_asked() => return Ok(Written::Stopped),
        };
        let Some(now) = next else { return Ok(Written::All) };
        failpoint!("engine::batch_resealed");
        rotation.sleep(rotation.pace.take(now.batch.len() as u64)).await;
        if rotation.is_stop_or_pause_asked() {
            return Ok(Written::Stopped);
        }
        rotation.judge(writing.chunk.pass, table, &now.batch)?;
        let turn = turn(turns).await;
        match writing.write(table, selection, &now).await? {
            Written::All => drop(turn),
            ended => return Ok(ended),
        }
    }
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
async fn release(rotation: &Rotation, writer: &mut Session, chunk: &Chunk) -> Result<ChunkEnd, Error> {
    let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
    rotation.store.release_chunk(&mut tx, chunk).await?;
    tx.commit().await?;
    Ok(ChunkEnd::Released)
}
