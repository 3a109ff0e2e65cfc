//! From text to plan: every check, all problems at once.
//!
//! The stages: parse, apply `--set`, expand references, read each node (kind, parameters, inputs),
//! build the graph and look for cycles, then walk it in topological order and let each kind's
//! signature turn input schemas into output schemas. A stage goes on with whatever the one before
//! it could make sense of, so that one run shows everything that is wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, InputPort, KindSignature, Many, World};
use crate::expand::{Expander, apply_override, apply_params};
use crate::graph::{Plan, Step, StepId, Variant};
use crate::params::{Checker, fill_defaults};
use crate::problem::{PlanErrors, Problem, SourceName, Span};
use crate::spec::PipelineSpec;
use crate::suggest::suggestion;
use crate::taxonomy::{Category, Taxonomy};
use crate::yaml::{self, Data, Name, Tree};

use control::Control;
use matrix::Comparing;
use order::{cycles, places, stable_order};

mod control;
mod edges;
mod matrix;
mod order;
mod schema;

pub use schema::pipeline_schema;

/// A pipeline as the user gave it.
#[derive(Debug, Clone, Copy)]
pub struct PipelineSource<'a> {
    pub text: &'a str,
    /// The pipeline's name when the file gives none: the file's stem.
    pub default_name: &'a str,
    /// Texts of parameter files, in order; each a map that goes over `params`.
    pub params: &'a [String],
    /// `PATH=VALUE` overrides, in order, after the parameter files.
    pub overrides: &'a [String],
}

