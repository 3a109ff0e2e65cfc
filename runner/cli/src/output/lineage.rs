//! What a run read and wrote as OpenLineage events, one JSON object a line.
//!
//! The pipeline is a job, and each node that runs is a job below it. Events are those of the
//! specification 2-0-2 (<https://openlineage.io/spec/2-0-2/OpenLineage.json>, `RunEvent`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use engine::{Clock, Event, Part, Reporter, SystemClock, UnitName};
use plan::{Plan, Step};
use serde_json::{Value, json};

use super::info;
use crate::commands::run::new_run_id;

const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
const FACETS: &str = "https://openlineage.io/spec/facets";
const NAMESPACE: &str = "relabel";

/// Writes lineage beside what another reporter shows.
pub struct LineageReporter<'a> {
    plan: &'a Plan,
    base_dir: PathBuf,
    file: File,
    inner: &'a mut dyn Reporter,
    run_id: String,
    /// Run ids of nodes that have started, with one of their units; each ends once.
    started: BTreeMap<String, (String, UnitName)>,
    /// Nodes of which a unit has failed.
    failed: BTreeSet<String>,
    /// The first failure, which the pipeline's last event tells.
    failure: Option<String>,
    told: bool,
}

fn producer() -> String {
    format!("https://crates.io/crates/relabel/{}", env!("CARGO_PKG_VERSION"))
}

fn facet(name: &str, version: &str, mut content: Value) -> Value {
    content["_producer"] = json!(producer());
    content["_schemaURL"] = json!(format!("{FACETS}/{version}/{name}.json#/$defs/{name}"));
    content
}

/// An event without data sets.
fn run_event(kind: &str, run_id: &str, job: &str, facets: Value) -> Value {
    json!({
        "eventType": kind,
        "eventTime": SystemClock.now_text(),
        "producer": producer(),
        "schemaURL": SCHEMA,
        "run": { "runId": run_id, "facets": facets },
        "job": { "namespace": NAMESPACE, "name": job },
        "inputs": [],
        "outputs": [],
    })
}

