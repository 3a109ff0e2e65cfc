//! Random data sets from a small seeded generator, and comparisons.

use label_issues::{Collision, Dataset, Dense, FilterBy, FilterOptions, MISSING, TieBreak};

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Returns a number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn shuffled(&mut self, length: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..length).collect();
        for last in (1..length).rev() {
            places.swap(last, self.below(last + 1));
        }
        places
    }
}

/// Labels and probabilities, with a key per row that survives shuffling.
#[derive(Clone)]
pub struct Sample {
    pub classes: usize,
    pub labels: Vec<u32>,
    pub values: Vec<f64>,
    pub keys: Vec<u32>,
}

impl Sample {
    /// Makes noisy labels. A `grid` above 0 rounds probabilities to it, so that many are equal.
    pub fn random(random: &mut Random, grid: usize) -> Self {
        let classes = 2 + random.below(18);
        let rows = 1 + random.below(300);
        let mut sample = Self { classes, labels: vec![], values: vec![], keys: vec![] };
        for row in 0..rows {
            let truth = random.below(classes);
            let given = if random.unit() < 0.3 { random.below(classes) } else { truth };
            let missing = row > 0 && random.unit() < 0.05;
            sample.labels.push(if missing { MISSING } else { given as u32 });
            sample.values.extend(probabilities(random, classes, truth, grid));
            sample.keys.push(row as u32);
        }
        sample
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.classes..(row + 1) * self.classes]
    }

    /// Returns the sample with row `order[i]` as row `i`.
    pub fn with_rows(&self, order: &[usize]) -> Self {
        Self {
            classes: self.classes,
            labels: order.iter().map(|row| self.labels[*row]).collect(),
            values: order.iter().flat_map(|row| self.row(*row).to_vec()).collect(),
            keys: order.iter().map(|row| self.keys[*row]).collect(),
        }
    }

    /// Returns the sample with class `order[k]` as class `k`.
    pub fn with_classes(&self, order: &[usize]) -> Self {
        let new = |old: u32| order.iter().position(|class| *class == old as usize).unwrap() as u32;
        let renamed = |old: &u32| if *old == MISSING { MISSING } else { new(*old) };
        let reordered = |row: usize| order.iter().map(move |class| self.row(row)[*class]);
        Self {
            classes: self.classes,
            labels: self.labels.iter().map(renamed).collect(),
            values: (0..self.labels.len()).flat_map(reordered).collect(),
            keys: self.keys.clone(),
        }
    }

    pub fn flags(&self, batch_rows: usize, collision: Collision) -> Vec<Vec<bool>> {
        let dense = Dense::new(&self.values[..], self.classes).unwrap().with_batch_rows(batch_rows);
        self.flags_of(&Dataset::new(&dense, &self.labels).unwrap(), collision)
    }

    /// Returns the flags of every filter with a few options.
    pub fn flags_of(&self, dataset: &Dataset<'_>, collision: Collision) -> Vec<Vec<bool>> {
        let evidence = dataset.evidence(collision).unwrap();
        let options = all_options(TieBreak::Keys(&self.keys));
        options.iter().map(|options| evidence.find_label_issues(options).unwrap()).collect()
    }
}

pub fn all_options(ties: TieBreak<'_>) -> Vec<FilterOptions<'_>> {
    let mut all = Vec::new();
    for filter_by in FilterBy::ALL {
        for (frac_noise, min_examples_per_class) in [(1.0, 1), (0.6, 1), (1.0, 5), (0.3, 0)] {
            let rest = FilterOptions { ties, ..FilterOptions::default() };
            all.push(FilterOptions { filter_by, frac_noise, min_examples_per_class, ..rest });
        }
    }
    all
}

fn probabilities(random: &mut Random, classes: usize, truth: usize, grid: usize) -> Vec<f64> {
    let mut row: Vec<f64> = (0..classes).map(|_| random.unit().powi(3)).collect();
    row[truth] += 2.0 * random.unit();
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
    if grid > 0 {
        let grid = grid as f64;
        row.iter_mut().for_each(|value| *value = (*value * grid).floor() / grid);
        row[truth] += 1.0 - row.iter().sum::<f64>();
    }
    row
}

#[track_caller]
pub fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let equal = found.is_nan() && expected.is_nan() || (found - expected).abs() <= tolerance;
        assert!(equal, "{what}: {found} instead of {expected} at {place}");
    }
}

pub fn rows_of(flags: &[bool]) -> Vec<usize> {
    (0..flags.len()).filter(|row| flags[*row]).collect()
}
