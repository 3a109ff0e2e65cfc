//! Near duplicates among sets of shingles, by MinHash and banded locality-sensitive hashing.
//!
//! A MinHash of two sets is equal with a probability of their Jaccard similarity (Broder 1997).
//! Several of them make a band; sets that are equal in a band are compared as they are, so nothing
//! is a duplicate by chance, only missed by chance (Leskovec, Rajaraman, Ullman: "Mining of Massive
//! Datasets", chapter 3). One band is looked at at a time, so what is kept beside the shingles are
//! twelve bytes a set. Knows nothing of records and labels.

use std::num::NonZeroUsize;

use super::shingles::{mix, similar};
use crate::groups::Groups;

/// MinHashes a set has in all, about.
const HASHES: usize = 96;
/// MinHashes of a band are made at a time, as many as it can have.
const LANES: usize = 8;
/// A pair at the threshold is missed with at most this probability.
const MISSED: f64 = 0.01;
/// Sets of a bucket that each other one is compared with at most.
const LEADERS: usize = 24;

/// How many MinHashes make a band, and how many bands there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bands {
    rows: usize,
    count: usize,
}

impl Bands {
    /// The widest bands that miss a pair at the threshold rarely enough: the wider, the fewer pairs
    /// are compared for nothing.
    fn of(threshold: f64) -> Bands {
        let missed = |rows: usize| {
            let equal: f64 = (0..rows).map(|_| threshold).product();
            (0..HASHES / rows).map(|_| 1.0 - equal).product::<f64>()
        };
        let rows = (1..=LANES).rev().find(|rows| missed(*rows) <= MISSED).unwrap_or(1);
        Bands { rows, count: HASHES / rows }
    }
}

/// Joins all sets that are similar to each other, or connected by such.
///
/// A set that is one of very many in a bucket is compared with its first and most recent ones.
/// The answer depends on the order of the sets and on nothing else, `threads` least of all.
/// `go_on` is told after each band how much is done; the search ends when it says no.
pub(super) fn join_similar(
    sets: &[&[u32]],
    threshold: f64,
    threads: usize,
    groups: &mut Groups,
    go_on: &dyn Fn(f32) -> bool,
) {
    let bands = Bands::of(threshold);
    let mut keys = vec![0u64; sets.len()];
    let mut order: Vec<(u64, u32)> = Vec::with_capacity(sets.len());
    for band in 0..bands.count {
        band_keys(sets, band, bands.rows, threads, &mut keys);
        order.clear();
        let filled = keys.iter().zip(0u32..).filter(|(_, set)| !sets[*set as usize].is_empty());
        order.extend(filled.map(|(key, set)| (*key, set)));
        order.sort_unstable();
        for bucket in order.chunk_by(|a, b| a.0 == b.0).filter(|bucket| bucket.len() > 1) {
            join_bucket(sets, bucket, threshold, groups);
        }
        if !go_on((band + 1) as f32 / bands.count as f32) {
            return;
        }
    }
}

fn join_bucket(sets: &[&[u32]], bucket: &[(u64, u32)], threshold: f64, groups: &mut Groups) {
    let mut leaders: Vec<usize> = Vec::new();
    let mut oldest = LEADERS / 2;
    for (_, set) in bucket {
        let set = *set as usize;
        let mut joined = false;
        for leader in &leaders {
            let same = groups.root(*leader) == groups.root(set);
            if same || similar(sets[*leader], sets[set], threshold) {
                groups.join(*leader, set);
                joined = true;
            }
        }
        if joined {
            continue;
        }
        if leaders.len() < LEADERS {
            leaders.push(set);
        } else {
            // The first half stays, the rest is replaced in turn.
            leaders[oldest] = set;
            oldest = if oldest + 1 == LEADERS { LEADERS / 2 } else { oldest + 1 };
        }
    }
}

