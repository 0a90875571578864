use super::*;
use crate::{ColumnSettings, Configuration, Keyring, Kind, TriggerPolicy};
use reencrypt_crypto::{KeyPair, PlaintextPolicy, SecretKey};
use reencrypt_db::{
    Collation, Column, ColumnKind, Index, Leaf, Privileges, RowKeyColumn, RowSecurity, StoreGrant, StoreGrants,
    TableKind, TableName, TlsMode, Trigger,
};
use std::sync::Arc;

const FORMAT: &str = "gcm-triple-b64-iv16";

fn column(name: &str, type_name: &str, kind: ColumnKind) -> Column {
    Column {
        name: name.into(),
        type_name: type_name.into(),
        kind,
        not_null: true,
        length_max: None,
        generated: false,
        can_select: true,
        can_update: true,
    }
}

fn a_table() -> Table {
    let name = TableName { schema: "public".into(), name: "Patient".into() };
    let key = RowKeyColumn { name: "id".into(), type_name: "bigint".into(), operator_schema: "pg_catalog".into() };
    Table {
        name: name.clone(),
        kind: TableKind::Table,
        columns: vec![
            column("id", "bigint", ColumnKind::Other),
            column("email", "text", ColumnKind::Text),
            column("emailHash", "text", ColumnKind::Text),
        ],
        row_key: vec![key.clone()],
        row_keys: vec![vec![key]],
        leaves: vec![Leaf { name, rows_estimate: 100, heap_bytes: 100_000, index_bytes: 10_000 }],
        indexes: Vec::new(),
        triggers: Vec::new(),
        rules: Vec::new(),
        row_security: RowSecurity::Off,
        privileges: Privileges { schema_usage: true, select: true, select_system: true, update: true },
        publications: Vec::new(),
        update_refused_by_publication: false,
        collation_mismatches: Vec::new(),
        fillfactor: 100,
        checks: Vec::new(),
    }
}

fn a_server() -> Server {
    Server {
        standby: false,
        version: "15.18".into(),
        read_only: false,
        role: "ro\"le".into(),
        bypasses_row_security: false,
        free_connections: 50,
        store_exists: false,
        store_grants: StoreGrants::default(),
        standbys: 0,
        oldest_snapshot_s: None,
        oldest_transaction_s: None,
        sees_transactions: true,
        tls: None,
        idle_slots: 0,
        deadlock_timeout_ms: Some(1000),
    }
}

fn settings() -> TableSettings {
    let email = ColumnSettings {
        column: "email".into(),
        read: vec![FORMAT.into()],
        write: FORMAT.into(),
        plaintext: PlaintextPolicy::Refuse,
        nesting_max: 1,
        kind: None,
        column_alias: None,
    };
    TableSettings {
        name: "Patient".into(),
        key: None,
        row_key: None,
        subject: None,
        table_alias: None,
        triggers: TriggerPolicy::Refuse,
        columns: vec![email],
        blind_indexes: Vec::new(),
    }
}

/// The codes that a table has, with their severities, on PostgreSQL.
fn codes(table: &Table, settings: &TableSettings, for_run: bool) -> Vec<(Severity, String)> {
    let server = a_server();
    let format = |name: &str| Format::preset(name);
    let subject = Subject { settings, table, dialect: Dialect::Postgres, server: &server, for_run, format: &format };
    let columns = columns(&subject).into_values().flatten();
    let found = columns.chain(super::table(&subject));
    found.map(|finding| (finding.severity, finding.code)).collect()
}

#[track_caller]
fn one(change: impl FnOnce(&mut Table), severity: Severity, code: &str) {
    let mut table = a_table();
    change(&mut table);
    assert_eq!(codes(&table, &settings(), false), [(severity, code.to_owned())]);
}

#[test]
fn a_sound_table_has_no_findings() {
    assert_eq!(codes(&a_table(), &settings(), true), []);
}

