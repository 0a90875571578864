//! The queries over the system catalog. `$1` is the table's oid as a bigint, except in [`RELATION`].

/// The relation of a name. Parameters: schema, name.
pub(super) const RELATION: &str = "SELECT c.oid::pg_catalog.int8, c.relkind::pg_catalog.text \
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1::pg_catalog.text AND c.relname = $2::pg_catalog.text";

/// `leaf`: the leaf partitions of the table, or the table itself where it has no partitions to have.
macro_rules! with_leaves {
    ($($query:expr),+) => {
        concat!(
            "WITH RECURSIVE tree AS MATERIALIZED (SELECT t.relid::pg_catalog.oid AS oid, t.isleaf \
                FROM pg_catalog.pg_partition_tree($1::pg_catalog.int8::pg_catalog.oid::pg_catalog.regclass) AS t), \
             leaf AS MATERIALIZED (SELECT oid FROM tree WHERE isleaf \
                UNION ALL SELECT $1::pg_catalog.int8::pg_catalog.oid WHERE NOT EXISTS (SELECT FROM tree)) ",
            $($query),+
        )
    };
}

/// The base type of the column `a`, through all domains, as `b`, with the length limit that is in force.
macro_rules! base_type {
    () => {
        "CROSS JOIN LATERAL (WITH RECURSIVE down AS (\
            SELECT t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod AS typmod \
              FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid \
            UNION ALL SELECT t.oid, t.typname, t.typnamespace, t.typtype, t.typbasetype, t.typtypmod, d.typtypmod \
              FROM down AS d JOIN pg_catalog.pg_type AS t ON t.oid = d.typbasetype WHERE d.typtype = 'd') \
            SELECT d.oid, d.typname, d.typnamespace, d.typmod, n.nspname FROM down AS d \
              JOIN pg_catalog.pg_namespace AS n ON n.oid = d.typnamespace WHERE d.typtype <> 'd') AS b "
    };
}

/// Whether the column `a` has a NOT NULL that was never checked against the rows that are there (PostgreSQL 18: NOT VALID).
macro_rules! unvalidated {
    () => {
        "EXISTS (SELECT FROM pg_catalog.pg_constraint AS nn WHERE nn.conrelid = a.attrelid AND nn.contype = 'n' \
           AND NOT nn.convalidated AND a.attnum = ANY (nn.conkey))"
    };
}

/// The sound unique indexes over NOT NULL columns, as `x`. Their order and equality are those of their columns' types.
macro_rules! key_index {
    () => {
        concat!("(SELECT x.*, i.relname AS key_name FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid \
            WHERE x.indrelid = $1::pg_catalog.int8::pg_catalog.oid AND x.indisunique AND x.indisvalid AND x.indisready \
            AND x.indislive AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL \
            AND NOT EXISTS (SELECT FROM pg_catalog.unnest(x.indkey) WITH ORDINALITY AS k(attnum, n) \
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum \
              JOIN pg_catalog.pg_opclass AS o ON o.oid = x.indclass[k.n - 1] \
              WHERE k.n <= x.indnkeyatts \
              AND (NOT a.attnotnull OR ", unvalidated!(), " OR NOT o.opcdefault OR x.indcollation[k.n - 1] <> a.attcollation))) AS x \
         CROSS JOIN LATERAL pg_catalog.unnest(x.indkey) WITH ORDINALITY AS k(attnum, n) \
         JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = k.attnum ")
    };
}

