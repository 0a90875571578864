//! Named places where a test may stop, fail or kill the engine. Without the feature `failpoints` nothing of them is compiled.

/// Every failpoint, in the order in which a run comes by.
pub const FAILPOINTS: &[&str] = &[
    "engine::run_started",
    "engine::pass_entered",
    "engine::chunk_claimed",
    "engine::batch_resealed",
    "engine::batch_written",
    "engine::before_commit",
    "engine::after_commit",
    "engine::pending_read",
    "engine::chunk_done",
    "engine::pass_ended",
    "engine::before_finish",
];

/// `return(error)` makes the engine fail here; any other action with `return` kills the process at once.
#[cfg(feature = "failpoints")]
pub(crate) fn act<T>(action: Option<String>) -> Result<T, crate::Error> {
    match action.as_deref() {
        Some("error") => Err(crate::Error::refused("failpoint", "a failpoint was hit", "this is a test build")),
        _ => std::process::abort(),
    }
}

macro_rules! failpoint {
    ($name:literal) => {
        fail::fail_point!($name, |action| crate::failpoint::act(action))
    };
}
pub(crate) use failpoint;
