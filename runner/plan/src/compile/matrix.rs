//! `matrix:` on a node: one step for each combination of values, and one that compares them.
//!
//! Each combination (a *variant*) is drafted as if the file had a node with these values, so every
//! check sees it and its units have the keys of such a node. What is wrong with all variants alike
//! is told once.

use std::collections::HashMap;

use petgraph::graph::NodeIndex;
use serde_json::{Map, Value, json};

use super::Draft;
use crate::catalog::Metric;
use crate::graph::{HandOn, Matrix, Plan, StepId, StepInput, Variant, split_reference};
use crate::problem::{Problem, Span};
use crate::schema::{ColumnType, PortType, Schema};
use crate::suggest::suggestion;
use crate::yaml::{Data, Name, Tree};

/// Combinations of one matrix, at most.
const MAX_VARIANTS: usize = 256;
/// A longer value is named by its place in the list.
const MAX_VALUE_NAME: usize = 40;
/// The output port with the comparison.
pub(super) const COMPARE: &str = "compare";
/// The input port on which the variants arrive.
pub(super) const VARIANTS: &str = "variants";
/// Columns of the comparison that no parameter may give its name to.
const COLUMNS: [&str; 3] = ["variant", "rows", "used"];

pub(super) const KEYS: [&str; 2] = ["matrix", "use"];

/// Their JSON Schema, for editors.
pub(super) fn schema() -> [(&'static str, Value); 2] {
    let matrix = json!({
        "description": "Values for parameters by path, such as `classifier.plugin: [linear, knn]`; the node runs once for each combination.",
        "type": "object",
        "minProperties": 1,
    });
    let hand_on = json!({
        "description": "Which variant of the matrix others read: one by name, or the best by a metric.",
        "type": "string",
    });
    [(KEYS[0], matrix), (KEYS[1], hand_on)]
}

/// One parameter of a matrix with its values.
struct Axis {
    path: String,
    span: Span,
    values: Vec<Tree>,
}

/// A node with a matrix, taken apart.
pub(super) struct Expanded {
    /// Name and tree of each variant, as of a node of its own.
    pub nodes: Vec<(Name, Tree)>,
    pub variants: Vec<Variant>,
    axes: Vec<Axis>,
    hand_on: Option<Tree>,
}

/// Takes a node with a `matrix` apart; `None` if it has none, no variants if it makes no sense.
pub(super) fn expand(name: &Name, tree: &Tree, problems: &mut Vec<Problem>) -> Option<Expanded> {
    let Some(matrix) = tree.get("matrix") else {
        if let Some(choice) = tree.get("use") {
            let message =
                format!("node `{}`: `use` chooses from a `matrix`, and there is none", name.text);
            problems.push(Problem::new(choice.span, message));
        }
        return None;
    };
    let mut axes = Vec::new();
    let before = problems.len();
    match &matrix.data {
        Data::Map(entries) if !entries.is_empty() => {
            read_axes(&name.text, "", matrix, &mut axes, problems)
        }
        _ => {
            let message = format!(
                "node `{}`: `matrix` must be a map from parameters to lists of values, not {}",
                name.text,
                matrix.noun()
            );
            problems.push(Problem::new(matrix.span, message).with_hint(Some(
                "write `matrix: {classifier.plugin: [linear, naive-bayes]}`".into(),
            )));
        }
    }
    // Order in a map means nothing; the order of values in a list does.
    axes.sort_by(|a, b| a.path.cmp(&b.path));
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > MAX_VARIANTS) {
        let count = count.map_or("too many".to_owned(), |count| count.to_string());
        let message = format!(
            "node `{}`: the matrix has {count} combinations; {MAX_VARIANTS} is the most",
            name.text
        );
        problems.push(Problem::new(matrix.span, message));
    }
    let mut expanded = Expanded {
        nodes: Vec::new(),
        variants: Vec::new(),
        axes,
        hand_on: tree.get("use").cloned(),
    };
    if problems.len() == before {
        combine(&mut expanded, name, tree, problems);
    }
    Some(expanded)
}

