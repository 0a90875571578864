//! The wrong-key gate: a wrong key is refused before the first write, not quarantined value by value.
//!
//! Evidence are strictly shaped values alone, those that were not accepted before: plaintext, NULL and near misses say
//! nothing about a key.

/// Unreadable values that are never too many, whatever the share.
const FAILS_ALWAYS_TOLERATED: u64 = 10;

/// How many unreadable values are tolerated: `--max-unreadable N|P%`, 1 % by default, never below 10 values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ceiling {
    /// so many values
    Values(u64),
    /// a share of the strictly shaped values, 0..=100
    Percent(f64),
}

impl Ceiling {
    /// The ceiling for `shaped` strictly shaped values, at least 10.
    pub fn of(&self, shaped: u64) -> u64 {
        let ceiling = match *self {
            Ceiling::Values(values) => values,
            // Exact below 2^53 values; a product that is not finite saturates.
            Ceiling::Percent(percent) => (shaped as f64 * percent / 100.0) as u64,
        };
        ceiling.max(FAILS_ALWAYS_TOLERATED)
    }
}

impl Default for Ceiling {
    fn default() -> Self {
        Ceiling::Percent(1.0)
    }
}

impl std::fmt::Display for Ceiling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ceiling::Values(values) => write!(f, "{values}"),
            Ceiling::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl std::str::FromStr for Ceiling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || "a number of values such as `100`, or a share from 0% to 100% such as `1%`".to_owned();
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Ceiling::Values).map_err(|_| problem());
        };
        let percent: f64 = percent.trim_end().parse().map_err(|_| problem())?;
        if (0.0..=100.0).contains(&percent) { Ok(Ceiling::Percent(percent)) } else { Err(problem()) }
    }
}

/// Strictly shaped values of one column: what opened and what did not. The same judgement serves the sample and the
/// running run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GateCounts {
    /// opens under the new key
    pub opens_new: u64,
    /// opens under the old key
    pub opens_old: u64,
    /// opens under neither
    pub fails: u64,
}

impl GateCounts {
    /// Refused when nothing opens and something fails, or when fails > max(10, ceiling) and fails >= opens_old.
    pub fn refused(&self, ceiling: Ceiling) -> bool {
        let nothing_opens = self.opens_new == 0 && self.opens_old == 0;
        let too_many = self.fails > ceiling.of(self.shaped()) && self.fails >= self.opens_old;
        self.fails > 0 && (nothing_opens || too_many)
    }

    /// All strictly shaped values.
    pub fn shaped(&self) -> u64 {
        self.opens_new + self.opens_old + self.fails
    }
}

impl std::ops::AddAssign for GateCounts {
    fn add_assign(&mut self, other: Self) {
        self.opens_new += other.opens_new;
        self.opens_old += other.opens_old;
        self.fails += other.fails;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(opens_new: u64, opens_old: u64, fails: u64) -> bool {
        GateCounts { opens_new, opens_old, fails }.refused(Ceiling::default())
    }

    #[test]
    fn nothing_that_opens_and_one_failure_is_a_wrong_key() {
        assert!(refused(0, 0, 1));
        assert!(refused(0, 0, 1000));
        assert!(!refused(0, 0, 0), "plaintext and NULL are no evidence");
    }

    #[test]
    fn a_few_unreadable_values_among_many_are_quarantined_not_refused() {
        assert!(!refused(0, 990, 10));
        assert!(!refused(0, 5, 10), "ten are always tolerated");
        assert!(refused(0, 5, 11));
        assert!(!refused(0, 500, 400), "fewer failures than values of the old key");
        assert!(refused(0, 400, 400));
        assert!(refused(600, 0, 400), "a rerun with another old key while the new one opens much");
        assert!(!refused(990, 0, 10), "a finished run with residue");
    }

    #[test]
    fn ceilings_are_read_as_values_or_shares() {
        assert_eq!("100".parse(), Ok(Ceiling::Values(100)));
        assert_eq!("1%".parse(), Ok(Ceiling::Percent(1.0)));
        assert_eq!("0.5 %".parse(), Ok(Ceiling::Percent(0.5)));
        for wrong in ["", "%", "-1", "101%", "NaN%", "inf%", "-1%", "ten", "1.5"] {
            assert!(wrong.parse::<Ceiling>().is_err(), "{wrong}");
        }
        assert_eq!(Ceiling::Percent(1.0).of(100), 10, "never below ten");
        assert_eq!(Ceiling::Percent(1.0).of(5000), 50);
        assert_eq!(Ceiling::Values(3).of(5000), 10);
        assert_eq!(Ceiling::Values(70).of(5), 70);
    }

    proptest! {
        #[test]
        fn more_failures_are_never_judged_better(opens_new in 0..2000u64, opens_old in 0..2000u64, fails in 0..2000u64) {
            let judge = |fails| GateCounts { opens_new, opens_old, fails }.refused(Ceiling::Percent(1.0));
            prop_assert!(!judge(fails) || judge(fails + 1));
        }

        #[test]
        fn a_ceiling_survives_its_own_text(values in any::<u64>(), percent in 0.0..=100.0f64) {
            prop_assert_eq!(Ceiling::Values(values).to_string().parse(), Ok(Ceiling::Values(values)));
            prop_assert_eq!(Ceiling::Percent(percent).to_string().parse(), Ok(Ceiling::Percent(percent)));
        }
    }
}
