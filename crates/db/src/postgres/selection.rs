//! The statements over one leaf: pure text, no I/O.
use super::wire::{WIRE_TEXT, WireType};
use crate::{Column, ColumnKind, RowKeyColumn, identifier::quoted, selection::Scope};

/// The pages of a leaf's heap now, and the rows and pages of its statistics. Parameter: its quoted name.
pub(crate) const SIZE: &str = "SELECT pg_catalog.pg_relation_size(c.oid) \
    / pg_catalog.current_setting('block_size')::pg_catalog.int8, c.reltuples::pg_catalog.int8, c.relpages::pg_catalog.int8 \
    FROM pg_catalog.pg_class AS c WHERE c.oid = $1::pg_catalog.text::pg_catalog.regclass";

/// One leaf with its key and slots, ready to be put into statements. In each of them the leaf is `t`, and every operator and function is named with its schema:
/// the search path is the application's, and an extension's type must be compared by its own operators or the walk would follow another order than the index.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Quoted, with its schema.
    table: String,
    pub(crate) key: Vec<KeyColumn>,
    pub(crate) slots: Vec<Slot>,
    first_batch: String,
    next_batch: String,
}

/// A column of the row key.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    /// Quoted.
    name: String,
    pub(crate) wire: WireType,
    /// Of a type that travels as text: what to cast it to.
    cast: Option<String>,
    /// Quoted: where its comparison operators are.
    operators: String,
}

/// A column that is read, and maybe written.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Quoted.
    name: String,
    kind: ColumnKind,
    /// What new values of a column that is neither text nor bytes are cast to.
    cast: String,
    /// Whether it is read as it is (text and bytes) or as text.
    raw: bool,
}

/// Blocks of the heap, after a row or from a block's start to before another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Portion {
    /// Block and row in it, exclusive.
    pub(crate) after: (u32, u16),
    /// Exclusive; `None` is the end of the heap.
    pub(crate) before: Option<u32>,
    /// Only rows written by this transaction or a later one.
    pub(crate) written_since: Option<u32>,
    pub(crate) rows_max: u32,
}

/// A slot that a batch writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) slot: usize,
    /// Every row has a new value for it. Otherwise an unchanged one travels as NULL, and the server asks of each row which of the two it is.
    pub(crate) by_all: bool,
}

impl Selection {
    pub(crate) fn new(scope: &Scope) -> Self {
        let table = format!("{}.{}", quoted(&scope.table.schema), quoted(&scope.table.name));
        let key = scope.key.iter().map(KeyColumn::new).collect();
        let slots = scope.columns.iter().map(Slot::new).collect();
        let mut selection = Self { table, key, slots, first_batch: String::new(), next_batch: String::new() };
        if !selection.key.is_empty() {
            selection.first_batch = selection.batch_sql(true);
            selection.next_batch = selection.batch_sql(false);
        }
        selection
    }

    /// The largest key.
    pub(crate) fn max_key(&self) -> String {
        let (keys, table, order) = (self.keys(), &self.table, self.order(" DESC"));
        format!("SELECT {keys} FROM ONLY {table} AS t ORDER BY {order} LIMIT 1")
    }

    /// Rows of a key range in key order. Parameters: the key after which (unless it is the first batch), the key up to which, how many.
    pub(crate) fn batch(&self, first: bool) -> &str {
        if first { &self.first_batch } else { &self.next_batch }
    }

    fn batch_sql(&self, first: bool) -> String {
        let (fields, table, range, order) = (self.fields(), &self.table, self.range(first), self.order(""));
        let limit = self.limit(first);
        format!("SELECT {fields} FROM ONLY {table} AS t WHERE {range} ORDER BY {order} LIMIT {limit}")
    }

    /// The last of the first so many keys of a range. Parameters as for a batch.
    pub(crate) fn key_after(&self, first: bool) -> String {
        let (table, range, order, limit) = (&self.table, self.range(first), self.order(""), self.limit(first));
        let inner = self.listed(|i, k| format!("t.{} AS k{i}", k.name));
        let outer =
            self.listed(|i, k| if k.cast.is_some() { format!("q.k{i}::pg_catalog.text") } else { format!("q.k{i}") });
        let last = self.listed(|i, _| format!("q.k{i} DESC"));
        format!(
            "SELECT {outer} FROM (SELECT {inner} FROM ONLY {table} AS t WHERE {range} ORDER BY {order} LIMIT {limit}) AS q \
             ORDER BY {last} LIMIT 1"
        )
    }

    /// The rows of given keys. Parameters: an array for each key column.
    pub(crate) fn read_keys(&self, lock: bool) -> String {
        let (fields, table, same) = (self.fields(), &self.table, self.same_key());
        let keys = self.listed(|i, k| format!("{} AS k{i}", k.elements(i + 1)));
        let lock = if lock { " FOR NO KEY UPDATE OF t" } else { "" };
        format!("SELECT {fields} FROM ONLY {table} AS t JOIN (SELECT {keys}) AS u ON {same}{lock}")
    }

