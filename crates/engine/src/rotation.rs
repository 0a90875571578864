//! What all workers of one process share, and their life from start to end.
use crate::{
    Context, Error, Event, RunOptions,
    ceiling::Tally,
    control::{asked_pause, watch_run},
    failpoint::failpoint,
    held::Held,
    load::{Load, Looks},
    nonces::Nonces,
    owner::Owner,
    pace::Pace,
    waits::Waits,
    walk,
    worker::{End, Worker},
};
use reencrypt_checkpoint::{Activity, Pause, RunState, Store};
use reencrypt_db::{Dialect, Limits, Mode, Session, Verdict};
use reencrypt_planner::{BoundTable, Plan};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

/// How long a chunk is leased without a committed batch.
pub(crate) const LEASE_MS: u32 = 15_000;
/// How long a process that is asked to stop tries to say so in the store, and to read its report there.
pub(crate) const LEAVE_MAX: Duration = Duration::from_secs(4);
/// A window takes at most so many seconds of the row budget.
const WINDOW_S: u32 = 10;
/// Bytes of fields in the windows of all workers.
const WINDOWS_BYTES_MAX: usize = 96 << 20;

/// One process's part of a run.
pub(crate) struct Rotation {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Store,
    pub(crate) run_id: String,
    pub(crate) plan: Plan,
    pub(crate) options: RunOptions,
    pub(crate) workers: usize,
    pub(crate) batch_rows: u32,
    /// Rows of a window that is written in waves.
    pub(crate) window_rows: u32,
    /// Bytes of fields after which a window takes no more rows.
    pub(crate) window_bytes_max: usize,
    pub(crate) owner: Owner,
    pub(crate) pace: Pace,
    pub(crate) load: Load,
    pub(crate) nonces: Nonces,
    pub(crate) pause: watch::Receiver<Option<Pause>>,
    pub(crate) waits: Arc<Waits>,
    /// Values that a person has accepted, by position of table and column.
    pub(crate) accepted: HashMap<(usize, String), u64>,
    tables: Mutex<Arc<Vec<BoundTable>>>,
    pub(crate) tally: Mutex<Tally>,
    settled: Mutex<BTreeMap<(String, u32), Stretch>>,
    last_commit: Mutex<Instant>,
    told_pass: AtomicU32,
    pub(crate) held: Mutex<Held>,
}

impl Rotation {
    /// The tables as they are bound now.
    pub(crate) fn tables(&self) -> Arc<Vec<BoundTable>> {
        lock(&self.tables).clone()
    }

    /// Joins the plan with the catalog again: partitions come and go while a run lasts.
    pub(crate) async fn rebind(&self, session: &mut Session) -> Result<Arc<Vec<BoundTable>>, Error> {
        let mut tx = session.begin(Mode::Read).await?;
        let tables = Arc::new(reencrypt_planner::bind(&mut tx, &self.plan, &self.context.keys).await?);
        tx.commit().await?;
        *lock(&self.tables) = tables.clone();
        Ok(tables)
    }

    /// The tables, bound again where this leaf is not among them: another process may have found a partition that is new.
    pub(crate) async fn tables_with(
        &self,
        session: &mut Session,
        table_no: usize,
        leaf: &str,
    ) -> Result<Arc<Vec<BoundTable>>, Error> {
        let tables = self.tables();
        match tables.get(table_no).and_then(|table| walk::leaf(table, leaf)) {
            Some(_) => Ok(tables),
            None => self.rebind(session).await,
        }
    }

    /// Whether a stop or a pause is asked for.
    pub(crate) fn is_stop_or_pause_asked(&self) -> bool {
        self.context.stop.is_requested() || self.pause.borrow().is_some()
    }

    /// Resolves when a stop or a pause is asked for.
    pub(crate) async fn stop_or_pause_asked(&self) {
        let mut pause = self.pause.clone();
        tokio::select! {
            Ok(_) = pause.wait_for(Option::is_some) => {}
            () = self.context.stop.requested() => {}
        }
    }

    /// What is read, unless a stop or a pause is asked for first (`None`), since it may have to wait for somebody's lock: `slow` says so where it takes long.
    pub(crate) async fn unless_asked<T>(
        &self,
        slow: String,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Error> {
        let waiter = self.waits.waiter();
        tokio::select! {
            read = waiter.during(slow, read) => read.map(Some),
            () = self.stop_or_pause_asked() => Ok(None),
        }
    }

    /// What this process does, for whoever asks the store.
    pub(crate) fn activity(&self) -> Activity {
        Activity {
            waiting: self.waits.reason(),
            gives_way: self.load.gives_way(),
            snapshot_held: lock(&self.held).is_held(),
            rows_per_second_max: self.options.rows_per_second_max,
        }
    }

    /// Sleeps, unless a stop is asked for.
    pub(crate) async fn sleep(&self, time: Duration) {
        if time > Duration::ZERO {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.context.stop.requested() => {}
            }
        }
    }

