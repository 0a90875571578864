//! What goes with the write of a batch.
use crate::Value;

/// Where the condition stands in a rider's text.
pub const IF_HIT: &str = "{if_hit}";

/// Statements of the checkpoint store that go with a compare-and-set, in its round trip, and take effect if every row of it is hit. For PostgreSQL: SQLite
/// has no statement that writes two tables.
#[derive(Debug, Clone)]
pub struct Rider {
    /// `WITH` queries with `$1`-style parameters. The first is called `rider`, returns what it wrote, and has [`IF_HIT`] at the end of its condition; the others
    /// do nothing where it returned nothing.
    pub queries: String,
    /// Its parameters.
    pub args: Vec<Value>,
}

impl Rider {
    /// The statement that does it by itself, and tells how many rows the first query wrote.
    pub fn alone(&self) -> String {
        format!("WITH {} SELECT pg_catalog.count(*) FROM rider", self.queries.replace(IF_HIT, ""))
    }

    /// Its queries behind one that is called `hit` and has `parameters`, to take effect if that returns `rows` rows.
    pub(crate) fn behind(&self, parameters: usize, rows: usize) -> String {
        let condition = format!(" AND (SELECT pg_catalog.count(*) FROM hit) OPERATOR(pg_catalog.=) {rows}");
        renumbered(&self.queries, parameters).replace(IF_HIT, &condition)
    }
}

/// The text with `by` added to the number of each parameter.
fn renumbered(sql: &str, by: usize) -> String {
    let mut pieces = sql.split('$');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at(piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len()));
        let number = digits.parse::<usize>().map_or_else(|_| digits.to_owned(), |number| (number + by).to_string());
        out += &format!("${number}{rest}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rider() -> Rider {
        let queries = "rider AS (UPDATE c SET a = $2 WHERE id = $1{if_hit} RETURNING id), \
                       more AS (INSERT INTO w SELECT $12 FROM rider)";
        Rider { queries: queries.to_owned(), args: Vec::new() }
    }

    #[test]
    fn alone_it_has_no_condition() {
        assert_eq!(
            rider().alone(),
            "WITH rider AS (UPDATE c SET a = $2 WHERE id = $1 RETURNING id), more AS (INSERT INTO w SELECT $12 FROM rider) \
             SELECT pg_catalog.count(*) FROM rider"
        );
    }

    #[test]
    fn behind_a_write_its_parameters_follow_those_of_the_write() {
        assert_eq!(
            rider().behind(13, 500),
            "rider AS (UPDATE c SET a = $15 WHERE id = $14 AND (SELECT pg_catalog.count(*) FROM hit) OPERATOR(pg_catalog.=) 500 \
             RETURNING id), more AS (INSERT INTO w SELECT $25 FROM rider)"
        );
    }
}
