//! Texts as sets of shingles: runs of a few words, hashed (Broder: "On the resemblance and
//! containment of documents", 1997). Knows nothing of records.

/// The words of a text in lower case, without punctuation.
///
/// Scripts that put no space between words (Chinese, Japanese, Thai and their neighbours) count
/// each character as a word.
pub(super) fn words(text: &str, mut word: impl FnMut(&str)) {
    let mut current = String::new();
    let mut flush = |current: &mut String| {
        if !current.is_empty() {
            word(current);
            current.clear();
        }
    };
    for c in text.chars() {
        if !c.is_alphanumeric() {
            // Marks belong to the letter before them, an apostrophe to its word.
            if !(is_mark(c) || matches!(c, '\'' | '\u{2019}')) {
                flush(&mut current);
            } else if is_mark(c) {
                current.push(c);
            }
            continue;
        }
        if is_unspaced(c) {
            flush(&mut current);
            current.push(c);
            flush(&mut current);
        } else {
            current.extend(c.to_lowercase());
        }
    }
    flush(&mut current);
}

/// Combining marks: Latin accents and the vowel signs of Indic scripts.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{93c}'..='\u{94d}' | '\u{9bc}'..='\u{9cd}')
}

fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// FNV-1a over the bytes of a word, then mixed.
fn hash_word(word: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(word.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A text without what does not count: its words as one number, and its shingles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shingled {
    /// Equal for texts of the same words in the same order; 0 for a text without words.
    pub words: u128,
    /// Hashes of all runs of words, sorted, each once; of the whole text if it is shorter.
    pub shingles: Vec<u32>,
}

impl Shingled {
    /// Cuts a text into runs of `run` words.
    pub fn new(text: &str, run: usize, hashes: &mut Vec<u64>) -> Shingled {
        hashes.clear();
        words(text, |word| hashes.push(hash_word(word)));
        if hashes.is_empty() {
            return Shingled::default();
        }
        let chain =
            |seed: u64| hashes.iter().fold(seed, |hash, word| mix(hash.rotate_left(5) ^ word));
        let words = (u128::from(chain(1)) << 64) | u128::from(chain(2));
        let run = run.min(hashes.len());
        let mut shingles: Vec<u32> = hashes
            .windows(run)
            .map(|words| {
                let hash = words.iter().fold(0, |hash: u64, word| mix(hash.rotate_left(5) ^ word));
                (hash >> 32) as u32
            })
            .collect();
        shingles.sort_unstable();
        shingles.dedup();
        shingles.shrink_to_fit();
        Shingled { words, shingles }
    }
}

/// Whether two sets share at least this part of their union (Jaccard similarity).
pub(super) fn similar(a: &[u32], b: &[u32], threshold: f64) -> bool {
    let (small, large) = if a.len() < b.len() { (a, b) } else { (b, a) };
    // No more than all of the small set can be shared.
    if (small.len() as f64) < threshold * large.len() as f64 {
        return false;
    }
    let (mut shared, mut at) = (0usize, 0);
    for value in small {
        while at < large.len() && large[at] < *value {
            at += 1;
        }
        if large.get(at) == Some(value) {
            shared += 1;
        }
    }
    let union = a.len() + b.len() - shared;
    shared as f64 >= threshold * union as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Shingled {
        Shingled::new(text, 2, &mut Vec::new())
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(of("Don't  PANIC, please!"), of("dont panic please"));
        assert_ne!(of("one two").words, of("two one").words);
        assert_eq!(of(" ?! ").words, 0);
        let mut found = Vec::new();
        words("Straße 你好 caf\u{e9}s", |word| found.push(word.to_owned()));
        assert_eq!(found, ["straße", "你", "好", "cafés"]);
    }

    #[test]
    fn similarity_is_shared_by_all() {
        // ab bc cd de and ab bc cd dx: 3 of 5.
        let (a, b) = (of("a b c d e").shingles, of("a b c d x").shingles);
        assert_eq!((a.len(), b.len()), (4, 4));
        assert!(similar(&a, &b, 0.6) && !similar(&a, &b, 0.61));
        assert!(similar(&a, &a, 1.0));
    }
}
