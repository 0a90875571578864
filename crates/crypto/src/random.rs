//! Fresh nonces.
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use zeroize::Zeroizing;

/// Where nonces come from; a test may bring its own.
pub(crate) trait IvSource {
    /// Fills `iv` with bytes that were never used under the key.
    fn fill(&mut self, iv: &mut [u8]);
}

/// ChaCha20 seeded from the operating system, and again for every batch: a machine that was cloned or restored from a
/// snapshot must not repeat a nonce, and one system call per nonce would cost as much as the field.
#[derive(Default)]
pub(crate) struct Generator {
    stream: Option<(u64, ChaCha20Rng)>,
}

impl Generator {
    /// Takes a new seed unless it has one for `batch` already.
    ///
    /// # Panics
    /// Where the operating system gives no random bytes: nothing may be sealed then.
    pub(crate) fn begin(&mut self, batch: u64) {
        if self.stream.as_ref().is_some_and(|(seeded_for, _)| *seeded_for == batch) {
            return;
        }
        let mut seed = Zeroizing::new([0; 32]);
        if let Err(e) = getrandom::fill(seed.as_mut()) {
            panic!("the operating system gives no random bytes: {e}");
        }
        self.stream = Some((batch, ChaCha20Rng::from_seed(*seed)));
    }
}

impl IvSource for Generator {
    fn fill(&mut self, iv: &mut [u8]) {
        if self.stream.is_none() {
            self.begin(0);
        }
        if let Some((_, rng)) = &mut self.stream {
            rng.fill_bytes(iv);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_a_seed_of_its_own() {
        let mut draw = Generator::default();
        let mut seen = std::collections::HashSet::new();
        for batch in [1, 1, 2, 3] {
            draw.begin(batch);
            for _ in 0..100 {
                let mut iv = [0; 16];
                draw.fill(&mut iv);
                assert!(seen.insert(iv));
            }
        }
        draw.begin(3);
        let word_pos = draw.stream.as_ref().map(|(_, rng)| rng.get_word_pos());
        assert_eq!(word_pos, Some(400), "a batch goes on with its seed");
    }
}
