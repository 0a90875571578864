//! The planner against real databases: files of SQLite, and the server of `REENCRYPT_TEST_POSTGRES_URL` (a superuser's URL of a throw-away
//! PostgreSQL; a test fails without it, none is skipped).

mod clinic;
mod place;

mod discovery;
mod drafts;
mod gate;
mod postgres;
mod surveys;

/// Instantiates each test once a database engine.
macro_rules! on_each_engine {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::place::Place::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::place::Place::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_each_engine;
