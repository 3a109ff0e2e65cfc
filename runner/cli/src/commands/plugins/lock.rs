//! `relabel plugins lock`: writes down which plugins a pipeline uses, by digest.

use std::io::Write;

use serde_json::{Value, json};

use crate::args::{Format, PipelineArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{self, Table};
use crate::plugins_lock::{LockedPlugin, PluginsLock};

/// Writes plugins.lock beside a pipeline, for --locked: its plugins as they are now
///
/// Plugins that are in the file already and that this pipeline does not use stay there: other
/// pipelines of the folder may use them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineArgs,
}

/// A plugin of the pipeline and what the file said of it before.
struct Change {
    plugin: String,
    now: LockedPlugin,
    before: Option<LockedPlugin>,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load_unlocked(&args.pipeline)?;
    let path = PluginsLock::path_beside(std::path::Path::new(&loaded.name));
    let mut lock = PluginsLock::read(&path)?.unwrap_or_default();
    let mut changes = Vec::new();
    for (plugin, found) in &loaded.plugins {
        let (version, digest) = (found.version.clone(), found.file_digest.clone());
        let now = LockedPlugin { version, digest };
        let before = lock.plugins.insert(plugin.clone(), now.clone());
        changes.push(Change { plugin: plugin.clone(), now, before });
    }
    let text = lock.to_text();
    engine::write_atomically(&path, |file| file.write_all(text.as_bytes())).map_err(|error| {
        CliError::new(Exit::Internal, format!("cannot write {}: {error}", path.display()))
    })?;
    print(&path.display().to_string(), &changes, context.format);
    Ok(Exit::Done)
}

fn print(path: &str, changes: &[Change], format: Format) {
    if format == Format::Json {
        let plugins: Vec<Value> = changes
            .iter()
            .map(|change| {
                json!({
                    "plugin": change.plugin,
                    "version": change.now.version,
                    "digest": change.now.digest,
                    "state": state(change),
                })
            })
            .collect();
        return output::json(&json!({ "schema_version": 1, "file": path, "plugins": plugins }));
    }
    let mut table = Table::new(&["plugin", "version", "digest", "state"]);
    for change in changes {
        let (version, digest) = (change.now.version.clone(), change.now.digest.clone());
        table.row([change.plugin.clone(), version, digest, state(change).to_owned()]);
    }
    output::result(table.render());
    output::info(format!("wrote {path}"));
}

fn state(change: &Change) -> &'static str {
    match &change.before {
        None => "new",
        Some(before) if *before == change.now => "same",
        Some(_) => "changed",
    }
}
