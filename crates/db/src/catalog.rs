//! What the plan asks about the server and its tables.
use crate::TlsMode;

/// A schema-qualified name. `Display` is `schema.table` with control characters escaped; on SQLite the schema is `main`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TableName {
    /// schema
    pub schema: String,
    /// table
    pub name: String,
}

impl TableName {
    /// `schema.table` as it is, for comparing; what is shown is `Display`.
    pub fn qualified(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = crate::identifier::shown;
        write!(f, "{}.{}", shown(&self.schema), shown(&self.name))
    }
}

/// What a relation is; only tables and partitioned tables can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// an ordinary table
    Table,
    /// its rows are in its leaves
    Partitioned,
    /// refused
    View,
    /// refused
    MaterializedView,
    /// refused
    Foreign,
}

/// How a column stores its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// text, varchar, char, citext, SQLite text affinity
    Text,
    /// bytea, BLOB
    Bytes,
    /// json, jsonb
    Json,
    /// An array of texts, bytes or documents. It is read as a JSON array of them, and never written.
    Array,
    /// anything else
    Other,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// its name
    pub name: String,
    /// as the database prints it, for example `character varying(50)`
    pub type_name: String,
    /// what the tool makes of it
    pub kind: ColumnKind,
    /// NOT NULL
    pub not_null: bool,
    /// `varchar(n)`: characters
    pub length_max: Option<u32>,
    /// GENERATED ALWAYS (stored) or identity always
    pub generated: bool,
    /// the role may SELECT it
    pub can_select: bool,
    /// the role may UPDATE it
    pub can_update: bool,
}

/// A column of the row key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKeyColumn {
    /// its name
    pub name: String,
    /// Its type, the base type of a domain, in the form that can stand in a cast.
    pub type_name: String,
    /// The schema of the operators that its index orders by: `pg_catalog`, or where an extension's type has them. Empty on SQLite.
    pub operator_schema: String,
}

/// An index, with what matters to a rewrite of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// its name
    pub name: String,
    /// all columns it depends on, expressions and predicate included
    pub columns: Vec<String>,
    /// UNIQUE
    pub unique: bool,
    /// the primary key
    pub primary: bool,
    /// valid and ready
    pub valid: bool,
    /// not deferrable
    pub immediate: bool,
    /// has a predicate
    pub partial: bool,
}

/// A trigger that an UPDATE of the table fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// its name
    pub name: String,
    /// `tgenabled`: O origin, R replica, A always (D disabled ones are not listed)
    pub enabled: char,
    /// BEFORE (can swallow or change the update) rather than AFTER
    pub before: bool,
}

/// Whether row-level security hides rows from this role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowSecurity {
    /// not enabled
    Off,
    /// enabled, this role bypasses it
    Bypassed,
    /// enabled and in force: rows may be hidden
    Active,
}

/// A recorded collation version that differs from the library's, on a key column: the index may be out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collation {
    /// the key column
    pub column: String,
    /// its name
    pub name: String,
    /// when the index was built
    pub recorded: String,
    /// of the library now
    pub actual: String,
}

/// What the role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    /// USAGE on the schemas of its leaves (true on SQLite)
    pub schema_usage: bool,
    /// SELECT on the whole table (else see the columns)
    pub select: bool,
    /// SELECT on `xmin` and `ctid` (true on SQLite)
    pub select_system: bool,
    /// UPDATE on the whole table (else see the columns)
    pub update: bool,
}

/// A leaf partition, or the table itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// its own name
    pub name: TableName,
    /// Live rows from the statistics or the file size, dead ones never counted; exact on SQLite for small tables.
    pub rows_estimate: u64,
    /// heap and TOAST
    pub heap_bytes: u64,
    /// all indexes
    pub index_bytes: u64,
}

/// A relation with all that a plan wants to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// its name
    pub name: TableName,
    /// what it is
    pub kind: TableKind,
    /// in the catalog's order
    pub columns: Vec<Column>,
    /// The primary key, or else the first NOT NULL, valid, immediate, non-partial unique index; empty when there is none. SQLite: INTEGER PRIMARY KEY or a NOT NULL key.
    pub row_key: Vec<RowKeyColumn>,
    /// Every key that could be one: NOT NULL columns under a valid, immediate, non-partial unique index; `row_key` is the first.
    pub row_keys: Vec<Vec<RowKeyColumn>>,
    /// itself, or its leaf partitions
    pub leaves: Vec<Leaf>,
    /// all of them
    pub indexes: Vec<Index>,
    /// that an UPDATE fires
    pub triggers: Vec<Trigger>,
    /// ON UPDATE rules by name
    pub rules: Vec<String>,
    /// for this role
    pub row_security: RowSecurity,
    /// of this role
    pub privileges: Privileges,
    /// publications that carry it
    pub publications: Vec<String>,
    /// published without a replica identity: UPDATE is refused by the server
    pub update_refused_by_publication: bool,
    /// of the text columns of every key in `row_keys`
    pub collation_mismatches: Vec<Collation>,
    /// storage parameter, 100 by default
    pub fillfactor: u32,
    /// All foreign keys, checks and so on that involve the named columns are the plan's business: CHECK constraints by name with their columns.
    pub checks: Vec<(String, Vec<String>)>,
}
impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }
    /// The sum over the leaves.
    pub fn rows_estimate(&self) -> u64 {
        self.leaves.iter().map(|l| l.rows_estimate).sum()
    }
}

/// What a role lacks to use the checkpoint store; nothing where it may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreGrants {
    /// before it may read
    pub read: Vec<StoreGrant>,
    /// further ones, before it may write
    pub write: Vec<StoreGrant>,
}

/// A privilege that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreGrant {
    /// in words, for example `UPDATE on reencrypt.chunk`
    pub lacks: String,
    /// what a DBA or the store's owner types
    pub statement: String,
}

/// The server and the role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// for example `15.18`
    pub version: String,
    /// in recovery (a standby) or `default_transaction_read_only`
    pub read_only: bool,
    /// in recovery
    pub standby: bool,
    /// the role's name
    pub role: String,
    /// superuser or BYPASSRLS
    pub bypasses_row_security: bool,
    /// `max_connections` less those in use and reserved
    pub free_connections: u32,
    /// the store's schema exists
    pub store_exists: bool,
    /// what the role lacks to use the store, or to create it where there is none (PostgreSQL)
    pub store_grants: StoreGrants,
    /// attached standbys
    pub standbys: u32,
    /// age of the oldest snapshot held by anyone, in seconds, where visible
    pub oldest_snapshot_s: Option<u64>,
    /// age of the oldest open or prepared transaction of others, in seconds, where visible
    pub oldest_transaction_s: Option<u64>,
    /// the role sees the transactions of all others, and not only its own (PostgreSQL)
    pub sees_transactions: bool,
    /// how the way to the server is protected, where it leaves this machine
    pub tls: Option<TlsMode>,
    /// replication slots that nobody reads: the server keeps all WAL for them
    pub idle_slots: u32,
    /// `deadlock_timeout`: how long a session waits for a lock before it looks for a deadlock and ends itself (PostgreSQL)
    pub deadlock_timeout_ms: Option<u32>,
}