/// Lists of values by dotted path; a map inside the map goes one step down.
fn read_axes(
    node: &str,
    prefix: &str,
    tree: &Tree,
    axes: &mut Vec<Axis>,
    problems: &mut Vec<Problem>,
) {
    let Data::Map(entries) = &tree.data else { return };
    for (key, value) in entries {
        let path =
            if prefix.is_empty() { key.text.clone() } else { format!("{prefix}.{}", key.text) };
        match &value.data {
            Data::Map(inner) if !inner.is_empty() => read_axes(node, &path, value, axes, problems),
            Data::List(values) if !values.is_empty() => {
                let head = path.split('.').next().unwrap_or_default();
                if head == "kind" || KEYS.contains(&head) || path.split('.').any(str::is_empty) {
                    let message = format!("node `{node}`: `{path}` cannot vary in a matrix");
                    problems.push(Problem::new(key.span, message));
                } else if axes.iter().any(|axis| axis.path == path) {
                    let message = format!("node `{node}`: the matrix has `{path}` twice");
                    problems.push(Problem::new(key.span, message));
                }
                axes.push(Axis { path, span: key.span, values: values.clone() });
            }
            _ => {
                let message = format!(
                    "node `{node}`: `matrix` needs a list of values for `{path}`, not {}",
                    value.noun()
                );
                problems.push(Problem::new(value.span, message));
            }
        }
    }
}

fn combine(expanded: &mut Expanded, node: &Name, tree: &Tree, problems: &mut Vec<Problem>) {
    let Data::Map(entries) = &tree.data else { return };
    let plain: Vec<(Name, Tree)> =
        entries.iter().filter(|(key, _)| !KEYS.contains(&key.text.as_str())).cloned().collect();
    let labels = axis_labels(&expanded.axes);
    let count: usize = expanded.axes.iter().map(|axis| axis.values.len()).product();
    for n in 0..count {
        let mut variant_tree = Tree { span: tree.span, data: Data::Map(plain.clone()) };
        let (mut words, mut values) = (Vec::new(), Vec::new());
        // The last parameter varies fastest.
        let mut left = count;
        let mut rest = n;
        for (axis, label) in expanded.axes.iter().zip(&labels) {
            left /= axis.values.len();
            let place = rest / left;
            rest %= left;
            let value = &axis.values[place];
            let parts: Vec<&str> = axis.path.split('.').collect();
            if let Err(problem) = put(&mut variant_tree, &parts, value, axis) {
                let message = format!("node `{}`: {problem}", node.text);
                problems.push(Problem::new(axis.span, message));
            }
            words.push(format!("{label}={}", value_name(value, place)));
            values.push(value.to_json());
        }
        let name = words.join(",");
        if expanded.variants.iter().any(|variant| variant.name == name) {
            let message = format!("node `{}`: the matrix has `{name}` twice", node.text);
            problems.push(Problem::new(expanded.axes[0].span, message));
            continue;
        }
        let text = format!("{}[{name}]", node.text);
        expanded.nodes.push((Name { text, span: node.span }, variant_tree));
        expanded.variants.push(Variant { node: node.text.clone(), name, values });
    }
}

/// The last part of each path, or as much of it as tells it from the others.
fn axis_labels(axes: &[Axis]) -> Vec<String> {
    let tail = |path: &str, length: usize| {
        let parts: Vec<&str> = path.split('.').collect();
        parts[parts.len().saturating_sub(length)..].join(".")
    };
    let label = |axis: &Axis| {
        let length = (1..=axis.path.split('.').count()).find(|length| {
            let own = tail(&axis.path, *length);
            axes.iter().filter(|other| tail(&other.path, *length) == own).count() == 1
        });
        length.map_or_else(|| axis.path.clone(), |length| tail(&axis.path, length))
    };
    axes.iter().map(label).collect()
}

fn value_name(value: &Tree, place: usize) -> String {
    let text = match &value.data {
        Data::Scalar(Value::String(text)) => text.clone(),
        Data::Scalar(value) => value.to_string(),
        _ => String::new(),
    };
    let fits = !text.is_empty()
        && text.chars().count() <= MAX_VALUE_NAME
        && !text.contains(|c: char| "[],".contains(c) || c.is_control());
    if fits { text } else { format!("#{}", place + 1) }
}

/// Puts a value at a path, through maps that are made where there are none.
fn put(tree: &mut Tree, parts: &[&str], value: &Tree, axis: &Axis) -> Result<(), String> {
    let (part, rest) = (parts[0], &parts[1..]);
    let noun = tree.noun();
    let Data::Map(entries) = &mut tree.data else {
        return Err(format!("`{part}` of the matrix's `{}` would be inside {noun}", axis.path));
    };
    let place = match entries.iter().position(|(name, _)| name.text == part) {
        Some(place) => place,
        None => {
            let name = Name { text: part.to_owned(), span: axis.span };
            entries.push((name, Tree { span: axis.span, data: Data::Map(Vec::new()) }));
            entries.len() - 1
        }
    };
    let child = &mut entries[place].1;
    if rest.is_empty() {
        *child = value.clone();
        return Ok(());
    }
    put(child, rest, value, axis)
}

