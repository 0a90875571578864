//! Which table of the catalog a written name means.
use crate::{Error, nearest::did_you_mean};
use reencrypt_db::{Dialect, Table, TableName, Transaction};

/// What a written name means.
pub(crate) enum Resolution {
    /// One relation.
    Found(Box<Table>),
    /// None; with the nearest name, where one is near.
    Missing(String),
    /// Several schemas have one.
    Ambiguous(Vec<TableName>),
}

/// Looks `written` up: `schema.table`, or a name that the database URL's schema has, or one schema alone.
pub(crate) async fn resolve(tx: &mut Transaction<'_>, names: &[TableName], written: &str) -> Result<Resolution, Error> {
    let mut candidates = candidates(names, tx.url_schema(), written);
    if candidates.len() > 1 {
        return Ok(Resolution::Ambiguous(candidates));
    }
    if let Some(name) = candidates.pop()
        && let Some(table) = tx.table(&name).await?
    {
        return Ok(Resolution::Found(Box::new(table)));
    }
    // Not among the tables: it may be a view, which is refused by its own check rather than called missing.
    for name in guesses(tx.dialect(), tx.url_schema(), written) {
        if let Some(table) = tx.table(&name).await? {
            return Ok(Resolution::Found(Box::new(table)));
        }
    }
    Ok(Resolution::Missing(suggestion(names, written)))
}

/// The tables that `written` can mean: the one of that qualified name, the one of that name in the URL's schema, else all of that name.
pub(crate) fn candidates(names: &[TableName], url_schema: Option<&str>, written: &str) -> Vec<TableName> {
    let qualified = |name: &TableName| {
        let rest = written.strip_prefix(name.schema.as_str());
        rest.and_then(|rest| rest.strip_prefix('.')) == Some(name.name.as_str())
    };
    let mut found: Vec<TableName> =
        names.iter().filter(|name| name.name == written || qualified(name)).cloned().collect();
    let preferred = |name: &TableName| name.name == written && Some(name.schema.as_str()) == url_schema;
    // A qualified name that is the plain name of a table elsewhere stays ambiguous.
    if found.iter().any(preferred) && !found.iter().any(qualified) {
        found.retain(preferred);
    }
    found
}

/// How a table is written in a configuration: by its name alone where no other schema has one of that name. The URL's schema makes no
/// difference: the configuration may be used with another URL.
pub(crate) fn written_name(names: &[TableName], table: &TableName) -> String {
    match candidates(names, None, &table.name).as_slice() {
        [only] if only == table => table.name.clone(),
        _ => table.qualified(),
    }
}

fn guesses(dialect: Dialect, url_schema: Option<&str>, written: &str) -> Vec<TableName> {
    let schema = match dialect {
        Dialect::Postgres => url_schema.unwrap_or("public"),
        Dialect::Sqlite => "main",
    };
    let name = |schema: &str, name: &str| TableName { schema: schema.to_owned(), name: name.to_owned() };
    let qualified = written.split_once('.').map(|(schema, table)| name(schema, table));
    qualified.into_iter().chain([name(schema, written)]).collect()
}

fn suggestion(names: &[TableName], written: &str) -> String {
    if written.contains('.') {
        let full: Vec<String> = names.iter().map(TableName::qualified).collect();
        let near = did_you_mean(written, full.iter().map(String::as_str));
        if !near.is_empty() {
            return near;
        }
    }
    let bare = written.rsplit('.').next().unwrap_or(written);
    did_you_mean(bare, names.iter().map(|name| name.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(written: &[(&str, &str)]) -> Vec<TableName> {
        written.iter().map(|(s, n)| TableName { schema: (*s).into(), name: (*n).into() }).collect()
    }

    #[test]
    fn a_name_means_one_table_or_is_ambiguous_never_a_guess() {
        let known = names(&[("public", "Patient"), ("old", "Patient"), ("public", "a.b"), ("public", "Clinic")]);
        assert_eq!(candidates(&known, None, "Patient").len(), 2);
        assert_eq!(candidates(&known, None, "old.Patient"), names(&[("old", "Patient")]));
        assert_eq!(candidates(&known, None, "a.b"), names(&[("public", "a.b")]));
        assert_eq!(candidates(&known, None, "patient"), []);
        assert_eq!(candidates(&known, Some("old"), "Patient"), names(&[("old", "Patient")]));
        assert_eq!(candidates(&known, Some("crm"), "Patient").len(), 2, "the URL's schema has none");
        assert_eq!(candidates(&known, Some("old"), "public.Patient"), names(&[("public", "Patient")]));
        assert_eq!(candidates(&known, Some("old"), "Clinic"), names(&[("public", "Clinic")]));
        assert_eq!(written_name(&known, &known[1]), "old.Patient");
        assert_eq!(written_name(&known, &known[3]), "Clinic");
    }

    #[test]
    fn a_missing_table_comes_with_the_nearest_name() {
        let known = names(&[("public", "Patient"), ("crm", "Contact")]);
        assert_eq!(suggestion(&known, "patients"), "; did you mean `Patient`?");
        assert_eq!(suggestion(&known, "crm.Contacts"), "; did you mean `crm.Contact`?");
        assert_eq!(suggestion(&known, "Invoice"), "");
    }
}
