//! The clinic's application: it made the database, it wrote the values under its old key, and it made some mistakes.
use super::{
    folder,
    people::{COLUMNS, Patient},
};
use crate::failure::Failure;
use reencrypt_crypto::{
    BlindIndex, BlindIndexPolicy, BlindIndexSpec, ColumnCipher, ColumnSpec, Expect, Format, KeyPair, LayoutError,
    PlaintextPolicy, Pool, Resealed, RowCipher, Rows, SecretKey,
};
use reencrypt_planner::Configuration;
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

/// The format in which the clinic's application encrypts.
const FORMAT: &str = "gcm-triple-b64-iv16";
/// Slots: the encrypted columns, then `emailHash` and `dobHash`.
const SLOTS: usize = COLUMNS.len() + 2;
const BATCH: i64 = 1000;
/// Values that no key of the configuration opens: column, how it came about, how many.
const MISTAKES: [(usize, Mistake, u32); 3] =
    [(1, Mistake::ForeignKey, 4), (0, Mistake::UpperCase, 3), (6, Mistake::CutOff, 3)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    /// sealed under a key that nobody configured
    ForeignKey,
    /// a clean-up script folded the case of the ciphertext
    UpperCase,
    /// a form cut the ciphertext off
    CutOff,
}

const TABLE: &str = r#"
CREATE TABLE "Patient" (
  "id" INTEGER PRIMARY KEY AUTOINCREMENT,
  "clinicId" INTEGER NOT NULL,
  "firstName" TEXT NOT NULL, "lastName" TEXT NOT NULL, "email" TEXT NOT NULL, "phone" TEXT NOT NULL, "dob" TEXT NOT NULL,
  "address1" TEXT NOT NULL, "address2" TEXT, "city" TEXT NOT NULL, "state" TEXT NOT NULL, "zip" TEXT NOT NULL,
  "emailHash" TEXT, "dobHash" TEXT,
  "createdAt" TEXT NOT NULL, "updatedAt" TEXT NOT NULL)"#;
const INDEX: &str = r#"CREATE INDEX "Patient_dedup" ON "Patient" ("clinicId", "emailHash", "dobHash")"#;
const INSERT: &str = r#"
INSERT INTO "Patient" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"#;
const SELECT_ENCRYPTED: &str = r#"
SELECT "firstName", "lastName", "email", "phone", "dob", "address1", "address2", "city", "state", "zip"
FROM "Patient" WHERE "id" = $1"#;
const SELECT_REST: &str = r#"
SELECT "id", "clinicId", "createdAt", "updatedAt" FROM "Patient" WHERE "id" > $1 ORDER BY "id" LIMIT 10000"#;

/// What stands in one column, as the application knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) encrypted: u64,
    pub(super) null: u64,
    pub(super) empty: u64,
    pub(super) plaintext: u64,
    pub(super) unreadable: u64,
}

/// A filled database, and all that must be true of it after a rotation.
pub(super) struct Clinic {
    connection: SqliteConnection,
    pub(super) rows: u64,
    pub(super) expected: [Expected; COLUMNS.len()],
    unreadable: Vec<(i64, usize, String)>,
    rest: u64,
}

impl Clinic {
    /// Makes the database and fills it with `rows` patients under the old key.
    pub(super) async fn open(file: &Path, rows: u32, old: SecretKey) -> Result<Self, Failure> {
        let options =
            SqliteConnectOptions::new().filename(file).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let mut connection = options.disable_statement_logging().connect().await.map_err(broken)?;
        for statement in [TABLE, INDEX] {
            sqlx::query(statement).execute(&mut connection).await.map_err(broken)?;
        }
        let expected = [Expected::default(); COLUMNS.len()];
        let mut clinic = Self { connection, rows: u64::from(rows), expected, unreadable: Vec::new(), rest: 0 };
        clinic.fill(&Ciphers::new(old)?).await?;
        clinic.rest = clinic.rest_of_the_rows().await?;
        Ok(clinic)
    }

    /// Whether every column but the encrypted ones, and the set of rows, are as they were.
    pub(super) async fn rest_is_untouched(&mut self) -> Result<bool, Failure> {
        Ok(self.rest_of_the_rows().await? == self.rest)
    }

