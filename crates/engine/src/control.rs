//! Words for every worker of a run, through its row in the store. The commands need no PHI key.
use crate::{
    Context, Error, Report,
    rotation::Rotation,
    summary::{self, Saw},
};
use jiff::Timestamp;
use reencrypt_checkpoint::{Error as StoreError, Pause, Run, RunState, Store, UNHARMED};
use reencrypt_db::{Limits, Mode, Server, Session, StoreGrant, StoreGrants, Transaction, Verdict, typed};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How often the run's row is looked at: a pause reaches every worker within two seconds.
const LOOK_MS: u64 = 1_000;
/// How many looks between two signs of life.
const LOOKS_A_HEARTBEAT: u32 = 3;

/// Asks every worker to wait, within two seconds. A paused process stays alive.
pub async fn pause(context: &Context, until: Option<Timestamp>, reason: Option<&str>) -> Result<Report, Error> {
    let pause = Pause { until_ms: until.map(|until| until.as_millisecond()), reason: reason.map(str::to_owned) };
    change(
        context,
        "pause",
        &format!("paused{}", reason.map(|reason| format!(": {reason}")).unwrap_or_default()),
        async |store, tx, run| Ok(store.set_pause(tx, &run.id, Some(&pause)).await?),
    )
    .await
}

/// Takes a pause back. A canary waits for more than that: for a process that goes on.
pub async fn unpause(context: &Context) -> Result<Report, Error> {
    change(context, "continue", "continued", async |store, tx, run| {
        if run.state == RunState::Paused && run.pause.is_none() {
            return Err(Error::refused(
                "canary_waits",
                format!("run {} is not held by a pause: its canary is rotated and waits to be looked at", run.id),
                "`reencrypt run --resume` goes on with the rest; `reencrypt abandon` ends the run",
            ));
        }
        Ok(store.set_pause(tx, &run.id, None).await?)
    })
    .await
}

/// Ends an unfinished run for good; its record stays. The report's reason says what share is under the new key and that both keys
/// remain needed.
pub async fn abandon(context: &Context, reason: Option<&str>) -> Result<Report, Error> {
    let detail = format!("abandoned{}", reason.map(|reason| format!(": {reason}")).unwrap_or_default());
    let mut report = change(context, "abandon", &detail, async |store, tx, run| {
        refuse_living(&Saw::read(store, tx, run.clone()).await?)?;
        let from =
            [RunState::Running, RunState::Paused, RunState::Interrupted, RunState::AwaitingCutover, RunState::Failed];
        store.set_state(tx, &run.id, &from, RunState::Abandoned, None).await?;
        // A worker that only slept wakes up in a run that is over: nothing that it writes is taken any more.
        store.revoke_chunks(tx, &run.id).await?;
        Ok(())
    })
    .await?;
    let (done, seen) = summary::share_new(&report);
    report.reason = Some(format!(
        "the run is abandoned; {done} of the {seen} values that it saw stand under the new key. Both keys remain needed: keep both \
         until another run and `reencrypt verify` say otherwise"
    ));
    report.next = Some("reencrypt plan".to_owned());
    Ok(report)
}

/// The run that [`abandon`] would end, or its refusal. Writes nothing: there is something to ask about only then.
pub async fn abandonable(context: &Context) -> Result<Report, Error> {
    let mut session = context.database.session().await?;
    let store = existing_store(context, &mut session).await?;
    let read = async {
        let mut tx = session.begin(Mode::Read).await?;
        let run = store.unfinished_run(&mut tx).await?.ok_or_else(no_unfinished_run)?;
        let saw = Saw::read(&store, &mut tx, run).await?;
        tx.commit().await?;
        Ok::<_, Error>(saw)
    };
    let read = read.await;
    let saw = explained(context, read).await?;
    session.close().await;
    refuse_living(&saw)?;
    saw.report("abandon")
}

fn refuse_living(saw: &Saw) -> Result<(), Error> {
    let Some(worker) = saw.living().next() else { return Ok(()) };
    Err(Error::refused(
        "run_alive",
        format!("process {} on {} still works on run {}", worker.pid, worker.host, saw.run.id),
        "stop it first (SIGTERM; it finishes its transaction), then `reencrypt abandon`",
    ))
}