/// A node whose kind is known, before its inputs are resolved.
struct Draft {
    name: Name,
    /// The node's map with references expanded.
    tree: Tree,
    signature: Arc<dyn KindSignature>,
    checker: Arc<Checker>,
    params: Value,
    /// Problems with the parameters: the signature is not asked then.
    valid: bool,
    /// Port, text of the reference, its place.
    references: Vec<(&'static str, String, Span)>,
    control: Control,
    /// Required ports that nothing is connected to.
    missing_inputs: Vec<&'static str>,
    /// The node is one variant of another.
    variant: Option<Variant>,
    /// The node has a matrix: it compares its variants and has no parameters of its own.
    comparing: Option<Comparing>,
}

/// Checks a pipeline and makes its plan, or gives everything that is wrong with it.
pub fn compile(
    source: &PipelineSource<'_>,
    catalog: &Catalog,
    world: &dyn World,
) -> Result<Plan, PlanErrors> {
    let mut tree = yaml::parse(source.text, SourceName::Pipeline)?;
    let mut problems = Vec::new();
    for (index, text) in source.params.iter().enumerate() {
        problems.extend(apply_params(&mut tree, text, index));
    }
    for (index, set) in source.overrides.iter().enumerate() {
        if let Err(problem) = apply_override(&mut tree, set, index) {
            problems.push(problem);
        }
    }
    let (spec, found) = PipelineSpec::read(tree);
    problems.extend(found);
    let mut expander = Expander {
        params: spec.params.as_ref(),
        world,
        problems: Vec::new(),
        origins: BTreeMap::new(),
        environment: BTreeMap::new(),
    };
    let name = match spec.name.as_ref().map(|tree| expander.expand(tree, "name")) {
        Some(tree) => match tree.as_str() {
            Some(name) if !name.trim().is_empty() => name.to_owned(),
            _ => {
                problems.push(Problem::new(tree.span, "`name` must be a string that is not empty"));
                source.default_name.to_owned()
            }
        },
        None => source.default_name.to_owned(),
    };
    let taxonomy_tree = spec.taxonomy.as_ref().map(|tree| expander.expand(tree, "taxonomy"));
    let taxonomy =
        taxonomy_tree.as_ref().and_then(|tree| read_taxonomy(tree, world, &mut problems));
    let (drafts, names) = draft_all(spec.nodes, &mut expander, catalog, &mut problems);
    problems.append(&mut expander.problems);
    let Expander { origins, environment, .. } = expander;

    let (graph, order) = connect(&drafts, &names, &mut problems)?;
    let resolved = resolved_pipeline(&name, taxonomy_tree.as_ref(), spec.params.as_ref(), &drafts);
    let mut plan = Plan {
        name,
        base_dir: world.base_dir().to_owned(),
        taxonomy,
        warnings: Vec::new(),
        resolved,
        origins,
        environment,
        graph,
        places: places(&order),
        order,
    };
    edges::check(&mut plan, &drafts, world, &mut problems);
    let variants: Vec<Variant> = drafts.iter().filter_map(|draft| draft.variant.clone()).collect();
    plan.warnings = matrix::merge(std::mem::take(&mut plan.warnings), &variants);
    plan.warnings.dedup();
    let problems = matrix::merge(problems, &variants);
    if problems.is_empty() { Ok(plan) } else { Err(PlanErrors::new(problems)) }
}

/// Drafts every node, in the order of names; with all names as they are in the file.
fn draft_all(
    nodes: Vec<(Name, Tree)>,
    expander: &mut Expander<'_>,
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) -> (Vec<Draft>, Vec<String>) {
    // There may be thousands of nodes: what they are made of goes as soon as they are made.
    let mut drafts = Vec::with_capacity(nodes.len());
    let mut names = Vec::with_capacity(nodes.len());
    let mut checkers = Checkers::new();
    for (name, tree) in nodes {
        let tree = expander.expand(&tree, &format!("nodes.{}", name.text));
        check_name(&name, problems);
        match matrix::expand(&name, &tree, problems) {
            None => drafts.extend(draft(&name, tree, catalog, &mut checkers, problems)),
            Some(expanded) => {
                drafts.extend(draft_matrix(
                    &name,
                    &tree,
                    &expanded,
                    catalog,
                    &mut checkers,
                    problems,
                ));
            }
        }
        names.push(name.text);
    }
    // Ties in the topological order are broken by name, so that order in the file means nothing.
    drafts.sort_by(|a, b| a.name.text.cmp(&b.name.text));
    (drafts, names)
}

fn read_taxonomy(tree: &Tree, world: &dyn World, problems: &mut Vec<Problem>) -> Option<Taxonomy> {
    let result = match &tree.data {
        Data::Scalar(Value::String(path)) => world
            .read_text(path)
            .map_err(|error| format!("taxonomy `{path}`: {error}"))
            .and_then(|text| {
                Taxonomy::parse(&text).map_err(|error| format!("taxonomy `{path}`: {error}"))
            }),
        Data::List(items) => {
            let categories = items.iter().map(|item| Category {
                name: match item.to_json() {
                    Value::String(name) => name,
                    other => other.to_string(),
                },
                description: None,
                queue: None,
            });
            Taxonomy::new(categories).map_err(|error| error.to_string())
        }
        _ => Err(format!("`taxonomy` must be a file or a list of categories, not {}", tree.noun())),
    };
    result.map_err(|message| problems.push(Problem::new(tree.span, message))).ok()
}

fn check_name(name: &Name, problems: &mut Vec<Problem>) {
    if name.text.is_empty() || !name.text.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)) {
        let message = format!("node name `{}` may hold letters, digits, `-` and `_`", name.text);
        problems.push(Problem::new(name.span, message));
    }
}

