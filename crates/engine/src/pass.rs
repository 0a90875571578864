//! From pass to pass: a first walk over everything, then sweeps for values written under the old key behind the cursor.
use crate::{
    Error,
    counts::SlotCounts,
    failpoint::failpoint,
    rotation::Rotation,
    settle::Refused,
    waits::{slow_catalog, slow_read},
};
use reencrypt_checkpoint::{Pass, PassEnd, Run, RunState};
use reencrypt_db::{Limits, Mode, Session, Transaction};

/// Enters the pass after `pass`: every leaf that there is now, up to its largest key. Whoever is first does it for all.
pub(crate) async fn enter(
    rotation: &Rotation,
    reader: &mut Session,
    writer: &mut Session,
    pass: u32,
) -> Result<(), Error> {
    let Some(tables) = rotation.unless_asked(slow_catalog(), rotation.rebind(reader)).await? else { return Ok(()) };
    let mut walks = Vec::new();
    for table in tables.iter() {
        let found = rotation.unless_asked(slow_read(&table.plan.name), async {
            let mut tx = reader.begin(Mode::Read).await?;
            let mut found = Vec::new();
            for (leaf, selection) in table.table.leaves.iter().zip(&table.leaves) {
                if let Some(upto) = tx.max_key(selection).await? {
                    found.push((table.index, leaf.name.to_string(), upto));
                }
            }
            tx.commit().await?;
            Ok(found)
        });
        let Some(found) = found.await? else { return Ok(()) };
        walks.extend(found);
    }

    let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
    if !rotation.store.enter_pass(&mut tx, &rotation.run_id, pass).await? {
        tx.rollback().await?;
        return Ok(());
    }
    for (table_no, leaf, upto) in &walks {
        rotation.store.open_walk(&mut tx, &rotation.run_id, pass + 1, *table_no, leaf, upto).await?;
    }
    let detail = format!("pass {}", pass + 1);
    rotation.store.add_event(&mut tx, &rotation.run_id, &rotation.context.actor, "pass_started", &detail).await?;
    tx.commit().await?;
    failpoint!("engine::pass_entered");
    Ok(())
}

/// What is left of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: it is ended, and what comes next is decided.
    Nothing,
    /// Chunks that other workers are on, or are about to cut.
    Others,
}

/// Ends the pass if nothing of it is left, and decides in the same transaction what comes next.
pub(crate) async fn end_if_done(rotation: &Rotation, writer: &mut Session, run: &Run) -> Result<Left, Error> {
    let store = &rotation.store;
    let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
    let (chunks, walks) = store.left_in_pass(&mut tx, &run.id, run.pass).await?;
    if chunks > 0 {
        tx.commit().await?;
        return Ok(Left::Others);
    }
    if rotation.options.canary.is_some() && run.pass == 1 {
        store.set_state(&mut tx, &run.id, &[RunState::Running], RunState::Paused, None).await?;
        store.add_event(&mut tx, &run.id, &rotation.context.actor, "canary", "the canary's rows are rotated").await?;
        tx.commit().await?;
        return Ok(Left::Nothing);
    }
    if walks > 0 {
        tx.commit().await?;
        return Ok(Left::Others);
    }
    let end = sum(rotation, &mut tx, run).await?;
    if !store.end_pass(&mut tx, &run.id, run.pass, end, Refused::CLASSES).await? {
        tx.rollback().await?;
        return Ok(Left::Nothing);
    }
    let passes = store.passes(&mut tx, &run.id).await?;
    let next = decide(run, &passes);
    if let Some(state) = next {
        failpoint!("engine::before_finish");
        store.set_state(&mut tx, &run.id, &[RunState::Running], state, None).await?;
    }
    let detail = format!("pass {}: {} seen, {} rotated", run.pass, end.seen, end.rotated);
    store.add_event(&mut tx, &run.id, &rotation.context.actor, "pass_ended", &detail).await?;
    if let Some(state) = next {
        store.add_event(&mut tx, &run.id, &rotation.context.actor, state.as_str(), "").await?;
    }
    tx.commit().await?;
    failpoint!("engine::pass_ended");
    Ok(Left::Nothing)
}

/// Sums the chunks of the run's pass.
async fn sum(rotation: &Rotation, tx: &mut Transaction<'_>, run: &Run) -> Result<PassEnd, Error> {
    let mut end = PassEnd { seen: 0, rotated: 0 };
    let tables = rotation.tables();
    for total in rotation.store.chunk_totals(tx, &run.id).await? {
        let Some(table) = tables.get(total.table_no).filter(|_| total.pass == run.pass) else { continue };
        let counts = SlotCounts::from_json(&total.counts, table.cipher.slots())?;
        for (slot, counts) in counts.0.iter().enumerate() {
            end.rotated += counts.rotated;
            if slot < table.cipher.columns() {
                end.seen += counts.seen;
            }
        }
    }
    Ok(end)
}

