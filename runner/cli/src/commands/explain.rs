//! `relabel explain`: every fact of a unit's key, beside those of the last run.

use engine::{ExplainedFact, ExplainedUnit, UnitState};
use serde_json::{Value, json};

use crate::args::{Format, PipelineOption};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

/// Shows every fact that decides a node's result, and what is different from the last run
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(help = "NODE, a part of one: NODE[FOLD], NODE[choice], or a variant: NODE[VARIANT]")]
    node: String,
    #[command(flatten)]
    pipeline: PipelineOption,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let _stores = review_store::KeepOpen::new();
    let loaded = context.load(&args.pipeline.into())?;
    // What is in brackets at the end is a variant of the node, or a part.
    let before_part = args.node.rfind('[').map_or("", |at| &args.node[..at]);
    let places = [args.node.as_str(), before_part, args.node.split('[').next().unwrap_or_default()];
    let found = places.iter().find_map(|name| Some((*name, loaded.plan.find(name)?)));
    let Some((node, step)) = found else {
        let node = places[2];
        let names = loaded.plan.steps().map(|step| step.name.as_str());
        let near = ::plan::did_you_mean(node, names.clone());
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("nodes: `{}`", names.collect::<Vec<_>>().join("`, `")),
        };
        let message = format!("no node `{node}` in {}", loaded.name);
        return Err(CliError::usage(message).with_hint(hint));
    };
    let units = context.engine(&loaded).explain(&loaded.plan, step.id)?;
    let Some(unit) = units.iter().find(|unit| unit.unit.to_string() == args.node) else {
        let variants = step.matrix.iter().flat_map(|matrix| &matrix.variants);
        let units = units.iter().map(|unit| unit.unit.to_string());
        let names: Vec<String> = units.chain(variants.map(::plan::Variant::step_name)).collect();
        let message = format!("`{node}` has no part `{}`", args.node);
        return Err(CliError::usage(message).with_hint(format!("parts: `{}`", names.join("`, `"))));
    };
    match context.format {
        Format::Json => output::json(&document(unit)),
        Format::Text => {
            print(unit);
            if units.len() > 1 && args.node == node {
                let parts: Vec<String> =
                    units.iter().map(|unit| unit.unit.to_string()).filter(|n| n != node).collect();
                output::info(format!("its parts are explained alone: {}", parts.join(", ")));
            }
        }
    }
    // As `plan` ends.
    Ok(match unit.state {
        UnitState::Blocked(_) => Exit::Internal,
        UnitState::Hit | UnitState::Run(_) | UnitState::Maybe => Exit::Done,
    })
}

fn detail(state: &UnitState) -> String {
    match state {
        UnitState::Hit => "the result is in the cache".into(),
        UnitState::Run(reason) => reason.text(),
        UnitState::Maybe => "waits for a unit that will run".into(),
        UnitState::Blocked(why) => why.clone(),
    }
}

fn document(unit: &ExplainedUnit) -> Value {
    let facts: Vec<Value> = unit
        .facts
        .iter()
        .map(|fact| {
            json!({
                "name": fact.name,
                "from": fact.from,
                "state": fact.state,
                "old": fact.before,
                "new": fact.now,
            })
        })
        .collect();
    json!({
        "schema_version": 1,
        "node": unit.unit.node,
        "variant": output::variant_json(&unit.unit.node),
        "fold": unit.unit.fold(),
        "part": unit.unit.part.word(),
        "kind": unit.kind,
        "state": unit.state.code(),
        "reason": match &unit.state {
            UnitState::Run(reason) => reason.to_json(),
            UnitState::Blocked(why) => json!(why),
            UnitState::Hit | UnitState::Maybe => Value::Null,
        },
        "key": unit.key,
        "last_key": unit.last_key,
        "last_failed": unit.last_failed,
        "waits_for": unit.waits_for.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "facts": facts,
    })
}

fn print(unit: &ExplainedUnit) {
    output::result(output::unit_line(unit.state.code(), &unit.unit, &detail(&unit.state)));
    if !unit.waits_for.is_empty() {
        let names: Vec<String> = unit.waits_for.iter().map(ToString::to_string).collect();
        output::result(format!("waits    {}", names.join(", ")));
        output::result("         its key is known when these have run");
    }
    if let Some(key) = unit.key {
        output::result(format!("key      {key}"));
    }
    match unit.last_key {
        None => output::result("last     never run here"),
        Some(last) if Some(last) == unit.key => output::result("last     the same key"),
        Some(last) => output::result(format!("last     {last}")),
    }
    if unit.last_failed {
        output::result("         it failed then");
    }
    if unit.facts.is_empty() {
        return;
    }
    let mut table = Table::new(&["fact", "state", "value"]);
    for fact in &unit.facts {
        table.row([name(fact), fact.state.to_owned(), value(fact)]);
    }
    output::result(format!("\n{}", table.render()));
}

fn name(fact: &ExplainedFact) -> String {
    match &fact.from {
        Some(from) => format!("{} from {from}", fact.name),
        None => fact.name.clone(),
    }
}

fn value(fact: &ExplainedFact) -> String {
    let text = |value: &Option<Value>| value.as_ref().map(shown).unwrap_or_default();
    match fact.state {
        "changed" => format!("{} -> {}", text(&fact.before), text(&fact.now)),
        "removed" => text(&fact.before),
        "waits" => match &fact.before {
            Some(before) => format!("{} -> not known yet", shown(before)),
            None => "not known yet".into(),
        },
        _ => text(&fact.now),
    }
}

/// A value on one line; digests by their first digits.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    };
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return text[..12].to_owned();
    }
    text
}
