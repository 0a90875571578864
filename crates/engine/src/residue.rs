//! The values left alone, and a person's acceptance of them.
use crate::{
    Context, Error,
    control::{existing_store, explained, no_record},
    settle::Refused,
    summary::{Saw, accepted},
};
use reencrypt_checkpoint::{Acceptance, QuarantineLine, Store};
use reencrypt_db::{Limits, Mode, Session, shown};
use reencrypt_planner::counted;
use std::collections::BTreeMap;

/// A count of quarantined values.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ResidueLine {
    /// `schema.table`
    pub table: String,
    /// column, with control characters and backslashes escaped as in `table`
    pub column: String,
    /// stable class name
    pub class: String,
    /// how many now
    pub count: u64,
    /// how many of them are accepted: all, or none once there is one more than was accepted
    pub accepted: u64,
    /// why they were accepted
    pub reason: Option<String>,
}

/// `quarantine list` of the last run.
pub async fn quarantine_list(context: &Context) -> Result<Vec<ResidueLine>, Error> {
    let mut session = context.database.session().await?;
    let (_, saw) = last_run(context, &mut session).await?;
    Ok(saw.quarantine.iter().map(|line| residue(&saw, line)).collect())
}

/// `quarantine list --keys`: row keys as text, for each line of the list.
pub async fn quarantine_keys(context: &Context) -> Result<Vec<(ResidueLine, Vec<String>)>, Error> {
    let mut session = context.database.session().await?;
    let (store, saw) = last_run(context, &mut session).await?;
    let mut tx = session.begin(Mode::Read).await?;
    let mut out = Vec::new();
    for line in &saw.quarantine {
        let plan = saw.plan.tables.get(line.table_no).ok_or_else(|| Error::bug("a quarantined value of no table"))?;
        let table = tx.table(&plan.name).await?;
        let mut by_leaf: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (leaf, key) in store.quarantine_keys(&mut tx, &saw.run.id, line).await? {
            by_leaf.entry(leaf).or_default().push(key);
        }
        let mut texts = Vec::new();
        for (leaf, keys) in by_leaf {
            let Some(table) = &table else { continue };
            let Some(at) = table.leaves.iter().position(|of| of.name.to_string() == leaf) else { continue };
            let selection = reencrypt_db::Selection::new(table, at, std::slice::from_ref(&line.column))?;
            texts.extend(tx.key_texts(&selection, &keys).await?);
        }
        out.push((residue(&saw, line), texts));
    }
    tx.commit().await?;
    Ok(out)
}

/// `quarantine accept`: accepts exactly `count` values of that table, column and class, named as they are listed; refused when the store has
/// another number.
pub async fn accept(
    context: &Context,
    table: &str,
    column: &str,
    class: &str,
    count: u64,
    reason: &str,
) -> Result<Vec<ResidueLine>, Error> {
    let mut session = context.database.session().await?;
    let (store, saw) = last_run(context, &mut session).await?;
    let lines = saw.quarantine.iter().map(|line| (residue(&saw, line), &line.column));
    let matches = |(line, _): &(ResidueLine, &String)| {
        let named = line.table == table || line.table.rsplit_once('.').is_some_and(|(_, name)| name == table);
        named && line.column == column && line.class == class
    };
    let found: Vec<_> = lines.filter(matches).collect();
    let list = "`reencrypt quarantine list` shows tables, columns, classes and counts";
    let (line, stored_column) = match &found[..] {
        [only] => only,
        [] => {
            let message = format!("nothing of class {class} is quarantined in {table}.{column}");
            return Err(Error::refused("acceptance_count", message, list));
        }
        _ => {
            let message = format!("{table} is the name of several tables");
            return Err(Error::refused("acceptance_count", message, "say it with its schema: --table schema.table"));
        }
    };
    if class == Refused::Locked.class() {
        return Err(Error::refused(
            "acceptance_count",
            format!(
                "values of class {class} in {}.{column} stand under the old key until their lock is gone: they are no residue",
                line.table
            ),
            "end the transaction that holds the lock, then `reencrypt sweep` takes them",
        ));
    }
    if line.count != count {
        let message = format!(
            "{} of class {class} in quarantine of {}.{column}, not {count}",
            counted(line.count, "value", "values"),
            line.table
        );
        return Err(Error::refused("acceptance_count", message, list));
    }
    let acceptance = Acceptance {
        table: line.table.clone(),
        column: (*stored_column).clone(),
        class: class.to_owned(),
        accepted: count,
        reason: reason.to_owned(),
    };
    let detail = format!("{}.{column} {class} {count}: {reason}", line.table);
    let accepted = async {
        let mut tx = session.begin(Mode::Write(Limits::PATIENT)).await?;
        store.accept(&mut tx, &acceptance, &context.actor).await?;
        store.add_event(&mut tx, &saw.run.id, &context.actor, "accepted", &detail).await?;
        Ok::<_, Error>(tx.commit().await?)
    };
    let accepted = accepted.await;
    explained(context, accepted).await?;
    quarantine_list(context).await
}

/// The unfinished run, or the last one.
async fn last_run(context: &Context, session: &mut Session) -> Result<(Store, Saw), Error> {
    let store = existing_store(context, session).await?;
    let read = async {
        let mut tx = session.begin(Mode::Read).await?;
        let run = match store.unfinished_run(&mut tx).await? {
            Some(run) => Some(run),
            None => store.last_run(&mut tx).await?,
        };
        let saw = Saw::read(&store, &mut tx, run.ok_or_else(no_record)?).await?;
        tx.commit().await?;
        Ok::<_, Error>(saw)
    };
    let read = read.await;
    Ok((store, explained(context, read).await?))
}

fn residue(saw: &Saw, line: &QuarantineLine) -> ResidueLine {
    let table = saw.plan.tables.get(line.table_no).map(|table| table.name.to_string()).unwrap_or_default();
    let acceptance =
        saw.acceptances.iter().find(|of| of.table == table && of.column == line.column && of.class == line.class);
    ResidueLine {
        accepted: accepted(&saw.acceptances, &table, &line.column, &line.class, line.count),
        reason: acceptance.map(|acceptance| acceptance.reason.clone()),
        table,
        column: shown(&line.column),
        class: line.class.clone(),
        count: line.count,
    }
}
