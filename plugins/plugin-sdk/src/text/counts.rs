//! The label-free part: every text as the features it has and how often, done once for all folds.
//!
//! Work is split by bytes into chunks, each with a vocabulary of its own. Joining the vocabularies
//! in chunk order numbers features by where they first occur, however many chunks there were, so
//! the corpus does not depend on the number of threads.

use std::thread;

use super::tokens::{TextSettings, Tokenizer};
use crate::threads::join;
use crate::{Context, Error, Texts};

/// Texts between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 4096;

/// How often each feature occurs in each text, in compressed rows.
pub struct Counts {
    settings: TextSettings,
    /// The hash of each feature, by feature number.
    hashes: Vec<u64>,
    /// Entries of row `r` are `starts[r]..starts[r + 1]`.
    starts: Vec<usize>,
    /// Feature numbers, in the order they first occur in the text.
    features: Vec<u32>,
    counts: Vec<u16>,
}

impl Counts {
    /// Reads all texts, in as many threads as the context allows.
    pub fn new(
        settings: TextSettings,
        texts: &Texts<'_>,
        context: &Context<'_>,
    ) -> Result<Counts, Error> {
        let chunks = read_chunks(settings, texts, context)?;
        let (hashes, maps) = join_vocabularies(&chunks)?;
        let mut starts = Vec::with_capacity(texts.len() + 1);
        starts.push(0);
        for chunk in &chunks {
            let base = *starts.last().expect("starts begins with 0");
            starts.extend(chunk.ends.iter().map(|end| base + end));
        }
        let entries = *starts.last().expect("starts begins with 0");
        let mut features = Vec::with_capacity(entries);
        let mut counts = Vec::with_capacity(entries);
        for (chunk, map) in chunks.into_iter().zip(&maps) {
            features.extend(chunk.features.iter().map(|&local| map[local as usize]));
            counts.extend_from_slice(&chunk.counts);
        }
        Ok(Counts { settings, hashes, starts, features, counts })
    }

    pub fn settings(&self) -> TextSettings {
        self.settings
    }

    /// Returns the hash of each feature, which is the same in every corpus, by feature number.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Returns the features of a row, in the order they first occur, and their counts.
    #[inline]
    pub fn row(&self, row: u32) -> (&[u32], &[u16]) {
        let range = self.starts[row as usize]..self.starts[row as usize + 1];
        (&self.features[range.clone()], &self.counts[range])
    }
}

/// Rows of one chunk, with feature numbers of its own.
struct Chunk {
    hashes: Vec<u64>,
    ends: Vec<usize>,
    features: Vec<u32>,
    counts: Vec<u16>,
}

fn read_chunks(
    settings: TextSettings,
    texts: &Texts<'_>,
    context: &Context<'_>,
) -> Result<Vec<Chunk>, Error> {
    let bounds = chunk_bounds(texts, context.threads());
    let read = |rows: std::ops::Range<usize>| read_chunk(settings, texts, rows, context);
    if bounds.len() == 2 {
        return Ok(vec![read(bounds[0]..bounds[1])?]);
    }
    thread::scope(|scope| {
        let workers: Vec<_> = bounds
            .windows(2)
            .map(|bound| {
                scope.spawn({
                    let rows = bound[0]..bound[1];
                    move || read(rows)
                })
            })
            .collect();
        workers.into_iter().map(join).collect()
    })
}

/// Returns row numbers that divide the texts into chunks of about equal bytes.
fn chunk_bounds(texts: &Texts<'_>, chunks: usize) -> Vec<usize> {
    let total = texts.bytes_before(texts.len());
    let mut bounds = vec![0];
    for chunk in 1..chunks {
        let target = (total as u128 * chunk as u128 / chunks as u128) as usize;
        let (mut low, mut high) = (bounds[chunk - 1], texts.len());
        while low < high {
            let middle = (low + high) / 2;
            if texts.bytes_before(middle) < target { low = middle + 1 } else { high = middle }
        }
        bounds.push(low);
    }
    bounds.push(texts.len());
    bounds
}

