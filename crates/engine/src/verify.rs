//! The only statement that the old key is no longer needed.
//!
//! One snapshot, shared by all workers, read through the heap: no checkpoint, no key id and no index is trusted. Then every
//! transaction that was open at the snapshot is waited for, and what they wrote is read too.
mod statement;

use crate::{
    BlindIndexReport, ColumnReport, Context, Error, Event, Report, TableReport, batch,
    pace::backoff,
    past::{Past, Unvouched},
    prepare::{NOTHING_FOUND, configuration, refuse_findings},
    summary,
};
use reencrypt_crypto::{Class, Classified, Expect, Refusal};
use reencrypt_db::{HeapScan, InFlight, Mode, Session, Snapshot, Transaction};
use reencrypt_planner::{BoundTable, ClassCounts, Configuration, Finding, Plan, counted};
use statement::{Evidence, Statement};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

/// How long transactions that were open at the snapshot are waited for.
const WAIT_S: u64 = 60;
/// How many sessions that are waited for are named.
const SHOWN_PIDS: usize = 5;
/// Values per column in the look for ciphertext that nobody listed.
const DISCOVERY_SAMPLE: u32 = 300;

/// What verify repeats of a survey: ciphertext and hashes in columns that nobody listed.
const UNLISTED: [&str; 5] =
    ["unlisted_ciphertext", "unlisted_new_ciphertext", "unopened_ciphertext", "unlisted_blind_index", "not_examined"];

/// What verify repeats of a plan: a statement about what came over a way that was not verified says so.
const WEAK_TLS: &str = "tls_weak";

/// The flags of `verify`.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// a sample never attests: `old_key_needed` is null unless it finds something old
    pub sample_percent: Option<f64>,
    /// empty = all
    pub tables: Vec<String>,
    /// default: the cores
    pub workers: Option<usize>,
    /// how long to wait for transactions that were open at the snapshot; default 60 s
    pub wait_s: Option<u64>,
}

/// Counts by table and slot.
type Counts = Vec<Vec<TableCounts>>;

/// One slot's classes, and its refusals by name.
#[derive(Debug, Clone, Default)]
struct TableCounts {
    classes: ClassCounts,
    refusals: BTreeMap<&'static str, u64>,
}

/// Reads everything through the heap in one snapshot. Works with the new key alone. Writes nothing.
pub async fn verify(context: Arc<Context>, options: VerifyOptions) -> Result<Report, Error> {
    let mut looker = context.database.session().await?;
    let past = Past::read(&mut looker).await;
    let (configuration, found) = configuration(&context, &mut looker, DISCOVERY_SAMPLE, Vec::new()).await?;
    if configuration.tables.is_empty() {
        refuse_findings(&found, Finding::prevents_reading)?;
    }

    let mut holder = context.database.session().await?;
    let own = [holder.pid(), looker.pid()];
    let mut held = holder.begin(Mode::Snapshot(None)).await?;
    let identity = context.database.identity();
    let mut plan =
        reencrypt_planner::draft(&mut held, identity, &configuration, &context.keys, &options.tables, false).await?;
    if configuration.tables.is_empty() {
        plan.findings.retain(|finding| finding.code != NOTHING_FOUND);
    }
    refuse_findings(&plan.findings, Finding::prevents_reading)?;
    let mut findings = found;
    findings.extend(plan.findings.iter().filter(|finding| finding.code == WEAK_TLS).cloned());
    let tables = Arc::new(reencrypt_planner::bind(&mut held, &plan, &context.keys).await?);
    let snapshot = held.export_snapshot().await?;
    // Asked right after the snapshot: whoever is open now may have begun before it.
    let mut tx = looker.begin(Mode::Read).await?;
    let in_flight = tx.in_flight(&own).await?;
    let standby = tx.server().await?.standby;
    tx.commit().await?;

    let mut counts = empty(&tables);
    let mut rows = vec![0; tables.len()];
    let scanned = match options.sample_percent {
        Some(percent) => sample(&context, &mut held, &tables, percent, &mut counts, &mut rows).await,
        None => scan(&context, &snapshot, &tables, options.workers, &mut counts, &mut rows).await,
    };
    let snapshot_held = held.commit().await.is_ok();
    scanned?;

    let mut late = TableCounts::default();
    let outlasting = if options.sample_percent.is_some() {
        Vec::new()
    } else {
        let wait = Duration::from_secs(options.wait_s.unwrap_or(WAIT_S));
        let outlasting = wait_for(&context, &mut looker, in_flight, &own, wait).await?;
        // What they wrote the snapshot did not see.
        let mut unseen = empty(&tables);
        scan_unseen(&context, &mut looker, &snapshot, &plan, &tables, &mut unseen).await?;
        unseen.iter().flatten().for_each(|counts| late.add(counts));
        outlasting
    };

    // Discovery has just looked at every column.
    if !context.configuration.tables.is_empty() {
        findings.extend(unlisted(&context, &mut looker, &configuration).await?);
    }
    looker.close().await;
    let unvouched = past.unvouched(&plan);
    if let Some(Unvouched { code, message }) = unvouched.as_ref().filter(|_| !past.hidden) {
        findings.push(Finding::warn(code, message));
    }
    statement::accept(&plan, &past.acceptances, &mut counts);
    let evidence = Evidence {
        counts: &counts,
        late: &late,
        findings: &findings,
        snapshot_held,
        standby,
        outlasting: &outlasting,
        doubt: statement::doubt(&plan, &past.acceptances, &counts),
        refused_plaintext: statement::refused_plaintext(&plan, &past.acceptances, &counts),
        unvouched: unvouched.as_ref(),
        past: &past,
    };
    let statement = statement::state(&context, &options, &plan, evidence);
    Ok(report(&context, plan, findings, counts, rows, statement, snapshot.taken_at_ms))
}

