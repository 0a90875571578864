//! What the server is, and what the role may do on it.
use super::{Connection, data::number, rows::value, wire::Parameters};
use crate::{Error, Result, Server, StoreGrant, StoreGrants, TableName, typed};

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

/// What the role lacks in the store, and where: on the database, on the schema, on all of its tables or some. Names are looked up in the catalog, which
/// every role may read. Of the migrations only who migrates writes.
const STORE_LACKS: &str = "WITH store AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'reencrypt'), \
    tables AS (SELECT c.oid, c.relname FROM pg_catalog.pg_class AS c JOIN store ON store.oid = c.relnamespace WHERE c.relkind = 'r') \
    SELECT 'CREATE'::text, 'this database'::text WHERE NOT EXISTS (SELECT FROM store) \
      AND NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') \
    UNION ALL SELECT 'USAGE', 'SCHEMA reencrypt' FROM store WHERE NOT pg_catalog.has_schema_privilege(oid, 'USAGE') \
    UNION ALL SELECT 'CREATE', 'SCHEMA reencrypt' FROM store WHERE NOT pg_catalog.has_schema_privilege(oid, 'CREATE') \
      AND NOT EXISTS (SELECT FROM tables WHERE relname = '_sqlx_migrations') \
    UNION ALL SELECT * FROM (SELECT p, CASE WHEN pg_catalog.bool_and(lacks) THEN 'ALL TABLES IN SCHEMA reencrypt' \
        ELSE pg_catalog.string_agg('reencrypt.' || pg_catalog.quote_ident(relname), ', ' ORDER BY relname) FILTER (WHERE lacks) END \
      FROM pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS u(p, n) CROSS JOIN tables, \
        LATERAL (SELECT NOT pg_catalog.has_table_privilege(oid, p)) AS l(lacks) \
      WHERE p = 'SELECT' OR relname <> '_sqlx_migrations' GROUP BY p, n HAVING pg_catalog.bool_or(lacks) ORDER BY n) AS lacking";

/// Where the role may not make the store.
const DATABASE: &str = "this database";

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
        let lacks = self.query(DOING, STORE_LACKS, Parameters::default()).await?;
        let of = |row, column| String::from_utf8_lossy(value(row, column).unwrap_or_default()).into_owned();
        let lacks: Vec<(String, String)> = lacks.iter().map(|row| (of(row, 0), of(row, 1))).collect();
        let free = [4, 5, 6].into_iter().filter_map(|column| number(row, column)).min().unwrap_or_default();
        Ok(Server {
            version: text(0),
            read_only: is(1),
            standby: is(10),
            role: text(2),
            bypasses_row_security: is(3),
            free_connections: u32::try_from(free).unwrap_or(0),
            store_exists: is(7),
            store_grants: store_grants(lacks, &text(2)),
            standbys: number(row, 8).and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            oldest_snapshot_s: number(row, 9).and_then(|seconds| u64::try_from(seconds).ok()),
            deadlock_timeout_ms: number(row, 11).and_then(|ms| u32::try_from(ms).ok()),
            oldest_transaction_s: number(row, 12).and_then(|seconds| u64::try_from(seconds).ok()),
            sees_transactions: is(13),
            tls: self.tls(),
            idle_slots: number(row, 14).and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        })
    }

    pub(crate) async fn tables(&mut self) -> Result<Vec<TableName>> {
        let rows = self.query("listing tables", TABLES, Parameters::default()).await?;
        let text = |row, column| String::from_utf8_lossy(value(row, column).unwrap_or_default()).into_owned();
        Ok(rows.iter().map(|row| TableName { schema: text(row, 0), name: text(row, 1) }).collect())
    }
}

/// What `role` lacks, each privilege with where.
fn store_grants(lacks: Vec<(String, String)>, role: &str) -> StoreGrants {
    let (write, read): (Vec<_>, Vec<_>) =
        lacks.into_iter().partition(|(privilege, _)| ["INSERT", "UPDATE", "DELETE"].contains(&privilege.as_str()));
    StoreGrants { read: grants(&read, role), write: grants(&write, role) }
}

/// A statement for all that is missing at one place.
fn grants(lacks: &[(String, String)], role: &str) -> Vec<StoreGrant> {
    let grant = |lacks: &[(String, String)]| {
        let privileges: Vec<&str> = lacks.iter().map(|(privilege, _)| privilege.as_str()).collect();
        let (privileges, on, role) = (privileges.join(", "), &lacks[0].1, typed(role));
        let statement = match on.as_str() {
            DATABASE => format!("CREATE SCHEMA reencrypt AUTHORIZATION {role};"),
            on => format!("GRANT {privileges} ON {on} TO {role};"),
        };
        StoreGrant { lacks: format!("{privileges} on {on}"), statement }
    };
    lacks.chunk_by(|(_, on), (_, next)| on == next).map(grant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_that_is_missing_is_named_and_no_other() {
        let grants = |lacks: &[(&str, &str)]| {
            let lacks: Vec<_> = lacks.iter().map(|(what, on)| ((*what).to_owned(), (*on).to_owned())).collect();
            let grants = store_grants(lacks, "ro\"le");
            let told = |grants: Vec<StoreGrant>| {
                grants.into_iter().map(|grant| format!("{}: {}", grant.lacks, grant.statement)).collect::<Vec<_>>()
            };
            (told(grants.read), told(grants.write))
        };
        assert_eq!(grants(&[]), Default::default());
        let (read, write) = grants(&[("CREATE", DATABASE)]);
        assert_eq!(read, ["CREATE on this database: CREATE SCHEMA reencrypt AUTHORIZATION \"ro\"\"le\";"]);
        assert!(write.is_empty());
        let (schema, all) = ("SCHEMA reencrypt", "ALL TABLES IN SCHEMA reencrypt");
        let (read, write) = grants(&[("USAGE", schema), ("SELECT", all), ("INSERT", all), ("DELETE", all)]);
        assert_eq!(
            read,
            [
                "USAGE on SCHEMA reencrypt: GRANT USAGE ON SCHEMA reencrypt TO \"ro\"\"le\";",
                "SELECT on ALL TABLES IN SCHEMA reencrypt: GRANT SELECT ON ALL TABLES IN SCHEMA reencrypt TO \"ro\"\"le\";",
            ]
        );
        let told = "GRANT INSERT, DELETE ON ALL TABLES IN SCHEMA reencrypt TO \"ro\"\"le\";";
        assert_eq!(write, [format!("INSERT, DELETE on ALL TABLES IN SCHEMA reencrypt: {told}")]);
        let (read, write) = grants(&[("INSERT", "reencrypt.event"), ("UPDATE", "reencrypt.chunk, reencrypt.run")]);
        assert!(read.is_empty());
        assert_eq!(
            write,
            [
                "INSERT on reencrypt.event: GRANT INSERT ON reencrypt.event TO \"ro\"\"le\";",
                "UPDATE on reencrypt.chunk, reencrypt.run: GRANT UPDATE ON reencrypt.chunk, reencrypt.run TO \"ro\"\"le\";",
            ]
        );
    }
}
