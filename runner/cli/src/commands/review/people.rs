//! What nodes of the pipeline found out about reviewers and about what is left, for `review status`.
//!
//! It reads results as they are in the cache; what has to be computed is for a run.

use polars::prelude::DataFrame;
use serde_json::{Map, Value};

use crate::args::PipelineOption;
use crate::commands::show::{cached, rows, table};
use crate::context::Context;
use crate::error::CliError;
use crate::output;

/// Kinds of nodes, their ports, and what a port tells.
const TOLD: [(&str, &str, &str); 3] = [
    ("agreement", "reviewers", "how good each reviewer is, with 95 % intervals"),
    ("agreement", "statistics", "how far reviewers agree beyond chance, with 95 % intervals"),
    ("estimate", "", "what is found and left, with 95 % intervals"),
];

/// A table of a node.
pub(super) struct Known {
    /// `NODE` or `NODE.PORT`.
    place: String,
    about: &'static str,
    /// `None` when the result is older than the decisions.
    frame: Option<DataFrame>,
}

/// The tables that the pipeline has nodes for.
pub(super) fn known(context: &Context, pipeline: PipelineOption) -> Result<Vec<Known>, CliError> {
    let loaded = context.load(&pipeline.into())?;
    let mut known = Vec::new();
    for (kind, port, about) in TOLD {
        for step in loaded.plan.steps().filter(|step| step.kind == kind) {
            let dot = if port.is_empty() { "" } else { "." };
            let place = format!("{}{dot}{port}", step.name);
            known.push(Known { place, about, frame: cached(context, &loaded, step, port)? });
        }
    }
    Ok(known)
}

/// The tables by place; null for one that is not up to date.
pub(super) fn json(known: &[Known]) -> Result<Value, CliError> {
    let value = |known: &Known| {
        let frame = known.frame.as_ref().map(rows).transpose()?;
        Ok((known.place.clone(), frame.map_or(Value::Null, Value::Array)))
    };
    Ok(Value::Object(known.iter().map(value).collect::<Result<Map<_, _>, CliError>>()?))
}

pub(super) fn print(known: &[Known]) -> Result<(), CliError> {
    for Known { place, about, frame } in known {
        match frame {
            Some(frame) if frame.height() > 0 => {
                output::result(format!("\n{place}: {about}\n"));
                output::result(table(frame)?.render());
            }
            Some(_) => {}
            None => output::info(format!(
                "`{place}` is older than the decisions; `relabel run` renews it"
            )),
        }
    }
    Ok(())
}
