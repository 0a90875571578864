//! How many rows a chunk holds, and a window of it.
use crate::Order;

/// Rows of a window in batches: each page of the heap is then visited again only after transactions enough for its dead version to be dead to everybody.
const WINDOW_BATCHES: u32 = 25;
/// Rows of a window at most, whatever the batch.
const WINDOW_ROWS_MAX: u32 = 45_000;

/// Rows of a chunk: enough chunks for every worker to stay busy, at most 1,000 batches each, boundaries found one at a
/// time by keyset. In waves a chunk holds two windows or more, so that one is read while the other is written, and whole ones, since small ones gain less.
pub fn chunk_rows(rows_estimate: u64, batch_rows: u32, order: Order) -> u64 {
    let batch = u64::from(batch_rows.max(1));
    match order {
        Order::Key => (rows_estimate / 32).clamp(10 * batch, 500 * batch),
        Order::Waves => {
            let window = u64::from(window_rows(batch_rows));
            (rows_estimate / 8 / window).clamp(2, (500 * batch / window).max(2)) * window
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
        assert_eq!(chunk_rows(0, 1000, Order::Key), 10_000);
        assert_eq!(chunk_rows(3_200_000, 1000, Order::Key), 100_000);
        assert_eq!(chunk_rows(u64::MAX, 1000, Order::Key), 500_000);
        assert_eq!(chunk_rows(100, 0, Order::Key), 10);
    }

    #[test]
    fn in_waves_a_chunk_holds_two_windows_or_more() {
        assert_eq!(window_rows(1000), 25_000);
        assert_eq!((window_rows(0), window_rows(5_000), window_rows(100_000)), (25, 45_000, 100_000));
        assert_eq!(chunk_rows(0, 1000, Order::Waves), 50_000);
        assert_eq!(chunk_rows(1_030_000, 1000, Order::Waves), 125_000);
        assert_eq!(chunk_rows(u64::MAX, 1000, Order::Waves), 500_000);
    }
}