impl<'a> LineageReporter<'a> {
    /// Appends to `path`.
    pub fn new(
        path: &Path,
        plan: &'a Plan,
        base_dir: &Path,
        inner: &'a mut dyn Reporter,
    ) -> std::io::Result<LineageReporter<'a>> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(LineageReporter {
            plan,
            base_dir: base_dir.to_owned(),
            file,
            inner,
            run_id: String::new(),
            started: BTreeMap::new(),
            failed: BTreeSet::new(),
            failure: None,
            told: false,
        })
    }

    fn write(&mut self, event: &Value) {
        let line = format!("{event}\n");
        if self.file.write_all(line.as_bytes()).is_err() && !self.told {
            self.told = true;
            info("warning: the lineage file cannot be written; the run goes on");
        }
    }

    /// The pipeline's own event; what all its sources read and all its sinks write.
    fn pipeline(&mut self, kind: &str) {
        let mut facets = json!({});
        if let Some(message) = self.failure.as_ref().filter(|_| kind == "FAIL") {
            facets["errorMessage"] = error_facet(message);
        }
        let mut event = run_event(kind, &self.run_id, &self.plan.name, facets);
        let outside = |side: fn(&Self, &Step) -> Option<Value>| -> Vec<Value> {
            self.plan.steps().filter_map(|step| side(self, step)).collect()
        };
        event["inputs"] = json!(outside(Self::read_outside));
        event["outputs"] = json!(outside(Self::written_outside));
        self.write(&event);
    }

    fn node(&mut self, kind: &str, unit: &UnitName, rows: Option<u64>, error: Option<&str>) {
        let Some(step) = self.plan.find(&unit.node) else { return };
        let started = self.started.entry(unit.node.clone());
        let (run_id, _) = started.or_insert_with(|| (new_run_id(), unit.clone())).clone();
        let parent = json!({
            "run": { "runId": self.run_id },
            "job": { "namespace": NAMESPACE, "name": self.plan.name },
        });
        let mut facets = json!({ "parent": facet("ParentRunFacet", "1-2-0", parent) });
        if let Some(message) = error {
            facets["errorMessage"] = error_facet(message);
        }
        let job = format!("{}.{}", self.plan.name, step.name);
        let mut event = run_event(kind, &run_id, &job, facets);
        let inputs = step.inputs.iter().map(|input| {
            let name = &self.plan.step(input.step).name;
            self.frame(name, input.from_port)
        });
        let inputs: Vec<Value> = inputs.chain(self.read_outside(step)).collect();
        let mut outputs = vec![self.frame(&step.name, "")];
        outputs.extend(self.written_outside(step));
        if let Some(rows) = rows {
            let statistics = json!({ "rowCount": rows });
            outputs[0]["outputFacets"] = json!({
                "outputStatistics": facet("OutputStatisticsOutputDatasetFacet", "1-0-2", statistics),
            });
        }
        event["inputs"] = json!(inputs);
        event["outputs"] = json!(outputs);
        self.write(&event);
    }

    /// A frame in the cache, named by the node and port that give it.
    fn frame(&self, node: &str, port: &str) -> Value {
        let dot = if port.is_empty() { "" } else { "." };
        json!({ "namespace": NAMESPACE, "name": format!("{}.{node}{dot}{port}", self.plan.name) })
    }

    fn read_outside(&self, step: &Step) -> Option<Value> {
        match step.kind {
            "source" => self.on_disk(step, "path"),
            "corrections" => store(step, "ledger"),
            "predict" => self.on_disk(step, "probabilities"),
            _ => None,
        }
    }

    fn written_outside(&self, step: &Step) -> Option<Value> {
        match step.kind {
            "export" | "report" => self.on_disk(step, "path"),
            "review-queue" => store(step, &format!("{}/{}", self.plan.name, step.name)),
            _ => None,
        }
    }

    fn on_disk(&self, step: &Step, param: &str) -> Option<Value> {
        let path = self.base_dir.join(step.params[param].as_str()?);
        Some(json!({ "namespace": "file", "name": path.display().to_string() }))
    }
}

fn store(step: &Step, name: &str) -> Option<Value> {
    let url = review_store::redacted(step.params["store"].as_str()?);
    Some(json!({ "namespace": url, "name": name }))
}

fn error_facet(message: &str) -> Value {
    let content = json!({ "message": message, "programmingLanguage": "Rust" });
    facet("ErrorMessageRunFacet", "1-0-1", content)
}

impl Reporter for LineageReporter<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run_id, .. } => {
                self.run_id.clone_from(run_id);
                self.pipeline("START");
            }
            Event::UnitStarted { unit, .. } if !self.started.contains_key(&unit.node) => {
                self.node("START", unit, None, None);
            }
            Event::UnitFinished { unit, rows, .. } if unit.part == Part::Whole => {
                self.node("COMPLETE", unit, *rows, None);
                self.started.remove(&unit.node);
            }
            // Its folds ran, and gave what they gave before.
            Event::UnitHit { unit, rows, .. }
                if unit.part == Part::Whole && self.started.contains_key(&unit.node) =>
            {
                self.node("COMPLETE", unit, *rows, None);
                self.started.remove(&unit.node);
            }
            Event::UnitFailed { unit, message, .. } => {
                self.failure.get_or_insert_with(|| format!("{unit}: {message}"));
                if self.failed.insert(unit.node.clone()) {
                    self.node("FAIL", unit, None, Some(message));
                }
            }
            Event::RunFinished(summary) => {
                for (node, (_, unit)) in self.started.clone() {
                    if !self.failed.contains(&node) {
                        self.node("ABORT", &unit, None, None);
                    }
                }
                self.pipeline(match summary.units.failed {
                    0 if summary.interrupted => "ABORT",
                    0 => "COMPLETE",
                    _ => "FAIL",
                });
            }
            _ => {}
        }
        self.inner.event(event);
    }

    fn wants_estimates(&self) -> bool {
        self.inner.wants_estimates()
    }
}
