//! SIGINT and SIGTERM: the first asks to stop, the second stops.
use crate::terminal::Terminal;
use reencrypt_engine::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code after a signal.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Listens until the process ends. Must be called inside the runtime.
pub(crate) fn listen(stop: Stop, terminal: Terminal) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals keep their default: the process ends at once, which loses nothing either.
        tracing::warn!("signals cannot be listened to; a signal will end the process at once");
        return;
    };
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        terminal.note(
            "stopping: the transaction in hand is finished and its chunk given back; a second signal stops at once",
        );
        stop.request();
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(i32::from(EXIT_INTERRUPTED));
    });
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! { _ = a.recv() => (), _ = b.recv() => () }
}
