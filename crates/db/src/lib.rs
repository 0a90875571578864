//! PostgreSQL and SQLite behind one interface, opaque bytes only.
//!
//! [`Database`] opens [`Session`]s (one connection each); every statement runs in a [`Transaction`]. The data path is three
//! calls: [`Transaction::read_batch`] (keyset, row-value comparison, no locks), [`Transaction::compare_and_set`] (writes only
//! rows that are exactly as they were read) and [`Transaction::commit`]. The checkpoint store goes through
//! [`Transaction::execute`] and [`Transaction::fetch`], in the same transaction as the data.

mod catalog;
mod database;
mod error;
mod identifier;
mod postgres;
mod rider;
mod row_key;
mod rows;
mod selection;
mod session;
mod snapshot;
mod sqlite;
mod url;
mod value;

pub use catalog::{
    Collation, Column, ColumnKind, Index, Leaf, Privileges, RowKeyColumn, RowSecurity, Server, StoreGrant, StoreGrants,
    Table, TableKind, TableName, Trigger,
};
pub use database::{ConnectOptions, Credentials, Database, Dialect, Identity, TlsMode};
pub use error::{Condition, Error, Verdict};
pub use identifier::{shown, typed};
pub use rider::{IF_HIT, Rider};
pub use row_key::RowKey;
pub use rows::Rows;
pub use selection::Selection;
pub use session::{Limits, Mode, Session, Transaction, Written};
pub use snapshot::{HeapScan, Horizon, InFlight, Snapshot};
pub use sqlx::migrate::Migrator;
pub use url::{DatabaseUrl, UrlError};
pub use value::Value;

/// What database calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
