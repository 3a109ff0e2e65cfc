//! A small seeded generator (SplitMix64). It knows no operating system and no clock, and its
//! numbers do not depend on the version of any crate, so the demo data stay the same to the byte.

/// A stream of pseudo-random numbers, fully determined by seed, stream and index.
pub struct Rng {
    state: u64,
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// Starts the stream that belongs to one record: records do not disturb one another.
    pub fn new(seed: u64, stream: u64, index: u64) -> Rng {
        let state = mix(mix(mix(seed.wrapping_add(GAMMA)) ^ stream) ^ index);
        Rng { state }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "a choice needs at least one thing to choose from");
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn pick<'a, T: ?Sized>(&mut self, things: &[&'a T]) -> &'a T {
        things[self.below(things.len())]
    }

    /// An index, each as likely as its weight says.
    pub fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let total: u32 = weights.clone().sum();
        let mut left = self.below(total as usize) as u32;
        for (n, weight) in weights.enumerate() {
            if left < weight {
                return n;
            }
            left -= weight;
        }
        unreachable!("the draw is below the sum of the weights")
    }

    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_stream_same_numbers() {
        let draw = |index| {
            let mut rng = Rng::new(7, 1, index);
            (0..4).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn weighted_skips_zero_weights() {
        let mut rng = Rng::new(1, 1, 1);
        assert!((0..200).all(|_| rng.weighted([0, 3, 0, 1].into_iter()) % 2 == 1));
    }
}
