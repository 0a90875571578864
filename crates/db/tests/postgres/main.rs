//! The PostgreSQL side against a real, throw-away server, whose superuser URL is in `REENCRYPT_TEST_POSTGRES_URL`. Each test has a database of its own.

mod catalog;
mod credentials;
mod keys;
mod pages;
mod playground;
mod scans;
mod sessions;
mod store;
mod writes;
