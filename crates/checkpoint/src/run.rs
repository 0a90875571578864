//! One rotation: its plan, its state, its passes, what happened in it.
use crate::{
    Error, Result, Store,
    store::{int, int_or_null, maybe_int, maybe_text, text, text_or_null},
};
use reencrypt_db::{Transaction, Value};

/// Where a run stands, as the store has it. Whether a `Running` run is alive is told by its workers, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Workers are, or were, on it.
    Running,
    /// A canary was rotated; somebody looks at it.
    Paused,
    /// Stopped by a signal.
    Interrupted,
    /// The old key is still being written with.
    AwaitingCutover,
    /// The last sweep found nothing old.
    Finished,
    /// Could not go on.
    Failed,
    /// Ended for good by a person.
    Abandoned,
}

impl RunState {
    /// The name in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Paused => "paused",
            RunState::Interrupted => "interrupted",
            RunState::AwaitingCutover => "awaiting_cutover",
            RunState::Finished => "finished",
            RunState::Failed => "failed",
            RunState::Abandoned => "abandoned",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        use RunState::*;
        [Running, Paused, Interrupted, AwaitingCutover, Finished, Failed, Abandoned]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(Error::Unreadable { what: "state" })
    }

    /// Whether the run's one unique row stands in the way of another run.
    pub fn is_unfinished(self) -> bool {
        !matches!(self, RunState::Finished | RunState::Abandoned)
    }
}

/// A run as read.
#[derive(Debug, Clone)]
pub struct Run {
    /// its id
    pub id: String,
    /// where it stands
    pub state: RunState,
    /// the plan's id
    pub plan_id: String,
    /// the plan as JSON
    pub plan: String,
    /// `[environment] name`
    pub environment: String,
    /// the pass being walked; 0 before the first
    pub pass: u32,
    /// sweeps are counted from this pass
    pub sweep_base: u32,
    /// `--max-sweeps`
    pub sweeps_max: u32,
    /// when it began
    pub started_ms: i64,
    /// when it ended
    pub finished_ms: Option<i64>,
    /// when a value under the old key was last found by a sweep
    pub last_old_ms: Option<i64>,
    /// when a pause was asked for
    pub paused_at_ms: Option<i64>,
    /// that pause
    pub pause: Option<Pause>,
    /// why it failed
    pub failure: Option<String>,
}

/// A pause asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// until when, if it ends by itself
    pub until_ms: Option<i64>,
    /// why
    pub reason: Option<String>,
}

impl Pause {
    /// Whether it is not over yet, by the database's clock.
    pub fn holds(&self, now_ms: i64) -> bool {
        self.until_ms.is_none_or(|until_ms| until_ms > now_ms)
    }
}

/// What a new run begins with.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// its id
    pub id: &'a str,
    /// the plan's id
    pub plan_id: &'a str,
    /// the plan as JSON
    pub plan: &'a str,
    /// `[environment] name`
    pub environment: &'a str,
    /// `--max-sweeps`
    pub sweeps_max: u32,
}

/// One pass with its sums, complete once `finished_ms` is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// 1 is the first, then sweeps
    pub pass: u32,
    /// when it began
    pub started_ms: i64,
    /// when it ended
    pub finished_ms: Option<i64>,
    /// fields seen
    pub seen: u64,
    /// fields and hashes given a new value
    pub rotated: u64,
    /// at most so many of them stood in quarantine until then, although they could be read
    pub retried: u64,
}

impl Pass {
    /// How many values it found under the old key that no earlier pass had seen, at least.
    pub fn found(&self) -> u64 {
        self.rotated.saturating_sub(self.retried)
    }
}

/// The sums with which a pass ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassEnd {
    /// fields seen
    pub seen: u64,
    /// fields and hashes given a new value
    pub rotated: u64,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// its number
    pub n: u64,
    /// when
    pub at_ms: i64,
    /// who
    pub actor: String,
    /// what
    pub kind: String,
    /// the rest, in words
    pub detail: String,
}

const COLUMNS: &str = "id, state, plan_id, plan, environment, pass, sweep_base, sweeps_max, started_ms, finished_ms, \
                       last_old_ms, paused_at_ms, paused_until_ms, pause_reason, failure";

