//! `sample`: control rows, drawn at random by a hash of their ids, for unbiased estimates.
//!
//! A draw depends on seed, ids and what is verified alone: the same records are drawn again until
//! they have a decision, and then the next ones in the order of the hash. So every round's control
//! rows are a random draw from what nobody had verified, as `estimate` supposes.

use std::collections::BTreeMap;

use engine::{Digest, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, booleans, frame_port, strings};
use crate::kind::{Kind, Making};

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Control rows to draw.
    #[schemars(range(min = 1))]
    rows: u32,
    #[serde(default = "default_seed")]
    seed: u64,
    /// A column of labels; each gets its share of the rows. The whole is the one stratum if absent.
    #[serde(default)]
    stratify_by: Option<String>,
}

fn default_seed() -> u64 {
    42
}

pub(crate) struct Sample;

impl Kind for Sample {
    type Params = Params;

    const NAME: &'static str = "sample";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Random control rows, the same ones until they are decided.";

    fn input_ports() -> Vec<InputPort> {
        let columns = [("record_id", STRING)];
        vec![frame_port("input", "all records, from a `predict` or `issues`", &columns)]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema = context.schema("input").cloned().unwrap_or_default();
        if let Some(column) = &params.stratify_by {
            let message = match schema.get(column) {
                Some(ColumnType::String) => None,
                None if schema.open => None,
                Some(found) => Some(format!("column `{column}` is of type {found}, not string")),
                None => Some(format!("no column `{column}` here")),
            };
            if let Some(message) = message {
                let finding = Finding::param("/stratify_by", message);
                let near = plan::did_you_mean(column, schema.names());
                return Err(vec![match near {
                    Some(near) => finding.with_hint(format!("did you mean `{near}`?")),
                    None => finding,
                }]);
            }
        }
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(SampleNode { params }))
    }
}

/// The records whose labels are in question: an unusable text has no right label.
pub(crate) fn in_question(frame: &DataFrame) -> Vec<bool> {
    match booleans(frame, "text_valid") {
        Ok(valid) => valid.iter().map(|valid| valid == Some(true)).collect(),
        Err(_) => vec![true; frame.height()],
    }
}

struct SampleNode {
    params: Params,
}

impl SampleNode {
    fn hash(&self, id: &str) -> Digest {
        let mut bytes = b"sample".to_vec();
        bytes.extend_from_slice(&self.params.seed.to_le_bytes());
        bytes.extend_from_slice(id.as_bytes());
        Digest::of(&bytes)
    }
}

impl Node for SampleNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let ids = strings(frame, "record_id")?;
        let sources = strings(frame, "label_source").ok();
        let verified = |row: usize| {
            let source = sources.and_then(|sources| sources.get(row));
            source.is_some_and(|source| source != "original")
        };
        let labels = match &self.params.stratify_by {
            Some(column) => Some(strings(frame, column)?),
            None => None,
        };
        let mut strata: BTreeMap<&str, Vec<(Digest, usize)>> = BTreeMap::new();
        for (row, eligible) in in_question(frame).into_iter().enumerate() {
            if eligible && !verified(row) {
                let stratum = labels.and_then(|labels| labels.get(row)).unwrap_or_default();
                let hash = self.hash(ids.get(row).unwrap_or_default());
                strata.entry(stratum).or_default().push((hash, row));
            }
        }
        let sizes: Vec<usize> = strata.values().map(Vec::len).collect();
        let open: usize = sizes.iter().sum();
        let mut chosen = vec![false; frame.height()];
        let wanted = (self.params.rows as usize).min(open);
        for (mut rows, share) in strata.into_values().zip(shares(&sizes, wanted)) {
            rows.sort_unstable();
            rows.into_iter().take(share).for_each(|(_, row)| chosen[row] = true);
        }
        let mask: BooleanChunked = chosen.iter().map(|chosen| Some(*chosen)).collect();
        let mut outputs = Outputs::frame(frame.filter(&mask)?);
        outputs.count("control rows drawn", wanted, Some(open));
        Ok(outputs)
    }
}

/// Splits `wanted` by the sizes of strata: whole parts first, the rest by largest remainder.
fn shares(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let all: u128 = sizes.iter().map(|size| *size as u128).sum::<u128>().max(1);
    let exact = |size: usize| size as u128 * wanted as u128;
    let mut shares: Vec<usize> = sizes.iter().map(|size| (exact(*size) / all) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|n| (std::cmp::Reverse(exact(sizes[*n]) % all), *n));
    let missing = wanted - shares.iter().sum::<usize>();
    order.into_iter().take(missing).for_each(|n| shares[n] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strata_get_their_shares() {
        assert_eq!(shares(&[60, 30, 10], 10), [6, 3, 1]);
        assert_eq!(shares(&[5, 5, 5], 4), [2, 1, 1]);
        assert_eq!(shares(&[97, 1, 2], 10), [10, 0, 0]);
        assert_eq!(shares(&[3, 2], 5), [3, 2]);
        assert_eq!(shares(&[], 0), [0; 0]);
    }
}
