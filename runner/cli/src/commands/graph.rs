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

/// Sinks at the left edge, what they read below them; a step that was shown is not unfolded again.
fn tree(plan: &Plan) -> String {
    let mut lines = Vec::new();
    let mut shown = std::collections::HashSet::new();
    for step in plan.steps().filter(|step| plan.readers(step.id).is_empty()) {
        lines.push(format!("{} ({})", step.name, step.kind));
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
    for (n, input) in step.inputs.iter().enumerate() {
        let from = plan.step(input.step);
        let last = n + 1 == step.inputs.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let port = match (input.port, input.from_port) {
            ("input", "") => String::new(),
            (port, "") => format!(" as {port}"),
            ("input", from_port) => format!(".{from_port}"),
            (port, from_port) => format!(".{from_port} as {port}"),
        };
        let again = shown.contains(&from.id) && !from.inputs.is_empty();
        let more = if again { " ..." } else { "" };
        lines.push(format!("{indent}{branch}{}{port} ({}){more}", from.name, from.kind));
        unfold(plan, from, &format!("{indent}{below}"), shown, lines);
    }
}

fn mermaid(plan: &Plan) -> String {
    let mut lines = vec!["flowchart TD".to_owned()];
    for step in plan.steps() {
        lines.push(format!("    {0}[\"{0}<br/><i>{1}</i>\"]", step.name, step.kind));
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
    for step in plan.steps() {
        lines.push(format!("    \"{0}\" [label=\"{0}\\n{1}\"];", step.name, step.kind));
    }
    for_each_edge(plan, |from, to, label| {
        lines.push(format!("    \"{from}\" -> \"{to}\" [label=\"{label}\"];"));
    });
    lines.push("}".into());
    lines.join("\n")
}

fn for_each_edge(plan: &Plan, mut edge: impl FnMut(&str, &str, String)) {
    for step in plan.steps() {
        for input in &step.inputs {
            let port = if input.port == "input" { "" } else { input.port };
            let label = match (input.from_port, port) {
                ("", port) => port.to_owned(),
                (from, "") => from.to_owned(),
                (from, port) => format!("{from} as {port}"),
            };
            edge(&plan.step(input.step).name, &step.name, label);
        }
    }
}

fn graph_json(plan: &Plan) -> Value {
    let nodes: Vec<Value> = plan
        .steps()
        .map(|step| {
            json!({
                "node": step.name,
                "kind": step.kind,
                "params": step.params,
                "units": step.unit_count(),
                "ports": step.outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            })
        })
        .collect();
    let edges: Vec<Value> = plan
        .steps()
        .flat_map(|step| step.inputs.iter().map(move |input| (step, input)))
        .map(|(step, input)| {
            json!({
                "from": plan.step(input.step).name,
                "from_port": input.from_port,
                "to": step.name,
                "port": input.port,
            })
        })
        .collect();
    json!({ "schema_version": 1, "name": plan.name, "nodes": nodes, "edges": edges })
}