    /// Whether every value that no key opens is byte for byte as it was.
    pub(super) async fn unreadable_is_untouched(&mut self) -> Result<bool, Failure> {
        for (id, column, value) in &self.unreadable {
            let row = sqlx::query(SELECT_ENCRYPTED).bind(id).fetch_one(&mut self.connection).await.map_err(broken)?;
            if row.try_get::<Option<String>, _>(*column).map_err(broken)?.as_ref() != Some(value) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Values that no key opens.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable.len() as u64
    }

    async fn fill(&mut self, ciphers: &Ciphers) -> Result<(), Failure> {
        let last = self.rows as i64;
        let mistakes = mistakes(self.rows);
        for first in (1..=last).step_by(BATCH as usize) {
            let patients: Vec<Patient> = (first..=last.min(first + BATCH - 1)).map(Patient::invent).collect();
            let stored = ciphers.store(&patients, &mistakes)?;
            let mut transaction = self.connection.begin().await.map_err(broken)?;
            for (patient, slots) in patients.iter().zip(&stored) {
                let mut insert = sqlx::query(INSERT).bind(patient.id).bind(patient.clinic_id);
                for value in slots {
                    insert = insert.bind(value.as_deref());
                }
                let insert = insert.bind(&patient.created_at).bind(&patient.updated_at);
                insert.execute(&mut *transaction).await.map_err(broken)?;
            }
            transaction.commit().await.map_err(broken)?;
            for (patient, slots) in patients.iter().zip(&stored) {
                self.remember(patient, slots, &mistakes);
            }
        }
        Ok(())
    }

    fn remember(&mut self, patient: &Patient, slots: &[Option<String>], mistakes: &[(i64, usize, Mistake)]) {
        for (column, value) in slots.iter().take(COLUMNS.len()).enumerate() {
            let expected = &mut self.expected[column];
            match value.as_deref() {
                None => expected.null += 1,
                Some("") => expected.empty += 1,
                Some(_) if patient.plaintext == Some(column) => expected.plaintext += 1,
                Some(value) if mistake_of(mistakes, patient.id, column).is_some() => {
                    expected.unreadable += 1;
                    self.unreadable.push((patient.id, column, value.to_owned()));
                }
                Some(_) => expected.encrypted += 1,
            }
        }
    }

    async fn rest_of_the_rows(&mut self) -> Result<u64, Failure> {
        let mut digest = DefaultHasher::new();
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(SELECT_REST).bind(after).fetch_all(&mut self.connection).await.map_err(broken)?;
            let Some(last) = rows.last() else { return Ok(digest.finish()) };
            after = last.try_get(0).map_err(broken)?;
            for row in &rows {
                row.try_get::<i64, _>(0).map_err(broken)?.hash(&mut digest);
                row.try_get::<i64, _>(1).map_err(broken)?.hash(&mut digest);
                row.try_get::<String, _>(2).map_err(broken)?.hash(&mut digest);
                row.try_get::<String, _>(3).map_err(broken)?.hash(&mut digest);
            }
        }
    }
}

/// Which values go wrong, spread over the whole range.
fn mistakes(rows: u64) -> Vec<(i64, usize, Mistake)> {
    let all: u32 = MISTAKES.iter().map(|(_, _, times)| times).sum();
    let each = MISTAKES.iter().flat_map(|(column, mistake, times)| (0..*times).map(move |_| (*column, *mistake)));
    let mut found = Vec::new();
    for (n, (column, mistake)) in (1..).zip(each) {
        let mut id = (rows * n / u64::from(all + 1)) as i64;
        // Only a value that is there can go wrong.
        while Patient::invent(id).fields[column].as_deref().is_none_or(str::is_empty) {
            id += 1;
        }
        found.push((id, column, mistake));
    }
    found
}

fn mistake_of(mistakes: &[(i64, usize, Mistake)], id: i64, column: usize) -> Option<Mistake> {
    mistakes.iter().find(|m| m.0 == id && m.1 == column).map(|m| m.2)
}

/// The application's own encryption: a rotation from a key that opens nothing, with every plaintext encrypted, is exactly that.
struct Ciphers {
    pool: Pool,
    right: RowCipher,
    /// under a key that nobody configured
    foreign: RowCipher,
}

