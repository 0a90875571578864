//! The reading side of a walk: what comes next, read and resealed while the last is written.
use crate::{
    Error,
    batch::Batch,
    nonces::{Taken, Wanting},
    rotation::Rotation,
    window::{Bounds, Wave, Window},
};
use reencrypt_checkpoint::Chunk;
use reencrypt_crypto::{Expect, Marker};
use reencrypt_db::{Dialect, Mode, RowKey, Rows, Selection, Session};
use reencrypt_planner::{BoundTable, Order};
use std::{collections::HashSet, sync::Arc};
use tokio::task::JoinSet;

/// This part of a full window is enough to begin with, so that a chunk's first write does not wait for all of it.
const FIRST_WINDOW: u32 = 4;
/// Batches of one portion at most: a snapshot that is held for long keeps dead versions.
const PORTION_BATCHES_MAX: u32 = 4;

/// A batch that is ready to be written.
pub(crate) struct Stage {
    pub(crate) batch: Batch,
    pub(crate) bounds: Arc<Bounds>,
    /// The window's last batch.
    pub(crate) last: bool,
}

/// A batch as it was read, with the nonces that it may need.
pub(crate) struct Read<'w> {
    wave: Wave,
    nonces: Taken<'w>,
}

/// Reads a chunk window by window, each while the one before is written, and reseals each batch right before its turn.
pub(crate) struct Ahead<'w> {
    rotation: &'w Rotation,
    /// Away while a portion is read; one that did not come back is opened anew.
    session: &'w mut Option<Session>,
    table: &'w BoundTable,
    selection: &'w Selection,
    expect: Expect,
    pass: u32,
    upto: RowKey,
    /// The window that is being handed out.
    window: Option<Window>,
    next: Next,
    marker: Marker,
    /// The marks of what earlier transactions have accounted for.
    settled: HashSet<u64>,
}

/// The window after that.
enum Next {
    /// To be read, from behind this key.
    After(Option<RowKey>),
    /// The rest of a window that somebody began to write, up to its recorded end.
    Rest { after: Option<RowKey>, window: RowKey },
    /// Partly read.
    Reading(Reading),
    /// The chunk has no more rows.
    Nothing,
}

/// A window of which some portions are read.
struct Reading {
    kind: Kind,
    after: Option<RowKey>,
    upto: RowKey,
    read: Option<Rows>,
}

/// How the rows will be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fresh(Order),
    Rest,
}

