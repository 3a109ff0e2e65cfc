//! The tests of this crate against known answers, plain algorithms, and bad input.

#![allow(clippy::unwrap_used)]

mod audits;
mod crowds;
mod fixture;
mod golden;
mod inputs;
mod oracle;
mod properties;
mod summaries;
mod support;
