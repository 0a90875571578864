//! Encrypted columns that nobody listed: every text and bytes column of every table, sampled.
//!
//! A column is encrypted where a value of it opens under a key, whatever its name; shape alone is only mentioned. The
//! hashes beside such a column are tried against the blind indexes that this tool knows.

mod embedded;
mod formats;
mod hashes;
mod scan;

pub(crate) use scan::{Scanned, TableScan, scan, under};

use crate::{ColumnSettings, Error, Finding, Keyring, TableSettings, finding, resolution::written_name};
use reencrypt_crypto::{PlaintextPolicy, Pool};
use reencrypt_db::{Session, TableName};
use std::sync::Arc;

/// What discovery found.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// tables with columns whose values open under a key (mixed plaintext gives `plaintext = "keep"`)
    pub tables: Vec<TableSettings>,
    /// Shaped like ciphertext but not opened; hashes nobody can explain; tables that cannot be rotated or looked at. The latter are failures
    /// where nothing was found, and where row-level security hides rows: what a role cannot see at all no sample can miss by chance.
    /// Ciphertext inside arrays and documents is a failure where it is all that was found.
    pub findings: Vec<Finding>,
}

/// Looks at every column of text, bytes, documents and arrays of every visible table on a sample, finds those that hold values of a known
/// preset and tries the keys on them; columns of 64 hex digits beside a discovered column are tried against the
/// blind-index presets (`emailHash`, `dobHash` of the platform).
pub async fn discover(
    session: &mut Session,
    keys: &Keyring,
    pool: &Arc<Pool>,
    sample: u32,
) -> Result<Discovery, Error> {
    let Scanned { tables: scans, names, .. } = scan(session, keys, pool, sample).await?;
    let nothing = scans.iter().all(|scan| scan.found.is_empty());
    let mut discovery = Discovery { tables: Vec::new(), findings: Vec::new() };
    for scan in scans {
        discovery.findings.extend(if nothing || scan.hides_rows() { scan.refused(nothing) } else { scan.unread() });
        discovery.findings.extend(scan.unopened());
        discovery.findings.extend(scan.embedded(nothing));
        if scan.found.is_empty() {
            continue;
        }
        discovery.findings.extend(scan.unexplained());
        discovery.findings.extend(scan.of_another_pair());
        discovery.tables.push(settings(&scan, &names, keys.len() > 1));
    }
    finding::sort(&mut discovery.findings);
    Ok(discovery)
}

/// The table as a configuration names it.
fn settings(scan: &TableScan, names: &[TableName], several_pairs: bool) -> TableSettings {
    let pair = scan.pair();
    let columns = scan.found.iter().filter(|found| found.pair == pair);
    TableSettings {
        name: written_name(names, &scan.table),
        key: several_pairs.then(|| pair.to_owned()),
        row_key: None,
        subject: None,
        table_alias: None,
        triggers: Default::default(),
        columns: columns
            .map(|found| ColumnSettings {
                column: found.column.clone(),
                read: found.read.clone(),
                write: found.read[0].clone(),
                plaintext: if found.plaintext > 0 { PlaintextPolicy::Keep } else { PlaintextPolicy::Refuse },
                nesting_max: found.layers,
                kind: None,
                column_alias: None,
            })
            .collect(),
        blind_indexes: scan.explained.clone(),
    }
}