impl Ciphers {
    fn new(old: SecretKey) -> Result<Self, Failure> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self { pool: Pool::new(threads), right: cipher(old)?, foreign: cipher(folder::random_key()?)? })
    }

    fn store(
        &self,
        patients: &[Patient],
        mistakes: &[(i64, usize, Mistake)],
    ) -> Result<Vec<[Option<String>; SLOTS]>, Failure> {
        let sealed = self.pool.reseal(&self.right, &Batch(patients), Expect::Old);
        let mut rows = Vec::with_capacity(patients.len());
        for (at, patient) in patients.iter().enumerate() {
            let mut row: [Option<String>; SLOTS] = Default::default();
            for (slot, stored) in row.iter_mut().enumerate() {
                let written = patient.fields.get(slot).cloned().flatten();
                *stored = match text(&sealed, at, slot)? {
                    Some(_) if patient.plaintext == Some(slot) => written,
                    Some(value) => Some(match mistake_of(mistakes, patient.id, slot) {
                        None => value,
                        Some(Mistake::UpperCase) => value.to_uppercase(),
                        Some(Mistake::CutOff) => value[..value.len() - 5].to_owned(),
                        Some(Mistake::ForeignKey) => self.foreign(patient, slot)?,
                    }),
                    None => written,
                };
            }
            rows.push(row);
        }
        Ok(rows)
    }

    fn foreign(&self, patient: &Patient, slot: usize) -> Result<String, Failure> {
        let sealed = self.pool.reseal(&self.foreign, &Batch(std::slice::from_ref(patient)), Expect::Old);
        Ok(text(&sealed, 0, slot)?.unwrap_or_default())
    }
}

fn text(sealed: &Resealed, row: usize, slot: usize) -> Result<Option<String>, Failure> {
    let value = sealed.value(row, slot).map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
    value.map_err(|_| Failure::new("internal_error", format!("{FORMAT} wrote something that is no text"), "report it"))
}

fn cipher(key: SecretKey) -> Result<RowCipher, Failure> {
    let wrong = |e: LayoutError| {
        Failure::new("internal_error", format!("the clinic's values cannot be made: {e}"), "report it")
    };
    let keys = Arc::new(KeyPair { old: Some(folder::random_key()?), new: Some(key) });
    let format = Format::preset(FORMAT)
        .ok_or_else(|| Failure::new("internal_error", format!("the format {FORMAT} is missing"), "report it"))?;
    let column = |name: &&str| {
        let spec = ColumnSpec {
            read: vec![format.clone()],
            write: format.clone(),
            plaintext: PlaintextPolicy::Encrypt,
            nesting_max: 1,
            table: "Patient".to_owned(),
            column: (*name).to_owned(),
        };
        ColumnCipher::new(spec, &keys).map_err(wrong)
    };
    let columns = COLUMNS.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let indexes = indexes(&Configuration::parse(folder::CONFIGURATION_TEXT)?);
    let indexes = indexes.into_iter().map(|(spec, of)| BlindIndex::new(spec, of, &keys).map_err(wrong));
    Ok(RowCipher::new(columns, indexes.collect::<Result<Vec<_>, _>>()?))
}

/// The configured blind indexes, each with the position of its column.
fn indexes(configuration: &Configuration) -> Vec<(BlindIndexSpec, usize)> {
    let all = configuration.tables.iter().flat_map(|table| &table.blind_indexes);
    let with_position = all.filter_map(|index| Some((index, COLUMNS.iter().position(|name| *name == index.of)?)));
    with_position
        .map(|(index, at)| (BlindIndexSpec { policy: BlindIndexPolicy::Fill, ..index.spec.clone() }, at))
        .collect()
}

/// Patients before encryption; the hashes are still missing.
struct Batch<'p>(&'p [Patient]);

impl Rows for Batch<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0[row].fields.get(slot)?.as_deref().map(str::as_bytes)
    }
}

fn broken(e: sqlx::Error) -> Failure {
    Failure::new(
        "demo_database",
        format!("the clinic's database failed: {e}"),
        "is the disk full? name another folder with --dir",
    )
}
