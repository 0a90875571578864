//! The secrets: each there, of its form, the same when it is loaded again, and not to be guessed.
use super::{Check, Status, reuse};
use crate::{arguments::Purpose, failure::Failure, settings::Settings};
use reencrypt_crypto::{Fingerprint, KeyPair, SecretKey};
use reencrypt_db::DatabaseUrl;
use reencrypt_keys::{self as keys, Decode, KeyError, SecretVersion, Source};
use reencrypt_planner::{Finding, Keyring, Reference, SecretForm, SecretSettings, Severity, key_findings};
use std::sync::Arc;

/// A secret that was read, by its fingerprint alone.
pub(super) struct Held {
    /// `JWT_SECRET`, `key.default.old`
    pub(super) name: String,
    pub(super) print: Fingerprint,
    /// a key of a configured pair, or the application's name for one
    pub(super) field_key: bool,
}

/// Every secret, and the key pairs as far as they could be loaded.
pub(super) async fn examine(settings: &Settings, purpose: Purpose) -> (Vec<Check>, Keyring) {
    let mut checks = vec![database_url(settings).await];
    let mut held = Vec::new();
    let mut ring = Keyring::new();
    for (name, pair) in &settings.configuration.keys {
        let mut side = async |side: &str, reference: Option<&Reference>, needed: bool| {
            let (check, key) = key(settings, &format!("key.{name}.{side}"), reference, needed).await;
            checks.push(check);
            if let Some(key) = &key {
                held.push(Held { name: format!("key.{name}.{side}"), print: key.fingerprint(), field_key: true });
            }
            key
        };
        let old = side("old", pair.old.as_ref(), purpose != Purpose::Verify).await;
        let new = side("new", pair.new.as_ref(), purpose != Purpose::Plan).await;
        ring.insert(name.clone(), Arc::new(KeyPair { old, new }));
    }
    checks.extend(pairs(settings, &ring));
    for secret in &settings.configuration.doctor.secrets {
        let (current, print) = variable(settings, &secret.name, secret, secret.required).await;
        checks.extend(current);
        held.extend(print.map(|print| Held { name: secret.name.clone(), print, field_key: secret.field_key }));
        if let Some(old) = secret.old.as_deref().filter(|old| settings.environment().get(old).is_some()) {
            let (mut predecessor, old_print) = variable(settings, old, secret, false).await;
            if let (Some(print), Some(old_print)) = (print, old_print) {
                // What is weak stays said.
                if print == old_print || predecessor.as_ref().is_some_and(|check| check.status == Status::Pass) {
                    predecessor = Some(overlap(&secret.name, old, print == old_print));
                }
                held.extend((print != old_print).then(|| Held {
                    name: old.to_owned(),
                    print: old_print,
                    field_key: secret.field_key,
                }));
            }
            checks.extend(predecessor);
        }
    }
    checks.extend(reuse::examine(&held));
    (checks, ring)
}

/// The URL of the database that would be worked on, which may come from several places.
async fn database_url(settings: &Settings) -> Check {
    let name = "database.url";
    let reference = match settings.database_url() {
        Ok(reference) => reference,
        Err(failure) => return Check::failed(name, failure),
    };
    let sources = settings.sources();
    match (sources.load_text(name, &reference).await, sources.load_text(name, &reference).await) {
        (Err(e), _) | (_, Err(e)) => refused(name, name, e),
        (Ok(first), Ok(second)) if first != second => differs(name, &reference.source),
        (Ok(text), Ok(_)) => match DatabaseUrl::parse(&text) {
            Ok(url) => Check::pass(name, format!("{} names {url}", reference.source)),
            Err(e) => Check::failed(name, e.into()),
        },
    }
}

