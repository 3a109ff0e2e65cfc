//! `report`: one HTML page that tells how an audit stands, for people who will never run it.
//!
//! A sink like `export`: a page that was changed or removed is written again. What its input says
//! is in the node's key and in the frame it gives, and so is the pipeline. What the nodes before it
//! took and gave is on the page alone, for it differs from run to run: it is as it was when the page
//! was written, and no page is written again for it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use engine::{Digest, FactContext, Inputs, Node, NodeError, Note, Outputs, RunContext, UnitRecord};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{FLOAT, STRING, frame_port, string_column, strings};
use crate::kind::{Kind, Making};
use graph::Graph;
use numbers::{Numbers, shortened};
use page::{Conflict, Page, Table};

mod charts;
mod graph;
mod numbers;
mod page;

/// Records of a duplicate group that are listed.
const MOST_COPIES: usize = 8;
/// Rows and columns of a table that comes from another node.
const MOST_ROWS: usize = 50;
const MOST_COLUMNS: usize = 12;

/// Ports whose frame is shown as it is: name, heading, what the reader should know.
const TABLES: [(&str, &str, &str); 5] = [
    ("estimate", "Estimate", "What is left, as far as it can be known from a sample."),
    ("rounds", "Rounds", "What each round of review brought."),
    (
        "people",
        "Reviewers",
        "How good each reviewer is, by those who saw the same records, and by gold rows.",
    ),
    (
        "agreement",
        "Agreement",
        "How far reviewers agree beyond chance, on records that several saw.",
    ),
    ("models", "Models", "What was combined, and how good each model is against the given labels."),
];

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// File to write, ending in .html.
    #[schemars(extend("x-relabel-key" = false))]
    path: String,
    /// Heading of the page; the pipeline's name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    title: Option<String>,
    /// Suspicious records, and groups of duplicates, that are shown with their texts.
    #[serde(default = "default_top")]
    #[schemars(range(min = 0, max = 1000))]
    top: u32,
}

fn default_top() -> u32 {
    50
}

pub(crate) struct Report;

impl Kind for Report {
    type Params = Params;

    const NAME: &'static str = "report";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "Writes one HTML page with plots, top issues and the pipeline.";
    const SINK: bool = true;

    fn input_ports() -> Vec<InputPort> {
        let records = [
            ("record_id", STRING),
            ("text", STRING),
            ("given_label", STRING),
            ("predicted_label", STRING),
            ("prediction_confidence", FLOAT),
            ("given_confidence", FLOAT),
        ];
        let conflicts = [
            ("duplicate_group", STRING),
            ("conflict_kind", STRING),
            ("record_id", STRING),
            ("label", STRING),
            ("group_labels", STRING),
            ("text", STRING),
        ];
        let classes = [("category", STRING), ("label_noise", FLOAT)];
        let optional = |port: InputPort| InputPort { required: false, ..port };
        vec![
            frame_port("input", "predictions, or the issues found among them", &records),
            optional(frame_port("classes", "the port `classes` of an `issues`", &classes)),
            optional(frame_port(
                "duplicates",
                "the port `conflicts` of a `duplicates`",
                &conflicts,
            )),
            optional(frame_port("estimate", "a table with what is left", &[])),
            optional(frame_port("rounds", "a table with a row for each round", &[])),
            optional(frame_port("people", "the port `reviewers` of an `agreement`", &[])),
            optional(frame_port("agreement", "the port `statistics` of an `agreement`", &[])),
            optional(frame_port("models", "the port `models` of a `combine`", &[])),
        ]
    }

    fn check(params: &Params, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let name = params.path.to_lowercase();
        if !(name.ends_with(".html") || name.ends_with(".htm")) {
            let message = format!("`{}` is no name of an HTML page", params.path);
            return Err(vec![Finding::param("/path", message).with_hint("name it .html")]);
        }
        // Size and digest are of the page without times and rows of nodes (`ReportNode::run`).
        let files = Schema::new([
            ("path", ColumnType::String),
            ("bytes", ColumnType::Integer),
            ("digest", ColumnType::String),
        ]);
        Ok(Checked { outputs: vec![("", PortType::Frame(files))], ..Checked::default() })
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let title =
            params.title.clone().unwrap_or_else(|| format!("Audit of {}", making.plan.name));
        Ok(Box::new(ReportNode { params, title, graph: Graph::of(making.plan) }))
    }
}

struct ReportNode {
    params: Params,
    title: String,
    graph: Graph,
}

