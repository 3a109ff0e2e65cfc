//! The pipeline as a drawing: nodes in layers, inputs above what reads them. Places only, no ink.

use std::collections::BTreeMap;

use plan::Plan;
use serde_json::{Value, json};

/// A pipeline's nodes and edges, as far as a drawing needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Graph {
    /// Name and kind of each node, inputs first.
    pub nodes: Vec<(String, String)>,
    /// From a node to one that reads it.
    pub edges: Vec<(usize, usize)>,
}

impl Graph {
    pub fn of(plan: &Plan) -> Graph {
        let steps: Vec<_> = plan.steps().collect();
        let place: BTreeMap<usize, usize> =
            steps.iter().enumerate().map(|(n, step)| (step.id.index(), n)).collect();
        let mut edges: Vec<(usize, usize)> = steps
            .iter()
            .enumerate()
            .flat_map(|(to, step)| step.inputs.iter().map(move |input| (input.step, to)))
            .map(|(from, to)| (place[&from.index()], to))
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let nodes = steps.iter().map(|step| (step.name.clone(), step.kind.to_owned())).collect();
        Graph { nodes, edges }
    }

    /// All of it as a value: what is drawn decides the page.
    pub fn fact(&self) -> Value {
        json!({ "nodes": self.nodes, "edges": self.edges })
    }

    /// The nodes of each layer from top to bottom, from left to right.
    pub fn layers(&self) -> Vec<Vec<usize>> {
        let count = self.nodes.len();
        // Nodes come in topological order, so one pass each way is enough.
        let mut layer = vec![0usize; count];
        for (from, to) in self.by_reader() {
            layer[to] = layer[to].max(layer[from] + 1);
        }
        // What nothing is above of stands just above what reads it.
        for node in 0..count {
            let is_source = !self.edges.iter().any(|(_, to)| *to == node);
            let readers = self.edges.iter().filter(|(from, _)| *from == node);
            if let (true, Some(first)) = (is_source, readers.map(|(_, to)| layer[*to]).min()) {
                layer[node] = first - 1;
            }
        }
        let depth = layer.iter().max().map_or(0, |deepest| deepest + 1);
        let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
        (0..count).for_each(|node| layers[layer[node]].push(node));
        let mut place = vec![0.0; count];
        for members in &mut layers {
            // Below the middle of what is read, so that few edges cross.
            let wanted = |node: usize, place: &[f64]| {
                let above: Vec<f64> = self
                    .edges
                    .iter()
                    .filter(|(_, to)| *to == node)
                    .map(|(from, _)| place[*from])
                    .collect();
                above.iter().sum::<f64>() / above.len().max(1) as f64
            };
            members.sort_by(|a, b| {
                wanted(*a, &place).total_cmp(&wanted(*b, &place)).then_with(|| a.cmp(b))
            });
            let middle = (members.len() as f64 - 1.0) / 2.0;
            for (n, node) in members.iter().enumerate() {
                place[*node] = n as f64 - middle;
            }
        }
        layers
    }

    /// Edges in the order of what reads, which is topological.
    fn by_reader(&self) -> Vec<(usize, usize)> {
        let mut edges = self.edges.clone();
        edges.sort_unstable_by_key(|(from, to)| (*to, *from));
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_stand_above_what_reads_them() {
        let nodes = ["a", "b", "late", "c", "d"].map(|name| (name.to_owned(), "kind".to_owned()));
        let edges = vec![(0, 1), (1, 3), (2, 4), (3, 4), (0, 4)];
        let graph = Graph { nodes: nodes.to_vec(), edges };
        assert_eq!(graph.layers(), [vec![0], vec![1], vec![2, 3], vec![4]]);
        assert_eq!(Graph { nodes: Vec::new(), edges: Vec::new() }.layers(), [[0usize; 0]; 0]);
    }
}
