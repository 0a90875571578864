//! `keygen`
use crate::{
    arguments::{KeygenArguments, StoreForm},
    failure::Failure,
    output::{Outcome, Plain},
    shell::quoted,
};
use reencrypt_crypto::SecretKey;
use reencrypt_keys::{DataKey, KeyError, SecretName, SecretVersion, Sources, Stored, fresh_key, hex};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write,
    io::{self, IsTerminal},
};

/// Makes a key. The only one that is ever shown is one that was asked for with `--local`.
pub(crate) async fn run(typed: &KeygenArguments) -> Result<Outcome, Failure> {
    if typed.local {
        return local(typed.show || !io::stdout().is_terminal());
    }
    let sources = Sources::default();
    let secret = typed.secret_id.as_deref().map(secret_name).transpose()?;
    let form = form(typed)?;
    let key = match &typed.kms_key_id {
        Some(id) => Key::Data(sources.data_key(id, &context(typed)?).await?),
        None => Key::Plain(fresh_key()?),
    };
    let version = match &secret {
        Some(name) => Some(sources.store(name, key.stored(form)).await?),
        None => None,
    };
    let mut told = Told::default();
    told.line("fingerprint", "fingerprint", &key.secret().fingerprint().to_string());
    if let Key::Data(data) = &key {
        wrapped(&mut told, typed, data);
    }
    let pinned = secret.as_ref().zip(version).map(|(name, version)| stored(&mut told, name, &version, form));
    told.line("for reencrypt.toml", "reference", &reference(typed, &key, pinned.as_deref(), form));
    Ok(told.outcome())
}

/// The key's place, as the configuration names it: the version that was stored, or the variable of the dotenv line for a wrapped key.
fn reference(typed: &KeygenArguments, key: &Key, pinned: Option<&str>, form: StoreForm) -> String {
    let variable = format!("env:{}", typed.variable);
    let Key::Data(data) = key else { return toml_text(pinned.unwrap_or(&variable)) };
    let place = pinned.filter(|_| form == StoreForm::Wrapped).unwrap_or(&variable);
    let mut reference = format!("{{ kms = {}, key_id = {}", toml_text(place), toml_text(&data.key_id));
    if !typed.context.is_empty() {
        let pairs = typed.context.iter().map(|(name, value)| format!("{} = {}", toml_text(name), toml_text(value)));
        let _ = write!(reference, ", context = {{ {} }}", pairs.collect::<Vec<_>>().join(", "));
    }
    reference + " }"
}

/// Which form a secret holds, where one is asked for.
fn form(typed: &KeygenArguments) -> Result<StoreForm, Failure> {
    match (typed.store, &typed.kms_key_id) {
        (Some(StoreForm::Wrapped), None) => Err(Failure::new(
            "usage",
            "--store wrapped needs the KMS key that wraps it",
            "add --kms-key-id ID, or store the hex form with --store hex",
        )),
        (Some(form), _) => Ok(form),
        (None, Some(_)) => Ok(StoreForm::Wrapped),
        (None, None) => Ok(StoreForm::Hex),
    }
}

/// A key of which there is one form or two.
enum Key {
    Plain(SecretKey),
    Data(DataKey),
}

impl Key {
    fn secret(&self) -> &SecretKey {
        match self {
            Self::Plain(key) => key,
            Self::Data(data) => &data.key,
        }
    }

    fn stored(&self, form: StoreForm) -> Stored<'_> {
        match (self, form) {
            (Self::Data(data), StoreForm::Wrapped) => Stored::Wrapped(data),
            (key, _) => Stored::Hex(key.secret()),
        }
    }
}

/// A key from the operating system's generator, on standard output.
fn local(may_show: bool) -> Result<Outcome, Failure> {
    if !may_show {
        return Err(Failure::new(
            "terminal",
            "standard output is a terminal, where the key would stay to be read",
            "`reencrypt keygen --local > FILE` after `umask 077`, or add --show",
        ));
    }
    let key = fresh_key()?;
    let text = hex(&key);
    let fingerprint = key.fingerprint().to_string();
    let json = json!({ "command": "keygen", "exit_code": 0, "key": text.as_str(), "fingerprint": fingerprint });
    Ok(Outcome::new(0, Plain { text: text.to_string(), json }))
}

fn wrapped(told: &mut Told, typed: &KeygenArguments, data: &DataKey) {
    told.line("key id", "kms_key_id", &data.key_id);
    told.line("wrapped key", "wrapped", &data.wrapped);
    told.line("for a dotenv file", "dotenv", &format!("{}={}", typed.variable, data.wrapped));
}

/// Says where it stands; returns that as a reference that stays.
fn stored(told: &mut Told, name: &SecretName, version: &str, form: StoreForm) -> String {
    let property = name.property.as_ref().map(|property| format!("#{property}")).unwrap_or_default();
    let pinned = format!("aws-secretsmanager:{}{property}@{version}", name.id);
    told.line("secret", "secret_id", &name.id);
    told.line("version", "version_id", version);
    told.line("stored as", "stored", if form == StoreForm::Hex { "hex" } else { "wrapped" });
    told.line("pinned", "pinned", &pinned);
    let warning = "AWSCURRENT is the new key from now on and AWSPREVIOUS the one before, until the next put: whoever reads AWSCURRENT gets \
                   the new key. Pin the old key by its version id: aws secretsmanager list-secret-version-ids --secret-id";
    told.line("note", "note", &format!("{warning} {}", quoted(&name.id)));
    pinned
}

/// What is said, for a person and for a script.
#[derive(Default)]
struct Told {
    text: String,
    json: Map<String, Value>,
}

impl Told {
    fn line(&mut self, label: &str, member: &str, value: &str) {
        let _ = writeln!(self.text, "{label:<18} {value}");
        self.json.insert(member.to_owned(), value.into());
    }

    fn outcome(self) -> Outcome {
        let mut json = Map::from_iter([("command".to_owned(), "keygen".into()), ("exit_code".to_owned(), 0.into())]);
        json.extend(self.json);
        Outcome::new(0, Plain { text: self.text, json: json.into() })
    }
}

fn secret_name(text: &str) -> Result<SecretName, Failure> {
    let name = SecretName::parse(text)?;
    if name.version != SecretVersion::Stage("AWSCURRENT".to_owned()) {
        return Err(KeyError::Reference { reason: "a new version has no stage or version id yet" }.into());
    }
    Ok(name)
}

fn context(typed: &KeygenArguments) -> Result<BTreeMap<String, String>, Failure> {
    let context: BTreeMap<_, _> = typed.context.iter().cloned().collect();
    if context.len() < typed.context.len() {
        return Err(Failure::new("usage", "--context names one name twice", "give each name of the context once"));
    }
    Ok(context)
}

/// A TOML string; JSON's escapes are TOML's too.
fn toml_text(text: &str) -> String {
    Value::from(text).to_string()
}