fn empty(tables: &[BoundTable]) -> Counts {
    tables.iter().map(|table| vec![TableCounts::default(); table.cipher.slots()]).collect()
}

/// One part of one leaf for one worker.
#[derive(Debug, Clone, Copy)]
struct Part {
    table: usize,
    leaf: usize,
    part: u32,
}

/// Reads every leaf in parts, on sessions that share the snapshot.
async fn scan(
    context: &Arc<Context>,
    snapshot: &Snapshot,
    tables: &Arc<Vec<BoundTable>>,
    workers: Option<usize>,
    counts: &mut Counts,
    rows: &mut [u64],
) -> Result<(), Error> {
    let workers = workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1);
    let parts = workers as u32;
    let mut queue = Vec::new();
    for (table, bound) in tables.iter().enumerate() {
        for leaf in 0..bound.leaves.len() {
            queue.extend((0..parts).map(|part| Part { table, leaf, part }));
        }
    }
    let queue = Arc::new(std::sync::Mutex::new(queue.into_iter()));
    let mut set = JoinSet::new();
    for _ in 0..workers {
        let (context, snapshot, tables, queue) = (context.clone(), snapshot.clone(), tables.clone(), queue.clone());
        set.spawn(async move {
            let mut counts = empty(&tables);
            let mut rows = vec![0; tables.len()];
            let mut session = context.database.session().await?;
            let mut tx = session.begin(Mode::Snapshot(Some(&snapshot))).await?;
            loop {
                let next = crate::rotation::lock(&queue).next();
                let Some(Part { table, leaf, part }) = next else { break };
                let bound = &tables[table];
                let mut scan = tx.heap_scan(&bound.leaves[leaf], part, parts).await?;
                rows[table] += drain(&context, &mut tx, bound, leaf, &mut scan, &mut counts[table]).await?;
            }
            tx.commit().await?;
            session.close().await;
            Ok::<_, Error>((counts, rows))
        });
    }
    while let Some(result) = set.join_next().await {
        let (more, more_rows) = result.map_err(|_| Error::bug("a verifying worker panicked"))??;
        for (table, slots) in more.into_iter().enumerate() {
            for (slot, more) in slots.into_iter().enumerate() {
                counts[table][slot].add(&more);
            }
        }
        rows.iter_mut().zip(more_rows).for_each(|(sum, more)| *sum += more);
    }
    Ok(())
}

