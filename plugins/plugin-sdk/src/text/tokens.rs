//! Text to feature hashes: words, word n-grams and character n-grams.
//!
//! A word is a run of letters, digits, marks and `_`, lower-cased; ideographs and kana are words
//! of their own, since no space divides them. Any input that is UTF-8 works, at any length. A
//! feature is the 64-bit hash of its bytes: no string is kept.

use crate::Error;

/// Which features a text has. Part of every saved model: a corpus must have been made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSettings {
    /// 1 for words alone, 2 for pairs too, up to 3.
    pub word_ngrams: u8,
    /// Shortest and longest run of characters inside a word; (0, 0) for none.
    pub char_ngrams: (u8, u8),
    /// Buckets as a power of two; 0 keeps each feature for itself.
    pub hash_bits: u8,
}

/// 0 for a separator, 255 for the lead or tail of a longer character, else the lower-case byte.
static BYTE_CLASS: [u8; 256] = byte_classes();
const NOT_ASCII: u8 = 255;

const fn byte_classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        classes[byte] = match value {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => value,
            b'A'..=b'Z' => value + 32,
            128..=255 => NOT_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_PRIME: u64 = 0x0000_0100_0000_01b3;
const PAIR_SALT: u64 = 0x9e37_79b9_7f4a_7c15;
const COLUMN_SALT: u64 = 0xd6e8_feb8_6659_fd93;
const CHAR_SALT: u64 = 0xd6e8_feb8_6659_fd93;

impl TextSettings {
    /// Fails, by the name of the parameter, when a value is out of range.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |name: &str, rule: &str| Err(Error::new(format!("parameter `{name}` {rule}")));
        let (shortest, longest) = self.char_ngrams;
        if !(1..=3).contains(&self.word_ngrams) {
            return wrong("word_ngrams", "must be 1, 2 or 3");
        }
        if (shortest, longest) != (0, 0) && !(1..=longest).contains(&shortest) || longest > 10 {
            return wrong("char_ngrams", "must be [shortest, longest] within 1 and 10");
        }
        if self.hash_bits != 0 && !(8..=26).contains(&self.hash_bits) {
            return wrong("hash_bits", "must be within 8 and 26");
        }
        Ok(())
    }

    /// Returns four bytes for a saved model.
    pub fn to_bytes(self) -> [u8; 4] {
        [self.word_ngrams, self.char_ngrams.0, self.char_ngrams.1, self.hash_bits]
    }

    /// Reads what `to_bytes` gave; anything out of range is an error.
    pub fn from_bytes(bytes: [u8; 4]) -> Result<TextSettings, Error> {
        let [word_ngrams, shortest, longest, hash_bits] = bytes;
        let settings = TextSettings { word_ngrams, char_ngrams: (shortest, longest), hash_bits };
        settings.check().map(|()| settings)
    }
}

/// Finds the words of texts; keeps its buffers between texts.
pub(super) struct Tokenizer {
    settings: TextSettings,
    /// Hashes of the words before the current one, the nearest last.
    before: [u64; 2],
    words_before: u8,
    /// The current word with its two edges, only kept for character n-grams.
    characters: Vec<u32>,
}

impl Tokenizer {
    pub fn new(settings: TextSettings) -> Tokenizer {
        Tokenizer { settings, before: [0; 2], words_before: 0, characters: Vec::new() }
    }

