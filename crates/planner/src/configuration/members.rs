//! The members of one TOML table, read by name. Everything wrong is said with its place and line, and never with a
//! value.
use crate::{
    Error,
    nearest::{did_you_mean, nearest, shown},
};
use std::borrow::Cow;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One TOML table with its place in the file.
pub(super) struct Members<'a> {
    text: &'a str,
    place: String,
    offset: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Members<'a> {
    /// The whole document.
    pub(super) fn root(text: &'a str, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self { text, place: "the file".into(), offset: 0, table: document.get_ref() }
    }

    /// The same table under a name that a person recognises.
    pub(super) fn named(self, place: String) -> Self {
        Self { place, ..self }
    }

    /// Where this table stands, for messages.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Refuses members that are not in `known`; those in `later` are known to the documents but not to this version.
    pub(super) fn check(&self, known: &[&str], later: &[&str]) -> Result<(), Error> {
        for (name, value) in self.entries() {
            if known.contains(&name) {
                continue;
            }
            if later.contains(&name) {
                return Err(self.not_supported(value.span().start, &shown(name)));
            }
            let hint = match nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("known members: {}", known.join(", ")),
            };
            return Err(self.failure(value.span().start, format!("unknown member {}", shown(name)), hint));
        }
        Ok(())
    }

    /// The members in the order of the file.
    pub(super) fn entries(&self) -> Vec<(&'a str, &'a Spanned<DeValue<'a>>)> {
        let mut entries: Vec<_> =
            self.table.iter().map(|(name, value)| (name.span().start, name.get_ref().as_ref(), value)).collect();
        entries.sort_by_key(|entry| entry.0);
        entries.into_iter().map(|(_, name, value)| (name, value)).collect()
    }

    /// A member as it stands.
    pub(super) fn value(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(name)
    }

    /// A text member.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.get_ref().as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(self.wrong_type(name, value, "a string")),
        }
    }

    /// A text member that must be there.
    pub(super) fn required_text(&self, name: &str, hint: &str) -> Result<&'a str, Error> {
        self.text(name)?.ok_or_else(|| self.failure(self.offset, format!("`{name}` is missing"), hint))
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = || self.wrong_type(name, value, "a list of strings");
        let list = value.get_ref().as_array().ok_or_else(wrong)?;
        let texts = list.iter().map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(wrong));
        texts.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, name: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|digits| u64::from_str_radix(digits.as_str().trim_start_matches('+'), digits.radix()).ok());
        match number {
            Some(number) if bounds.contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong_type(name, value, &expected)),
        }
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong_type(name, value, "true or false"))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        self.choose(name, text, words).map(Some)
    }

    /// The meaning of `text`, one of a few words.
    pub(super) fn choose<T: Copy>(&self, name: &str, text: &str, words: &[(&str, T)]) -> Result<T, Error> {
        if let Some(&(_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(meaning);
        }
        let names = || words.iter().map(|&(word, _)| word);
        let problem = format!("`{name}` has no such value as {}{}", shown(text), did_you_mean(text, names()));
        Err(self.failure_at(name, problem, format!("one of: {}", names().collect::<Vec<_>>().join(", "))))
    }

    /// A member that is a table.
    pub(super) fn table(&self, name: &str) -> Result<Option<Members<'a>>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        self.as_table(name, value).map(Some)
    }

    /// A member's value as a table.
    pub(super) fn as_table(&self, name: &str, value: &'a Spanned<DeValue<'a>>) -> Result<Members<'a>, Error> {
        let table = value.get_ref().as_table().ok_or_else(|| self.wrong_type(name, value, "a table"))?;
        let place = match self.place.as_str() {
            "the file" => name.to_owned(),
            place => format!("{place}, {name}"),
        };
        Ok(Members { text: self.text, place, offset: value.span().start, table })
    }

    /// A member that is a list of tables.
    pub(super) fn tables(&self, name: &str) -> Result<Vec<Members<'a>>, Error> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        let wrong = || self.wrong_type(name, value, "a list of tables");
        let list = value.get_ref().as_array().ok_or_else(wrong)?;
        list.iter().map(|item| self.as_table(name, item)).collect()
    }

    /// An error about this table as a whole.
    pub(super) fn error(&self, problem: impl Into<Cow<'static, str>>, hint: impl Into<String>) -> Error {
        self.failure(self.offset, problem, hint)
    }

    /// An error about one member.
    pub(super) fn failure_at(
        &self,
        name: &str,
        problem: impl Into<Cow<'static, str>>,
        hint: impl Into<String>,
    ) -> Error {
        let offset = self.value(name).map_or(self.offset, |value| value.span().start);
        self.failure(offset, problem, hint)
    }

    /// What the documents describe and this version does not bring.
    pub(super) fn not_supported(&self, offset: usize, what: &str) -> Error {
        let hint = "leave it out, or use a version that brings it";
        self.failure(offset, format!("{what} is not supported by this version"), hint)
    }

    fn wrong_type(&self, name: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Error {
        let found = value.get_ref().type_str();
        self.failure(value.span().start, format!("`{name}` must be {expected}"), format!("it is of type {found}"))
    }

    fn failure(&self, offset: usize, problem: impl Into<Cow<'static, str>>, hint: impl Into<String>) -> Error {
        Error::Configuration {
            place: self.place.clone(),
            line: Some(line_of(self.text, offset)),
            problem: problem.into().into_owned(),
            hint: hint.into(),
        }
    }
}

/// The number, from 1, of the line that holds the byte at `offset`.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()
}
