//! `relabel plugins`: which classifiers there are, and what they take.

use clap::Subcommand;
use engine::classifier::{ClassifierSource, Isolation, PluginDescription, PluginRequest};
use serde_json::{Value, json};

use crate::args::Format;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};

/// Shows classifier plugins
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the plugins on the search path
    List,
    /// Shows a plugin with its parameters
    Show {
        /// Name of a plugin, or path of its file
        plugin: String,
    },
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::List => list(context),
        Command::Show { plugin } => {
            let found =
                context.plugins.classifier(&PluginRequest::new(plugin)).map_err(|error| {
                    CliError::new(Exit::Refused, error.to_string())
                        .with_hint("`relabel plugins list` shows what there is")
                })?;
            show(found.description(), context.format);
        }
    }
    Ok(Exit::Done)
}

fn list(context: &Context) {
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
        return output::json(&json!({ "schema_version": 1, "plugins": plugins }));
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
}

fn description_json(description: &PluginDescription) -> Value {
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
