//! PostgreSQL 14 and later, over one connection a session.
//!
//! Statements come from pure builders ([`selection`], [`scope`]), go through the three calls of [`connection`], and come back as
//! raw wire values ([`rows`]). Nothing depends on session state, so that PgBouncer in transaction mode may stand between.

mod begin;
mod catalog;
mod connection;
mod copy;
mod data;
mod failure;
mod rows;
mod sample;
mod scan;
mod selection;
mod server;
mod snapshot;
mod store;
mod wire;

pub(crate) use connection::Connection;
pub(crate) use data::Written;
pub(crate) use rows::Rows;
pub(crate) use scan::Scan;
pub(crate) use selection::Selection;

/// The database's clock in milliseconds since 1970.
pub(crate) const NOW_MS: &str = "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::bigint";
