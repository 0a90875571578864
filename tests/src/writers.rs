//! The application: several clients that write while the tool runs, each to patients of its own, and write down what was acknowledged.
use crate::{
    COLUMNS, Cipher, Database, Entry, Ledger, Random, Role, Seeding, dob_hash, email_hash,
    patient::{ADDRESS2, DOB, EMAIL},
};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// Which key the application encrypts with. It always reads with both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKey {
    /// before cutover
    Old,
    /// after cutover
    New,
}

/// Writers at work.
pub struct Writers {
    orders: Arc<Orders>,
    tasks: Vec<JoinHandle<Ledger>>,
}

#[derive(Default)]
struct Orders {
    new_key: AtomicBool,
    stop: AtomicBool,
}

impl Writers {
    /// Starts so many on a PostgreSQL database.
    pub fn start(database: &Database, seeding: &Seeding, count: i64, random: &Random) -> Self {
        let orders = Arc::new(Orders::default());
        let url = database.as_postgres().url(Role::Application);
        let writer = |index| Writer {
            index,
            count,
            inserted: 0,
            url: url.clone(),
            seeding: seeding.clone(),
            old: Cipher::new(&seeding.keys.old),
            new: Cipher::new(&seeding.keys.new),
            random: random.fork(100 + index as u64),
            orders: orders.clone(),
            ledger: Ledger::default(),
            earlier: BTreeMap::new(),
        };
        let tasks = (0..count).map(|index| tokio::spawn(writer(index).work())).collect();
        Self { orders, tasks }
    }

    /// From now on they encrypt with this key. Returns once no write with the other one is under way.
    pub async fn switch_to(&self, key: WriteKey) {
        self.orders.new_key.store(key == WriteKey::New, Ordering::SeqCst);
        // Longer than any of their transactions.
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }

    /// Stops them; the ledger of all of them.
    pub async fn stop(self) -> Ledger {
        self.orders.stop.store(true, Ordering::SeqCst);
        let mut ledger = Ledger::default();
        for task in self.tasks {
            ledger.merge(task.await.expect("no writer failed: the tool must never make the application its victim"));
        }
        ledger
    }
}

struct Writer {
    index: i64,
    count: i64,
    inserted: i64,
    url: String,
    seeding: Seeding,
    old: Cipher,
    new: Cipher,
    random: Random,
    orders: Arc<Orders>,
    ledger: Ledger,
    /// ciphertexts under the old key that stood in a column once, with their plaintext
    earlier: BTreeMap<(i64, usize), (String, String)>,
}

impl Writer {
    async fn work(mut self) -> Ledger {
        let mut connection = crate::postgres::connect(&self.url).await;
        while !self.orders.stop.load(Ordering::SeqCst) {
            match self.random.within(0..100) {
                0..45 => self.update(&mut connection).await,
                45..58 => self.insert(&mut connection).await,
                58..65 => self.delete(&mut connection).await,
                65..72 => self.set_null(&mut connection).await,
                72..84 => self.restore(&mut connection).await,
                84..94 => self.read_and_write(&mut connection).await,
                _ => self.write_two(&mut connection).await,
            }
            tokio::time::sleep(Duration::from_millis(self.random.within(0..3))).await;
        }
        self.ledger
    }

    /// A patient of this writer's own that stands in the table.
    fn pick(&mut self) -> (i64, Box<[Option<String>; 10]>) {
        loop {
            let highest = (self.seeding.rows / self.count + self.inserted) as u64;
            let number = self.random.within(0..highest.max(1)) as i64 * self.count + self.index + 1;
            if let Entry::Present(values) = self.ledger.entry(&self.seeding, number) {
                return (number, values);
            }
        }
    }

    /// New plaintexts for a few columns.
    fn change(&mut self, values: &mut [Option<String>; 10]) -> Vec<usize> {
        let mut columns: Vec<usize> =
            (0..1 + self.random.within(0..3)).map(|_| self.random.within(0..10) as usize).collect();
        columns.sort_unstable();
        columns.dedup();
        for column in &columns {
            let n = self.random.number();
            values[*column] = Some(match *column {
                EMAIL => format!("writer{}.{n}@example.com", self.index),
                DOB => format!("{:04}-{:02}-{:02}", 1920 + n % 100, 1 + n % 12, 1 + n % 28),
                _ => format!("w{} {n:x}", self.index),
            });
        }
        columns
    }

