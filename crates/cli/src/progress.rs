//! What a run is doing, for the person who watches: bars on a terminal, a line every ten seconds in a pipe.
use crate::{
    output::{count, duration},
    terminal::{ProgressForm, Terminal, escaped},
};
use indicatif::{ProgressBar, ProgressStyle};
use reencrypt_engine::{Event, Observer};
use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const REDRAW: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(10);
/// A wait of this length is told wherever no bar shows it.
const LONG_WAIT: Duration = Duration::from_secs(2);
/// The rate is that of this much time.
const WINDOW: Duration = Duration::from_secs(30);

/// Shows progress from a thread of its own, until it is dropped.
pub(crate) struct Progress {
    model: Arc<Mutex<Model>>,
    drawing: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts drawing; what is drawn comes through [`Progress::observer`].
    pub(crate) fn start(terminal: &Terminal) -> Self {
        let model = Arc::new(Mutex::new(Model::default()));
        let (done, ended) = mpsc::channel();
        let drawing = {
            let (model, terminal) = (model.clone(), terminal.clone());
            std::thread::Builder::new().name("progress".into()).spawn(move || draw(&model, &terminal, &ended))
        };
        // A machine that has no thread left for this shows no progress, and works on.
        Self { model, drawing: drawing.ok().map(|thread| (done, thread)) }
    }

