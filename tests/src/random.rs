//! Random choices that can be made again.
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::ops::Range;

/// A generator whose seed is printed; `REENCRYPT_TEST_SEED` replays it.
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    generator: ChaCha8Rng,
}

impl Random {
    /// The generator of one test. A failing test shows the printed seed.
    pub fn of_test(name: &str) -> Self {
        let seed = match std::env::var("REENCRYPT_TEST_SEED") {
            Ok(text) => text.parse().expect("REENCRYPT_TEST_SEED is a whole number"),
            Err(_) => getrandom::u64().expect("the operating system has random numbers"),
        };
        println!("{name}: REENCRYPT_TEST_SEED={seed}");
        Self::from_seed(seed)
    }

    /// A generator from a seed alone.
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, generator: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Where it started.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A generator of its own, for a task or a step: what others draw does not change what it draws.
    pub fn fork(&self, n: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(n + 1);
        Self { seed: self.seed, generator }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// One of a range that is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "an empty range");
        range.start + self.number() % (range.end - range.start)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.generator.fill_bytes(&mut bytes);
        bytes
    }

    /// One of a slice that is not empty.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.within(0..items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices_again_and_forks_differ() {
        let draw = |mut random: Random| (0..8).map(|_| random.number()).collect::<Vec<_>>();
        let first = Random::from_seed(7);
        assert_eq!(draw(first.clone()), draw(Random::from_seed(7)));
        assert_eq!(draw(first.fork(1)), draw(Random::from_seed(7).fork(1)));
        assert_ne!(draw(first.fork(1)), draw(first.fork(2)));
        assert_ne!(draw(first.clone()), draw(first.fork(0)));
    }
}
