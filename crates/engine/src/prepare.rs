//! Everything before the first write.
use crate::{
    Approved, BlindIndexReport, ColumnReport, Context, Error, Event, Report, RunOptions, State, TableReport,
    ceiling::Tally,
    control,
    load::{Look, Looks},
    past::Past,
    rotation::{LEAVE_MAX, Started},
    summary::{self, Saw},
    worker::End,
};
use reencrypt_checkpoint::{NewRun, Run, RunState, Store};
use reencrypt_crypto::Refusal;
use reencrypt_db::{Dialect, Limits, Mode, Server, Session, TlsMode};
use reencrypt_planner::{Configuration, Discovery, Finding, GateCounts, Plan, Severity, SurveyOptions};
use std::{collections::HashMap, sync::Arc};

/// What goes on with a run that was stopped.
const RESUME: &str = "reencrypt run --resume";

/// Values per column that are looked at before a run.
const RUN_SAMPLE: u32 = 1_000;

/// The code of a database in which nothing is to be rotated.
pub(crate) const NOTHING_FOUND: &str = "nothing_found";

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// `run`: refused while a run is unfinished
    Run,
    /// `run --resume`: starts, continues, or goes on sweeping
    Resume,
    /// `sweep`: further passes of the last run, without the first
    Sweep,
}

impl Intent {
    fn command(self) -> &'static str {
        match self {
            Intent::Run | Intent::Resume => "run",
            Intent::Sweep => "sweep",
        }
    }
}

/// A run that may start: the question can be asked now.
pub struct Prepared {
    context: Arc<Context>,
    store: Store,
    plan: Plan,
    options: RunOptions,
    intent: Intent,
    /// The run that goes on.
    run: Option<Run>,
    workers: usize,
    /// at the load of the database
    looks: Looks,
    /// how the way to the server is protected, where it leaves this machine
    tls: Option<TlsMode>,
    accepted: HashMap<(usize, String), u64>,
}

/// `plan`: draft, survey, findings as a report with exit code 0 or 1, and the plan's value for `--out`. Needs SELECT alone. `broken` is what
/// is wrong with keys that could not be read; discovery then tries the others.
pub async fn plan(
    context: &Context,
    tables: &[String],
    options: SurveyOptions,
    broken: Vec<Finding>,
) -> Result<(Plan, Report), Error> {
    let mut session = context.database.session().await?;
    let past = Past::read(&mut session).await;
    let (configuration, found) = configuration(context, &mut session, options.sample, broken).await?;
    let mut plan = draft(context, &mut session, &configuration, tables, false).await?;
    add(&mut plan, found);
    // Discovery has just looked at every column.
    let options = SurveyOptions { discover: options.discover && !context.configuration.tables.is_empty(), ..options };
    survey(context, &mut session, &mut plan, &configuration, options, &past).await?;
    session.close().await;
    let report = report_of_plan(&plan);
    Ok((plan, report))
}

