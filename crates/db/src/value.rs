//! The few types that the checkpoint store is made of.
use crate::{Error, Result};

/// A value of the store's own tables. PostgreSQL: bigint, text, bytea. SQLite: INTEGER, TEXT, BLOB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL
    Null,
    /// bigint
    Int(i64),
    /// text
    Text(String),
    /// bytea
    Bytes(Vec<u8>),
}

impl Value {
    /// The integer; anything else is an error.
    pub fn int(&self) -> Result<i64> {
        match self {
            Value::Int(value) => Ok(*value),
            other => Err(other.unexpected("an integer")),
        }
    }

    /// The text; anything else is an error.
    pub fn text(&self) -> Result<&str> {
        match self {
            Value::Text(value) => Ok(value),
            other => Err(other.unexpected("text")),
        }
    }

    /// The bytes; anything else is an error.
    pub fn bytes(&self) -> Result<&[u8]> {
        match self {
            Value::Bytes(value) => Ok(value),
            other => Err(other.unexpected("bytes")),
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    fn unexpected(&self, expected: &'static str) -> Error {
        let found = match self {
            Value::Null => "NULL",
            Value::Int(_) => "an integer",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
        };
        Error::StoreValue { found, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_accessor_takes_its_own_type_alone() {
        let values =
            [Value::Null, Value::Int(7), Value::Text("private".to_string()), Value::Bytes(b"private".to_vec())];
        let taken = |f: &dyn Fn(&Value) -> bool| values.iter().map(f).collect::<Vec<_>>();
        assert_eq!(taken(&|v| v.is_null()), [true, false, false, false]);
        assert_eq!(taken(&|v| v.int().is_ok()), [false, true, false, false]);
        assert_eq!(taken(&|v| v.text().is_ok()), [false, false, true, false]);
        assert_eq!(taken(&|v| v.bytes().is_ok()), [false, false, false, true]);
    }

    #[test]
    fn a_mismatch_names_types_and_no_value() {
        let error = Value::Text("private".to_string()).int().expect_err("text is no integer");
        assert_eq!(error.to_string(), "the checkpoint store holds text where an integer is expected");
        assert_eq!(error.code(), "store_damaged");
    }
}