    /// Ends the leases of processes of this machine that are no more; says whether there were any.
    pub(crate) async fn bury_dead(&self, session: &mut Session) -> Result<bool, Error> {
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        let owners = self.store.owners(&mut tx, &self.run_id).await?;
        let dead: Vec<_> = owners.iter().filter(|owner| self.owner.is_dead(owner)).collect();
        for owner in &dead {
            self.store.release_owner(&mut tx, &self.run_id, owner).await?;
        }
        tx.commit().await?;
        if !dead.is_empty() {
            let message = "took over the work of a process that is no more".to_owned();
            self.context.observer.event(&Event::Note { message });
        }
        Ok(!dead.is_empty())
    }

    /// Adds rows that this process settled.
    pub(crate) fn add_rows(&self, table: &BoundTable, pass: u32, rows: u64) {
        let mut settled = lock(&self.settled);
        let stretch = settled.entry((table.plan.name.to_string(), pass)).or_default();
        stretch.rows += rows;
        stretch.last = Some(Instant::now());
        *lock(&self.last_commit) = Instant::now();
    }

    /// When a worker of this process last committed a batch, or the process began.
    pub(crate) fn last_commit(&self) -> Instant {
        *lock(&self.last_commit)
    }

    /// Says that this process works in a pass, if it did not say so before.
    pub(crate) fn tell_pass(&self, pass: u32) {
        if self.told_pass.fetch_max(pass, Ordering::Relaxed) < pass {
            let rows = self.tables().iter().map(|table| table.table.rows_estimate()).sum();
            self.context.observer.event(&Event::PassStarted { pass, rows });
        }
    }

    /// Says that this process begins with a table in a pass, if it did not before.
    pub(crate) fn begin_table(&self, table: &BoundTable, pass: u32) {
        let mut settled = lock(&self.settled);
        let stretch = settled.entry((table.plan.name.to_string(), pass)).or_default();
        stretch.first.get_or_insert_with(Instant::now);
    }
}

/// What this process did of one table in one pass.
#[derive(Debug, Default, Clone, Copy)]
struct Stretch {
    rows: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Rows a second by table, in the first pass of each that this process took part in.
fn rates(settled: &BTreeMap<(String, u32), Stretch>) -> BTreeMap<String, f64> {
    let mut rates = BTreeMap::new();
    for ((table, _), stretch) in settled {
        if let (Some(first), Some(last)) = (stretch.first, stretch.last) {
            let seconds = last.saturating_duration_since(first).as_secs_f64().max(0.001);
            rates.entry(table.clone()).or_insert(stretch.rows as f64 / seconds);
        }
    }
    rates
}

/// A process's part from its start to its end.
pub(crate) struct Started {
    pub(crate) context: Arc<Context>,
    pub(crate) store: Store,
    pub(crate) run_id: String,
    pub(crate) plan: Plan,
    pub(crate) options: RunOptions,
    pub(crate) workers: usize,
    pub(crate) tables: Vec<BoundTable>,
    pub(crate) accepted: HashMap<(usize, String), u64>,
    /// At the load of the database, before the first batch.
    pub(crate) looks: Looks,
    /// What earlier processes of the run found, by pass, table and column.
    pub(crate) tally: Tally,
}

impl Started {
    /// Works until the run has ended or cannot go on here: how it ended, and the rows a second that this process settled of each table in the first pass that it took part in. Errors are returned
    /// after the run's state says so.
    pub(crate) async fn work(self) -> Result<(End, BTreeMap<String, f64>), Error> {
        // A pause that was asked for while nobody worked holds before the first batch.
        let mut session = self.context.database.session().await?;
        let (pause_sender, pause) = watch::channel(asked_pause(&self.store, &mut session, &self.run_id).await?);
        let dialect = self.context.database.dialect();
        let per_second = self.options.rows_per_second_max.unwrap_or(u32::MAX);
        // Who asks for a speed asks for an even one; and of a size that was asked for too a batch takes at most about a second of the budget, so that a stop, a pause and
        // the lease are never far.
        let batch_rows = match self.options.batch_rows {
            Some(rows) => rows.min(per_second),
            None => reencrypt_planner::batch_rows(dialect).min(per_second / batches_per_second_min(dialect)),
        };
        let batch_rows = batch_rows.max(1);
        let rotation = Arc::new(Rotation {
            workers: self.workers,
            batch_rows,
            // The longer ago a row was read, the more likely it has changed.
            window_rows: reencrypt_planner::window_rows(batch_rows)
                .min(per_second.saturating_mul(WINDOW_S))
                .max(batch_rows),
            // Each worker holds the window that it writes and the one that it reads.
            window_bytes_max: WINDOWS_BYTES_MAX / (2 * self.workers.max(1)),
            pace: Pace::new(self.options.rows_per_second_max),
            load: Load::new(self.looks),
            nonces: Nonces::new(&self.context, &self.plan)?,
            store: self.store,
            run_id: self.run_id,
            plan: self.plan,
            owner: Owner::this(),
            pause,
            waits: Waits::new(self.context.observer.clone(), self.workers),
            accepted: self.accepted,
            tables: Mutex::new(Arc::new(self.tables)),
            tally: Mutex::new(self.tally),
            settled: Mutex::default(),
            last_commit: Mutex::new(Instant::now()),
            told_pass: AtomicU32::default(),
            held: Mutex::default(),
            options: self.options,
            context: self.context,
        });
        failpoint!("engine::run_started");
        rotation.bury_dead(&mut session).await?;
        if rotation.load.gives_way() {
            rotation.tell_load(&mut session).await?;
        }
        session.close().await;
        let watcher = tokio::spawn(watch_run(rotation.clone(), pause_sender));
        let end = run_workers(&rotation, self.workers).await;
        watcher.abort();
        let end = leave(&rotation, end).await?;
        Ok((end, rates(&lock(&rotation.settled))))
    }
}

/// A row budget is spent in so many batches a second, or more, unless their size was asked for: small ones stand in nobody's way for long, but on SQLite each
/// takes the file from the application.
fn batches_per_second_min(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Postgres => 80,
        Dialect::Sqlite => 20,
    }
}

