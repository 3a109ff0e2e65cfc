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
mod sound_checks;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(nth) = std::env::var("RELABEL_TEST_KILL_AT").ok().and_then(|n| n.parse().ok()) {
        // For the tests of crashes alone: the process is killed at the n-th place that matters.
        engine::kill::arm(nth);
        review_store::set_checkpoint(engine::kill::point);
    }
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
