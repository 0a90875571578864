//! References to secrets: where a secret is, never the secret.
use super::{Reference, WrappedBy, members::Members};
use crate::{Error, nearest::shown};
use std::collections::BTreeMap;

const HINT: &str = "name its place: \"env:NAME\", \"file:PATH\" or \"aws-secretsmanager:ID#property\", or { from = \"env:NAME\", decode = \"hex\" }";
const KMS_HINT: &str = "write { kms = \"env:NAME\", key_id = \"alias/NAME\" }, where NAME holds the wrapped key";

/// Reads the reference `name`. What is no reference is refused without being repeated: it might be the secret itself.
pub(super) fn read(members: &Members<'_>, name: &str) -> Result<Option<Reference>, Error> {
    let Some(value) = members.value(name) else { return Ok(None) };
    if let Some(text) = value.get_ref().as_str() {
        let from = place(members, name, text)?;
        return Ok(Some(Reference { from, decode: None, take: None, wrapped_by: None }));
    }
    if !value.get_ref().is_table() {
        return Err(members.failure_at(name, format!("`{name}` is no reference to a secret"), HINT));
    }
    let table = members.as_table(name, value)?;
    if table.value("kms").is_some() {
        return wrapped(&table).map(Some);
    }
    table.check(&["from", "decode", "take"], &[])?;
    let from = place(&table, "from", table.required_text("from", HINT)?)?;
    if table.text("decode")? == Some("passphrase") {
        return Err(table.not_supported(value.span().start, "`decode = \"passphrase\"`"));
    }
    let decode = table.word("decode", &["hex", "base64", "raw"].map(|word| (word, word)))?.map(str::to_owned);
    let take = table.number("take", 1..=1 << 20)?.and_then(|take| usize::try_from(take).ok());
    Ok(Some(Reference { from, decode, take, wrapped_by: None }))
}

/// A data key that AWS KMS unwraps.
fn wrapped(table: &Members<'_>) -> Result<Reference, Error> {
    table.check(&["kms", "key_id", "context"], &[])?;
    let from = place(table, "kms", table.required_text("kms", KMS_HINT)?)?;
    let key_id = table.required_text("key_id", KMS_HINT)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_-:".contains(c);
    if key_id.is_empty() || !key_id.chars().all(fits) {
        let hint = "a KMS key's id, its ARN, or an alias such as alias/phi";
        return Err(table.failure_at("key_id", "`key_id` names no KMS key", hint));
    }
    let mut context = BTreeMap::new();
    if let Some(members) = table.table("context")? {
        for (name, _) in members.entries() {
            context.insert(name.to_owned(), members.required_text(name, KMS_HINT)?.to_owned());
        }
    }
    let wrapped_by = Some(WrappedBy { key_id: key_id.to_owned(), context });
    Ok(Reference { from, decode: None, take: None, wrapped_by })
}

/// The place that `text` names, which stands in the member `name`.
fn place(members: &Members<'_>, name: &str, text: &str) -> Result<String, Error> {
    if text.starts_with("aws-kms:") {
        return Err(members.failure_at(name, format!("{} names no place", shown(name)), KMS_HINT));
    }
    let known = match text.split_once(':') {
        Some(("env", variable)) => is_variable_name(variable),
        Some(("file", path)) => !path.trim().is_empty() && !path.chars().any(char::is_control),
        Some(("aws-secretsmanager", secret)) => !secret.is_empty() && secret.chars().all(|c| c.is_ascii_graphic()),
        _ => false,
    };
    if !known {
        let problem = format!("`{name}` is no reference to a secret; a secret itself never stands in this file");
        return Err(members.failure_at(name, problem, HINT));
    }
    Ok(text.to_owned())
}

fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
