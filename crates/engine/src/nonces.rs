//! Nonces: reserved in the store before a key is used, in blocks, so that no kill makes a key be used more often than is known.
use crate::{
    Context, Error, Event,
    batch::{Batch, classify_some},
    rotation::{Rotation, lock},
};
use reencrypt_crypto::{Class, Classified, Expect, Fingerprint, PlaintextPolicy};
use reencrypt_db::{Limits, Mode, Rows, Session};
use reencrypt_planner::{BoundTable, NONCE_WAYS, NONCES_MAX, NONCES_WARN, Plan, sealing_keys};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The first block of a process; each next one is twice as large, so that at most half of what is reserved goes unused.
const BLOCK_MIN: u64 = 1 << 14;
const BLOCK_MAX: u64 = 1 << 20;

/// What this process may still seal, by key.
pub(crate) struct Nonces {
    /// by table of the plan: each key with its columns
    tables: Vec<Vec<(Arc<Allowance>, Vec<usize>)>>,
}

/// What is left of one key's reservations.
struct Allowance {
    key: Fingerprint,
    pair: String,
    /// what the application has sealed, as the configuration says
    told: u64,
    left: Mutex<u64>,
    /// one reservation at a time; the size of the next block
    block: tokio::sync::Mutex<Block>,
}

struct Block {
    size: u64,
    warned: bool,
}

/// What nonces are wanted for.
#[derive(Clone, Copy)]
pub(crate) enum Wanting<'r> {
    /// rows that are read already, those of `rows` at `which`
    Rows { rows: &'r Arc<Rows>, which: &'r [usize], expect: Expect },
    /// so many rows, still to be read
    Keys(usize),
}

/// Nonces for one batch; what of them it does not use is given back.
#[must_use = "what is not given back is lost"]
pub(crate) struct Taken<'n> {
    parts: Vec<(&'n Allowance, &'n [usize], u64)>,
}

impl Nonces {
    /// Nothing is reserved yet.
    pub(crate) fn new(context: &Context, plan: &Plan) -> Result<Self, Error> {
        let mut keys: BTreeMap<(String, Fingerprint), Arc<Allowance>> = BTreeMap::new();
        let mut tables = Vec::with_capacity(plan.tables.len());
        for table in &plan.tables {
            let Some(new) = context.keys.get(&table.key).and_then(|pair| pair.new.as_ref()) else {
                return Err(Error::bug("a run without its new key"));
            };
            let mut of_table: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
            for (column, key) in sealing_keys(plan, table, new)?.into_iter().enumerate() {
                of_table.entry(key).or_default().push(column);
            }
            let allowance = |(key, columns): (Fingerprint, Vec<usize>)| {
                let told = context.configuration.keys.get(&table.key).map_or(0, |pair| pair.prior_invocations);
                let fresh = || {
                    let (left, pair) = (Mutex::default(), table.key.clone());
                    let block = tokio::sync::Mutex::new(Block { size: BLOCK_MIN, warned: false });
                    Arc::new(Allowance { key, pair, told, left, block })
                };
                (keys.entry((table.key.clone(), key)).or_insert_with(fresh).clone(), columns)
            };
            tables.push(of_table.into_iter().map(allowance).collect());
        }
        Ok(Self { tables })
    }

    /// Takes what rows of a table can need at most; at the budget's end, what those that are read do need. Must be called outside of a
    /// transaction: what is missing is reserved in one of its own.
    pub(crate) async fn take(
        &self,
        rotation: &Rotation,
        session: &mut Session,
        table: &BoundTable,
        wanting: Wanting<'_>,
    ) -> Result<Taken<'_>, Error> {
        let mut taken = Taken { parts: Vec::new() };
        for (allowance, columns) in &self.tables[table.index] {
            let mut wanted = seals(table, columns, |_| wanting.len() as u64);
            if !allowance.take(rotation, session, wanted).await? {
                if let Wanting::Rows { rows, which, expect } = wanting {
                    let (pool, which) = (&rotation.context.pool, which.to_vec());
                    let classified = classify_some(pool, &table.cipher, rows.clone(), which, expect).await?;
                    wanted = seals(table, columns, |column| sealed(&classified, wanting.len(), table, column));
                }
                if !allowance.take(rotation, session, wanted).await? {
                    return Err(allowance.exhausted(wanted));
                }
            }
            taken.parts.push((allowance, columns, wanted));
        }
        Ok(taken)
    }
}

