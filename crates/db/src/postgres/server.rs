//! What the server is, and what the role may do on it.
use super::{Connection, data::number, rows::value, wire::Parameters};
use crate::{Error, Result, Server, TableName};

/// Slots are those of the server, less what is reserved and in use; the limit of the role or the database may be lower.
const SERVER: &str = "SELECT pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1), \
    (pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('default_transaction_read_only') = 'on')::int4::int8, \
    current_user::text, \
    (SELECT (rolsuper OR rolbypassrls)::int4::int8 FROM pg_catalog.pg_roles WHERE rolname = current_user), \
    pg_catalog.current_setting('max_connections')::int8 \
      - pg_catalog.current_setting('superuser_reserved_connections')::int8 \
      - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int8 \
      - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid IS NOT NULL AND datid IS NOT NULL), \
    (SELECT rolconnlimit::int8 - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user) \
      FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolconnlimit >= 0), \
    (SELECT datconnlimit::int8 - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = d.datname) \
      FROM pg_catalog.pg_database AS d WHERE datname = pg_catalog.current_database() AND datconnlimit >= 0), \
    (pg_catalog.to_regnamespace('reencrypt') IS NOT NULL)::int4::int8, \
    (CASE WHEN pg_catalog.to_regnamespace('reencrypt') IS NULL \
      THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') \
      ELSE pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace('reencrypt')::oid, 'USAGE') AND ( \
        pg_catalog.to_regclass('reencrypt._sqlx_migrations') IS NOT NULL \
        OR pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace('reencrypt')::oid, 'CREATE')) END)::int4::int8, \
    (SELECT count(*) FROM pg_catalog.pg_stat_replication), \
    (SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - min(began))::int8 FROM ( \
      SELECT xact_start AS began FROM pg_catalog.pg_stat_activity \
        WHERE backend_xmin IS NOT NULL AND pid <> pg_catalog.pg_backend_pid() \
      UNION ALL SELECT prepared FROM pg_catalog.pg_prepared_xacts) AS held), \
    pg_catalog.pg_is_in_recovery()::int4::int8, \
    (SELECT setting::int8 FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'), \
    (SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - min(began))::int8 FROM ( \
      SELECT xact_start AS began FROM pg_catalog.pg_stat_activity \
        WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid() \
      UNION ALL SELECT prepared FROM pg_catalog.pg_prepared_xacts) AS open), \
    pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')::int4::int8, \
    (SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE NOT active)";

const TABLES: &str = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class AS c \
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'reencrypt') AND n.nspname !~ '^pg_' \
    ORDER BY n.nspname, c.relname";

impl Connection {
    pub(crate) async fn server(&mut self) -> Result<Server> {
        const DOING: &str = "reading the server's state";
        let rows = self.query(DOING, SERVER, Parameters::default()).await?;
        let lost = || Error::Lost { doing: DOING, reason: "the server answered nothing".to_owned() };
        let row = rows.first().ok_or_else(lost)?;
        let text = |column| String::from_utf8_lossy(value(row, column).unwrap_or_default()).into_owned();
        let is = |column| number(row, column) == Some(1);
        let free = [4, 5, 6].into_iter().filter_map(|column| number(row, column)).min().unwrap_or_default();
        Ok(Server {
            version: text(0),
            read_only: is(1),
            standby: is(11),
            role: text(2),
            bypasses_row_security: is(3),
            free_connections: u32::try_from(free).unwrap_or(0),
            store_exists: is(7),
            can_create_store: is(8),
            standbys: number(row, 9).and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            oldest_snapshot_s: number(row, 10).and_then(|seconds| u64::try_from(seconds).ok()),
            deadlock_timeout_ms: number(row, 12).and_then(|ms| u32::try_from(ms).ok()),
            oldest_transaction_s: number(row, 13).and_then(|seconds| u64::try_from(seconds).ok()),
            sees_transactions: is(14),
            tls: self.tls(),
            idle_slots: number(row, 15).and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        })
    }

    pub(crate) async fn tables(&mut self) -> Result<Vec<TableName>> {
        let rows = self.query("listing tables", TABLES, Parameters::default()).await?;
        let text = |row, column| String::from_utf8_lossy(value(row, column).unwrap_or_default()).into_owned();
        Ok(rows.iter().map(|row| TableName { schema: text(row, 0), name: text(row, 1) }).collect())
    }
}
