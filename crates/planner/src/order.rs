//! In which order a table's rows are written.
use reencrypt_db::{Dialect, Table};
use std::fmt;

/// Pages filled to at most so many percent have room for a new version of every one of their rows.
const FILLFACTOR_WITH_ROOM: u32 = 50;

/// The order of writing within a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// by the row key
    Key,
    /// by windows of rows, of whose every heap page a transaction takes one: the next visit makes room for the next row, and no index is written
    Waves,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Order::Key => "key",
            Order::Waves => "waves",
        })
    }
}

/// The order for `table` whose columns `slots` are written, and why; `authenticated`: every format read or written has a tag.
pub(crate) fn order(dialect: Dialect, table: &Table, slots: &[String], authenticated: bool) -> (Order, String) {
    let key = |reason: String| (Order::Key, reason);
    if dialect == Dialect::Sqlite {
        return key("SQLite rewrites rows in place".to_owned());
    }
    let indexed = slots.iter().find_map(|slot| {
        let index = table.indexes.iter().find(|index| index.columns.contains(slot))?;
        Some((slot, &index.name))
    });
    if let Some((slot, index)) = indexed {
        let shown = crate::nearest::shown;
        return key(format!("{} is under the index {}, which every new version must enter", shown(slot), shown(index)));
    }
    if !authenticated {
        return key("a format without authentication is written strictly by the checkpoint's cursor".to_owned());
    }
    if table.fillfactor <= FILLFACTOR_WITH_ROOM {
        return key(format!("fillfactor {} leaves room for the new versions on every page", table.fillfactor));
    }
    (Order::Waves, "no written column is indexed and pages are full: new versions stay on their pages, unless somebody holds a snapshot open".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reencrypt_db::{Index, Privileges, RowSecurity, TableKind, TableName};

    fn table(fillfactor: u32, indexed: &[&str]) -> Table {
        Table {
            name: TableName { schema: "public".into(), name: "Patient".into() },
            kind: TableKind::Table,
            columns: Vec::new(),
            row_key: Vec::new(),
            row_keys: Vec::new(),
            leaves: Vec::new(),
            indexes: vec![Index {
                name: "i".into(),
                columns: indexed.iter().map(|name| (*name).to_owned()).collect(),
                unique: false,
                primary: false,
                valid: true,
                immediate: true,
                partial: false,
            }],
            triggers: Vec::new(),
            rules: Vec::new(),
            row_security: RowSecurity::Off,
            privileges: Privileges { select: true, select_system: true, update: true, schema_usage: true },
            publications: Vec::new(),
            update_refused_by_publication: false,
            collation_mismatches: Vec::new(),
            fillfactor,
            checks: Vec::new(),
        }
    }

    #[test]
    fn waves_need_full_pages_no_index_on_what_is_written_and_authentication() {
        let slots = ["email".to_owned(), "emailHash".to_owned()];
        let chosen = |dialect, fillfactor, indexed: &[&str], authenticated| {
            order(dialect, &table(fillfactor, indexed), &slots, authenticated)
        };
        let (postgres, sqlite) = (Dialect::Postgres, Dialect::Sqlite);
        assert_eq!(chosen(postgres, 100, &["id", "clinicId"], true).0, Order::Waves);
        assert_eq!(chosen(postgres, 90, &[], true).0, Order::Waves);
        let (order, reason) = chosen(postgres, 100, &["clinicId", "emailHash"], true);
        assert_eq!(order, Order::Key);
        assert!(reason.contains("emailHash") && reason.contains("`i`"), "{reason}");
        assert_eq!(chosen(postgres, 50, &[], true).0, Order::Key);
        assert_eq!(chosen(postgres, 100, &[], false).0, Order::Key);
        assert_eq!(chosen(sqlite, 100, &[], true).0, Order::Key);
    }
}
