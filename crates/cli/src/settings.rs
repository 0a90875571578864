//! What will run: the configuration file, the environment and the flags, joined once.
use crate::{arguments::Globals, failure::Failure, session::Session};
use reencrypt_crypto::{KeyPair, Pool, SecretKey};
use reencrypt_db::{ConnectOptions, Credentials, Database, DatabaseUrl, TlsMode};
use reencrypt_engine::{Context, Observer};
use reencrypt_keys::{self as keys, Decode, Environment, Source, Sources};
use reencrypt_planner::{Configuration, Finding, Keyring, Reference};
use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// Read in this order where the configuration names no URL: a direct connection before a pooler.
pub(crate) const URL_VARIABLES: [&str; 3] = ["DIRECT_DATABASE_URL", "DIRECT_URL", "DATABASE_URL"];
/// The configuration that is used where none is named.
pub(crate) const DEFAULT_FILE: &str = "reencrypt.toml";
/// The database URL, in errors.
const URL: &str = "database.url";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a command needs a key, can use it, or must not even look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

/// Which keys of each pair a command reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyNeeds {
    /// No PHI key is looked at.
    Nothing,
    /// Each pair's old and new key.
    Pairs {
        /// the key that values stand under
        old: Need,
        /// the key they shall stand under
        new: Need,
    },
}

/// The configuration with all that it refers to, unread.
pub(crate) struct Settings {
    pub(crate) configuration: Configuration,
    /// Where relative paths of the configuration start.
    base: PathBuf,
    sources: Sources,
    actor: String,
}

impl Settings {
    /// Reads the dotenv file and the configuration file. Reads no secret yet.
    pub(crate) fn load(globals: &Globals, session: &Session) -> Result<Self, Failure> {
        let mut environment = session.take_environment();
        if let Some(path) = &globals.env_file {
            for name in environment.add_dotenv(path)? {
                session
                    .terminal
                    .note(&format!("note: {name} has another value in {}; the environment's is used", path.display()));
            }
        }
        let actor = globals.actor.clone().unwrap_or_else(|| operating_system_user(&environment));
        let file = read_configuration(globals.config.as_deref())?;
        let (mut configuration, base) = match file {
            Some((path, text)) => (Configuration::parse(&text)?, folder_of(&path)),
            None => (Configuration::from_environment(), PathBuf::new()),
        };
        if configuration.keys.is_empty() {
            configuration.keys = Configuration::from_environment().keys;
        }
        Ok(Self { configuration, base, sources: Sources::new(environment), actor })
    }

    /// Connects, reads the keys that the command needs, and hands all of it to the engine.
    pub(crate) async fn context(
        self,
        needs: KeyNeeds,
        observer: Arc<dyn Observer>,
        session: &Session,
    ) -> Result<Context, Failure> {
        let keys = session.unless_stopped(self.keyring(needs)).await?;
        self.context_with(keys, needs, observer, session).await
    }

