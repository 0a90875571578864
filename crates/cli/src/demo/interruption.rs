//! A run in a process of its own that is killed while it works.
use super::{Story, folder::Folder};
use crate::{failure::Failure, output::rows_done};
use reencrypt_engine as engine;
use std::{
    fs::File,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

const LOOK_EVERY: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(120);

/// Starts `run --yes`, waits until the store says that about a third of the rows is committed, and sends SIGKILL.
pub(super) async fn run_and_kill(story: &Story<'_>, batch_rows: u32, rows: u64) -> Result<(), Failure> {
    let mut child = start(story.folder, batch_rows)?;
    let end = kill_at(story, &mut child, rows / 3).await;
    // Whatever happened, no run is left behind.
    let _ = child.kill().await;
    end
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

async fn kill_at(story: &Story<'_>, child: &mut Child, rows: u64) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(Some(ended)) = child.try_wait() {
            return Err(story.deviation(&format!(
                "the run was to be killed while it worked, but had ended before ({ended}); see {}",
                story.folder.log().display()
            )));
        }
        // Until the child has made the store there is no run to be seen.
        if let Ok(status) = story.session.unless_stopped(engine::status(&story.context)).await {
            if rows_done(&status.report) >= rows.max(1) {
                return Ok(());
            }
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
