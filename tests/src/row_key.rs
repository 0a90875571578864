//! Row keys of every kind that the tool must walk.
use std::fmt;

/// What identifies a patient's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKey {
    /// `integer`, 1, 2, 3 …
    Int,
    /// `bigint`, far apart, negative ones among them
    Bigint,
    /// `uuid`, in no order of their making
    Uuid,
    /// `text` whose collation orders otherwise than its bytes do
    Text,
    /// two texts and a number
    Composite,
}

impl RowKey {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Int, Self::Bigint, Self::Uuid, Self::Text, Self::Composite];

    /// Names of the key's columns.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Composite => &["region", "chart", "id"],
            _ => &["id"],
        }
    }

    /// Definition of the key's columns on PostgreSQL.
    pub(crate) fn postgres_columns(self) -> &'static str {
        match self {
            Self::Int => r#""id" integer NOT NULL"#,
            Self::Bigint => r#""id" bigint NOT NULL"#,
            Self::Uuid => r#""id" uuid NOT NULL"#,
            Self::Text => r#""id" text COLLATE "de-x-icu" NOT NULL"#,
            Self::Composite => {
                r#""region" text COLLATE "sv-x-icu" NOT NULL, "chart" varchar(40) NOT NULL, "id" integer NOT NULL"#
            }
        }
    }

    /// Definition of the key's columns on SQLite, which has one kind of integer and no uuid.
    pub(crate) fn sqlite_columns(self) -> &'static str {
        match self {
            Self::Int | Self::Bigint => r#""id" INTEGER NOT NULL"#,
            Self::Uuid => r#""id" TEXT NOT NULL"#,
            Self::Text => r#""id" TEXT COLLATE NOCASE NOT NULL"#,
            Self::Composite => r#""region" TEXT NOT NULL, "chart" TEXT NOT NULL, "id" INTEGER NOT NULL"#,
        }
    }

    /// The key of patient `number`, one text a column.
    pub fn of(self, number: i64) -> Vec<String> {
        let scattered = scatter(number as u64);
        match self {
            Self::Int => vec![number.to_string()],
            Self::Bigint => vec![(number * 4_294_967_311 * if number % 2 == 0 { 1 } else { -1 }).to_string()],
            Self::Uuid => vec![uuid::Uuid::from_u64_pair(scattered, scatter(!scattered)).to_string()],
            Self::Text => {
                const PREFIX: [&str; 8] = ["ä", "a", "Z", "z", "Ä", "-a", "ß", "ss"];
                vec![format!("{}{number:x}", PREFIX[(scattered % 8) as usize])]
            }
            Self::Composite => {
                const REGION: [&str; 5] = ["Ö", "o", "Z", "Å", "a"];
                let region = REGION[(scattered % 5) as usize].to_owned();
                vec![region, format!("C {}", number / 10), (number % 10 - 5).to_string()]
            }
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "int",
            Self::Bigint => "bigint",
            Self::Uuid => "uuid",
            Self::Text => "text",
            Self::Composite => "composite",
        })
    }
}

/// SplitMix64: neighbours end up far apart.
fn scatter(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_patients_share_a_row_key() {
        for kind in RowKey::ALL {
            let keys: HashSet<_> = (0..20_000).map(|n| kind.of(n)).collect();
            assert_eq!(keys.len(), 20_000, "{kind}");
        }
    }

    #[test]
    fn the_text_keys_are_out_of_byte_order() {
        let keys: Vec<_> = (0..100).map(|n| RowKey::Text.of(n).remove(0)).collect();
        assert!(!keys.is_sorted());
        assert!(keys.iter().any(|key| key.starts_with('Z')) && keys.iter().any(|key| key.starts_with('ä')));
    }
}
