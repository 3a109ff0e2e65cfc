//! Runs of small plans with nodes made of data. `Bench` alone knows how a run is set up.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use plan::{
    Accepts, Catalog, CheckContext, Checked, ColumnType, Finding, InputPort, KindSignature,
    PipelineSource, Plan, PluginDescription, PluginProblem, PluginRequest, PortType, Schema, Step,
    World, WorldError,
};
use polars::prelude::df;
use serde_json::{Value, json};

use crate::classifier::Cancel;
use crate::*;

/// `make` gives the numbers below `n`; `halve` halves what it reads; `fail` and `panic` do that;
/// `choose` takes the tens of `n` and has two folds that repeat it.
struct TestKind(&'static str);

impl KindSignature for TestKind {
    fn name(&self) -> &'static str {
        self.0
    }
    fn version(&self) -> u32 {
        1
    }
    fn summary(&self) -> &'static str {
        "for tests"
    }
    fn params_schema(&self) -> Value {
        // What `choose` makes of its number is a fact of the choice alone.
        let n = json!({"type": "integer", "default": 4, "x-relabel-key": self.0 != "choose"});
        json!({"type": "object", "properties": {"n": n}})
    }
    fn input_ports(&self) -> Vec<InputPort> {
        if self.0 == "make" {
            return Vec::new();
        }
        vec![InputPort::one("input", Accepts::Frame(Vec::new()), "in")]
    }
    fn output_ports(&self) -> Vec<&'static str> {
        vec![""]
    }
    fn check(&self, _: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema = Schema::new([("x", ColumnType::Integer)]);
        let outputs = vec![("", PortType::Frame(schema))];
        let choice = self.0 == "choose";
        Ok(Checked { outputs, choice, folds: if choice { 2 } else { 0 }, ..Checked::default() })
    }
}

struct TestNode {
    kind: String,
    n: i64,
}

impl Node for TestNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        if context.part == Part::Choice {
            context.facts.add("param:n", self.n);
        }
        Ok(())
    }

    fn folds(&self) -> Option<&dyn Folds> {
        Some(self)
    }

    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let values: Vec<i64> = match self.kind.as_str() {
            "make" => (0..self.n).collect(),
            "halve" => {
                let column = inputs.frame("input")?.column("x")?.clone();
                column.i64()?.iter().map(|x| x.unwrap_or(0) / self.n).collect()
            }
            "choose" => {
                let folds = inputs.folds().iter().map(|fold| match fold.get("") {
                    Some(Artifact::Frame(frame)) => frame.height() as i64,
                    _ => panic!("a fold gives a frame"),
                });
                folds.collect()
            }
            "fail" => return Err(NodeError::input("no luck").with_hint("try again")),
            _ => panic!("on purpose"),
        };
        Ok(Outputs::frame(df!("x" => values)?))
    }
}

/// The first artifact of a choice is the tens of `n`, the second all of it.
impl Folds for TestNode {
    fn choose(&self, _: &RunContext<'_>, _: &Inputs) -> Result<Outputs, NodeError> {
        let frame = |rows: i64| Ok::<_, NodeError>(df!("x" => (0..rows).collect::<Vec<i64>>())?);
        let chosen = Artifact::Frame(frame(self.n / 10)?);
        Ok(Outputs::default().with("chosen", chosen).with("all", Artifact::Frame(frame(self.n)?)))
    }

    fn prepare(
        &self,
        _: &RunContext<'_>,
        inputs: &Inputs,
    ) -> Result<Box<dyn std::any::Any + Send + Sync>, NodeError> {
        match inputs.choice().and_then(|choice| choice.get("chosen")) {
            Some(Artifact::Frame(frame)) => Ok(Box::new(frame.clone())),
            _ => panic!("folds come after the choice"),
        }
    }

    fn run_fold(
        &self,
        _: &RunContext<'_>,
        _: &Inputs,
        shared: &(dyn std::any::Any + Send + Sync),
        _: u32,
    ) -> Result<Outputs, NodeError> {
        Ok(Outputs::frame(shared.downcast_ref::<polars::prelude::DataFrame>().unwrap().clone()))
    }
}

struct Factory;

impl NodeFactory for Factory {
    fn node(&self, _: &Plan, step: &Step) -> Result<Box<dyn Node>, NodeError> {
        let n = step.params["n"].as_i64().unwrap_or_default();
        Ok(Box::new(TestNode { kind: step.kind.to_owned(), n }))
    }
}

struct NoWorld;

