use super::*;
use proptest::prelude::*;
use reencrypt_crypto::{BlindIndexPolicy, NoneFor, NormalizeStep, SubkeyStep};

const PATIENT: &str = r#"
[environment]
name = "staging"
[database]
url = "env:DATABASE_URL"
ca = "file:rds-global-bundle.pem"
[key.phi]
old = "env:OLD_KEY"
new = { from = "file:/run/secrets/new", decode = "base64", take = 32 }
prior_invocations = 1200

[[table]]
name = "Patient"
[table.columns]
firstName = "gcm-triple-b64-iv16"
email = { format = "gcm-triple-b64-iv16", plaintext = "keep", kind = "contact" }
address1 = { format = "gcm-triple-b64-iv16", nesting_max = 2, column_alias = "address" }
[[table.blind_index]]
column = "emailHash"
of = "email"
algorithm = "hmac-sha256"
subkey = [{ hmac = "sha256", msg = "patient-dedup-v1" }]
normalize = ["trim", "lowercase"]
none_for = { values = ["unknown@example.com"], suffixes = ["@placeholder.local"] }
policy = "fill"
"#;

#[test]
fn the_documented_file_is_understood() {
    let configuration = Configuration::parse(PATIENT).unwrap();
    assert_eq!(configuration.environment.name.as_deref(), Some("staging"));
    assert_eq!(configuration.database.ca.as_deref(), Some("rds-global-bundle.pem"));
    let pair = &configuration.keys["phi"];
    assert_eq!(pair.new.as_ref().unwrap().take, Some(32));
    assert_eq!(pair.prior_invocations, 1200);
    let [table] = configuration.tables.as_slice() else { panic!("one table") };
    assert_eq!(configuration.pair_of(table), "phi");
    let names: Vec<&str> = table.columns.iter().map(|column| column.column.as_str()).collect();
    assert_eq!(names, ["firstName", "email", "address1"], "in the order of the file");
    assert_eq!(table.columns[1].plaintext, PlaintextPolicy::Keep);
    assert_eq!(table.columns[1].kind, Some(Kind::Contact));
    assert_eq!(table.columns[2].nesting_max, 2);
    let [index] = table.blind_indexes.as_slice() else { panic!("one blind index") };
    assert_eq!(index.spec.normalize, [NormalizeStep::Trim, NormalizeStep::Lowercase]);
    assert_eq!(index.spec.policy, BlindIndexPolicy::Fill);
}

#[test]
fn without_a_pair_it_is_that_of_the_environment() {
    assert_eq!(Configuration::parse("").unwrap(), Configuration::from_environment());
    let pair = &Configuration::from_environment().keys["default"];
    assert_eq!(pair.old.as_ref().unwrap().from, "env:OLD_KEY");
    assert_eq!(pair.new.as_ref().unwrap().from, "env:NEW_KEY");
}

/// What is wrong with `text`: line, place, problem, hint.
fn refusal(text: &str) -> (usize, String, String) {
    match Configuration::parse(text) {
        Err(Error::Configuration { place, line, problem, hint }) => {
            (line.unwrap_or_default(), place, format!("{problem} | {hint}"))
        }
        other => panic!("{text}: {other:?}"),
    }
}

/// A table around `columns`.
fn with_columns(columns: &str) -> String {
    format!("[[table]]\nname = \"Patient\"\n[table.columns]\n{columns}\n")
}

#[track_caller]
fn refused(text: &str, line: usize, expected: &str) {
    let (found, place, said) = refusal(text);
    assert!(said.contains(expected), "{text}\nsays: {place}: {said}");
    assert_eq!(found, line, "{text}\nsays: {place}: {said}");
}

#[test]
fn unknown_members_are_refused_with_the_nearest_known_one() {
    refused("[enviroment]\nname = 'x'", 1, "did you mean `environment`?");
    refused("[environment]\nnmae = 'x'", 2, "did you mean `name`?");
    refused("[database]\nurll = 'env:A'", 2, "did you mean `url`?");
    refused("[key.a]\nold = 'env:A'\nnwe = 'env:B'", 3, "did you mean `new`?");
    refused(
        &with_columns("a = { format = 'gcm-triple-b64-iv16', plain_text = 'keep' }"),
        4,
        "did you mean `plaintext`?",
    );
    refused(&with_columns("a = { format = 'gcm-triple-b64-iv16', plaintext = 'kep' }"), 4, "did you mean `keep`?");
    refused(&with_columns("a = 'gcm-triple-b64-iv61'"), 4, "did you mean `gcm-triple-b64-iv16`?");
    refused("[[table]]\nname = 'a'\nrowkey = ['id']", 3, "did you mean `row_key`?");
}

