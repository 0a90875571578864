//! A [`Configuration`] as TOML text with comments for a person.
use super::{
    BlindIndexSettings, ColumnSettings, Configuration, KeySettings, Reference, TableSettings, TriggerPolicy, WrappedBy,
    doctor, table::KINDS,
};
use reencrypt_crypto::{BlindIndexPolicy, LayoutSpec, NormalizeStep, PlaintextPolicy};
use std::fmt::Write;

/// The text; it parses to the same configuration.
pub(super) fn write(configuration: &Configuration) -> String {
    let mut out = String::from(
        "# reencrypt.toml: what `reencrypt plan`, `run` and `verify` work on.\n\
         # Secrets are references (env:NAME, file:PATH, aws-secretsmanager:ID#property); a key itself never stands here.\n",
    );
    write_environment(&mut out, configuration);
    write_database(&mut out, configuration);
    for (name, pair) in &configuration.keys {
        write_pair(&mut out, name, pair);
    }
    doctor::write(&mut out, &configuration.doctor.secrets);
    for (name, spec) in &configuration.layouts {
        write_layout(&mut out, name, spec);
    }
    if !configuration.tables.is_empty() {
        out.push_str("\n# Tables run in this order: put what is exposed worst first.\n");
    }
    for table in &configuration.tables {
        write_table(&mut out, table);
    }
    out
}

fn write_environment(out: &mut String, configuration: &Configuration) {
    let environment = &configuration.environment;
    if environment.name.is_none() && environment.backup_retention_days.is_none() {
        out.push_str("\n# [environment]\n# name = \"production\"   # part of the plan's id\n");
        return;
    }
    out.push_str("\n[environment]\n");
    if let Some(name) = &environment.name {
        line(out, "name", &text(name), "part of the plan's id");
    }
    if let Some(days) = environment.backup_retention_days {
        line(out, "backup_retention_days", &days.to_string(), "until then old ciphertext may persist in backups");
    }
}

fn write_database(out: &mut String, configuration: &Configuration) {
    let database = &configuration.database;
    out.push_str("\n[database]\n");
    match &database.url {
        Some(url) => line(out, "url", &reference(url), ""),
        None => {
            out.push_str("# url = \"env:DATABASE_URL\"   # default: DIRECT_DATABASE_URL, DIRECT_URL, DATABASE_URL\n")
        }
    }
    if let Some(ca) = &database.ca {
        line(out, "ca", &text(&format!("file:{ca}")), "certificate authorities, PEM");
    }
    if let Some(tls) = &database.tls {
        line(out, "tls", &text(tls), "default: verify-full for every host that is not a Unix socket or loopback");
    }
}

fn write_pair(out: &mut String, name: &str, pair: &KeySettings) {
    let _ = writeln!(out, "\n[key.{}]", member(name));
    if let Some(old) = &pair.old {
        line(out, "old", &reference(old), "the key that values stand under now");
    }
    if let Some(new) = &pair.new {
        line(out, "new", &reference(new), "the key they shall stand under");
    }
    if pair.prior_invocations > 0 {
        let comment = "what the application has used of the new key's nonces";
        line(out, "prior_invocations", &pair.prior_invocations.to_string(), comment);
    }
}

fn write_layout(out: &mut String, name: &str, spec: &LayoutSpec) {
    let _ = writeln!(out, "\n[layout.{}]", member(name));
    // A layout is text, numbers, lists and tables alone: there is nothing in it that TOML cannot say.
    if let Ok(toml::Value::Table(members)) = toml::Value::try_from(spec) {
        for (name, value) in &members {
            line(out, &member(name), &value.to_string(), "");
        }
    }
}

fn write_table(out: &mut String, table: &TableSettings) {
    out.push_str("\n[[table]]\n");
    line(out, "name", &text(&table.name), "");
    if let Some(key) = &table.key {
        line(out, "key", &text(key), "");
    }
    if let Some(row_key) = &table.row_key {
        line(out, "row_key", &texts(row_key), "instead of the primary key");
    }
    if let Some(subject) = &table.subject {
        line(out, "subject", &text(subject), "whose data it is");
    }
    if let Some(alias) = &table.table_alias {
        line(out, "table_alias", &text(alias), "the name that key derivation and associated data know");
    }
    if table.triggers == TriggerPolicy::Allow {
        line(out, "triggers", "\"allow\"", "triggers may fire, once a rewritten row");
    }
    out.push_str("[table.columns]\n");
    for column in &table.columns {
        write_column(out, column);
    }
    for index in &table.blind_indexes {
        write_blind_index(out, index);
    }
}

