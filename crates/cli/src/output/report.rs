//! The shared result of plan, run, sweep and verify as text.
use super::{Align, Document, Sheet, bytes, count, duration};
use reencrypt_engine::{ColumnReport, Problem, Report, State, TableReport};
use reencrypt_planner::{ClassCounts, Severity};
use std::{fmt::Write as _, time::Duration};

impl Document for Report {
    fn text(&self) -> String {
        let mut text = String::new();
        headline(&mut text, self);
        for table in &self.tables {
            text.push('\n');
            text.push_str(&table_text(table));
        }
        exposure(&mut text, self);
        passes(&mut text, self);
        findings(&mut text, self);
        ending(&mut text, self);
        text
    }

    fn json(&self) -> String {
        super::as_json(self)
    }

    fn problem(&self) -> Option<&Problem> {
        self.error.as_ref()
    }
}

/// The name of a state in text.
pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Planned => "planned",
        State::Running => "running",
        State::Stalled => "stalled: no live worker",
        State::Paused => "paused",
        State::Interrupted => "interrupted",
        State::AwaitingCutover => "awaiting cutover",
        State::Finished => "finished",
        State::Failed => "failed",
        State::Abandoned => "abandoned",
    }
}

/// Why the state is what it is. Of a failure the store has the code alone, which says nothing to a person.
pub(super) fn reason(report: &Report) -> Option<String> {
    let reason = report.reason.clone()?;
    let is_code = reason.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    Some(if is_code { format!("the run could not go on: {}", failure_in_words(&reason)) } else { reason })
}

fn failure_in_words(code: &str) -> String {
    let words = match code {
        "ceiling_reached" => "more values would have been left alone than `--max-unreadable` allows",
        "unreadable_value" => "a value could not be read, and `--on-unreadable stop` was asked for",
        "nonce_budget" => "the new key's nonces are used up",
        "connection_lost" | "database_unreachable" => "the database could not be reached any more",
        "database_full" => "the database's disk is full",
        "database_read_only" => "the database takes no writes",
        "privilege_missing" => "a privilege is missing",
        "schema_changed" => "a table, column or type is not what it was",
        "internal" => "a fault of this tool",
        other => return other.replace('_', " "),
    };
    words.to_owned()
}

/// What, which, since when.
pub(super) fn headline(text: &mut String, report: &Report) {
    let state = report.state.map_or("", state_name);
    let _ = match (&report.run_id, state) {
        (Some(run), "") => writeln!(text, "{}, run {run}", report.command),
        (Some(run), state) => writeln!(text, "run {run}: {state}"),
        (None, "") => writeln!(text, "{}", report.command),
        (None, state) => writeln!(text, "{}: {state}", report.command),
    };
    let _ = writeln!(text, "  environment  {}", report.environment);
    if let Some(plan) = &report.plan_id {
        let _ = writeln!(text, "  plan         {plan}");
    }
    for key in &report.keys {
        let shown =
            |f: Option<_>| f.map_or_else(|| "not given".to_owned(), |f: reencrypt_crypto::Fingerprint| f.to_string());
        let _ = writeln!(text, "  key          {}: old {}, new {}", key.name, shown(key.old), shown(key.new));
        for (side, version) in [("old", &key.old_version), ("new", &key.new_version)] {
            if let Some(version) = version {
                let _ = writeln!(text, "               {side} is version {version} of its secret");
            }
        }
    }
    match (report.started_at, report.finished_at) {
        (Some(started), Some(finished)) => {
            let took = Duration::try_from(finished.duration_since(started)).unwrap_or_default();
            let _ = writeln!(text, "  time         {started:.0} to {finished:.0} ({})", duration(took));
        }
        (Some(started), None) => {
            let _ = writeln!(text, "  time         since {started:.0}");
        }
        (None, _) => (),
    }
    if let Some(last) = report.last_old_value_seen_at {
        let _ = writeln!(text, "  last old     a sweep found a value under the old key at {last:.0}");
    }
}

