//! What was typed. Nothing here is read from a file or the environment, and no flag takes a key or a password.
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use reencrypt_planner::Ceiling;
use std::{path::PathBuf, time::Duration};

/// The command line as a whole.
#[derive(Debug, Parser)]
#[command(
    name = "reencrypt",
    version,
    about = "Rotates the key of field-encrypted data in a live database: plan, run --resume, verify",
    after_help = "Exit codes: 0 done; 1 done, with something left for a person; 2 did not start or could not go on; \
                  130 stopped by a signal (`reencrypt run --resume` goes on).",
    disable_help_subcommand = true,
    propagate_version = false
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Accepted by every command.
#[derive(Debug, Args)]
pub(crate) struct Globals {
    /// Configuration file [default: reencrypt.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Dotenv file; the real environment wins, and names that differ are shown
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) env_file: Option<PathBuf>,
    /// Result on standard output: for a person, or one JSON document
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM", help_heading = "Global options")]
    pub(crate) output: OutputForm,
    /// Log on standard error: a line or a JSON object an event
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM", help_heading = "Global options")]
    pub(crate) log_format: LogForm,
    /// Log more: -v info, -vv debug, -vvv trace
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// Neither progress nor notes, errors alone
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// No progress bars or progress lines
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) no_progress: bool,
    /// Answer every question with yes (outside production, --readers-ready too)
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) yes: bool,
    /// Who acts, for the run's events [default: the operating system's user]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) actor: Option<String>,
}

/// `--output`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OutputForm {
    #[default]
    Text,
    Json,
}

/// `--log-format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogForm {
    #[default]
    Text,
    Json,
}

/// The commands of this version.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find encrypted columns and print (or write) a configuration
    Init(InitArguments),
    /// Check secrets, keys, database and privileges, one line a check
    Doctor(DoctorArguments),
    /// Dry run: what a run would touch, what stands there, what it will take
    Plan(PlanArguments),
    /// Rotate: every configured value from the old key to the new
    Run(RunArguments),
    /// Further passes of the same run after cutover, without the first pass
    Sweep(SweepArguments),
    /// Read everything and say whether the old key is still needed
    Verify(VerifyArguments),
    /// State, progress and the next command of the last run
    Status(StatusArguments),
    /// Ask every worker of the run to wait
    Pause(PauseArguments),
    /// Take a pause back
    Continue,
    /// End an unfinished run for good; its record stays
    Abandon(AbandonArguments),
    /// The values left alone, and their acceptance
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Say which configured key a key is, and what it opens
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make a 256-bit key: here, as a data key of AWS KMS, or into AWS Secrets Manager
    Keygen(KeygenArguments),
    /// The formats that need no declaration
    Formats(FormatsArguments),
    /// The whole story on an embedded database that it makes
    Demo(DemoArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
}

impl Command {
    /// The name in `command` of a JSON result.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Init(_) => "init",
            Command::Doctor(_) => "doctor",
            Command::Plan(_) => "plan",
            Command::Run(_) => "run",
            Command::Sweep(_) => "sweep",
            Command::Verify(_) => "verify",
            Command::Status(_) => "status",
            Command::Pause(_) => "pause",
            Command::Continue => "continue",
            Command::Abandon(_) => "abandon",
            Command::Quarantine(QuarantineCommand::List(_)) => "quarantine list",
            Command::Quarantine(QuarantineCommand::Accept(_)) => "quarantine accept",
            Command::Key(KeyCommand::Check(_)) => "key check",
            Command::Keygen(_) => "keygen",
            Command::Formats(_) => "formats",
            Command::Demo(_) => "demo",
            Command::Completions(_) => "completions",
        }
    }
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Write the configuration to a new file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

/// `doctor`
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// What shall work: what only another command needs is a warning and no failure
    #[arg(long = "for", value_enum, default_value_t, value_name = "COMMAND")]
    pub(crate) for_: Purpose,
}

/// `--for`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Purpose {
    /// both keys, and the privilege to write
    #[default]
    Run,
    /// the old key
    Plan,
    /// the new key
    Verify,
}

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Write the plan to a new file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Values looked at per column
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "full")]
    pub(crate) sample: u32,
    /// Read everything instead of a sample
    #[arg(long)]
    pub(crate) full: bool,
    /// Only these tables
    #[arg(long = "table", value_name = "NAME", num_args = 1..)]
    pub(crate) tables: Vec<String>,
}

