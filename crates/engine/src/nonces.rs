//! Nonces: reserved in the store before a key is used, in blocks, so that no kill makes a key be used more often than is known.
use crate::{
    Context, Error, Event,
    batch::Batch,
    rotation::{Rotation, lock},
};
use reencrypt_crypto::Fingerprint;
use reencrypt_db::{Limits, Mode, Session};
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

    /// Takes what `rows` rows of a table can need at most. Must be called outside of a transaction: what is missing is reserved in one of its own.
    pub(crate) async fn take(
        &self,
        rotation: &Rotation,
        session: &mut Session,
        table: &BoundTable,
        rows: usize,
    ) -> Result<Taken<'_>, Error> {
        let mut taken = Taken { parts: Vec::new() };
        for (allowance, columns) in &self.tables[table.index] {
            // Every layer of a nested value is sealed anew.
            let layers = columns.iter().map(|column| u64::from(table.plan.columns[*column].nesting_max.max(1)));
            let wanted = rows as u64 * layers.sum::<u64>();
            allowance.take(rotation, session, wanted).await?;
            taken.parts.push((allowance, columns, wanted));
        }
        Ok(taken)
    }
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
    async fn take(&self, rotation: &Rotation, session: &mut Session, wanted: u64) -> Result<(), Error> {
        if self.try_take(wanted) {
            return Ok(());
        }
        let mut block = self.block.lock().await;
        // Somebody else may have reserved meanwhile.
        while !self.try_take(wanted) {
            self.reserve(rotation, session, &mut block, wanted).await?;
        }
        Ok(())
    }

    fn try_take(&self, wanted: u64) -> bool {
        let mut left = lock(&self.left);
        let rest = left.checked_sub(wanted);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }

    async fn reserve(
        &self,
        rotation: &Rotation,
        session: &mut Session,
        block: &mut Block,
        wanted: u64,
    ) -> Result<(), Error> {
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        let mut reserved = block.size.max(wanted);
        let mut sum = rotation.store.reserve_nonces(&mut tx, &self.key.to_string(), reserved).await?;
        if self.told.saturating_add(sum) > NONCES_MAX && reserved > wanted {
            tx.rollback().await?;
            tx = session.begin(Mode::Write(Limits::default())).await?;
            reserved = wanted;
            sum = rotation.store.reserve_nonces(&mut tx, &self.key.to_string(), reserved).await?;
        }
        let total = self.told.saturating_add(sum);
        if total > NONCES_MAX {
            tx.rollback().await?;
            return Err(self.exhausted(sum - reserved));
        }
        tx.commit().await?;
        *lock(&self.left) += reserved;
        block.size = (block.size * 2).min(BLOCK_MAX);
        if total >= NONCES_WARN && !std::mem::replace(&mut block.warned, true) {
            let message = format!(
                "the new key {} of pair {} has used or reserved {total} of the 2^32 random nonces that it may: plan its successor",
                self.key, self.pair
            );
            rotation.context.observer.event(&Event::Note { message });
        }
        Ok(())
    }

    fn exhausted(&self, reserved: u64) -> Error {
        let message = format!(
            "the new key {} of pair {} may seal 2^32 values with random nonces, and none is left: {reserved} are used or reserved by runs, and \
             {} by the application, as prior_invocations says",
            self.key, self.pair, self.told
        );
        let hint = format!(
            "what is rotated stays; end the run with `reencrypt abandon`, and begin one to another new key. For so many values {NONCE_WAYS}"
        );
        Error::refused("nonce_budget", message, hint)
    }
}