/// What the step that compares the variants is made of.
pub(super) struct Comparing {
    pub matrix: Matrix,
    pub params: Value,
}

/// Reads what is to be handed on and gives the comparison its columns.
pub(super) fn comparing(
    expanded: &Expanded,
    node: &Name,
    metrics: Vec<Metric>,
    problems: &mut Vec<Problem>,
) -> Comparing {
    let hand_on = match &expanded.hand_on {
        None if metrics.is_empty() => HandOn::Nothing,
        None => HandOn::Best(0),
        Some(tree) => read_use(tree, expanded, node, &metrics, problems),
    };
    let labels = axis_labels(&expanded.axes);
    let columns = expanded.axes.iter().zip(labels).map(|(axis, label)| {
        let taken = COLUMNS.contains(&label.as_str())
            || metrics.iter().any(|metric| metric.column == label);
        let name = if taken { format!("param_{label}") } else { label };
        let number =
            axis.values.iter().all(|value| matches!(value.data, Data::Scalar(Value::Number(_))));
        (name, if number { ColumnType::Float } else { ColumnType::String })
    });
    let columns = columns.collect();
    let lists: Map<String, Value> = expanded
        .axes
        .iter()
        .map(|axis| (axis.path.clone(), axis.values.iter().map(Tree::to_json).collect()))
        .collect();
    let params = json!({ "matrix": lists, "use": expanded.hand_on.as_ref().map(Tree::to_json) });
    let variants = expanded.variants.clone();
    Comparing { matrix: Matrix { columns, variants, metrics, hand_on }, params }
}

fn read_use(
    tree: &Tree,
    expanded: &Expanded,
    node: &Name,
    metrics: &[Metric],
    problems: &mut Vec<Problem>,
) -> HandOn {
    let word = match &tree.data {
        Data::Scalar(Value::String(text)) => text.clone(),
        _ => tree.to_json().to_string(),
    };
    if let Some(n) = expanded.variants.iter().position(|variant| variant.name == word) {
        return HandOn::Variant(n);
    }
    if let Some(n) = metrics.iter().position(|metric| metric.column == word) {
        return HandOn::Best(n);
    }
    let names = metrics.iter().map(|metric| metric.column);
    let known = expanded.variants.iter().map(|variant| variant.name.as_str()).chain(names);
    let message = format!(
        "node `{}`: `use: {word}` is neither a variant of its matrix nor a metric",
        node.text
    );
    problems.push(Problem::new(tree.span, message).with_hint(suggestion(&word, known, "choices")));
    // Readers have no problem of their own.
    HandOn::Variant(0)
}

/// Connects the step that compares with the variants, in their order.
pub(super) fn inputs(variants: &[Variant], by_name: &HashMap<&str, StepId>) -> Vec<StepInput> {
    let step_of = |variant: &Variant| by_name.get(variant.step_name().as_str()).copied();
    variants
        .iter()
        .filter_map(step_of)
        .map(|step| StepInput { port: VARIANTS, step, from_port: "" })
        .collect()
}