    /// Writes those rows that are still as they were read, for [`hits`]. Parameters: an array for each key column, one for each slot that is `used`, the
    /// transactions that had written the rows, and their ordinals.
    pub(crate) fn compare_and_set(&self, used: &[Used]) -> String {
        let table = &self.table;
        let mut given: Vec<String> =
            self.key.iter().enumerate().map(|(i, k)| format!("{} AS k{i}", k.elements(i + 1))).collect();
        let mut set = Vec::with_capacity(used.len());
        for &Used { slot, by_all } in used {
            let column = &self.slots[slot];
            let elements = if column.kind == ColumnKind::Bytes { "bytea" } else { "text" };
            given.push(format!("pg_catalog.unnest(${}::pg_catalog.{elements}[]) AS v{slot}", given.len() + 1));
            set.push(match by_all {
                true => format!("{} = u.v{slot}{}", column.name, column.cast),
                false => format!("{0} = COALESCE(u.v{slot}{1}, t.{0})", column.name, column.cast),
            });
        }
        given.push(format!("pg_catalog.unnest(${}::pg_catalog.xid[]) AS x", given.len() + 1));
        given.push(format!("pg_catalog.unnest(${}::pg_catalog.int4[]) AS n", given.len() + 1));
        let (set, given, same) = (set.join(", "), given.join(", "), self.same_key());
        format!(
            "UPDATE ONLY {table} AS t SET {set} FROM (SELECT {given}) AS u \
             WHERE {same} AND t.xmin OPERATOR(pg_catalog.=) u.x RETURNING u.n"
        )
    }

    /// Rows of randomly chosen pages (all pages without a percentage), at most so many of them in an order that has nothing to do with theirs.
    pub(crate) fn sample(&self, percent: Option<f64>, seed: u32, rows_max: u32) -> String {
        let (fields, table) = (self.fields(), &self.table);
        let pages = percent
            .map(|percent| format!(" TABLESAMPLE pg_catalog.system ({percent:.6}) REPEATABLE ({seed})"))
            .unwrap_or_default();
        format!(
            "SELECT {fields} FROM ONLY {table} AS t{pages} \
             ORDER BY pg_catalog.hashtextextended(t.ctid::pg_catalog.text, {seed}) LIMIT {rows_max}"
        )
    }

    /// Its name for [`SIZE`].
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The number of rows.
    pub(crate) fn count(&self) -> String {
        format!("SELECT pg_catalog.count(*) FROM ONLY {} AS t", self.table)
    }

    /// Keys in a form for people. Parameters: an array for each key column.
    pub(crate) fn key_texts(&self) -> String {
        let given = self.listed(|i, k| format!("pg_catalog.unnest(${}::{}[])", i + 1, k.wire.cast));
        let names = self.listed(|i, _| format!("k{i}"));
        let texts = self.listed(|i, _| format!("u.k{i}::pg_catalog.text"));
        format!(
            "SELECT pg_catalog.concat_ws(', ', {texts}) FROM ROWS FROM ({given}) WITH ORDINALITY AS u({names}, n) \
             ORDER BY u.n"
        )
    }

    /// The slots of a portion of the heap, each row with its place.
    pub(crate) fn portion(&self, portion: &Portion) -> String {
        let mut fields: Vec<String> = self.slots.iter().map(Slot::expression).collect();
        fields.push("t.ctid".to_owned());
        let (fields, table, (block, row)) = (fields.join(", "), &self.table, portion.after);
        let mut conditions = format!("t.ctid OPERATOR(pg_catalog.>) '({block},{row})'::pg_catalog.tid");
        if let Some(before) = portion.before {
            conditions += &format!(" AND t.ctid OPERATOR(pg_catalog.<) '({before},0)'::pg_catalog.tid");
        }
        if let Some(since) = portion.written_since {
            conditions += &format!(
                " AND pg_catalog.age(t.xmin) OPERATOR(pg_catalog.<=) pg_catalog.age('{since}'::pg_catalog.xid)"
            );
        }
        format!("SELECT {fields} FROM ONLY {table} AS t WHERE {conditions} LIMIT {}", portion.rows_max)
    }

    fn keys(&self) -> String {
        self.listed(|_, k| k.expression())
    }

    /// Key, slots, the version that a compare-and-set holds on to, and the place.
    fn fields(&self) -> String {
        let keys = self.key.iter().map(KeyColumn::expression);
        let slots = self.slots.iter().map(Slot::expression);
        keys.chain(slots).chain(["t.xmin".to_owned(), "t.ctid".to_owned()]).collect::<Vec<_>>().join(", ")
    }

