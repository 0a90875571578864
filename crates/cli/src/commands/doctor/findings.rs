//! What the plan's own checks found, by what they look at.
use super::{Check, Status};
use reencrypt_db::{Dialect, Server, typed};
use reencrypt_planner::{Finding, Plan, Severity};

/// One line where nothing was found, else one a finding.
struct Group {
    name: &'static str,
    codes: &'static [&'static str],
    /// what can be said where nothing was found
    pass: fn(&Plan, &Server) -> String,
    /// has nothing to say without a table
    of_tables: bool,
    /// SQLite has no such thing
    postgres_only: bool,
}

/// In this order. Findings of no group are about tables.
const GROUPS: [Group; 9] = [
    Group {
        name: "writable",
        codes: &["read_only_server"],
        pass: |_, _| "the database takes writes".to_owned(),
        of_tables: false,
        postgres_only: false,
    },
    Group {
        name: "privileges",
        codes: &["privilege_missing", "not_examined"],
        pass: |_, server| match server.role.as_str() {
            "" => "a file has no roles".to_owned(),
            role => format!("the role {} may read and write every configured column", typed(role)),
        },
        of_tables: true,
        postgres_only: true,
    },
    Group {
        name: "store",
        codes: &["store_privilege_missing", "store_gone"],
        pass: |_, server| match server.store_exists {
            true => "the store of checkpoints exists, and may be used".to_owned(),
            false => "the store of checkpoints may be made by the first run".to_owned(),
        },
        of_tables: false,
        postgres_only: false,
    },
    Group {
        name: "row_security",
        codes: &["rls_active"],
        pass: |_, server| format!("no policy hides rows from the role {}", typed(&server.role)),
        of_tables: true,
        postgres_only: true,
    },
    Group {
        name: "triggers",
        codes: &["trigger_fires", "rule_on_update"],
        pass: |_, _| "no trigger fires and no rule stands on UPDATE".to_owned(),
        of_tables: true,
        postgres_only: false,
    },
    Group {
        name: "replication",
        codes: &["standby_attached", "published", "publication_without_identity", "idle_slot"],
        pass: |_, _| "no standby, no idle slot, no publication of a configured table".to_owned(),
        of_tables: false,
        postgres_only: true,
    },
    Group {
        name: "deadlock_timeout",
        codes: &["deadlock_timeout"],
        pass: |_, server| match server.deadlock_timeout_ms {
            Some(ms) => format!("{ms} ms: in a deadlock a run gives way first"),
            None => "not told by the server".to_owned(),
        },
        of_tables: false,
        postgres_only: true,
    },
    Group {
        name: "earlier_runs",
        codes: &["other_old_key", "other_new_key"],
        pass: |_, _| "none that this role can see rotated to these keys from another old one".to_owned(),
        of_tables: true,
        postgres_only: false,
    },
    Group {
        name: "nonce_budget",
        codes: &["nonce_budget"],
        pass: |plan, _| {
            let pairs = plan.estimate.key_invocations.iter();
            let pairs = pairs.map(|(pair, values)| format!("at most {values} values under the new key of {pair}"));
            pairs.collect::<Vec<_>>().join(", ")
        },
        of_tables: true,
        postgres_only: false,
    },
];

/// Told elsewhere: each key has its line, the pairs have theirs, and so has TLS.
const TOLD: [&str; 5] = ["key_missing", "same_key", "shared_key", "nothing_found", "tls_weak"];
const SNAPSHOTS: &str = "held_snapshot";
/// Of a transaction that has been open for long.
pub(super) const END_TRANSACTION: &str = "find it with `SELECT pid, usename, xact_start FROM pg_stat_activity ORDER BY xact_start;` (or in \
                                          pg_prepared_xacts) and end it";

