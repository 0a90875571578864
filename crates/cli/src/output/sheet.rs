//! Tables of text and the words for numbers.
use crate::terminal::escaped;
use std::time::Duration;

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// names
    Left,
    /// numbers
    Right,
}

/// A table of text; its columns are as wide as their widest cell.
pub(crate) struct Sheet {
    head: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Sheet {
    /// A table with these column heads.
    pub(crate) fn new<const N: usize>(head: [(&str, Align); N]) -> Self {
        Self {
            head: head.into_iter().map(|(name, align)| (name.to_owned(), align)).collect(),
            rows: Vec::new(),
            indent: 2,
        }
    }

    /// One row, as many cells as there are heads. Characters that a terminal would obey are escaped.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.head.len());
        self.rows.push(cells.iter().map(|cell| escaped(cell)).collect());
    }

    /// Leaves out the columns of this name if all their cells are `0`, or empty.
    pub(crate) fn drop_if_empty(&mut self, names: &[&str]) {
        for at in (0..self.head.len()).rev() {
            let idle = self.rows.iter().all(|row| matches!(row[at].as_str(), "0" | ""));
            if idle && names.contains(&self.head[at].0.as_str()) {
                self.head.remove(at);
                self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
            }
        }
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, each with its line end.
    pub(crate) fn render(&self) -> String {
        let width = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].chars().count());
            cells.chain([self.head[at].0.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let head: Vec<String> = self.head.iter().map(|(name, _)| name.clone()).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = " ".repeat(self.indent);
            for (at, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[at] - cell.chars().count());
                let space = if at == 0 { "" } else { "  " };
                match self.head[at].1 {
                    Align::Left => line.extend([space, cell, &gap]),
                    Align::Right => line.extend([space, &gap, cell]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3 MB`, powers of 1,000.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = n as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && size < 10.0);
    format!("{size:.digits$} {}", UNITS[unit])
}

/// `45s`, `3m 20s`, `2h 05m`; below ten seconds with a decimal.
pub(crate) fn duration(length: Duration) -> String {
    let s = length.as_secs();
    match s {
        0..10 => format!("{:.1}s", length.as_secs_f64()),
        10..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        _ => format!("{}h {:02}m", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 999, 1500, 20_000_000, 3_400_000_000].map(bytes), ["0 B", "999 B", "1.5 kB", "20 MB", "3.4 GB"]);
        let told = [1500, 45_000, 200_000, 7_500_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(told, ["1.5s", "45s", "3m 20s", "2h 05m"]);
    }

    #[test]
    fn columns_line_up_and_idle_ones_go() {
        let mut sheet = Sheet::new([("column", Align::Left), ("seen", Align::Right), ("null", Align::Right)]);
        sheet.row(["firstName".into(), count(1200), count(0)]);
        sheet.row(["a\u{1b}".into(), count(7), count(0)]);
        sheet.drop_if_empty(&["null"]);
        assert_eq!(sheet.render(), "  column      seen\n  firstName  1,200\n  a\\u{1b}        7\n");
    }
}