/// Reads a scan to its end and counts what stands there. While rows are opened the next are read.
async fn drain(
    context: &Context,
    tx: &mut Transaction<'_>,
    table: &BoundTable,
    leaf: usize,
    scan: &mut HeapScan,
    counts: &mut [TableCounts],
) -> Result<u64, Error> {
    let leaf = &table.leaves[leaf];
    let (sender, mut receiver) = mpsc::channel(1);
    let reading = async move {
        while let Some(rows) = tx.next_rows(scan, leaf).await? {
            if sender.send(rows).await.is_err() {
                break;
            }
        }
        Ok::<_, Error>(())
    };
    let opening = async move {
        let mut sum = 0;
        while let Some(rows) = receiver.recv().await {
            let len = rows.len();
            let classified = batch::classify(&context.pool, &table.cipher, rows, Expect::New).await?;
            count(&classified, len, counts);
            sum += len as u64;
            context.observer.event(&Event::Verified { table: table.plan.name.clone(), rows: len as u64 });
            if context.stop.is_requested() {
                return Err(Error::refused(
                    "interrupted",
                    "stopped by a signal; nothing can be said",
                    "`reencrypt verify` starts anew",
                ));
            }
        }
        Ok(sum)
    };
    let (read, sum) = tokio::join!(reading, opening);
    read.and(sum)
}

fn count(classified: &Classified, rows: usize, counts: &mut [TableCounts]) {
    for row in 0..rows {
        for (slot, counts) in counts.iter_mut().enumerate() {
            let class = classified.class(row, slot);
            counts.classes.seen += 1;
            *match class {
                Class::Null => &mut counts.classes.null,
                Class::Empty => &mut counts.classes.empty,
                Class::Old => &mut counts.classes.old,
                Class::New => &mut counts.classes.new,
                Class::Plaintext => &mut counts.classes.plaintext,
                Class::Unreadable(_) => &mut counts.classes.unreadable,
                Class::Mismatched => &mut counts.classes.mismatched,
            } += 1;
            if let Class::Unreadable(refusal) = class {
                *counts.refusals.entry(refusal.as_str()).or_default() += 1;
            }
        }
    }
}

impl TableCounts {
    /// How many were refused for that reason.
    fn of(&self, refusal: Refusal) -> u64 {
        self.refusals.get(refusal.as_str()).copied().unwrap_or_default()
    }

    fn add(&mut self, other: &TableCounts) {
        self.classes += other.classes;
        for (refusal, count) in &other.refusals {
            *self.refusals.entry(refusal).or_default() += count;
        }
    }
}

/// `--sample`: about so many percent of each table.
async fn sample(
    context: &Context,
    tx: &mut Transaction<'_>,
    tables: &[BoundTable],
    percent: f64,
    counts: &mut Counts,
    rows: &mut [u64],
) -> Result<(), Error> {
    for (at, table) in tables.iter().enumerate() {
        for (leaf, selection) in table.table.leaves.iter().zip(&table.leaves) {
            let wanted = (leaf.rows_estimate as f64 * percent / 100.0).ceil().clamp(1.0, 10_000_000.0) as u32;
            let sampled = tx.sample(selection, wanted, 1).await?;
            let len = sampled.len();
            let classified = batch::classify(&context.pool, &table.cipher, sampled, Expect::New).await?;
            count(&classified, len, &mut counts[at]);
            rows[at] += len as u64;
        }
    }
    Ok(())
}

/// Waits, bounded, for the transactions that were open at the snapshot; returns those that outlast it.
async fn wait_for(
    context: &Context,
    session: &mut Session,
    mut in_flight: Vec<InFlight>,
    own: &[i64],
    wait: Duration,
) -> Result<Vec<InFlight>, Error> {
    let begin = Instant::now();
    let mut tries = 0;
    while !in_flight.is_empty() {
        let mut tx = session.begin(Mode::Read).await?;
        in_flight = tx.still_in_flight(&in_flight).await?;
        // One that was open may have been prepared meanwhile: it is no session any more, and it is not over.
        let prepared = tx.in_flight(own).await?.into_iter().filter(|transaction| transaction.prepared);
        let known = in_flight.clone();
        in_flight.extend(prepared.filter(|transaction| !known.contains(transaction)));
        tx.commit().await?;
        if in_flight.is_empty() || begin.elapsed() >= wait || context.stop.is_requested() {
            break;
        }
        if tries == 0 {
            let pids = in_flight.iter().filter(|open| !open.prepared).map(|open| open.pid.to_string());
            let pids: Vec<_> = pids.take(SHOWN_PIDS).collect();
            let prepared = in_flight.iter().filter(|open| open.prepared).count();
            let sessions = if pids.is_empty() { String::new() } else { format!(", of process {}", pids.join(", ")) };
            let reason = format!(
                "{} open at the snapshot, {prepared} of them prepared{sessions}",
                counted(in_flight.len() as u64, "transaction that was", "transactions that were")
            );
            context.observer.event(&Event::Waiting { reason });
        }
        tokio::time::sleep(backoff(tries)).await;
        tries += 1;
    }
    if tries > 0 {
        context.observer.event(&Event::Resumed);
    }
    Ok(in_flight)
}

