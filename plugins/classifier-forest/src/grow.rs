//! Has smartcore grow one tree on a sample of rows, and reads it out.
//!
//! smartcore keeps its trees to itself, but writes them out for serde; this reads what it writes.

use plugin_sdk::Error;
use serde::Deserialize;
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

use crate::tree::{Node, Tree};

/// The rows one tree learns from.
pub(crate) struct Sample {
    /// Dimensions and values of each row.
    pub rows: Vec<Vec<(u32, f32)>>,
    pub labels: Vec<u32>,
    pub weights: Vec<f32>,
}

/// How a tree is grown.
pub(crate) struct Growth {
    pub features_per_split: usize,
    pub depth: u16,
    pub seed: u64,
}

type Trees = RandomForestClassifier<f32, u32, DenseMatrix<f32>, Vec<u32>>;

/// What smartcore writes of a forest, as far as it is needed.
#[derive(Deserialize)]
struct Written {
    trees: Vec<WrittenTree>,
}

#[derive(Deserialize)]
struct WrittenTree {
    nodes: Vec<WrittenNode>,
}

#[derive(Deserialize)]
struct WrittenNode {
    split_feature: usize,
    split_value: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

/// Grows a tree; one leaf when there is nothing to split by.
pub(crate) fn grow(sample: &Sample, dimensions: usize, growth: &Growth) -> Result<Tree, Error> {
    let columns = used_dimensions(&sample.rows, dimensions);
    let one_class = sample.labels.windows(2).all(|pair| pair[0] == pair[1]);
    if columns.is_empty() || one_class {
        return Ok(with_votes(vec![Node::Leaf { start: 0, end: 0 }], sample));
    }
    let matrix = dense(&sample.rows, &columns, dimensions)?;
    let parameters = RandomForestClassifierParameters::default()
        .with_n_trees(1)
        .with_m(growth.features_per_split.min(columns.len()))
        .with_max_depth(growth.depth)
        .with_seed(growth.seed);
    let forest = Trees::fit(&matrix, &sample.labels, parameters).map_err(failed)?;
    let written: Written =
        serde_json::to_value(&forest).and_then(serde_json::from_value).map_err(failed)?;
    let tree = written.trees.first().ok_or_else(|| failed("no tree was grown"))?;
    let node = |node: &WrittenNode| match (node.true_child, node.false_child, node.split_value) {
        (Some(low), Some(high), Some(value)) => Node::Split {
            dimension: columns[node.split_feature],
            threshold: value as f32,
            low: low as u32,
            high: high as u32,
        },
        _ => Node::Leaf { start: 0, end: 0 },
    };
    Ok(with_votes(tree.nodes.iter().map(node).collect(), sample))
}

/// Returns the dimensions in which any row has a value, rising: trying others would be idle.
fn used_dimensions(rows: &[Vec<(u32, f32)>], dimensions: usize) -> Vec<u32> {
    let mut used = vec![false; dimensions];
    for entry in rows.iter().flatten() {
        used[entry.0 as usize] = true;
    }
    (0..dimensions as u32).filter(|&dimension| used[dimension as usize]).collect()
}

/// Returns the rows with one column for each of `columns`.
fn dense(
    rows: &[Vec<(u32, f32)>],
    columns: &[u32],
    dimensions: usize,
) -> Result<DenseMatrix<f32>, Error> {
    let mut numbers = vec![0; dimensions];
    for (number, &column) in columns.iter().enumerate() {
        numbers[column as usize] = number;
    }
    let mut values = vec![0.0; rows.len() * columns.len()];
    for (at, row) in rows.iter().enumerate() {
        for entry in row {
            values[numbers[entry.0 as usize] * rows.len() + at] = entry.1;
        }
    }
    DenseMatrix::new(rows.len(), columns.len(), values, true).map_err(failed)
}

/// Gives each leaf the shares of the classes among the rows that end there.
fn with_votes(nodes: Vec<Node>, sample: &Sample) -> Tree {
    let mut tree = Tree { nodes, votes: Vec::new() };
    let value = |row: &[(u32, f32)], dimension| {
        row.iter().find(|entry| entry.0 == dimension).map_or(0.0, |entry| entry.1)
    };
    let mut ends: Vec<(usize, u32, f32)> = (sample.rows.iter().zip(&sample.labels))
        .zip(&sample.weights)
        .map(|((row, &label), &weight)| {
            (tree.leaf(|dimension| value(row, dimension)), label, weight)
        })
        .collect();
    // Stable, so that weights are added in the order of the rows.
    ends.sort_by_key(|end| (end.0, end.1));
    for of_leaf in ends.chunk_by(|a, b| a.0 == b.0) {
        let total: f32 = of_leaf.iter().map(|end| end.2).sum();
        let start = tree.votes.len() as u32;
        for of_class in of_leaf.chunk_by(|a, b| a.1 == b.1).filter(|_| total > 0.0) {
            let weight: f32 = of_class.iter().map(|end| end.2).sum();
            tree.votes.push((of_class[0].1, weight / total));
        }
        tree.nodes[of_leaf[0].0] = Node::Leaf { start, end: tree.votes.len() as u32 };
    }
    tree
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(format!("smartcore: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let texts = [vec![(3, 1.0)], vec![(7, 1.0)], vec![(3, 1.0), (7, 1.0)], vec![]];
        let rows: Vec<_> = texts.iter().cycle().take(40).cloned().collect();
        // The class is whether dimension 7 is there.
        let labels = rows.iter().map(|row| u32::from(row.iter().any(|e| e.0 == 7)) * 5).collect();
        Sample { weights: vec![1.0; rows.len()], rows, labels }
    }

    #[test]
    fn a_word_that_tells_is_found() {
        let growth = Growth { features_per_split: 10, depth: 5, seed: 3 };
        let tree = grow(&sample(), 10, &growth).unwrap();
        let mut values = [0.0; 10];
        assert_eq!(tree.vote(&values), [(0, 1.0)]);
        values[7] = 1.0;
        assert_eq!(tree.vote(&values), [(5, 1.0)]);
    }

    #[test]
    fn rows_without_words_give_one_leaf_with_weighted_shares() {
        let sample =
            Sample { rows: vec![vec![]; 3], labels: vec![2, 0, 2], weights: vec![1.0, 2.0, 1.0] };
        let growth = Growth { features_per_split: 10, depth: 5, seed: 3 };
        let tree = grow(&sample, 10, &growth).unwrap();
        assert_eq!(tree.vote(&[0.0; 10]), [(0, 0.5), (2, 0.5)]);
        let empty = Sample { rows: vec![], labels: vec![], weights: vec![] };
        assert!(grow(&empty, 10, &growth).unwrap().vote(&[0.0; 10]).is_empty());
    }
}
