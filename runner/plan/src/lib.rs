//! From the text of a pipeline file to a checked plan.
//!
//! `compile` takes text and a `World` and gives a `Plan` that cannot be wrong, or every problem at
//! once, each with its place. This crate does no I/O: files, environment and plugins are reached
//! through the `World` it is given, and node kinds through the `Catalog`.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod catalog;
mod compile;
mod expand;
mod graph;
mod params;
mod plugin;
mod problem;
mod schema;
mod select;
mod spec;
mod suggest;
mod taxonomy;
mod yaml;

#[cfg(test)]
mod tests;

pub use catalog::{
    Accepts, At, Catalog, CheckContext, Checked, Finding, InputPort, InputSchema, KindSignature,
    Many, Metric, World, WorldError,
};
pub use compile::{PipelineSource, compile, pipeline_schema};
pub use expand::{Environment, Origin};
pub use graph::{HandOn, Matrix, Plan, Step, StepId, StepInput, Variant, split_reference};
pub use params::{fill_defaults, key_params, validate};
pub use plugin::{Isolation, Limits, PluginDescription, PluginProblem, PluginRequest, Transport};
pub use problem::{PlanErrors, Problem, SourceName, Span};
pub use schema::{Column, ColumnType, PortType, Schema};
pub use select::{SelectError, select};
pub use suggest::did_you_mean;
pub use taxonomy::{Category, Taxonomy, TaxonomyError};
