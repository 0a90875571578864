//! Encrypted columns that nobody listed: every text and bytes column of every table, sampled.
use crate::{Error, Finding, Keyring, TableSettings};
use reencrypt_crypto::Pool;
use reencrypt_db::Session;
use std::sync::Arc;

/// What discovery found.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// tables with columns whose values open under a key (mixed plaintext gives `plaintext = "keep"`)
    pub tables: Vec<TableSettings>,
    /// shaped like ciphertext but not opened; hashes nobody can explain; tables that cannot be rotated
    pub findings: Vec<Finding>,
}

/// Looks at every text and bytea column of every visible table on a sample, finds those that hold values of a known preset and tries the keys on them; columns of 64 hex digits beside a discovered column are tried against the
/// blind-index presets (`emailHash`, `dobHash` of the platform).
pub async fn discover(
    _session: &mut Session,
    _keys: &Keyring,
    _pool: &Arc<Pool>,
    _sample: u32,
) -> Result<Discovery, Error> {
    unimplemented!()
}
