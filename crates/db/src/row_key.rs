//! A row's key as the database sent it.
/// The primary (or other unique) key of a row: opaque, ordered by the database alone, compared for equality at most.
/// The bytes are self-delimiting and stable across sessions, so that the store can keep them. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RowKey(Vec<u8>);
impl RowKey {
    /// For the store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
    /// From the store.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}
impl std::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowKey(..)")
    }
}
