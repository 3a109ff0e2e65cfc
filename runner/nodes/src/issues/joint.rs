//! The port `joint` of `issues`: how given and true labels go together, and the noise matrices.
//!
//! The estimates are those of the crate `label-issues`; this file makes a frame of them.

use engine::NodeError;
use label_issues::{Dataset, Evidence, SquareMatrix, estimate_latent};
use plan::{ColumnType, Schema};
use polars::prelude::*;

use crate::columns::string_column;

pub(super) fn schema() -> Schema {
    use ColumnType::{Float, Integer};
    Schema::new([
        ("given_category", ColumnType::String),
        ("true_category", ColumnType::String),
        ("records", Integer),
        ("calibrated_records", Integer),
        ("joint_probability", Float),
        ("noise_probability", Float),
        ("inverse_noise_probability", Float),
    ])
}

/// The joint of given and true labels, cell by cell, with what each label becomes and comes from:
/// P(given | true) and P(true | given). Cells that no record is in are left out.
pub(super) fn frame(
    names: &[String],
    joint: &SquareMatrix<f64>,
    evidence: &Evidence<'_>,
    dataset: &Dataset<'_>,
) -> Result<DataFrame, NodeError> {
    let raw = evidence.confident_joint();
    let calibrated = evidence.calibrated_joint().map_err(super::issue_error)?;
    let latent =
        estimate_latent(&calibrated, dataset.class_counts()).map_err(super::issue_error)?;
    let cells: Vec<(usize, usize)> = (0..names.len())
        .flat_map(|given| (0..names.len()).map(move |truth| (given, truth)))
        .filter(|cell| raw[*cell] > 0 || calibrated[*cell] > 0)
        .collect();
    let counts = |name: &str, get: &dyn Fn((usize, usize)) -> u64| {
        Column::new(name.into(), cells.iter().map(|c| get(*c) as i64).collect::<Vec<i64>>())
    };
    let numbers = |name: &str, get: &dyn Fn((usize, usize)) -> f64| {
        Column::new(name.into(), cells.iter().map(|cell| get(*cell)).collect::<Vec<f64>>())
    };
    crate::columns::frame(vec![
        string_column("given_category", cells.iter().map(|cell| Some(names[cell.0].as_str()))),
        string_column("true_category", cells.iter().map(|cell| Some(names[cell.1].as_str()))),
        counts("records", &|cell| raw[cell]),
        counts("calibrated_records", &|cell| calibrated[cell]),
        numbers("joint_probability", &|cell| joint[cell]),
        numbers("noise_probability", &|cell| latent.noise_matrix[cell]),
        numbers("inverse_noise_probability", &|(given, truth)| {
            latent.inverse_noise_matrix[(truth, given)]
        }),
    ])
}
