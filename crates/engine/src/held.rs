//! Snapshots that somebody holds open: while one does, the row versions that waves leave behind cannot be pruned, and waves gain nothing.
use crate::{
    Error, Event,
    rotation::{Rotation, lock},
};
use reencrypt_crypto::Marker;
use reencrypt_db::{Horizon, Limits, Mode, Session};
use reencrypt_planner::{BoundTable, Order};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks. A snapshot that lasts from one to the next is held; shorter ones are everyday.
const LOOK: Duration = Duration::from_millis(500);

/// Why a table that is to be written in waves is written in key order.
pub(crate) const HELD_REASON: &str = "somebody holds a snapshot open (a long transaction, a replication slot or a prepared transaction), so that old row versions stay";

/// What the last look saw.
#[derive(Default)]
pub(crate) struct Held {
    last: Option<(Instant, Horizon)>,
    held: bool,
}

impl Held {
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    fn is_due(&self) -> bool {
        self.last.is_none_or(|(at, _)| at.elapsed() >= LOOK)
    }

    /// Takes in a look; says whether it changes the answer.
    fn look(&mut self, now: Horizon) -> bool {
        let held = self.last.is_some_and(|(_, earlier)| now.reaches_behind(&earlier));
        self.last = Some((Instant::now(), now));
        std::mem::replace(&mut self.held, held) != held
    }
}

impl Rotation {
    /// The order in which the next window of a table is written.
    pub(crate) async fn order(&self, session: &mut Session, table: &BoundTable, pass: u32) -> Result<Order, Error> {
        // Sweeps find few rows to change.
        if table.order == Order::Key || pass > 1 {
            return Ok(Order::Key);
        }
        if lock(&self.held).is_due() {
            let mut tx = session.begin(Mode::Read).await?;
            let horizon = tx.horizon().await?;
            tx.commit().await?;
            let changed = horizon.is_some_and(|horizon| lock(&self.held).look(horizon));
            if changed {
                self.tell_held(session).await?;
            }
        }
        Ok(if lock(&self.held).is_held() { Order::Key } else { Order::Waves })
    }

    async fn tell_held(&self, session: &mut Session) -> Result<(), Error> {
        let message = if lock(&self.held).is_held() {
            format!("{HELD_REASON}: written in key order until it ends")
        } else {
            "no snapshot is held open any more: written in waves again".to_owned()
        };
        self.context.observer.event(&Event::Note { message: message.clone() });
        let mut tx = session.begin(Mode::Write(Limits::default())).await?;
        self.store.add_event(&mut tx, &self.run_id, &self.context.actor, "order", &message).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Marks the rows of a table: under a key that is derived from the new key and the run, so that the store alone does not tell which rows are meant.
    pub(crate) fn marker(&self, table: &BoundTable) -> Result<Marker, Error> {
        let pair = self.context.keys.get(&table.plan.key);
        let key = pair.and_then(|pair| pair.new.as_ref()).ok_or_else(|| Error::bug("a run without its new key"))?;
        Ok(Marker::new(key, self.run_id.as_bytes()))
    }
}
