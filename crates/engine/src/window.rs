//! The rows that are read together, and the transactions in which they are written.
use reencrypt_db::{RowKey, Rows};
use reencrypt_planner::Order;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Bytes of fields in one wave.
const WAVE_BYTES_MAX: usize = 8 << 20;
/// A wave has at least this part of a batch's rows, however many rows a page has.
const WAVES_PER_BATCH_MAX: usize = 8;

/// Rows as they were read, and what of them is still to be handed out for writing.
pub(crate) struct Window {
    rows: Arc<Rows>,
    waves: VecDeque<Vec<usize>>,
    bounds: Arc<Bounds>,
}

/// Where the checkpoint stands while a window is written, and afterwards.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// By which order the rows are written.
    pub(crate) order: Order,
    /// The cursor when all is written.
    pub(crate) end: RowKey,
    /// The chunk's open window while waves are written.
    pub(crate) window: RowKey,
    /// Whether that window is closed when all is written; otherwise it had more rows than were read at once.
    pub(crate) closes: bool,
}

/// One wave's rows, and whether it is its window's last.
pub(crate) struct Wave {
    pub(crate) rows: Arc<Rows>,
    pub(crate) which: Vec<usize>,
    pub(crate) bounds: Arc<Bounds>,
    pub(crate) last: bool,
}

impl Window {
    /// Rows that are written in the order of their keys, each transaction moving the cursor. `None` without rows.
    pub(crate) fn by_key(rows: Rows) -> Option<Self> {
        let end = rows.key(rows.len().checked_sub(1)?);
        let waves = VecDeque::from([(0..rows.len()).collect()]);
        let bounds = Bounds { order: Order::Key, window: end.clone(), end, closes: true };
        Some(Self { rows: Arc::new(rows), waves, bounds: Arc::new(bounds) })
    }

    /// Rows that are written in waves of about `batch_rows`. `None` without rows.
    pub(crate) fn in_waves(rows: Rows, batch_rows: usize) -> Option<Self> {
        let end = rows.key(rows.len().checked_sub(1)?);
        let which: Vec<_> = (0..rows.len()).collect();
        Some(Self::planned(rows, &which, batch_rows, end.clone(), end, true))
    }

    /// What is left of a window that ends with `window`, of which rows are read again: those that are not settled.
    pub(crate) fn resumed(
        rows: Rows,
        window: &RowKey,
        is_settled: impl Fn(&RowKey) -> bool,
        batch_rows: usize,
    ) -> Self {
        let which: Vec<_> = (0..rows.len()).filter(|row| !is_settled(&rows.key(*row))).collect();
        let closes = rows.is_last();
        let end = if closes || rows.is_empty() { window.clone() } else { rows.key(rows.len() - 1) };
        Self::planned(rows, &which, batch_rows, end, window.clone(), closes)
    }

    fn planned(rows: Rows, which: &[usize], batch_rows: usize, end: RowKey, window: RowKey, closes: bool) -> Self {
        let waves = waves(which, |row| rows.page(row).unwrap_or(0), |row| rows.row_bytes(row), batch_rows);
        let bounds = Bounds { order: Order::Waves, end, window, closes };
        Self { rows: Arc::new(rows), waves: waves.into(), bounds: Arc::new(bounds) }
    }

    /// How many are still to come.
    pub(crate) fn waves_left(&self) -> usize {
        self.waves.len()
    }

    /// The next wave.
    pub(crate) fn next(&mut self) -> Option<Wave> {
        let which = self.waves.pop_front()?;
        let (rows, bounds) = (self.rows.clone(), self.bounds.clone());
        Some(Wave { rows, which, bounds, last: self.waves.is_empty() })
    }
}