impl World for NoWorld {
    fn base_dir(&self) -> &Path {
        Path::new("/nowhere")
    }
    fn env(&self, _: &str) -> Option<String> {
        None
    }
    fn read_text(&self, _: &str) -> Result<String, WorldError> {
        Err(WorldError("none".into()))
    }
    fn plugin(&self, _: &PluginRequest<'_>) -> Result<PluginDescription, PluginProblem> {
        Err(PluginProblem { message: "none".into(), hint: None, refused: false, key: "plugin" })
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Reporter for Lines {
    fn event(&mut self, event: &Event) {
        let line = match event {
            Event::UnitHit { unit, .. } => format!("hit {unit}"),
            Event::UnitFinished { unit, reason, .. } => format!("run {unit}: {}", reason.text()),
            Event::UnitFailed { unit, message, .. } => format!("failed {unit}: {message}"),
            Event::UnitSkipped { unit, because, .. } => format!("skipped {unit}: {because}"),
            Event::Repaired { unit, what } => format!("repair {unit}: {what}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: tempfile::tempdir().unwrap() }
    }

    fn run_with(&self, nodes: &str, change: impl FnOnce(&mut RunOptions)) -> Vec<String> {
        let kinds = ["make", "halve", "fail", "panic", "choose"];
        let catalog =
            Catalog::new(kinds.map(|name| Arc::new(TestKind(name)) as Arc<dyn KindSignature>));
        let text = format!("version: 1\nnodes: {{{nodes}}}");
        let source =
            PipelineSource { text: &text, default_name: "test", params: &[], overrides: &[] };
        let plan = plan::compile(&source, &catalog, &NoWorld).unwrap();
        let engine = Engine {
            cache: Cache::at(self.folder.path()),
            factory: &Factory,
            clock: &SystemClock,
            base_dir: "/nowhere".into(),
        };
        let mut options = RunOptions { run_id: "r".into(), jobs: 1, ..RunOptions::default() };
        change(&mut options);
        let mut lines = Lines::default();
        engine.run(&plan, &options, &mut lines).unwrap();
        lines.0.into_inner().unwrap()
    }

    fn run(&self, nodes: &str) -> Vec<String> {
        self.run_with(nodes, |_| {})
    }
}

#[test]
fn what_did_not_change_is_not_run_even_when_its_producer_was() {
    let bench = Bench::new();
    let nodes = |n: u32| {
        format!(
            "a: {{kind: make, n: {n}}}, b: {{kind: halve, n: 8, input: a}}, c: {{kind: halve, input: b}}"
        )
    };
    assert_eq!(bench.run(&nodes(4)), ["run a: first run", "run b: first run", "run c: first run"]);
    assert_eq!(bench.run(&nodes(4)), ["hit a", "hit b", "hit c"]);
    // `b` gives four or five zeros: another frame.
    assert_eq!(bench.run(&nodes(5)), ["run a: n: 4 -> 5", "run b: a changed", "run c: b changed"]);
    assert_eq!(bench.run(&nodes(4)), ["hit a", "hit b", "hit c"]);
    // Early cutoff: the params of `a` differ and its frame does not.
    let other =
        "a: {kind: make}, z: {kind: halve, n: 1, input: a}, b: {kind: halve, n: 8, input: z}";
    assert_eq!(bench.run(other), ["hit a", "run z: first run", "hit b"]);
}

#[test]
fn folds_depend_on_what_was_chosen_and_not_on_how() {
    let bench = Bench::new();
    let run =
        |n: u32| bench.run(&format!("a: {{kind: make}}, c: {{kind: choose, n: {n}, input: a}}"));
    let units = ["a", "c[choice]", "c[0]", "c[1]", "c"];
    assert_eq!(run(21), units.map(|unit| format!("run {unit}: first run")));
    let same = ["hit a", "run c[choice]: n: 21 -> 29", "hit c[0]", "hit c[1]"];
    assert_eq!(run(29)[..4], same);
    let other = run(30);
    assert_eq!(other[1], "run c[choice]: n: 29 -> 30");
    assert_eq!(other[2..4], ["run c[0]: c[choice] changed", "run c[1]: c[choice] changed"]);
    assert_eq!(run(21), units.map(|unit| format!("hit {unit}")));
}

#[test]
fn durations_have_the_unit_that_suits_them() {
    let told = [0.0, 0.14, 0.9996, 1.23, 8.0, 12.4, 89.6, 90.0, 100.0, 720.0, 5399.0, 7500.0];
    let wanted = [
        "1 ms",
        "140 ms",
        "1 s",
        "1.2 s",
        "8 s",
        "12 s",
        "90 s",
        "1.5 min",
        "1.7 min",
        "12 min",
        "90 min",
        "2 h 5 min",
    ];
    assert_eq!(told.map(duration_text), wanted);
}

#[test]
fn a_failure_stops_what_needs_it_and_no_more() {
    let bench = Bench::new();
    let nodes = "a: {kind: make}, b: {kind: fail, input: a}, c: {kind: halve, input: b}, \
                 d: {kind: halve, input: a}";
    let lines = bench.run_with(nodes, |options| options.keep_going = true);
    let wanted =
        ["run a: first run", "failed b: no luck", "skipped c: needs `b`", "run d: first run"];
    assert_eq!(lines, wanted);
    let lines = bench.run(&nodes.replace("halve, input: a", "halve, n: 3, input: a"));
    assert_eq!(lines[3], "skipped d: the run ended");
}

#[test]
fn a_panic_is_a_failure() {
    let lines = Bench::new().run("a: {kind: make}, b: {kind: panic, input: a}");
    assert_eq!(lines[1], "failed b: a defect in relabel stopped this unit: on purpose");
}

#[test]
fn a_lost_or_damaged_input_is_made_again_and_said() {
    let bench = Bench::new();
    bench.run("a: {kind: make}");
    let objects = bench.folder.path().join("objects-v1");
    let blob = walk(&objects).pop().unwrap();
    let bytes = std::fs::read(&blob).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, flipped).unwrap();
    let lines = bench.run("a: {kind: make}, b: {kind: halve, input: a}");
    let wanted =
        ["hit a", "repair a: damaged", "run a: output in the cache is damaged", "run b: first run"];
    assert_eq!(lines, wanted);
    assert_eq!(std::fs::read(&blob).unwrap(), bytes);
    std::fs::remove_file(&blob).unwrap();
    assert_eq!(bench.run("a: {kind: make}"), ["run a: output is no longer in the cache"]);
}

#[test]
fn an_interrupted_run_skips_what_is_left() {
    let cancel = Cancel::default();
    cancel.cancel();
    let lines = Bench::new().run_with("a: {kind: make}", |options| options.cancel = cancel);
    assert_eq!(lines, ["skipped a: interrupted"]);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}
