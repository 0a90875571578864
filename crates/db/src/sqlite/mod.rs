//! SQLite.
use crate::{
    HeapScan, InFlight, Migrator, Mode, Result, RowKey, Selection as Chosen, Server, Snapshot, Table, TableName, Value,
    selection::Scope,
};

/// The clock, in milliseconds.
pub(crate) const NOW_MS: &str = "(CAST(unixepoch('subsec') * 1000 AS INTEGER))";

pub(crate) struct Connection;
pub(crate) struct Rows;
#[derive(Debug)]
pub(crate) struct Selection;
pub(crate) struct Scan;

impl Selection {
    pub(crate) fn new(_scope: &Scope) -> Self {
        unimplemented!()
    }
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        unimplemented!()
    }
    pub(crate) fn key(&self, _row: usize) -> RowKey {
        unimplemented!()
    }
    pub(crate) fn field(&self, _row: usize, _slot: usize) -> Option<&[u8]> {
        unimplemented!()
    }
    pub(crate) fn bytes(&self) -> usize {
        unimplemented!()
    }
    pub(crate) fn is_last(&self) -> bool {
        unimplemented!()
    }
}

impl Connection {
    pub(crate) fn pid(&self) -> i64 {
        unimplemented!()
    }
    pub(crate) fn is_usable(&self) -> bool {
        unimplemented!()
    }
    pub(crate) async fn close(self) {
        unimplemented!()
    }
    pub(crate) async fn begin(&mut self, _mode: Mode<'_>) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn commit(&mut self) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn rollback(&mut self) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn check_migrated(&mut self, _migrator: &Migrator) -> Result<bool> {
        unimplemented!()
    }
    pub(crate) async fn migrate(&mut self, _migrator: &Migrator) -> Result<()> {
        unimplemented!()
    }
    pub(crate) async fn execute(&mut self, _sql: &str, _args: &[Value]) -> Result<u64> {
        unimplemented!()
    }
    pub(crate) async fn fetch(&mut self, _sql: &str, _args: &[Value]) -> Result<Vec<Vec<Value>>> {
        unimplemented!()
    }
    pub(crate) async fn server(&mut self) -> Result<Server> {
        unimplemented!()
    }
    pub(crate) async fn tables(&mut self) -> Result<Vec<TableName>> {
        unimplemented!()
    }
    pub(crate) async fn table(&mut self, _name: &TableName) -> Result<Option<Table>> {
        unimplemented!()
    }
    pub(crate) async fn max_key(&mut self, _selection: &Chosen) -> Result<Option<RowKey>> {
        unimplemented!()
    }
    pub(crate) async fn key_after(
        &mut self,
        _selection: &Chosen,
        _after: Option<&RowKey>,
        _upto: &RowKey,
        _rows: u64,
    ) -> Result<Option<RowKey>> {
        unimplemented!()
    }
    pub(crate) async fn read_batch(
        &mut self,
        _selection: &Chosen,
        _after: Option<&RowKey>,
        _upto: &RowKey,
        _limit: u32,
    ) -> Result<crate::Rows> {
        unimplemented!()
    }
    pub(crate) async fn read_keys(
        &mut self,
        _selection: &Chosen,
        _keys: &[RowKey],
        _lock: bool,
    ) -> Result<crate::Rows> {
        unimplemented!()
    }
    pub(crate) async fn compare_and_set<'v>(
        &mut self,
        _selection: &Chosen,
        _rows: &crate::Rows,
        _which: &[usize],
        _value: &(dyn Fn(usize, usize) -> Option<&'v [u8]> + Sync),
    ) -> Result<Vec<bool>> {
        unimplemented!()
    }
    pub(crate) async fn sample(&mut self, _selection: &Chosen, _rows: u32, _seed: u32) -> Result<crate::Rows> {
        unimplemented!()
    }
    pub(crate) async fn count(&mut self, _selection: &Chosen) -> Result<u64> {
        unimplemented!()
    }
    pub(crate) async fn key_texts(&mut self, _selection: &Chosen, _keys: &[RowKey]) -> Result<Vec<String>> {
        unimplemented!()
    }
    pub(crate) async fn export_snapshot(&mut self) -> Result<Snapshot> {
        unimplemented!()
    }
    pub(crate) async fn heap_scan(&mut self, _selection: &Chosen, _part: u32, _parts: u32) -> Result<HeapScan> {
        unimplemented!()
    }
    pub(crate) async fn unseen_scan(
        &mut self,
        _selection: &Chosen,
        _snapshot: &Snapshot,
        _part: u32,
        _parts: u32,
    ) -> Result<HeapScan> {
        unimplemented!()
    }
    pub(crate) async fn next_rows(&mut self, _scan: &mut HeapScan, _selection: &Chosen) -> Result<Option<crate::Rows>> {
        unimplemented!()
    }
    pub(crate) async fn in_flight(&mut self, _own_pids: &[i64]) -> Result<Vec<InFlight>> {
        unimplemented!()
    }
    pub(crate) async fn still_in_flight(&mut self, _transactions: &[InFlight]) -> Result<Vec<InFlight>> {
        unimplemented!()
    }
}

impl Connection {
    /// Opens the file, which must exist; the identity's `system` is empty.
    pub(crate) async fn open(
        _path: &std::path::Path,
        _connect_timeout: std::time::Duration,
    ) -> Result<(Self, crate::Identity)> {
        unimplemented!()
    }
}
