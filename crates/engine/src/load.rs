//! Giving way to the application: what it does beside a run, as far as its transactions that write tell, and how a run then writes.
use crate::{
    Error, Event,
    rotation::{Rotation, lock},
};
use reencrypt_checkpoint::Store;
use reencrypt_db::{Dialect, Horizon, Limits, Mode, Session};
use std::{
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// From so many transactions of others a second on, somebody is at work who would wait for us. A run's own bookkeeping stays below.
const OTHERS_A_SECOND: f64 = 20.0;
/// So few of them are no sign of anything, however short the time in which they came.
const OTHERS_MIN: u64 = 5;
/// So many looks without them, and the run takes all that it can get again.
const QUIET_LOOKS: u32 = 5;
/// Rows of one transaction while it gives way: few enough that nobody waits long behind its locks, its pages and its part of the log.
const ROWS_MAX: usize = 125;
/// A transaction is followed by a rest of so many times its own length, in which none of the workers does anything.
pub(crate) const RESTS: u32 = 2;
/// How long a turn is held at most by work that may wait for somebody's lock; a transaction that writes has short timeouts of its own.
const TURN_MAX: Duration = Duration::from_millis(100);

/// Whether a process gives way, and how.
pub(crate) struct Load {
    gives_way: AtomicBool,
    /// While it does, its workers read, reseal and write by turns.
    turn: Semaphore,
    /// Transactions of this process that were to write and were rolled back: the server has given them a number as well.
    rolled_back: AtomicU64,
    looks: Mutex<Looks>,
}

/// What the looks at the database have seen.
#[derive(Default)]
pub(crate) struct Looks {
    last: Option<Look>,
    /// What the last two looks came to.
    others: f64,
    quiet: u32,
}

/// The server's count of transactions that wrote, and how many of them were ours: batches of the run, or of this process and rolled back.
pub(crate) struct Look {
    at: Instant,
    horizon: Horizon,
    ours: u64,
}

impl Look {
    /// Looks now; nothing is seen on SQLite.
    pub(crate) async fn now(store: &Store, session: &mut Session, run_id: Option<&str>) -> Result<Option<Self>, Error> {
        if session.dialect() == Dialect::Sqlite {
            return Ok(None);
        }
        let mut tx = session.begin(Mode::Read).await?;
        let horizon = tx.horizon().await?;
        let ours = match run_id {
            Some(run_id) => store.batches(&mut tx, run_id).await?,
            None => 0,
        };
        tx.commit().await?;
        Ok(horizon.map(|horizon| Self { at: Instant::now(), horizon, ours }))
    }
}

impl Load {
    /// What was seen before the first batch already tells how it is written. The next look compares with a later one: in between a run writes its own beginning.
    pub(crate) fn new(looks: Looks) -> Self {
        Self {
            gives_way: AtomicBool::new(looks.others >= OTHERS_A_SECOND),
            turn: Semaphore::new(1),
            rolled_back: AtomicU64::new(0),
            looks: Mutex::new(Looks { last: None, ..looks }),
        }
    }

    /// Whether it does.
    pub(crate) fn gives_way(&self) -> bool {
        self.gives_way.load(Ordering::Relaxed)
    }

    /// Counts a transaction of a batch that was rolled back.
    pub(crate) fn rolled_back(&self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Of `rows` that are at hand, so many in one transaction.
    pub(crate) fn rows(&self, rows: usize) -> usize {
        if self.gives_way() { rows.min(ROWS_MAX) } else { rows }
    }

    /// Waits for the turn of a transaction; nothing to wait for where the run does not give way.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if !self.gives_way() {
            return None;
        }
        self.turn.acquire().await.ok()
    }

    /// Does `work` in a turn of its own. Work that takes longer than [`TURN_MAX`] waits for somebody itself, and nobody is to wait behind it.
    pub(crate) async fn in_turn<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(turn) = self.turn().await else { return work.await };
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(TURN_MAX, &mut work).await {
            return done;
        }
        drop(turn);
        work.await
    }
}

