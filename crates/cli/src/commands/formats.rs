//! `formats`
use crate::{
    arguments::FormatsArguments,
    failure::Failure,
    output::{Align, Outcome, Plain, Sheet},
};
use reencrypt_crypto::{
    ColumnCipher, ColumnSpec, Expect, Format, KeyPair, PlaintextPolicy, Pool, Preset, RowCipher, Rows, SecretKey,
    presets,
};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// The text that every example holds.
const SAMPLE: &str = "Sample";
/// Of every example: 32 bytes that are nobody's key.
const SAMPLE_KEY: [u8; 32] = [7; 32];

/// Every preset, or one in full.
pub(crate) fn run(typed: &FormatsArguments) -> Result<Outcome, Failure> {
    match &typed.name {
        Some(name) => one(name),
        None => all(),
    }
}

fn all() -> Result<Outcome, Failure> {
    let mut sheet = Sheet::new([("format", Align::Left), ("about", Align::Left)]);
    let mut told = Vec::new();
    for preset in presets() {
        let format = known(preset.name)?;
        sheet.row([preset.name.to_owned(), preset.about.to_owned()]);
        sheet.row([String::new(), shown(&format)]);
        told.push(as_json(preset, &format));
    }
    let text = sheet.render() + "\nnext: reencrypt formats NAME shows one in full\n";
    Ok(Outcome::new(0, Plain { text, json: json!({ "command": "formats", "exit_code": 0, "formats": told }) }))
}

fn one(name: &str) -> Result<Outcome, Failure> {
    let format = known(name)?;
    let preset = presets().iter().find(|preset| preset.name == name).ok_or_else(|| unknown(name))?;
    let mut text = format!("{}: {}\n\n", preset.name, preset.about);
    let _ = writeln!(text, "  {}", shown(&format));
    let _ = writeln!(text, "  in a column of {}", if format.is_binary() { "bytes (bytea, BLOB)" } else { "text" });
    if example(&format).is_some() {
        let _ = writeln!(
            text,
            "  (the example holds {SAMPLE:?} under the key of 32 bytes of 07; every sealing gives another value)"
        );
    }
    let name = format!("my-{name}");
    let layout = BTreeMap::from([("layout", BTreeMap::from([(name.as_str(), format.spec())]))]);
    let layout = toml::to_string(&layout)
        .map_err(|e| Failure::new("internal_error", format!("the layout cannot be shown: {e}"), "report it"))?;
    let _ = write!(text, "\nThe same as a layout of one's own:\n\n{layout}");
    let mut json = as_json(preset, &format);
    json["command"] = "formats".into();
    json["exit_code"] = 0.into();
    Ok(Outcome::new(0, Plain { text, json }))
}

/// An example; where a value needs a part that only another value can bring, such as a key id, its layout.
fn shown(format: &Format) -> String {
    let layout = || {
        let spec = format.spec();
        let written = [&spec.text, &spec.bytes, &spec.bytea_text].into_iter().flatten().next();
        format!("written as {}", written.map_or("", String::as_str))
    };
    example(format).map_or_else(layout, |example| format!("for example {example}"))
}

fn as_json(preset: &Preset, format: &Format) -> serde_json::Value {
    json!({
        "name": preset.name,
        "about": preset.about,
        "example": example(format),
        "binary": format.is_binary(),
        "authenticated": format.is_authenticated(),
        "layout": format.spec(),
    })
}

fn known(name: &str) -> Result<Format, Failure> {
    Format::preset(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    let nearest = presets()
        .iter()
        .map(|p| p.name)
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let hint = match nearest {
        Some(nearest) => format!("the nearest is {nearest}; `reencrypt formats` lists them all"),
        None => "`reencrypt formats` lists them all".to_owned(),
    };
    Failure::new("format_unknown", format!("there is no format {name:?}"), hint)
}

/// A value in the format, made anew; bytes are shown as hex.
fn example(format: &Format) -> Option<String> {
    let other = SecretKey::new(vec![8; SAMPLE_KEY.len()]);
    let keys = Arc::new(KeyPair { old: Some(other), new: Some(SecretKey::new(SAMPLE_KEY.to_vec())) });
    let column = ColumnSpec {
        read: vec![format.clone()],
        write: format.clone(),
        plaintext: PlaintextPolicy::Encrypt,
        nesting_max: 1,
        table: "Patient".to_owned(),
        column: "firstName".to_owned(),
    };
    let cipher = RowCipher::new(vec![ColumnCipher::of_declared(column, &keys).ok()?], Vec::new());
    let sealed = Pool::new(1).reseal(&cipher, &Sample, Expect::Old);
    let value = sealed.value(0, 0)?;
    if !format.is_binary() {
        return std::str::from_utf8(value).map(str::to_owned).ok();
    }
    Some(value.iter().fold(String::from("\\x"), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// One row of one plaintext.
struct Sample;

impl Rows for Sample {
    fn len(&self) -> usize {
        1
    }
    fn field(&self, _row: usize, _slot: usize) -> Option<&[u8]> {
        Some(SAMPLE.as_bytes())
    }
}
