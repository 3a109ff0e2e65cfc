//! Orders and samples drawn from a seed: the same on every machine and for any number of threads.

/// The SplitMix64 generator: one addition and two multiplications a number (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Draws a number below `limit`, which is above 0.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next_u64()) * limit as u128) >> 64) as usize
    }

    /// Draws a number from 0 up to, and without, 1.
    pub fn share(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Draws `count` of the positions below `length` without repetition, in the order they were drawn;
/// all of them when there are no more.
pub fn sample(length: usize, count: usize, seed: u64) -> Vec<u32> {
    let mut random = Random::new(seed);
    let mut positions: Vec<u32> = (0..length as u32).collect();
    let count = count.min(length);
    for at in 0..count {
        let other = at + random.below(length - at);
        positions.swap(at, other);
    }
    positions.truncate(count);
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_no_position_twice() {
        let mut drawn = sample(1000, 400, 7);
        assert_ne!(drawn, sample(1000, 400, 8));
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 400);
        assert!(drawn.iter().any(|&position| position >= 900));
        assert_eq!(sample(3, 400, 7).len(), 3);
        assert!(sample(0, 400, 7).is_empty());
    }
}