/// What comes after a pass: `None` is a further sweep. Terminates under writers that never stop.
fn decide(run: &Run, passes: &[Pass]) -> Option<RunState> {
    let rotated_in = |pass: u32| passes.iter().find(|p| p.pass == pass).map_or(0, |p| p.rotated);
    if run.pass == 1 {
        return None;
    }
    if rotated_in(run.pass) == 0 {
        return Some(RunState::Finished);
    }
    let sweeps = run.pass - run.sweep_base;
    // What an earlier pass had to leave alone, and this one could write, is no sign of a writer.
    let found = passes.iter().find(|p| p.pass == run.pass).map_or(0, Pass::found);
    // The first sweep after the base has nothing to be compared with: what it found was written during the walk before it.
    let no_fewer = sweeps >= 2 && found > 0 && found >= rotated_in(run.pass - 1).div_ceil(2);
    (sweeps >= run.sweeps_max || no_fewer).then_some(RunState::AwaitingCutover)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rotated: &[u64], sweep_base: u32, sweeps_max: u32) -> Option<RunState> {
        after_retrying(rotated, 0, sweep_base, sweeps_max)
    }

    /// The last pass wrote so many that an earlier one had left alone.
    fn after_retrying(rotated_all: &[u64], retried: u64, sweep_base: u32, sweeps_max: u32) -> Option<RunState> {
        let pass = |(pass, rotated): (u32, &u64)| {
            let retried = if pass as usize == rotated_all.len() { retried } else { 0 };
            Pass { pass, started_ms: 0, finished_ms: Some(1), seen: 1_000, rotated: *rotated, retried }
        };
        let passes: Vec<_> = (1u32..).zip(rotated_all).map(pass).collect();
        let run = Run {
            id: String::new(),
            state: RunState::Running,
            plan_id: String::new(),
            plan: String::new(),
            environment: String::new(),
            pass: rotated_all.len() as u32,
            sweep_base,
            sweeps_max,
            started_ms: 0,
            finished_ms: None,
            last_old_ms: None,
            paused_at_ms: None,
            pause: None,
            failure: None,
        };
        decide(&run, &passes)
    }

    #[test]
    fn a_sweep_that_finds_nothing_finishes_the_run() {
        assert_eq!(after(&[1_000], 1, 3), None, "the first pass alone never finishes a run");
        assert_eq!(after(&[0], 1, 3), None);
        assert_eq!(after(&[1_000, 0], 1, 3), Some(RunState::Finished));
        assert_eq!(after(&[1_000, 10, 0], 1, 3), Some(RunState::Finished));
    }

    #[test]
    fn writers_that_never_stop_end_in_awaiting_cutover() {
        assert_eq!(after(&[1_000, 10], 1, 3), None);
        assert_eq!(after(&[1_000, 10, 5], 1, 3), Some(RunState::AwaitingCutover), "at least half of the sweep before");
        assert_eq!(after(&[1_000, 10, 4], 1, 3), None);
        assert_eq!(after(&[1_000, 10, 4, 1], 1, 3), Some(RunState::AwaitingCutover), "the last allowed sweep");
        assert_eq!(after(&[1_000, 10], 1, 1), Some(RunState::AwaitingCutover));
        assert_eq!(after(&[1_000, 1, 1], 1, 9), Some(RunState::AwaitingCutover), "one is at least half of one");
    }

    #[test]
    fn what_an_earlier_pass_left_alone_is_no_sign_of_a_writer() {
        assert_eq!(after_retrying(&[1_000, 10, 30], 30, 1, 3), None);
        assert_eq!(after_retrying(&[1_000, 10, 30], 26, 1, 3), None, "four are fewer than half of ten");
        assert_eq!(after_retrying(&[1_000, 10, 30], 25, 1, 3), Some(RunState::AwaitingCutover));
        assert_eq!(after_retrying(&[1_000, 10, 4, 30], 30, 1, 3), Some(RunState::AwaitingCutover), "the last allowed");
        assert_eq!(after_retrying(&[1_000, 10, 0], 30, 1, 3), Some(RunState::Finished));
    }

    #[test]
    fn a_run_that_goes_on_counts_its_sweeps_anew() {
        assert_eq!(after(&[1_000, 10, 8, 9], 3, 3), None, "the first sweep after the cutover");
        assert_eq!(after(&[1_000, 10, 8, 9, 0], 3, 3), Some(RunState::Finished));
        assert_eq!(after(&[1_000, 10, 8, 9, 9], 3, 3), Some(RunState::AwaitingCutover));
    }
}
