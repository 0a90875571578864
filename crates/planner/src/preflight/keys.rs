//! The key pairs among themselves.
use crate::{Configuration, Finding, Keyring, Severity, nearest::shown};
use reencrypt_crypto::Fingerprint;

/// Every pair that the tables use: `key_missing`, `same_key`, and `shared_key` where a key stands in two places. A run needs both keys of a pair.
pub fn keys(configuration: &Configuration, keys: &Keyring, for_run: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut places: Vec<(String, &str, Fingerprint)> = Vec::new();
    for name in used_pairs(configuration) {
        let pair = keys.get(name);
        let old = pair.and_then(|pair| pair.old.as_ref()).map(|key| key.fingerprint());
        let new = pair.and_then(|pair| pair.new.as_ref()).map(|key| key.fingerprint());
        findings.extend(missing(name, old, new, for_run));
        findings.extend(same(name, old, new));
        for (side, print) in [("old", old), ("new", new)] {
            let Some(print) = print else { continue };
            let elsewhere = |(other, _, found): &&(String, &str, Fingerprint)| other != name && *found == print;
            if let Some((other, other_side, _)) = places.iter().find(elsewhere) {
                let message = format!(
                    "the {side} key of pair {} ({print}) is also the {other_side} key of pair {}: a key for each purpose keeps a leak \
                     and the nonce budget apart",
                    shown(name),
                    shown(other)
                );
                findings.push(Finding::warn("shared_key", message));
            }
            places.push((name.to_owned(), side, print));
        }
    }
    findings
}

fn used_pairs(configuration: &Configuration) -> Vec<&str> {
    let used = |name: &&str| configuration.tables.iter().any(|table| configuration.pair_of(table) == *name);
    let names = configuration.keys.keys().map(String::as_str);
    if configuration.tables.is_empty() { names.collect() } else { names.filter(used).collect() }
}

fn missing(name: &str, old: Option<Fingerprint>, new: Option<Fingerprint>, for_run: bool) -> Option<Finding> {
    let pair = shown(name);
    let (what, severity) = match (old, new) {
        (Some(_), Some(_)) => return None,
        (Some(_), None) if !for_run => return None,
        (Some(_), None) => (format!("pair {pair} has no new key: a run needs both"), Severity::Fail),
        (None, Some(_)) if for_run => (format!("pair {pair} has no old key: a run needs both"), Severity::Fail),
        (None, Some(_)) => {
            let what = format!("pair {pair} has no old key: values under it cannot be told from damaged ones");
            (what, Severity::Warn)
        }
        (None, None) => (format!("pair {pair} has neither an old nor a new key"), Severity::Fail),
    };
    Some(Finding::new(severity, "key_missing", what))
}

fn same(name: &str, old: Option<Fingerprint>, new: Option<Fingerprint>) -> Option<Finding> {
    let print = old.filter(|_| old == new)?;
    let message = format!(
        "the old and the new key of pair {} are the same ({print}): there is nothing to rotate to. Make a new key, for example with `openssl rand -hex 32`",
        shown(name)
    );
    Some(Finding::fail("same_key", message))
}
