//! Why a process waits: whoever waits in it says so for as long as it does.
use crate::{Event, Observer, rotation::lock};
use reencrypt_db::TableName;
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Of a process without work.
pub(crate) const IDLE_REASON: &str = "other workers finish their chunks";
/// What takes longer than this is waited for.
const LONG: Duration = Duration::from_secs(2);

/// What is waited for in this process. Its reason is that of whoever waits longest; it is without work where none of its workers has any.
pub(crate) struct Waits {
    observer: Arc<dyn Observer>,
    workers: usize,
    states: Mutex<States>,
}

#[derive(Default)]
struct States {
    /// Numbers waiters and waits.
    last: u64,
    /// Of the waiters that do not work.
    waiting: BTreeMap<u64, State>,
    told: Option<String>,
}

enum State {
    Idle,
    Waiting { since: u64, reason: String },
}

impl States {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn reason(&self, workers: usize) -> Option<String> {
        let waiting = self.waiting.values().filter_map(|state| match state {
            State::Waiting { since, reason } => Some((since, reason)),
            State::Idle => None,
        });
        match waiting.min() {
            Some((_, reason)) => Some(reason.clone()),
            None => (self.waiting.len() >= workers).then(|| IDLE_REASON.to_owned()),
        }
    }
}

/// Somebody who may have to wait. Dropped, it waits no more.
pub(crate) struct Waiter {
    waits: Arc<Waits>,
    number: u64,
}

impl Waits {
    pub(crate) fn new(observer: Arc<dyn Observer>, workers: usize) -> Arc<Self> {
        Arc::new(Self { observer, workers, states: Mutex::default() })
    }

    /// One more who may have to wait.
    pub(crate) fn waiter(self: &Arc<Self>) -> Waiter {
        Waiter { waits: self.clone(), number: lock(&self.states).next() }
    }

    /// Why this process waits.
    pub(crate) fn reason(&self) -> Option<String> {
        lock(&self.states).told.clone()
    }

    /// Each change of the reason is told once.
    fn change(&self, change: impl FnOnce(&mut States)) {
        let mut states = lock(&self.states);
        change(&mut states);
        let now = states.reason(self.workers);
        if states.told != now {
            self.observer.event(&match &now {
                Some(reason) => Event::Waiting { reason: reason.clone() },
                None => Event::Resumed,
            });
            states.told = now;
        }
    }
}

impl Waiter {
    /// It waits; a further reason makes the wait no younger.
    pub(crate) fn wait(&self, reason: String) {
        self.waits.change(|states| {
            let since = match states.waiting.get(&self.number) {
                Some(State::Waiting { since, .. }) => *since,
                _ => states.next(),
            };
            states.waiting.insert(self.number, State::Waiting { since, reason });
        });
    }

    /// It is without work.
    pub(crate) fn idle(&self) {
        self.waits.change(|states| {
            states.waiting.insert(self.number, State::Idle);
        });
    }

    /// It works.
    pub(crate) fn go_on(&self) {
        self.waits.change(|states| {
            states.waiting.remove(&self.number);
        });
    }

    /// Does `work`, which it waits for where that takes long.
    pub(crate) async fn during<T>(&self, reason: String, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(LONG, &mut work).await {
            return done;
        }
        self.wait(reason);
        let done = work.await;
        self.go_on();
        done
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.go_on();
    }
}

/// Why a read of a table takes long, in words.
pub(crate) fn slow_read(table: &TableName) -> String {
    format!("{table} takes long to be read: somebody may hold a lock on it")
}

/// Why a read of the catalog does.
pub(crate) fn slow_catalog() -> String {
    "the catalog takes long to be read: somebody may hold a lock on a table of the plan".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was told, `-` for the end of a wait.
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Observer for Told {
        fn event(&self, event: &Event) {
            lock(&self.0).push(match event {
                Event::Waiting { reason } => reason.clone(),
                _ => "-".to_owned(),
            });
        }
    }

    fn waits() -> (Arc<Told>, Arc<Waits>) {
        let told = Arc::new(Told::default());
        (told.clone(), Waits::new(told, 2))
    }

    #[test]
    fn the_longest_wait_is_told_whoever_is_without_work_beside_it() {
        let (told, waits) = waits();
        let (one, other) = (waits.waiter(), waits.waiter());
        one.idle();
        assert_eq!(waits.reason(), None, "the other one works");
        other.wait("a".into());
        one.wait("b".into());
        assert_eq!(waits.reason().as_deref(), Some("a"));
        other.wait("a, again".into());
        assert_eq!(waits.reason().as_deref(), Some("a, again"), "another try makes it no younger");
        other.go_on();
        assert_eq!(waits.reason().as_deref(), Some("b"));
        one.idle();
        assert_eq!(waits.reason(), None);
        other.idle();
        other.idle();
        assert_eq!(waits.reason().as_deref(), Some(IDLE_REASON));
        drop(other);
        assert_eq!(*lock(&told.0), ["a", "a, again", "b", "-", IDLE_REASON, "-"]);
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_waited_for_where_it_takes_long() {
        let (told, waits) = waits();
        let waiter = waits.waiter();
        waiter.during("quick".into(), tokio::time::sleep(LONG / 2)).await;
        waiter.during("slow".into(), tokio::time::sleep(LONG * 2)).await;
        assert_eq!(*lock(&told.0), ["slow", "-"]);
        let dropped = async { waits.waiter().during("given up".into(), tokio::time::sleep(LONG * 9)).await };
        assert!(tokio::time::timeout(LONG * 2, dropped).await.is_err());
        assert_eq!(*lock(&told.0), ["slow", "-", "given up", "-"]);
    }
}
