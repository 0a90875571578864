//! The patients of the tests: number `n` always is the same person.
use std::fmt::Write as _;

/// The encrypted columns of the platform's Patient table. `address2` alone may be NULL.
pub const COLUMNS: [&str; 10] =
    ["firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"];

/// Positions in [`COLUMNS`] that something hangs on.
pub(crate) const EMAIL: usize = 2;
pub(crate) const DOB: usize = 4;
pub(crate) const ADDRESS2: usize = 6;

/// One row as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    /// `patientNumber`: which patient this is, whatever the type of the row key
    pub number: i64,
    /// the encrypted columns in the order of [`COLUMNS`]
    pub values: [Option<String>; 10],
    /// `emailHash`
    pub email_hash: Option<String>,
    /// `dobHash`
    pub dob_hash: Option<String>,
    /// every other column, row key included
    pub rest: String,
}

/// What patient `number` has in a column. The empty string never stands here; `None` is NULL.
pub fn plaintext(number: i64, column: usize) -> Option<String> {
    const FIRST: [&str; 8] = ["Zoë", "Søren", "José", "Mary Ann", "Łukasz", "Nguyễn", "O'Neil", "Wei"];
    const LAST: [&str; 8] = ["O'Brien", "Müller", "García-López", "Smith", "Çelik", "van der Berg", "Li", "Ivanova"];
    const CITY: [&str; 6] = ["Tampa", "Saint Paul", "Coeur d’Alene", "Boise", "Añasco", "New York"];
    const STATE: [&str; 6] = ["FL", "MN", "ID", "TX", "PR", "NY"];
    let n = number.unsigned_abs();
    let pick = |items: &[&str]| items[(n % items.len() as u64) as usize].to_owned();
    let mut text = String::new();
    let _ = match column {
        0 => write!(text, "{} {n}", pick(&FIRST)),
        1 => write!(text, "{}", pick(&LAST)),
        2 => write!(text, "Patient.{n}@Example.com"),
        3 => write!(text, "813{:07}", n % 10_000_000),
        4 => write!(text, "{:04}-{:02}-{:02}", 1930 + n % 80, 1 + n % 12, 1 + n % 28),
        5 => write!(text, "{n} Rue de l’Église"),
        6 if n.is_multiple_of(3) => return None,
        6 => write!(text, "Apt {}", n % 90),
        7 => write!(text, "{}", pick(&CITY)),
        8 => write!(text, "{}", pick(&STATE)),
        9 => write!(text, "{:05}", n % 100_000),
        _ => unreachable!("there are ten columns"),
    };
    Some(text)
}
