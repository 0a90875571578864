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
    fn the_backoff_grows_and_is_bounded() {
        for tries in 0..40 {
            assert!(backoff(tries) <= Duration::from_secs(2));
        }
        assert!(backoff(0) < Duration::from_millis(21));
    }
}
