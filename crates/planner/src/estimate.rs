//! What a run will take: approximate figures from measurements, rows and bytes.
//!
//! The constants come from 300,000 rows of ten fields (16-byte-IV AES-256-GCM, 850 bytes a row, three indexes) on
//! PostgreSQL 15, client and server on two cores: about 40,000 rewritten rows a second, 290,000 rows read and opened a
//! second, 2.4 KB of WAL a rewritten row, and full pages, so that heap and indexes double until vacuum.
use crate::{ColumnPlan, Estimate, Order, Plan, TablePlan, batch_rows, chunk_rows};
use reencrypt_crypto::PlaintextPolicy;
use reencrypt_db::Dialect;

/// Rows of ten fields rewritten in a second.
const ROWS_REWRITTEN_PER_SECOND: f64 = 40_000.0;
/// Rows of ten fields read and found done in a second.
const ROWS_READ_PER_SECOND: f64 = 290_000.0;
/// Fields of a row that the figures were measured on.
const SLOTS_MEASURED: f64 = 10.0;
/// The share of a row's cost that does not depend on the number of its fields.
const COST_PER_ROW: f64 = 0.3;
/// WAL bytes for a byte of a rewritten row: the new version, index entries and page images.
const WAL_PER_BYTE: f64 = 2.8;
/// The same where new versions stay on their pages and enter no index.
const WAL_PER_BYTE_IN_WAVES: f64 = 2.2;
/// Growth in waves: the first row of each full page moves, and its index entries with it.
const GROWTH_IN_WAVES: f64 = 0.15;
/// A row's bytes where the catalog has no figure.
const ROW_BYTES_UNKNOWN: f64 = 850.0;
/// Workers of a run with default settings.
const WORKERS: usize = 2;

/// The sum over the plan's tables.
pub(crate) fn estimate(plan: &Plan, dialect: Dialect) -> Estimate {
    let mut sum = Estimate::default();
    for table in &plan.tables {
        let rows = table.rows_estimate;
        let rewritten = rows as f64 * rewritten_share(table);
        let cost = COST_PER_ROW + (1.0 - COST_PER_ROW) * table.slots().len() as f64 / SLOTS_MEASURED;
        sum.rows += rows;
        sum.chunks += rows.div_ceil(chunk_rows(rows, batch_rows(dialect), table.order, WORKERS)).max(1);
        sum.seconds += cost * rewritten / ROWS_REWRITTEN_PER_SECOND;
        sum.seconds += cost * (rows as f64 - rewritten) / ROWS_READ_PER_SECOND;
        let row_bytes =
            if rows > 0 && table.heap_bytes > 0 { table.heap_bytes as f64 / rows as f64 } else { ROW_BYTES_UNKNOWN };
        let (wal_per_byte, growth) = match table.order {
            Order::Key => (WAL_PER_BYTE, 1.0),
            Order::Waves => (WAL_PER_BYTE_IN_WAVES, GROWTH_IN_WAVES),
        };
        sum.wal_bytes += (rewritten * row_bytes * wal_per_byte) as u64;
        if dialect == Dialect::Postgres {
            let bytes = (table.heap_bytes + table.index_bytes) as f64;
            sum.growth_bytes += (rewritten_share(table) * bytes * growth) as u64;
        }
        let seals = seals(table);
        let hashes =
            table.blind_indexes.iter().map(|index| (rows as f64 * share(index.sample.old, index.sample.seen)) as u64);
        sum.values += seals + hashes.sum::<u64>();
        *sum.key_invocations.entry(table.key.clone()).or_default() += seals;
    }
    // Milliseconds: nobody asks for more, and a short number is the same after a way through JSON.
    sum.seconds = (sum.seconds * 1000.0).round() / 1000.0;
    sum
}

/// Values of the table that are sealed under the new key, each by one random nonce.
fn seals(table: &TablePlan) -> u64 {
    table.columns.iter().map(|column| column_seals(table, column)).sum()
}

/// The same of one column.
pub(crate) fn column_seals(table: &TablePlan, column: &ColumnPlan) -> u64 {
    (table.rows_estimate as f64 * column_share(column)).ceil() as u64
}

/// The share of rows in which this column is written.
fn column_share(column: &ColumnPlan) -> f64 {
    let encrypts = column.plaintext == PlaintextPolicy::Encrypt;
    let written = column.sample.old + if encrypts { column.sample.plaintext } else { 0 };
    share(written, column.sample.seen)
}

/// The share of rows in which anything is written: at least that of the column most often written.
fn rewritten_share(table: &TablePlan) -> f64 {
    let columns = table.columns.iter().map(column_share);
    let hashes = table.blind_indexes.iter().map(|index| share(index.sample.old, index.sample.seen));
    columns.chain(hashes).fold(0.0, f64::max)
}

/// A share on a sample; all of it where there is no sample.
fn share(part: u64, seen: u64) -> f64 {
    if seen == 0 { 1.0 } else { part as f64 / seen as f64 }
}
