//! From the store's rows to a report.
use crate::{
    BlindIndexReport, ColumnReport, Error, KeyReport, PassCounts, PassReport, Report, State, TableReport,
    counts::SlotCounts, held::HELD_REASON, owner::Owner,
};
use jiff::Timestamp;
use reencrypt_checkpoint::{Acceptance, ChunkTotal, Pass, Pause, QuarantineLine, Run, RunState, Store, Worker};
use reencrypt_db::{Transaction, shown};
use reencrypt_planner::{Order, Plan, PlanKey, TablePlan, counted};

/// A worker that was not heard of for so long is taken for dead.
const SILENT_MS: i64 = 15_000;

/// Everything that the store says of a run, read in one transaction.
pub(crate) struct Saw {
    pub(crate) run: Run,
    pub(crate) plan: Plan,
    pub(crate) passes: Vec<Pass>,
    pub(crate) totals: Vec<ChunkTotal>,
    pub(crate) quarantine: Vec<QuarantineLine>,
    pub(crate) acceptances: Vec<Acceptance>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) now_ms: i64,
}

impl Saw {
    pub(crate) async fn read(store: &Store, tx: &mut Transaction<'_>, run: Run) -> Result<Self, Error> {
        Ok(Self {
            plan: parse_plan(&run)?,
            passes: store.passes(tx, &run.id).await?,
            totals: store.chunk_totals(tx, &run.id).await?,
            quarantine: store.quarantine_lines(tx, &run.id).await?,
            acceptances: store.acceptances(tx).await?,
            workers: store.workers(tx, &run.id).await?,
            now_ms: store.now_ms(tx).await?,
            run,
        })
    }

    /// How many values of a line are accepted: all of them, or none once there is one more than was accepted.
    pub(crate) fn accepted(&self, line: &QuarantineLine) -> u64 {
        let table = self.plan.tables.get(line.table_no).map(|table| table.name.to_string()).unwrap_or_default();
        accepted(&self.acceptances, &table, &line.column, &line.class, line.count)
    }

    /// Quarantined values that nobody accepted.
    pub(crate) fn unaccepted(&self) -> u64 {
        self.quarantine.iter().map(|line| line.count - self.accepted(line)).sum()
    }

    /// The processes that are alive, as far as can be seen from here.
    pub(crate) fn living(&self) -> impl Iterator<Item = &Worker> {
        let this = Owner::this();
        self.workers.iter().filter(move |worker| worker.silent_ms < SILENT_MS && !this.is_dead(&worker.owner))
    }

    /// Whether a worker is alive.
    pub(crate) fn is_alive(&self) -> bool {
        self.living().next().is_some()
    }

    /// The pause that was asked for and is not over.
    pub(crate) fn pause(&self) -> Option<&Pause> {
        self.run.pause.as_ref().filter(|pause| pause.holds(self.now_ms))
    }

    /// The state as a person sees it.
    pub(crate) fn state(&self) -> State {
        match self.run.state {
            RunState::Running if self.pause().is_some() => State::Paused,
            RunState::Running if self.is_alive() => State::Running,
            RunState::Running => State::Stalled,
            RunState::Paused => State::Paused,
            RunState::Interrupted => State::Interrupted,
            RunState::AwaitingCutover => State::AwaitingCutover,
            RunState::Finished => State::Finished,
            RunState::Failed => State::Failed,
            RunState::Abandoned => State::Abandoned,
        }
    }

    /// The sums of one table over the passes that `which` takes: counts by slot, and rows.
    pub(crate) fn sums(&self, table_no: usize, which: impl Fn(u32) -> bool) -> Result<(SlotCounts, u64), Error> {
        let table =
            self.plan.tables.get(table_no).ok_or_else(|| Error::bug("a chunk of a table that the plan has not"))?;
        let slots = table.columns.len() + table.blind_indexes.len();
        let (mut sum, mut rows) = (SlotCounts::new(slots), 0);
        for total in self.totals.iter().filter(|total| total.table_no == table_no && which(total.pass)) {
            sum += &SlotCounts::from_json(&total.counts, slots)?;
            rows += total.rows;
        }
        Ok((sum, rows))
    }