/// The outputs of the step that compares: those every variant has, and the comparison.
///
/// Nothing where a variant has problems of its own.
pub(super) fn outputs(plan: &Plan, id: StepId, matrix: &Matrix) -> Vec<(&'static str, PortType)> {
    let inputs = &plan.step(id).inputs;
    let variants: Vec<&[(&'static str, PortType)]> =
        inputs.iter().map(|input| plan.step(input.step).outputs.as_slice()).collect();
    if variants.len() != matrix.variants.len() || variants.iter().any(|outputs| outputs.is_empty())
    {
        return Vec::new();
    }
    let mut outputs = match matrix.hand_on {
        HandOn::Nothing => Vec::new(),
        HandOn::Variant(n) => variants[n].to_vec(),
        HandOn::Best(_) => common(&variants),
    };
    outputs.push((COMPARE, PortType::Frame(compare_schema(matrix))));
    outputs
}

/// Ports that all variants have, with the columns that all of them have there.
fn common(variants: &[&[(&'static str, PortType)]]) -> Vec<(&'static str, PortType)> {
    let (first, others) = variants.split_first().expect("a matrix has a variant");
    let mut ports = first.to_vec();
    for other in others {
        ports.retain_mut(|(port, port_type)| {
            let Some((_, other_type)) = other.iter().find(|(name, _)| name == port) else {
                return false;
            };
            match (port_type, other_type) {
                (PortType::Frame(schema), PortType::Frame(other)) => {
                    let same = |column: &crate::schema::Column| {
                        other.get(&column.name) == Some(column.column_type)
                    };
                    schema.columns.retain(same);
                    schema.open |= other.open;
                    schema.folds = schema.folds.filter(|folds| other.folds == Some(*folds));
                    true
                }
                (PortType::Model, PortType::Model) => true,
                _ => false,
            }
        });
    }
    ports
}

fn compare_schema(matrix: &Matrix) -> Schema {
    let mut schema = Schema::new([("variant", ColumnType::String)]);
    matrix.columns.iter().for_each(|(name, column_type)| schema.set(name, *column_type));
    schema.set("rows", ColumnType::Integer);
    matrix.metrics.iter().for_each(|metric| schema.set(metric.column, ColumnType::Float));
    schema.set("used", ColumnType::Boolean);
    schema
}

/// Why a matrix cannot be read as a whole, if that is so.
pub(super) fn unreadable(draft: &Draft, port: &str, span: Span) -> Option<Problem> {
    let comparing = draft.comparing.as_ref()?;
    if !matches!(comparing.matrix.hand_on, HandOn::Nothing) || port == COMPARE {
        return None;
    }
    let node = &draft.name.text;
    let first =
        comparing.matrix.variants.first().map(|variant| variant.name.as_str()).unwrap_or_default();
    let message = format!("`{node}` has a matrix and does not say which variant others read");
    let hint = format!("read `{node}[{first}]`, or put `use: {first}` into `{node}`");
    Some(Problem::new(span, message).with_hint(Some(hint)))
}

/// The problem of a reference to a variant that is not there.
pub(super) fn unknown_variant(
    drafts: &[Draft],
    node: &str,
    port: &str,
    span: Span,
) -> Option<Problem> {
    let (base, word) = node.strip_suffix(']')?.split_once('[')?;
    let draft = drafts.iter().find(|draft| draft.name.text == base)?;
    let Some(comparing) = &draft.comparing else {
        let message = format!("`{port}` reads `{node}`, and `{base}` has no matrix");
        return Some(Problem::new(span, message).with_hint(Some(format!("write `{base}`"))));
    };
    let names = comparing.matrix.variants.iter().map(|variant| variant.name.as_str());
    let message = format!("`{port}` reads `{node}`, which is no variant of `{base}`");
    Some(Problem::new(span, message).with_hint(suggestion(word, names, "variants")))
}

/// What several variants have in common is told once, of their node.
pub(super) fn merge(problems: Vec<Problem>, variants: &[Variant]) -> Vec<Problem> {
    if variants.is_empty() {
        return problems;
    }
    let of_node = |problem: &Problem| {
        variants.iter().fold(problem.message.clone(), |message, variant| {
            let own = format!("node `{}`", variant.step_name());
            message.replace(&own, &format!("node `{}`", variant.node))
        })
    };
    let shared: Vec<String> = problems.iter().map(of_node).collect();
    let times = |n: usize| {
        let is_it = |m: &usize| shared[*m] == shared[n] && problems[*m].span == problems[n].span;
        (0..problems.len()).filter(is_it).count()
    };
    let repeated: Vec<bool> = (0..problems.len()).map(|n| times(n) > 1).collect();
    let told =
        problems.into_iter().zip(shared).zip(repeated).map(|((problem, shared), repeated)| {
            if repeated { Problem { message: shared, ..problem } } else { problem }
        });
    told.collect()
}

/// Whether a reference names a node and no port of it.
pub(super) fn names_no_port(reference: &str) -> bool {
    split_reference(reference).1.is_empty()
}

/// Fills in what is known of the step that compares once its variants are checked.
pub(super) fn finish(plan: &mut Plan, id: StepId, comparing: &Comparing) {
    let outputs = outputs(plan, id, &comparing.matrix);
    let step = &mut plan.graph[NodeIndex::new(id.index())];
    step.key_params = comparing.params.clone();
    step.params = comparing.params.clone();
    step.outputs = outputs;
    step.matrix = Some(comparing.matrix.clone());
}