impl Store {
    /// Makes a run, unless one is unfinished: then nothing is written and `false` comes back.
    pub async fn start_run(&self, tx: &mut Transaction<'_>, new: &NewRun<'_>) -> Result<bool> {
        let sql = "INSERT INTO {run} (id, state, plan_id, plan, environment, sweeps_max, started_ms, tool_version) \
                   VALUES ($1, 'running', $2, $3, $4, $5, {now}, $6) ON CONFLICT DO NOTHING";
        let args = [
            Value::Text(new.id.to_owned()),
            Value::Text(new.plan_id.to_owned()),
            Value::Text(new.plan.to_owned()),
            Value::Text(new.environment.to_owned()),
            Value::Int(i64::from(new.sweeps_max)),
            Value::Text(env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Ok(self.execute(tx, sql, &args).await? == 1)
    }

    /// The run that is unfinished, if there is one.
    pub async fn unfinished_run(&self, tx: &mut Transaction<'_>) -> Result<Option<Run>> {
        let sql = format!("SELECT {COLUMNS} FROM {{run}} WHERE state NOT IN ('finished', 'abandoned')");
        self.fetch(tx, &sql, &[]).await?.first().map(|row| run(row)).transpose()
    }

    /// The run begun last, if there is one.
    pub async fn last_run(&self, tx: &mut Transaction<'_>) -> Result<Option<Run>> {
        let sql = format!("SELECT {COLUMNS} FROM {{run}} ORDER BY started_ms DESC, id LIMIT 1");
        self.fetch(tx, &sql, &[]).await?.first().map(|row| run(row)).transpose()
    }

    /// All runs, oldest first.
    pub async fn runs(&self, tx: &mut Transaction<'_>) -> Result<Vec<Run>> {
        let sql = format!("SELECT {COLUMNS} FROM {{run}} ORDER BY started_ms, id");
        self.fetch(tx, &sql, &[]).await?.iter().map(|row| run(row)).collect()
    }

    /// The run of that id.
    pub async fn run(&self, tx: &mut Transaction<'_>, id: &str) -> Result<Option<Run>> {
        let sql = format!("SELECT {COLUMNS} FROM {{run}} WHERE id = $1");
        self.fetch(tx, &sql, &[Value::Text(id.to_owned())]).await?.first().map(|row| run(row)).transpose()
    }

    /// Moves the run from one of `from` to `to`, as one compare-and-set; `false` if it stood elsewhere.
    pub async fn set_state(
        &self,
        tx: &mut Transaction<'_>,
        id: &str,
        from: &[RunState],
        to: RunState,
        failure: Option<&str>,
    ) -> Result<bool> {
        let from: Vec<_> = from.iter().map(|state| format!("'{}'", state.as_str())).collect();
        let finished = if matches!(to, RunState::Running | RunState::Paused) { "NULL" } else { "{now}" };
        let sql = format!(
            "UPDATE {{run}} SET state = $2, failure = $3, finished_ms = {finished} WHERE id = $1 AND state IN ({})",
            from.join(", ")
        );
        let args = [Value::Text(id.to_owned()), Value::Text(to.as_str().to_owned()), maybe_text(failure)];
        Ok(self.execute(tx, &sql, &args).await? == 1)
    }

    /// Counts the sweeps allowed from the run's present pass on: a run that goes on after a cutover has them all again.
    pub async fn allow_sweeps(&self, tx: &mut Transaction<'_>, id: &str, sweeps_max: u32) -> Result<()> {
        let sql =
            "UPDATE {run} SET sweep_base = CASE WHEN pass > 1 THEN pass ELSE 1 END, sweeps_max = $2 WHERE id = $1";
        self.execute(tx, sql, &[Value::Text(id.to_owned()), Value::Int(i64::from(sweeps_max))]).await?;
        Ok(())
    }

    /// Asks every worker of the run to wait, or takes that back.
    pub async fn set_pause(&self, tx: &mut Transaction<'_>, id: &str, pause: Option<&Pause>) -> Result<()> {
        let sql = match pause {
            Some(_) => "UPDATE {run} SET paused_at_ms = {now}, paused_until_ms = $2, pause_reason = $3 WHERE id = $1",
            None => "UPDATE {run} SET paused_at_ms = NULL, paused_until_ms = $2, pause_reason = $3 WHERE id = $1",
        };
        let args = [
            Value::Text(id.to_owned()),
            maybe_int(pause.and_then(|pause| pause.until_ms)),
            maybe_text(pause.and_then(|pause| pause.reason.as_deref())),
        ];
        self.execute(tx, sql, &args).await?;
        Ok(())
    }

    /// Enters the next pass, as one compare-and-set on the run: only from `pass`, only while it is running, only when
    /// nothing of that pass is left. `false` when another worker was first.
    pub async fn enter_pass(&self, tx: &mut Transaction<'_>, id: &str, pass: u32) -> Result<bool> {
        let sql = "UPDATE {run} SET pass = pass + 1 WHERE id = $1 AND pass = $2 AND state = 'running' \
                   AND NOT EXISTS (SELECT 1 FROM {chunk} c WHERE c.run_id = $1 AND c.pass = $2 AND c.done = 0) \
                   AND NOT EXISTS (SELECT 1 FROM {walk} w WHERE w.run_id = $1 AND w.pass = $2 AND w.carved = 0)";
        let args = [Value::Text(id.to_owned()), Value::Int(i64::from(pass))];
        if self.execute(tx, sql, &args).await? != 1 {
            return Ok(false);
        }
        let sql = "INSERT INTO {pass} (run_id, pass, started_ms) VALUES ($1, $2, {now})";
        self.execute(tx, sql, &[Value::Text(id.to_owned()), Value::Int(i64::from(pass) + 1)]).await?;
        Ok(true)
    }

    /// Ends a pass with its sums, once, only when nothing of it is left; forgets the quarantined values that it did not
    /// see again, and keeps how many of them were of these classes; `false` when another worker was first.
    pub async fn end_pass(
        &self,
        tx: &mut Transaction<'_>,
        id: &str,
        pass: u32,
        end: PassEnd,
        classes: [&str; 2],
    ) -> Result<bool> {
        let sql = "UPDATE {pass} SET finished_ms = {now}, seen = $3, rotated = $4, retried = (SELECT count(*) FROM {quarantine} q \
                   WHERE q.run_id = $1 AND q.pass < $2 AND q.class IN ($5, $6)) \
                   WHERE run_id = $1 AND pass = $2 AND finished_ms IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM {chunk} c WHERE c.run_id = $1 AND c.pass = $2 AND c.done = 0) \
                   AND NOT EXISTS (SELECT 1 FROM {walk} w WHERE w.run_id = $1 AND w.pass = $2 AND w.carved = 0)";
        let args = [
            Value::Text(id.to_owned()),
            Value::Int(i64::from(pass)),
            Value::Int(end.seen as i64),
            Value::Int(end.rotated as i64),
            Value::Text(classes[0].to_owned()),
            Value::Text(classes[1].to_owned()),
        ];
        if self.execute(tx, sql, &args).await? != 1 {
            return Ok(false);
        }
        let args = &args[..2];
        if pass > 1 && end.rotated > 0 {
            self.execute(tx, "UPDATE {run} SET last_old_ms = {now} WHERE id = $1 AND pass = $2", args).await?;
        }
        self.execute(tx, "DELETE FROM {quarantine} WHERE run_id = $1 AND pass < $2", args).await?;
        Ok(true)
    }

    /// The run's passes, in order.
    pub async fn passes(&self, tx: &mut Transaction<'_>, id: &str) -> Result<Vec<Pass>> {
        let sql =
            "SELECT pass, started_ms, finished_ms, seen, rotated, retried FROM {pass} WHERE run_id = $1 ORDER BY pass";
        let rows = self.fetch(tx, sql, &[Value::Text(id.to_owned())]).await?;
        rows.iter()
            .map(|row| {
                Ok(Pass {
                    pass: int(row.first())? as u32,
                    started_ms: int(row.get(1))?,
                    finished_ms: int_or_null(row.get(2))?,
                    seen: int(row.get(3))? as u64,
                    rotated: int(row.get(4))? as u64,
                    retried: int(row.get(5))? as u64,
                })
            })
            .collect()
    }

    /// Writes down that something happened.
    pub async fn add_event(
        &self,
        tx: &mut Transaction<'_>,
        id: &str,
        actor: &str,
        kind: &str,
        detail: &str,
    ) -> Result<()> {
        let sql = "INSERT INTO {event} (run_id, n, at_ms, actor, kind, detail) \
                   VALUES ($1, (SELECT coalesce(max(n), 0) + 1 FROM {event} WHERE run_id = $1), {now}, $2, $3, $4)";
        let args = [id, actor, kind, detail].map(|text| Value::Text(text.to_owned()));
        // Numbers are taken one by one: the run's row is the queue.
        self.fetch(tx, "SELECT id FROM {run} WHERE id = $1 {for_update}", &args[..1]).await?;
        self.execute(tx, sql, &args).await?;
        Ok(())
    }

    /// The last `limit` events, oldest first.
    pub async fn events(&self, tx: &mut Transaction<'_>, id: &str, limit: u32) -> Result<Vec<Event>> {
        let sql = "SELECT n, at_ms, actor, kind, detail FROM {event} WHERE run_id = $1 ORDER BY n DESC LIMIT $2";
        let rows = self.fetch(tx, sql, &[Value::Text(id.to_owned()), Value::Int(i64::from(limit))]).await?;
        rows.iter()
            .rev()
            .map(|row| {
                Ok(Event {
                    n: int(row.first())? as u64,
                    at_ms: int(row.get(1))?,
                    actor: text(row.get(2))?,
                    kind: text(row.get(3))?,
                    detail: text(row.get(4))?,
                })
            })
            .collect()
    }
}

fn run(row: &[Value]) -> Result<Run> {
    Ok(Run {
        id: text(row.first())?,
        state: RunState::parse(&text(row.get(1))?)?,
        plan_id: text(row.get(2))?,
        plan: text(row.get(3))?,
        environment: text(row.get(4))?,
        pass: int(row.get(5))? as u32,
        sweep_base: int(row.get(6))? as u32,
        sweeps_max: int(row.get(7))? as u32,
        started_ms: int(row.get(8))?,
        finished_ms: int_or_null(row.get(9))?,
        last_old_ms: int_or_null(row.get(10))?,
        paused_at_ms: int_or_null(row.get(11))?,
        pause: match int_or_null(row.get(11))? {
            None => None,
            Some(_) => Some(Pause { until_ms: int_or_null(row.get(12))?, reason: text_or_null(row.get(13))? }),
        },
        failure: text_or_null(row.get(14))?,
    })
}
