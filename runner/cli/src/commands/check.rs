//! `relabel check`: everything that is wrong with a pipeline, before anything runs.

use serde_json::json;

use crate::args::{Format, PipelineArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

/// Checks a pipeline and shows all that is wrong with it
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load(&args.pipeline)?;
    let warnings: Vec<String> =
        loaded.plan.warnings.iter().map(|warning| warning.message.clone()).collect();
    match context.format {
        Format::Json => output::json(&json!({
            "schema_version": 1,
            "pipeline": loaded.name,
            "nodes": loaded.plan.nodes().count(),
            "problems": [],
            "warnings": warnings,
        })),
        Format::Text => {
            warnings.iter().for_each(|warning| output::info(format!("warning: {warning}")));
            output::result(format!("ok: {} nodes in {}", loaded.plan.nodes().count(), loaded.name));
        }
    }
    Ok(Exit::Done)
}
