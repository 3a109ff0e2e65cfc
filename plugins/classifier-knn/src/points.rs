//! Sparse unit vectors, and the smartcore search among them.

use smartcore::algorithm::neighbour::linear_search::LinearKNNSearch;
use smartcore::error::Failed;
use smartcore::metrics::distance::Distance;

/// A text in the projection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Point {
    /// A remembered text: dimensions and values.
    Sparse(Box<[(u32, f32)]>),
    /// The text that is asked about, with a value for every dimension.
    Dense(Vec<f32>),
}

/// 1 less the cosine of two unit vectors, of which the first is dense.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cosine;

impl Distance<Point> for Cosine {
    fn distance(&self, a: &Point, b: &Point) -> f64 {
        match (a, b) {
            (Point::Dense(values), Point::Sparse(entries)) => {
                // Four sums side by side: one would wait for each addition before the next.
                let product = |entry: (u32, f32)| values[entry.0 as usize] * entry.1;
                let (fours, rest) = entries.as_chunks::<4>();
                let mut sums = [0.0_f32; 4];
                for four in fours {
                    let products = four.map(product);
                    sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
                }
                let rest: f32 = rest.iter().copied().map(product).sum();
                1.0 - f64::from((sums[0] + sums[2]) + (sums[1] + sums[3]) + rest)
            }
            // The search asks about dense points among sparse ones.
            _ => 1.0,
        }
    }
}

pub(crate) type Search = LinearKNNSearch<Point, Cosine>;

/// A text to ask about; keeps its buffer.
pub(crate) struct Question {
    point: Point,
    entries: Vec<(u32, f32)>,
}

impl Question {
    pub fn new(dimensions: usize) -> Question {
        Question { point: Point::Dense(vec![0.0; dimensions]), entries: Vec::new() }
    }

    /// Returns position and cosine of the `count` most similar points, best first; equals in the
    /// order of their positions.
    pub fn nearest(
        &mut self,
        search: &Search,
        entries: &[(u32, f32)],
        count: usize,
    ) -> Result<Vec<(usize, f64)>, Failed> {
        if let Point::Dense(values) = &mut self.point {
            self.entries.iter().for_each(|entry| values[entry.0 as usize] = 0.0);
            entries.iter().for_each(|entry| values[entry.0 as usize] = entry.1);
        }
        self.entries.clear();
        self.entries.extend_from_slice(entries);
        let found = search.find(&self.point, count)?;
        let mut found: Vec<(usize, f64)> =
            found.into_iter().map(|(at, distance, _)| (at, 1.0 - distance)).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(found)
    }
}
