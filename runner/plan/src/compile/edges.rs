//! Edges of the plan: references resolved, types and columns checked from step to step.

use std::collections::HashMap;

use serde_json::Value;

use super::{Draft, matrix};
use crate::catalog::{Accepts, At, CheckContext, Finding, InputPort, InputSchema, Many, World};
use crate::graph::{Plan, Step, StepId, StepInput, split_reference};
use crate::params::key_params;
use crate::problem::{Problem, Span};
use crate::schema::{PortType, Schema};
use crate::suggest::suggestion;
use crate::yaml::{Data, Name, Tree};

/// Takes `node`, `node.port` or a list of them from a port's value.
pub(super) fn read_references(
    port: &InputPort,
    value: &Tree,
    references: &mut Vec<(&'static str, String, Span)>,
    problems: &mut Vec<Problem>,
) {
    match (&value.data, port.many) {
        (Data::Scalar(Value::String(text)), _) => {
            references.push((port.name, text.clone(), value.span));
        }
        (Data::List(items), Many::List) => {
            for item in items {
                match item.as_str() {
                    Some(text) => references.push((port.name, text.to_owned(), item.span)),
                    None => problems.push(Problem::new(item.span, "a node's name belongs here")),
                }
            }
        }
        _ => {
            let message = format!("`{}` must name a node, not {}", port.name, value.noun());
            problems.push(Problem::new(value.span, message));
        }
    }
}

/// Finds the step and port a reference names.
pub(super) fn resolve(
    reference: &(&'static str, String, Span),
    by_name: &HashMap<&str, StepId>,
    all_names: &[&str],
    drafts: &[Draft],
    problems: &mut Vec<Problem>,
) -> Option<StepInput> {
    let (port, text, span) = reference;
    let (node, from_port) = split_reference(text);
    let Some(step) = by_name.get(node) else {
        if let Some(problem) = matrix::unknown_variant(drafts, node, port, *span) {
            problems.push(problem);
            return None;
        }
        // A node that is there with an unknown kind has its own problem already.
        let plain = node.split('[').next().unwrap_or_default();
        if !all_names.contains(&plain) {
            let hint = suggestion(node, all_names.iter().copied(), "nodes");
            let message = format!("`{port}` reads `{node}`, which is no node of this pipeline");
            problems.push(Problem::new(*span, message).with_hint(hint));
        }
        return None;
    };
    let draft = &drafts[step.index()];
    if let Some(problem) = matrix::unreadable(draft, from_port, *span) {
        problems.push(problem);
        return None;
    }
    let mut ports = draft.signature.output_ports();
    ports.extend(draft.comparing.as_ref().map(|_| matrix::COMPARE));
    match ports.iter().find(|name| **name == from_port) {
        Some(from_port) => Some(StepInput { port, step: *step, from_port }),
        None => {
            let named: Vec<&str> = ports.iter().copied().filter(|name| !name.is_empty()).collect();
            let hint = match (from_port, named.is_empty()) {
                ("", _) => suggestion(from_port, named, "ports"),
                (_, true) => Some(format!("`{node}` has one output: write `{node}`")),
                _ => suggestion(from_port, named, "ports"),
            };
            let message = match from_port {
                "" => format!("`{node}` has no output to read"),
                _ => format!("`{node}` has no port `{from_port}`"),
            };
            problems.push(Problem::new(*span, message).with_hint(hint));
            None
        }
    }
}

/// A step as it is before it is checked, which gives it its parameters.
pub(super) fn step_of(id: StepId, draft: &Draft) -> Step {
    Step {
        id,
        name: draft.name.text.clone(),
        kind: draft.signature.name(),
        kind_version: draft.signature.version(),
        params: Value::Null,
        key_params: Value::Null,
        inputs: Vec::new(),
        outputs: Vec::new(),
        plugins: Vec::new(),
        folds: 0,
        choice: false,
        timeout_seconds: draft.control.timeout_seconds,
        retries: draft.control.retries,
        variant: draft.variant.clone(),
        matrix: None,
        span: draft.name.span,
    }
}

/// Walks the plan in topological order and lets every signature check its step.
pub(super) fn check(
    plan: &mut Plan,
    drafts: &[Draft],
    world: &dyn World,
    problems: &mut Vec<Problem>,
) {
    for id in plan.order.clone() {
        let draft = &drafts[id.index()];
        if let Some(comparing) = &draft.comparing {
            matrix::finish(plan, id, comparing);
            continue;
        }
        // Without the schemas before it a step is judged by its parameters alone.
        let inputs = inputs_of(plan, draft, id, problems)
            .filter(|inputs| draft.valid && inputs.len() == draft.references.len());
        let complete = draft.missing_inputs.is_empty();
        let Some(inputs) = inputs.filter(|_| complete) else {
            if draft.valid {
                let findings = draft.signature.check_alone(&draft.params, world);
                problems.extend(findings.into_iter().map(|finding| problem_of(draft, finding)));
            }
            continue;
        };
        let context = CheckContext {
            params: &draft.params,
            inputs: &inputs,
            taxonomy: plan.taxonomy.as_ref(),
            world,
        };
        match draft.signature.check(&context) {
            Ok(checked) => {
                for warning in checked.warnings {
                    plan.warnings.push(problem_of(draft, warning));
                }
                let params = checked.params.unwrap_or_else(|| draft.params.clone());
                let step = &mut plan.graph[petgraph::graph::NodeIndex::new(id.index())];
                step.key_params = key_params(&draft.checker.schema, &params);
                step.params = params;
                step.outputs = checked.outputs;
                step.plugins = checked.plugins;
                step.folds = checked.folds;
                step.choice = checked.choice;
            }
            Err(findings) => {
                problems.extend(findings.into_iter().map(|finding| problem_of(draft, finding)));
            }
        }
    }
}

/// What arrives at a step, checked against what its ports accept; `None` if that is not known.
fn inputs_of(
    plan: &Plan,
    draft: &Draft,
    id: StepId,
    problems: &mut Vec<Problem>,
) -> Option<Vec<InputSchema>> {
    let ports = draft.signature.input_ports();
    let mut inputs = Vec::new();
    let before = problems.len();
    for input in &plan.step(id).inputs {
        let from = plan.step(input.step);
        let (_, port_type) = from.outputs.iter().find(|(name, _)| *name == input.from_port)?;
        let port = ports.iter().find(|port| port.name == input.port)?;
        let span = reference_span(draft, input.port, &from.name);
        if let Some(problem) = mismatch(port, port_type, &from.name, span) {
            problems.extend(problem);
        }
        inputs.push(InputSchema { port: port.name, port_type: port_type.clone() });
    }
    (problems.len() == before).then_some(inputs)
}

fn reference_span(draft: &Draft, port: &str, from: &str) -> Span {
    let named = |text: &str| split_reference(text).0 == from;
    let mut places = draft.references.iter().filter(|(name, ..)| *name == port);
    places.find(|(_, text, _)| named(text)).map_or(draft.name.span, |(.., span)| *span)
}

/// Why `port` cannot take what `from` gives.
fn mismatch(
    port: &InputPort,
    port_type: &PortType,
    from: &str,
    span: Span,
) -> Option<Vec<Problem>> {
    match (&port.accepts, port_type) {
        (Accepts::Model, PortType::Model) => None,
        (Accepts::Frame(columns), PortType::Frame(schema)) => {
            let problems: Vec<Problem> = columns
                .iter()
                .filter_map(|(name, types)| missing_column(name, types, schema, from, span))
                .collect();
            (!problems.is_empty()).then_some(problems)
        }
        (accepts, given) => {
            let wanted = if matches!(accepts, Accepts::Model) { "model" } else { "frame" };
            let message =
                format!("`{}` takes a {wanted}; `{from}` gives a {}", port.name, given.noun());
            Some(vec![Problem::new(span, message)])
        }
    }
}

fn missing_column(
    name: &str,
    types: &[crate::schema::ColumnType],
    schema: &Schema,
    from: &str,
    span: Span,
) -> Option<Problem> {
    match schema.get(name) {
        Some(found) if types.contains(&found) => None,
        Some(found) => {
            let wanted: Vec<String> = types.iter().map(ToString::to_string).collect();
            let message = format!(
                "column `{name}` of `{from}` is of type {found}; {} is needed",
                wanted.join(" or ")
            );
            Some(Problem::new(span, message))
        }
        None if schema.open => None,
        None => {
            let hint = suggestion(name, schema.names(), "columns there");
            let message = format!("`{from}` has no column `{name}`, which is needed here");
            Some(Problem::new(span, message).with_hint(hint))
        }
    }
}

fn problem_of(draft: &Draft, finding: Finding) -> Problem {
    let span = place(&finding.at, &draft.name, &draft.tree);
    let message = format!("node `{}`: {}", draft.name.text, finding.message);
    Problem::new(span, message).with_hint(finding.hint)
}

/// The place of a finding: an unknown key is shown at the key, anything else at its value.
pub(super) fn place(at: &At, name: &Name, tree: &Tree) -> Span {
    let (pointer, at_key) = match at {
        At::Node => return name.span,
        At::Input(port) => return tree.get(port).map_or(name.span, |tree| tree.span),
        At::Param(pointer) => (pointer, false),
        At::Key(pointer) => (pointer, true),
    };
    match tree.entry(pointer) {
        // A map or list begins on another line than its key, or at a bracket that says nothing.
        Some((key, value)) if at_key || !matches!(value.data, Data::Scalar(_)) => key.span,
        Some((_, value)) => value.span,
        None => {
            let span = tree.locate(pointer);
            if span == tree.span { name.span } else { span }
        }
    }
}
