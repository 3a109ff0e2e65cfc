//! The pipeline file as it is written: top-level keys and nodes, nothing resolved.

use crate::problem::{Problem, Span};
use crate::suggest::suggestion;
use crate::yaml::{Data, Name, Tree};

const TOP_LEVEL_KEYS: [&str; 6] = ["version", "name", "description", "taxonomy", "params", "nodes"];

/// Mirrors the file. Values may still hold `${...}`.
#[derive(Debug, Clone)]
pub(crate) struct PipelineSpec {
    pub name: Option<Tree>,
    pub taxonomy: Option<Tree>,
    pub params: Option<Tree>,
    pub nodes: Vec<(Name, Tree)>,
}

impl PipelineSpec {
    /// Takes the tree apart; the spec holds what could be understood.
    pub fn read(tree: Tree) -> (PipelineSpec, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut spec = PipelineSpec { name: None, taxonomy: None, params: None, nodes: Vec::new() };
        let noun = tree.noun();
        let Data::Map(entries) = tree.data else {
            let message = format!("a pipeline is a map, this is {noun}");
            return (spec, vec![Problem::new(tree.span, message)]);
        };
        let has = |key: &str| entries.iter().any(|(name, _)| name.text == key);
        let (has_version, has_nodes) = (has("version"), has("nodes"));
        for (name, value) in entries {
            match name.text.as_str() {
                "version" => check_version(&value, &mut problems),
                "name" => spec.name = Some(value),
                "description" => {}
                "taxonomy" => spec.taxonomy = Some(value),
                "params" => match &value.data {
                    Data::Map(_) => spec.params = Some(value),
                    _ => problems.push(Problem::new(value.span, "`params` must be a map")),
                },
                "nodes" => match value.data {
                    Data::Map(nodes) => spec.nodes = nodes,
                    _ => problems.push(Problem::new(
                        value.span,
                        "`nodes` must be a map from node name to node",
                    )),
                },
                other => {
                    let hint = suggestion(other, TOP_LEVEL_KEYS, "top-level keys");
                    let message = format!("unknown key `{other}`");
                    problems.push(Problem::new(name.span, message).with_hint(hint));
                }
            }
        }
        if !has_version {
            problems.push(
                Problem::new(
                    Span { source: tree.span.source, ..Span::START },
                    "`version` is missing",
                )
                .with_hint(Some("put `version: 1` at the top".into())),
            );
        }
        if !has_nodes {
            problems.push(Problem::new(Span::START, "`nodes` is missing: there is nothing to run"));
        }
        (spec, problems)
    }
}

fn check_version(value: &Tree, problems: &mut Vec<Problem>) {
    if value.to_json() != serde_json::json!(1) {
        let message = format!("pipeline version {} is not known", value.to_json());
        let hint = "this build reads `version: 1`".to_owned();
        problems.push(Problem::new(value.span, message).with_hint(Some(hint)));
    }
}
