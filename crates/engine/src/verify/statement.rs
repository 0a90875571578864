//! From what was seen to what can be said.
use super::{Counts, TableCounts, VerifyOptions};
use crate::{
    Context,
    past::{OTHER_OLD_KEY, Past, Unvouched},
    prepare::{fails, place},
    summary,
};
use reencrypt_checkpoint::Acceptance;
use reencrypt_crypto::{PlaintextPolicy, Refusal};
use reencrypt_db::{InFlight, shown};
use reencrypt_planner::{Ceiling, ClassCounts, Finding, GateCounts, Plan, counted};

/// The same again, of everything.
const AGAIN: &str = "reencrypt verify";
const WITH_OLD_KEY: &str = "give the old key too, then `reencrypt verify`";

/// What can be said.
pub(super) struct Statement {
    pub(super) old_key_needed: Option<bool>,
    pub(super) reason: String,
    pub(super) holds: bool,
    /// what to type where it does not hold
    pub(super) next: Option<String>,
}

/// What was seen.
pub(super) struct Evidence<'e> {
    pub(super) counts: &'e Counts,
    /// rows that were written while the scan went on
    pub(super) late: &'e TableCounts,
    pub(super) findings: &'e [Finding],
    pub(super) snapshot_held: bool,
    pub(super) standby: bool,
    pub(super) outlasting: &'e [InFlight],
    /// values that stand unencrypted where no plaintext is allowed, and that nobody accepted
    pub(super) refused_plaintext: u64,
    /// why the keys that were given may be the wrong ones
    pub(super) doubt: Option<String>,
    /// what speaks against the old key
    pub(super) unvouched: Option<&'e Unvouched>,
    /// what earlier runs rotated, if that can be known
    pub(super) past: &'e Past,
}

pub(super) fn state(context: &Context, options: &VerifyOptions, plan: &Plan, evidence: Evidence<'_>) -> Statement {
    let Evidence {
        counts,
        late,
        findings,
        snapshot_held,
        standby,
        outlasting,
        refused_plaintext,
        doubt,
        unvouched,
        past,
    } = evidence;
    let sum = |of: fn(&ClassCounts) -> u64| counts.iter().flatten().map(|counts| of(&counts.classes)).sum::<u64>();
    let (old, unreadable) = (sum(|c| c.old), sum(|c| c.unreadable - c.accepted));
    let finding = |code| findings.iter().find(|finding| finding.code == code);
    let place = |finding: &Finding| format!("{}{}", place(finding), finding.message);
    let old_keys_known = context.keys.values().all(|pair| pair.old.is_some());
    let mismatched: u64 = plan
        .tables
        .iter()
        .zip(counts)
        .flat_map(|(table, slots)| slots[table.columns.len()..].iter())
        .map(|counts| counts.classes.mismatched)
        .sum();
    let without = |old_key_needed, reason: String, next: &str| Statement {
        old_key_needed,
        reason,
        holds: false,
        next: Some(next.to_owned()),
    };
    let needed = |reason, next| without(Some(true), reason, next);
    let cannot_say = |reason, next| without(None, reason, next);
    if old > 0 {
        return needed(
            format!("{} under the old key", counted(old, "value or hash stands", "values or hashes stand")),
            "reencrypt run --resume",
        );
    }
    if late.classes.old > 0 {
        return needed(
            format!(
                "{} written under the old key while the snapshot was read",
                counted(late.classes.old, "value or hash was", "values or hashes were")
            ),
            "let every writer use the new key, then `reencrypt run --resume`",
        );
    }
    let other_pair: u64 = counts.iter().flatten().chain([late]).map(|counts| counts.of(Refusal::OtherPair)).sum();
    if other_pair > 0 {
        return needed(
            format!(
                "{} under the old key of another pair than their table's",
                counted(other_pair, "value or hash stands", "values or hashes stand")
            ),
            "reencrypt plan",
        );
    }
    let late = late.classes;
    if let Some(finding) = finding("unlisted_ciphertext") {
        return needed(place(finding), "reencrypt plan");
    }
    if options.sample_percent.is_some() {
        return cannot_say("a sample never attests; `reencrypt verify` reads everything".to_owned(), AGAIN);
    }
    if !snapshot_held {
        return cannot_say("the snapshot was lost while it was read".to_owned(), AGAIN);
    }
    if let Some(finding) = findings.iter().find(|finding| plan.tables.is_empty() && fails(finding)) {
        return cannot_say(place(finding), "reencrypt init");
    }
    if context.configuration.tables.is_empty() {
        return cannot_say(
            "the columns were found by looking at a sample; once a configuration names them, all of it can be read"
                .to_owned(),
            "reencrypt init --write reencrypt.toml",
        );
    }
    if standby {
        return cannot_say(
            "this is a standby: what is still being written on the primary cannot be seen from here".to_owned(),
            "`reencrypt verify` with the primary's database URL",
        );
    }
    if !outlasting.is_empty() {
        let prepared = outlasting.iter().filter(|transaction| transaction.prepared).count();
        return cannot_say(
            format!(
                "{} still open ({prepared} of them prepared); what they write was not read",
                counted(
                    outlasting.len() as u64,
                    "transaction that was open at the snapshot is",
                    "transactions that were open at the snapshot are"
                )
            ),
            "let those transactions end, then `reencrypt verify`",
        );
    }
    // Accepted or not: the store's word that they did not open under the old key is not trusted here.
    let unopened = sum(|c| c.unreadable);
    if unopened > 0 && !old_keys_known {
        return cannot_say(
            format!(
                "{} under no key that was given, and the old key was not",
                counted(unopened, "value opens", "values open")
            ),
            WITH_OLD_KEY,
        );
    }
    if late.unreadable + late.mismatched > 0 && !old_keys_known {
        return cannot_say(
            "values were written meanwhile that the new key does not open, and the old key was not given".to_owned(),
            WITH_OLD_KEY,
        );
    }
    if mismatched > 0 && !old_keys_known {
        return cannot_say(
            format!(
                "{} not fit the field, and the old key was not given to try it",
                counted(mismatched, "hash does", "hashes do")
            ),
            WITH_OLD_KEY,
        );
    }
    if let Some(finding) = finding("unopened_ciphertext").filter(|_| !old_keys_known) {
        return cannot_say(place(finding), WITH_OLD_KEY);
    }
    if let Some(doubt) = doubt {
        return cannot_say(
            doubt,
            "`reencrypt key check --from REF` says how many values a key opens: give the right ones",
        );
    }
    let unexplained = unopened + mismatched + late.unreadable + late.mismatched;
    if let Some(Unvouched { code, message }) = unvouched.filter(|_| unexplained > 0) {
        let next = match (*code, past.hidden) {
            (OTHER_OLD_KEY, _) => "give that key as the old one, then `reencrypt verify`",
            (_, true) => "`reencrypt verify` with a role that may read the store",
            (_, false) => "check the old key; `reencrypt run` with it rotates what is left of it",
        };
        return cannot_say(
            format!(
                "{} neither key, and {message}",
                counted(unexplained, "value or hash fits", "values or hashes fit")
            ),
            next,
        );
    }
    let mut reason = "nothing that was read opens under the old key".to_owned();
    if let (Some(unvouched), true) = (unvouched, past.hidden) {
        reason = format!("{reason} ({})", unvouched.message);
    }
    if unreadable > 0 {
        reason = format!("{reason}; {} under neither key", counted(unreadable, "value opens", "values open"));
    }
    if mismatched > 0 {
        reason = format!("{reason}; {} neither key's value of its field", counted(mismatched, "hash is", "hashes are"));
    }
    if refused_plaintext > 0 {
        reason = format!(
            "{reason}; {} unencrypted where no plaintext is allowed",
            counted(refused_plaintext, "value stands", "values stand")
        );
    }
    // Swapped keys look like this: all of it opens under the one that was given as new, and none of it was rotated to it.
    let may_be_swapped = unvouched.is_some() && !past.hidden && sum(|c| c.new) > 0;
    if may_be_swapped {
        reason = format!("{reason}; whether that is the key that was in use, nothing tells");
    }
    let holds = unreadable + mismatched + refused_plaintext == 0 && !may_be_swapped;
    let next = match () {
        () if unreadable + refused_plaintext > 0 && past.quarantined => "reencrypt quarantine list",
        () if may_be_swapped => {
            "see that old and new are not swapped: the application writes with the new one. Then `reencrypt plan`"
        }
        () => "reencrypt plan",
    };
    Statement { old_key_needed: Some(false), reason, holds, next: (!holds).then(|| next.to_owned()) }
}