impl Node for ReportNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        context.facts.add("title", self.title.clone());
        let graph = Digest::of(self.graph.fact().to_string().as_bytes());
        context.facts.add("pipeline", graph.to_hex());
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let top = self.params.top as usize;
        let numbers = Numbers::of(inputs.frame("input")?, inputs.try_frame("classes"), top)?;
        let conflicts = match inputs.try_frame("duplicates") {
            Some(frame) => Some(conflicts(frame, top)?),
            None => None,
        };
        let mut tables = Vec::new();
        for (port, heading, sentence) in TABLES {
            if let Some(frame) = inputs.try_frame(port) {
                tables.push((heading, port, sentence, table(frame)?));
            }
        }
        let page = Page {
            title: &self.title,
            numbers: &numbers,
            graph: &self.graph,
            conflicts: conflicts.as_ref().map(|(shown, all)| (shown.as_slice(), *all)),
            tables: &tables,
        };
        let html = page.html(context.tallies)?;
        let path = context.base_dir.join(&self.params.path);
        let failed = |error: std::io::Error| {
            NodeError::io(format!("cannot write `{}`: {error}", self.params.path))
        };
        engine::write_atomically(&path, |file| file.write_all(html.as_bytes())).map_err(failed)?;
        // The frame is of the page without tallies, so that it is the same for the same input.
        let lasting = page.html(&BTreeMap::new())?;
        let mut outputs = Outputs::frame(crate::columns::frame(vec![
            string_column("path", [Some(self.params.path.as_str())]),
            Column::new("bytes".into(), vec![lasting.len() as i64]),
            string_column("digest", [Some(Digest::of(lasting.as_bytes()).to_hex().as_str())]),
        ])?);
        outputs.count(format!("bytes written to {}", self.params.path), html.len(), None);
        outputs.target("file", Digest::of(html.as_bytes()).to_hex());
        Ok(outputs)
    }

    fn wants_tallies(&self) -> bool {
        true
    }

    fn target_is_current(&self, record: &UnitRecord, base_dir: &Path) -> Result<bool, NodeError> {
        let found = Digest::of_file(&base_dir.join(&self.params.path)).map(|d| d.to_hex()).ok();
        Ok(engine::notes_of(record).into_iter().any(|note| match note {
            Note::Target { digest, .. } => found.as_ref() == Some(&digest),
            _ => false,
        }))
    }
}

/// The first groups of records that are the same under several labels, and how many there are.
fn conflicts(frame: &DataFrame, top: usize) -> Result<(Vec<Conflict>, usize), NodeError> {
    let [groups, kinds, ids, labels, all_labels, texts] =
        ["duplicate_group", "conflict_kind", "record_id", "label", "group_labels", "text"]
            .map(|name| strings(frame, name));
    let (groups, kinds, ids) = (groups?, kinds?, ids?);
    let (labels, all_labels, texts) = (labels?, all_labels?, texts?);
    let text = |column: &StringChunked, row: usize| column.get(row).unwrap_or_default().to_owned();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shown: Vec<Conflict> = Vec::new();
    for (row, group) in groups.iter().enumerate() {
        let count = place.len();
        let place = *place.entry(group.unwrap_or_default()).or_insert(count);
        if place >= top {
            continue;
        }
        if place == shown.len() {
            shown.push(Conflict {
                exact: kinds.get(row) == Some("exact"),
                labels: text(all_labels, row),
                text: shortened(texts.get(row).unwrap_or_default()),
                records: Vec::new(),
                more: 0,
            });
        }
        let conflict = &mut shown[place];
        if conflict.records.len() < MOST_COPIES {
            conflict.records.push((text(ids, row), text(labels, row)));
        } else {
            conflict.more += 1;
        }
    }
    Ok((shown, place.len()))
}

/// A count without digits behind the point, as are numbers so large that these say nothing.
fn number(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 || value.abs() >= 100.0 => format!("{value:.0}"),
        value => format!("{value:.4}"),
    }
}

/// The beginning of a frame as texts, fractions with four digits.
fn table(frame: &DataFrame) -> Result<Table, NodeError> {
    let rows = frame.height().min(MOST_ROWS);
    let columns = frame.columns().iter().take(MOST_COLUMNS);
    let mut cells = vec![Vec::new(); rows];
    let (mut names, mut numeric) = (Vec::new(), Vec::new());
    for column in columns {
        names.push(column.name().to_string());
        numeric.push(column.dtype().is_primitive_numeric());
        if column.dtype().is_float() {
            let values = column.cast(&DataType::Float64)?;
            for (row, value) in cells.iter_mut().zip(values.f64()?.iter()) {
                row.push(value.map_or_else(String::new, number));
            }
            continue;
        }
        let texts = column.cast(&DataType::String)?;
        for (row, value) in cells.iter_mut().zip(texts.str()?.iter()) {
            row.push(shortened(value.unwrap_or_default()));
        }
    }
    Ok(Table { names, numeric, rows: cells, more: frame.height() - rows })
}