/// Drafts the variants of a node, and the step that compares them.
fn draft_matrix(
    name: &Name,
    tree: &Tree,
    expanded: &matrix::Expanded,
    catalog: &Catalog,
    checkers: &mut Checkers,
    problems: &mut Vec<Problem>,
) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let Some(signature) = kind_of(name, tree, catalog, problems).cloned() else { return drafts };
    if signature.is_sink() {
        let kind = signature.name();
        let message = format!(
            "node `{}`: a node of kind `{kind}` writes to one place and cannot have a matrix",
            name.text
        );
        let span = tree.entry("/matrix").map_or(name.span, |(key, _)| key.span);
        problems.push(Problem::new(span, message));
        return drafts;
    }
    for ((name, tree), variant) in expanded.nodes.iter().zip(&expanded.variants) {
        let made = draft(name, tree.clone(), catalog, checkers, problems);
        drafts.extend(made.map(|draft| Draft { variant: Some(variant.clone()), ..draft }));
    }
    if drafts.is_empty() {
        return drafts;
    }
    let checker = checker_of(signature.as_ref(), checkers);
    let comparing = matrix::comparing(expanded, name, signature.metrics(), problems);
    drafts.push(Draft {
        name: name.clone(),
        tree: tree.clone(),
        control: Control::read(&name.text, tree, &mut Vec::new()),
        params: comparing.params.clone(),
        signature,
        checker,
        valid: true,
        references: Vec::new(),
        missing_inputs: Vec::new(),
        variant: None,
        comparing: Some(comparing),
    });
    drafts
}

/// Reads one node; `None` when its kind is unknown, which is a problem already.
fn draft(
    name: &Name,
    tree: Tree,
    catalog: &Catalog,
    checkers: &mut Checkers,
    problems: &mut Vec<Problem>,
) -> Option<Draft> {
    let signature = kind_of(name, &tree, catalog, problems)?;
    let Data::Map(entries) = &tree.data else { return None };
    let ports = signature.input_ports();
    let mut references = Vec::new();
    let mut params = Map::new();
    for (key, value) in entries {
        let word = key.text.as_str();
        if word == "kind" || control::KEYS.contains(&word) || matrix::KEYS.contains(&word) {
            continue;
        }
        match ports.iter().find(|port| port.name == key.text) {
            Some(port) => edges::read_references(port, value, &mut references, problems),
            None => {
                params.insert(key.text.clone(), value.to_json());
            }
        }
    }
    let mut missing_inputs = Vec::new();
    for port in ports.iter().filter(|port| tree.get(port.name).is_none()) {
        let beside = beside_input(port, &references);
        if beside.is_none() && port.required {
            let message = format!("node `{}` needs `{}`: {}", name.text, port.name, port.summary);
            problems.push(Problem::new(name.span, message));
            missing_inputs.push(port.name);
        }
        references.extend(beside.into_iter().flatten());
    }
    let checker = checker_of(signature.as_ref(), checkers);
    let mut params = Value::Object(params);
    fill_defaults(&checker.schema, &mut params);
    let mut valid = true;
    for finding in checker.validate(&params, "") {
        valid = false;
        let span = edges::place(&finding.at, name, &tree);
        let message = format!("node `{}`: {}", name.text, finding.message);
        problems.push(Problem::new(span, message).with_hint(finding.hint));
    }
    let control = Control::read(&name.text, &tree, problems);
    let signature = signature.clone();
    let name = name.clone();
    Some(Draft {
        name,
        tree,
        signature,
        checker,
        params,
        valid,
        references,
        control,
        missing_inputs,
        variant: None,
        comparing: None,
    })
}