/// One table: its columns by class, then its blind indexes.
pub(super) fn table_text(table: &TableReport) -> String {
    let mut text = format!("{}: {} rows", table.table, count(table.rows));
    if let Some(rate) = table.rows_per_second {
        let _ = write!(text, ", {} rows/s", count(rate.max(0.0) as u64));
    }
    if let Some(order) = &table.order {
        let _ = write!(text, ", in {order} order");
    }
    if let Some(reason) = table.order_reason.as_ref().filter(|reason| !reason.is_empty()) {
        let _ = write!(text, " ({reason})");
    }
    text.push('\n');
    text.push_str(&run_columns(table));
    text.push_str(&class_columns(table));
    if !table.blind_indexes.is_empty() {
        let mut sheet = Sheet::new([
            ("blind index", Align::Left),
            ("of", Align::Left),
            ("rewritten", Align::Right),
            ("old", Align::Right),
            ("mismatched", Align::Right),
        ]);
        for index in &table.blind_indexes {
            sheet.row([
                index.column.clone(),
                index.of.clone(),
                count(index.rewritten),
                count(index.old),
                count(index.mismatched),
            ]);
        }
        let standing = table.columns.iter().any(|column| matches!(column, ColumnReport::Classes { .. }));
        sheet.drop_if_empty(if standing { &["rewritten"] } else { &["old"] });
        text.push_str(&sheet.render());
    }
    text
}

/// What stands under the old key, by whose harm it is.
fn exposure(text: &mut String, report: &Report) {
    for table in report.exposure.iter().filter(|table| table.rows > 0) {
        let how = if table.exact { "counted" } else { "about, from a sample; `--full` counts" };
        let of = table.subject.as_ref().map(|subject| format!(", subjects by {subject}")).unwrap_or_default();
        let _ = writeln!(text, "\nexposure of {}: what opens under the old key ({how}{of})", table.table);
        let mut sheet = Sheet::new([
            ("kind", Align::Left),
            ("column", Align::Left),
            ("values", Align::Right),
            ("rows", Align::Right),
            ("subjects", Align::Right),
        ]);
        let people = |subjects: Option<u64>| subjects.map(count).unwrap_or_default();
        for kind in &table.kinds {
            let mut of_kind =
                (kind.kind.map_or("no kind", kind_name).to_owned(), count(kind.rows), people(kind.subjects));
            for column in &kind.columns {
                let (name, rows, subjects) = std::mem::take(&mut of_kind);
                sheet.row([name, column.column.clone(), count(column.values), rows, subjects]);
            }
        }
        sheet.row(["all".to_owned(), String::new(), String::new(), count(table.rows), people(table.subjects)]);
        sheet.drop_if_empty(&["subjects"]);
        text.push_str(&sheet.render());
    }
}

fn run_columns(table: &TableReport) -> String {
    let mut sheet = Sheet::new([
        ("column", Align::Left),
        ("seen", Align::Right),
        ("rotated", Align::Right),
        ("already new", Align::Right),
        ("null", Align::Right),
        ("empty", Align::Right),
        ("plaintext", Align::Right),
        ("quarantined", Align::Right),
        ("accepted", Align::Right),
        ("vanished", Align::Right),
        ("in sweeps", Align::Right),
    ]);
    for column in &table.columns {
        if let ColumnReport::Run {
            column,
            path,
            seen,
            rotated,
            already_new,
            null,
            empty,
            plaintext,
            quarantined,
            vanished,
            rotated_in_sweeps,
            accepted,
            ..
        } = column
        {
            let numbers = [
                seen,
                rotated,
                already_new,
                null,
                empty,
                plaintext,
                quarantined,
                accepted,
                vanished,
                rotated_in_sweeps,
            ];
            let [a, b, c, d, e, f, g, h, i, j] = numbers.map(|n| count(*n));
            sheet.row([with_path(column, path.as_deref()), a, b, c, d, e, f, g, h, i, j]);
        }
    }
    sheet.drop_if_empty(&["already new", "null", "empty", "plaintext", "accepted", "vanished", "in sweeps"]);
    if sheet.is_empty() { String::new() } else { sheet.render() }
}