#[test]
fn keys_may_stand_in_aws() {
    let text = "[database]\nurl = 'aws-secretsmanager:prod/db#url'\n[key.phi]\nold = 'aws-secretsmanager:prod/phi#key@AWSPREVIOUS'\n\
                new = { kms = 'env:ENCRYPTED_PHI_KEY', key_id = 'alias/phi', context = { app = 'clinic' } }";
    let configuration = Configuration::parse(text).unwrap();
    let new = configuration.keys["phi"].new.clone().unwrap();
    assert_eq!(new.from, "env:ENCRYPTED_PHI_KEY");
    let context = [("app".to_owned(), "clinic".to_owned())].into();
    assert_eq!(new.wrapped_by, Some(WrappedBy { key_id: "alias/phi".into(), context }));
    assert_eq!(configuration.database.url.unwrap().from, "aws-secretsmanager:prod/db#url");
    refused("[key.a]\nold = { kms = 'env:A' }", 2, "`key_id` is missing");
    refused("[key.a]\nold = { kms = 'env:A', key_id = 'a b' }", 2, "names no KMS key");
    refused("[key.a]\nold = { kms = 'QUJDRA==', key_id = 'alias/a' }", 2, "no reference to a secret");
    refused("[key.a]\nold = { kms = 'env:A', key_id = 'alias/a', contxt = {} }", 2, "did you mean `context`?");
    refused("[key.a]\nold = { kms = 'env:A', key_id = 'alias/a', context = { app = 1 } }", 2, "must be a string");
    refused("[key.a]\nold = 'aws-kms:alias/a'", 2, "names no place");
}

#[test]
fn what_this_version_does_not_bring_is_said_to_be_so() {
    for (text, line) in [
        ("[audit]\nkey = 'env:A'", 1),
        ("[[tripwire]]\ntable = 'a'", 1),
        ("[key.a]\nold = 'env:A'\nknown = { v1 = 'env:B' }", 3),
        ("[key.a]\nold = { from = 'env:A', decode = 'passphrase' }", 2),
        ("[[table]]\nname = 'a'\nwhere = { k = 'v1' }", 3),
        ("[[table]]\nname = 'a'\nset = { k = 'v2' }", 3),
        ("[[table]]\nname = 'a'\n[[table.json]]\ncolumn = 'b'", 3),
        ("[[table]]\nname = 'a'\n[table.columns]\nb = { format = 'gcm-triple-b64-iv16', validate = '^x$' }", 4),
        (
            "[[table]]\nname = 'a'\n[table.columns]\nb = { format = 'gcm-triple-b64-iv16', stored_as = 'json-string' }",
            4,
        ),
        ("[[table]]\nname = 'a'\n[table.columns]\nb = { format = 'gcm-triple-b64-iv16', columns = { iv = 'c' } }", 4),
    ] {
        refused(text, line, "not supported by this version");
    }
}

#[test]
fn a_literal_key_is_refused_and_never_repeated() {
    let key = "35ee5c6eddf0b06a3e9d53cab0ba055bb52ab19aed4603527f359175162bd362";
    let password = "hunter2-correct-horse";
    for text in [
        format!("[key.a]\nold = \"{key}\""),
        format!("[key.a]\nold = {{ from = \"{key}\" }}"),
        format!("[key.a]\nold = \"env:{key}\""),
        format!("[key.a]\nold = \"hex:{key}\""),
        format!("[key.a]\nold = [\"{key}\"]"),
        format!("[key.a]\nold = \"env:OLD_KEY\"\nnew = \"{key}\""),
        format!("[database]\nurl = \"postgres://u:{password}@host/db\""),
        format!("[database]\nca = \"{key}\""),
        format!("[key.a]\nold = \"{key}"),
        format!("[key.a]\nold = {key}"),
        format!("[environment]\nname = 1\nx = \"{key}\""),
        with_columns(&format!("a = \"{key}\"")),
        with_columns(&format!("a = {{ format = \"gcm-triple-b64-iv16\", kind = \"{key}\" }}")),
        format!("[layout.mine]\ncipher = [\"{key}\"]"),
        format!("[layout.mine]\ncipher = \"aes-256-gcm\"\ntext = 1\nkey = \"{key}\""),
    ] {
        let error = Configuration::parse(&text).unwrap_err();
        let said = format!("{error} {error:?} {:?}", error.hint());
        assert!(!said.contains(key) && !said.contains(password), "{said}");
        assert!(!said.contains(&key[..12]), "{said}");
    }
}