async fn run_workers(rotation: &Arc<Rotation>, workers: usize) -> Result<End, Error> {
    let mut set = JoinSet::new();
    for number in 0..workers {
        set.spawn(Worker::new(rotation.clone(), number).work());
    }
    let mut end = Ok(End::Stopped);
    while let Some(result) = set.join_next().await {
        let result = result.unwrap_or_else(|_| Err(Error::bug("a worker panicked")));
        match (&end, result) {
            // The first error is the one to tell; the others finish their transaction and give their chunks back.
            (Ok(_), Err(error)) => {
                rotation.context.stop.request();
                end = Err(error);
            }
            (Ok(End::Stopped), Ok(other)) => end = Ok(other),
            _ => {}
        }
    }
    end
}

/// Leaves the run: what its row says afterwards is true also for somebody who only reads that row. Where the run is over by then, that is how it
/// ended, whatever became of a worker's connection.
async fn leave(rotation: &Rotation, end: Result<End, Error>) -> Result<End, Error> {
    let (state, failure) = match &end {
        Ok(End::Stopped) => (Some(RunState::Interrupted), None),
        Ok(End::State(_)) => (None, None),
        Err(error) => (Some(RunState::Failed), Some(error.code().to_owned())),
    };
    let left = async {
        let mut session = rotation.context.database.session().await?;
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        rotation.store.retire(&mut tx, &rotation.run_id, &rotation.owner.name(0)).await?;
        let run = rotation.store.run(&mut tx, &rotation.run_id).await?;
        let over = run.map(|run| run.state).filter(|state| *state != RunState::Running);
        let others = rotation.store.workers(&mut tx, &rotation.run_id).await?;
        let alone = !others.iter().any(|other| other.silent_ms < i64::from(LEASE_MS));
        let for_all = end.as_ref().is_err_and(|error| matches!(error.code(), "ceiling_reached" | "unreadable_value"));
        if let Some(state) = state.filter(|_| alone || for_all) {
            rotation
                .store
                .set_state(&mut tx, &rotation.run_id, &[RunState::Running], state, failure.as_deref())
                .await?;
        }
        let moot = match &end {
            Ok(_) => true,
            Err(error) => !matches!(error.verdict(), Verdict::Refused | Verdict::Fatal),
        };
        let over = over.filter(|_| moot);
        let (kind, detail) = match (&end, &over) {
            (_, Some(state)) | (Ok(End::State(state)), None) => ("left", state.as_str().to_owned()),
            (Ok(End::Stopped), None) => ("interrupted", String::new()),
            (Err(error), None) => ("failed", error.code().to_owned()),
        };
        rotation.store.add_event(&mut tx, &rotation.run_id, &rotation.context.actor, kind, &detail).await?;
        tx.commit().await?;
        Ok::<_, Error>(over)
    };
    // Whoever asked for a stop waits for nobody who keeps the store locked.
    let left = match &end {
        Ok(End::Stopped) => tokio::time::timeout(LEAVE_MAX, left).await.unwrap_or_else(|_| {
            tracing::warn!("the run's row could not be updated in time on leaving");
            Ok(None)
        }),
        _ => left.await,
    };
    match (left, end) {
        (Ok(Some(state)), _) => Ok(End::State(state)),
        (Ok(None), end) | (Err(_), end @ Err(_)) => end,
        // The chunks' leases run out by themselves; the run can be resumed as after a kill.
        (Err(error), end) => {
            tracing::warn!(code = error.code(), "the run's row could not be updated on leaving");
            end
        }
    }
}

/// Locks, also after a panic elsewhere: what is guarded here is only ever replaced whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
