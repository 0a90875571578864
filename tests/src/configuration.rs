//! `reencrypt.toml` for the Patient table.
use crate::COLUMNS;
use std::fmt::Write as _;

/// The format of the platform's values.
pub const FORMAT: &str = "gcm-triple-b64-iv16";

/// What the file says; the default is what the platform needs, with plaintext kept.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// `[environment] name`
    pub environment: String,
    /// `[[table]] name`
    pub table: String,
    /// `plaintext` of every column
    pub plaintext: &'static str,
    /// `nesting_max` of every column
    pub nesting_max: u8,
    /// with `emailHash` and `dobHash`
    pub blind_indexes: bool,
    /// `policy` of the blind indexes
    pub hash_policy: &'static str,
    /// more lines for the table
    pub table_extra: String,
    /// lines before everything else
    pub head: String,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            environment: "test".to_owned(),
            table: "Patient".to_owned(),
            plaintext: "keep",
            nesting_max: 1,
            blind_indexes: true,
            hash_policy: "recompute",
            table_extra: String::new(),
            head: String::new(),
        }
    }
}

impl Configuration {
    /// As TOML.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n[environment]\nname = \"{}\"\n\n[[table]]\nname = \"{}\"\n{}\n[table.columns]\n",
            self.head, self.environment, self.table, self.table_extra
        );
        for column in COLUMNS {
            let _ = writeln!(
                text,
                "{column} = {{ format = \"{FORMAT}\", plaintext = \"{}\", nesting_max = {} }}",
                self.plaintext, self.nesting_max
            );
        }
        if self.blind_indexes {
            text.push_str(&self.blind_index("emailHash", "email", r#"["trim", "lowercase"]"#, EMAIL_PLACEHOLDERS));
            text.push_str(&self.blind_index("dobHash", "dob", r#"["trim", "date"]"#, r#"{ values = ["1900-01-01"] }"#));
        }
        text
    }

    fn blind_index(&self, column: &str, of: &str, normalize: &str, none_for: &str) -> String {
        format!(
            r#"
[[table.blind_index]]
column = "{column}"
of = "{of}"
algorithm = "hmac-sha256"
subkey = [{{ hmac = "sha256", msg = "patient-dedup-v1" }}]
normalize = {normalize}
none_for = {none_for}
policy = "{}"
"#,
            self.hash_policy
        )
    }
}

const EMAIL_PLACEHOLDERS: &str =
    r#"{ values = ["unknown@example.com"], suffixes = ["@placeholder.local", "@intake.local"] }"#;
