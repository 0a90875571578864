//! The tool as a process against real databases. Each test names the invariant that it holds the tool to; the invariants are those of
//! `docs/architecture.md`.
//!
//! Nothing is timed here but what must end at all; random choices print their seed, and `REENCRYPT_TEST_SEED` makes them again.

/// A test for each engine: `on_both_engines!(a, b)` runs `a(Engine)` and `b(Engine)` on PostgreSQL and on SQLite.
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::Engine::Postgres).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::Engine::Sqlite).await;
            })+
        }
    };
}

/// The same on PostgreSQL without an index on what is rotated, which is then written in waves.
macro_rules! in_waves {
    ($($test:ident),+ $(,)?) => {
        mod waves {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::Engine::Waves).await;
            })+
        }
    };
}

mod canary;
mod commit_lost;
mod credentials;
mod doctor;
mod exposure;
#[cfg(feature = "failpoints")]
mod failpoints;
mod incident;
mod keys;
mod kill;
mod large;
mod nonces;
mod patients;
mod pooler;
mod privileges;
mod process;
mod quarantine;
mod readers;
mod refusals;
mod rerun;
mod row_keys;
mod signals;
mod sources;
mod store_lost;
mod support;
mod surroundings;
mod tls;
mod untouched;
mod verify_races;
mod waves;
mod writers;

use reencrypt_tests::{Database, Operator, Seeding};

/// The tool under test: the released code, with failpoints where the feature says so.
const TOOL: &str = env!("CARGO_BIN_EXE_reencrypt-failpoints");

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Postgres,
    Sqlite,
    /// PostgreSQL without an index on the hashes
    Waves,
}

impl Engine {
    /// A database of this engine with these patients.
    async fn seeded(self, seeding: &Seeding) -> Database {
        match self {
            Self::Postgres => Database::postgres(seeding).await,
            Self::Sqlite => Database::sqlite(seeding).await,
            Self::Waves => {
                let db = Database::postgres(seeding).await;
                db.execute(r#"DROP INDEX "Patient_clinicId_emailHash_dobHash_idx""#).await;
                db
            }
        }
    }
}

/// Somebody who operates the tool on a database, with both keys and a configuration for the Patient table.
fn operator(database: &Database) -> Operator {
    Operator::new(TOOL, database)
}