/// How a run goes about it; shared by `run` and `sweep`.
#[derive(Debug, Args)]
pub(crate) struct PaceArguments {
    /// Workers [default: two, or the cores if fewer]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) workers: Option<usize>,
    /// Rows of one transaction [default: 2000, on SQLite 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_rows: Option<u32>,
    /// Bound on the speed of all workers together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_rows_per_second: Option<u32>,
    /// At a value that cannot be read: leave it byte for byte and count it, or stop before its batch is written
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) on_unreadable: OnUnreadableChoice,
    /// Stop when more values of a column than this cannot be read, a number or a percentage; ten are always left alone [default: 1%]
    #[arg(long, value_name = "N|P%")]
    pub(crate) max_unreadable: Option<Ceiling>,
    /// Sweeps after the first pass, at most
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) max_sweeps: u32,
}

/// `--on-unreadable`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OnUnreadableChoice {
    #[default]
    Quarantine,
    Stop,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Start, or continue the unfinished run
    #[arg(long)]
    pub(crate) resume: bool,
    /// Refuse unless the plan made now is this one: its id, or the file of `plan --out`
    #[arg(long, value_name = "HEX|FILE")]
    pub(crate) plan_id: Option<String>,
    /// Rotate N rows a table, then pause
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) canary: Option<u64>,
    /// Recorded in the run's events
    #[arg(long, value_name = "TEXT")]
    pub(crate) ticket: Option<String>,
    /// Recorded in the run's events
    #[arg(long, value_name = "NAME")]
    pub(crate) approved_by: Option<String>,
    /// State that every reader of the database knows both keys
    #[arg(long)]
    pub(crate) readers_ready: bool,
    /// Only these tables
    #[arg(long = "table", value_name = "NAME", num_args = 1..)]
    pub(crate) tables: Vec<String>,
    #[command(flatten)]
    pub(crate) pace: PaceArguments,
}

/// `sweep`
#[derive(Debug, Args)]
pub(crate) struct SweepArguments {
    /// Sweep again after this long, for example 10m
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "for_")]
    pub(crate) every: Option<Duration>,
    /// Go on for this long, for example 24h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, requires = "every")]
    pub(crate) for_: Option<Duration>,
    #[command(flatten)]
    pub(crate) pace: PaceArguments,
}

/// `verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Read a share of the rows only; a sample never says that the old key is not needed
    #[arg(long, value_name = "P%", value_parser = percentage)]
    pub(crate) sample: Option<f64>,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Show it again every two seconds until the run ends
    #[arg(long)]
    pub(crate) watch: bool,
    /// Exit 1 when stalled, waiting over 15 minutes, or values stand in quarantine unaccepted
    #[arg(long)]
    pub(crate) check: bool,
}

