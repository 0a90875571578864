//! Why a process waits: whoever waits in it says so for as long as it does.
use crate::{Event, Observer, rotation::lock};
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

/// What is waited for in this process. The reason of the whole is that of whoever waits longest; to be without work is one where no worker has any.
pub(crate) struct Waits {
    observer: Arc<dyn Observer>,
    workers: usize,
    reasons: Mutex<Reasons>,
}

#[derive(Default)]
struct Reasons {
    begun: u64,
    /// By when it began; without a reason it is for want of work.
    waiting: BTreeMap<u64, Option<String>>,
    told: Option<String>,
}

/// Somebody waits, until this is dropped.
#[must_use]
pub(crate) struct Wait {
    waits: Arc<Waits>,
    number: u64,
    idle: bool,
}

impl Wait {
    /// Whether it is for want of work.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle
    }
}

impl Waits {
    pub(crate) fn new(observer: Arc<dyn Observer>, workers: usize) -> Arc<Self> {
        Arc::new(Self { observer, workers, reasons: Mutex::default() })
    }

    /// Somebody begins to wait.
    pub(crate) fn begin(self: &Arc<Self>, reason: String) -> Wait {
        self.add(Some(reason))
    }

    /// A worker is without work.
    pub(crate) fn idle(self: &Arc<Self>) -> Wait {
        self.add(None)
    }

    /// Does `work`, which is waited for where it takes long.
    pub(crate) async fn during<T>(self: &Arc<Self>, reason: String, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(LONG, &mut work).await {
            return done;
        }
        let _wait = self.begin(reason);
        work.await
    }

    /// Why this process waits.
    pub(crate) fn reason(&self) -> Option<String> {
        lock(&self.reasons).told.clone()
    }

    fn add(self: &Arc<Self>, reason: Option<String>) -> Wait {
        let (mut number, idle) = (0, reason.is_none());
        self.change(|reasons| {
            reasons.begun += 1;
            number = reasons.begun;
            reasons.waiting.insert(number, reason);
        });
        Wait { waits: self.clone(), number, idle }
    }

    /// Each change of the reason is told once.
    fn change(&self, change: impl FnOnce(&mut Reasons)) {
        let mut reasons = lock(&self.reasons);
        change(&mut reasons);
        let idle = || reasons.waiting.values().filter(|reason| reason.is_none()).count();
        let now = match reasons.waiting.values().flatten().next() {
            Some(reason) => Some(reason.clone()),
            None => (idle() >= self.workers).then(|| IDLE_REASON.to_owned()),
        };
        if reasons.told != now {
            self.observer.event(&match &now {
                Some(reason) => Event::Waiting { reason: reason.clone() },
                None => Event::Resumed,
            });
            reasons.told = now;
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.change(|reasons| {
            reasons.waiting.remove(&self.number);
        });
    }
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
    fn a_lock_is_told_whoever_is_without_work_beside_it() {
        let (told, waits) = waits();
        let idle = waits.idle();
        assert_eq!(waits.reason(), None, "the other one works");
        let mut lock_of_one = Some(waits.begin("a".into()));
        let lock_of_another = waits.begin("b".into());
        assert_eq!(waits.reason().as_deref(), Some("a"));
        // The same worker's next wait, for the same reason.
        lock_of_one.replace(waits.begin("a".into()));
        drop(lock_of_another);
        drop(lock_of_one);
        assert_eq!(waits.reason(), None);
        let both = waits.idle();
        assert_eq!(waits.reason().as_deref(), Some(IDLE_REASON));
        drop((idle, both));
        assert_eq!(*lock(&told.0), ["a", "b", "a", "-", IDLE_REASON, "-"]);
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_waited_for_where_it_takes_long() {
        let (told, waits) = waits();
        waits.during("quick".into(), tokio::time::sleep(LONG / 2)).await;
        waits.during("slow".into(), tokio::time::sleep(LONG * 2)).await;
        assert_eq!(*lock(&told.0), ["slow", "-"]);
    }
}