#[test]
fn contradictions_are_refused() {
    let column = "[table.columns]\na = 'gcm-triple-b64-iv16'\n";
    let table = format!("[[table]]\nname = 'Patient'\n{column}");
    refused(&format!("{table}{table}"), 1, "stands twice");
    refused("[[table]]\nname = 'Patient'\n", 1, "no columns");
    refused(&format!("[[table]]\n{column}"), 1, "`name` is missing");
    refused(
        &format!("[[table]]\nname = 'a'\nkey = 'phii'\n{column}\n[key.phi]\nold = 'env:A'"),
        3,
        "did you mean `phi`?",
    );
    let two = "[key.a]\nold = 'env:A'\n[key.b]\nold = 'env:B'\n";
    refused(&format!("{two}{table}"), 5, "several key pairs");
    refused("[key.a]\n", 1, "neither an `old` nor a `new`");
    refused("[key.a]\nold = 'env:A'\nnew = 'env:A'", 3, "the same reference");
    refused(&with_columns("a = { plaintext = 'keep' }"), 4, "no format");
    refused(&with_columns("a = { read = ['gcm-triple-b64-iv16'] }"), 4, "without `write`");
    refused(&with_columns("a = { write = 'gcm-triple-b64-iv16' }"), 4, "without `read`");
    refused(&with_columns("a = { read = [], write = 'gcm-triple-b64-iv16' }"), 4, "no format");
    refused(&with_columns("a = { format = 'gcm-triple-b64-iv16', nesting_max = 0 }"), 4, "from 1 to 8");
    refused(&format!("[[table]]\nname = 'a'\nrow_key = []\n{column}"), 3, "row_key");
    refused("a = \n", 1, "not TOML");
}

#[test]
fn a_column_writes_only_what_its_values_bring() {
    let bare_to_kid = "a = { read = ['gcm-triple-hex-iv12'], write = 'gcm-versioned-triple-hex-iv12' }";
    refused(&with_columns(bare_to_kid), 4, "`kid`");
    let kid = "a = { format = 'gcm-versioned-triple-hex-iv12', plaintext = 'encrypt' }";
    refused(&with_columns(kid), 4, "`kid`");
    let kid_to_bare = "a = { read = ['gcm-versioned-triple-hex-iv12'], write = 'gcm-triple-hex-iv12' }";
    assert!(Configuration::parse(&with_columns(kid_to_bare)).is_ok());
}

#[test]
fn blind_indexes_belong_to_a_configured_column() {
    let index = |members: &str| {
        let columns = "[table.columns]\nemail = 'gcm-triple-b64-iv16'\n";
        format!("[[table]]\nname = 'a'\n{columns}[[table.blind_index]]\n{members}\n")
    };
    let good = "column = 'h'\nof = 'email'\nalgorithm = 'hmac-sha256'\n";
    assert!(Configuration::parse(&index(good)).is_ok());
    refused(&index("column = 'h'\nof = 'emial'\nalgorithm = 'hmac-sha256'"), 7, "did you mean `email`?");
    refused(&index("column = 'h'\nof = 'email'\nalgorithm = 'hmac-md5'"), 8, "`algorithm` has no such value");
    refused(&index("column = 'h'\nof = 'email'"), 5, "`algorithm` is missing");
    refused(&index("column = 'email'\nof = 'email'\nalgorithm = 'hmac-sha256'"), 5, "also configured as encrypted");
    refused(&index(&format!("{good}[[table.blind_index]]\n{good}")), 9, "stands twice");
    refused(&index(&format!("{good}normalize = ['trimm']")), 9, "did you mean `trim`?");
    refused(&index(&format!("{good}subkey = [{{ hkdf = 'sha256' }}]")), 9, "not supported by this version");
    refused(&index(&format!("{good}subkey = [{{ hmac = 'sha512', msg = 'a' }}]")), 9, "no such value");
}

