//! `review-queue`: puts the most suspicious records into the review store.
//!
//! A sink, and idempotent: the queue holds what the last run asked for, less what was decided.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use engine::{FactContext, Inputs, Node, NodeError, Note, Outputs, RunContext, UnitRecord};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use review_store::{NewItem, Origin};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{FLOAT, STRING, floats, frame_port, integers, string_column, strings};
use crate::corrections::{store_error, store_facts};
use crate::draw::Draw;
use crate::kind::{Kind, Making};
use crate::reasons::Table as Doubts;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// URL of the review store, such as `sqlite:relabel.db`.
    #[schemars(extend("x-relabel-key" = false))]
    store: String,
    /// Most suspicious records to queue, control and gold rows not counted; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    budget: Option<u32>,
    /// Column to rank by, lowest first. When absent, `label_quality` where `original_quality` is
    /// beside it, else the margin between the confidences of given and proposed label.
    #[serde(default)]
    rank_by: Option<String>,
}

/// Columns that the queue needs of suspicious records and control rows.
const NEEDED: [(&str, &[ColumnType]); 9] = [
    ("record_id", STRING),
    ("text", STRING),
    ("original_label", STRING),
    ("given_label", STRING),
    ("predicted_label", STRING),
    ("prediction_confidence", FLOAT),
    ("given_confidence", FLOAT),
    ("audit_run_id", STRING),
    ("model_version", STRING),
];

pub(crate) struct ReviewQueue;

impl Kind for ReviewQueue {
    type Params = Params;

    const NAME: &'static str = "review-queue";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "Queues records for review; never one that is verified.";
    const SINK: bool = true;

    fn input_ports() -> Vec<InputPort> {
        let suspicious = "suspicious records, from a `predict` by way of filters";
        let control = "control rows from a `sample` node: queued among the others, unmarked";
        let gold =
            "gold rows, the port `gold` of a `sample` node: queued among the others, unmarked";
        let known: Vec<_> = NEEDED.iter().copied().chain([("right_label", STRING)]).collect();
        vec![
            frame_port("input", suspicious, &NEEDED),
            InputPort { required: false, ..frame_port("control", control, &NEEDED) },
            InputPort { required: false, ..frame_port("gold", gold, &known) },
        ]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema = context.schema("input").cloned().unwrap_or_default();
        if let Some(column) = &params.rank_by {
            match schema.get(column) {
                Some(ColumnType::Float | ColumnType::Integer) => {}
                None if schema.open => {}
                found => {
                    let message = match found {
                        Some(found) => {
                            format!("column `{column}` is of type {found}, not a number")
                        }
                        None => format!("no column `{column}` here"),
                    };
                    let finding = Finding::param("/rank_by", message);
                    let near = plan::did_you_mean(column, schema.names());
                    return Err(vec![match near {
                        Some(near) => finding.with_hint(format!("did you mean `{near}`?")),
                        None => finding,
                    }]);
                }
            }
        }
        let queued = Schema::new([
            ("record_id", ColumnType::String),
            ("rank", ColumnType::Integer),
            ("original_label", ColumnType::String),
            ("given_label", ColumnType::String),
            ("proposed_label", ColumnType::String),
            ("prediction_confidence", ColumnType::Float),
            ("reasons", ColumnType::String),
        ]);
        Ok(Checked { outputs: vec![("", PortType::Frame(queued))], ..Checked::default() })
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let queue = format!("{}/{}", making.plan.name, making.step.name);
        Ok(Box::new(QueueNode { params, queue }))
    }
}

/// What stands for the lane of a suspicious record that came by none; a control row has no lane.
const NO_LANE: &str = "queue";

struct QueueNode {
    params: Params,
    queue: String,
}