    /// Calls `emit` with each feature of `text`, in order, repeated as often as it occurs.
    pub fn features(&mut self, text: &str, mut emit: impl FnMut(u64)) {
        self.words_before = 0;
        let keep_characters = self.settings.char_ngrams.1 > 0;
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let class = BYTE_CLASS[bytes[at] as usize];
            if class == 0 {
                at += 1;
                continue;
            }
            if class == NOT_ASCII || keep_characters {
                at = self.slow_word(text, at, HASH_START, &mut emit);
                continue;
            }
            let mut hash = HASH_START;
            let start = at;
            while at < bytes.len() {
                let class = BYTE_CLASS[bytes[at] as usize];
                if class == 0 || class == NOT_ASCII {
                    break;
                }
                hash = (hash ^ u64::from(class)).wrapping_mul(HASH_PRIME);
                at += 1;
            }
            if at < bytes.len() && bytes[at] >= 128 {
                // The word goes on in other letters, or ends with a longer punctuation mark.
                at = self.slow_word(text, start, HASH_START, &mut emit);
            } else {
                self.word(hash, &mut emit);
            }
        }
    }

    /// Calls `emit` with the feature of a word in a column: each value is one of its own.
    pub fn word_of_column(&self, column: &str, word: &str, mut emit: impl FnMut(u64)) {
        if !word.is_empty() {
            emit(self.bucket(of_column(column, word.as_bytes())));
        }
    }

    /// Calls `emit` with two features of a number in a column: its octave, and its quarter of it.
    ///
    /// The bounds lie at fixed places, whatever the other numbers are: bounds that were learnt from
    /// all rows would tell a model of the rows it is judged by. NaN has no feature.
    pub fn number_of_column(&self, column: &str, number: f64, mut emit: impl FnMut(u64)) {
        if number.is_nan() {
            return;
        }
        // Minus zero is zero.
        let bits = (number + 0.0).to_bits();
        for dropped in [52_u8, 50] {
            let mut value = [dropped; 9];
            value[1..].copy_from_slice(&(bits >> dropped).to_le_bytes());
            emit(self.bucket(of_column(column, &value)));
        }
    }

    /// Reads one word character by character; returns where to go on.
    fn slow_word(
        &mut self,
        text: &str,
        start: usize,
        mut hash: u64,
        emit: &mut impl FnMut(u64),
    ) -> usize {
        self.characters.clear();
        let mut length = 0;
        let mut end = text.len();
        for (offset, character) in text[start..].char_indices() {
            if !is_word_character(character) {
                end = start + offset + if length == 0 { character.len_utf8() } else { 0 };
                break;
            }
            if stands_alone(character) {
                if length == 0 {
                    hash = self.push_character(hash, character);
                    length = 1;
                    end = start + offset + character.len_utf8();
                } else {
                    end = start + offset;
                }
                break;
            }
            for lower in character.to_lowercase() {
                hash = self.push_character(hash, lower);
            }
            length += 1;
        }
        if length > 0 {
            self.word(hash, emit);
            self.character_ngrams(emit);
        }
        end
    }

    fn push_character(&mut self, hash: u64, character: char) -> u64 {
        if self.settings.char_ngrams.1 > 0 {
            self.characters.push(u32::from(character));
        }
        let mut buffer = [0; 4];
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(HASH_PRIME);
        character.encode_utf8(&mut buffer).as_bytes().iter().fold(hash, step)
    }

    #[inline]
    fn word(&mut self, hash: u64, emit: &mut impl FnMut(u64)) {
        let hash = mix(hash);
        emit(self.bucket(hash));
        if self.settings.word_ngrams < 2 {
            return;
        }
        if self.words_before >= 1 {
            let pair = mix((self.before[1] ^ PAIR_SALT).wrapping_mul(HASH_PRIME) ^ hash);
            emit(self.bucket(pair));
            if self.settings.word_ngrams >= 3 && self.words_before >= 2 {
                let triple = mix((self.before[0] ^ !PAIR_SALT).wrapping_mul(HASH_PRIME) ^ pair);
                emit(self.bucket(triple));
            }
        }
        self.before = [self.before[1], hash];
        self.words_before = (self.words_before + 1).min(2);
    }

    fn character_ngrams(&mut self, emit: &mut impl FnMut(u64)) {
        let (shortest, longest) = self.settings.char_ngrams;
        if longest == 0 {
            return;
        }
        self.characters.insert(0, u32::from('\u{2}'));
        self.characters.push(u32::from('\u{3}'));
        for length in usize::from(shortest)..=usize::from(longest) {
            for window in self.characters.windows(length) {
                let step =
                    |hash: u64, &unit: &u32| (hash ^ u64::from(unit)).wrapping_mul(PAIR_SALT);
                emit(self.bucket(mix(window.iter().fold(CHAR_SALT ^ length as u64, step))));
            }
        }
    }

    #[inline]
    fn bucket(&self, hash: u64) -> u64 {
        match self.settings.hash_bits {
            0 => hash,
            bits => hash & ((1 << bits) - 1),
        }
    }
}

