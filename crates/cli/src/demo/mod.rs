//! `demo`: the whole story on an embedded database that it makes, told while it happens, and checked.
mod clinic;
mod folder;
mod interruption;
mod people;
mod story;

use crate::{
    arguments::{DemoArguments, Globals, LogForm, OutputForm},
    failure::Failure,
    output::{self, Align, Outcome, Plain, Sheet},
    progress::Progress,
    session::Session,
    settings::{KeyNeeds, Need, Settings},
    shell::Shell,
};
use clinic::Clinic;
use folder::Folder;
use std::sync::Arc;
use story::Story;

/// Seeds, plans, runs, kills, resumes, accepts and verifies. Exit 0 when everything went as told.
pub(crate) async fn run(typed: &DemoArguments, session: &Session) -> Result<Outcome, Failure> {
    let folder = Folder::make(&typed.dir)?;
    let globals = globals(&folder);
    let narrator = Narrator { form: session.form, shell: Shell::new(&globals, &[]) };
    narrator.say(&format!(
        "A clinic's database with {} patients is made in {}",
        output::count(typed.rows.into()),
        folder.path().display()
    ));
    let old = folder.furnish()?;
    let mut clinic = session.unless_stopped(Clinic::open(&folder.database(), typed.rows, old)).await?;

    let progress = Progress::start(&session.terminal);
    let both = KeyNeeds::Pairs { old: Need::Required, new: Need::Required };
    let context = Settings::load(&globals, session)?.context(both, progress.observer(), session).await?;
    let story = Story { context: Arc::new(context), folder: &folder, session, narrator: &narrator };
    let told = story.tell(&mut clinic).await.map_err(|failure| narrator.completed(failure))?;
    drop(progress);

    let mut files = Sheet::new([("file", Align::Left), ("", Align::Left)]);
    for (file, what) in folder.guide() {
        files.row([file.display().to_string(), what.to_owned()]);
    }
    let mut text = format!("\nThe story went as told. What it left:\n\n{}", files.render());
    text.push_str(&narrator.complete("\nnext: reencrypt status\n"));
    let json = serde_json::json!({
        "command": "demo",
        "exit_code": 0,
        "directory": folder.path().to_string_lossy(),
        "rows": typed.rows,
        "rows_committed_at_kill": told.rows_at_kill,
        "values_rotated": told.values_rotated,
        "values_accepted": told.values_accepted,
        "old_key_needed": false,
    });
    Ok(Outcome::new(0, Plain { text, json }))
}

/// What a person would type to use the folder's configuration.
fn globals(folder: &Folder) -> Globals {
    Globals {
        config: Some(folder.configuration()),
        env_file: None,
        output: OutputForm::Text,
        log_format: LogForm::Text,
        verbose: 0,
        quiet: false,
        no_progress: false,
        yes: true,
        actor: Some("demo".to_owned()),
    }
}

/// Tells the story on standard output while it happens; with `--output json` the document at the end is all.
struct Narrator {
    form: OutputForm,
    /// That of a person who types commands about the folder.
    shell: Shell,
}

impl Narrator {
    fn say(&self, text: &str) {
        if self.form == OutputForm::Text {
            // Whoever stopped listening hears nothing more; the story goes on.
            let _ = output::write(&format!("{}\n", crate::terminal::escaped_lines(&self.complete(text))));
        }
    }

    fn complete(&self, text: &str) -> String {
        self.shell.complete(text, OutputForm::Text)
    }

    /// A failure with a hint that is about the folder.
    fn completed(&self, failure: Failure) -> Failure {
        Failure { hint: failure.hint.map(|hint| self.complete(&hint)), ..failure }
    }
}
