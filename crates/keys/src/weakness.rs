//! Keys that somebody could guess. Only the shape of the bytes is looked at; what is said of them names no byte.

/// Why bytes are no key, whatever their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// `00000000…`
    #[error("all its bytes are equal")]
    AllEqual,
    /// `000102…`, `ffeedd…`
    #[error("its bytes count up or down in equal steps")]
    Counting,
    /// `deadbeefdeadbeef…`
    #[error("it repeats a pattern of {period} bytes")]
    Repeating {
        /// bytes of the pattern
        period: usize,
    },
    /// `70617373776f7264…`
    #[error("its bytes are readable text: a password or a placeholder, and no random key")]
    Text,
    /// a short key filled up with one byte
    #[error("{run} of its bytes in a row are equal: a shorter key, filled up")]
    Padded {
        /// bytes of the longest run
        run: usize,
    },
    /// a text secret that can be guessed
    #[error("it has {chars} characters, and fewer than {TEXT_CHARS_MIN} can be guessed")]
    Short {
        /// characters
        chars: usize,
    },
    /// typed by hand
    #[error("it is made of {distinct} different bytes only")]
    FewValues {
        /// how many
        distinct: usize,
    },
}

/// A run of equal bytes that no random key of 32 bytes has (once in 10^15).
const RUN_MIN: usize = 8;
/// A random key of 32 bytes has about 30 different ones, and never so few (once in 10^20).
const DISTINCT_OF_32: usize = 12;

/// A text secret has at least so many characters.
const TEXT_CHARS_MIN: usize = 16;

/// What is weak about a secret that is text by design, such as a signing secret: being text is no weakness of it.
pub fn text_weakness(text: &str) -> Option<Weakness> {
    match text.chars().count() {
        chars if chars < TEXT_CHARS_MIN => Some(Weakness::Short { chars }),
        _ => weakness(text.as_bytes()).filter(|&weakness| weakness != Weakness::Text),
    }
}

/// What is weak about a key's bytes, the worst first. A random key of 32 bytes passes, but for a chance of less
/// than one in 10^12.
pub fn weakness(bytes: &[u8]) -> Option<Weakness> {
    let first = bytes.first()?;
    if bytes.iter().all(|byte| byte == first) {
        return Some(Weakness::AllEqual);
    }
    if bytes.len() > 3 && bytes.windows(3).all(|w| w[1].wrapping_sub(w[0]) == w[2].wrapping_sub(w[1])) {
        return Some(Weakness::Counting);
    }
    if let Some(period) = (2..=bytes.len() / 2).find(|&period| bytes[period..] == bytes[..bytes.len() - period]) {
        return Some(Weakness::Repeating { period });
    }
    if bytes.iter().all(|&byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')) {
        return Some(Weakness::Text);
    }
    let run = bytes.chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or_default();
    if run >= RUN_MIN {
        return Some(Weakness::Padded { run });
    }
    let mut seen = [false; 256];
    bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
    let distinct = seen.iter().filter(|&&seen| seen).count();
    (bytes.len() >= 32 && distinct < DISTINCT_OF_32).then_some(Weakness::FewValues { distinct })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random and are the same in every test.
    fn random_looking(seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_le_bytes()
        };
        (0..4).flat_map(|_| next()).collect()
    }

    #[test]
    fn each_weakness_is_told() {
        let padded = [&random_looking(1)[..16], &[0; 16]].concat();
        let few: Vec<u8> = random_looking(2).iter().map(|byte| byte % 7 * 31).collect();
        let typed = b"correct horse battery staple 123";
        for (key, weakness_of_it) in [
            (vec![0; 32], Weakness::AllEqual),
            (vec![0x5a; 32], Weakness::AllEqual),
            ((0..32).collect(), Weakness::Counting),
            ((0..32).map(|n| 255 - 8 * n).collect(), Weakness::Counting),
            ([0xde, 0xad, 0xbe, 0xef].repeat(8), Weakness::Repeating { period: 4 }),
            ([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4), Weakness::Repeating { period: 8 }),
            (random_looking(3)[..16].repeat(2), Weakness::Repeating { period: 16 }),
            // The pattern need not fit the length.
            ([1, 2, 9].repeat(11)[..32].to_vec(), Weakness::Repeating { period: 3 }),
            (typed.to_vec(), Weakness::Text),
            // Half of the hex digits of a key, taken for its bytes.
            (b"9f86d081884c7d659a2feaa0c55ad015".to_vec(), Weakness::Text),
            (padded, Weakness::Padded { run: 16 }),
            (few, Weakness::FewValues { distinct: 7 }),
        ] {
            assert_eq!(weakness(&key), Some(weakness_of_it), "{key:02x?}");
        }
    }

    #[test]
    fn random_keys_are_not_weak() {
        for seed in 0..20_000 {
            let key = random_looking(seed);
            assert_eq!(weakness(&key), None, "{key:02x?}");
            assert_eq!(weakness(&key[..16]), None, "{:02x?}", &key[..16]);
        }
        assert_eq!(weakness(&[]), None, "what is not there has no weakness");
    }

    #[test]
    fn a_text_secret_may_be_text_but_no_guess() {
        assert_eq!(text_weakness("hunter2"), Some(Weakness::Short { chars: 7 }));
        assert_eq!(text_weakness("changeme-changeme-"), Some(Weakness::Repeating { period: 9 }));
        assert_eq!(text_weakness("xxxxxxxxxxxxxxxxxxxxxxxx"), Some(Weakness::AllEqual));
        assert_eq!(text_weakness("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), Some(Weakness::Counting));
        assert_eq!(text_weakness("sGnZ8Yt+1mXw0aJq4Lr7"), None);
    }

    #[test]
    fn what_is_said_holds_no_byte_of_the_key() {
        let told =
            [weakness(&[0x5a; 32]), weakness(&[0xde, 0xad].repeat(16)), weakness(b"hunter2 hunter2 and hunter3 too!")];
        for told in told.map(|told| told.expect("weak").to_string()) {
            assert!(!told.contains("5a") && !told.contains("dead") && !told.contains("hunter"), "{told}");
        }
    }
}
