//! `relabel plugins`: which classifiers there are, what they take, and how to make one.

use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use engine::classifier::{Classifier, ClassifierSource, ClassifierSourceError, PluginRequest};

use crate::context::Context;
use crate::error::{CliError, Exit};

mod check;
mod list;
mod lock;
mod new;
mod show;
mod template;

/// Lists, shows, checks, makes and pins classifier plugins
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Check(check::Args),
    New(new::Args),
    Lock(lock::Args),
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list::run(args, context),
        Command::Show(args) => show::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::New(args) => new::run(args, context),
        Command::Lock(args) => lock::run(args, context),
    }
}

/// The plugin that a user names on the command line.
fn find(request: &PluginRequest<'_>, context: &Context) -> Result<Arc<dyn Classifier>, CliError> {
    context.plugins.classifier(request).map_err(|error| {
        let name = request.plugin;
        let hint = if matches!(error, ClassifierSourceError::Isolation { .. }) {
            "leave `--isolation` out".to_owned()
        } else if !name.contains('/') && Path::new(name).is_file() {
            format!("to mean the file in this folder, say `./{name}`")
        } else {
            "`relabel plugins list` shows what there is".to_owned()
        };
        CliError::new(Exit::Refused, error.to_string()).with_hint(hint)
    })
}
