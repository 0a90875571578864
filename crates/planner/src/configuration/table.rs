//! One `[[table]]`: its columns and blind indexes.
use super::{
    BlindIndexSettings, ColumnSettings, KeySettings, Kind, TableSettings, TriggerPolicy,
    members::Members,
    reading::{Value, known_formats},
};
use crate::{
    Error,
    nearest::{did_you_mean, shown},
};
use reencrypt_crypto::{
    BlindIndexPolicy, BlindIndexSpec, ColumnCipher, ColumnSpec, Format, KeyPair, LayoutSpec, NoneFor, NormalizeStep,
    PlaintextPolicy, SecretKey, SubkeyStep,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

type Layouts = BTreeMap<String, LayoutSpec>;

/// How many layers a value may have; more is no declaration but a mistake.
const NESTING_MAX: u64 = 8;

/// Reads one table.
pub(super) fn read(
    members: Members<'_>,
    keys: &BTreeMap<String, KeySettings>,
    layouts: &Layouts,
) -> Result<TableSettings, Error> {
    let name = members.required_text("name", "every [[table]] has a `name`")?;
    let members = members.named(format!("table {}", shown(name)));
    let known = ["name", "key", "row_key", "subject", "table_alias", "triggers", "columns", "blind_index"];
    members.check(&known, &["json", "where", "set"])?;
    if name.trim().is_empty() {
        return Err(members.error("`name` is empty", "a table's name, schema-qualified where needed"));
    }
    let columns = match members.table("columns")? {
        Some(columns) => read_columns(&members, &columns, layouts)?,
        None => Vec::new(),
    };
    if columns.is_empty() {
        let hint = "name its encrypted columns under [table.columns], for example `email = \"gcm-triple-b64-iv16\"`";
        return Err(members.error("the table has no columns", hint));
    }
    let blind_indexes = read_blind_indexes(&members, &columns)?;
    let triggers = [("refuse", TriggerPolicy::Refuse), ("allow", TriggerPolicy::Allow)];
    Ok(TableSettings {
        name: name.to_owned(),
        key: read_pair(&members, keys)?,
        row_key: read_row_key(&members)?,
        subject: members.text("subject")?.map(str::to_owned),
        table_alias: members.text("table_alias")?.map(str::to_owned),
        triggers: members.word("triggers", &triggers)?.unwrap_or_default(),
        columns,
        blind_indexes,
    })
}

fn read_pair(members: &Members<'_>, keys: &BTreeMap<String, KeySettings>) -> Result<Option<String>, Error> {
    let names = || keys.keys().map(String::as_str);
    match members.text("key")? {
        Some(key) if keys.contains_key(key) => Ok(Some(key.to_owned())),
        Some(key) => {
            let problem = format!("there is no key pair {}{}", shown(key), did_you_mean(key, names()));
            Err(members.failure_at("key", problem, format!("pairs: {}", names().collect::<Vec<_>>().join(", "))))
        }
        None if keys.len() > 1 => {
            let hint = format!("add `key = \"...\"`, one of: {}", names().collect::<Vec<_>>().join(", "));
            Err(members.error("the file has several key pairs and the table names none", hint))
        }
        None => Ok(None),
    }
}

fn read_row_key(members: &Members<'_>) -> Result<Option<Vec<String>>, Error> {
    let Some(row_key) = members.texts("row_key")? else { return Ok(None) };
    let distinct: HashSet<&String> = row_key.iter().collect();
    if row_key.is_empty() || distinct.len() != row_key.len() {
        let hint = "the columns of a unique key, each once; left out, it is the primary key";
        return Err(members.failure_at("row_key", "`row_key` names no column, or one twice", hint));
    }
    Ok(Some(row_key))
}

fn read_columns(table: &Members<'_>, columns: &Members<'_>, layouts: &Layouts) -> Result<Vec<ColumnSettings>, Error> {
    columns.entries().into_iter().map(|(name, value)| read_column(table, columns, name, value, layouts)).collect()
}

fn read_column(
    table: &Members<'_>,
    columns: &Members<'_>,
    name: &str,
    value: &Value<'_>,
    layouts: &Layouts,
) -> Result<ColumnSettings, Error> {
    let settings = |read: Vec<String>, write: String| ColumnSettings {
        column: name.to_owned(),
        read,
        write,
        plaintext: PlaintextPolicy::default(),
        nesting_max: 1,
        kind: None,
        column_alias: None,
    };
    if let Some(format) = value.get_ref().as_str() {
        check_format(columns, name, format, layouts)?;
        return Ok(settings(vec![format.to_owned()], format.to_owned()));
    }
    let members = columns.as_table(name, value)?.named(format!("{}, column {}", table.place(), shown(name)));
    let known = ["format", "read", "write", "plaintext", "nesting_max", "kind", "column_alias"];
    members.check(&known, &["columns", "validate", "stored_as"])?;
    let (read, write) = read_formats(&members, layouts)?;
    let nesting_max = members.number("nesting_max", 1..=NESTING_MAX)?.unwrap_or(1);
    let policies =
        [("refuse", PlaintextPolicy::Refuse), ("keep", PlaintextPolicy::Keep), ("encrypt", PlaintextPolicy::Encrypt)];
    let column = ColumnSettings {
        plaintext: members.word("plaintext", &policies)?.unwrap_or_default(),
        nesting_max: u8::try_from(nesting_max).unwrap_or(1),
        kind: members.word("kind", &KINDS)?,
        column_alias: members.text("column_alias")?.map(str::to_owned),
        ..settings(read, write)
    };
    check_together(&members, &column, layouts)?;
    Ok(column)
}

pub(super) const KINDS: [(&str, Kind); 5] = [
    ("identity", Kind::Identity),
    ("contact", Kind::Contact),
    ("clinical", Kind::Clinical),
    ("credential", Kind::Credential),
    ("payment", Kind::Payment),
];

fn read_formats(members: &Members<'_>, layouts: &Layouts) -> Result<(Vec<String>, String), Error> {
    let hint = "either `format = \"NAME\"`, or `read = [\"NAME\", ...]` with `write = \"NAME\"`";
    let (read, write) = match (members.text("format")?, members.texts("read")?, members.text("write")?) {
        (Some(format), None, None) => (vec![format.to_owned()], format.to_owned()),
        (None, Some(read), Some(write)) if !read.is_empty() => (read, write.to_owned()),
        (None, Some(read), Some(_)) if read.is_empty() => {
            return Err(members.failure_at("read", "`read` names no format", hint));
        }
        (Some(_), _, _) => return Err(members.error("`format` stands beside `read` or `write`", hint)),
        (None, Some(_), _) => return Err(members.error("`read` stands without `write`", hint)),
        (None, None, Some(_)) => return Err(members.error("`write` stands without `read`", hint)),
        (None, None, None) => return Err(members.error("the column has no format", hint)),
    };
    let distinct: HashSet<&String> = read.iter().collect();
    if distinct.len() != read.len() {
        return Err(members.failure_at("read", "`read` names a format twice", hint));
    }
    for format in read.iter().chain([&write]) {
        let member = if members.value("format").is_some() { "format" } else { "read" };
        check_format(members, member, format, layouts)?;
    }
    Ok((read, write))
}

/// What the column writes must be made of what it reads: a key id that no value brings, for example, cannot be written.
fn check_together(members: &Members<'_>, column: &ColumnSettings, layouts: &Layouts) -> Result<(), Error> {
    let format = |name: &String| compile(name, layouts);
    let (Some(write), read) = (format(&column.write), column.read.iter().filter_map(format)) else { return Ok(()) };
    let spec = ColumnSpec {
        read: read.chain([write.clone()]).collect(),
        write,
        plaintext: column.plaintext,
        nesting_max: column.nesting_max,
        table: String::new(),
        column: column.column.clone(),
    };
    // Keys of the right length: what is left to refuse are the formats.
    let key = || Some(SecretKey::new(vec![0; 32]));
    let probe = Arc::new(KeyPair { old: key(), new: key() });
    let hint = "let it write a format that it reads; `plaintext = \"encrypt\"` needs one without a key id";
    ColumnCipher::new(spec, &probe).map(drop).map_err(|e| members.error(e.to_string(), hint))
}

fn compile(name: &str, layouts: &Layouts) -> Option<Format> {
    match layouts.get(name) {
        Some(spec) => Format::compile(name, spec).ok(),
        None => Format::preset(name),
    }
}

/// A format must be known and, since validators are not supported, must notice a wrong key by itself.
fn check_format(members: &Members<'_>, member: &str, name: &str, layouts: &Layouts) -> Result<(), Error> {
    let Some(format) = compile(name, layouts) else {
        let problem = format!("there is no format {}{}", shown(name), did_you_mean(name, known_formats(layouts)));
        let hint = "`reencrypt formats` lists the presets; declare another one under [layout.NAME]";
        return Err(members.failure_at(member, problem, hint));
    };
    if !format.is_authenticated() {
        let problem = format!("the format {} cannot tell a wrong key from a right one", shown(name));
        let hint = "such a format needs a validator, which this version does not support: leave the column out";
        return Err(members.failure_at(member, problem, hint));
    }
    Ok(())
}

fn read_blind_indexes(table: &Members<'_>, columns: &[ColumnSettings]) -> Result<Vec<BlindIndexSettings>, Error> {
    let mut indexes: Vec<BlindIndexSettings> = Vec::new();
    for members in table.tables("blind_index")? {
        let hint = "every [[table.blind_index]] has a `column`, which holds the hash";
        let column = members.required_text("column", hint)?;
        let members = members.named(format!("{}, blind index {}", table.place(), shown(column)));
        let index = read_blind_index(&members, column, columns)?;
        if indexes.iter().any(|other| other.column == index.column) {
            return Err(members.error("the blind index stands twice", "one [[table.blind_index]] a column"));
        }
        if columns.iter().any(|encrypted| encrypted.column == index.column) {
            let hint = "a column holds either a ciphertext or a hash";
            return Err(members.error("the column is also configured as encrypted", hint));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

fn read_blind_index(
    members: &Members<'_>,
    column: &str,
    columns: &[ColumnSettings],
) -> Result<BlindIndexSettings, Error> {
    members.check(&["column", "of", "algorithm", "subkey", "normalize", "none_for", "policy"], &[])?;
    let of = members.required_text("of", "`of` names the encrypted column that is hashed")?;
    let names = || columns.iter().map(|column| column.column.as_str());
    if !names().any(|name| name == of) {
        let problem = format!("`of` is no configured column: {}{}", shown(of), did_you_mean(of, names()));
        return Err(members.failure_at("of", problem, "name it under [table.columns] too"));
    }
    members.required_text("algorithm", "`algorithm = \"hmac-sha256\"`")?;
    let algorithm = members.word("algorithm", &[("hmac-sha256", "hmac-sha256")])?.unwrap_or("hmac-sha256");
    let steps = [
        ("trim", NormalizeStep::Trim),
        ("lowercase", NormalizeStep::Lowercase),
        ("date", NormalizeStep::Date),
        ("digits", NormalizeStep::Digits),
    ];
    let normalize = members.texts("normalize")?.unwrap_or_default();
    let policies = [
        ("recompute", BlindIndexPolicy::Recompute),
        ("fill", BlindIndexPolicy::Fill),
        ("keep_null", BlindIndexPolicy::KeepNull),
        ("verify", BlindIndexPolicy::Verify),
    ];
    let spec = BlindIndexSpec {
        algorithm: algorithm.to_owned(),
        subkey: read_subkey(members)?,
        normalize: normalize.iter().map(|step| members.choose("normalize", step, &steps)).collect::<Result<_, _>>()?,
        none_for: read_none_for(members)?,
        policy: members.word("policy", &policies)?.unwrap_or_default(),
    };
    Ok(BlindIndexSettings { column: column.to_owned(), of: of.to_owned(), spec })
}

fn read_subkey(members: &Members<'_>) -> Result<Vec<SubkeyStep>, Error> {
    let mut steps = Vec::new();
    for step in members.tables("subkey")? {
        step.check(
            &["hmac", "msg"],
            &["hash", "hexify", "take", "pad0", "xorfold", "hkdf", "pbkdf2", "scrypt", "evp"],
        )?;
        let hint = "a step is `{ hmac = \"sha256\", msg = \"...\" }`";
        step.required_text("hmac", hint)?;
        let hmac = step.word("hmac", &[("sha256", "sha256")])?.unwrap_or("sha256");
        steps.push(SubkeyStep { hmac: hmac.to_owned(), msg: step.required_text("msg", hint)?.to_owned() });
    }
    Ok(steps)
}

fn read_none_for(members: &Members<'_>) -> Result<NoneFor, Error> {
    let Some(none_for) = members.table("none_for")? else { return Ok(NoneFor::default()) };
    none_for.check(&["values", "suffixes"], &[])?;
    Ok(NoneFor {
        values: none_for.texts("values")?.unwrap_or_default(),
        suffixes: none_for.texts("suffixes")?.unwrap_or_default(),
    })
}
