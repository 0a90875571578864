//! Sealing under the new key, and opening again what was sealed.
use crate::{
    aead::IV_LEN_MAX,
    arena::Source,
    keyring::{Keyring, Side},
    part::{Envelope, Part},
    peel::Scratch,
    random::IvSource,
};
use std::ops::Range;
use subtle::ConstantTimeEq;

/// Seals `plaintext` once for each layer that was opened (once for a plaintext that had none), innermost first, all under
/// the new key, and appends the stored value to `out`. Every layer is opened again and compared before the next.
/// `None` where that failed; `out` is as it was then. Counts the uses of the key in `invocations`.
pub(crate) fn seal(
    ring: &Keyring,
    scratch: &mut Scratch,
    mut plaintext: Range<usize>,
    ivs: &mut impl IvSource,
    out: &mut Vec<u8>,
    invocations: &mut u64,
) -> Option<()> {
    for depth in (1..scratch.layers.len()).rev() {
        let mut inner = std::mem::take(&mut scratch.inner);
        inner.clear();
        *invocations += 1;
        let sealed = seal_layer(ring, scratch, depth, plaintext, ivs, &mut inner);
        plaintext = scratch.arena.append(&Source::Row(&inner));
        scratch.inner = inner;
        sealed?;
    }
    let start = out.len();
    *invocations += 1;
    let sealed = seal_layer(ring, scratch, 0, plaintext, ivs, out);
    if sealed.is_none() {
        out.truncate(start);
    }
    sealed
}

/// One layer: encrypt a copy, write it after what stands in `out`, read that and open it.
fn seal_layer(
    ring: &Keyring,
    scratch: &mut Scratch,
    depth: usize,
    plaintext: Range<usize>,
    ivs: &mut impl IvSource,
    out: &mut Vec<u8>,
) -> Option<()> {
    let written = ring.written();
    let Scratch { arena, layers, aad, temporaries, .. } = scratch;
    let nothing_carried = Envelope::default();
    let envelope = layers.get(depth).map_or(&nothing_carried, |layer| &layer.envelope);
    let mut iv = [0; IV_LEN_MAX];
    let iv = &mut iv[..written.format.iv_len()];
    ivs.fill(iv);
    let ciphertext = arena.append(&Source::Arena(plaintext.clone()));
    let aad = written.associated_data(ring.names(), || written.carried(envelope, arena, iv), aad);
    let tag = written.seal(iv, aad, arena.get_mut(ciphertext.clone()))?;
    let mut pieces = written.carried(envelope, arena, iv);
    pieces.set(Part::Tag, &tag);
    pieces.set(Part::Ct, arena.get(ciphertext));
    let start = out.len();
    written.format.write(&pieces, out, temporaries);
    opens_to(ring, scratch, out.get(start..)?, plaintext)
}

/// Whether `stored` opens under the new key to exactly `plaintext`; compared in constant time.
fn opens_to(ring: &Keyring, scratch: &mut Scratch, stored: &[u8], plaintext: Range<usize>) -> Option<()> {
    let written = ring.written();
    let Scratch { arena, aad, .. } = scratch;
    let mark = arena.mark();
    let mut envelope = Envelope::default();
    written.format.read(arena, &Source::Row(stored), &mut envelope)?;
    let same = written.open(Side::New, ring.names(), &envelope, arena, aad)
        && equal(arena.get(envelope.get(Part::Ct)), arena.get(plaintext));
    arena.rewind(mark);
    same.then_some(())
}

/// Whether both are the same bytes, in a time that depends on their length alone. A byte at a time behind an optimisation
/// barrier, as `subtle` compares slices, takes longer than the cipher; here the barrier stands once, at the end.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && bool::from(differing.ct_eq(&0_u8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnSpec, Format, KeyPair, PlaintextPolicy, SecretKey, random::Generator};

    fn ring(new: Option<SecretKey>) -> Keyring {
        let format = Format::preset("gcm-triple-b64-iv16").unwrap();
        let spec = ColumnSpec {
            read: vec![format.clone()],
            write: format,
            plaintext: PlaintextPolicy::Keep,
            nesting_max: 1,
            table: String::new(),
            column: String::new(),
        };
        Keyring::new(&spec, &KeyPair { old: Some(SecretKey::new(vec![1; 32])), new }).unwrap()
    }

    #[test]
    fn what_does_not_open_to_its_plaintext_is_noticed() {
        let ring = ring(Some(SecretKey::new(vec![2; 32])));
        let (mut scratch, mut out, mut invocations) = (Scratch::default(), Vec::new(), 0);
        let plaintext = scratch.arena.append(&Source::Row(b"Jane"));
        seal(&ring, &mut scratch, plaintext.clone(), &mut Generator::default(), &mut out, &mut invocations).unwrap();
        assert_eq!(opens_to(&ring, &mut scratch, &out, plaintext.clone()), Some(()));
        let other = scratch.arena.append(&Source::Row(b"Jana"));
        assert_eq!(opens_to(&ring, &mut scratch, &out, other), None);
        let mut tampered = out.clone();
        tampered[30] = if tampered[30] == b'A' { b'B' } else { b'A' };
        assert_eq!(opens_to(&ring, &mut scratch, &tampered, plaintext.clone()), None);
        assert_eq!(opens_to(&ring, &mut scratch, &out[..out.len() - 4], plaintext), None);
    }

    #[test]
    fn without_the_new_key_nothing_is_written() {
        let ring = ring(None);
        let (mut scratch, mut out) = (Scratch::default(), b"before".to_vec());
        let plaintext = scratch.arena.append(&Source::Row(b"Jane"));
        let sealed = seal(&ring, &mut scratch, plaintext, &mut Generator::default(), &mut out, &mut 0);
        assert_eq!((sealed, out.as_slice()), (None, &b"before"[..]));
    }

    #[test]
    fn equal_is_of_length_and_every_byte() {
        assert!(equal(b"", b"") && equal(b"abc", b"abc"));
        assert!(!equal(b"abc", b"ab") && !equal(b"", b"a") && !equal(b"abc", b"xbc") && !equal(b"abc", b"abx"));
    }
}