/// A key of a pair, and its line.
async fn key(
    settings: &Settings,
    name: &str,
    reference: Option<&Reference>,
    needed: bool,
) -> (Check, Option<SecretKey>) {
    let absent = |message: String, hint: String| match needed {
        true => (Check::fail(name, message, hint), None),
        false => (Check::pass(name, format!("{message}, and need not be")), None),
    };
    let Some(written) = reference else {
        let hint = format!("name its place in reencrypt.toml, for example {name} = \"env:NAME\"");
        return absent("is not configured".to_owned(), hint);
    };
    let resolved = match settings.resolve(written) {
        Ok(resolved) => resolved,
        Err(failure) => return (Check::failed(name, failure), None),
    };
    match twice(settings, name, name, &resolved).await {
        Err(Unloaded::Absent(_)) if !needed => absent(format!("{} is not set", resolved.source), String::new()),
        Err(unloaded) => (unloaded.check(), None),
        Ok(key) => match keys::weakness(key.expose()) {
            Some(weakness) => (weak(name, &resolved.source.to_string(), &weakness.to_string()), Some(key)),
            None => (held(name, &resolved.source, &key), Some(key)),
        },
    }
}

/// A key that is there; one at a stage that the next put moves is told with the version that stays.
fn held(name: &str, source: &Source, key: &SecretKey) -> Check {
    let told = format!("{source} holds {}", key.fingerprint());
    match source.secret().map(|secret| &secret.version) {
        Some(SecretVersion::Stage(stage)) if stage == "AWSPREVIOUS" => {
            let version = key.version().unwrap_or("VERSION-ID");
            Check::warn(
                name,
                format!("{told}, until the next value is put: then {stage} is another key"),
                format!("name the version instead of the stage: @{version}"),
            )
        }
        _ => Check::pass(name, told),
    }
}

/// A secret in a variable of the application, in the form of `secret`, and its fingerprint. The fingerprint is never shown: that of a text
/// would tell whoever guesses that they were right.
async fn variable(
    settings: &Settings,
    variable: &str,
    secret: &SecretSettings,
    required: bool,
) -> (Option<Check>, Option<Fingerprint>) {
    let name = format!("secret.{variable}");
    let source = Source::Env(variable.to_owned());
    if settings.environment().get(variable).is_none_or(str::is_empty) {
        let message = format!("{source} is not set");
        let hint = format!(
            "set {variable}; an application without it has its own list in reencrypt.toml: [doctor] secrets = [{{ name = \"NAME\", form = \
             \"hex64\" }}]"
        );
        let check =
            if required { Check::fail(name, message, hint) } else { Check::pass(name, message + ", and need not be") };
        return (Some(check), None);
    }
    let reference = |decode| keys::Reference { source: source.clone(), decode, take: None };
    let decoded = match secret.form {
        SecretForm::Hex64 => Some((Decode::Hex, "64 hex digits")),
        SecretForm::Base64 => Some((Decode::Base64, "32 bytes in base64")),
        SecretForm::Url | SecretForm::Text => None,
    };
    if let Some((decode, form)) = decoded {
        return match twice(settings, &name, variable, &reference(decode)).await {
            Err(unloaded) => (Some(unloaded.check()), None),
            Ok(key) => {
                let check = match keys::weakness(key.expose()) {
                    Some(weakness) => weak(&name, &source.to_string(), &weakness.to_string()),
                    None => Check::pass(name, format!("{source} holds {form}")),
                };
                (Some(check), Some(key.fingerprint()))
            }
        };
    }
    let text = match settings.sources().load_text(variable, &reference(Decode::Raw)).await {
        Ok(text) => text,
        Err(e) => return (Some(refused(&name, variable, e)), None),
    };
    if secret.form == SecretForm::Url {
        let check = match DatabaseUrl::parse(&text) {
            Ok(url) => Check::pass(name, format!("{source} names {url}")),
            Err(e) => Check::failed(name, e.into()),
        };
        return (Some(check), None);
    }
    let check = match keys::text_weakness(&text) {
        Some(weakness) => weak(&name, &source.to_string(), &weakness.to_string()),
        None => Check::pass(name, format!("{source} holds {} characters", text.chars().count())),
    };
    (Some(check), Some(print_of(&text).await))
}

