//! The order of steps, and the cycles that leave none.

use std::collections::HashMap;

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::graph::{Step, StepId};
use crate::problem::Problem;

/// The place of each step in an order of all of them.
pub(super) fn places(order: &[StepId]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, id)| places[id.index()] = place);
    places
}

/// Kahn's algorithm with the smallest id first: the order depends on the graph alone.
pub(super) fn stable_order(graph: &DiGraph<Step, ()>, any_order: &[NodeIndex]) -> Vec<StepId> {
    let mut missing: Vec<usize> = vec![0; any_order.len()];
    for index in any_order {
        missing[index.index()] =
            graph.neighbors_directed(*index, petgraph::Direction::Incoming).count();
    }
    let mut ready: std::collections::BTreeSet<NodeIndex> =
        any_order.iter().copied().filter(|index| missing[index.index()] == 0).collect();
    let mut order = Vec::with_capacity(any_order.len());
    while let Some(index) = ready.pop_first() {
        order.push(StepId(index.index() as u32));
        for next in graph.neighbors(index) {
            missing[next.index()] -= 1;
            if missing[next.index()] == 0 {
                ready.insert(next);
            }
        }
    }
    order
}

/// One problem for each cycle, with the way round printed.
pub(super) fn cycles(graph: &DiGraph<Step, ()>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for component in tarjan_scc(graph) {
        let own_loop = graph.contains_edge(component[0], component[0]);
        if component.len() == 1 && !own_loop {
            continue;
        }
        let start = component.iter().copied().min().expect("a component has a node");
        let way = way_round(graph, start, &component);
        let names: Vec<&str> = way.iter().map(|index| graph[*index].name.as_str()).collect();
        let message = format!("the nodes form a cycle: `{}`", names.join("` -> `"));
        let hint = "decisions come back through a `corrections` node, not through the graph";
        problems.push(Problem::new(graph[start].span, message).with_hint(Some(hint.to_owned())));
    }
    problems
}

/// A shortest way from `start` back to itself inside its component (breadth first).
fn way_round(
    graph: &DiGraph<Step, ()>,
    start: NodeIndex,
    component: &[NodeIndex],
) -> Vec<NodeIndex> {
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(index) = queue.pop_front() {
        for next in graph.neighbors(index).filter(|next| component.contains(next)) {
            if next == start {
                let mut way = vec![start, index];
                while *way.last().expect("never empty") != start {
                    let last = way[way.len() - 1];
                    way.push(came_from[&last]);
                }
                way.reverse();
                if index == start {
                    way.truncate(2);
                }
                return way;
            }
            came_from.entry(next).or_insert_with(|| {
                queue.push_back(next);
                index
            });
        }
    }
    vec![start]
}
