//! The steps, each told with the command that a person would type, and each checked against what the clinic knows.
use super::{Narrator, clinic::Clinic, folder::Folder, interruption, people::COLUMNS};
use crate::{
    commands,
    failure::Failure,
    output::{Document, count},
    session::Session,
};
use reencrypt_engine::{
    self as engine, ColumnReport, Context, Intent, PassCounts, Report, RunOptions, State, VerifyOptions,
};
use reencrypt_planner::{ClassCounts, SurveyOptions};
use std::sync::Arc;

/// A column in which every value is encrypted: what it counts, its rows count.
const PLAIN_COLUMN: &str = "state";

/// Who takes part.
pub(super) struct Story<'s> {
    pub(super) context: Arc<Context>,
    pub(super) folder: &'s Folder,
    pub(super) session: &'s Session,
    pub(super) narrator: &'s Narrator,
}

/// Figures for the document at the end.
pub(super) struct Told {
    pub(super) rows_at_kill: u64,
    pub(super) values_rotated: u64,
    pub(super) values_accepted: u64,
}

impl Story<'_> {
    /// From the plan to the verification. An error says what did not go as told.
    pub(super) async fn tell(&self, clinic: &mut Clinic) -> Result<Told, Failure> {
        let batch_rows = (clinic.rows / 100).clamp(10, 500) as u32;
        self.plan(clinic).await?;
        let rows_at_kill = self.interrupt(clinic, batch_rows).await?;
        let values_rotated = self.resume(clinic, batch_rows).await?;
        let values_accepted = self.accept(clinic).await?;
        self.verify(clinic).await?;
        Ok(Told { rows_at_kill, values_rotated, values_accepted })
    }

    async fn plan(&self, clinic: &Clinic) -> Result<(), Failure> {
        self.step("The plan: what would be touched, and what stands there", "plan --full");
        let options = SurveyOptions { full: true, ..SurveyOptions::default() };
        let (plan, report) = self.session.unless_stopped(engine::plan(&self.context, &[], options, Vec::new())).await?;
        self.show(&report);
        self.expect(!plan.has_failures(), "the plan has a finding that forbids the run")?;
        for (column, expected) in COLUMNS.iter().zip(clinic.expected) {
            let counts = classes(&report, column).unwrap_or_default();
            let told = (counts.old, counts.null, counts.empty, counts.plaintext, counts.unreadable);
            let known = (expected.encrypted, expected.null, expected.empty, expected.plaintext, expected.unreadable);
            self.expect(told == known, &format!("the plan counts {told:?} in {column}, the clinic wrote {known:?}"))?;
        }
        Ok(())
    }

    async fn interrupt(&self, clinic: &Clinic, batch_rows: u32) -> Result<u64, Failure> {
        self.step(
            "A run in a process of its own, killed with SIGKILL while it works",
            &format!("run --yes --batch-rows {batch_rows}"),
        );
        let at_kill = interruption::run_and_kill(self, batch_rows, clinic.rows).await?;
        let committed = at_kill.rows;
        self.expect(
            committed > 0 && committed < clinic.rows,
            &format!("{committed} of {} rows were committed when the run was killed", clinic.rows),
        )?;
        self.narrator.say(&format!(
            "killed; committed were {} transactions with {} of {} rows, and the batch in hand left nothing behind",
            count(at_kill.batches),
            count(committed),
            count(clinic.rows)
        ));
        let report = self.read_everything().await?;
        let counts = classes(&report, PLAIN_COLUMN).unwrap_or_default();
        self.expect(
            counts.new == committed && counts.old == clinic.rows - committed,
            &format!(
                "the store counts {committed} rows, but the data holds {} values under the new key and {} under the old",
                counts.new, counts.old
            ),
        )?;
        self.narrator.say(&format!(
            "the data itself says the same: {} rows under the new key, {} under the old, none under neither",
            count(counts.new),
            count(counts.old)
        ));
        Ok(committed)
    }

    async fn resume(&self, clinic: &mut Clinic, batch_rows: u32) -> Result<u64, Failure> {
        self.step("The same run goes on where it stood", "run --resume");
        let options = RunOptions { batch_rows: Some(batch_rows), readers_ready: true, ..RunOptions::default() };
        let prepare = engine::prepare(self.context.clone(), options, Intent::Resume);
        let prepared = self.session.unless_stopped(prepare).await?;
        self.expect(prepared.resumes(), "the run was to go on, but started anew")?;
        let report = prepared.execute().await?;
        self.show(&report);
        if report.exit_code == crate::signals::EXIT_INTERRUPTED {
            return Err(Failure::interrupted());
        }
        self.expect(report.state == Some(State::Finished), "the run did not finish")?;
        self.expect(report.exit_code == 1, "values lie in quarantine, and the exit code does not say so")?;
        let mut rotated = 0;
        for (column, expected) in COLUMNS.iter().zip(clinic.expected) {
            let counts = run_counts(&report, column).unwrap_or_default();
            let known = PassCounts {
                seen: clinic.rows,
                rotated: expected.encrypted,
                null: expected.null,
                empty: expected.empty,
                plaintext: expected.plaintext,
                quarantined: expected.unreadable,
                ..PassCounts::default()
            };
            self.expect(
                counts == known,
                &format!("the run counts {counts:?} in {column}, but {known:?} is what stood there"),
            )?;
            rotated += counts.rotated;
        }
        self.expect(
            clinic.rest_is_untouched().await?,
            "a column that is not encrypted changed, or a row came or went",
        )?;
        self.expect(clinic.unreadable_is_untouched().await?, "a value that no key opens was changed")?;
        self.narrator.say(&format!(
            "every value is accounted for, as if nothing had happened: {} rotated; no other column and no row changed",
            count(rotated)
        ));
        Ok(rotated)
    }

    async fn accept(&self, clinic: &Clinic) -> Result<u64, Failure> {
        self.step("What no key opens was left byte for byte, and waits for a person", "quarantine list");
        let lines = self.session.unless_stopped(engine::quarantine_list(&self.context)).await?;
        self.narrator.say(commands::quarantine::text(&lines).trim_end());
        let total: u64 = lines.iter().map(|line| line.count).sum();
        self.expect(
            total == clinic.unreadable(),
            &format!("{total} values lie in quarantine, but the clinic broke {}", clinic.unreadable()),
        )?;
        for line in &lines {
            self.narrator.say(&format!("$ {}", commands::quarantine::accept_command(line)));
            let reason = "broken by the demo";
            let accept = engine::accept(&self.context, &line.table, &line.column, &line.class, line.count, reason);
            self.session.unless_stopped(accept).await?;
        }
        let lines = self.session.unless_stopped(engine::quarantine_list(&self.context)).await?;
        self.expect(lines.iter().all(|line| line.accepted == line.count), "the acceptance did not hold")?;
        Ok(total)
    }

    async fn verify(&self, clinic: &Clinic) -> Result<(), Failure> {
        self.step("The verification reads everything, and alone may say that the old key is not needed", "verify");
        let report = self.read_everything().await?;
        self.show(&report);
        for (column, expected) in COLUMNS.iter().zip(clinic.expected) {
            let counts = classes(&report, column).unwrap_or_default();
            self.expect(
                (counts.old, counts.new) == (0, expected.encrypted),
                &format!("{column} holds {} values under the old key and {} under the new", counts.old, counts.new),
            )?;
        }
        self.expect(
            report.old_key_needed == Some(Some(false)),
            "the verification does not say that the old key is not needed",
        )?;
        self.expect(report.exit_code == 0, &format!("the verification ended with exit code {}", report.exit_code))
    }

    async fn read_everything(&self) -> Result<Report, Failure> {
        let verify = engine::verify(self.context.clone(), VerifyOptions::default());
        self.session.unless_stopped(verify).await
    }

    /// What did not go as told.
    pub(super) fn deviation(&self, what: &str) -> Failure {
        Failure::new(
            "demo_deviated",
            format!("the story did not go as told: {what}"),
            "this is a bug; the folder is left as it is, to be looked at",
        )
    }

    fn expect(&self, holds: bool, otherwise: &str) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(self.deviation(otherwise)) }
    }

    fn step(&self, what: &str, command: &str) {
        let configuration = self.folder.configuration();
        let configuration = crate::shell::quoted(&configuration.to_string_lossy());
        self.narrator.say(&format!("\n{what}\n$ reencrypt --config {configuration} {command}"));
    }

    fn show(&self, report: &Report) {
        self.narrator.say(report.text().trim_end());
    }
}

fn columns(report: &Report) -> impl Iterator<Item = &ColumnReport> {
    report.tables.iter().flat_map(|table| &table.columns)
}

fn classes(report: &Report, wanted: &str) -> Option<ClassCounts> {
    columns(report).find_map(|column| match column {
        ColumnReport::Classes { column, counts, .. } if column == wanted => Some(*counts),
        _ => None,
    })
}

fn run_counts(report: &Report, wanted: &str) -> Option<PassCounts> {
    columns(report).find_map(|column| match column {
        ColumnReport::Run {
            column, seen, rotated, already_new, null, empty, plaintext, quarantined, vanished, ..
        } if column == wanted => Some(PassCounts {
            seen: *seen,
            rotated: *rotated,
            already_new: *already_new,
            null: *null,
            empty: *empty,
            plaintext: *plaintext,
            quarantined: *quarantined,
            vanished: *vanished,
            mismatched: 0,
        }),
        _ => None,
    })
}