impl Node for QueueNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        context.facts.add("queue", self.queue.clone());
        context.taxonomy();
        store_facts(&self.params.store, context)
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let store =
            review_store::open(&self.params.store, context.base_dir).map_err(store_error)?;
        let verified: HashSet<(String, String)> = store
            .verified_records()
            .map_err(store_error)?
            .into_iter()
            .map(|record| (record.record_id, record.text_digest))
            .collect();
        let table = Table::read(frame, self.params.rank_by.as_deref())?;
        let mut order = table.order(|row| table.is_open(row, &verified));
        let skipped = frame.height() - order.len();
        let waiting = order.len();
        order.truncate(self.params.budget.map_or(usize::MAX, |budget| budget as usize));
        let other = |port| inputs.try_frame(port).map(|frame| Table::read(frame, None)).transpose();
        let others = Others { control: other("control")?, gold: other("gold")? };
        let taxonomy_version = context.taxonomy.map(|taxonomy| {
            engine::Digest::of(taxonomy.canonical().to_string().as_bytes()).short()
        });
        let suspicious = order.len();
        let items = items(&table, &order, &others, &verified, taxonomy_version.as_ref());
        // Nothing suspicious is a fine result; `get` would panic then.
        let tables = others.control.iter().chain(&others.gold).chain([&table]);
        let runs = tables.flat_map(|table| table.audit_run_ids.iter());
        let audit_run_id = runs.flatten().next().unwrap_or("none").to_owned();
        let outcome = store.queue_items(&self.queue, &audit_run_id, &items).map_err(store_error)?;
        let mut outputs = Outputs::frame(queued_frame(&items)?);
        outputs.count("queued for review", suspicious, Some(waiting));
        if others.control.is_some() {
            let rows = items.iter().filter(|item| item.origin.control).count();
            outputs.count("control rows in the queue, unmarked", rows, None);
        }
        if others.gold.is_some() {
            let rows = items.iter().filter(|item| item.origin.gold.is_some()).count();
            outputs.count("gold rows in the queue, unmarked", rows, None);
        }
        if skipped > 0 {
            outputs.count("verified before, not queued again", skipped, None);
        }
        if outcome.withdrawn > 0 {
            outputs.count("open items withdrawn", outcome.withdrawn as usize, None);
        }
        outputs.target(&self.queue, outcome.batch_digest);
        Ok(outputs)
    }

    fn target_is_current(&self, record: &UnitRecord, base_dir: &Path) -> Result<bool, NodeError> {
        let digest = engine::notes_of(record).into_iter().find_map(|note| match note {
            Note::Target { digest, .. } => Some(digest),
            _ => None,
        });
        let (Some(digest), Some(store)) = (
            digest,
            review_store::open_existing(&self.params.store, base_dir).map_err(store_error)?,
        ) else {
            return Ok(false);
        };
        store.holds_batch(&self.queue, &digest).map_err(store_error)
    }
}

/// Rows that are queued whatever their labels look like.
struct Others<'a> {
    control: Option<Table<'a>>,
    gold: Option<Table<'a>>,
}

/// A row on its way into the batch.
struct Place<'a> {
    /// Where it stands; among equals, suspicious records come first.
    at: usize,
    id: &'a str,
    table: &'a Table<'a>,
    row: usize,
    /// `None` for a suspicious record.
    origin: Option<Origin>,
}

/// The batch: suspicious records in their order, with the others in places that tell nothing.
fn items(
    table: &Table<'_>,
    order: &[usize],
    others: &Others<'_>,
    verified: &HashSet<(String, String)>,
    taxonomy_version: Option<&String>,
) -> Vec<NewItem> {
    let suspicious: BTreeSet<&str> = order.iter().map(|row| table.id(*row)).collect();
    let mut drawn: BTreeSet<&str> = BTreeSet::new();
    let mut places: Vec<Place<'_>> = Vec::new();
    if let Some(control) = &others.control {
        for row in control.order(|row| control.is_open(row, verified)) {
            drawn.insert(control.id(row));
            places.push(control.place(row, origin(control, row, table, order)));
        }
    }
    // A record that is in question needs a decision; an answer would be none.
    if let Some(gold) = &others.gold {
        let free = |row: &usize| !drawn.contains(gold.id(*row));
        for row in gold.order(|_| true).into_iter().filter(free) {
            let right = gold.rights.and_then(|rights| rights.get(row));
            let origin = Origin { gold: right.map(str::to_owned), ..Origin::default() };
            places.push(gold.place(row, origin));
        }
    }
    places.retain(|place| !suspicious.contains(place.id));
    let total = order.len() + places.len();
    for place in &mut places {
        place.at %= total.max(1);
    }
    places.extend(order.iter().enumerate().map(|(n, row)| Place {
        // Spread over the whole length, so that the last places are no control rows either.
        at: n * total / order.len().max(1),
        id: table.id(*row),
        table,
        row: *row,
        origin: None,
    }));
    places.sort_by_key(|place| (place.at, place.origin.is_some(), place.id));
    // Where the suspicious have no reason of their own, none of the others may stand out by one.
    let told = table.reasons.is_some();
    let item = |(n, place): (usize, Place<'_>)| {
        let mut item = place.table.item(place.row, told);
        item.rank = n as u32 + 1;
        item.taxonomy_version = taxonomy_version.cloned();
        match place.origin {
            Some(origin) => item.origin = origin,
            None => item.origin.control = drawn.contains(place.id),
        }
        item
    };
    places.into_iter().enumerate().map(item).collect()
}

