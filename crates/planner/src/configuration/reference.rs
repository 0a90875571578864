//! References to secrets: where a secret is, never the secret.
use super::{Reference, members::Members};
use crate::Error;

const HINT: &str = "name its place: \"env:NAME\" or \"file:PATH\", or { from = \"env:NAME\", decode = \"hex\" }";

/// Reads the reference `name`. What is no reference is refused without being repeated: it might be the secret itself.
pub(super) fn read(members: &Members<'_>, name: &str) -> Result<Option<Reference>, Error> {
    let Some(value) = members.value(name) else { return Ok(None) };
    if let Some(text) = value.get_ref().as_str() {
        let from = place(members, name, text)?;
        return Ok(Some(Reference { from, decode: None, take: None }));
    }
    if !value.get_ref().is_table() {
        return Err(members.failure_at(name, format!("`{name}` is no reference to a secret"), HINT));
    }
    let table = members.as_table(name, value)?;
    if let Some(kms) = table.value("kms") {
        return Err(table.not_supported(kms.span().start, "a key wrapped by AWS KMS"));
    }
    table.check(&["from", "decode", "take"], &["key_id", "context"])?;
    let from = place(&table, "from", table.required_text("from", HINT)?)?;
    if table.text("decode")? == Some("passphrase") {
        return Err(table.not_supported(value.span().start, "`decode = \"passphrase\"`"));
    }
    let decode = table.word("decode", &["hex", "base64", "raw"].map(|word| (word, word)))?.map(str::to_owned);
    let take = table.number("take", 1..=1 << 20)?.and_then(|take| usize::try_from(take).ok());
    Ok(Some(Reference { from, decode, take }))
}

/// The place that `text` names, which stands in the member `name`.
fn place(members: &Members<'_>, name: &str, text: &str) -> Result<String, Error> {
    if text.starts_with("aws-secretsmanager:") || text.starts_with("aws-kms:") {
        let at = members.value(name).map_or(0, |value| value.span().start);
        return Err(members.not_supported(at, "a reference to AWS"));
    }
    let known = match text.split_once(':') {
        Some(("env", variable)) => is_variable_name(variable),
        Some(("file", path)) => !path.trim().is_empty() && !path.chars().any(char::is_control),
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
