//! `relabel`: finds wrong labels, has people review them, rebuilds a clean data set.
//!
//! This file parses the command line, calls one command, and turns its outcome into an exit code.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::process::ExitCode;

use clap::Parser;

mod args;
mod commands;
mod context;
mod demo;
mod error;
mod output;
mod plugins_lock;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let format = args.global.format.for_tables();
    let code = match commands::dispatch(args) {
        Ok(exit) => exit.code(),
        Err(error) => {
            output::error(&error, format);
            error.exit.code()
        }
    };
    ExitCode::from(code)
}
