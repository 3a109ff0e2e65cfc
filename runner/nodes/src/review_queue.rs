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
use crate::decisions::{Reason, margin};
use crate::kind::{Kind, Making};
use crate::proposals::Proposals;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// URL of the review store, such as `sqlite:relabel.db`.
    #[schemars(extend("x-relabel-key" = false))]
    store: String,
    /// Most suspicious records to queue, control rows not counted; all when absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    budget: Option<u32>,
    /// Column to rank by, lowest first; the margin between given and proposed label when absent.
    #[serde(default)]
    rank_by: Option<String>,
}

pub(crate) struct ReviewQueue;

impl Kind for ReviewQueue {
    type Params = Params;

    const NAME: &'static str = "review-queue";
    const VERSION: u32 = 3;
    const SUMMARY: &'static str = "Queues records for review; never one that is verified.";
    const SINK: bool = true;

    fn input_ports() -> Vec<InputPort> {
        let columns = [
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
        let suspicious = "suspicious records, from a `predict` by way of filters";
        let control = "control rows from a `sample` node: queued among the others, unmarked";
        vec![
            frame_port("input", suspicious, &columns),
            InputPort { required: false, ..frame_port("control", control, &columns) },
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
        let mut order = table.order(&verified);
        let skipped = frame.height() - order.len();
        let waiting = order.len();
        order.truncate(self.params.budget.map_or(usize::MAX, |budget| budget as usize));
        let control =
            inputs.try_frame("control").map(|frame| Table::read(frame, None)).transpose()?;
        let taxonomy_version = context.taxonomy.map(|taxonomy| {
            engine::Digest::of(taxonomy.canonical().to_string().as_bytes()).short()
        });
        let suspicious = order.len();
        let items = items(&table, &order, control.as_ref(), &verified, taxonomy_version.as_ref());
        // Nothing suspicious is a fine result; `get` would panic then.
        let runs = control.iter().chain([&table]).flat_map(|table| table.audit_run_ids.iter());
        let audit_run_id = runs.flatten().next().unwrap_or("none").to_owned();
        let outcome = store.queue_items(&self.queue, &audit_run_id, &items).map_err(store_error)?;
        let mut outputs = Outputs::frame(queued_frame(&items)?);
        outputs.count("queued for review", suspicious, Some(waiting));
        if control.is_some() {
            let rows = items.iter().filter(|item| item.origin.control).count();
            outputs.count("control rows in the queue, unmarked", rows, None);
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

/// The batch: suspicious records in their order, with control rows in places that tell nothing.
fn items(
    table: &Table<'_>,
    order: &[usize],
    control: Option<&Table<'_>>,
    verified: &HashSet<(String, String)>,
    taxonomy_version: Option<&String>,
) -> Vec<NewItem> {
    let drawn = control.map(|control| control.order(verified)).unwrap_or_default();
    let drawn: Vec<(&Table<'_>, usize)> =
        control.into_iter().flat_map(|table| drawn.iter().map(move |row| (table, *row))).collect();
    let drawn_ids: BTreeSet<&str> = drawn.iter().map(|(table, row)| table.id(*row)).collect();
    let suspicious_ids: BTreeSet<&str> = order.iter().map(|row| table.id(*row)).collect();
    let total =
        order.len() + drawn.iter().filter(|d| !suspicious_ids.contains(d.0.id(d.1))).count();
    // A suspicious record keeps its place; a control row gets one that follows from its id.
    let mut places: Vec<(usize, bool, &str, &Table<'_>, usize)> = Vec::with_capacity(total);
    for (place, row) in order.iter().enumerate() {
        let id = table.id(*row);
        // Spread over the whole length, so that the last places are no control rows either.
        places.push((place * total / order.len().max(1), false, id, table, *row));
    }
    for (table, row) in drawn.iter().filter(|d| !suspicious_ids.contains(d.0.id(d.1))) {
        let id = table.id(*row);
        let draw = engine::Digest::of(format!("place\n{id}").as_bytes());
        let draw = u64::from_le_bytes(draw.as_bytes()[..8].try_into().expect("eight bytes"));
        places.push(((draw % total.max(1) as u64) as usize, true, id, table, *row));
    }
    places.sort_by_key(|place| (place.0, place.1, place.2));
    let item = |(n, place): (usize, &(usize, bool, &str, &Table<'_>, usize))| {
        let (_, only_control, id, table, row) = place;
        let mut item = table.item(*row, n as u32 + 1, taxonomy_version.cloned());
        item.origin.control = drawn_ids.contains(id);
        if *only_control {
            item.origin.lane = None;
        }
        item
    };
    let mut items: Vec<NewItem> = places.iter().enumerate().map(item).collect();
    items.sort_by_key(|item| item.rank);
    items
}

/// The columns of the suspicious records.
struct Table<'a> {
    ids: &'a StringChunked,
    texts: &'a StringChunked,
    originals: &'a StringChunked,
    givens: &'a StringChunked,
    proposals: Proposals,
    predictions: &'a StringChunked,
    prediction_confidences: Vec<f64>,
    audit_run_ids: &'a StringChunked,
    model_versions: &'a StringChunked,
    given_confidences: Vec<f64>,
    folds: Option<Vec<Option<i64>>>,
    /// What lanes say of a record.
    lanes: Option<&'a StringChunked>,
    reasons: Option<&'a StringChunked>,
    /// High is suspicious.
    suspicion: Vec<f64>,
    /// Low is suspicious; what is ranked alike is told apart by it.
    margins: Vec<f64>,
}

impl<'a> Table<'a> {
    fn read(frame: &'a DataFrame, rank_by: Option<&str>) -> Result<Table<'a>, NodeError> {
        let proposals = Proposals::read(frame)?;
        let given_confidences = floats(frame, "given_confidence")?;
        let margins: Vec<f64> = given_confidences
            .iter()
            .zip(&proposals.confidences)
            .map(|(g, p)| margin(*g, *p))
            .collect();
        let suspicion = match rank_by {
            Some(column) => floats(frame, column)?.into_iter().map(|value| -value).collect(),
            None => margins.iter().map(|margin| -margin).collect(),
        };
        Ok(Table {
            ids: strings(frame, "record_id")?,
            texts: strings(frame, "text")?,
            originals: strings(frame, "original_label")?,
            givens: strings(frame, "given_label")?,
            proposals,
            predictions: strings(frame, "predicted_label")?,
            prediction_confidences: floats(frame, "prediction_confidence")?,
            audit_run_ids: strings(frame, "audit_run_id")?,
            model_versions: strings(frame, "model_version")?,
            folds: integers(frame, "fold_id").ok(),
            lanes: strings(frame, "lane").ok(),
            reasons: strings(frame, "reason").ok(),
            given_confidences,
            suspicion,
            margins,
        })
    }

    fn id(&self, row: usize) -> &str {
        self.ids.get(row).unwrap_or_default()
    }

    /// The records that are not verified, the most suspicious first.
    fn order(&self, verified: &HashSet<(String, String)>) -> Vec<usize> {
        let mut order: Vec<usize> =
            (0..self.suspicion.len()).filter(|row| !self.is_verified(*row, verified)).collect();
        order.sort_by(|a, b| {
            self.suspicion[*b]
                .total_cmp(&self.suspicion[*a])
                .then_with(|| self.margins[*a].total_cmp(&self.margins[*b]))
                .then_with(|| self.id(*a).cmp(self.id(*b)))
        });
        order
    }

    fn is_verified(&self, row: usize, verified: &HashSet<(String, String)>) -> bool {
        let digest = review_store::text_digest(self.texts.get(row).unwrap_or_default());
        !verified.is_empty() && verified.contains(&(self.id(row).to_owned(), digest))
    }

    fn reason(&self, row: usize) -> Reason<'_> {
        Reason {
            given: self.givens.get(row).unwrap_or_default(),
            given_confidence: self.given_confidences[row],
            predicted: self.predictions.get(row).unwrap_or_default(),
            confidence: self.prediction_confidences[row],
            threshold: None,
            proposed: self.proposals.label(row),
            proposal_confidence: self.proposals.confidences[row],
        }
    }

    fn item(&self, row: usize, rank: u32, taxonomy_version: Option<String>) -> NewItem {
        let text = |column: &StringChunked| column.get(row).unwrap_or_default().to_owned();
        let (given, proposed) = (text(self.givens), self.proposals.label(row).to_owned());
        let given_confidence = Some(self.given_confidences[row]).filter(|value| !value.is_nan());
        let confidence = self.proposals.confidences[row];
        let told = self.reasons.and_then(|reasons| reasons.get(row)).filter(|r| !r.is_empty());
        let reason = match told {
            Some(reason) => reason.to_owned(),
            None => self.reason(row).to_string(),
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
            rank,
            reasons: vec![reason],
            text: text(self.texts),
            categories,
            fold_id: fold.and_then(|fold| u32::try_from(fold).ok()),
            model_version: text(self.model_versions),
            taxonomy_version,
            origin: Origin {
                lane: self.lanes.and_then(|lanes| lanes.get(row)).or(Some(NO_LANE)).map(Into::into),
                control: false,
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
