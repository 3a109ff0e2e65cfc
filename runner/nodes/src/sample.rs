//! `sample`: rows that measure an audit: control rows, drawn at random by a hash of their ids, for
//! unbiased estimates, and gold rows, whose right label is known, for how good reviewers are.
//!
//! A draw depends on seed, ids and what is verified alone: the same records are drawn again until
//! they have a decision, and then the next ones in the order of the hash. So every round's control
//! rows are a random draw from what nobody had verified, as `estimate` supposes. Gold rows are drawn
//! in the same way from records whose label is known, less those that somebody answered.

use std::collections::{BTreeMap, BinaryHeap, HashSet};

use engine::{Artifact, Digest, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::clean::is_decided;
use crate::columns::{
    STRING, booleans, float_column, floats, frame_port, keep_first, rows_of, string_column, strings,
};
use crate::draw::Draw;
use crate::kind::{Kind, Making};
use crate::proposals;
use crate::reasons::{Table, Thresholds};

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
    /// Gold rows to draw, for the port `gold`.
    #[serde(default)]
    gold_rows: u32,
    /// Whose word is a right label: `gold` for a gold set (`gold` of the node `clean`), `verified` for
    /// a reviewer's decision, `any` for both.
    #[serde(default = "default_gold")]
    gold_from: GoldFrom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum GoldFrom {
    Gold,
    Verified,
    Any,
}

impl GoldFrom {
    fn takes(self, source: &str) -> bool {
        match source {
            "gold" => self != GoldFrom::Verified,
            "correction" | "verified" => self != GoldFrom::Gold,
            _ => false,
        }
    }
}

fn default_seed() -> u64 {
    42
}

fn default_gold() -> GoldFrom {
    GoldFrom::Gold
}

pub(crate) struct Sample;

/// The port with the gold rows.
const GOLD: &str = "gold";

/// What gold rows need to know of records.
const LABELS: [&str; 3] = ["label_source", "given_label", "original_label"];

impl Kind for Sample {
    type Params = Params;

    const NAME: &'static str = "sample";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "Random control rows and gold rows, the same until decided.";

    fn input_ports() -> Vec<InputPort> {
        let columns = [("record_id", STRING)];
        let answered = "answers to gold rows so far, the port `gold` of a `corrections` node";
        let probabilities = "the port `probabilities` of a `predict` node: how probable labels are \
                             that were changed, so that their gold rows look like others";
        let optional = |port: InputPort| InputPort { required: false, ..port };
        vec![
            frame_port("input", "all records, from a `predict` or `issues`", &columns),
            optional(frame_port("answered", answered, &columns)),
            optional(frame_port("probabilities", probabilities, &columns)),
        ]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", GOLD]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema = context.schema("input").cloned().unwrap_or_default();
        let mut findings = Vec::new();
        if let Some(column) = &params.stratify_by {
            findings.extend(check_stratum(column, &schema));
        }
        if params.gold_rows > 0 {
            if context.schema("answered").is_none() {
                let message =
                    "`gold_rows` needs `answered`, or the same rows would be asked for ever";
                let finding = Finding::param("/gold_rows", message);
                findings.push(finding.with_hint("name the port `gold` of the `corrections` node"));
            }
            let lacks = |column: &&str| !schema.has(column) && !schema.open;
            findings.extend(LABELS.into_iter().filter(|column| lacks(column)).map(|column| {
                let message = format!("`gold_rows` needs the column `{column}` in `input`");
                Finding::param("/gold_rows", message)
                    .with_hint("put a `clean` node before `predict`")
            }));
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut shared = schema;
        if PREDICTED.iter().all(|column| shared.has(column)) {
            shared.set("reason", ColumnType::String);
        }
        let (mut control, mut gold) = (shared.clone(), shared);
        control.set("stratum", ColumnType::String);
        control.set("stratum_by", ColumnType::String);
        control.set("stratum_rows", ColumnType::Integer);
        gold.set("right_label", ColumnType::String);
        let outputs = vec![("", PortType::Frame(control)), (GOLD, PortType::Frame(gold))];
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(SampleNode { params }))
    }
}

/// Where these are, a row can say why its label may be doubted.
const PREDICTED: [&str; 4] =
    ["given_label", "predicted_label", "given_confidence", "prediction_confidence"];

fn check_stratum(column: &str, schema: &Schema) -> Option<Finding> {
    let message = match schema.get(column) {
        Some(ColumnType::String) => return None,
        None if schema.open => return None,
        Some(found) => format!("column `{column}` is of type {found}, not string"),
        None => format!("no column `{column}` here"),
    };
    let finding = Finding::param("/stratify_by", message);
    Some(match plan::did_you_mean(column, schema.names()) {
        Some(near) => finding.with_hint(format!("did you mean `{near}`?")),
        None => finding,
    })
}

/// The records whose labels are in question: an unusable text has no right label.
pub(crate) fn in_question(frame: &DataFrame) -> Vec<bool> {
    match booleans(frame, "text_valid") {
        Ok(valid) => valid.iter().map(|valid| valid == Some(true)).collect(),
        Err(_) => vec![true; frame.height()],
    }
}

/// The records of a stratum that are open to the draw.
#[derive(Default)]
struct Stratum {
    size: usize,
    /// Hash and row of those that may be drawn: the lowest, as many as are wanted in all.
    lowest: BinaryHeap<(Digest, usize)>,
}

impl Stratum {
    fn add(&mut self, place: (Digest, usize), most: usize) {
        self.size += 1;
        if self.lowest.len() < most {
            self.lowest.push(place);
        } else if let Some(mut highest) = self.lowest.peek_mut().filter(|highest| place < **highest)
        {
            *highest = place;
        }
    }
}

struct SampleNode {
    params: Params,
}

impl SampleNode {
    fn draw(&self, purpose: &str) -> Draw {
        Draw::new(&[purpose.as_bytes(), &self.params.seed.to_le_bytes()].concat())
    }

    /// Control rows, with what each was drawn from; and the number of records open to the draw.
    fn control(&self, frame: &DataFrame) -> Result<(DataFrame, usize), NodeError> {
        let ids = strings(frame, "record_id")?;
        let sources = strings(frame, "label_source").ok();
        let verified = |row: usize| is_decided(sources.and_then(|sources| sources.get(row)));
        let by = self.params.stratify_by.as_deref();
        let labels = by.map(|column| strings(frame, column)).transpose()?;
        let most = self.params.rows as usize;
        let mut strata: BTreeMap<&str, Stratum> = BTreeMap::new();
        let mut draw = self.draw("sample");
        for (row, (eligible, id)) in in_question(frame).into_iter().zip(ids.iter()).enumerate() {
            if eligible && !verified(row) {
                let stratum = labels.and_then(|labels| labels.get(row)).unwrap_or_default();
                let place = (draw.place(id.unwrap_or_default()), row);
                strata.entry(stratum).or_default().add(place, most);
            }
        }
        let sizes: Vec<usize> = strata.values().map(|stratum| stratum.size).collect();
        let open: usize = sizes.iter().sum();
        let wanted = most.min(open);
        let mut drawn: BTreeMap<usize, (&str, usize)> = BTreeMap::new();
        for ((stratum, Stratum { size, lowest }), share) in
            strata.into_iter().zip(shares(&sizes, wanted))
        {
            let rows = lowest.into_sorted_vec().into_iter().take(share);
            drawn.extend(rows.map(|(_, row)| (row, (stratum, size))));
        }
        let mut control = taken(frame, drawn.keys().copied())?;
        let stratum = drawn.values().map(|(stratum, _)| by.map(|_| *stratum));
        control.with_column(string_column("stratum", stratum))?;
        control.with_column(string_column("stratum_by", drawn.values().map(|_| by)))?;
        let sizes: Vec<i64> = drawn.values().map(|(_, size)| *size as i64).collect();
        control.with_column(Column::new("stratum_rows".into(), sizes))?;
        Ok((control, open))
    }

    /// Gold rows as they looked before their label was known, with the label that is right.
    fn gold(&self, frame: &DataFrame, inputs: &Inputs) -> Result<Gold, NodeError> {
        let wanted = self.params.gold_rows as usize;
        if wanted == 0 {
            let mut none = taken(frame, std::iter::empty())?;
            none.with_column(string_column("right_label", std::iter::empty()))?;
            return Ok(Gold { rows: none, open: 0, recognisable: 0 });
        }
        let ids = strings(frame, "record_id")?;
        let [sources, given, original] = LABELS.map(|name| strings(frame, name));
        let (sources, given, original) = (sources?, given?, original?);
        let answered: HashSet<&str> = match inputs.try_frame("answered") {
            Some(answers) => strings(answers, "record_id")?.iter().flatten().collect(),
            None => HashSet::new(),
        };
        let probabilities = inputs.try_frame("probabilities");
        let mut recognisable = 0;
        let mut draw = self.draw(GOLD);
        let mut open: Vec<(Digest, usize)> = Vec::new();
        for (row, asked) in in_question(frame).into_iter().enumerate() {
            let id = ids.get(row).unwrap_or_default();
            let known = self.params.gold_from.takes(sources.get(row).unwrap_or_default());
            if !asked || !known || given.get(row).is_none() || answered.contains(id) {
                continue;
            }
            // Without the probability of the label it had, its sentence would give it away.
            if given.get(row) != original.get(row) && probabilities.is_none() {
                recognisable += 1;
                continue;
            }
            open.push((draw.place(id), row));
        }
        let left = open.len();
        keep_first(&mut open, wanted, Ord::cmp);
        let mut chosen: Vec<usize> = open.into_iter().map(|(_, row)| row).collect();
        chosen.sort_unstable();
        let mut rows = taken(frame, chosen.into_iter())?;
        let right = rows.column("given_label")?.clone().with_name("right_label".into());
        if let Some(probabilities) = probabilities {
            restore(&mut rows, probabilities)?;
        }
        rows.with_column(right)?;
        Ok(Gold { rows, open: left, recognisable })
    }
}

struct Gold {
    rows: DataFrame,
    /// Records whose label is known and that nobody answered.
    open: usize,
    /// Known records that cannot be asked about without giving them away.
    recognisable: usize,
}

fn taken(frame: &DataFrame, rows: impl Iterator<Item = usize>) -> Result<DataFrame, NodeError> {
    let rows: Vec<IdxSize> = rows.map(|row| row as IdxSize).collect();
    Ok(frame.take(&IdxCa::from_vec("rows".into(), rows))?)
}

/// No label is proposed instead of itself: where the proposal is the label a record had, what the
/// model predicts takes its place, or the label that is right.
fn restore_proposals(rows: &mut DataFrame) -> Result<(), NodeError> {
    if rows.column(proposals::LABEL).is_err() {
        return Ok(());
    }
    let columns = [proposals::LABEL, "predicted_label", "given_label", "original_label"];
    let [proposed, predicted, given, original] = columns.map(|name| strings(rows, name));
    let (proposed, predicted, given, original) = (proposed?, predicted?, given?, original?);
    let columns = [proposals::CONFIDENCE, "prediction_confidence", "given_confidence"];
    let [own, of_predicted, of_given] = columns.map(|name| floats(rows, name));
    let (own, of_predicted, of_given) = (own?, of_predicted?, of_given?);
    let pick = |row: usize| {
        let choices = [
            (proposed.get(row), own[row]),
            (predicted.get(row), of_predicted[row]),
            (given.get(row), of_given[row]),
        ];
        let fits = choices.into_iter().find(|(label, _)| *label != original.get(row));
        fits.unwrap_or(choices[0])
    };
    let picked: Vec<(Option<&str>, f64)> = (0..rows.height()).map(pick).collect();
    let labels = string_column(proposals::LABEL, picked.iter().map(|(label, _)| *label));
    let confidences = float_column(proposals::CONFIDENCE, picked.iter().map(|one| one.1));
    rows.with_column(labels)?;
    rows.with_column(confidences)?;
    Ok(())
}

/// Puts back the original labels, with how probable the model finds them and what it then proposes.
fn restore(rows: &mut DataFrame, probabilities: &DataFrame) -> Result<(), NodeError> {
    restore_proposals(rows)?;
    let original = rows.column("original_label")?.clone().with_name("given_label".into());
    if rows.column("given_confidence").is_ok() {
        let mut confidences = floats(rows, "given_confidence")?;
        let [ids, given, labels] =
            ["record_id", "given_label", "original_label"].map(|name| strings(rows, name));
        let (ids, given, labels) = (ids?, given?, labels?);
        let all = strings(probabilities, "record_id")?;
        let place = rows_of(all, &ids.iter().flatten().collect());
        for (row, confidence) in confidences.iter_mut().enumerate() {
            let (id, label) = (ids.get(row).unwrap_or_default(), labels.get(row));
            if given.get(row) == label {
                continue;
            }
            let column = label.and_then(|label| probabilities.column(label).ok());
            let cell = column.zip(place.get(id)).and_then(|(column, row)| column.get(*row).ok());
            *confidence = cell.and_then(|cell| cell.extract::<f64>()).unwrap_or(f64::NAN);
        }
        rows.with_column(float_column("given_confidence", confidences))?;
    }
    rows.with_column(original)?;
    Ok(())
}

impl Node for SampleNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let (mut control, open) = self.control(frame)?;
        let Gold { rows: mut gold, open: known, recognisable } = self.gold(frame, inputs)?;
        if PREDICTED.iter().all(|column| frame.column(column).is_ok()) {
            let table = Table::read(frame)?;
            let thresholds = Thresholds::find(frame, &table);
            for rows in [&mut control, &mut gold] {
                let table = Table::read(rows)?;
                let reason = |row: usize| table.reason(row, Some(&thresholds)).to_string();
                let reasons: Vec<String> = (0..rows.height()).map(reason).collect();
                rows.with_column(string_column(
                    "reason",
                    reasons.iter().map(|r| Some(r.as_str())),
                ))?;
            }
        }
        let (drawn, asked) = (control.height(), gold.height());
        let mut outputs = Outputs::frame(control).with(GOLD, Artifact::Frame(gold));
        outputs.count("control rows drawn", drawn, Some(open));
        if self.params.gold_rows > 0 {
            outputs.count("gold rows drawn, of those that nobody answered", asked, Some(known));
        }
        if recognisable > 0 {
            let text =
                format!("{recognisable} known records whose label was changed are no gold rows");
            outputs.warn(text, Some("with `probabilities` they can be shown as they were"));
        }
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
