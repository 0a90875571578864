//! A plan joined with the live catalog and the keys: what the engine works with.
use crate::{Error, Plan, TablePlan};
use reencrypt_crypto::{KeyPair, RowCipher};
use reencrypt_db::{Selection, Table, Transaction};
use std::{collections::BTreeMap, sync::Arc};

/// Key pairs by name.
pub type Keyring = BTreeMap<String, Arc<KeyPair>>;

/// One table, ready to be walked.
pub struct BoundTable {
    /// from the plan
    pub plan: TablePlan,
    /// position in the plan
    pub index: usize,
    /// from the catalog now
    pub table: Table,
    /// one per leaf, slots = columns then blind indexes
    pub leaves: Vec<Selection>,
    /// over the same slots
    pub cipher: Arc<RowCipher>,
}

/// Joins. Refuses (`schema_changed`) where a table's schema hash is not the plan's, and (`key_changed`) where a key's fingerprint is not the plan's.
pub async fn bind(_tx: &mut Transaction<'_>, _plan: &Plan, _keys: &Keyring) -> Result<Vec<BoundTable>, Error> {
    unimplemented!()
}

/// Refuses (`schema_changed`) where the table's schema hash is not the plan's. Cheap: before each chunk.
pub async fn check_schema(_tx: &mut Transaction<'_>, _plan: &TablePlan) -> Result<(), Error> {
    unimplemented!()
}