type Reference = (&'static str, String, Span);

/// What a port reads that the file does not connect: a port of what `input` names, for each of
/// them if it takes many.
fn beside_input(port: &InputPort, references: &[Reference]) -> Option<Vec<Reference>> {
    let from_port = port.beside_input?;
    let most = if port.many == Many::List { usize::MAX } else { 1 };
    let inputs = references.iter().filter(|(name, ..)| *name == "input").take(most);
    let beside = inputs.map(|(_, input, span)| {
        matrix::names_no_port(input).then(|| (port.name, format!("{input}.{from_port}"), *span))
    });
    beside.collect::<Option<Vec<_>>>().filter(|beside| !beside.is_empty())
}

fn checker_of(signature: &dyn KindSignature, checkers: &mut Checkers) -> Arc<Checker> {
    let make = || Arc::new(Checker::new(signature.params_schema()));
    checkers.entry(signature.name()).or_insert_with(make).clone()
}

/// The signature of a node's kind; `None` when it is unknown, which is a problem then.
fn kind_of<'a>(
    name: &Name,
    tree: &Tree,
    catalog: &'a Catalog,
    problems: &mut Vec<Problem>,
) -> Option<&'a Arc<dyn KindSignature>> {
    if !matches!(tree.data, Data::Map(_)) {
        let message =
            format!("node `{}` must be a map with a `kind`, not {}", name.text, tree.noun());
        problems.push(Problem::new(tree.span, message));
        return None;
    }
    let Some(kind) = tree.get("kind") else {
        problems.push(
            Problem::new(name.span, format!("node `{}` has no `kind`", name.text))
                .with_hint(suggestion("", catalog.names(), "kinds")),
        );
        return None;
    };
    let signature = kind.as_str().and_then(|kind| catalog.get(kind));
    if signature.is_none() {
        let word = kind.as_str().map_or_else(|| kind.to_json().to_string(), str::to_owned);
        let hint = suggestion(&word, catalog.names(), "kinds");
        problems.push(Problem::new(kind.span, format!("unknown kind `{word}`")).with_hint(hint));
    }
    signature
}

/// The schema of each kind, made ready when its first node is read.
type Checkers = HashMap<&'static str, Arc<Checker>>;

type Connected = (DiGraph<Step, ()>, Vec<StepId>);

/// Makes the graph; a cycle ends the check, for nothing after it makes sense then.
fn connect(
    drafts: &[Draft],
    names: &[String],
    problems: &mut Vec<Problem>,
) -> Result<Connected, PlanErrors> {
    let mut graph = DiGraph::with_capacity(drafts.len(), drafts.len());
    let by_name: HashMap<&str, StepId> = drafts
        .iter()
        .enumerate()
        .map(|(n, draft)| (draft.name.text.as_str(), StepId(n as u32)))
        .collect();
    for (n, draft) in drafts.iter().enumerate() {
        graph.add_node(edges::step_of(StepId(n as u32), draft));
    }
    let all_names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (n, draft) in drafts.iter().enumerate() {
        for reference in &draft.references {
            let resolved = edges::resolve(reference, &by_name, &all_names, drafts, problems);
            if let Some(input) = resolved {
                let (from, to) = (NodeIndex::new(input.step.index()), NodeIndex::new(n));
                graph.update_edge(from, to, ());
                graph[to].inputs.push(input);
            }
        }
        if let Some(comparing) = &draft.comparing {
            for input in matrix::inputs(&comparing.matrix.variants, &by_name) {
                graph.update_edge(NodeIndex::new(input.step.index()), NodeIndex::new(n), ());
                graph[NodeIndex::new(n)].inputs.push(input);
            }
        }
    }
    let cycles = cycles(&graph);
    if !cycles.is_empty() {
        problems.extend(cycles);
        return Err(PlanErrors::new(std::mem::take(problems)));
    }
    let order = toposort(&graph, None).map_err(|cycle| {
        PlanErrors::from(Problem::new(graph[cycle.node_id()].span, "the nodes form a cycle"))
    })?;
    let order = stable_order(&graph, &order);
    Ok((graph, order))
}

fn resolved_pipeline(
    name: &str,
    taxonomy: Option<&Tree>,
    params: Option<&Tree>,
    drafts: &[Draft],
) -> Value {
    let nodes: Map<String, Value> = drafts
        .iter()
        .filter(|draft| draft.variant.is_none())
        .map(|draft| {
            let mut node = draft.tree.to_json();
            let params = draft.params.as_object().filter(|_| draft.comparing.is_none());
            if let (Some(node), Some(params)) = (node.as_object_mut(), params) {
                for (key, value) in params {
                    node.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            (draft.name.text.clone(), node)
        })
        .collect();
    // `json!` would copy the nodes.
    let mut resolved = json!({
        "version": 1,
        "name": name,
        "taxonomy": taxonomy.map(Tree::to_json),
        "params": params.map(Tree::to_json),
    });
    resolved["nodes"] = Value::Object(nodes);
    resolved
}
