//! The worker threads.
use crate::{Classified, Expect, Resealed, RowCipher, Rows, peel::Scratch, random::Generator};
use rayon::{
    ThreadPool, ThreadPoolBuilder,
    iter::{IntoParallelIterator, ParallelIterator},
};
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Rows of one job: enough to pay for handing it over, few enough that every thread gets some of a batch.
pub(crate) const ROWS_PER_JOB: usize = 64;

/// Threads that take a batch. Blocking: call it from `spawn_blocking` in async code.
pub struct Pool {
    threads: ThreadPool,
    /// one a thread, so that a lock is never waited for
    workers: Vec<Mutex<Worker>>,
    batches: AtomicU64,
}

/// Memory and nonces of one thread.
#[derive(Default)]
struct Worker {
    scratch: Scratch,
    generator: Generator,
}

impl Pool {
    /// `threads` workers (at least one); each has a ChaCha20 generator of its own, reseeded from the OS at every batch.
    ///
    /// # Panics
    /// Where the operating system gives no threads.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("crypto-{i}")).build();
        Self {
            threads: pool.unwrap_or_else(|e| panic!("{threads} threads for the cryptography: {e}")),
            workers: (0..threads).map(|_| Mutex::default()).collect(),
            batches: AtomicU64::new(1),
        }
    }

    /// Opens, seals, opens again and compares. Needs both keys.
    pub fn reseal<R: Rows>(&self, cipher: &RowCipher, rows: &R, expect: Expect) -> Resealed {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        let jobs = self.jobs(rows.len(), |worker, range| {
            worker.generator.begin(batch);
            cipher.reseal_rows(rows, range, expect, &mut worker.scratch, &mut worker.generator)
        });
        Resealed::new(cipher.slots(), jobs)
    }

    /// Says what stands there. Works with either key.
    pub fn classify<R: Rows>(&self, cipher: &RowCipher, rows: &R, expect: Expect) -> Classified {
        let jobs =
            self.jobs(rows.len(), |worker, range| cipher.classify_rows(rows, range, expect, &mut worker.scratch));
        Classified::new(cipher.slots(), jobs)
    }

    /// Runs `job` over ranges of rows, in order; each has a worker to itself, whose memory is wiped afterwards.
    fn jobs<T: Send>(&self, rows: usize, job: impl Fn(&mut Worker, std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
        let run = |i: usize| {
            let worker = &self.workers[rayon::current_thread_index().unwrap_or(0)];
            let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
            let start = i * ROWS_PER_JOB;
            let done = job(&mut worker, start..rows.min(start + ROWS_PER_JOB));
            worker.scratch.arena.wipe();
            done
        };
        self.threads.install(|| (0..rows.div_ceil(ROWS_PER_JOB)).into_par_iter().map(run).collect())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} threads)", self.workers.len())
    }
}
