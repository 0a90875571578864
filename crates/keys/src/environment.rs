//! The process's variables over those of a dotenv file.
use crate::KeyError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// The process's variables over those of a dotenv file. Values never appear in `Debug`.
#[derive(Default)]
pub struct Environment(BTreeMap<String, Zeroizing<String>>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// The process's own variables. Those that are not UTF-8 are left out.
    pub fn from_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// Adds the variables of a dotenv file; the real environment wins. Returns the names whose values differ, sorted.
    pub fn add_dotenv(&mut self, path: &Path) -> Result<Vec<String>, KeyError> {
        let env_file = |source| KeyError::EnvFile { path: path.to_owned(), source };
        let lines = dotenvy::from_path_iter(path).map_err(|error| match error {
            dotenvy::Error::Io(source) => env_file(source),
            _ => env_file(std::io::Error::other("not readable")),
        })?;
        let mut added = BTreeMap::new();
        let mut position = "at its beginning".to_owned();
        for line in lines {
            let (name, value) = line.map_err(|error| match error {
                dotenvy::Error::Io(source) => env_file(source),
                // The error of the parser holds the line, and with it the secret.
                _ => KeyError::EnvFileLine { path: path.to_owned(), position: position.clone() },
            })?;
            position = format!("after {name}");
            added.insert(name, Zeroizing::new(value));
        }
        let mut differing = Vec::new();
        for (name, value) in added {
            match self.0.get(&name) {
                Some(present) if *present != value => differing.push(name),
                Some(_) => {}
                None => {
                    self.0.insert(name, value);
                }
            }
        }
        Ok(differing)
    }

    /// The variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect())
    }
}
