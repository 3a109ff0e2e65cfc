//! Several reviewers on one record: whose label to believe, and whom to believe.
//!
//! CROWDLAB (Goh, Tkachenko and Mueller 2022, arXiv:2210.06812, sections 3 and 4), in the form that
//! cleanlab's `get_label_quality_multiannotator` gives it (consensus `best_quality`). It knows rows,
//! reviewers and classes by number alone.

use crate::Error;

/// Weights and error rates never fall below this.
const LOWEST: f64 = 1e-6;

/// Votes of reviewers on rows, and a model's probabilities for them.
#[derive(Clone, Copy, Debug)]
pub struct Crowd<'a> {
    /// Reviewer and class of each vote on each row; every row has at least one vote, and a reviewer
    /// votes once on a row.
    pub votes: &'a [Vec<(u32, u32)>],
    /// Rows x classes, row by row.
    pub probabilities: &'a [f64],
    pub classes: usize,
    pub reviewers: usize,
}

/// What reviewers and model together say of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Consensus {
    pub class: u32,
    /// How likely the class is to be right, 0 to 1.
    pub quality: f64,
    /// Share of the row's votes that name the class.
    pub agreement: f64,
}

/// What is to be thought of a reviewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reviewer {
    /// 0 to 1; `None` for one who shared no row with another.
    pub quality: Option<f64>,
    /// Share of the reviewer's votes that name the consensus; `None` without votes.
    pub agreement: Option<f64>,
    pub votes: u64,
    pub weight: f64,
}

/// The outcome of [`Crowd::opinion`].
#[derive(Clone, Debug)]
pub struct Opinion {
    pub rows: Vec<Consensus>,
    pub reviewers: Vec<Reviewer>,
    pub model_weight: f64,
}

