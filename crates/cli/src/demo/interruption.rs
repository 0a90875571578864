//! A run in a process of its own that is killed while it works.
use super::{Story, folder::Folder};
use crate::failure::Failure;
use reencrypt_checkpoint::Store;
use reencrypt_db::{Mode, Session};
use reencrypt_engine as engine;
use std::{
    fs::File,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

const LOOK_EVERY: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(120);

/// What the store says is committed, of all passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) rows: u64,
    pub(super) batches: u64,
}

/// Starts `run --yes`, waits until about a third of the rows is committed, sends SIGKILL, and says what is committed then.
pub(super) async fn run_and_kill(story: &Story<'_>, batch_rows: u32, rows: u64) -> Result<Committed, Failure> {
    let mut session = story.context.database.session().await?;
    let mut child = start(story.folder, batch_rows)?;
    let end = kill_at(story, &mut session, &mut child, rows / 3).await;
    // Whatever happened, no run is left behind.
    let _ = child.kill().await;
    end?;
    let committed = committed(story, &mut session).await?;
    session.close().await;
    committed.ok_or_else(|| story.deviation("the run left no trace in the store"))
}

/// Reads the store as any process may; `None` while there is no run.
async fn committed(story: &Story<'_>, session: &mut Session) -> Result<Option<Committed>, engine::Error> {
    let store = Store::new(story.context.database.dialect());
    if !store.exists(session).await? {
        return Ok(None);
    }
    let mut tx = session.begin(Mode::Read).await?;
    let Some(run) = store.last_run(&mut tx).await? else { return Ok(None) };
    let totals = store.chunk_totals(&mut tx, &run.id).await?;
    tx.commit().await?;
    let sum = |of: fn(&reencrypt_checkpoint::ChunkTotal) -> u64| totals.iter().map(of).sum();
    Ok(Some(Committed { rows: sum(|total| total.rows), batches: sum(|total| total.batches) }))
}

fn start(folder: &Folder, batch_rows: u32) -> Result<Child, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(
            "demo_child",
            format!("the run to be killed could not be started: {e}"),
            "try again with more memory and processes",
        )
    };
    let program = std::env::current_exe().map_err(failed)?;
    let log = File::create(folder.log()).map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(folder.configuration()).args(["--yes", "run", "--batch-rows", &batch_rows.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
    command.spawn().map_err(failed)
}

async fn kill_at(story: &Story<'_>, session: &mut Session, child: &mut Child, rows: u64) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(Some(ended)) = child.try_wait() {
            return Err(story.deviation(&format!(
                "the run was to be killed while it worked, but had ended before ({ended}); see {}",
                story.folder.log().display()
            )));
        }
        // The store is being made, or written to, at this very moment: an error is no answer yet.
        if let Ok(Some(now)) = committed(story, session).await
            && now.rows >= rows.max(1)
        {
            return Ok(());
        }
        if story.session.stop.is_requested() {
            return Err(Failure::interrupted());
        }
        if Instant::now() > deadline {
            return Err(story.deviation("the run got nowhere within two minutes"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
