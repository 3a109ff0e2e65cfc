//! The pipeline as a drawing: nodes in layers, inputs above what reads them. Places only, no ink.

use std::collections::BTreeMap;

use plan::Plan;
use serde_json::{Value, json};

/// What stands in a layer: a node, or an edge on its way past the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Node(usize),
    Edge(usize),
}

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

    /// What stands in each layer from top to bottom, from left to right. An edge over several
    /// layers has a place in each between, so that it runs beside nodes and not through them.
    pub fn layers(&self) -> Vec<Vec<Slot>> {
        let layer = self.layer_of_nodes();
        let depth = layer.iter().max().map_or(0, |deepest| deepest + 1);
        let mut layers: Vec<Vec<Slot>> = vec![Vec::new(); depth];
        (0..self.nodes.len()).for_each(|node| layers[layer[node]].push(Slot::Node(node)));
        for (edge, (from, to)) in self.edges.iter().enumerate() {
            for passed in &mut layers[layer[*from] + 1..layer[*to]] {
                passed.push(Slot::Edge(edge));
            }
        }
        // Where each edge was last seen.
        let mut seen = vec![0.0f64; self.edges.len()];
        for slots in &mut layers {
            // Below the middle of what is read, so that few edges cross.
            let wanted = |slot: Slot| match slot {
                Slot::Edge(edge) => seen[edge],
                Slot::Node(node) => {
                    let above = self.edges.iter().zip(&seen).filter(|((_, to), _)| *to == node);
                    let (sum, count) =
                        above.fold((0.0, 0.0), |(sum, count), (_, at)| (sum + at, count + 1.0));
                    if count > 0.0 { sum / count } else { 0.0 }
                }
            };
            slots.sort_by(|a, b| wanted(*a).total_cmp(&wanted(*b)).then_with(|| a.cmp(b)));
            let middle = (slots.len() as f64 - 1.0) / 2.0;
            for (n, slot) in slots.iter().enumerate() {
                let at = n as f64 - middle;
                for (edge, (from, _)) in self.edges.iter().enumerate() {
                    if *slot == Slot::Edge(edge) || *slot == Slot::Node(*from) {
                        seen[edge] = at;
                    }
                }
            }
        }
        layers
    }

    /// The layer of each node: below all it reads, and just above what reads it if it reads nothing.
    fn layer_of_nodes(&self) -> Vec<usize> {
        // Nodes come in topological order, so one pass each way is enough.
        let mut layer = vec![0usize; self.nodes.len()];
        for (from, to) in self.by_reader() {
            layer[to] = layer[to].max(layer[from] + 1);
        }
        for node in 0..self.nodes.len() {
            let is_source = !self.edges.iter().any(|(_, to)| *to == node);
            let readers = self.edges.iter().filter(|(from, _)| *from == node);
            if let (true, Some(first)) = (is_source, readers.map(|(_, to)| layer[*to]).min()) {
                layer[node] = first - 1;
            }
        }
        layer
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
        use Slot::{Edge, Node};
        let wanted =
            [vec![Node(0)], vec![Node(1), Edge(4)], vec![Node(3), Node(2), Edge(4)], vec![Node(4)]];
        assert_eq!(graph.layers(), wanted);
        assert!(Graph { nodes: Vec::new(), edges: Vec::new() }.layers().is_empty());
    }
}
