//! The nonce budget: a key may seal 2^32 times with a random nonce (NIST SP 800-38D, section 8.3), whatever the nonce's length. Beyond it two
//! nonces may be equal, and with them the key's authentication falls.
use crate::{
    ColumnPlan, Configuration, Error, Finding, Keyring, Plan, TablePlan, estimate::column_seals, nearest::shown,
};
use reencrypt_crypto::{Fingerprint, SecretKey};
use std::collections::BTreeMap;

/// A key that has sealed so often is warned about.
pub const NONCES_WARN: u64 = 1 << 31;
/// A key seals no more often than this.
pub const NONCES_MAX: u64 = 1 << 32;

/// What helps where a key has no nonces left.
pub const NONCE_WAYS: &str =
    "use a key a table (several [key.*] pairs), or a format that derives a key a table or a column";

/// What was reserved of each key's nonces by earlier runs.
pub type Reserved = BTreeMap<Fingerprint, u64>;

/// The key that seals each encrypted column of a table, where `key` is the pair's new one: columns with the same one share its nonces.
pub fn sealing_keys(plan: &Plan, table: &TablePlan, key: &SecretKey) -> Result<Vec<Fingerprint>, Error> {
    table.columns.iter().map(|column| sealing_key(plan, table, column, key)).collect()
}

fn sealing_key(plan: &Plan, table: &TablePlan, column: &ColumnPlan, key: &SecretKey) -> Result<Fingerprint, Error> {
    let name = column.column_alias.as_ref().unwrap_or(&column.column);
    Ok(plan.format(&column.write)?.sealing_key(key, table.table_alias.as_ref().unwrap_or(&table.name.name), name))
}

/// Judges anew whether the plan's new keys have nonces enough: what it will seal, after what the configuration says that the application
/// sealed and what earlier runs reserved. The finding is `nonce_budget`.
pub fn judge_nonces(
    plan: &mut Plan,
    configuration: &Configuration,
    keys: &Keyring,
    reserved: &Reserved,
) -> Result<(), Error> {
    let findings = findings(plan, configuration, keys, reserved)?;
    plan.findings.retain(|finding| finding.code != "nonce_budget");
    plan.findings.extend(findings);
    crate::finding::sort(&mut plan.findings);
    Ok(())
}

fn findings(
    plan: &Plan,
    configuration: &Configuration,
    keys: &Keyring,
    reserved: &Reserved,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for pair in configuration.keys.keys() {
        let new = keys.get(pair).and_then(|pair| pair.new.as_ref());
        // Without the new key any other tells which columns share one.
        let stand_in = SecretKey::new(vec![0; 32]);
        let mut seals: BTreeMap<Fingerprint, u64> = BTreeMap::new();
        for table in plan.tables.iter().filter(|table| table.key == *pair) {
            for column in &table.columns {
                let key = sealing_key(plan, table, column, new.unwrap_or(&stand_in))?;
                *seals.entry(key).or_default() += column_seals(table, column);
            }
        }
        let by_application = configuration.keys.get(pair).map_or(0, |key| key.prior_invocations);
        let by_runs = |key: &Fingerprint| new.and(reserved.get(key)).copied().unwrap_or(0);
        // The one that is nearest to its end speaks for the pair.
        let worst = seals.iter().map(|(key, &seals)| (seals.saturating_add(by_runs(key)), seals)).max();
        findings.extend(worst.and_then(|(sum, seals)| finding(pair, seals, by_application, sum - seals)));
    }
    Ok(findings)
}

fn finding(pair: &str, seals: u64, by_application: u64, by_runs: u64) -> Option<Finding> {
    let pair = shown(pair);
    let used = format!(
        "pair {pair}: about {seals} values will be sealed under one new key, after {by_application} by the application (prior_invocations) and \
         {by_runs} that earlier runs reserved. A key may seal 2^32 values with random nonces at most"
    );
    match seals.saturating_add(by_application).saturating_add(by_runs) {
        total if total >= NONCES_MAX => Some(Finding::fail("nonce_budget", format!("{used}: {NONCE_WAYS}"))),
        total if total >= NONCES_WARN => Some(Finding::warn("nonce_budget", format!("{used}: plan its successor"))),
        _ => None,
    }
}
