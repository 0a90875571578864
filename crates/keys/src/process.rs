//! What the process keeps from others: no core dump, key material that is not swapped, no secrets in its environment.
//!
//! The one module of the workspace that asks the operating system for things that Rust cannot check.
#![allow(unsafe_code)]
use rustix::process::{Resource, Rlimit, setrlimit};
use std::sync::atomic::{AtomicBool, Ordering};

/// Says it once.
static LOCK_REFUSED: AtomicBool = AtomicBool::new(false);

/// Leaves nothing of this process to a core dump, whatever ends it, and its memory and environment to nobody but root (on Linux). Returns what
/// the operating system refused.
pub fn keep_out_of_core_dumps() -> Vec<String> {
    let mut refused = Vec::new();
    // A limit of zero is not looked at where cores are piped to a program: not being dumpable is.
    if let Err(e) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        refused.push(format!("core dumps cannot be limited to nothing: {e}"));
    }
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        refused.push(format!("the process cannot be kept from being dumped: {e}"));
    }
    refused
}

/// Keeps key material from being swapped out. Where the operating system refuses, a warning says so, once.
pub(crate) fn lock(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    // SAFETY: the range is that of a live slice, and pinning its pages changes nothing of what they hold. They stay pinned when the slice is
    // freed: that costs a page, and no other code counts on them being swapped.
    let locked = unsafe { rustix::mm::mlock(bytes.as_ptr().cast_mut().cast(), bytes.len()) };
    if let Err(e) = locked
        && !LOCK_REFUSED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(
            "key material cannot be locked in memory ({e}): raise `ulimit -l`, or swap to an encrypted disk alone"
        );
    }
}

/// Removes a variable from the process's environment, so that neither a child nor a library sees it. Only where the process has but one
/// thread; says whether that is so.
pub(crate) fn forget_variable(name: &str) -> bool {
    if name.is_empty() || name.contains(['=', '\0']) || !is_alone() {
        return false;
    }
    // SAFETY: this is the only thread of the process, so that nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    true
}

/// Whether this is the process's only thread, as the kernel says. Where it does not say, it may be otherwise.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_beside_other_threads() {
        let (name, before) = ("PATH", std::env::var_os("PATH"));
        assert!(before.is_some(), "tests have a PATH");
        let other = std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_millis(300)));
        assert!(!forget_variable(name));
        other.join().expect("a thread that sleeps");
        assert_eq!(std::env::var_os(name), before);
    }

    #[test]
    fn locked_memory_is_as_it_was() {
        let bytes = vec![7; 32];
        lock(&bytes);
        lock(&[]);
        assert_eq!(bytes, [7; 32]);
    }
}
