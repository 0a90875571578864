//! Templates as they are written: literal text with `{holes}`, a doubled brace for a literal one.
use crate::LayoutError;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// literal text
    Text(String),
    /// what stands between the braces
    Hole(&'a str),
}

/// Cuts `template` into pieces; neighbouring text is one piece.
pub(crate) fn pieces<'a>(template: &'a str, member: &str) -> Result<Vec<Piece<'a>>, LayoutError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        let hole = (brace == "{").then(|| rest.split_once('}')).flatten();
        let Some((name, after)) = hole.filter(|(name, _)| !name.contains('{')) else {
            return Err(LayoutError::invalid(member, "a brace without its partner (a literal one is doubled)"));
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Hole(name));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece<'_> {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn cuts_text_and_holes() {
        let cut = pieces("v{kid:dec}:{iv:b64}", "text").unwrap();
        assert_eq!(cut, [text("v"), Piece::Hole("kid:dec"), text(":"), Piece::Hole("iv:b64")]);
        assert_eq!(pieces("", "text").unwrap(), []);
    }

    #[test]
    fn a_doubled_brace_is_a_literal_one() {
        let cut = pieces("a{{b}}{{{ct:hex}}}", "text").unwrap();
        assert_eq!(cut, [text("a{b}{"), Piece::Hole("ct:hex"), text("}")]);
    }

    #[test]
    fn refuses_single_braces() {
        for wrong in ["{iv", "iv}", "{a{b}", "{{iv}"] {
            assert!(pieces(wrong, "text").is_err(), "{wrong}");
        }
    }
}