/// One change of the unfinished run's row, with its event, and the report of the run as it stands afterwards.
async fn change(
    context: &Context,
    command: &'static str,
    detail: &str,
    change: impl AsyncFnOnce(&Store, &mut Transaction<'_>, &Run) -> Result<(), Error>,
) -> Result<Report, Error> {
    let mut session = context.database.session().await?;
    let store = existing_store(context, &mut session).await?;
    let changed = async {
        let mut tx = session.begin(Mode::Write(Limits::PATIENT)).await?;
        let run = store.unfinished_run(&mut tx).await?.ok_or_else(no_unfinished_run)?;
        change(&store, &mut tx, &run).await?;
        store.add_event(&mut tx, &run.id, &context.actor, command, detail).await?;
        let run = store.run(&mut tx, &run.id).await?.ok_or_else(no_unfinished_run)?;
        let saw = Saw::read(&store, &mut tx, run).await?;
        tx.commit().await?;
        saw.report(command)
    };
    let changed = changed.await;
    explained(context, changed).await
}

/// The store, or the refusal that there is none.
pub(crate) async fn existing_store(context: &Context, session: &mut Session) -> Result<Store, Error> {
    let store = Store::new(context.database.dialect());
    let readable = readable(&store, session).await;
    if explained(context, readable).await? {
        return Ok(store);
    }
    Err(no_record())
}

/// What came of work with the store. Where it failed because the role lacks a privilege on the store, or because the store is gone, that is said instead of what
/// the one statement met.
pub(crate) async fn explained<T>(context: &Context, result: Result<T, impl Into<Error>>) -> Result<T, Error> {
    let error = match result {
        Ok(value) => return Ok(value),
        Err(error) => error.into(),
    };
    let cause = match (&error, error.code()) {
        // Said already.
        (Error::Refused { .. }, _) => return Err(error),
        (_, "privilege_missing") => lacking(context).await,
        (_, "schema_changed") => gone(context).await,
        _ => return Err(error),
    };
    // Where nobody can look, what was met is what is known.
    Err(cause.ok().flatten().unwrap_or(error))
}

/// What the role lacks on the store.
async fn lacking(context: &Context) -> Result<Option<Error>, Error> {
    let mut session = context.database.session().await?;
    let mut tx = session.begin(Mode::Read).await?;
    let Server { role, store_grants: StoreGrants { read, write }, .. } = tx.server().await?;
    tx.commit().await?;
    session.close().await;
    // Who may not read gets no further.
    let lacking = if read.is_empty() { &write } else { &read };
    if lacking.is_empty() {
        return Ok(None);
    }
    let lacks: Vec<_> = lacking.iter().map(|grant| grant.lacks.as_str()).collect();
    let statements = |grants: &[StoreGrant]| {
        let statements: Vec<_> = grants.iter().map(|grant| grant.statement.as_str()).collect();
        (!statements.is_empty()).then(|| format!("`{}`", statements.join(" ")))
    };
    let grants: Vec<_> = [statements(&read), statements(&write)].into_iter().flatten().collect();
    Ok(Some(Error::refused(
        "privilege_missing",
        format!("role {} lacks {} in the checkpoint store", typed(&role), lacks.join(" and ")),
        format!(
            "as the store's owner: {}, then the same command again (`run` with --resume)",
            grants.join(" and for all that writes: ")
        ),
    )))
}

/// That the store, or a table of it, is gone.
async fn gone(context: &Context) -> Result<Option<Error>, Error> {
    let mut session = context.database.session().await?;
    let exists = Store::new(context.database.dialect()).exists(&mut session).await;
    session.close().await;
    match exists {
        Ok(true) => Ok(None),
        Ok(false) => Ok(Some(StoreError::Gone { missing: Vec::new(), left: Vec::new() }.into())),
        Err(error @ StoreError::Gone { .. }) => Ok(Some(error.into())),
        Err(error) => Err(error.into()),
    }
}

/// Whether the store is there; its run is read for the sake of the privilege.
async fn readable(store: &Store, session: &mut Session) -> Result<bool, Error> {
    if !store.exists(session).await? {
        return Ok(false);
    }
    let mut tx = session.begin(Mode::Read).await?;
    store.last_run(&mut tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// The database has no store, or the store no run.
pub(crate) fn no_record() -> Error {
    let hint = "`reencrypt plan` shows what a run would do, `reencrypt run` starts one";
    Error::refused("no_run", "this database has no record of a run", hint)
}

/// The store has another record than the one that this process works by.
pub(crate) fn record_gone(run_id: &str) -> Error {
    Error::refused(
        "store_gone",
        format!("the record of run {run_id} is gone from the checkpoint store. {UNHARMED}"),
        "`reencrypt status` shows which run the store knows; `reencrypt run` with both keys starts a new one, which leaves alone what stands under \
         the new key already",
    )
}

fn no_unfinished_run() -> Error {
    Error::refused("no_run", "no run is unfinished", "`reencrypt status` shows the last one")
}

/// The pause that stands in the run's row now.
pub(crate) async fn asked_pause(store: &Store, session: &mut Session, run_id: &str) -> Result<Option<Pause>, Error> {
    let mut tx = session.begin(Mode::Read).await?;
    let run = store.run(&mut tx, run_id).await?;
    let now_ms = store.now_ms(&mut tx).await?;
    tx.commit().await?;
    Ok(run.and_then(|run| run.pause).filter(|pause| pause.holds(now_ms)))
}

/// Looks at the run's row for all workers of this process, and shows that it is alive. Ends with its task.
pub(crate) async fn watch_run(rotation: Arc<Rotation>, pause: watch::Sender<Option<Pause>>) {
    let (mut session, mut told) = (None, None);
    for look in 0u32.. {
        let result = async {
            let session: &mut Session = match &mut session {
                Some(session) => session,
                none => none.insert(rotation.context.database.session().await?),
            };
            pause.send_replace(asked_pause(&rotation.store, session, &rotation.run_id).await?);
            let (owner, activity) = (&rotation.owner, rotation.activity());
            if look.is_multiple_of(LOOKS_A_HEARTBEAT) || told.as_ref() != Some(&activity) {
                let mut tx = session.begin(Mode::Write(Limits::default())).await?;
                rotation
                    .store
                    .heartbeat(&mut tx, &rotation.run_id, &owner.name(0), owner.host(), owner.pid(), &activity)
                    .await?;
                tx.commit().await?;
                told = Some(activity);
            }
            rotation.look_at_load(session).await
        };
        if let Err(error) = result.await {
            // The workers meet the same trouble and say so; this task only tries again.
            tracing::debug!(code = error.code(), "the run's row could not be looked at");
            if error.verdict() == Verdict::Fatal {
                // Also those that wait for the end of a pause, which nobody can take back any more.
                pause.send_replace(None);
            }
            session = None;
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}
