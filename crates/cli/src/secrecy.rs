//! What the process does for its secrets before it has a second thread.
use crate::settings::{DEFAULT_FILE, URL_VARIABLES};
use reencrypt_keys::{Environment, keep_out_of_core_dumps};
use reencrypt_planner::Configuration;
use std::{collections::BTreeSet, ffi::OsString, path::Path};

/// Variables that hold keys where no configuration names others.
const KEY_VARIABLES: [&str; 2] = ["OLD_KEY", "NEW_KEY"];
/// In front of a variable's name.
const REFERENCE: &str = "env:";

/// The environment as it was, and what the operating system refused.
pub(crate) struct Start {
    pub(crate) environment: Environment,
    pub(crate) refused: Vec<String>,
}

/// Leaves nothing to core dumps, reads the environment, and removes from it every variable that the configuration or the command line names as
/// a secret, with those of the application that `doctor` looks at. Called before any thread starts.
pub(crate) fn begin(configuration: Option<&Path>, typed: &[OsString]) -> Start {
    let mut refused = keep_out_of_core_dumps();
    let environment = Environment::from_process();
    // A file that cannot be read is complained of where it is needed.
    let text = std::fs::read_to_string(configuration.unwrap_or(Path::new(DEFAULT_FILE))).unwrap_or_default();
    let words = typed.iter().map(|word| word.to_string_lossy());
    let mut names: BTreeSet<String> =
        KEY_VARIABLES.iter().chain(&URL_VARIABLES).map(|name| (*name).to_owned()).collect();
    names.extend(named_in(&text));
    names.extend(words.flat_map(|word| named_in(&word)));
    let configured = Configuration::parse(&text).ok();
    names.extend(configured.iter().chain([&Configuration::from_environment()]).flat_map(of_the_application));
    let kept = environment.forget_in_process(names.iter().map(String::as_str));
    if !kept.is_empty() {
        refused.push(format!("{} cannot be removed from the process's environment", kept.join(", ")));
    }
    Start { environment, refused }
}

/// The variables that `doctor` looks at.
fn of_the_application(configuration: &Configuration) -> Vec<String> {
    let secrets = configuration.doctor.secrets.iter();
    secrets.flat_map(|secret| [Some(secret.name.clone()), secret.old.clone()]).flatten().collect()
}

/// Every name behind `env:`, in comments too.
fn named_in(text: &str) -> BTreeSet<String> {
    let behind = text.split(REFERENCE).skip(1);
    let names =
        behind.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_to_a_variable_is_found() {
        let text = "[key.phi]\nold = \"env:OLD_PHI\" # env:B\nnew = { kms = 'env:WRAPPED', key_id = \"alias/a\" }\nurl=\"env:\"";
        assert_eq!(named_in(text).into_iter().collect::<Vec<_>>(), ["B", "OLD_PHI", "WRAPPED"]);
    }

    #[test]
    fn so_are_the_secrets_of_the_application() {
        let of = |text: &str| of_the_application(&Configuration::parse(text).expect("a configuration"));
        assert_eq!(of(""), ["JWT_SECRET", "JWT_SECRET_OLD", "ENCRYPTION_KEY"]);
        assert_eq!(
            of("[doctor]\nsecrets = [{ name = 'A', old = 'B' }, { name = 'C', form = 'url' }]"),
            ["A", "B", "C"]
        );
    }
}
