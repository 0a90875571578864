//! Giving way to the application: what it does beside a run, as far as its transactions that write tell, and how a run then writes.
use crate::{Error, Event, rotation::Rotation};
use reencrypt_db::{Dialect, Horizon, Limits, Mode, Session};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// From so many transactions of others a second on, somebody is at work who would wait for us. A run's own bookkeeping stays below.
const OTHERS_A_SECOND: f64 = 20.0;
/// So many looks without them, and the run takes all that it can get again.
const QUIET_LOOKS: u32 = 5;
/// Rows of one transaction while it gives way: few enough that nobody waits long behind its locks, its pages and its part of the log.
const ROWS_MAX: usize = 250;

/// Whether a process gives way, and how.
pub(crate) struct Load {
    gives_way: AtomicBool,
    /// While it does, its workers write by turns.
    turn: Semaphore,
}

/// What the looks at the database have seen.
#[derive(Default)]
pub(crate) struct Looks {
    last: Option<Look>,
    quiet: u32,
}

/// The server's count of transactions that wrote, and how many of them were batches of the run.
struct Look {
    at: Instant,
    horizon: Horizon,
    batches: u64,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self { gives_way: AtomicBool::new(false), turn: Semaphore::new(1) }
    }

    /// Of `rows` that are at hand, so many in one transaction.
    pub(crate) fn rows(&self, rows: usize) -> usize {
        if self.gives_way.load(Ordering::Relaxed) { rows.min(ROWS_MAX) } else { rows }
    }

    /// Waits for the turn of a transaction; nothing to wait for where the run does not give way.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if !self.gives_way.load(Ordering::Relaxed) {
            return None;
        }
        self.turn.acquire().await.ok()
    }
}

impl Looks {
    /// Takes in a look: transactions of others a second since the last one.
    fn take(&mut self, now: Look) -> Option<f64> {
        let last = self.last.replace(now);
        let (last, now) = (last?, self.last.as_ref()?);
        let others = now.horizon.written_since(&last.horizon).saturating_sub(now.batches.saturating_sub(last.batches));
        Some(others as f64 / now.at.duration_since(last.at).as_secs_f64().max(0.001))
    }

    /// Whether to give way, after what was seen.
    fn decide(&mut self, gives_way: bool, others: f64) -> bool {
        self.quiet = if others < OTHERS_A_SECOND { self.quiet + 1 } else { 0 };
        self.quiet == 0 || gives_way && self.quiet < QUIET_LOOKS
    }
}

impl Rotation {
    /// Looks what the application does, and gives way to it or no longer. A speed that was asked for is the word of a person: nothing is looked at then,
    /// nor where nothing can be seen.
    pub(crate) async fn look_at_load(&self, session: &mut Session, looks: &mut Looks) -> Result<(), Error> {
        if self.options.rows_per_second_max.is_some() || self.context.database.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let mut tx = session.begin(Mode::Read).await?;
        let horizon = tx.horizon().await?;
        let batches = self.store.batches(&mut tx, &self.run_id).await?;
        tx.commit().await?;
        let Some(horizon) = horizon else { return Ok(()) };
        let Some(others) = looks.take(Look { at: Instant::now(), horizon, batches }) else { return Ok(()) };
        let before = self.load.gives_way.load(Ordering::Relaxed);
        let now = looks.decide(before, others);
        if now == before {
            return Ok(());
        }
        self.load.gives_way.store(now, Ordering::Relaxed);
        let message = match now {
            true => format!(
                "the database serves {others:.0} transactions of others a second: written in small transactions with pauses between them \
                 (`--max-rows-per-second` sets the speed instead)"
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
    use std::time::Duration;

    #[test]
    fn gives_way_at_once_and_stops_when_it_was_quiet_for_a_while() {
        let mut looks = Looks::default();
        assert!(!looks.decide(false, 3.0), "bookkeeping is no application");
        assert!(looks.decide(false, 400.0));
        for _ in 1..QUIET_LOOKS {
            assert!(looks.decide(true, 0.0), "a pause between two requests is no end");
        }
        assert!(!looks.decide(true, 0.0));
        assert!(looks.decide(false, OTHERS_A_SECOND));
    }

    #[tokio::test]
    async fn takes_few_rows_by_turns_while_it_gives_way() {
        let load = Load::new();
        assert_eq!(load.rows(1_000), 1_000);
        assert!(load.turn().await.is_none());
        load.gives_way.store(true, Ordering::Relaxed);
        assert_eq!((load.rows(1_000), load.rows(10)), (ROWS_MAX, 10));
        let turn = load.turn().await.expect("a turn");
        assert!(tokio::time::timeout(Duration::from_millis(20), load.turn()).await.is_err(), "one at a time");
        drop(turn);
        assert!(load.turn().await.is_some());
    }
}
