//! One file a command: its arguments, whose doc comment is the help text, and `run`.

use crate::args::{Args, Command};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output;

pub mod cache;
pub mod check;
pub mod demo;
pub mod exec_plugin;
pub mod explain;
pub mod graph;
pub mod plan;
pub mod plugins;
pub mod review;
pub mod run;
pub mod runs;
pub mod show;

pub fn dispatch(args: Args) -> Result<Exit, CliError> {
    if let Command::ExecPlugin(args) = args.command {
        return exec_plugin::run(args);
    }
    let context = Context::new(args.global);
    if context.csv && !matches!(args.command, Command::Show(_)) {
        return Err(CliError::usage("`--format csv` is for `relabel show`")
            .with_hint("other commands take `--format text` and `--format json`"));
    }
    match args.command {
        Command::Check(args) => check::run(&args, &context),
        Command::Plan(args) => plan::run(&args, &context),
        Command::Run(args) => run::run(&args, &context),
        Command::Graph(args) => graph::run(&args, &context),
        Command::Show(args) => show::run(args, &context),
        Command::Explain(args) => explain::run(args, &context),
        Command::Cache(args) => cache::run(args, &context),
        Command::Runs(args) => runs::run(&args, &context),
        Command::Plugins(args) => plugins::run(&args, &context),
        Command::Review(args) => review::run(args, &context),
        Command::Schema => {
            let schema = ::plan::pipeline_schema(&context.catalog);
            output::result(format!("{schema:#}"));
            Ok(Exit::Done)
        }
        Command::Demo(args) => demo::run(&args, &context),
        Command::ExecPlugin(args) => exec_plugin::run(args),
    }
}