pub(super) const LEAVES: &str = with_leaves!(
    "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind::pg_catalog.text, \
       c.reltuples::pg_catalog.int8, c.relpages::pg_catalog.int8, \
       pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::pg_catalog.int8, \
       pg_catalog.pg_table_size(c.oid), pg_catalog.pg_indexes_size(c.oid), \
       pg_catalog.has_table_privilege(c.oid, 'SELECT'), \
       c.relkind = 'v' OR (pg_catalog.has_column_privilege(c.oid, 'xmin', 'SELECT') \
         AND pg_catalog.has_column_privilege(c.oid, 'ctid', 'SELECT')), \
       pg_catalog.has_table_privilege(c.oid, 'UPDATE'), \
       (SELECT split_part(option, '=', 2)::pg_catalog.int8 FROM pg_catalog.unnest(c.reloptions) AS option \
         WHERE option LIKE 'fillfactor=%'), \
       EXISTS (SELECT FROM pg_catalog.pg_publication_tables AS p JOIN pg_catalog.pg_publication AS u USING (pubname) \
         WHERE u.pubupdate AND (p.schemaname, p.tablename) IN (SELECT an.nspname, ac.relname \
           FROM (SELECT relid FROM pg_catalog.pg_partition_ancestors(c.oid) UNION SELECT c.oid) AS up(oid) \
           JOIN pg_catalog.pg_class AS ac ON ac.oid = up.oid \
           JOIN pg_catalog.pg_namespace AS an ON an.oid = ac.relnamespace)) \
         AND c.relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS x WHERE x.indrelid = c.oid \
           AND x.indisvalid AND x.indimmediate AND ((c.relreplident = 'd' AND x.indisprimary) \
             OR (c.relreplident = 'i' AND x.indisreplident))), \
       c.relrowsecurity, pg_catalog.row_security_active(c.oid), \
       pg_catalog.has_schema_privilege(n.oid, 'USAGE'), \
       pg_catalog.pg_stat_get_live_tuples(c.oid), \
       COALESCE(pg_catalog.pg_stat_get_last_analyze_time(c.oid), pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid), \
         pg_catalog.pg_stat_get_last_vacuum_time(c.oid), pg_catalog.pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL \
         AND pg_catalog.pg_stat_get_mod_since_analyze(c.oid) > 0 \
     FROM leaf JOIN pg_catalog.pg_class AS c ON c.oid = leaf.oid \
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace ORDER BY 1, 2"
);

pub(super) const COLUMNS: &str = with_leaves!(
    "SELECT a.attname::pg_catalog.text, \
       CASE WHEN tn.nspname = 'pg_catalog' THEN pg_catalog.format_type(a.atttypid, a.atttypmod) \
         ELSE pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(ty.typname) END, \
       CASE WHEN b.oid IN (25, 1042, 1043) OR b.typname = 'citext' THEN 'text' WHEN b.oid = 17 THEN 'bytes' \
         WHEN b.oid IN (114, 3802) THEN 'json' \
         WHEN el.typcategory = 'S' OR el.oid IN (17, 114, 3802) OR el.typbasetype IN (17, 114, 3802) THEN 'array' ELSE 'other' END, \
       a.attnotnull AND NOT ",
    unvalidated!(),
    ", \
       (CASE WHEN b.oid IN (1042, 1043) AND b.typmod >= 4 THEN b.typmod - 4 END)::pg_catalog.int8, \
       a.attgenerated <> '' OR a.attidentity = 'a', \
       COALESCE((SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege(leaf.oid, a.attname, 'SELECT')) FROM leaf), false), \
       COALESCE((SELECT pg_catalog.bool_and(pg_catalog.has_column_privilege(leaf.oid, a.attname, 'UPDATE')) FROM leaf), false) \
     FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS ty ON ty.oid = a.atttypid \
     JOIN pg_catalog.pg_namespace AS tn ON tn.oid = ty.typnamespace ",
    base_type!(),
    "JOIN pg_catalog.pg_type AS bt ON bt.oid = b.oid \
     LEFT JOIN pg_catalog.pg_type AS el ON bt.typcategory = 'A' AND el.oid = bt.typelem \
     WHERE a.attrelid = $1::pg_catalog.int8::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
);

/// The columns of every sound key, the primary key's first.
pub(super) const ROW_KEYS: &str = concat!(
    "SELECT a.attname::pg_catalog.text, \
       CASE WHEN b.nspname = 'pg_catalog' THEN pg_catalog.format_type(b.oid, -1) \
         ELSE pg_catalog.quote_ident(b.nspname) || '.' || pg_catalog.quote_ident(b.typname) END, \
       COALESCE((SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_opclass AS o \
         JOIN pg_catalog.pg_amop AS m ON m.amopfamily = o.opcfamily AND m.amoplefttype = o.opcintype \
           AND m.amoprighttype = o.opcintype AND m.amopstrategy = 5 AND m.amoppurpose = 's' \
         JOIN pg_catalog.pg_operator AS r ON r.oid = m.amopopr \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = r.oprnamespace \
         WHERE o.oid = x.indclass[k.n - 1]), 'pg_catalog'), \
       x.indexrelid::pg_catalog.int8 \
     FROM ",
    key_index!(),
    base_type!(),
    "WHERE k.n <= x.indnkeyatts ORDER BY x.indisprimary DESC, x.indnkeyatts, x.key_name, k.n"
);