/// Reads the rows whose writer the snapshot does not see.
async fn scan_unseen(
    context: &Context,
    session: &mut Session,
    snapshot: &Snapshot,
    plan: &Plan,
    tables: &[BoundTable],
    counts: &mut Counts,
) -> Result<(), Error> {
    let mut tx = session.begin(Mode::Snapshot(None)).await?;
    let now = reencrypt_planner::bind(&mut tx, plan, &context.keys).await?;
    for (at, (table, before)) in now.iter().zip(tables).enumerate() {
        for (leaf, selection) in table.leaves.iter().enumerate() {
            // A partition that the snapshot did not have is read whole.
            let known = before.table.leaves.iter().any(|known| known.name == table.table.leaves[leaf].name);
            let mut scan = match known {
                true => tx.unseen_scan(selection, snapshot, 0, 1).await?,
                false => tx.heap_scan(selection, 0, 1).await?,
            };
            drain(context, &mut tx, table, leaf, &mut scan, &mut counts[at]).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Ciphertext in columns that nobody listed.
async fn unlisted(
    context: &Context,
    session: &mut Session,
    configuration: &Configuration,
) -> Result<Vec<Finding>, Error> {
    let mut findings =
        reencrypt_planner::unlisted(session, configuration, &context.keys, &context.pool, DISCOVERY_SAMPLE).await?;
    findings.retain(|finding| UNLISTED.contains(&&*finding.code));
    Ok(findings)
}

fn report(
    context: &Context,
    plan: Plan,
    findings: Vec<Finding>,
    counts: Counts,
    rows: Vec<u64>,
    statement: Statement,
    taken_at_ms: i64,
) -> Report {
    let tables = plan.tables.iter().zip(counts).zip(rows).map(|((table, slots), rows)| {
        let columns = table.columns.iter().zip(&slots).map(|(column, counts)| ColumnReport::Classes {
            column: column.column.clone(),
            path: None,
            format: column.write.clone(),
            kind: column.kind,
            counts: counts.classes,
        });
        let blind_indexes = table.blind_indexes.iter().zip(&slots[table.columns.len()..]);
        TableReport {
            table: table.name.to_string(),
            rows,
            rows_per_second: None,
            order: None,
            order_reason: None,
            columns: columns.collect(),
            blind_indexes: blind_indexes
                .map(|(index, counts)| BlindIndexReport {
                    column: index.column.clone(),
                    of: index.of.clone(),
                    rewritten: 0,
                    old: counts.classes.old,
                    mismatched: counts.classes.mismatched,
                })
                .collect(),
        }
    });
    let scope = format!(
        "as of the snapshot of {} and within the configured columns of this database; replicas that lag, backups, exports and \
         processes that still write with the old key are not covered",
        summary::timestamp(Some(taken_at_ms)).map(|at| format!("{at:.0}")).unwrap_or_default()
    );
    Report {
        command: "verify",
        run_id: None,
        plan_id: None,
        state: None,
        exit_code: u8::from(!statement.holds),
        environment: context.configuration.environment.name.clone().unwrap_or_else(|| plan.environment.clone()),
        keys: summary::keys(&plan),
        started_at: summary::timestamp(Some(taken_at_ms)),
        finished_at: Some(jiff::Timestamp::now()),
        last_old_value_seen_at: None,
        passes: Vec::new(),
        tables: tables.collect(),
        findings,
        exposure: Vec::new(),
        estimate: None,
        old_key_needed: Some(statement.old_key_needed),
        reason: Some(format!("{}, {scope}", statement.reason)),
        next: statement.next,
        error: None,
    }
}
