//! The few types that the checkpoint store is made of.
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
    /// The integer; an error names the column's position.
    pub fn int(&self) -> crate::Result<i64> {
        unimplemented!()
    }
    /// The text.
    pub fn text(&self) -> crate::Result<&str> {
        unimplemented!()
    }
    /// The bytes.
    pub fn bytes(&self) -> crate::Result<&[u8]> {
        unimplemented!()
    }
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}
