//! What of a window that is written in no order of keys is accounted for.
use crate::{Chunk, Error, Result, Store, store::bytes_or_null};
use reencrypt_db::{Transaction, Value};

impl Store {
    /// The marks of all rows of the chunk's open window that committed transactions have accounted for.
    pub async fn marks(&self, tx: &mut Transaction<'_>, chunk: &Chunk) -> Result<Vec<u64>> {
        let sql = "SELECT marks FROM {wave} WHERE chunk_id = $1 ORDER BY seq";
        let rows = self.fetch(tx, sql, &[Value::Int(chunk.id)]).await?;
        let mut marks = Vec::new();
        for row in &rows {
            marks.extend(decode(&bytes_or_null(row.first())?.unwrap_or_default())?);
        }
        Ok(marks)
    }

    /// Keeps the marks of a transaction that has compared and set the chunk's row, on SQLite; on PostgreSQL [`Store::rider`] does.
    pub(crate) async fn add_wave(&self, tx: &mut Transaction<'_>, chunk: &Chunk, marks: &[u64]) -> Result<()> {
        let sql = "INSERT INTO {wave} (chunk_id, seq, fence, marks) VALUES ($1, $2, $3, $4)";
        let args = [Value::Int(chunk.id), Value::Int(chunk.seq), Value::Int(chunk.fence), Value::Bytes(encode(marks))];
        self.execute(tx, sql, &args).await?;
        Ok(())
    }

    /// Forgets the marks of a window that is written, on SQLite as well.
    pub(crate) async fn forget_waves(&self, tx: &mut Transaction<'_>, chunk: &Chunk) -> Result<()> {
        self.execute(tx, "DELETE FROM {wave} WHERE chunk_id = $1", &[Value::Int(chunk.id)]).await?;
        Ok(())
    }
}

pub(crate) fn encode(marks: &[u64]) -> Vec<u8> {
    marks.iter().flat_map(|mark| mark.to_be_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Result<Vec<u64>> {
    let (marks, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(Error::Unreadable { what: "mark" });
    }
    Ok(marks.iter().map(|mark| u64::from_be_bytes(*mark)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_and_a_cut_list_is_refused() {
        let marks = [0, 1, u64::MAX, 0x0102_0304_0506_0708];
        let bytes = encode(&marks);
        assert_eq!(decode(&bytes).unwrap(), marks);
        assert!(decode(&[]).unwrap().is_empty());
        for cut in [1, 7, 9, 31] {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
