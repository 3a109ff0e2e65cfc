//! `relabel plugins show`: one plugin with its parameters.

use engine::classifier::{Isolation, PluginDescription, PluginRequest};
use serde_json::{Value, json};

use crate::args::Format;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

/// Shows a plugin with its parameters
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of a plugin, or path of its file
    plugin: String,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let found = super::find(&PluginRequest::new(&args.plugin), context)?;
    show(found.description(), context.format);
    Ok(Exit::Done)
}

pub(super) fn description_json(description: &PluginDescription) -> Value {
    json!({
        "name": description.name,
        "version": description.version,
        "description": description.description,
        "licence": description.licence,
        "capabilities": description.capabilities,
        "params_schema": description.params_schema,
        "file_digest": description.file_digest,
        "location": description.location,
        "transport": description.transport.word(),
        "isolation": description.isolation.word(),
    })
}

fn show(description: &PluginDescription, format: Format) {
    if format == Format::Json {
        return output::json(&description_json(description));
    }
    output::result(format!("{} {}", description.name, description.version));
    output::result(format!("  {}", description.description));
    output::result(format!("  licence  {}", description.licence));
    output::result(format!("  file     {}", description.location));
    output::result(format!(
        "  kind     {}, {}",
        description.transport.word(),
        match description.isolation {
            Isolation::InProcess => "in this process",
            Isolation::Process => "in a process of its own",
        }
    ));
    output::result(format!("  digest   {}\n", description.file_digest));
    let properties = description.params_schema["properties"].as_object();
    let mut table = Table::new(&["parameter", "type", "default", "what it does"]);
    for (name, property) in properties.into_iter().flatten() {
        let kind = match &property["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                kinds.join(" or ")
            }
            _ => "see schema".into(),
        };
        let default = property.get("default").map(Value::to_string).unwrap_or_default();
        let text = property["description"].as_str().unwrap_or_default().replace('\n', " ");
        table.row([name.clone(), kind, default, text]);
    }
    output::result(table.render());
}
