//! SQLite: one file, one writer.
//!
//! Reads run in a deferred transaction and are collected before anything is written; writes are `BEGIN IMMEDIATE`. The journal
//! mode, the locking mode and everything else that the file keeps stay as the application has set them. The driver runs each connection on a thread
//! of its own, so that many statements travel in one call.

mod catalog;
mod connection;
mod ddl;
mod failure;
mod part;
mod rows;
mod sample;
mod scan;
mod selection;
mod statement;
mod store;
mod walk;
mod write;

pub(crate) use connection::Connection;
pub(crate) use rows::Rows;
pub(crate) use scan::Scan;
pub(crate) use selection::Selection;

/// The clock, in milliseconds.
pub(crate) const NOW_MS: &str = "(CAST(unixepoch('subsec') * 1000 AS INTEGER))";
