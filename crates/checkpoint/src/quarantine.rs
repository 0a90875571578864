//! The values left alone, and their acceptance.
use crate::{
    Result, Store,
    store::{bytes_or_null, int, text, text_or_null},
};
use reencrypt_db::{RowKey, Transaction, Value};

/// A value to quarantine.
#[derive(Debug, Clone)]
pub struct Quarantined<'a> {
    /// position of the table in the plan
    pub table_no: usize,
    /// the leaf's own name
    pub leaf: &'a str,
    /// the column
    pub column: &'a str,
    /// the row
    pub key: RowKey,
    /// the stable name of its class
    pub class: &'static str,
}

/// How many values of one table, column and class are quarantined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineLine {
    /// position of the table in the plan
    pub table_no: usize,
    /// the column
    pub column: String,
    /// the class
    pub class: String,
    /// how many
    pub count: u64,
}

/// A person's acceptance of exactly so many values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// `schema.table`
    pub table: String,
    /// the column
    pub column: String,
    /// the class
    pub class: String,
    /// how many
    pub accepted: u64,
    /// why
    pub reason: String,
}

impl Store {
    /// Quarantines values; one that is there already is only seen again in this pass.
    pub async fn quarantine(
        &self,
        tx: &mut Transaction<'_>,
        run_id: &str,
        pass: u32,
        values: &[Quarantined<'_>],
    ) -> Result<()> {
        const ROW_PARAMETERS: usize = 5;
        // Both engines take far more parameters than 100 rows need.
        for rows in values.chunks(100) {
            let mut sql = String::from(
                "INSERT INTO {quarantine} (run_id, pass, table_no, leaf, column_name, row_key, class) VALUES ",
            );
            let mut args = vec![Value::Text(run_id.to_owned()), Value::Int(i64::from(pass))];
            for (n, value) in rows.iter().enumerate() {
                let first = 3 + n * ROW_PARAMETERS;
                let comma = if n == 0 { "" } else { ", " };
                sql.push_str(&format!(
                    "{comma}($1, $2, ${first}, ${}, ${}, ${}, ${})",
                    first + 1,
                    first + 2,
                    first + 3,
                    first + 4
                ));
                args.extend([
                    Value::Int(value.table_no as i64),
                    Value::Text(value.leaf.to_owned()),
                    Value::Text(value.column.to_owned()),
                    Value::Bytes(value.key.as_bytes().to_vec()),
                    Value::Text(value.class.to_owned()),
                ]);
            }
            sql.push_str(
                " ON CONFLICT (run_id, table_no, leaf, column_name, row_key) \
                 DO UPDATE SET pass = excluded.pass, class = excluded.class",
            );
            self.execute(tx, &sql, &args).await?;
        }
        Ok(())
    }

    /// The run's quarantine, counted by table, column and class.
    pub async fn quarantine_lines(&self, tx: &mut Transaction<'_>, run_id: &str) -> Result<Vec<QuarantineLine>> {
        let sql = "SELECT table_no, column_name, class, count(*) FROM {quarantine} WHERE run_id = $1 \
                   GROUP BY table_no, column_name, class ORDER BY table_no, column_name, class";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        rows.iter()
            .map(|row| {
                Ok(QuarantineLine {
                    table_no: int(row.first())? as usize,
                    column: text(row.get(1))?,
                    class: text(row.get(2))?,
                    count: int(row.get(3))? as u64,
                })
            })
            .collect()
    }

    /// The row keys of one line, with the leaf that each stands in.
    pub async fn quarantine_keys(
        &self,
        tx: &mut Transaction<'_>,
        run_id: &str,
        line: &QuarantineLine,
    ) -> Result<Vec<(String, RowKey)>> {
        let sql = "SELECT leaf, row_key FROM {quarantine} WHERE run_id = $1 AND table_no = $2 AND column_name = $3 AND class = $4 \
                   ORDER BY leaf, row_key";
        let args = [
            Value::Text(run_id.to_owned()),
            Value::Int(line.table_no as i64),
            Value::Text(line.column.clone()),
            Value::Text(line.class.clone()),
        ];
        let rows = self.fetch(tx, sql, &args).await?;
        rows.iter()
            .map(|row| Ok((text(row.first())?, RowKey::from_bytes(bytes_or_null(row.get(1))?.unwrap_or_default()))))
            .collect()
    }

    /// Accepts exactly `accepted` values of that table, column and class, in place of what was accepted before.
    pub async fn accept(&self, tx: &mut Transaction<'_>, acceptance: &Acceptance, actor: &str) -> Result<()> {
        let sql = "INSERT INTO {acceptance} (table_name, column_name, class, accepted, reason, actor, at_ms) \
                   VALUES ($1, $2, $3, $4, $5, $6, {now}) ON CONFLICT (table_name, column_name, class) DO UPDATE SET \
                   accepted = excluded.accepted, reason = excluded.reason, actor = excluded.actor, at_ms = excluded.at_ms";
        let args = [
            Value::Text(acceptance.table.clone()),
            Value::Text(acceptance.column.clone()),
            Value::Text(acceptance.class.clone()),
            Value::Int(acceptance.accepted as i64),
            Value::Text(acceptance.reason.clone()),
            Value::Text(actor.to_owned()),
        ];
        self.execute(tx, sql, &args).await?;
        Ok(())
    }

    /// Everything that was accepted.
    pub async fn acceptances(&self, tx: &mut Transaction<'_>) -> Result<Vec<Acceptance>> {
        let sql = "SELECT table_name, column_name, class, accepted, reason FROM {acceptance} ORDER BY 1, 2, 3";
        let rows = self.fetch(tx, sql, &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(Acceptance {
                    table: text(row.first())?,
                    column: text(row.get(1))?,
                    class: text(row.get(2))?,
                    accepted: int(row.get(3))? as u64,
                    reason: text_or_null(row.get(4))?.unwrap_or_default(),
                })
            })
            .collect()
    }
}
