//! Made-up records: the same ones on every machine and in every run.

use super::subject::Lesson;

/// Words of each class of [`Records::easy`] and [`Records::noisy`].
const WORDS: [[&str; 6]; 4] = [
    ["invoice", "refund", "paid", "charged", "receipt", "bank"],
    ["router", "cable", "signal", "outage", "modem", "slow"],
    ["visa", "form", "passport", "embassy", "stamp", "border"],
    ["parcel", "courier", "tracking", "doorstep", "shipped", "box"],
];

/// Every fifth row is held out.
const FOLDS: usize = 5;

/// A linear congruential generator with the constants of Knuth's MMIX (The Art of Computer
/// Programming, volume 2, section 3.3.4); the upper bits are used.
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A number below `limit`, which is above 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Texts with a label each, in row order.
#[derive(Clone)]
pub(super) struct Records {
    pub texts: Vec<String>,
    pub labels: Vec<u32>,
    pub classes: u32,
}

impl Records {
    /// Four classes that share few words, every label right.
    pub fn easy(count: usize) -> Records {
        Records::made_up(count, 11, 4, |_| false)
    }

    /// The same with one wrong label in ten, and some texts without a word.
    pub fn noisy(count: usize) -> Records {
        Records::made_up(count, 7, 0, |random| random.below(10) == 0)
    }

    fn made_up(
        count: usize,
        seed: u64,
        fewest_words: usize,
        mut is_wrong: impl FnMut(&mut Random) -> bool,
    ) -> Records {
        let mut random = Random::new(seed);
        let (mut texts, mut labels) = (Vec::new(), Vec::new());
        for row in 0..count {
            let class = row % WORDS.len();
            let length = fewest_words + random.below(7);
            let words: Vec<String> = (0..length).map(|_| word(class, &mut random)).collect();
            texts.push(words.join(" "));
            let wrong = is_wrong(&mut random);
            let label = if wrong { random.below(WORDS.len()) } else { class };
            labels.push(label as u32);
        }
        Records { texts, labels, classes: WORDS.len() as u32 }
    }

    pub fn held_out(&self) -> Vec<u32> {
        (0..self.texts.len() as u32).filter(|row| is_held_out(*row as usize)).collect()
    }

    /// What a fold learns from: every row that is not held out.
    pub fn lesson(&self) -> Lesson {
        let rows: Vec<u32> =
            (0..self.texts.len() as u32).filter(|row| !is_held_out(*row as usize)).collect();
        let labels = rows.iter().map(|&row| self.labels[row as usize]).collect();
        Lesson { rows, labels, weights: None, classes: self.classes }
    }
}

pub(super) fn is_held_out(row: usize) -> bool {
    row.is_multiple_of(FOLDS)
}

/// Two words of three are the class's own, the others anybody's.
fn word(class: usize, random: &mut Random) -> String {
    if random.below(3) > 0 {
        WORDS[class][random.below(WORDS[class].len())].to_owned()
    } else {
        format!("w{}", random.below(90))
    }
}

/// Texts of the classes of [`Records::easy`] among words that are in no other records.
pub(super) fn unseen_texts(count: usize) -> Vec<String> {
    let mut random = Random::new(23);
    (0..count)
        .map(|row| {
            let class = row % WORDS.len();
            let own = WORDS[class][random.below(WORDS[class].len())];
            format!("zebra{} {own} unheard{} of", random.below(1000), random.below(1000))
        })
        .collect()
}