fn reference() -> impl Strategy<Value = Reference> {
    let from = || {
        prop_oneof![
            "env:[A-Z_][A-Z0-9_]{0,12}",
            "file:/[a-zA-Z0-9 ./\"\\\\-]{1,20}[a-z]",
            "aws-secretsmanager:[a-z/]{1,12}#[a-z]{1,8}@AWSPREVIOUS"
        ]
    };
    let decode = proptest::option::of(prop_oneof![Just("hex"), Just("base64"), Just("raw")].prop_map(str::to_owned));
    let plain = (from(), decode, proptest::option::of(1..64usize)).prop_map(|(from, decode, take)| Reference {
        from,
        decode,
        take,
        wrapped_by: None,
    });
    let context = proptest::collection::btree_map(name(), name(), 0..3);
    let wrapped = (from(), "alias/[a-z]{1,8}", context).prop_map(|(from, key_id, context)| Reference {
        from,
        decode: None,
        take: None,
        wrapped_by: Some(WrappedBy { key_id, context }),
    });
    prop_oneof![plain, wrapped]
}

fn pair() -> impl Strategy<Value = KeySettings> {
    (proptest::option::of(reference()), reference(), any::<u32>()).prop_filter_map("twice", |(old, new, prior)| {
        let new = Some(new).filter(|new| old.as_ref() != Some(new));
        Some(KeySettings { old, new, prior_invocations: prior.into() })
            .filter(|pair| pair.old.is_some() || pair.new.is_some())
    })
}

/// Names as people and machines give them, quotes and control characters included.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z_][a-zA-Z0-9_]{0,10}", "[a-z.\"'\\\\ \n\t\u{7f}\u{1b}é€]{1,8}"]
        .prop_filter("blank", |name| !name.trim().is_empty())
}

fn column() -> impl Strategy<Value = ColumnSettings> {
    let format = || prop_oneof![Just("gcm-triple-b64-iv16".to_owned()), Just("gcm-triple-hex-iv12".to_owned())];
    let kind = prop_oneof![Just(Kind::Identity), Just(Kind::Credential), Just(Kind::Payment)];
    let plaintext =
        prop_oneof![Just(PlaintextPolicy::Refuse), Just(PlaintextPolicy::Keep), Just(PlaintextPolicy::Encrypt)];
    let options = (plaintext, 1..=8u8, proptest::option::of(kind), proptest::option::of(name()));
    (name(), proptest::collection::btree_set(format(), 1..=2), format(), options).prop_map(
        |(column, read, write, (plaintext, nesting_max, kind, column_alias))| ColumnSettings {
            column,
            read: read.into_iter().collect(),
            write,
            plaintext,
            nesting_max,
            kind,
            column_alias,
        },
    )
}

fn blind_index() -> impl Strategy<Value = BlindIndexSpec> {
    let step = prop_oneof![
        Just(NormalizeStep::Trim),
        Just(NormalizeStep::Lowercase),
        Just(NormalizeStep::Date),
        Just(NormalizeStep::Digits)
    ];
    let policy = prop_oneof![
        Just(BlindIndexPolicy::Recompute),
        Just(BlindIndexPolicy::Fill),
        Just(BlindIndexPolicy::KeepNull),
        Just(BlindIndexPolicy::Verify)
    ];
    let texts = || proptest::collection::vec(".{0,6}", 0..3);
    let subkey = proptest::collection::vec(".{0,6}", 0..3);
    (subkey, proptest::collection::vec(step, 0..3), texts(), texts(), policy).prop_map(
        |(messages, normalize, values, suffixes, policy)| BlindIndexSpec {
            algorithm: "hmac-sha256".into(),
            subkey: messages.into_iter().map(|msg| SubkeyStep { hmac: "sha256".into(), msg }).collect(),
            normalize,
            none_for: NoneFor { values, suffixes },
            policy,
        },
    )
}

