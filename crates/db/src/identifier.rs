//! Names in statements and names in messages.

/// The name as a quoted identifier, the same on both engines. Every identifier in every statement that is run comes through here.
pub(crate) fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for c in name.chars() {
        if c == '"' {
            text.push('"');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// The name as a quoted identifier that a person types into a statement for PostgreSQL: control characters in it are written `\000a`.
pub fn typed(name: &str) -> String {
    if !name.chars().any(char::is_control) {
        return quoted(name);
    }
    let escaped = name.chars().map(|c| match c {
        '\\' => r"\\".to_owned(),
        c if c.is_control() => format!("\\{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("U&{}", quoted(&escaped.collect::<String>()))
}

/// The text for a message: control characters are escaped, so that a hostile name cannot move the cursor of a terminal, and backslashes with
/// them, so that different names look different.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || c == '\\' { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_nothing_else_changes() {
        assert_eq!(quoted("Patient"), r#""Patient""#);
        assert_eq!(quoted(r#"a"; DROP TABLE x; --"#), r#""a""; DROP TABLE x; --""#);
        assert_eq!(quoted("emoji \u{1f600} and\nline"), "\"emoji \u{1f600} and\nline\"");
    }

    #[test]
    fn control_characters_are_shown_as_escapes() {
        assert_eq!(shown("a\u{1b}[31mb\nc"), r"a\u{1b}[31mb\nc");
        assert_eq!(shown("Größe"), "Größe");
        assert_ne!(shown("a\nb"), shown(r"a\nb"));
    }

    #[test]
    fn what_a_person_types_names_the_same_column() {
        assert_eq!(typed(r#"Zoë's "best" \"#), quoted(r#"Zoë's "best" \"#));
        assert_eq!(typed("a\n\"b\"\\"), r#"U&"a\000a""b""\\""#);
    }
}
