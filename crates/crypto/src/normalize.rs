//! Normalisation of a plaintext before it is hashed, with the semantics of the JavaScript that wrote the hashes.
use crate::{NoneFor, NormalizeStep, whitespace::trim_javascript};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// A normalised plaintext; wiped where it is a copy.
pub(crate) enum Normalized<'a> {
    Borrowed(&'a str),
    Owned(Zeroizing<String>),
}

impl Normalized<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }

    /// Applies one step.
    fn then(self, step: NormalizeStep) -> Self {
        match self {
            Self::Borrowed(text) => match apply(step, text) {
                Cow::Borrowed(text) => Self::Borrowed(text),
                Cow::Owned(text) => Self::Owned(Zeroizing::new(text)),
            },
            Self::Owned(text) => {
                // A step that only cuts borrows from the copy, which is wiped here.
                Self::Owned(Zeroizing::new(apply(step, &text).into_owned()))
            }
        }
    }
}

/// Applies `steps` in order. Bytes that are no UTF-8 become U+FFFD, as in `Buffer.toString`.
pub(crate) fn normalize<'a>(plaintext: &'a [u8], steps: &[NormalizeStep]) -> Normalized<'a> {
    let text = match String::from_utf8_lossy(plaintext) {
        Cow::Borrowed(text) => Normalized::Borrowed(text),
        Cow::Owned(text) => Normalized::Owned(Zeroizing::new(text)),
    };
    steps.iter().fold(text, |text, step| text.then(*step))
}

impl NoneFor {
    /// Whether a normalised value has no hash. The empty string never has one.
    pub(crate) fn covers(&self, normalized: &str) -> bool {
        normalized.is_empty()
            || self.values.iter().any(|value| value == normalized)
            || self.suffixes.iter().any(|suffix| normalized.ends_with(suffix.as_str()))
    }
}

fn apply(step: NormalizeStep, text: &str) -> Cow<'_, str> {
    match step {
        NormalizeStep::Trim => Cow::Borrowed(trim_javascript(text)),
        NormalizeStep::Lowercase if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) => {
            Cow::Borrowed(text)
        }
        // Full Unicode lower-casing in both languages: final sigma, and two code points for U+0130.
        NormalizeStep::Lowercase => Cow::Owned(text.to_lowercase()),
        NormalizeStep::Date => date(text),
        NormalizeStep::Digits if text.bytes().all(|byte| byte.is_ascii_digit()) => Cow::Borrowed(text),
        NormalizeStep::Digits => Cow::Owned(text.chars().filter(char::is_ascii_digit).collect()),
    }
}

/// The platform's rule: `M/D/YYYY` or `M-D-YYYY` (ASCII digits, either separator) becomes `YYYY-MM-DD`, else everything
/// from a capital T on is cut, else the text stays. White space around it is trimmed first.
fn date(text: &str) -> Cow<'_, str> {
    let text = trim_javascript(text);
    if let Some((month, day, year)) = month_day_year(text) {
        let mut date = String::with_capacity(10);
        for (width, digits) in [(4, year), (2, month), (2, day)] {
            if !date.is_empty() {
                date.push('-');
            }
            if digits.len() < width {
                date.push('0');
            }
            date.push_str(digits);
        }
        return Cow::Owned(date);
    }
    Cow::Borrowed(text.split_once('T').map_or(text, |(date, _)| date))
}

fn month_day_year(text: &str) -> Option<(&str, &str, &str)> {
    let mut parts = text.split(['/', '-']);
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let fits = parts.next().is_none() && digits(month, 1..=2) && digits(day, 1..=2) && digits(year, 4..=4);
    fits.then_some((month, day, year))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(text: &str, steps: &[NormalizeStep]) -> String {
        normalize(text.as_bytes(), steps).as_str().to_owned()
    }

    #[test]
    fn dates_as_the_platform_has_them() {
        for (text, expected) in [
            ("7/9/1985", "1985-07-09"),
            ("07-09/1985", "1985-07-09"),
            ("13/45/2020", "2020-13-45"),
            (" 01/01/1900\u{feff}", "1900-01-01"),
            ("1985-07-09T00:00:00.000Z", "1985-07-09"),
            ("OCT 5 1980", "OC"),
            ("T", ""),
            ("1985-7-9", "1985-7-9"),
            ("1/2/85", "1/2/85"),
            ("1/2/1985/", "1/2/1985/"),
            ("001/2/1985", "001/2/1985"),
            ("\u{661}/\u{662}/\u{661}\u{669}\u{668}\u{665}", "\u{661}/\u{662}/\u{661}\u{669}\u{668}\u{665}"),
        ] {
            assert_eq!(normalized(text, &[NormalizeStep::Date]), expected, "{text}");
        }
    }

    #[test]
    fn steps_follow_one_another() {
        let steps = [NormalizeStep::Trim, NormalizeStep::Lowercase];
        assert_eq!(normalized(" \u{130}A\u{3a3} ", &steps), "i\u{307}a\u{3c2}");
        assert_eq!(normalized("(813) 263-7844", &[NormalizeStep::Digits]), "8132637844");
        assert_eq!(normalize(b"A\xffb", &steps).as_str(), "a\u{fffd}b");
    }

    #[test]
    fn none_for_values_and_endings() {
        let none = NoneFor { values: vec!["x@y".into()], suffixes: vec!["@placeholder.local".into()] };
        assert!(none.covers("x@y") && none.covers("a@placeholder.local") && none.covers(""));
        assert!(!none.covers("xx@y") && !none.covers("@placeholder.local.example"));
    }
}
