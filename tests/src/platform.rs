//! The platform's own Patient rows, with what a rotation must make of every column.
use crate::Keys;
use serde_json::Value;
use std::collections::BTreeMap;

/// `tests/data/platform_patients.json`
pub struct Platform {
    /// of all rows
    pub keys: Keys,
    /// in the order of their ids
    pub rows: Vec<PlatformRow>,
}

/// One row and what is expected of it.
pub struct PlatformRow {
    /// primary key
    pub id: i64,
    /// tenant
    pub clinic: i64,
    /// what it is an example of
    pub case: String,
    /// column by column; `None` is NULL
    pub columns: BTreeMap<String, Option<String>>,
    /// column by column: class, plaintext, value afterwards
    pub expect: BTreeMap<String, Value>,
}

impl Platform {
    /// Reads the file.
    pub fn load() -> Self {
        let text = include_str!("../data/platform_patients.json");
        let file: Value = serde_json::from_str(text).expect("the data file is JSON");
        let key = |name: &str| {
            let bytes = data_encoding::HEXLOWER.decode(text_of(&file[name]).as_bytes()).expect("the keys are hex");
            bytes.try_into().expect("the keys have 32 bytes")
        };
        let rows = file["rows"].as_array().expect("rows").iter().map(row).collect();
        Self { keys: Keys { old: key("old_key_hex"), new: key("new_key_hex"), lost: [0; 32] }, rows }
    }
}

impl PlatformRow {
    /// What stands in a column.
    pub fn stored(&self, column: &str) -> Option<&str> {
        self.columns.get(column)?.as_deref()
    }

    /// The class that the vectors give.
    pub fn class(&self, column: &str) -> &str {
        text_of(&self.expect[column]["class"])
    }
}

fn row(row: &Value) -> PlatformRow {
    let columns = row["row"].as_object().expect("a row's columns").iter();
    let expect = row["expect"].as_object().expect("what is expected").iter();
    PlatformRow {
        id: row["pk"]["id"].as_i64().expect("an id"),
        clinic: row["clinicId"].as_i64().expect("a clinic"),
        case: text_of(&row["case"]).to_owned(),
        columns: columns.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect(),
        expect: expect.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
}
