//! Keys of every kind: the walk follows the database's own order and misses nothing.
use crate::playground::{Playground, patient, selection, table, walk};
use reencrypt_db::{Mode, RowKey};

/// Key columns, the expressions that make them from a number `g`, and how many rows they can tell apart.
const KINDS: &[(&str, &str, &str)] = &[
    ("int", "id integer", "g * 3 - 400"),
    ("smallint", "id smallint", "(g - 150)::smallint"),
    ("bigint", "id bigint", "g * 9000000000 - 700000000000"),
    ("uuid", "id uuid", "md5(g::text)::uuid"),
    ("text", "id text", "md5(g::text) || E' \\\\ \\' \" ,{}'"),
    ("text_icu", "id text COLLATE \"en-x-icu\"", "(ARRAY['a','B','ä','Z','é','_',' ','ß'])[g % 8 + 1] || md5(g::text)"),
    ("text_c", "id text COLLATE \"C\"", "(ARRAY['a','B','ä','Z','é','_',' ','ß'])[g % 8 + 1] || md5(g::text)"),
    ("text_nondeterministic", "id text COLLATE ci", "(ARRAY['a','B','ä','Z'])[g % 4 + 1] || md5(g::text)"),
    ("varchar", "id varchar(60)", "chr(97 + g % 26) || md5(g::text)"),
    ("char", "id char(40)", "md5(g::text)"),
    ("name", "id name", "md5(g::text)::name"),
    ("bytea", "id bytea", "decode(md5(g::text), 'hex')"),
    ("numeric", "id numeric", "(g - 150) * 1.10 + CASE WHEN g % 2 = 0 THEN 0.000 ELSE 1e-20 END"),
    ("float", "id double precision", "(g - 150) / 7.0"),
    ("date", "id date", "date '2020-01-01' + g * 5"),
    ("timestamptz", "id timestamptz", "timestamptz '2020-01-01' + g * interval '1.000001 second'"),
    ("intervals", "id interval", "g * interval '1 hour'"),
    ("inet", "id inet", "'10.0.0.0'::inet + g * 77"),
    ("enum", "id mood", "('m' || g)::mood"),
    (
        "citext_elsewhere",
        "id ext.citext COLLATE \"C\"",
        "((ARRAY['a','B','c','D'])[g % 4 + 1] || md5(g::text))::ext.citext",
    ),
    ("domain", "id code", "'c' || md5(g::text)"),
    ("domain_citext", "id email COLLATE \"C\"", "((ARRAY['a','B','c','D'])[g % 4 + 1] || g || '@x')::email"),
    ("range", "id int4range", "int4range(g, g + g % 7 + 1)"),
    ("arrays", "id int[]", "ARRAY[g % 5, g]"),
    ("composite", "a integer, b text", "g % 5, md5(g::text)"),
    (
        "composite_three",
        "a text COLLATE \"en-x-icu\", b date, c uuid",
        "chr(65 + g % 3), date '2020-01-01' + g % 4, md5(g::text)::uuid",
    ),
    ("composite_enum", "a mood, b bigint", "('m' || (g % 4 + 1))::mood, g"),
    (
        "composite_mixed",
        "a integer, b ext.citext COLLATE \"C\", c integer",
        "g % 4, ((ARRAY['a','B','c','D'])[g % 3 + 1] || g % 30)::ext.citext, g",
    ),
];
const ROWS: usize = 300;

async fn playground() -> Playground {
    let mut playground = Playground::new().await;
    let labels: Vec<String> = (1..=ROWS).rev().map(|g| format!("'m{g}'")).collect();
    playground
        .sql(&format!(
            "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE TYPE mood AS ENUM ({});
             CREATE DOMAIN code AS text CHECK (value LIKE 'c%'); CREATE DOMAIN email AS ext.citext;
             CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
            labels.join(", ")
        ))
        .await;
    for (kind, columns, expressions) in KINDS {
        let names: Vec<&str> = columns.split(", ").filter_map(|c| c.split(' ').next()).collect();
        playground
            .sql(&format!(
                "CREATE TABLE {kind} ({columns}, v text NOT NULL, PRIMARY KEY ({0}));
                 INSERT INTO {kind} ({0}, v) SELECT {expressions}, g::text FROM generate_series(1, {ROWS}) AS g; ANALYZE {kind}",
                names.join(", ")
            ))
            .await;
    }
    playground
}

