//! How often each key may have sealed.
use crate::{
    Result, Store,
    store::{int, text},
};
use reencrypt_db::{Transaction, Value};

impl Store {
    /// Adds `count` to what is reserved of a key's nonces; returns the sum. They may be used once it is committed.
    pub async fn reserve_nonces(&self, tx: &mut Transaction<'_>, key: &str, count: u64) -> Result<u64> {
        let sql = "INSERT INTO {nonces} AS n (key, reserved) VALUES ($1, $2) \
                   ON CONFLICT (key) DO UPDATE SET reserved = n.reserved + excluded.reserved RETURNING reserved";
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows = self.fetch(tx, sql, &[Value::Text(key.to_owned()), Value::Int(count)]).await?;
        Ok(int(rows.first().and_then(|row| row.first()))?.unsigned_abs())
    }

    /// What is reserved of every key.
    pub async fn reserved_nonces(&self, tx: &mut Transaction<'_>) -> Result<Vec<(String, u64)>> {
        let rows = self.fetch(tx, "SELECT key, reserved FROM {nonces} ORDER BY key", &[]).await?;
        rows.iter().map(|row| Ok((text(row.first())?, int(row.get(1))?.unsigned_abs()))).collect()
    }
}