/// The origin of a control row: what it stands for, less what lanes took out of that.
fn origin(control: &Table<'_>, row: usize, suspicious: &Table<'_>, order: &[usize]) -> Origin {
    let stratum = control.strata.and_then(|strata| strata.get(row));
    let by = control.stratum_by.and_then(|by| by.get(row));
    let labels = by.and_then(|by| strings(suspicious.frame, by).ok());
    let among = match (stratum, labels) {
        (Some(stratum), Some(labels)) => {
            let is_there = |row: &&usize| labels.get(**row).unwrap_or_default() == stratum;
            order.iter().filter(is_there).count()
        }
        _ => order.len(),
    };
    let rows = control.stratum_rows.as_ref().and_then(|rows| rows[row]);
    Origin {
        control: true,
        stratum: stratum.map(str::to_owned),
        drawn_from: rows.and_then(|rows| u64::try_from(rows - among as i64).ok()),
        lane_rows: Some(order.len() as u64),
        ..Origin::default()
    }
}

/// The columns of suspicious records, control rows or gold rows.
struct Table<'a> {
    frame: &'a DataFrame,
    ids: &'a StringChunked,
    texts: &'a StringChunked,
    originals: &'a StringChunked,
    doubts: Doubts<'a>,
    audit_run_ids: &'a StringChunked,
    model_versions: &'a StringChunked,
    folds: Option<Vec<Option<i64>>>,
    /// What lanes say of a record.
    lanes: Option<&'a StringChunked>,
    reasons: Option<&'a StringChunked>,
    sources: Option<&'a StringChunked>,
    /// What a control row stands for.
    strata: Option<&'a StringChunked>,
    stratum_by: Option<&'a StringChunked>,
    stratum_rows: Option<Vec<Option<i64>>>,
    /// The right labels of gold rows.
    rights: Option<&'a StringChunked>,
    /// High is suspicious.
    suspicion: Vec<f64>,
}

impl<'a> Table<'a> {
    fn read(frame: &'a DataFrame, rank_by: Option<&str>) -> Result<Table<'a>, NodeError> {
        let doubts = Doubts::read(frame)?;
        let suspicion = match rank_by {
            Some(column) => floats(frame, column)?.into_iter().map(|value| -value).collect(),
            None => doubts.scores.iter().map(|score| -score).collect(),
        };
        Ok(Table {
            frame,
            ids: strings(frame, "record_id")?,
            texts: strings(frame, "text")?,
            originals: strings(frame, "original_label")?,
            doubts,
            audit_run_ids: strings(frame, "audit_run_id")?,
            model_versions: strings(frame, "model_version")?,
            folds: integers(frame, "fold_id").ok(),
            lanes: strings(frame, "lane").ok(),
            reasons: strings(frame, "reason").ok(),
            sources: strings(frame, "label_source").ok(),
            strata: strings(frame, "stratum").ok(),
            stratum_by: strings(frame, "stratum_by").ok(),
            stratum_rows: integers(frame, "stratum_rows").ok(),
            rights: strings(frame, "right_label").ok(),
            suspicion,
        })
    }

    fn id(&self, row: usize) -> &str {
        self.ids.get(row).unwrap_or_default()
    }

    /// The records that are wanted, the most suspicious first.
    fn order(&self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.suspicion.len()).filter(|row| wanted(*row)).collect();
        order.sort_by(|a, b| {
            self.suspicion[*b]
                .total_cmp(&self.suspicion[*a])
                .then_with(|| self.doubts.scores[*a].total_cmp(&self.doubts.scores[*b]))
                .then_with(|| self.id(*a).cmp(self.id(*b)))
        });
        order
    }

