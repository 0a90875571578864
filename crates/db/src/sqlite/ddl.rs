//! What only the text of a CREATE statement says: when a trigger fires, which columns a CHECK or an index expression names.
//!
//! SQLite has parsed these texts itself, so that words are enough and no grammar is needed. A column is found too often rather than too seldom.

/// When a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Firing {
    /// Before an update, or instead of it.
    BeforeUpdate,
    AfterUpdate,
    /// Not on an update.
    Never,
}

/// When the trigger of this text fires.
pub(super) fn firing(create_trigger: &str) -> Firing {
    let words = words(create_trigger);
    let Some(name) = words.iter().position(|word| word.is("TRIGGER")) else { return Firing::Never };
    let mut rest = words[name + 1..].iter().peekable();
    for optional in ["IF", "NOT", "EXISTS"] {
        rest.next_if(|word| word.is(optional));
    }
    rest.next();
    // The name may have a schema.
    if rest.next_if(|word| word.is(".")).is_some() {
        rest.next();
    }
    let after = rest.next_if(|word| word.is("AFTER")).is_some();
    if !after && rest.next_if(|word| word.is("BEFORE")).is_none() && rest.next_if(|word| word.is("INSTEAD")).is_some() {
        rest.next_if(|word| word.is("OF"));
    }
    match rest.next().is_some_and(|word| word.is("UPDATE")) {
        true if after => Firing::AfterUpdate,
        true => Firing::BeforeUpdate,
        false => Firing::Never,
    }
}

/// Those of `columns` that are named anywhere in the text.
pub(super) fn named(text: &str, columns: &[&str]) -> Vec<String> {
    named_in(&words(text), columns)
}

/// The CHECK constraints of a table: the name, or `check 2` for one without a name, and the columns it names.
pub(super) fn checks(create_table: &str, columns: &[&str]) -> Vec<(String, Vec<String>)> {
    let words = words(create_table);
    let mut found = Vec::new();
    for (at, _) in words.iter().enumerate().filter(|(_, word)| word.is("CHECK")) {
        let Some(body) = parenthesised(&words[at + 1..]) else { continue };
        let named_before = at >= 2 && words[at - 2].is("CONSTRAINT");
        let name = if named_before { words[at - 1].text.clone() } else { format!("check {}", found.len() + 1) };
        found.push((name, named_in(body, columns)));
    }
    found
}

fn named_in(words: &[Word], columns: &[&str]) -> Vec<String> {
    let is_named = |column: &&&str| words.iter().any(|word| word.text.eq_ignore_ascii_case(column));
    columns.iter().filter(is_named).map(|column| column.to_string()).collect()
}

/// The words between the parenthesis that comes first and its partner.
fn parenthesised(words: &[Word]) -> Option<&[Word]> {
    if !words.first()?.is("(") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        if word.is("(") {
            depth += 1;
        } else if word.is(")") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(&words[1..at]);
            }
        }
    }
    None
}

/// A keyword, a name, or a single other character.
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    /// Whether it is this keyword or character.
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }
}

/// The words of the text, without comments and strings.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' => quoted_length(rest, '\''),
            '"' | '`' | '[' => {
                let close = if first == '[' { ']' } else { first };
                let length = quoted_length(rest, close);
                words.push(Word { text: unquoted(&rest[..length], close), quoted: true });
                length
            }
            c if is_name(c) => {
                let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                words.push(Word { text: rest[..length].to_string(), quoted: false });
                length
            }
            c => {
                if !c.is_whitespace() {
                    words.push(Word { text: c.to_string(), quoted: false });
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    words
}

/// How long the quoted text at the start is; the closing character doubled stands for itself.
fn quoted_length(text: &str, close: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == close {
            let doubled = close != ']' && characters.next_if(|&(_, next)| next == close).is_some();
            if !doubled {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

fn unquoted(text: &str, close: char) -> String {
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    if close == ']' { inner.to_string() } else { inner.replace(&format!("{close}{close}"), &close.to_string()) }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_fire_as_their_text_says() {
        let cases = [
            ("CREATE TRIGGER a AFTER UPDATE ON t BEGIN SELECT 1; END", Firing::AfterUpdate),
            ("create trigger a before update of b, c on t begin select 1; end", Firing::BeforeUpdate),
            ("CREATE TRIGGER a UPDATE ON t BEGIN SELECT 1; END", Firing::BeforeUpdate),
            (
                "CREATE TRIGGER IF NOT EXISTS main.\"a b\" /* x */ INSTEAD OF UPDATE ON v BEGIN SELECT 1; END",
                Firing::BeforeUpdate,
            ),
            ("CREATE TRIGGER a AFTER INSERT ON t BEGIN UPDATE t SET b = 1; END", Firing::Never),
            ("CREATE TRIGGER \"update\" DELETE ON t BEGIN SELECT 1; END", Firing::Never),
            ("CREATE TRIGGER \"after\" -- AFTER INSERT\n AFTER UPDATE ON t BEGIN SELECT 1; END", Firing::AfterUpdate),
        ];
        for (text, expected) in cases {
            assert_eq!(firing(text), expected, "{text}");
        }
    }

    #[test]
    fn checks_name_their_columns() {
        let text = "CREATE TABLE t (a TEXT CHECK (length(a) < 50), [b c] TEXT, \"d\"\"e\" TEXT,
            CONSTRAINT long CHECK ([b c] <> 'a' AND (\"d\"\"e\") IS NOT NULL), f TEXT -- CHECK (f)
            )";
        let columns = ["a", "b c", "d\"e", "f"];
        let expected = [
            ("check 1".to_string(), vec!["a".to_string()]),
            ("long".to_string(), vec!["b c".to_string(), "d\"e".to_string()]),
        ];
        assert_eq!(checks(text, &columns), expected);
    }

    #[test]
    fn index_expressions_name_their_columns() {
        let text = "CREATE INDEX i ON t (lower(Email)) WHERE `deleted` IS NULL AND note <> 'zip'";
        assert_eq!(named(text, &["email", "deleted", "zip"]), ["email", "deleted"]);
    }

    #[test]
    fn unfinished_text_ends() {
        for text in ["'", "\"", "[", "/*", "--", "CHECK (", "a\"b", "é'é"] {
            words(text);
            checks(text, &["a"]);
            firing(text);
        }
    }
}
