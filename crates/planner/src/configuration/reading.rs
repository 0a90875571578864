//! From TOML text to a [`Configuration`], section by section.
use super::{
    Configuration, DEFAULT_PAIR, DatabaseSettings, DoctorSettings, EnvironmentSettings, KeySettings, Reference, doctor,
    members::{Members, line_of},
    reference, table,
};
use crate::{Error, nearest::shown};
use reencrypt_crypto::{Format, LayoutSpec};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

/// Reads the whole file.
pub(super) fn read(text: &str) -> Result<Configuration, Error> {
    let document = DeTable::parse(text).map_err(|e| syntax(text, &e))?;
    let root = Members::root(text, &document);
    root.check(&["environment", "database", "key", "table", "layout", "doctor"], &["audit", "tripwire"])?;
    let environment = root.table("environment")?.map(environment).transpose()?.unwrap_or_default();
    let database = root.table("database")?.map(database).transpose()?.unwrap_or_default();
    let keys = root.table("key")?.map(keys).transpose()?.filter(|keys| !keys.is_empty());
    let keys = keys.unwrap_or_else(default_pair);
    let layouts = root.table("layout")?.map(layouts).transpose()?.unwrap_or_default();
    let doctor = root.table("doctor")?.map(|members| doctor::read(&members)).transpose()?;
    let doctor = doctor.map(|secrets| DoctorSettings { secrets }).unwrap_or_default();
    let mut tables = Vec::new();
    let mut names = HashSet::new();
    for members in root.tables("table")? {
        let settings = table::read(members, &keys, &layouts)?;
        if !names.insert(settings.name.clone()) {
            let place = format!("table {}", shown(&settings.name));
            return Err(root.error(format!("{place} stands twice"), "one [[table]] a table; put its columns together"));
        }
        tables.push(settings);
    }
    Ok(Configuration { environment, database, keys, tables, layouts, doctor })
}

/// `[key.default]` from `OLD_KEY` and `NEW_KEY`.
pub(super) fn default_pair() -> BTreeMap<String, KeySettings> {
    let reference =
        |name: &str| Some(Reference { from: format!("env:{name}"), decode: None, take: None, wrapped_by: None });
    let pair = KeySettings { old: reference("OLD_KEY"), new: reference("NEW_KEY"), prior_invocations: 0 };
    BTreeMap::from([(DEFAULT_PAIR.to_owned(), pair)])
}

/// The parser's message says what it expected, not what stands there.
fn syntax(text: &str, error: &toml::de::Error) -> Error {
    Error::Configuration {
        place: "the file".into(),
        line: error.span().map(|span| line_of(text, span.start)),
        problem: format!("not TOML: {}", error.message().replace('\n', ", ")),
        hint: "see https://toml.io for the syntax, or write a fresh file with `reencrypt init`".into(),
    }
}

fn environment(members: Members<'_>) -> Result<EnvironmentSettings, Error> {
    members.check(&["name", "backup_retention_days"], &[])?;
    let name = members.text("name")?;
    if name.is_some_and(|name| name.trim().is_empty()) {
        return Err(members.failure_at("name", "`name` is empty", "a word such as `production` or `staging`"));
    }
    let days = members.number("backup_retention_days", 0..=u64::from(u32::MAX))?;
    Ok(EnvironmentSettings {
        name: name.map(str::to_owned),
        backup_retention_days: days.and_then(|days| u32::try_from(days).ok()),
    })
}

fn database(members: Members<'_>) -> Result<DatabaseSettings, Error> {
    members.check(&["url", "ca", "tls"], &[])?;
    let url = reference::read(&members, "url")?;
    let ca = match members.text("ca")? {
        None => None,
        Some(text) => match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Some(path.to_owned()),
            _ => return Err(members.failure_at("ca", "`ca` is no file reference", "write it as `file:PATH`")),
        },
    };
    let modes = ["verify-full", "verify-ca", "require", "disable"].map(|mode| (mode, mode));
    let tls = members.word("tls", &modes)?.map(str::to_owned);
    Ok(DatabaseSettings { url, ca, tls })
}

fn keys(members: Members<'_>) -> Result<BTreeMap<String, KeySettings>, Error> {
    let mut keys = BTreeMap::new();
    for (name, value) in members.entries() {
        let pair = members.as_table(name, value)?.named(format!("key.{}", shown(name).trim_matches('`')));
        pair.check(&["old", "new", "prior_invocations"], &["known"])?;
        let old = reference::read(&pair, "old")?;
        let new = reference::read(&pair, "new")?;
        if old.is_none() && new.is_none() {
            let hint = "name their places, for example `old = \"env:OLD_KEY\"` and `new = \"env:NEW_KEY\"`";
            return Err(pair.error("the pair has neither an `old` nor a `new` key", hint));
        }
        if old.is_some() && old == new {
            let hint = "`old` is the key that values stand under now, `new` the one they shall stand under";
            return Err(pair.failure_at("new", "`old` and `new` are the same reference", hint));
        }
        let prior_invocations = pair.number("prior_invocations", 0..=u64::from(u32::MAX) * 4)?.unwrap_or_default();
        keys.insert(name.to_owned(), KeySettings { old, new, prior_invocations });
    }
    Ok(keys)
}

fn layouts(members: Members<'_>) -> Result<BTreeMap<String, LayoutSpec>, Error> {
    let mut layouts = BTreeMap::new();
    for (name, value) in members.entries() {
        let layout = members.as_table(name, value)?.named(format!("layout.{}", shown(name).trim_matches('`')));
        if Format::preset(name).is_some() {
            return Err(layout.error("this is the name of a preset", "give the layout a name of its own"));
        }
        let spec = LayoutSpec::deserialize(ValueDeserializer::from(value.clone())).map_err(|e| {
            layout.error(shape_problem(e.message()), "the layout language is described in docs/formats.md")
        })?;
        Format::compile(name, &spec).map_err(|e| layout.error(e.to_string(), "the language is in docs/formats.md"))?;
        layouts.insert(name.to_owned(), spec);
    }
    Ok(layouts)
}

/// What serde says about a layout, with what might be a value left out.
fn shape_problem(message: &str) -> String {
    let member = |prefix: &str| {
        let name = message.strip_prefix(prefix)?.strip_prefix('`')?.split('`').next()?;
        Some(shown(name))
    };
    if let Some(name) = member("unknown field ") {
        let known = message.split_once("expected ").map_or("", |(_, rest)| rest);
        let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        let meant = crate::nearest::did_you_mean(name.trim_matches('`'), names);
        return format!("unknown member {name}{meant}");
    }
    match member("missing field ") {
        Some(name) => format!("{name} is missing"),
        None => "a member has not the shape that the layout language asks for".into(),
    }
}

/// The formats that a column may name: the declared layouts and the presets.
pub(super) fn known_formats(layouts: &BTreeMap<String, LayoutSpec>) -> Vec<&str> {
    layouts.keys().map(String::as_str).chain(reencrypt_crypto::presets().iter().map(|preset| preset.name)).collect()
}

/// A TOML value where it stands.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;
