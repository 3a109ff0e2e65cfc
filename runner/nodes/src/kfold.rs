//! `kfold`: puts every record into a fold.
//!
//! Within each class records are put in the order of a keyed hash of their id, and that order is
//! cut into k equal stretches. So the split depends on seed, ids and labels alone and not on the
//! order of rows, each class is spread evenly, and a new record moves only the few records at the
//! edges of the stretches.

use std::collections::BTreeMap;

use engine::{Digest, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, frame_port, strings};
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Number of folds.
    #[serde(default = "default_k")]
    #[schemars(range(min = 2, max = 1000))]
    k: u32,
    /// Spread every class evenly over the folds.
    #[serde(default = "yes")]
    stratify: bool,
    #[serde(default = "default_seed")]
    seed: u64,
}

fn default_k() -> u32 {
    5
}
fn yes() -> bool {
    true
}
fn default_seed() -> u64 {
    42
}

pub(crate) struct Kfold;

impl Kind for Kfold {
    type Params = Params;

    const NAME: &'static str = "kfold";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Adds fold_id: a seeded, stratified split into k folds.";

    fn input_ports() -> Vec<InputPort> {
        vec![frame_port(
            "input",
            "the records to split",
            &[("record_id", STRING), ("label", STRING)],
        )]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        schema.set("fold_id", ColumnType::Integer);
        schema.folds = Some(params.k);
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(KfoldNode { params }))
    }
}

struct KfoldNode {
    params: Params,
}

impl Node for KfoldNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let k = self.params.k as usize;
        if frame.height() < k {
            let message = format!("{} records cannot be split into {k} folds", frame.height());
            return Err(NodeError::input(message).with_hint("lower `k`, or bring more records"));
        }
        let ids = strings(frame, "record_id")?;
        let labels = strings(frame, "label")?;
        let mut classes: BTreeMap<&str, Vec<(Digest, usize)>> = BTreeMap::new();
        for (row, (id, label)) in ids.iter().zip(labels.iter()).enumerate() {
            let class = if self.params.stratify { label.unwrap_or("") } else { "" };
            let order = self.hash(id.unwrap_or(""));
            classes.entry(class).or_default().push((order, row));
        }
        let mut folds = vec![0u32; frame.height()];
        let mut rare = Vec::new();
        for (class, mut rows) in classes {
            if rows.len() < k && !class.is_empty() {
                rare.push(format!("`{class}` ({})", rows.len()));
            }
            rows.sort_unstable();
            // A start of its own for each class, or fold 0 would get every odd one out.
            let start = self.hash(class).as_bytes()[0] as usize;
            let count = rows.len();
            for (place, (_, row)) in rows.into_iter().enumerate() {
                folds[row] = ((start + place * k / count) % k) as u32;
            }
        }
        let mut frame = frame.clone();
        frame.with_column(Column::new("fold_id".into(), folds))?;
        let mut outputs = Outputs::frame(frame);
        if !rare.is_empty() {
            let what = if rare.len() == 1 { "class has" } else { "classes have" };
            let more = match rare.len().saturating_sub(8) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!(
                "{} {what} fewer records than folds: {}{more}",
                rare.len(),
                rare[..rare.len().min(8)].join(", ")
            );
            outputs.warn(
                text,
                Some("their records are judged by models that saw few of the class, or none"),
            );
        }
        Ok(outputs)
    }
}

impl KfoldNode {
    fn hash(&self, text: &str) -> Digest {
        let mut bytes = self.params.seed.to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        Digest::of(&bytes)
    }
}