fn write_column(out: &mut String, column: &ColumnSettings) {
    let mut members = Vec::new();
    let single = column.read == [column.write.clone()];
    if single {
        members.push(format!("format = {}", text(&column.write)));
    } else {
        members.push(format!("read = {}", texts(&column.read)));
        members.push(format!("write = {}", text(&column.write)));
    }
    match column.plaintext {
        PlaintextPolicy::Refuse => {}
        PlaintextPolicy::Keep => members.push("plaintext = \"keep\"".into()),
        PlaintextPolicy::Encrypt => members.push("plaintext = \"encrypt\"".into()),
    }
    if column.nesting_max != 1 {
        members.push(format!("nesting_max = {}", column.nesting_max));
    }
    if let Some(kind) = column.kind {
        let word = KINDS.iter().find(|(_, other)| *other == kind).map_or("identity", |(word, _)| word);
        members.push(format!("kind = {}", text(word)));
    }
    if let Some(alias) = &column.column_alias {
        members.push(format!("column_alias = {}", text(alias)));
    }
    let value = match members.as_slice() {
        [_] if single => text(&column.write),
        _ => format!("{{ {} }}", members.join(", ")),
    };
    let comment = match column.plaintext {
        PlaintextPolicy::Refuse => "",
        PlaintextPolicy::Keep => "values that are not encrypted stay as they are",
        PlaintextPolicy::Encrypt => "values that are not encrypted are encrypted under the new key",
    };
    line(out, &member(&column.column), &value, comment);
}

fn write_blind_index(out: &mut String, index: &BlindIndexSettings) {
    out.push_str("[[table.blind_index]]\n");
    line(out, "column", &text(&index.column), "a keyed hash: it changes with its field");
    line(out, "of", &text(&index.of), "");
    line(out, "algorithm", &text(&index.spec.algorithm), "");
    if !index.spec.subkey.is_empty() {
        let steps = index.spec.subkey.iter();
        let steps: Vec<String> =
            steps.map(|step| format!("{{ hmac = {}, msg = {} }}", text(&step.hmac), text(&step.msg))).collect();
        line(out, "subkey", &format!("[{}]", steps.join(", ")), "from the pair's key");
    }
    if !index.spec.normalize.is_empty() {
        let steps: Vec<&str> = index.spec.normalize.iter().map(|step| step_name(*step)).collect();
        line(out, "normalize", &texts(&steps), "");
    }
    let none_for = &index.spec.none_for;
    if !none_for.values.is_empty() || !none_for.suffixes.is_empty() {
        let value = format!("{{ values = {}, suffixes = {} }}", texts(&none_for.values), texts(&none_for.suffixes));
        line(out, "none_for", &value, "no hash for these");
    }
    let policy = match index.spec.policy {
        BlindIndexPolicy::Recompute => "recompute",
        BlindIndexPolicy::Fill => "fill",
        BlindIndexPolicy::KeepNull => "keep_null",
        BlindIndexPolicy::Verify => "verify",
    };
    line(out, "policy", &text(policy), "recompute | fill | keep_null | verify");
}

fn step_name(step: NormalizeStep) -> &'static str {
    match step {
        NormalizeStep::Trim => "trim",
        NormalizeStep::Lowercase => "lowercase",
        NormalizeStep::Date => "date",
        NormalizeStep::Digits => "digits",
    }
}

fn line(out: &mut String, name: &str, value: &str, comment: &str) {
    let _ = match comment {
        "" => writeln!(out, "{name} = {value}"),
        comment => writeln!(out, "{name} = {value}   # {comment}"),
    };
}

fn reference(reference: &Reference) -> String {
    if let Some(WrappedBy { key_id, context }) = &reference.wrapped_by {
        let mut members = vec![format!("kms = {}", text(&reference.from)), format!("key_id = {}", text(key_id))];
        if !context.is_empty() {
            let pairs: Vec<_> =
                context.iter().map(|(name, value)| format!("{} = {}", member(name), text(value))).collect();
            members.push(format!("context = {{ {} }}", pairs.join(", ")));
        }
        return format!("{{ {} }}", members.join(", "));
    }
    if reference.decode.is_none() && reference.take.is_none() {
        return text(&reference.from);
    }
    let mut members = vec![format!("from = {}", text(&reference.from))];
    members.extend(reference.decode.iter().map(|decode| format!("decode = {}", text(decode))));
    members.extend(reference.take.iter().map(|take| format!("take = {take}")));
    format!("{{ {} }}", members.join(", "))
}

/// A TOML string on one line.
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn texts(values: &[impl AsRef<str>]) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value.as_ref())).collect();
    format!("[{}]", values.join(", "))
}

/// A member's name, quoted where it is not a bare one.
fn member(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { text(name) }
}
