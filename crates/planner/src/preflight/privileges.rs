//! What the role may do, and the statements that grant what is missing.
use super::Subject;
use crate::{Finding, Severity};
use reencrypt_db::{Dialect, Table, TableKind, TableName, typed};
use std::collections::BTreeSet;

/// Leaves for which a statement is printed.
const LEAVES_SHOWN_MAX: usize = 20;

/// Reading needs USAGE on the schema, and SELECT on the row key, the configured columns and the system columns.
pub(super) fn select(subject: &Subject<'_>) -> Vec<Finding> {
    let (table, privileges) = (subject.table, &subject.table.privileges);
    if subject.dialect != Dialect::Postgres {
        return Vec::new();
    }
    let mut columns: Vec<String> = Vec::new();
    if !privileges.select {
        let row_key = table.row_key.iter().map(|column| column.name.as_str());
        for name in row_key.chain(subject.configured()) {
            let refused = table.column(name).is_some_and(|column| !column.can_select);
            if refused && !columns.contains(&typed(name)) {
                columns.push(typed(name));
            }
        }
    }
    if !privileges.select_system {
        columns.extend(["xmin".to_owned(), "ctid".to_owned()]);
    }
    let mut statements = usage(table, &subject.server.role);
    statements.extend(on_columns("SELECT", table, &subject.server.role, &columns));
    missing(subject, Severity::Fail, "SELECT", statements, "nothing of the table can be read without it")
}

/// Writing needs UPDATE on the configured columns.
pub(super) fn update(subject: &Subject<'_>) -> Vec<Finding> {
    let table = subject.table;
    if subject.dialect != Dialect::Postgres || table.privileges.update {
        return Vec::new();
    }
    let refused = |name: &&str| table.column(name).is_some_and(|column| !column.can_update);
    let columns: Vec<String> = subject.configured().filter(refused).map(typed).collect();
    let statements = on_columns("UPDATE", table, &subject.server.role, &columns);
    missing(subject, subject.for_writing(), "UPDATE", statements, "a run needs it, plan and verify do not")
}

/// That `role` cannot look at these columns (all without one), and the statements that would let it.
pub(crate) fn missing_select(table: &Table, role: &str, columns: &[String]) -> String {
    let mut statements = usage(table, role);
    let columns: Vec<String> = columns.iter().map(|name| typed(name)).collect();
    match columns.as_slice() {
        [] if table.privileges.select && table.privileges.select_system => {}
        [] => statements.extend(on_relations(table, role, "SELECT")),
        columns => statements.extend(on_columns("SELECT", table, role, columns)),
    }
    format!("the role {} lacks SELECT: `{}`", typed(role), statements.join(" "))
}

fn missing(
    subject: &Subject<'_>,
    severity: Severity,
    privilege: &str,
    statements: Vec<String>,
    why: &str,
) -> Vec<Finding> {
    if statements.is_empty() {
        return Vec::new();
    }
    let role = typed(&subject.server.role);
    let message = format!("the role {role} lacks {privilege} ({why}): `{}`", statements.join(" "));
    vec![Finding::new(severity, "privilege_missing", message).on(&subject.table.name)]
}

/// USAGE on the schemas, where it is missing.
fn usage(table: &Table, role: &str) -> Vec<String> {
    if table.privileges.schema_usage {
        return Vec::new();
    }
    let leaves = table.leaves.iter().map(|leaf| &leaf.name.schema);
    let schemas: BTreeSet<&String> = leaves.chain([&table.name.schema]).collect();
    schemas.iter().map(|schema| format!("GRANT USAGE ON SCHEMA {} TO {};", typed(schema), typed(role))).collect()
}

fn on_columns(privilege: &str, table: &Table, role: &str, columns: &[String]) -> Vec<String> {
    if columns.is_empty() {
        return Vec::new();
    }
    on_relations(table, role, &format!("{privilege} ({})", columns.join(", ")))
}

/// A statement for the table and each of its partitions, whose own privileges count.
fn on_relations(table: &Table, role: &str, privilege: &str) -> Vec<String> {
    let role = typed(role);
    let statement = |relation: &TableName| {
        let relation = format!("{}.{}", typed(&relation.schema), typed(&relation.name));
        format!("GRANT {privilege} ON {relation} TO {role};")
    };
    let mut statements = vec![statement(&table.name)];
    if table.kind == TableKind::Partitioned {
        statements.extend(table.leaves.iter().take(LEAVES_SHOWN_MAX).map(|leaf| statement(&leaf.name)));
        if table.leaves.len() > LEAVES_SHOWN_MAX {
            statements.push("and so on for the other partitions".into());
        }
    }
    statements
}
