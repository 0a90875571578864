//! `[doctor]`: the secrets of the application that are looked at beside the key pairs.
use super::members::Members;
use crate::{Error, nearest::shown};
use std::collections::HashSet;

/// How a secret of the application is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// 64 hex digits: 32 bytes
    Hex64,
    /// 32 bytes in base64
    Base64,
    /// a database URL
    Url,
    /// anything that is long enough not to be guessed
    Text,
}

/// One environment variable of the application that must hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSettings {
    /// the variable
    pub name: String,
    /// what it holds
    pub form: SecretForm,
    /// whether it must be set
    pub required: bool,
    /// the variable that holds its predecessor during an overlap
    pub old: Option<String>,
    /// it is the application's name for a key of the configured pairs, with which it may be equal
    pub field_key: bool,
}

const FORMS: [(&str, SecretForm); 4] = [
    ("hex64", SecretForm::Hex64),
    ("base64", SecretForm::Base64),
    ("url", SecretForm::Url),
    ("text", SecretForm::Text),
];

/// What a platform has beside its database URL and its key pairs, where no `[doctor]` says otherwise.
pub(super) fn default_secrets() -> Vec<SecretSettings> {
    let secret = |name: &str, old: Option<&str>, field_key| SecretSettings {
        name: name.to_owned(),
        form: SecretForm::Hex64,
        required: true,
        old: old.map(str::to_owned),
        field_key,
    };
    vec![secret("JWT_SECRET", Some("JWT_SECRET_OLD"), false), secret("ENCRYPTION_KEY", None, true)]
}

/// Reads the section.
pub(super) fn read(members: &Members<'_>) -> Result<Vec<SecretSettings>, Error> {
    members.check(&["secrets"], &[])?;
    if members.value("secrets").is_none() {
        return Ok(default_secrets());
    }
    let mut names = HashSet::new();
    let mut secrets = Vec::new();
    for members in members.tables("secrets")? {
        let secret = secret(&members)?;
        for name in [Some(&secret.name), secret.old.as_ref()].into_iter().flatten() {
            if !names.insert(name.clone()) {
                let hint = "name each variable once";
                return Err(members.error(format!("the variable {} stands twice", shown(name)), hint));
            }
        }
        secrets.push(secret);
    }
    Ok(secrets)
}

fn secret(members: &Members<'_>) -> Result<SecretSettings, Error> {
    members.check(&["name", "form", "required", "old", "field_key"], &[])?;
    let hint = "the variable's name, for example `name = \"JWT_SECRET\"`";
    let name = variable(members, "name", members.required_text("name", hint)?)?;
    let old = members.text("old")?.map(|text| variable(members, "old", text)).transpose()?;
    Ok(SecretSettings {
        name,
        form: members.word("form", &FORMS)?.unwrap_or(SecretForm::Hex64),
        required: members.truth("required")?.unwrap_or(true),
        old,
        field_key: members.truth("field_key")?.unwrap_or(false),
    })
}

/// The name of a variable. What is none is refused without being repeated: it might be the secret itself.
fn variable(members: &Members<'_>, member: &str, text: &str) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty()
        || text.len() > NAME_CHARS_MAX
        || !text.chars().all(fits)
        || text.starts_with(|c: char| c.is_ascii_digit())
    {
        let hint = "letters, digits and underscores; the secret itself never stands here";
        return Err(members.failure_at(member, format!("`{member}` is no name of an environment variable"), hint));
    }
    Ok(text.to_owned())
}

/// A key of 64 hex digits that begins with a letter would otherwise pass for a name.
const NAME_CHARS_MAX: usize = 63;

/// As TOML; nothing for the default list.
pub(super) fn write(out: &mut String, secrets: &[SecretSettings]) {
    if secrets == default_secrets() {
        return;
    }
    out.push_str("\n[doctor]\n");
    if secrets.is_empty() {
        out.push_str("secrets = []\n");
    }
    for secret in secrets {
        let form = FORMS.iter().find(|(_, form)| *form == secret.form).map_or("hex64", |(word, _)| word);
        out.push_str(&format!("[[doctor.secrets]]\nname = \"{}\"\nform = \"{form}\"\n", secret.name));
        if !secret.required {
            out.push_str("required = false\n");
        }
        if let Some(old) = &secret.old {
            out.push_str(&format!("old = \"{old}\"\n"));
        }
        if secret.field_key {
            out.push_str("field_key = true\n");
        }
    }
}
