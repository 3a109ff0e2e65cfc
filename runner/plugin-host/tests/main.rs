//! The one test program of the plugin host: real libraries, in Rust and in C, through dlopen.

#![allow(clippy::unwrap_used)]

mod broken;
mod contract;
mod panics;
mod parity;
mod support;