    fn order(&self, direction: &str) -> String {
        self.listed(|_, k| format!("t.{}{direction}", k.name))
    }

    fn same_key(&self) -> String {
        let same = |(i, k): (usize, &KeyColumn)| format!("t.{} OPERATOR({}.=) u.k{i}", k.name, k.operators);
        self.key.iter().enumerate().map(same).collect::<Vec<_>>().join(" AND ")
    }

    fn range(&self, first: bool) -> String {
        let upto = self.compared("<=", if first { 1 } else { self.key.len() + 1 });
        if first { upto } else { format!("{} AND {upto}", self.compared(">", 1)) }
    }

    fn limit(&self, first: bool) -> String {
        format!("${}::pg_catalog.int8", self.key.len() * if first { 1 } else { 2 } + 1)
    }

    /// The key compared with the parameters from `$parameter` on.
    fn compared(&self, operator: &str, parameter: usize) -> String {
        let operators = &self.key[0].operators;
        if self.key.iter().any(|k| k.operators != *operators) {
            return self.compared_apart(operator, parameter, 0);
        }
        let columns = self.listed(|_, k| format!("t.{}", k.name));
        let values = self.listed(|i, k| k.parameter(parameter + i));
        if self.key.len() == 1 {
            format!("{columns} OPERATOR({operators}.{operator}) {values}")
        } else {
            format!("({columns}) OPERATOR({operators}.{operator}) ({values})")
        }
    }

    /// The same for operators in different schemas, which one row-value comparison cannot name: the first column bounds the index scan.
    fn compared_apart(&self, operator: &str, parameter: usize, from: usize) -> String {
        let strict = operator.trim_end_matches('=');
        let key = &self.key[from];
        let (name, operators, value) = (&key.name, &key.operators, key.parameter(parameter + from));
        if from + 1 == self.key.len() {
            return format!("t.{name} OPERATOR({operators}.{operator}) {value}");
        }
        let rest = self.compared_apart(operator, parameter, from + 1);
        format!(
            "(t.{name} OPERATOR({operators}.{strict}=) {value} \
             AND (t.{name} OPERATOR({operators}.{strict}) {value} OR {rest}))"
        )
    }

    fn listed(&self, text: impl Fn(usize, &KeyColumn) -> String) -> String {
        self.key.iter().enumerate().map(|(i, k)| text(i, k)).collect::<Vec<_>>().join(", ")
    }
}

impl KeyColumn {
    fn new(column: &RowKeyColumn) -> Self {
        let wire = WireType::of(&column.type_name);
        Self {
            name: quoted(&column.name),
            wire: wire.unwrap_or(WIRE_TEXT),
            cast: wire.is_none().then(|| format!("::{}", column.type_name)),
            operators: schema(&column.operator_schema),
        }
    }

    fn expression(&self) -> String {
        let text = if self.cast.is_some() { "::pg_catalog.text" } else { "" };
        format!("t.{}{text}", self.name)
    }

    fn parameter(&self, number: usize) -> String {
        format!("${number}::{}{}", self.wire.cast, self.cast.as_deref().unwrap_or_default())
    }

    fn elements(&self, number: usize) -> String {
        let cast = self.cast.as_deref().unwrap_or_default();
        format!("pg_catalog.unnest(${number}::{}[]){cast}", self.wire.cast)
    }
}

impl Slot {
    fn new(column: &Column) -> Self {
        let plain = ["text", "character varying", "character", "bpchar"];
        let type_name = column.type_name.split('(').next().unwrap_or_default();
        let raw = match column.kind {
            ColumnKind::Text => plain.contains(&type_name),
            ColumnKind::Bytes => true,
            ColumnKind::Json | ColumnKind::Array | ColumnKind::Other => false,
        };
        let cast = match column.kind {
            ColumnKind::Text | ColumnKind::Bytes => String::new(),
            ColumnKind::Json | ColumnKind::Array | ColumnKind::Other => format!("::{}", column.type_name),
        };
        Self { name: quoted(&column.name), kind: column.kind, cast, raw }
    }

    fn expression(&self) -> String {
        let name = &self.name;
        match self.kind {
            _ if self.raw => format!("t.{name}"),
            ColumnKind::Array => format!("pg_catalog.to_json(t.{name})::pg_catalog.text"),
            _ => format!("t.{name}::pg_catalog.text"),
        }
    }

    /// Array type and element type of its new values.
    pub(crate) fn array_oids(&self) -> (u32, u32) {
        use super::wire::{BYTEA, BYTEA_ARRAY, TEXT, TEXT_ARRAY};
        if self.kind == ColumnKind::Bytes { (BYTEA_ARRAY, BYTEA) } else { (TEXT_ARRAY, TEXT) }
    }
}