async fn expected(playground: &mut Playground, kind: &str, columns: &str) -> Vec<String> {
    let order: Vec<&str> = columns.split(", ").filter_map(|c| c.split(' ').next()).collect();
    playground.texts(&format!("SELECT v FROM {kind} ORDER BY {}", order.join(", "))).await
}

#[tokio::test]
async fn a_walk_is_the_table_in_its_own_order_for_every_kind_of_key() {
    let mut playground = playground().await;
    let mut session = playground.session().await;
    for (kind, columns, _) in KINDS {
        let expected = expected(&mut playground, kind, columns).await;
        assert_eq!(expected.len(), ROWS, "{kind}");
        let table = table(&mut session, kind).await;
        let selection = selection(&table, &["v"]);
        let mut transaction = session.begin(Mode::Read).await.expect("begin");
        let upto = transaction.max_key(&selection).await.expect(kind).expect("rows");
        for limit in [1000, 300, 299, 7] {
            assert_eq!(walk(&mut transaction, &selection, None, &upto, limit).await, expected, "{kind} by {limit}");
        }

        // The same by chunks, whose ends the database finds.
        let (mut after, mut walked, mut chunks) = (None::<RowKey>, Vec::new(), 0);
        while let Some(end) = transaction.key_after(&selection, after.as_ref(), &upto, 41).await.expect(kind) {
            let chunk = walk(&mut transaction, &selection, after.clone(), &end, 10).await;
            assert!(chunk.len() == 41 || end == upto, "{kind}: {}", chunk.len());
            walked.extend(chunk);
            after = Some(RowKey::from_bytes(end.as_bytes().to_vec()));
            chunks += 1;
        }
        assert_eq!((walked, chunks), (expected, ROWS.div_ceil(41)), "{kind}");
        transaction.commit().await.expect("commit");
    }
}

#[tokio::test]
async fn rows_are_read_again_written_and_named_by_every_kind_of_key() {
    let mut playground = playground().await;
    let mut session = playground.session().await;
    for (kind, columns, _) in KINDS {
        let table = table(&mut session, kind).await;
        let selection = selection(&table, &["v"]);
        let mut transaction = session.begin(Mode::Read).await.expect("begin");
        let upto = transaction.max_key(&selection).await.expect(kind).expect("rows");
        let rows = transaction.read_batch(&selection, None, &upto, 1000).await.expect(kind);
        let keys: Vec<RowKey> = (0..rows.len()).map(|row| rows.key(row)).collect();
        let texts = transaction.key_texts(&selection, &keys).await.expect(kind);
        transaction.commit().await.expect("commit");
        let names: Vec<String> =
            columns.split(", ").map(|c| format!("{}::text", c.split(' ').next().unwrap())).collect();
        let order: Vec<&str> = columns.split(", ").filter_map(|c| c.split(' ').next()).collect();
        let named = format!("SELECT concat_ws(', ', {}) FROM {kind} ORDER BY {}", names.join(", "), order.join(", "));
        assert_eq!(texts, playground.texts(&named).await, "{kind}");

        let mut transaction = session.begin(patient()).await.expect("begin");
        let every_third: Vec<usize> = (0..rows.len()).step_by(3).collect();
        let new = b"new".to_vec();
        let hit = transaction.compare_and_set(&selection, &rows, &every_third, &|_, _| Some(&new)).await.expect(kind);
        assert!(hit.len() == 100 && hit.iter().all(|hit| *hit), "{kind}");
        let again = transaction.read_keys(&selection, &keys, true).await.expect(kind);
        transaction.commit().await.expect("commit");
        let new = (0..again.len()).filter(|row| again.field(*row, 0) == Some(b"new")).count();
        assert_eq!((again.len(), new), (ROWS, 100), "{kind}");
        let written = playground.texts(&format!("SELECT count(*)::text FROM {kind} WHERE v = 'new'")).await;
        assert_eq!(written, ["100"], "{kind}");
    }
}