    /// The report of the run as the store has it.
    pub(crate) fn report(&self, command: &'static str) -> Result<Report, Error> {
        let state = self.state();
        let unaccepted = self.unaccepted();
        let tables: Vec<_> =
            self.plan.tables.iter().enumerate().map(|(no, table)| self.table(no, table)).collect::<Result<_, _>>()?;
        Ok(Report {
            command,
            run_id: Some(self.run.id.clone()),
            plan_id: Some(self.run.plan_id.clone()),
            state: Some(state),
            exit_code: match state {
                State::Finished => u8::from(unaccepted > 0),
                State::AwaitingCutover | State::Paused => 1,
                State::Interrupted => 130,
                State::Failed => 2,
                _ => 0,
            },
            environment: self.run.environment.clone(),
            keys: keys(&self.plan),
            started_at: timestamp(Some(self.run.started_ms)),
            finished_at: timestamp(self.run.finished_ms),
            last_old_value_seen_at: timestamp(self.run.last_old_ms),
            passes: self.passes()?,
            tables,
            findings: self.plan.findings.clone(),
            exposure: Vec::new(),
            estimate: None,
            old_key_needed: None,
            reason: self.reason(state, unaccepted),
            next: Some(self.next(state, unaccepted)),
            error: None,
        })
    }

    fn passes(&self) -> Result<Vec<PassReport>, Error> {
        self.passes
            .iter()
            .map(|pass| {
                let mut report = PassReport { pass: pass.pass, seen: 0, rotated: 0, hashes_rewritten: 0 };
                for (no, table) in self.plan.tables.iter().enumerate() {
                    let (sum, _) = self.sums(no, |of| of == pass.pass)?;
                    let (fields, hashes) = sum.0.split_at(table.columns.len());
                    report.seen += fields.iter().map(|counts| counts.seen).sum::<u64>();
                    report.rotated += fields.iter().map(|counts| counts.rotated).sum::<u64>();
                    report.hashes_rewritten += hashes.iter().map(|counts| counts.rotated).sum::<u64>();
                }
                Ok(report)
            })
            .collect()
    }

    fn table(&self, no: usize, table: &TablePlan) -> Result<TableReport, Error> {
        let (first, rows) = self.sums(no, |pass| pass == 1)?;
        let (sweeps, _) = self.sums(no, |pass| pass > 1)?;
        let columns = table.columns.iter().zip(first.0.iter().zip(&sweeps.0)).map(|(column, (first, sweeps))| {
            let accepted = self
                .quarantine
                .iter()
                .filter(|line| line.table_no == no && line.column == column.column)
                .map(|line| self.accepted(line))
                .sum::<u64>();
            ColumnReport::run(&column.column, &column.write, first, sweeps, accepted.min(first.quarantined))
        });
        let columns = columns.collect();
        let (order, order_reason) = self.order(table);
        let at = table.columns.len();
        let blind_indexes = table
            .blind_indexes
            .iter()
            .enumerate()
            .map(|(n, index)| BlindIndexReport {
                column: index.column.clone(),
                of: index.of.clone(),
                rewritten: first.0[at + n].rotated + sweeps.0[at + n].rotated,
                old: 0,
                mismatched: first.0[at + n].mismatched,
            })
            .collect();
        Ok(TableReport {
            table: table.name.to_string(),
            rows,
            rows_per_second: None,
            order: Some(order),
            order_reason: Some(order_reason.to_owned()),
            columns,
            blind_indexes,
        })
    }