fn read_chunk(
    settings: TextSettings,
    texts: &Texts<'_>,
    rows: std::ops::Range<usize>,
    context: &Context<'_>,
) -> Result<Chunk, Error> {
    let mut tokenizer = Tokenizer::new(settings);
    let mut vocabulary = Vocabulary::new();
    let mut chunk =
        Chunk { hashes: Vec::new(), ends: Vec::new(), features: Vec::new(), counts: Vec::new() };
    // Where each feature stands in the current row: valid if at or behind the row's start.
    let mut positions: Vec<usize> = Vec::new();
    for row in rows {
        if row % ROWS_PER_CHECK == 0 {
            context.check()?;
        }
        // Positions are stored plus one, so that 0 is before every row.
        let row_start = chunk.features.len() + 1;
        tokenizer.features(texts.get(row), |hash| {
            let feature = vocabulary.number(hash);
            if feature as usize == positions.len() {
                positions.push(0);
            }
            let position = &mut positions[feature as usize];
            if *position >= row_start {
                let count = &mut chunk.counts[*position - 1];
                *count = count.saturating_add(1);
            } else {
                chunk.features.push(feature);
                chunk.counts.push(1);
                *position = chunk.features.len();
            }
        });
        chunk.ends.push(chunk.features.len());
    }
    chunk.hashes = vocabulary.hashes;
    Ok(chunk)
}

/// Numbers the features of all chunks; returns them and a map for each chunk.
fn join_vocabularies(chunks: &[Chunk]) -> Result<(Vec<u64>, Vec<Vec<u32>>), Error> {
    let mut vocabulary = Vocabulary::new();
    let maps = chunks
        .iter()
        .map(|chunk| chunk.hashes.iter().map(|&hash| vocabulary.number(hash)).collect())
        .collect();
    if vocabulary.hashes.len() >= u32::MAX as usize {
        return Err(Error::new("the texts have more than 4294967294 features"));
    }
    Ok((vocabulary.hashes, maps))
}

/// Hash to number, open addressing; the hashes are good ones, so their low bits are the slot.
pub struct Vocabulary {
    /// Number plus one, 0 when free, beside the hash it belongs to.
    slots: Vec<(u64, u32)>,
    hashes: Vec<u64>,
}

impl Vocabulary {
    fn new() -> Vocabulary {
        Vocabulary { slots: vec![(0, 0); 1 << 12], hashes: Vec::new() }
    }

    /// Numbers hashes in their order.
    pub fn of(hashes: &[u64]) -> Vocabulary {
        let mut vocabulary = Vocabulary::new();
        for &hash in hashes {
            vocabulary.number(hash);
        }
        vocabulary
    }

    /// Returns the number of a feature, a new one if it was never seen.
    #[inline]
    fn number(&mut self, hash: u64) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = spread(hash) & mask;
        loop {
            let (known, number) = self.slots[slot];
            if number == 0 {
                break;
            }
            if known == hash {
                return number - 1;
            }
            slot = (slot + 1) & mask;
        }
        let number = self.hashes.len() as u32;
        self.slots[slot] = (hash, number + 1);
        self.hashes.push(hash);
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    /// Returns the number of a feature that was seen.
    pub fn find(&self, hash: u64) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = spread(hash) & mask;
        loop {
            let (known, number) = self.slots[slot];
            if number == 0 {
                return None;
            }
            if known == hash {
                return Some(number - 1);
            }
            slot = (slot + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let mask = self.slots.len() * 4 - 1;
        let mut slots = vec![(0, 0); mask + 1];
        for (number, &hash) in self.hashes.iter().enumerate() {
            let mut slot = spread(hash) & mask;
            while slots[slot].1 != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = (hash, number as u32 + 1);
        }
        self.slots = slots;
    }
}

/// Buckets of hashed vocabularies are small numbers; a multiplication spreads them too.
#[inline]
fn spread(hash: u64) -> usize {
    (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_in_order_and_kept_while_growing() {
        let mut vocabulary = Vocabulary::new();
        let hash = |number: u64| number.wrapping_mul(0x1234_5678_9abc_def1);
        for number in 0..20_000 {
            assert_eq!(vocabulary.number(hash(number)), number as u32);
        }
        for number in 0..20_000 {
            assert_eq!(vocabulary.find(hash(number)), Some(number as u32));
        }
        assert_eq!(vocabulary.find(hash(20_000)), None);
    }
}
