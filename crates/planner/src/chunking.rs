//! How many rows a chunk holds, and a window of it.
use crate::Order;
use reencrypt_db::Dialect;

/// Rows of a transaction with default settings. SQLite has one writer, for whom the application waits.
pub fn batch_rows(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Postgres => 2_000,
        Dialect::Sqlite => 1_000,
    }
}

/// Rows of a window in batches: each page of the heap is then visited again only after transactions enough for its dead version to be dead to everybody.
const WINDOW_BATCHES: u32 = 25;
/// Rows of a window at most, whatever the batch.
const WINDOW_ROWS_MAX: u32 = 45_000;

/// Rows of a chunk: enough chunks for every worker to stay busy, at most 500 batches each, boundaries found one at a
/// time by keyset. In waves a chunk holds four windows or so, so that one is read while another is written, and of few chunks each worker gets as many.
pub fn chunk_rows(rows_estimate: u64, batch_rows: u32, order: Order, workers: usize) -> u64 {
    let batch = u64::from(batch_rows.max(1));
    match order {
        Order::Key => (rows_estimate / 32).clamp(10 * batch, 500 * batch),
        Order::Waves => {
            let window = u64::from(window_rows(batch_rows));
            let most = (rows_estimate / 8).clamp(4 * window, (500 * batch).max(4 * window));
            let chunks = rows_estimate.div_ceil(most).next_multiple_of(workers.max(1) as u64);
            // A little more than its share, since the estimate may be a little less than the table.
            let share = rows_estimate.div_ceil(chunks.max(1));
            (share + share / 64).clamp(window, most)
        }
    }
}

/// Rows of a window that is written in waves.
pub fn window_rows(batch_rows: u32) -> u32 {
    let batch = batch_rows.max(1);
    batch.saturating_mul(WINDOW_BATCHES).min(WINDOW_ROWS_MAX).max(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_holds_ten_to_five_hundred_batches() {
        assert_eq!(chunk_rows(0, 1000, Order::Key, 2), 10_000);
        assert_eq!(chunk_rows(3_200_000, 1000, Order::Key, 2), 100_000);
        assert_eq!(chunk_rows(u64::MAX, 1000, Order::Key, 2), 500_000);
        assert_eq!(chunk_rows(100, 0, Order::Key, 2), 10);
    }

    #[test]
    fn in_waves_a_chunk_holds_about_four_windows_and_each_worker_gets_as_many() {
        assert_eq!(window_rows(1000), 25_000);
        assert_eq!((window_rows(0), window_rows(5_000), window_rows(100_000)), (25, 45_000, 100_000));
        assert_eq!(chunk_rows(0, 1000, Order::Waves, 2), 25_000);
        assert_eq!(chunk_rows(40_000, 1000, Order::Waves, 2), 25_000);
        // Two chunks of equal size rather than one of 180,000 rows and one of 120,000.
        assert_eq!(chunk_rows(300_000, 2000, Order::Waves, 2), 152_343);
        assert_eq!(chunk_rows(300_000, 2000, Order::Waves, 1), 152_343);
        assert_eq!(chunk_rows(300_000, 2000, Order::Waves, 3), 101_562);
        assert_eq!(chunk_rows(u64::MAX, 1000, Order::Waves, 2), 500_000);
    }
}