#[test]
fn each_trouble_has_one_finding() {
    use Severity::{Fail, Warn};
    let index = |unique, columns: &[&str]| Index {
        name: "i".into(),
        columns: columns.iter().map(|name| (*name).into()).collect(),
        unique,
        primary: false,
        valid: true,
        immediate: true,
        partial: false,
    };
    one(|t| t.row_key.clear(), Fail, "no_row_key");
    one(|t| t.row_security = RowSecurity::Active, Fail, "rls_active");
    one(|t| t.rules.push("r".into()), Fail, "rule_on_update");
    one(|t| t.triggers.push(Trigger { name: "t".into(), enabled: 'O', before: true }), Fail, "trigger_fires");
    one(|t| t.triggers.push(Trigger { name: "t".into(), enabled: 'A', before: false }), Fail, "trigger_fires");
    one(|t| t.publications.push("p".into()), Warn, "published");
    one(|t| t.checks.push(("c".into(), vec!["email".into()])), Warn, "check_constraint");
    one(|t| t.indexes.push(index(false, &["id", "email"])), Warn, "indexed_column");
    one(|t| t.columns[1].generated = true, Fail, "generated_column");
    one(|t| t.columns[1].name = "mail".into(), Fail, "column_missing");
    one(|t| t.columns[1].kind = ColumnKind::Json, Fail, "column_type");
    one(|t| t.columns[1].kind = ColumnKind::Array, Fail, "column_type");
    one(|t| t.columns[1].length_max = Some(40), Fail, "varchar_overflow");
    let refused = |t: &mut Table| (t.publications, t.update_refused_by_publication) = (vec!["p".into()], true);
    one(refused, Fail, "publication_without_identity");
    let mut unique = a_table();
    unique.indexes.push(index(true, &["email"]));
    let expected = [(Warn, "unique_on_ciphertext".to_owned()), (Warn, "indexed_column".to_owned())];
    assert_eq!(codes(&unique, &settings(), false), expected);
}

#[test]
fn what_is_no_trouble_has_none() {
    let mut table = a_table();
    table.triggers.push(Trigger { name: "replica only".into(), enabled: 'R', before: true });
    table.checks.push(("elsewhere".into(), vec!["id".into()]));
    table.row_security = RowSecurity::Bypassed;
    table.columns[1].length_max = Some(500);
    table.privileges.select = false;
    table.privileges.update = false;
    assert_eq!(codes(&table, &settings(), true), [], "column privileges are enough");
}

#[test]
fn formats_of_bytes_stand_in_columns_of_bytes_and_those_of_text_in_either() {
    let refused = |kind, format: &str| {
        let (mut table, mut settings) = (a_table(), settings());
        table.columns[1].kind = kind;
        (settings.columns[0].read, settings.columns[0].write) = (vec![format.to_owned()], format.to_owned());
        !codes(&table, &settings, true).is_empty()
    };
    assert!(refused(ColumnKind::Text, "gcm-bytes-iv12"));
    assert!(!refused(ColumnKind::Bytes, "gcm-bytes-iv12") && !refused(ColumnKind::Bytes, FORMAT));
}

#[test]
fn privileges_for_writing_are_failures_of_a_run_alone() {
    let mut table = a_table();
    table.privileges.update = false;
    table.columns[1].can_update = false;
    assert_eq!(codes(&table, &settings(), false), [(Severity::Warn, "privilege_missing".to_owned())]);
    assert_eq!(codes(&table, &settings(), true), [(Severity::Fail, "privilege_missing".to_owned())]);
    table.privileges = Privileges { schema_usage: true, select: false, select_system: false, update: true };
    assert_eq!(codes(&table, &settings(), false), [(Severity::Fail, "privilege_missing".to_owned())]);
    table.privileges = Privileges { schema_usage: false, select: true, select_system: true, update: true };
    assert_eq!(codes(&table, &settings(), false), [(Severity::Fail, "privilege_missing".to_owned())]);
}

#[test]
fn names_in_statements_are_quoted_and_control_characters_escaped() {
    let mut table = a_table();
    table.name.name = "we\"ird\n".into();
    table.privileges = Privileges { schema_usage: true, select: true, select_system: false, update: true };
    let (server, settings) = (a_server(), settings());
    let format = |name: &str| Format::preset(name);
    let subject = Subject {
        settings: &settings,
        table: &table,
        dialect: Dialect::Postgres,
        server: &server,
        for_run: true,
        format: &format,
    };
    let findings = super::table(&subject);
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    let statement = r#"GRANT SELECT (xmin, ctid) ON "public".U&"we""ird\000a" TO "ro""le";"#;
    assert!(finding.message.contains(statement), "{}", finding.message);
    assert!(!format!("{}{}", finding.message, finding.table.clone().unwrap()).contains('\n'));
}

#[test]
fn credentials_are_said_not_to_be_helped() {
    let mut settings = settings();
    settings.columns[0].kind = Some(Kind::Credential);
    assert_eq!(codes(&a_table(), &settings, true), [(Severity::Warn, "credential_kind".to_owned())]);
}

#[test]
fn an_index_of_another_collation_version_is_refused() {
    let mut table = a_table();
    table.collation_mismatches.push(Collation {
        column: "id".into(),
        name: "de-x-icu".into(),
        recorded: "153.14".into(),
        actual: "153.120".into(),
    });
    assert_eq!(codes(&table, &settings(), false), [(Severity::Fail, "collation_version".to_owned())]);
}