#[inline]
/// A feature no word has.
fn of_column(column: &str, value: &[u8]) -> u64 {
    let bytes = column.bytes().chain([0]).chain(value.iter().copied());
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(HASH_PRIME);
    mix(mix(bytes.fold(HASH_START ^ COLUMN_SALT, step)))
}

fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^ (hash >> 32)
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || is_combining(character)
}

/// Marks that are part of a letter when a text is decomposed.
fn is_combining(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}')
}

/// Kana and ideographs.
fn stands_alone(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: TextSettings = TextSettings { word_ngrams: 1, char_ngrams: (0, 0), hash_bits: 0 };

    fn features(settings: TextSettings, text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        Tokenizer::new(settings).features(text, |feature| found.push(feature));
        found
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(features(WORDS, "Lost my Card!"), features(WORDS, "  lost, my\ncard"));
        assert_eq!(features(WORDS, "ÉTÉ été").first(), features(WORDS, "été").first());
        assert_eq!(features(WORDS, "a“b”c—d…").len(), 4);
        assert_eq!(features(WORDS, "naïve cafés").len(), 2);
    }

    #[test]
    fn any_unicode_is_read_to_its_end() {
        assert_eq!(features(WORDS, "").len(), 0);
        assert_eq!(features(WORDS, "\u{0}\u{7f}\u{200b}😀").len(), 0);
        assert_eq!(features(WORDS, "カードa紛失b").len(), 7);
        assert_eq!(features(WORDS, "e\u{323}le\u{301}").len(), 1);
    }

    #[test]
    fn ngrams_count() {
        let three = TextSettings { word_ngrams: 3, ..WORDS };
        assert_eq!(features(three, "a b c d").len(), 4 + 3 + 2);
        let characters = TextSettings { char_ngrams: (3, 4), ..WORDS };
        // `abc` with its edges has five characters: three of three and two of four.
        assert_eq!(features(characters, "abc").len(), 1 + 3 + 2);
    }

    #[test]
    fn buckets_bound_the_features() {
        let hashed = TextSettings { hash_bits: 4, ..WORDS };
        let text: String = (0..100).map(|number| format!("w{number} ")).collect();
        assert!(features(hashed, &text).iter().all(|&feature| feature < 16));
    }

    #[test]
    fn columns_have_features_of_their_own() {
        let tokenizer = Tokenizer::new(WORDS);
        let word = |column: &str, word: &str| {
            let mut found = Vec::new();
            tokenizer.word_of_column(column, word, |hash| found.push(hash));
            found
        };
        let number = |number: f64| {
            let mut found = Vec::new();
            tokenizer.number_of_column("amount", number, |hash| found.push(hash));
            found
        };
        assert_ne!(word("channel", "mail"), word("source", "mail"));
        assert_ne!(word("channel", "mail"), features(WORDS, "mail"));
        assert!(word("channel", "").is_empty() && number(f64::NAN).is_empty());
        assert_eq!(number(-0.0), number(0.0));
        assert_eq!(number(1000.0), number(1001.0), "one quarter of an octave");
        // The same octave in another quarter, then another octave.
        assert_eq!(number(4.0)[0], number(7.0)[0]);
        assert_ne!(number(4.0)[1], number(7.0)[1]);
        assert_ne!(number(4.0)[0], number(8.0)[0]);
        assert_ne!(number(4.0)[0], number(-4.0)[0]);
    }
}