    /// The same with keys that come from elsewhere than the configuration.
    pub(crate) async fn context_with(
        self,
        keys: Keyring,
        needs: KeyNeeds,
        observer: Arc<dyn Observer>,
        session: &Session,
    ) -> Result<Context, Failure> {
        let place = self.database_url()?;
        let url = session.unless_stopped(self.sources.load_text(URL, &place)).await?;
        let options = self.connect_options(&url)?;
        let threads = match needs {
            KeyNeeds::Nothing => 1,
            KeyNeeds::Pairs { .. } => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let database = session.unless_stopped(Database::connect(options)).await?;
        let database = database.with_credentials(UrlPlace::that_may_change(place));
        Ok(Context {
            database,
            configuration: self.configuration,
            keys,
            pool: Arc::new(Pool::new(threads)),
            actor: self.actor,
            observer,
            stop: session.stop.clone(),
        })
    }

    /// The key pairs, each key read once from its source, until one cannot be had.
    async fn keyring(&self, needs: KeyNeeds) -> Result<Keyring, Failure> {
        let mut ring = Keyring::new();
        for (name, [old, new]) in self.sides(needs) {
            let (old, new) = tokio::try_join!(self.key(old), self.key(new))?;
            ring.insert(name, Arc::new(KeyPair { old, new }));
        }
        Ok(ring)
    }

    /// The same without the keys that cannot be read, and what is wrong with those as findings.
    pub(crate) async fn readable_keys(&self, needs: KeyNeeds) -> Result<(Keyring, Vec<Finding>), Failure> {
        let (mut ring, mut broken) = (Keyring::new(), Vec::new());
        for (name, [old, new]) in self.sides(needs) {
            let (old, new) = tokio::join!(self.key(old), self.key(new));
            let [old, new] = [old, new].map(|key| {
                key.unwrap_or_else(|failure| {
                    broken.push(failure.finding());
                    None
                })
            });
            ring.insert(name, Arc::new(KeyPair { old, new }));
        }
        Ok((ring, broken))
    }

    /// The first pair whose new key could be guessed: values would be rotated from one exposed key to another.
    pub(crate) fn weak_new_key(keys: &Keyring) -> Option<Failure> {
        keys.iter().find_map(|(name, pair)| {
            let weakness = keys::weakness(pair.new.as_ref()?.expose())?;
            Some(Failure::new(
                "weak_key",
                format!("key.{name}.new is no key to rotate to: {weakness}"),
                "make one with `reencrypt keygen --local`, or `openssl rand -hex 32`",
            ))
        })
    }

    /// The places of each pair's keys.
    fn sides(&self, needs: KeyNeeds) -> impl Iterator<Item = (String, [Side<'_>; 2])> {
        let needs = match needs {
            KeyNeeds::Nothing => None,
            KeyNeeds::Pairs { old, new } => Some((old, new)),
        };
        needs.into_iter().flat_map(|(old, new)| {
            self.configuration.keys.iter().map(move |(name, pair)| {
                let side = |side, reference, need| Side { what: format!("key.{name}.{side}"), reference, need };
                (name.clone(), [side("old", pair.old.as_ref(), old), side("new", pair.new.as_ref(), new)])
            })
        })
    }

    async fn key(&self, side: Side<'_>) -> Result<Option<SecretKey>, Failure> {
        let Side { what, reference, need } = side;
        let what = &what;
        let Some(reference) = reference else {
            return match need {
                Need::Optional => Ok(None),
                Need::Required => Err(Failure::new(
                    "key_missing",
                    format!("{what} is not configured, and this command needs it"),
                    format!("add `{} = \"env:NAME\"` under [{}]", last_part(what), parent_part(what)),
                )),
            };
        };
        match self.sources.load_key(what, &self.resolve(reference)?).await {
            Err(e) if need == Need::Optional && e.is_absence() => Ok(None),
            read => Ok(Some(read?)),
        }
    }

    /// The variables, with those of the dotenv file.
    pub(crate) fn environment(&self) -> &Environment {
        self.sources.environment()
    }

    /// Everything that a connection to `url` needs.
    pub(crate) fn connect_options(&self, url: &str) -> Result<ConnectOptions, Failure> {
        let settings = &self.configuration.database;
        let url = DatabaseUrl::parse(url)?;
        let tls = settings.tls.as_deref().map(tls_mode).transpose()?;
        let ca = settings.ca.as_deref().map(|ca| self.base.join(ca.strip_prefix("file:").unwrap_or(ca)));
        Ok(ConnectOptions { url, tls, ca, connect_timeout: CONNECT_TIMEOUT, application_name: "reencrypt".to_owned() })
    }

    /// Where the database URL stands.
    pub(crate) fn database_url(&self) -> Result<keys::Reference, Failure> {
        match &self.configuration.database.url {
            Some(written) => {
                let mut reference = self.resolve(written)?;
                if written.decode.is_none() {
                    reference.decode = Decode::Raw;
                }
                Ok(reference)
            }
            None => {
                let environment = self.sources.environment();
                let set = URL_VARIABLES.iter().find(|name| environment.get(name).is_some());
                let Some(name) = set else { return Err(no_url()) };
                Ok(keys::Reference { source: Source::Env((*name).to_owned()), decode: Decode::Raw, take: None })
            }
        }
    }

    /// The place, with relative paths taken from the configuration's folder.
    pub(crate) fn resolve(&self, written: &Reference) -> Result<keys::Reference, Failure> {
        let reference = match &written.wrapped_by {
            Some(by) => keys::Reference::wrapped(&written.from, &by.key_id, by.context.clone())?,
            None => keys::Reference::parse(&written.from, written.decode.as_deref(), written.take)?,
        };
        Ok(keys::Reference { source: reference.source.relative_to(&self.base), ..reference })
    }

    /// Every configured key by its name, each read once; what is wrong with one is no matter for the others.
    pub(crate) async fn configured_keys(&self) -> Vec<(String, Result<SecretKey, Failure>)> {
        let mut read = Vec::new();
        for (name, pair) in &self.configuration.keys {
            for (side, reference) in [("old", &pair.old), ("new", &pair.new)] {
                let what = format!("key.{name}.{side}");
                if reference.is_none() {
                    continue;
                }
                let key =
                    self.key(Side { what: what.clone(), reference: reference.as_ref(), need: Need::Required }).await;
                read.push((what, key.and_then(|key| key.ok_or_else(Failure::interrupted))));
            }
        }
        read
    }

    /// Where keys are read from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }
}

/// One key of a pair: its name, its place, and whether it must be there.
struct Side<'s> {
    what: String,
    reference: Option<&'s Reference>,
    need: Need,
}

/// The place of the database URL, to be read again where the server refuses the credentials.
struct UrlPlace(keys::Reference);

impl UrlPlace {
    /// A variable of the process is what it was at the start; a file or a secret may be another one by now.
    fn that_may_change(place: keys::Reference) -> Option<Arc<dyn Credentials>> {
        match place.source {
            Source::Env(_) | Source::Kms(_) => None,
            Source::File(_) | Source::SecretsManager(_) => Some(Arc::new(Self(place))),
        }
    }

