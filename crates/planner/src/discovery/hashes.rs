//! The blind indexes that this tool knows, tried on the hashes beside an encrypted column.
use super::formats::{Found, Place};
use crate::{
    BlindIndexSettings, Error, Keyring,
    survey::{Batch, Slots, classify, rehearse, throw_away_pair},
};
use reencrypt_crypto::{
    BlindIndex, BlindIndexPolicy, BlindIndexSpec, Class, Expect, KeyPair, NoneFor, NormalizeStep, Pool, RowCipher,
    SubkeyStep,
};
use std::sync::Arc;

/// A blind index that needs no declaration.
struct Preset {
    spec: BlindIndexSpec,
    /// parts of the names of such columns and their hashes
    names: &'static [&'static str],
}

/// The platform's two, from one sub-key.
fn presets() -> [Preset; 2] {
    let preset = |names, normalize: &[NormalizeStep], values: &[&str], suffixes: &[&str]| Preset {
        spec: BlindIndexSpec {
            algorithm: "hmac-sha256".to_owned(),
            subkey: vec![SubkeyStep { hmac: "sha256".to_owned(), msg: "patient-dedup-v1".to_owned() }],
            normalize: normalize.to_vec(),
            none_for: NoneFor {
                values: values.iter().map(|value| (*value).to_owned()).collect(),
                suffixes: suffixes.iter().map(|suffix| (*suffix).to_owned()).collect(),
            },
            policy: BlindIndexPolicy::default(),
        },
        names,
    };
    [
        preset(
            &["mail"],
            &[NormalizeStep::Trim, NormalizeStep::Lowercase],
            &["unknown@example.com"],
            &["@placeholder.local", "@intake.local"],
        ),
        preset(&["dob", "birth", "date"], &[NormalizeStep::Date], &["1900-01-01"], &[]),
    ]
}

impl Preset {
    /// Whether both the field and its hash are named as this preset's are.
    fn is_named(&self, field: &str, hash: &str) -> bool {
        let named = |name: &str| self.names.iter().any(|part| name.to_lowercase().contains(part));
        named(field) && named(hash)
    }
}

/// The rows of one table with what was found in them.
pub(super) struct Beside<'a> {
    /// the table's own name
    pub(super) table: &'a str,
    /// the sample; slots in the order of `columns`
    pub(super) rows: &'a [Arc<Batch>],
    /// the names of the slots
    pub(super) columns: &'a [String],
    /// the encrypted ones among them
    pub(super) found: &'a [Found],
}

/// Which encrypted column `hash` is the blind index of, and how; `None` where no preset explains a single value of it. Of several that
/// explain as many, it is the one that leaves most of the missing hashes missing, and then the one whose names fit: most dates of birth hash
/// alike as a date and as a text.
pub(super) async fn explain(
    beside: &Beside<'_>,
    hash: &str,
    keys: &Keyring,
    pool: &Arc<Pool>,
) -> Result<Option<BlindIndexSettings>, Error> {
    let mut best: Option<((u64, u64, bool), BlindIndexSettings)> = None;
    for found in beside.found {
        for preset in presets() {
            let (explained, absent) = explained_values(beside, found, hash, &preset.spec, keys, pool).await?;
            let rank = (explained, absent, preset.is_named(&found.column, hash));
            if explained > 0 && best.as_ref().is_none_or(|(most, _)| rank > *most) {
                let of = found.column.clone();
                best = Some((rank, BlindIndexSettings { column: hash.to_owned(), of, spec: preset.spec }));
            }
        }
    }
    Ok(best.map(|(_, settings)| settings))
}

/// How many hashes are those of their field under a key of the pair, and how many missing ones are rightly missing. One hash is proof: nobody makes
/// such a one by chance.
async fn explained_values(
    beside: &Beside<'_>,
    found: &Found,
    hash: &str,
    spec: &BlindIndexSpec,
    keys: &Keyring,
    pool: &Arc<Pool>,
) -> Result<(u64, u64), Error> {
    let slot = |name: &str| beside.columns.iter().position(|column| column == name);
    let (Some(field), Some(hash), Some(pair)) = (slot(&found.column), slot(hash), keys.get(&found.pair)) else {
        return Ok((0, 0));
    };
    let Some(cipher) = cipher(beside.table, found, spec, pair).map(Arc::new) else { return Ok((0, 0)) };
    let (mut explained, mut absent) = (0, 0);
    for rows in beside.rows {
        let two = Arc::new(Slots { rows: Arc::clone(rows), slots: vec![field, hash] });
        let classified = classify(pool, &cipher, &two, Expect::Old).await?;
        let of_a_key = |&row: &usize| matches!(classified.class(row, 1), Class::Old | Class::New);
        explained += (0..rows.len()).filter(of_a_key).count() as u64;
        if let Some(old) = &pair.old
            && let Some(cipher) = self::cipher(beside.table, found, spec, &throw_away_pair(old)?)
        {
            absent += rehearse(pool, cipher, &two).await?[1].absent;
        }
    }
    Ok((explained, absent))
}

/// A cipher of two slots: the field and its hash.
fn cipher(table: &str, found: &Found, spec: &BlindIndexSpec, pair: &Arc<KeyPair>) -> Option<RowCipher> {
    let place = Place { table, column: &found.column, binary: false };
    let column = place.cipher(found.formats(), found.layers, pair)?;
    let index = BlindIndex::new(spec.clone(), 0, pair).ok()?;
    Some(RowCipher::new(vec![column], vec![index]))
}
