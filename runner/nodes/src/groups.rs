//! Disjoint sets of rows. Knows nothing of what makes rows belong together.

/// Sets of rows that are joined one pair at a time; the root of a set is its smallest row, so the
/// sets that come out do not depend on the order of joining.
pub(crate) struct Groups {
    parent: Vec<u32>,
}

impl Groups {
    /// Every row in a set of its own.
    pub fn new(rows: usize) -> Groups {
        Groups { parent: (0..rows as u32).collect() }
    }

    /// The smallest row of a row's set.
    pub fn root(&mut self, row: usize) -> usize {
        let mut at = row as u32;
        while self.parent[at as usize] != at {
            // Halves the way for whoever comes next.
            let above = self.parent[self.parent[at as usize] as usize];
            self.parent[at as usize] = above;
            at = above;
        }
        at as usize
    }

    /// Makes one set of two; false if they were one.
    pub fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        let (low, high) = (a.min(b), a.max(b));
        self.parent[high] = low as u32;
        low != high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_joined_have_one_root() {
        let mut groups = Groups::new(6);
        assert!(groups.join(4, 2) && groups.join(5, 4));
        assert!(!groups.join(5, 2));
        let roots: Vec<usize> = (0..6).map(|row| groups.root(row)).collect();
        assert_eq!(roots, [0, 1, 2, 3, 2, 2]);
    }
}