#[tokio::test]
async fn a_deleted_cursor_row_ends_nothing() {
    let mut playground = Playground::new().await;
    playground
        .sql("CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL); INSERT INTO t SELECT g, g::text FROM generate_series(1, 100) g")
        .await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut after: Option<RowKey> = None;
    let mut seen = Vec::new();
    let mut upto = None;
    loop {
        let mut transaction = session.begin(Mode::Read).await.expect("begin");
        let upto = match &upto {
            Some(upto) => upto,
            None => upto.insert(transaction.max_key(&selection).await.expect("a key").expect("rows")),
        };
        let rows = transaction.read_batch(&selection, after.as_ref(), upto, 10).await.expect("a batch");
        transaction.commit().await.expect("commit");
        seen.extend((0..rows.len()).map(|row| crate::playground::text(&rows, row, 0).expect("a value")));
        if rows.is_last() {
            break;
        }
        let cursor = rows.len() - 1;
        after = Some(rows.key(cursor));
        // The row under the cursor goes, and with the tenth batch the row that was the largest key.
        let id = seen.last().expect("a row").clone();
        playground.sql(&format!("DELETE FROM t WHERE id = {id} OR id = 100")).await;
    }
    assert_eq!(seen, (1..=99).map(|g| g.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn empty_tables_and_single_rows() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)").await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    assert_eq!(transaction.max_key(&selection).await.expect("no key"), None);
    assert_eq!(transaction.count(&selection).await.expect("a count"), 0);
    assert_eq!(transaction.sample(&selection, 10, 1).await.expect("a sample").len(), 0);
    transaction.commit().await.expect("commit");
    playground.sql("INSERT INTO t VALUES (1, NULL)").await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("a row");
    let rows = transaction.read_batch(&selection, None, &upto, 10).await.expect("a batch");
    assert_eq!((rows.len(), rows.field(0, 0), rows.is_last(), rows.key(0) == upto), (1, None, true, true));
    assert_eq!(transaction.key_after(&selection, Some(&upto), &upto, 10).await.expect("none"), None);
    assert!(transaction.read_batch(&selection, Some(&upto), &upto, 10).await.expect("a batch").is_empty());
}

#[tokio::test]
async fn a_key_of_another_table_is_refused_before_it_is_sent() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE u (id bigint PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'x')").await;
    let mut session = playground.session().await;
    let (of_t, of_u) = (table(&mut session, "t").await, table(&mut session, "u").await);
    let (of_t, of_u) = (selection(&of_t, &["v"]), selection(&of_u, &["v"]));
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let key = transaction.max_key(&of_u).await.expect("a key").expect("a row");
    for key in [key, RowKey::from_bytes(vec![1, 2, 3]), RowKey::from_bytes(Vec::new())] {
        let error = transaction.read_batch(&of_t, None, &key, 1).await.err().expect("a refusal");
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("row_key_mismatch", "a stored row key does not fit the key of table public.t")
        );
    }
    // Nothing was sent, so the transaction goes on.
    assert_eq!(transaction.count(&of_u).await.expect("a count"), 1);
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
              INSERT INTO t SELECT g, repeat('x', 3000000) FROM generate_series(1, 20) g",
        )
        .await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
    let (mut after, mut sizes) = (None, Vec::new());
    loop {
        let rows = transaction.read_batch(&selection, after.as_ref(), &upto, 1000).await.expect("a batch");
        assert!(rows.bytes() < 20_000_000, "{}", rows.bytes());
        sizes.push(rows.len());
        if rows.is_last() {
            break;
        }
        after = Some(rows.key(rows.len() - 1));
    }
    assert_eq!(sizes.iter().sum::<usize>(), 20, "{sizes:?}");
    assert!(sizes.len() >= 4, "{sizes:?}");
}
