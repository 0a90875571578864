//! A person at a shell: types commands of the tool, sees what they print, and kills them.
use crate::{Configuration, Database, KEYS, Keys};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    task::JoinHandle,
};

/// No command of a test takes longer, not even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// A working directory, an environment, and the tool.
pub struct Operator {
    binary: PathBuf,
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Operator {
    /// An operator of this database who has both keys of [`KEYS`] and a configuration for the Patient table.
    pub fn new(binary: impl Into<PathBuf>, database: &Database) -> Self {
        let operator = Self::without_configuration(binary).set("DATABASE_URL", &database.url()).keys(&KEYS);
        operator.configure(&Configuration::default().text());
        operator
    }

    /// An operator with an empty folder and an empty environment.
    pub fn without_configuration(binary: impl Into<PathBuf>) -> Self {
        let folder = tempfile::Builder::new().prefix("reencrypt-operator-").tempdir().expect("a temporary folder");
        let home = folder.path().display().to_string();
        let environment =
            [("HOME", home.as_str()), ("PATH", "/usr/bin:/bin"), ("USER", "operator"), ("RUST_BACKTRACE", "1")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { binary: binary.into(), folder, environment }
    }

    /// With an environment variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Without an environment variable.
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// With these keys in `OLD_KEY` and `NEW_KEY`.
    pub fn keys(self, keys: &Keys) -> Self {
        self.set("OLD_KEY", &keys.old_hex()).set("NEW_KEY", &keys.new_hex())
    }

    /// With an AWS at this address, and credentials that it takes.
    pub fn aws(self, url: &str) -> Self {
        self.set("AWS_ENDPOINT_URL", url)
            .set("AWS_REGION", "eu-west-1")
            .set("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
            .set("AWS_SECRET_ACCESS_KEY", "the-secret-access-key-of-a-test")
            // Nothing on this machine is asked for credentials.
            .set("AWS_EC2_METADATA_DISABLED", "true")
    }

    /// Where the commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `reencrypt.toml`.
    pub fn configure(&self, text: &str) {
        self.write("reencrypt.toml", text);
    }

    /// Writes a file into the folder, for nobody else to read.
    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions can be set");
    }

    /// Runs a command to its end, with `--output json`.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish().await
    }

    /// Runs a command to its end as it was typed.
    pub async fn run_as_typed(&self, arguments: &[&str]) -> Finished {
        self.start_with(arguments, &[]).finish().await
    }

    /// Starts a command with `--output json`, with failpoints that this command alone has.
    pub fn start_failing(&self, failpoints: &str, arguments: &[&str]) -> Running {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
        self.start_with(&arguments, &[("FAILPOINTS", failpoints)])
    }

    /// Starts a command, with `--output json`.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--output", "json"]).collect();
        self.start_with(&arguments, &[])
    }

    /// Starts a command as it was typed.
    pub fn start_as_typed(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, &[])
    }

    fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(&self.environment);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the tool can be started");
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        Running {
            typed: format!("reencrypt {}", arguments.join(" ")),
            child,
            stdout: tokio::spawn(read_all(stdout)),
            stderr: tokio::spawn(read_all(stderr)),
        }
    }
}

async fn read_all(mut pipe: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = pipe.read_to_end(&mut bytes).await;
    bytes
}

/// A command that has not ended yet.
pub struct Running {
    typed: String,
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
}

impl Running {
    /// The process id, while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_some()
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(mut self) -> Finished {
        self.child.start_kill().expect("a child can be killed");
        self.finish().await
    }

    /// Sends a signal by its name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it still runs").to_string();
        let sent = std::process::Command::new("/bin/kill").args(["-s", name, &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
    }

    /// Waits for the end. Panics with all output when it takes too long.
    pub async fn finish(mut self) -> Finished {
        let status = match tokio::time::timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => {
                self.child.start_kill().expect("a child can be killed");
                let (stdout, stderr) = (self.stdout.await.unwrap_or_default(), self.stderr.await.unwrap_or_default());
                let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
                panic!("{}: no end within {DEADLINE:?}\nstdout:\n{stdout}\nstderr:\n{stderr}", self.typed);
            }
        };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the tool prints UTF-8");
        Finished {
            typed: self.typed,
            status,
            stdout: text(self.stdout.await.expect("standard output can be read")),
            stderr: text(self.stderr.await.expect("standard error can be read")),
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    typed: String,
    status: ExitStatus,
    /// standard output
    pub stdout: String,
    /// standard error
    pub stderr: String,
}

impl Finished {
    /// The exit code; none after a deadly signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Passes the command on if it ended with this code, and panics with all it printed otherwise.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self}");
        self
    }

    /// Whether the kernel wrote the process's memory down when it died.
    pub fn dumped_core(&self) -> bool {
        std::os::unix::process::ExitStatusExt::core_dumped(&self.status)
    }

    /// The signal that it died of.
    pub fn deadly_signal(&self) -> Option<i32> {
        std::os::unix::process::ExitStatusExt::signal(&self.status)
    }

    /// The JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("standard output is not one JSON document: {e}\n{self}"))
    }

