//! Names in statements and names in messages.

/// The name as a quoted identifier, the same on both engines. Every identifier in every statement comes through here.
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

/// The text with control characters escaped, so that a hostile name cannot move the cursor of a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { safe.extend(c.escape_default()) } else { safe.push(c) }
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
    }
}
