//! `filter`: keeps the records for which a SQL expression is true, and says what each condition
//! let through. With lanes, a record is kept by the first lane that takes it.

use engine::{Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, World};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::frame_port;
use crate::decisions;
use crate::kind::{Kind, Making};

mod condition;
mod lanes;
mod row_order;

/// A rule on confidence that keeps less than this share of the disagreements starves the queue.
const STARVING: f64 = 0.01;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A polars SQL expression that is true for the records to keep; with lanes, for those that any
    /// lane may take.
    #[serde(default, rename = "where")]
    condition: Option<String>,
    /// Ways to be kept, each with a rule and a budget; a record is in the first that takes it.
    #[serde(default)]
    lanes: Vec<lanes::Lane>,
}

pub(crate) struct Filter;

impl Kind for Filter {
    type Params = Params;

    const NAME: &'static str = "filter";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "Keeps records by a SQL expression, or by named lanes.";

    fn input_ports() -> Vec<InputPort> {
        let decisions = InputPort {
            required: false,
            ..frame_port(
                "decisions",
                "decisions so far, from a `corrections` node: what each lane can expect",
                decisions::LEARNT_FROM,
            )
        };
        vec![frame_port("input", "the records to choose from", &[]), decisions]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        let mut findings = shape(params);
        if let Some(condition) = &params.condition {
            findings
                .extend(condition::check_once(context.world, condition, &schema, "/where").err());
        }
        let learns = context.schema("decisions").is_some();
        lanes::check(context.world, &params.lanes, &schema, learns, &mut findings);
        if learns && params.lanes.is_empty() {
            let message = "`decisions` says what lanes can expect, and there are no `lanes`";
            findings.push(Finding::new(plan::At::Input("decisions"), message));
        }
        if learns {
            lanes::check_learning(&schema, &mut findings);
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        if !params.lanes.is_empty() {
            schema.set("lane", ColumnType::String);
            schema.set("reason", ColumnType::String);
            if learns {
                schema.set(decisions::LEARNT, ColumnType::Float);
            }
        }
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
    }

    fn check_alone(params: &Params, _: &dyn World) -> Vec<Finding> {
        let mut findings = shape(params);
        if let Some(condition) = &params.condition {
            findings.extend(condition::parse(condition, "/where").err());
        }
        lanes::parse(&params.lanes, &mut findings);
        findings
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(FilterNode { params }))
    }
}

/// What is wrong whatever the input.
fn shape(params: &Params) -> Vec<Finding> {
    let mut findings = lanes::shape(&params.lanes);
    if params.condition.is_none() && params.lanes.is_empty() {
        let finding = Finding::param("", "`where` is missing");
        findings.push(finding.with_hint("give a `where`, or `lanes` with a rule each"));
    }
    findings
}

struct FilterNode {
    params: Params,
}

impl Node for FilterNode {
    fn reads(&self, port: &str) -> Option<Vec<String>> {
        if port != "input" {
            return None;
        }
        let mut names = crate::columns::named(&["predicted_label", "given_label"]);
        if let Some(condition) = &self.params.condition {
            names.extend(condition::columns(condition)?);
        }
        names.extend(lanes::reads(&self.params.lanes)?);
        Some(names)
    }

    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let parts = self.params.condition.as_deref().map(condition::conjuncts).unwrap_or_default();
        let masks = parts
            .iter()
            .map(|part| condition::evaluate(frame, part))
            .collect::<Result<Vec<Vec<bool>>, NodeError>>()?;
        let mut kept = vec![true; frame.height()];
        let mut outputs = Outputs::default();
        for (part, mask) in parts.iter().zip(&masks) {
            let before = kept.iter().filter(|kept| **kept).count();
            kept.iter_mut().zip(mask).for_each(|(kept, mask)| *kept &= mask);
            let after = kept.iter().filter(|kept| **kept).count();
            outputs.count(part.clone(), after, Some(before));
        }
        let table = if self.params.lanes.is_empty() {
            inputs.choose("input", &kept)?
        } else {
            lanes::take(&self.params.lanes, inputs, &kept, &mut outputs)?
        };
        outputs.artifacts = Outputs::frame(table).artifacts;
        warn_if_starving(frame, &parts, &masks, &mut outputs);
        Ok(outputs)
    }
}

/// Warns when a fixed confidence leaves next to nothing of the disagreements.
fn warn_if_starving(
    frame: &DataFrame,
    conditions: &[String],
    masks: &[Vec<bool>],
    outputs: &mut Outputs,
) {
    let columns = ["predicted_label", "given_label"].map(|c| crate::columns::strings(frame, c));
    let [Ok(predicted), Ok(given)] = columns else { return };
    for (condition, mask) in conditions.iter().zip(masks) {
        if !condition.contains("prediction_confidence") {
            continue;
        }
        let pairs = predicted.iter().zip(given.iter()).zip(mask);
        let (mut kept, mut all) = (0usize, 0usize);
        for ((predicted, given), mask) in pairs {
            if predicted != given {
                all += 1;
                kept += usize::from(*mask);
            }
        }
        if all > 0 && (kept as f64) < STARVING * all as f64 {
            outputs.warn(
                format!("`{condition}` keeps {kept} of {all} disagreements"),
                Some(
                    "a fixed confidence starves on many sets; add a lane with the rule `adaptive` \
                         or `ranked`",
                ),
            );
        }
    }
}
