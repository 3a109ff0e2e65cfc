//! `relabel plugins list`: every plugin on the search path, usable or not.

use serde_json::{Value, json};

use super::show::description_json;
use crate::args::Format;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

/// Lists the plugins on the search path
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args, context: &Context) -> Result<Exit, CliError> {
    let found = context.plugins.list();
    if context.format == Format::Json {
        let plugins: Vec<Value> = found
            .iter()
            .map(|plugin| match &plugin.description {
                Ok(description) => description_json(description),
                Err(reason) => json!({
                    "name": plugin.name,
                    "location": plugin.location.display().to_string(),
                    "refused": reason,
                }),
            })
            .collect();
        output::json(&json!({ "schema_version": 1, "plugins": plugins }));
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["plugin", "version", "what it is"]);
    for plugin in &found {
        let (version, text) = match &plugin.description {
            Ok(description) => (description.version.clone(), description.description.clone()),
            Err(reason) => (String::new(), format!("refused: {reason}")),
        };
        table.row([plugin.name.clone(), version, text]);
    }
    output::result(table.render());
    if found.is_empty() {
        let folders: Vec<String> =
            context.plugins.folders().iter().map(|folder| folder.display().to_string()).collect();
        output::info(format!("no plugin in {}", folders.join(", ")));
    }
    Ok(Exit::Done)
}