impl<'w> Ahead<'w> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a walk that its reading side is given")]
    pub(crate) fn new(
        rotation: &'w Rotation,
        session: &'w mut Option<Session>,
        table: &'w BoundTable,
        selection: &'w Selection,
        expect: Expect,
        chunk: &Chunk,
        marker: Marker,
        settled: HashSet<u64>,
    ) -> Self {
        let after = chunk.cursor.clone();
        let next = match chunk.window.clone() {
            Some(window) => Next::Rest { after, window },
            None => Next::After(after),
        };
        let (pass, upto) = (chunk.pass, chunk.upto.clone());
        Self { rotation, session, table, selection, expect, pass, upto, window: None, next, marker, settled }
    }

    /// Its session, when there is nothing left to read.
    pub(crate) fn into_session(self) -> Result<&'w mut Session, Error> {
        present(self.session)
    }

    /// The next batch as it stands in the database; `None` at the chunk's end.
    pub(crate) async fn read(&mut self) -> Result<Option<Read<'w>>, Error> {
        let wave = match self.window.as_mut().and_then(Window::next) {
            Some(wave) => wave,
            None => {
                self.window = self.complete().await?;
                let Some(wave) = self.window.as_mut().and_then(Window::next) else { return Ok(None) };
                wave
            }
        };
        let rotation = self.rotation;
        let wanting = Wanting::Rows { rows: &wave.rows, which: &wave.which, expect: self.expect };
        let nonces = rotation.nonces.take(rotation, present(self.session)?, self.table, wanting).await?;
        Ok(Some(Read { wave, nonces }))
    }

    /// Reseals it; meanwhile, or afterwards where the run gives way, what comes after its window is read bit by bit, but not where a reader stands in the
    /// writer's way.
    pub(crate) async fn reseal(&mut self, read: Read<'w>) -> Result<Stage, Error> {
        let Read { wave: Wave { rows, which, bounds, last }, nonces } = read;
        let marker = (bounds.order == Order::Waves).then(|| self.marker.clone());
        let (pool, cipher) = (self.rotation.context.pool.clone(), self.table.cipher.clone());
        let resealed = Batch::reseal_some(&pool, &cipher, rows, which, self.expect, self.selection, marker);
        let (batch, read) = match self.rotation.context.database.dialect() {
            Dialect::Sqlite => (resealed.await, Ok(())),
            Dialect::Postgres if self.rotation.load.gives_way() => {
                (self.rotation.load.in_turn(resealed).await, self.read_on().await)
            }
            Dialect::Postgres => tokio::join!(resealed, self.read_on()),
        };
        let batch = batch?;
        nonces.settle(&batch);
        read?;
        Ok(Stage { batch, bounds, last })
    }

    /// Reads what is missing of the next window; `None` at the chunk's end.
    async fn complete(&mut self) -> Result<Option<Window>, Error> {
        loop {
            match std::mem::replace(&mut self.next, Next::Nothing) {
                Next::Nothing => return Ok(None),
                Next::Reading(Reading { kind, upto, read: Some(read), .. }) if self.is_enough(kind, &read) => {
                    return Ok(self.window_of(kind, upto, read));
                }
                other => {
                    self.next = other;
                    self.read_on().await?;
                }
            }
        }
    }

    fn window_of(&mut self, kind: Kind, upto: RowKey, rows: Rows) -> Option<Window> {
        // While the run gives way it reseals no more at once than it writes: both cores busy for a whole batch are felt as much as its locks.
        let batch_rows = self.rotation.load.rows(self.rotation.batch_rows as usize);
        let (behind, is_last) = (last_key(&rows), rows.is_last());
        match kind {
            Kind::Fresh(order) => {
                self.next = if is_last { Next::Nothing } else { Next::After(behind) };
                match order {
                    Order::Key => Window::by_key(rows),
                    Order::Waves => Window::in_waves(rows, batch_rows),
                }
            }
            Kind::Rest => {
                let is_settled = |key: &RowKey| self.settled.contains(&self.marker.mark(key.as_bytes()));
                let window = Window::resumed(rows, &upto, is_settled, batch_rows);
                self.next = match is_last {
                    true => Next::After(Some(upto)),
                    false => Next::Rest { after: behind, window: upto },
                };
                Some(window)
            }
        }
    }

    /// Reads one portion more of the next window, if that is not complete.
    async fn read_on(&mut self) -> Result<(), Error> {
        let reading = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => return Ok(()),
            Next::After(Some(after)) if after == self.upto => return Ok(()),
            Next::After(after) => {
                let kind = Kind::Fresh(self.rotation.order(present(self.session)?, self.table, self.pass).await?);
                Reading { kind, after, upto: self.upto.clone(), read: None }
            }
            Next::Rest { after, window } => Reading { kind: Kind::Rest, after, upto: window, read: None },
            Next::Reading(reading) => reading,
        };
        self.next = Next::Reading(self.portion(reading).await?);
        Ok(())
    }

    async fn portion(&mut self, mut reading: Reading) -> Result<Reading, Error> {
        let Rotation { batch_rows, window_rows, window_bytes_max, .. } = *self.rotation;
        let limit = match &reading.read {
            Some(rows) if self.is_complete(reading.kind, rows) => return Ok(reading),
            _ if reading.kind == Kind::Fresh(Order::Key) => batch_rows,
            read => {
                let missing = window_rows - read.as_ref().map_or(0, |rows| rows.len() as u32);
                // In equal portions while the window before is written.
                let waves_left = self.window.as_ref().map_or(0, Window::waves_left) as u32;
                let portion = missing.div_ceil(waves_left.max(1));
                portion.clamp(batch_rows, batch_rows.saturating_mul(PORTION_BATCHES_MAX)).min(missing)
            }
        };
        let limit = self.rotation.load.rows(limit as usize) as u32;
        let behind = reading.read.as_ref().and_then(last_key);
        let mut session = self.session.take().ok_or_else(|| Error::bug("the session that reads is away"))?;
        let (selection, upto) = (self.selection.clone(), reading.upto.clone());
        let after = behind.or_else(|| reading.after.clone());
        // A task of its own: what comes in is taken apart while the writer goes on. It ends with the walk that waits for it.
        let mut task = JoinSet::new();
        task.spawn(async move {
            let read = portion(&mut session, &selection, after.as_ref(), &upto, limit).await;
            (session, read)
        });
        let read = self.rotation.load.in_turn(task.join_next()).await;
        let Some(Ok((session, read))) = read else { return Err(Error::bug("the reader ended")) };
        *self.session = Some(session);
        let rows = read?;
        match &mut reading.read {
            Some(read) => {
                let by_bytes = window_bytes_max / (read.bytes() / read.len().max(1)).max(1) + rows.len();
                read.append(rows, by_bytes.min(window_rows as usize));
            }
            None => reading.read = Some(rows),
        }
        Ok(reading)
    }

    /// Whether a window takes no further portion.
    fn is_complete(&self, kind: Kind, rows: &Rows) -> bool {
        self.has_part(kind, rows, 1)
    }

    /// Whether a window need not wait for a further portion.
    fn is_enough(&self, kind: Kind, rows: &Rows) -> bool {
        self.has_part(kind, rows, FIRST_WINDOW)
    }

    /// Whether a window has that part of a full one, or all that there is.
    fn has_part(&self, kind: Kind, rows: &Rows, part: u32) -> bool {
        let Rotation { window_rows, window_bytes_max, .. } = *self.rotation;
        kind == Kind::Fresh(Order::Key)
            || rows.is_last()
            || rows.len() >= window_rows.div_ceil(part) as usize
            || rows.bytes() >= window_bytes_max / part as usize
    }
}

/// One portion of a window, in a transaction of its own: a snapshot that is held for long keeps dead versions.
async fn portion(
    session: &mut Session,
    selection: &Selection,
    after: Option<&RowKey>,
    upto: &RowKey,
    limit: u32,
) -> Result<Rows, Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let rows = tx.read_batch(selection, after, upto, limit).await?;
    tx.commit().await?;
    Ok(rows)
}

fn last_key(rows: &Rows) -> Option<RowKey> {
    Some(rows.key(rows.len().checked_sub(1)?))
}

/// The session that reads, where no portion has it.
pub(crate) fn present(session: &mut Option<Session>) -> Result<&mut Session, Error> {
    session.as_mut().ok_or_else(|| Error::bug("the session that reads is away"))
}
