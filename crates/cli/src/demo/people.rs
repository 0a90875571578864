//! Invented patients: the same for the same number, and nobody's data.

/// The encrypted columns of the clinic's `Patient`, in its order.
pub(super) const COLUMNS: [&str; 10] =
    ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"];

/// What the application wrote: `None` is NULL.
pub(super) struct Patient {
    pub(super) id: i64,
    pub(super) clinic_id: i64,
    pub(super) fields: [Option<String>; COLUMNS.len()],
    /// ISO 8601
    pub(super) created_at: String,
    /// ISO 8601
    pub(super) updated_at: String,
    /// the column that an old writer stored without encrypting it
    pub(super) plaintext: Option<usize>,
}

const FIRST: [&str; 16] = [
    "Avery", "Blake", "Casey", "Devon", "Ellis", "Frankie", "Greer", "Harper", "Indigo", "Jules", "Kai", "Lennon",
    "Morgan", "Noor", "Quinn", "Zoë",
];
const LAST: [&str; 12] = [
    "Demo",
    "Example",
    "Fixture",
    "Mockley",
    "O'Sample",
    "Placeholder",
    "Prototype",
    "Sample",
    "Specimen",
    "Testerson",
    "Testmüller",
    "Trialwood",
];
const STREETS: [&str; 8] = [
    "Example Street",
    "Fixture Road",
    "Invented Avenue",
    "Made-up Lane",
    "Nowhere Drive",
    "Sample Square",
    "Test Way",
    "Trial Court",
];
const CITIES: [&str; 8] =
    ["Demoburg", "Exampleton", "Fixtureville", "Mock Hill", "Port Sample", "Specimen Falls", "Testville", "Trialford"];
const STATES: [&str; 6] = ["CA", "FL", "NJ", "NY", "TX", "WA"];
/// Columns that some writers fill without encrypting.
const SOMETIMES_PLAINTEXT: [usize; 4] = [3, 5, 7, 9];

impl Patient {
    /// The patient of that number, from 1.
    pub(super) fn invent(id: i64) -> Self {
        let mut dice = Dice(id.unsigned_abs());
        let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
        let unknown = dice.one_in(200);
        let email = if unknown {
            "unknown@example.com".to_owned()
        } else {
            let ascii: String =
                format!("{first}.{last}").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
            format!("{}.{id}@example.{}", ascii.to_lowercase(), dice.pick(&["com", "net", "org"]))
        };
        let dob = if unknown {
            "1900-01-01".to_owned()
        } else {
            format!("{}-{:02}-{:02}", 1930 + dice.below(80), 1 + dice.below(12), 1 + dice.below(28))
        };
        let phone = format!("555-01{:02}", dice.below(100));
        let address1 =
            if dice.one_in(50) { String::new() } else { format!("{} {}", 1 + dice.below(999), dice.pick(&STREETS)) };
        let address2 = dice.one_in(2).then(|| format!("Apt {}", 1 + dice.below(99)));
        let (city, state) = (dice.pick(&CITIES), dice.pick(&STATES));
        let zip = if dice.one_in(100) { String::new() } else { format!("000{:02}", dice.below(100)) };
        let plaintext = dice.one_in(100).then(|| SOMETIMES_PLAINTEXT[dice.below(4) as usize]);
        let day = 1 + dice.below(28);
        let fields = [first.into(), last.into(), email, phone, dob, address1].map(Some);
        let [first, last, email, phone, dob, address1] = fields;
        Self {
            id,
            clinic_id: 1 + dice.below(12) as i64,
            fields: [
                first,
                last,
                email,
                phone,
                dob,
                address1,
                address2,
                Some(city.into()),
                Some(state.into()),
                Some(zip),
            ],
            created_at: format!("2024-03-{day:02}T09:{:02}:00.000Z", dice.below(60)),
            updated_at: format!("2025-11-{day:02}T16:{:02}:00.000Z", dice.below(60)),
            plaintext,
        }
    }
}

/// SplitMix64: good enough to invent people, and for nothing else.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn pick<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_are_the_same_every_time_and_of_every_sort() {
        let people: Vec<_> = (1..=1000).map(Patient::invent).collect();
        assert!(people.iter().zip((1..=1000).map(Patient::invent)).all(|(a, b)| a.fields == b.fields));
        let share = |what: &dyn Fn(&Patient) -> bool| people.iter().filter(|p| what(p)).count();
        assert!((1..50).contains(&share(&|p| p.plaintext.is_some())));
        assert!((1..50).contains(&share(&|p| p.fields.iter().flatten().any(String::is_empty))));
        assert!((300..700).contains(&share(&|p| p.fields[6].is_none())));
        assert!(share(&|p| p.fields[2].as_deref() == Some("unknown@example.com")) > 0);
    }

    #[test]
    fn addresses_lie_in_reserved_domains() {
        for id in 1..=1000 {
            let email = Patient::invent(id).fields[2].clone().expect("always there");
            let domain = email.split('@').next_back().expect("has a domain");
            assert!(["example.com", "example.net", "example.org"].contains(&domain), "{email}");
        }
    }
}
