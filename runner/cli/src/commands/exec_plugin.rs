//! `relabel exec-plugin`: the process of a plugin, started by relabel itself and by nobody else.

use std::path::PathBuf;

use plugin_host::{ExecPlugin, Hosted};

use crate::error::{CliError, Exit};

/// Becomes the process of a plugin; started by relabel itself
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// Library to host
    #[arg(long, value_name = "PATH", required_unless_present = "program")]
    library: Option<PathBuf>,
    /// Program to become
    #[arg(long, value_name = "PATH", conflicts_with = "library")]
    program: Option<PathBuf>,
    /// Most bytes of address space
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Process to end with
    #[arg(long, value_name = "PID")]
    parent: Option<u32>,
}

pub fn run(args: Args) -> Result<Exit, CliError> {
    let hosted = match (args.library, args.program) {
        (Some(library), _) => Hosted::Library(library),
        (None, Some(program)) => Hosted::Program(program),
        (None, None) => return Err(CliError::usage("name a library or a program")),
    };
    let order = ExecPlugin { hosted, memory: args.memory, parent: args.parent };
    match plugin_host::exec_plugin(&order) {
        Ok(()) => Ok(Exit::Done),
        Err(message) => Err(CliError::new(Exit::Internal, message)),
    }
}