/// `pause`
#[derive(Debug, Args)]
pub(crate) struct PauseArguments {
    /// Until an instant (2026-11-25T06:00:00Z) or for a duration (30m) [default: until `continue`]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) until: Option<Timestamp>,
    /// Shown by `status`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `abandon`
#[derive(Debug, Args)]
pub(crate) struct AbandonArguments {
    /// Recorded in the run's events
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `quarantine`
#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Table, column, class and count of the values left alone
    List(QuarantineListArguments),
    /// Accept exactly N values of one table, column and class
    Accept(QuarantineAcceptArguments),
}

/// `quarantine list`
#[derive(Debug, Args)]
pub(crate) struct QuarantineListArguments {
    /// Print the row keys too (they can identify people)
    #[arg(long)]
    pub(crate) keys: bool,
}

/// `quarantine accept`
#[derive(Debug, Args)]
pub(crate) struct QuarantineAcceptArguments {
    /// Table, as `quarantine list` prints it
    #[arg(long, value_name = "T")]
    pub(crate) table: String,
    /// Column
    #[arg(long, value_name = "C")]
    pub(crate) column: String,
    /// Class
    #[arg(long, value_name = "K")]
    pub(crate) class: String,
    /// How many: one more value voids the acceptance
    #[arg(long, value_name = "N")]
    pub(crate) count: u64,
    /// Why they may stay as they are
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// `key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Say which configured key it is, and how many sampled values it opens
    Check(KeyCheckArguments),
}

/// `key check`
#[derive(Debug, Args)]
pub(crate) struct KeyCheckArguments {
    /// Where it stands: env:NAME, file:PATH or aws-secretsmanager:ID#property@STAGE; never the key itself
    #[arg(long, value_name = "REF")]
    pub(crate) from: String,
    /// How its text becomes bytes
    #[arg(long, value_name = "HOW", value_parser = ["hex", "base64", "raw"], default_value = "hex")]
    pub(crate) decode: String,
    /// Only the first so many bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) take: Option<usize>,
    /// Values looked at per column
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sample: u32,
}

/// `keygen`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("place").args(["local", "kms_key_id", "secret_id"]).required(true).multiple(true))]
pub(crate) struct KeygenArguments {
    /// Print 64 hex digits; refused on a terminal
    #[arg(long, conflicts_with_all = ["kms_key_id", "secret_id"])]
    pub(crate) local: bool,
    /// Print a local key on a terminal too
    #[arg(long, requires = "local")]
    pub(crate) show: bool,
    /// Ask AWS KMS for a data key under this key (id, ARN or alias) and print its wrapped form alone
    #[arg(long, value_name = "ID")]
    pub(crate) kms_key_id: Option<String>,
    /// Encryption context of the data key; may be given several times
    #[arg(long = "context", value_name = "NAME=VALUE", value_parser = context_pair, requires = "kms_key_id")]
    pub(crate) context: Vec<(String, String)>,
    /// Variable of the dotenv line for the wrapped key
    #[arg(long, value_name = "NAME", default_value = "ENCRYPTED_PHI_KEY", value_parser = variable_name)]
    pub(crate) variable: String,
    /// Store it in this secret of AWS Secrets Manager, which must exist: ID or ID#property
    #[arg(long, value_name = "ID")]
    pub(crate) secret_id: Option<String>,
    /// What is stored: the wrapped data key, or 64 hex digits for an application without KMS [default: wrapped with --kms-key-id, else hex]
    #[arg(long, value_enum, value_name = "FORM", requires = "secret_id")]
    pub(crate) store: Option<StoreForm>,
}

/// `--store`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreForm {
    Wrapped,
    Hex,
}

/// `formats`
#[derive(Debug, Args)]
pub(crate) struct FormatsArguments {
    /// One format in full
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Patients in the clinic's database
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1000..=2_000_000))]
    pub(crate) rows: u32,
    /// Folder to make; one that an earlier demo made is made anew
    #[arg(long, value_name = "DIR", default_value = "reencrypt-demo")]
    pub(crate) dir: PathBuf,
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `app=clinic`
fn context_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

fn variable_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !text.is_empty() && text.chars().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("letters, digits and underscores".into()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number".into()),
    }
}

/// `10m`, `24h`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let problem = || "not a duration: write for example 90s, 10m or 24h".to_owned();
    let parsed: SignedDuration = text.parse().map_err(|_| problem())?;
    if parsed.is_zero() {
        return Err("longer than nothing is needed".into());
    }
    Duration::try_from(parsed).map_err(|_| problem())
}

/// An instant as RFC 3339, or a duration from now.
fn instant(text: &str) -> Result<Timestamp, String> {
    let at = match duration(text) {
        Ok(length) => Timestamp::now().checked_add(length).map_err(|_| "too far away".to_owned())?,
        Err(_) => text
            .parse()
            .map_err(|_| "not a time: write 2026-11-25T06:00:00Z, or a duration from now such as 30m".to_owned())?,
    };
    if at <= Timestamp::now() { Err("that time has passed".into()) } else { Ok(at) }
}

/// `5%` or `0.5%`; the sign may be left out.
fn percentage(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 100.0 => Ok(share),
        _ => Err("not a percentage between 0 and 100".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("10").is_err());
        assert!(duration("-5m").is_err());
        assert!(duration("0s").is_err());
    }

    #[test]
    fn percentages_are_read() {
        assert_eq!(percentage("5%"), Ok(5.0));
        assert_eq!(percentage("0.5"), Ok(0.5));
        assert!(percentage("0%").is_err());
        assert!(percentage("101%").is_err());
        assert!(percentage("NaN").is_err());
    }

    #[test]
    fn instants_lie_ahead() {
        assert!(instant("30m").is_ok());
        assert!(instant("2999-01-01T00:00:00Z").is_ok());
        assert!(instant("2020-01-01T00:00:00Z").is_err());
        assert!(instant("tomorrow").is_err());
    }
}