/// Makes the plan, judges the gate, looks at the store; refuses with an [`Error`] before anything is written.
pub async fn prepare(context: Arc<Context>, options: RunOptions, intent: Intent) -> Result<Prepared, Error> {
    let mut session = context.database.session().await?;
    for (name, pair) in &context.keys {
        if pair.old.is_none() || pair.new.is_none() {
            let missing = if pair.old.is_none() { "old" } else { "new" };
            return Err(Error::refused(
                "key_missing",
                format!("a run needs both keys of the pair {name}; the {missing} one is not there"),
                format!(
                    "set `[key.{name}] {missing}` in reencrypt.toml, or {}_KEY in the environment",
                    missing.to_uppercase()
                ),
            ));
        }
    }
    let store = Store::new(context.database.dialect());
    // What the role lacks is better said by the plan's findings, with the GRANT that is missing.
    let (run, hidden) = match existing_run(&store, &mut session, intent).await {
        Ok(run) => (run, None),
        Err(error) if error.code() == "privilege_missing" => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let run_id = run.as_ref().map(|run| run.id.as_str());
    let mut looks = Looks::default();
    look(&store, &mut session, run_id, &options, &mut looks).await;
    let (configuration, found) = match &run {
        // Discovery on half-rotated data could find something else than it did when the run began.
        Some(run) if context.configuration.tables.is_empty() => {
            let plan = summary::parse_plan(run)?;
            let configuration = context.configuration.clone();
            (Configuration { tables: plan.table_settings(), layouts: plan.layouts, ..configuration }, Vec::new())
        }
        _ => configuration(&context, &mut session, RUN_SAMPLE, Vec::new()).await?,
    };
    let tables = narrowed(&options, run.as_ref())?;
    let mut plan = draft(&context, &mut session, &configuration, &tables, true).await?;
    add(&mut plan, found);
    let past = Past::read(&mut session).await;
    if let Some(run) = &run {
        let bound = summary::parse_plan(run)?;
        same_plan(&bound, &plan)?;
        refuse_findings(&plan.findings, fails)?;
        plan = bound;
    } else {
        refuse_findings(&plan.findings, fails)?;
        if let Some(error) = hidden {
            return Err(error);
        }
        let survey_options = SurveyOptions {
            sample: RUN_SAMPLE,
            ceiling: options.ceiling,
            discover: !context.configuration.tables.is_empty(),
            ..SurveyOptions::default()
        };
        survey(&context, &mut session, &mut plan, &configuration, survey_options, &past).await?;
        refuse_findings(&plan.findings, fails)?;
    }
    approved(&options, &plan)?;
    let server = server(&mut session).await?;
    let workers = workers(&options, context.database.dialect(), &server);
    look(&store, &mut session, run_id, &options, &mut looks).await;
    session.close().await;
    Ok(Prepared {
        accepted: past.accepted_by_column(&plan),
        context,
        store,
        plan,
        options,
        intent,
        run,
        workers,
        looks,
        tls: server.tls,
    })
}

/// Looks how busy the database is. What cannot be seen is looked for again while the run goes on.
async fn look(store: &Store, session: &mut Session, run_id: Option<&str>, options: &RunOptions, looks: &mut Looks) {
    if options.rows_per_second_max.is_none()
        && let Ok(Some(look)) = Look::now(store, session, run_id).await
    {
        looks.take(look);
    }
}

/// A run that could not start, or not go on.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Halted {
    /// the run, once it was made or goes on
    pub run_id: Option<String>,
    /// why
    pub error: Error,
}

impl Prepared {
    /// The plan that will run (of the store when a run goes on).
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The run goes on rather than starts; then no question is asked.
    pub fn resumes(&self) -> bool {
        self.run.is_some()
    }

    /// Rotates until finished, awaiting cutover, paused by a canary, stopped or failed. The report has its exit code.
    pub async fn execute(self) -> Result<Report, Halted> {
        let mut run_id = self.run.as_ref().map(|run| run.id.clone());
        let context = self.context.clone();
        let rotated = self.rotate(&mut run_id).await;
        control::explained(&context, rotated).await.map_err(|error| Halted { run_id, error })
    }

