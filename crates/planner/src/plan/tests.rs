use super::*;
use crate::{Configuration, Keyring, Severity, chunk_rows, estimate, judge_nonces, sealing_keys};
use reencrypt_crypto::{BlindIndexSpec, KeyPair, SecretKey};
use reencrypt_db::Dialect;
use std::sync::Arc;

/// A plan of one table, as a draft makes it.
pub(crate) fn a_plan() -> Plan {
    let column = |name: &str| ColumnPlan {
        column: name.into(),
        read: vec!["gcm-triple-b64-iv16".into()],
        write: "gcm-triple-b64-iv16".into(),
        plaintext: PlaintextPolicy::Keep,
        nesting_max: 1,
        kind: None,
        column_alias: None,
        sample: ClassCounts::default(),
    };
    let spec: BlindIndexSpec = serde_json::from_str(
        r#"{"algorithm": "hmac-sha256", "subkey": [{"hmac": "sha256", "msg": "patient-dedup-v1"}], "normalize": ["trim"],
            "none_for": {"values": [], "suffixes": []}, "policy": "recompute"}"#,
    )
    .unwrap();
    let key = |print: &str| Some(print.parse().unwrap());
    let table = TablePlan {
        name: TableName { schema: "public".into(), name: "Patient".into() },
        key: "default".into(),
        row_key: vec!["id".into()],
        schema_hash: "00".repeat(32),
        columns: vec![column("email"), column("phone")],
        blind_indexes: vec![BlindIndexPlan {
            column: "emailHash".into(),
            of: "email".into(),
            spec,
            indexed: false,
            sample: ClassCounts::default(),
        }],
        subject: None,
        table_alias: None,
        triggers: TriggerPolicy::Refuse,
        order: Order::Key,
        order_reason: "of the test".into(),
        rows_estimate: 300_000,
        heap_bytes: 300_000 * 850,
        index_bytes: 30_000_000,
        sampled_rows: 0,
    };
    let plan = Plan {
        version: VERSION,
        id: String::new(),
        environment: "staging".into(),
        identity: Identity { address: "h:5432".into(), database: "clinic".into(), system: "1/2".into() },
        keys: BTreeMap::from([(
            "default".into(),
            PlanKey { old: key("b025926dfd23b1b3"), new: key("0123456789abcdef"), ..PlanKey::default() },
        )]),
        tables: vec![table],
        layouts: BTreeMap::new(),
        findings: Vec::new(),
        estimate: Estimate::default(),
        exposure: Vec::new(),
    };
    plan.seal()
}

/// What was approved must be recognised by later versions too: a change of this value makes every approved plan void.
#[test]
fn the_id_is_the_same_for_ever() {
    assert_eq!(a_plan().id, "343655af9e097ec15f20c9d30590666522af4c8ee01c954aa06aa71fa2540f0a");
}