    /// Whether nobody knows the right label of a record: no reviewer and no gold set.
    fn is_open(&self, row: usize, verified: &HashSet<(String, String)>) -> bool {
        if self.sources.and_then(|sources| sources.get(row)) == Some("gold") {
            return false;
        }
        let digest = || review_store::text_digest(self.texts.get(row).unwrap_or_default());
        verified.is_empty() || !verified.contains(&(self.id(row).to_owned(), digest()))
    }

    /// A place that follows from the record's id alone.
    fn place(&self, row: usize, origin: Origin) -> Place<'_> {
        let id = self.id(row);
        let draw = Draw::new(b"place\n").place(id);
        let draw = u64::from_le_bytes(draw.as_bytes()[..8].try_into().expect("eight bytes"));
        Place { at: draw as usize, id, table: self, row, origin: Some(origin) }
    }

    /// The item of a suspicious record, without its place. `told`: with the reason in its frame.
    fn item(&self, row: usize, told: bool) -> NewItem {
        let text = |column: &StringChunked| column.get(row).unwrap_or_default().to_owned();
        let Doubts { given, given_confidence, proposals, .. } = &self.doubts;
        let (given, proposed) = (text(given), proposals.label(row).to_owned());
        let given_confidence = Some(given_confidence[row]).filter(|value| !value.is_nan());
        let confidence = proposals.confidences[row];
        let told = self.reasons.filter(|_| told).and_then(|reasons| reasons.get(row));
        let told = told.filter(|reason| !reason.is_empty());
        let reason = match told {
            Some(reason) => reason.to_owned(),
            None => self.doubts.reason(row, None).to_string(),
        };
        let mut categories = vec![(proposed.clone(), confidence)];
        categories.extend(given_confidence.map(|value| (given.clone(), value)));
        let fold = self.folds.as_ref().and_then(|folds| folds[row]);
        NewItem {
            record_id: self.id(row).to_owned(),
            original_label: text(self.originals),
            given_label: given,
            proposed_label: proposed,
            prediction_confidence: confidence,
            given_confidence,
            rank: 0,
            reasons: vec![reason],
            text: text(self.texts),
            categories,
            fold_id: fold.and_then(|fold| u32::try_from(fold).ok()),
            model_version: text(self.model_versions),
            taxonomy_version: None,
            origin: Origin {
                lane: self.lanes.and_then(|lanes| lanes.get(row)).or(Some(NO_LANE)).map(Into::into),
                ..Origin::default()
            },
        }
    }
}

fn queued_frame(items: &[NewItem]) -> Result<DataFrame, NodeError> {
    let text = |name: &str, get: fn(&NewItem) -> &str| {
        string_column(name, items.iter().map(|item| Some(get(item))))
    };
    let reasons: Vec<String> = items.iter().map(|item| item.reasons.join("; ")).collect();
    let ranks: Vec<u32> = items.iter().map(|item| item.rank).collect();
    let confidences: Vec<f64> = items.iter().map(|item| item.prediction_confidence).collect();
    crate::columns::frame(vec![
        text("record_id", |item| &item.record_id),
        Column::new("rank".into(), ranks),
        text("original_label", |item| &item.original_label),
        text("given_label", |item| &item.given_label),
        text("proposed_label", |item| &item.proposed_label),
        Column::new("prediction_confidence".into(), confidences),
        string_column("reasons", reasons.iter().map(|text| Some(text.as_str()))),
    ])
}