/// Accepted residue is a part of the unreadable values.
pub(super) fn accept(plan: &Plan, acceptances: &[Acceptance], counts: &mut Counts) {
    for (table, slots) in plan.tables.iter().zip(counts) {
        for (column, counts) in table.columns.iter().zip(slots) {
            let name = table.name.to_string();
            let accepted = counts.refusals.iter();
            counts.classes.accepted = accepted
                .map(|(class, count)| summary::accepted(acceptances, &name, &column.column, class, *count))
                .sum();
        }
    }
}

/// The first column of which too much opens under neither key for both to be the right ones: the wrong-key gate, on everything.
pub(super) fn doubt(plan: &Plan, acceptances: &[Acceptance], counts: &Counts) -> Option<String> {
    plan.tables.iter().zip(counts).find_map(|(table, slots)| {
        table.columns.iter().zip(slots).find_map(|(column, counts)| {
            let class = Refusal::Unreadable.as_str();
            let all = counts.of(Refusal::Unreadable);
            let accepted = summary::accepted(acceptances, &table.name.to_string(), &column.column, class, all);
            let gate = GateCounts {
                opens_new: counts.classes.new,
                opens_old: counts.classes.old,
                fails: all.saturating_sub(accepted),
            };
            gate.refused(Ceiling::default()).then(|| {
                format!(
                    "of {}.{} {} under neither key and {} under one: are these the right keys?",
                    table.name,
                    shown(&column.column),
                    counted(gate.fails, "value opens", "values open"),
                    gate.opens_new + gate.opens_old
                )
            })
        })
    })
}

/// Plaintext in columns that may hold none, which a run quarantines, but for what was accepted.
pub(super) fn refused_plaintext(plan: &Plan, acceptances: &[Acceptance], counts: &Counts) -> u64 {
    let columns = plan.tables.iter().zip(counts).flat_map(|(table, slots)| {
        table.columns.iter().zip(slots).map(move |(column, counts)| (table, column, counts.classes.plaintext))
    });
    let refused = columns.filter(|(_, column, _)| column.plaintext == PlaintextPolicy::Refuse);
    let class = Refusal::Plaintext.as_str();
    refused
        .map(|(table, column, found)| {
            found - summary::accepted(acceptances, &table.name.to_string(), &column.column, class, found)
        })
        .sum()
}
