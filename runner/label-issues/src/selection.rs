//! The rows with the lowest values, of a stream of rows. Ties are broken, so that the order in
//! which rows arrive does not matter.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::rank::TieBreak;

/// Keeps the `capacity` lowest of the rows it is offered.
pub(crate) struct Selection {
    capacity: usize,
    highest_first: BinaryHeap<Entry>,
}

struct Entry {
    value: f64,
    key: u32,
    row: u32,
}

impl Selection {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, highest_first: BinaryHeap::with_capacity(capacity) }
    }

    /// Returns the highest value that may still be taken.
    pub(crate) fn bound(&self) -> f64 {
        if self.capacity == 0 {
            return f64::NEG_INFINITY;
        }
        if self.highest_first.len() < self.capacity {
            return f64::INFINITY;
        }
        self.highest_first.peek().map_or(f64::INFINITY, |entry| entry.value)
    }

    pub(crate) fn offer(&mut self, value: f64, row: usize, ties: TieBreak<'_>) {
        // Adding zero turns -0 into 0. Rows are known to fit.
        let entry = Entry { value: value + 0.0, key: ties.key(row), row: row as u32 };
        if self.highest_first.len() < self.capacity {
            self.highest_first.push(entry);
        } else if let Some(mut highest) = self.highest_first.peek_mut()
            && entry < *highest
        {
            *highest = entry;
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.highest_first.iter().map(|entry| entry.row as usize)
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
