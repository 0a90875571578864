//! A list of row keys as one value: each with its length before it.
use crate::{Error, Result};
use reencrypt_db::RowKey;

/// One value that holds all of `keys`.
pub(crate) fn encode(keys: &[RowKey]) -> Vec<u8> {
    let mut out = Vec::with_capacity(keys.iter().map(|key| key.as_bytes().len() + 4).sum());
    for key in keys {
        // A row key is at most an index entry (a few kilobytes); u32 holds it.
        out.extend_from_slice(&(key.as_bytes().len() as u32).to_be_bytes());
        out.extend_from_slice(key.as_bytes());
    }
    out
}

/// The keys in `bytes`.
pub(crate) fn decode(mut bytes: &[u8]) -> Result<Vec<RowKey>> {
    let mut keys = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or(Error::Unreadable { what: "row key" })?;
        let len = u32::from_be_bytes(*len) as usize;
        let (key, rest) = rest.split_at_checked(len).ok_or(Error::Unreadable { what: "row key" })?;
        keys.push(RowKey::from_bytes(key.to_vec()));
        bytes = rest;
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_keys_comes_back_and_a_cut_one_is_refused() {
        let keys: Vec<_> = [&b""[..], b"a", &[0; 300]].iter().map(|key| RowKey::from_bytes(key.to_vec())).collect();
        let bytes = encode(&keys);
        assert!(decode(&bytes).unwrap() == keys);
        assert!(decode(&[]).unwrap().is_empty());
        for cut in [1, 3, 5, 8, bytes.len() - 1] {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
