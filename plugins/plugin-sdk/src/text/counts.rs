//! The label-free part: every text as the features it has and how often, done once for all folds.
//!
//! Work is split by bytes into chunks, each with a vocabulary of its own. Joining the vocabularies
//! in chunk order numbers features by where they first occur, however many chunks there were, so
//! the corpus does not depend on the number of threads.

use std::thread;

use super::tokens::{TextSettings, Tokenizer};
use crate::lanes::prefetch;
use crate::threads::join;
use crate::{ColumnValues, Context, Error, Texts};

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
    /// Reads all texts and columns, in as many threads as the context allows.
    pub fn new(
        settings: TextSettings,
        texts: &Texts<'_>,
        context: &Context<'_>,
    ) -> Result<Counts, Error> {
        let mut chunks = read_chunks(settings, texts, context)?.into_iter();
        let first = chunks.next().expect("there is at least one chunk");
        let mut vocabulary = first.vocabulary;
        let mut starts = Vec::with_capacity(texts.len() + 1);
        starts.push(0);
        starts.extend_from_slice(&first.ends);
        let (mut features, mut counts) = (first.features, first.counts);
        let mut others: Vec<Chunk> = chunks.collect();
        renumber(&mut vocabulary, &mut others);
        let entries = others.iter().fold(features.len(), |sum, other| sum + other.features.len());
        if entries > MOST_ENTRIES {
            return Err(too_many_entries());
        }
        // One chunk after the other is given back, so that little is held twice.
        for chunk in others {
            let base = features.len();
            starts.extend(chunk.ends.iter().map(|end| base + end));
            features.reserve_exact(chunk.features.len());
            features.extend_from_slice(&chunk.features);
            counts.reserve_exact(chunk.counts.len());
            counts.extend_from_slice(&chunk.counts);
        }
        Ok(Counts { settings, hashes: vocabulary.hashes, starts, features, counts })
    }

    /// Reads words, and runs of up to `word_ngrams` of them, each for itself.
    pub fn of_words(
        word_ngrams: u8,
        texts: &Texts<'_>,
        context: &Context<'_>,
    ) -> Result<Counts, Error> {
        let settings = TextSettings { word_ngrams, char_ngrams: (0, 0), hash_bits: 0 };
        settings.check()?;
        Counts::new(settings, texts, context)
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

/// How far ahead of its reading the place of a row is asked for, and its first entries.
const FAR_AHEAD: usize = 12;
const AHEAD: usize = 6;

impl Counts {
    /// Asks for what the rows behind `position` of `rows` will read: rows in a drawn order are all
    /// over the memory. Call it before each row is read.
    #[inline(always)]
    pub fn prefetch(&self, rows: &[u32], position: usize) {
        if let Some(&row) = rows.get(position + FAR_AHEAD) {
            prefetch(&self.starts, row as usize);
        }
        if let Some(&row) = rows.get(position + AHEAD) {
            let start = self.starts[row as usize];
            prefetch(&self.features, start);
            prefetch(&self.features, start + 16);
            prefetch(&self.counts, start);
        }
    }
}

/// Rows of one chunk, with feature numbers of its own.
struct Chunk {
    vocabulary: Vocabulary,
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

/// Most entries of all texts; positions are kept in four bytes.
const MOST_ENTRIES: usize = u32::MAX as usize - 1 - BATCH;

/// Features of a text that are looked up together.
const BATCH: usize = 1024;

/// How many look-ups ahead of its use a slot of the vocabulary is asked for.
const SLOTS_AHEAD: usize = 8;

fn read_chunk(
    settings: TextSettings,
    texts: &Texts<'_>,
    rows: std::ops::Range<usize>,
    context: &Context<'_>,
) -> Result<Chunk, Error> {
    let mut tokenizer = Tokenizer::new(settings);
    let mut chunk = Chunk {
        vocabulary: Vocabulary::new(),
        ends: Vec::with_capacity(rows.len()),
        features: Vec::new(),
        counts: Vec::new(),
    };
    let mut batch = Vec::with_capacity(BATCH);
    for row in rows {
        if row % ROWS_PER_CHECK == 0 {
            context.check()?;
        }
        let row_start = chunk.features.len();
        let mut emit = |hash| {
            batch.push(hash);
            if batch.len() == BATCH {
                chunk.count(&batch, row_start);
                batch.clear();
            }
        };
        tokenizer.features(texts.get(row), &mut emit);
        for column in texts.columns() {
            match &column.values {
                ColumnValues::Numbers(numbers) => {
                    tokenizer.number_of_column(column.name, numbers[row], &mut emit);
                }
                ColumnValues::Words(words) => {
                    tokenizer.word_of_column(column.name, words.get(row), &mut emit);
                }
            }
        }
        chunk.count(&batch, row_start);
        batch.clear();
        if chunk.features.len() > MOST_ENTRIES {
            return Err(too_many_entries());
        }
        chunk.ends.push(chunk.features.len());
    }
    Ok(chunk)
}

impl Chunk {
    /// Counts features of the text whose entries begin at `row_start`.
    fn count(&mut self, batch: &[u64], row_start: usize) {
        for (at, &hash) in batch.iter().enumerate() {
            if let Some(&next) = batch.get(at + SLOTS_AHEAD) {
                self.vocabulary.prefetch(next);
            }
            let slot = self.vocabulary.slot(hash);
            // Positions are stored plus one, so that 0 is before every text.
            if slot.position as usize > row_start {
                let count = &mut self.counts[slot.position as usize - 1];
                *count = count.saturating_add(1);
            } else {
                self.features.push(slot.number - 1);
                self.counts.push(1);
                slot.position = self.features.len() as u32;
            }
        }
    }
}

fn too_many_entries() -> Error {
    Error::new(format!(
        "the texts have more than {MOST_ENTRIES} features in all; audit them in parts"
    ))
}

/// Gives the features of further chunks their numbers in the vocabulary of the first.
fn renumber(vocabulary: &mut Vocabulary, chunks: &mut [Chunk]) {
    let mut maps = Vec::with_capacity(chunks.len());
    for chunk in &mut *chunks {
        let hashes = std::mem::replace(&mut chunk.vocabulary, Vocabulary::new()).hashes;
        let map: Vec<u32> = hashes.iter().map(|&hash| vocabulary.number(hash)).collect();
        maps.push(map);
    }
    thread::scope(|scope| {
        for (chunk, map) in chunks.iter_mut().zip(&maps) {
            scope.spawn(move || {
                for feature in &mut chunk.features {
                    *feature = map[*feature as usize];
                }
            });
        }
    });
}

/// Hash to number, open addressing.
pub struct Vocabulary {
    slots: Vec<Slot>,
    hashes: Vec<u64>,
}

/// One place of the table, a quarter of a cache line.
#[derive(Clone, Copy)]
struct Slot {
    hash: u64,
    /// Plus one; 0 when the slot is free.
    number: u32,
    /// For [`Chunk`]: where the feature last occurred.
    position: u32,
}

const FREE: Slot = Slot { hash: 0, number: 0, position: 0 };

impl Vocabulary {
    fn new() -> Vocabulary {
        Vocabulary { slots: vec![FREE; 1 << 10], hashes: Vec::new() }
    }

    /// Numbers hashes in their order.
    pub fn of(hashes: &[u64]) -> Vocabulary {
        let slots = (2 * hashes.len() + 1).next_power_of_two().max(1 << 10);
        let mut vocabulary =
            Vocabulary { slots: vec![FREE; slots], hashes: Vec::with_capacity(hashes.len()) };
        for &hash in hashes {
            vocabulary.number(hash);
        }
        vocabulary
    }

    /// Returns the number of a feature, a new one if it was never seen.
    #[inline]
    fn number(&mut self, hash: u64) -> u32 {
        self.slot(hash).number - 1
    }

    /// Returns the slot of a feature, with a new number if it was never seen.
    #[inline]
    fn slot(&mut self, hash: u64) -> &mut Slot {
        let mut at = self.place(hash);
        if self.slots[at].number == 0 {
            if (self.hashes.len() + 1) * 2 > self.slots.len() {
                self.grow();
                at = self.place(hash);
            }
            self.hashes.push(hash);
            self.slots[at] = Slot { hash, number: self.hashes.len() as u32, position: 0 };
        }
        &mut self.slots[at]
    }

    /// Returns the number of a feature that was seen.
    pub fn find(&self, hash: u64) -> Option<u32> {
        self.slots[self.place(hash)].number.checked_sub(1)
    }

    /// Asks for the slot where the search for a feature begins.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.slots, spread(hash) & (self.slots.len() - 1));
    }

    /// Returns where a feature is, or the free slot where it belongs.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = spread(hash) & mask;
        while self.slots[at].number != 0 && self.slots[at].hash != hash {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let old = std::mem::replace(&mut self.slots, vec![FREE; mask + 1]);
        for slot in old {
            if slot.number != 0 {
                let place = self.place(slot.hash);
                self.slots[place] = slot;
            }
        }
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