    async fn rotate(self, started: &mut Option<String>) -> Result<Report, Error> {
        let mut session = self.context.database.session().await?;
        self.store.migrate(&mut session).await?;
        // Bound before it is started: what cannot be walked leaves no run behind.
        let mut tx = session.begin(Mode::Read).await?;
        let tables = reencrypt_planner::bind(&mut tx, &self.plan, &self.context.keys).await?;
        tx.commit().await?;
        let run_id = self.start(&mut session).await?;
        *started = Some(run_id.clone());
        self.record_weak_tls(&mut session, &run_id).await?;
        let tally = tally(&self.store, &mut session, &run_id, &self.plan).await?;
        session.close().await;
        let event = Event::RunStarted { run_id: run_id.clone(), resumed: self.resumes(), workers: self.workers };
        self.context.observer.event(&event);
        let started = Started {
            context: self.context.clone(),
            store: self.store,
            run_id: run_id.clone(),
            plan: self.plan,
            options: self.options,
            workers: self.workers,
            tables,
            accepted: self.accepted,
            looks: self.looks,
            tally,
        };
        let (end, rates) = started.work().await?;
        let report = report(&self.context, &self.store, &run_id, self.intent.command());
        let mut report = match end {
            End::Stopped => {
                tokio::time::timeout(LEAVE_MAX, report).await.ok().and_then(Result::ok).ok_or_else(|| {
                    Error::refused(
                        "interrupted",
                        "stopped by a signal; the run's record could not be read",
                        format!("`{RESUME}` goes on"),
                    )
                })?
            }
            End::State(_) => report.await?,
        };
        if report.state == Some(State::Abandoned) {
            return Err(ended(&run_id));
        }
        if end == End::Stopped {
            report.exit_code = 130;
            if report.state.replace(State::Interrupted) == Some(State::Running) {
                // Its row could not be told.
                report.next = Some(RESUME.to_owned());
            }
        }
        for table in &mut report.tables {
            table.rows_per_second = rates.get(&table.table).copied();
        }
        Ok(report)
    }

    /// Starts the run, or goes on with it. Of processes that start at once, one makes the run and the others join it.
    async fn start(&self, session: &mut Session) -> Result<String, Error> {
        let actor = &self.context.actor;
        let mut tx = session.begin(Mode::Write(Limits::PATIENT)).await?;
        if let Some(run) = &self.run {
            let from = [
                RunState::Running,
                RunState::Paused,
                RunState::Interrupted,
                RunState::AwaitingCutover,
                RunState::Failed,
                RunState::Finished,
            ];
            if !self.store.set_state(&mut tx, &run.id, &from, RunState::Running, None).await? {
                return Err(ended(&run.id));
            }
            if matches!(run.state, RunState::AwaitingCutover | RunState::Finished) {
                self.store.allow_sweeps(&mut tx, &run.id, self.options.sweeps_max).await?;
            }
            self.store.add_event(&mut tx, &run.id, actor, "resumed", &self.statement()).await?;
            tx.commit().await?;
            return Ok(run.id.clone());
        }
        let id = uuid::Uuid::new_v4().to_string();
        let plan = serde_json::to_string(&self.plan).map_err(|_| Error::bug("a plan that cannot be written"))?;
        let new = NewRun {
            id: &id,
            plan_id: &self.plan.id,
            plan: &plan,
            environment: &self.plan.environment,
            sweeps_max: self.options.sweeps_max,
        };
        if self.store.start_run(&mut tx, &new).await? {
            self.store.add_event(&mut tx, &id, actor, "started", &self.statement()).await?;
            tx.commit().await?;
            return Ok(id);
        }
        let other = self.store.unfinished_run(&mut tx).await?;
        tx.rollback().await?;
        match other {
            Some(other) if self.intent == Intent::Resume && other.plan_id == self.plan.id => Ok(other.id),
            Some(other) => Err(unfinished(&other)),
            None => Err(Error::refused(
                "unfinished_run",
                "another run started and ended meanwhile",
                "`reencrypt status` shows it",
            )),
        }
    }

    /// That somebody asked for less than verified TLS belongs to the run's record, for each process that works on it.
    async fn record_weak_tls(&self, session: &mut Session, run_id: &str) -> Result<(), Error> {
        let Some(weakness) = self.tls.and_then(TlsMode::weakness) else { return Ok(()) };
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        self.store.add_event(&mut tx, run_id, &self.context.actor, "tls", weakness).await?;
        Ok(tx.commit().await?)
    }

    /// What the operator said, for the run's events.
    fn statement(&self) -> String {
        let ticket = self.options.ticket.as_ref().map(|ticket| format!("ticket {ticket}"));
        let approved = self.options.approved_by.as_ref().map(|by| format!("approved by {by}"));
        let ready = self.options.readers_ready.then(|| "every reader knows both keys, says the operator".to_owned());
        let said: Vec<_> = [ticket, approved, ready].into_iter().flatten().collect();
        format!("plan {}{}{}", self.plan.id, if said.is_empty() { "" } else { "; " }, said.join("; "))
    }
}