/// The statement that runs a compare-and-set: the ordinals of the rows that were hit, as one array (NULL for none); with the queries of a rider, and then how many
/// rows the first of these wrote.
pub(crate) fn hits(compare_and_set: &str, rider: Option<&str>) -> String {
    match rider {
        None => format!("WITH hit AS ({compare_and_set}) SELECT pg_catalog.array_agg(n) FROM hit"),
        Some(rider) => format!(
            "WITH hit AS ({compare_and_set}), {rider} \
             SELECT pg_catalog.array_agg(n), (SELECT pg_catalog.count(*) FROM rider) FROM hit"
        ),
    }
}

/// The built-in schema stays readable.
fn schema(name: &str) -> String {
    if name == "pg_catalog" { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableName;

    fn column(name: &str, type_name: &str, kind: ColumnKind) -> Column {
        Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            kind,
            not_null: false,
            length_max: None,
            generated: false,
            can_select: true,
            can_update: true,
        }
    }

    fn selection(key: &[(&str, &str, &str)], columns: Vec<Column>) -> Selection {
        let part = |(name, type_name, schema): &(&str, &str, &str)| RowKeyColumn {
            name: (*name).to_owned(),
            type_name: (*type_name).to_owned(),
            operator_schema: (*schema).to_owned(),
        };
        let table = TableName { schema: "public".to_owned(), name: "Patient".to_owned() };
        Selection::new(&Scope { table, key: key.iter().map(part).collect(), columns })
    }

    fn used(slots: std::ops::Range<usize>, by_all: bool) -> Vec<Used> {
        slots.map(|slot| Used { slot, by_all }).collect()
    }

    /// Every statement over one shape of key.
    fn statements(title: &str, selection: &Selection) -> String {
        let all = [
            ("largest key", selection.max_key()),
            ("first batch", selection.batch(true).to_owned()),
            ("next batch", selection.batch(false).to_owned()),
            ("end of the first chunk", selection.key_after(true)),
            ("end of the next chunk", selection.key_after(false)),
            ("rows by key", selection.read_keys(false)),
            ("rows by key, locked", selection.read_keys(true)),
            ("compare and set", hits(&selection.compare_and_set(&used(0..selection.slots.len(), false)), None)),
            (
                "compare and set, a new value everywhere, and a rider",
                hits(&selection.compare_and_set(&used(0..selection.slots.len(), true)), Some("rider AS (SELECT 1)")),
            ),
            ("keys for people", selection.key_texts()),
        ];
        all.iter().map(|(what, sql)| format!("-- {title}: {what}\n{sql};\n\n")).collect()
    }

    /// The statements of each shape, whole, as a person reads them.
    #[test]
    fn the_statements_are_those_of_the_file() {
        let (text, bytes) = (ColumnKind::Text, ColumnKind::Bytes);
        let plain = || vec![column("firstName", "text", text), column("raw", "bytea", bytes)];
        let one = selection(&[("id", "integer", "pg_catalog")], plain());
        let two = selection(&[("tenant", "uuid", "pg_catalog"), ("no", "character varying", "pg_catalog")], plain());
        let elsewhere = selection(&[("email", "ext.citext", "ext")], plain());
        let apart = selection(
            &[
                ("tenant", "integer", "pg_catalog"),
                ("email", "ext.citext", "ext"),
                ("mood", "public.\"Mood\"", "pg_catalog"),
            ],
            vec![
                column("code", "public.code", text),
                column("doc", "jsonb", ColumnKind::Json),
                column("version", "integer", ColumnKind::Other),
            ],
        );
        let mut rendered = statements("one key column", &one) + &statements("two key columns", &two);
        rendered += &statements("a key of an extension's type", &elsewhere);
        rendered += &statements("key columns with operators in different schemas", &apart);
        let portion = Portion { after: (256, 0), before: Some(512), written_since: None, rows_max: 500 };
        let unseen = Portion { after: (511, 17), before: None, written_since: Some(7), rows_max: 500 };
        let keyless = selection(&[], plain());
        for (what, sql) in [
            ("no key: a portion of the heap", keyless.portion(&portion)),
            ("no key: rows of a portion written since", keyless.portion(&unseen)),
            ("no key: a sample of the whole", keyless.sample(None, 42, 1000)),
            ("one key column: a sample of pages", one.sample(Some(0.0401), 42, 1000)),
            ("one key column: one of two slots is written", hits(&one.compare_and_set(&used(1..2, false)), None)),
            ("count", one.count()),
        ] {
            rendered += &format!("-- {what}\n{sql};\n\n");
        }
        let rendered = rendered.trim_end();
        assert_eq!(rendered, include_str!("selection.sql").trim_end(), "rendered:\n{rendered}");
    }
}