/// The key columns whose collation has another version now than when it was recorded. The database's own has a version since PostgreSQL 15.
pub(super) fn collations(version: u32) -> String {
    let of_database = if version >= 150_000 {
        "UNION SELECT u.attname, d.datcollate::pg_catalog.text, d.datcollversion::pg_catalog.text, \
           pg_catalog.pg_database_collation_actual_version(d.oid) \
         FROM used AS u, pg_catalog.pg_database AS d \
         WHERE u.attcollation = 100 AND d.datname = pg_catalog.current_database()"
    } else {
        ""
    };
    format!(
        "WITH used AS (SELECT a.attname::pg_catalog.text, a.attcollation FROM {}WHERE k.n <= x.indnkeyatts) \
         SELECT * FROM (SELECT u.attname, c.collname::pg_catalog.text, c.collversion::pg_catalog.text, \
           pg_catalog.pg_collation_actual_version(c.oid) \
         FROM used AS u JOIN pg_catalog.pg_collation AS c ON c.oid = u.attcollation WHERE c.oid <> 100 {of_database}) \
         AS v(column_name, name, recorded, actual) WHERE recorded <> actual ORDER BY column_name, name",
        key_index!()
    )
}

/// A row for each column that an index depends on, by its keys, included columns, expressions or predicate. One whose expressions name no column may use the whole
/// row. The indexes of the table and those that a leaf has on its own.
pub(super) const INDEXES: &str = with_leaves!(
    "SELECT i.oid::pg_catalog.int8, i.relname::pg_catalog.text, x.indisunique, x.indisprimary, \
       x.indisvalid AND x.indisready, x.indimmediate, x.indpred IS NOT NULL, a.attname::pg_catalog.text \
     FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid \
     CROSS JOIN LATERAL (SELECT pg_catalog.array_agg(d.refobjsubid) FILTER (WHERE d.refobjsubid > 0) AS attnums \
       FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
       AND d.objid = x.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
       AND d.refobjid = x.indrelid) AS named \
     LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum > 0 AND NOT a.attisdropped \
       AND (a.attnum = ANY (x.indkey::pg_catalog.int2[]) OR a.attnum = ANY (named.attnums) \
         OR (x.indexprs IS NOT NULL AND named.attnums IS NULL)) \
     WHERE x.indrelid = $1::pg_catalog.int8::pg_catalog.oid \
       OR (x.indrelid IN (SELECT oid FROM leaf) AND NOT i.relispartition) \
     ORDER BY i.relname, i.oid, a.attnum"
);

/// Triggers that an UPDATE of a leaf fires, those of constraints left out. Of a table above the leaves only those count that its leaves have inherited.
pub(super) const TRIGGERS: &str = with_leaves!(
    "SELECT DISTINCT t.tgname::pg_catalog.text, t.tgenabled::pg_catalog.text, (t.tgtype & 2) <> 0 \
     FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid IN (SELECT oid FROM leaf) AND NOT t.tgisinternal \
       AND t.tgenabled <> 'D' AND (t.tgtype & 16) <> 0 ORDER BY 1"
);

pub(super) const RULES: &str = with_leaves!(
    "SELECT DISTINCT r.rulename::pg_catalog.text FROM pg_catalog.pg_rewrite AS r \
     WHERE r.ev_class IN (SELECT oid FROM leaf) AND r.ev_type = '2' AND r.ev_enabled <> 'D' ORDER BY 1"
);

pub(super) const PUBLICATIONS: &str = with_leaves!(
    "SELECT DISTINCT p.pubname::pg_catalog.text FROM pg_catalog.pg_publication_tables AS p \
     JOIN pg_catalog.pg_class AS c ON c.relname = p.tablename \
     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = p.schemaname \
     WHERE c.oid IN (SELECT oid FROM leaf UNION SELECT u.relid FROM leaf, \
       LATERAL pg_catalog.pg_partition_ancestors(leaf.oid) AS u) ORDER BY 1"
);

/// A row for each column of a CHECK constraint.
pub(super) const CHECKS: &str = "SELECT c.oid::pg_catalog.int8, c.conname::pg_catalog.text, a.attname::pg_catalog.text \
    FROM pg_catalog.pg_constraint AS c LEFT JOIN pg_catalog.pg_attribute AS a \
      ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) \
    WHERE c.conrelid = $1::pg_catalog.int8::pg_catalog.oid AND c.contype = 'c' ORDER BY c.conname, c.oid, a.attnum";
