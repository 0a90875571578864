//! The process's variables, with those of dotenv files under them.
use crate::{KeyError, process};
use std::{collections::BTreeMap, env, fmt, fs, path::Path};
use zeroize::Zeroizing;

/// What some editors write in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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

    /// Adds the variables of a dotenv file; the real environment wins. Returns the names whose values differ, sorted. A file that gives one
    /// variable two values is refused: some applications take the first of them, others the last.
    pub fn add_dotenv(&mut self, path: &Path) -> Result<Vec<String>, KeyError> {
        let unreadable = |source| KeyError::EnvironmentFile { path: path.to_owned(), source };
        let text = Zeroizing::new(fs::read(path).map_err(unreadable)?);
        let lines = dotenvy::from_read_iter(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text));
        let mut of_file: BTreeMap<String, Zeroizing<String>> = BTreeMap::new();
        for (variables, line) in lines.enumerate() {
            let (name, value) = line.map_err(|e| match e {
                dotenvy::Error::Io(source) => unreadable(source),
                // The error holds the line: it is dropped here.
                _ => KeyError::EnvironmentLine { path: path.to_owned(), variables },
            })?;
            let value = Zeroizing::new(value);
            if *of_file.entry(name.clone()).or_insert_with(|| value.clone()) != value {
                return Err(KeyError::EnvironmentTwice { path: path.to_owned(), name });
            }
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
        let file = dotenv("\u{feff}# keys\r\nZ=file\nexport A='file'\nB=same\nC=\"file\"\nC=file\n");
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
    fn two_values_of_a_variable_are_refused() {
        let file = dotenv("A=1\nNEW_KEY=secret\nNEW_KEY='another'\n");
        let e = environment(&[("NEW_KEY", "real")]).add_dotenv(file.path()).unwrap_err();
        let shown = format!("{e} {e:?} {}", e.hint());
        assert_eq!(e.code(), "env_file");
        assert!(shown.contains("NEW_KEY") && !shown.contains("secret") && !shown.contains("another"), "{shown}");
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", environment(&[("A", "secret")])), "Environment(1 variables)");
    }
}
