//! The process's variables, with those of dotenv files under them.
use crate::{KeyError, process};
use std::{collections::BTreeMap, env, fmt, path::Path};
use zeroize::Zeroizing;

/// The process's variables over those of a dotenv file. Values never appear in `Debug`.
#[derive(Default)]
pub struct Environment {
    variables: BTreeMap<String, Zeroizing<String>>,
}

impl Environment {
    /// The process's own variables. One whose value is no UTF-8 counts as not set.
    pub fn from_process() -> Self {
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// Removes variables from the process, so that neither a child process nor a library sees them; they stay in here. Says which of those
    /// that are set could not be removed: they can be only while the process has one thread.
    pub fn forget_in_process<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        let set = names.into_iter().filter(|name| env::var_os(name).is_some());
        set.filter(|name| !process::forget_variable(name)).collect()
    }

    /// Adds the variables of a dotenv file; the real environment wins. Returns the names whose values differ, sorted.
    pub fn add_dotenv(&mut self, path: &Path) -> Result<Vec<String>, KeyError> {
        let unreadable = |source| KeyError::EnvironmentFile { path: path.to_owned(), source };
        let lines = dotenvy::from_path_iter(path).map_err(|e| match e {
            dotenvy::Error::Io(source) => unreadable(source),
            _ => KeyError::EnvironmentLine { path: path.to_owned(), variables: 0 },
        })?;
        let mut of_file: BTreeMap<String, Zeroizing<String>> = BTreeMap::new();
        for (variables, line) in lines.enumerate() {
            let (name, value) = line.map_err(|e| match e {
                dotenvy::Error::Io(source) => unreadable(source),
                // The error holds the line: it is dropped here.
                _ => KeyError::EnvironmentLine { path: path.to_owned(), variables },
            })?;
            of_file.entry(name).or_insert(Zeroizing::new(value));
        }
        let mut differing = Vec::new();
        for (name, value) in of_file {
            match self.variables.get(&name) {
                Some(real) if *real != value => differing.push(name),
                Some(_) => {}
                None => {
                    self.variables.insert(name, value);
                }
            }
        }
        Ok(differing)
    }

    /// The variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.as_str())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn dotenv(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn the_real_environment_wins_and_differences_are_told() {
        let mut environment = environment(&[("A", "real"), ("B", "same"), ("Z", "real")]);
        let file = dotenv("# keys\nZ=file\nexport A='file'\nB=same\nC=\"file\"\nC=again\n");
        assert_eq!(environment.add_dotenv(file.path()).unwrap(), ["A", "Z"]);
        let values = ["A", "B", "C", "D"].map(|name| environment.get(name));
        assert_eq!(values, [Some("real"), Some("same"), Some("file"), None]);
    }

    #[test]
    fn errors_do_not_repeat_a_line() {
        let file = dotenv("A=1\nthis is secret\n");
        let e = environment(&[]).add_dotenv(file.path()).unwrap_err();
        let shown = format!("{e} {e:?} {}", e.hint());
        assert_eq!(e.code(), "env_file");
        assert!(!shown.contains("secret") && shown.contains("first 1 variables"), "{shown}");
        let missing = environment(&[]).add_dotenv(Path::new("/nonexistent/.env")).unwrap_err();
        assert_eq!((missing.code(), missing.to_string().contains("/nonexistent/.env")), ("env_file", true));
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", environment(&[("A", "secret")])), "Environment(1 variables)");
    }
}