    async fn load(&self) -> Result<DatabaseUrl, Failure> {
        let text = Sources::default().load_text(URL, &self.0).await?;
        Ok(DatabaseUrl::parse(&text)?)
    }
}

impl Credentials for UrlPlace {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Option<DatabaseUrl>> + Send + '_>> {
        Box::pin(async {
            let url = self.load().await;
            url.inspect_err(|e| tracing::warn!("the database URL could not be loaded again: {e}")).ok()
        })
    }
}

/// The configuration's path and text. A file that was named must exist; the default one may be missing.
fn read_configuration(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, Failure> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Failure::new(
            "config_missing",
            format!("there is no configuration file {}", path.display()),
            format!("`reencrypt init --write {}` makes one", path.display()),
        )),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Err(Failure::new(
            "config_unreadable",
            format!("the configuration file {} is not UTF-8 text", path.display()),
            "save it as UTF-8",
        )),
        Err(e) => Err(Failure::new(
            "config_unreadable",
            format!("the configuration file {} cannot be read: {e}", path.display()),
            "check the file's path and permissions",
        )),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

fn tls_mode(text: &str) -> Result<TlsMode, Failure> {
    match text {
        "verify-full" => Ok(TlsMode::VerifyFull),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "require" => Ok(TlsMode::Require),
        "disable" => Ok(TlsMode::Disable),
        _ => Err(Failure::new(
            "config_invalid",
            format!("database.tls is {text:?}, which is no TLS mode"),
            "write verify-full (the default away from this machine), verify-ca, require or disable",
        )),
    }
}

fn no_url() -> Failure {
    Failure::new(
        "database_url_missing",
        format!("no database is named: none of {} is set", URL_VARIABLES.join(", ")),
        "set DATABASE_URL, or name it in reencrypt.toml: [database] url = \"env:NAME\"",
    )
}

/// `--actor` by default.
fn operating_system_user(environment: &Environment) -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| environment.get(name)).filter(|name| !name.is_empty());
    match named {
        Some(name) => name.to_owned(),
        None => format!("uid {}", rustix::process::getuid().as_raw()),
    }
}

fn last_part(what: &str) -> &str {
    what.rsplit_once('.').map_or(what, |(_, last)| last)
}

fn parent_part(what: &str) -> &str {
    what.rsplit_once('.').map_or(what, |(parent, _)| parent)
}
