//! How many rows a chunk holds.

/// Rows of a chunk: enough chunks for every worker to stay busy, at most 1,000 batches each, boundaries found one at a
/// time by keyset.
pub fn chunk_rows(rows_estimate: u64, batch_rows: u32) -> u64 {
    let batch = u64::from(batch_rows.max(1));
    (rows_estimate / 32).clamp(10 * batch, 500 * batch)
}

#[cfg(test)]
mod tests {
    use super::chunk_rows;

    #[test]
    fn a_chunk_holds_ten_to_five_hundred_batches() {
        assert_eq!(chunk_rows(0, 1000), 10_000);
        assert_eq!(chunk_rows(3_200_000, 1000), 100_000);
        assert_eq!(chunk_rows(u64::MAX, 1000), 500_000);
        assert_eq!(chunk_rows(100, 0), 10);
    }
}
