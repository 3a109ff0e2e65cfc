//! `relabel graph`: the plan as a picture.

use ::plan::{Plan, Step};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::args::{Format, PipelineArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    Tree,
    Mermaid,
    Dot,
    Json,
}

/// Shows the graph of a pipeline
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// How to draw it
    #[arg(long, value_enum, default_value_t = Style::Tree)]
    style: Style,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load(&args.pipeline)?;
    let style = if context.format == Format::Json { Style::Json } else { args.style };
    output::result(match style {
        Style::Tree => tree(&loaded.plan),
        Style::Mermaid => mermaid(&loaded.plan),
        Style::Dot => dot(&loaded.plan),
        Style::Json => graph_json(&loaded.plan).to_string(),
    });
    Ok(Exit::Done)
}

/// A node's kind, and how many variants it has.
fn kind_of(step: &Step) -> String {
    match &step.matrix {
        Some(matrix) => format!("{}, {} variants", step.kind, matrix.variants.len()),
        None => step.kind.to_owned(),
    }
}

/// Something that a node reads.
struct Edge<'a> {
    from: &'a Step,
    /// The output port it comes from, after the variant if it comes from one.
    from_port: String,
    port: &'a str,
}

/// What a node reads, each once; of a node with a matrix what any of its variants reads.
fn edges<'a>(plan: &'a Plan, step: &'a Step) -> Vec<Edge<'a>> {
    let variants = step.matrix.iter().flat_map(|_| &step.inputs).map(|input| plan.step(input.step));
    let own = std::iter::once(step).filter(|step| step.matrix.is_none());
    let mut edges: Vec<Edge<'a>> = Vec::new();
    for input in own.chain(variants).flat_map(|step| &step.inputs) {
        let from = plan.step(input.step);
        let edge = match &from.variant {
            None => Edge { from, from_port: input.from_port.to_owned(), port: input.port },
            Some(variant) => {
                let dot = if input.from_port.is_empty() { "" } else { "." };
                let from_port = format!("[{}]{dot}{}", variant.name, input.from_port);
                Edge { from: plan.find(&variant.node).unwrap_or(from), from_port, port: input.port }
            }
        };
        let same = |other: &Edge<'_>| {
            (other.from.id, &other.from_port, other.port)
                == (edge.from.id, &edge.from_port, edge.port)
        };
        if !edges.iter().any(same) {
            edges.push(edge);
        }
    }
    edges
}

/// Sinks at the left edge, what they read below them; a step that was shown is not unfolded again.
fn tree(plan: &Plan) -> String {
    let mut lines = Vec::new();
    let mut shown = std::collections::HashSet::new();
    let read: std::collections::HashSet<::plan::StepId> =
        plan.nodes().flat_map(|step| edges(plan, step)).map(|edge| edge.from.id).collect();
    for step in plan.nodes().filter(|step| !read.contains(&step.id)) {
        lines.push(format!("{} ({})", step.name, kind_of(step)));
        unfold(plan, step, "", &mut shown, &mut lines);
    }
    lines.join("\n")
}

fn unfold(
    plan: &Plan,
    step: &Step,
    indent: &str,
    shown: &mut std::collections::HashSet<::plan::StepId>,
    lines: &mut Vec<String>,
) {
    if !shown.insert(step.id) {
        return;
    }
    let edges = edges(plan, step);
    for (n, edge) in edges.iter().enumerate() {
        let from = edge.from;
        let last = n + 1 == edges.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let dot =
            if edge.from_port.is_empty() || edge.from_port.starts_with('[') { "" } else { "." };
        let port = if edge.port == "input" { String::new() } else { format!(" as {}", edge.port) };
        let port = format!("{dot}{}{port}", edge.from_port);
        let again = shown.contains(&from.id) && !from.inputs.is_empty();
        let more = if again { " ..." } else { "" };
        lines.push(format!("{indent}{branch}{}{port} ({}){more}", from.name, kind_of(from)));
        unfold(plan, from, &format!("{indent}{below}"), shown, lines);
    }
}

fn mermaid(plan: &Plan) -> String {
    let mut lines = vec!["flowchart TD".to_owned()];
    for step in plan.nodes() {
        lines.push(format!("    {0}[\"{0}<br/><i>{1}</i>\"]", step.name, kind_of(step)));
    }
    for_each_edge(plan, |from, to, label| {
        let arrow = if label.is_empty() { "-->".into() } else { format!("-->|{label}|") };
        lines.push(format!("    {from} {arrow} {to}"));
    });
    lines.join("\n")
}

fn dot(plan: &Plan) -> String {
    let name = plan.name.replace('"', "'");
    let mut lines = vec![format!("digraph \"{name}\" {{"), "    node [shape=box];".to_owned()];
    for step in plan.nodes() {
        lines.push(format!("    \"{0}\" [label=\"{0}\\n{1}\"];", step.name, kind_of(step)));
    }
    for_each_edge(plan, |from, to, label| {
        lines.push(format!("    \"{from}\" -> \"{to}\" [label=\"{label}\"];"));
    });
    lines.push("}".into());
    lines.join("\n")
}

fn for_each_edge(plan: &Plan, mut draw: impl FnMut(&str, &str, String)) {
    for step in plan.nodes() {
        for edge in edges(plan, step) {
            let port = if edge.port == "input" { "" } else { edge.port };
            let label = match (edge.from_port.as_str(), port) {
                ("", port) => port.to_owned(),
                (from, "") => from.to_owned(),
                (from, port) => format!("{from} as {port}"),
            };
            draw(&edge.from.name, &step.name, label);
        }
    }
}

fn graph_json(plan: &Plan) -> Value {
    let described: Vec<Value> = plan
        .nodes()
        .map(|step| {
            let variants = step.matrix.iter().flat_map(|_| &step.inputs);
            let variants = variants.map(|input| plan.step(input.step));
            let mut node = json!({
                "node": step.name,
                "kind": step.kind,
                "params": step.params,
                "units": step.unit_count() + variants.map(Step::unit_count).sum::<u32>(),
                "ports": step.outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            });
            if let Some(matrix) = &step.matrix {
                node["variants"] = matrix.variants.iter().map(|v| v.name.as_str()).collect();
            }
            node
        })
        .collect();
    let edges: Vec<Value> = plan
        .nodes()
        .flat_map(|step| edges(plan, step).into_iter().map(move |edge| (step, edge)))
        .map(|(step, edge)| {
            json!({
                "from": edge.from.name,
                "from_port": edge.from_port,
                "to": step.name,
                "port": edge.port,
            })
        })
        .collect();
    json!({ "schema_version": 1, "name": plan.name, "nodes": described, "edges": edges })
}
