//! The rows with the lowest values, of a stream of rows. Ties are broken, so that the order in
//! which rows arrive does not matter.

use std::cmp::Ordering;

use crate::rank::TieBreak;

/// Keeps the `capacity` lowest of the rows it is offered.
///
/// Rows gather until there are twice as many as wanted, then the higher half goes: cheaper than
/// a heap, which would move a few rows for each one that is taken.
#[derive(Clone)]
pub(crate) struct Selection {
    capacity: usize,
    bound: f64,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    value: f64,
    key: u32,
    row: u32,
}

impl Selection {
    pub(crate) fn new(capacity: usize) -> Self {
        let bound = if capacity == 0 { f64::NEG_INFINITY } else { f64::INFINITY };
        Self { capacity, bound, entries: Vec::new() }
    }

    /// Returns the highest value that may still be taken.
    pub(crate) fn bound(&self) -> f64 {
        self.bound
    }

    pub(crate) fn offer(&mut self, value: f64, row: usize, ties: TieBreak<'_>) {
        if value <= self.bound {
            // Adding zero turns -0 into 0. Rows are known to fit.
            self.entries.push(Entry { value: value + 0.0, key: ties.key(row), row: row as u32 });
            if self.entries.len() >= self.capacity.saturating_mul(2) {
                self.shrink();
            }
        }
    }

    fn shrink(&mut self) {
        if let Some(last) = self.capacity.checked_sub(1)
            && last < self.entries.len()
        {
            let (_, highest, _) = self.entries.select_nth_unstable(last);
            self.bound = highest.value;
            self.entries.truncate(self.capacity);
        }
    }

    /// Returns what both have selected together, of the rows of both.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.shrink();
        self
    }

    pub(crate) fn into_rows(mut self) -> impl Iterator<Item = usize> {
        self.shrink();
        self.entries.into_iter().map(|entry| entry.row as usize)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let values = self.value.total_cmp(&other.value);
        values.then_with(|| (self.key, self.row).cmp(&(other.key, other.row)))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
