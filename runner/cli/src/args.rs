//! The command line: one struct for what all commands share, one subcommand a file.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::commands::{
    cache, check, demo, exec_plugin, explain, graph, plan, plugins, review, run, runs, show,
};

/// Finds wrong labels in a labelled data set, has people review them, and rebuilds a clean one.
#[derive(Debug, Parser)]
#[command(name = "relabel", version, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// How tables and messages are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// The choices of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    Text,
    Json,
    /// For `relabel show`
    Csv,
}

impl FormatName {
    pub fn for_tables(self) -> Format {
        if self == FormatName::Json { Format::Json } else { Format::Text }
    }
}

/// Options that every command takes.
#[derive(Debug, ClapArgs)]
pub struct Global {
    /// Folder of the cache; `.relabel` beside relabel.toml, .git or the pipeline if absent
    #[arg(long, global = true, env = "RELABEL_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Folder to look for plugins in; may be given several times
    #[arg(long, global = true, value_name = "DIR")]
    pub plugin_path: Vec<PathBuf>,
    /// Refuse any plugin that is not in plugins.lock beside the pipeline, with that digest
    #[arg(long, global = true, env = "RELABEL_LOCKED", value_parser = FalseyValueParser::new())]
    pub locked: bool,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = FormatName::Text)]
    pub format: FormatName,
}

/// Which pipeline a command is about.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct PipelineArgs {
    /// Pipeline file; relabel.yaml, or the only one in pipelines/, if absent
    #[arg(value_name = "PIPELINE")]
    pub pipeline: Option<PathBuf>,
    /// YAML file of parameters that go over those of the pipeline, before any `--set`
    #[arg(long, value_name = "FILE")]
    pub params: Vec<PathBuf>,
    /// Overrides a value of the file, such as `params.confidence=0.8`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// Pipeline as an option, for commands whose argument is something else.
#[derive(Debug, Clone, ClapArgs)]
pub struct PipelineOption {
    /// Pipeline file; relabel.yaml, or the only one in pipelines/, if absent
    #[arg(short = 'p', long = "pipeline", value_name = "PIPELINE")]
    pub pipeline: Option<PathBuf>,
    /// YAML file of parameters that go over those of the pipeline, before any `--set`
    #[arg(long, value_name = "FILE")]
    pub params: Vec<PathBuf>,
    /// Overrides a value of the file, such as `params.confidence=0.8`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

impl From<PipelineOption> for PipelineArgs {
    fn from(option: PipelineOption) -> PipelineArgs {
        PipelineArgs { pipeline: option.pipeline, params: option.params, set: option.set }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(check::Args),
    Plan(plan::Args),
    Run(run::Args),
    Graph(graph::Args),
    Show(show::Args),
    Explain(explain::Args),
    Cache(cache::Args),
    Runs(runs::Args),
    Plugins(plugins::Args),
    Review(review::Args),
    /// Prints the JSON Schema of pipeline files, for editors
    Schema,
    Demo(demo::Args),
    ExecPlugin(exec_plugin::Args),
}