impl Looks {
    /// Takes in a look: transactions of others a second since the last one.
    pub(crate) fn take(&mut self, now: Look) {
        if let Some(last) = &self.last {
            let ours = now.ours.saturating_sub(last.ours);
            let others = now.horizon.written_since(&last.horizon).saturating_sub(ours);
            let seconds = now.at.duration_since(last.at).as_secs_f64().max(0.001);
            self.others = if others < OTHERS_MIN { 0.0 } else { others as f64 / seconds };
        }
        self.last = Some(now);
    }

    /// Whether to give way, after what was seen.
    fn decide(&mut self, gives_way: bool) -> bool {
        self.quiet = if self.others < OTHERS_A_SECOND { self.quiet + 1 } else { 0 };
        self.quiet == 0 || gives_way && self.quiet < QUIET_LOOKS
    }
}

impl Rotation {
    /// Looks what the application does, and gives way to it or no longer. A speed that was asked for is the word of a person: nothing is looked at then.
    pub(crate) async fn look_at_load(&self, session: &mut Session) -> Result<(), Error> {
        if self.options.rows_per_second_max.is_some() {
            return Ok(());
        }
        let Some(mut look) = Look::now(&self.store, session, Some(&self.run_id)).await? else { return Ok(()) };
        look.ours += self.load.rolled_back.load(Ordering::Relaxed);
        let before = self.load.gives_way();
        let now = {
            let mut looks = lock(&self.load.looks);
            looks.take(look);
            looks.decide(before)
        };
        if now == before {
            return Ok(());
        }
        self.load.gives_way.store(now, Ordering::Relaxed);
        self.tell_load(session).await
    }

    /// Says how it is written from now on.
    pub(crate) async fn tell_load(&self, session: &mut Session) -> Result<(), Error> {
        let message = match self.load.gives_way() {
            true => format!(
                "the server has {:.0} transactions of others a second: written in small transactions with pauses between them \
                 (`--max-rows-per-second` sets the speed instead)",
                lock(&self.load.looks).others
            ),
            false => "nobody else is at work in the database: written as fast as it goes again".to_owned(),
        };
        self.context.observer.event(&Event::Note { message: message.clone() });
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        self.store.add_event(&mut tx, &self.run_id, &self.context.actor, "load", &message).await?;
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_way_at_once_and_stops_when_it_was_quiet_for_a_while() {
        let mut looks = Looks::default();
        let mut decide = |gives_way, others| {
            looks.others = others;
            looks.decide(gives_way)
        };
        assert!(!decide(false, 3.0), "bookkeeping is no application");
        assert!(decide(false, 400.0));
        for _ in 1..QUIET_LOOKS {
            assert!(decide(true, 0.0), "a pause between two requests is no end");
        }
        assert!(!decide(true, 0.0));
        assert!(decide(false, OTHERS_A_SECOND));
    }

    #[tokio::test]
    async fn takes_few_rows_by_turns_while_it_gives_way() {
        let load = Load::new(Looks::default());
        assert_eq!(load.rows(1_000), 1_000);
        assert!(load.turn().await.is_none());
        load.gives_way.store(true, Ordering::Relaxed);
        assert_eq!((load.rows(1_000), load.rows(10)), (ROWS_MAX, 10));
        let turn = load.turn().await.expect("a turn");
        assert!(tokio::time::timeout(Duration::from_millis(20), load.turn()).await.is_err(), "one at a time");
        drop(turn);
        assert!(load.turn().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_waits_for_somebody_keeps_nobody_from_a_turn() {
        let load = Load::new(Looks { others: 400.0, ..Looks::default() });
        let (long, begun) = (TURN_MAX * 50, Instant::now());
        let blocked = load.in_turn(async { tokio::time::sleep(long).await });
        let (_, waited) = tokio::join!(blocked, load.in_turn(async { begun.elapsed() }));
        assert!((TURN_MAX..long).contains(&waited), "{waited:?}");
    }

    #[test]
    fn what_was_seen_before_the_first_batch_counts() {
        let load = |others| Load::new(Looks { others, ..Looks::default() });
        assert_eq!((load(400.0).rows(1_000), load(3.0).rows(1_000)), (ROWS_MAX, 1_000));
    }
}