/// Divides rows into transactions of about `batch_rows` so that the rows of one page are as far apart as can be: the visit of one of them prunes the version
/// that the one before left dead, if by then it is dead to everybody. Each transaction's rows ascend. At least one transaction, which may be empty.
fn waves(
    which: &[usize],
    page: impl Fn(usize) -> u32,
    bytes: impl Fn(usize) -> usize,
    batch_rows: usize,
) -> Vec<Vec<usize>> {
    let (mut pages, mut at) = (Vec::<Page>::new(), HashMap::new());
    let page_of: Vec<usize> = which
        .iter()
        .map(|&row| {
            let page = *at.entry(page(row)).or_insert_with(|| {
                pages.push(Page::default());
                pages.len() - 1
            });
            pages[page].rows += 1;
            page
        })
        .collect();
    let mut alike: HashMap<usize, usize> = HashMap::new();
    for page in &mut pages {
        let alike = alike.entry(page.rows).or_default();
        page.at = *alike;
        *alike += 1;
    }
    let densest = alike.keys().copied().max().unwrap_or(1);
    // A little less than the bound, since waves are not all of one size.
    let few = which.len().div_ceil((batch_rows - batch_rows / 16).max(1));
    let many = which.len() / batch_rows.div_ceil(WAVES_PER_BATCH_MAX).max(1);
    let count = few.max(densest.min(many)).max(1);
    let mut waves = vec![Vec::new(); count];
    for (&row, page) in which.iter().zip(page_of) {
        let page = &mut pages[page];
        // A page's rows in equal steps through the waves, and its first step set off by its place among the pages with as many rows, so that waves fill evenly.
        let alike = alike[&page.rows];
        let step = (page.taken * alike + page.at) * count / (page.rows * alike);
        page.taken += 1;
        waves[step.min(count - 1)].push(row);
    }
    waves.into_iter().flat_map(|wave| bounded(wave, &bytes, batch_rows)).collect()
}

/// One page's rows in a window.
#[derive(Default)]
struct Page {
    /// its place among the pages that have as many
    at: usize,
    rows: usize,
    taken: usize,
}

/// The wave, or equal parts of it where it is too long or too large.
fn bounded(wave: Vec<usize>, bytes: impl Fn(usize) -> usize, batch_rows: usize) -> Vec<Vec<usize>> {
    let size: usize = wave.iter().map(|&row| bytes(row)).sum();
    let parts = wave.len().div_ceil(batch_rows.max(1)).max(size.div_ceil(WAVE_BYTES_MAX)).max(1);
    if parts == 1 {
        return vec![wave];
    }
    wave.chunks(wave.len().div_ceil(parts).max(1)).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Page of each row -> waves of rows.
    fn of(pages: &[u32], batch_rows: usize) -> Vec<Vec<usize>> {
        let which: Vec<_> = (0..pages.len()).collect();
        let waves = waves(&which, |row| pages[row], |_| 100, batch_rows);
        let mut all: Vec<_> = waves.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, which, "every row is in one wave");
        for wave in &waves {
            assert!(wave.is_sorted() && wave.len() <= batch_rows, "{} rows", wave.len());
        }
        waves
    }

    /// The smallest distance between the waves of two rows of one page.
    fn distance(pages: &[u32], waves: &[Vec<usize>]) -> usize {
        let mut last: HashMap<u32, usize> = HashMap::new();
        let mut smallest = usize::MAX;
        for (at, wave) in waves.iter().enumerate() {
            for &row in wave {
                if let Some(before) = last.insert(pages[row], at) {
                    smallest = smallest.min(at - before);
                }
            }
        }
        smallest
    }

    #[test]
    fn rows_of_one_page_are_as_far_apart_as_the_number_of_waves_allows() {
        let pages: Vec<u32> = (0..18_000).map(|row| row / 9).collect();
        let waves = of(&pages, 1000);
        assert!((18..=20).contains(&waves.len()), "{} waves", waves.len());
        assert!(waves.iter().all(|wave| wave.len() > 700), "waves are of about one size");
        assert_eq!(distance(&pages, &waves), 2);
    }

    #[test]
    fn pages_of_different_density_are_spread_too() {
        let pages: Vec<u32> = (0..18_000).map(|row| if row < 6_000 { row / 8 } else { 1_000 + row / 10 }).collect();
        let waves = of(&pages, 1000);
        assert!(waves.iter().all(|wave| wave.len() > 600), "no wave is small");
        assert!(distance(&pages, &waves) >= 1, "two rows of a page in one wave");
    }

    #[test]
    fn keys_in_no_order_of_pages_are_written_in_key_order() {
        let pages: Vec<u32> = (0..2_000).rev().collect();
        let waves = of(&pages, 1000);
        assert!(waves.concat().is_sorted());
    }

    #[test]
    fn small_windows_make_smaller_waves_rather_than_dense_ones() {
        let pages: Vec<u32> = (0..2_000).map(|row| row / 9).collect();
        let waves = of(&pages, 1000);
        assert!(waves.len() >= 9 && distance(&pages, &waves) >= 1, "{} waves", waves.len());
        assert_eq!(of(&[7; 100], 1000).len(), 1, "one page is one wave");
        assert_eq!(of(&[], 1000), [Vec::<usize>::new()]);
    }

    #[test]
    fn large_rows_make_waves_of_fewer() {
        let which: Vec<_> = (0..100).collect();
        let waves = waves(&which, |row| row as u32, |_| 1 << 20, 1000);
        assert!(waves.iter().all(|wave| wave.len() <= 8), "8 MiB a wave");
    }
}