impl Wanting<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Rows { which, .. } => which.len(),
            Self::Keys(keys) => *keys,
        }
    }
}

/// How often a key seals at most where so many values of each of its columns get a new one: every layer of a nested value is sealed anew.
fn seals(table: &BoundTable, columns: &[usize], values: impl Fn(usize) -> u64) -> u64 {
    columns.iter().map(|&column| values(column) * u64::from(table.plan.columns[column].nesting_max.max(1))).sum()
}

/// The values of a column that get a new one.
fn sealed(classified: &Classified, rows: usize, table: &BoundTable, column: usize) -> u64 {
    let encrypts = table.plan.columns[column].plaintext == PlaintextPolicy::Encrypt;
    let is_sealed = |row: &usize| match classified.class(*row, column) {
        Class::Old => true,
        Class::Plaintext => encrypts,
        _ => false,
    };
    (0..rows).filter(is_sealed).count() as u64
}

impl Taken<'_> {
    /// Gives back what the batch did not use.
    pub(crate) fn settle(self, batch: &Batch) {
        for (allowance, columns, taken) in self.parts {
            let used: u64 = columns.iter().map(|column| batch.invocations_of(*column)).sum();
            debug_assert!(used <= taken, "{used} of {taken}");
            *lock(&allowance.left) += taken.saturating_sub(used);
        }
    }
}

impl Allowance {
    /// Takes `wanted`, or nothing where the budget has no longer as many.
    async fn take(&self, rotation: &Rotation, session: &mut Session, wanted: u64) -> Result<bool, Error> {
        if self.try_take(wanted) {
            return Ok(true);
        }
        let mut block = self.block.lock().await;
        // Somebody else may have reserved meanwhile.
        while !self.try_take(wanted) {
            if !self.reserve(rotation, session, &mut block, wanted).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn try_take(&self, wanted: u64) -> bool {
        let mut left = lock(&self.left);
        let rest = left.checked_sub(wanted);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }

    /// Reserves a block, or the rest of the budget where that is less; `false` where even with it not as many as are wanted are left.
    async fn reserve(
        &self,
        rotation: &Rotation,
        session: &mut Session,
        block: &mut Block,
        wanted: u64,
    ) -> Result<bool, Error> {
        let mut asked = block.size.max(wanted);
        let total = loop {
            let mut tx = session.begin(Mode::Write(Limits::default())).await?;
            let sum = rotation.store.reserve_nonces(&mut tx, &self.key.to_string(), asked).await?;
            let total = self.told.saturating_add(sum);
            if total <= NONCES_MAX {
                tx.commit().await?;
                break total;
            }
            tx.rollback().await?;
            let rest = NONCES_MAX.saturating_sub(total - asked);
            if rest == 0 || *lock(&self.left) + rest < wanted {
                return Ok(false);
            }
            asked = rest;
        };
        *lock(&self.left) += asked;
        block.size = (block.size * 2).min(BLOCK_MAX);
        if total >= NONCES_WARN && !std::mem::replace(&mut block.warned, true) {
            let message = format!(
                "the new key {} of pair {} has used or reserved {total} of the 2^32 random nonces that it may: plan its successor",
                self.key, self.pair
            );
            rotation.context.observer.event(&Event::Note { message });
        }
        Ok(true)
    }

    fn exhausted(&self, wanted: u64) -> Error {
        let message = format!(
            "the new key {} of pair {} may seal 2^32 values with random nonces, and fewer than the {wanted} that the next rows may take are left: the \
             others are used or reserved by runs, and {} by the application, as prior_invocations says",
            self.key, self.pair, self.told
        );
        let hint = format!(
            "what is rotated stays; end the run with `reencrypt abandon`, and begin one to another new key. For so many values {NONCE_WAYS}"
        );
        Error::refused("nonce_budget", message, hint)
    }
}
