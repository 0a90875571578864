//! White space as JavaScript has it, which is not as Rust has it: U+FEFF is, U+0085 is not.

/// `WhiteSpace` and `LineTerminator` of ECMA-262: what `trim` removes and `\s` matches.
pub(crate) fn is_javascript(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}'
            | '\u{205f}' | '\u{3000}' | '\u{feff}'
    )
}

/// What is taken out of a stored value before it is decoded: white space of any reader.
pub(crate) fn is_stripped(c: char) -> bool {
    is_javascript(c) || matches!(c, '\u{1c}'..='\u{1f}' | '\u{85}')
}

/// Whether there may be something to strip. One pass without a branch, since most values have nothing.
pub(crate) fn may_be_in(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte <= b' ') | (*byte >= 0x80))
}

/// `String.prototype.trim`.
pub(crate) fn trim_javascript(text: &str) -> &str {
    text.trim_matches(is_javascript)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_as_javascript_does() {
        assert_eq!(trim_javascript("\u{feff}\u{a0} a b\u{3000}\n\u{2028}"), "a b");
        assert_eq!(trim_javascript("\u{85}a\u{180e}\u{200b}"), "\u{85}a\u{180e}\u{200b}");
    }
}