    /// The order in which a table is written, and why: the plan's, unless the run does otherwise now.
    fn order<'s>(&self, table: &'s TablePlan) -> (Order, &'s str) {
        match table.order {
            Order::Waves if self.state() != State::Running => {}
            Order::Waves if self.run.pass > 1 => return (Order::Key, "sweeps find few rows to change"),
            Order::Waves if self.living().any(|worker| worker.activity.snapshot_held) => {
                return (Order::Key, HELD_REASON);
            }
            Order::Waves | Order::Key => {}
        }
        (table.order, &table.order_reason)
    }

    fn reason(&self, state: State, unaccepted: u64) -> Option<String> {
        match state {
            State::AwaitingCutover => {
                let last = self.passes.last()?;
                let seconds = (last.finished_ms? - last.started_ms) as f64 / 1_000.0;
                let at = timestamp(self.run.last_old_ms).map(|at| format!(", the last at {at:.0}")).unwrap_or_default();
                if last.found() == 0 {
                    return Some(format!(
                        "the last sweep that was allowed rotated {} ({}), as many as an earlier pass had to leave alone at least: a further \
                         one must see that nothing else remains",
                        counted(last.rotated, "value", "values"),
                        self.where_rotated(last.pass)
                    ));
                }
                let besides = match last.retried {
                    0 => String::new(),
                    retried => format!(", of which {retried} at most had only been left alone by an earlier pass"),
                };
                Some(format!(
                    "values are still being written under the old key: the last sweep found {} in {seconds:.1} s ({}){besides}{at}",
                    last.rotated,
                    self.where_rotated(last.pass)
                ))
            }
            State::Finished if unaccepted > 0 => {
                let one = "value could not be rotated; it stands as it was, quarantined";
                Some(counted(unaccepted, one, "values could not be rotated; they stand as they were, quarantined"))
            }
            State::Paused if self.run.state == RunState::Paused => Some(
                "the canary's rows are rotated: look at them through the application, then go on, or `reencrypt abandon`"
                    .to_owned(),
            ),
            State::Failed => self.run.failure.clone(),
            // Whatever became of the processes, the pause waits for the next one.
            State::Paused | State::Stalled | State::Interrupted => self.pause().map(pause_reason),
            _ => None,
        }
    }

    /// The next command.
    fn next(&self, state: State, unaccepted: u64) -> String {
        let next = match state {
            State::Planned => "reencrypt run",
            State::Running => "reencrypt status --watch",
            State::Paused if self.run.state == RunState::Paused => "reencrypt run --resume",
            State::Paused if self.is_alive() => "reencrypt continue",
            State::Failed if self.pause().is_some() => {
                "put right what stopped it, then `reencrypt continue && reencrypt run --resume`"
            }
            State::Failed => "put right what stopped it, then `reencrypt run --resume`",
            State::Paused | State::Stalled | State::Interrupted if self.pause().is_some() => {
                "reencrypt continue && reencrypt run --resume"
            }
            State::Paused | State::Stalled | State::Interrupted => "reencrypt run --resume",
            State::AwaitingCutover if self.passes.last().is_some_and(|pass| pass.found() == 0) => {
                "reencrypt run --resume"
            }
            State::AwaitingCutover => "let every writer use the new key, then `reencrypt run --resume`",
            State::Finished if unaccepted > 0 => "reencrypt quarantine list",
            State::Finished => "reencrypt verify",
            State::Abandoned => "reencrypt plan",
        };
        next.to_owned()
    }

    /// The columns in which a pass rotated something, with how much.
    fn where_rotated(&self, pass: u32) -> String {
        let mut places = Vec::new();
        for (no, table) in self.plan.tables.iter().enumerate() {
            let Ok((sum, _)) = self.sums(no, |of| of == pass) else { continue };
            let names = table.columns.iter().map(|column| &column.column);
            let names = names.chain(table.blind_indexes.iter().map(|index| &index.column));
            places.extend(
                names
                    .zip(&sum.0)
                    .filter(|(_, counts)| counts.rotated > 0)
                    .map(|(name, counts)| format!("{}.{} {}", table.name, shown(name), counts.rotated)),
            );
        }
        places.join(", ")
    }
}

impl ColumnReport {
    fn run(column: &str, format: &str, first: &PassCounts, sweeps: &PassCounts, accepted: u64) -> Self {
        ColumnReport::Run {
            column: column.to_owned(),
            path: None,
            format: format.to_owned(),
            seen: first.seen,
            rotated: first.rotated,
            already_new: first.already_new,
            null: first.null,
            empty: first.empty,
            plaintext: first.plaintext,
            quarantined: first.quarantined,
            vanished: first.vanished,
            rotated_in_sweeps: sweeps.rotated,
            accepted,
        }
    }
}

/// The plan that the run is bound to.
pub(crate) fn parse_plan(run: &Run) -> Result<Plan, Error> {
    Ok(Plan::from_json(&run.plan)?)
}

/// Accepted values among `count`: all, or none once there are more than was accepted.
pub(crate) fn accepted(acceptances: &[Acceptance], table: &str, column: &str, class: &str, count: u64) -> u64 {
    let line = acceptances.iter().find(|line| line.table == table && line.column == column && line.class == class);
    line.filter(|line| line.accepted >= count).map_or(0, |_| count)
}

/// The fingerprints of a plan.
pub(crate) fn keys(plan: &Plan) -> Vec<KeyReport> {
    let report = |(name, key): (&String, &PlanKey)| KeyReport {
        name: name.clone(),
        old: key.old,
        new: key.new,
        old_version: key.old_version.clone(),
        new_version: key.new_version.clone(),
    };
    plan.keys.iter().map(report).collect()
}

/// Milliseconds as a time.
pub(crate) fn timestamp(ms: Option<i64>) -> Option<Timestamp> {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

/// How many of the encrypted values that the first pass saw stand under the new key.
pub(crate) fn share_new(report: &Report) -> (u64, u64) {
    let columns = report.tables.iter().flat_map(|table| &table.columns);
    columns.fold((0, 0), |(done, all), column| match column {
        ColumnReport::Run { rotated, already_new, quarantined, .. } => {
            (done + rotated + already_new, all + rotated + already_new + quarantined)
        }
        ColumnReport::Classes { .. } => (done, all),
    })
}

/// Why everything waits.
pub(crate) fn pause_reason(pause: &Pause) -> String {
    let until = timestamp(pause.until_ms).map(|until| format!(" until {until:.0}")).unwrap_or_default();
    let reason = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("a pause{until} was asked for{reason}")
}
