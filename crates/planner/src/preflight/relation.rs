//! Whether a relation can be walked and rewritten as a whole.
use super::Subject;
use crate::{Finding, TriggerPolicy, nearest::shown};
use reencrypt_db::{Dialect, RowSecurity, Table, TableKind, typed};

/// Only tables and partitioned tables hold rows of their own.
pub(crate) fn kind(table: &Table) -> Option<Finding> {
    let what = match table.kind {
        TableKind::Table | TableKind::Partitioned => return None,
        TableKind::View => "a view",
        TableKind::MaterializedView => "a materialized view",
        TableKind::Foreign => "a foreign table",
    };
    let message = format!("this is {what}, which has no rows of its own to rewrite: configure the table behind it");
    Some(Finding::fail("not_a_table", message).on(&table.name))
}

/// A walk needs a key that is NOT NULL and unique under a sound index.
pub(super) fn row_key(subject: &Subject<'_>) -> Vec<Finding> {
    // A row_key that is unsound has its own finding.
    if !subject.table.row_key.is_empty() || subject.settings.row_key.is_some() {
        return Vec::new();
    }
    let needed = match subject.dialect {
        Dialect::Postgres => "a primary key, or a valid, immediate, non-partial unique index over NOT NULL columns",
        Dialect::Sqlite => "an INTEGER PRIMARY KEY, or a unique key over NOT NULL columns",
    };
    let message = format!("the table has no row key: a run needs {needed}");
    vec![Finding::fail("no_row_key", message).on(&subject.table.name)]
}

/// Rows that a policy hides would be neither rotated nor verified.
pub(super) fn row_security(subject: &Subject<'_>) -> Vec<Finding> {
    if subject.table.row_security != RowSecurity::Active {
        return Vec::new();
    }
    vec![Finding::fail("rls_active", hidden_rows(&subject.server.role)).on(&subject.table.name)]
}

/// That row-level security hides rows from `role`, and what helps.
pub(crate) fn hidden_rows(role: &str) -> String {
    let role = typed(role);
    format!(
        "row-level security is in force for the role {role} and may hide rows from it: use the table's owner (without FORCE ROW LEVEL \
         SECURITY) or a role with BYPASSRLS, for example `ALTER ROLE {role} BYPASSRLS;`"
    )
}

/// A trigger may change other columns, act on other systems, or swallow the update.
pub(super) fn triggers(subject: &Subject<'_>) -> Vec<Finding> {
    // R: fires only in a replication session, which a run is not.
    let firing = subject.table.triggers.iter().filter(|trigger| trigger.enabled != 'R');
    let findings = firing.map(|trigger| {
        let swallow = if trigger.before { ", or swallow the update (then counted as `write_refused`)" } else { "" };
        let what = format!(
            "the trigger {} fires on UPDATE, once a rewritten row: it may change other columns or act on other systems{swallow}",
            shown(&trigger.name)
        );
        match subject.settings.triggers {
            TriggerPolicy::Allow => Finding::warn("trigger_fires", what),
            TriggerPolicy::Refuse => {
                let way = "disable it for the run, or accept it with `triggers = \"allow\"` in the table's [[table]]";
                Finding::fail("trigger_fires", format!("{what}. Look at what it does, then {way}"))
            }
        }
    });
    findings.map(|finding| finding.on(&subject.table.name)).collect()
}

/// A rule rewrites the statement itself, so that nobody can say which rows it hit.
pub(super) fn rules(subject: &Subject<'_>) -> Vec<Finding> {
    let finding = |rule: &String| {
        let message = format!(
            "the rule {} rewrites every UPDATE of this table, so that a run cannot know which rows it wrote: drop or disable it for the \
             run",
            shown(rule)
        );
        Finding::fail("rule_on_update", message).on(&subject.table.name)
    };
    subject.table.rules.iter().map(finding).collect()
}

/// Subscribers receive every rewritten row; without a replica identity the server refuses the UPDATE.
pub(super) fn publications(subject: &Subject<'_>) -> Vec<Finding> {
    let table = subject.table;
    if table.publications.is_empty() {
        return Vec::new();
    }
    let names = table.publications.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    let finding = if table.update_refused_by_publication {
        let relation = format!("{}.{}", typed(&table.name.schema), typed(&table.name.name));
        let message = format!(
            "the table is published ({names}) without a replica identity, and the server refuses its UPDATEs: `ALTER TABLE {relation} \
             REPLICA IDENTITY FULL;`, or take it out of the publication"
        );
        Finding::fail("publication_without_identity", message)
    } else {
        let message = format!("the table is published ({names}): every rewritten row is sent to the subscribers");
        Finding::warn("published", message)
    };
    vec![finding.on(&table.name)]
}

/// An index that was built under other collation rules skips rows in silence.
pub(super) fn collations(subject: &Subject<'_>) -> Vec<Finding> {
    let finding = |collation: &reencrypt_db::Collation| {
        let message = format!(
            "the row key's index was built under version {} of collation {}, the library now has {}: a walk by it can skip rows. \
             REINDEX the table, then refresh the recorded version (ALTER COLLATION or ALTER DATABASE ... REFRESH COLLATION VERSION)",
            shown(&collation.recorded),
            shown(&collation.name),
            shown(&collation.actual)
        );
        Finding::fail("collation_version", message).on(&subject.table.name)
    };
    let walked = |collation: &&reencrypt_db::Collation| {
        subject.table.row_key.iter().any(|column| column.name == collation.column)
    };
    subject.table.collation_mismatches.iter().filter(walked).map(finding).collect()
}
