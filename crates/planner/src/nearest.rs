//! Words of a message: names as they are shown, the known name that somebody may have meant, counts.

/// The candidate closest to `word`, letter case aside, or `None` where none is close.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = word.to_lowercase();
    let distance_max = (wanted.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, candidate)| distance <= distance_max && distance < candidate.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ...?`, or nothing.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|name| format!("; did you mean {}?", shown(name))).unwrap_or_default()
}

/// A name for a message: quoted, control characters escaped. What is longer than a name is not repeated, since it might
/// be a secret in the wrong place.
pub(crate) fn shown(name: &str) -> String {
    const NAME_CHARS_MAX: usize = 63;
    if name.chars().count() > NAME_CHARS_MAX {
        return format!("a name of {} characters", name.chars().count());
    }
    format!("`{}`", reencrypt_db::shown(name))
}

/// `1 value`, `2 values`: a count with the words for one and for any other number.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_wrong_case_but_nothing_far_away() {
        let names = ["plaintext", "format", "kind"];
        assert_eq!(nearest("plaintxt", names), Some("plaintext"));
        assert_eq!(nearest("FORMAT", names), Some("format"));
        assert_eq!(nearest("encrypted_with", names), None);
        assert_eq!(nearest("ab", ["cd"]), None);
        assert_eq!(nearest("patient", ["Patient", "Patients"]), Some("Patient"));
    }

    #[test]
    fn control_characters_are_escaped_and_long_text_is_not_repeated() {
        assert_eq!(shown("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert!(!shown(&"ab".repeat(32)).contains("abab"));
    }
}