    /// Takes in the engine's events.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Watcher(self.model.clone()))
    }

    /// Says how many rows to expect in a table.
    pub(crate) fn expect(&self, tables: impl IntoIterator<Item = (String, u64)>) {
        let mut model = lock(&self.model);
        for (name, rows) in tables {
            model.table(&name).expected = Some(rows);
        }
    }

    /// Says how many rows of a table an earlier part of this first pass has done.
    pub(crate) fn go_on(&self, tables: impl IntoIterator<Item = (String, u64)>) {
        let mut model = lock(&self.model);
        model.pass = 1;
        for (name, rows) in tables {
            model.done += rows;
            model.table(&name).done += rows;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.drawing.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}

struct Watcher(Arc<Mutex<Model>>);

impl Observer for Watcher {
    fn event(&self, event: &Event) {
        match event {
            Event::BatchCommitted { .. } | Event::Verified { .. } => {
                tracing::debug!(?event, "{}", what_happened(event))
            }
            _ => tracing::info!(?event, "{}", what_happened(event)),
        }
        lock(&self.0).take(event, Instant::now());
    }
}

/// The event for the log, whose lines hold its details beside this.
fn what_happened(event: &Event) -> &str {
    match event {
        Event::RunStarted { resumed: false, .. } => "the run started",
        Event::RunStarted { resumed: true, .. } => "the run goes on",
        Event::PassStarted { .. } => "works in a pass",
        Event::BatchCommitted { .. } => "a batch was committed",
        Event::ChunkFinished { .. } => "a chunk was finished",
        Event::Waiting { .. } => "waiting",
        Event::Resumed => "going on after waiting",
        Event::Quarantined { .. } => "values were left alone",
        Event::Verified { .. } => "rows were verified",
        Event::Note { message } => message,
        _ => "something happened",
    }
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that progress shows. Knows no terminal.
#[derive(Default)]
struct Model {
    /// 0 before the first; a verification has no passes
    pass: u32,
    expected: Option<u64>,
    done: u64,
    tables: Vec<TableProgress>,
    waiting: Option<Wait>,
    /// of this pass
    quarantined: u64,
    /// when how many rows were done
    window: VecDeque<(Instant, u64)>,
    /// lines that wait to be printed
    notes: Vec<String>,
    began: bool,
}

/// Why nothing is done, and since when.
struct Wait {
    reason: String,
    since: Instant,
    /// A line was printed about it.
    told: bool,
}

struct TableProgress {
    name: String,
    expected: Option<u64>,
    done: u64,
}

impl Model {
    fn take(&mut self, event: &Event, now: Instant) {
        match event {
            Event::RunStarted { run_id, resumed, workers } => {
                let verb = if *resumed { "goes on" } else { "started" };
                self.notes.push(format!("run {run_id} {verb}, {}", several(*workers as u64, "worker")));
            }
            Event::PassStarted { pass, rows } => self.start_pass(*pass, *rows),
            Event::BatchCommitted { table, rows, .. } | Event::Verified { table, rows } => {
                self.add(&table.to_string(), *rows, now);
            }
            Event::Waiting { reason } => {
                let (since, told) = match &self.waiting {
                    Some(wait) => (wait.since, wait.told && wait.reason == *reason),
                    None => (now, false),
                };
                self.waiting = Some(Wait { reason: reason.clone(), since, told });
            }
            Event::Resumed => self.waiting = None,
            Event::Quarantined { count, .. } => self.quarantined += count,
            Event::Note { message } => self.notes.push(message.clone()),
            _ => (),
        }
    }

    fn start_pass(&mut self, pass: u32, rows: u64) {
        self.expected = Some(rows);
        // One that goes on has what was done before.
        if self.pass != pass {
            self.pass = pass;
            (self.done, self.quarantined) = (0, 0);
            self.window.clear();
            self.tables.iter_mut().for_each(|table| table.done = 0);
        }
        let name = self.pass_name();
        self.notes.push(format!("{name}: {} expected", several(rows, "row")));
    }

    fn add(&mut self, table: &str, rows: u64, now: Instant) {
        self.began = true;
        if self.window.is_empty() {
            self.window.push_back((now, self.done));
        }
        self.done += rows;
        self.table(table).done += rows;
        self.window.push_back((now, self.done));
        while self.window.len() > 2 && now.duration_since(self.window[0].0) > WINDOW {
            self.window.pop_front();
        }
    }

    fn table(&mut self, name: &str) -> &mut TableProgress {
        let at = self.tables.iter().position(|table| table.name == name).unwrap_or_else(|| {
            self.tables.push(TableProgress { name: name.to_owned(), expected: None, done: 0 });
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    fn pass_name(&self) -> String {
        match self.pass {
            0 => "reading".to_owned(),
            1 => "first pass".to_owned(),
            n => format!("sweep {}", n - 1),
        }
    }

    fn estimate(&self) -> Option<u64> {
        let sum = || self.tables.iter().map(|table| table.expected).sum::<Option<u64>>();
        // A table of which the server knows nothing yet has none.
        self.expected.or_else(sum).filter(|rows| *rows > 0)
    }

    /// Rows that are to be done. An estimate can be too low: then this grows by what a table has more of, since the others have theirs
    /// before them still. None where all of that is done too, and nobody knows how much more there is.
    fn total(&self) -> Option<u64> {
        let estimate = self.estimate()?;
        let more = |table: &TableProgress| table.expected.map_or(0, |expected| table.done.saturating_sub(expected));
        let total = estimate + self.tables.iter().map(more).sum::<u64>();
        (self.done < total || self.done == estimate).then_some(total)
    }

    fn rows_per_second(&self, now: Instant) -> Option<f64> {
        let (since, before) = *self.window.front()?;
        let seconds = now.duration_since(since).as_secs_f64();
        (seconds > 0.5).then(|| (self.done - before) as f64 / seconds)
    }

    fn left(&self, now: Instant) -> Option<Duration> {
        let rate = self.rows_per_second(now).filter(|rate| *rate > 0.0)?;
        Duration::try_from_secs_f64((self.total()? - self.done) as f64 / rate).ok()
    }

    /// Rate, time left, and what cannot be read.
    fn pace(&self, now: Instant) -> String {
        let mut text = String::new();
        if let Some(rate) = self.rows_per_second(now) {
            let _ = write!(text, ", {} rows/s", count(rate as u64));
        }
        if let Some(left) = self.left(now) {
            let _ = write!(text, ", {} left", duration(left));
        }
        if self.quarantined > 0 {
            let _ = write!(text, ", {} left alone", several(self.quarantined, "value"));
        }
        text
    }

    fn wait(&self) -> String {
        self.waiting.as_ref().map_or_else(String::new, |wait| format!("waiting: {}", escaped(&wait.reason)))
    }

    /// The line about a wait that has become long, once.
    fn long_wait(&mut self, now: Instant) -> Option<String> {
        let wait = self.waiting.as_mut().filter(|wait| !wait.told && now.duration_since(wait.since) >= LONG_WAIT)?;
        wait.told = true;
        Some(self.wait())
    }

    /// `first pass: 12,000 of 50,000 rows (24 %), 31,200 rows/s, 1.2s left`
    fn line(&self, now: Instant) -> String {
        let mut text = format!("{}: {}", self.pass_name(), count(self.done));
        let _ = match (self.total(), self.estimate()) {
            (Some(total), _) => write!(text, " of {} rows ({} %)", count(total), self.done * 100 / total.max(1)),
            (None, Some(estimate)) => write!(text, " rows, more than the {} estimated", count(estimate)),
            (None, None) => write!(text, " rows"),
        };
        text.push_str(&self.pace(now));
        if self.waiting.is_some() {
            let _ = write!(text, ", {}", self.wait());
        }
        text
    }
}

fn several(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// The drawing thread: ends when the sender is dropped.
fn draw(model: &Mutex<Model>, terminal: &Terminal, ended: &mpsc::Receiver<()>) {
    let mut bars = Bars::default();
    let mut line_due = Instant::now() + LINE_EVERY;
    loop {
        let ending = !matches!(ended.recv_timeout(REDRAW), Err(mpsc::RecvTimeoutError::Timeout));
        let now = Instant::now();
        let mut model = lock(model);
        let mut notes = std::mem::take(&mut model.notes);
        if terminal.progress() != ProgressForm::Bars && !ending {
            notes.extend(model.long_wait(now));
        }
        let line = match terminal.progress() {
            ProgressForm::Lines if now >= line_due && !ending && (model.began || model.waiting.is_some()) => {
                line_due = now + LINE_EVERY;
                Some(model.line(now))
            }
            ProgressForm::Bars if !ending && (model.began || model.waiting.is_some()) => {
                bars.show(&model, terminal, now);
                None
            }
            _ => None,
        };
        drop(model);
        for text in notes.iter().chain(&line) {
            terminal.note(text);
        }
        if ending {
            bars.clear();
            return;
        }
    }
}

/// One bar a table, one over all of them, and a line below that says why it waits.
#[derive(Default)]
struct Bars {
    tables: Vec<ProgressBar>,
    overall: Option<ProgressBar>,
    wait: Option<ProgressBar>,
}

impl Bars {
    fn show(&mut self, model: &Model, terminal: &Terminal, now: Instant) {
        let several = model.tables.len() > 1;
        if several {
            while self.tables.len() < model.tables.len() {
                let bar = ProgressBar::new(0).with_style(style(BAR));
                self.tables.push(terminal.bars().insert(self.tables.len(), bar));
            }
        }
        for (bar, table) in self.tables.iter().zip(&model.tables) {
            set(bar, table.done, table.expected);
            bar.set_prefix(escaped(&table.name));
        }
        let overall =
            self.overall.get_or_insert_with(|| terminal.bars().add(ProgressBar::new(0).with_style(style(BAR))));
        set(overall, model.done, model.total());
        overall.set_prefix(model.pass_name());
        overall.set_message(model.pace(now).trim_start_matches(", ").to_owned());
        let line = || terminal.bars().add(ProgressBar::new(0).with_style(style("{wide_msg}")));
        self.wait.get_or_insert_with(line).set_message(model.wait());
    }

    fn clear(&mut self) {
        for bar in self.tables.drain(..).chain(self.overall.take()).chain(self.wait.take()) {
            bar.finish_and_clear();
        }
    }
}

fn set(bar: &ProgressBar, done: u64, expected: Option<u64>) {
    // Each is drawn at once, and a new pass has fewer of both: the bar never says that more is done than there is.
    if done < bar.position() {
        bar.set_position(done);
    }
    bar.set_length(expected.unwrap_or(done).max(done));
    bar.set_position(done);
}

const BAR: &str = "{prefix:24!} {bar:30} {human_pos:>11} of {human_len:<11} {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reencrypt_db::TableName;

    fn patient() -> TableName {
        TableName { schema: "public".into(), name: "Patient".into() }
    }

    fn batch(rows: u64) -> Event {
        Event::BatchCommitted { pass: 1, table: patient(), rows, rotated: rows, missed: 0 }
    }

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long() {
        let start = Instant::now();
        let mut model = Model::default();
        model.take(&Event::PassStarted { pass: 1, rows: 5000 }, start);
        model.take(&batch(0), start);
        model.take(&batch(1000), start + Duration::from_secs(1));
        let line = model.line(start + Duration::from_secs(2));
        assert_eq!(line, "first pass: 1,000 of 5,000 rows (20 %), 500 rows/s, 8.0s left");
        let left = Event::Quarantined { table: patient(), column: "email".into(), class: "damaged".into(), count: 3 };
        model.take(&left, start);
        assert!(model.line(start).ends_with("3 values left alone"), "{}", model.line(start));
    }

    #[test]
    fn waiting_is_said_with_its_reason_until_it_ends() {
        let now = Instant::now();
        let mut model = Model::default();
        model.take(&Event::PassStarted { pass: 2, rows: 10 }, now);
        model.take(&Event::Waiting { reason: "paused: lunch\u{1b}".into() }, now);
        assert_eq!(model.line(now), "sweep 1: 0 of 10 rows (0 %), waiting: paused: lunch\\u{1b}");
        assert_eq!(model.long_wait(now), None, "a short wait is nobody's concern");
        let later = now + LONG_WAIT;
        assert_eq!(model.long_wait(later).as_deref(), Some("waiting: paused: lunch\\u{1b}"));
        assert_eq!(model.long_wait(later), None, "once is enough");
        let batch = Event::BatchCommitted { pass: 2, table: patient(), rows: 10, rotated: 0, missed: 0 };
        model.take(&batch, now);
        assert!(model.line(now).contains("waiting"), "another worker waits still: {}", model.line(now));
        model.take(&Event::Resumed, now);
        assert_eq!(model.line(now), "sweep 1: 10 of 10 rows (100 %)");
    }

    #[test]
    fn each_pass_counts_anew_and_one_that_goes_on_does_not() {
        let now = Instant::now();
        let mut model = Model::default();
        model.table("public.Patient").done = 400;
        (model.pass, model.done) = (1, 400);
        model.take(&Event::PassStarted { pass: 1, rows: 1000 }, now);
        model.take(&batch(100), now);
        assert_eq!(model.line(now), "first pass: 500 of 1,000 rows (50 %)");
        model.take(&Event::PassStarted { pass: 2, rows: 1000 }, now);
        model.take(&batch(100), now);
        assert_eq!(model.line(now), "sweep 1: 100 of 1,000 rows (10 %)");
    }

    #[test]
    fn an_estimate_that_was_too_low_grows() {
        let now = Instant::now();
        let mut model = Model::default();
        model.table("main.Patient").expected = Some(5);
        model.take(&Event::Verified { table: patient(), rows: 8 }, now);
        assert_eq!(model.line(now), "reading: 8 rows");
        model.table("public.Patient").expected = Some(1);
        assert_eq!(model.line(now), "reading: 8 of 13 rows (61 %)", "the other table has its five before it still");
        let other = TableName { schema: "main".into(), name: "Patient".into() };
        model.take(&Event::Verified { table: other, rows: 5 }, now);
        assert_eq!(model.line(now), "reading: 13 rows, more than the 6 estimated");
    }

    #[test]
    fn beyond_the_estimate_nobody_knows_how_much_is_left() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut model = Model::default();
        model.table("public.Patient").expected = Some(1000);
        model.take(&Event::PassStarted { pass: 1, rows: 1000 }, start);
        model.take(&batch(0), start);
        model.take(&batch(1000), start);
        assert_eq!(model.line(start), "first pass: 1,000 of 1,000 rows (100 %)");
        model.take(&batch(500), later);
        assert_eq!(
            model.line(later),
            "first pass: 1,500 rows, more than the 1,000 estimated, 1,500 rows/s",
            "and no time that is left"
        );
    }
}