/// The key of each set in a band, made on several threads: sets have nothing to do with each other.
fn band_keys(sets: &[&[u32]], band: usize, rows: usize, threads: usize, keys: &mut [u64]) {
    let threads = NonZeroUsize::new(threads).map_or(1, NonZeroUsize::get);
    let share = sets.len().div_ceil(threads).max(1);
    let hashes = Hashes::new(band);
    std::thread::scope(|scope| {
        for (sets, keys) in sets.chunks(share).zip(keys.chunks_mut(share)) {
            scope.spawn(move || {
                for (set, key) in sets.iter().zip(keys) {
                    *key = hashes.key(set, rows);
                }
            });
        }
    });
}

/// The functions of one band: x to (x xor a) * b modulo 2^32, b odd, which permutes all x.
#[derive(Clone, Copy)]
struct Hashes {
    offsets: [u32; LANES],
    factors: [u32; LANES],
}

impl Hashes {
    fn new(band: usize) -> Hashes {
        let number = |n: usize| mix(0x5eed_0000 + (band * 2 * LANES + n) as u64) as u32;
        Hashes {
            offsets: std::array::from_fn(number),
            factors: std::array::from_fn(|n| number(LANES + n) | 1),
        }
    }

    fn key(&self, set: &[u32], rows: usize) -> u64 {
        let mut smallest = [u32::MAX; LANES];
        for value in set {
            let functions = self.offsets.iter().zip(&self.factors);
            for (smallest, (offset, factor)) in smallest.iter_mut().zip(functions) {
                *smallest = (*smallest).min((value ^ offset).wrapping_mul(*factor));
            }
        }
        smallest[..rows].iter().fold(0, |key: u64, value| mix(key ^ u64::from(*value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets of 60 values; every third shares all but `changed` with the one before it.
    fn sets(count: usize, changed: usize) -> Vec<Vec<u32>> {
        let mut sets: Vec<Vec<u32>> = Vec::new();
        for n in 0..count {
            let value = |m: usize| mix((n * 1000 + m) as u64) as u32;
            let mut set: Vec<u32> = (0..60).map(value).collect();
            if n % 3 == 1 {
                let shared = sets[n - 1][changed..].iter().copied();
                set = shared.chain((0..changed).map(value)).collect();
            }
            set.sort_unstable();
            sets.push(set);
        }
        sets
    }

    fn pairs(sets: &[Vec<u32>], threshold: f64, threads: usize) -> Vec<usize> {
        let sets: Vec<&[u32]> = sets.iter().map(Vec::as_slice).collect();
        let mut groups = Groups::new(sets.len());
        join_similar(&sets, threshold, threads, &mut groups, &|_| true);
        (0..sets.len()).map(|set| groups.root(set)).collect()
    }

    #[test]
    fn bands_follow_the_threshold() {
        assert_eq!(Bands::of(0.8), Bands { rows: 6, count: 16 });
        assert!(Bands::of(0.5).rows < 4 && Bands::of(0.95).rows == LANES);
    }

    #[test]
    fn similar_sets_are_found_and_others_are_not() {
        // 56 of 64: a similarity of 0.875.
        let near = sets(3000, 4);
        let roots = pairs(&near, 0.8, 1);
        let found = (0..3000).filter(|n| n % 3 == 1 && roots[*n] == n - 1).count();
        assert!(found >= 990, "{found} of 1000");
        assert!((0..3000).all(|n| n % 3 == 1 || roots[n] == n), "a pair that is none");
        assert_eq!(roots, pairs(&near, 0.8, 3));
        // 52 of 68: 0.76.
        let far = sets(300, 8);
        assert!(pairs(&far, 0.8, 1).into_iter().eq(0..300));
    }

    #[test]
    fn very_many_copies_are_one_group() {
        let mut all = sets(1, 0);
        for n in 0..5000u32 {
            let mut copy = all[0].clone();
            copy[0] = n;
            copy.sort_unstable();
            all.push(copy);
        }
        assert!(pairs(&all, 0.8, 2).iter().all(|root| *root == 0));
    }
}