impl Crowd<'_> {
    /// Weighs reviewers and model against each other. At least one row needs two votes.
    pub fn opinion(&self) -> Result<Opinion, Error> {
        self.check()?;
        let majority = self.majority();
        let first = self.weigh(&majority);
        let best: Vec<u32> = first
            .posterior
            .chunks(self.classes)
            .zip(&majority)
            .map(|(row, majority)| {
                let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut places = (0..row.len()).filter(|class| row[*class] == top);
                match (places.next(), places.next()) {
                    (Some(only), None) => only as u32,
                    _ => *majority,
                }
            })
            .collect();
        let weighed = self.weigh(&best);
        let rows = self
            .votes
            .iter()
            .zip(&best)
            .enumerate()
            .map(|(row, (votes, class))| Consensus {
                class: *class,
                quality: weighed.posterior[row * self.classes + *class as usize],
                agreement: share(votes, *class),
            })
            .collect();
        let reviewers = self.reviewers(&best, &weighed);
        Ok(Opinion { rows, reviewers, model_weight: weighed.model })
    }

    fn check(&self) -> Result<(), Error> {
        let (rows, classes) = (self.votes.len(), self.classes);
        if classes < 2 {
            return Err(Error::TooFewClasses { classes });
        }
        if rows.checked_mul(classes) != Some(self.probabilities.len()) {
            return Err(Error::Ragged { values: self.probabilities.len(), classes });
        }
        for (row, votes) in self.votes.iter().enumerate() {
            if votes.is_empty() {
                return Err(Error::NoVotes { row });
            }
            for &(reviewer, label) in votes {
                if label as usize >= classes {
                    return Err(Error::LabelOutOfRange { row, label, classes });
                }
                if reviewer as usize >= self.reviewers {
                    let reviewers = self.reviewers;
                    return Err(Error::NoSuchReviewer { row, reviewer, reviewers });
                }
            }
        }
        let alone = self.votes.iter().all(|votes| votes.len() < 2);
        if alone { Err(Error::NoOverlap) } else { Ok(()) }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.probabilities[row * self.classes..][..self.classes]
    }

    /// The class with most votes; ties go by probability, then to the rarer class, then to the
    /// class whose voters agree more with the clear rows, then to the lowest class.
    fn majority(&self) -> Vec<u32> {
        let mut frequency = vec![0u64; self.classes];
        self.votes.iter().flatten().for_each(|(_, class)| frequency[*class as usize] += 1);
        let narrowed: Vec<Vec<u32>> = (0..self.votes.len())
            .map(|row| {
                let counts = self.counts(row);
                let all: Vec<u32> = (0..self.classes as u32).collect();
                let most = best_of(&all, |class| counts[class as usize] as f64);
                best_of(&most, |class| self.row(row)[class as usize])
            })
            .collect();
        // Clear by votes alone; ties that probabilities broke do not count for the third rule.
        let clear: Vec<Option<u32>> = (0..self.votes.len())
            .map(|row| {
                let counts = self.counts(row);
                let top = counts.iter().max().copied().unwrap_or(0);
                let mut places = (0..self.classes).filter(|class| counts[*class] == top);
                let first = places.next().map(|class| class as u32);
                first.filter(|_| places.next().is_none())
            })
            .collect();
        let trust = self.trust(&clear);
        narrowed
            .iter()
            .enumerate()
            .map(|(row, tied)| {
                let rare = best_of(tied, |class| -(frequency[class as usize] as f64));
                let trusted = best_of(&rare, |class| {
                    let voters = self.votes[row].iter().filter(|vote| vote.1 == class);
                    mean(voters.map(|vote| trust[vote.0 as usize])).unwrap_or(0.0)
                });
                trusted.first().copied().unwrap_or(0)
            })
            .collect()
    }

    fn counts(&self, row: usize) -> Vec<u64> {
        let mut counts = vec![0; self.classes];
        self.votes[row].iter().for_each(|(_, class)| counts[*class as usize] += 1);
        counts
    }

    /// Each reviewer's share of votes for the clear majority; the mean of the others where there
    /// is no such vote.
    fn trust(&self, clear: &[Option<u32>]) -> Vec<f64> {
        let mut counts = vec![(0u64, 0u64); self.reviewers];
        for (votes, clear) in self.votes.iter().zip(clear) {
            for (reviewer, class) in votes.iter().filter(|_| clear.is_some()) {
                let count = &mut counts[*reviewer as usize];
                *count = (count.0 + u64::from(Some(*class) == *clear), count.1 + 1);
            }
        }
        fill(counts.iter().map(|(hits, all)| (*all > 0).then(|| *hits as f64 / *all as f64)))
    }

    fn weigh(&self, consensus: &[u32]) -> Weighed {
        let shared: Vec<usize> =
            (0..self.votes.len()).filter(|row| self.votes[*row].len() != 1).collect();
        let agreeing = shared.iter().map(|row| share(&self.votes[*row], consensus[*row]));
        let likelihood = mean(agreeing).unwrap_or(0.0);
        let other = (1.0 - likelihood) / (self.classes - 1) as f64;
        let mut frequency = vec![0u64; self.classes];
        shared.iter().for_each(|row| frequency[consensus[*row] as usize] += 1);
        let commonest = frequency.iter().max().copied().unwrap_or(0);
        let baseline = (1.0 - commonest as f64 / shared.len() as f64).max(LOWEST);
        let weights: Vec<f64> = self
            .agreement_with_others()
            .into_iter()
            .map(|agreement| (1.0 - (1.0 - agreement) / baseline).max(LOWEST))
            .collect();
        let missed = shared
            .iter()
            .filter(|row| first_of_most(self.row(**row)) != consensus[**row] as usize)
            .count();
        let error = missed as f64 / shared.len() as f64;
        let votes: usize = self.votes.iter().map(Vec::len).sum();
        let mean_votes = votes as f64 / self.votes.len() as f64;
        let model = (1.0 - error / baseline).max(LOWEST) * mean_votes.sqrt();
        let mut posterior = Vec::with_capacity(self.probabilities.len());
        for (row, votes) in self.votes.iter().enumerate() {
            let total = model + votes.iter().map(|v| weights[v.0 as usize]).sum::<f64>();
            for class in 0..self.classes {
                let mut sum = self.row(row)[class] * model;
                for (reviewer, voted) in votes {
                    let says = if *voted as usize == class { likelihood } else { other };
                    sum += weights[*reviewer as usize] * says;
                }
                posterior.push(sum / total);
            }
        }
        Weighed { posterior, weights, model }
    }

    /// How often each reviewer's votes are those of the others on the same rows.
    fn agreement_with_others(&self) -> Vec<f64> {
        let mut counts = vec![(0u64, 0u64); self.reviewers];
        for votes in self.votes {
            for (reviewer, class) in votes {
                let same = votes.iter().filter(|vote| vote.1 == *class).count() as u64 - 1;
                let count = &mut counts[*reviewer as usize];
                // The mean over rows, weighted by the number of others, is a ratio of sums.
                *count = (count.0 + same, count.1 + votes.len() as u64 - 1);
            }
        }
        fill(counts.iter().map(|(same, all)| (*all > 0).then(|| *same as f64 / *all as f64)))
    }

    fn reviewers(&self, consensus: &[u32], weighed: &Weighed) -> Vec<Reviewer> {
        let mut sums = vec![Sums::default(); self.reviewers];
        for (row, votes) in self.votes.iter().enumerate() {
            for (reviewer, class) in votes {
                let sum = &mut sums[*reviewer as usize];
                let hit = u64::from(consensus[row] == *class);
                sum.quality += weighed.posterior[row * self.classes + *class as usize];
                sum.votes += 1;
                sum.hits += hit;
                if votes.len() != 1 {
                    sum.shared += 1;
                    sum.shared_hits += hit;
                }
            }
        }
        let votes: u64 = sums.iter().map(|sum| sum.votes).sum();
        let part = votes as f64 / self.votes.len() as f64 / self.reviewers as f64;
        let crowd = weighed.weights.iter().sum::<f64>() * part;
        let model = weighed.model / (weighed.model + crowd);
        let ratio = |hits: u64, all: u64| (all > 0).then(|| hits as f64 / all as f64);
        sums.iter()
            .zip(&weighed.weights)
            .map(|(sum, weight)| Reviewer {
                quality: ratio(sum.shared_hits, sum.shared).map(|agreement| {
                    model * sum.quality / sum.votes as f64 + (1.0 - model) * agreement
                }),
                agreement: ratio(sum.hits, sum.votes),
                votes: sum.votes,
                weight: *weight,
            })
            .collect()
    }
}

#[derive(Clone, Default)]
struct Sums {
    quality: f64,
    votes: u64,
    hits: u64,
    shared: u64,
    shared_hits: u64,
}

struct Weighed {
    posterior: Vec<f64>,
    weights: Vec<f64>,
    model: f64,
}

fn share(votes: &[(u32, u32)], class: u32) -> f64 {
    votes.iter().filter(|vote| vote.1 == class).count() as f64 / votes.len() as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Puts the mean of what is known in place of what is not.
fn fill(values: impl Iterator<Item = Option<f64>>) -> Vec<f64> {
    let values: Vec<Option<f64>> = values.collect();
    let known = mean(values.iter().flatten().copied()).unwrap_or(0.0);
    values.into_iter().map(|value| value.unwrap_or(known)).collect()
}

fn best_of(classes: &[u32], value: impl Fn(u32) -> f64) -> Vec<u32> {
    let top = classes.iter().map(|class| value(*class)).fold(f64::NEG_INFINITY, f64::max);
    classes.iter().copied().filter(|class| value(*class) == top).collect()
}

fn first_of_most(values: &[f64]) -> usize {
    let mut best = 0;
    for (n, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = n;
        }
    }
    best
}