/// What the first pass has found so far, so that the ceiling is the run's and not each process's own. Plaintext is no evidence.
async fn tally(store: &Store, session: &mut Session, run_id: &str, plan: &Plan) -> Result<Tally, Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let run = store.run(&mut tx, run_id).await?.ok_or_else(|| control::record_gone(run_id))?;
    let saw = Saw::read(store, &mut tx, run).await?;
    tx.commit().await?;
    let mut tally = Tally::new();
    for (no, table) in plan.tables.iter().enumerate().filter(|_| saw.run.pass == 1) {
        let (counts, _) = saw.sums(no, |pass| pass == 1)?;
        for (at, column) in table.columns.iter().enumerate() {
            let is_evidence = |line: &&reencrypt_checkpoint::QuarantineLine| {
                line.table_no == no && line.column == column.column && line.class != Refusal::Plaintext.as_str()
            };
            let fails = saw.quarantine.iter().filter(is_evidence).map(|line| line.count).sum();
            let counts = counts.0[at];
            tally.insert((1, no, at), GateCounts { opens_new: counts.already_new, opens_old: counts.rotated, fails });
        }
    }
    Ok(tally)
}

/// The report of a run as the store has it now.
async fn report(context: &Context, store: &Store, run_id: &str, command: &'static str) -> Result<Report, Error> {
    let mut session = context.database.session().await?;
    let mut tx = session.begin(Mode::Read).await?;
    let run = store.run(&mut tx, run_id).await?.ok_or_else(|| control::record_gone(run_id))?;
    let saw = Saw::read(store, &mut tx, run).await?;
    tx.commit().await?;
    session.close().await;
    saw.report(command)
}

/// The run that the intent goes on with, or the refusal.
async fn existing_run(store: &Store, session: &mut Session, intent: Intent) -> Result<Option<Run>, Error> {
    if !store.exists(session).await? {
        return if intent == Intent::Sweep { Err(nothing_to_sweep()) } else { Ok(None) };
    }
    let mut tx = session.begin(Mode::Read).await?;
    let unfinished_run = store.unfinished_run(&mut tx).await?;
    let last_run = store.last_run(&mut tx).await?;
    tx.commit().await?;
    match (intent, unfinished_run) {
        (Intent::Run, Some(run)) => Err(unfinished(&run)),
        (Intent::Run, None) => Ok(None),
        (Intent::Resume, run) => Ok(run),
        (Intent::Sweep, Some(run)) if run.pass < 2 => Err(Error::refused(
            "unfinished_run",
            format!("run {} is still in its first pass", run.id),
            "`reencrypt run --resume` goes on with it, and sweeps when it is done",
        )),
        (Intent::Sweep, Some(run)) => Ok(Some(run)),
        (Intent::Sweep, None) => match last_run {
            Some(run) if run.state == RunState::Finished => Ok(Some(run)),
            _ => Err(nothing_to_sweep()),
        },
    }
}

/// `--table` names the tables of a new run; one that goes on keeps its own.
fn narrowed(options: &RunOptions, run: Option<&Run>) -> Result<Vec<String>, Error> {
    match run {
        Some(run) if options.tables.is_empty() => {
            Ok(summary::parse_plan(run)?.tables.iter().map(|table| table.name.qualified()).collect())
        }
        _ => Ok(options.tables.clone()),
    }
}

/// The configuration, filled in by discovery where it names no table and there is a key to try. The findings are those that are known
/// already and discovery's; without a table they have a failure that says why.
pub(crate) async fn configuration(
    context: &Context,
    session: &mut Session,
    sample: u32,
    known: Vec<Finding>,
) -> Result<(Configuration, Vec<Finding>), Error> {
    let any_key = context.keys.values().any(|pair| pair.old.is_some() || pair.new.is_some());
    if !context.configuration.tables.is_empty() || !any_key {
        return Ok((context.configuration.clone(), known));
    }
    let Discovery { tables, findings } =
        reencrypt_planner::discover(session, &context.keys, &context.pool, sample).await?;
    let findings: Vec<_> = known.into_iter().chain(findings).collect();
    // What this role could not look at, or what is out of reach, says more than that nothing was found in the rest.
    if tables.is_empty() && !findings.iter().any(fails) {
        return Err(Error::refused(
            NOTHING_FOUND,
            "no column of this database holds values that open under the given keys",
            "check the key (`reencrypt init` shows what was looked at), or name tables and columns in reencrypt.toml",
        ));
    }
    Ok((Configuration { tables, ..context.configuration.clone() }, findings))
}