/// The fingerprint of a text, as that of the key that it may be in hex.
async fn print_of(text: &str) -> Fingerprint {
    let environment = [("TEXT".to_owned(), text.to_owned())].into_iter().collect();
    let reference = keys::Reference { source: Source::Env("TEXT".to_owned()), decode: Decode::Hex, take: None };
    match keys::Sources::new(environment).load_key("text", &reference).await {
        Ok(key) => key.fingerprint(),
        Err(_) => SecretKey::new(text.as_bytes().to_vec()).fingerprint(),
    }
}

/// Why a key was not loaded, as its line.
enum Unloaded {
    /// Its place holds nothing at all, as opposed to something wrong.
    Absent(Check),
    Refused(Check),
}

impl Unloaded {
    fn check(self) -> Check {
        match self {
            Unloaded::Absent(check) | Unloaded::Refused(check) => check,
        }
    }
}

/// Loads a key twice: a source that gives another one each time is none to encrypt under.
async fn twice(
    settings: &Settings,
    check: &str,
    what: &str,
    reference: &keys::Reference,
) -> Result<SecretKey, Unloaded> {
    let mut loaded = Vec::new();
    for _ in 0..2 {
        let key = settings.sources().load_key(what, reference).await.map_err(|e| match e.is_absence() {
            true => Unloaded::Absent(refused(check, what, e)),
            false => Unloaded::Refused(refused(check, what, e)),
        });
        loaded.push(key?);
    }
    match (loaded.pop(), loaded.pop()) {
        (Some(second), Some(first)) if first.fingerprint() == second.fingerprint() => Ok(first),
        _ => Err(Unloaded::Refused(differs(check, &reference.source))),
    }
}

fn refused(check: &str, what: &str, error: KeyError) -> Check {
    let failure = Failure::from(error);
    // The line has the name already.
    let message = failure.message.strip_prefix(&format!("{what}: ")).map(str::to_owned);
    Check::failed(check, Failure { message: message.unwrap_or_else(|| failure.message.clone()), ..failure })
}

fn differs(check: &str, source: &Source) -> Check {
    Check::fail(
        check,
        format!("{source} gave one secret, and another when it was loaded again"),
        "name a place that keeps still: a file that nobody writes, or one version of a secret",
    )
}

fn weak(check: &str, place: &str, weakness: &str) -> Check {
    Check::fail(
        check,
        format!("{place} holds a weak secret: {weakness}"),
        "make a random one, for example with `openssl rand -hex 32`",
    )
}

/// A predecessor that is still set.
fn overlap(name: &str, old: &str, same: bool) -> Check {
    let check = format!("secret.{old}");
    match same {
        true => Check::fail(
            check,
            format!("{old} and {name} hold the same secret: nothing was rotated"),
            format!("put the new secret into {name}, or take {old} away"),
        ),
        false => Check::warn(
            check,
            format!("{old} is set: an overlap in which both secrets are taken"),
            format!("take {old} away once nothing that it signed is valid any more"),
        ),
    }
}

/// The pairs among themselves; a key that is missing has its own line.
fn pairs(settings: &Settings, ring: &Keyring) -> Vec<Check> {
    let found = key_findings(&settings.configuration, ring, true);
    let told = found.into_iter().filter(|finding| finding.code != "key_missing");
    let line = |finding: Finding| match finding.severity {
        Severity::Fail => Check { status: Status::Fail, ..Check::pass("key.pairs", finding.message) },
        Severity::Warn => Check { status: Status::Warn, ..Check::pass("key.pairs", finding.message) },
    };
    let checks: Vec<Check> = told.map(line).collect();
    let complete = ring.values().filter(|pair| pair.old.is_some() && pair.new.is_some()).count();
    match checks.is_empty() {
        true if complete > 0 => {
            vec![Check::pass("key.pairs", format!("old and new differ in {complete} pair(s)"))]
        }
        _ => checks,
    }
}