#[test]
fn the_id_covers_what_is_approved() {
    type Change = (&'static str, fn(&mut Plan));
    let changes: [Change; 18] = [
        ("environment", |p| p.environment = "production".into()),
        ("old key of pair", |p| p.keys.get_mut("default").unwrap().old = None),
        ("new key of pair", |p| p.keys.get_mut("default").unwrap().new = "1111111111111111".parse().ok()),
        ("a key pair `more`", |p| p.keys.extend([("more".into(), PlanKey::default())])),
        ("no table public.Patient", |p| p.tables[0].name.name = "Person".into()),
        ("no table public.Patient", |p| p.tables.clear()),
        ("its key pair is", |p| p.tables[0].key = "other".into()),
        ("its row key is", |p| p.tables[0].row_key.push("a".into())),
        ("its columns or their types", |p| p.tables[0].schema_hash.replace_range(..2, "ff")),
        ("table_alias", |p| p.tables[0].table_alias = Some("a".into())),
        ("triggers", |p| p.tables[0].triggers = TriggerPolicy::Allow),
        ("no column `phone`", |p| drop(p.tables[0].columns.pop())),
        ("another order", |p| p.tables[0].columns.swap(0, 1)),
        ("its formats", |p| p.tables[0].columns[1].read.push("gcm-triple-hex-iv12".into())),
        ("its nesting_max", |p| p.tables[0].columns[1].nesting_max = 2),
        ("its column_alias", |p| p.tables[0].columns[1].column_alias = Some("a".into())),
        ("happens to plaintext", |p| p.tables[0].columns[1].plaintext = PlaintextPolicy::Refuse),
        ("blind index `emailHash`", |p| p.tables[0].blind_indexes[0].spec.normalize.clear()),
    ];
    let plan = a_plan();
    for (words, change) in changes {
        let mut other = plan.clone();
        change(&mut other);
        let other = other.seal();
        assert_ne!(other.id, plan.id, "{words}");
        let said = plan.first_difference(&other).unwrap_or_else(|| panic!("no difference: {words}"));
        assert!(said.contains(words), "{words}: {said}");
        assert!(other.first_difference(&plan).is_some(), "{words}, the other way round");
    }
    // A layout of the plan's own is covered with its content.
    let with_layout = |text: &str| {
        let mut plan = a_plan();
        plan.tables[0].columns[0].write = "mine".into();
        let layout = format!(r#"{{"cipher": "aes-256-gcm", "text": "{text}", "iv": {{"len": 12}}}}"#);
        plan.layouts.insert("mine".into(), serde_json::from_str(&layout).unwrap());
        plan.seal()
    };
    let (one, other) = (with_layout("{iv:hex}:{tag:hex}:{ct:hex}"), with_layout("{iv:hex}.{tag:hex}.{ct:hex}"));
    assert_ne!(one.id, other.id);
    assert!(one.first_difference(&other).unwrap().contains("layout of format `mine`"));
}

#[test]
fn the_id_covers_nothing_that_is_counted_estimated_or_found() {
    let changes: [fn(&mut Plan); 9] = [
        |p| p.identity.address = "pooler:6432".into(),
        |p| p.tables[0].rows_estimate = 1,
        |p| p.tables[0].heap_bytes = 1,
        |p| p.tables[0].sampled_rows = 1,
        |p| p.tables[0].columns[0].sample.old = 1,
        |p| p.tables[0].columns[0].kind = Some(Kind::Contact),
        |p| p.tables[0].blind_indexes[0].indexed = true,
        |p| p.estimate.seconds = 1.0,
        |p| p.findings.push(Finding::fail("a", "b")),
    ];
    let plan = a_plan();
    for (at, change) in changes.into_iter().enumerate() {
        let mut other = plan.clone();
        change(&mut other);
        let other = other.seal();
        assert_eq!(other.id, plan.id, "change {at}");
        assert_eq!(plan.first_difference(&other), None, "change {at}");
    }
}

#[test]
fn a_plan_goes_through_json_and_a_changed_one_is_refused() {
    let mut plan = a_plan();
    plan.estimate = estimate::estimate(&plan, Dialect::Postgres);
    plan.findings.push(Finding { severity: Severity::Warn, ..Finding::fail("a", "b") });
    let text = serde_json::to_string_pretty(&plan).unwrap();
    assert_eq!(Plan::from_json(&text).unwrap(), plan);
    assert_eq!(serde_json::to_string_pretty(&Plan::from_json(&text).unwrap()).unwrap(), text);
    for (from, to, said) in [
        ("\"staging\"", "\"production\"", "its id is not that of its content"),
        ("\"version\": 1", "\"version\": 7", "version 7"),
        ("\"tables\"", "\"tabels\"", "no plan"),
        ("{", "", "no plan"),
    ] {
        let error = Plan::from_json(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.code() == "plan_unreadable" && error.to_string().contains(said), "{error}");
    }
}

#[test]
fn estimates_scale_with_what_is_to_do() {
    let mut plan = a_plan();
    let whole = estimate::estimate(&plan, Dialect::Postgres);
    assert_eq!(whole.rows, 300_000);
    assert_eq!(whole.key_invocations["default"], 600_000);
    assert_eq!(
        whole.chunks,
        300_000_u64.div_ceil(chunk_rows(300_000, crate::batch_rows(Dialect::Postgres), Order::Key, 2))
    );
    // Three of ten fields: between the cost of a row alone and that of ten.
    assert!(whole.seconds > 300_000.0 / 100_000.0 && whole.seconds < 300_000.0 / 40_000.0, "{}", whole.seconds);
    assert!((600_000_000..800_000_000).contains(&whole.wal_bytes), "2.4 KB a row: {}", whole.wal_bytes);
    assert_eq!(whole.growth_bytes, 300_000 * 850 + 30_000_000);
    assert_eq!(estimate::estimate(&plan, Dialect::Sqlite).growth_bytes, 0);
    for column in &mut plan.tables[0].columns {
        column.sample = ClassCounts { seen: 100, old: 25, new: 70, plaintext: 5, ..Default::default() };
    }
    plan.tables[0].blind_indexes[0].sample = ClassCounts { seen: 100, new: 100, ..Default::default() };
    let quarter = estimate::estimate(&plan, Dialect::Postgres);
    assert_eq!((quarter.values, quarter.key_invocations["default"]), (150_000, 150_000));
    assert!(quarter.seconds < whole.seconds / 2.0);
    plan.tables[0].columns[0].plaintext = PlaintextPolicy::Encrypt;
    assert_eq!(estimate::estimate(&plan, Dialect::Postgres).values, 165_000);
}

/// The findings about nonces of a plan whose application has sealed `prior` values, after runs that reserved `reserved` for each key.
fn nonce_findings(mut plan: Plan, prior: u64, reserved: u64) -> Vec<Severity> {
    let mut configuration = Configuration::from_environment();
    configuration.keys.get_mut("default").unwrap().prior_invocations = prior;
    let new = || SecretKey::new((7..39).collect());
    let keys = Keyring::from([("default".to_owned(), Arc::new(KeyPair { old: None, new: Some(new()) }))]);
    let sealing = sealing_keys(&plan, &plan.tables[0], &new()).unwrap();
    judge_nonces(&mut plan, &configuration, &keys, &sealing.into_iter().map(|key| (key, reserved)).collect()).unwrap();
    let found = plan.findings.into_iter().filter(|finding| finding.code == "nonce_budget");
    found.map(|finding| finding.severity).collect()
}

#[test]
fn nonces_are_warned_about_at_half_and_refused_at_the_end() {
    let budget = |prior| nonce_findings(a_plan(), prior, 0);
    assert_eq!(budget(0), []);
    assert_eq!(budget((1 << 31) - 600_001), []);
    assert_eq!(budget((1 << 31) - 600_000), [Severity::Warn]);
    assert_eq!(budget((1 << 32) - 600_001), [Severity::Warn]);
    assert_eq!(budget((1 << 32) - 600_000), [Severity::Fail]);
    assert_eq!(budget(u64::MAX), [Severity::Fail]);
    // What earlier runs reserved counts too.
    assert_eq!(nonce_findings(a_plan(), 1 << 31, (1 << 31) - 700_000), [Severity::Warn]);
    assert_eq!(nonce_findings(a_plan(), 1 << 31, (1 << 31) - 600_000), [Severity::Fail]);
}

/// The way out that the finding names is one: columns with keys of their own do not share nonces.
#[test]
fn a_key_derived_for_each_column_has_nonces_of_its_own() {
    let layout = |info: &str| -> LayoutSpec {
        let text = r#"{"cipher": "aes-256-gcm", "text": "{iv:b64}:{tag:b64}:{ct:b64}", "iv": {"len": 12},
            "key": {"kdf": [{"hkdf": "sha256", "info": "INFO"}]}}"#;
        serde_json::from_str(&text.replace("INFO", info)).unwrap()
    };
    let with = |info: &str| {
        let mut plan = a_plan();
        plan.layouts.insert("mine".into(), layout(info));
        plan.tables[0].columns.iter_mut().for_each(|column| column.write = "mine".into());
        nonce_findings(plan, (1 << 32) - 500_000, 0)
    };
    assert_eq!(with("all"), [Severity::Fail], "600,000 under one key");
    assert_eq!(with("{table}"), [Severity::Fail], "both columns are of one table");
    assert_eq!(with("{column}"), [Severity::Warn], "300,000 under each key");
}