/// The checks of the server and the tables that a plan makes.
pub(super) fn checks(plan: &Plan, server: &Server, dialect: Dialect) -> Vec<Check> {
    let mut checks = Vec::new();
    for group in &GROUPS {
        let found: Vec<&Finding> = plan.findings.iter().filter(|finding| group.has(finding)).collect();
        checks.extend(found.iter().map(|finding| check(group.name, finding)));
        let applies = !(group.of_tables && plan.tables.is_empty() || group.postgres_only && dialect == Dialect::Sqlite);
        if found.is_empty() && applies {
            checks.push(Check::pass(group.name, (group.pass)(plan, server)));
        }
    }
    checks.extend(superuser(server, dialect));
    let snapshots = plan.findings.iter().filter(|finding| finding.code == SNAPSHOTS);
    checks.extend(
        snapshots.map(|finding| Check { hint: Some(END_TRANSACTION.to_owned()), ..check("transactions", finding) }),
    );
    checks.extend(tables(plan));
    checks
}

/// A role that bypasses every check has nothing left to be missing.
fn superuser(server: &Server, dialect: Dialect) -> Option<Check> {
    let bypasses = dialect == Dialect::Postgres && server.bypasses_row_security;
    bypasses.then(|| {
        Check::warn(
            "role",
            format!("the role {} is a superuser or bypasses row-level security: it may do more than a run needs", typed(&server.role)),
            "use a role with SELECT and UPDATE on the configured columns and a schema for the store alone (docs/operations.md)",
        )
    })
}

/// Everything else: columns, row keys, indexes, constraints.
fn tables(plan: &Plan) -> Vec<Check> {
    let told = |code: &str| {
        TOLD.contains(&code) || code == SNAPSHOTS || GROUPS.iter().any(|group| group.codes.contains(&code))
    };
    let found = plan.findings.iter().filter(|finding| !told(&finding.code));
    let mut checks: Vec<Check> = found.map(|finding| check("tables", finding)).collect();
    if !checks.iter().any(|check| check.status == Status::Fail) {
        let columns: usize = plan.tables.iter().map(|table| table.slots().len()).sum();
        checks.push(match plan.tables.len() {
            0 => Check::warn(
                "tables",
                "there is no table to look at: row keys, privileges, triggers and policies are not known",
                "`reencrypt init --write reencrypt.toml` with the old key at hand",
            ),
            tables => {
                Check::pass("tables", format!("{columns} column(s) of {tables} table(s) can be walked and rewritten"))
            }
        });
    }
    checks
}

fn check(name: &str, finding: &Finding) -> Check {
    let place = match (&finding.table, &finding.column) {
        (Some(table), Some(column)) => format!("{table}.{column}: "),
        (Some(table), None) => format!("{table}: "),
        (None, _) => String::new(),
    };
    let status = match finding.severity {
        Severity::Fail => Status::Fail,
        Severity::Warn => Status::Warn,
    };
    let hint = (finding.severity == Severity::Fail && !finding.message.contains('`')).then(|| next(&finding.code));
    Check { status, hint: hint.map(str::to_owned), ..Check::pass(name, format!("{place}{}", finding.message)) }
}

/// What to type where the finding's own words name no command.
fn next(code: &str) -> &'static str {
    match code {
        "read_only_server" => {
            "`SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only');` says which of the two it is"
        }
        "rule_on_update" => "`ALTER TABLE … DISABLE RULE …;`",
        "no_row_key" | "row_key_unsound" => "`ALTER TABLE … ADD PRIMARY KEY (…);`",
        "varchar_overflow" => "`ALTER TABLE … ALTER COLUMN … TYPE text;`",
        "collation_version" => "`REINDEX TABLE …;`, then `ALTER DATABASE … REFRESH COLLATION VERSION;`",
        "table_missing" | "column_missing" | "column_type" | "not_a_table" | "generated_column" => {
            "`reencrypt init` shows the columns that it finds; put reencrypt.toml right"
        }
        _ => "put reencrypt.toml right; `reencrypt plan` shows the finding with all others",
    }
}

impl Group {
    fn has(&self, finding: &Finding) -> bool {
        self.codes.contains(&finding.code.as_str())
    }
}
