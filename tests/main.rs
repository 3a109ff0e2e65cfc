//! The one end-to-end test program: it runs `relabel` as a user would, on data it makes itself.

#![allow(clippy::unwrap_used)]

mod auto;
mod bad_input;
mod bad_plugins;
mod brought;
mod cache;
mod check;
mod columns;
mod combine;
mod control;
mod crash;
mod crash_points;
mod demo;
mod disturbed;
mod duplicates;
mod ensemble;
mod estimates;
mod examples;
mod explain;
mod gold;
mod graph;
mod isolation;
mod isolation_ends;
mod isolation_programs;
mod issues;
mod lanes;
mod lineage;
mod matrix;
mod people;
mod plan;
mod plugins;
mod plugins_check;
mod plugins_lock;
mod plugins_new;
mod report;
mod reruns;
mod review;
mod run;
mod runs;
mod schema;
mod show;
mod support;
mod tidy;
mod verified;
mod watch;
