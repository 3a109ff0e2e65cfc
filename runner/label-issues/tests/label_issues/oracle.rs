//! The filters once more, plain: all probabilities at hand, whole sorts, no passes. Both have to
//! flag the same rows of random data, with and without equal probabilities.

use std::cmp::Ordering;

use crate::support::{Random, Sample, all_options};
use label_issues::{
    Collision, Dataset, Dense, FilterBy, FilterOptions, MISSING, TieBreak, prune_count_matrix,
};

#[test]
fn streaming_flags_what_plain_sorts_flag() {
    let mut random = Random(7);
    for round in 0..300 {
        let sample = Sample::random(&mut random, [0, 0, 10, 64][round % 4]);
        let collision = [Collision::Cleanlab, Collision::Paper][round / 4 % 2];
        let dense = Dense::new(&sample.values[..], sample.classes).unwrap().with_batch_rows(11);
        let dataset = Dataset::new(&dense, &sample.labels).unwrap();
        let evidence = dataset.evidence(collision).unwrap();
        let plain = Plain::new(&sample, dataset.confident_thresholds(), collision);
        for row in evidence.confident_joint().rows().enumerate() {
            for (guessed, &count) in row.1.iter().enumerate() {
                let expected = plain.joint(row.0, guessed);
                assert_eq!(count, expected.max(u64::from(row.0 == guessed)), "round {round}");
            }
        }
        let calibrated = evidence.calibrated_joint().unwrap();
        for options in all_options(TieBreak::Keys(&sample.keys)) {
            let counts = prune_count_matrix(&calibrated, dataset.class_counts(), &options).unwrap();
            let counts = |j: usize, k: usize| counts[(j, k)].max(0) as usize;
            let flags = evidence.find_label_issues(&options).unwrap();
            assert_eq!(flags, plain.flags(&options, &counts), "round {round}: {options:?}");
        }
    }
}

struct Plain<'s> {
    sample: &'s Sample,
    /// The guess of each row with a label that is confidently of any class.
    guesses: Vec<Option<usize>>,
}

impl<'s> Plain<'s> {
    fn new(sample: &'s Sample, thresholds: &[f64], collision: Collision) -> Self {
        let guess = |row: usize| {
            let values = sample.row(row);
            let confident: Vec<usize> =
                (0..sample.classes).filter(|k| values[*k] >= thresholds[*k] - 1e-6).collect();
            match confident.as_slice() {
                _ if sample.labels[row] == MISSING => None,
                [] => None,
                [one] => Some(*one),
                some => Some(match collision {
                    Collision::Cleanlab => argmax(values, 0..sample.classes),
                    Collision::Paper => argmax(values, some.iter().copied()),
                }),
            }
        };
        Self { sample, guesses: (0..sample.labels.len()).map(guess).collect() }
    }

    fn joint(&self, given: usize, guessed: usize) -> u64 {
        let rows = self.guesses.iter().zip(&self.sample.labels);
        rows.filter(|(guess, label)| **guess == Some(guessed) && **label == given as u32).count()
            as u64
    }

    fn given(&self, class: usize) -> Vec<usize> {
        let labels = &self.sample.labels;
        (0..labels.len()).filter(|row| labels[*row] == class as u32).collect()
    }

    fn close(&self, row: usize) -> bool {
        let label = self.sample.labels[row] as usize;
        let mut values = self.sample.row(row).to_vec();
        values[label] += 1e-6;
        argmax(&values, 0..self.sample.classes) == label
    }

    fn off_diagonal(&self, row: usize) -> bool {
        let wrong = |guess: usize| guess as u32 != self.sample.labels[row];
        self.guesses[row].is_some_and(wrong) && !self.close(row)
    }

    fn by_class(&self, least: u64, counts: &dyn Fn(usize, usize) -> usize) -> Vec<usize> {
        let mut flagged = Vec::new();
        for class in 0..self.sample.classes {
            let rows = self.given(class);
            if rows.len() as u64 > least && rows.len() > 1 {
                let wanted = rows.len().saturating_sub(counts(class, class));
                flagged.extend(self.lowest(rows, wanted, |row| self.sample.row(row)[class]));
            }
        }
        flagged
    }

    fn by_noise_rate(&self, least: u64, counts: &dyn Fn(usize, usize) -> usize) -> Vec<usize> {
        let mut flagged = Vec::new();
        for class in 0..self.sample.classes {
            let rows = self.given(class);
            for other in (0..self.sample.classes).filter(|other| *other != class) {
                if rows.len() as u64 > least && rows.len() > 1 {
                    let margin =
                        |row: usize| self.sample.row(row)[class] - self.sample.row(row)[other];
                    flagged.extend(self.lowest(rows.clone(), counts(other, class), margin));
                }
            }
        }
        flagged
    }

    fn lowest(
        &self,
        mut rows: Vec<usize>,
        wanted: usize,
        value: impl Fn(usize) -> f64,
    ) -> Vec<usize> {
        rows.sort_by(|&a, &b| {
            let values = value(a).partial_cmp(&value(b)).unwrap_or(Ordering::Equal);
            values.then(self.sample.keys[a].cmp(&self.sample.keys[b]))
        });
        rows.truncate(wanted);
        rows
    }

    fn flags(
        &self,
        options: &FilterOptions<'_>,
        counts: &dyn Fn(usize, usize) -> usize,
    ) -> Vec<bool> {
        let all: Vec<usize> = (0..self.sample.labels.len())
            .filter(|row| self.sample.labels[*row] != MISSING)
            .collect();
        let least = options.min_examples_per_class;
        let wanted = all.iter().filter(|row| self.off_diagonal(**row)).count();
        let given = |row: usize| self.sample.labels[row] as usize;
        let confidence = |row: usize| self.sample.row(row)[given(row)];
        let margin = |row: usize| {
            let others = (0..self.sample.classes).filter(|class| *class != given(row));
            let other = others.map(|class| self.sample.row(row)[class]).fold(0.0, f64::max);
            (confidence(row) - other + 1.0) / 2.0
        };
        let mut flagged = match options.filter_by {
            FilterBy::PruneByNoiseRate => self.by_noise_rate(least, counts),
            FilterBy::PruneByClass => self.by_class(least, counts),
            FilterBy::Both => {
                let by_class = self.by_class(least, counts);
                let mut both = self.by_noise_rate(least, counts);
                both.retain(|row| by_class.contains(row));
                both
            }
            FilterBy::ConfidentLearning => {
                all.into_iter().filter(|row| self.off_diagonal(*row)).collect()
            }
            FilterBy::PredictedNeqGiven => {
                let predicted = |row: usize| argmax(self.sample.row(row), 0..self.sample.classes);
                all.into_iter().filter(|row| predicted(*row) != given(*row)).collect()
            }
            FilterBy::LowSelfConfidence => self.lowest(all, wanted, confidence),
            FilterBy::LowNormalizedMargin => self.lowest(all, wanted, margin),
        };
        if !options.filter_by.as_str().starts_with("low_") {
            flagged.retain(|row| !self.close(*row));
        }
        (0..self.sample.labels.len()).map(|row| flagged.contains(&row)).collect()
    }
}

fn argmax(values: &[f64], classes: impl Iterator<Item = usize>) -> usize {
    let better =
        |best: usize, class: usize| if values[class] > values[best] { class } else { best };
    classes.reduce(better).unwrap()
}