/// Adds what discovery found. Where that says why there is no table, it stands for the plan's own word that there is nothing.
fn add(plan: &mut Plan, found: Vec<Finding>) {
    if plan.tables.is_empty() && found.iter().any(fails) {
        plan.findings.retain(|finding| finding.code != NOTHING_FOUND);
    }
    plan.findings.extend(found);
}

async fn draft(
    context: &Context,
    session: &mut Session,
    configuration: &Configuration,
    tables: &[String],
    for_run: bool,
) -> Result<Plan, Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let identity = context.database.identity();
    let plan = reencrypt_planner::draft(&mut tx, identity, configuration, &context.keys, tables, for_run).await?;
    tx.commit().await?;
    Ok(plan)
}

async fn survey(
    context: &Context,
    session: &mut Session,
    plan: &mut Plan,
    configuration: &Configuration,
    options: SurveyOptions,
    past: &Past,
) -> Result<(), Error> {
    let accepted = |table: &reencrypt_db::TableName, column: &str| {
        let table = table.to_string();
        past.acceptances
            .iter()
            .filter(|line| line.table == table && line.column == column)
            .map(|line| line.accepted)
            .sum()
    };
    reencrypt_planner::survey(session, plan, configuration, &context.keys, &context.pool, options, &accepted).await?;
    past.judge(plan, configuration, &context.keys)
}

/// A run is bound to its plan, its environment and its keys.
fn same_plan(bound: &Plan, now: &Plan) -> Result<(), Error> {
    let resume = "give the keys, the environment and the configuration with which the run began, or end it with `reencrypt abandon`";
    if bound.identity.system != now.identity.system {
        return Err(Error::refused(
            "environment_changed",
            "this is another database than the one on which the run began",
            resume,
        ));
    }
    let Some(difference) = bound.first_difference(now) else { return Ok(()) };
    let code = if bound.keys != now.keys {
        "key_changed"
    } else if bound.environment != now.environment {
        "environment_changed"
    } else {
        "plan_changed"
    };
    let message = format!("the run was begun with another plan: {difference}");
    if schema_changed(bound, now) {
        return Err(Error::refused(
            code,
            message,
            "what was rotated stays rotated, and both keys stay needed. Take the change back and go on with `reencrypt run --resume`; or \
             keep it: end this run with `reencrypt abandon`, look at `reencrypt plan`, and start a new run, which rotates what is left",
        ));
    }
    Err(Error::refused(code, message, resume))
}

/// Whether the plans would be the same but for what the database's tables are.
fn schema_changed(bound: &Plan, now: &Plan) -> bool {
    let mut as_before = now.clone();
    for table in &mut as_before.tables {
        if let Some(before) = bound.tables.iter().find(|before| before.name == table.name) {
            table.schema_hash.clone_from(&before.schema_hash);
        }
    }
    bound.first_difference(&as_before).is_none()
}

pub(crate) fn fails(finding: &Finding) -> bool {
    finding.severity == Severity::Fail
}

/// What plan states as a finding, run refuses.
pub(crate) fn refuse_findings(findings: &[Finding], prevents: fn(&Finding) -> bool) -> Result<(), Error> {
    // What is wrong with a table says more than what is wrong around it.
    let first = findings.iter().filter(|finding| prevents(finding)).min_by_key(|finding| finding.table.is_none());
    let Some(first) = first else { return Ok(()) };
    let others = findings.iter().filter(|finding| prevents(finding)).count() - 1;
    let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
    Err(Error::refused(
        &first.code,
        format!("{}{}{more}", place(first), first.message),
        "`reencrypt plan` shows all findings; nothing was written",
    ))
}