#[test]
fn only_tables_have_rows_of_their_own() {
    for (kind, what) in [
        (TableKind::View, "a view"),
        (TableKind::MaterializedView, "a materialized view"),
        (TableKind::Foreign, "a foreign table"),
    ] {
        let finding = relation_kind(&Table { kind, ..a_table() }).expect("a finding");
        assert!(finding.code == "not_a_table" && finding.message.contains(what));
    }
    assert_eq!(relation_kind(&Table { kind: TableKind::Partitioned, ..a_table() }), None);
}

#[test]
fn a_server_is_looked_at_for_what_a_run_does_to_it() {
    let found = |server: Server, for_run| {
        let findings = super::server(&server, for_run);
        findings.into_iter().map(|finding| (finding.severity, finding.code)).collect::<Vec<_>>()
    };
    let is = |severity, code: &str| vec![(severity, code.to_owned())];
    assert_eq!(found(a_server(), true), []);
    let store_grants =
        StoreGrants { read: vec![], write: vec![StoreGrant { lacks: "INSERT".into(), statement: "GRANT".into() }] };
    let read_only = Server { read_only: true, store_grants: store_grants.clone(), ..a_server() };
    assert_eq!(found(read_only.clone(), true), is(Severity::Fail, "read_only_server"));
    assert_eq!(found(read_only, false), is(Severity::Warn, "read_only_server"));
    let no_store = Server { store_grants, ..a_server() };
    assert_eq!(found(no_store, true), is(Severity::Fail, "store_privilege_missing"));
    assert_eq!(found(Server { standbys: 2, ..a_server() }, true), is(Severity::Warn, "standby_attached"));
    assert_eq!(found(Server { tls: Some(TlsMode::VerifyFull), ..a_server() }, true), []);
    for weak in [TlsMode::VerifyCa, TlsMode::Require, TlsMode::Disable] {
        assert_eq!(found(Server { tls: Some(weak), ..a_server() }, true), is(Severity::Warn, "tls_weak"));
    }
    assert_eq!(found(Server { idle_slots: 1, ..a_server() }, true), is(Severity::Warn, "idle_slot"));
    let patient = |ms| Server { deadlock_timeout_ms: ms, ..a_server() };
    assert_eq!(found(patient(Some(200)), false), is(Severity::Warn, "deadlock_timeout"));
    assert_eq!((found(patient(Some(201)), true), found(patient(None), true)), (vec![], vec![]));
    let held = |age| Server { oldest_snapshot_s: Some(age), ..a_server() };
    assert_eq!(found(held(4000), true), is(Severity::Warn, "held_snapshot"));
    assert_eq!(found(held(2), true), []);
}

fn keyring(pairs: &[(&str, Option<u8>, Option<u8>)]) -> Keyring {
    let key = |byte: u8| SecretKey::new(vec![byte; 32]);
    let pair = |old: Option<u8>, new: Option<u8>| Arc::new(KeyPair { old: old.map(key), new: new.map(key) });
    pairs.iter().map(|&(name, old, new)| (name.to_owned(), pair(old, new))).collect()
}

#[test]
fn pairs_are_complete_and_no_key_stands_in_two_places() {
    let text = "[key.a]\nold = 'env:A'\n[key.b]\nold = 'env:B'\n";
    let configuration = Configuration::parse(text).unwrap();
    let found = |pairs: &[(&str, Option<u8>, Option<u8>)], for_run| {
        let findings = super::keys(&configuration, &keyring(pairs), for_run);
        findings.into_iter().map(|finding| (finding.severity, finding.code)).collect::<Vec<_>>()
    };
    let is = |severity, code: &str| vec![(severity, code.to_owned())];
    let b = ("b", Some(3), Some(4));
    assert_eq!(found(&[("a", Some(1), Some(2)), b], true), []);
    assert_eq!(found(&[("a", Some(1), Some(1)), b], false), is(Severity::Fail, "same_key"));
    assert_eq!(found(&[("a", Some(1), None), b], false), [], "plan works with the old key alone");
    assert_eq!(found(&[("a", Some(1), None), b], true), is(Severity::Fail, "key_missing"));
    assert_eq!(found(&[("a", None, Some(1)), b], false), is(Severity::Warn, "key_missing"));
    assert_eq!(found(&[b], false), is(Severity::Fail, "key_missing"));
    assert_eq!(found(&[("a", Some(1), Some(3)), b], true), is(Severity::Warn, "shared_key"));
}
