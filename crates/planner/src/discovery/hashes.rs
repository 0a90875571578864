//! The blind indexes that this tool knows, tried on the hashes beside an encrypted column.
use super::formats::{Found, Place};
use crate::{
    BlindIndexSettings, Error, Keyring,
    survey::{Batch, Slots, classify},
};
use reencrypt_crypto::{
    BlindIndex, BlindIndexPolicy, BlindIndexSpec, Class, Expect, NoneFor, NormalizeStep, Pool, RowCipher, SubkeyStep,
};
use std::sync::Arc;

/// The platform's two, from one sub-key.
fn presets() -> [BlindIndexSpec; 2] {
    let spec = |normalize: &[NormalizeStep], values: &[&str], suffixes: &[&str]| BlindIndexSpec {
        algorithm: "hmac-sha256".to_owned(),
        subkey: vec![SubkeyStep { hmac: "sha256".to_owned(), msg: "patient-dedup-v1".to_owned() }],
        normalize: normalize.to_vec(),
        none_for: NoneFor {
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            suffixes: suffixes.iter().map(|suffix| (*suffix).to_owned()).collect(),
        },
        policy: BlindIndexPolicy::default(),
    };
    [
        spec(
            &[NormalizeStep::Trim, NormalizeStep::Lowercase],
            &["unknown@example.com"],
            &["@placeholder.local", "@intake.local"],
        ),
        spec(&[NormalizeStep::Date], &["1900-01-01"], &[]),
    ]
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

/// Which encrypted column `hash` is the blind index of, and how; `None` where no preset explains a single value of it.
pub(super) async fn explain(
    beside: &Beside<'_>,
    hash: &str,
    keys: &Keyring,
    pool: &Arc<Pool>,
) -> Result<Option<BlindIndexSettings>, Error> {
    let mut best: Option<(u64, BlindIndexSettings)> = None;
    for found in beside.found {
        for spec in presets() {
            let explained = explained_values(beside, found, hash, &spec, keys, pool).await?;
            if explained > 0 && best.as_ref().is_none_or(|(most, _)| explained > *most) {
                let settings = BlindIndexSettings { column: hash.to_owned(), of: found.column.clone(), spec };
                best = Some((explained, settings));
            }
        }
    }
    Ok(best.map(|(_, settings)| settings))
}

/// How many hashes are those of their field under a key of the pair. One is proof: nobody makes such a hash by chance.
async fn explained_values(
    beside: &Beside<'_>,
    found: &Found,
    hash: &str,
    spec: &BlindIndexSpec,
    keys: &Keyring,
    pool: &Arc<Pool>,
) -> Result<u64, Error> {
    let slot = |name: &str| beside.columns.iter().position(|column| column == name);
    let (Some(field), Some(hash)) = (slot(&found.column), slot(hash)) else { return Ok(0) };
    let Some(cipher) = cipher(beside.table, found, spec, keys) else { return Ok(0) };
    let cipher = Arc::new(cipher);
    let mut explained = 0;
    for rows in beside.rows {
        let pairs = Arc::new(Slots { rows: Arc::clone(rows), slots: vec![field, hash] });
        let classified = classify(pool, &cipher, &pairs, Expect::Old).await?;
        explained +=
            (0..rows.len()).filter(|&row| matches!(classified.class(row, 1), Class::Old | Class::New)).count() as u64;
    }
    Ok(explained)
}

/// A cipher of two slots: the field and its hash.
fn cipher(table: &str, found: &Found, spec: &BlindIndexSpec, keys: &Keyring) -> Option<RowCipher> {
    let pair = keys.get(&found.pair)?;
    let place = Place { table, column: &found.column, binary: false };
    let column = place.cipher(found.formats(), found.layers, pair)?;
    let index = BlindIndex::new(spec.clone(), 0, pair).ok()?;
    Some(RowCipher::new(vec![column], vec![index]))
}