    /// The state that the result has.
    #[track_caller]
    pub fn state(&self) -> String {
        self.json()["state"].as_str().unwrap_or_else(|| panic!("no state\n{self}")).to_owned()
    }

    /// Asserts a refusal: exit 2, a code, a message that names the thing, and a hint.
    #[track_caller]
    pub fn expect_refusal(&self, code: &str, names: &[&str]) {
        assert_eq!(self.code(), Some(2), "{self}");
        let json = self.json();
        let error = &json["error"];
        assert_eq!(error["code"].as_str(), Some(code), "{self}");
        assert_eq!(json["exit_code"], 2, "{self}");
        let message = error["message"].as_str().unwrap_or_default();
        let hint = error["hint"].as_str().unwrap_or_default();
        assert!(!hint.is_empty(), "no hint\n{self}");
        for name in names {
            assert!(format!("{message}\n{hint}").contains(name), "{name} is not named\n{self}");
        }
        self.assert_commands(&format!("{message} {hint}"));
    }

    /// What is named is to be had.
    #[track_caller]
    fn assert_commands(&self, text: &str) {
        for command in commands_in(text) {
            assert!(COMMANDS.contains(&command), "`reencrypt {command}` is no command\n{self}");
        }
    }

    /// The counts of a column of a table in the result.
    #[track_caller]
    pub fn column(&self, column: &str) -> Value {
        let json = self.json();
        let columns =
            json["tables"].as_array().into_iter().flatten().flat_map(|table| table["columns"].as_array()).flatten();
        let found = columns.into_iter().find(|one| one["column"] == column);
        found.unwrap_or_else(|| panic!("no column {column}\n{self}")).clone()
    }

    /// Name and message of doctor's checks with a status. Each that fails says what to do, or what to type.
    #[track_caller]
    pub fn checks(&self, status: &str) -> Vec<(String, String)> {
        let json = self.json();
        let checks = json["checks"].as_array().unwrap_or_else(|| panic!("no checks\n{self}")).clone();
        let text = |check: &Value, member: &str| check[member].as_str().unwrap_or_default().to_owned();
        for check in checks.iter().filter(|check| check["status"] == "fail") {
            let (message, hint) = (text(check, "message"), text(check, "hint"));
            assert!(message.contains('`') || !hint.is_empty(), "{check} helps nobody\n{self}");
            self.assert_commands(&format!("{message} {hint}"));
        }
        let told = |check: &Value| (text(check, "name"), text(check, "message") + " " + &text(check, "hint"));
        checks.iter().filter(|check| check["status"] == status).map(told).collect()
    }

    /// The codes of the findings with a severity.
    #[track_caller]
    pub fn findings(&self, severity: &str) -> Vec<String> {
        let json = self.json();
        let findings = json["findings"].as_array().unwrap_or_else(|| panic!("no findings\n{self}")).clone();
        let of_severity = findings.iter().filter(|finding| finding["severity"] == severity);
        of_severity.filter_map(|finding| Some(finding["code"].as_str()?.to_owned())).collect()
    }
}

/// The commands that a hint may send somebody to.
const COMMANDS: [&str; 16] = [
    "init",
    "doctor",
    "plan",
    "run",
    "sweep",
    "verify",
    "status",
    "pause",
    "continue",
    "abandon",
    "quarantine",
    "key",
    "keygen",
    "formats",
    "demo",
    "completions",
];

/// The word behind every "`reencrypt ".
fn commands_in(text: &str) -> impl Iterator<Item = &str> {
    let behind = text.split("`reencrypt ").skip(1);
    behind
        .map(|rest| rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default())
        .filter(|word| !word.is_empty())
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended with {}\nstdout:\n{}\nstderr:\n{}", self.typed, self.status, self.stdout, self.stderr)
    }
}
