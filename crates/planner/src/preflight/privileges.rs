//! What the role may do, and the statements that grant what is missing.
use super::{Subject, relation::quoted};
use crate::{Finding, Severity};
use reencrypt_db::{Dialect, TableKind, TableName};

/// Leaves for which a statement is printed.
const LEAVES_SHOWN_MAX: usize = 20;

/// Reading needs SELECT on the row key, the configured columns and the system columns.
pub(super) fn select(subject: &Subject<'_>) -> Vec<Finding> {
    let table = subject.table;
    if subject.dialect != Dialect::Postgres || (table.privileges.select && table.privileges.select_system) {
        return Vec::new();
    }
    let mut columns: Vec<String> = Vec::new();
    if !table.privileges.select {
        let row_key = table.row_key.iter().map(|column| column.name.as_str());
        for name in row_key.chain(subject.configured()) {
            let refused = table.column(name).is_some_and(|column| !column.can_select);
            if refused && !columns.contains(&quoted(name)) {
                columns.push(quoted(name));
            }
        }
    }
    if !table.privileges.select_system {
        columns.extend(["xmin".to_owned(), "ctid".to_owned()]);
    }
    missing(subject, Severity::Fail, "SELECT", &columns, "nothing of the table can be read without it")
}

/// Writing needs UPDATE on the configured columns.
pub(super) fn update(subject: &Subject<'_>) -> Vec<Finding> {
    let table = subject.table;
    if subject.dialect != Dialect::Postgres || table.privileges.update {
        return Vec::new();
    }
    let refused = |name: &&str| table.column(name).is_some_and(|column| !column.can_update);
    let columns: Vec<String> = subject.configured().filter(refused).map(quoted).collect();
    missing(subject, subject.for_writing(), "UPDATE", &columns, "a run needs it, plan and verify do not")
}

fn missing(subject: &Subject<'_>, severity: Severity, privilege: &str, columns: &[String], why: &str) -> Vec<Finding> {
    if columns.is_empty() {
        return Vec::new();
    }
    let role = quoted(&subject.server.role);
    let statement = |relation: &TableName| {
        let relation = format!("{}.{}", quoted(&relation.schema), quoted(&relation.name));
        format!("GRANT {privilege} ({}) ON {relation} TO {role};", columns.join(", "))
    };
    let mut statements = vec![statement(&subject.table.name)];
    if subject.table.kind == TableKind::Partitioned {
        statements.extend(subject.table.leaves.iter().take(LEAVES_SHOWN_MAX).map(|leaf| statement(&leaf.name)));
        if subject.table.leaves.len() > LEAVES_SHOWN_MAX {
            statements.push("and so on for the other partitions".into());
        }
    }
    let message = format!("the role {role} lacks {privilege} ({why}): `{}`", statements.join(" "));
    vec![Finding::new(severity, "privilege_missing", message).on(&subject.table.name)]
}
