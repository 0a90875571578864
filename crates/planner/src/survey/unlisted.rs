//! Ciphertext and keyed hashes in columns that the configuration does not name.
//!
//! They are `warn`, not `fail`: a configuration has no way to leave a column out on purpose, and an application may
//! keep values of its own under the same key (a session cookie, a cache). But no rotation is complete with them, and
//! `verify` says so again.
use crate::{
    Configuration, Error, Finding, Keyring,
    discovery::{Scanned, TableScan, scan, under},
    nearest::shown,
    resolution::candidates,
};
use reencrypt_crypto::Pool;
use reencrypt_db::{Session, TableName};
use std::{collections::BTreeSet, sync::Arc};

/// Samples every column that the configuration does not name: `unlisted_ciphertext`, `unlisted_blind_index`, and
/// `not_examined` where this role cannot look. Writes nothing.
pub async fn unlisted(
    session: &mut Session,
    configuration: &Configuration,
    keys: &Keyring,
    pool: &Arc<Pool>,
    sample: u32,
) -> Result<Vec<Finding>, Error> {
    let Scanned { tables: scans, names, url_schema } = scan(session, keys, pool, sample).await?;
    let listed = listed(configuration, &names, url_schema.as_deref());
    Ok(scans.iter().flat_map(|scan| table_findings(scan, &listed)).collect())
}

/// The columns that the configuration names, as the catalog names them.
fn listed(
    configuration: &Configuration,
    names: &[TableName],
    url_schema: Option<&str>,
) -> BTreeSet<(TableName, String)> {
    let mut listed = BTreeSet::new();
    for table in &configuration.tables {
        for name in candidates(names, url_schema, &table.name) {
            let columns = table.columns.iter().map(|column| &column.column);
            let hashes = table.blind_indexes.iter().map(|index| &index.column);
            listed.extend(columns.chain(hashes).map(|column| (name.clone(), column.clone())));
        }
    }
    listed
}

fn table_findings(scan: &TableScan, listed: &BTreeSet<(TableName, String)>) -> Vec<Finding> {
    let is_listed = |column: &str| listed.contains(&(scan.table.clone(), column.to_owned()));
    let mut findings: Vec<Finding> = scan.unread().into_iter().collect();
    for found in scan.found.iter().filter(|found| !is_listed(&found.column)) {
        let (code, or) = match found.opens_old {
            0 => ("unlisted_new_ciphertext", "or the next rotation leaves them behind"),
            _ => ("unlisted_ciphertext", "or they keep the old key needed"),
        };
        let message = format!(
            "the configuration does not name this column, and of its sampled values {} open as {}: name it under [table.columns], {or}",
            under(found.opens_old, found.opens_new),
            shown(&found.read[0])
        );
        findings.push(Finding::warn(code, message).on(&scan.table).at(&found.column));
    }
    findings.extend(
        scan.unopened().into_iter().filter(|finding| finding.column.as_deref().is_none_or(|column| !is_listed(column))),
    );
    // A column that is named does not reach what stands inside its texts.
    findings.extend(scan.embedded(false));
    for index in scan.explained.iter().filter(|index| !is_listed(&index.column)) {
        let message = format!(
            "the configuration does not name this column, and it holds keyed hashes of {}: declare it as [[table.blind_index]], or every \
             search by it fails after the rotation",
            shown(&index.of)
        );
        findings.push(Finding::warn("unlisted_blind_index", message).on(&scan.table).at(&index.column));
    }
    findings
}
