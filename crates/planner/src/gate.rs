//! The wrong-key gate: a wrong key is refused before the first write, not quarantined value by value.
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
    pub fn of(&self, _shaped: u64) -> u64 {
        unimplemented!()
    }
}
impl std::str::FromStr for Ceiling {
    type Err = String;
    fn from_str(_s: &str) -> Result<Self, String> {
        unimplemented!()
    }
}
impl Default for Ceiling {
    fn default() -> Self {
        Ceiling::Percent(1.0)
    }
}
/// Strictly shaped values of one column: what opened and what did not. The same judgement serves the sample and the running run.
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
    pub fn refused(&self, _ceiling: Ceiling) -> bool {
        unimplemented!()
    }
}
