//! What earlier runs left in the store, where this role may read it: a role with SELECT on the data alone may not.
use crate::{Error, counts::SlotCounts, summary::parse_plan};
use reencrypt_checkpoint::{Acceptance, Store};
use reencrypt_crypto::Fingerprint;
use reencrypt_db::{Mode, Session, Transaction};
use reencrypt_planner::{Configuration, Finding, Keyring, Plan, Reserved, judge_nonces};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the store says beside any one run. It excuses, warns and takes statements back; it never makes one.
#[derive(Default)]
pub(crate) struct Past {
    /// what persons accepted
    pub(crate) acceptances: Vec<Acceptance>,
    /// nonces by key
    pub(crate) reserved: Reserved,
    /// by new key, the old keys from which a run rotated a value to it
    sources: BTreeMap<Fingerprint, BTreeSet<Fingerprint>>,
    /// whether a run left values in quarantine
    pub(crate) quarantined: bool,
    /// why a store that is there could not be read
    unread: Option<String>,
    /// because this role may not
    pub(crate) hidden: bool,
    /// what stands in the way of every run, and not only in this role's
    broken: Option<Finding>,
}

/// The code of an old key that is another than the one that runs rotated from.
pub(crate) const OTHER_OLD_KEY: &str = "other_old_key";

/// An old key for which no run of the store speaks.
pub(crate) struct Unvouched {
    /// of the finding
    pub(crate) code: &'static str,
    /// in words
    pub(crate) message: String,
}

impl Past {
    /// Reads all of it, or says that it is hidden.
    pub(crate) async fn read(session: &mut Session) -> Self {
        let store = Store::new(session.dialect());
        let read = async {
            if !store.exists(session).await? {
                return Ok(Self::default());
            }
            let mut tx = session.begin(Mode::Read).await?;
            let reserved = store.reserved_nonces(&mut tx).await?.into_iter();
            let quarantined = match store.last_run(&mut tx).await? {
                Some(run) => !store.quarantine_lines(&mut tx, &run.id).await?.is_empty(),
                None => false,
            };
            let past = Self {
                quarantined,
                acceptances: store.acceptances(&mut tx).await?,
                reserved: reserved.filter_map(|(key, count)| Some((key.parse().ok()?, count))).collect(),
                sources: sources(&store, &mut tx).await?,
                unread: None,
                hidden: false,
                broken: None,
            };
            tx.commit().await?;
            Ok::<_, Error>(past)
        };
        read.await.unwrap_or_else(|error| {
            tracing::info!(code = error.code(), "what earlier runs did could not be read from the store");
            let broken = (error.code() == "store_gone")
                .then(|| Finding::fail("store_gone", format!("{error}: {}", error.hint().unwrap_or_default())));
            let hidden = error.code() == "privilege_missing";
            Self { unread: Some(error.to_string()), hidden, broken, ..Self::default() }
        })
    }

    /// What speaks against the plan's old keys: of a pair to whose new key runs rotated from other old keys, else of one of which no run is
    /// known.
    pub(crate) fn unvouched(&self, plan: &Plan) -> Option<Unvouched> {
        let unvouched = plan.keys.iter().filter_map(|(name, key)| {
            let (old, sources) = (key.old?, self.sources.get(&key.new?));
            match sources {
                Some(sources) if sources.contains(&old) => None,
                Some(sources) => {
                    let sources: Vec<_> = sources.iter().map(Fingerprint::to_string).collect();
                    let message = format!(
                        "the old key of pair {name} is {old}, and what runs rotated to its new key stood under {}",
                        sources.join(" and ")
                    );
                    Some(Unvouched { code: OTHER_OLD_KEY, message })
                }
                None => {
                    let why = match &self.unread {
                        Some(unread) => format!("whether a run rotated from it cannot be read from the checkpoint store: {unread}"),
                        None => "no run in this database's checkpoint store rotated a value from it to the new key".to_owned(),
                    };
                    let message = format!(
                        "nothing tells that {old}, the old key of pair {name}, is the one that values stood under: {why}"
                    );
                    Some(Unvouched { code: "old_key_unknown", message })
                }
            }
        });
        unvouched.min_by_key(|unvouched| unvouched.code != OTHER_OLD_KEY)
    }

    /// Adds to a plan what it says of the plan's keys: `other_old_key`, `other_new_key`, and `nonce_budget` judged anew.
    pub(crate) fn judge(&self, plan: &mut Plan, configuration: &Configuration, keys: &Keyring) -> Result<(), Error> {
        let findings = self.findings(plan);
        plan.findings.extend(findings);
        Ok(judge_nonces(plan, configuration, keys, &self.reserved)?)
    }

    fn findings(&self, plan: &Plan) -> Vec<Finding> {
        let other_old = self.unvouched(plan).filter(|unvouched| unvouched.code == OTHER_OLD_KEY).map(|other| {
            let message = format!(
                "{}. Values that are left of that key open under neither of these: give that key, or a pair of its own for each",
                other.message
            );
            Finding::warn(other.code, message)
        });
        let other_new = plan.keys.iter().filter_map(|(name, key)| {
            let (old, new) = (key.old?, key.new?);
            let (other, _) = self.sources.iter().find(|(to, from)| **to != new && from.contains(&old))?;
            let message = format!(
                "runs rotated values from the old key of pair {name} to another new key, {other}: those open under neither of these keys. Go on to \
                 that key, or rotate from it to this one in a run of its own"
            );
            Some(Finding::warn("other_new_key", message))
        });
        self.broken.iter().cloned().chain(other_old).chain(other_new).collect()
    }

    /// Accepted values by the plan's table and column.
    pub(crate) fn accepted_by_column(&self, plan: &Plan) -> HashMap<(usize, String), u64> {
        let mut accepted = HashMap::new();
        for (no, table) in plan.tables.iter().enumerate() {
            let name = table.name.to_string();
            for line in self.acceptances.iter().filter(|line| line.table == name) {
                *accepted.entry((no, line.column.clone())).or_default() += line.accepted;
            }
        }
        accepted
    }
}

/// Adds to a drafted plan what the store says of its keys, for `doctor`, which surveys nothing.
pub async fn judge_past(
    session: &mut Session,
    plan: &mut Plan,
    configuration: &Configuration,
    keys: &Keyring,
) -> Result<(), Error> {
    Past::read(session).await.judge(plan, configuration, keys)
}

/// A run that rotated nothing says nothing about its keys.
async fn sources(
    store: &Store,
    tx: &mut Transaction<'_>,
) -> Result<BTreeMap<Fingerprint, BTreeSet<Fingerprint>>, Error> {
    let mut sources: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for run in store.runs(tx).await? {
        let plan = parse_plan(&run)?;
        for total in store.chunk_totals(tx, &run.id).await? {
            let Some(table) = plan.tables.get(total.table_no) else { continue };
            let key = plan.keys.get(&table.key).and_then(|key| Some((key.new?, key.old?)));
            let counts = SlotCounts::from_json(&total.counts, table.slots().len())?;
            if let Some((new, old)) = key.filter(|_| counts.0.iter().any(|slot| slot.rotated > 0)) {
                sources.entry(new).or_default().insert(old);
            }
        }
    }
    Ok(sources)
}