/// Where a finding is, as it stands before its message.
pub(crate) fn place(finding: &Finding) -> String {
    let place: Vec<_> = [&finding.table, &finding.column].into_iter().flatten().map(String::as_str).collect();
    if place.is_empty() { String::new() } else { format!("{}: ", place.join(".")) }
}

/// `--plan-id`: what was approved is what runs.
fn approved(options: &RunOptions, plan: &Plan) -> Result<(), Error> {
    let (id, difference) = match &options.approved {
        Some(Approved::Id(id)) => (id, None),
        Some(Approved::Plan(approved)) => (&approved.id, approved.first_difference(plan)),
        None => return Ok(()),
    };
    if *id == plan.id {
        return Ok(());
    }
    let difference = difference.map(|difference| format!(": {difference}")).unwrap_or_default();
    Err(Error::refused(
        "plan_changed",
        format!("plan {id} was approved, and the plan made now is {}{difference}", plan.id),
        "`reencrypt plan` shows the plan as it is now: have it approved, or find out what changed the schema, the configuration or the keys \
         (`--plan-id` with the file of `plan --out` names the first difference)",
    ))
}

async fn server(session: &mut Session) -> Result<Server, Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let server = tx.server().await?;
    tx.commit().await?;
    Ok(server)
}

/// Two, or the cores if fewer; never more than a tenth of the server's free connections (each worker has two). SQLite has one writer.
fn workers(options: &RunOptions, dialect: Dialect, server: &Server) -> usize {
    if dialect == Dialect::Sqlite {
        return 1;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = options.workers.unwrap_or(cores.min(2));
    wanted.min((server.free_connections / 20) as usize).max(1)
}

fn unfinished(run: &Run) -> Error {
    Error::refused(
        "unfinished_run",
        format!("run {} is unfinished ({})", run.id, run.state.as_str()),
        "`reencrypt run --resume` goes on with it; `reencrypt status` shows it; `reencrypt abandon` ends it for good",
    )
}

fn ended(run_id: &str) -> Error {
    Error::refused("run_ended", format!("run {run_id} was ended meanwhile"), "`reencrypt status` shows it")
}

fn nothing_to_sweep() -> Error {
    Error::refused("no_run", "there is no run to sweep for", "`reencrypt run` starts one")
}

/// The plan in the shape that scripts rely on.
fn report_of_plan(plan: &Plan) -> Report {
    let tables = plan.tables.iter().map(|table| TableReport {
        table: table.name.to_string(),
        rows: table.rows_estimate,
        rows_per_second: None,
        order: Some(table.order),
        order_reason: Some(table.order_reason.clone()),
        columns: table
            .columns
            .iter()
            .map(|column| ColumnReport::Classes {
                column: column.column.clone(),
                path: None,
                format: column.write.clone(),
                kind: column.kind,
                counts: column.sample,
            })
            .collect(),
        blind_indexes: table
            .blind_indexes
            .iter()
            .map(|index| BlindIndexReport {
                column: index.column.clone(),
                of: index.of.clone(),
                rewritten: 0,
                old: index.sample.old,
                mismatched: index.sample.mismatched,
            })
            .collect(),
    });
    Report {
        command: "plan",
        run_id: None,
        plan_id: Some(plan.id.clone()),
        state: Some(State::Planned),
        exit_code: u8::from(plan.has_failures()),
        environment: plan.environment.clone(),
        keys: summary::keys(plan),
        started_at: None,
        finished_at: None,
        last_old_value_seen_at: None,
        passes: Vec::new(),
        tables: tables.collect(),
        findings: plan.findings.clone(),
        exposure: plan.exposure.clone(),
        estimate: Some(plan.estimate.clone()),
        old_key_needed: None,
        reason: None,
        next: (!plan.has_failures()).then(|| format!("reencrypt run --plan-id {}", plan.id)),
        error: None,
    }
}
