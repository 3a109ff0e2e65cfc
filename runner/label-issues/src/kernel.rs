//! The inner loops over one row, written in lanes so that the compiler can use wide registers.
//!
//! Nothing here may depend on the lane count: maxima and counts do not, and the sum is used for
//! checks only.

pub(crate) const LANES: usize = 8;

/// A probability as it is stored.
pub(crate) trait Value: Copy + PartialOrd {
    const LOWEST: Self;

    fn double(self) -> f64;

    /// Returns these limits in this precision.
    fn limits(limits: &Limits) -> &[Self];
}

/// The lowest probability of each class that counts as confident.
pub(crate) struct Limits {
    single: Vec<f32>,
    double: Vec<f64>,
}

impl Limits {
    /// Keeps `p >= limit` exact in both precisions: the single limit is the smallest single number
    /// that is not below the double one.
    pub(crate) fn new(double: Vec<f64>) -> Self {
        let single = double.iter().map(|&limit| single_at_least(limit)).collect();
        Self { single, double }
    }
}

fn single_at_least(limit: f64) -> f32 {
    #[allow(clippy::cast_possible_truncation)]
    let nearest = limit as f32;
    if f64::from(nearest) < limit { nearest.next_up() } else { nearest }
}

impl Value for f32 {
    const LOWEST: Self = f32::NEG_INFINITY;

    fn double(self) -> f64 {
        f64::from(self)
    }

    fn limits(limits: &Limits) -> &[Self] {
        &limits.single
    }
}

impl Value for f64 {
    const LOWEST: Self = f64::NEG_INFINITY;

    fn double(self) -> f64 {
        self
    }

    fn limits(limits: &Limits) -> &[Self] {
        &limits.double
    }
}

pub(crate) fn larger<T: PartialOrd>(left: T, right: T) -> T {
    if right > left { right } else { left }
}

/// Returns the largest value, or minus infinity of an empty slice.
pub(crate) fn max_of<T: Value>(values: &[T]) -> T {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [T::LOWEST; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    rest.iter().chain(&lanes).fold(T::LOWEST, |max, &value| larger(max, value))
}

/// Returns the sum and the smallest value; the sum is not a number when any value is not.
pub(crate) fn sum_and_min<T: Value>(values: &[T]) -> (f64, f64) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    let mut lanes = [f64::INFINITY; LANES];
    for chunk in chunks {
        for ((sum, lane), &value) in sums.iter_mut().zip(&mut lanes).zip(chunk) {
            let value = value.double();
            *sum += value;
            *lane = if value < *lane { value } else { *lane };
        }
    }
    let sum = rest.iter().fold(sums.iter().sum(), |sum: f64, value| sum + value.double());
    let min = rest.iter().map(|value| value.double()).chain(lanes).fold(f64::INFINITY, f64::min);
    (sum, min)
}

/// Returns how many values reach their limit.
pub(crate) fn count_confident<T: Value>(values: &[T], limits: &[T]) -> u32 {
    values.iter().zip(limits).map(|(value, limit)| u32::from(value >= limit)).sum()
}

/// Returns the first place of a value.
pub(crate) fn position_of<T: Value>(values: &[T], wanted: T) -> Option<usize> {
    let (chunks, _) = values.as_chunks::<LANES>();
    let skipped = chunks
        .iter()
        .take_while(|chunk| !chunk.iter().fold(false, |found, value| found | (*value == wanted)))
        .count()
        * LANES;
    values[skipped..].iter().position(|value| *value == wanted).map(|place| place + skipped)
}

/// A row's given class against the others.
#[derive(Clone, Copy)]
pub(crate) struct Standing<T> {
    pub(crate) given: T,
    /// The largest value of the classes before and after the given one.
    pub(crate) before: T,
    pub(crate) after: T,
}

impl<T: Value> Standing<T> {
    pub(crate) fn new(values: &[T], label: usize) -> Self {
        let (before, rest) = values.split_at(label);
        Self { given: rest[0], before: max_of(before), after: max_of(&rest[1..]) }
    }

    pub(crate) fn double(self) -> Standing<f64> {
        Standing {
            given: self.given.double(),
            before: self.before.double(),
            after: self.after.double(),
        }
    }

    /// Returns the largest value of the other classes.
    pub(crate) fn other(self) -> T {
        larger(self.before, self.after)
    }

    /// Whether the most probable class, the lowest one on ties, is not the given one.
    pub(crate) fn disagrees(self) -> bool {
        self.before >= self.given || self.after > self.given
    }

    /// Whether the given class would be the most probable one with a millionth more.
    pub(crate) fn close(self) -> bool {
        let raised = self.given.double() + 1e-6;
        self.before.double() < raised && self.after.double() <= raised
    }

    /// Returns the most probable class, the lowest one on ties.
    pub(crate) fn prediction(self, values: &[T], label: usize) -> usize {
        if self.disagrees() { position_of(values, self.other()).unwrap_or(label) } else { label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_limits_decide_as_double_ones() {
        for limit in [0.1, 0.3 - 1e-6, 0.5, 1.0 / 3.0, 1e-6, 2.0 - 1e-6] {
            let single = single_at_least(limit);
            assert!(f64::from(single) >= limit && f64::from(single.next_down()) < limit);
        }
    }

    #[test]
    fn lanes_and_rest_agree_with_plain_loops() {
        for length in 0..40_u8 {
            let values: Vec<f32> = (0..length).map(|n| f32::from(n * 5 % 11)).collect();
            let plain = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max_of(&values), plain);
            assert_eq!(position_of(&values, plain), values.iter().position(|v| *v == plain));
            let (sum, min) = sum_and_min(&values);
            assert_eq!(sum, values.iter().map(|v| f64::from(*v)).sum::<f64>());
            let plain = values.iter().map(|v| f64::from(*v)).fold(f64::INFINITY, f64::min);
            assert_eq!(min, plain);
        }
    }
}
