//! The SQLite engine against real files: what it reads is what is there, and what it writes is what it was told and nothing else.
mod catalog;
mod keys;
mod playground;
mod scans;
mod sessions;
mod store;
mod writes;
