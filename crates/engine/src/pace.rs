//! How fast: the row budget shared by all workers of a process, and how long to wait before another try.
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Rows a second, over all workers of this process.
pub(crate) struct Pace {
    rows_per_second_max: Option<u32>,
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(rows_per_second_max: Option<u32>) -> Self {
        Self { rows_per_second_max, next: Mutex::new(Instant::now()) }
    }

    /// Takes `rows` out of the budget and says how long to wait for them.
    pub(crate) fn take(&self, rows: u64) -> Duration {
        let Some(per_second) = self.rows_per_second_max else { return Duration::ZERO };
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let begin = (*next).max(now);
        *next = begin + Duration::from_secs_f64(rows as f64 / f64::from(per_second.max(1)));
        begin.saturating_duration_since(now)
    }
}

/// A transaction that takes longer is followed by smaller ones.
const TRANSACTION_MAX: Duration = Duration::from_millis(250);

/// How many rows the next transaction takes: all that are at hand, unless transactions took too long or were in somebody's way.
#[derive(Debug, Default)]
pub(crate) struct Tempo {
    rows_max: Option<usize>,
}

impl Tempo {
    /// Of `rows` that are at hand, so many.
    pub(crate) fn rows(&self, rows: usize) -> usize {
        self.rows_max.map_or(rows, |max| max.min(rows))
    }

    /// A transaction of `rows` was committed after `took`; `whole` is what a batch has.
    pub(crate) fn committed(&mut self, rows: usize, took: Duration, whole: usize) {
        if took > TRANSACTION_MAX {
            let share = TRANSACTION_MAX.as_secs_f64() / took.as_secs_f64();
            self.rows_max = Some(((rows as f64 * share) as usize).max(1));
        } else if took < TRANSACTION_MAX / 2 {
            self.rows_max = self.rows_max.map(|max| max * 2).filter(|max| *max < whole);
        }
    }

    /// A transaction of `rows` was in somebody's way.
    pub(crate) fn contended(&mut self, rows: usize) {
        self.rows_max = Some((rows / 2).max(1));
    }
}

/// The wait before the `tries`-th further try, with jitter: 20 ms, doubling, at most 2 s.
pub(crate) fn backoff(tries: u32) -> Duration {
    let ceiling_ms = (20u64 << tries.min(7)).min(2_000);
    // The jitter keeps workers apart; it is no secret, so the clock's last digits serve.
    let jitter =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| u64::from(t.subsec_nanos()));
    Duration::from_millis(ceiling_ms / 2 + (jitter / 1_000) % (ceiling_ms / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rows_are_spread_over_time() {
        let pace = Pace::new(Some(1_000));
        assert_eq!(pace.take(500), Duration::ZERO);
        assert_eq!(pace.take(1_000), Duration::from_millis(500));
        assert_eq!(pace.take(1), Duration::from_millis(1_500));
        assert_eq!(Pace::new(None).take(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn transactions_shrink_to_the_target_time_and_grow_again() {
        let mut tempo = Tempo::default();
        assert_eq!(tempo.rows(1_000), 1_000);
        tempo.committed(1_000, Duration::from_millis(500), 1_000);
        assert_eq!(tempo.rows(1_000), 500);
        tempo.committed(500, Duration::from_millis(200), 1_000);
        assert_eq!(tempo.rows(1_000), 500, "neither too long nor short");
        tempo.contended(500);
        assert_eq!(tempo.rows(1_000), 250);
        tempo.committed(250, Duration::from_millis(10), 1_000);
        tempo.committed(500, Duration::from_millis(10), 1_000);
        assert_eq!(tempo.rows(1_000), 1_000);
        tempo.committed(1, Duration::from_secs(60), 1_000);
        tempo.contended(1);
        assert_eq!(tempo.rows(1_000), 1, "at least one row");
    }

    #[test]
    fn the_backoff_grows_and_is_bounded() {
        for tries in 0..40 {
            assert!(backoff(tries) <= Duration::from_secs(2));
        }
        assert!(backoff(0) < Duration::from_millis(21));
    }
}