fn class_columns(table: &TableReport) -> String {
    let mut sheet = Sheet::new([
        ("column", Align::Left),
        ("kind", Align::Left),
        ("seen", Align::Right),
        ("old", Align::Right),
        ("new", Align::Right),
        ("null", Align::Right),
        ("empty", Align::Right),
        ("plaintext", Align::Right),
        ("unreadable", Align::Right),
        ("accepted", Align::Right),
        ("mislabelled", Align::Right),
    ]);
    for column in &table.columns {
        if let ColumnReport::Classes { column, path, kind, counts, .. } = column {
            let ClassCounts { seen, old, new, null, empty, plaintext, unreadable, accepted, mislabelled, .. } = *counts;
            let numbers = [seen, old, new, null, empty, plaintext, unreadable, accepted, mislabelled];
            let [a, b, c, d, e, f, g, h, i] = numbers.map(count);
            sheet.row([
                with_path(column, path.as_deref()),
                kind.map(kind_name).unwrap_or_default().to_owned(),
                a,
                b,
                c,
                d,
                e,
                f,
                g,
                h,
                i,
            ]);
        }
    }
    sheet.drop_if_empty(&["kind", "null", "empty", "plaintext", "accepted", "mislabelled"]);
    if sheet.is_empty() { String::new() } else { sheet.render() }
}

fn kind_name(kind: reencrypt_planner::Kind) -> &'static str {
    use reencrypt_planner::Kind;
    match kind {
        Kind::Identity => "identity",
        Kind::Contact => "contact",
        Kind::Clinical => "clinical",
        Kind::Credential => "credential",
        Kind::Payment => "payment",
    }
}

fn with_path(column: &str, path: Option<&str>) -> String {
    path.map_or_else(|| column.to_owned(), |path| format!("{column} {path}"))
}

fn passes(text: &mut String, report: &Report) {
    if report.passes.is_empty() {
        return;
    }
    text.push('\n');
    for pass in &report.passes {
        let name = if pass.pass == 1 { "first pass".to_owned() } else { format!("sweep {}", pass.pass - 1) };
        let _ = write!(text, "{name}: {} fields seen, {} rewritten", count(pass.seen), count(pass.rotated));
        let _ = match pass.hashes_rewritten {
            0 => writeln!(text),
            hashes => writeln!(text, ", {} hashes rewritten", count(hashes)),
        };
    }
}

/// Findings, worst first.
fn findings(text: &mut String, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    text.push('\n');
    let mut sorted: Vec<_> = report.findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in sorted {
        let _ = writeln!(text, "{}", finding_line(finding));
    }
}

/// `fail rls_active public.Patient: …`
pub(crate) fn finding_line(finding: &reencrypt_planner::Finding) -> String {
    let severity = match finding.severity {
        Severity::Warn => "warn",
        Severity::Fail => "fail",
    };
    let place = match (&finding.table, &finding.column) {
        (Some(table), Some(column)) => format!(" {table}.{column}"),
        (Some(table), None) => format!(" {table}"),
        (None, Some(column)) => format!(" {column}"),
        (None, None) => String::new(),
    };
    crate::terminal::escaped(&format!("{severity} {}{place}: {}", finding.code, finding.message))
}

/// Estimate, verdict, reason, next command.
fn ending(text: &mut String, report: &Report) {
    if let Some(estimate) = &report.estimate {
        let _ = writeln!(
            text,
            "\nestimate: {} rows, {} values, {} chunks, {} at default settings, {} of WAL, {} of growth until vacuum",
            count(estimate.rows),
            count(estimate.values),
            count(estimate.chunks),
            duration(Duration::try_from_secs_f64(estimate.seconds).unwrap_or_default()),
            bytes(estimate.wal_bytes),
            bytes(estimate.growth_bytes)
        );
        for (key, invocations) in &estimate.key_invocations {
            let _ = writeln!(text, "key {key}: about {} encryptions under the new key", count(*invocations));
        }
    }
    if let Some(needed) = report.old_key_needed {
        let answer = match needed {
            Some(true) => "yes",
            Some(false) => "no",
            None => "cannot be said",
        };
        let _ = writeln!(text, "\nold key needed: {answer}");
    }
    if let Some(reason) = reason(report) {
        let _ = writeln!(text, "{}{reason}", if report.old_key_needed.is_some() { "" } else { "\n" });
    }
    if let Some(next) = &report.next {
        let _ = writeln!(text, "\nnext: {next}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_words() {
        assert_eq!(failure_in_words("database_full"), "the database's disk is full");
        assert_eq!(failure_in_words("snapshot_lost"), "snapshot lost");
    }
}
