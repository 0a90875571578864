//! A sample that is spread over the heap and costs the same on any size.
use super::{
    Connection,
    data::{batch, bound, name_of, number},
    selection::SIZE,
    wire::Parameters,
};
use crate::{Result, Selection as Chosen};

/// A table of at most so many pages is read whole.
const SMALL_PAGES: u64 = 256;

/// However dense the rows, so many pages are looked at, so that a sample is no single corner.
const PAGES_MIN: u64 = 64;

/// Rows of a page where no statistics say it.
const ROWS_PER_PAGE_GUESS: f64 = 8.0;
const TRIES: u32 = 3;

impl Connection {
    pub(crate) async fn sample(&mut self, chosen: &Chosen, rows_max: u32, seed: u32) -> Result<crate::Rows> {
        let selection = chosen.postgres();
        let size = self.query("reading a table's size", SIZE, name_of(selection)).await;
        let size = size.map_err(|error| error.about(chosen.table()))?;
        let figure = |column| size.first().and_then(|row| number(row, column)).unwrap_or_default();
        let pages = figure(0).unsigned_abs();
        let mut share = share(pages, figure(1), figure(2), rows_max);
        let mut tried = 0;
        loop {
            let sql = selection.sample(share.map(|share| share * 100.0), seed, rows_max);
            let read = self.query_bounded("sampling", &sql, Parameters::default(), bound(selection)).await;
            let outcome = read.map_err(|error| error.about(chosen.table()))?;
            tried += 1;
            let (found, wanted) = (outcome.cells.len() as f64, f64::from(rows_max));
            match share {
                // Fewer rows to a page than thought: look at more pages.
                Some(old) if !outcome.cut && tried < TRIES && found < wanted * 0.7 => {
                    let more = old * (wanted / found.max(1.0)).min(10.0) * 1.3;
                    share = (more < 0.5).then_some(more);
                }
                _ => return Ok(batch(outcome, selection, true)),
            }
        }
    }
}

/// The share of the pages to look at, `None` for all.
fn share(pages: u64, statistics_rows: i64, statistics_pages: i64, rows_max: u32) -> Option<f64> {
    if pages <= SMALL_PAGES {
        return None;
    }
    let known = statistics_rows > 0 && statistics_pages > 0;
    let density = if known { statistics_rows as f64 / statistics_pages as f64 } else { ROWS_PER_PAGE_GUESS };
    // Pages are chosen independently of each other, hence a little more than needed.
    let wanted = (f64::from(rows_max) / density.max(0.01) * 1.2).max(PAGES_MIN as f64);
    let share = wanted / pages as f64;
    (share < 0.5).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_are_read_whole_and_large_ones_by_share() {
        assert_eq!(share(0, -1, 0, 1000), None);
        assert_eq!(share(256, 2304, 256, 1000), None);
        let large = share(360_000, 3_000_000, 360_000, 1000).expect("a share");
        assert!((large * 360_000.0 - 144.0).abs() < 1.0, "{large}");
        // Dense rows: still many pages.
        let dense = share(100_000, 20_000_000, 100_000, 1000).expect("a share");
        assert!((dense * 100_000.0 - 64.0).abs() < 1.0, "{dense}");
        // Never analyzed.
        let unknown = share(360_000, -1, 0, 1000).expect("a share");
        assert!((unknown * 360_000.0 - 150.0).abs() < 1.0, "{unknown}");
        // More than half of the pages is all of them.
        assert_eq!(share(300, 2700, 300, 2000), None);
    }
}
