//! A tree to walk down, and its bytes. Knows nothing of how it was grown.

use plugin_sdk::Error;
use plugin_sdk::bytes::{Reader, Writer, damaged};

/// Where a node goes, or what a leaf says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node {
    /// To `low` when the value of the dimension is not above the threshold, or else to `high`; both
    /// come later in the list.
    Split { dimension: u32, threshold: f32, low: u32, high: u32 },
    /// Its votes are this range of the tree's.
    Leaf { start: u32, end: u32 },
}

/// Nodes, the root first, and the votes of all leaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
    /// Class and share of the leaf's rows.
    pub votes: Vec<(u32, f32)>,
}

impl Tree {
    /// Returns the number of the leaf for a row with these values.
    pub fn leaf(&self, value: impl Fn(u32) -> f32) -> usize {
        let mut at = 0;
        while let Node::Split { dimension, threshold, low, high } = self.nodes[at] {
            at = if value(dimension) <= threshold { low } else { high } as usize;
        }
        at
    }

    /// Returns the votes for a row with a value for every dimension.
    pub fn vote(&self, values: &[f32]) -> &[(u32, f32)] {
        match self.nodes[self.leaf(|dimension| values[dimension as usize])] {
            Node::Leaf { start, end } => &self.votes[start as usize..end as usize],
            Node::Split { .. } => &[],
        }
    }

    pub fn save(&self, writer: &mut Writer) {
        writer.u64(self.nodes.len() as u64);
        for node in &self.nodes {
            let (kind, threshold, first, second) = match *node {
                Node::Split { dimension, threshold, low, high } => {
                    (dimension + 1, threshold, low, high)
                }
                Node::Leaf { start, end } => (0, 0.0, start, end),
            };
            writer.u32(kind);
            writer.f32(threshold);
            writer.u32(first);
            writer.u32(second);
        }
        writer.u64(self.votes.len() as u64);
        for &(class, share) in &self.votes {
            writer.u32(class);
            writer.f32(share);
        }
    }

    /// Reads what `save` wrote; a tree that is read ends every walk at a leaf.
    pub fn load(reader: &mut Reader<'_>, dimensions: usize, classes: usize) -> Result<Tree, Error> {
        let count = reader.count(16)?;
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            let (kind, threshold) = (reader.u32()?, reader.f32()?);
            let (first, second) = (reader.u32()?, reader.u32()?);
            nodes.push(match kind {
                0 => Node::Leaf { start: first, end: second },
                _ => Node::Split { dimension: kind - 1, threshold, low: first, high: second },
            });
        }
        let count = reader.count(8)?;
        let votes = (0..count)
            .map(|_| Ok((reader.u32()?, reader.f32()?)))
            .collect::<Result<Vec<(u32, f32)>, Error>>()?;
        let votes_fit = votes
            .iter()
            .all(|vote| (vote.0 as usize) < classes && (0.0..=1.0001).contains(&vote.1));
        let node_fits = |(at, node): (usize, &Node)| match *node {
            Node::Split { dimension, low, high, .. } => {
                let later = |child: u32| (at + 1..nodes.len()).contains(&(child as usize));
                (dimension as usize) < dimensions && later(low) && later(high)
            }
            Node::Leaf { start, end } => start <= end && end as usize <= votes.len(),
        };
        if nodes.is_empty() || !votes_fit || !nodes.iter().enumerate().all(node_fits) {
            return Err(damaged());
        }
        Ok(Tree { nodes, votes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump() -> Tree {
        let split = Node::Split { dimension: 1, threshold: 0.5, low: 1, high: 2 };
        let leaves = [Node::Leaf { start: 0, end: 1 }, Node::Leaf { start: 1, end: 3 }];
        Tree {
            nodes: vec![split, leaves[0], leaves[1]],
            votes: vec![(0, 1.0), (0, 0.25), (1, 0.75)],
        }
    }

    fn saved(tree: &Tree) -> Vec<u8> {
        let mut writer = Writer::new(1);
        tree.save(&mut writer);
        writer.finish()
    }

    fn loaded(bytes: &[u8], dimensions: usize, classes: usize) -> Result<Tree, Error> {
        Tree::load(&mut Reader::new(bytes, 1)?, dimensions, classes)
    }

    #[test]
    fn rows_reach_their_leaf() {
        let tree = stump();
        assert_eq!(tree.vote(&[9.0, 0.5]), [(0, 1.0)]);
        assert_eq!(tree.vote(&[0.0, 0.6]), [(0, 0.25), (1, 0.75)]);
        assert_eq!(loaded(&saved(&tree), 2, 2).unwrap(), tree);
    }

    #[test]
    fn trees_that_would_not_end_are_refused() {
        let tree = stump();
        assert!(loaded(&saved(&tree), 1, 2).is_err(), "a dimension too many");
        assert!(loaded(&saved(&tree), 2, 1).is_err(), "a class too many");
        for child in [0, 3] {
            let mut broken = tree.clone();
            broken.nodes[0] = Node::Split { dimension: 1, threshold: 0.5, low: child, high: 2 };
            assert!(loaded(&saved(&broken), 2, 2).is_err(), "child {child}");
        }
        let mut broken = tree.clone();
        broken.nodes[1] = Node::Leaf { start: 0, end: 4 };
        assert!(loaded(&saved(&broken), 2, 2).is_err(), "votes that are not there");
        assert!(loaded(&saved(&Tree { nodes: vec![], votes: vec![] }), 2, 2).is_err());
    }
}
