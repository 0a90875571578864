//! `status` as text.
use super::{
    Document, count, duration,
    report::{headline, reason, table_text},
};
use reencrypt_engine::{Problem, StatusReport};
use std::{fmt::Write as _, time::Duration};

impl Document for StatusReport {
    fn text(&self) -> String {
        let mut text = String::new();
        headline(&mut text, &self.report);
        let _ = write!(text, "  progress     {:.1} %", self.progress.clamp(0.0, 1.0) * 100.0);
        if let Some(rate) = self.rows_per_second {
            let _ = write!(text, ", {} rows/s", count(rate.max(0.0) as u64));
        }
        if let Some(left) = self.seconds_left {
            let _ = write!(text, ", {} left", duration(Duration::try_from_secs_f64(left).unwrap_or_default()));
        }
        let _ = write!(text, ", {} transactions committed", count(self.batches));
        text.push('\n');
        for worker in &self.workers {
            let silent = Duration::from_millis(worker.silent_ms.max(0).unsigned_abs());
            let _ = write!(text, "  worker       {} on {}, heard of {} ago", worker.pid, worker.host, duration(silent));
            if let Some(rows) = worker.rows_per_second_max {
                let _ = write!(text, ", asked for at most {} rows/s", count(rows.into()));
            }
            if worker.gives_way {
                text.push_str(", gives way to others at work in the database");
            }
            if let Some(reason) = &worker.waiting {
                let waits = Duration::from_millis(worker.waits_ms.unwrap_or(0).max(0).unsigned_abs());
                let _ = write!(text, ", waiting for {}: {reason}", duration(waits));
            }
            text.push('\n');
        }
        for table in &self.report.tables {
            text.push('\n');
            text.push_str(&table_text(table));
        }
        if !self.events.is_empty() {
            text.push_str("\nlast events\n");
            for event in &self.events {
                let _ = writeln!(text, "  {event}");
            }
        }
        if let Some(reason) = reason(&self.report) {
            let _ = writeln!(text, "\n{reason}");
        }
        if let Some(next) = &self.report.next {
            let _ = writeln!(text, "\nnext: {next}");
        }
        text
    }

    fn json(&self) -> String {
        super::as_json(self)
    }

    fn problem(&self) -> Option<&Problem> {
        self.report.error.as_ref()
    }
}
