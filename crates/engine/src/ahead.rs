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
use reencrypt_db::{Mode, RowKey, Rows, Selection, Session};
use reencrypt_planner::{BoundTable, Order};
use std::{collections::HashSet, sync::Arc};

/// A window is read in portions of so many batches, each in a transaction of its own: a snapshot that is held for long keeps dead versions.
const PORTION_BATCHES: u32 = 2;

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
    session: &'w mut Session,
    table: &'w BoundTable,
    selection: &'w Selection,
    expect: Expect,
    pass: u32,
    upto: RowKey,
    /// The window that is being handed out.
    window: Option<Window>,
    next: Next,
    marker: Marker,
    marks: HashSet<u64>,
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
    rows: Option<Rows>,
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
        session: &'w mut Session,
        table: &'w BoundTable,
        selection: &'w Selection,
        expect: Expect,
        chunk: &Chunk,
        marker: Marker,
        marks: HashSet<u64>,
    ) -> Self {
        let after = chunk.cursor.clone();
        let next = match chunk.window.clone() {
            Some(window) => Next::Rest { after, window },
            None => Next::After(after),
        };
        let (pass, upto) = (chunk.pass, chunk.upto.clone());
        Self { rotation, session, table, selection, expect, pass, upto, window: None, next, marker, marks }
    }

    /// Its session, when there is nothing left to read.
    pub(crate) fn into_session(self) -> &'w mut Session {
        self.session
    }

    /// The next batch, read and resealed; `None` at the chunk's end.
    pub(crate) async fn next(&mut self) -> Result<Option<Stage>, Error> {
        match self.read().await? {
            Some(read) => self.reseal(read).await.map(Some),
            None => Ok(None),
        }
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
        let nonces = rotation.nonces.take(rotation, self.session, self.table, wanting).await?;
        Ok(Some(Read { wave, nonces }))
    }

    /// Reseals it; meanwhile what comes after its window is read bit by bit, unless it is the window's last.
    pub(crate) async fn reseal(&mut self, read: Read<'w>) -> Result<Stage, Error> {
        let Read { wave: Wave { rows, which, bounds, last }, nonces } = read;
        let (pool, cipher) = (self.rotation.context.pool.clone(), self.table.cipher.clone());
        let resealed = Batch::reseal_some(&pool, &cipher, rows, which, self.expect);
        let (batch, read) = if last { (resealed.await, Ok(())) } else { tokio::join!(resealed, self.read_on()) };
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
                Next::Reading(Reading { kind, upto, rows: Some(rows), .. }) if self.is_complete(kind, &rows) => {
                    return Ok(self.window_of(kind, upto, rows));
                }
                other => {
                    self.next = other;
                    self.read_on().await?;
                }
            }
        }
    }

    fn window_of(&mut self, kind: Kind, upto: RowKey, rows: Rows) -> Option<Window> {
        let batch_rows = self.rotation.batch_rows as usize;
        let behind = rows.len().checked_sub(1).map(|row| rows.key(row));
        let is_last = rows.is_last();
        match kind {
            Kind::Fresh(order) => {
                self.next = if is_last { Next::Nothing } else { Next::After(behind) };
                match order {
                    Order::Key => Window::by_key(rows),
                    Order::Waves => Window::in_waves(rows, batch_rows),
                }
            }
            Kind::Rest => {
                let marker = &self.marker;
                let mark = |key: &RowKey| marker.mark(key.as_bytes());
                let window = Window::resumed(rows, &upto, &self.marks, mark, batch_rows);
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
                let kind = Kind::Fresh(self.rotation.order(self.session, self.table, self.pass).await?);
                Reading { kind, after, upto: self.upto.clone(), rows: None }
            }
            Next::Rest { after, window } => Reading { kind: Kind::Rest, after, upto: window, rows: None },
            Next::Reading(reading) => reading,
        };
        self.next = Next::Reading(self.portion(reading).await?);
        Ok(())
    }

    async fn portion(&mut self, mut reading: Reading) -> Result<Reading, Error> {
        let batch_rows = self.rotation.batch_rows;
        let limit = match &reading.rows {
            Some(rows) if self.is_complete(reading.kind, rows) => return Ok(reading),
            _ if reading.kind == Kind::Fresh(Order::Key) => batch_rows,
            Some(rows) => {
                (self.rotation.window_rows - rows.len() as u32).min(batch_rows.saturating_mul(PORTION_BATCHES))
            }
            None => self.rotation.window_rows.min(batch_rows.saturating_mul(PORTION_BATCHES)),
        };
        let behind = reading.rows.as_ref().and_then(|rows| Some(rows.key(rows.len().checked_sub(1)?)));
        let after = behind.as_ref().or(reading.after.as_ref());
        let mut tx = self.session.begin(Mode::Read).await?;
        let portion = tx.read_batch(self.selection, after, &reading.upto, limit).await?;
        tx.commit().await?;
        match &mut reading.rows {
            Some(rows) => rows.append(portion),
            None => reading.rows = Some(portion),
        }
        Ok(reading)
    }

    /// Whether a window needs no further portion.
    fn is_complete(&self, kind: Kind, rows: &Rows) -> bool {
        kind == Kind::Fresh(Order::Key)
            || rows.is_last()
            || rows.len() >= self.rotation.window_rows as usize
            || rows.bytes() >= self.rotation.window_bytes_max
    }
}