    /// Stored values for the columns, hashes among them, by name.
    fn assignments(&mut self, values: &[Option<String>; 10], columns: &[usize]) -> Vec<(&'static str, Option<String>)> {
        let new = self.orders.new_key.load(Ordering::SeqCst);
        let key = if new { self.seeding.keys.new } else { self.seeding.keys.old };
        let mut assignments = Vec::new();
        for column in columns {
            let cipher = if new { &self.new } else { &self.old };
            let stored = values[*column].as_deref().map(|plain| cipher.seal(plain, &mut self.random));
            assignments.push((COLUMNS[*column], stored));
            match *column {
                EMAIL => {
                    assignments.push(("emailHash", values[EMAIL].as_deref().and_then(|plain| email_hash(&key, plain))))
                }
                DOB => assignments.push(("dobHash", values[DOB].as_deref().and_then(|plain| dob_hash(&key, plain)))),
                _ => (),
            }
        }
        assignments
    }

    async fn write(
        &mut self,
        connection: &mut PgConnection,
        number: i64,
        assignments: &[(&'static str, Option<String>)],
    ) {
        let key = self.seeding.row_key.of(number);
        let set: Vec<_> =
            assignments.iter().enumerate().map(|(n, (column, _))| format!("\"{column}\" = ${}", n + 1)).collect();
        let sql = format!(r#"UPDATE "Patient" SET {} WHERE {}"#, set.join(", "), self.condition(assignments.len()));
        let mut update = sqlx::query(AssertSqlSafe(sql));
        for (_, stored) in assignments {
            update = update.bind(stored.clone());
        }
        for part in key {
            update = update.bind(part);
        }
        let done = update.execute(connection).await.expect("an update of the application goes through");
        assert_eq!(done.rows_affected(), 1, "patient {number} stands where the application left it");
    }

    fn condition(&self, after: usize) -> String {
        let columns = self.seeding.row_key.columns();
        let parts: Vec<_> =
            columns.iter().enumerate().map(|(n, column)| format!("\"{column}\"::text = ${}", after + n + 1)).collect();
        match columns {
            // The usual key goes by its index.
            ["id"] if self.seeding.row_key == crate::RowKey::Int => format!("\"id\" = ${}::text::integer", after + 1),
            ["id"] if self.seeding.row_key == crate::RowKey::Uuid => format!("\"id\" = ${}::text::uuid", after + 1),
            _ => parts.join(" AND "),
        }
    }

    async fn update(&mut self, connection: &mut PgConnection) {
        let (number, mut values) = self.pick();
        let columns = self.change(&mut values);
        let assignments = self.assignments(&values, &columns);
        self.write(connection, number, &assignments).await;
        self.remember(number, &values, &columns, &assignments);
        self.ledger.note(number, Entry::Present(values));
    }

    /// Keeps ciphertexts under the old key, for an application that writes an earlier state back.
    fn remember(
        &mut self,
        number: i64,
        values: &[Option<String>; 10],
        columns: &[usize],
        assignments: &[(&'static str, Option<String>)],
    ) {
        for column in columns.iter().filter(|column| !matches!(**column, EMAIL | DOB)) {
            let stored =
                assignments.iter().find(|(name, _)| *name == COLUMNS[*column]).and_then(|(_, stored)| stored.clone());
            if let (Some(stored), Some(plain)) = (stored, values[*column].clone())
                && self.old.open(&stored).is_some()
            {
                self.earlier.insert((number, *column), (stored, plain));
            }
        }
    }

    async fn insert(&mut self, connection: &mut PgConnection) {
        let number = (self.seeding.rows / self.count + self.inserted) * self.count + self.index + 1;
        self.inserted += 1;
        if number <= self.seeding.rows {
            return;
        }
        let mut values: Box<[Option<String>; 10]> =
            Box::new(std::array::from_fn(|column| crate::plaintext(number, column)));
        self.change(&mut values);
        let all: Vec<usize> = (0..10).collect();
        let assignments = self.assignments(&values, &all);
        let key = self.seeding.row_key.columns().iter().map(|column| format!("\"{column}\""));
        let columns: Vec<_> = key.chain(assignments.iter().map(|(column, _)| format!("\"{column}\""))).collect();
        let casts = match self.seeding.row_key {
            crate::RowKey::Int => "$1::text::integer",
            crate::RowKey::Uuid => "$1::text::uuid",
            other => unreachable!("writers write to tables keyed by int and uuid, not {other}"),
        };
        let places: Vec<_> =
            std::iter::once(casts.to_owned()).chain((2..=assignments.len() + 1).map(|n| format!("${n}"))).collect();
        let sql = format!(
            r#"INSERT INTO "Patient" ({}, "patientNumber", "clinicId", "updatedAt") VALUES ({}, {number}, {}, now())"#,
            columns.join(", "),
            places.join(", "),
            number % 7
        );
        let mut insert = sqlx::query(AssertSqlSafe(sql)).bind(self.seeding.row_key.of(number).remove(0));
        for (_, stored) in assignments {
            insert = insert.bind(stored);
        }
        insert.execute(connection).await.expect("an insert of the application goes through");
        self.ledger.note(number, Entry::Present(values));
    }

    async fn delete(&mut self, connection: &mut PgConnection) {
        let (number, _) = self.pick();
        let sql = format!(r#"DELETE FROM "Patient" WHERE {}"#, self.condition(0));
        let mut delete = sqlx::query(AssertSqlSafe(sql));
        for part in self.seeding.row_key.of(number) {
            delete = delete.bind(part);
        }
        let done = delete.execute(connection).await.expect("a delete of the application goes through");
        assert_eq!(done.rows_affected(), 1, "patient {number} stands where the application left it");
        self.ledger.note(number, Entry::Deleted);
    }

    async fn set_null(&mut self, connection: &mut PgConnection) {
        let (number, mut values) = self.pick();
        values[ADDRESS2] = None;
        self.write(connection, number, &[(COLUMNS[ADDRESS2], None)]).await;
        self.ledger.note(number, Entry::Present(values));
    }

    /// Writes the very bytes that stood there once: before cutover under the old key, as an application that undoes a change does.
    async fn restore(&mut self, connection: &mut PgConnection) {
        if self.orders.new_key.load(Ordering::SeqCst) || self.earlier.is_empty() {
            return;
        }
        let at = self.random.within(0..self.earlier.len() as u64) as usize;
        let ((number, column), (stored, plain)) =
            self.earlier.iter().nth(at).map(|(k, v)| (*k, v.clone())).expect("one of them");
        let Entry::Present(mut values) = self.ledger.entry(&self.seeding, number) else { return };
        values[column] = Some(plain);
        self.write(connection, number, &[(COLUMNS[column], Some(stored))]).await;
        self.ledger.note(number, Entry::Present(values));
    }

    /// Reads a row under a lock, checks that it is what was last written, and writes it in the same transaction.
    async fn read_and_write(&mut self, connection: &mut PgConnection) {
        let (number, mut values) = self.pick();
        execute(connection, "BEGIN").await;
        let columns = COLUMNS.map(|column| format!("\"{column}\"")).join(", ");
        let sql = format!(r#"SELECT ARRAY[{columns}] FROM "Patient" WHERE {} FOR UPDATE"#, self.condition(0));
        let mut select = sqlx::query_scalar::<_, Vec<Option<String>>>(AssertSqlSafe(sql));
        for part in self.seeding.row_key.of(number) {
            select = select.bind(part);
        }
        let stored = select.fetch_one(&mut *connection).await.expect("the application reads its row");
        for (column, stored) in stored.iter().enumerate() {
            let found = stored
                .as_deref()
                .map(|stored| self.old.open(stored).or_else(|| self.new.open(stored)).unwrap_or_default());
            assert_eq!(found, values[column], "{} of patient {number} is not what was last written", COLUMNS[column]);
        }
        tokio::time::sleep(Duration::from_millis(self.random.within(0..15))).await;
        let columns = self.change(&mut values);
        let assignments = self.assignments(&values, &columns);
        self.write(connection, number, &assignments).await;
        execute(connection, "COMMIT").await;
        self.ledger.note(number, Entry::Present(values));
    }

    /// Two rows in one transaction, the later one first: against the order in which the tool locks.
    async fn write_two(&mut self, connection: &mut PgConnection) {
        let (first, second) = (self.pick(), self.pick());
        if first.0 == second.0 {
            return;
        }
        let mut rows = [first, second];
        rows.sort_by_key(|row| std::cmp::Reverse(row.0));
        execute(connection, "BEGIN").await;
        for (number, values) in &mut rows {
            let columns = self.change(values);
            let assignments = self.assignments(values, &columns);
            self.write(connection, *number, &assignments).await;
            tokio::time::sleep(Duration::from_millis(self.random.within(0..10))).await;
        }
        execute(connection, "COMMIT").await;
        for (number, values) in rows {
            self.ledger.note(number, Entry::Present(values));
        }
    }
}

async fn execute(connection: &mut PgConnection, sql: &'static str) {
    use sqlx::Executor;
    connection.execute(sqlx::raw_sql(sql)).await.expect("a transaction of the application goes through");
}