fn table(key: Option<String>) -> impl Strategy<Value = TableSettings> {
    let columns = proptest::collection::vec(column(), 1..4);
    let row_key = proptest::option::of(proptest::collection::btree_set(name(), 1..3));
    let texts = (name(), proptest::option::of(name()), proptest::option::of(name()));
    (texts, row_key, any::<bool>(), columns, proptest::option::of((name(), blind_index()))).prop_map(
        move |((name, subject, table_alias), row_key, allow, mut columns, index)| {
            columns.sort_by(|a, b| a.column.cmp(&b.column));
            columns.dedup_by(|a, b| a.column == b.column);
            let of = columns[0].column.clone();
            let index = index.filter(|(column, _)| columns.iter().all(|other| other.column != *column));
            TableSettings {
                name,
                key: key.clone(),
                row_key: row_key.map(|names| names.into_iter().collect()),
                subject,
                table_alias,
                triggers: if allow { TriggerPolicy::Allow } else { TriggerPolicy::Refuse },
                columns,
                blind_indexes: index
                    .map(|(column, spec)| BlindIndexSettings { column, of, spec })
                    .into_iter()
                    .collect(),
            }
        },
    )
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let keys = proptest::collection::btree_map(name(), pair(), 1..3);
    let database = (proptest::option::of(reference()), proptest::option::of(Just("verify-ca".to_owned())));
    let environment = (proptest::option::of(name()), proptest::option::of(any::<u32>()));
    (environment, database, keys).prop_flat_map(|((name, days), (url, tls), keys)| {
        let key = keys.keys().next().cloned();
        proptest::collection::vec(table(key), 0..3).prop_map(move |mut tables| {
            tables.sort_by(|a, b| a.name.cmp(&b.name));
            tables.dedup_by(|a, b| a.name == b.name);
            Configuration {
                environment: EnvironmentSettings { name: name.clone(), backup_retention_days: days },
                database: DatabaseSettings { url: url.clone(), ca: Some("a b.pem".into()), tls: tls.clone() },
                keys: keys.clone(),
                tables,
                layouts: BTreeMap::new(),
                doctor: DoctorSettings::default(),
            }
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(configuration in configuration()) {
        let text = configuration.to_toml();
        match Configuration::parse(&text) {
            Ok(parsed) => prop_assert_eq!(parsed, configuration, "{}", text),
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{text}"))),
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\[|\\]|\"|=|\n|key|table|name|a|\\.|\\{|\\}|env:|,| ){0,40}") {
        let _ = Configuration::parse(&text);
    }
}

#[test]
fn layouts_of_the_file_are_formats_and_are_written_again() {
    let text = with_columns("a = { read = ['mine', 'gcm-triple-b64-iv16'], write = 'mine' }")
        + "[layout.mine]\ncipher = 'aes-256-gcm'\ntext = '{iv:hex}|{tag:hex}|{ct:hex}'\niv = { len = 12 }\n";
    let configuration = Configuration::parse(&text).unwrap();
    assert_eq!(configuration.tables[0].columns[0].write, "mine");
    assert_eq!(Configuration::parse(&configuration.to_toml()).unwrap(), configuration);
    let preset = text.replace("mine", "gcm-triple-b64-iv16").replace("['gcm-triple-b64-iv16', ", "[");
    refused(&preset, 5, "the name of a preset");
    refused(&text.replace("cipher", "cypher"), 5, "unknown member `cypher`; did you mean `cipher`?");
    refused(&text.replace("{tag:hex}", "{tag:hax}"), 5, "");
    refused(&text.replace("aes-256-gcm", "rot13"), 5, "");
}

#[test]
fn the_secrets_of_an_application_are_its_own_list() {
    let names = |text: &str| {
        let secrets = Configuration::parse(text).unwrap().doctor.secrets;
        secrets.into_iter().map(|secret| secret.name).collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["JWT_SECRET", "ENCRYPTION_KEY"]);
    assert_eq!(names("[doctor]\nsecrets = []"), [""; 0]);
    let text = "[doctor]\nsecrets = [{ name = 'SESSION_SECRET', form = 'text', required = false, old = 'SESSION_OLD' }, { name = 'PHI', \
                field_key = true }]";
    let configuration = Configuration::parse(text).unwrap();
    let expected = SecretSettings {
        name: "SESSION_SECRET".into(),
        form: SecretForm::Text,
        required: false,
        old: Some("SESSION_OLD".into()),
        field_key: false,
    };
    assert_eq!(configuration.doctor.secrets[0], expected);
    assert!(configuration.doctor.secrets[1].required && configuration.doctor.secrets[1].field_key);
    for text in [text, "", "[doctor]\nsecrets = []"] {
        let configuration = Configuration::parse(text).unwrap();
        assert_eq!(Configuration::parse(&configuration.to_toml()).unwrap(), configuration);
    }
}

#[test]
fn a_secret_in_place_of_its_name_is_refused_without_being_repeated() {
    let key = "feedc0de".repeat(8);
    for text in [
        format!("[doctor]\nsecrets = [{{ name = '{key}' }}]"),
        format!("[doctor]\nsecrets = [{{ name = 'A', old = 'a {key}' }}]"),
    ] {
        let (_, place, said) = refusal(&text);
        assert!(said.contains("environment variable") && !format!("{place}{said}").contains("feed"), "{place}: {said}");
    }
    refused("[doctor]\nsecrets = [{ name = 'A', form = 'hex' }]", 2, "no such value");
    refused("[doctor]\nsecrets = [{ name = 'A', old = 'A' }]", 2, "stands twice");
    refused("[doctor]\nsecrets = [{ nme = 'A' }]", 2, "did you mean `name`?");
}
